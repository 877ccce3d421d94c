//! What the upstream is told of the client: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded` (RFC 7239).
//!
//! Rules: added after the host's rules, so that removing a header drops what an untrusted client claimed. Lists are
//! appended to (RFC 7239 section 4), also where a rule has put one; `X-Forwarded-Proto` and `-Host` replace what the
//! client claimed, but are left alone where a rule has put them. An earlier `Forwarded` line that is no list as the RFC
//! writes it is dropped: a quote left open there would swallow what we append. Values are made of checked letters only.

use super::accept::ClientRequest;
use super::headers::{is_token, is_token_byte, is_value, Headers};
use super::request::UpgradeOptions;
use crate::ws::authority::is_ipv6;

/// Which headers tell the upstream of the client; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    pub x_forwarded: bool,
    /// `Forwarded`, as RFC 7239 has it.
    pub rfc7239: bool,
}

/// Adds what `options` ask for.
pub(super) fn add(
    headers: &mut Headers,
    client: Option<&ClientRequest>,
    options: &UpgradeOptions<'_>,
) {
    if options.forwarded.x_forwarded {
        add_x_forwarded(headers, client, options);
    }
    if options.forwarded.rfc7239 {
        add_forwarded(headers, client, options);
    }
}

/// The address goes to the end of the list; scheme and host replace what the client claimed.
fn add_x_forwarded(
    headers: &mut Headers,
    client: Option<&ClientRequest>,
    options: &UpgradeOptions<'_>,
) {
    if let Some(peer) = options.peer.filter(|peer| is_value(peer.as_bytes())) {
        append(headers, "X-Forwarded-For", peer.as_bytes());
    }
    let Some(client) = client else { return };
    if !options.puts("x-forwarded-proto") {
        headers.set("X-Forwarded-Proto", scheme(options).as_bytes());
    }
    if !options.puts("x-forwarded-host") {
        headers.set("X-Forwarded-Host", client.host().as_bytes());
    }
}

/// One element more, at the end. Without a client there is nothing to tell.
fn add_forwarded(
    headers: &mut Headers,
    client: Option<&ClientRequest>,
    options: &UpgradeOptions<'_>,
) {
    if client.is_none() && options.peer.is_none() {
        return;
    }
    headers.retain(|name, value| !name.eq_ignore_ascii_case("forwarded") || is_list(value));
    let mut element = format!("for={}", node(options.peer));
    if let Some(client) = client {
        let host = token_or_quoted(client.host());
        element.push_str(&format!(";host={host};proto={}", scheme(options)));
    }
    append(headers, "Forwarded", element.as_bytes());
}

/// Makes one line of all that there are, with `last` at its end.
fn append(headers: &mut Headers, name: &str, last: &[u8]) {
    let mut list: Vec<&[u8]> = headers.get_all(name).filter(|value| !value.is_empty()).collect();
    list.push(last);
    let list = list.join(&b", "[..]);
    headers.set(name, &list);
}

