//! The deadlines of an established session. The time is an argument: milliseconds since any fixed moment.
//!
//! Rules: idle counts what comes from either side, what goes to either and what the host sends, not the proxy's own
//! pings; with those, each side has to be heard by itself, since the answers of one say nothing of the other. A write is
//! stalled when bytes wait and none goes out; once closing has begun only the close deadline and stalls count.

use super::frame::{PerSide, Side};

/// How long each thing may take, in milliseconds; 0 = for ever (no pings, for `keepalive`).
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// Without a byte from either side.
    pub idle: u64,
    /// With bytes waiting for a side that takes none.
    pub write: u64,
    /// From the first close frame to the end.
    pub close: u64,
    /// Between the proxy's own pings.
    pub keepalive: u64,
}

const NEVER: u64 = u64::MAX;

/// A deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The idle timeout.
    Idle,
    /// The idle timeout of one side, which pings have not brought to say anything.
    Silent(Side),
    /// The write timeout of a side.
    Stalled(Side),
    /// The close timeout.
    Close,
    /// Time for pings.
    Keepalive,
}

/// The clockwork.
#[derive(Debug)]
pub struct Timers {
    periods: Periods,
    active: u64,
    /// Since when a ping to a side goes unanswered.
    asked: PerSide<Option<u64>>,
    pinged: u64,
    stalled: PerSide<Option<u64>>,
    closing: Option<u64>,
    close_struck: bool,
}

impl Timers {
    /// Everything starts at `now`.
    pub fn new(periods: Periods, now: u64) -> Self {
        let stalled = PerSide::default();
        Timers {
            periods,
            active: now,
            asked: PerSide::default(),
            pinged: now,
            stalled,
            closing: None,
            close_struck: false,
        }
    }

    /// How long each thing may take.
    pub fn periods(&self) -> &Periods {
        &self.periods
    }

    /// Bytes came from `side`.
    pub fn note_input(&mut self, side: Side, now: u64) {
        *self.asked.get_mut(side) = None;
        self.active = now;
    }

    /// The hook was at work since `began`: what came meanwhile could not be heard, and is owed that time.
    pub fn note_work(&mut self, began: u64, now: u64) {
        for side in Side::BOTH {
            if let Some(asked) = self.asked.get_mut(side) {
                *asked = asked.saturating_add(now.saturating_sub(began)).min(now);
            }
        }
        self.active = now;
    }

    /// Bytes went to either side, or the host sent something.
    pub fn note_activity(&mut self, now: u64) {
        self.active = now;
    }

    /// Whether bytes wait for `side`, and whether some went out since the last time this was said.
    pub fn note_output(&mut self, side: Side, waiting: bool, progress: bool, now: u64) {
        if waiting {
            // It has pings still before it, or takes them slowly; and the other side is not read meanwhile. Whether
            // it takes anything is for the write timeout.
            self.asked = PerSide::default();
        }
        let stalled = self.stalled.get_mut(side);
        *stalled = match (waiting, progress, *stalled) {
            (false, ..) => None,
            (true, false, Some(since)) => Some(since),
            (true, ..) => Some(now),
        };
    }

    /// The closing handshake has begun with either side.
    pub fn note_closing(&mut self, now: u64) {
        self.closing.get_or_insert(now);
    }

    /// When to look again.
    pub fn next(&self) -> Option<u64> {
        let first = self.deadlines().into_iter().map(|(at, _)| at).fold(NEVER, u64::min);
        (first != NEVER).then_some(first)
    }

    /// What has passed by `now`, the gravest first. The close deadline strikes once, the others after each period.
    pub fn due(&mut self, now: u64) -> Option<Due> {
        let due = self.deadlines().into_iter().find(|(at, _)| *at <= now && *at != NEVER)?.1;
        match due {
            Due::Close => self.close_struck = true,
            Due::Stalled(side) => *self.stalled.get_mut(side) = Some(now),
            Due::Idle => self.active = now,
            Due::Silent(side) => *self.asked.get_mut(side) = Some(now),
            Due::Keepalive => {
                self.pinged = now;
                self.asked.client.get_or_insert(now);
                self.asked.upstream.get_or_insert(now);
            }
        }
        Some(due)
    }

