//! What a close frame says: a code, a reason, or nothing (RFC 6455 section 7.4).
//!
//! Rules: legal on the wire are 1000-1003, 1007-1014 and 3000-4999. From a peer anything else is a protocol
//! error. From the host 1005 becomes "no code", every other illegal number becomes 1011: it is never sent.

use tungstenite::protocol::frame::coding::CloseCode;

use super::violation::{Violation, INTERNAL_ERROR, NO_STATUS};
use crate::error::{Error, Result};

/// The longest reason: a control frame's 125 bytes less the code.
pub const MAX_REASON: usize = 123;

/// The body of a close frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Close {
    code: Option<u16>,
    reason: String,
}

impl Close {
    /// A close frame of the host's. 1005 stands for "no code"; other numbers that must not be on the wire become
    /// 1011. A reason of more than 123 bytes is refused, and one without a code: it has no place in the frame.
    pub fn new(code: u16, reason: &str) -> Result<Close> {
        if reason.len() > MAX_REASON {
            return Err(Error::argument(format!(
                "a close reason of {} bytes is longer than {MAX_REASON}",
                reason.len()
            )));
        }
        if code == NO_STATUS && !reason.is_empty() {
            return Err(Error::argument("a close without a code has no place for a reason"));
        }
        Ok(Close::mapped(Some(code), reason))
    }

    /// A close frame without code and reason.
    pub fn none() -> Close {
        Close::default()
    }

    /// A code of this library's own, without reason.
    pub(crate) fn code_only(code: u16) -> Close {
        Close { code: Some(code), reason: String::new() }
    }

    /// The code, if there is one.
    pub fn code(&self) -> Option<u16> {
        self.code
    }

    /// The reason; empty if there is none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn mapped(code: Option<u16>, reason: &str) -> Close {
        match wire_code(code) {
            None => Close::none(),
            code => Close { code, reason: reason.to_owned() },
        }
    }

    /// Reads a peer's close frame (sections 5.5.1, 7.4.1, 8.1).
    pub(crate) fn parse(payload: &[u8]) -> Result<Close, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(Close::none()),
            [_] => return Err(Violation::protocol("a close frame has half a code")),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        if !is_legal(code) {
            return Err(Violation::protocol(format!("close code {code} must not be on the wire")));
        }
        let reason = std::str::from_utf8(reason)
            .map_err(|_| Violation::not_utf8("a close reason is not UTF-8"))?;
        Ok(Close { code: Some(code), reason: reason.to_owned() })
    }

    pub(crate) fn to_payload(&self) -> Vec<u8> {
        match self.code {
            None => Vec::new(),
            Some(code) => [&code.to_be_bytes(), self.reason.as_bytes()].concat(),
        }
    }
}

/// The code that goes on the wire for a code that the host names.
pub fn wire_code(code: Option<u16>) -> Option<u16> {
    match code {
        None | Some(NO_STATUS) => None,
        Some(code) if is_legal(code) => Some(code),
        Some(_) => Some(INTERNAL_ERROR),
    }
}

fn is_legal(code: u16) -> bool {
    // 1014 (bad gateway) is registered with IANA and newer than tungstenite's list; its 1004 is reserved there.
    code == 1014 || (CloseCode::from(code).is_allowed() && code != 1004)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_registered_and_private_codes_are_legal() {
        let legal: Vec<u16> = (0..=u16::MAX).filter(|&code| is_legal(code)).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(legal, expected);
    }

    #[test]
    fn codes_that_must_not_be_sent_are_mapped() {
        assert_eq!(Close::new(1005, "").unwrap(), Close::none());
        assert!(Close::new(1005, "lost").is_err());
        for code in [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(Close::new(code, "").unwrap().code(), Some(1011), "{code}");
        }
    }

    #[test]
    fn a_reason_of_124_bytes_is_refused_and_one_of_123_is_not() {
        assert!(Close::new(1000, &"x".repeat(123)).is_ok());
        assert!(Close::new(1000, &"x".repeat(124)).is_err());
    }

    #[test]
    fn a_peers_close_is_read_or_refused() {
        assert_eq!(Close::parse(b"").unwrap(), Close::none());
        assert_eq!(Close::parse(b"\x03\xe8bye").unwrap(), Close::new(1000, "bye").unwrap());
        assert_eq!(Close::parse(b"\x03").unwrap_err().code(), 1002);
        assert_eq!(Close::parse(&1005u16.to_be_bytes()).unwrap_err().code(), 1002);
        assert_eq!(Close::parse(b"\x03\xe8\xff").unwrap_err().code(), 1007);
    }

    #[test]
    fn what_is_written_reads_back() {
        let close = Close::new(4000, "größe").unwrap();
        assert_eq!(Close::parse(&close.to_payload()).unwrap(), close);
    }
}
