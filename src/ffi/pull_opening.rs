//! `wsproxy_pull_*`, the handshakes: how a host that owns its sockets and its clock begins a session.
//!
//! Theory: what the host prepared of the client (`wsproxy_set_client_head`, `_upgraded`) is given to the session by the
//! verb that begins the client's half. The verbs return at once; how the handshakes went is asked with
//! `wsproxy_pull_is_open`.

use std::ffi::{c_char, c_int, c_void};

use super::constants::one_side;
use super::guard;
use super::incoming::{c_bytes, c_text, switch};
use super::pull::{ask, Pulled};
use super::session::{wsproxy, Handover};
use crate::error::{Error, Result};
use crate::{Pull, Side};

/// Runs `body` with the session as an event loop drives it, which it does from now on.
pub(super) unsafe fn opening(p: *mut wsproxy, body: impl FnOnce(&mut Pull) -> Result<()>) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { guard::brief(p, |session| with_pull(session, body)) }
}

fn with_pull(session: &wsproxy, body: impl FnOnce(&mut Pull) -> Result<()>) -> Result<()> {
    let mut pulled = session.pulled.take();
    let pulled = match &mut *pulled {
        Some(pulled) => pulled,
        none => none.insert(Box::new(Pulled::new(session.proxy.pull()?))),
    };
    body(&mut pulled.pull)
}

/// Begins a session whose host has the sockets and the clock (an event loop), with both handshakes: when the client's
/// request is whole the upstream at `url` is asked, and with its answer the client is answered. Instead of
/// `wsproxy_connect`.
///
/// The client's request is what `wsproxy_set_client_head` was given before, and what `wsproxy_pull_input` brings. The
/// host dials the upstream (`wsproxy_pull_upstream_host`) as soon as there is output for it (`wsproxy_pull_output`),
/// does TLS itself, and says what comes of it: bytes, or `wsproxy_pull_input_ended`. `wsproxy_pull_is_open` tells how
/// far the handshakes are. A client that is refused gets its answer as output.
///
/// All functions `wsproxy_pull_*` are called by one thread at a time, with the time told before (`wsproxy_pull_tick`).
/// None of them blocks or calls a hook. `url` is borrowed for the call.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, a URL that is none); WSPROXY_ERR_STATE (begun before, connected by
/// `wsproxy_connect` or one of its halves, or a handshake hook is set). After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_connect(p: *mut wsproxy, url: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let url = c_text("URL", url)?;
            let handover = session.prepared()?;
            with_pull(session, |pull| match handover {
                Handover::Fresh | Handover::Over => pull.connect(url),
                Handover::Head(head) => {
                    pull.connect(url)?;
                    pull.input(Side::Client, &head)
                }
                Handover::Upgraded(early) => {
                    pull.connect_upstream(url)?;
                    pull.client_upgraded(&early)
                }
            })?;
            session.connected();
            Ok(())
        })
    }
}

/// The upstream's half of `wsproxy_pull_connect`. The halves may begin in either order. If the host has given the
/// client's head (`wsproxy_set_client_head`), or the client's half has begun, the upstream gets the client's headers and
/// subprotocols; the client is answered by `wsproxy_pull_connect_client` only.
///
/// Pointers and results are those of `wsproxy_pull_connect`. After the handshake has failed (`wsproxy_pull_is_open`) it
/// may be called again, with a new connection and another URL too, unless the session is over; the client was told
/// nothing.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_connect_upstream(
    p: *mut wsproxy,
    url: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let url = c_text("URL", url)?;
            let handover = session.prepared()?;
            with_pull(session, |pull| {
                let Handover::Head(head) = handover else { return pull.connect_upstream(url) };
                pull.connect_upstream_for(url, &head)?;
                session.connected();
                Ok(())
            })
        })
    }
}

/// The client's half of `wsproxy_pull_connect`: the client is answered as soon as its request is whole, with the
/// upstream's subprotocol and headers if that was connected before. A client that the host has upgraded
/// (`wsproxy_set_client_upgraded`) is taken as it is.
///
/// Results are those of `wsproxy_pull_connect`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_connect_client(p: *mut wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let handover = session.prepared()?;
            with_pull(session, |pull| match handover {
                Handover::Fresh | Handover::Over => pull.connect_client(),
                Handover::Head(head) => {
                    pull.connect_client()?;
                    pull.input(Side::Client, &head)
                }
                Handover::Upgraded(early) => pull.client_upgraded(&early),
            })?;
            session.connected();
            Ok(())
        })
    }
}

/// The host of the upstream that was named last, which is to be dialled: a name, an address (IPv6 without brackets), or
/// of a Unix socket its path, which begins with "/". NULL if none was named yet.
///
/// It belongs to the session and is good until another upstream is named or `wsproxy_free`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_upstream_host(p: *const wsproxy) -> *const c_char {
    let none = std::ptr::null();
    // SAFETY: passed on to the caller.
    unsafe { ask(p, none, |pulled| pulled.host().unwrap_or(none)) }
}

