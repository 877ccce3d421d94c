//! Waiting for the same two descriptors again and again, and for a waker, by an epoll.
//!
//! Theory: poll(2) is told at each wait what to wait for, looks at every descriptor, and takes itself off each again. An
//! epoll is told once, and again when something else is asked; in a conversation that is never.
//!
//! Rules: level triggered, as poll is: what came comes again in the next wait, until it is read, written, or no longer
//! asked for. A lost connection counts as whatever was asked. epoll reports one even where nothing is asked; so such a
//! descriptor is watched for a single report (EPOLLONESHOT), or a loop that holds a side back would spin on it.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::poll::{whole_milliseconds, Events};
use super::waker::Waker;
use crate::error::{Error, Result};

/// See the top of this file. The waker's epoll is its own until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch<'fd> {
    waker: Arc<Waker>,
    fds: [BorrowedFd<'fd>; 2],
    asked: [Events; 2],
}

/// What came of a wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Came {
    /// In the order of the descriptors.
    pub(crate) events: [Events; 2],
    /// The waker was woken since the last wait.
    pub(crate) woken: bool,
}

impl<'fd> Watch<'fd> {
    /// Both are asked for input, which the first wait mostly does.
    pub(crate) fn new(waker: Arc<Waker>, fds: [BorrowedFd<'fd>; 2]) -> Result<Self> {
        let watch = Watch { waker, fds, asked: [Events::READABLE; 2] };
        for (which, fd) in (0..).zip(fds) {
            let flags = asked_of(Events::READABLE);
            epoll::add(&watch.waker, fd, data_of(which), flags).map_err(failed)?;
        }
        Ok(watch)
    }

    /// Blocks until something of `asked` comes, the waker is woken, or `timeout` has passed (`None`: for ever). A signal
    /// ends the wait too, and so may a lost connection that nothing is asked about, once: nothing came then.
    pub(crate) fn wait(&mut self, asked: [Events; 2], timeout: Option<Duration>) -> Result<Came> {
        if asked != self.asked {
            self.ask(asked)?;
        }
        let mut room = [MaybeUninit::uninit(); 3];
        let timeout = timeout.map(whole_milliseconds);
        let events = match self.waker.take_events(&mut room, timeout.as_ref()) {
            Ok(events) => events,
            Err(Errno::INTR) => return Ok(Came::default()),
            Err(errno) => return Err(failed(errno)),
        };
        let mut came = Came::default();
        for event in events {
            let flags = event.flags;
            match event.data.u64() {
                0 => came.events[0] = among(asked[0], flags),
                1 => came.events[1] = among(asked[1], flags),
                _ => came.woken = true,
            }
        }
        Ok(came)
    }

    fn ask(&mut self, asked: [Events; 2]) -> Result<()> {
        let changes = self.asked.iter_mut().zip(asked).zip(self.fds);
        for (which, ((before, now), fd)) in (0..).zip(changes).filter(|(_, ((a, b), _))| **a != *b)
        {
            epoll::modify(&self.waker, fd, data_of(which), asked_of(now)).map_err(failed)?;
            *before = now;
        }
        Ok(())
    }
}

impl Drop for Watch<'_> {
    /// A descriptor that is closed stays in an epoll while another process, or the host, has a copy of it.
    fn drop(&mut self) {
        for fd in self.fds {
            let _ = epoll::delete(&self.waker, fd); // fails if it never came in
        }
    }
}

/// The answers are told apart by it. That to a wake has [`Waker::DATA`], which is none of these.
fn data_of(which: u64) -> EventData {
    EventData::new_u64(which)
}

fn asked_of(events: Events) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, events.readable);
    flags.set(EventFlags::OUT, events.writable);
    flags.set(EventFlags::RDHUP, events.hang_up);
    flags.set(EventFlags::ONESHOT, events.is_none());
    flags
}

