//! What a peer did wrong on an established connection, as the close code that it is told (RFC 6455 section 7.4.1).

use std::borrow::Cow;
use std::fmt;

/// Normal closure.
pub const NORMAL: u16 = 1000;
/// Going away.
pub const AWAY: u16 = 1001;
/// Protocol error.
pub const PROTOCOL_ERROR: u16 = 1002;
/// No status received: never on the wire.
pub const NO_STATUS: u16 = 1005;
/// Invalid frame payload data, such as text that is not UTF-8.
pub const INVALID_DATA: u16 = 1007;
/// Message too big.
pub const TOO_BIG: u16 = 1009;
/// Internal error.
pub const INTERNAL_ERROR: u16 = 1011;

/// A peer broke a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    code: u16,
    words: Cow<'static, str>,
    /// What the offender's close frame says besides the code.
    reason: &'static str,
}

impl Violation {
    /// A breach of the framing rules: 1002.
    pub fn protocol(words: impl Into<Cow<'static, str>>) -> Self {
        Violation { code: PROTOCOL_ERROR, words: words.into(), reason: "" }
    }

    /// Text that is not UTF-8: 1007.
    pub fn not_utf8(words: &'static str) -> Self {
        Violation { code: INVALID_DATA, words: Cow::Borrowed(words), reason: "" }
    }

    /// Over a limit: 1009; `explain` gives the close frame a reason, that of HTTP's status 413.
    pub fn too_big(words: String, explain: bool) -> Self {
        let reason = if explain { "Payload Too Large" } else { "" };
        Violation { code: TOO_BIG, words: Cow::Owned(words), reason }
    }

    /// The close code for the offender.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason for the offender.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Whether a configured limit was hit, and no rule of the protocol.
    pub fn is_limit(&self) -> bool {
        self.code == TOO_BIG
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
