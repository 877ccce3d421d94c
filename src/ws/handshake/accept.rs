//! We answer the client: its request is judged (RFC 6455 section 4.2.1), then answered with the 101.
//!
//! Rules: every check has one home here, and a request that fails one is refused with the page that names it. No body
//! of any kind, not even an empty one that is announced: what follows the head is frames, for us and for whoever stands
//! before us. The target is never more than a path: it chooses no host.

use std::fmt;

use tungstenite::handshake::derive_accept_key;

use super::headers::{describes_body, write_line, Headers};
use super::parse;
use super::protocols::{self, OfferError};
use super::refusal::Refusal;
use crate::error::Error;
use crate::ws::origin::OriginList;

/// A client's request that is a valid WebSocket handshake.
#[derive(Clone)]
pub struct ClientRequest {
    target: String,
    host: String,
    key: String,
    protocols: Vec<String>,
    headers: Headers,
}

impl ClientRequest {
    /// Judges a complete head, its last empty line included and nothing after it.
    ///
    /// # Errors
    /// What the client is to be answered before the connection is closed.
    pub fn parse(head: &[u8], origins: &OriginList) -> Result<ClientRequest, Refusal> {
        let head = parse::request(head)?;
        check_first_line(&head.method, &head.target, head.minor)?;
        let headers = head.headers;
        let host = host_of(&headers)?;
        refuse_body(&headers)?;
        check_upgrade(&headers)?;
        let key = key_of(&headers)?;
        let protocols = protocols::offered(&headers).map_err(|error| match error {
            OfferError::TooMany => Refusal::head_too_large("too many subprotocols"),
            OfferError::NotToken => Refusal::bad_request("a malformed Sec-WebSocket-Protocol"),
            OfferError::Repeated => Refusal::bad_request("a subprotocol offered twice"),
        })?;
        check_origin(&headers, origins)?;
        Ok(ClientRequest { target: head.target, host, key, protocols, headers })
    }

    /// The path and query asked for; begins with `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Every header line of the request, as it came.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The value of `Host`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `Sec-WebSocket-Key`: 16 bytes in base64.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The subprotocols offered, in the client's order.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// It was answered: an upstream that is asked on its behalf later has nothing to choose from.
    pub fn forget_protocols(&mut self) {
        self.protocols.clear();
    }

    /// The same request without its headers, for an upstream that is to be told no more than what it was asked for.
    #[must_use]
    pub fn without_headers(&self) -> ClientRequest {
        ClientRequest { headers: Headers::default(), ..self.clone() }
    }

    /// The same request with other subprotocols, which the host offers in its place.
    #[must_use]
    pub fn offering(self, protocols: Vec<String>) -> ClientRequest {
        ClientRequest { protocols, ..self }
    }

    /// Whether this subprotocol is among those offered; case counts.
    pub fn offers(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|offered| offered == protocol)
    }

    /// The 101. A subprotocol that the client did not offer is left out: it would have to fail the connection
    /// (RFC 6455 section 4.1). `headers` are the upstream's and the host's; what they say of a body is left out, for a
    /// 101 has none.
    pub fn answer(&self, protocol: Option<&str>, headers: &Headers) -> Vec<u8> {
        let accept = derive_accept_key(self.key.as_bytes());
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n"
        );
        if let Some(protocol) = protocol.filter(|protocol| self.offers(protocol)) {
            answer.push_str("Sec-WebSocket-Protocol: ");
            answer.push_str(protocol);
            answer.push_str("\r\n");
        }
        let mut answer = answer.into_bytes();
        let lines = headers.iter().filter(|(name, _)| !describes_body(name));
        lines.for_each(|line| write_line(line, &mut answer));
        answer.extend_from_slice(b"\r\n");
        answer
    }
}

impl fmt::Debug for ClientRequest {
    /// Names of headers only: tokens travel in targets and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientRequest({:?})", self.headers)
    }
}

