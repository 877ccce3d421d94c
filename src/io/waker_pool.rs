//! Wakers that are lent: of a server, whose sessions need one for their handshakes each, and on their callers' threads to
//! their end.
//!
//! Rule: one that somebody else may still wake is not lent again. A wake that came too late for its wait may be found in
//! the next one, which is woken for nothing then, as any wait may be.

use std::sync::Arc;

use parking_lot::Mutex;

use super::waker::Waker;
use crate::error::Result;

/// As many handshakes as are mostly under way at once; each is a descriptor.
const MOST_KEPT: usize = 16;

/// See the top of this file.
#[derive(Debug, Default)]
pub(crate) struct WakerPool {
    idle: Mutex<Vec<Arc<Waker>>>,
}

impl WakerPool {
    /// One to wait with.
    pub(crate) fn lend(&self) -> Result<Arc<Waker>> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(waker) => Ok(waker),
            None => Waker::new().map(Arc::new),
        }
    }

    /// Nobody waits with it any more.
    pub(crate) fn give_back(&self, waker: Arc<Waker>) {
        let mut idle = self.idle.lock();
        if Arc::strong_count(&waker) == 1 && idle.len() < MOST_KEPT {
            idle.push(waker);
        }
    }

    /// Closes those that are not lent. One that comes back later is for whoever comes next.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, AsRawFd};

    fn number(waker: &Arc<Waker>) -> i32 {
        waker.as_fd().as_raw_fd()
    }

    #[test]
    fn a_waker_that_came_back_is_lent_again() {
        let wakers = WakerPool::default();
        let first = wakers.lend().unwrap();
        let second = wakers.lend().unwrap();
        let number_of_first = number(&first);
        assert_ne!(number_of_first, number(&second));
        wakers.give_back(first);
        assert_eq!(number(&wakers.lend().unwrap()), number_of_first);
    }

    #[test]
    fn a_waker_that_somebody_may_still_wake_is_not_lent_again() {
        let wakers = WakerPool::default();
        let waker = wakers.lend().unwrap();
        let held = Arc::clone(&waker);
        wakers.give_back(waker);
        assert_ne!(number(&wakers.lend().unwrap()), number(&held));
    }

    #[test]
    fn no_more_are_kept_than_are_mostly_needed() {
        let wakers = WakerPool::default();
        let lent: Vec<_> = (0..2 * MOST_KEPT).map(|_| wakers.lend().unwrap()).collect();
        lent.into_iter().for_each(|waker| wakers.give_back(waker));
        assert_eq!(wakers.idle.lock().len(), MOST_KEPT);
        wakers.close();
        assert!(wakers.idle.lock().is_empty());
    }
}
