//! Ends a wait from outside: of poll(2) while it watches the waker's descriptor, or of a [`Watch`](super::Watch), whose
//! descriptor that is.
//!
//! Theory: the descriptor is an epoll. A wake asks it about the beacon, which is always readable, once (EPOLLONESHOT): so
//! the epoll is ready until somebody takes that answer, and quiet again afterwards. A session needs an epoll for its
//! sockets anyway; the beacon is one for the whole process, and so being woken takes no descriptor of the session's own.
//!
//! Rules: a wake allocates nothing, which could fail, never waits for another user of the descriptor, and is a single
//! system call, as signal handlers need it. A waker that is woken late, when its wait is over, has its descriptors still.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Always readable.
#[derive(Debug)]
struct Beacon {
    eventfd: OwnedFd,
    /// The process that it belongs to: one that was forked may have closed what it inherited.
    process: u32,
}

/// The beacon of this process, while there are wakers.
static BEACON: Mutex<Weak<Beacon>> = Mutex::new(Weak::new());

impl Beacon {
    /// The one that there is in this process, or a new one.
    fn shared(shared: &Mutex<Weak<Beacon>>, process: u32) -> Result<Arc<Beacon>> {
        let mut shared = shared.lock();
        if let Some(beacon) = shared.upgrade().filter(|beacon| beacon.process == process) {
            return Ok(beacon);
        }
        let eventfd = rustix::event::eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::system("cannot create an eventfd", errno))?;
        let beacon = Arc::new(Beacon { eventfd, process });
        *shared = Arc::downgrade(&beacon);
        Ok(beacon)
    }
}

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Waker {
    epoll: OwnedFd,
    beacon: Arc<Beacon>,
}

impl Waker {
    /// What the answer to a wake has for its data. What else the epoll watches has other data.
    pub(super) const DATA: u64 = u64::MAX;

    pub(crate) fn new() -> Result<Waker> {
        let beacon = Beacon::shared(&BEACON, process::id())?;
        let failed = |errno| Error::system("cannot create an epoll", errno);
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
        let nothing_yet = EventFlags::ONESHOT;
        let data = EventData::new_u64(Waker::DATA);
        epoll::add(&epoll, &beacon.eventfd, data, nothing_yet).map_err(failed)?;
        Ok(Waker { epoll, beacon })
    }

    /// Never blocks.
    pub(crate) fn wake(&self) {
        let once = EventFlags::IN | EventFlags::ONESHOT;
        let data = EventData::new_u64(Waker::DATA);
        // It fails only where somebody has closed our descriptors.
        let _ = epoll::modify(&self.epoll, &self.beacon.eventfd, data, once);
    }

    /// Takes back every wake so far. To be called before looking at what the wakes announced; not while a
    /// [`Watch`](super::Watch) uses the epoll, whose wait does that itself.
    pub(crate) fn drain(&self) {
        // Without a wake nothing comes.
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = self.take_events(&mut [MaybeUninit::uninit(); 1], Some(&at_once));
    }

    /// What has come of all that the epoll watches, wakes among it, which are taken back by that.
    pub(super) fn take_events<'r>(
        &self,
        room: &'r mut [MaybeUninit<Event>],
        timeout: Option<&Timespec>,
    ) -> Result<&'r mut [Event], Errno> {
        epoll::wait(&self.epoll, room, timeout).map(|(events, _)| events)
    }
}

/// Readable while it is awake.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::poll::{wait, Events};
    use crate::io::sys::kernel;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
    const LONG: Option<Duration> = Some(Duration::from_secs(10));

    fn is_awake(waker: &Waker, timeout: Option<Duration>) -> bool {
        wait([(waker.as_fd(), Events::READABLE)], timeout).unwrap() == [Events::READABLE]
    }

    #[test]
    fn waker_wakes_a_poll() {
        let waker = Arc::new(Waker::new().unwrap());
        let other = Arc::clone(&waker);
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            other.wake();
        });
        assert!(is_awake(&waker, LONG));
        thread.join().unwrap();
    }

    #[test]
    fn waker_stays_awake_until_it_is_drained() {
        let waker = Waker::new().unwrap();
        assert!(!is_awake(&waker, AT_ONCE));
        for _ in 0..3 {
            waker.wake();
            waker.wake();
            assert!(is_awake(&waker, AT_ONCE) && is_awake(&waker, AT_ONCE));
            waker.drain();
            assert!(!is_awake(&waker, AT_ONCE));
            waker.drain(); // without a wake it returns at once all the same
        }
    }

    #[test]
    fn descriptors_of_a_waker_are_closed_on_exec() {
        let waker = Waker::new().unwrap();
        assert_ne!(kernel::flags(&waker) & kernel::O_CLOEXEC, 0);
        assert_ne!(kernel::flags(&waker.beacon.eventfd) & kernel::O_CLOEXEC, 0);
    }

    #[test]
    fn wakes_of_many_threads_at_once_all_count() {
        const THREADS: usize = 8;
        const EACH: usize = 2000;
        let waker = Waker::new().unwrap();
        let announced = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        announced.fetch_add(1, Ordering::Release);
                        waker.wake();
                    }
                });
            }
            while announced.load(Ordering::Acquire) < THREADS * EACH {
                assert!(is_awake(&waker, LONG), "a wake was lost");
                waker.drain();
            }
        });
    }

    #[test]
    fn many_wakers_share_one_beacon_and_wake_nobody_else() {
        let wakers: Vec<Waker> = (0..300).map(|_| Waker::new().unwrap()).collect();
        let first = wakers[0].beacon.eventfd.as_raw_fd();
        assert!(wakers.iter().all(|waker| waker.beacon.eventfd.as_raw_fd() == first));
        wakers.iter().step_by(7).for_each(Waker::wake);
        for (number, waker) in wakers.iter().enumerate() {
            assert_eq!(is_awake(waker, AT_ONCE), number % 7 == 0, "{number}");
        }
        drop(wakers);
        let later = Waker::new().unwrap();
        later.wake();
        assert!(is_awake(&later, AT_ONCE));
    }

    #[test]
    fn beacon_goes_with_the_last_waker_and_is_not_taken_over_by_a_forked_process() {
        let shared = Mutex::new(Weak::new());
        let ours = Beacon::shared(&shared, 1).unwrap();
        assert!(Arc::ptr_eq(&ours, &Beacon::shared(&shared, 1).unwrap()));
        let forked = Beacon::shared(&shared, 2).unwrap();
        assert!(!Arc::ptr_eq(&ours, &forked));
        assert!(Arc::ptr_eq(&forked, &Beacon::shared(&shared, 2).unwrap()));
        drop((ours, forked));
        assert_eq!(shared.lock().strong_count(), 0);
    }

    #[test]
    fn late_wake_finds_its_descriptors_open() {
        let waker = Arc::new(Waker::new().unwrap());
        let late = Arc::clone(&waker);
        drop(waker);
        late.wake();
        assert!(is_awake(&late, AT_ONCE));
    }
}
