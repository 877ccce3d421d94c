//! `wsproxy_stats`: the counters of a session, as structs for C.
//!
//! Growth: new fields go to the end of the outer struct; the host says how much of it it knows.

use std::ffi::c_int;
use std::mem::size_of;

use super::constants::{close_number, side_number};
use super::guard;
use super::session::wsproxy;
use crate::error::Error;
use crate::{SideStats, Stats};

/// The counters of one side.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct wsproxy_side_stats {
    /// Frames that came from this side, in the order continuation, text, binary, close, ping, pong.
    pub frames: [u64; 6],
    /// Their payload bytes, in the same order.
    pub bytes: [u64; 6],
    /// How many of them the hook dropped.
    pub dropped: u64,
    /// How many of them the hook changed.
    pub replaced: u64,
    /// Frames that `wsproxy_send` sent to this side.
    pub sent_by_host: u64,
    /// The code of the close frame that came from this side: 0 if none came, WSPROXY_CLOSE_ABSENT if without code.
    pub close_received: i32,
    /// The code of the close frame that went to this side: 0 if none went, WSPROXY_CLOSE_ABSENT if without code.
    pub close_sent: i32,
}

/// What `wsproxy_stats` fills. May grow at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct wsproxy_session_stats {
    /// The client's.
    pub client: wsproxy_side_stats,
    /// The upstream's.
    pub upstream: wsproxy_side_stats,
    /// The side whose close frame came first; 0 if none came.
    pub first_close: i32,
    /// Always 0.
    pub reserved: i32,
}

impl From<&SideStats> for wsproxy_side_stats {
    fn from(side: &SideStats) -> Self {
        let close = |seen: Option<Option<u16>>| seen.map_or(0, close_number);
        wsproxy_side_stats {
            frames: side.frames,
            bytes: side.bytes,
            dropped: side.dropped,
            replaced: side.replaced,
            sent_by_host: side.sent_by_host,
            close_received: close(side.close_received),
            close_sent: close(side.close_sent),
        }
    }
}

impl From<&Stats> for wsproxy_session_stats {
    fn from(stats: &Stats) -> Self {
        wsproxy_session_stats {
            client: (&stats.client).into(),
            upstream: (&stats.upstream).into(),
            first_close: stats.first_close.map_or(0, side_number),
            reserved: 0,
        }
    }
}

/// Counts what has passed so far. Any thread, at any time, inside the hook too.
///
/// `out` is filled, up to `out_size`, which is `sizeof *out`: of a struct that is longer than this library's the
/// rest is set to 0. Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL and for size 0; then nothing was
/// written.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_stats(
    p: *const wsproxy,
    out: *mut wsproxy_session_stats,
    out_size: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::session(p, |session| {
            if out.is_null() || out_size == 0 {
                return Err(Error::argument("there is no room for the statistics"));
            }
            fill(out.cast(), out_size, &(&session.proxy.stats()).into());
            Ok(())
        })
    }
}

unsafe fn fill(out: *mut u8, out_size: usize, stats: &wsproxy_session_stats) {
    let known = out_size.min(size_of::<wsproxy_session_stats>());
    // SAFETY: the caller's promise: `out_size` bytes can be written at `out`; `known` is not more than that, nor
    // than what `stats` has, which has no padding.
    unsafe {
        out.copy_from_nonoverlapping((&raw const *stats).cast(), known);
        out.add(known).write_bytes(0, out_size - known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Side;

    #[test]
    fn the_struct_for_c_has_no_padding() {
        assert_eq!(size_of::<wsproxy_side_stats>(), 8 * 15 + 4 * 2);
        assert_eq!(size_of::<wsproxy_session_stats>(), 2 * size_of::<wsproxy_side_stats>() + 8);
    }

    #[test]
    fn a_host_gets_as_much_as_it_knows_and_zeros_beyond() {
        let mut stats = Stats::default();
        stats.client.frames = [1, 2, 3, 4, 5, 6];
        let stats = wsproxy_session_stats::from(&stats);
        let mut out = [9u64; 64];
        // SAFETY: the sizes are not more than `out` has.
        unsafe { fill(out.as_mut_ptr().cast(), 16, &stats) };
        assert_eq!(out[..3], [1, 2, 9]);
        // SAFETY: as above.
        unsafe { fill(out.as_mut_ptr().cast(), size_of_val(&out), &stats) };
        assert_eq!(out[..7], [1, 2, 3, 4, 5, 6, 0]);
        assert!(out[7..].iter().all(|word| *word == 0));
    }

    #[test]
    fn a_close_without_code_is_told_apart_from_none() {
        let mut stats = Stats::default();
        stats.client.close_received = Some(None);
        stats.upstream.close_received = Some(Some(1000));
        stats.first_close = Some(Side::Upstream);
        let c = wsproxy_session_stats::from(&stats);
        assert_eq!((c.client.close_received, c.client.close_sent), (-1, 0));
        assert_eq!((c.upstream.close_received, c.first_close), (1000, 2));
    }
}