fn check_first_line(method: &str, target: &str, minor: u8) -> Result<(), Refusal> {
    if minor != 1 {
        return Err(Refusal::bad_request("the handshake needs HTTP/1.1"));
    }
    if method != "GET" {
        return Err(Refusal::method_not_allowed());
    }
    let visible = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !target.starts_with('/') || !visible {
        return Err(Refusal::bad_request("the request target must be a path and query"));
    }
    Ok(())
}

/// Exactly one Host, without anything that another reader could cut in two (RFC 9112 section 3.2).
fn host_of(headers: &Headers) -> Result<String, Refusal> {
    let value = match headers.single("host") {
        Ok(Some(value)) => value,
        Ok(None) => return Err(Refusal::bad_request("no Host")),
        Err(_) => return Err(Refusal::bad_request("more than one Host")),
    };
    let allowed =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte);
    match std::str::from_utf8(value) {
        Ok(host) if !host.is_empty() && value.iter().all(allowed) => Ok(host.to_owned()),
        _ => Err(Refusal::bad_request("a malformed Host")),
    }
}

fn refuse_body(headers: &Headers) -> Result<(), Refusal> {
    if headers.contains("content-length") || headers.contains("transfer-encoding") {
        return Err(Refusal::bad_request("a handshake has no body"));
    }
    Ok(())
}

/// The version first: older drafts differ in everything that follows it.
fn check_upgrade(headers: &Headers) -> Result<(), Refusal> {
    if !headers.is_token("upgrade", "websocket") {
        return Err(Refusal::bad_request("Upgrade must be websocket and nothing else"));
    }
    if !headers.has_token("connection", "upgrade") {
        return Err(Refusal::bad_request("Connection must have the token upgrade"));
    }
    match headers.single("sec-websocket-version") {
        Ok(Some(b"13")) => Ok(()),
        _ => Err(Refusal::version_not_supported()),
    }
}

fn key_of(headers: &Headers) -> Result<String, Refusal> {
    match headers.single("sec-websocket-key") {
        Ok(Some(key)) if is_key(key) => Ok(String::from_utf8_lossy(key).into_owned()),
        Ok(Some(_)) => Err(Refusal::bad_request("Sec-WebSocket-Key must be 16 bytes in base64")),
        Ok(None) => Err(Refusal::bad_request("no Sec-WebSocket-Key")),
        Err(_) => Err(Refusal::bad_request("more than one Sec-WebSocket-Key")),
    }
}

/// Whether the host may send this `Sec-WebSocket-Key` upstream.
///
/// # Errors
/// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) unless it is 16 bytes in base64.
pub fn check_key(key: &str) -> Result<(), Error> {
    match is_key(key.as_bytes()) {
        true => Ok(()),
        false => Err(Error::argument("the key must be 16 bytes in base64")),
    }
}

/// 22 base64 digits and the padding. The unused bits of the last digit may be anything (RFC 4648 section 3.5): some clients
/// write 22 random digits, and nobody ever decodes the key.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(digit))
}

