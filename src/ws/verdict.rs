//! What the hook sees, and what it may answer.
//!
//! Rules: a frame is lent for one call. What would be illegal on the wire is refused to the hook at once, with
//! an error and nothing changed; so a verdict can be carried out, but for one that leaves half a character.

use super::close::{wire_code, Close, MAX_REASON};
use super::decode::MAX_CONTROL_PAYLOAD;
use super::frame::{Kind, Side};
use super::utf8::Utf8;
use crate::error::{Error, Result};

/// The hook's answer to a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on, with the payload and the close code as the hook left them.
    Forward,
    /// Do not send it on. What is left of a text message must still be UTF-8 (where that is checked): to drop a
    /// fragment that was cut inside a character is a failed hook. Aggregated messages have no fragments.
    Drop,
    /// Do not send it on, and end the session with a close frame for each side.
    End {
        /// What the client is sent.
        client: Close,
        /// What the upstream is sent.
        upstream: Close,
    },
    /// The hook failed, for this reason: both sides are sent 1011 and `execute` returns the error.
    Failed(String),
}

/// A frame, lent to the hook; a whole message where messages are aggregated.
#[derive(Debug)]
pub struct Frame<'a> {
    pub(super) from: Side,
    pub(super) kind: Kind,
    pub(super) fin: bool,
    pub(super) payload: &'a mut [u8],
    pub(super) code: Option<u16>,
    /// Where the text sent on so far has stopped; `None` where UTF-8 is not checked.
    pub(super) text: Option<Utf8>,
    pub(super) changes: &'a mut Changes,
}

/// What the hook changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) replaced: bool,
    /// The new payload, if it is not as long as the old one.
    pub(super) other_len: Option<Vec<u8>>,
    pub(super) code: Option<Option<u16>>,
}

impl Frame<'_> {
    /// The side that sent it.
    pub fn from(&self) -> Side {
        self.from
    }

    /// Its type. The later fragments of a message are continuations, whatever its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it ends its message; always true for control frames and aggregated messages.
    pub fn fin(&self) -> bool {
        self.fin
    }

    /// The payload, unmasked; of a close frame the reason.
    pub fn payload(&self) -> &[u8] {
        self.changes.other_len.as_deref().unwrap_or(self.payload)
    }

    /// The code of a close frame; `None` if it has none, and for other frames.
    pub fn code(&self) -> Option<u16> {
        self.changes.code.unwrap_or(self.code)
    }

    /// Replaces the payload by a copy of `payload`; of a close frame the reason.
    ///
    /// Refused, with nothing changed: over 125 bytes in a ping or pong, over 123 in a close frame, and text or a
    /// reason that is not UTF-8. A fragment may end inside a character if the message goes on.
    pub fn set_payload(&mut self, payload: &[u8]) -> Result<()> {
        self.check_payload(payload)?;
        self.changes.replaced = true;
        if payload.len() == self.payload.len() {
            self.payload.copy_from_slice(payload);
            self.changes.other_len = None;
        } else {
            let buffer = self.changes.other_len.get_or_insert_default();
            buffer.clear();
            buffer.extend_from_slice(payload);
        }
        Ok(())
    }

    /// Replaces the code of a close frame; `None` and 1005 send none, and no reason either. Other numbers that
    /// must not be on the wire become 1011. Refused for other frames.
    pub fn set_code(&mut self, code: Option<u16>) -> Result<()> {
        if self.kind != Kind::Close {
            return Err(Error::argument(format!("a {} frame has no close code", self.kind)));
        }
        self.changes.replaced = true;
        self.changes.code = Some(wire_code(code));
        Ok(())
    }

    fn check_payload(&self, payload: &[u8]) -> Result<()> {
        match self.kind {
            Kind::Close if payload.len() > MAX_REASON => {
                Err(too_long("a close reason", payload, MAX_REASON))
            }
            Kind::Close if self.code().is_none() && !payload.is_empty() => {
                let words = "a close without a code has no place for a reason: set the code first";
                Err(Error::argument(words))
            }
            Kind::Close if std::str::from_utf8(payload).is_err() => {
                Err(Error::argument("a close reason must be UTF-8"))
            }
            Kind::Ping | Kind::Pong if payload.len() > MAX_CONTROL_PAYLOAD => {
                Err(too_long("the payload of a control frame", payload, MAX_CONTROL_PAYLOAD))
            }
            Kind::Text | Kind::Continuation if !self.text_may_go_on_with(payload) => {
                Err(Error::argument("the payload of a text message must be UTF-8"))
            }
            _ => Ok(()),
        }
    }

    fn text_may_go_on_with(&self, payload: &[u8]) -> bool {
        match self.text {
            Some(mut text) => text.feed(payload) && (!self.fin || text.is_complete()),
            None => true,
        }
    }
}

fn too_long(what: &str, payload: &[u8], limit: usize) -> Error {
    Error::argument(format!("{what} of {} bytes is longer than {limit}", payload.len()))
}
