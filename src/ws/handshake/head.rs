//! Where a head ends: a scan over a growing buffer that looks at every byte once.
//!
//! Rules: a line ends with CR LF and nothing else; bare CR, bare LF, NUL and folded lines are refused as soon as they are
//! seen, and so is a peer that speaks no HTTP/1 at all. A head longer than [`MAX_HEAD`] is refused without waiting for
//! its end. (RFC 9112 sections 2.2, 5.2 and 11.)

use std::fmt;

use super::headers::is_token_byte;

/// The most bytes of a head, its last empty line included.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most header lines of a head.
pub const MAX_HEADERS: usize = 100;

/// What every answer that we can read begins with.
const HTTP_1: &[u8] = b"HTTP/1.";
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// The first bytes of TLS records: alert and handshake (RFC 8446 section 5.1).
const TLS_ALERT: u8 = 0x15;
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a head cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// More than [`MAX_HEAD`] bytes.
    TooLarge,
    /// More than [`MAX_HEADERS`] header lines.
    TooManyHeaders,
    /// The peer speaks TLS where plain HTTP was expected.
    Tls,
    /// The peer speaks HTTP/2.
    Http2,
    /// An HTTP whose major version is not 1.
    Version,
    /// Anything else that is no HTTP/1.1 head; the words say what.
    Malformed(&'static str),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::TooLarge => write!(f, "a head of more than {MAX_HEAD} bytes"),
            HeadError::TooManyHeaders => write!(f, "more than {MAX_HEADERS} header lines"),
            HeadError::Tls => f.write_str("TLS where plain HTTP was expected"),
            HeadError::Http2 => f.write_str("HTTP/2 where HTTP/1.1 was expected"),
            HeadError::Version => f.write_str("an HTTP version other than 1.1"),
            HeadError::Malformed(what) => f.write_str(what),
        }
    }
}

/// Finds the end of a head in a buffer that grows between the calls.
#[derive(Debug, Clone)]
pub struct HeadScan {
    limit: usize,
    scanned: usize,
    /// Nothing stands on the line so far.
    line_empty: bool,
    after_cr: bool,
    end: Option<usize>,
}

impl Default for HeadScan {
    fn default() -> Self {
        HeadScan::with_limit(MAX_HEAD)
    }
}

impl HeadScan {
    /// A scan that allows `limit` bytes.
    pub fn with_limit(limit: usize) -> HeadScan {
        HeadScan { limit, scanned: 0, line_empty: true, after_cr: false, end: None }
    }

    /// The length of the head at the start of `bytes`, its last empty line included; `None` when more is needed.
    /// `bytes` is always the whole buffer: what was there before, and what came since.
    ///
    /// # Errors
    /// What makes this no head, at the first byte that shows it.
    pub fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        refuse_other_protocols(bytes)?;
        let within = bytes.get(..self.limit).unwrap_or(bytes);
        loop {
            self.skip_plain(within.get(self.scanned..).unwrap_or_default());
            let Some(&byte) = within.get(self.scanned) else { break };
            let ended = self.step(byte)?;
            self.scanned += 1;
            if ended {
                self.end = Some(self.scanned);
                return Ok(self.end);
            }
        }
        if bytes.len() >= self.limit {
            return Err(HeadError::TooLarge);
        }
        Ok(None)
    }

    /// The same of an answer. Something other than HTTP/1 is told by its first bytes, not by waiting for an end, and before
    /// anything else, so that the words do not depend on how the input was cut.
    pub(super) fn find_answer_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let first = bytes.get(..HTTP_1.len()).unwrap_or(bytes);
        if !HTTP_1.starts_with(first) {
            refuse_other_protocols(bytes)?;
            return Err(HeadError::Malformed("something that is not HTTP/1"));
        }
        self.find_end(bytes)
    }

    /// In the middle of a line only a few bytes mean anything.
    fn skip_plain(&mut self, rest: &[u8]) {
        if !self.line_empty && !self.after_cr {
            let plain = rest.iter().position(|byte| matches!(byte, 0 | b'\r' | b'\n'));
            self.scanned += plain.unwrap_or(rest.len());
        }
    }

    /// Takes one byte; true when it ends the head.
    fn step(&mut self, byte: u8) -> Result<bool, HeadError> {
        match (self.after_cr, byte) {
            (_, 0) => return Err(HeadError::Malformed("a NUL byte in the head")),
            (true, b'\n') => {
                self.after_cr = false;
                return Ok(std::mem::replace(&mut self.line_empty, true));
            }
            (true, _) => return Err(HeadError::Malformed("a CR without LF in the head")),
            (false, b'\n') => return Err(HeadError::Malformed("an LF without CR in the head")),
            (false, b'\r') => self.after_cr = true,
            (false, b' ' | b'\t') if self.line_empty => {
                return Err(HeadError::Malformed("a folded header line"));
            }
            (false, _) => self.line_empty = false,
        }
        Ok(false)
    }
}

