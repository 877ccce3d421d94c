//! How an upstream on a Unix socket is reached. Names with several addresses are in `src/session/dialling.rs`.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use support::host::{config, pass, Host};
use support::http::{ask, good_answer, status};
use support::peer::{frame, read_head, request, Peer};
use support::{on_every_policy, LONG};
use wsproxy::{ErrorKind, Fault, Policy};

/// A host in front of the Unix socket `path`.
fn host(policy: Policy, path: &str) -> Host {
    Host::start(config(policy, |_| ()), &format!("ws+unix:{path}:/chat"), pass)
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("up.sock").to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn frames_cross_to_and_from_an_upstream_on_a_unix_socket() {
    on_every_policy(|policy| {
        let (_folder, path) = folder();
        let listener = UnixListener::bind(&path).unwrap();
        let host = host(policy, &path);
        let addr = host.addr;
        let client = std::thread::spawn(move || Peer::connect(addr));
        let (upstream, _) = listener.accept().unwrap();
        upstream.set_read_timeout(Some(LONG)).unwrap();
        let mut upstream = TcpStream::from(OwnedFd::from(upstream)); // reads and writes are alike
        let head = read_head(&mut upstream);
        assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nHost: localhost\r\n"), "{head}");
        upstream.write_all(good_answer(&head, "").as_bytes()).unwrap();
        let mut client = client.join().unwrap();

        upstream.write_all(&frame(true, 1, b"down", None)).unwrap();
        assert_eq!(client.hear_text(), "down");
        client.send_text("up");
        let mut got = [0; 8]; // two bytes of header, four of mask, two of payload
        upstream.read_exact(&mut got).unwrap();
        assert_eq!(got[..2], [0x81, 0x82]);
        assert_eq!([got[6] ^ got[2], got[7] ^ got[3]], *b"up");
        client.shutdown();
    });
}

/// What a client hears, and what `connect` says, when nobody can be reached at `path`.
fn unreachable(path: &str, why: &str) {
    let host = host(Policy::Serial, path);
    let started = Instant::now();
    assert_eq!(status(&ask(host.addr, request("/", "").as_bytes())), 502);
    let error = host.outcome().unwrap_err();
    assert!(started.elapsed() < LONG / 4);
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
    assert_eq!(error.message(), format!("cannot connect to {path}: {why}"));
}

#[test]
fn an_absent_or_stale_unix_socket_is_a_bad_gateway() {
    let (_folder, path) = folder();
    unreachable(&path, "No such file or directory");
    drop(UnixListener::bind(&path).unwrap());
    unreachable(&path, "Connection refused");
}

#[test]
fn a_unix_socket_with_a_full_queue_is_a_bad_gateway_at_once() {
    let (_folder, path) = folder();
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _filling = UnixStream::connect(&path).unwrap();
    unreachable(&path, "its queue of connections is full");
}
