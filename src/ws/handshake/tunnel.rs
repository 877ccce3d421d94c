//! A tunnel through an HTTP proxy: CONNECT and its answer (RFC 9110 section 9.3.6), before anything is said to the
//! upstream. RFC 6455 section 4.1 wants it for `ws://` and `wss://` alike.
//!
//! Rules: any 2xx opens the tunnel, whatever its head says of a body, and behind the head the upstream speaks. Interim
//! answers are skipped, within the bytes of one head; a 101 is none. Everything else is the proxy's refusal: an error in
//! words and nothing for the client, who has no part in this. Every byte is looked at once. Credentials go into the
//! request, and nowhere else.

use super::head::{HeadError, HeadScan, MAX_HEAD};
use super::parse;
use super::refusal::status_in_words;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::ws::proxy_url::Credentials;
use crate::ws::url::Url;

/// What the proxy's bytes amount to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelAnswer {
    /// The answer is not complete.
    NeedMore,
    /// The tunnel is open.
    Open {
        /// How many bytes of the input were the proxy's; the upstream's follow.
        consumed: usize,
    },
}

/// The dialogue with the proxy, from the request to the answer.
#[derive(Debug)]
pub struct Tunnel {
    /// Where the head under way begins.
    start: usize,
    scan: HeadScan,
    open: bool,
}

impl Tunnel {
    /// The dialogue, and the request to send. `target` is on a network: a Unix socket is reached without a proxy.
    pub fn new(target: &Url, credentials: Option<&Credentials>) -> (Tunnel, Vec<u8>) {
        let authority = target.connect_authority();
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(credentials) = credentials {
            request.push_str(&format!("Proxy-Authorization: {}\r\n", credentials.to_basic()));
        }
        request.push_str("\r\n");
        (Tunnel { start: 0, scan: HeadScan::default(), open: false }, request.into_bytes())
    }

    /// Judges what has come so far: `bytes` is everything since the request was sent, `eof` says that no more will come.
    /// After [`TunnelAnswer::Open`] there is nothing more to ask.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when the proxy refuses or answers with something else than HTTP/1.
    pub fn handle_input(&mut self, bytes: &[u8], eof: bool) -> Result<TunnelAnswer> {
        if self.open {
            return Err(Error::state("the proxy's answer was already taken"));
        }
        loop {
            let rest = bytes.get(self.start..).unwrap_or_default();
            let Some(len) = self.scan.find_answer_end(rest).map_err(unreadable)? else {
                return if eof { Err(closed_early()) } else { Ok(TunnelAnswer::NeedMore) };
            };
            let head = parse::response(rest.get(..len).unwrap_or(rest)).map_err(unreadable)?;
            self.start += len;
            match head.status {
                200..=299 => {
                    self.open = true;
                    return Ok(TunnelAnswer::Open { consumed: self.start });
                }
                101 => return Err(unreachable("answered CONNECT with a 101")),
                100..=199 => self.scan = HeadScan::with_limit(MAX_HEAD.saturating_sub(self.start)),
                status => {
                    let answer = status_in_words(status, &head.reason);
                    return Err(unreachable(&format!("refused to connect: {answer}")));
                }
            }
        }
    }
}

fn unreadable(error: HeadError) -> Error {
    unreachable(&format!("answered CONNECT with {error}"))
}

fn closed_early() -> Error {
    unreachable("closed the connection before answering CONNECT")
}

