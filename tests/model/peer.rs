//! A peer: what it still wants to say, in pieces of what size, and how it behaves at the end.

use crate::oracle::Shown;
use crate::plan::Plan;
use crate::random::Random;

/// A frame that waits for its verdict.
pub(crate) struct Waiting {
    pub(crate) shown: Shown,
    /// What the hook left of it.
    pub(crate) payload: Vec<u8>,
    pub(crate) code: Option<u16>,
    pub(crate) touched: bool,
}

/// A peer's plans.
pub(crate) struct Peer {
    pub(crate) plan: Plan,
    pub(crate) offset: usize,
    pub(crate) piece: usize,
    /// It vanishes when it has nothing more to say.
    pub(crate) leaves: bool,
    /// Having got a close frame, it answers at once.
    pub(crate) answers_at_once: bool,
    pub(crate) answered: bool,
    pub(crate) waiting: Option<Waiting>,
}

impl Peer {
    pub(crate) fn new(plan: Plan, random: &mut Random) -> Self {
        let total: usize = plan.iter().map(Vec::len).sum();
        let piece = match random.below(4) {
            0 if total < 3000 => 1,
            1 if total < 9000 => 9,
            2 if total < 50_000 => 300,
            _ => 200_000,
        };
        let (leaves, answers_at_once) = (random.one_in(3), random.one_in(2));
        Peer { plan, offset: 0, piece, leaves, answers_at_once, answered: false, waiting: None }
    }
}
