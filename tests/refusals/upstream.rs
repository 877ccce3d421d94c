//! What an upstream may answer that is no valid 101, and what only looks like one.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use wsproxy::Policy;

use super::scene::{upstream_is, upstream_says};
use super::support::host::{config, pass, talk, Host};
use super::support::http::{self, good_answer};
use super::support::peer::{header, read_head, request, Listener, Peer};
use super::table::{row, Row};

const BODY: &str = "the upstream's own words\n";

/// A refusal with a body, and headers of which some are for one hop only.
fn refuses(row: Row, status: &str, more: &str) {
    let refusal = format!(
        "HTTP/1.1 {status}\r\n{more}X-Mark: kept\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\n\
         X-Hop: 1\r\nSec-WebSocket-Accept: x\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    upstream_says(&row, BODY, |_| refusal.clone());
}

/// What a client hears of a refusal.
fn heard(refusal: &str) -> String {
    let listener = Listener::bind();
    let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, _) = http::asked(&listener);
    upstream.write_all(refusal.as_bytes()).unwrap();
    let heard = http::hear_all(&mut client);
    drop(client);
    assert!(host.outcome().is_err());
    heard
}

#[test]
fn a_200_is_no_upgrade() {
    refuses(row!(), "200 OK", "");
}

#[test]
fn a_200_that_looks_like_an_upgrade_is_none() {
    upstream_says(&row!(), BODY, |head| {
        let more = format!("X-Mark: kept\r\nContent-Length: {}\r\n", BODY.len());
        good_answer(head, &more).replace("101 Switching Protocols", "200 OK") + BODY
    });
}

#[test]
fn a_redirect_is_relayed_and_not_followed() {
    let elsewhere = Listener::bind();
    refuses(
        row!(),
        "301 Moved Permanently",
        &format!("Location: http://{}/\r\n", elsewhere.addr()),
    );
    http::nobody_called(&elsewhere);
}

#[test]
fn a_401_keeps_what_the_client_needs_to_log_in() {
    let more =
        "WWW-Authenticate: Basic realm=\"x\"\r\nwww-authenticate: Bearer\r\nSet-Cookie: a=1\r\n\
                Set-Cookie: b=2\r\n";
    refuses(row!(), "401 Unauthorized", more);
    let heard = heard(&format!("HTTP/1.1 401 No\r\n{more}Content-Length: 2\r\n\r\nno"));
    let expected =
        format!("HTTP/1.1 401 No\r\n{more}Content-Length: 2\r\nConnection: close\r\n\r\nno");
    assert_eq!(heard, expected, "every line, in its order");
}

#[test]
fn a_403_is_relayed() {
    refuses(row!(), "403 Forbidden", "");
}

#[test]
fn a_404_is_relayed() {
    refuses(row!(), "404 Not Found", "");
}

#[test]
fn a_407_of_the_upstreams_is_relayed_without_its_challenge() {
    let more = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
    refuses(row!(), "407 Proxy Authentication Required", more);
    assert!(!heard(&format!("HTTP/1.1 407 X\r\n{more}Content-Length: 0\r\n\r\n")).contains("realm"));
}

#[test]
fn a_426_is_relayed_with_the_versions() {
    let more = "Sec-WebSocket-Version: 14, 15\r\nUpgrade: websocket\r\n";
    refuses(row!(), "426 Upgrade Required", more);
    let heard = heard(&format!("HTTP/1.1 426 X\r\n{more}Content-Length: 0\r\n\r\n"));
    assert_eq!(header(&heard, "Sec-WebSocket-Version").as_deref(), Some("14, 15"));
    assert_eq!(header(&heard, "Connection").as_deref(), Some("close, Upgrade"));
}

#[test]
fn a_503_is_relayed_with_retry_after() {
    refuses(row!(), "503 Service Unavailable", "Retry-After: 5\r\n");
}

#[test]
fn a_204_is_relayed_without_body_and_length() {
    upstream_says(&row!(), "", |_| "HTTP/1.1 204 No Content\r\nX-Mark: kept\r\n\r\n".into());
}

#[test]
fn a_304_is_relayed_without_body_and_length() {
    upstream_says(&row!(), "", |_| {
        "HTTP/1.1 304 Not Modified\r\nX-Mark: kept\r\nContent-Length: 99\r\n\r\n".into()
    });
}

#[test]
fn a_refusal_in_http_1_0_is_relayed() {
    upstream_says(&row!(), BODY, |_| {
        format!("HTTP/1.0 403 Forbidden\r\nX-Mark: kept\r\n\r\n{BODY}")
    });
}

#[test]
fn a_refusal_that_comes_before_the_request_is_relayed() {
    let row = row!();
    for round in 0..10 {
        let listener = Listener::bind();
        let url = listener.url();
        let upstream = thread::spawn(move || {
            let mut stream = listener.accept_tcp();
            let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length";
            write!(stream, "{head}: {}\r\n\r\n{BODY}", BODY.len()).unwrap();
            thread::sleep(Duration::from_millis(round)); // closed before the request came, or with it unread
        });
        let host = Host::start(config(Policy::Serial, |_| {}), &url, pass);
        let answer = http::ask(host.addr, request("/", "").as_bytes());
        row.is_answered_by(&answer, BODY);
        row.is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
        upstream.join().unwrap();
    }
}

#[test]
fn a_body_in_chunks_is_relayed_with_its_length() {
    let (one, two) = BODY.split_at(5);
    upstream_says(&row!(), BODY, |_| {
        format!(
            "HTTP/1.1 403 Forbidden\r\nX-Mark: kept\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n\
             5;ext=1\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\nX-Late: 1\r\n\r\n",
            two.len()
        )
    });
}

