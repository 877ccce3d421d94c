//! The request that goes to the upstream: the client's, made ours.
//!
//! Rules: the client's end-to-end headers keep their order and case; what belongs to its own hop, to its handshake or
//! to a body does not travel. Extensions are never offered. The host's rules are applied to the client's headers, the
//! configuration's first and then this request's; what `forwarded` adds comes after them.

use super::accept::ClientRequest;
use super::forwarded::{self, Forwarded};
use super::headers::Headers;
use super::rules::HeaderRules;
use crate::ws::url::Url;

/// How the upstream is asked.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeOptions<'a> {
    /// The host's changes to the headers of every request.
    pub rules: &'a HeaderRules,
    /// Its changes to this one, applied after those.
    pub request_rules: Option<&'a HeaderRules>,
    /// The subprotocols to offer when there is no client whose offers could be passed on.
    pub protocols: &'a [String],
    /// What the upstream is told of the client.
    pub forwarded: Forwarded,
    /// The client's address as text, for `forwarded`.
    pub peer: Option<&'a str>,
    /// Whether the client came over TLS, for `forwarded`.
    pub client_secure: bool,
}

impl UpgradeOptions<'_> {
    /// Whether the host has put a line of that name: this request's rules have the last word.
    pub(super) fn puts(&self, name: &str) -> bool {
        let own = self.request_rules.and_then(|rules| rules.puts(name));
        own.or_else(|| self.rules.puts(name)).unwrap_or(false)
    }

    fn apply_rules(&self, headers: &mut Headers) {
        self.rules.apply(headers);
        if let Some(rules) = self.request_rules {
            rules.apply(headers);
        }
    }
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
    let none = Headers::default();
    let of_client = client.map_or(&none, ClientRequest::headers);
    let mut headers = Headers::with_room_like(of_client);
    headers.push("Host", url.authority().as_bytes());
    headers.append_end_to_end(of_client, &["host"]);
    options.apply_rules(&mut headers);
    forwarded::add(&mut headers, client, options);
    headers.push("Upgrade", b"websocket");
    headers.push("Connection", b"Upgrade");
    headers.push("Sec-WebSocket-Key", key.as_bytes());
    headers.push("Sec-WebSocket-Version", b"13");
    if !offers.is_empty() {
        headers.push("Sec-WebSocket-Protocol", offers.join(", ").as_bytes());
    }
    let target = url.target_for(client.map(ClientRequest::target));
    let line = ["GET ", target, " HTTP/1.1\r\n"];
    let mut out = Vec::with_capacity(target.len() + headers.written_len() + 32);
    line.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    headers.write_to(&mut out);
    out.extend_from_slice(b"\r\n");
    out
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
        request_rules: Option<HeaderRules>,
        protocols: Vec<String>,
    }

    fn plain() -> Case {
        Case { rules: HeaderRules::default(), request_rules: None, protocols: Vec::new() }
    }

    impl Case {
        fn write(&self, url: &str, client: Option<&ClientRequest>) -> String {
            let options = UpgradeOptions {
                rules: &self.rules,
                request_rules: self.request_rules.as_ref(),
                protocols: &self.protocols,
                forwarded: Forwarded::default(),
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
    fn rules_of_this_request_are_applied_after_those_of_every_one() {
        let mut case = plain();
        case.rules.set("Host", b"virtual").unwrap();
        case.rules.set("X-Key", b"1").unwrap();
        let mut own = HeaderRules::default();
        own.set("host", b"tenant").unwrap();
        own.remove("x-key").unwrap();
        own.add("X-User", b"u").unwrap();
        case.request_rules = Some(own);
        assert_eq!(
            case.write("ws://up/", None),
            format!("GET / HTTP/1.1\r\nhost: tenant\r\nX-User: u\r\n{OURS}\r\n")
        );
    }

    #[test]
    fn unix_socket_is_asked_as_localhost() {
        assert!(plain()
            .write("ws+unix:/run/s:/x?y", Some(&client("")))
            .starts_with("GET /x?y HTTP/1.1\r\nHost: localhost\r\n"));
    }

    #[test]
    fn client_cannot_choose_the_host_by_its_target() {
        assert!(plain()
            .write("ws://up", Some(&client("")))
            .starts_with("GET /path?q HTTP/1.1\r\nHost: up\r\n"));
    }
}
