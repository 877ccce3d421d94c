//! The handshake hook's part: what it sees of the client's request, what it may change, and what it may answer.
//!
//! Rules: it runs when the request has been judged and before the upstream is dialled. Every change is checked at the
//! call, and a bad one changes nothing, so that carrying them out never fails. Of the upstream it may choose the URL
//! only while there is none; the rest of what it says counts in any order of the two halves.

use super::accept::ClientRequest;
use super::headers::{check_name, check_value, is_handshakes, is_hop_by_hop, Headers};
use super::refusal::{is_refusal, Refusal};
use super::rules::HeaderRules;
use crate::error::{Error, Result};
use crate::ws::url::Url;

/// A client's handshake, lent to the handshake hook.
#[derive(Debug)]
pub struct Handshake<'a> {
    request: &'a ClientRequest,
    peer: Option<&'a str>,
    secure: bool,
    may_choose: bool,
    plan: Plan,
}

/// What the handshake hook has changed.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The upstream to connect to in place of the one that was named.
    pub url: Option<Url>,
    /// Changes to the request sent upstream, after those of the configuration.
    pub rules: HeaderRules,
    /// Lines for whatever the client is answered.
    pub answer_headers: Headers,
}

/// The handshake hook's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Go on: the upstream is asked.
    Accept,
    /// Answer the client with this, and ask nobody. [`Admission::refuse`] checks the status.
    Refuse {
        /// The HTTP status, 300 to 599; another one is a failed hook.
        status: u16,
        /// The body, plain text unless an answer header says what else.
        body: Vec<u8>,
    },
    /// The hook failed, for this reason: the client is answered 500 and `connect` returns the error.
    Failed(String),
}

impl Admission {
    /// Refuses the client with this status and body.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) for a status that refuses nothing: 300 to 599 do.
    pub fn refuse(status: u16, body: impl Into<Vec<u8>>) -> Result<Admission> {
        if !is_refusal(status) {
            let words = format!("status {status} refuses nothing: it must be from 300 to 599");
            return Err(Error::argument(words));
        }
        Ok(Admission::Refuse { status, body: body.into() })
    }

    /// What the client is answered unless it is let in; `headers` are the plan's. They are not for a failed hook's page:
    /// it may have been stopped half-way through them.
    pub fn into_refusal(self, headers: &Headers) -> Option<Refusal> {
        match self {
            Admission::Accept => None,
            Admission::Refuse { status, body } => Some(Refusal::by_host(status, body, headers)),
            Admission::Failed(why) => Some(Refusal::hook_failed(&why)),
        }
    }
}

impl<'a> Handshake<'a> {
    /// The handshake of `request`, which came from `peer`, over TLS if `secure`. `may_choose`: the upstream is not
    /// connected yet.
    pub fn new(
        request: &'a ClientRequest,
        peer: Option<&'a str>,
        secure: bool,
        may_choose: bool,
    ) -> Self {
        Handshake { request, peer, secure, may_choose, plan: Plan::default() }
    }

    /// What was changed.
    pub fn finish(self) -> Plan {
        self.plan
    }

    /// The request's method: always `GET`, the only one that opens a WebSocket.
    pub fn method(&self) -> &str {
        "GET"
    }

    /// The path and query asked for; begins with `/`.
    pub fn target(&self) -> &str {
        self.request.target()
    }