/// What of `asked` came true.
fn among(asked: Events, came: EventFlags) -> Events {
    let lost = came.intersects(EventFlags::HUP | EventFlags::ERR);
    Events {
        readable: asked.readable && (lost || came.contains(EventFlags::IN)),
        writable: asked.writable && (lost || came.contains(EventFlags::OUT)),
        hang_up: asked.hang_up && (lost || came.contains(EventFlags::RDHUP)),
    }
}

fn failed(errno: Errno) -> Error {
    Error::system("epoll", errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
    const MOMENT: Option<Duration> = Some(Duration::from_millis(40));
    const LONG: Option<Duration> = Some(Duration::from_secs(10));
    const NOTHING: [Events; 2] = [Events::NONE; 2];
    const READABLE: [Events; 2] = [Events::READABLE; 2];

    struct Scene {
        ours: [UnixStream; 2],
        peers: [UnixStream; 2],
        waker: Arc<Waker>,
    }

    fn scene() -> Scene {
        let ((first, first_peer), (second, second_peer)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let (ours, peers) = ([first, second], [first_peer, second_peer]);
        Scene { ours, peers, waker: Arc::new(Waker::new().unwrap()) }
    }

    impl Scene {
        fn watch(&self) -> Watch<'_> {
            let fds = self.ours.each_ref().map(AsFd::as_fd);
            Watch::new(Arc::clone(&self.waker), fds).unwrap()
        }
    }

    /// How often waits of this kind end before nothing more ends them.
    fn ends(watch: &mut Watch<'_>, asked: [Events; 2]) -> usize {
        let ended_early = || {
            let started = Instant::now();
            watch.wait(asked, MOMENT).unwrap();
            started.elapsed() < MOMENT.unwrap()
        };
        std::iter::repeat_with(ended_early).take(100).take_while(|early| *early).count()
    }

    fn fill(mut socket: &UnixStream) {
        socket.set_nonblocking(true).unwrap();
        while socket.write(&[0; 4096]).is_ok() {}
    }

    #[test]
    fn answers_come_in_the_order_of_the_descriptors_and_again_until_they_are_read() {
        let mut scene = scene();
        scene.peers[1].write_all(b"x").unwrap();
        let mut watch = scene.watch();
        let all = Events { readable: true, writable: true, hang_up: true };
        for _ in 0..3 {
            let came = watch.wait([Events::WRITABLE, all], LONG).unwrap();
            let both = Events { hang_up: false, ..all };
            assert_eq!(came, Came { events: [Events::WRITABLE, both], woken: false });
            let came = watch.wait([Events::READABLE, Events::READABLE], LONG).unwrap();
            assert_eq!(came.events, [Events::NONE, Events::READABLE]);
        }
        (&scene.ours[1]).read_exact(&mut [0]).unwrap();
        assert_eq!(watch.wait(READABLE, AT_ONCE).unwrap(), Came::default());
    }

    #[test]
    fn what_is_no_longer_asked_for_does_not_come() {
        let mut scene = scene();
        scene.peers[0].write_all(b"x").unwrap();
        let mut watch = scene.watch();
        assert_eq!(watch.wait(READABLE, LONG).unwrap().events[0], Events::READABLE);
        assert_eq!(ends(&mut watch, [Events::NONE, Events::READABLE]), 0);
        assert_eq!(watch.wait(READABLE, LONG).unwrap().events[0], Events::READABLE);
    }

    #[test]
    fn wake_before_during_and_after_a_wait_counts_once() {
        let scene = scene();
        scene.waker.wake();
        let mut watch = scene.watch();
        scene.waker.wake();
        let woken = Came { woken: true, ..Came::default() };
        assert_eq!(watch.wait(READABLE, LONG).unwrap(), woken);
        assert_eq!(watch.wait(READABLE, AT_ONCE).unwrap(), Came::default());
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                scene.waker.wake();
            });
            assert_eq!(watch.wait(NOTHING, LONG).unwrap(), woken);
        });
        scene.waker.wake();
        assert_eq!(watch.wait(READABLE, LONG).unwrap(), woken);
        assert_eq!(ends(&mut watch, READABLE), 0);
    }

    #[test]
    fn wakes_of_many_threads_are_heard_beside_traffic() {
        const THREADS: usize = 4;
        const EACH: usize = 2000;
        let scene = scene();
        let (mut watch, announced, mut heard) = (scene.watch(), AtomicUsize::new(0), 0);
        (&scene.peers[0]).write_all(b"never read").unwrap();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        announced.fetch_add(1, Ordering::Release);
                        scene.waker.wake();
                    }
                });
            }
            let deadline = Instant::now() + LONG.unwrap();
            while heard < THREADS * EACH {
                let busy = [Events::READABLE, Events::WRITABLE];
                if watch.wait(busy, LONG).unwrap().woken {
                    heard = announced.load(Ordering::Acquire);
                }
                assert!(Instant::now() < deadline, "a wake was lost");
            }
        });
    }

    #[test]
    fn wake_and_answers_come_together() {
        let mut scene = scene();
        scene.waker.wake();
        scene.peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
        let came = scene.watch().wait(READABLE, LONG).unwrap();
        assert_eq!(came, Came { events: READABLE, woken: true });
    }

    #[test]
    fn a_lost_connection_that_nothing_is_asked_about_ends_at_most_one_wait() {
        for asked_before in [NOTHING, READABLE] {
            let scene = scene();
            let mut watch = scene.watch();
            assert_eq!(watch.wait(asked_before, AT_ONCE).unwrap(), Came::default());
            scene.peers.iter().for_each(|peer| peer.shutdown(Shutdown::Both).unwrap());
            assert!(ends(&mut watch, NOTHING) <= 2); // there are two of them
            assert_eq!(watch.wait(READABLE, LONG).unwrap().events, READABLE);
        }
    }

    #[test]
    fn lost_connection_counts_as_whatever_was_asked() {
        let scene = scene();
        let mut watch = scene.watch();
        scene.peers.iter().for_each(|peer| peer.shutdown(Shutdown::Both).unwrap());
        for asked in [Events::READABLE, Events::WRITABLE, Events::HANG_UP] {
            assert_eq!(watch.wait([asked; 2], LONG).unwrap().events, [asked; 2]);
        }
    }

    #[test]
    fn lost_connection_ends_a_wait_for_room() {
        // Full and then shut down, a Unix socket is lost without being writable.
        let scene = scene();
        let (mut watch, room) = (scene.watch(), [Events::WRITABLE, Events::NONE]);
        fill(&scene.ours[0]);
        assert_eq!(watch.wait(room, AT_ONCE).unwrap(), Came::default());
        scene.ours[0].shutdown(Shutdown::Both).unwrap();
        assert_eq!(watch.wait(room, LONG).unwrap().events, room);
    }

    #[test]
    fn half_that_is_closed_ends_no_wait_that_does_not_read() {
        let scene = scene();
        let mut watch = scene.watch();
        fill(&scene.ours[0]);
        scene.peers[0].shutdown(Shutdown::Write).unwrap();
        assert_eq!(ends(&mut watch, [Events::WRITABLE, Events::NONE]), 0);
        assert_eq!(watch.wait(READABLE, LONG).unwrap().events, [Events::READABLE, Events::NONE]);
    }

    #[test]
    fn wait_never_ends_before_its_timeout() {
        let scene = scene();
        let (started, timeout) = (Instant::now(), Duration::from_micros(2300));
        scene.watch().wait(READABLE, Some(timeout)).unwrap();
        assert!(started.elapsed() >= timeout);
    }

    #[test]
    fn watch_that_is_over_leaves_the_waker_alone_with_its_wakes() {
        let mut scene = scene();
        scene.peers[0].write_all(b"x").unwrap();
        assert_eq!(scene.watch().wait(READABLE, LONG).unwrap().events[0], Events::READABLE);
        let mut room = [MaybeUninit::uninit(); 3];
        let at_once = whole_milliseconds(Duration::ZERO);
        assert_eq!(scene.waker.take_events(&mut room, Some(&at_once)).unwrap().len(), 0);
        scene.waker.wake(); // nobody waits any more
        let came = scene.watch().wait(NOTHING, LONG).unwrap();
        assert!(came.woken);
    }
}
