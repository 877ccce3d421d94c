//! The event-loop face: a session driven by pull, without a socket. The peers are byte strings; what the session makes of
//! them must not depend on how they are cut, nor on when verdicts come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use wsproxy::{Config, ErrorKind, Fault, Kind, Proxy, Pull, Side, Verdict};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const REQUEST: &str =
    "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: c\r\n\
    Sec-WebSocket-Protocol: a, b\r\n\r\n";

fn answer(lines: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// A frame with a mask of zeros if it is the client's.
fn frame(from: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = from == Side::Client;
    let mut bytes = vec![first];
    let bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(bit | len as u8),
        len @ 126..=65535 => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}

/// One session and what has come out of it.
struct Session {
    proxy: Proxy,
    pull: Pull,
    client: Vec<u8>,
    upstream: Vec<u8>,
}

impl Session {
    fn new(config: Config) -> Self {
        let proxy = Proxy::new(Arc::new(config)).unwrap();
        let mut pull = proxy.pull().unwrap();
        pull.tick(1000);
        pull.set_key(KEY).unwrap();
        Session { proxy, pull, client: Vec::new(), upstream: Vec::new() }
    }

    fn open(config: Config) -> Self {
        let mut session = Session::new(config);
        session.pull.connect("ws://up.example:81").unwrap();
        session.give(Side::Client, REQUEST.as_bytes());
        session.give(Side::Upstream, &answer(""));
        assert!(session.pull.is_open(Side::Client).unwrap());
        session.client.clear();
        session.upstream.clear();
        session
    }

    fn got(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// Gives bytes, forwards every frame, takes the output.
    fn give(&mut self, from: Side, bytes: &[u8]) {
        self.pull.input(from, bytes).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            Side::BOTH.iter().for_each(|&side| self.pull.pass(side));
            Side::BOTH.iter().for_each(|&side| self.take(side));
            if !Side::BOTH.iter().any(|&side| self.pull.has_output(side)) {
                return;
            }
        }
    }

    fn take(&mut self, to: Side) {
        let bytes = self.pull.output(to).concat();
        self.pull.wrote(to, bytes.len());
        self.got(to).extend(bytes);
    }

    /// The frames that went to `to`, unmasked: first byte and payload.
    fn frames(&self, to: Side) -> Vec<(u8, Vec<u8>)> {
        let mut rest = match to {
            Side::Client => &self.client[..],
            Side::Upstream => &self.upstream[..],
        };
        let mut frames = Vec::new();
        while let [first, second, after @ ..] = rest {
            let (len, after) = match second & 0x7f {
                126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
                127 => (u64::from_be_bytes(after[..8].try_into().unwrap()) as usize, &after[8..]),
                len => (usize::from(len), after),
            };
            let (mask, after) = match second & 0x80 {
                0 => ([0; 4], after),
                _ => (after[..4].try_into().unwrap(), &after[4..]),
            };
            let payload =
                after[..len].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            frames.push((*first, payload));
            rest = &after[len..];
        }
        frames
    }
}

fn close(code: u16) -> (u8, Vec<u8>) {
    (0x88, code.to_be_bytes().to_vec())
}

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
fn the_output_does_not_depend_on_how_the_input_is_cut() {
    let client: Vec<u8> = [
        REQUEST.as_bytes(),
        &frame(Side::Client, 0x01, b"hel"),
        &frame(Side::Client, 0x89, b"ping"),
        &frame(Side::Client, 0x80, b"lo"),
        &frame(Side::Client, 0x82, &[7; 300]),
        &frame(Side::Client, 0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let run = |size: usize| {
        let mut session = Session::new(Config::new());
        session.pull.connect("ws://u").unwrap();
        let mut rest = &client[..];
        let mut answered = false;
        while !rest.is_empty() {
            if session.pull.wants_input(Side::Client) {
                let (part, after) = rest.split_at(size.min(rest.len()));
                session.give(Side::Client, part);
                rest = after;
            } else {
                assert!(!std::mem::replace(&mut answered, true));
                for part in answer("").chunks(size) {
                    session.give(Side::Upstream, part);
                }
            }
        }
        if !answered {
            session.give(Side::Upstream, &answer(""));
        }
        let end = session.upstream.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        session.upstream.drain(..end);
        session.frames(Side::Upstream)
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.len(), 5);
    for size in 1..client.len() {
        assert_eq!(run(size), whole, "in parts of {size}");
    }
}

#[test]
fn a_verdict_may_come_late_and_meanwhile_the_other_direction_goes_on_and_the_order_is_kept() {
    let mut session = Session::open(Config::new());
    let two = [frame(Side::Client, 0x81, b"one"), frame(Side::Client, 0x81, b"two")].concat();
    session.pull.input(Side::Client, &two).unwrap();
    assert!(session.pull.poll(Side::Client) && session.pull.poll(Side::Client));
    assert!(!session.pull.wants_input(Side::Client));
    for n in 0..10u8 {
        session.pull.tick(2000 + u64::from(n) * 100_000); // a hook that sleeps is not idle
        session.pull.input(Side::Upstream, &frame(Side::Upstream, 0x82, &[n])).unwrap();
        assert!(session.pull.poll(Side::Upstream));
        session.pull.resolve(Side::Upstream, Verdict::Forward);
        assert!(!session.pull.poll(Side::Upstream));
        session.take(Side::Client);
    }
    assert_eq!(session.pull.frame(Side::Client).unwrap().payload(), b"one");
    session.pull.frame(Side::Client).unwrap().set_payload(b"1").unwrap();
    session.pull.resolve(Side::Client, Verdict::Forward);
    session.settle();
    assert_eq!(session.frames(Side::Client).len(), 10);
    let expected = [(0x81, b"1".to_vec()), (0x81, b"two".to_vec())];
    assert_eq!(session.frames(Side::Upstream), expected);
}

#[test]
fn the_end_of_a_stream_counts_behind_the_frames_that_came_before_it() {
    let mut session = Session::open(Config::new());
    let two = [frame(Side::Client, 0x81, b"one"), frame(Side::Client, 0x81, b"two")].concat();
    session.pull.input(Side::Client, &two).unwrap();
    assert!(session.pull.poll(Side::Client));
    session.pull.input_ended(Side::Client, "closed the connection");
    assert!(session.pull.poll(Side::Client), "the first still waits");
    session.settle();
    let expected = [(0x81, b"one".to_vec()), (0x81, b"two".to_vec()), close(1001)];
    assert_eq!(session.frames(Side::Upstream), expected);
    session.pull.input_ended(Side::Upstream, "closed the connection");
    assert!(session.pull.is_over());
    let error = session.pull.result().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
}

#[test]
fn a_side_that_does_not_take_its_bytes_keeps_the_other_from_being_read() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 1000])).unwrap();
    session.pull.pass(Side::Client);
    assert!(!session.pull.wants_input(Side::Client) && session.pull.wants_input(Side::Upstream));
    let refused = session.pull.input(Side::Client, b"x").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Again);
    assert!(session.pull.space(Side::Client).is_empty());
    session.pull.wrote(Side::Upstream, 1000);
    assert!(!session.pull.wants_input(Side::Client), "the last bytes wait still");
    session.take(Side::Upstream);
    assert!(session.pull.wants_input(Side::Client));
}

