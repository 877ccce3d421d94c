//! What is special about the host with an event loop, under valgrind: every way that its sessions end, none of which may
//! leave memory or descriptors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tungstenite::Message;

use super::host::{close, close_code, echo, echoes, refusal, Host, Which, PATIENCE};

fn raw(host: &Host, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&host.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes.as_bytes()); // it may be gone
    stream
}

fn heard(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer); // as far as it goes
    answer
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Waits until the host has no more descriptors than `most`.
fn is_down_to(host: &Host, most: usize) {
    let deadline = Instant::now() + PATIENCE;
    while host.count("fd") > most {
        assert!(Instant::now() < deadline, "{} descriptors, not {most}", host.count("fd"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_is_left_of_sessions_however_they_end() {
    let flags = ["--hook", "upper", "--max-frame-size", "1000000"];
    let host = Host::start(Which::EventLoop.under_valgrind(), &echo(), &flags);
    let descriptors = host.count("fd");
    drop(raw(&host, "")); // says nothing
    drop(raw(&host, "GET / HT")); // leaves in its request
    assert!(heard(raw(&host, "POST / HTTP/1.1\r\nHost: h\r\n\r\n")).starts_with("HTTP/1.1 4"));
    drop(raw(&host, "nonsense\r\n\r\n")); // does not read its refusal
    assert_eq!(refusal(&host, &[("Sec-WebSocket-Version", "12")]), 426);

    close(host.connect());
    drop(host.connect()); // leaves without a close frame
    let mut wrong = host.connect();
    wrong.get_mut().write_all(&[0xFF, 0xFF]).unwrap(); // reserved bits
    wrong.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(close_code(wrong.read().unwrap()), 1002);

    let mut large = host.connect();
    let text = "abc ".repeat(200_000);
    echoes(&mut large, &text, &text.to_uppercase());
    large.send(Message::text("x".repeat(1_000_001))).unwrap();
    assert_eq!(close_code(large.read().unwrap()), 1009);
    drop(large);
    is_down_to(&host, descriptors);
    let mut last = host.connect(); // all is well
    echoes(&mut last, "hello", "HELLO");
    host.signal("-TERM");
    assert_eq!(close_code(last.read().unwrap()), 1001);
    drop(last);
    let (_, err) = host.has_to_end();
    assert!(err.lines().all(|line| line.starts_with('#')), "{err}"); // nothing of valgrind's
}

#[test]
fn nothing_is_left_of_upstreams_that_are_not_there_refuse_or_say_nothing() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Host::start(Which::EventLoop.under_valgrind(), &format!("ws://{nowhere}"), &[]);
    assert!(heard(raw(&host, REQUEST)).starts_with("HTTP/1.1 502 "));
    let (_, err) = host.end("-TERM");
    let words = format!("#1 upstream: cannot connect to {nowhere}: Connection refused");
    assert!(err.starts_with(&words), "{err}");

    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", upstream.local_addr().unwrap());
    let host = Host::start(Which::EventLoop.under_valgrind(), &url, &["--drain-timeout", "1500"]);
    let descriptors = host.count("fd");
    let refused = raw(&host, REQUEST);
    let (mut answering, _) = upstream.accept().unwrap();
    answering.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno").unwrap();
    let answer = heard(refused);
    assert!(answer.starts_with("HTTP/1.1 401 No\r\n") && answer.ends_with("no"), "{answer}");

    let waiting = raw(&host, REQUEST);
    let (mut asked, _) = upstream.accept().unwrap();
    drop(waiting); // while the upstream is asked
    asked.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = asked.read_to_end(&mut Vec::new());
    is_down_to(&host, descriptors);

    let _still_waiting = raw(&host, REQUEST);
    let (_silent, _) = upstream.accept().unwrap();
    host.end("-TERM"); // cuts both off
}

/// Its connections are closed by the library's deadlines, in the middle of what waits for a peer.
#[test]
fn a_drain_that_is_cut_off_leaves_nothing_of_peers_that_take_nothing() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", upstream.local_addr().unwrap());
    let flags = ["--hook", "pass", "--drain-timeout", "1000"];
    let host = Host::start(Which::EventLoop.under_valgrind(), &url, &flags);
    let accepting =
        std::thread::spawn(move || tungstenite::accept(upstream.accept().unwrap().0).unwrap());
    let mut client = host.connect();
    let _takes_nothing = accepting.join().unwrap();
    client.get_mut().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while client.send(Message::binary(vec![7; 100_000])).is_ok() {} // until nothing more goes
    let began = Instant::now();
    host.end("-TERM");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn sessions_whose_upstream_is_a_unix_socket_with_a_full_queue_are_answered_502() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _filling = UnixStream::connect(&path).unwrap(); // one more than the backlog
    let host = Which::EventLoop.start(&format!("ws+unix:{}", path.display()), &[]);
    let answer = heard(raw(&host, REQUEST));
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer:?}");
    let (_, err) = host.end("-INT");
    assert!(err.contains(": its queue of connections is full"), "{err}");
}
