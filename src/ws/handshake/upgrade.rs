//! We ask the upstream: one request out, then its answer is judged (RFC 6455 section 4.2.2 and 4.1).
//!
//! Rules: only a 101 that proves everything opens the session; any other final status is a refusal to relay; the rest
//! is an invalid answer. Interim answers are skipped, within the bytes of one head. Every byte is looked at once: the
//! caller hands over its whole buffer each time, and this remembers how far it has read.

use std::fmt;

use tungstenite::handshake::derive_accept_key;

use super::accept::ClientRequest;
use super::body::Body;
use super::head::{HeadError, HeadScan, MAX_HEAD};
use super::headers::Headers;
use super::parse::{self, ResponseHead};
use super::refusal::Refusal;
use super::request::{self, UpgradeOptions};
use super::switch;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::ws::url::Url;

/// What the upstream's bytes amount to so far.
#[derive(Debug)]
pub enum Answer {
    /// The answer is not complete.
    NeedMore,
    /// A valid 101.
    Open {
        /// The subprotocol that the upstream chose, one of those offered.
        protocol: Option<String>,
        /// Its end-to-end headers, for the client's 101 if that was not sent before.
        headers: Headers,
        /// How many bytes of the input belong to the handshake; frames follow.
        consumed: usize,
    },
    /// A refusal, to be relayed to the client; the connection to the upstream is closed.
    Refused(Refusal),
}

/// The handshake with the upstream, from the request to the answer.
pub struct Upgrade {
    accept: String,
    offers: Vec<String>,
    state: State,
}

enum State {
    /// In a head that begins at `start`.
    Head { start: usize, scan: HeadScan },
    /// In the body of a refusal, read up to `seen`.
    Body { refusal: Refused, body: Body, seen: usize },
    /// The answer was given.
    Done,
}

/// The head of a refusal, while its body is still coming.
struct Refused {
    status: u16,
    reason: String,
    headers: Headers,
}

impl Upgrade {
    /// The handshake, and the request to send. `key` is 16 random bytes in base64, fresh for this connection.
    pub fn new(
        url: &Url,
        client: Option<&ClientRequest>,
        options: &UpgradeOptions<'_>,
        key: &str,
    ) -> (Upgrade, Vec<u8>) {
        let offers = request::offers(client, options);
        let request = request::write(url, client, options, &offers, key);
        let accept = derive_accept_key(key.as_bytes());
        let state = State::Head { start: 0, scan: HeadScan::default() };
        (Upgrade { accept, offers, state }, request)
    }

    /// Judges what has come so far: `bytes` is everything since the request was sent, `eof` says that no more will come.
    /// After [`Answer::Open`] or [`Answer::Refused`] there is nothing more to ask.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the answer is none that can be relayed, with words that say what was wrong with it.
    pub fn handle_input(&mut self, bytes: &[u8], eof: bool) -> Result<Answer> {
        loop {
            match &mut self.state {
                State::Head { start, scan } => {
                    let rest = bytes.get(*start..).unwrap_or_default();
                    let Some(len) = scan.find_answer_end(rest).map_err(unreadable)? else {
                        return if eof { Err(closed_early(bytes)) } else { Ok(Answer::NeedMore) };
                    };
                    let head =
                        parse::response(rest.get(..len).unwrap_or(rest)).map_err(unreadable)?;
                    let end = *start + len;
                    if let Some(open) = self.take_head(head, end)? {
                        return Ok(open);
                    }
                }
                State::Body { body, seen, .. } => {
                    let fresh = bytes.get(*seen..).unwrap_or_default();
                    *seen += fresh.len();
                    if body.take(fresh) || eof {
                        return self.finish_refusal();
                    }
                    return Ok(Answer::NeedMore);
                }
                State::Done => return Err(Error::state("the upstream's answer was already taken")),
            }
        }
    }

    /// The deadline has struck: the refusal as far as it came, when its head is complete.
    pub fn give_up(&mut self, bytes: &[u8]) -> Option<Refusal> {
        match self.handle_input(bytes, true) {
            Ok(Answer::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// A complete head that ends at `end`: an open session, or the state that follows it.
    fn take_head(&mut self, head: ResponseHead, end: usize) -> Result<Option<Answer>> {
        match head.status {
            101 => {
                let protocol = switch::check(&head, &self.accept, &self.offers).map_err(invalid)?;
                self.state = State::Done;
                let headers = switch::passed_on(&head.headers);
                return Ok(Some(Answer::Open { protocol, headers, consumed: end }));
            }
            100..=199 => {
                let scan = HeadScan::with_limit(MAX_HEAD.saturating_sub(end));
                self.state = State::Head { start: end, scan };
            }
            _ => {
                let body = Body::of(head.status, &head.headers).map_err(invalid)?;
                let ResponseHead { status, reason, headers, .. } = head;
                let refusal = Refused { status, reason, headers };
                self.state = State::Body { refusal, body, seen: end };
            }
        }
        Ok(None)
    }

    fn finish_refusal(&mut self) -> Result<Answer> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Body { refusal, body, .. } => {
                let Refused { status, reason, headers } = refusal;
                Ok(Answer::Refused(Refusal::relayed(status, &reason, headers, body.into_bytes())))
            }
            State::Head { .. } | State::Done => Err(Error::state("there is no refusal to finish")),
        }
    }
}

impl fmt::Debug for Upgrade {
    /// How far it is; nothing that came over the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Head { .. } => "Upgrade(in the head)",
            State::Body { .. } => "Upgrade(in the body of a refusal)",
            State::Done => "Upgrade(done)",
        })
    }
}

