//! `wsproxy_pull_*`: a session whose host has the sockets and the clock. Bytes in, frames out, verdicts in, bytes out.
//!
//! Theory: the session stands behind a lock that one thread at a time takes, for the call alone; so a host that errs in
//! that gets wrong answers, not stray accesses. Nothing of the host's is called meanwhile, no log callback either: it
//! might come back for the lock. A frame that waits is shown in a struct that stays with the session; its payload lies in
//! the session's buffer, which nothing touches before the verdict.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void, CString};

use super::constants::{code_of, one_side};
use super::frame::{wsproxy_frame, Ends};
use super::guard;
use super::incoming::{bytes, c_string, text};
use super::pull_opening::opening;
use super::session::wsproxy;
use crate::error::{Error, Result};
use crate::{Frame, PerSide, Pull, Side, Verdict};

/// A session that is driven by pull.
pub(super) struct Pulled {
    pub(super) pull: Pull,
    /// The frames that wait, as the host sees them.
    shown: PerSide<Option<UnsafeCell<wsproxy_frame>>>,
    pub(super) ends: PerSide<Ends>,
    /// The size of the room that was given and not filled yet.
    pub(super) room: PerSide<usize>,
    /// Where the upstream is, as the host was told.
    host: Option<CString>,
}

// SAFETY: the pointers in `shown` are only handed to the host, and point into `pull`, which moves with them on the heap.
unsafe impl Send for Pulled {}

/// Some bytes: of output, in the order in which they are to be written. As `struct iovec`, but not to be changed.
#[repr(C)]
pub struct wsproxy_bytes {
    /// Where they are.
    pub data: *const c_void,
    /// How many there are.
    pub len: usize,
}

impl Pulled {
    pub(super) fn new(pull: Pull) -> Self {
        Pulled {
            pull,
            shown: PerSide::default(),
            ends: PerSide::default(),
            room: PerSide::default(),
            host: None,
        }
    }

    /// Where the upstream is that was named last.
    pub(super) fn host(&mut self) -> Option<*const c_char> {
        let host = c_string(&self.pull.upstream()?.host);
        if self.host.as_ref() != Some(&host) {
            self.host = Some(host);
        }
        self.host.as_ref().map(|host| host.as_ptr())
    }

    /// The frame from `from` that waits, as the host sees it.
    #[inline]
    pub(super) fn show(&mut self, from: Side) -> Option<*const wsproxy_frame> {
        let shown = self.shown.get_mut(from);
        if !self.pull.poll(from) {
            *shown = None;
            return None;
        }
        match shown {
            Some(shown) => Some(shown.get().cast_const()),
            none => {
                let frame = wsproxy_frame::of(&self.pull.frame(from)?);
                Some(none.insert(frame.into()).get().cast_const())
            }
        }
    }

    #[inline]
    pub(super) fn resolve(&mut self, from: Side, verdict: Verdict) {
        self.forget(from);
        self.pull.resolve(from, verdict);
    }

    /// What was said of the frame from `from` that waits, and what the host sees of it.
    #[inline]
    pub(super) fn forget(&mut self, from: Side) {
        *self.shown.get_mut(from) = None;
        *self.ends.get_mut(from) = Ends::default();
    }

    /// Changes the frame from `from` that waits, and what the host sees of it.
    pub(super) fn change(
        &mut self,
        from: Side,
        change: impl FnOnce(&mut Frame<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut frame = self.pull.frame(from).ok_or_else(|| no_frame(from))?;
        change(&mut frame)?;
        if let Some(shown) = self.shown.get_mut(from) {
            *shown.get_mut() = wsproxy_frame::of(&frame);
        }
        Ok(())
    }
}

/// A time for C; -1 is none.
fn time(at: Option<u64>) -> i64 {
    at.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX))
}

fn no_frame(from: Side) -> Error {
    Error::state(format!("no frame from the {from} waits for its verdict"))
}

/// Runs `body` with the session as an event loop drives it; keeps the words of its error.
pub(super) unsafe fn pulled(
    p: *const wsproxy,
    body: impl FnOnce(&mut Pulled) -> Result<()>,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::brief(p, |session| match &mut *session.pulled.take() {
            Some(pulled) => body(pulled),
            None => Err(Error::state("the session is not driven by pull")),
        })
    }
}

