//! What clients are answered, and the words for those that are refused.

use std::io::Write;

use tungstenite::handshake::derive_accept_key;

use super::nginx::Nginx;
use super::scene::{close, Scene};
use super::support::http;
use super::support::peer::{header, KEY};

const HANDLER: &str = r#"
    local proxy = assert(require("resty.websocket.proxy").new())
    report("client", proxy:connect_client())
    if not ngx.headers_sent then
        ngx.status = 400
        ngx.say("no")
    end"#;

/// The good request's lines, without those that begin like this, and with these in their place.
fn request(without: &str, more: &str) -> String {
    let lines = [
        "Host: h",
        "Upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Key: {KEY}"),
        "Sec-WebSocket-Version: 13",
    ]
    .map(|line| format!("{line}\r\n"));
    let kept = lines.iter().filter(|line| without.is_empty() || !line.starts_with(without));
    let kept: String = kept.map(String::as_str).collect();
    format!("GET / HTTP/1.1\r\n{kept}{more}\r\n")
}

/// What `connect_client` returns for this request.
fn outcome(nginx: &Nginx, request: &str) -> String {
    let before = nginx.reports("client").len();
    let mut client = http::connect(nginx.addr);
    client.write_all(request.as_bytes()).unwrap();
    nginx.first_reports("client", before + 1).remove(before)
}

#[test]
fn each_refusal_has_its_words() {
    let nginx = Nginx::running(HANDLER);
    let key = r#"nil "bad \"sec-websocket-key\" request header""#;
    let version = r#"nil "bad \"sec-websocket-version\" request header""#;
    let connection = r#"nil "bad \"connection\" request header""#;
    for (without, more, expected) in [
        ("Upgrade", "", r#"nil "bad \"upgrade\" request header: nil""#),
        ("Upgrade", "Upgrade: h2c\r\n", r#"nil "bad \"upgrade\" request header: h2c""#),
        ("Connection", "", connection),
        ("Connection", "Connection: keep-alive\r\n", connection),
        ("Sec-WebSocket-Key", "", key),
        ("Sec-WebSocket-Version", "", version),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n", version),
    ] {
        assert_eq!(outcome(&nginx, &request(without, more)), expected, "{without} {more}");
    }
    let old = request("", "").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(outcome(&nginx, &old), r#"nil "bad http version""#);
    nginx.is_content();
}

#[test]
fn a_refused_client_has_been_sent_nothing() {
    let nginx = Nginx::running(HANDLER);
    let answer = http::ask(nginx.addr, request("Upgrade", "Connection: close\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("no\n"), "{answer}");
    assert!(header(&answer, "Sec-WebSocket-Accept").is_none(), "{answer}");
    assert!(header(&answer, "Upgrade").is_none(), "{answer}");
}

#[test]
fn the_words_are_compared_as_http_has_it() {
    let nginx = Nginx::running(HANDLER);
    for (without, more) in [
        ("", ""),
        ("Upgrade", "upgrade: WebSocket\r\n"),
        ("Connection", "CONNECTION: upgrade\r\n"),
        ("Connection", "Connection: keep-alive, Upgrade\r\n"),
    ] {
        assert_eq!(outcome(&nginx, &request(without, more)), "true", "{more}");
    }
}

#[test]
fn a_client_is_too_late_when_the_head_is_sent() {
    let nginx = Nginx::running(&format!("ngx.say('x') ngx.flush(true) {HANDLER}"));
    let expected = r#"nil "response header already sent""#;
    assert_eq!(outcome(&nginx, &request("", "")), expected);
    // Whatever else is wrong with it.
    assert_eq!(outcome(&nginx, &request("Upgrade", "")), expected);
}

#[test]
fn a_good_client_is_answered_with_101() {
    let scene = Scene::new("");
    let (mut client, mut upstream) = scene.meet();
    let head = client.head.clone();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let value = |name| header(&head, name).unwrap_or_default().to_ascii_lowercase();
    assert_eq!((value("Upgrade"), value("Connection")), ("websocket".into(), "upgrade".into()));
    let accept = header(&head, "Sec-WebSocket-Accept").unwrap();
    assert_eq!(accept, derive_accept_key(KEY.as_bytes()));
    for absent in ["Content-Type", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Protocol"]
    {
        assert_eq!(header(&head, absent), None, "{head}");
    }
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn headers_that_the_handler_sets_are_in_the_answer() {
    let handler = super::scene::handler("", "nil");
    let scene = Scene::running(&format!("ngx.header['X-Handler'] = 'yes' {handler}"));
    let (mut client, mut upstream) = scene.meet();
    assert_eq!(header(&client.head, "X-Handler"), Some("yes".into()));
    close(&mut client, &mut upstream);
    scene.ends_well();
}
