//! `wsproxy_config_*`, the handshakes: what goes upstream of the client's request, and who may connect.

use std::ffi::{c_char, c_int};

use super::config::{change, wsproxy_config};
use super::constants;
use super::incoming::{c_bytes, c_text, switch};

/// Whether the client's end-to-end headers (cookies, authorization, origin ...) go upstream: 1 or 0. Default: 1. Its
/// target and subprotocols do either way.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_pass_headers(
    config: *mut wsproxy_config,
    on: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.pass_headers(switch(on)?);
            Ok(())
        })
    }
}

/// Adds a header to the request that goes upstream, beside any of the same name.
///
/// CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own, are refused.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_header(
    config: *mut wsproxy_config,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.add_header(c_text("header name", name)?, c_bytes("header value", value)?)?;
            Ok(())
        })
    }
}

/// Sets a header of the request that goes upstream, in place of any of the same name from the client.
///
/// CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own, are refused.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_header(
    config: *mut wsproxy_config,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.set_header(c_text("header name", name)?, c_bytes("header value", value)?)?;
            Ok(())
        })
    }
}

/// Keeps a header of the client's from going upstream.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_remove_header(
    config: *mut wsproxy_config,
    name: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.remove_header(c_text("header name", name)?)?;
            Ok(())
        })
    }
}

/// Adds a subprotocol to those offered upstream when there is no client's request to take them from.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_subprotocol(
    config: *mut wsproxy_config,
    name: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.subprotocol(c_text("subprotocol", name)?)?;
            Ok(())
        })
    }
}

/// How the upstream is told of the client: WSPROXY_FORWARDED_X, WSPROXY_FORWARDED_RFC7239, both (added up), or
/// WSPROXY_FORWARDED_NONE. Default: WSPROXY_FORWARDED_NONE.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_forwarded(
    config: *mut wsproxy_config,
    which: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let (x_forwarded, rfc7239) = constants::forwarded(which)?;
            config.forwarded(x_forwarded).forwarded_rfc7239(rfc7239);
            Ok(())
        })
    }
}

/// Reaches upstreams through the HTTP proxy at `url`, `http://[user:password@]host[:port]`, by CONNECT (RFC 9110
/// section 9.3.6); Unix sockets directly. Default: none; the environment (`http_proxy` and the like) is not looked
/// at.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_http_proxy(
    config: *mut wsproxy_config,
    url: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.http_proxy(c_text("URL of the HTTP proxy", url)?)?;
            Ok(())
        })
    }
}

/// Adds an origin that clients may come from, as `https://example.com`; others are answered 403. Default: every
/// origin is allowed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_origin(
    config: *mut wsproxy_config,
    origin: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.allow_origin(c_text("origin", origin)?)?;
            Ok(())
        })
    }
}
