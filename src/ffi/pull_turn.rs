//! `wsproxy_pull_*` for hosts to which every call is dear: a turn of the loop in two of them.

use std::ffi::{c_int, c_void};

use super::constants::{code_of, one_side, OK};
use super::frame::wsproxy_frame;
use super::incoming::bytes;
use super::pull::{ask, Pulled};
use super::session::wsproxy;
use super::stats::{check_room, fill};
use crate::error::Error;
use crate::Side;

/// What `wsproxy_pull_turn` tells. May grow at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct wsproxy_turn {
    /// What is to be written to the other side; it counts as written.
    pub data: *const c_void,
    /// How many bytes that is.
    pub len: usize,
    /// 1 if there is more to be done once that is written: ask for frames and for output again.
    pub more: i32,
    /// `wsproxy_pull_wants_input` of the side.
    pub wants_input: i32,
    /// 1 if output waits for the side itself.
    pub back: i32,
    /// 1 once a close frame has passed anywhere.
    pub closing: i32,
}

impl Pulled {
    fn turn(&mut self, from: Side) -> wsproxy_turn {
        let to = from.other();
        self.pull.take_output(to);
        let taken = self.pull.taken(to);
        wsproxy_turn {
            data: taken.as_ptr().cast(),
            len: taken.len(),
            more: i32::from(self.pull.has_more(to)),
            wants_input: i32::from(self.pull.wants_input(from)),
            back: i32::from(self.pull.has_output(from)),
            closing: i32::from(self.pull.is_closing()),
        }
    }
}

/// For a host to which every call is dear (a scripting language): `wsproxy_pull_tick`, `wsproxy_pull_input` and
/// `wsproxy_pull_frame` in one, for bytes that were read because `wsproxy_pull_wants_input` had said so: they are taken
/// even if something has come to wait for the other side since then, because of the time or of another thread. NULL also
/// if they were not taken: nothing that comes from `side` counts any more, or a frame of its waits.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_read(
    p: *mut wsproxy,
    side: c_int,
    data: *const c_void,
    len: usize,
    now_ms: i64,
) -> *const wsproxy_frame {
    let none = std::ptr::null();
    // SAFETY: passed on to the caller.
    let (Ok(side), Ok(data)) = (one_side(side), unsafe { bytes("input", data, len) }) else {
        return none;
    };
    // SAFETY: passed on to the caller.
    unsafe {
        ask(p, none, |pulled| {
            *pulled.room.get_mut(side) = 0;
            if pulled.pull.read(side, data, u64::try_from(now_ms).unwrap_or_default()).is_err() {
                return none;
            }
            pulled.show(side).unwrap_or(none)
        })
    }
}

/// For the same: what is to be done when the frames that came from `side` have their verdicts. Takes what waits for the
/// other side out of the session, as written (`wsproxy_pull_output`, `wsproxy_pull_wrote`), for a host that copies it
/// and writes it before it reads on; and says how the session stands.
///
/// `out` is filled, up to `out_size`, which is `sizeof *out`; what of it points into the session is good until the next
/// call with it. Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, another side and size 0; WSPROXY_ERR_STATE for a
/// session that is none of an event loop's. Then nothing was written or taken.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_pull_turn(
    p: *mut wsproxy,
    side: c_int,
    out: *mut wsproxy_turn,
    out_size: usize,
) -> c_int {
    let check = || {
        check_room(out.cast(), out_size)?;
        one_side(side)
    };
    let side = match check() {
        Ok(side) => side,
        Err(error) => return code_of(&error),
    };
    // SAFETY: passed on to the caller; `out` has room for `out_size` bytes.
    unsafe {
        let state = code_of(&Error::state(""));
        ask(p, state, |pulled| {
            fill(out.cast(), out_size, &pulled.turn(side));
            OK
        })
    }
}
