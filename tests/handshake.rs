//! Both handshakes on real sockets: what the upstream is asked for a client, and which client is taken.
//!
//! The first driver stands for all here: the handshakes do not know it. What comes of handshakes that fail: `refusals`.
//! The upstream's part of the headers: `fidelity.rs`. Where upstreams are: `addresses.rs`. Deadlines: `deadlines.rs`.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::host::{config, pass, Host};
use support::http::{self, good_answer};
use support::peer::{header, read_head, request, Listener, Peer, KEY};
use wsproxy::{Config, ErrorKind, Fault, Policy};

/// Far under the deadline of the handshakes, however busy the machine is.
const AT_ONCE: Duration = Duration::from_secs(5);

fn host(url: &str, set: impl FnOnce(&mut Config)) -> Host {
    Host::start(config(Policy::Serial, set), url, pass)
}

/// What the upstream is asked for a client's request.
fn asked_for(request: &str, set: impl FnOnce(&mut Config)) -> String {
    asked_at("", request, set)
}

/// The same with a path or query in the upstream's URL.
fn asked_at(path: &str, request: &str, set: impl FnOnce(&mut Config)) -> String {
    let listener = Listener::bind();
    let host = host(&format!("{}{path}", listener.url()), set);
    let mut client = http::connect(host.addr);
    client.write_all(request.as_bytes()).unwrap();
    http::asked(&listener).1.replace(&listener.addr().to_string(), "UPSTREAM")
}

