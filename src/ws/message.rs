//! Messages and their fragments (RFC 6455 section 5.4), coming in and going out.
//!
//! Rules: coming in, a message is not begun inside another and not continued when none is open. Going out, what
//! the hook left of a message is again a message: the first fragment sent carries the type, and a message of
//! which something was sent is always ended.

use super::decode::Header;
use super::frame::Kind;
use super::limits::{Limits, Meter};
use super::violation::Violation;

/// The message that a side is sending.
#[derive(Debug, Default)]
pub struct Incoming {
    open: Option<Kind>,
    meter: Meter,
}

impl Incoming {
    /// Takes the header of a data frame; gives the type of its message.
    #[inline]
    pub fn admit(&mut self, header: &Header, limits: &Limits) -> Result<Kind, Violation> {
        let kind = match (header.kind, self.open) {
            (Kind::Continuation, Some(kind)) => kind,
            (Kind::Continuation, None) => {
                return Err(Violation::protocol("a continuation comes without a message"))
            }
            (_, Some(_)) => {
                return Err(Violation::protocol("a message begins inside another message"))
            }
            (kind, None) => kind,
        };
        self.meter.count(header.len, self.open.is_none(), limits)?;
        self.open = (!header.fin).then_some(kind);
        Ok(kind)
    }
}

/// The message that the other side is being sent.
#[derive(Debug, Default)]
pub struct Outgoing {
    begun: bool,
}

impl Outgoing {
    /// Whether a message has been begun and not ended: no other data frame may be sent now.
    pub fn is_open(&self) -> bool {
        self.begun
    }

    /// The opcode for the next fragment of a message of type `kind`, which it ends if `fin`.
    pub fn next(&mut self, kind: Kind, fin: bool) -> Kind {
        let opcode = if self.begun { Kind::Continuation } else { kind };
        self.begun = !fin;
        opcode
    }

    /// A fragment is not sent. Whether an empty final one must go out in its place.
    pub fn skip(&mut self, fin: bool) -> bool {
        fin && std::mem::take(&mut self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { max_frame_size: 9, max_message_size: 9, max_fragments: 9, explain: false };

    fn header(kind: Kind, fin: bool) -> Header {
        Header { kind, fin, len: 1, size: 2, mask: None }
    }

    #[test]
    fn a_message_inside_a_message_is_refused() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.admit(&header(Kind::Text, false), &LIMITS), Ok(Kind::Text));
        assert!(incoming.admit(&header(Kind::Binary, true), &LIMITS).is_err());
    }

    #[test]
    fn a_continuation_without_a_message_is_refused() {
        let mut incoming = Incoming::default();
        assert!(incoming.admit(&header(Kind::Continuation, true), &LIMITS).is_err());
        assert!(incoming.admit(&header(Kind::Text, true), &LIMITS).is_ok());
        assert!(incoming.admit(&header(Kind::Continuation, true), &LIMITS).is_err());
    }

    #[test]
    fn dropping_the_first_fragment_moves_the_type_to_the_next() {
        let mut outgoing = Outgoing::default();
        assert!(!outgoing.skip(false));
        assert_eq!(outgoing.next(Kind::Text, false), Kind::Text);
        assert_eq!(outgoing.next(Kind::Text, true), Kind::Continuation);
        assert!(!outgoing.is_open());
    }

    #[test]
    fn dropping_the_last_fragment_ends_what_went_out() {
        let mut outgoing = Outgoing::default();
        outgoing.next(Kind::Text, false);
        assert!(outgoing.skip(true));
        assert!(!outgoing.is_open());
        assert!(!outgoing.skip(true), "nothing went out");
    }
}