#[test]
fn a_hook_that_makes_frames_larger_is_held_back_until_they_are_written() {
    let mut session = Session::open(Config::new());
    let many = frame(Side::Client, 0x82, b"x").repeat(1000);
    session.pull.input(Side::Client, &many).unwrap();
    let (mut most, mut seen) = (0, 0);
    loop {
        while session.pull.poll(Side::Client) {
            session.pull.frame(Side::Client).unwrap().set_payload(&[5; 10_000]).unwrap();
            session.pull.resolve(Side::Client, Verdict::Forward);
            seen += 1;
        }
        most = most.max(session.pull.output(Side::Upstream).concat().len());
        if !session.pull.has_output(Side::Upstream) {
            break;
        }
        session.take(Side::Upstream);
    }
    assert_eq!((seen, session.frames(Side::Upstream).len()), (1000, 1000));
    assert!(most < 100_000, "{most} bytes waited at once");
}

#[test]
fn the_deadlines_are_told_and_struck_by_the_hosts_clock() {
    let mut config = Config::new();
    config.idle_timeout(Duration::from_secs(7));
    config.close_timeout(Duration::from_secs(3)).unwrap();
    let mut session = Session::open(config);
    session.pull.tick(2000);
    assert_eq!(session.pull.deadline(), Some(8000));
    session.give(Side::Client, &frame(Side::Client, 0x81, b"x"));
    session.pull.tick(2500);
    assert_eq!(session.pull.deadline(), Some(3000), "the buffer of what came is given back then");
    session.pull.tick(3000);
    assert_eq!(session.pull.deadline(), Some(9500));
    session.pull.tick(9500);
    session.settle();
    assert_eq!(session.frames(Side::Client), [close(1001)]);
    assert_eq!(session.pull.deadline(), Some(12_500));
    assert!(!session.pull.is_over());
    session.pull.tick(12_500);
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Timeout);
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
fn frames_of_the_hosts_and_a_stop_are_heard_at_the_next_tick() {
    let mut session = Session::open(Config::new());
    session.proxy.send(Side::Client, Kind::Text, b"hello").unwrap();
    assert!(!session.pull.has_output(Side::Client));
    session.pull.tick(1001);
    session.settle();
    assert_eq!(session.frames(Side::Client), [(0x81, b"hello".to_vec())]);
    session.client.clear();
    session.proxy.stop(4000, "").unwrap();
    session.pull.tick(1002);
    session.settle();
    assert_eq!(session.frames(Side::Client), [close(4000)]);
    assert_eq!(session.frames(Side::Upstream), [close(4000)]);
    session.give(Side::Client, &frame(Side::Client, 0x88, b"\x0f\xa0"));
    session.give(Side::Upstream, &frame(Side::Upstream, 0x88, b"\x0f\xa0"));
    session.pull.input_ended(Side::Upstream, "closed the connection");
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result(), Ok(()));
}

