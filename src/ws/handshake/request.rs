//! The request that goes to the upstream: the client's, made ours.
//!
//! Rules: the client's end-to-end headers keep their order and case; what belongs to its own hop, to its handshake or
//! to a body does not travel. Extensions are never offered. The host's rules are applied to the client's headers; what
//! `forwarded` adds comes after them, so that removing `X-Forwarded-For` drops what an untrusted client claimed, and is
//! left alone where a rule has put an `X-Forwarded-Proto` or `-Host`.

use super::accept::ClientRequest;
use super::headers::{is_value, Headers};
use super::rules::HeaderRules;
use crate::ws::url::Url;

/// How the upstream is asked.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeOptions<'a> {
    /// The host's changes to the headers.
    pub rules: &'a HeaderRules,
    /// The subprotocols to offer when there is no client whose offers could be passed on.
    pub protocols: &'a [String],
    /// Whether to send `X-Forwarded-For`, `-Proto` and `-Host`.
    pub forwarded: bool,
    /// The client's address as text, for `X-Forwarded-For`.
    pub peer: Option<&'a str>,
    /// Whether the client came over TLS, for `X-Forwarded-Proto`.
    pub client_secure: bool,
}

/// The subprotocols to offer: exactly the client's when there is one.
pub(super) fn offers(client: Option<&ClientRequest>, options: &UpgradeOptions<'_>) -> Vec<String> {
    client.map_or(options.protocols, ClientRequest::protocols).to_vec()
}

/// The bytes of the request.
pub(super) fn write(
    url: &Url,
    client: Option<&ClientRequest>,
    options: &UpgradeOptions<'_>,
    offers: &[String],
    key: &str,
) -> Vec<u8> {
    let mut headers = Headers::default();
    headers.push("Host", url.authority().as_bytes());
    if let Some(client) = client {
        add_end_to_end(&mut headers, client.headers());
    }
    options.rules.apply(&mut headers);
    if options.forwarded {
        add_forwarded(&mut headers, client, options);
    }
    headers.push("Upgrade", b"websocket");
    headers.push("Connection", b"Upgrade");
    headers.push("Sec-WebSocket-Key", key.as_bytes());
    headers.push("Sec-WebSocket-Version", b"13");
    if !offers.is_empty() {
        headers.push("Sec-WebSocket-Protocol", offers.join(", ").as_bytes());
    }
    let target = url.target_for(client.map(ClientRequest::target));
    let mut out = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    headers.write_to(&mut out);
    out.extend_from_slice(b"\r\n");
    out
}

fn add_end_to_end(headers: &mut Headers, client: &Headers) {
    let mut kept = client.clone();
    kept.strip_hop_by_hop();
    for (name, value) in kept.iter() {
        let lower = name.to_ascii_lowercase();
        let ours = lower == "host" || lower.starts_with("sec-websocket-");
        // Describes a body, and there is none.
        let of_a_body = lower.starts_with("content-");
        if !ours && !of_a_body {
            headers.push(name, value);
        }
    }
}

