//! Where upstreams are: IPv6 literals, Unix sockets, names with more than one address. More on Unix sockets:
//! `dialling.rs`.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, meet, part, pass, talk, Host};
use support::http::{ask, good_answer, status};
use support::peer::{header, prepare, read_head, request, Listener, Peer};
use wsproxy::{ErrorKind, Fault, Policy};

fn host(url: &str) -> Host {
    Host::start(config(Policy::Serial, |_| {}), url, pass)
}

/// A message each way through `url`, which leads to `listener`; the upstream's Host header.
fn reaches(listener: TcpListener, url: &str) -> String {
    let listener = Listener(listener);
    let host = host(url);
    let (mut client, mut upstream) = meet(&host, &listener);
    talk(&mut client, &mut upstream);
    let heard = header(&upstream.head, "Host").unwrap();
    part(client, upstream, &host);
    heard
}

#[test]
fn an_ipv6_literal_is_an_upstream_and_stays_in_brackets() {
    for spelling in ["::1", "0:0:0:0:0:0:0:1", "0000::0001"] {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("IPv6 on loopback");
        let port = listener.local_addr().unwrap().port();
        let heard = reaches(listener, &format!("ws://[{spelling}]:{port}/"));
        assert_eq!(heard, format!("[{spelling}]:{port}"));
    }
}

#[test]
fn an_ipv6_upstream_that_does_not_listen_is_named_in_brackets() {
    let port = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let host = host(&format!("ws://[::1]:{port}"));
    assert_eq!(status(&ask(host.addr, request("/", "").as_bytes())), 502);
    let error = host.outcome().unwrap_err();
    assert!(error.message().contains(&format!("[::1]:{port}")), "{error}");
}

#[test]
fn localhost_is_an_upstream_whichever_of_its_addresses_answers() {
    // ::1 and 127.0.0.1 on most machines, in either order: one listens, the other refuses or is not tried.
    let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = v4.local_addr().unwrap().port();
    assert_eq!(reaches(v4, &format!("ws://LocalHost:{port}")), format!("localhost:{port}"));
    let names = std::net::ToSocketAddrs::to_socket_addrs("localhost:1").unwrap();
    if names.clone().any(|address| address.is_ipv6()) {
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let port = v6.local_addr().unwrap().port();
        assert_eq!(reaches(v6, &format!("ws://localhost:{port}")), format!("localhost:{port}"));
    }
}

#[test]
fn an_address_that_refuses_costs_no_time_before_the_next() {
    // Only where the name has two addresses is one of them dead; the time is right either way.
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(bind).unwrap();
        let port = listener.local_addr().unwrap().port();
        let names = std::net::ToSocketAddrs::to_socket_addrs("localhost:1").unwrap();
        let is_v6 = listener.local_addr().unwrap().is_ipv6();
        if !names.clone().any(|address| address.is_ipv6() == is_v6) {
            continue;
        }
        let started = Instant::now();
        reaches(listener, &format!("ws://localhost:{port}"));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

/// What an upstream on a Unix socket is asked when the URL ends in `tail`.
fn asked_by_unix(tail: &str, target: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("up.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let host = host(&format!("ws+unix:{}{tail}", path.display()));
    let (addr, asks) = (host.addr, request(target, "Origin: http://o.test\r\n"));
    let client = thread::spawn(move || Peer::connect_with(addr, &asks));
    let (stream, _) = listener.accept().unwrap();
    let mut stream = TcpStream::from(OwnedFd::from(stream)); // reads and writes are alike
    stream.set_read_timeout(Some(support::LONG)).unwrap();
    let head = read_head(&mut stream);
    stream.write_all(good_answer(&head, "").as_bytes()).unwrap();
    let mut client = client.join().unwrap();
    client.send_text("up");
    let mut frame = [0; 8];
    stream.read_exact(&mut frame).unwrap();
    stream.write_all(&support::peer::frame(true, 1, b"down", None)).unwrap();
    assert_eq!(client.hear_text(), "down");
    head
}

#[test]
fn an_upstream_on_a_unix_socket_is_asked_for_localhost_and_the_clients_target() {
    let head = asked_by_unix("", "/chat?room=1");
    assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\nOrigin: "), "{head}");
}

#[test]
fn an_upstream_on_a_unix_socket_is_asked_for_the_urls_target_if_it_has_one() {
    for (tail, line) in [(":/fixed", "/fixed"), (":/a?b=%20", "/a?b=%20"), (":/", "/")] {
        let head = asked_by_unix(tail, "/chat");
        assert!(head.starts_with(&format!("GET {line} HTTP/1.1\r\nHost: localhost\r\n")), "{head}");
    }
}

/// A client's answer and the words of `connect` when the upstream is at this path.
fn unreachable(path: &std::path::Path) -> String {
    let host = host(&format!("ws+unix:{}:/secret", path.display()));
    let started = Instant::now();
    let answer = ask(host.addr, request("/", "").as_bytes());
    assert_eq!(status(&answer), 502);
    assert!(!answer.contains("sock"), "the client learns nothing of the upstream: {answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
    let error = host.outcome().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
    assert!(!error.message().contains("secret"), "{error}");
    error.message().to_owned()
}

#[test]
fn a_missing_file_a_plain_file_and_a_datagram_socket_are_no_upstreams_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    assert!(unreachable(&path).ends_with("No such file or directory"));
    std::fs::write(&path, "").unwrap();
    assert!(unreachable(&path).ends_with("Connection refused"));
    std::fs::remove_file(&path).unwrap();
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    assert!(unreachable(&path).ends_with("Protocol wrong type for socket"));
}

#[test]
fn a_url_of_the_hooks_may_be_any_of_these() {
    let named = Listener::bind();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("up.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let (url, other) = (named.url(), format!("ws+unix:{}:/by-hook", path.display()));
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect_with(wsproxy::Client::new(client), &url, |handshake| {
            handshake.set_url(&other).unwrap();
            wsproxy::Admission::Accept
        })
    });
    let addr = host.addr;
    let client = thread::spawn(move || Peer::connect(addr));
    let (stream, _) = unix.accept().unwrap();
    let mut stream = TcpStream::from(OwnedFd::from(stream));
    stream.set_read_timeout(Some(support::LONG)).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("GET /by-hook HTTP/1.1\r\nHost: localhost\r\n"), "{head}");
    stream.write_all(good_answer(&head, "").as_bytes()).unwrap();
    prepare(&client.join().unwrap().stream);
    support::http::nobody_called(&named);
}
