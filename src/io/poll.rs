//! Waiting for several descriptors at once by poll(2).
//!
//! Rule: a descriptor that nothing is asked about is not watched at all. poll(2) itself reports a
//! lost connection even then, and a loop that holds a side back would spin on it. For the others a
//! lost connection counts as whatever was asked: the read or write that follows says what happened.
//! What came comes again in the next wait, until it is read, written, or no longer asked for.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// What to wait for on a descriptor, and what came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// There is something to read, the end included.
    pub(crate) readable: bool,
    /// There is room to write; for a socket that connects: it has connected or failed.
    pub(crate) writable: bool,
    /// The peer will send no more. For noticing that without reading what it sent before.
    pub(crate) hang_up: bool,
}

impl Events {
    pub(crate) const NONE: Events = Events { readable: false, writable: false, hang_up: false };
    pub(crate) const READABLE: Events = Events { readable: true, ..Events::NONE };
    pub(crate) const WRITABLE: Events = Events { writable: true, ..Events::NONE };
    pub(crate) const HANG_UP: Events = Events { hang_up: true, ..Events::NONE };

    /// Whether nothing is asked, or nothing came.
    pub(crate) fn is_none(self) -> bool {
        self == Events::NONE
    }

    fn asked(self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.readable);
        flags.set(PollFlags::OUT, self.writable);
        flags.set(PollFlags::RDHUP, self.hang_up);
        flags
    }

    /// What of this came true, given poll's answer.
    fn among(self, came: PollFlags) -> Events {
        let lost = came.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        Events {
            readable: self.readable && (lost || came.contains(PollFlags::IN)),
            writable: self.writable && (lost || came.contains(PollFlags::OUT)),
            hang_up: self.hang_up && (lost || came.contains(PollFlags::RDHUP)),
        }
    }
}

/// A descriptor and what to wait for on it.
pub(crate) type Watched<'fd> = (BorrowedFd<'fd>, Events);