/// The address goes to the end of the list; scheme and host replace what the client claimed.
fn add_forwarded(
    headers: &mut Headers,
    client: Option<&ClientRequest>,
    options: &UpgradeOptions<'_>,
) {
    if let Some(peer) = options.peer.filter(|peer| is_value(peer.as_bytes())) {
        let mut list: Vec<&[u8]> =
            headers.get_all("x-forwarded-for").filter(|v| !v.is_empty()).collect();
        list.push(peer.as_bytes());
        let list = list.join(&b", "[..]);
        headers.set("X-Forwarded-For", &list);
    }
    let Some(client) = client else { return };
    if !options.rules.puts("x-forwarded-proto") {
        let scheme: &[u8] = if options.client_secure { b"https" } else { b"http" };
        headers.set("X-Forwarded-Proto", scheme);
    }
    if !options.rules.puts("x-forwarded-host") {
        headers.set("X-Forwarded-Host", client.host().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::origin::OriginList;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
    const OURS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n";

    fn client(lines: &str) -> ClientRequest {
        let head = format!(
            "GET /path?q HTTP/1.1\r\nHost: client.example\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
        );
        ClientRequest::parse(head.as_bytes(), &OriginList::default()).unwrap()
    }

    struct Case {
        rules: HeaderRules,
        protocols: Vec<String>,
        forwarded: bool,
    }

    fn plain() -> Case {
        Case { rules: HeaderRules::default(), protocols: Vec::new(), forwarded: false }
    }

    impl Case {
        fn write(&self, url: &str, client: Option<&ClientRequest>) -> String {
            let options = UpgradeOptions {
                rules: &self.rules,
                protocols: &self.protocols,
                forwarded: self.forwarded,
                peer: Some("192.0.2.7"),
                client_secure: false,
            };
            let offers = offers(client, &options);
            String::from_utf8(write(&Url::parse(url).unwrap(), client, &options, &offers, KEY))
                .unwrap()
        }
    }

    #[test]
    fn request_without_client_has_what_a_handshake_needs() {
        let case = Case { protocols: vec!["a".into(), "b".into()], ..plain() };
        assert_eq!(
            case.write("ws://up:80?x", None),
            format!("GET /?x HTTP/1.1\r\nHost: up\r\n{OURS}Sec-WebSocket-Protocol: a, b\r\n\r\n")
        );
    }

    #[test]
    fn end_to_end_headers_pass_in_order_and_case_and_nothing_else_does() {
        let client = client(
            "COOKIE: a=b\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
             Sec-WebSocket-Foo: x\r\nContent-Type: text/plain\r\nProxy-Authorization: x\r\norigin: https://o\r\n\
             Sec-WebSocket-Protocol: p1,p2\r\ncookie: c=d\r\nAuthorization: Basic x\r\n",
        );
        // The list of the configuration is not offered for a client.
        let case = Case { protocols: vec!["mine".into()], ..plain() };
        assert_eq!(
            case.write("ws://up:81", Some(&client)),
            format!(
                "GET /path?q HTTP/1.1\r\nHost: up:81\r\nCOOKIE: a=b\r\norigin: https://o\r\ncookie: c=d\r\n\
                 Authorization: Basic x\r\n{OURS}Sec-WebSocket-Protocol: p1, p2\r\n\r\n"
            )
        );
    }

    #[test]
    fn client_without_offers_means_none_upstream() {
        let case = Case { protocols: vec!["mine".into()], ..plain() };
        assert!(!case.write("ws://up", Some(&client(""))).contains("Protocol"));
    }

    #[test]
    fn rules_change_what_is_sent() {
        let mut case = plain();
        case.rules.set("Host", b"virtual").unwrap();
        case.rules.remove("cookie").unwrap();
        case.rules.add("X-Key", b"1").unwrap();
        assert_eq!(
            case.write("ws://up/", Some(&client("Cookie: c\r\n"))),
            format!("GET / HTTP/1.1\r\nHost: virtual\r\nX-Key: 1\r\n{OURS}\r\n")
        );
    }

    #[test]
    fn forwarded_appends_the_address_and_replaces_scheme_and_host() {
        let case = Case { forwarded: true, ..plain() };
        let client = client(
            "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: fake\r\nx-forwarded-for: 10.0.0.2\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Proto: spoof\r\n",
        );
        assert_eq!(
            case.write("ws://up/", Some(&client)),
            format!(
                "GET / HTTP/1.1\r\nHost: up\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\n\
                 X-Forwarded-Host: client.example\r\nX-Forwarded-Proto: http\r\n{OURS}\r\n"
            )
        );
    }

    #[test]
    fn rules_and_forwarded_work_together() {
        let mut case = Case { forwarded: true, ..plain() };
        case.rules.remove("X-Forwarded-For").unwrap();
        case.rules.set("X-Forwarded-Proto", b"https").unwrap();
        let text = case.write("ws://up/", Some(&client("X-Forwarded-For: forged\r\n")));
        assert!(
            text.contains("X-Forwarded-For: 192.0.2.7\r\n") && !text.contains("forged"),
            "{text}"
        );
        assert!(
            text.contains("X-Forwarded-Proto: https\r\n") && !text.contains(": http\r\n"),
            "{text}"
        );
    }

    #[test]
    fn client_cannot_choose_the_host_by_its_target() {
        assert!(plain()
            .write("ws://up", Some(&client("")))
            .starts_with("GET /path?q HTTP/1.1\r\nHost: up\r\n"));
    }
}
