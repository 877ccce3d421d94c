//! A lock around what the host has promised to work with on one thread at a time.
//!
//! Theory: nobody waits for it but where that promise is broken, and nothing is done under it that takes long. So it is
//! the cheapest there is, once per frame: an exchange to take it, a store to give it back; whoever comes second yields
//! until it is free.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// See the top of this file.
#[derive(Default)]
pub(super) struct Turn<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through `Taken` only, of which there is one at a time.
unsafe impl<T: Send> Sync for Turn<T> {}

/// The one who has it.
pub(super) struct Taken<'t, T>(&'t Turn<T>);

impl<T> Turn<T> {
    /// Waits for the others, if there are any. Not to be taken twice on one thread.
    pub(super) fn take(&self) -> Taken<'_, T> {
        while self.taken.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        Taken(self)
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `taken` is set, and by us.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `taken` is set, and by us.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_break_the_promise_take_turns() {
        let turn = Turn::<(u64, u64)>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut taken = turn.take();
                        let pair = &mut *taken;
                        assert_eq!(pair.0, pair.1);
                        pair.0 += 1;
                        pair.1 += 1;
                    }
                });
            }
        });
        assert_eq!(*turn.take(), (40_000, 40_000));
    }

    #[test]
    fn a_panic_gives_it_back() {
        let turn = Turn::<u8>::default();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut taken = turn.take();
            *taken = 7;
            panic!("on purpose, with {}", *taken);
        }));
        assert!(caught.is_err());
        assert_eq!(*turn.take(), 7);
    }
}
