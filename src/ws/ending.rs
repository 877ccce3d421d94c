//! Why a session ends, what each side is told, and what `execute` says about it: one table for both drivers.

use std::borrow::Cow;

use super::close::Close;
use super::closing::Closing;
use super::frame::{PerSide, Side};
use super::outbox::Outbox;
use super::violation::{Violation, AWAY, INTERNAL_ERROR};
use crate::error::{Error, ErrorKind, Fault};

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A side broke the protocol or a limit.
    Violation(Side, Violation),
    /// A side went away without a close frame; the words say how.
    Gone(Side, Cow<'static, str>),
    /// The connection of a side ended after its close frame, and the other side was never told.
    Left(Side),
    /// The hook failed.
    HookFailed(String),
    /// The hook ended the session.
    Ended(PerSide<Close>),
    /// The host stopped the session.
    Stopped(Close),
    /// Nothing came from either side for the idle timeout.
    Idle(String),
    /// A side took no bytes for the write timeout.
    Stalled(Side, String),
    /// A side did not answer, a close frame within the close timeout or pings within the idle timeout.
    Unanswered(Side, String),
    /// A close frame was dropped by the hook, and nothing followed within the close timeout.
    CloseDropped(Side, Close),
    /// The system refused something that the session cannot do without.
    System(Error),
}

impl Cause {
    /// The stream of `side` has ended: after its close frame or without one, and then perhaps inside a frame.
    pub fn stream_ended(side: Side, closed: bool, mid_frame: bool, how: &str) -> Cause {
        match (closed, mid_frame) {
            (true, _) => Cause::Left(side),
            (false, false) => Cause::Gone(side, format!("{how} without a close frame").into()),
            (false, true) => Cause::Gone(side, format!("{how} in the middle of a frame").into()),
        }
    }

    /// The idle timeout, of `period` ms, has passed.
    pub fn idle(period: u64) -> Cause {
        Cause::Idle(format!("nothing came from either side for {period} ms"))
    }

    /// `side` has answered none of the proxy's pings for `period` ms.
    pub fn silent(side: Side, period: u64) -> Cause {
        Cause::Unanswered(side, format!("sent nothing for {period} ms, in spite of pings"))
    }

    /// The write timeout, of `period` ms, has passed for `side`.
    pub fn stalled(side: Side, period: u64) -> Cause {
        Cause::Stalled(side, format!("took no bytes for {period} ms"))
    }

    /// The close timeout, of `period` ms, has passed. `None` when only the end of a stream is missing.
    pub fn overdue(client: &Outbox, upstream: &Outbox, period: u64) -> Option<Cause> {
        let sides = [(Side::Client, client, upstream), (Side::Upstream, upstream, client)];
        for (side, its, others) in sides {
            if matches!(its.closing(), Closing::Asked | Closing::Left)
                && others.closing() == Closing::Open
            {
                return Some(Cause::CloseDropped(side, its.close_received().cloned()?));
            }
        }
        let (side, ..) = sides.into_iter().find(|(_, its, _)| its.closing().owes_answer())?;
        Some(Cause::Unanswered(side, format!("did not answer a close frame within {period} ms")))
    }

    /// The close frame for `side`.
    pub fn close_for(&self, side: Side) -> Close {
        match self {
            Cause::Violation(by, violation) if *by == side => {
                Close::mapped(Some(violation.code()), violation.reason())
            }
            Cause::Violation(_, violation) if violation.is_limit() => Close::code_only(AWAY),
            Cause::CloseDropped(by, close) if *by == side => close.clone(),
            Cause::Violation(by, _)
            | Cause::Gone(by, _)
            | Cause::Left(by)
            | Cause::Stalled(by, _)
            | Cause::Unanswered(by, _)
            | Cause::CloseDropped(by, _) => Close::code_only(lost(*by)),
            Cause::HookFailed(_) | Cause::System(_) => Close::code_only(INTERNAL_ERROR),
            Cause::Ended(closes) => closes.get(side).clone(),
            Cause::Stopped(close) => close.clone(),
            Cause::Idle(_) => Close::code_only(AWAY),
        }
    }

    /// What `execute` returns; `None` for an orderly end.
    pub fn error(&self) -> Option<Error> {
        let (kind, fault, words) = match self {
            Cause::Left(_) | Cause::Ended(_) | Cause::Stopped(_) | Cause::CloseDropped(..) => {
                return None
            }
            Cause::System(error) => return Some(error.clone()),
            Cause::Violation(by, violation) if violation.is_limit() => {
                (ErrorKind::Limit, fault_of(*by), violation.to_string())
            }
            Cause::Violation(by, violation) => {
                (ErrorKind::Protocol, fault_of(*by), violation.to_string())
            }
            Cause::Gone(by, words) => (ErrorKind::Gone, fault_of(*by), words.clone().into_owned()),
            Cause::HookFailed(why) => (ErrorKind::Hook, Fault::Host, why.clone()),
            Cause::Idle(words) => (ErrorKind::Timeout, Fault::Client, words.clone()),
            Cause::Stalled(by, words) | Cause::Unanswered(by, words) => {
                (ErrorKind::Timeout, fault_of(*by), words.clone())
            }
        };
        Some(Error::new(kind, fault, words))
    }
}

/// What the other side is told when `side` is lost: the client may leave, the upstream must not.
fn lost(side: Side) -> u16 {
    match side {
        Side::Client => AWAY,
        Side::Upstream => INTERNAL_ERROR,
    }
}

/// The fault of a side.
pub fn fault_of(side: Side) -> Fault {
    match side {
        Side::Client => Fault::Client,
        Side::Upstream => Fault::Upstream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(cause: &Cause) -> (Option<u16>, Option<u16>) {
        (cause.close_for(Side::Client).code(), cause.close_for(Side::Upstream).code())
    }

    #[test]
    fn the_offender_hears_its_fault_and_the_other_side_that_it_was_lost() {
        let broke = || Violation::protocol("x");
        let (client, upstream) = (Side::Client, Side::Upstream);
        assert_eq!(codes(&Cause::Violation(client, broke())), (Some(1002), Some(1001)));
        assert_eq!(codes(&Cause::Violation(upstream, broke())), (Some(1011), Some(1002)));
        assert_eq!(codes(&Cause::Gone(client, "x".into())).1, Some(1001));
        assert_eq!(codes(&Cause::Gone(upstream, "x".into())).0, Some(1011));
    }

    #[test]
    fn over_a_limit_the_offender_hears_1009_and_the_other_side_1001() {
        for (by, expected) in
            [(Side::Client, (Some(1009), Some(1001))), (Side::Upstream, (Some(1001), Some(1009)))]
        {
            let cause = Cause::Violation(by, Violation::too_big("x".into(), true));
            assert_eq!(codes(&cause), expected);
            assert_eq!(cause.close_for(by).reason(), "Payload Too Large");
            assert_eq!(cause.close_for(by.other()).reason(), "");
        }
    }
}
