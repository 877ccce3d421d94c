//! Header lines in the order and case in which they came.
//!
//! Rules: names compare without case, values are bytes (RFC 9110 section 5). What is meant for one hop only is named
//! here, once. Debug output shows names, never values.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result};

/// Fields of one connection only, besides those that `Connection` names (RFC 9110 section 7.6.1; RFC 9113, 3.2.1).
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Room for what a handshake needs: lines, their names and their values.
const OURS: (usize, usize, usize) = (6, 96, 128);

/// A header that may come once came more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate;

/// An ordered list of header lines.
///
/// Theory: all names are in one piece of memory and all values in another, since a handshake has its lists made, copied
/// and cut down several times, and two allocations per line were a good part of what it cost. What is removed stays
/// there, and is reached no more.
#[derive(Clone, Default)]
pub struct Headers {
    names: String,
    values: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a line is.
#[derive(Clone)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// An empty list with room for so many lines, and so many bytes of their names and values.
    pub(super) fn with_room(lines: usize, names: usize, values: usize) -> Headers {
        Headers {
            names: String::with_capacity(names),
            values: Vec::with_capacity(values),
            lines: Vec::with_capacity(lines),
        }
    }

    /// An empty list with room for as much as this one, and some lines of ours.
    pub(super) fn with_room_like(like: &Headers) -> Headers {
        let (lines, names, values) = (like.lines.len(), like.names.len(), like.values.len());
        Headers::with_room(lines + OURS.0, names + OURS.1, values + OURS.2)
    }

    /// Adds a line at the end. The caller has checked name and value.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let line = self.take_in(name, value);
        self.lines.push(line);
    }

    fn take_in(&mut self, name: &str, value: &[u8]) -> Line {
        let (names, values) = (self.names.len(), self.values.len());
        self.names.push_str(name);
        self.values.extend_from_slice(trim(value));
        Line { name: names..self.names.len(), value: values..self.values.len() }
    }

    /// Every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| self.read(line))
    }

    fn read(&self, line: &Line) -> (&str, &[u8]) {
        let name = self.names.get(line.name.clone()).unwrap_or_default();
        (name, self.values.get(line.value.clone()).unwrap_or_default())
    }

    /// The values of every line of that name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether there is a line of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get_all(name).next().is_some()
    }

    /// The value of a header that may come once.
    ///
    /// # Errors
    /// [`Duplicate`] when it came more than once.
    pub fn single(&self, name: &str) -> std::result::Result<Option<&[u8]>, Duplicate> {
        let mut values = self.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value);
        match values.next() {
            Some(_) => Err(Duplicate),
            None => Ok(first),
        }
    }

    /// The elements of a comma-separated list over all its lines, without the empty ones (RFC 9110 section 5.6.1).
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(trim)
            .filter(|element| !element.is_empty())
    }

    /// Whether the list has that element, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether the list is that one element, in any case.
    pub fn is_token(&self, name: &str, token: &str) -> bool {
        let mut elements = self.tokens(name);
        elements.next().is_some_and(|first| first.eq_ignore_ascii_case(token.as_bytes()))
            && elements.next().is_none()
    }

    /// Removes every line of that name.
    pub fn remove(&mut self, name: &str) {
        self.retain(|have, _| !have.eq_ignore_ascii_case(name));
    }

    /// Makes this the only line of that name, in the place of the first one, or at the end.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let first = self.iter().position(|(have, _)| have.eq_ignore_ascii_case(name));
        self.remove(name);
        let line = self.take_in(name, value);
        self.lines.insert(first.unwrap_or(self.lines.len()).min(self.lines.len()), line);
    }

    /// Keeps the lines that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| {
            let (name, value) = self.read(line);
            keep(name, value)
        });
        self.lines = lines;
    }

    /// Adds every line of `others` at the end.
    pub fn append(&mut self, others: &Headers) {
        others.iter().for_each(|(name, value)| self.push(name, value));
    }

    /// Adds what `others`, the headers of a handshake, have for the other end: nothing of one hop, of WebSocket's own
    /// negotiation, or about a body, which no upgrade has; and nothing that is `ours` to say.
    pub(super) fn append_end_to_end(&mut self, others: &Headers, ours: &[&str]) {
        let hops = others.hops();
        let is_ours = |name: &str| ours.iter().any(|our| name.eq_ignore_ascii_case(our));
        let is_kept = |name| !(is_handshakes(name) || describes_body(name) || is_ours(name));
        for (name, value) in others.iter().filter(|(name, _)| is_kept(name)) {
            if !is_among(name, &hops) {
                self.push(name, value);
            }
        }
    }

    /// Removes what could be read as more than one line: names that are no tokens, values with control characters.
    pub(super) fn strip_illegal(&mut self) {
        self.retain(|name, value| is_token(name.as_bytes()) && is_value(value));
    }

    /// Removes what is meant for one hop only, and what `Connection` names.
    pub fn strip_hop_by_hop(&mut self) {
        let hops = self.hops();
        let is_kept = |line: &&Line| !is_among(self.read(line).0, &hops);
        self.lines = self.lines.iter().filter(is_kept).cloned().collect();
    }

    /// What `Connection` names. Sorted, so that one of thousands of names costs no more than its length.
    fn hops(&self) -> Vec<&[u8]> {
        let mut named: Vec<&[u8]> = self.tokens("connection").collect();
        named.sort_unstable_by(|one, other| compare(one, other));
        named
    }

    /// How many bytes are written, at most.
    pub(super) fn written_len(&self) -> usize {
        self.names.len() + self.values.len() + 4 * self.lines.len()
    }

    /// Writes every line, each with its CR LF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|line| write_line(line, out));
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