#[test]
fn a_verdict_that_ends_the_session_and_a_failed_hook_close_both_sides() {
    for (verdict, code) in [
        (Verdict::Failed("no".into()), 1011),
        (
            Verdict::End {
                client: wsproxy::Close::new(4001, "").unwrap(),
                upstream: wsproxy::Close::new(4001, "").unwrap(),
            },
            4001,
        ),
    ] {
        let mut session = Session::open(Config::new());
        session.pull.input(Side::Client, &frame(Side::Client, 0x81, b"x")).unwrap();
        assert!(session.pull.poll(Side::Client));
        session.pull.resolve(Side::Client, verdict);
        session.settle();
        assert_eq!(session.frames(Side::Client), [close(code)]);
        assert_eq!(session.frames(Side::Upstream), [close(code)]);
    }
}

#[test]
fn the_host_ends_a_session_with_a_close_of_its_own_for_each_side() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x81, b"x")).unwrap();
    assert!(session.pull.poll(Side::Client));
    let close_with = |code| wsproxy::Close::new(code, "").unwrap();
    let closes = wsproxy::PerSide { client: close_with(4001), upstream: close_with(4002) };
    session.pull.end(closes).unwrap();
    session.pull.resolve(Side::Client, Verdict::Forward);
    session.settle();
    assert_eq!(session.frames(Side::Client), [close(4001)]);
    assert_eq!(session.frames(Side::Upstream), [close(4002)], "the frame goes nowhere");
    assert!(!session.pull.is_closed(Side::Upstream));
    session.give(Side::Upstream, &frame(Side::Upstream, 0x88, b"\x0f\xa2"));
    assert!(session.pull.is_closed(Side::Upstream) && !session.pull.is_over());
}

