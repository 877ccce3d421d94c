//! The header lines of a refused handshake, for C.
//!
//! Theory: the texts are made when they are first asked for, and kept until a later refusal takes their place.

use std::ffi::{c_char, CStr, CString};
use std::sync::Arc;

use parking_lot::Mutex;

use super::guard;
use super::incoming::c_string;
use super::session::wsproxy;
use crate::ws::handshake::Headers;
use crate::Proxy;

/// What C was handed of the last refusal.
#[derive(Default)]
pub(super) struct RefusalLines(Mutex<Option<Lines>>);

struct Lines {
    headers: Arc<Headers>,
    texts: Vec<(CString, CString)>,
}

impl Lines {
    fn new(headers: Arc<Headers>) -> Self {
        // No NUL passes the check of a head: nothing is lost.
        let text = |(name, value): (&str, &[u8])| {
            (c_string(name), CString::new(value).unwrap_or_default())
        };
        Lines { texts: headers.iter().map(text).collect(), headers }
    }
}

impl RefusalLines {
    fn ask<A>(&self, proxy: &Proxy, question: impl FnOnce(&[(CString, CString)]) -> A) -> A {
        let Some(headers) = proxy.refusal() else { return question(&[]) };
        let mut lines = self.0.lock();
        if !lines.as_ref().is_some_and(|lines| Arc::ptr_eq(&lines.headers, &headers)) {
            *lines = Some(Lines::new(headers));
        }
        question(lines.as_ref().map_or(&[], |lines| &lines.texts))
    }
}

/// How many header lines the refusal has that `wsproxy_http_status` tells of: the end-to-end ones of an upstream's,
/// those of the library's or the hook's own otherwise. 0 if there was none. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_refusal_header_count(p: *const wsproxy) -> usize {
    // SAFETY: passed on to the caller.
    unsafe { guard::ask(p, 0, |session| session.refusal.ask(&session.proxy, <[_]>::len)) }
}

/// The name of a header line of that refusal; the lines count from 0. NULL beyond the last. Any thread.
///
/// The texts belong to the session and are good until the next call that connects it.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_refusal_header_name(
    p: *const wsproxy,
    index: usize,
) -> *const c_char {
    // SAFETY: passed on to the caller.
    unsafe { text(p, index, |(name, _)| name) }
}

/// The value of a header line of that refusal; NULL beyond the last. Else as `wsproxy_refusal_header_name`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_refusal_header_value(
    p: *const wsproxy,
    index: usize,
) -> *const c_char {
    // SAFETY: passed on to the caller.
    unsafe { text(p, index, |(_, value)| value) }
}

unsafe fn text(
    p: *const wsproxy,
    index: usize,
    choose: fn(&(CString, CString)) -> &CStr,
) -> *const c_char {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::ask(p, std::ptr::null(), |session| {
            session.refusal.ask(&session.proxy, |lines| {
                lines.get(index).map_or(std::ptr::null(), |line| choose(line).as_ptr())
            })
        })
    }
}
