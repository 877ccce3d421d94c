//! The handshake hook of a C host: lends it the client's request, takes its changes, reads its answer.
//!
//! Theory: as with frames, what the host sees is lent (`lent`): a pointer kept beyond the hook, or carried to another
//! thread, is an error. The texts are made NUL-terminated when they are first asked for, and live as long as the
//! loan; a request with a NUL in it is refused before the hook runs, so nothing is cut.

use std::cell::{OnceCell, RefCell};
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr::NonNull;

use super::constants::wsproxy_admission;
use super::incoming::{bytes, c_bytes, c_string, c_text};
use super::session::wsproxy;
use super::{guard, lent};
use crate::error::{Error, Result};
use crate::{Admission, Handshake};

/// A client's handshake, lent to the handshake hook until it returns: the functions `wsproxy_handshake_*` read and
/// change it. Opaque.
pub struct wsproxy_handshake {
    /// The Rust one; its lifetime is erased, the loan ends before it.
    handshake: NonNull<Handshake<'static>>,
    session: *mut wsproxy,
    texts: Texts,
    refusal: RefCell<Option<Admission>>,
}

/// What C was handed.
#[derive(Default)]
struct Texts {
    target: OnceCell<CString>,
    host: OnceCell<CString>,
    peer: OnceCell<Option<CString>>,
    lines: OnceCell<Vec<(CString, CString)>>,
}

/// Looks at a client's request and returns WSPROXY_ACCEPT, WSPROXY_REFUSE, or what `wsproxy_handshake_refuse`
/// returned; anything else is a failed hook: the client is answered 500, and the call returns WSPROXY_ERR_HOOK.
///
/// `handshake` is lent until the hook returns; `userdata` is what `wsproxy_set_on_handshake` or `wsproxy_server_run`
/// was given. It runs on the thread that called `wsproxy_connect` or `wsproxy_connect_client`, or on the client's own
/// thread of a server, once, when the request has been found acceptable and before the upstream is dialled. The
/// deadline of the upstream begins after it. It may call whatever a hook on frames may; `wsproxy_stop` and
/// `wsproxy_free` give the handshake up (WSPROXY_ERR_STOPPED). It may not unwind.
pub type wsproxy_on_handshake = Option<
    unsafe extern "C-unwind" fn(
        p: *mut wsproxy,
        handshake: *mut wsproxy_handshake,
        userdata: *mut c_void,
    ) -> c_int,
>;

pub(super) type OnHandshake =
    unsafe extern "C-unwind" fn(*mut wsproxy, *mut wsproxy_handshake, *mut c_void) -> c_int;

/// The host's function with what it is to be handed.
#[derive(Clone, Copy)]
pub(super) struct HandshakeHook {
    on_handshake: OnHandshake,
    userdata: *mut c_void,
}

// SAFETY: `userdata` is only handed back to the host's function, on the thread that the host connects on, or where it
// has a server do so.
unsafe impl Send for HandshakeHook {}

impl HandshakeHook {
    pub(super) fn new(on_handshake: OnHandshake, userdata: *mut c_void) -> Self {
        HandshakeHook { on_handshake, userdata }
    }

    /// Shows `handshake` of the session `p` to the host and reads its answer.
    pub(super) fn ask(self, p: *mut wsproxy, handshake: &mut Handshake<'_>) -> Admission {
        let mut shown = wsproxy_handshake {
            handshake: NonNull::from(handshake).cast(),
            session: p,
            texts: Texts::default(),
            refusal: RefCell::default(),
        };
        let pointer = &raw mut shown;
        // SAFETY: the host's promise about its function; `shown` stays where it is until the call is over, and nobody
        // has a reference to it but those that are made from what `lent` finds.
        let answer =
            unsafe { lent::lend(&*pointer, || (self.on_handshake)(p, pointer, self.userdata)) };
        shown.admission(answer)
    }
}

impl wsproxy_handshake {
    fn admission(self, number: c_int) -> Admission {
        use wsproxy_admission::*;
        match number {
            n if n == WSPROXY_ACCEPT as c_int => Admission::Accept,
            n if n == WSPROXY_REFUSE as c_int => self.refusal.into_inner().unwrap_or_else(|| {
                Admission::Refuse { status: 403, body: b"403 Forbidden\n".to_vec() }
            }),
            _ => Admission::Failed(format!(
                "it returned {number}, which is neither WSPROXY_ACCEPT nor WSPROXY_REFUSE"
            )),
        }
    }

