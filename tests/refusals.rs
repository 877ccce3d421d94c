//! What an upstream's answer comes to when it is no valid 101: a refusal to relay, or 502 for what is none.
//!
//! The first driver stands for all here: the handshakes do not know it.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::host::{config, pass, Host};
use support::http::{self, good_answer};
use support::peer::{header, request, Listener};
use wsproxy::{ErrorKind, Fault, Policy};

/// Far under the deadline of the handshakes, however busy the machine is.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The upstream answers with what `answer` makes of the request; what the client hears, and the host's error.
fn answered(answer: impl Fn(&str) -> String) -> (String, wsproxy::Error) {
    let listener = Listener::bind();
    let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "Sec-WebSocket-Protocol: a\r\n").as_bytes()).unwrap();
    let (mut upstream, head) = http::asked(&listener);
    let started = Instant::now();
    let _ = upstream.write_all(answer(&head).as_bytes());
    let _ = upstream.shutdown(std::net::Shutdown::Write);
    let heard = http::hear_all(&mut client);
    drop(client);
    let error = host.outcome().unwrap_err();
    assert_eq!(http::hear_all(&mut upstream), "", "the connection is never used again");
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(host.proxy.refusal_status(), Some(http::status(&heard)));
    (heard, error)
}

#[test]
fn the_upstreams_refusal_is_relayed_with_its_headers_and_body() {
    for (status, reason) in [
        (200, "OK"),
        (301, "Moved Permanently"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (426, "Upgrade Required"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (503, "Service Unavailable"),
    ] {
        let (heard, error) = answered(|_| {
            format!(
                "HTTP/1.1 {status} {reason}\r\nLocation: http://elsewhere/\r\nRetry-After: 5\r\n\
                 Sec-WebSocket-Version: 13\r\nKeep-Alive: 1\r\nConnection: keep-alive\r\n\
                 Content-Length: 4\r\n\r\nbody"
            )
        });
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} {reason}\r\n")), "{heard}");
        for (name, value) in [
            ("Location", Some("http://elsewhere/")), // never followed
            ("Retry-After", Some("5")),
            ("Content-Length", Some("4")),
            ("Keep-Alive", None),
        ] {
            assert_eq!(header(&heard, name).as_deref(), value, "{heard}");
        }
        assert!(heard.contains("Connection: close") && heard.ends_with("\r\n\r\nbody"), "{heard}");
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Upstream));
        assert_eq!(error.message(), format!("refused the handshake: {status} {reason}"));
    }
}

#[test]
fn a_401_keeps_what_the_client_needs_to_log_in() {
    let (heard, _) = answered(|_| {
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nSet-Cookie: a=1\r\n\
         Set-Cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlog i\r\n1\r\nn\r\n0\r\n\r\n"
            .into()
    });
    assert_eq!(header(&heard, "WWW-Authenticate").as_deref(), Some("Basic realm=\"x\""));
    assert!(heard.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{heard}");
    assert!(heard.ends_with("Content-Length: 6\r\nConnection: close\r\n\r\nlog in"), "{heard}");
}

/// The upstream's answer is none: 502, and words that say why.
fn is_bad_gateway(answer: impl Fn(&str) -> String, words: &str) {
    let (heard, error) = answered(answer);
    assert!(heard.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{heard}");
    assert!(!heard.contains("127.0.0.1"), "the client learns nothing of the upstream: {heard}");
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Upstream), "{error}");
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn a_101_that_does_not_prove_everything_is_502() {
    type Change = (&'static str, &'static str, &'static str);
    let changes: [Change; 9] = [
        ("Upgrade: websocket\r\n", "", "Upgrade"),
        ("Upgrade: websocket", "Upgrade: h2c", "Upgrade"),
        ("Connection: Upgrade\r\n", "", "Connection"),
        ("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x", "wrong Sec-WebSocket-Accept"),
        ("Sec-WebSocket-Accept", "X-Accept", "no Sec-WebSocket-Accept"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "extension"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: b\r\n\r\n", "subprotocol"),
        ("HTTP/1.1", "HTTP/1.0", "HTTP/1.0"),
        ("HTTP/1.1", "HTTP/2", "HTTP"),
    ];
    for (from, to, words) in changes {
        is_bad_gateway(|head| good_answer(head, "").replacen(from, to, 1), words);
    }
}

#[test]
fn an_upstream_that_closes_or_talks_nonsense_is_502() {
    is_bad_gateway(|_| String::new(), "closed the connection before answering");
    is_bad_gateway(|head| good_answer(head, "")[..50].into(), "closed the connection before");
    is_bad_gateway(|_| "220 mail.example ESMTP\r\n".into(), "not HTTP");
    is_bad_gateway(|_| format!("HTTP/1.1 101 X\r\nA: {}", "x".repeat(1 << 20)), "");
    is_bad_gateway(|_| format!("HTTP/1.1 101 X\r\n{}\r\n", "A: b\r\n".repeat(500)), "");
    is_bad_gateway(|_| "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000), "");
}
