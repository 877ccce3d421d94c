//! Mended: an upstream counts as connected when its answer is right, the client is told what the upstream chose, and
//! nothing of a caller's options can break a request.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpListener;

use super::scene::{close, handler, Scene};
use super::support::http::{self, asked, good_answer};
use super::support::offence::PROMPT;
use super::support::peer::{header, read_head, request, Listener, Peer, TEXT};

/// The upstream answers like this; what the client is answered, who is to have been sent nothing before.
fn refused(options: &str, answer: impl Fn(&str) -> String) -> String {
    let scene = Scene::connecting("", options);
    let mut client = http::connect(scene.nginx.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, head) = asked(&scene.listener);
    let answer = answer(&head);
    upstream.write_all(answer.as_bytes()).unwrap();
    let heard = http::hear_all(&mut client);
    assert!(heard.starts_with("HTTP/1.1 502 "), "{answer:?}: {heard}");
    let report = scene.nginx.report("connect");
    assert!(report.starts_with("nil \"failed connecting to upstream: "), "{answer:?}: {report}");
    let rest = http::hear_all(&mut upstream);
    assert_eq!(rest, "", "something was sent to an upstream that refused");
    report
}

#[test]
fn an_upstream_that_answers_anything_but_101_has_refused() {
    for status in ["200 OK", "301 Moved", "404 Not Found", "426 Upgrade Required", "500 No"] {
        let report = refused("nil", |_| {
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        });
        assert!(report.contains(&status[..3]), "{report} does not tell of {status}");
    }
}

#[test]
fn an_interim_answer_is_passed_over() {
    let scene = Scene::new("");
    let mut client = http::connect(scene.nginx.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, head) = asked(&scene.listener);
    let good = good_answer(&head, "");
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    upstream.write_all((interim.to_owned() + &good).as_bytes()).unwrap();
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut upstream = Peer::over(upstream, false, String::new());
    close(&mut Peer::over(client, true, head), &mut upstream);
    scene.ends_well();
}

