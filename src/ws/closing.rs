//! The closing handshake with one side, as a table (RFC 6455 sections 5.5.1 and 7.1).
//!
//! Rule: whoever sends, receives or loses something says so here, and asks here what is allowed next.
//!
//! ```text
//!            a close came   we sent one   cannot be read   end of stream
//! Open       Asked          Told          Broken           Gone
//! Asked      -              Done          -                Left
//! Told       Done           -             Failed           Gone
//! Left       -              Gone          -                -
//! Broken     -              Failed        -                Gone
//! Done, Failed: end of stream -> Gone; the rest changes nothing
//! ```

use super::frame::Side;

/// How far the closing handshake with one side has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Closing {
    /// No close frame either way.
    #[default]
    Open,
    /// It sent a close and was not answered yet.
    Asked,
    /// It sent a close and then ended its stream. It may still read, so the answer is owed all the same.
    Left,
    /// It was sent a close and has not answered yet.
    Told,
    /// Both close frames have passed.
    Done,
    /// It broke the protocol: nothing that it sends can be understood any more. It was not told yet.
    Broken,
    /// It broke the protocol and was told; only the end of its stream can follow.
    Failed,
    /// Its stream has ended.
    Gone,
}

/// What can happen to the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A close frame came.
    Received,
    /// A close frame was sent.
    Sent,
    /// It broke the protocol.
    Broke,
    /// Its stream ended.
    Ended,
}

impl Closing {
    /// The state after `event`.
    #[must_use]
    pub fn after(self, event: Event) -> Closing {
        match (self, event) {
            (Closing::Asked | Closing::Left, Event::Ended) => Closing::Left,
            (_, Event::Ended) | (Closing::Left, Event::Sent) => Closing::Gone,
            (Closing::Open, Event::Received) => Closing::Asked,
            (Closing::Open, Event::Sent) => Closing::Told,
            (Closing::Open, Event::Broke) => Closing::Broken,
            (Closing::Asked, Event::Sent) | (Closing::Told, Event::Received) => Closing::Done,
            (Closing::Told, Event::Broke) | (Closing::Broken, Event::Sent) => Closing::Failed,
            (state, _) => state,
        }
    }

    /// Whether frames may still be sent to it. After a close frame nothing may follow (section 5.5.1).
    pub fn may_send(self) -> bool {
        matches!(self, Closing::Open | Closing::Asked | Closing::Left | Closing::Broken)
    }

    /// Whether frames from it still count.
    pub fn may_receive(self) -> bool {
        matches!(self, Closing::Open | Closing::Told)
    }

    /// Whether it was sent a close and owes the answer.
    pub fn owes_answer(self) -> bool {
        self == Closing::Told
    }

    /// Whether anything of the closing handshake has begun.
    pub fn has_begun(self) -> bool {
        self != Closing::Open
    }

    /// Whether our half of the TCP connection is to be closed once all bytes are out. The server closes first
    /// (section 7.1.1): we are the server of the client and the client of the upstream. One that cannot be
    /// understood any more is not waited for.
    pub fn wants_fin(self, side: Side) -> bool {
        match side {
            Side::Client => matches!(self, Closing::Done | Closing::Failed | Closing::Gone),
            Side::Upstream => matches!(self, Closing::Failed | Closing::Gone),
        }
    }

    /// Whether anything that still comes from it matters: its close frame, or the end of its stream. From a client
    /// that has sent its close nothing does; the upstream is to close the connection.
    pub fn is_awaited(self, side: Side) -> bool {
        match side {
            Side::Client => {
                !matches!(self, Closing::Asked | Closing::Left | Closing::Done | Closing::Gone)
            }
            Side::Upstream => !matches!(self, Closing::Left | Closing::Gone),
        }
    }

    /// Whether everything with it is over.
    pub fn is_over(self, side: Side) -> bool {
        self == Closing::Gone || (self == Closing::Done && side == Side::Client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_the_handshake_end_done() {
        let asked = Closing::Open.after(Event::Received).after(Event::Sent);
        let told = Closing::Open.after(Event::Sent).after(Event::Received);
        assert_eq!((asked, told), (Closing::Done, Closing::Done));
    }

    #[test]
    fn nothing_may_be_sent_after_a_close() {
        let told = Closing::Open.after(Event::Sent);
        assert!(!told.may_send() && !told.after(Event::Received).may_send());
    }

    #[test]
    fn nothing_counts_after_a_close_came() {
        let asked = Closing::Open.after(Event::Received);
        assert!(!asked.may_receive() && asked.may_send());
    }

    #[test]
    fn a_side_that_ends_its_stream_behind_its_close_is_still_owed_the_answer() {
        let left = Closing::Open.after(Event::Received).after(Event::Ended);
        assert!(
            left.may_send() && !left.is_awaited(Side::Upstream) && !left.is_over(Side::Upstream)
        );
        assert_eq!(left.after(Event::Sent), Closing::Gone);
    }

    #[test]
    fn the_client_is_let_go_at_once_and_the_upstream_closes_first() {
        assert!(Closing::Done.wants_fin(Side::Client) && Closing::Done.is_over(Side::Client));
        assert!(!Closing::Done.wants_fin(Side::Upstream) && !Closing::Done.is_over(Side::Upstream));
        assert!(
            !Closing::Asked.is_awaited(Side::Client) && Closing::Asked.is_awaited(Side::Upstream)
        );
    }

    #[test]
    fn a_side_that_broke_the_protocol_is_told_once_and_not_waited_for() {
        let broken = Closing::Open.after(Event::Broke);
        assert!(broken.may_send() && !broken.may_receive());
        let failed = broken.after(Event::Sent);
        assert!(
            !failed.may_send()
                && failed.wants_fin(Side::Client)
                && failed.wants_fin(Side::Upstream)
        );
    }
}
