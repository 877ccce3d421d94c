//! The threads that this library starts, and how they are told from the host's.
//!
//! Rules: each has a name that says whose it is, blocks all signals, and has a stack of a size that is known. What is
//! done to a stack as a whole is done to these alone: of a host's thread nobody knows what it is.

use std::cell::Cell;
use std::io;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use super::sys;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Starts a thread that ends by itself, or is joined.
pub(crate) fn start(
    name: &str,
    stack_size: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    sys::with_signals_blocked(|| builder(name, stack_size).spawn(|| run(work)))
}

/// Starts a thread that borrows from the thread that starts it.
pub(crate) fn start_scoped<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    stack_size: usize,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, ()>> {
    sys::with_signals_blocked(|| builder(name, stack_size).spawn_scoped(scope, || run(work)))
}

/// Whether this thread is one of them.
pub(crate) fn is_own() -> bool {
    IS_OWN.get()
}

/// Gives back what calls that have returned have used of this thread's stack, if it is the library's: a thread that
/// waits for hours need not keep what a handshake took.
pub(crate) fn trim_stack() {
    if is_own() {
        sys::release_unused_stack();
    }
}

fn builder(name: &str, stack_size: usize) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(stack_size)
}

fn run(work: impl FnOnce()) {
    IS_OWN.set(true);
    work();
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK_SIZE: usize = 1024 * 1024;

    /// Goes `depth` pages down, and back up.
    #[inline(never)]
    fn dive(depth: usize) -> u8 {
        let page = std::hint::black_box([depth as u8; 4096]);
        let below = if depth > 0 { dive(depth - 1) } else { 0 };
        std::hint::black_box(page)[0].wrapping_add(below)
    }

    #[test]
    fn a_thread_of_the_library_is_told_from_the_hosts() {
        assert!(!is_own());
        start("wsproxy-test", STACK_SIZE, || assert!(is_own())).unwrap().join().unwrap();
        std::thread::scope(|scope| {
            let thread = start_scoped(scope, "wsproxy-test", STACK_SIZE, || assert!(is_own()));
            thread.unwrap().join().unwrap();
        });
        assert!(!is_own());
    }

    #[test]
    fn a_stack_that_was_trimmed_holds_what_is_on_it_and_can_be_used_again() {
        let work = || {
            let kept = std::hint::black_box([7u8; 3000]);
            let first = dive(20);
            trim_stack();
            assert!(kept.iter().all(|byte| *byte == 7));
            assert_eq!(dive(20), first);
        };
        start("wsproxy-test", STACK_SIZE, work).unwrap().join().unwrap();
    }

    #[test]
    fn trimming_a_stack_gives_its_pages_back() {
        let work = || {
            let before = sys::kernel::stack_in_use();
            dive(20);
            let deep = sys::kernel::stack_in_use();
            trim_stack();
            let after = sys::kernel::stack_in_use();
            assert!(deep >= before + 60, "{deep} KiB after {before}");
            assert!(after <= before + 16, "{after} KiB after {deep}");
        };
        start("wsproxy-test", STACK_SIZE, work).unwrap().join().unwrap();
    }
}
