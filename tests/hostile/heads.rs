//! Heads that are too long, have too many lines, or never end; from clients and from upstreams.
//! CVE-2023-43669 (tungstenite), CVE-2024-37890 (ws), slow loris.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{ErrorKind, Policy};

use super::crowd::nowhere;
use super::guard::{cpu, memory, reset_peak, watched};
use super::support::host::{config, Host};
use super::support::http::{ask, asked, connect, hear_all, nobody_called, status};
use super::support::offence::PROMPT;
use super::support::peer::{request, Listener, Peer};

const MIB: usize = 1 << 20;
/// Linear work on a head of 64 KiB takes milliseconds; quadratic work a minute, unoptimised.
const LINEAR: Duration = Duration::from_secs(8);

fn host(url: &str) -> Host {
    Host::start(config(Policy::Serial, |_| {}), url, super::support::host::pass)
}

/// Sends `chunk` again and again until nobody takes it any more, or `limit` bytes are out.
fn pour(stream: &mut TcpStream, chunk: &[u8], limit: usize) {
    let mut sent = 0;
    while sent < limit && stream.write_all(chunk).is_ok() {
        sent += chunk.len();
    }
}

/// A client that begins with `head` and goes on with 20 MB; what it is answered.
fn endless_request(head: &str, chunk: &[u8]) -> String {
    let upstream = Listener::bind();
    let host = host(&upstream.url());
    let mut stream = connect(host.addr);
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let chunk = chunk.to_owned();
    let pouring = thread::spawn(move || pour(&mut writer, &chunk, 20 * MIB));
    let answer = hear_all(&mut stream);
    pouring.join().unwrap();
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request);
    nobody_called(&upstream);
    answer
}

#[test]
fn a_header_of_20_mb_is_cut_off_at_the_cap() {
    watched(|| {
        let (before, used) = (reset_peak(), cpu());
        let answer = endless_request("GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", &[b'a'; 64 << 10]);
        assert_eq!(status(&answer), 431, "{answer}");
        let peak = memory("VmHWM").saturating_sub(before);
        assert!(peak < 8 << 20, "{peak} bytes more at the peak");
        assert!(cpu() - used < LINEAR);
    });
}

#[test]
fn a_head_without_end_is_cut_off_whatever_it_is_made_of() {
    watched(|| {
        let long_target = endless_request("GET /", &[b'a'; 64 << 10]);
        assert_eq!(status(&long_target), 431);
        let short_lines = endless_request("GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(10_000));
        assert_eq!(status(&short_lines), 431);
    });
}

#[test]
fn a_head_in_segments_of_one_byte_costs_linear_time() {
    watched(|| {
        let host = host(&nowhere());
        let used = cpu();
        let mut stream = connect(host.addr);
        let head = format!("GET / HTTP/1.1\r\nX-Long: {}", "a".repeat(64 << 10));
        for byte in head.as_bytes().chunks(1) {
            if stream.write_all(byte).is_err() {
                break; // refused already
            }
        }
        assert_eq!(status(&hear_all(&mut stream)), 431);
        assert!(cpu() - used < LINEAR, "{:?}", cpu() - used);
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request);
    });
}

#[test]
fn more_than_a_hundred_headers_are_refused_from_either_side() {
    watched(|| {
        for count in [101, 5_000] {
            let lines: String = (0..count).map(|i| format!("X-{i}: {i}\r\n")).collect();
            let upstream = Listener::bind();
            let turned_away = host(&upstream.url());
            assert_eq!(status(&ask(turned_away.addr, request("/", &lines).as_bytes())), 431);
            nobody_called(&upstream);
            assert!(turned_away.outcome().is_err());
            let answered = host(&upstream.url());
            let addr = answered.addr;
            let client = thread::spawn(move || ask(addr, request("/", "").as_bytes()));
            let (mut asked, _) = asked(&upstream);
            let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
            let _ = asked.write_all(answer.as_bytes()); // it may be cut off
            assert_eq!(status(&client.join().unwrap()), 502);
            assert!(answered.outcome().is_err());
        }
    });
}

