//! Handshakes as input and output: who is asked, what is answered, what fails.

use std::sync::Arc;

use wsproxy::{Config, ErrorKind, Fault, Proxy, Side};

use super::scene::{answer, close, frame, Session, KEY, REQUEST};

#[test]
fn nothing_goes_upstream_before_the_clients_request_is_whole_and_nothing_to_the_client_before_the_101(
) {
    let mut session = Session::new(Config::new());
    session.pull.connect("ws://up.example:81").unwrap();
    let (all_but_one, last) = REQUEST.as_bytes().split_at(REQUEST.len() - 1);
    session.give(Side::Client, all_but_one);
    assert!(session.upstream.is_empty() && session.client.is_empty());
    let early = [last, &frame(Side::Client, 0x82, b"early")].concat();
    session.give(Side::Client, &early);
    let request = String::from_utf8(session.upstream.clone()).unwrap();
    assert!(request.starts_with("GET /chat HTTP/1.1\r\nHost: up.example:81\r\n"), "{request}");
    assert!(request.contains("\r\nCookie: c\r\n") && request.ends_with("Protocol: a, b\r\n\r\n"));
    assert!(!session.pull.wants_input(Side::Client), "what it sends now stays in its socket");
    assert!(session.client.is_empty());
    session.upstream.clear();

    session.give(Side::Upstream, &answer("Sec-WebSocket-Protocol: b\r\nSet-Cookie: s\r\n"));
    let answer = String::from_utf8(session.client.clone()).unwrap();
    assert!(answer.contains("\r\nSec-WebSocket-Protocol: b\r\nSet-Cookie: s\r\n\r\n"), "{answer}");
    assert_eq!(session.proxy.subprotocol().as_deref(), Some("b"));
    assert!(session.pull.answer_head().starts_with(b"HTTP/1.1 101 "));
    assert_eq!(session.frames(Side::Upstream), [(0x82, b"early".to_vec())]);
}

#[test]
fn a_handshake_that_takes_too_long_is_answered_and_over() {
    let mut session = Session::new(Config::new());
    session.pull.connect("ws://u").unwrap();
    assert_eq!(session.pull.deadline(), Some(11_000));
    session.pull.tick(11_000);
    session.settle();
    assert!(session.client.starts_with(b"HTTP/1.1 408 "));
    assert!(session.pull.is_over() && session.upstream.is_empty());

    let mut session = Session::new(Config::new());
    session.pull.connect("ws://u").unwrap();
    session.give(Side::Client, REQUEST.as_bytes());
    session.pull.tick(12_000);
    session.settle();
    assert!(session.client.starts_with(b"HTTP/1.1 504 "));
    assert_eq!(session.proxy.refusal_status(), Some(504));
    assert_eq!(session.pull.result().unwrap_err().fault(), Fault::Upstream);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_a_502_and_one_that_refuses_is_relayed() {
    let mut session = Session::new(Config::new());
    session.pull.connect("ws://u").unwrap();
    session.pull.input(Side::Client, REQUEST.as_bytes()).unwrap();
    session.pull.input_ended(Side::Upstream, "connection refused");
    session.settle();
    assert!(session.client.starts_with(b"HTTP/1.1 502 "));
    let error = session.pull.is_open(Side::Upstream).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(error.to_string(), "upstream: connection refused");
    assert!(session.upstream.is_empty(), "no request is left for whoever is dialled next");

    for (came, how, in_full) in
        [("", "lost (reset)", ""), ("HTTP/1.1 1", "closed the connection", " in full")]
    {
        let mut session = Session::new(Config::new());
        session.pull.connect("ws://u").unwrap();
        session.give(Side::Client, REQUEST.as_bytes());
        session.give(Side::Upstream, came.as_bytes());
        session.pull.input_ended(Side::Upstream, how);
        let error = session.pull.is_open(Side::Upstream).unwrap_err();
        let words = format!("upstream: {how} before answering the handshake{in_full}");
        assert_eq!(error.to_string(), words);
    }

    let mut session = Session::new(Config::new());
    session.pull.connect("ws://u").unwrap();
    session.give(Side::Client, REQUEST.as_bytes());
    let refusal = "HTTP/1.1 403 No\r\nX-Why: x\r\nContent-Length: 2\r\n\r\nno";
    session.give(Side::Upstream, refusal.as_bytes());
    let page = String::from_utf8(session.client.clone()).unwrap();
    assert!(page.starts_with("HTTP/1.1 403 No\r\n") && page.contains("X-Why: x\r\n"), "{page}");
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Refused);
    assert!(session.pull.answer_head().ends_with(b"Content-Length: 2\r\n\r\n"));
}

