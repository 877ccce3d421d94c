//! `wsproxy_config_*` for TLS: towards upstreams (`wss://`), and towards clients.
//!
//! Rules: whatever is PEM comes from memory or from files. A file is read by the setter, never later, so that a host
//! may give up its privileges afterwards. Words about a file name it.

use std::ffi::{c_char, c_int, c_void, OsStr};
use std::os::unix::ffi::OsStrExt;

use super::config::{change, change_sides, wsproxy_config};
use super::constants;
use super::incoming::{bytes, c_bytes, c_text, switch};
use crate::error::{Error, Result};

/// What is in the file at `path`, and how to call it.
unsafe fn file(what: &str, path: *const c_char) -> Result<(Vec<u8>, String)> {
    // SAFETY: passed on to the caller.
    let path = OsStr::from_bytes(unsafe { c_bytes(what, path) }?);
    let name = path.to_string_lossy().into_owned();
    match std::fs::read(path) {
        Ok(content) => Ok((content, name)),
        Err(error) => Err(Error::system(&format!("cannot read {name}"), error)),
    }
}

/// The error with the files that it is about.
fn about(names: &str, error: &Error) -> Error {
    Error::new(error.kind(), error.fault(), format!("{names}: {}", error.message()))
}

/// Whether the certificate of a `wss://` upstream, and the name in it, are verified: 1 or 0. Default: 1. With 0
/// anybody on the way can read and change everything.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_upstream_verify(
    config: *mut wsproxy_config,
    on: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.upstream_verify(switch(on)?);
            Ok(())
        })
    }
}

/// Trusts these certificate authorities for `wss://` upstreams too, besides the system's: `len` bytes of PEM at
/// `pem`, one certificate or more.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_upstream_ca(
    config: *mut wsproxy_config,
    pem: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.upstream_ca(bytes("certificate authorities", pem, len)?)?;
            Ok(())
        })
    }
}

/// The same from a file, which is read now.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_upstream_ca_file(
    config: *mut wsproxy_config,
    path: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let (pem, name) = file("file of certificate authorities", path)?;
            config.upstream_ca(&pem).map_err(|error| about(&name, &error))?;
            Ok(())
        })
    }
}

/// The name to ask `wss://` upstreams for (SNI) and to look for in their certificates, instead of the URL's host.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_upstream_server_name(
    config: *mut wsproxy_config,
    name: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.upstream_server_name(c_text("server name", name)?)?;
            Ok(())
        })
    }
}

/// What `wss://` upstreams that ask for a certificate are shown: a certificate with the chain behind it, and its
/// private key; both PEM, the key unencrypted.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_upstream_certificate(
    config: *mut wsproxy_config,
    chain: *const c_void,
    chain_len: usize,
    key: *const c_void,
    key_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let chain = bytes("certificate", chain, chain_len)?;
            config.upstream_certificate(chain, bytes("private key", key, key_len)?)?;
            Ok(())
        })
    }
}

/// The same from two files, which are read now; they may be one.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_upstream_certificate_file(
    config: *mut wsproxy_config,
    chain_path: *const c_char,
    key_path: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let (chain, chain_name) = file("certificate file", chain_path)?;
            let (key, key_name) = file("private key file", key_path)?;
            let names = format!("{chain_name}, {key_name}");
            config.upstream_certificate(&chain, &key).map_err(|error| about(&names, &error))?;
            Ok(())
        })
    }
}

/// Clients speak TLS from now on, and are shown this: a certificate with the chain behind it, and its private key;
/// both PEM, the key unencrypted. Default: none, clients speak no TLS.
///
/// Clients are asked for certificates of their own only by `wsproxy_config_add_client_ca`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_client_certificate(
    config: *mut wsproxy_config,
    chain: *const c_void,
    chain_len: usize,
    key: *const c_void,
    key_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let chain = bytes("certificate", chain, chain_len)?;
            config.client_certificate(chain, bytes("private key", key, key_len)?)?;
            Ok(())
        })
    }
}

/// The same from two files, which are read now; they may be one.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_client_certificate_file(
    config: *mut wsproxy_config,
    chain_path: *const c_char,
    key_path: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let (chain, chain_name) = file("certificate file", chain_path)?;
            let (key, key_name) = file("private key file", key_path)?;
            let names = format!("{chain_name}, {key_name}");
            config.client_certificate(&chain, &key).map_err(|error| about(&names, &error))?;
            Ok(())
        })
    }
}

/// Clients that speak TLS have to show a certificate of one of these authorities: PEM, one or more. May be called
/// several times. Default: clients are asked for none. Without `wsproxy_config_set_client_certificate` no client speaks
/// TLS, and `wsproxy_connect` gives WSPROXY_ERR_ARGUMENT.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_client_ca(
    config: *mut wsproxy_config,
    pem: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.client_ca(bytes("certificate authorities", pem, len)?)?;
            Ok(())
        })
    }
}

/// The same from a file, which is read now.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_add_client_ca_file(
    config: *mut wsproxy_config,
    path: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            let (pem, name) = file("file of certificate authorities", path)?;
            config.client_ca(&pem).map_err(|error| about(&name, &error))?;
            Ok(())
        })
    }
}

/// The lowest version of TLS that is spoken with `side` (or WSPROXY_BOTH): WSPROXY_TLS_1_2 or WSPROXY_TLS_1_3.
/// Default: WSPROXY_TLS_1_2.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_min_tls_version(
    config: *mut wsproxy_config,
    side: c_int,
    version: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change_sides(config, side, |config, side| {
            config.min_tls_version(side, constants::tls_version(version)?);
            Ok(())
        })
    }
}
