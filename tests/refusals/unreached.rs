//! Upstreams that nobody reaches, and HTTP proxies that do not lead there.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread;

use rustix::net::{listen, AddressFamily, SocketFlags, SocketType};
use wsproxy::Config;

use super::scene::{url_is, WAYS};
use super::support::peer::{read_head, Listener};
use super::table::{row, Row};

/// A port at which nobody listens, and what keeps others from taking it.
fn refusing() -> (OwnedFd, SocketAddr) {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

#[test]
fn an_upstream_that_does_not_listen_is_a_bad_gateway() {
    let (_held, address) = refusing();
    url_is(&row!(), &format!("ws://{address}"), |_| ());
}

#[test]
fn a_name_that_does_not_resolve_is_a_bad_gateway() {
    // RFC 6761 section 6.4: no name ends in it.
    url_is(&row!(), "ws://nobody.invalid/", |_| ());
}

#[test]
fn a_black_hole_is_too_slow() {
    // A full queue answers no request for a connection.
    let (socket, address) = refusing();
    listen(&socket, 0).unwrap();
    let filling: Vec<OwnedFd> = (0..4)
        .map(|_| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket =
                rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
            let socket = socket.unwrap();
            let _ = rustix::net::connect(&socket, &address);
            socket
        })
        .collect();
    url_is(&row!(), &format!("ws://{address}"), |_| ());
    drop(filling);
}

#[test]
fn a_missing_unix_socket_is_a_bad_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.sock");
    url_is(&row!(), &format!("ws+unix:{}", path.display()), |_| ());
}

/// Which failure it is: `tests/tls`.
#[test]
fn an_upstream_that_speaks_no_tls_is_a_bad_gateway() {
    let row = row!();
    let listener = Listener::bind();
    let url = format!("wss://{}", listener.addr());
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in WAYS {
                let _ = listener.accept_tcp().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        url_is(&row, &url, |_| ());
    });
}

/// Every way goes through an HTTP proxy that says `answer` and no more; it hangs without.
fn http_proxy_says(row: Row, answer: &str) {
    let proxy = Listener::bind();
    let url = format!("http://{}", proxy.addr());
    thread::scope(|scope| {
        scope.spawn(|| {
            let asked = WAYS.map(|_| {
                let mut stream = proxy.accept_tcp();
                let head = read_head(&mut stream);
                assert!(head.starts_with("CONNECT upstream.test:80 HTTP/1.1\r\n"), "{head}");
                stream.write_all(answer.as_bytes()).unwrap();
                stream
            });
            asked.into_iter().for_each(|mut stream| {
                assert_eq!(super::support::http::hear_all(&mut stream), "", "let go");
            });
        });
        url_is(&row, "ws://upstream.test/secret", |config: &mut Config| {
            config.http_proxy(&url).unwrap();
        });
    });
}

#[test]
fn a_407_of_the_http_proxy_is_a_bad_gateway() {
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\
                  Content-Length: 4\r\n\r\nauth";
    http_proxy_says(row!(), answer);
}

#[test]
fn an_http_proxy_that_cannot_connect_is_a_bad_gateway() {
    http_proxy_says(row!(), "HTTP/1.1 502 Bad Gateway\r\n\r\n");
}

#[test]
fn an_http_proxy_that_hangs_is_too_slow() {
    http_proxy_says(row!(), "");
}
