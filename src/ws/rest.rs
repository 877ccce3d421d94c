//! When memory that was needed under load is given back: the deadline of idle buffers. The time is an argument, in
//! milliseconds.
//!
//! Rule: there is a deadline only while something could be given back, so that a session at rest sleeps.

use super::frame::{PerSide, Side};

/// How long nothing comes before buffers are given back, in milliseconds. Longer than the pauses of a conversation by
/// machines; what allocating again costs after that is nothing beside it.
pub const PATIENCE: u64 = 500;

/// Since when something could be given back of what a side's bytes lie in, and none have come.
#[derive(Debug, Default)]
pub struct Rest {
    since: PerSide<Option<u64>>,
}

impl Rest {
    /// Bytes came from `from`.
    pub fn note_input(&mut self, from: Side, now: u64) {
        if let Some(since) = self.since.get_mut(from) {
            *since = now;
        }
    }

    /// Whether something could be given back of what the bytes from `from` lie in.
    pub fn note_spare(&mut self, from: Side, has_spare: bool, now: u64) {
        let since = self.since.get_mut(from);
        match has_spare {
            true => _ = since.get_or_insert(now),
            false => *since = None,
        }
    }

    /// When to look again.
    pub fn next(&self) -> Option<u64> {
        let at = |since: Option<u64>| since.map(|since| since.saturating_add(PATIENCE));
        Side::BOTH.into_iter().filter_map(|side| at(*self.since.get(side))).min()
    }

    /// Whether it is time for `from`.
    pub fn is_due(&self, from: Side, now: u64) -> bool {
        self.since.get(from).is_some_and(|since| now >= since.saturating_add(PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_deadline_only_while_something_could_be_given_back() {
        let mut rest = Rest::default();
        rest.note_input(Side::Client, 10);
        assert_eq!(rest.next(), None);
        rest.note_spare(Side::Client, true, 10);
        rest.note_spare(Side::Client, true, 400);
        assert_eq!(rest.next(), Some(10 + PATIENCE));
        assert!(rest.is_due(Side::Client, 10 + PATIENCE) && !rest.is_due(Side::Upstream, 9999));
        rest.note_spare(Side::Client, false, 600);
        assert_eq!(rest.next(), None);
    }

    #[test]
    fn input_from_a_side_puts_its_own_deadline_off() {
        let mut rest = Rest::default();
        Side::BOTH.iter().for_each(|&side| rest.note_spare(side, true, 0));
        rest.note_input(Side::Client, 400);
        assert!(!rest.is_due(Side::Client, PATIENCE) && rest.is_due(Side::Upstream, PATIENCE));
        assert_eq!(rest.next(), Some(PATIENCE));
    }
}