#[test]
fn long_lists_of_subprotocols_and_extensions_cost_linear_time() {
    watched(|| {
        let list = |len: usize| {
            let tokens: Vec<String> = (0..len / 6).map(|i| format!("a{i:04}")).collect();
            tokens.join(",")
        };
        for (name, len, statuses) in [
            ("Sec-WebSocket-Protocol", 100_000, &[431][..]),
            ("Sec-WebSocket-Extensions", 100_000, &[431]),
            ("Sec-WebSocket-Protocol", 60_000, &[431]),
            ("Connection", 60_000, &[502]),
            ("Sec-WebSocket-Extensions", 60_000, &[502]), // as far as an upstream that is not there
        ] {
            let (host, used) = (host(&nowhere()), cpu());
            let request = request("/", &format!("{name}: {}\r\n", list(len)));
            let answer = ask(host.addr, request.as_bytes());
            assert!(statuses.contains(&status(&answer)), "{name} of {len} bytes: {answer}");
            assert!(cpu() - used < LINEAR, "{name} of {len} bytes: {:?}", cpu() - used);
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_client_that_trickles_its_request_is_cut_off_at_the_deadline() {
    watched(|| {
        let patience = Duration::from_millis(500);
        let upstream = Listener::bind();
        let config = config(Policy::Serial, |config| {
            config.connect_timeout(patience).unwrap();
        });
        let host = Host::start(config, &upstream.url(), super::support::host::pass);
        let started = Instant::now();
        let mut stream = connect(host.addr);
        let head = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(10_000));
        for byte in head.as_bytes().chunks(1) {
            if stream.write_all(byte).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(status(&hear_all(&mut stream)), 408);
        let lasted = started.elapsed();
        assert!(lasted >= patience && lasted < patience * 4 + PROMPT, "{lasted:?}");
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
        nobody_called(&upstream);
    });
}

/// What a client hears when the upstream answers with `first`, then `chunk` again and again, `pause` between.
fn trickled(first: &str, chunk: &[u8], pause: Duration) -> (u16, Duration) {
    let upstream = Listener::bind();
    let config = config(Policy::Serial, |config| {
        config.connect_timeout(Duration::from_millis(800)).unwrap();
    });
    let host = Host::start(config, &upstream.url(), super::support::host::pass);
    let (addr, started) = (host.addr, Instant::now());
    let client = thread::spawn(move || ask(addr, request("/", "").as_bytes()));
    let (mut stream, _) = asked(&upstream);
    stream.write_all(first.as_bytes()).unwrap();
    while !client.is_finished() && stream.write_all(chunk).is_ok() {
        thread::sleep(pause);
    }
    let answer = client.join().unwrap();
    assert!(host.outcome().is_err());
    assert!(answer.len() < 2 * MIB, "{} bytes", answer.len());
    (status(&answer), started.elapsed())
}

#[test]
fn an_upstream_that_trickles_its_answer_is_given_up_at_the_deadline() {
    watched(|| {
        let slow = Duration::from_millis(10);
        let (status, lasted) = trickled("HTTP/1.1 101 Switching Protocols\r\nX: ", b"a", slow);
        assert_eq!(status, 504);
        assert!(lasted < PROMPT * 2, "{lasted:?}");
        let (status, lasted) =
            trickled("HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\n", b"a", slow);
        assert_eq!(status, 403, "a refusal whose body is late is still a refusal");
        assert!(lasted < PROMPT * 2, "{lasted:?}");
    });
}

#[test]
fn an_upstream_whose_answer_never_ends_is_cut_off() {
    watched(|| {
        let at_once = Duration::ZERO;
        let before = reset_peak();
        let head = "HTTP/1.1 101 Switching Protocols\r\nX: ";
        assert_eq!(trickled(head, &[b'a'; 64 << 10], at_once).0, 502);
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        assert_eq!(trickled("", interim, at_once).0, 502);
        let refusal = "HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(trickled(refusal, &[b'a'; 64 << 10], at_once).0, 404);
        let peak = memory("VmHWM").saturating_sub(before);
        assert!(peak < 16 << 20, "{peak} bytes more at the peak");
    });
}

/// The same from an HTTP proxy, asked for the way to the upstream.
fn trickled_by_http_proxy(first: &str, chunk: &[u8], pause: Duration) -> (u16, Duration) {
    let proxy = Listener::bind();
    let config = config(Policy::Serial, |config| {
        config.connect_timeout(Duration::from_millis(800)).unwrap();
        config.http_proxy(&format!("http://{}", proxy.addr())).unwrap();
    });
    let host = Host::start(config, "ws://upstream.invalid", super::support::host::pass);
    let (addr, started) = (host.addr, Instant::now());
    let client = thread::spawn(move || ask(addr, request("/", "").as_bytes()));
    let (mut stream, head) = asked(&proxy);
    assert!(head.starts_with("CONNECT "), "{head}");
    stream.write_all(first.as_bytes()).unwrap();
    while !client.is_finished() && stream.write_all(chunk).is_ok() {
        thread::sleep(pause);
    }
    assert!(host.outcome().is_err());
    (status(&client.join().unwrap()), started.elapsed())
}

#[test]
fn an_http_proxy_whose_answer_trickles_or_never_ends_is_cut_off() {
    watched(|| {
        let (before, used) = (reset_peak(), cpu());
        let slow = Duration::from_millis(10);
        let (status, lasted) = trickled_by_http_proxy("HTTP/1.1 200 OK\r\nX: ", b"a", slow);
        assert_eq!(status, 504);
        assert!(lasted < PROMPT * 2, "{lasted:?}");
        let at_once = Duration::ZERO;
        let head = "HTTP/1.1 200 OK\r\nX: ";
        assert_eq!(trickled_by_http_proxy(head, &[b'a'; 64 << 10], at_once).0, 502);
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        assert_eq!(trickled_by_http_proxy("", interim, at_once).0, 502);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(5_000));
        assert_eq!(trickled_by_http_proxy(&many, b"", slow).0, 502);
        let peak = memory("VmHWM").saturating_sub(before);
        assert!(peak < 16 << 20, "{peak} bytes more at the peak");
        assert!(cpu() - used < LINEAR, "{:?}", cpu() - used);
    });
}

#[test]
fn a_client_that_does_not_read_its_refusal_is_let_go() {
    watched(|| {
        let host = host(&nowhere());
        let mut stream = connect(host.addr);
        stream.write_all(b"nonsense\r\n\r\n").unwrap();
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request); // while this end stays open
        assert_eq!(status(&hear_all(&mut stream)), 400);
    });
}

#[test]
fn a_session_opens_with_the_longest_legal_head() {
    watched(|| {
        let upstream = Listener::bind();
        let host = host(&upstream.url());
        let addr = host.addr;
        let client = thread::spawn(move || {
            let more = format!("X-Long: {}\r\n", "a".repeat(60_000));
            Peer::connect_with(addr, &request("/", &more))
        });
        let mut upstream = upstream.accept();
        let mut client = client.join().unwrap();
        client.send_text("through");
        assert_eq!(upstream.hear_text(), "through");
        drop((client, upstream));
        assert!(host.outcome().is_err());
    });
}