/// What can be told from the first bytes alone. Without this a peer that speaks TLS waits for an end that never comes.
fn refuse_other_protocols(bytes: &[u8]) -> Result<(), HeadError> {
    match bytes.first() {
        Some(&(TLS_HANDSHAKE | TLS_ALERT)) => Err(HeadError::Tls),
        Some(&first) if !is_token_byte(first) => {
            Err(HeadError::Malformed("something that is not HTTP"))
        }
        _ if bytes.starts_with(HTTP2_PREFACE) => Err(HeadError::Http2),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, and growing byte by byte; both must agree on where the head ends.
    fn scan(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let whole = HeadScan::default().find_end(bytes);
        let mut growing = HeadScan::default();
        let mut last = Ok(None);
        for end in 0..=bytes.len() {
            last = growing.find_end(&bytes[..end]);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(whole, last);
        whole
    }

    fn malformed(bytes: &[u8]) -> bool {
        matches!(scan(bytes), Err(HeadError::Malformed(_)))
    }

    #[test]
    fn end_is_found_and_what_follows_is_left_alone() {
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: b\r\n\r\n"), Ok(Some(24)));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: b\r\n\r\n\0\n\r x"), Ok(Some(24)));
        assert_eq!(scan(b"GET / HTTP/1.1\r\n\r\n"), Ok(Some(18)));
    }

    #[test]
    fn end_once_found_stays() {
        let mut scan = HeadScan::default();
        assert_eq!(scan.find_end(b"A\r\n\r\n"), Ok(Some(5)));
        assert_eq!(scan.find_end(b"A\r\n\r\nmore\n"), Ok(Some(5)));
    }

    #[test]
    fn unfinished_head_needs_more() {
        for bytes in [
            &b""[..],
            b"G",
            b"GET / HTTP/1.1",
            b"GET / HTTP/1.1\r",
            b"A\r\nB: c\r\n\r",
            b"PRI * HTT",
        ] {
            assert_eq!(scan(bytes), Ok(None), "{bytes:?}");
        }
    }

    #[test]
    fn bare_line_ends_nul_and_folds_are_refused_as_soon_as_seen() {
        for bytes in [
            &b"GET / HTTP/1.1\n"[..],
            b"GET / HTTP/1.1\r\nA: b\n",
            b"GET / HTTP/1.1\r\nA: b\n\n",
            b"GET / HTTP/1.1\r\nA: b\rc",
            b"GET / HTTP/1.1\r\r",
            b"GET / HTTP/1.1\r\nA: b\0",
            b"GET / HTTP/1.1\r\nA: b\r\n\tc",
            b"GET / HTTP/1.1\r\n c",
            b"GET / HTTP/1.1\r\nA: b\r\n\rx",
        ] {
            assert!(malformed(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn other_protocols_are_refused_at_once() {
        assert_eq!(scan(b"\x16"), Err(HeadError::Tls));
        assert_eq!(scan(b"\x15\x03\x01"), Err(HeadError::Tls));
        assert_eq!(scan(b"PRI * HTTP/2.0\r\n"), Err(HeadError::Http2));
        for bytes in [&b"\r\n"[..], b"\n", b" GET", b"\0", b"\xff", b"{", b"\x81\x85"] {
            assert!(malformed(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn exactly_the_limit_is_allowed_and_one_more_is_not() {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(MAX_HEAD - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(scan(&head), Ok(Some(MAX_HEAD)));
        head.insert(20, b'x');
        assert_eq!(scan(&head), Err(HeadError::TooLarge));
        assert_eq!(scan(&vec![b'x'; 20_000_000]), Err(HeadError::TooLarge));
    }

    #[test]
    fn every_byte_is_looked_at_once() {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(MAX_HEAD - 1, b'x');
        let mut scan = HeadScan::default();
        for end in 0..=head.len() {
            assert_eq!(scan.find_end(&head[..end]), Ok(None));
            assert_eq!(scan.scanned, end);
        }
    }
}