    fn seen(&self) -> &Handshake<'static> {
        // SAFETY: it is alive while it is lent, and nobody changes it meanwhile: `change` returns before anything
        // else is asked.
        unsafe { self.handshake.as_ref() }
    }

    fn change(&self, change: impl FnOnce(&mut Handshake<'static>) -> Result<()>) -> Result<()> {
        // SAFETY: we are on the thread that lends it, inside the hook, and nobody else touches it meanwhile: `ask`
        // holds the only reference, the texts are copies, and no function called here calls back into the host.
        change(unsafe { &mut *self.handshake.as_ptr() })
    }

    fn lines(&self) -> &[(CString, CString)] {
        self.texts.lines.get_or_init(|| {
            let lines = self.seen().headers();
            lines.map(|(name, value)| (c_string(name), c_value(value))).collect()
        })
    }

    fn value(&self, name: &str) -> Option<&CStr> {
        let is_it = |have: &CStr| have.to_bytes().eq_ignore_ascii_case(name.as_bytes());
        let line = self.lines().iter().find(|(have, _)| is_it(have));
        line.map(|(_, value)| value.as_c_str())
    }

    fn refuse(&self, status: c_int, body: &[u8]) -> Result<()> {
        let status = u16::try_from(status).map_err(|_| {
            Error::argument(format!("status {status} refuses nothing: it must be from 300 to 599"))
        })?;
        *self.refusal.borrow_mut() = Some(Admission::refuse(status, body)?);
        Ok(())
    }
}

/// A value has no NUL: the request was parsed.
fn c_value(value: &[u8]) -> CString {
    CString::new(value).unwrap_or_default()
}

/// The handshake behind `handshake`, if this thread is lending it.
fn find(handshake: *const wsproxy_handshake) -> Result<NonNull<wsproxy_handshake>> {
    if handshake.is_null() {
        return Err(Error::argument("the handshake is NULL"));
    }
    lent::find(handshake.cast())
        .ok_or_else(|| Error::state("this thread is not inside the hook of this handshake"))
}

/// Runs `body` with the handshake behind `handshake`; keeps the words of its error on the session.
fn change(
    handshake: *const wsproxy_handshake,
    body: impl FnOnce(&wsproxy_handshake) -> Result<()>,
) -> c_int {
    guard::code(|| {
        // SAFETY: it is alive: this thread is lending it.
        let handshake = unsafe { find(handshake)?.as_ref() };
        let result = guard::catch(Err, || body(handshake));
        if let Err(error) = &result {
            // SAFETY: the session is alive while its hook runs.
            unsafe { &*handshake.session }.words.record(error);
        }
        result
    })
}

/// Asks the handshake behind `handshake` something.
fn ask<A: Copy>(
    handshake: *const wsproxy_handshake,
    otherwise: A,
    body: impl FnOnce(&wsproxy_handshake) -> A,
) -> A {
    guard::catch(
        |_| otherwise,
        || {
            // SAFETY: as in `change`.
            find(handshake).map_or(otherwise, |handshake| body(unsafe { handshake.as_ref() }))
        },
    )
}

fn ask_text(
    handshake: *const wsproxy_handshake,
    body: impl FnOnce(&wsproxy_handshake) -> Option<&CStr>,
) -> *const c_char {
    let none = std::ptr::null();
    ask(handshake, none, |handshake| body(handshake).map_or(none, CStr::as_ptr))
}

/// The method of the request: always "GET", the only one that opens a WebSocket. Inside the hook only.
///
/// The texts of a handshake are good until the hook returns. Outside the hook of this handshake, and for NULL, the
/// questions about it are answered with NULL or 0.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_method(
    handshake: *const wsproxy_handshake,
) -> *const c_char {
    ask_text(handshake, |_| Some(c"GET"))
}

/// The path and query that the client asked for; begins with "/". Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_target(
    handshake: *const wsproxy_handshake,
) -> *const c_char {
    ask_text(handshake, |handshake| {
        Some(handshake.texts.target.get_or_init(|| c_string(handshake.seen().target())))
    })
}

/// The value of the header Host. Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_host(
    handshake: *const wsproxy_handshake,
) -> *const c_char {
    ask_text(handshake, |handshake| {
        Some(handshake.texts.host.get_or_init(|| c_string(handshake.seen().host())))
    })
}

/// The client's address, as "192.0.2.7" or "2001:db8::7"; NULL if its connection has none (a Unix socket). Inside the
/// hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_peer(
    handshake: *const wsproxy_handshake,
) -> *const c_char {
    ask_text(handshake, |handshake| {
        let peer = || handshake.seen().peer().map(c_string);
        handshake.texts.peer.get_or_init(peer).as_deref()
    })
}

