//! What makes a 101 count: it must prove that the upstream read this very request as a WebSocket handshake.
//!
//! Rule: exact, and nothing that we did not ask for (RFC 6455 section 4.1, the client's checks 2 to 6). A proxy that
//! takes less for an upgrade forwards HTTP requests as frames, and the other way round. What else stands in a 101 is
//! between the upstream and the client: cookies are set there.

use super::headers::Headers;
use super::parse::ResponseHead;

/// The subprotocol that a valid 101 chose; an error is what was wrong. `accept` is the only right
/// `Sec-WebSocket-Accept`, `offers` are the subprotocols that were offered.
pub(super) fn check(
    head: &ResponseHead,
    accept: &str,
    offers: &[String],
) -> Result<Option<String>, &'static str> {
    let headers = &head.headers;
    if head.minor != 1 {
        return Err("a 101 in HTTP/1.0");
    }
    if !headers.is_token("upgrade", "websocket") {
        return Err("a 101 whose Upgrade is not websocket");
    }
    if !headers.has_token("connection", "upgrade") {
        return Err("a 101 whose Connection has no token upgrade");
    }
    match headers.single("sec-websocket-accept") {
        Ok(Some(value)) if value == accept.as_bytes() => {}
        Ok(Some(_)) => return Err("a wrong Sec-WebSocket-Accept"),
        Ok(None) => return Err("no Sec-WebSocket-Accept"),
        Err(_) => return Err("more than one Sec-WebSocket-Accept"),
    }
    if headers.tokens("sec-websocket-extensions").next().is_some() {
        return Err("an extension that was not offered");
    }
    match headers.single("sec-websocket-protocol") {
        Ok(None) => Ok(None),
        Ok(Some(chosen)) => match offers.iter().find(|offer| offer.as_bytes() == chosen) {
            Some(offer) => Ok(Some(offer.clone())),
            None => Err("a subprotocol that was not offered"),
        },
        Err(_) => Err("more than one Sec-WebSocket-Protocol"),
    }
}

/// The headers of a 101 that go on to the client: those of neither this hop, this handshake nor a body. There are no
/// more of them than one head may have.
pub(super) fn passed_on(headers: &Headers) -> Headers {
    let mut passed = Headers::default();
    passed.append_end_to_end(headers, &[]);
    passed.strip_illegal();
    passed
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    const VALID: &str =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b\r\n\r\n";

    fn changed(from: &str, to: &str) -> Result<Option<String>, &'static str> {
        assert!(VALID.contains(from), "{from}");
        let head = parse::response(VALID.replacen(from, to, 1).as_bytes()).ok().unwrap();
        check(&head, ACCEPT, &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn subprotocol_is_the_one_that_the_upstream_chose() {
        assert_eq!(changed("", ""), Ok(Some("b".to_owned())));
        assert_eq!(changed("Protocol: b", "Protocol: a"), Ok(Some("a".to_owned())));
        assert_eq!(changed("Sec-WebSocket-Protocol: b\r\n", ""), Ok(None));
    }

    #[test]
    fn harmless_variants_of_the_101_are_taken() {
        for (from, to) in [
            ("Upgrade: websocket", "upgrade: WebSocket"),
            ("Connection: Upgrade", "Connection: keep-alive, upgrade"),
            ("Sec-WebSocket-Protocol: b\r\n", ""),
            ("Switching Protocols", ""),
            ("Switching Protocols", "WebSocket Protocol Handshake"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions:\r\n\r\n"),
        ] {
            assert!(changed(from, to).is_ok(), "{to}");
        }
    }

    #[test]
    fn anything_less_than_an_exact_101_does_not_count() {
        for (from, to) in [
            ("HTTP/1.1", "HTTP/1.0"),
            ("Upgrade: websocket\r\n", ""),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Upgrade: websocket", "Upgrade: websocket, h2c"),
            ("Connection: Upgrade\r\n", ""),
            ("Connection: Upgrade", "Connection: close"),
            ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ""),
            ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ""),
            ("Sec-WebSocket-Protocol: b", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Protocol: b", "Extensions: permessage-deflate"),
            ("Protocol: b", "Protocol: c"),
            ("Protocol: b", "Protocol: B"),
            ("Protocol: b", "Protocol: a, b"),
            ("Protocol: b", "Protocol:"),
            ("Protocol: b", "Protocol: b\r\nSec-WebSocket-Protocol: b"),
        ] {
            assert!(changed(from, to).is_err(), "{to}");
        }
    }
}
