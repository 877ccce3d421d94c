//! Two readers that disagree where a request ends, or whether a tunnel is open. CVE-2026-2833, CVE-2025-64763,
//! RFC 9931, CVE-2024-23326 (Envoy), the websocket-smuggle scenarios, CVE-2026-2835, h2c, CVE-2026-44578 (Next.js).

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use wsproxy::{Admission, Client, ErrorKind, Handshake, Policy};

use super::guard::watched;
use super::support::host::{config, pass, Host};
use super::support::http::{
    ask, asked, connect, good_answer, hear_all, nobody_called, silent_for, status,
};
use super::support::peer::{header, read_head, request, Listener, KEY};
use super::support::POLICIES;

const SMUGGLED: &str = "GET /admin HTTP/1.1\r\nHost: example.test\r\n\r\n";
const QUIET: Duration = Duration::from_millis(250);

fn host(url: &str) -> Host {
    Host::start(config(Policy::Serial, |_| {}), url, pass)
}

/// A client that sent its request and `more` right behind it; the upstream that was asked; the host.
fn half_open(more: &str, policy: Policy) -> (TcpStream, TcpStream, String, Host) {
    let listener = Listener::bind();
    let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
    let mut client = connect(host.addr);
    client.write_all((request("/", "") + more).as_bytes()).unwrap();
    let (upstream, head) = asked(&listener);
    (client, upstream, head, host)
}

#[test]
fn a_request_behind_the_upgrade_is_held_back_until_the_101_and_is_a_broken_frame_then() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, head, host) = half_open(SMUGGLED, policy);
            client.write_all(SMUGGLED.as_bytes()).unwrap();
            silent_for(&mut upstream, QUIET);
            upstream.write_all(good_answer(&head, "").as_bytes()).unwrap();
            assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
            assert_eq!(hear_all(&mut client), "\u{FFFD}\u{2}\u{3}\u{FFFD}", "1002, unmasked");
            let heard = hear_all_of(&mut upstream);
            assert_eq!((heard.len(), heard[0]), (8, 0x88), "one masked close frame: {heard:02x?}");
            drop((client, upstream));
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Protocol, "{policy:?}");
        }
    });
}

/// Eight bytes, which is all that a close with a code is.
fn hear_all_of(upstream: &mut TcpStream) -> Vec<u8> {
    use std::io::Read;
    let mut heard = vec![0; 8];
    upstream.read_exact(&mut heard).unwrap();
    silent_for_or_end(upstream);
    heard
}

fn silent_for_or_end(upstream: &mut TcpStream) {
    upstream.set_read_timeout(Some(QUIET)).unwrap();
    let outcome = std::io::Read::read(upstream, &mut [0]);
    assert!(!matches!(outcome, Ok(1)), "nothing follows the close frame");
}

#[test]
fn a_request_behind_a_refused_upgrade_never_reaches_the_upstream() {
    watched(|| {
        for code in [200, 302, 400, 401, 403, 404, 426, 500, 503] {
            let (mut client, mut upstream, _, host) = half_open(SMUGGLED, Policy::Serial);
            let refusal =
                format!("HTTP/1.1 {code} No\r\nContent-Length: 3\r\nX-Mark: kept\r\n\r\nno\n");
            upstream.write_all(refusal.as_bytes()).unwrap();
            let answer = hear_all(&mut client);
            assert_eq!(status(&answer), code, "{answer}");
            assert!(header(&answer, "Connection").unwrap().contains("close"), "{answer}");
            assert!(
                answer.ends_with("\r\n\r\nno\n") && answer.contains("X-Mark: kept"),
                "{answer}"
            );
            let _ = client.write_all(SMUGGLED.as_bytes()); // the tunnel is not open all the same
            drop(client);
            assert_eq!(hear_all(&mut upstream), "", "closed, never reused");
            let error = host.outcome().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert_eq!(host.proxy.refusal_status(), Some(code));
        }
    });
}

