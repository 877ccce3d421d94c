//! How the host asks for the end of a session from outside, and how soon it is to come.
//!
//! Rules: a request may become more urgent, never less. Of equally urgent ones the first counts; a stop brings its own
//! close frame, an abort keeps the one that was asked for before.

use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use crate::ws::close::Close;

/// How soon the end is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// It was not asked for.
    None,
    /// Between messages: what was begun is finished first.
    Drain,
    /// Between frames; then both sides have the close timeout to answer.
    Stop,
    /// Now; nobody is waited for.
    Abort,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct EndRequest {
    urgency: AtomicU8,
    close: Mutex<Option<Close>>,
}

impl EndRequest {
    /// Nothing yet.
    pub(crate) fn none() -> Self {
        EndRequest { urgency: AtomicU8::new(Urgency::None as u8), close: Mutex::new(None) }
    }

    /// Asks for the end with `close`. Whether that changes anything.
    pub(crate) fn raise(&self, urgency: Urgency, close: Close) -> bool {
        let mut asked = self.close.lock();
        if urgency <= self.urgency() {
            return false;
        }
        if urgency != Urgency::Abort || asked.is_none() {
            *asked = Some(close);
        }
        self.urgency.store(urgency as u8, Ordering::Release);
        true
    }

    /// How soon. Cheap: it may be asked once per frame.
    pub(crate) fn urgency(&self) -> Urgency {
        match self.urgency.load(Ordering::Acquire) {
            0 => Urgency::None,
            1 => Urgency::Drain,
            2 => Urgency::Stop,
            _ => Urgency::Abort,
        }
    }

    /// With which close frame.
    pub(crate) fn close(&self) -> Option<Close> {
        self.close.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u16) -> Close {
        Close::new(code, "").unwrap()
    }

    fn code(request: &EndRequest) -> Option<u16> {
        request.close().and_then(|close| close.code())
    }

    #[test]
    fn a_request_becomes_more_urgent_and_never_less() {
        let request = EndRequest::none();
        assert_eq!((request.urgency(), code(&request)), (Urgency::None, None));
        assert!(request.raise(Urgency::Drain, close(4001)));
        assert!(!request.raise(Urgency::Drain, close(4002)));
        assert_eq!((request.urgency(), code(&request)), (Urgency::Drain, Some(4001)));
        assert!(request.raise(Urgency::Stop, close(4003)));
        assert!(!request.raise(Urgency::Stop, close(4004)));
        assert!(!request.raise(Urgency::Drain, close(4005)));
        assert_eq!((request.urgency(), code(&request)), (Urgency::Stop, Some(4003)));
        assert!(request.raise(Urgency::Abort, close(1001)));
        assert!(!request.raise(Urgency::Stop, close(4006)));
        assert_eq!((request.urgency(), code(&request)), (Urgency::Abort, Some(4003)));
    }

    #[test]
    fn an_abort_without_a_request_before_it_has_its_own_close() {
        let request = EndRequest::none();
        assert!(request.raise(Urgency::Abort, close(1001)));
        assert_eq!(code(&request), Some(1001));
    }
}