    /// At [`NEVER`] what is not due: they are looked at for each frame.
    fn deadlines(&self) -> [(u64, Due); 7] {
        let Periods { idle, write, close, keepalive } = self.periods;
        let at = |since: Option<u64>, period: u64, due: Due| match since {
            Some(since) if period > 0 => (since.saturating_add(period), due),
            _ => (NEVER, due),
        };
        let open = self.closing.is_none();
        [
            at(self.closing.filter(|_| !self.close_struck), close, Due::Close),
            at(self.stalled.client, write, Due::Stalled(Side::Client)),
            at(self.stalled.upstream, write, Due::Stalled(Side::Upstream)),
            at(open.then_some(self.active), idle, Due::Idle),
            at(self.asked.client.filter(|_| open), idle, Due::Silent(Side::Client)),
            at(self.asked.upstream.filter(|_| open), idle, Due::Silent(Side::Upstream)),
            at(open.then_some(self.pinged), keepalive, Due::Keepalive),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers() -> Timers {
        Timers::new(Periods { idle: 100, write: 30, close: 10, keepalive: 40 }, 0)
    }

    #[test]
    fn activity_puts_the_idle_deadline_off() {
        let mut timers = timers();
        timers.note_input(Side::Client, 50);
        timers.note_input(Side::Upstream, 90);
        assert_eq!(timers.due(120), Some(Due::Keepalive));
        assert_eq!(timers.due(120), None);
        timers.note_activity(120);
        timers.note_input(Side::Client, 120);
        timers.note_input(Side::Upstream, 120);
        timers.note_output(Side::Client, false, true, 120);
        assert_eq!(timers.due(159), None);
        assert_eq!(timers.due(220), Some(Due::Idle));
    }

    #[test]
    fn a_slow_reader_that_takes_something_is_not_stalled() {
        let mut timers = timers();
        for now in (0..200).step_by(20) {
            timers.note_output(Side::Upstream, true, true, now);
        }
        assert_ne!(timers.due(209), Some(Due::Stalled(Side::Upstream)));
        timers.note_output(Side::Upstream, true, false, 209);
        assert_eq!(timers.due(210), Some(Due::Stalled(Side::Upstream)));
    }

    #[test]
    fn with_pings_each_side_has_to_be_heard() {
        let mut timers = timers();
        assert_eq!(timers.due(40), Some(Due::Keepalive));
        timers.note_input(Side::Upstream, 90);
        assert_eq!(timers.due(95), Some(Due::Keepalive));
        timers.note_input(Side::Upstream, 96);
        assert_eq!(timers.due(134), None);
        timers.note_input(Side::Upstream, 135);
        assert_eq!(timers.due(139), Some(Due::Keepalive));
        timers.note_input(Side::Upstream, 139);
        assert_eq!(timers.due(140), Some(Due::Silent(Side::Client)));
    }

    #[test]
    fn the_time_of_the_hook_is_not_held_against_a_side_that_was_pinged() {
        let mut timers = timers();
        assert_eq!(timers.due(40), Some(Due::Keepalive));
        timers.note_work(50, 130);
        assert_eq!(timers.due(131), Some(Due::Keepalive));
        assert_eq!(timers.due(170), None);
        timers.note_input(Side::Upstream, 215);
        assert_eq!(timers.due(216), Some(Due::Keepalive));
        timers.note_input(Side::Upstream, 217);
        assert_eq!(timers.due(220), Some(Due::Silent(Side::Client)));
    }

    #[test]
    fn a_side_that_was_not_pinged_or_has_bytes_before_it_is_not_called_silent() {
        let mut timers = Timers::new(Periods { idle: 100, write: 0, close: 10, keepalive: 500 }, 0);
        timers.note_input(Side::Upstream, 90);
        assert_eq!(timers.due(189), None);
        let mut timers = self::timers();
        for now in (0..1000).step_by(10) {
            timers.note_output(Side::Client, true, true, now);
            timers.note_activity(now);
            assert!(matches!(timers.due(now), None | Some(Due::Keepalive)), "at {now}");
        }
    }

    #[test]
    fn closing_has_one_deadline_that_nothing_puts_off() {
        let mut timers = timers();
        timers.note_closing(5);
        timers.note_closing(14);
        timers.note_activity(14);
        assert_eq!(timers.next(), Some(15));
        assert_eq!(timers.due(15), Some(Due::Close));
        assert_eq!((timers.due(16), timers.next()), (None, None));
    }

    #[test]
    fn zero_means_never() {
        let mut timers = Timers::new(Periods { idle: 0, write: 0, close: 10, keepalive: 0 }, 0);
        timers.note_output(Side::Client, true, false, 0);
        assert_eq!((timers.next(), timers.due(u64::MAX)), (None, None));
    }
}
