//! `wsproxy_pull_*`, the frames: what waits for a verdict, what may be changed of it, and the verdict.

use std::ffi::{c_char, c_int, c_void};

use super::constants::{close_code, one_side};
use super::frame::{close, replace_payload, wsproxy_frame};
use super::incoming::text;
use super::pull::{ask, pulled};
use super::session::wsproxy;
use crate::{PerSide, Verdict};

/// The frame from `side` that waits for its verdict, the same one until `wsproxy_pull_verdict`; NULL if none does, and
/// for NULL. To be asked when bytes of `side` were taken, when both handshakes are over, and after each write to the
/// other side.
///
/// The struct is good until the frame's verdict, which may come at any time: meanwhile nothing is read from `side`, and
/// the other direction goes on.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_frame(p: *mut wsproxy, side: c_int) -> *const wsproxy_frame {
    let none = std::ptr::null();
    let Ok(side) = one_side(side) else { return none };
    // SAFETY: passed on to the caller.
    unsafe { ask(p, none, |pulled| pulled.show(side).unwrap_or(none)) }
}

/// Carries out the verdict on the frame from `side` that waits: WSPROXY_FORWARD, WSPROXY_DROP or WSPROXY_END; any other
/// number is a failed hook, and both sides get close 1011. Returns the next frame that waits, as `wsproxy_pull_frame`.
/// If none waits (any more) nothing happens.
///
///     for (f = wsproxy_pull_frame(p, side); f != NULL; f = wsproxy_pull_verdict(p, side, WSPROXY_FORWARD))
///         look_at(f);
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_verdict(
    p: *mut wsproxy,
    side: c_int,
    verdict: c_int,
) -> *const wsproxy_frame {
    let none = std::ptr::null();
    let Ok(side) = one_side(side) else { return none };
    // SAFETY: passed on to the caller.
    unsafe {
        ask(p, none, |pulled| {
            let ends = std::mem::take(pulled.ends.get_mut(side));
            pulled.resolve(side, ends.verdict(verdict));
            pulled.show(side).unwrap_or(none)
        })
    }
}

/// The verdict on the frame from `side` that waits is that the hook has failed: both sides get close 1011, and
/// `wsproxy_pull_result` is WSPROXY_ERR_HOOK with these words.
///
/// `why` is copied: UTF-8, NULL if `len` is 0. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE (no frame
/// waits, or the session is none of an event loop's). After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_fail(
    p: *mut wsproxy,
    side: c_int,
    why: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let (side, why) = (one_side(side)?, text("reason", why, len)?);
            pulled.change(side, |_| Ok(()))?;
            pulled.resolve(side, Verdict::Failed(why.to_owned()));
            Ok(())
        })
    }
}

/// Forwards every frame from `side` unseen, as far as `wsproxy_pull_frame` would show them.
///
/// Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT (NULL, another side), or WSPROXY_ERR_STATE for a session that is none of an
/// event loop's.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_pass(p: *mut wsproxy, side: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let side = one_side(side)?;
            pulled.forget(side);
            pulled.pull.pass(side);
            Ok(())
        })
    }
}

/// Replaces the payload of the frame from `side` that waits; on a close frame its reason. Its struct then tells the new
/// one.
///
/// Pointers and results are those of `wsproxy_frame_set_payload`; WSPROXY_ERR_STATE if no frame waits.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_set_payload(
    p: *mut wsproxy,
    side: c_int,
    data: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            pulled.change(one_side(side)?, |frame| replace_payload(frame, data, len))
        })
    }
}

/// Replaces the code of the close frame from `side` that waits. Results are those of `wsproxy_frame_set_code`;
/// WSPROXY_ERR_STATE if no frame waits.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_set_code(p: *mut wsproxy, side: c_int, code: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let code = close_code(code)?;
            pulled.change(one_side(side)?, |frame| frame.set_code(code))
        })
    }
}

/// Says what WSPROXY_END, as verdict on the frame from `side` that waits, sends to `to` (or WSPROXY_BOTH); without it,
/// 1000 goes to both. Pointers and results are those of `wsproxy_frame_set_end`; WSPROXY_ERR_STATE if no frame waits.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_set_end(
    p: *mut wsproxy,
    side: c_int,
    to: c_int,
    code: c_int,
    reason: *const c_char,
    reason_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let (side, reason) = (one_side(side)?, text("close reason", reason, reason_len)?);
            pulled.change(side, |_| Ok(()))?;
            pulled.ends.get_mut(side).set(to, code, reason)
        })
    }
}

/// Ends the session, whatever waits: each side that was not sent a close frame yet is sent one, and a frame that waits
/// for its verdict goes nowhere. Once both handshakes are over; before, `wsproxy_stop` does.
///
/// Codes and reasons are those of `wsproxy_stop`, copied. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or
/// WSPROXY_ERR_STATE (not established, or none of an event loop's). After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_end(
    p: *mut wsproxy,
    client_code: c_int,
    client_reason: *const c_char,
    client_reason_len: usize,
    upstream_code: c_int,
    upstream_reason: *const c_char,
    upstream_reason_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        pulled(p, |pulled| {
            let client =
                close(client_code, text("close reason", client_reason, client_reason_len)?)?;
            let upstream =
                close(upstream_code, text("close reason", upstream_reason, upstream_reason_len)?)?;
            pulled.pull.end(PerSide { client, upstream })
        })
    }
}