/// Blocks until something asked for comes or `timeout` has passed (`None`: for ever), and says what
/// came, in the order of `watched`. A signal ends the wait too: nothing came then.
pub(crate) fn wait<const N: usize>(
    watched: [Watched<'_>; N],
    timeout: Option<Duration>,
) -> Result<[Events; N]> {
    let mut came = [Events::NONE; N];
    let mut fds = watched.map(asked_of);
    wait_in(&watched, &mut fds, &mut came, timeout)?;
    Ok(came)
}

/// The same for a number of descriptors that is known late, and at the price of allocations.
pub(crate) fn wait_for_any(
    watched: &[Watched<'_>],
    timeout: Option<Duration>,
) -> Result<Vec<Events>> {
    let mut came = vec![Events::NONE; watched.len()];
    let mut fds: Vec<PollFd<'_>> = watched.iter().copied().map(asked_of).collect();
    wait_in(watched, &mut fds, &mut came, timeout)?;
    Ok(came)
}

fn asked_of((fd, events): Watched<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, events.asked())
}

/// `fds` and `came` are as long as `watched`; whatever is in `fds` is written over.
fn wait_in<'fd>(
    watched: &[Watched<'fd>],
    fds: &mut [PollFd<'fd>],
    came: &mut [Events],
    timeout: Option<Duration>,
) -> Result<()> {
    let mut active = 0;
    for (slot, asked) in fds.iter_mut().zip(watched.iter().filter(|w| !w.1.is_none())) {
        *slot = asked_of(*asked);
        active += 1;
    }
    let (active, _unwatched) = fds.split_at_mut(active);
    match rustix::event::poll(active, timeout.map(whole_milliseconds).as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(()),
        Err(errno) => return Err(Error::system("poll", errno)),
    }
    let asked = came.iter_mut().zip(watched).filter(|(_, watched)| !watched.1.is_none());
    for ((came, (_, events)), answer) in asked.zip(active.iter()) {
        *came = events.among(answer.revents());
    }
    Ok(())
}

/// Rounded up: a wait that ends a moment before its deadline would be repeated until the moment is
/// over. At most 24 days, which any kernel takes.
pub(super) fn whole_milliseconds(timeout: Duration) -> Timespec {
    let part = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
    let millis = timeout.as_secs().saturating_mul(1000).saturating_add(part);
    let millis = i32::try_from(millis).unwrap_or(i32::MAX);
    Timespec { tv_sec: i64::from(millis / 1000), tv_nsec: (millis % 1000 * 1_000_000).into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
    const LONG: Option<Duration> = Some(Duration::from_secs(5));

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let (quiet, _peer) = UnixStream::pair().unwrap();
        let (ready, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        let got = wait(
            [
                (quiet.as_fd(), Events::NONE),
                (quiet.as_fd(), Events::READABLE),
                (ready.as_fd(), Events { readable: true, writable: true, hang_up: true }),
                (ready.as_fd(), Events::NONE),
                (quiet.as_fd(), Events::WRITABLE),
            ],
            LONG,
        );
        let both = Events { readable: true, writable: true, hang_up: false };
        let expected = [Events::NONE, Events::NONE, both, Events::NONE, Events::WRITABLE];
        assert_eq!(got.unwrap(), expected);
    }

    #[test]
    fn any_number_of_descriptors_is_waited_for_alike() {
        let (quiet, _peer) = UnixStream::pair().unwrap();
        let (ready, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        let mut watched = vec![(quiet.as_fd(), Events::READABLE); 40];
        assert_eq!(wait_for_any(&watched, AT_ONCE).unwrap(), [Events::NONE; 40]);
        watched.insert(3, (quiet.as_fd(), Events::NONE));
        watched.push((ready.as_fd(), Events::READABLE));
        let came = wait_for_any(&watched, LONG).unwrap();
        assert_eq!(came.len(), 42);
        assert_eq!(came.last(), Some(&Events::READABLE));
        assert!(came[..41].iter().all(|events| events.is_none()));
    }

    #[test]
    fn lost_connection_does_not_end_a_wait_that_does_not_ask_about_it() {
        let (lost, peer) = UnixStream::pair().unwrap();
        drop(peer);
        let started = Instant::now();
        let got = wait([(lost.as_fd(), Events::NONE)], Some(Duration::from_millis(40))).unwrap();
        assert_eq!(got, [Events::NONE]);
        assert!(started.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn lost_connection_counts_as_whatever_was_asked() {
        let (lost, peer) = UnixStream::pair().unwrap();
        drop(peer);
        for asked in [Events::READABLE, Events::WRITABLE, Events::HANG_UP] {
            assert_eq!(wait([(lost.as_fd(), asked)], LONG).unwrap(), [asked]);
        }
    }

    #[test]
    fn lost_connection_ends_a_wait_for_room() {
        // Full and then shut down, a Unix socket is lost without being writable.
        let (mut full, _peer) = UnixStream::pair().unwrap();
        full.set_nonblocking(true).unwrap();
        while full.write(&[0; 4096]).is_ok() {}
        assert_eq!(wait([(full.as_fd(), Events::WRITABLE)], AT_ONCE).unwrap(), [Events::NONE]);
        full.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(wait([(full.as_fd(), Events::WRITABLE)], AT_ONCE).unwrap(), [Events::WRITABLE]);
    }

    #[test]
    fn hang_up_is_seen_without_reading_and_data_is_not_hang_up() {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").unwrap();
        let ask = |events| wait([(ours.as_fd(), events)], AT_ONCE).unwrap();
        assert_eq!(ask(Events::HANG_UP), [Events::NONE]);
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(ask(Events::HANG_UP), [Events::HANG_UP]);
    }

    #[test]
    fn timeouts_are_rounded_up_and_huge_ones_are_clamped() {
        let millis = |timeout| {
            let t = whole_milliseconds(timeout);
            t.tv_sec * 1000 + t.tv_nsec / 1_000_000
        };
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_micros(1001)), 2);
        assert_eq!(millis(Duration::from_millis(1500)), 1500);
        assert_eq!(millis(Duration::MAX), i64::from(i32::MAX));
        let (ready, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        let watched = [(ready.as_fd(), Events::READABLE)];
        assert_eq!(wait(watched, Some(Duration::MAX)).unwrap(), [Events::READABLE]);
    }

    #[test]
    fn wait_never_ends_before_its_timeout() {
        let (quiet, _peer) = UnixStream::pair().unwrap();
        let started = Instant::now();
        let timeout = Duration::from_micros(2300);
        wait([(quiet.as_fd(), Events::READABLE)], Some(timeout)).unwrap();
        assert!(started.elapsed() >= timeout);
    }
}