fn unreadable(error: HeadError) -> Error {
    invalid(&error.to_string())
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::Refused, Fault::Upstream, format!("answered the handshake with {what}"))
}

fn closed_early(bytes: &[u8]) -> Error {
    let message = if bytes.is_empty() {
        "closed the connection before answering the handshake"
    } else {
        "closed the connection before answering the handshake in full"
    };
    Error::new(ErrorKind::Refused, Fault::Upstream, message)
}

#[cfg(test)]
mod tests {
    use super::super::body::MAX_BODY;
    use super::super::forwarded::Forwarded;
    use super::super::rules::HeaderRules;
    use super::*;

    /// The key and accept of RFC 6455 section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const VALID: &str =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b\r\n\r\n";

    fn upgrade() -> Upgrade {
        let rules = HeaderRules::default();
        let protocols = ["a".to_owned(), "b".to_owned()];
        let options = UpgradeOptions {
            rules: &rules,
            request_rules: None,
            protocols: &protocols,
            forwarded: Forwarded::default(),
            peer: None,
            client_secure: false,
        };
        Upgrade::new(&Url::parse("ws://up").unwrap(), None, &options, KEY).0
    }

    /// Whole, then byte by byte; both must come to the same answer.
    fn answer(bytes: &[u8], eof: bool) -> Result<Answer> {
        let whole = upgrade().handle_input(bytes, eof);
        let mut growing = upgrade();
        let mut last = Ok(Answer::NeedMore);
        for end in 0..=bytes.len() {
            last = growing.handle_input(&bytes[..end], eof && end == bytes.len());
            if !matches!(last, Ok(Answer::NeedMore)) {
                break;
            }
        }
        assert_eq!(format!("{whole:?}"), format!("{last:?}"));
        whole
    }