#[test]
fn the_upstream_is_asked_with_the_clients_end_to_end_headers_and_a_key_of_our_own() {
    let more = "Cookie: a=b\r\nAuthorization: Basic Zm9v\r\nOrigin: https://o.example\r\n\
                User-Agent: test/1\r\nX-Twice: 1\r\nx-twice: 2\r\n";
    let head = asked_for(&request("/chat?room=1", more), |_| {});
    let key = header(&head, "Sec-WebSocket-Key").unwrap();
    assert_ne!(key, KEY);
    assert_eq!(
        head,
        format!(
            "GET /chat?room=1 HTTP/1.1\r\nHost: UPSTREAM\r\n{more}Upgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
    );
}

#[test]
fn two_upgrades_of_the_same_request_have_different_keys() {
    let keys = [(); 2]
        .map(|()| header(&asked_for(&request("/", ""), |_| {}), "Sec-WebSocket-Key").unwrap());
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn what_belongs_to_the_clients_own_hop_or_handshake_does_not_travel() {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: example.test\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop, close\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         TE: trailers\r\nTrailer: X\r\nProxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\nX-Kept: yes\r\n\r\n"
    );
    let head = asked_for(&request, |_| {});
    let names: Vec<&str> =
        head.lines().skip(1).filter_map(|l| Some(l.split_once(':')?.0)).collect();
    let ours = ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"];
    assert_eq!(names, [&["Host", "X-Kept"][..], &ours].concat());
}

#[test]
fn the_host_adds_sets_and_removes_headers() {
    let head =
        asked_for(&request("/", "Cookie: secret\r\nX-User: forged\r\nX-User: twice\r\n"), |c| {
            c.remove_header("cookie").unwrap();
            c.set_header("X-User", b"alice").unwrap();
            c.add_header("X-Added", b"1").unwrap().add_header("X-Added", b"2").unwrap();
            c.set_header("Host", b"virtual.example").unwrap();
        });
    assert_eq!(header(&head, "Cookie"), None);
    assert_eq!(header(&head, "Host").as_deref(), Some("virtual.example"));
    assert_eq!(head.matches("X-User: alice\r\n").count(), 1, "{head}");
    assert!(!head.contains("forged") && !head.contains("twice"), "{head}");
    assert!(head.contains("X-Added: 1\r\nX-Added: 2\r\n"), "{head}");
}

#[test]
fn header_values_that_would_split_the_request_are_refused_at_the_call() {
    let mut config = Config::new();
    for value in [&b"a\r\nEvil: 1"[..], b"a\nb", b"a\rb", b"a\0b"] {
        for outcome in [config.set_header("X", value).err(), config.add_header("X", value).err()] {
            assert_eq!(outcome.unwrap().kind(), ErrorKind::Argument, "{value:?}");
        }
    }
    for name in ["", "a b", "a:b", "a\r\nb", "Upgrade", "Connection", "Sec-WebSocket-Key"] {
        assert_eq!(
            config.set_header(name, b"x").unwrap_err().kind(),
            ErrorKind::Argument,
            "{name}"
        );
    }
}

#[test]
fn the_upstream_is_told_of_the_client_only_by_option() {
    let request = request("/", "X-Forwarded-For: 10.0.0.1\r\n");
    let head = asked_for(&request, |_| {});
    assert_eq!(header(&head, "X-Forwarded-For").as_deref(), Some("10.0.0.1"));
    assert_eq!(header(&head, "X-Forwarded-Host"), None);
    let head = asked_for(&request, |c| {
        c.forwarded(true);
    });
    assert_eq!(header(&head, "X-Forwarded-For").as_deref(), Some("10.0.0.1, 127.0.0.1"));
    assert_eq!(header(&head, "X-Forwarded-Proto").as_deref(), Some("http"));
    assert_eq!(header(&head, "X-Forwarded-Host").as_deref(), Some("example.test"));
}

#[test]
fn a_url_without_path_and_query_takes_the_clients_and_another_is_used_as_it_stands() {
    for (path, target, expected) in [
        ("", "/a/b?c=d", "/a/b?c=d"),
        ("", "/", "/"),
        ("/", "/a?b", "/"),
        ("/fixed", "/a?b", "/fixed"),
        ("/fixed?x=y", "/a?b", "/fixed?x=y"),
        ("?x=y", "/a?b", "/?x=y"),
    ] {
        let head = asked_at(path, &request(target, ""), |_| {});
        assert_eq!(head.lines().next().unwrap(), format!("GET {expected} HTTP/1.1"));
    }
}

#[test]
fn the_clients_offers_are_passed_on_and_the_upstreams_choice_comes_back() {
    for choice in [Some("superchat"), None] {
        let listener = Listener::bind();
        let host = host(&listener.url(), |_| {});
        let addr = host.addr;
        let offers = "Sec-WebSocket-Protocol: chat, superchat\r\n";
        let client = std::thread::spawn(move || Peer::connect_with(addr, &request("/", offers)));
        let line = choice.map(|choice| format!("Sec-WebSocket-Protocol: {choice}\r\n"));
        let upstream = listener.accept_with(&line.unwrap_or_default());
        assert_eq!(header(&upstream.head, "Sec-WebSocket-Protocol").unwrap(), "chat, superchat");
        let client = client.join().unwrap();
        assert_eq!(header(&client.head, "Sec-WebSocket-Protocol").as_deref(), choice);
        assert_eq!(header(&client.head, "Sec-WebSocket-Extensions"), None);
        assert_eq!(host.proxy.subprotocol().as_deref(), choice);
    }
}

#[test]
fn interim_answers_before_the_101_are_skipped() {
    let listener = Listener::bind();
    let host = host(&listener.url(), |_| {});
    let addr = host.addr;
    let client = std::thread::spawn(move || Peer::connect(addr));
    let (mut upstream, head) = http::asked(&listener);
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    upstream.write_all([interim, &good_answer(&head, "")].concat().as_bytes()).unwrap();
    client.join().unwrap();
}

#[test]
fn a_request_that_is_no_handshake_is_refused_before_the_upstream_is_called() {
    let good = request("/", "");
    for (from, to, status) in [
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("HTTP/1.1", "HTTP/2.0", 505),
        ("GET / ", "GET http://evil.example/ ", 400),
        ("Host: example.test\r\n", "", 400),
        ("Host: example.test\r\n", "Host: a\r\nHost: b\r\n", 400),
        ("Upgrade: websocket\r\n", "", 400),
        ("Upgrade: websocket", "Upgrade: h2c", 400),
        ("Connection: Upgrade", "Connection: close", 400),
        ("Version: 13", "Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        (KEY, "c2hvcnQ=", 400),
        ("Upgrade: websocket", "Content-Length: 0\r\nUpgrade: websocket", 400),
        ("Upgrade: websocket", "Transfer-Encoding: chunked\r\nUpgrade: websocket", 400),
        ("Upgrade: websocket", "X: 1\r\n folded\r\nUpgrade: websocket", 400),
    ] {
        assert!(good.contains(from));
        let listener = Listener::bind();
        let host = host(&listener.url(), |_| {});
        let heard = http::ask(host.addr, good.replacen(from, to, 1).as_bytes());
        assert_eq!(http::status(&heard), status, "{from} -> {to}: {heard}");
        assert!(heard.contains("Connection: close"), "{heard}");
        if status == 426 {
            assert_eq!(header(&heard, "Sec-WebSocket-Version").as_deref(), Some("13"));
        }
        let error = host.outcome().unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Request, Fault::Client));
        assert_eq!(host.proxy.refusal_status(), Some(status));
        http::nobody_called(&listener);
    }
}