#[test]
fn output_that_is_taken_is_what_would_have_been_written() {
    let run = |takes: bool| {
        let mut session = Session::open(Config::new());
        for n in 0..50u8 {
            session
                .pull
                .input(Side::Upstream, &frame(Side::Upstream, 0x82, &[n; 3]).repeat(3))
                .unwrap();
            let mut changed = n % 3;
            while session.pull.poll(Side::Upstream) {
                if changed == 1 {
                    session.pull.frame(Side::Upstream).unwrap().set_payload(&[n; 500]).unwrap();
                }
                changed = changed.saturating_sub(1);
                session.pull.resolve(Side::Upstream, Verdict::Forward);
            }
            if n % 7 == 0 {
                session.proxy.send(Side::Client, Kind::Ping, &[n]).unwrap();
                session.pull.tick(1000);
            }
            if takes {
                while session.pull.has_more(Side::Client) {
                    session.pull.take_output(Side::Client);
                    let taken = session.pull.taken(Side::Client).to_vec();
                    session.client.extend(taken);
                }
            } else {
                session.settle();
            }
        }
        session.proxy.stop(1000, "").unwrap();
        session.pull.tick(1000);
        session.pull.take_output(Side::Client);
        session.client.extend(session.pull.taken(Side::Client));
        session.client
    };
    assert_eq!(run(true), run(false));
    assert!(run(true).len() > 8000);
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
fn a_side_that_takes_nothing_for_the_write_timeout_is_given_up() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 10])).unwrap();
    session.pull.pass(Side::Client);
    session.pull.tick(2000);
    session.pull.tick(32_000);
    session.take(Side::Client);
    assert_eq!(session.frames(Side::Client), [close(1011)]);
    assert!(!session.pull.has_output(Side::Upstream));
    session.give(Side::Client, &frame(Side::Client, 0x88, b"\x03\xf3"));
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_side_over_a_limit_is_told_why_where_the_host_wants_that() {
    for (explain, said) in [(false, ""), (true, "Payload Too Large")] {
        let mut config = Config::new();
        config.explain_limits(explain).max_frame_size(Side::Client, 10).unwrap();
        let mut session = Session::open(config);
        session.give(Side::Client, &frame(Side::Client, 0x81, b"eleven byte"));
        let told = [&[0x03, 0xf1], said.as_bytes()].concat();
        assert_eq!(session.frames(Side::Client), [(0x88, told)]);
        assert_eq!(session.frames(Side::Upstream), [close(1001)]);
        let error = session.pull.result().unwrap_err();
        assert_eq!(error.to_string(), "client: frame size 11 exceeds the limit of 10");
    }
}

/// A host that sleeps until the deadline tells the time no earlier: what its last calls began has to be in it.
#[test]
fn a_deadline_that_a_call_has_brought_nearer_is_told_without_another_tick() {
    let mut session = Session::open(Config::new());
    assert_eq!(session.pull.deadline(), Some(121_000));
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 10])).unwrap();
    session.pull.pass(Side::Client);
    assert_eq!(session.pull.deadline(), Some(31_000), "the upstream takes nothing");
    session.take(Side::Upstream);
    assert_eq!(session.pull.deadline(), Some(1500), "it has taken all; the buffer is kept a while");
    session.pull.tick(1500);
    assert_eq!(session.pull.deadline(), Some(121_000), "the buffer is given back");

    session.give(Side::Client, &frame(Side::Client, 0x88, b"\x03\xe8"));
    assert_eq!(session.pull.deadline(), Some(2000), "a buffer again");
    session.pull.tick(2000);
    assert_eq!(session.pull.deadline(), Some(11_500), "the upstream has not answered the close");
    session.pull.tick(11_500);
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_side_that_takes_little_by_little_is_not_given_up() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 10])).unwrap();
    session.pull.pass(Side::Client);
    for n in 0..9 {
        session.pull.tick(1000 + 20_000 * n);
        session.pull.wrote(Side::Upstream, 1);
        assert_eq!(session.pull.deadline(), Some(31_000 + 20_000 * n));
        assert!(!session.pull.is_over());
    }
    session.take(Side::Upstream);
    assert_eq!(session.pull.result(), Ok(()));
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

/// Bytes that the host has read already, at `now`; then frames, and output.
fn read(session: &mut Session, from: Side, bytes: &[u8], now: u64) {
    session.pull.read(from, bytes, now).unwrap();
    session.settle();
}

#[test]
fn bytes_that_were_read_are_taken_though_a_ping_is_due_or_another_thread_has_sent() {
    let mut config = Config::new();
    config.keepalive_interval(Duration::from_secs(5));
    let mut session = Session::open(config);
    let hello = frame(Side::Client, 0x82, b"hello");
    let (first, rest) = hello.split_at(4);
    read(&mut session, Side::Client, first, 1500);
    session.proxy.send(Side::Upstream, Kind::Text, b"sent").unwrap();
    read(&mut session, Side::Client, rest, 1501);
    read(&mut session, Side::Client, &hello, 6500);
    let frames = session.frames(Side::Upstream);
    let count = |kind: u8| frames.iter().filter(|(first, _)| *first == kind).count();
    assert_eq!((count(0x82), count(0x81), count(0x89)), (2, 1, 1), "{frames:?}");
    assert!(frames.iter().all(|(first, payload)| *first != 0x82 || payload == b"hello"));
}

