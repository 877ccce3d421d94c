//! The sessions of a server: who is there, how many there were, and word to all of them at once.
//!
//! Rule: whoever comes after a word was given to all is given it too, under the same lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

use super::drain::Step;
use super::ServerStats;
use crate::session::Proxy;

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    members: Mutex<Members>,
    pub(super) counters: Counters,
}

#[derive(Debug, Default)]
struct Members {
    present: HashMap<u64, Arc<Proxy>>,
    word: Option<(Step, u16)>,
}

/// See [`ServerStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: Counter,
    pub(super) active: Counter,
    pub(super) refused: Counter,
    /// Being refused now; not told.
    pub(super) refusing: Counter,
    pub(super) dropped: Counter,
    pub(super) completed: Counter,
    pub(super) failed: Counter,
}

/// Something that is counted.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Crowd {
    /// A session begins.
    pub(super) fn enter(&self, number: u64, proxy: &Arc<Proxy>) {
        let mut members = self.members.lock();
        members.present.insert(number, Arc::clone(proxy));
        if let Some((step, code)) = members.word {
            tell(proxy, step, code);
        }
    }

    /// A session has ended.
    pub(super) fn leave(&self, number: u64) {
        let left = self.members.lock().present.remove(&number);
        drop(left); // not under the lock
    }

    /// Gives this word to all who are there, and to all who come.
    pub(super) fn tell_all(&self, step: Step, code: u16) {
        let mut members = self.members.lock();
        members.word = Some((step, code));
        members.present.values().for_each(|proxy| tell(proxy, step, code));
    }

    /// Takes the word back: nobody is left to be told.
    pub(super) fn calm(&self) {
        self.members.lock().word = None;
    }

    pub(super) fn stats(&self) -> ServerStats {
        let Counters { accepted, active, refused, dropped, completed, failed, .. } = &self.counters;
        ServerStats {
            accepted: accepted.get(),
            active: active.get(),
            refused: refused.get(),
            dropped: dropped.get(),
            completed: completed.get(),
            failed: failed.get(),
        }
    }
}

/// The code was checked when it was asked for.
fn tell(proxy: &Proxy, step: Step, code: u16) {
    let _ = match step {
        Step::Drain => proxy.drain(code, ""),
        Step::Stop => proxy.stop(code, ""),
        Step::Abort => {
            let told = proxy.stop(code, "");
            proxy.abort();
            told
        }
    };
}