    fn refusal(text: &str, eof: bool) -> Refusal {
        match answer(text.as_bytes(), eof) {
            Ok(Answer::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn valid_101_opens_and_leaves_the_frames() {
        for after in ["", "\u{1}\0\r\n"] {
            match answer(format!("{VALID}{after}").as_bytes(), false).unwrap() {
                Answer::Open { protocol, headers, consumed } => {
                    assert_eq!(headers, Headers::default());
                    assert_eq!((protocol.as_deref(), consumed), (Some("b"), VALID.len()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn end_to_end_headers_of_the_101_are_the_clients() {
        let lines = "Set-Cookie: a=1; Path=/\r\nDATE: now\r\nServer: s\r\nset-cookie: b=2\r\nX-Hop: 1\r\n\
             Keep-Alive: 1\r\nSec-WebSocket-Extensions: ,\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\
             Content-Type: a/b\r\nTransfer-Encoding: chunked\r\nProxy-Authenticate: Basic\r\nX-Empty:\r\n\r\n";
        let text = VALID.replacen("Connection: Upgrade", "Connection: Upgrade, x-hop", 1);
        let text = text.replacen("\r\n\r\n", &format!("\r\n{lines}"), 1);
        let Ok(Answer::Open { headers, .. }) = answer(text.as_bytes(), false) else { panic!() };
        let mut out = Vec::new();
        headers.write_to(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Set-Cookie: a=1; Path=/\r\nDATE: now\r\nServer: s\r\nset-cookie: b=2\r\nX-Empty: \r\n"
        );
    }

    #[test]
    fn interim_answers_are_skipped() {
        let text = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n{VALID}");
        match answer(text.as_bytes(), false) {
            Ok(Answer::Open { consumed, .. }) => assert_eq!(consumed, text.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn invalid_101_is_the_fault_of_the_upstream() {
        for (from, to) in [
            ("HTTP/1.1", "HTTP/2.0"),
            ("HTTP/1.1", "http/1.1"),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("s3pP", "S3pP"),
            ("Protocol: b", "Protocol: c"),
            ("Protocol: b", "Extensions: permessage-deflate"),
            ("Upgrade: websocket", "Upgrade: websocket\r\n folded"),
            ("Upgrade: websocket\r\n", "Upgrade: websocket\n"),
            ("101", "1010"),
            ("101", "099"),
        ] {
            let error = answer(VALID.replacen(from, to, 1).as_bytes(), false).unwrap_err();
            assert_eq!(
                (error.kind(), error.fault()),
                (ErrorKind::Refused, Fault::Upstream),
                "{to}"
            );
            assert!(error.message().starts_with("answered the handshake with "), "{error}");
        }
    }

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
        for bytes in [
            &b"\x15\x03"[..],
            b"SSH-2.0-x",
            b"\0\0\x12\x04",
            b"HTTP/2",
            b"220 mail",
            b"\r\n",
            b"<html>",
        ] {
            assert!(answer(bytes, false).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn status_200_with_upgrade_headers_is_a_refusal() {
        let text = VALID.replacen("101 Switching Protocols", "200 OK", 1);
        let refusal = refusal(&text, true);
        assert_eq!(refusal.status(), 200);
        assert!(
            !refusal.headers().contains("upgrade")
                && !refusal.headers().contains("sec-websocket-accept")
        );
    }

    #[test]
    fn refusal_is_relayed_as_soon_as_its_body_is_complete() {
        for (lines, body) in [
            ("Content-Length: 4\r\n", "nope"),
            ("Content-Length: 4\r\n", "nope and more"),
            ("Transfer-Encoding: chunked\r\n", "1\r\nn\r\n3;x\r\nope\r\n0\r\n\r\n"),
        ] {
            let text = format!("HTTP/1.1 403 Forbidden\r\n{lines}X-A: b\r\n\r\n{body}");
            let refusal = refusal(&text, false);
            assert_eq!(
                (refusal.status(), refusal.reason(), refusal.body()),
                (403, "Forbidden", &b"nope"[..])
            );
            assert_eq!(refusal.headers().iter().collect::<Vec<_>>(), [("X-A", &b"b"[..])]);
        }
        assert_eq!(refusal("HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", false).body(), b"");
        assert_eq!(
            refusal("HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", false).status(),
            302
        );
    }

    #[test]
    fn body_without_length_is_relayed_at_the_end_or_at_the_deadline() {
        let text = "HTTP/1.0 503 Busy\r\n\r\nsorry";
        assert!(matches!(answer(text.as_bytes(), false), Ok(Answer::NeedMore)));
        assert_eq!(refusal(text, true).body(), b"sorry");
        let mut late = upgrade();
        assert!(late.handle_input(&text.as_bytes()[..25], false).is_ok());
        assert_eq!(late.give_up(text.as_bytes()).unwrap().body(), b"sorry");
        assert!(late.give_up(text.as_bytes()).is_none());
    }

    #[test]
    fn body_that_breaks_off_is_relayed_as_far_as_it_came() {
        assert_eq!(refusal("HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nabc", true).body(), b"abc");
        assert_eq!(
            refusal("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", true).body(),
            b"abc"
        );
    }

    #[test]
    fn body_is_bounded() {
        let mut bytes = b"HTTP/1.1 500 X\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + MAX_BODY + 100, b'x');
        match answer(&bytes, false) {
            Ok(Answer::Refused(refusal)) => assert_eq!(refusal.body().len(), MAX_BODY),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_an_invalid_answer() {
        let text = "HTTP/1.1 403 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
        assert!(answer(text.as_bytes(), false).is_err());
    }

    #[test]
    fn connection_closed_before_the_answer_is_an_error() {
        for text in ["", "HTTP/1.1 101", "HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 403 X\r\nA: b\r\n"] {
            let error = answer(text.as_bytes(), true).unwrap_err();
            assert!(error.message().contains("closed the connection before answering"), "{error}");
            assert!(upgrade().give_up(text.as_bytes()).is_none());
        }
    }

    #[test]
    fn endless_head_too_many_headers_and_endless_interim_answers_are_errors() {
        let mut long = b"HTTP/1.1 101 X\r\nA: ".to_vec();
        long.resize(MAX_HEAD, b'x');
        let many = format!("HTTP/1.1 101 X\r\n{}\r\n", "A: b\r\n".repeat(101)).into_bytes();
        let interim = "HTTP/1.1 100 \r\n\r\n".repeat(MAX_HEAD / 17 + 1).into_bytes();
        for bytes in [long, many, interim] {
            assert_eq!(answer(&bytes, false).unwrap_err().kind(), ErrorKind::Refused);
        }
    }

    #[test]
    fn answer_once_taken_is_not_given_again() {
        let mut upgrade = upgrade();
        assert!(matches!(upgrade.handle_input(VALID.as_bytes(), false), Ok(Answer::Open { .. })));
        assert_eq!(
            upgrade.handle_input(VALID.as_bytes(), false).unwrap_err().kind(),
            ErrorKind::State
        );
    }
}