#[test]
fn anything_but_an_exact_101_is_no_upgrade() {
    let right = |head: &str| good_answer(head, "");
    type Answer<'a> = (&'a str, Box<dyn Fn(&str) -> String + Send>, u16);
    let cases: Vec<Answer<'_>> = vec![
        ("200 with the upgrade's headers", Box::new(move |h| right(h).replace("101", "200")), 200),
        ("a 100 and the end", Box::new(move |h| right(h).replace("101", "100")), 502),
        ("HTTP/1.0", Box::new(move |h| right(h).replace("HTTP/1.1", "HTTP/1.0")), 502),
        ("HTTP/2", Box::new(move |h| right(h).replace("HTTP/1.1", "HTTP/2")), 502),
        ("no Upgrade", Box::new(move |h| right(h).replace("Upgrade: websocket\r\n", "")), 502),
        ("h2c", Box::new(move |h| right(h).replace("Upgrade: websocket", "Upgrade: h2c")), 502),
        ("two tokens", Box::new(move |h| right(h).replace(": websocket", ": websocket, h2c")), 502),
        ("no Connection", Box::new(move |h| right(h).replace("Connection: Upgrade\r\n", "")), 502),
        ("keep-alive", Box::new(move |h| right(h).replace(": Upgrade", ": keep-alive")), 502),
        ("no Accept", Box::new(move |h| right(h).replace("Sec-WebSocket-Accept", "X-Accept")), 502),
        ("a wrong Accept", Box::new(move |h| right(h).replace("Accept: ", "Accept: A")), 502),
        ("the key as Accept", Box::new(|_| good_answer(&request("/", ""), "")), 502),
        ("an extension", Box::new(|h| good_answer(h, "Sec-WebSocket-Extensions: x\r\n")), 502),
        ("a subprotocol", Box::new(|h| good_answer(h, "Sec-WebSocket-Protocol: x\r\n")), 502),
        ("bare line feeds", Box::new(move |h| right(h).replace("\r\n", "\n")), 502),
        ("a folded line", Box::new(|h| good_answer(h, "X: a\r\n b\r\n")), 502),
        ("garbage", Box::new(|_| "\0\u{1}\u{2}\r\n\r\n".into()), 502),
        ("nothing", Box::new(|_| String::new()), 502),
    ];
    watched(move || {
        for (name, answer, expected) in cases {
            let (mut client, mut upstream, head, host) = half_open(SMUGGLED, Policy::Serial);
            upstream.write_all(answer(&head).as_bytes()).unwrap();
            upstream.shutdown(std::net::Shutdown::Write).unwrap();
            let heard = hear_all(&mut client);
            assert_eq!(status(&heard), expected, "{name}: {heard}");
            drop(client);
            assert_eq!(hear_all(&mut upstream), "", "{name}: nothing but the request");
            assert!(host.outcome().is_err(), "{name}");
        }
    });
}

/// `request` is answered with `expected`, and no upstream hears of it.
fn refused(name: &str, request: &str, expected: u16) -> String {
    let upstream = Listener::bind();
    let host = host(&upstream.url());
    let answer = ask(host.addr, (request.to_owned() + SMUGGLED).as_bytes());
    assert_eq!(status(&answer), expected, "{name}: {answer}");
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "{name}: one answer, then the end: {answer}"
    );
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request, "{name}");
    nobody_called(&upstream);
    answer
}

#[test]
fn another_version_is_426_and_no_tunnel_opens_all_the_same() {
    watched(|| {
        for version in ["1337", "12", "8", "0", "013", "13, 8", "", "thirteen"] {
            let request = request("/", "").replace("Version: 13", &format!("Version: {version}"));
            let answer = refused(version, &request, 426);
            assert_eq!(header(&answer, "Sec-WebSocket-Version").as_deref(), Some("13"));
        }
    });
}

#[test]
fn body_framing_and_other_upgrades_are_400() {
    watched(|| {
        for more in [
            "Content-Length: 0\r\n",
            "Content-Length: 44\r\n",
            "Content-Length: -1\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "transfer-encoding:\tchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "X: a\r\n folded\r\n",
            "X\0: a\r\n",
            "Upgrade: h2c\r\n",
            "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n",
            "Host: other.test\r\n",
        ] {
            refused(more, &request("/", more), 400);
        }
        for token in
            ["h2c", "websocket, h2c", "h2c, websocket", "TLS/1.0", "websocket/13", "websocke"]
        {
            let request =
                request("/", "").replace("Upgrade: websocket", &format!("Upgrade: {token}"));
            refused(token, &request, 400);
        }
        let no_connection = request("/", "").replace("Connection: Upgrade", "Connection: close");
        refused("no connection token", &no_connection, 400);
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==dGhl"] {
            refused(key, &request("/", "").replace(KEY, key), 400);
        }
    });
}

