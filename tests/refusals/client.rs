//! Requests that are no handshake, clients that are too slow, and clients that leave.

use std::io::Write;
use std::time::Duration;

use wsproxy::{Client, Config, Policy};

use super::support::host::{config, pass, Host};
use super::support::http;
use super::support::peer::{request, Listener};
use super::table::{row, Row};

/// A client that sends `bytes`, with an upstream and without: it is answered before that could matter.
fn client_sends(row: &Row, bytes: &[u8], set: impl Fn(&mut Config)) {
    for alone in [false, true] {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(Policy::Serial, &set), move |proxy, client| match alone {
            true => proxy.connect_client(Client::new(client)),
            false => proxy.connect(Client::new(client), &url),
        });
        let answer = http::ask(host.addr, bytes);
        row.is_answered_by(&answer, "");
        row.is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
        http::nobody_called(&listener);
    }
}

#[test]
fn a_request_that_is_no_handshake_is_a_400() {
    let row = row!();
    for (from, to) in [
        ("GET / HTTP/1.1\r\n", "GET / HTTP/1.1\n"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("GET / ", "GET http://169.254.169.254/ "),
        ("Host: example.test\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Connection: close"),
        ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"),
        ("Upgrade: websocket", "Content-Length: 0\r\nUpgrade: websocket"),
        ("Upgrade: websocket", "Transfer-Encoding: chunked\r\nUpgrade: websocket"),
    ] {
        let asks = request("/", "");
        assert!(asks.contains(from));
        client_sends(&row, asks.replacen(from, to, 1).as_bytes(), |_| ());
    }
}

#[test]
fn an_origin_that_is_not_listed_is_a_403() {
    let listed = |config: &mut Config| {
        config.allow_origin("https://good.example").unwrap();
    };
    let evil = request("/", "Origin: https://evil.example\r\n");
    client_sends(&row!(), evil.as_bytes(), listed);
}

#[test]
fn another_method_is_a_405() {
    client_sends(&row!(), request("/", "").replacen("GET", "POST", 1).as_bytes(), |_| ());
}

#[test]
fn a_client_that_is_too_slow_is_a_408() {
    let short = |config: &mut Config| {
        config.connect_timeout(Duration::from_millis(300)).unwrap();
    };
    client_sends(&row!(), b"GET / HTTP/1.1\r\nX: ", short);
}

#[test]
fn another_version_is_a_426() {
    let row = row!();
    for version in ["8", "14", ""] {
        let asks = request("/", "").replace("Version: 13", &format!("Version: {version}"));
        client_sends(&row, asks.as_bytes(), |_| ());
    }
}

#[test]
fn a_head_that_is_too_large_is_a_431() {
    let row = row!();
    for more in [format!("X: {}\r\n", "a".repeat(64 << 10)), "A: b\r\n".repeat(101)] {
        client_sends(&row, request("/", &more).as_bytes(), |_| ());
    }
}

#[test]
fn http_2_is_a_505() {
    client_sends(&row!(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", |_| ());
}

#[test]
fn a_client_that_cannot_use_the_subprotocol_chosen_before_is_a_400() {
    let row = row!();
    let listener = Listener::bind();
    let url = listener.url();
    let config = config(Policy::Serial, |config| {
        config.subprotocol("chat").unwrap();
    });
    let host = Host::serve(config, move |proxy, client| {
        proxy.connect_upstream(&url)?;
        proxy.connect_client(Client::new(client))
    });
    let mut client = http::connect(host.addr);
    let mut upstream = listener.accept_with("Sec-WebSocket-Protocol: chat\r\n");
    client.write_all(request("/", "Sec-WebSocket-Protocol: other\r\n").as_bytes()).unwrap();
    row.is_answered_by(&http::hear_all(&mut client), "");
    row.is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
    assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
    upstream.hear_end();
}

#[test]
fn a_client_that_leaves_early_is_gone() {
    let listener = Listener::bind();
    let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
    http::connect(host.addr).write_all(b"GET / HTTP/1.1\r\n").unwrap();
    row!().is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
    http::nobody_called(&listener);
}

#[test]
fn a_client_that_leaves_while_the_upstream_is_asked_is_gone() {
    let listener = Listener::bind();
    let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, _) = http::asked(&listener);
    drop(client);
    assert_eq!(http::hear_all(&mut upstream), "");
    row!().is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
}

#[test]
fn a_client_that_speaks_no_tls_is_not_answered() {
    let made = rcgen::generate_simple_self_signed(["proxy.test".to_owned()]).unwrap();
    let config = config(Policy::Serial, |config| {
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        config.client_certificate(chain.as_bytes(), key.as_bytes()).unwrap();
    });
    let listener = Listener::bind();
    let host = Host::start(config, &listener.url(), pass);
    let answer = http::ask(host.addr, request("/", "").as_bytes());
    assert!(!answer.contains("HTTP/"), "{answer:?}");
    row!().is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
    http::nobody_called(&listener);
}
