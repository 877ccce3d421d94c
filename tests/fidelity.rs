//! Handshakes lose nothing: what of the client's request reaches the upstream, what of the upstream's 101 reaches the
//! client, and what may not. The rest of what the upstream is asked: `handshake.rs`; the hook's part: `admission.rs`.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::thread;

use support::host::{config, pass, Host};
use support::http;
use support::on_every_policy;
use support::peer::{header, request, Listener, Peer, KEY};
use support::python::{script, Process};
use wsproxy::{Client, Config, Policy};

/// What the upstream is asked for these bytes.
fn asked_for(request: &str, set: impl FnOnce(&mut Config)) -> String {
    let listener = Listener::bind();
    let host = Host::start(config(Policy::Serial, set), &listener.url(), pass);
    let mut client = http::connect(host.addr);
    client.write_all(request.as_bytes()).unwrap();
    http::asked(&listener).1.replace(&listener.addr().to_string(), "UPSTREAM")
}

/// The lines between Host and our own.
fn passed_on(head: &str) -> String {
    let (_, rest) = head.split_once("\r\nHost: UPSTREAM\r\n").expect("Host comes first");
    rest.split_once("Upgrade: websocket\r\nConnection: Upgrade\r\n")
        .expect("ours come last")
        .0
        .to_owned()
}

#[test]
fn end_to_end_headers_of_the_client_pass_in_order_and_case_line_by_line() {
    let more = "cOOkie: a=1\r\nCookie: b=2; c=\"x y\"\r\nAUTHORIZATION: Digest u=\"a, b\"\r\n\
                Origin: https://o.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\nX-Empty: \r\n\
                Accept-Language: de, en;q=0.5\r\nX-Tab: a\tb\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\
                X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nSec-Fetch-Mode: websocket\r\ncookie: d=4\r\n";
    assert_eq!(passed_on(&asked_for(&request("/", more), |_| {})), more);
}

#[test]
fn what_connection_names_stays_on_its_hop_however_it_is_written() {
    let asks = request(
        "/",
        "x-one: 1\r\nX-ONE: 1\r\nX-Two: 2\r\nCookie: c\r\nX-Three: 3\r\nX-Kept: 4\r\n",
    )
    .replace(
        "Connection: Upgrade",
        "Connection: X-One ,,upgrade\r\ncONNECTION: x-two,Cookie\r\nConnection:\tX-THREE",
    );
    assert_eq!(passed_on(&asked_for(&asks, |_| {})), "X-Kept: 4\r\n");
}

#[test]
fn bytes_beyond_ascii_in_a_value_pass_unchanged() {
    let listener = Listener::bind();
    let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
    let mut client = http::connect(host.addr);
    let (before, after) = ("X-Raw: ", "\r\n\r\n");
    let head = request("/", "");
    let head = head.trim_end_matches("\r\n");
    client
        .write_all(
            &[head.as_bytes(), b"\r\n", before.as_bytes(), b"\xff\xc3\x80", after.as_bytes()]
                .concat(),
        )
        .unwrap();
    let mut upstream = listener.accept_tcp();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        upstream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    assert!(heard.windows(12).any(|bytes| bytes == b"X-Raw: \xff\xc3\x80\r\n"), "{heard:02x?}");
}

#[test]
fn a_url_without_a_path_takes_the_clients_target_byte_for_byte() {
    for target in [
        "/",
        "/?",
        "/a?",
        "/?a",
        "/a%2Fb%2e%2E/%zz?c=%20&d=%",
        "//a//b/../c/./",
        "/a;b=c,d:e@f!$&'()*+",
        "/~[x]|^`{}\\?q?r//",
        "/%00%0d%0a",
    ] {
        let head = asked_for(&request(target, ""), |_| {});
        assert_eq!(head.lines().next().unwrap(), format!("GET {target} HTTP/1.1"));
    }
}

/// What of `asks` the upstream is told by `Forwarded` and its older kin.
fn told(asks: &str, set: impl FnOnce(&mut Config)) -> [Option<String>; 4] {
    let head = asked_for(asks, set);
    let names = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"];
    for name in names {
        let lines = head.to_lowercase().matches(&format!("\r\n{}: ", name.to_lowercase())).count();
        assert!(lines <= 1, "{head}");
    }
    names.map(|name| header(&head, name))
}

