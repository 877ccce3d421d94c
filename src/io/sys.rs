//! What needs `unsafe`: a descriptor that is only a number, what the system still has to send on one, and the signal
//! mask and the stack of a thread.
//!
//! Rule: no other file of this room has `unsafe`. Each function here is safe to call with any argument.
#![allow(unsafe_code)] // A foreign program's number, TIOCOUTQ and what pthreads has of a thread have no safe wrapper.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;

use crate::error::{Error, Result};

/// Copies never take the numbers of stdin, stdout and stderr, even in a host that has closed those:
/// something that prints would write into the connection.
const LOWEST_COPY: RawFd = 3;

/// A close-on-exec copy of the host's descriptor `fd`, so that both sides close their own.
pub(crate) fn duplicate(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::argument(format!("fd {fd} is negative")));
    }
    // SAFETY: `fd` is not -1. The borrow ends with the one system call made through it, which
    // reads nothing through the number and answers EBADF when it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_dupfd_cloexec(borrowed, LOWEST_COPY).map_err(|errno| match errno {
        Errno::BADF => Error::argument(format!("fd {fd} is not open")),
        other => Error::system(&format!("cannot duplicate fd {fd}"), other),
    })
}

/// Bytes that the peer's system has not acknowledged yet; `None` where the system does not say.
pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for the call, and TIOCOUTQ writes one int, which `bytes` is.
    let outcome = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (outcome == 0).then(|| u64::try_from(bytes).ok()).flatten()
}

/// Runs `f` with every signal blocked in this thread. Threads that `f` starts inherit that, so the
/// host's handlers never run on a thread of this library.
pub(super) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    let _restored_at_the_end = BlockedSignals::new();
    f()
}

/// All signals are blocked until this is dropped, also by a panic. Not `Send`: a mask is a thread's.
struct BlockedSignals {
    before: Option<libc::sigset_t>,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl BlockedSignals {
    fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both pointers are to sets of the right type, writable and alive for the calls.
        // sigfillset initialises all of `all`, before it is read.
        let outcome = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
        };
        // It fails for a bad first argument only. `before` is not written then.
        // SAFETY: success (0) means that the old mask was stored in `before`.
        let before = (outcome == 0).then(|| unsafe { before.assume_init() });
        BlockedSignals { before, _not_send: std::marker::PhantomData }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: `before` is a set that pthread_sigmask made; the old mask is not asked for.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
        }
    }
}

/// What stays of the stack below the frame of whoever gives it back: a system call takes none of it, but a red zone may.
const STACK_MARGIN: usize = 512;

/// Gives the pages of this thread's stack back that no frame is on. They are zero when they are used again.
#[inline(never)] // its own frame is the lowest that counts
pub(super) fn release_unused_stack() {
    let on_the_stack = 0u8;
    let here = std::hint::black_box(&raw const on_the_stack).addr();
    let (Some((low, high)), Some(page)) = (own_stack(), page_size()) else { return };
    let from = low.next_multiple_of(page);
    let to = here.saturating_sub(STACK_MARGIN) / page * page;
    if here > low && here < high && from < to {
        // SAFETY: the range lies within this thread's stack, and below every frame that is on it: nobody has a reference
        // to anything there, a signal handler neither, as its frames are gone before this goes on.
        unsafe { libc::madvise(ptr::without_provenance_mut(from), to - from, libc::MADV_DONTNEED) };
    }
}

/// The kernel's own, which may be 64 KiB: madvise rounds a length up, and frames that are in use would go. Asked of libc:
/// rustix reads the vDSO for it, which valgrind takes out of the process.
fn page_size() -> Option<usize> {
    // SAFETY: it reads a number that never changes.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|page| *page > 0)
}

/// The lowest address of this thread's stack, and the end of it.
fn own_stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut low, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes are initialised by the first call if that returns 0, read by the second and destroyed by the
    // third; the others write where they are told to, which is on this stack.
    let known = unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let outcome = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        outcome == 0
    };
    known.then(|| (low.addr(), low.addr().saturating_add(size)))
}

/// What the tests of this room ask the kernel, by /proc.
#[cfg(test)]
pub(super) mod kernel {
    use std::fs::read_to_string;
    use std::os::fd::{AsFd, AsRawFd};

    pub(in crate::io) const O_NONBLOCK: u32 = libc::O_NONBLOCK as u32;
    pub(in crate::io) const O_CLOEXEC: u32 = libc::O_CLOEXEC as u32;

    /// A set of signals of the calling thread: `SigBlk` (blocked) or `SigPnd` (pending).
    pub(in crate::io) fn has_signal(set: &str, signal: i32) -> bool {
        let status = read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(set)).unwrap();
        let bits = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        bits >> (signal - 1) & 1 == 1
    }

    /// KiB of the mapping that this thread's stack lies in which are in memory.
    pub(in crate::io) fn stack_in_use() -> u64 {
        let on_the_stack = 0u8;
        let here = std::hint::black_box(&raw const on_the_stack).addr();
        let is_here = |line: &str| {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let parse = |text| usize::from_str_radix(text, 16).ok();
            range.is_some_and(|(from, to)| {
                parse(from).zip(parse(to)).is_some_and(|(from, to)| (from..to).contains(&here))
            })
        };
        let maps = read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !is_here(line));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The `O_` flags of a descriptor.
    pub(in crate::io) fn flags(fd: impl AsFd) -> u32 {
        let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
        let info = read_to_string(path).unwrap();
        let line = info.lines().find(|line| line.starts_with("flags:")).unwrap();
        u32::from_str_radix(line.split_whitespace().nth(1).unwrap(), 8).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Fault};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::panic::{catch_unwind, AssertUnwindSafe};

    const SIGNALS: [i32; 5] =
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE, libc::SIGPROF];

    fn blocked() -> [bool; 5] {
        SIGNALS.map(|signal| kernel::has_signal("SigBlk", signal))
    }

    #[test]
    fn a_copy_is_the_same_connection_and_closed_on_exec() {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let copy = duplicate(ours.as_raw_fd()).unwrap();
        drop(ours);
        assert_ne!(kernel::flags(&copy) & kernel::O_CLOEXEC, 0);
        UnixStream::from(copy).write_all(b"x").unwrap();
        let mut got = [0; 1];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"x");
    }

    #[test]
    fn a_number_that_is_no_descriptor_is_the_hosts_fault() {
        // Far over any limit on open files, so that no other test can have opened it.
        for fd in [-1, -7, i32::MIN, i32::MAX] {
            let error = duplicate(fd).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host));
            assert!(error.message().contains(&fd.to_string()), "{error}");
        }
    }

    #[test]
    fn threads_started_under_blocked_signals_block_them() {
        let before = blocked();
        let inside = with_signals_blocked(|| std::thread::spawn(blocked)).join().unwrap();
        assert_eq!(inside, [true; 5]);
        assert_eq!(blocked(), before);
        assert_ne!(before, [true; 5]);
    }

    #[test]
    fn a_panic_under_blocked_signals_restores_the_mask() {
        let before = blocked();
        let panicked = catch_unwind(AssertUnwindSafe(|| with_signals_blocked(|| panic!("meant"))));
        assert!(panicked.is_err());
        assert_eq!(blocked(), before);
    }
}
