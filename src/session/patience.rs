//! Waiting during a handshake: for two descriptors at most, until a deadline, and never past `stop`.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Control, Watcher};
use crate::error::{Error, Result};
use crate::io::{wait, Events, Waker};

/// A descriptor and what to wait for on it.
pub(crate) type Watched<'a> = (BorrowedFd<'a>, Events);

/// What ended a wait early.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// `stop` was called.
    Stopped,
    /// The deadline has passed.
    Late,
    /// The system refused to wait.
    System(Error),
}

/// A deadline, and who may end a wait before it.
pub(crate) struct Patience<'a> {
    control: &'a Control,
    pub(crate) waker: Arc<Waker>,
    deadline: Instant,
    heeds_stop: bool,
}

impl<'a> Patience<'a> {
    /// `period` from now, woken through `control`.
    pub(crate) fn start(control: &'a Control, period: Duration) -> Result<Self> {
        let waker = Arc::new(Waker::new()?);
        control.watch(Watcher::Poll(Arc::clone(&waker)));
        Ok(Patience { control, waker, deadline: deadline_in(period), heeds_stop: true })
    }

    /// The same, which `stop` does not end.
    pub(crate) fn deaf_to_stop(self) -> Self {
        Patience { heeds_stop: false, ..self }
    }

    /// Whether `stop` was called: then nothing is begun that needs no wait either.
    pub(crate) fn is_over(&self) -> bool {
        self.heeds_stop && self.control.is_stopping()
    }

    /// Waits for one descriptor.
    pub(crate) fn wait(&self, watched: Watched<'_>) -> Result<Events, Interrupt> {
        self.wait_for_both(watched, self.nothing()).map(|[events, _]| events)
    }

    /// Waits for either of two; nothing at all may have come when the waker was woken.
    pub(crate) fn wait_for_both(
        &self,
        first: Watched<'_>,
        second: Watched<'_>,
    ) -> Result<[Events; 2], Interrupt> {
        if self.is_over() {
            return Err(Interrupt::Stopped);
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Interrupt::Late);
        }
        let woken = (self.waker.as_fd(), Events::READABLE);
        let [first, second, woken] =
            wait([first, second, woken], Some(left)).map_err(Interrupt::System)?;
        if woken.readable {
            self.waker.drain();
        }
        Ok([first, second])
    }

    /// For a place in a wait that is not needed.
    pub(crate) fn nothing(&self) -> Watched<'_> {
        (self.waker.as_fd(), Events::NONE)
    }
}

/// Durations that no clock reaches are as good as a century.
fn deadline_in(period: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Instant::now() + period.min(CENTURY)
}
