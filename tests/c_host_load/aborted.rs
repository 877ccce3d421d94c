//! Clients and upstreams that go away at every stage of the handshakes: nothing may be left of any of them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::process::Process;
use super::support::http::good_answer;
use super::support::peer::{prepare, read_head, request, Listener, Peer};
use super::support::wait_until;
use super::{Shape, SHAPES};

/// How many connections are open at once, and how often each stage is played.
const BATCH: usize = 20;
const ROUNDS: usize = 5;

type Stage = (&'static str, fn(TcpStream));

/// With the rounds and the batch these are a thousand.
const STAGES: [Stage; 10] = [
    ("closes at once", drop),
    ("resets at once", reset),
    ("closes after half a request", |stream| drop(after(stream, &half()))),
    ("resets after half a request", |stream| reset(after(stream, &half()))),
    ("closes while the upstream is asked", |stream| drop(after(stream, &request("/silent", "")))),
    ("resets while the upstream is asked", |stream| reset(after(stream, &request("/silent", "")))),
    ("resets without reading its refusal", |stream| reset(after(stream, "nonsense\r\n\r\n"))),
    ("hears a refusal", |stream| heard(after(stream, &request("/refused", "")))),
    ("asks an upstream that resets", |stream| heard(after(stream, &request("/reset", "")))),
    ("resets when it is through", |stream| reset(through(stream))),
];

fn half() -> String {
    request("/", "").split_at(70).0.to_owned()
}

fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn after(mut stream: TcpStream, bytes: &str) -> TcpStream {
    let _ = stream.write_all(bytes.as_bytes()); // whoever hears it may be gone
    stream
}

fn heard(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn through(stream: TcpStream) -> TcpStream {
    let mut stream = after(stream, &request("/open", ""));
    assert!(read_head(&mut stream).contains(" 101 "));
    after(stream, "\u{1}") // half a frame
}

/// Does what the path of the request says.
fn fickle(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = read_head(&mut stream);
    match head.split(' ').nth(1) {
        Some("/refused") => drop(after(stream, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")),
        Some("/reset") => reset(stream),
        Some("/open") => {
            let _ = stream.write_all(good_answer(&head, "").as_bytes());
            let _ = stream.read(&mut [0]); // the close frame; no answer, the end
        }
        _ => heard(stream),
    }
}

fn fickle_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || fickle(stream.unwrap()));
        }
    });
    addr
}

#[test]
fn a_thousand_connections_aborted_at_every_stage_leave_no_descriptors_behind() {
    let upstream = fickle_upstream();
    for shape in SHAPES {
        let host = Process::start(shape, &format!("ws://{upstream}"), &["--hook", "pass"]);
        let before = host.descriptors();
        for (name, stage) in STAGES {
            for _ in 0..ROUNDS {
                for _ in 0..BATCH {
                    let stream = TcpStream::connect(host.addr).unwrap();
                    prepare(&stream);
                    stage(stream);
                }
            }
            let what = format!("{shape:?}: nothing is left of a client that {name}");
            wait_until(&what, || host.descriptors() <= before);
        }
        host.tell_to_end();
        host.has_to_end();
    }
}

#[test]
fn a_client_that_leaves_while_the_upstream_is_asked_takes_that_along() {
    for shape in SHAPES {
        let listener = Listener::bind();
        let host = Process::start(shape, &listener.url(), &[]);
        let leaves: [fn(TcpStream); 2] = [drop, reset];
        for leave in leaves {
            let client = after(TcpStream::connect(host.addr).unwrap(), &request("/", ""));
            let mut upstream = listener.accept_tcp();
            read_head(&mut upstream);
            leave(client);
            let end = upstream.read(&mut [0]);
            assert!(matches!(end, Ok(0) | Err(_)), "{shape:?}: {end:?}");
        }
        host.tell_to_end();
        host.has_to_end();
    }
}

/// A connection that is closed with bytes unread is reset, and the reset destroys the answer (RFC 9112 section 9.6).
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    for shape in SHAPES {
        let host = Process::start(shape, "ws://127.0.0.1:1", &["--max-connections", "1"]);
        for _ in 0..20 {
            let stream = TcpStream::connect(host.addr).unwrap();
            prepare(&stream);
            let mut sending = stream.try_clone().unwrap();
            let sender = thread::spawn(move || {
                let _ = sending.write_all(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n");
                for _ in 0..32 {
                    if sending.write_all(&[b'x'; 8192]).is_err() {
                        break;
                    }
                }
                let _ = sending.shutdown(Shutdown::Write);
            });
            sender.join().unwrap();
            let mut answer = Vec::new();
            (&stream).read_to_end(&mut answer).expect("the whole answer and its end");
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 4"), "{shape:?}: {answer:?}");
        }
        host.tell_to_end();
        host.has_to_end();
    }
}

/// Frames that came with the request, and with the answer, are neither lost nor early.
#[test]
fn early_frames_wait_for_both_handshakes() {
    for shape in SHAPES {
        let listener = Listener::bind();
        let host = Process::start(shape, &listener.url(), &["--hook", "pass"]);
        let early = super::support::peer::frame(true, 1, b"early", Some([1, 2, 3, 4]));
        let mut client = TcpStream::connect(host.addr).unwrap();
        prepare(&client);
        client.write_all(&[request("/", "").as_bytes(), &early].concat()).unwrap();
        let mut upstream = listener.accept_tcp();
        let head = read_head(&mut upstream);
        let also = super::support::peer::frame(true, 1, b"also early", None);
        upstream.write_all(&[good_answer(&head, "").as_bytes(), &also].concat()).unwrap();
        let mut upstream = Peer::over(upstream, false, head);
        assert_eq!(upstream.hear_text(), "early", "{shape:?}");
        let head = read_head(&mut client);
        assert!(head.starts_with("HTTP/1.1 101 "), "{shape:?}: {head}");
        let mut client = Peer::over(client, true, head);
        assert_eq!(client.hear_text(), "also early", "{shape:?}");
        drop((client, upstream));
        host.tell_to_end();
        host.has_to_end();
    }
}

#[test]
fn an_upstream_is_found_at_the_next_address_of_its_name() {
    let listener = Listener::bind(); // "localhost" is ::1 too, where nobody listens
    for shape in SHAPES {
        let url = format!("ws://localhost:{}", listener.addr().port());
        let host = Process::start(shape, &url, &[]);
        let (client, upstream) = super::peers::meet(host.addr, &listener);
        drop((client, upstream));
        host.tell_to_end();
        host.has_to_end();
    }
}

#[test]
fn an_upstream_that_is_not_there_is_a_502() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for shape in [Shape::Threads("serial"), Shape::EventLoop] {
        let host = Process::start(shape, &format!("ws://{nowhere}"), &[]);
        let mut client = after(TcpStream::connect(host.addr).unwrap(), &request("/", ""));
        prepare(&client);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{shape:?}: {answer:?}");
        host.tell_to_end();
        host.has_to_end();
    }
}