/// Two origins are none: whoever reads the other one is deceived, list or no list.
fn check_origin(headers: &Headers, origins: &OriginList) -> Result<(), Refusal> {
    match headers.single("origin") {
        Err(_) => Err(Refusal::forbidden("more than one Origin")),
        Ok(origin) if origins.allows(origin) => Ok(()),
        Ok(_) => Err(Refusal::forbidden("this origin may not connect")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Fault};

    const VALID: &str =
        "GET /chat?a=b HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\nCookie: c\r\n\r\n";

    fn parse(head: &str) -> Result<ClientRequest, Refusal> {
        ClientRequest::parse(head.as_bytes(), &OriginList::default())
    }

    fn changed(from: &str, to: &str) -> Result<ClientRequest, Refusal> {
        assert!(VALID.contains(from), "{from}");
        parse(&VALID.replacen(from, to, 1))
    }

    fn status(result: Result<ClientRequest, Refusal>) -> u16 {
        let refusal = result.unwrap_err();
        assert_eq!(refusal.error().fault(), Fault::Client);
        assert_eq!(refusal.error().kind(), ErrorKind::Request);
        refusal.status()
    }

    #[test]
    fn valid_request_is_taken_and_answered() {
        let request = parse(VALID).unwrap();
        assert_eq!((request.target(), request.host()), ("/chat?a=b", "example.com:8080"));
        assert_eq!(request.protocols(), ["chat", "superchat"]);
        assert_eq!(request.key(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(request.headers().iter().count(), 7);
        let answer =
            String::from_utf8(request.answer(Some("superchat"), &Headers::default())).unwrap();
        assert_eq!(
            answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n"
        );
    }

    #[test]
    fn subprotocol_that_was_not_offered_is_never_answered() {
        for protocol in [None, Some("Chat"), Some("x\r\nA: b")] {
            let answer = parse(VALID).unwrap().answer(protocol, &Headers::default());
            assert!(!String::from_utf8(answer).unwrap().contains("Protocol:"));
        }
    }

    #[test]
    fn headers_of_the_answer_keep_order_and_case_and_describe_no_body() {
        let mut headers = Headers::default();
        for (name, value) in [("Set-Cookie", "a"), ("CONTENT-Type", "x"), ("set-cookie", "b")] {
            headers.push(name, value.as_bytes());
        }
        let answer = String::from_utf8(parse(VALID).unwrap().answer(None, &headers)).unwrap();
        assert!(answer.ends_with("+xOo=\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n"));
    }

    #[test]
    fn harmless_variants_are_taken() {
        for (from, to) in [
            ("Upgrade: websocket", "uPGRADE: WebSocket"),
            ("Upgrade: websocket", "Upgrade:\twebsocket, "),
            ("Connection: keep-alive, Upgrade", "Connection: x\r\nConnection: UPGRADE"),
            ("Host: example.com:8080", "host: [::1]:9"),
            ("/chat?a=b", "/"),
            ("/chat?a=b", "//x/../%00?{\"a\":[1]}|^"),
            ("chat, superchat\r\n", "chat\r\nSec-WebSocket-Protocol: superchat\r\n"),
            ("Cookie: c\r\n", "Cookie: \u{fc}\r\nX:\r\n"),
            (
                "Cookie: c\r\n",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
            ),
        ] {
            assert!(changed(from, to).is_ok(), "{to}");
        }
    }

    #[test]
    fn malformed_request_is_answered_400() {
        for (from, to) in [
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/1.2"),
            ("/chat?a=b", "http://evil/"),
            ("/chat?a=b", "ws://evil/"),
            ("/chat?a=b", "*"),
            ("/chat?a=b", "evil:443"),
            ("/chat?a=b", "/#f"),
            ("/chat?a=b", "/\u{e9}"),
            ("/chat?a=b", "/a b"),
            ("/chat?a=b", "chat"),
            ("Host: example.com:8080\r\n", ""),
            ("Host: example.com:8080", "Host:"),
            ("Host: example.com:8080", "Host: a\r\nHost: a"),
            ("Host: example.com:8080", "Host: a@b"),
            ("Host: example.com:8080", "Host: a/b"),
            ("Host: example.com:8080", "Host: a b"),
            ("Host: example.com:8080", "Host: a, b"),
            ("Host: example.com:8080", "Host: \u{e9}"),
            ("Host: example.com:8080", "Host : a"),
            ("Upgrade: websocket\r\n", ""),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Upgrade: websocket", "Upgrade: websocket, h2c"),
            ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
            ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket"),
            ("Upgrade: websocket", "Upgrade: websocket/13"),
            ("Connection: keep-alive, Upgrade\r\n", ""),
            ("keep-alive, Upgrade", "keep-alive"),
            ("keep-alive, Upgrade", "keep-alive Upgrade"),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            ("dGhlIHNhbXBsZSBub25jZQ==", ""),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ==="),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQQQ"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j-_=="),
            ("Cookie: c", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
            ("chat, superchat", "chat, chat"),
            ("chat, superchat", "chat superchat"),
            ("Cookie: c", "Content-Length: 5"),
            ("Cookie: c", "Content-Length: 0"),
            ("Cookie: c", "Transfer-Encoding: chunked"),
            ("Cookie: c", "Transfer-Encoding: identity"),
            ("Cookie: c", "Cookie: c\r\n folded"),
            ("Cookie: c", "Cookie: c\n"),
            ("Cookie: c", "Cookie: c\rx"),
            ("Cookie: c", "Cookie: c\0"),
        ] {
            assert_eq!(status(changed(from, to)), 400, "{to}");
        }
    }

    #[test]
    fn method_other_than_get_is_answered_405_with_allow() {
        for method in ["POST", "CONNECT", "get", "GETX"] {
            let refusal = changed("GET", method).unwrap_err();
            assert_eq!(refusal.status(), 405, "{method}");
            assert_eq!(refusal.headers().single("allow"), Ok(Some(&b"GET"[..])));
        }
    }

    #[test]
    fn version_other_than_13_is_answered_426_with_13() {
        for version in ["8", "013", "13, 8", "", "14", "13\r\nSec-WebSocket-Version: 13"] {
            let to = format!("Version: {version}");
            let refusal = changed("Version: 13", &to).unwrap_err();
            assert_eq!(refusal.status(), 426, "{version}");
            assert_eq!(refusal.headers().single("sec-websocket-version"), Ok(Some(&b"13"[..])));
        }
        assert_eq!(status(changed("Sec-WebSocket-Version: 13\r\n", "")), 426);
    }

    #[test]
    fn another_major_version_of_http_is_answered_505() {
        assert_eq!(status(changed("HTTP/1.1", "HTTP/2.0")), 505);
        assert_eq!(status(parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), 505);
    }

    #[test]
    fn head_over_the_limits_is_answered_431() {
        let long = "a,".repeat(50_000);
        assert_eq!(status(changed("chat, superchat", &long)), 431);
        assert_eq!(status(changed("Cookie: c\r\n", &"X: y\r\n".repeat(10_000))), 431);
        let names: Vec<String> = (0..101).map(|n| format!("p{n}")).collect();
        assert_eq!(status(changed("chat, superchat", &names.join(","))), 431);
        assert_eq!(status(changed("Cookie: c\r\n", &"X: y\r\n".repeat(95))), 431);
        assert!(changed("Cookie: c\r\n", &"X: y\r\n".repeat(94)).is_ok());
    }

    #[test]
    fn origin_that_is_not_listed_is_answered_403() {
        let mut origins = OriginList::default();
        origins.add("https://good.com").unwrap();
        let with = |lines: &str| {
            let head = VALID.replacen("Cookie: c\r\n", lines, 1);
            ClientRequest::parse(head.as_bytes(), &origins)
        };
        assert!(with("Origin: https://GOOD.com:443\r\n").is_ok());
        for lines in [
            "",
            "Origin: null\r\n",
            "Origin:\r\n",
            "Origin: http://good.com\r\n",
            "Origin: https://good.com.evil.com\r\n",
            "Origin: https://good.com\r\nOrigin: https://good.com\r\n",
            "Origin: https://good.com https://evil.com\r\n",
            "Origin: \u{e9}://\u{e9}:99999\r\n",
        ] {
            assert_eq!(status(with(lines)), 403, "{lines}");
        }
        assert_eq!(status(changed("Cookie: c", "Origin: a\r\nOrigin: b")), 403);
    }

    #[test]
    fn less_or_more_than_a_head_is_refused() {
        assert_eq!(status(parse(&VALID[..VALID.len() - 1])), 400);
        assert_eq!(status(parse(&format!("{VALID}GET /admin"))), 400);
        assert_eq!(status(parse("")), 400);
    }

    #[test]
    fn debug_form_hides_target_key_and_values() {
        let text = format!("{:?}", parse(VALID).unwrap());
        assert!(
            text.contains("Cookie") && !text.contains("chat") && !text.contains("dGhl"),
            "{text}"
        );
    }
}