/// Its port; 0 for a Unix socket and if none was named yet.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_upstream_port(p: *const wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        ask(p, 0, |pulled| c_int::from(pulled.pull.upstream().and_then(|to| to.port).unwrap_or(0)))
    }
}

/// Whether TLS is to be spoken with it (`wss://`): 1 or 0.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_upstream_is_secure(p: *const wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { ask(p, 0, |pulled| c_int::from(pulled.pull.upstream().is_some_and(|to| to.secure))) }
}

/// Sets a header of this session's next request to an upstream, in place of any of the same name from the client or
/// from the configuration. Before the verb that names the upstream.
///
/// Strings are copied. CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own,
/// are refused. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE once both handshakes are over or the
/// session is none of an event loop's. After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_set_header(
    p: *mut wsproxy,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        opening(p, |pull| {
            pull.set_header(c_text("header name", name)?, c_bytes("header value", value)?)
        })
    }
}

/// Adds a header to this session's next request to an upstream, beside any of the same name. Else as
/// `wsproxy_pull_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_add_header(
    p: *mut wsproxy,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        opening(p, |pull| {
            pull.add_header(c_text("header name", name)?, c_bytes("header value", value)?)
        })
    }
}

/// Keeps a header of this client's from going upstream with the next request. Else as `wsproxy_pull_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_remove_header(p: *mut wsproxy, name: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { opening(p, |pull| pull.remove_header(c_text("header name", name)?)) }
}

/// Offers a subprotocol with the next request, in place of those of the client and of the configuration. The client is
/// told of the upstream's choice only if it has offered that itself (RFC 6455 section 4.2.2). Else as
/// `wsproxy_pull_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_add_subprotocol(
    p: *mut wsproxy,
    name: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { opening(p, |pull| pull.add_subprotocol(c_text("subprotocol", name)?)) }
}

/// Asks with this Sec-WebSocket-Key, 16 bytes in base64, the next time; by default each request has a random one. Else
/// as `wsproxy_pull_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_set_key(p: *mut wsproxy, key: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { opening(p, |pull| pull.set_key(c_text("key", key)?)) }
}

/// Forgets the headers, subprotocols and key that were said of the next request, for a host that thought better of it.
/// Results are those of `wsproxy_pull_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_forget_request(p: *mut wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { opening(p, Pull::forget_request) }
}

/// Tells the client's IP address, and by 1 or 0 whether it came over TLS, for `wsproxy_config_set_forwarded`. Else as
/// `wsproxy_pull_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_set_peer(
    p: *mut wsproxy,
    address: *const c_char,
    secure: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        opening(p, |pull| pull.set_peer(c_text("client's address", address)?, switch(secure)?))
    }
}

/// Whether the handshake with `side` (WSPROXY_CLIENT or WSPROXY_UPSTREAM) is over: 1 or 0. Frames are looked at when
/// both are.
///
/// If it has failed, the code with which `wsproxy_connect` would have failed, and `wsproxy_error` has its words. Then
/// the session is over (`wsproxy_pull_is_over`) as soon as its output is written, but for an upstream that was
/// asked by `wsproxy_pull_connect_upstream`. WSPROXY_ERR_ARGUMENT for NULL and another side; WSPROXY_ERR_STATE for a
/// session that is none of an event loop's.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_is_open(p: *mut wsproxy, side: c_int) -> c_int {
    let mut open = false;
    // SAFETY: passed on to the caller.
    let result = unsafe {
        guard::handle(p, |session| {
            let side = one_side(side)?;
            let pulled = session.pulled.take();
            let pulled = pulled.as_ref().ok_or_else(|| Error::state("no handshake has begun"))?;
            open = pulled.pull.is_open(side)?;
            Ok(())
        })
    };
    match result {
        super::constants::OK => c_int::from(open),
        error => error,
    }
}

/// The head of the upstream's answer to the handshake, from its status line to its empty line: of the 101, or of a
/// refusal. NULL if there was none.
///
/// Its length goes to `len`. It belongs to the session and is good until the upstream is asked again or `wsproxy_free`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_answer_head(
    p: *const wsproxy,
    len: *mut usize,
) -> *const c_void {
    let head = |session: &wsproxy| {
        let pulled = session.pulled.take();
        let head = pulled.as_ref().map(|pulled| pulled.pull.answer_head())?;
        (!head.is_empty() && !len.is_null()).then_some((head.as_ptr(), head.len()))
    };
    // SAFETY: passed on to the caller; `len` is not NULL where there is a head.
    unsafe {
        let (head, size) = guard::quick(p, (std::ptr::null(), 0), head);
        if !head.is_null() {
            len.write(size);
        }
        head.cast()
    }
}
