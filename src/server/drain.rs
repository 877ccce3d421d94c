//! The request to drain, and what is due when.
//!
//! Theory: three steps. At once every session is asked to end between messages; a little before the deadline those in
//! the middle of one are sent their close frames there, so that a slow peer is told too; at the deadline whatever is
//! left is cut off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::io::Waker;
use crate::session::Deadline;

/// How long before the deadline sessions are told even in the middle of a message: at most this, and at most a quarter
/// of the time that there was.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// "Going away".
pub(super) const GOING_AWAY: u16 = 1001;

/// The lower bits of an order are its deadline, in milliseconds: the next four thousand years.
const DEADLINE_BITS: u32 = 47;
const LAST_DEADLINE: u64 = (1 << DEADLINE_BITS) - 1;

/// What was asked for, from any thread or signal handler.
#[derive(Debug)]
pub(super) struct DrainOrder {
    pub(super) waker: Waker,
    /// What deadlines are counted from.
    epoch: Deadline,
    /// The close code and one above the deadline, in one word: neither is ever seen without the other. 0 until somebody
    /// asks.
    order: AtomicU64,
}

impl DrainOrder {
    pub(super) fn new() -> Result<DrainOrder> {
        let epoch = Deadline::after(Duration::ZERO);
        Ok(DrainOrder { waker: Waker::new()?, epoch, order: AtomicU64::new(0) })
    }

    /// Asks for a drain that is over when `timeout` has passed. The first code counts, and the earliest deadline.
    pub(super) fn ask(&self, code: u16, timeout: Duration) {
        let deadline = Deadline::after(timeout).since(self.epoch).as_millis();
        let deadline = u64::try_from(deadline).unwrap_or(LAST_DEADLINE).min(LAST_DEADLINE);
        let changed = |before: u64| match before {
            0 => Some((u64::from(code) + 1) << DEADLINE_BITS | deadline),
            _ => Some(before & !LAST_DEADLINE | deadline.min(before & LAST_DEADLINE)),
        };
        let _ = self.order.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
        self.waker.wake();
    }

    /// Close code and deadline, once a drain was asked for.
    pub(super) fn asked(&self) -> Option<(u16, Deadline)> {
        let order = self.order.load(Ordering::Acquire);
        let code = u16::try_from((order >> DEADLINE_BITS).checked_sub(1)?).ok()?;
        let deadline = Duration::from_millis(order & LAST_DEADLINE);
        Some((code, self.epoch.later_by(deadline)))
    }

    /// Nothing was asked for.
    pub(super) fn forget(&self) {
        self.order.store(0, Ordering::Release);
    }
}

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Between messages.
    Drain,
    /// In the middle of one.
    Stop,
    /// Cut off.
    Abort,
}

/// When each step of a drain is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    stop: Deadline,
    abort: Deadline,
}

impl Schedule {
    /// All over at `deadline`.
    pub(super) fn until(deadline: Deadline) -> Schedule {
        let last_words = LAST_WORDS.min(deadline.left() / 4);
        Schedule { stop: deadline.earlier_by(last_words), abort: deadline }
    }

    /// All over at `deadline`, if that is earlier than it would be.
    pub(super) fn hasten(&mut self, deadline: Deadline) {
        if deadline < self.abort {
            *self = Schedule::until(deadline);
        }
    }

    /// The step that is due now.
    pub(super) fn step(&self) -> Step {
        match () {
            () if self.abort.is_over() => Step::Abort,
            () if self.stop.is_over() => Step::Stop,
            () => Step::Drain,
        }
    }

    /// The time until the next step; `None` after the last.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.step() {
            Step::Drain => Some(self.stop.left()),
            Step::Stop => Some(self.abort.left()),
            Step::Abort => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Schedule {
        Schedule::until(Deadline::after(Duration::from_millis(millis)))
    }

    #[test]
    fn the_first_code_and_the_earliest_deadline_count() {
        let order = DrainOrder::new().unwrap();
        assert_eq!(order.asked(), None);
        order.ask(1001, Duration::from_secs(9));
        order.ask(4000, Duration::from_secs(3));
        order.ask(4999, Duration::MAX);
        let (code, deadline) = order.asked().unwrap();
        assert_eq!(code, 1001);
        assert!(deadline.left() <= Duration::from_secs(3), "{:?}", deadline.left());
        assert!(deadline.left() > Duration::from_secs(2), "{:?}", deadline.left());
        order.forget();
        assert_eq!(order.asked(), None);
    }

    #[test]
    fn no_timeout_is_too_long_and_no_code_is_mistaken_for_none() {
        for asked in [0, 1001, u16::MAX] {
            let order = DrainOrder::new().unwrap();
            order.ask(asked, Duration::MAX);
            let (code, deadline) = order.asked().unwrap();
            assert_eq!(code, asked);
            assert!(deadline.left() > Duration::from_secs(99 * 365 * 24 * 3600));
            order.ask(1002, Duration::ZERO);
            let (code, deadline) = order.asked().unwrap();
            assert_eq!((code, deadline.is_over()), (asked, true));
        }
    }

    #[test]
    fn steps_follow_each_other_and_none_is_due_before_its_time() {
        let mut long = after(60_000);
        assert_eq!(long.step(), Step::Drain);
        assert!(long.wait().unwrap() > Duration::from_secs(58));
        long.hasten(Deadline::after(Duration::from_secs(90)));
        assert!(long.wait().unwrap() < Duration::from_secs(60));
        long.hasten(Deadline::after(Duration::ZERO));
        assert_eq!((long.step(), long.wait()), (Step::Abort, None));
        let short = after(400);
        std::thread::sleep(short.wait().unwrap());
        assert_eq!(short.step(), Step::Stop);
        std::thread::sleep(short.wait().unwrap());
        assert_eq!(short.step(), Step::Abort);
    }
}