fn scheme(options: &UpgradeOptions<'_>) -> &'static str {
    if options.client_secure {
        "https"
    } else {
        "http"
    }
}

/// IPv6 in brackets and quotes (RFC 7239 section 6). A client without an address, on a Unix socket say, is `unknown`: it
/// was forwarded all the same (section 6.2).
fn node(peer: Option<&str>) -> String {
    match peer {
        Some(peer) if is_ipv4(peer) => peer.to_owned(),
        Some(peer) if is_ipv6(peer) => format!("\"[{peer}]\""),
        _ => "unknown".to_owned(),
    }
}

fn is_ipv4(text: &str) -> bool {
    let is_octet =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u8>().is_ok();
    text.split('.').count() == 4 && text.split('.').all(is_octet)
}

/// RFC 9110 sections 5.6.2 and 5.6.4.
fn token_or_quoted(text: &str) -> String {
    if is_token(text.as_bytes()) {
        return text.to_owned();
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Whether this is a list of pairs whose quotes close (RFC 7239 section 4). Blanks around the separators and bare values
/// that should be quoted (`for=[::1]:80`) are common, and nobody can read them as something else.
fn is_list(mut rest: &[u8]) -> bool {
    loop {
        rest = match rest.trim_ascii_start() {
            [] => return true,
            [b',' | b';', after @ ..] => after,
            pair => match after_pair(pair).map(<[u8]>::trim_ascii_start) {
                Some(after @ ([] | [b',' | b';', ..])) => after,
                _ => return false,
            },
        };
    }
}

/// What follows the `token=value` at the start.
fn after_pair(text: &[u8]) -> Option<&[u8]> {
    let name = text.iter().take_while(|&&byte| is_token_byte(byte)).count();
    match text.split_at_checked(name)? {
        ([], _) => None,
        (_, [b'=', b'"', quoted @ ..]) => after_quoted(quoted),
        (_, [b'=', bare @ ..]) => {
            let is_bare = |&&byte: &&u8| byte.is_ascii_graphic() && !b",;\"\\".contains(&byte);
            bare.get(bare.iter().take_while(is_bare).count()..)
        }
        _ => None,
    }
}

/// What follows the closing quote.
fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] | [_, after @ ..] => after,
            [] => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::HeaderRules;
    use super::super::upgrade::Upgrade;
    use super::*;
    use crate::ws::origin::OriginList;
    use crate::ws::url::Url;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
    const OLD: Forwarded = Forwarded { x_forwarded: true, rfc7239: false };
    const NEW: Forwarded = Forwarded { x_forwarded: false, rfc7239: true };

    fn client(host: &str, lines: &str) -> ClientRequest {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
        );
        ClientRequest::parse(head.as_bytes(), &OriginList::default()).unwrap()
    }

    #[derive(Default)]
    struct Case {
        rules: HeaderRules,
        own: HeaderRules,
        forwarded: Forwarded,
        peer: Option<&'static str>,
        secure: bool,
    }

    impl Case {
        fn of(forwarded: Forwarded) -> Case {
            Case { forwarded, peer: Some("192.0.2.7"), ..Case::default() }
        }

        /// What of the request upstream stands between `Host` and `Upgrade`.
        fn lines(&self, client: Option<&ClientRequest>) -> String {
            let options = UpgradeOptions {
                rules: &self.rules,
                request_rules: Some(&self.own),
                protocols: &[],
                forwarded: self.forwarded,
                peer: self.peer,
                client_secure: self.secure,
            };
            let url = Url::parse("ws://up/").unwrap();
            let (_, request) = Upgrade::new(&url, client, &options, KEY);
            let request = String::from_utf8(request).unwrap();
            let (_, rest) = request.split_once("Host: up\r\n").unwrap();
            rest.split_once("Upgrade: ").unwrap().0.to_owned()
        }

        fn told(&self, lines: &str) -> String {
            self.lines(Some(&client("client.example", lines)))
        }
    }

    #[test]
    fn nothing_is_told_by_default() {
        let case = Case { secure: true, ..Case::of(Forwarded::default()) };
        assert_eq!(case.told("Forwarded: for=a\r\n"), "Forwarded: for=a\r\n");
    }

    #[test]
    fn x_forwarded_appends_the_address_and_replaces_scheme_and_host() {
        assert_eq!(
            Case::of(OLD).told(
                "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: fake\r\nx-forwarded-for: 10.0.0.2\r\n\
                 X-Forwarded-Proto: https\r\nX-Forwarded-Proto: spoof\r\n"
            ),
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Host: client.example\r\n\
             X-Forwarded-Proto: http\r\n"
        );
    }

    #[test]
    fn rules_and_x_forwarded_work_together() {
        let mut case = Case::of(OLD);
        case.rules.remove("X-Forwarded-For").unwrap();
        case.rules.set("X-Forwarded-Proto", b"https").unwrap();
        assert_eq!(
            case.told("X-Forwarded-For: forged\r\n"),
            "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n\
             X-Forwarded-Host: client.example\r\n"
        );
        // The hook takes back what the configuration has put: ours is told again.
        case.own.remove("X-Forwarded-Proto").unwrap();
        assert!(case.told("").contains("X-Forwarded-Proto: http\r\n"));
    }

    #[test]
    fn forwarded_names_address_host_and_scheme() {
        assert_eq!(
            Case { secure: true, ..Case::of(NEW) }.told(""),
            "Forwarded: for=192.0.2.7;host=client.example;proto=https\r\n"
        );
    }

    #[test]
    fn forwarded_is_appended_to_the_list_of_the_client() {
        assert_eq!(
            Case::of(NEW).told(
                "forwarded: for=10.0.0.1; proto=https , for=\"[::1]:9\"\r\nX: y\r\nForwarded:\r\n\
                 Forwarded: for=\"_a\\\",b\"\r\n"
            ),
            "Forwarded: for=10.0.0.1; proto=https , for=\"[::1]:9\", for=\"_a\\\",b\", \
             for=192.0.2.7;host=client.example;proto=http\r\nX: y\r\n"
        );
    }

    #[test]
    fn ipv6_is_quoted_in_brackets_and_a_client_without_address_is_unknown() {
        for (peer, node) in [
            (Some("2001:db8::1"), "\"[2001:db8::1]\""),
            (Some("192.0.2.255"), "192.0.2.255"),
            (None, "unknown"),
            (Some("unix:/run/s"), "unknown"),
            (Some("1.2.3.4;host=x"), "unknown"),
            (Some("::1\"\r\nX: y"), "unknown"),
            (Some("1.2.3.+4"), "unknown"),
            (Some("1.2.3"), "unknown"),
            (Some("1.2.3.256"), "unknown"),
            (Some(""), "unknown"),
        ] {
            let told = Case { peer, ..Case::of(NEW) }.told("");
            assert_eq!(told, format!("Forwarded: for={node};host=client.example;proto=http\r\n"));
        }
    }

    #[test]
    fn host_that_is_no_token_is_quoted() {
        for (host, value) in [
            ("h", "h"),
            ("h:8080", "\"h:8080\""),
            ("[::1]:9", "\"[::1]:9\""),
            ("a;proto=x", "\"a;proto=x\""),
        ] {
            let told = Case::of(NEW).lines(Some(&client(host, "")));
            assert_eq!(told, format!("Forwarded: for=192.0.2.7;host={value};proto=http\r\n"));
        }
        assert_eq!(token_or_quoted("a\"b\\"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn line_that_would_swallow_ours_is_dropped() {
        for line in [
            "for=\"x",
            "for=\"x\\\"",
            "for=\"x\\",
            "for=a\", for=\"x",
            "for=a\"b\"",
            "\"",
            "for",
            "for=1 2",
            "=x",
            "for=a\\",
            "for=\"a\"b",
            "for=\u{e9}",
        ] {
            let told = Case::of(NEW).told(&format!("Forwarded: {line}\r\nForwarded: for=ok\r\n"));
            let ours = "for=192.0.2.7;host=client.example;proto=http";
            assert_eq!(told, format!("Forwarded: for=ok, {ours}\r\n"), "{line}");
        }
    }

    #[test]
    fn rules_and_forwarded_work_together() {
        let ours = "for=192.0.2.7;host=client.example;proto=http\r\n";
        let mut case = Case::of(NEW);
        case.own.remove("Forwarded").unwrap();
        assert_eq!(case.told("Forwarded: for=forged\r\n"), format!("Forwarded: {ours}"));
        case.own.set("Forwarded", b"for=_edge").unwrap();
        assert_eq!(case.told("Forwarded: for=forged\r\n"), format!("Forwarded: for=_edge, {ours}"));
    }

    #[test]
    fn client_without_request_is_told_of_by_its_address_only() {
        let both = Forwarded { x_forwarded: true, rfc7239: true };
        assert_eq!(
            Case::of(both).lines(None),
            "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n"
        );
        assert_eq!(Case { peer: None, ..Case::of(both) }.lines(None), "");
    }
}