#[test]
fn the_halves_come_in_either_order_and_a_failed_upstream_may_be_asked_again() {
    let mut session = Session::new(Config::new());
    session.pull.connect_upstream_for("ws://one/x", REQUEST.as_bytes()).unwrap();
    session.settle();
    assert!(session.upstream.starts_with(b"GET /x "));
    session.give(Side::Upstream, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let error = session.pull.is_open(Side::Upstream).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(session.client.is_empty() && !session.pull.is_over());

    session.upstream.clear();
    session.pull.set_key(KEY).unwrap();
    session.pull.connect_upstream("ws://two").unwrap();
    session.settle();
    let request = String::from_utf8(session.upstream.clone()).unwrap();
    assert!(request.starts_with("GET /chat ") && request.contains("Cookie: c\r\n"), "{request}");
    session.give(Side::Upstream, &answer("Sec-WebSocket-Protocol: a\r\n"));
    assert!(session.pull.is_open(Side::Upstream).unwrap());
    assert!(!session.pull.is_open(Side::Client).unwrap() && session.client.is_empty());
    session.pull.connect_client().unwrap();
    session.settle();
    let answer = String::from_utf8(session.client.clone()).unwrap();
    assert!(answer.contains("Sec-WebSocket-Protocol: a\r\n"), "{answer}");

    let mut session = Session::new(Config::new());
    session.pull.connect_client().unwrap();
    session.give(Side::Client, REQUEST.as_bytes());
    assert!(session.client.starts_with(b"HTTP/1.1 101 "));
    session.pull.connect_upstream("ws://u").unwrap();
    session.settle();
    let request = String::from_utf8(session.upstream.clone()).unwrap();
    assert!(!request.contains("Sec-WebSocket-Protocol"), "its 101 is gone: {request}");
    session.give(Side::Upstream, &self::answer(""));
    assert!(session.pull.is_open(Side::Upstream).unwrap());
}

#[test]
fn headers_are_kept_from_the_upstream_where_the_host_wants_that() {
    let mut config = Config::new();
    config.pass_headers(false);
    let mut session = Session::new(config);
    session.pull.set_header("Origin", b"http://o").unwrap();
    session.pull.add_subprotocol("x").unwrap();
    session.pull.connect("ws://u").unwrap();
    session.give(Side::Client, REQUEST.as_bytes());
    let request = String::from_utf8(session.upstream.clone()).unwrap();
    let expected = format!(
        "GET /chat HTTP/1.1\r\nHost: u\r\nOrigin: http://o\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: x\r\n\r\n"
    );
    assert_eq!(request, expected);
    session.give(Side::Upstream, &answer("Sec-WebSocket-Protocol: x\r\n"));
    let answer = String::from_utf8(session.client.clone()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains("Protocol:"), "{answer}");
}

#[test]
fn a_client_that_leaves_while_the_upstream_is_asked_ends_the_session() {
    let mut session = Session::new(Config::new());
    session.pull.connect("ws://u").unwrap();
    session.give(Side::Client, REQUEST.as_bytes());
    session.pull.input_ended(Side::Client, "closed the connection");
    assert!(session.pull.is_over());
    let error = session.pull.result().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
}

#[test]
fn what_was_said_of_a_request_that_is_not_sent_may_be_forgotten() {
    let mut session = Session::new(Config::new());
    session.pull.set_header("X-For-Another", b"1").unwrap();
    session.pull.add_subprotocol("another").unwrap();
    session.pull.forget_request().unwrap();
    session.pull.set_header("X-Own", b"1").unwrap();
    session.pull.connect_upstream("ws://u").unwrap();
    session.settle();
    let request = String::from_utf8(session.upstream.clone()).unwrap();
    assert!(request.contains("X-Own: 1\r\n") && !request.contains("nother"), "{request}");
}

#[test]
fn one_session_is_driven_by_one_face() {
    let proxy = Proxy::new(Arc::new(Config::new())).unwrap();
    let _pull = proxy.pull().unwrap();
    assert_eq!(proxy.pull().unwrap_err().kind(), ErrorKind::State);
    assert_eq!(proxy.connect_upstream("ws://127.0.0.1:1").unwrap_err().kind(), ErrorKind::State);
    assert_eq!(proxy.relay().unwrap_err().kind(), ErrorKind::State);
}

#[test]
fn frames_that_came_with_the_upstreams_answer_go_behind_the_clients() {
    for part in [1, 20, usize::MAX] {
        let mut session = Session::new(Config::new());
        session.pull.connect("ws://u").unwrap();
        session.give(Side::Client, REQUEST.as_bytes());
        let early = frame(Side::Upstream, 0x82, b"early");
        let bye = frame(Side::Upstream, 0x88, b"\x03\xe8");
        session.pull.input(Side::Upstream, &[answer(""), early, bye].concat()).unwrap();
        session.pull.pass(Side::Upstream);
        while session.pull.has_output(Side::Client) {
            let waits = session.pull.output(Side::Client).concat();
            let count = waits.len().min(part);
            session.client.extend_from_slice(&waits[..count]);
            session.pull.wrote(Side::Client, count);
        }
        assert!(session.client.starts_with(b"HTTP/1.1 101 "), "in parts of {part}");
        let end = session.client.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        session.client.drain(..end);
        let expected = [(0x82, b"early".to_vec()), close(1000)];
        assert_eq!(session.frames(Side::Client), expected, "in parts of {part}");
    }
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_told_as_ipv4() {
    let mut config = Config::new();
    config.forwarded(true);
    let mut session = Session::new(config);
    session.pull.set_peer("::ffff:192.0.2.7", false).unwrap();
    session.pull.connect("ws://u").unwrap();
    session.give(Side::Client, REQUEST.as_bytes());
    let request = String::from_utf8(session.upstream.clone()).unwrap();
    assert!(request.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{request}");
}