fn unreachable(what: &str) -> Error {
    Error::new(ErrorKind::Unreachable, Fault::Upstream, format!("the HTTP proxy {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::proxy_url::ProxyUrl;

    fn tunnel() -> Tunnel {
        Tunnel::new(&Url::parse("wss://up").unwrap(), None).0
    }

    /// Whole, then byte by byte; both must come to the same answer.
    fn answer(bytes: &[u8], eof: bool) -> Result<TunnelAnswer> {
        let whole = tunnel().handle_input(bytes, eof);
        let mut growing = tunnel();
        let mut last = Ok(TunnelAnswer::NeedMore);
        for end in 0..=bytes.len() {
            last = growing.handle_input(&bytes[..end], eof && end == bytes.len());
            if last != Ok(TunnelAnswer::NeedMore) {
                break;
            }
        }
        assert_eq!(whole, last);
        whole
    }

    fn refused(bytes: &[u8], eof: bool) -> String {
        let error = answer(bytes, eof).unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
        error.message().to_owned()
    }

    #[test]
    fn request_names_host_and_port_twice() {
        for (url, authority) in [
            ("ws://Up.example/secret?x", "up.example:80"),
            ("wss://up", "up:443"),
            ("wss://[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            let (_, request) = Tunnel::new(&Url::parse(url).unwrap(), None);
            assert_eq!(
                String::from_utf8(request).unwrap(),
                format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
            );
        }
    }

    #[test]
    fn credentials_are_sent_as_basic_authorization() {
        // The example of RFC 7617 section 2.
        let proxy = ProxyUrl::parse("http://Aladdin:open%20sesame@p:8080").unwrap();
        let (tunnel, request) = Tunnel::new(&Url::parse("ws://up").unwrap(), proxy.credentials());
        let request = String::from_utf8(request).unwrap();
        assert!(
            request
                .ends_with("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
            "{request}"
        );
        assert!(!format!("{tunnel:?}").contains("QWxh"));
    }

    #[test]
    fn any_2xx_opens_the_tunnel_and_leaves_what_is_behind_its_head() {
        for head in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 \r\n\r\n",
            "HTTP/1.1 204\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 299 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            for behind in ["", "\u{16}\u{3}\u{1}\0\n", "HTTP/1.1 500 X\r\n\r\n"] {
                let bytes = format!("{head}{behind}");
                let open = Ok(TunnelAnswer::Open { consumed: head.len() });
                assert_eq!(answer(bytes.as_bytes(), false), open, "{head}");
                assert_eq!(answer(bytes.as_bytes(), true), open, "{head}");
            }
        }
    }

    #[test]
    fn refusal_of_the_proxy_is_told_in_its_words() {
        assert_eq!(
            refused(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n<html>",
                false
            ),
            "the HTTP proxy refused to connect: 407 Proxy Authentication Required"
        );
        for (head, words) in [
            ("HTTP/1.1 502 \r\n\r\n", "refused to connect: 502"),
            ("HTTP/1.0 302 F\r\nLocation: http://x\r\n\r\n", "refused to connect: 302 F"),
            ("HTTP/1.1 403 \u{e9}\r\n\r\n", "refused to connect: 403"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "answered CONNECT with a 101"),
        ] {
            assert_eq!(refused(head.as_bytes(), false), format!("the HTTP proxy {words}"));
        }
        let long = format!("HTTP/1.1 500 {}\r\n\r\n", "x".repeat(5000));
        assert!(refused(long.as_bytes(), false).len() < 130);
    }

    #[test]
    fn answer_that_is_no_http_1_is_told_by_its_first_bytes() {
        for (bytes, words) in [
            (&b"\x16\x03"[..], "TLS where plain HTTP was expected"),
            (b"SSH-2.0-x", "something that is not HTTP/1"),
            (b"\x05\xff", "something that is not HTTP"),
            (b"HTTP/2.0 200 OK", "something that is not HTTP/1"),
            (b"HTTP/1.1 200 OK\n", "an LF without CR in the head"),
            (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "a malformed header name"),
            (b"HTTP/1.1 099 OK\r\n\r\n", "a status that is none (100 to 599)"),
        ] {
            assert_eq!(
                refused(bytes, false),
                format!("the HTTP proxy answered CONNECT with {words}")
            );
        }
    }

    #[test]
    fn proxy_that_leaves_before_its_answer_is_an_error() {
        for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 \r\n\r\n"] {
            assert_eq!(answer(bytes.as_bytes(), false), Ok(TunnelAnswer::NeedMore));
            let words = refused(bytes.as_bytes(), true);
            assert!(words.ends_with("closed the connection before answering CONNECT"), "{words}");
        }
    }

    #[test]
    fn endless_head_too_many_headers_and_endless_interim_answers_are_errors() {
        let mut long = b"HTTP/1.1 200 X\r\nA: ".to_vec();
        long.resize(MAX_HEAD, b'x');
        let many = format!("HTTP/1.1 200 X\r\n{}\r\n", "A: b\r\n".repeat(101)).into_bytes();
        let interim = "HTTP/1.1 100 \r\n\r\n".repeat(MAX_HEAD / 17 + 1).into_bytes();
        for bytes in [long, many, interim] {
            refused(&bytes, false);
        }
    }

    #[test]
    fn answer_once_taken_is_not_given_again() {
        let mut tunnel = tunnel();
        assert!(tunnel.handle_input(b"HTTP/1.1 200 OK\r\n\r\n", false).is_ok());
        assert_eq!(
            tunnel.handle_input(b"HTTP/1.1 200 OK\r\n\r\n", false).unwrap_err().kind(),
            ErrorKind::State
        );
    }
}
