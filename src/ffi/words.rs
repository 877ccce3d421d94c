//! The words of failures, kept on each session and configuration for `wsproxy_error` and `wsproxy_config_error`.
//!
//! Theory: each thread has its own last failure, so that two threads that work on one handle do not read each
//! other's; a thread that had none reads the last failure of any thread. A text stays where it is until its
//! thread's next failing call, so the pointer that C holds stays good. Threads that have ended are forgotten at
//! the next failure: the memory is bounded by the threads alive, not by the failures seen.

use std::collections::BTreeMap;
use std::ffi::{c_char, CString};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::incoming::c_string;
use crate::error::{Error, Fault};

thread_local! {
    /// Alive as long as its thread. (`std::thread::current` would leave an allocation behind on threads that are
    /// not Rust's own.)
    static ALIVE: Arc<()> = Arc::new(());
}

/// Tells threads apart; its address is not given to another thread while a failure of this one is kept. A thread
/// that is being torn down has none any more: its words last until the next failure.
fn this_thread() -> Weak<()> {
    ALIVE.try_with(Arc::downgrade).unwrap_or_default()
}

fn key(thread: &Weak<()>) -> usize {
    thread.as_ptr().addr()
}

/// The last failures on one session or configuration.
#[derive(Default)]
pub(super) struct Words {
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    of: BTreeMap<usize, Failure>,
    last: Option<(CString, Fault)>,
}

struct Failure {
    text: CString,
    fault: Fault,
    /// Another thread's failure, copied here so that the pointer is this thread's own.
    borrowed: bool,
    thread: Weak<()>,
}

impl Words {
    /// Keeps the words of `error` for the calling thread.
    pub(super) fn record(&self, error: &Error) {
        let text = c_string(&error.to_string());
        let mut failures = self.failures.lock();
        failures.of.retain(|_, failure| failure.thread.strong_count() > 0);
        failures.last = Some((text.clone(), error.fault()));
        failures.keep(text, error.fault(), false);
    }

    /// The words for the calling thread; empty when nothing failed yet.
    pub(super) fn text(&self) -> *const c_char {
        self.with_failure(|failure| failure.map_or(c"".as_ptr(), |failure| failure.text.as_ptr()))
    }

    /// Whose fault that was.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.with_failure(|failure| failure.map(|failure| failure.fault))
    }

    fn with_failure<T>(&self, read: impl FnOnce(Option<&Failure>) -> T) -> T {
        let mut failures = self.failures.lock();
        failures.borrow_last();
        read(failures.of.get(&key(&this_thread())))
    }
}

impl Failures {
    /// Gives the calling thread a copy of the last failure, unless it has one of its own.
    fn borrow_last(&mut self) {
        let Some((text, fault)) = &self.last else { return };
        let up_to_date = self
            .of
            .get(&key(&this_thread()))
            .is_some_and(|mine| !mine.borrowed || (mine.text == *text && mine.fault == *fault));
        if !up_to_date {
            let (text, fault) = (text.clone(), *fault);
            self.keep(text, fault, true);
        }
    }

    fn keep(&mut self, text: CString, fault: Fault, borrowed: bool) {
        let thread = this_thread();
        self.of.insert(key(&thread), Failure { text, fault, borrowed, thread });
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn read(words: &Words) -> String {
        // SAFETY: the text is this thread's own and nothing fails meanwhile.
        unsafe { CStr::from_ptr(words.text()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_failed_yet_reads_as_an_empty_text() {
        let words = Words::default();
        assert_eq!(read(&words), "");
        assert_eq!(words.fault(), None);
    }

    #[test]
    fn each_thread_reads_its_own_failure_and_others_the_last() {
        let words = Words::default();
        words.record(&Error::argument("first"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(read(&words), "host: first");
                words.record(&Error::system("second", "gone"));
                assert_eq!(read(&words), "system: second: gone");
                assert_eq!(words.fault(), Some(Fault::System));
            });
        });
        assert_eq!(read(&words), "host: first");
    }

    #[test]
    fn a_thread_without_a_failure_of_its_own_follows_the_last_one() {
        let words = Words::default();
        for said in ["one", "two"] {
            std::thread::scope(|scope| drop(scope.spawn(|| words.record(&Error::argument(said)))));
            assert_eq!(read(&words), format!("host: {said}"));
        }
    }

    #[test]
    fn threads_that_ended_leave_no_words_behind() {
        let words = Words::default();
        for _ in 0..100 {
            std::thread::scope(|scope| {
                scope.spawn(|| words.record(&Error::argument("short life")));
            });
        }
        // Scoped threads are over for us before their thread-locals are gone, so a few may still be there.
        std::thread::sleep(std::time::Duration::from_millis(50));
        words.record(&Error::argument("here"));
        assert!(words.failures.lock().of.len() < 10);
    }
}
