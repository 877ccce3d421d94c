//! The body of the upstream's refusal, as far as it is worth relaying.
//!
//! Rules: at most [`MAX_BODY`] bytes are kept, then it is cut, whatever the framing says; every byte is looked at once.
//! A body that breaks off or breaks its framing is cut there: the status is what matters. (RFC 9112 sections 6 and 7.)

use super::headers::Headers;
use super::refusal::has_body;

/// The most bytes of a body that are kept.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The most bytes that are read for it: chunk sizes, extensions and all.
const MAX_RAW: usize = 2 * MAX_BODY;

/// Collects a body from pieces.
pub(super) struct Body {
    framing: Framing,
    kept: Vec<u8>,
    raw: usize,
    complete: bool,
}

enum Framing {
    /// As many bytes as are still to come.
    Length(u64),
    Chunked(Chunk),
    UntilEof,
    /// Coded in a way that cannot be relayed: left off.
    Unknown,
}

/// Where we are in a chunked body.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    /// In the hexadecimal size; how many digits came, and their value.
    Size { digits: u8, value: u64 },
    /// After the size, up to the end of the line.
    Extension { value: u64 },
    /// In the data; how much is still to come.
    Data(u64),
    /// At the line end after the data.
    AfterData,
}

const NEXT_SIZE: Chunk = Chunk::Size { digits: 0, value: 0 };

impl Body {
    /// The body that belongs to this head; an error is what is wrong with its length.
    pub(super) fn of(status: u16, headers: &Headers) -> Result<Body, &'static str> {
        let framing = if !has_body(status) {
            Framing::Length(0)
        } else if headers.is_token("transfer-encoding", "chunked") {
            Framing::Chunked(NEXT_SIZE)
        } else if headers.contains("transfer-encoding") {
            Framing::Unknown
        } else {
            content_length(headers)?.map_or(Framing::UntilEof, Framing::Length)
        };
        let complete = matches!(framing, Framing::Length(0) | Framing::Unknown);
        Ok(Body { framing, kept: Vec::new(), raw: 0, complete })
    }

    /// Takes what came next; true when the body is complete or cut.
    pub(super) fn take(&mut self, fresh: &[u8]) -> bool {
        let mut rest = fresh.get(..MAX_RAW - self.raw).unwrap_or(fresh);
        self.raw += rest.len();
        while !self.complete && !rest.is_empty() {
            rest = match self.framing {
                Framing::Length(left) => {
                    let (rest, left) = self.keep(rest, left);
                    self.complete |= left == 0;
                    self.framing = Framing::Length(left);
                    rest
                }
                Framing::Chunked(chunk) => self.take_chunk(chunk, rest),
                Framing::UntilEof => self.keep(rest, u64::MAX).0,
                Framing::Unknown => &[],
            };
        }
        self.complete |= self.raw == MAX_RAW;
        self.complete
    }

    /// What was kept.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.kept
    }

    /// Keeps up to `left` bytes; returns what follows them, and how many of `left` are still to come.
    fn keep<'a>(&mut self, bytes: &'a [u8], left: u64) -> (&'a [u8], u64) {
        let ours = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (data, rest) = bytes.split_at(ours);
        let room = MAX_BODY - self.kept.len();
        self.kept.extend_from_slice(data.get(..room).unwrap_or(data));
        self.complete |= self.kept.len() == MAX_BODY;
        (rest, left - ours as u64)
    }

    fn take_chunk<'a>(&mut self, chunk: Chunk, bytes: &'a [u8]) -> &'a [u8] {
        if let Chunk::Data(left) = chunk {
            let (rest, left) = self.keep(bytes, left);
            self.framing =
                Framing::Chunked(if left == 0 { Chunk::AfterData } else { Chunk::Data(left) });
            return rest;
        }
        let Some((&byte, rest)) = bytes.split_first() else { return &[] };
        match next_chunk(chunk, byte) {
            Some(next) => self.framing = Framing::Chunked(next),
            None => self.complete = true,
        }
        rest
    }
}

/// The state after one byte outside the data; `None` at the last chunk, and where the framing is broken.
fn next_chunk(chunk: Chunk, byte: u8) -> Option<Chunk> {
    match (chunk, byte) {
        // Fifteen digits are more than anybody sends and cannot overflow.
        (Chunk::Size { digits, value }, _) if byte.is_ascii_hexdigit() && digits < 15 => {
            let digit = char::from(byte).to_digit(16).unwrap_or_default();
            Some(Chunk::Size { digits: digits + 1, value: value * 16 + u64::from(digit) })
        }
        (Chunk::Size { digits: 1.., value }, b'\r' | b';' | b' ' | b'\t') => {
            Some(Chunk::Extension { value })
        }
        (Chunk::Size { .. }, _) => None,
        (Chunk::Extension { value }, b'\n') => (value > 0).then_some(Chunk::Data(value)),
        (Chunk::Extension { .. }, _) => Some(chunk),
        (Chunk::AfterData, b'\r') => Some(Chunk::AfterData),
        (Chunk::AfterData, b'\n') => Some(NEXT_SIZE),
        (Chunk::AfterData | Chunk::Data(_), _) => None,
    }
}