#[test]
fn a_101_counts_only_with_all_that_it_has_to_have() {
    let without = |name: &str| {
        let name = name.to_owned();
        move |head: &str| {
            let good = good_answer(head, "");
            let lines = good.split_inclusive("\r\n").filter(|line| !line.starts_with(&name));
            lines.collect::<String>()
        }
    };
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Accept"] {
        refused("nil", without(name));
    }
    let with = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        move |head: &str| good_answer(head, "").replace(&from, &to)
    };
    refused("nil", with("Upgrade: websocket", "Upgrade: h2c"));
    refused("nil", with("Connection: Upgrade", "Connection: close"));
    refused("nil", with("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"));
    refused("nil", |_| {
        // The right answer to another key.
        good_answer("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")
    });
    // What nobody offered.
    refused("nil", |head| good_answer(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    refused("nil", |head| good_answer(head, "Sec-WebSocket-Protocol: p\r\n"));
    refused("{ protocols = 'a' }", |head| good_answer(head, "Sec-WebSocket-Protocol: p\r\n"));
}

#[test]
fn a_head_without_an_end_is_given_up() {
    for line in ["X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", "y"] {
        let scene = Scene::new("");
        let mut client = http::connect(scene.nginx.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (mut upstream, _) = asked(&scene.listener);
        upstream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n").unwrap();
        let some = line.repeat(1 << 10);
        // 16 MiB at most: whoever takes all of that takes anything.
        let taken = (0..16 << 20)
            .step_by(some.len())
            .take_while(|_| upstream.write_all(some.as_bytes()).is_ok());
        assert!(taken.count() * some.len() < 15 << 20, "it was all taken");
        let answer = http::hear_all(&mut client);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        scene.nginx.report("connect");
    }
}

/// The subprotocols of the client's answer, if the client offers `offered` and the upstream answers `chosen`.
fn told(offered: &str, options: &str, chosen: &str) -> Option<String> {
    let scene = Scene::connecting("", options);
    let line = |value: &str| match value {
        "" => String::new(),
        value => format!("Sec-WebSocket-Protocol: {value}\r\n"),
    };
    let (mut client, mut upstream) = scene.meet_with(&request("/", &line(offered)), &line(chosen));
    close(&mut client, &mut upstream);
    scene.ends_well();
    let lines =
        client.head.lines().filter(|l| l.to_lowercase().starts_with("sec-websocket-protocol"));
    assert!(lines.count() <= 1, "{}", client.head);
    header(&client.head, "Sec-WebSocket-Protocol")
}

#[test]
fn the_client_is_told_the_subprotocol_that_the_upstream_chose() {
    assert_eq!(told("a, b, c", "{ protocols = { 'a', 'b', 'c' } }", "b"), Some("b".into()));
    assert_eq!(told("a, b", "{ protocols = 'b' }", "b"), Some("b".into()));
    assert_eq!(told("a, b", "{ protocols = 'a, b' }", ""), None);
    assert_eq!(told("a", "nil", ""), None);
    assert_eq!(told("", "nil", ""), None);
}

#[test]
fn no_two_starts_send_the_same_key_or_masks() {
    let (mut keys, mut masks) = (HashSet::new(), HashSet::new());
    for _ in 0..3 {
        let scene = Scene::new("");
        let (mut client, mut upstream) = scene.meet();
        keys.insert(header(&upstream.head, "Sec-WebSocket-Key").unwrap());
        for _ in 0..20 {
            client.send_text("x");
            masks.insert(upstream.hear().mask.expect("a masked frame"));
        }
        drop((client, upstream));
        scene.nginx.report("execute");
    }
    assert_eq!((keys.len(), masks.len()), (3, 60));
}

#[test]
fn the_masks_are_not_the_clients() {
    let scene = Scene::new("");
    let (mut client, mut upstream) = scene.meet();
    client.send_text("x");
    let mask = upstream.hear().mask.unwrap();
    assert_ne!(mask, super::support::offence::MASK);
    drop((client, upstream));
    scene.nginx.report("execute");
}

#[test]
fn a_path_that_is_a_query_alone_makes_a_right_request() {
    for (path, target) in [("?a=b", "/?a=b"), ("?", "/?"), ("/?a", "/?a")] {
        let scene = Scene::running(&handler("", "nil").replace("@URL@", &format!("@URL@{path}")));
        let (mut client, mut upstream) = scene.meet();
        assert!(
            upstream.head.starts_with(&format!("GET {target} HTTP/1.1\r\n")),
            "{}",
            upstream.head
        );
        close(&mut client, &mut upstream);
        scene.ends_well();
    }
}

#[test]
fn an_ipv6_literal_is_reached() {
    let listener = Listener(TcpListener::bind("[::1]:0").expect("a loopback with IPv6"));
    for path in ["", "/x"] {
        let url = format!("{}{path}", listener.url());
        let scene = Scene::running(&handler("", "nil").replace("@URL@", &url));
        let mut client = http::connect(scene.nginx.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let mut upstream = listener.accept();
        assert_eq!(header(&upstream.head, "Host"), Some(listener.addr().to_string()));
        let head = read_head(&mut client);
        let mut client = Peer::over(client, true, head);
        client.send_text("x");
        upstream.expect(true, TEXT, b"x");
        close(&mut client, &mut upstream);
        scene.ends_well();
    }
}

#[test]
fn line_ends_and_zeros_in_options_and_uris_are_refused() {
    let mut options = Vec::new();
    for bad in [r"\r\n", r"\n", r"\r", r"\0", r"\r\nX-Smuggled: 1", r"\r\n\r\nGET / HTTP/1.1"] {
        options.push(format!("{{ headers = {{ 'X-A: b{bad}' }} }}"));
        options.push(format!("{{ headers = {{ 'X-A{bad}: b' }} }}"));
        options.push(format!("{{ origin = 'http://o{bad}' }}"));
        options.push(format!("{{ host = 'h{bad}' }}"));
        options.push(format!("{{ protocols = 'p{bad}' }}"));
        options.push(format!("{{ protocols = {{ 'p', 'q{bad}' }} }}"));
        options.push(format!("{{ key = 'AAECAwQFBgcICQoLDA0ODw=={bad}' }}"));
    }
    let mut calls: Vec<String> =
        options.iter().map(|options| format!("try('@URL@', {options})\n")).collect();
    for bad in [r"\r\n", r"\n", r"\0", " ", r" HTTP/1.1\r\nX-Smuggled: 1\r\n"] {
        calls.push(format!("try('@URL@/x{bad}')\n"));
        calls.push(format!("try('@URL@/?x{bad}')\n"));
    }
    let scene = Scene::running(&format!(
        r#"
        local module = require "resty.websocket.proxy"
        local function try(uri, options)
            local proxy = module.new()
            proxy = assert(proxy)
            local ok, err = proxy:connect(uri, options)
            report("tried", ok, type(err))
        end
        {}"#,
        calls.concat()
    ));
    let addr = scene.nginx.addr;
    let client = std::thread::spawn(move || http::ask(addr, request("/", "").as_bytes()));
    let tried = scene.nginx.first_reports("tried", calls.len());
    for (call, tried) in calls.iter().zip(tried) {
        assert_eq!(tried, "nil \"string\"", "{call}");
    }
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    http_nothing_was_asked(&scene);
}

/// Whoever was connected to was sent nothing.
fn http_nothing_was_asked(scene: &Scene) {
    scene.listener.0.set_nonblocking(true).unwrap();
    while let Ok((mut stream, _)) = scene.listener.0.accept() {
        stream.set_nonblocking(false).unwrap();
        super::support::peer::prepare(&stream);
        assert_eq!(http::hear_all(&mut stream), "");
    }
}

#[test]
fn an_upstream_that_is_refused_is_let_go_at_once() {
    let scene = Scene::new("");
    let mut client = http::connect(scene.nginx.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, _) = asked(&scene.listener);
    upstream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nwords").unwrap();
    let started = std::time::Instant::now();
    http::hear_all(&mut client);
    http::hear_all(&mut upstream);
    assert!(started.elapsed() < PROMPT);
}
