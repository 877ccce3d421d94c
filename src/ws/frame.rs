//! The words of RFC 6455 that every other file speaks: sides, kinds, close codes, a frame's head.
//!
//! Rule: no behaviour here beyond naming and classifying.

use std::fmt;

/// One of the two ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The end that asked for the upgrade.
    Client,
    /// The end that the proxy dialled.
    Upstream,
}

impl Side {
    /// Both sides, client first.
    pub const BOTH: [Side; 2] = [Side::Client, Side::Upstream];

    /// The other end.
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Upstream,
            Side::Upstream => Side::Client,
        }
    }

    /// `"client"` or `"upstream"`.
    pub fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Upstream => "upstream",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerSide<T> {
    /// The client's.
    pub client: T,
    /// The upstream's.
    pub upstream: T,
}

impl<T> PerSide<T> {
    /// Makes one value for each side.
    pub fn from_fn(mut make: impl FnMut(Side) -> T) -> Self {
        PerSide { client: make(Side::Client), upstream: make(Side::Upstream) }
    }

    /// The value of `side`.
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Upstream => &self.upstream,
        }
    }

    /// The value of `side`, to change.
    pub fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }
}

/// The type of a frame (RFC 6455 section 5.2); the numbers are the opcodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A later fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A ping.
    Ping = 0x9,
    /// A pong.
    Pong = 0xA,
}

impl Kind {
    /// Every kind, in the order of their opcodes.
    pub const ALL: [Kind; 6] =
        [Kind::Continuation, Kind::Text, Kind::Binary, Kind::Close, Kind::Ping, Kind::Pong];

    /// Where it is in [`Kind::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Kind::Continuation => 0,
            Kind::Text => 1,
            Kind::Binary => 2,
            Kind::Close => 3,
            Kind::Ping => 4,
            Kind::Pong => 5,
        }
    }

    /// Whether this is a control frame: one bit of the opcode says so (RFC 6455 section 5.5).
    #[inline]
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    /// `"text"`, `"binary"`, `"continuation"`, `"close"`, `"ping"` or `"pong"`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Continuation => "continuation",
            Kind::Text => "text",
            Kind::Binary => "binary",
            Kind::Close => "close",
            Kind::Ping => "ping",
            Kind::Pong => "pong",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_knows_its_place_among_all() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), at, "{kind}");
        }
    }
}