/// The same for what cannot fail, once per frame; `otherwise` for NULL and for other sessions.
pub(super) unsafe fn ask<A>(
    p: *const wsproxy,
    otherwise: A,
    body: impl FnOnce(&mut Pulled) -> A,
) -> A {
    // SAFETY: passed on to the caller.
    unsafe { guard::quick(p, otherwise, |session| session.pulled.take().as_deref_mut().map(body)) }
}

/// Whether to read from `side` now: 1 or 0. While it is 0 its bytes are to stay where they are, in its socket: the other
/// side does not take what it is sent, or a frame waits for its verdict. 0 also for NULL and another side.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_wants_input(p: *const wsproxy, side: c_int) -> c_int {
    let Ok(side) = one_side(side) else { return 0 };
    // SAFETY: passed on to the caller.
    unsafe { ask(p, 0, |pulled| c_int::from(pulled.pull.wants_input(side))) }
}

/// Room to read bytes from `side` into; then `wsproxy_pull_filled` says how many came. NULL unless
/// `wsproxy_pull_wants_input`, and for NULL.
///
/// Its size goes to `size`. It belongs to the session and is good until the next call with it.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_room(
    p: *mut wsproxy,
    side: c_int,
    size: *mut usize,
) -> *mut c_void {
    let none = std::ptr::null_mut();
    let Ok(side) = one_side(side) else { return none };
    if size.is_null() {
        return none;
    }
    // SAFETY: passed on to the caller; `size` is not NULL.
    unsafe {
        ask(p, none, |pulled| {
            let room = pulled.pull.space(side);
            *pulled.room.get_mut(side) = room.len();
            if room.is_empty() {
                return none;
            }
            size.write(room.len());
            room.as_mut_ptr().cast()
        })
    }
}

/// `count` bytes from `side` were read into the room that `wsproxy_pull_room` gave. Now frames may wait
/// (`wsproxy_pull_frame`).
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, another side, more than the room's size); WSPROXY_ERR_STATE (there
/// was no room, or the session is none of an event loop's).
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_filled(p: *mut wsproxy, side: c_int, count: usize) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let side = one_side(side)?;
            let room = pulled.room.get_mut(side);
            match *room {
                0 => Err(Error::state(format!("no room was given for bytes from the {side}"))),
                size if count > size => {
                    Err(Error::argument(format!("{count} bytes do not fit into {size}")))
                }
                _ => {
                    *room = 0;
                    pulled.pull.filled(side, count);
                    Ok(())
                }
            }
        })
    }
}

/// Gives bytes from `side` that the host has read into memory of its own: all of them are taken. Instead of
/// `wsproxy_pull_room` and `wsproxy_pull_filled`, for a host that cannot read into foreign memory.
///
/// `data` is copied; NULL if `len` is 0. Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, another side);
/// WSPROXY_ERR_AGAIN unless `wsproxy_pull_wants_input`; WSPROXY_ERR_STATE for a session that is none of an event loop's.
/// After a failure nothing was taken.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_input(
    p: *mut wsproxy,
    side: c_int,
    data: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let (side, data) = (one_side(side)?, bytes("input", data, len)?);
            *pulled.room.get_mut(side) = 0;
            pulled.pull.input(side, data)
        })
    }
}

/// The stream of `side` has ended, or its connection broke, or that of the upstream could not be made. It counts behind
/// the frames that came before it. The first call for a side counts.
///
/// `how` completes "client: " or "upstream: " in the words of an error, UTF-8, `len` bytes; NULL stands for "closed the
/// connection". Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL session, another side, no UTF-8); WSPROXY_ERR_STATE for a
/// session that is none of an event loop's.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_input_ended(
    p: *mut wsproxy,
    side: c_int,
    how: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let how = match how.is_null() {
                true => "closed the connection",
                false => text("end of the stream", how, len)?,
            };
            pulled.pull.input_ended(one_side(side)?, how);
            Ok(())
        })
    }
}