    /// The value of `Host`.
    pub fn host(&self) -> &str {
        self.request.host()
    }

    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every header line, in the order and case in which it came.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.request.headers().iter()
    }

    /// The subprotocols offered, in the client's order.
    pub fn protocols(&self) -> &[String] {
        self.request.protocols()
    }

    /// The client's address, if its connection has one.
    pub fn peer(&self) -> Option<&str> {
        self.peer
    }

    /// Whether the client came over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Connects this client to another upstream than the one that was named.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) for an unusable URL,
    /// [`ErrorKind::State`](crate::error::ErrorKind::State) when the upstream is connected already.
    pub fn set_url(&mut self, url: &str) -> Result<()> {
        if !self.may_choose {
            return Err(Error::state("the upstream is connected already"));
        }
        self.plan.url = Some(Url::parse(url)?);
        Ok(())
    }

    /// Sets a header of the request sent upstream, in place of any that the client or the configuration has put.
    ///
    /// # Errors
    /// As [`add_header`](Self::add_header).
    pub fn set_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.plan.rules.set(name, value)
    }

    /// Adds a header to the request sent upstream.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) for a name that is no header's or belongs to the
    /// handshake, and for control characters in the value.
    pub fn add_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.plan.rules.add(name, value)
    }

    /// Takes a header out of the request sent upstream.
    ///
    /// # Errors
    /// As [`add_header`](Self::add_header).
    pub fn remove_header(&mut self, name: &str) -> Result<()> {
        self.plan.rules.remove(name)
    }

    /// Adds a header to whatever the client is answered, the 101 or a refusal: `Set-Cookie`, `WWW-Authenticate`,
    /// `Location`, `Retry-After`. What describes a body counts for this hook's own refusal only.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) for a name that is no header's or belongs to the
    /// handshake or the connection, and for control characters in the value.
    pub fn add_answer_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        check_name(name)?;
        check_value(name, value)?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        if is_hop_by_hop(name) || is_handshakes(name) || is_length {
            return Err(Error::argument(format!("header {name} of the answer is not the host's")));
        }
        self.plan.answer_headers.push(name, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Fault};
    use crate::ws::origin::OriginList;

    fn request() -> ClientRequest {
        let head =
            "GET /chat?token=secret HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: a\r\n\
             cookie: b\r\nX-Raw: \u{e9}\r\nSec-WebSocket-Protocol: p, q\r\n\r\n";
        ClientRequest::parse(head.as_bytes(), &OriginList::default()).unwrap()
    }

    fn written(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn kind(result: Result<()>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn hook_sees_the_request_as_it_came() {
        let request = request();
        let seen = Handshake::new(&request, Some("192.0.2.7"), true, true);
        assert_eq!(
            (seen.method(), seen.target(), seen.host()),
            ("GET", "/chat?token=secret", "h:1")
        );
        assert_eq!((seen.peer(), seen.is_secure()), (Some("192.0.2.7"), true));
        assert_eq!(seen.protocols(), ["p", "q"]);
        assert_eq!(seen.header("COOKIE"), Some(&b"a"[..]));
        assert_eq!(seen.header("x-raw"), Some("\u{e9}".as_bytes()));
        assert_eq!(seen.header("x-none"), None);
        let names: Vec<&str> = seen.headers().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 9);
        assert_eq!(names.get(5..7), Some(&["Cookie", "cookie"][..]));
    }

    #[test]
    fn nothing_is_changed_unless_the_hook_says_so() {
        let plan = Handshake::new(&request(), None, false, true).finish();
        assert_eq!((plan.url, plan.answer_headers), (None, Headers::default()));
    }

    #[test]
    fn changes_are_handed_over_in_the_order_made() {
        let request = request();
        let mut seen = Handshake::new(&request, None, false, true);
        seen.set_url("ws://first").unwrap();
        seen.set_url("ws+unix:/second:/x").unwrap();
        seen.set_header("X-User", b"u").unwrap();
        seen.add_header("X-User", b"v").unwrap();
        seen.remove_header("Cookie").unwrap();
        seen.add_answer_header("Set-Cookie", b"a=1").unwrap();
        seen.add_answer_header("set-cookie", b"b=2").unwrap();
        seen.add_answer_header("Content-Type", b"text/html").unwrap();
        let plan = seen.finish();
        assert_eq!(plan.url, Some(Url::parse("ws+unix:/second:/x").unwrap()));
        assert_eq!(
            written(&plan.answer_headers),
            "Set-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Type: text/html\r\n"
        );
        let mut upstream = Headers::default();
        upstream.push("Cookie", b"a");
        upstream.push("X-User", b"forged");
        plan.rules.apply(&mut upstream);
        assert_eq!(written(&upstream), "X-User: u\r\nX-User: v\r\n");
    }

    #[test]
    fn bad_change_is_refused_at_the_call_and_changes_nothing() {
        let request = request();
        let mut seen = Handshake::new(&request, None, false, true);
        seen.set_url("ws://kept").unwrap();
        assert_eq!(kind(seen.set_url("http://h")), ErrorKind::Argument);
        assert_eq!(kind(seen.set_header("Upgrade", b"h2c")), ErrorKind::Argument);
        assert_eq!(kind(seen.add_header("A", b"b\r\nX: y")), ErrorKind::Argument);
        assert_eq!(kind(seen.remove_header("Host")), ErrorKind::Argument);
        for name in [
            "Connection",
            "Keep-Alive",
            "UPGRADE",
            "Transfer-Encoding",
            "content-length",
            "Sec-WebSocket-Accept",
            "sec-websocket-extensions",
            "Proxy-Authenticate",
            "",
            "A: b\r\nC",
        ] {
            assert_eq!(kind(seen.add_answer_header(name, b"x")), ErrorKind::Argument, "{name}");
        }
        for value in [&b"a\r\nX: y"[..], b"\n", b"\0"] {
            assert_eq!(kind(seen.add_answer_header("A", value)), ErrorKind::Argument);
        }
        let plan = seen.finish();
        assert_eq!(plan.url, Some(Url::parse("ws://kept").unwrap()));
        assert_eq!(plan.answer_headers, Headers::default());
    }

    #[test]
    fn upstream_cannot_be_chosen_once_it_is_connected() {
        let request = request();
        let mut seen = Handshake::new(&request, None, false, false);
        let error = seen.set_url("ws://h").unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::State, Fault::Host));
        assert_eq!(error.message(), "the upstream is connected already");
        assert!(seen.add_answer_header("X", b"y").is_ok());
        assert_eq!(seen.finish().url, None);
    }

    #[test]
    fn refusal_needs_a_status_that_refuses() {
        for status in [0, 100, 101, 200, 204, 299, 600, 1000] {
            assert_eq!(Admission::refuse(status, "").unwrap_err().kind(), ErrorKind::Argument);
        }
        for status in [300, 401, 503, 599] {
            assert!(Admission::refuse(status, "no").is_ok(), "{status}");
        }
    }

    #[test]
    fn answer_of_the_hook_becomes_what_the_client_gets() {
        let mut headers = Headers::default();
        headers.push("WWW-Authenticate", b"Basic");
        assert_eq!(Admission::Accept.into_refusal(&headers), None);
        let refusal = Admission::refuse(401, "no").unwrap().into_refusal(&headers).unwrap();
        assert!(refusal.status() == 401 && refusal.headers().contains("www-authenticate"));
        let failed = Admission::Failed("oops".into()).into_refusal(&headers).unwrap();
        assert_eq!((failed.status(), failed.error().kind()), (500, ErrorKind::Hook));
        assert!(!failed.headers().contains("www-authenticate"));
        let unchecked = Admission::Refuse { status: 101, body: Vec::new() };
        assert_eq!(unchecked.into_refusal(&headers).unwrap().status(), 500);
    }

    #[test]
    fn debug_form_hides_target_and_values() {
        let request = request();
        let mut seen = Handshake::new(&request, None, false, true);
        seen.set_url("ws://h/?secret").unwrap();
        seen.set_header("Authorization", b"secret").unwrap();
        seen.add_answer_header("Set-Cookie", b"secret").unwrap();
        let text = format!("{seen:?}");
        assert!(text.contains("Set-Cookie") && !text.contains("secret"), "{text}");
    }
}
