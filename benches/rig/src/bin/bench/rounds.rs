//! Repetitions in which the peers take turns, and what came of each peer.

use crate::options::Options;
use crate::peers::Peer;
use crate::stage::Setting;
use crate::Result;

/// Characters of a failure that the table shows; standard error has all.
const MOST_WORDS: usize = 100;

/// What a peer measured, or why it did not.
pub struct Outcome<T> {
    pub peer: &'static Peer,
    pub figures: T,
    /// Words for the table; the figures are then of no use, or of fewer repetitions.
    pub unfit: Option<String>,
    /// Whether it is there, and did not do its work.
    pub failed: bool,
}

impl<T: Default> Outcome<T> {
    pub fn new(peer: &'static Peer) -> Self {
        Outcome { peer, figures: T::default(), unfit: None, failed: false }
    }

    /// Measures, unless that has proved of no use.
    pub fn measure(
        &mut self,
        setting: &Setting,
        tls: bool,
        once: impl FnOnce(&'static Peer, &mut T) -> Result<()>,
    ) {
        self.unfit = self.unfit.take().or_else(|| self.peer.unfit(setting, tls));
        if self.unfit.is_some() {
            return;
        }
        if let Err(error) = once(self.peer, &mut self.figures) {
            eprintln!("bench: {}: {error}", self.peer.name);
            let words: String = error.to_string().chars().take(MOST_WORDS).collect();
            self.unfit = Some(format!("failed: {words}"));
            self.failed = true;
        }
    }
}

/// Measures every peer in every repetition.
pub fn interleave<T: Default>(
    setting: &Setting,
    options: &Options,
    tls: bool,
    mut once: impl FnMut(&'static Peer, &mut T) -> Result<()>,
) -> Vec<Outcome<T>> {
    let mut outcomes: Vec<_> = options.peers.iter().map(|peer| Outcome::new(peer)).collect();
    for repetition in 0..options.repeat {
        for turn in options.turns(repetition) {
            outcomes[turn].measure(setting, tls, &mut once);
        }
    }
    outcomes
}

/// The outcome of one peer, if that was measured.
pub fn find<'a, T>(outcomes: &'a [Outcome<T>], name: &str) -> Option<&'a T> {
    let found = outcomes.iter().find(|outcome| outcome.peer.name == name);
    found.map(|outcome| &outcome.figures)
}

/// Whether a peer that is there did not do its work.
pub fn have_failures<T>(outcomes: &[Outcome<T>]) -> bool {
    outcomes.iter().any(|outcome| outcome.failed)
}

/// The row of a peer: its cells, or why there are none.
pub fn row<T>(outcome: &Outcome<T>, cells: impl FnOnce(&T) -> Vec<String>) -> Vec<String> {
    let cells = match &outcome.unfit {
        Some(words) => vec![words.clone()],
        None => cells(&outcome.figures),
    };
    [vec![outcome.peer.name.to_owned()], cells].concat()
}
