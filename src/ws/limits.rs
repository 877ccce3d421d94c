//! Limits on what a peer may send, checked on the header: before the payload is there and before memory is taken.
//!
//! Rules: exactly the limit passes; an unfragmented frame is a message of one fragment; empty fragments count;
//! control frames are exempt (RFC 6455 limits them itself); aggregated or not makes no difference.

use super::violation::Violation;

/// What one side may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one frame.
    pub max_frame_size: u64,
    /// Payload bytes of one message.
    pub max_message_size: u64,
    /// Frames of one message.
    pub max_fragments: u64,
    /// Whether the close frame that follows has a reason.
    pub explain: bool,
}

/// What the message under way has used up.
#[derive(Debug, Default)]
pub struct Meter {
    size: u64,
    fragments: u64,
}

impl Meter {
    /// Counts a data frame of `len` payload bytes, or says which limit it breaks.
    #[inline]
    pub fn count(&mut self, len: u64, first: bool, limits: &Limits) -> Result<(), Violation> {
        if first {
            *self = Meter::default();
        }
        self.size = self.size.saturating_add(len);
        self.fragments = self.fragments.saturating_add(1);
        let within = len <= limits.max_frame_size
            && self.size <= limits.max_message_size
            && self.fragments <= limits.max_fragments;
        match within {
            true => Ok(()),
            false => Err(self.breach(len, limits)),
        }
    }

    #[cold]
    fn breach(&self, len: u64, limits: &Limits) -> Violation {
        let (what, value, limit) = match () {
            () if len > limits.max_frame_size => ("frame size", len, limits.max_frame_size),
            () if self.size > limits.max_message_size => {
                ("message size", self.size, limits.max_message_size)
            }
            () => ("fragment count", self.fragments, limits.max_fragments),
        };
        Violation::too_big(format!("{what} {value} exceeds the limit of {limit}"), limits.explain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { max_frame_size: 10, max_message_size: 15, max_fragments: 3, explain: false };

    #[test]
    fn exactly_the_limit_passes_and_one_more_does_not() {
        assert!(Meter::default().count(10, true, &LIMITS).is_ok());
        assert!(Meter::default().count(11, true, &LIMITS).is_err());
        let mut meter = Meter::default();
        assert!(meter.count(10, true, &LIMITS).is_ok());
        assert!(meter.count(5, false, &LIMITS).is_ok());
        let error = meter.count(1, false, &LIMITS).unwrap_err();
        assert_eq!(error.to_string(), "message size 16 exceeds the limit of 15");
        assert_eq!(error.code(), 1009);
    }

    #[test]
    fn empty_fragments_count() {
        let mut meter = Meter::default();
        assert!((0..3).all(|i| meter.count(0, i == 0, &LIMITS).is_ok()));
        assert!(meter.count(0, false, &LIMITS).is_err());
    }

    #[test]
    fn a_new_message_starts_from_zero() {
        let mut meter = Meter::default();
        assert!((0..100).all(|_| meter.count(10, true, &LIMITS).is_ok()));
    }

    #[test]
    fn sums_beyond_64_bits_do_not_wrap() {
        let limits = Limits { max_frame_size: u64::MAX, max_message_size: u64::MAX - 1, ..LIMITS };
        let mut meter = Meter::default();
        assert!(meter.count(u64::MAX - 1, true, &limits).is_ok());
        assert!(meter.count(u64::MAX - 1, false, &limits).is_err());
    }
}