#[test]
fn only_listed_origins_may_connect_once_there_is_a_list() {
    for (origin, status) in [
        ("Origin: https://good.example\r\n", 101),
        ("Origin: https://good.example.evil.example\r\n", 403),
        ("Origin: http://good.example\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        let listener = Listener::bind();
        let host = host(&listener.url(), |c| {
            c.allow_origin("https://good.example").unwrap();
        });
        let mut client = http::connect(host.addr);
        client.write_all(request("/", origin).as_bytes()).unwrap();
        let upstream = (status == 101).then(|| listener.accept());
        assert_eq!(http::status(&read_head(&mut client)), status, "{origin}");
        drop((client, upstream));
        let _ = host.outcome();
    }
}

#[test]
fn a_client_that_leaves_while_the_upstream_is_asked_lets_it_go_at_once() {
    let listener = Listener::bind();
    let host = host(&listener.url(), |_| {});
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, _) = http::asked(&listener);
    let started = Instant::now();
    drop(client);
    assert_eq!(http::hear_all(&mut upstream), "");
    let error = host.outcome().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
    assert_eq!(error.message(), "closed the connection while the upstream was asked");
    assert!(started.elapsed() < AT_ONCE);
}

#[test]
fn a_client_that_leaves_before_its_request_is_complete_is_gone() {
    let listener = Listener::bind();
    let host = host(&listener.url(), |_| {});
    let mut client = http::connect(host.addr);
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    drop(client);
    let error = host.outcome().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
    http::nobody_called(&listener);
}

#[test]
fn nothing_that_comes_behind_the_request_reaches_the_upstream_before_its_101() {
    let listener = Listener::bind();
    let host = host(&listener.url(), |_| {});
    let mut client = http::connect(host.addr);
    let smuggled = "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all([&request("/", ""), smuggled].concat().as_bytes()).unwrap();
    let (mut upstream, head) = http::asked(&listener);
    http::silent_for(&mut upstream, Duration::from_millis(100));
    upstream.write_all(good_answer(&head, "").as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    assert_eq!(Peer::upgraded_client(client).hear_close().0, Some(1002));
    drop(upstream);
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn a_request_in_pieces_of_one_byte_is_taken() {
    let listener = Listener::bind();
    let host = host(&listener.url(), |_| {});
    let mut client = http::connect(host.addr);
    for byte in request("/bytes", "").bytes() {
        client.write_all(&[byte]).unwrap();
    }
    let (mut upstream, head) = http::asked(&listener);
    assert!(head.starts_with("GET /bytes HTTP/1.1\r\n"), "{head}");
    for byte in good_answer(&head, "").bytes() {
        upstream.write_all(&[byte]).unwrap();
    }
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
}

#[test]
fn one_configuration_serves_many_handshakes_at_once() {
    let listener = Arc::new(Listener::bind());
    let url = listener.url();
    let config = config(Policy::Serial, |c| {
        c.add_header("X-Shared", b"yes").unwrap();
    });
    let hosts: Vec<Host> = (0..20).map(|_| Host::start(Arc::clone(&config), &url, pass)).collect();
    let clients: Vec<TcpStream> = hosts
        .iter()
        .map(|host| {
            let mut client = http::connect(host.addr);
            client.write_all(request("/", "").as_bytes()).unwrap();
            client
        })
        .collect();
    let upstreams: Vec<Peer> = hosts.iter().map(|_| listener.accept()).collect();
    for mut client in clients {
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    }
    assert!(upstreams.iter().all(|upstream| header(&upstream.head, "X-Shared").is_some()));
}