/// 1 if the client came over TLS, else 0. Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_is_secure(handshake: *const wsproxy_handshake) -> c_int {
    ask(handshake, 0, |handshake| c_int::from(handshake.seen().is_secure()))
}

/// The value of the first header called `name`, in whatever case; NULL if there is none. A value may have bytes that
/// are not ASCII, but no NUL. Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_header(
    handshake: *const wsproxy_handshake,
    name: *const c_char,
) -> *const c_char {
    ask_text(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        let name = unsafe { c_text("header name", name) }.ok()?;
        handshake.value(name)
    })
}

/// How many header lines the request has. Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_header_count(
    handshake: *const wsproxy_handshake,
) -> usize {
    ask(handshake, 0, |handshake| handshake.lines().len())
}

/// The name of a header line, as the client has written it; the lines count from 0, in the client's order. NULL
/// beyond the last. Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_header_name(
    handshake: *const wsproxy_handshake,
    index: usize,
) -> *const c_char {
    ask_text(handshake, |handshake| handshake.lines().get(index).map(|(name, _)| name.as_c_str()))
}

/// The value of a header line; NULL beyond the last. Inside the hook only.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_header_value(
    handshake: *const wsproxy_handshake,
    index: usize,
) -> *const c_char {
    ask_text(handshake, |handshake| handshake.lines().get(index).map(|(_, value)| value.as_c_str()))
}

/// Connects this client to another upstream than the one that was named: a URL as `wsproxy_connect` takes it. Inside
/// the hook only.
///
/// All that changes a handshake: strings are copied. Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL and for values
/// that cannot be taken; WSPROXY_ERR_STATE outside the hook of this handshake, and here when the upstream is
/// connected already. After a failure nothing was changed, and `wsproxy_error` has the words.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_set_url(
    handshake: *mut wsproxy_handshake,
    url: *const c_char,
) -> c_int {
    change(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        let url = unsafe { c_text("URL", url) }?;
        handshake.change(|handshake| handshake.set_url(url))
    })
}

/// Sets a header of the request that goes upstream, in place of any of the same name from the client or from the
/// configuration. Inside the hook only; results as those of `wsproxy_handshake_set_url`.
///
/// CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own, are refused.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_set_header(
    handshake: *mut wsproxy_handshake,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    change(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        let (name, value) = unsafe { line(name, value) }?;
        handshake.change(|handshake| handshake.set_header(name, value))
    })
}

/// Adds a header to the request that goes upstream, beside any of the same name. Else as
/// `wsproxy_handshake_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_add_header(
    handshake: *mut wsproxy_handshake,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    change(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        let (name, value) = unsafe { line(name, value) }?;
        handshake.change(|handshake| handshake.add_header(name, value))
    })
}

/// Keeps a header of the client's from going upstream. Else as `wsproxy_handshake_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_remove_header(
    handshake: *mut wsproxy_handshake,
    name: *const c_char,
) -> c_int {
    change(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        let name = unsafe { c_text("header name", name) }?;
        handshake.change(|handshake| handshake.remove_header(name))
    })
}

/// Adds a header to whatever the client is answered, the 101 or a refusal: Set-Cookie, WWW-Authenticate, Location,
/// Retry-After. What describes a body (Content-Type) counts for this hook's own refusal only. Else as
/// `wsproxy_handshake_set_header`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_add_answer_header(
    handshake: *mut wsproxy_handshake,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    change(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        let (name, value) = unsafe { line(name, value) }?;
        handshake.change(|handshake| handshake.add_answer_header(name, value))
    })
}

/// Says with what WSPROXY_REFUSE answers the client: a status from 300 to 599, and a body, plain text unless an
/// answer header says what else. Inside the hook only; the last call counts.
///
/// `body` is copied; NULL if `len` is 0. Returns WSPROXY_REFUSE, for the hook to return in its turn; or a result as
/// `wsproxy_handshake_set_url`, which is no such answer.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_handshake_refuse(
    handshake: *mut wsproxy_handshake,
    status: c_int,
    body: *const c_void,
    len: usize,
) -> c_int {
    let result = change(handshake, |handshake| {
        // SAFETY: passed on to the caller.
        handshake.refuse(status, unsafe { bytes("body", body, len) }?)
    });
    match result {
        super::constants::OK => wsproxy_admission::WSPROXY_REFUSE as c_int,
        error => error,
    }
}

unsafe fn line<'a>(name: *const c_char, value: *const c_char) -> Result<(&'a str, &'a [u8])> {
    // SAFETY: passed on to the caller.
    unsafe { Ok((c_text("header name", name)?, c_bytes("header value", value)?)) }
}