/// The one length that all `Content-Length` lines agree on (RFC 9112 section 6.3, item 5).
fn content_length(headers: &Headers) -> Result<Option<u64>, &'static str> {
    let mut length = None;
    for value in headers.get_all("content-length").flat_map(|line| line.split(|&byte| byte == b','))
    {
        let digits = value.trim_ascii();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("a malformed Content-Length");
        }
        let this = digits
            .iter()
            .fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
        if length.is_some_and(|length| length != this) {
            return Err("several lengths");
        }
        length = Some(this);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in lines {
            headers.push(name, value.as_bytes());
        }
        headers
    }

    /// Whole and byte by byte; both must agree. The body, and whether it was known to be complete.
    fn read(lines: &[(&str, &str)], bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut whole = Body::of(200, &headers(lines)).unwrap();
        let complete = whole.take(bytes);
        let mut pieces = Body::of(200, &headers(lines)).unwrap();
        let by_bytes = pieces.take(b"") || bytes.iter().any(|byte| pieces.take(&[*byte]));
        let kept = whole.into_bytes();
        assert_eq!((&kept, complete), (&pieces.into_bytes(), by_bytes));
        (kept, complete)
    }

    #[test]
    fn length_says_when_it_is_complete() {
        assert_eq!(read(&[("Content-Length", "3")], b"abcd"), (b"abc".to_vec(), true));
        assert_eq!(read(&[("Content-Length", "3")], b"ab"), (b"ab".to_vec(), false));
        assert_eq!(read(&[("Content-Length", "0")], b""), (vec![], true));
        assert_eq!(read(&[("Content-Length", "3, 3"), ("content-length", "3")], b"abc").0, b"abc");
    }

    #[test]
    fn unusable_length_is_an_error() {
        for value in ["-1", "+1", "1x", "", "1,2", "0x10", "1 2"] {
            assert!(Body::of(200, &headers(&[("Content-Length", value)])).is_err(), "{value}");
        }
        assert!(Body::of(200, &headers(&[("Content-Length", "99999999999999999999999")])).is_ok());
    }

    #[test]
    fn chunks_are_joined() {
        let chunked = [("Transfer-Encoding", "Chunked"), ("Content-Length", "1")];
        assert_eq!(
            read(&chunked, b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n").0,
            b"abc0123456789"
        );
        assert_eq!(read(&chunked, b"0\r\n\r\n"), (vec![], true));
        assert_eq!(read(&chunked, b"3\r\nab"), (b"ab".to_vec(), false));
    }

    #[test]
    fn broken_chunk_cuts_the_body_there() {
        let chunked = [("Transfer-Encoding", "chunked")];
        for rest in ["x", "\r\n", ";", "-1\r\n", "fffffffffffffffff\r\n"] {
            let bytes = format!("3\r\nabc\r\n{rest}more");
            assert_eq!(read(&chunked, bytes.as_bytes()), (b"abc".to_vec(), true), "{rest}");
        }
        assert_eq!(read(&chunked, b"3\r\nabcd"), (b"abc".to_vec(), true));
    }

    #[test]
    fn body_without_length_goes_on_until_the_end() {
        assert_eq!(read(&[], b"abc"), (b"abc".to_vec(), false));
    }

    #[test]
    fn body_is_cut_at_the_bound() {
        let long = vec![b'x'; MAX_BODY + 9];
        for lines in [&[][..], &[("Content-Length", "18446744073709551616")]] {
            assert_eq!(read(lines, &long), (vec![b'x'; MAX_BODY], true));
        }
        let mut chunked = b"fffffffff\r\n".to_vec();
        chunked.extend_from_slice(&long);
        assert_eq!(
            read(&[("Transfer-Encoding", "chunked")], &chunked),
            (vec![b'x'; MAX_BODY], true)
        );
    }

    #[test]
    fn endless_chunk_extension_is_cut() {
        let mut bytes = b"1;".to_vec();
        bytes.resize(MAX_RAW, b'x');
        assert_eq!(read(&[("Transfer-Encoding", "chunked")], &bytes), (vec![], true));
    }

    #[test]
    fn status_without_body_and_unknown_coding_are_complete_at_once() {
        assert!(Body::of(204, &Headers::default()).unwrap().take(b""));
        assert!(Body::of(304, &headers(&[("Content-Length", "5")])).unwrap().take(b""));
        assert_eq!(read(&[("Transfer-Encoding", "gzip, chunked")], b"3\r\nabc"), (vec![], true));
    }
}