#[test]
fn another_method_or_protocol_is_refused() {
    watched(|| {
        for (method, expected) in [("POST", 405), ("CONNECT", 405), ("get", 405), ("PRI", 405)] {
            let request = request("/", "").replacen("GET", method, 1);
            refused(method, &request, expected);
        }
        refused("HTTP/1.0", &request("/", "").replace("HTTP/1.1", "HTTP/1.0"), 400);
        refused("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
        refused("bare line feeds", &request("/", "").replace("\r\n", "\n"), 400);
    });
}

#[test]
fn a_target_that_is_no_path_is_400_and_none_chooses_the_host() {
    watched(|| {
        for target in [
            "http://169.254.169.254/latest/meta-data/",
            "ws://evil.test/",
            "evil.test:80",
            "*",
            "@evil.test/",
            ".evil.test/",
            "/a#b",
            "/a\u{7f}",
            "/\u{e9}",
        ] {
            refused(target, &request(target, ""), 400);
        }
        for target in
            ["//evil.test/x", "/@evil.test", "/http://evil.test/", "/?u=http://evil.test/"]
        {
            let upstream = Listener::bind();
            let host = host(&upstream.url());
            let mut client = connect(host.addr);
            let asks = request(target, "X-Forwarded-Host: evil.test\r\n");
            client.write_all(asks.replace("example.test", "evil.test").as_bytes()).unwrap();
            let (mut stream, head) = asked(&upstream); // the one that the host has named
            assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
            assert_eq!(status(&hear_all(&mut client)), 404);
            drop(client);
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn the_host_of_the_request_upstream_is_the_upstreams() {
    watched(|| {
        let upstream = Listener::bind();
        let host = host(&upstream.url());
        let mut client = connect(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (stream, head) = asked(&upstream);
        assert_eq!(header(&head, "Host"), Some(upstream.addr().to_string()));
        drop(stream);
        assert_eq!(status(&hear_all(&mut client)), 502);
        drop(client);
        assert!(host.outcome().is_err());
    });
}

/// A host whose handshake hook is `hook`.
fn hooked(url: &str, hook: impl Fn(&mut Handshake<'_>) -> Admission + Send + 'static) -> Host {
    let url = url.to_owned();
    Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect_with(Client::new(client), &url, hook)?;
        proxy.execute(pass)
    })
}

#[test]
fn a_request_behind_an_upgrade_that_the_handshake_hook_refuses_is_never_answered() {
    watched(|| {
        for status in [401, 302, 403, 426] {
            let upstream = Listener::bind();
            let refuses = move |_: &mut Handshake<'_>| Admission::refuse(status, "no").unwrap();
            let host = hooked(&upstream.url(), refuses);
            let answer = ask(host.addr, (request("/", "") + SMUGGLED).as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(
                answer.matches("HTTP/1.1 ").count(),
                1,
                "one answer, then the end: {answer}"
            );
            assert!(header(&answer, "Connection").unwrap().contains("close"), "{answer}");
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Refused);
            nobody_called(&upstream);
        }
    });
}

#[test]
fn a_request_behind_the_upgrade_reaches_no_upstream_that_the_handshake_hook_chooses() {
    watched(|| {
        let (named, chosen) = (Listener::bind(), Listener::bind());
        let url = chosen.url();
        let host = hooked(&named.url(), move |handshake| {
            handshake.set_url(&url).unwrap();
            std::thread::sleep(QUIET / 5); // the rest of the client's bytes has come by now
            Admission::Accept
        });
        let mut client = connect(host.addr);
        client.write_all((request("/", "") + SMUGGLED).as_bytes()).unwrap();
        let (mut upstream, head) = asked(&chosen);
        client.write_all(SMUGGLED.as_bytes()).unwrap();
        silent_for(&mut upstream, QUIET);
        upstream.write_all(good_answer(&head, "").as_bytes()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        assert_eq!(hear_all(&mut client), "\u{FFFD}\u{2}\u{3}\u{FFFD}", "1002, unmasked");
        assert_eq!(hear_all_of(&mut upstream)[0], 0x88, "a close frame, and nothing else");
        drop((client, upstream));
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Protocol);
        nobody_called(&named);
    });
}

#[test]
fn a_target_that_is_no_path_never_gets_as_far_as_the_handshake_hook() {
    watched(|| {
        // A hook that routes by the target would send the credentials of its host anywhere.
        for target in
            ["http://169.254.169.254/latest/", "ws://evil.test/", "evil.test:80", "*", "/\u{7f}"]
        {
            let upstream = Listener::bind();
            let host = hooked(&upstream.url(), |_| Admission::Failed("it was asked".into()));
            assert_eq!(status(&ask(host.addr, request(target, "").as_bytes())), 400, "{target}");
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request, "{target}");
            nobody_called(&upstream);
        }
    });
}

#[test]
fn an_http_proxy_that_answers_for_the_upstream_opens_no_session() {
    let upgrade =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    watched(move || {
        for answer in [
            format!("HTTP/1.1 200 OK\r\n\r\n{upgrade}"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\u{1}\u{2}".to_owned(),
            upgrade.to_owned(),
            "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno".to_owned(),
            "HTTP/1.1 200 OK\n\n".to_owned(),
            "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n".to_owned(),
            "HTTP/2 200\r\n\r\n".to_owned(),
        ] {
            let proxy = Listener::bind();
            let config = config(Policy::Serial, |config| {
                config.http_proxy(&format!("http://{}", proxy.addr())).unwrap();
            });
            let host = Host::start(config, "ws://upstream.invalid/secret", pass);
            let mut client = connect(host.addr);
            client.write_all((request("/", "Cookie: c\r\n") + SMUGGLED).as_bytes()).unwrap();
            let (mut stream, head) = asked(&proxy);
            assert_eq!(head.lines().next(), Some("CONNECT upstream.invalid:80 HTTP/1.1"));
            assert!(!head.contains("Cookie"), "{head}");
            stream.write_all(answer.as_bytes()).unwrap();
            let heard = hear_all(&mut client);
            drop(client);
            assert_eq!(status(&heard), 502, "{answer}: {heard}");
            assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{heard}");
            assert_eq!(hear_all(&mut stream), "", "{answer}: nothing but the CONNECT");
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Unreachable, "{answer}");
        }
    });
}