fn some(texts: [&str; 4]) -> [Option<String>; 4] {
    texts.map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

#[test]
fn the_upstream_is_told_of_the_client_by_option_in_either_way() {
    let asks = request("/", "");
    assert_eq!(told(&asks, |_| {}), some([""; 4]));
    let new = |config: &mut Config| {
        config.forwarded_rfc7239(true);
    };
    let both = |config: &mut Config| {
        config.forwarded(true).forwarded_rfc7239(true);
    };
    assert_eq!(told(&asks, new), some(["for=127.0.0.1;host=example.test;proto=http", "", "", ""]));
    let all = ["for=127.0.0.1;host=example.test;proto=http", "127.0.0.1", "http", "example.test"];
    assert_eq!(told(&asks, both), some(all));
}

#[test]
fn what_was_told_before_is_kept_in_front_unless_the_host_removes_it() {
    let more = "Forwarded: for=192.0.2.1;by=x\r\nForwarded: for=\"[2001:db8::1]:80\"\r\nX-Forwarded-For: 192.0.2.1\r\n\
                x-forwarded-for: 192.0.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n";
    let asks = request("/", more).replace("Host: example.test", "Host: example.test:8080");
    let ours = "for=127.0.0.1;host=\"example.test:8080\";proto=http";
    let before = "for=192.0.2.1;by=x, for=\"[2001:db8::1]:80\", ";
    let kept = told(&asks, |config| {
        config.forwarded(true).forwarded_rfc7239(true);
    });
    let list = format!("{before}{ours}");
    assert_eq!(kept, some([&list, "192.0.2.1, 192.0.2.2, 127.0.0.1", "http", "example.test:8080"]));
    let alone = told(&asks, |config| {
        config.forwarded(true).forwarded_rfc7239(true);
        config.remove_header("Forwarded").unwrap().remove_header("X-Forwarded-For").unwrap();
    });
    assert_eq!(alone, some([ours, "127.0.0.1", "http", "example.test:8080"]));
}

#[test]
fn a_client_that_the_host_has_upgraded_is_told_of_by_its_address() {
    let listener = Listener::bind();
    let url = listener.url();
    let config = config(Policy::Serial, |config| {
        config.forwarded(true).forwarded_rfc7239(true);
    });
    let host = Host::serve(config, move |proxy, client| {
        proxy.connect(Client::new(client).upgraded(Vec::new()), &url)
    });
    let _client = host.tcp();
    let (_upstream, head) = http::asked(&listener);
    assert_eq!(header(&head, "Forwarded").as_deref(), Some("for=127.0.0.1"));
    assert_eq!(header(&head, "X-Forwarded-For").as_deref(), Some("127.0.0.1"));
    assert_eq!(header(&head, "X-Forwarded-Host"), None);
}

#[test]
fn end_to_end_headers_of_the_upstreams_101_reach_the_client_in_order_and_case() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let addr = host.addr;
        let asks =
            request("/", "Sec-WebSocket-Protocol: p, q\r\nSec-WebSocket-Extensions: x-none\r\n");
        let client = thread::spawn(move || Peer::connect_with(addr, &asks));
        let kept = "Set-Cookie: a=1; Path=/; HttpOnly\r\nserver: up/1\r\nSET-COOKIE: b=2\r\nDate: now\r\nX-Empty: \r\n\
                    Strict-Transport-Security: max-age=1\r\nset-cookie: c=3\r\n";
        let hops = "Keep-Alive: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\nTE: x\r\nTrailer: x\r\n\
                    Content-Type: a/b\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\nProxy-Connection: x\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: \r\nSec-WebSocket-Protocol: q\r\n";
        let upstream = listener.accept_with(&format!("{hops}{kept}"));
        let theirs = header(&upstream.head, "Sec-WebSocket-Key").unwrap();
        let client = client.join().unwrap();
        let accept = tungstenite::handshake::derive_accept_key(KEY.as_bytes());
        assert_eq!(
            client.head,
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: q\r\n{kept}\r\n"
            ),
            "{policy:?}"
        );
        assert_ne!(theirs, KEY);
        assert_eq!(header(&upstream.head, "Sec-WebSocket-Extensions"), None);
    });
}

#[test]
fn a_client_that_is_answered_after_its_upstream_gets_the_headers_of_its_101_too() {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect_upstream(&url)?;
        proxy.connect_client(Client::new(client))
    });
    let addr = host.addr;
    let client = thread::spawn(move || Peer::connect(addr));
    let _upstream = listener.accept_with("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
    let head = client.join().unwrap().head;
    assert!(head.ends_with("\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"), "{head}");
}

#[test]
fn python_on_both_sides_finds_nothing_missing() {
    let mut child = script("fidelity.py").arg("upstream").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let _process = Process(child);
    let url = format!("ws://127.0.0.1:{}", lines.next().expect("a port"));
    let host = Host::start(config(Policy::Serial, |_| {}), &url, pass);
    let at = format!("ws://{}/a%2Fb?c=%20", host.addr);
    let output = script("fidelity.py").args(["client", &at]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert_eq!(asked[0], "/a%2Fb?c=%20");
    let theirs = ["Cookie: c=1", "Authorization: Bearer t", "X-Twice: 1", "x-twice: 2"];
    let passed: Vec<&String> =
        asked.iter().filter(|line| theirs.contains(&line.as_str())).collect();
    assert_eq!(passed, theirs, "{asked:?}");
    for line in
        ["Origin: https://o.example", "User-Agent: fidelity/1", "Sec-WebSocket-Protocol: p, q"]
    {
        assert!(asked.iter().any(|asked| asked == line), "{line}: {asked:?}");
    }
    assert!(!asked.iter().any(|line| line.contains("Extensions")), "none is offered: {asked:?}");
    let answered = String::from_utf8(output.stdout).unwrap();
    let answered: Vec<&str> = answered.lines().collect();
    assert_eq!(answered[0], "q", "the subprotocol");
    let cookies: Vec<&&str> =
        answered.iter().filter(|line| line.starts_with("Set-Cookie")).collect();
    assert_eq!(cookies, [&"Set-Cookie: a=1; Path=/; HttpOnly", &"Set-Cookie: b=2"]);
    assert!(answered.contains(&"X-Upstream: yes"), "{answered:?}");
}