pub(super) fn write_line((name, value): (&str, &[u8]), out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Whether a header is meant for one hop: always, or by `hops`.
fn is_among(name: &str, hops: &[&[u8]]) -> bool {
    is_hop_by_hop(name) || hops.binary_search_by(|hop| compare(hop, name.as_bytes())).is_ok()
}

/// The order of names, whose case does not count.
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    one.iter().map(u8::to_ascii_lowercase).cmp(other.iter().map(u8::to_ascii_lowercase))
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether a header of this name is always meant for one hop.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// Whether the name is one of RFC 6455's own.
pub(super) fn is_handshakes(name: &str) -> bool {
    begins_with(name, b"sec-websocket-")
}

/// Whether a header of this name describes a body. Content-Security-Policy is for the browser.
pub(super) fn describes_body(name: &str) -> bool {
    begins_with(name, b"content-") && !begins_with(name, b"content-security-policy")
}

fn begins_with(name: &str, prefix: &[u8]) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether this is a token: not empty, and nothing but token characters.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a header may have this value: no control character but HTAB (RFC 9110 section 5.5).
pub(super) fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Checks a header name that the host gave.
///
/// # Errors
/// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) when it is no token.
pub fn check_name(name: &str) -> Result<()> {
    if is_token(name.as_bytes()) {
        return Ok(());
    }
    Err(Error::argument(format!("{name:?} is not a header name")))
}

/// Checks a header value that the host gave; `name` is for the words.
///
/// # Errors
/// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) for CR, LF, NUL and other control characters but HTAB.
pub fn check_value(name: &str, value: &[u8]) -> Result<()> {
    if is_value(value) {
        return Ok(());
    }
    Err(Error::argument(format!("the value of header {name:?} has a control character")))
}

/// Without the spaces and tabs around it.
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
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

    fn written(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_describes_a_body_is_told_by_its_name() {
        for (name, describes) in [
            ("Content-Type", true),
            ("CONTENT-LENGTH", true),
            ("Content-Security-Policy", false),
            ("content-security-policy-report-only", false),
            ("X-Content-Type-Options", false),
        ] {
            assert_eq!(describes_body(name), describes, "{name}");
        }
    }

    #[test]
    fn order_and_case_are_kept() {
        let headers = headers(&[("x-B", " 2 "), ("X-a", "1"), ("x-b", "")]);
        assert_eq!(written(&headers), "x-B: 2\r\nX-a: 1\r\nx-b: \r\n");
    }

    #[test]
    fn names_compare_without_case() {
        let headers = headers(&[("A", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!(headers.get_all("a").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!(headers.single("B"), Ok(Some(&b"2"[..])));
        assert_eq!(headers.single("A"), Err(Duplicate));
        assert_eq!(headers.single("c"), Ok(None));
    }

    #[test]
    fn list_runs_over_all_lines_and_skips_empty_elements() {
        let headers = headers(&[("C", "a,, b\t,"), ("X", "z"), ("c", ""), ("c", " D ")]);
        assert_eq!(headers.tokens("C").collect::<Vec<_>>(), [b"a", b"b", b"D"]);
        assert!(headers.has_token("c", "d") && !headers.has_token("c", "z"));
        assert!(
            headers.is_token("x", "Z")
                && !headers.is_token("c", "a")
                && !headers.is_token("n", "a")
        );
    }

    #[test]
    fn hop_by_hop_headers_and_those_named_by_connection_are_stripped() {
        let mut headers = headers(&[
            ("Connection", "keep-alive, X-Secret"),
            ("connection", "Upgrade,x-other"),
            ("Keep-Alive", "1"),
            ("Proxy-Connection", "1"),
            ("TE", "trailers"),
            ("Trailer", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "websocket"),
            ("Proxy-Authorization", "1"),
            ("Proxy-Authenticate", "1"),
            ("HTTP2-Settings", "1"),
            ("x-secret", "1"),
            ("X-OTHER", "1"),
            ("Cookie", "kept"),
        ]);
        headers.strip_hop_by_hop();
        assert_eq!(written(&headers), "Cookie: kept\r\n");
    }

    #[test]
    fn of_a_handshake_only_what_is_for_the_other_end_is_left() {
        let headers = headers(&[
            ("Connection", "Upgrade, X-Hop"),
            ("Upgrade", "websocket"),
            ("SEC-WebSocket-Key", "1"),
            ("Sec-WebSocket-", "1"),
            ("content-length", "0"),
            ("Content-Type", "a/b"),
            ("x-hop", "1"),
            ("Sec-Fetch-Mode", "websocket"),
            ("Set-Cookie", "a"),
            ("set-cookie", "b"),
            ("SEC", "c"),
        ]);
        let mut kept = Headers::default();
        kept.append_end_to_end(&headers, &["sec"]);
        assert_eq!(
            written(&kept),
            "Sec-Fetch-Mode: websocket\r\nSet-Cookie: a\r\nset-cookie: b\r\n"
        );
    }

    #[test]
    fn lines_that_could_be_read_as_two_are_stripped() {
        let mut headers =
            headers(&[("A", "b\r\nX: y"), ("C\r\nX", "y"), ("D", "\0"), ("Good", "z")]);
        headers.strip_illegal();
        assert_eq!(written(&headers), "Good: z\r\n");
    }

    #[test]
    fn setting_replaces_every_line_in_the_place_of_the_first() {
        let mut headers = headers(&[("A", "1"), ("B", "2"), ("a", "3")]);
        headers.set("a", b"4");
        headers.set("C", b"5");
        assert_eq!(written(&headers), "a: 4\r\nB: 2\r\nC: 5\r\n");
    }

    #[test]
    fn names_are_tokens_and_values_have_no_controls() {
        for name in ["", "a b", "a:", "a\r", "\u{e9}", "(x)", "a\0"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("X-Custom_1.~").is_ok());
        for value in [&b"a\r\nb"[..], b"a\n", b"\r", b"\0", b"\x1b", b"\x7f"] {
            assert!(check_value("X", value).is_err(), "{value:?}");
        }
        for value in [&b""[..], b"a b\tc", b"\xff\x80"] {
            assert!(check_value("X", value).is_ok(), "{value:?}");
        }
    }

    #[test]
    fn debug_form_hides_values() {
        assert_eq!(format!("{:?}", headers(&[("Cookie", "secret")])), r#"["Cookie"]"#);
    }
}