const REFUSAL: &str = "HTTP/1.1 403 Forbidden\r\nX-Mark: kept\r\n";

/// Sends the same again and again, until nobody takes it any more.
fn pour(stream: &mut TcpStream, first: &str, chunk: &str) {
    let _ = stream.write_all(first.as_bytes());
    let pours = (0..4_000).all(|_| stream.write_all(chunk.as_bytes()).is_ok());
    assert!(!pours, "nobody has stopped it");
}

#[test]
fn a_huge_body_is_cut() {
    let kept = "a".repeat(64 << 10);
    upstream_is(&row!(), &kept, &|stream, _| {
        pour(stream, &format!("{REFUSAL}\r\n"), &"a".repeat(16 << 10));
    });
}

#[test]
fn a_body_that_is_late_is_relayed_as_far_as_it_came() {
    upstream_is(&row!(), "half", &|stream, _| {
        write!(stream, "{REFUSAL}Content-Length: 8\r\n\r\nhalf").unwrap();
    });
}

#[test]
fn a_body_that_a_reset_cuts_is_relayed_as_far_as_it_came() {
    upstream_is(&row!(), "half", &|stream, _| {
        write!(stream, "{REFUSAL}Content-Length: 8\r\n\r\nhalf").unwrap();
        thread::sleep(Duration::from_millis(100)); // read by now
        reset(stream);
    });
}

/// The end of this connection is a reset, and it is now.
fn reset(stream: &mut TcpStream) {
    let other = TcpStream::connect(Listener::bind().addr()).unwrap();
    let socket = socket2::Socket::from(std::mem::replace(stream, other));
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_refusal_with_two_lengths_is_no_answer() {
    upstream_says(&row!(), "", |_| {
        format!("{REFUSAL}Content-Length: 4\r\nContent-Length: 5\r\n\r\nevil")
    });
}

#[test]
fn half_a_head_is_no_answer() {
    upstream_says(&row!(), "", |head| good_answer(head, "")[..50].into());
}

#[test]
fn half_a_head_and_silence_is_too_slow() {
    upstream_is(&row!(), "", &|stream, head| {
        stream.write_all(&good_answer(head, "").as_bytes()[..50]).unwrap();
    });
}

#[test]
fn an_endless_head_is_no_answer() {
    upstream_is(&row!(), "", &|stream, _| {
        pour(stream, "HTTP/1.1 101 Switching Protocols\r\nX: ", &"a".repeat(16 << 10));
    });
}

#[test]
fn more_than_a_hundred_headers_are_no_answer() {
    upstream_says(&row!(), "", |head| good_answer(head, &"A: b\r\n".repeat(98)));
}

#[test]
fn endless_interim_answers_are_no_answer() {
    upstream_is(&row!(), "", &|stream, _| {
        pour(stream, "", &"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(300));
    });
}

/// The good answer with a change in it.
fn changed(row: Row, from: &str, to: &str) {
    upstream_says(&row, "", |head| {
        let answer = good_answer(head, "");
        assert!(answer.contains(from));
        answer.replacen(from, to, 1)
    });
}

#[test]
fn a_wrong_accept_is_no_upgrade() {
    changed(row!(), "Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x");
}

#[test]
fn a_101_without_accept_is_no_upgrade() {
    changed(row!(), "Sec-WebSocket-Accept", "X-Accept");
}

#[test]
fn a_101_without_upgrade_is_no_upgrade() {
    changed(row!(), "Upgrade: websocket\r\n", "");
}

#[test]
fn a_101_to_another_protocol_is_no_upgrade() {
    changed(row!(), "Upgrade: websocket", "Upgrade: h2c");
}

#[test]
fn a_101_without_connection_is_no_upgrade() {
    changed(row!(), "Connection: Upgrade\r\n", "");
}

#[test]
fn a_101_in_http_1_0_is_no_upgrade() {
    changed(row!(), "HTTP/1.1", "HTTP/1.0");
}

#[test]
fn an_extension_that_nobody_offered_is_no_upgrade() {
    changed(row!(), "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
}

#[test]
fn a_subprotocol_that_nobody_offered_is_no_upgrade() {
    changed(row!(), "\r\n\r\n", "\r\nSec-WebSocket-Protocol: b\r\n\r\n");
}

#[test]
fn a_101_with_a_length_is_an_upgrade_without_body() {
    assert_eq!(row!().status(), Some(101));
    for more in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\nContent-Type: a/b\r\n"] {
        let listener = Listener::bind();
        let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
        let mut client = http::connect(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let mut upstream = listener.accept_with(more);
        let head = read_head(&mut client);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(!head.contains("Content-") && !head.contains("Transfer-"), "{head}");
        talk(&mut Peer::upgraded_client(client), &mut upstream);
        assert_eq!(host.proxy.refusal_status(), None);
    }
}

#[test]
fn an_upstream_that_closes_is_a_bad_gateway() {
    upstream_says(&row!(), "", |_| String::new());
}

#[test]
fn an_upstream_that_resets_is_a_bad_gateway() {
    upstream_is(&row!(), "", &|stream, _| reset(stream));
}

#[test]
fn an_upstream_that_hangs_is_too_slow() {
    upstream_is(&row!(), "", &|_, _| ());
}

#[test]
fn an_upstream_that_speaks_tls_unasked_is_a_bad_gateway() {
    // The alert "unexpected message", which is what a TLS upstream has to say of an HTTP request.
    upstream_is(&row!(), "", &|stream, _| stream.write_all(b"\x15\x03\x03\0\x02\x02\x0a").unwrap());
}

#[test]
fn garbage_is_no_answer() {
    upstream_says(&row!(), "", |_| "220 mail.example ESMTP\r\n".into());
}
