//! A handshake that is not accepted: the HTTP response that says so, and the error it means.
//!
//! Rules: always a complete response with a true `Content-Length` and `Connection: close`; the connection ends with it.
//! Our own pages repeat nothing that came from a peer, and tell a client nothing about the upstream. A relayed
//! refusal keeps the upstream's status, reason, end-to-end headers and body; the handshake hook's is what the hook says.

use std::fmt;

use http::StatusCode;

use super::head::HeadError;
use super::headers::{describes_body, is_handshakes, is_value, Headers};
use crate::error::{Error, ErrorKind, Fault};

/// The longest part of an upstream's reason phrase that goes into the words of an error.
const REASON_IN_WORDS: usize = 80;

/// A complete HTTP response that refuses the client, and the error behind it. Boxed, as every step of a handshake may
/// come to one, and hardly ever does.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(Box<Page>);

#[derive(Clone, PartialEq, Eq)]
struct Page {
    status: u16,
    reason: String,
    headers: Headers,
    body: Vec<u8>,
    error: Error,
}

impl Refusal {
    /// 400: the request is no WebSocket handshake; `what` was wrong.
    pub fn bad_request(what: &str) -> Refusal {
        Refusal::own(400, "Bad Request", what, fault_of_request(what))
    }

    /// 403: the origin may not connect.
    pub fn forbidden(what: &str) -> Refusal {
        Refusal::own(403, "Forbidden", what, fault_of_request(what))
    }

    /// 405: a method other than GET.
    pub fn method_not_allowed() -> Refusal {
        let what = "a WebSocket handshake is a GET request";
        Refusal::own(405, "Method Not Allowed", what, fault_of_request(what)).with("Allow", "GET")
    }

    /// 408: the client did not send its request in time.
    pub fn request_timeout() -> Refusal {
        let what = "the handshake request did not arrive in time";
        let error = Error::new(ErrorKind::Timeout, Fault::Client, what);
        Refusal::own(408, "Request Timeout", what, error)
    }

    /// 426: a WebSocket version other than 13 (RFC 6455 section 4.4).
    pub fn version_not_supported() -> Refusal {
        let what = "Sec-WebSocket-Version must be 13";
        Refusal::own(426, "Upgrade Required", what, fault_of_request(what))
            .with("Sec-WebSocket-Version", "13")
    }

    /// 431: the head is too long or has too many lines.
    pub fn head_too_large(what: &str) -> Refusal {
        Refusal::own(431, "Request Header Fields Too Large", what, fault_of_request(what))
    }

    /// 505: an HTTP whose major version is not 1.
    pub fn http_not_supported() -> Refusal {
        let what = "the handshake needs HTTP/1.1";
        Refusal::own(505, "HTTP Version Not Supported", what, fault_of_request(what))
    }

    /// 500: something failed on our side of the wire, as `error` says.
    pub fn internal(error: Error) -> Refusal {
        Refusal::own(500, "Internal Server Error", "the proxy failed", error)
    }

    /// 502: the upstream cannot be reached or answered with nonsense, as `error` says.
    pub fn bad_gateway(error: Error) -> Refusal {
        Refusal::own(502, "Bad Gateway", "the upstream cannot be reached", error)
    }

    /// 503: the proxy is full or shutting down, as `error` says.
    pub fn unavailable(error: Error) -> Refusal {
        Refusal::own(503, "Service Unavailable", "no more connections are taken", error)
    }

    /// 504: the upstream took too long, as `error` says.
    pub fn gateway_timeout(error: Error) -> Refusal {
        Refusal::own(504, "Gateway Timeout", "the upstream did not answer in time", error)
    }

