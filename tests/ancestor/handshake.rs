//! Defects 5, 6, 7 and 17: handshakes.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpListener;
use std::thread;

use wsproxy::{Config, ErrorKind, Policy};

use super::support::host::{config, pass, session, Host};
use super::support::http::{asked, connect, good_answer, hear_all, status};
use super::support::peer::{header, read_head, request, Listener};

fn host(url: &str) -> Host {
    Host::start(config(Policy::Serial, |_| {}), url, pass)
}

/// Defect 5: the client's whole list was echoed, and nothing offered upstream.
#[test]
fn the_subprotocol_is_the_upstreams_choice_out_of_those_that_the_client_offers() {
    let offers = "Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n";
    for (chosen, answered) in [("Sec-WebSocket-Protocol: chat.v2\r\n", Some("chat.v2")), ("", None)]
    {
        let listener = Listener::bind();
        let host = host(&listener.url());
        let mut client = connect(host.addr);
        client.write_all(request("/", offers).as_bytes()).unwrap();
        let (mut upstream, head) = asked(&listener);
        let offered = header(&head, "Sec-WebSocket-Protocol").unwrap();
        assert_eq!(offered.replace(' ', ""), "chat.v1,chat.v2");
        upstream.write_all(good_answer(&head, chosen).as_bytes()).unwrap();
        let answer = read_head(&mut client);
        assert_eq!(header(&answer, "Sec-WebSocket-Protocol").as_deref(), answered);
        assert_eq!(host.proxy.subprotocol().as_deref(), answered);
        drop((client, upstream));
        assert!(host.outcome().is_err());
    }
}

/// What a client hears when the upstream gives this answer to the upgrade.
fn answered(answer: impl Fn(&str) -> String) -> (String, Host) {
    let listener = Listener::bind();
    let host = host(&listener.url());
    let mut client = connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, head) = asked(&listener);
    let _ = upstream.write_all(answer(&head).as_bytes()); // too much of it is not read
    (hear_all(&mut client), host)
}

/// Defect 6: any status counted as connected, Accept and Upgrade were not looked at, heads had no end.
#[test]
fn only_a_verified_101_with_a_bounded_head_connects() {
    let (heard, host) = answered(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into());
    assert_eq!(status(&heard), 404);
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Refused);
    let wrong: [fn(&str) -> String; 4] = [
        |head| good_answer(head, "").replace("Accept: ", "Accept: AAAA"),
        |head| good_answer(head, "").replace("Upgrade: websocket\r\n", ""),
        |head| good_answer(head, "").replace("Connection: Upgrade\r\n", ""),
        |head| good_answer(head, &format!("X: {}\r\n", "a".repeat(1 << 20))),
    ];
    for answer in wrong {
        let (heard, host) = answered(answer);
        assert_eq!(status(&heard), 502, "{heard}");
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Refused);
    }
}

/// Defect 7: masks and keys came from a generator without a seed; two starts sent the same key.
#[test]
fn keys_and_masks_never_repeat() {
    let (mut keys, mut masks) = (HashSet::new(), HashSet::new());
    for _ in 0..10 {
        let (mut client, mut upstream, host) = session(config(Policy::Serial, |_| {}), pass);
        keys.insert(header(&upstream.head, "Sec-WebSocket-Key").unwrap());
        for _ in 0..10 {
            client.send_text("same");
            masks.insert(upstream.hear().mask.unwrap());
        }
        drop((client, upstream));
        assert!(host.outcome().is_err());
    }
    assert_eq!((keys.len(), masks.len()), (10, 100));
}

/// The request that an upstream gets whose URL ends with `tail`.
fn first_line(tail: &str) -> String {
    let listener = Listener::bind();
    let host = host(&(listener.url() + tail));
    let mut client = connect(host.addr);
    client.write_all(request("/from/client?c=1", "").as_bytes()).unwrap();
    let (upstream, head) = asked(&listener);
    drop(upstream);
    assert_eq!(status(&hear_all(&mut client)), 502);
    assert!(host.outcome().is_err());
    head.lines().next().unwrap().to_owned()
}

/// Defect 17: a path of a query alone made a malformed request line.
#[test]
fn a_query_without_a_path_belongs_to_the_root() {
    assert_eq!(first_line("?a=b"), "GET /?a=b HTTP/1.1");
    assert_eq!(first_line("/?a=b"), "GET /?a=b HTTP/1.1");
    assert_eq!(first_line("/own"), "GET /own HTTP/1.1");
    assert_eq!(first_line(""), "GET /from/client?c=1 HTTP/1.1");
}

/// Defect 17: addresses of IPv6 failed.
#[test]
fn an_ipv6_literal_is_dialled_and_named_in_host() {
    let listener = Listener(TcpListener::bind("[::1]:0").unwrap());
    let host = host(&listener.url());
    let addr = host.addr;
    let client = thread::spawn(move || super::support::peer::Peer::connect(addr));
    let mut upstream = listener.accept();
    assert_eq!(header(&upstream.head, "Host"), Some(listener.addr().to_string()));
    let mut client = client.join().unwrap();
    client.send_text("over IPv6");
    assert_eq!(upstream.hear_text(), "over IPv6");
    drop((client, upstream));
    assert!(host.outcome().is_err());
}

/// Defect 17: line breaks in header values passed.
#[test]
fn line_breaks_in_headers_are_refused() {
    let mut config = Config::new();
    for value in ["a\r\nEvil: 1", "a\nEvil: 1", "a\r", "\0"] {
        assert_eq!(
            config.set_header("X", value.as_bytes()).unwrap_err().kind(),
            ErrorKind::Argument
        );
        assert_eq!(
            config.add_header("X", value.as_bytes()).unwrap_err().kind(),
            ErrorKind::Argument
        );
    }
}
