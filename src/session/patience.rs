//! Waiting during a handshake: for a few descriptors, until a deadline, and never past `stop` or `abort`.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::Control;
use super::deadline::Deadline;
use super::urgency::Urgency;
use crate::error::{Error, Result};
pub(crate) use crate::io::Watched;
use crate::io::{wait, wait_for_any, Events, Waker};

/// What ended a wait early.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// `stop` or `abort` was called.
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
    deadline: Deadline,
    /// Less urgent requests for the end are not heeded.
    heeds: Urgency,
}

impl<'a> Patience<'a> {
    /// `period` from now, woken through `control`.
    pub(crate) fn start(control: &'a Control, period: Duration) -> Result<Self> {
        let waker = control.watch_by_poll()?;
        Ok(Patience { control, waker, deadline: Deadline::after(period), heeds: Urgency::Stop })
    }

    /// The same, which `stop` does not end; `abort` does.
    pub(crate) fn deaf_to_stop(self) -> Self {
        Patience { heeds: Urgency::Abort, ..self }
    }

    /// Whether the end was asked for: then nothing is begun that needs no wait either.
    pub(crate) fn is_over(&self) -> bool {
        self.control.urgency() >= self.heeds
    }

    /// Whether there is time left; for loops that have something to do without a wait.
    pub(crate) fn lasts(&self) -> bool {
        self.left().is_ok()
    }

    /// Waits for one descriptor.
    pub(crate) fn wait(&self, watched: Watched<'_>) -> Result<Events, Interrupt> {
        self.wait_for_both(watched, self.nothing(), None).map(|[events, _]| events)
    }

    /// Waits for either of two, or until then; nothing at all may have come when the waker was woken.
    pub(crate) fn wait_for_both(
        &self,
        first: Watched<'_>,
        second: Watched<'_>,
        until: Option<Instant>,
    ) -> Result<[Events; 2], Interrupt> {
        let left = self.left_until(until)?;
        let woken = (self.waker.as_fd(), Events::READABLE);
        let [first, second, woken] =
            wait([first, second, woken], Some(left)).map_err(Interrupt::System)?;
        if woken.readable {
            self.waker.drain();
        }
        Ok([first, second])
    }

    /// Waits for any of several, which may be none, or until then; answers in their order. Costs allocations.
    pub(crate) fn wait_until(
        &self,
        watched: &[Watched<'_>],
        until: Option<Instant>,
    ) -> Result<Vec<Events>, Interrupt> {
        let left = self.left_until(until)?;
        let woken = (self.waker.as_fd(), Events::READABLE);
        let mut came =
            wait_for_any(&[watched, &[woken]].concat(), Some(left)).map_err(Interrupt::System)?;
        if came.pop().is_some_and(|woken| woken.readable) {
            self.waker.drain();
        }
        Ok(came)
    }

    /// The time until the deadline, if nothing has ended the waiting.
    fn left(&self) -> Result<Duration, Interrupt> {
        if self.is_over() {
            return Err(Interrupt::Stopped);
        }
        match self.deadline.left() {
            Duration::ZERO => Err(Interrupt::Late),
            left => Ok(left),
        }
    }

    /// The same, and no longer than until then.
    fn left_until(&self, until: Option<Instant>) -> Result<Duration, Interrupt> {
        let left = self.left()?;
        Ok(until.map_or(left, |until| left.min(until.saturating_duration_since(Instant::now()))))
    }

    /// For a place in a wait that is not needed.
    pub(crate) fn nothing(&self) -> Watched<'_> {
        (self.waker.as_fd(), Events::NONE)
    }
}
