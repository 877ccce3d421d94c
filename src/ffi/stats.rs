//! `wsproxy_stats`: the counters of one side, as a struct for C.
//!
//! Growth: new fields go to the end of the struct, which no other struct contains; the host says how much of it it
//! knows. Counters by kind have a place for every opcode there can be (RFC 6455 section 5.2: four bits), so that a
//! further kind moves nothing.

use std::ffi::c_int;
use std::mem::size_of;

use super::constants::{close_number, kind_number, one_side};
use super::guard;
use super::session::wsproxy;
use crate::error::{Error, Result};
use crate::{Kind, Side, SideStats, Stats};

/// The counters of one side, as `wsproxy_stats` fills them. May grow at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct wsproxy_side_stats {
    /// Frames that came from this side, by their kind: `frames[WSPROXY_PING]`. The other places stay 0.
    pub frames: [u64; 16],
    /// Their payload bytes, by their kind.
    pub bytes: [u64; 16],
    /// How many of them (of the messages, where they are aggregated) the hook dropped.
    pub dropped: u64,
    /// How many of them (of the messages, where they are aggregated) the hook changed.
    pub replaced: u64,
    /// Frames that `wsproxy_send` sent to this side.
    pub sent_by_host: u64,
    /// The code of the close frame that came from this side: 0 if none came, WSPROXY_CLOSE_ABSENT if without code.
    pub close_received: i32,
    /// The code of the close frame that went to this side: 0 if none went, WSPROXY_CLOSE_ABSENT if without code.
    pub close_sent: i32,
    /// 1 if the first close frame of the session came from this side, else 0.
    pub closed_first: i32,
    /// Always 0.
    pub reserved: i32,
}

impl wsproxy_side_stats {
    fn of(side: Side, stats: &Stats) -> Self {
        let counted = match side {
            Side::Client => &stats.client,
            Side::Upstream => &stats.upstream,
        };
        let SideStats { dropped, replaced, sent_by_host, close_received, close_sent, .. } =
            *counted;
        let close = |seen: Option<Option<u16>>| seen.map_or(0, close_number);
        wsproxy_side_stats {
            frames: by_number(&counted.frames),
            bytes: by_number(&counted.bytes),
            dropped,
            replaced,
            sent_by_host,
            close_received: close(close_received),
            close_sent: close(close_sent),
            closed_first: i32::from(stats.first_close == Some(side)),
            reserved: 0,
        }
    }
}

/// What was counted in the order of [`Kind::ALL`], at the numbers of the kinds.
fn by_number(counted: &[u64; Kind::ALL.len()]) -> [u64; 16] {
    std::array::from_fn(|number| {
        let kinds = Kind::ALL.iter().zip(counted);
        let count = kinds.filter(|(kind, _)| usize::try_from(kind_number(**kind)) == Ok(number));
        count.map(|(_, count)| count).sum()
    })
}

/// Counts what has passed so far on `side`: WSPROXY_CLIENT or WSPROXY_UPSTREAM. Any thread, at any time, inside the
/// hook too.
///
/// `out` is filled, up to `out_size`, which is `sizeof *out`: of a struct that is longer than this library's the
/// rest is set to 0. Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL, another side and size 0; then nothing was
/// written.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_stats(
    p: *const wsproxy,
    side: c_int,
    out: *mut wsproxy_side_stats,
    out_size: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let side = one_side(side)?;
            check_room(out.cast(), out_size)?;
            let stats = wsproxy_side_stats::of(side, &session.stats());
            fill(out.cast(), out_size, &stats);
            Ok(())
        })
    }
}

/// Whether statistics can be written there at all.
pub(super) fn check_room(out: *const u8, out_size: usize) -> Result<()> {
    if out.is_null() || out_size == 0 {
        return Err(Error::argument("there is no room for the statistics"));
    }
    match isize::try_from(out_size) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::argument(format!("the impossible size {out_size} of the statistics"))),
    }
}

/// Writes as much of `stats`, a struct without padding, as the host knows, and zeros beyond it.
pub(super) unsafe fn fill<T>(out: *mut u8, out_size: usize, stats: &T) {
    let known = out_size.min(size_of::<T>());
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

    #[test]
    fn the_struct_for_c_has_no_padding() {
        assert_eq!(size_of::<wsproxy_side_stats>(), 8 * (16 + 16 + 3) + 4 * 4);
    }

    #[test]
    fn counters_stand_at_the_numbers_of_their_kinds() {
        let mut stats = Stats::default();
        stats.client.frames = [1, 2, 3, 4, 5, 6];
        stats.upstream.bytes = [7, 0, 0, 0, 0, 8];
        let client = wsproxy_side_stats::of(Side::Client, &stats);
        assert_eq!(client.frames, [1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0]);
        assert_eq!(client.bytes, [0; 16]);
        let upstream = wsproxy_side_stats::of(Side::Upstream, &stats);
        assert_eq!((upstream.bytes[0], upstream.bytes[10]), (7, 8));
        assert_eq!(upstream.bytes.iter().sum::<u64>(), 15);
    }

    #[test]
    fn a_host_gets_as_much_as_it_knows_and_zeros_beyond() {
        let mut stats = Stats::default();
        stats.client.frames = [1, 2, 3, 4, 5, 6];
        stats.first_close = Some(Side::Client);
        let stats = wsproxy_side_stats::of(Side::Client, &stats);
        let mut out = [9u64; 64];
        // SAFETY: the sizes are not more than `out` has.
        unsafe { fill(out.as_mut_ptr().cast(), 16, &stats) };
        assert_eq!(out[..3], [1, 2, 9]);
        // SAFETY: as above.
        unsafe { fill(out.as_mut_ptr().cast(), size_of_val(&out), &stats) };
        assert_eq!(out[..11], [1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6]);
        assert_eq!(out[36].to_ne_bytes()[..4], 1i32.to_ne_bytes());
        assert!(out[37..].iter().all(|word| *word == 0));
    }

    #[test]
    fn a_close_without_code_is_told_apart_from_none() {
        let mut stats = Stats::default();
        stats.client.close_received = Some(None);
        stats.upstream.close_received = Some(Some(1000));
        stats.first_close = Some(Side::Upstream);
        let client = wsproxy_side_stats::of(Side::Client, &stats);
        let upstream = wsproxy_side_stats::of(Side::Upstream, &stats);
        assert_eq!((client.close_received, client.close_sent, client.closed_first), (-1, 0, 0));
        assert_eq!((upstream.close_received, upstream.closed_first), (1000, 1));
    }
}
