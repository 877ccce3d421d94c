//! A complete head, read once by httparse into our own words.
//!
//! Rule: whoever calls this, the head has been through [`HeadScan`] first; httparse alone takes bare LFs and leading
//! empty lines.

use super::head::{HeadError, HeadScan, MAX_HEADERS};
use super::headers::Headers;

/// A request's head; its target and headers are not judged yet.
pub(super) struct RequestHead {
    pub(super) method: String,
    pub(super) target: String,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub(super) minor: u8,
    pub(super) headers: Headers,
}

/// A response's head; not judged yet.
pub(super) struct ResponseHead {
    /// 100 to 599.
    pub(super) status: u16,
    /// Without control characters; empty when it was not ASCII.
    pub(super) reason: String,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub(super) minor: u8,
    pub(super) headers: Headers,
}

/// Reads the head of a request: all of `head`, no more and no less.
pub(super) fn request(head: &[u8]) -> Result<RequestHead, HeadError> {
    refuse_unless_whole(head)?;
    let mut lines = room_for_lines(head);
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(INCOMPLETE),
        Err(httparse::Error::Version) => return Err(wrong_version(head)),
        Err(error) => return Err(in_our_words(error)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(INCOMPLETE);
    };
    Ok(RequestHead {
        method: method.to_owned(),
        target: target.to_owned(),
        minor,
        headers: own(request.headers),
    })
}

/// Reads the head of a response: all of `head`, no more and no less.
pub(super) fn response(head: &[u8]) -> Result<ResponseHead, HeadError> {
    refuse_unless_whole(head)?;
    let mut lines = room_for_lines(head);
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(INCOMPLETE),
        Err(error) => return Err(in_our_words(error)),
    }
    let (Some(status), Some(minor)) = (response.code, response.version) else {
        return Err(INCOMPLETE);
    };
    if !(100..=599).contains(&status) {
        return Err(HeadError::Malformed("a status that is none (100 to 599)"));
    }
    let reason = response.reason.unwrap_or_default().to_owned();
    Ok(ResponseHead { status, reason, minor, headers: own(response.headers) })
}

const INCOMPLETE: HeadError = HeadError::Malformed("a head that is not complete");

/// As many as `head` can need. Not on the stack: with room for the most of them it would be the deepest that a session's
/// thread ever goes, and what a stack has used of memory is costly to take and to give back.
fn room_for_lines<'head>(head: &[u8]) -> Vec<httparse::Header<'head>> {
    let ends = head.iter().filter(|&&byte| byte == b'\n').count();
    vec![httparse::EMPTY_HEADER; ends.min(MAX_HEADERS)]
}

fn refuse_unless_whole(head: &[u8]) -> Result<(), HeadError> {
    match HeadScan::default().find_end(head)? {
        Some(end) if end == head.len() => Ok(()),
        _ => Err(INCOMPLETE),
    }
}

fn own(lines: &[httparse::Header<'_>]) -> Headers {
    let names = lines.iter().map(|line| line.name.len()).sum();
    let values = lines.iter().map(|line| line.value.len()).sum();
    let mut headers = Headers::with_room(lines.len(), names, values);
    for line in lines {
        headers.push(line.name, line.value);
    }
    headers
}

/// Tells another major version from a garbled one.
fn wrong_version(head: &[u8]) -> HeadError {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    match version.strip_prefix(b"HTTP/") {
        Some([major, b'.', ..]) if major.is_ascii_digit() && *major != b'1' => HeadError::Version,
        _ => HeadError::Malformed("a malformed HTTP version"),
    }
}

fn in_our_words(error: httparse::Error) -> HeadError {
    HeadError::Malformed(match error {
        httparse::Error::TooManyHeaders => return HeadError::TooManyHeaders,
        httparse::Error::Version => return HeadError::Version,
        httparse::Error::HeaderName => "a malformed header name",
        httparse::Error::HeaderValue => "a control character in a header",
        httparse::Error::Status => "a malformed status line",
        httparse::Error::Token => "a malformed first line",
        httparse::Error::NewLine => "a malformed line end",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed<T>(result: Result<T, HeadError>) -> bool {
        matches!(result, Err(HeadError::Malformed(_)))
    }

    #[test]
    fn request_is_read_with_values_trimmed() {
        let head = request(b"GET /x HTTP/1.1\r\nHost:  h \r\nX:\r\n\r\n").ok().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str(), head.minor), ("GET", "/x", 1));
        assert_eq!(head.headers.single("host"), Ok(Some(&b"h"[..])));
        assert_eq!(head.headers.single("x"), Ok(Some(&b""[..])));
    }

    #[test]
    fn response_is_read_with_and_without_a_reason() {
        let head = response(b"HTTP/1.1 403 No Way\r\nA: b\r\n\r\n").ok().unwrap();
        assert_eq!((head.status, head.reason.as_str(), head.minor), (403, "No Way", 1));
        let head = response(b"HTTP/1.0 200\r\n\r\n").ok().unwrap();
        assert_eq!((head.status, head.reason.as_str(), head.minor), (200, "", 0));
    }

    #[test]
    fn another_major_version_is_told_from_a_garbled_one() {
        for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9"] {
            let head = format!("GET / {version}\r\n\r\n");
            assert!(matches!(request(head.as_bytes()), Err(HeadError::Version)), "{version}");
        }
        for version in ["HTTP/1.2", "HTTP/1.", "HTTQ/1.1", "http/1.1", "HTTP/11", "HTTP/1.1x", "x"]
        {
            assert!(malformed(request(format!("GET / {version}\r\n\r\n").as_bytes())), "{version}");
        }
    }

    #[test]
    fn spaces_and_controls_in_names_and_values_are_refused() {
        for line in [
            "A : b",
            " A: b",
            "A b: c",
            ": b",
            "A",
            "A: b\u{7f}",
            "A: b\u{1}",
            "(A): b",
            "\u{e9}: b",
        ] {
            assert!(
                malformed(request(format!("GET / HTTP/1.1\r\n{line}\r\n\r\n").as_bytes())),
                "{line}"
            );
            assert!(
                malformed(response(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n").as_bytes())),
                "{line}"
            );
        }
    }

    #[test]
    fn hundred_headers_are_allowed_and_one_more_is_not() {
        let lines = "A: b\r\n".repeat(MAX_HEADERS);
        assert!(request(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes()).is_ok());
        let over = format!("GET / HTTP/1.1\r\n{lines}A: b\r\n\r\n");
        assert!(matches!(request(over.as_bytes()), Err(HeadError::TooManyHeaders)));
    }

    #[test]
    fn status_outside_100_to_599_is_refused() {
        for status in ["099", "600", "999", "000", "20", "2000", "-20", "abc"] {
            assert!(
                malformed(response(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes())),
                "{status}"
            );
        }
    }

    #[test]
    fn less_or_more_than_one_head_is_refused() {
        for head in [&b""[..], b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n\r\nx"] {
            assert!(malformed(request(head)));
        }
    }
}
