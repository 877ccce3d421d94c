//! A moment by which something is to be over.

use std::time::{Duration, Instant};

/// See the top of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

/// Durations that no clock reaches are as good as a century.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Deadline {
    /// `period` from now.
    pub(crate) fn after(period: Duration) -> Deadline {
        Deadline(Instant::now() + period.min(CENTURY))
    }

    /// That much later.
    pub(crate) fn later_by(self, period: Duration) -> Deadline {
        Deadline(self.0 + period.min(CENTURY))
    }

    /// How much later than `start` this is.
    pub(crate) fn since(self, start: Deadline) -> Duration {
        self.0.saturating_duration_since(start.0)
    }

    /// That much earlier.
    pub(crate) fn earlier_by(self, period: Duration) -> Deadline {
        Deadline(self.0.checked_sub(period).unwrap_or(self.0))
    }

    /// The time until then; zero when it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}