    /// The handshake hook's: its status, body and headers. A status that refuses nothing (RFC 9110 section 15: 300 to
    /// 599 do) is a hook that failed.
    pub fn by_host(status: u16, body: Vec<u8>, headers: &Headers) -> Refusal {
        if !is_refusal(status) {
            return Refusal::hook_failed(&format!("it refused with {status}, not 300 to 599"));
        }
        let code = StatusCode::from_u16(status).ok();
        let reason = code.and_then(|code| code.canonical_reason()).unwrap_or_default();
        let words =
            format!("the handshake hook refused the client: {}", status_in_words(status, reason));
        let error = Error::new(ErrorKind::Refused, Fault::Host, words);
        let body = if has_body(status) { body } else { Vec::new() };
        let named = headers.contains("content-type") || body.is_empty();
        let (reason, headers) = (reason.to_owned(), headers.clone());
        let refusal = Refusal(Box::new(Page { status, reason, headers, body, error }));
        if named {
            return refusal;
        }
        refusal.with("Content-Type", "text/plain; charset=utf-8")
    }

    /// 500: the handshake hook failed, for this reason.
    pub fn hook_failed(why: &str) -> Refusal {
        let words = format!("the handshake hook failed: {why}");
        Refusal::internal(Error::new(ErrorKind::Hook, Fault::Host, words))
    }

    /// The same with the host's headers for this client, but for those about a body: it is not the host's.
    pub fn with_headers(mut self, headers: &Headers) -> Refusal {
        let mut headers = headers.clone();
        headers.retain(|name, _| !describes_body(name));
        self.0.headers.append(&headers);
        self
    }

    /// The upstream's own refusal: its status (200 to 599), reason, end-to-end headers and body.
    pub fn relayed(status: u16, reason: &str, mut headers: Headers, body: Vec<u8>) -> Refusal {
        headers.strip_hop_by_hop();
        headers.strip_illegal();
        // Of the handshake's own headers a client can use only the versions that a 426 names (RFC 6455 section 4.4).
        headers.retain(|name, _| {
            let versions = name.eq_ignore_ascii_case("sec-websocket-version");
            (versions || !is_handshakes(name)) && !name.eq_ignore_ascii_case("content-length")
        });
        let reason = if is_value(reason.as_bytes()) { reason.to_owned() } else { String::new() };
        let words = format!("refused the handshake: {}", status_in_words(status, &reason));
        let error = Error::new(ErrorKind::Refused, Fault::Upstream, words);
        let body = if has_body(status) { body } else { Vec::new() };
        Refusal(Box::new(Page { status, reason, headers, body, error }))
    }

    fn own(status: u16, reason: &str, what: &str, error: Error) -> Refusal {
        let body = format!("{status} {reason}: {what}\n").into_bytes();
        let (reason, headers) = (reason.to_owned(), Headers::default());
        Refusal(Box::new(Page { status, reason, headers, body, error }))
            .with("Content-Type", "text/plain; charset=utf-8")
    }

    fn with(mut self, name: &str, value: &str) -> Refusal {
        self.0.headers.push(name, value.as_bytes());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The reason phrase, perhaps empty.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The headers without `Content-Length` and `Connection`, which belong to the wire.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// What this refusal means to the host.
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// The same, for keeps.
    pub fn into_error(self) -> Error {
        self.0.error
    }

    /// The response, ready to be written; the connection is closed after it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.0.status, self.0.reason).into_bytes();
        self.0.headers.write_to(&mut out);
        if has_body(self.0.status) {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.0.body.len()).as_bytes());
        }
        // A 426 must name the protocol to upgrade to, as an option of this hop (RFC 9110 sections 7.8 and 15.5.22).
        out.extend_from_slice(match self.0.status {
            426 => b"Upgrade: websocket\r\nConnection: close, Upgrade\r\n\r\n",
            _ => b"Connection: close\r\n\r\n",
        });
        out.extend_from_slice(&self.0.body);
        out
    }
}

impl From<HeadError> for Refusal {
    /// What a client with such a head is answered.
    fn from(error: HeadError) -> Refusal {
        match error {
            HeadError::TooLarge | HeadError::TooManyHeaders => {
                Refusal::head_too_large(&error.to_string())
            }
            HeadError::Version | HeadError::Http2 => Refusal::http_not_supported(),
            HeadError::Tls | HeadError::Malformed(_) => Refusal::bad_request(&error.to_string()),
        }
    }
}