/// What is to be written to `side` now, in order: fills at most `count` parts at `out`, and returns how many; 0 if
/// nothing waits. Three parts are always enough. What of it was written is told by `wsproxy_pull_wrote`.
///
/// The bytes belong to the session, and are good until the next call with it. That next call is
/// `wsproxy_pull_wrote`, if any of them were written or copied: other calls may put more before what is left.
/// Returns WSPROXY_ERR_ARGUMENT for NULL and another side.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_output(
    p: *const wsproxy,
    side: c_int,
    out: *mut wsproxy_bytes,
    count: usize,
) -> c_int {
    let wrong = code_of(&Error::argument(""));
    let Ok(side) = one_side(side) else { return wrong };
    if p.is_null() || out.is_null() {
        return wrong;
    }
    // SAFETY: passed on to the caller, who says that there is room for `count` of them at `out`.
    unsafe {
        ask(p, 0, |pulled| {
            if !pulled.pull.has_output(side) {
                return 0; // after most frames for one of the sides
            }
            let mut filled = 0;
            for part in pulled.pull.output(side) {
                if !part.is_empty() && filled < count {
                    let part = wsproxy_bytes { data: part.as_ptr().cast(), len: part.len() };
                    out.add(filled).write(part);
                    filled += 1;
                }
            }
            filled as c_int // three at most
        })
    }
}

/// `count` bytes of the output for `side` were written, or taken over by something that will write them. Frames of the
/// host's own that waited for that are output now. As long as there is output nothing is to be read from the other side:
/// a host that goes on sending faster than `side` reads keeps the other side waiting.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, another side, more than waits); WSPROXY_ERR_STATE for a session that
/// is none of an event loop's. After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_wrote(p: *mut wsproxy, side: c_int, count: usize) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let side = one_side(side)?;
            let waits: usize = pulled.pull.output(side).iter().map(|part| part.len()).sum();
            if count > waits {
                return Err(Error::argument(format!("{count} bytes were not there, but {waits}")));
            }
            pulled.pull.wrote(side, count);
            Ok(())
        })
    }
}

/// The connection of `side` takes no more bytes: what waits for it is forgotten. What it has sent is still to be read to
/// its end.
///
/// Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE for a session that is none of an event loop's.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_output_failed(p: *mut wsproxy, side: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            pulled.pull.output_failed(one_side(side)?);
            Ok(())
        })
    }
}

/// Whether our half of the connection of `side` is to be closed now, so that it sees the end of the stream while it is
/// still read: 1 or 0; 0 also for NULL and another side.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_wants_fin(p: *const wsproxy, side: c_int) -> c_int {
    let Ok(side) = one_side(side) else { return 0 };
    // SAFETY: passed on to the caller.
    unsafe { ask(p, 0, |pulled| c_int::from(pulled.pull.wants_fin(side))) }
}

/// Whether the closing handshake with `side` is over, so that only the end of its stream can still be waited for, which
/// the close timeout bounds: 1 or 0; 0 also for NULL and another side.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_is_closed(p: *const wsproxy, side: c_int) -> c_int {
    let Ok(side) = one_side(side) else { return 0 };
    // SAFETY: passed on to the caller.
    unsafe { ask(p, 0, |pulled| c_int::from(pulled.pull.is_closed(side))) }
}

/// Tells the time, in milliseconds since any moment that does not change; once in each turn of the host's loop, before
/// its other calls. Does what is due, and what `wsproxy_stop`, `wsproxy_drain`, `wsproxy_abort` and `wsproxy_send` have
/// asked for, on whatever thread: whoever calls those on another one wakes the loop himself. Output may wait afterwards.
/// The first call comes before the handshakes begin, whose deadlines count from it.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, a negative time); WSPROXY_ERR_STATE for a session that was connected
/// by `wsproxy_connect` or one of its halves.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_tick(p: *mut wsproxy, now_ms: i64) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        opening(p, |pull| {
            let now = u64::try_from(now_ms)
                .map_err(|_| Error::argument(format!("the time {now_ms} is negative")))?;
            pull.tick(now);
            Ok(())
        })
    }
}

/// The time at which `wsproxy_pull_tick` is to be called at the latest; -1 if there is none, and for NULL. It changes
/// with every other call.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_deadline(p: *const wsproxy) -> i64 {
    // SAFETY: passed on to the caller.
    unsafe { ask(p, -1, |pulled| time(pulled.pull.deadline())) }
}

/// Whether the session is over: 1 or 0. Then the host writes what still waits as far as it goes at once, closes both
/// connections, and frees the session. 1 also for NULL and for a session that is none of an event loop's.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_is_over(p: *const wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { ask(p, 1, |pulled| c_int::from(pulled.pull.is_over())) }
}

/// How the session went, once it is over: what `wsproxy_connect` or `wsproxy_execute` would have returned;
/// `wsproxy_error` has the words. WSPROXY_ERR_ARGUMENT for NULL; WSPROXY_ERR_STATE for a session that is none of an
/// event loop's.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_result(p: *mut wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { pulled(p, |pulled| pulled.pull.result()) }
}