#[test]
fn bytes_that_were_read_do_not_disturb_those_that_wait_to_be_written() {
    let mut session = Session::open(Config::new());
    let some: Vec<_> = (0..50).map(|n| frame(Side::Client, 0x82, &[n; 300])).collect();
    for (n, frame) in some.iter().enumerate() {
        session.pull.read(Side::Client, frame, 1500).unwrap();
        session.pull.pass(Side::Client);
        if n % 7 == 3 {
            session.pull.wrote(Side::Upstream, 1); // a part of what waits
            session.upstream.push(0x82);
            session.settle();
        }
    }
    session.settle();
    let expected: Vec<_> = (0..50).map(|n| (0x82, vec![n; 300])).collect();
    assert_eq!(session.frames(Side::Upstream), expected);
}

#[test]
fn bytes_are_not_taken_while_a_frame_of_the_same_side_waits() {
    let mut session = Session::open(Config::new());
    let hello = frame(Side::Client, 0x82, b"hello");
    session.pull.read(Side::Client, &hello, 1500).unwrap();
    assert!(session.pull.poll(Side::Client));
    let refused = session.pull.read(Side::Client, &hello, 1500).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Again);
}

#[test]
fn there_is_more_to_be_done_until_the_copy_of_a_large_message_is_given_back() {
    let mut config = Config::new();
    config.aggregate(Side::Client, true);
    let mut session = Session::open(config);
    for (first, size) in [(0x02, 1 << 20), (0x80, 1)] {
        let bytes = frame(Side::Client, first, &vec![7; size]);
        session.pull.read(Side::Client, &bytes, 2000).unwrap();
        session.pull.pass(Side::Client);
    }
    session.pull.take_output(Side::Upstream);
    assert!(session.pull.taken(Side::Upstream).len() > 1 << 20);
    let mut turns = 0;
    while session.pull.has_more(Side::Upstream) {
        turns += 1;
        assert!(turns < 3, "{turns} turns for nothing");
        session.pull.pass(Side::Client);
        session.pull.take_output(Side::Upstream);
        assert!(session.pull.taken(Side::Upstream).is_empty());
    }
    assert!(turns > 0);
}

/// That something is kept shows by its deadline.
#[test]
fn what_a_frame_took_is_given_back_by_a_deadline_that_only_its_own_side_puts_off() {
    for size in [1, 1 << 20] {
        let mut session = Session::open(Config::new());
        let idle = session.pull.deadline().unwrap();
        for (from, now) in [(Side::Client, 2000), (Side::Upstream, 2100), (Side::Client, 2400)] {
            session.pull.tick(now);
            session.give(from, &frame(from, 0x82, &vec![7; size]));
            assert!(session.pull.deadline() <= Some(now + 500));
        }
        for now in [2600, 2900] {
            assert_eq!(session.pull.deadline(), Some(now));
            session.pull.tick(now);
        }
        assert!(session.pull.deadline() > Some(idle), "nothing is kept, and nobody is woken");
    }
}

#[test]
fn half_a_frame_outlasts_the_buffer_that_it_came_in() {
    let mut session = Session::open(Config::new());
    let bytes = frame(Side::Client, 0x82, &vec![7; 100_000]);
    let (half, rest) = bytes.split_at(30_000);
    session.pull.tick(2000);
    session.give(Side::Client, &frame(Side::Client, 0x82, &vec![7; 500_000]));
    session.give(Side::Client, half);
    session.pull.tick(2500);
    session.pull.tick(3500);
    session.give(Side::Client, rest);
    let sizes =
        session.frames(Side::Upstream).iter().map(|frame| frame.1.len()).collect::<Vec<_>>();
    assert_eq!(sizes, [500_000, 100_000]);
    assert!(session.frames(Side::Upstream)[1].1 == [7; 100_000]);
}