impl fmt::Debug for Refusal {
    /// Without header values and body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({} {:?}, {} bytes)", self.0.status, self.0.headers, self.0.body.len())
    }
}

fn fault_of_request(what: &str) -> Error {
    Error::new(ErrorKind::Request, Fault::Client, format!("no acceptable handshake: {what}"))
}

/// `407 Proxy Authentication Required`: the reason as far as words have room for it, and nothing invisible.
pub(super) fn status_in_words(status: u16, reason: &str) -> String {
    let reason = if is_value(reason.as_bytes()) { reason } else { "" };
    let shown: String = reason.chars().take(REASON_IN_WORDS).collect();
    format!("{status} {shown}").trim_end().to_owned()
}

/// Whether a status says no: whoever answers with another one has let the client in.
pub(super) fn is_refusal(status: u16) -> bool {
    (300..=599).contains(&status)
}

/// RFC 9110 sections 15.3.5 and 15.4.5.
pub(super) fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(refusal: &Refusal) -> String {
        String::from_utf8(refusal.to_bytes()).unwrap()
    }

    fn lines(pairs: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.push(name, value.as_bytes());
        }
        headers
    }

    fn cause() -> Error {
        Error::new(ErrorKind::Unreachable, Fault::Upstream, "10.1.2.3:99: connection refused")
    }

    #[test]
    fn own_page_is_a_complete_response() {
        assert_eq!(
            text(&Refusal::bad_request("no key")),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 24\r\n\
             Connection: close\r\n\r\n400 Bad Request: no key\n"
        );
    }

    #[test]
    fn own_pages_have_their_status_header_and_error() {
        for (refusal, status, header, kind, fault) in [
            (Refusal::forbidden("x"), 403, "", ErrorKind::Request, Fault::Client),
            (
                Refusal::method_not_allowed(),
                405,
                "Allow: GET\r\n",
                ErrorKind::Request,
                Fault::Client,
            ),
            (Refusal::request_timeout(), 408, "", ErrorKind::Timeout, Fault::Client),
            (
                Refusal::version_not_supported(),
                426,
                "Sec-WebSocket-Version: 13\r\n",
                ErrorKind::Request,
                Fault::Client,
            ),
            (Refusal::head_too_large("x"), 431, "", ErrorKind::Request, Fault::Client),
            (Refusal::http_not_supported(), 505, "", ErrorKind::Request, Fault::Client),
            (Refusal::bad_gateway(cause()), 502, "", ErrorKind::Unreachable, Fault::Upstream),
            (Refusal::gateway_timeout(cause()), 504, "", ErrorKind::Unreachable, Fault::Upstream),
            (Refusal::unavailable(cause()), 503, "", ErrorKind::Unreachable, Fault::Upstream),
            (Refusal::internal(cause()), 500, "", ErrorKind::Unreachable, Fault::Upstream),
        ] {
            let text = text(&refusal);
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert!(text.contains(header) && text.contains("Connection: close"), "{text}");
            assert_eq!(
                (refusal.status(), refusal.error().kind(), refusal.error().fault()),
                (status, kind, fault)
            );
        }
    }

    #[test]
    fn client_learns_nothing_about_the_upstream() {
        assert!(!text(&Refusal::bad_gateway(cause())).contains("10.1.2.3"));
        assert!(!text(&Refusal::gateway_timeout(cause())).contains("10.1.2.3"));
    }

    #[test]
    fn upgrade_required_names_the_protocol() {
        let text = text(&Refusal::version_not_supported());
        assert!(
            text.contains("Upgrade: websocket\r\nConnection: close, Upgrade\r\n\r\n"),
            "{text}"
        );
    }

    #[test]
    fn refusal_by_the_hook_is_complete_and_its_own() {
        let refusal = Refusal::by_host(
            401,
            b"who?".to_vec(),
            &lines(&[("WWW-Authenticate", "Basic"), ("Set-Cookie", "a"), ("set-cookie", "b")]),
        );
        assert_eq!(
            text(&refusal),
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwho?"
        );
        let error = refusal.into_error();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Host));
        assert_eq!(error.message(), "the handshake hook refused the client: 401 Unauthorized");
    }

    #[test]
    fn body_of_the_hooks_refusal_is_named_once_and_only_if_there_is_one() {
        let json = lines(&[("content-type", "application/json")]);
        assert_eq!(
            text(&Refusal::by_host(403, b"{}".to_vec(), &json)),
            "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\
             Connection: close\r\n\r\n{}"
        );
        let to = lines(&[("Location", "/login")]);
        assert_eq!(
            text(&Refusal::by_host(302, Vec::new(), &to)),
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            text(&Refusal::by_host(304, b"x".to_vec(), &Headers::default())),
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"
        );
        let nameless = Refusal::by_host(599, Vec::new(), &Headers::default());
        assert!(text(&nameless).starts_with("HTTP/1.1 599 \r\n"));
        assert_eq!(nameless.error().message(), "the handshake hook refused the client: 599");
    }

    #[test]
    fn status_that_refuses_nothing_is_a_hook_that_failed() {
        for status in [0, 100, 101, 200, 299, 600, 65535] {
            let refusal = Refusal::by_host(status, b"in".to_vec(), &lines(&[("A", "b")]));
            assert_eq!((refusal.status(), refusal.error().kind()), (500, ErrorKind::Hook));
            assert_eq!(refusal.error().fault(), Fault::Host);
            assert!(!text(&refusal).contains("A: b"));
        }
    }

    #[test]
    fn failed_hook_keeps_its_reason_from_the_client() {
        let refusal = Refusal::hook_failed("secret");
        assert!(refusal.status() == 500 && !text(&refusal).contains("secret"));
        assert_eq!(refusal.error().message(), "the handshake hook failed: secret");
    }

    #[test]
    fn headers_of_the_host_join_any_refusal_but_do_not_describe_its_body() {
        let extra = lines(&[("Set-Cookie", "a"), ("Content-Type", "x/y"), ("Retry-After", "9")]);
        let text = text(&Refusal::unavailable(cause()).with_headers(&extra));
        assert!(text.contains("Set-Cookie: a\r\nRetry-After: 9\r\nContent-Length:"), "{text}");
        assert!(!text.contains("x/y"), "{text}");
    }

    #[test]
    fn relayed_refusal_keeps_end_to_end_headers_only() {
        let headers = lines(&[
            ("WWW-Authenticate", "Basic"),
            ("Set-Cookie", "a"),
            ("set-cookie", "b"),
            ("Content-Length", "99"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "1"),
            ("Sec-WebSocket-Accept", "x"),
            ("Sec-WebSocket-Version", "13, 8"),
            ("Upgrade", "h2c"),
        ]);
        let refusal = Refusal::relayed(401, "Nope", headers, b"body".to_vec());
        assert_eq!(
            text(&refusal),
            "HTTP/1.1 401 Nope\r\nWWW-Authenticate: Basic\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
             Sec-WebSocket-Version: 13, 8\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
        );
        let error = refusal.into_error();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Upstream));
        assert!(error.message().contains("401 Nope"));
    }

    #[test]
    fn status_without_body_is_relayed_without_one() {
        for status in [204, 304] {
            let text = text(&Refusal::relayed(status, "", Headers::default(), b"x".to_vec()));
            assert_eq!(text, format!("HTTP/1.1 {status} \r\nConnection: close\r\n\r\n"));
        }
    }

    #[test]
    fn reason_cannot_split_the_response() {
        let text = text(&Refusal::relayed(500, "a\r\nX: y", Headers::default(), Vec::new()));
        assert!(text.starts_with("HTTP/1.1 500 \r\n"), "{text}");
    }

    #[test]
    fn header_cannot_split_the_response() {
        let headers = lines(&[("A", "b\r\nX: y"), ("C\r\nX", "y"), ("Good", "z")]);
        let text = text(&Refusal::relayed(500, "", headers, Vec::new()));
        assert_eq!(
            text,
            "HTTP/1.1 500 \r\nGood: z\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
}
