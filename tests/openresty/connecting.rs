//! The two halves of `connect`, in either order and again, and `execute` before them.

use std::net::TcpStream;

use super::nginx::Nginx;
use super::scene::{close, session, Scene};
use super::support::http::{ask, asked};
use super::support::peer::{header, request, Listener, TEXT};

/// With a proxy already made.
fn with_proxy(rest: &str) -> String {
    format!("local proxy = assert(require('resty.websocket.proxy').new())\n{rest}")
}

fn is_a_session(scene: &Scene) {
    let (mut client, mut upstream) = scene.meet();
    client.send_text("up");
    upstream.expect(true, TEXT, b"up");
    upstream.send_text("down");
    client.expect(true, TEXT, b"down");
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn connect_does_both_handshakes() {
    let (scene, mut client, mut upstream) = session("");
    assert!(header(&client.head, "Sec-WebSocket-Accept").is_some());
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn the_halves_may_be_called_in_either_order() {
    for order in [["client", "upstream"], ["upstream", "client"]] {
        let scene = Scene::running(&with_proxy(&format!(
            r#"
            local calls = {{
                client = function() return proxy:connect_client() end,
                upstream = function() return proxy:connect_upstream("@URL@") end,
            }}
            local ok, err = calls["{}"]()
            report("first", ok, err)
            local ok, err = calls["{}"]()
            report("second", ok, err)
            local ok, err = proxy:execute()
            report("execute", ok, err)"#,
            order[0], order[1]
        )));
        is_a_session(&scene);
        assert_eq!(scene.nginx.report("first"), "true nil");
        assert_eq!(scene.nginx.report("second"), "true nil");
    }
}

#[test]
fn what_a_client_says_before_the_upstream_is_there_is_kept() {
    let scene = Scene::running(&with_proxy(
        r#"
        assert(proxy:connect_client())
        ngx.sleep(0.05)
        assert(proxy:connect_upstream("@URL@"))
        local ok, err = proxy:execute()
        report("execute", ok, err)"#,
    ));
    let mut client = super::support::peer::Peer::connect(scene.nginx.addr);
    client.send_text("early");
    let mut upstream = scene.listener.accept();
    upstream.expect(true, TEXT, b"early");
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn connect_upstream_gives_back_the_head_of_the_answer() {
    let scene = Scene::running(&with_proxy(
        r#"
        report("upstream", proxy:connect_upstream("@URL@"))
        assert(proxy:connect_client())
        local ok, err = proxy:execute()
        report("execute", ok, err)"#,
    ));
    let (mut client, mut upstream) = scene.meet_with(&request("/", ""), "X-Upstream: yes\r\n");
    close(&mut client, &mut upstream);
    scene.ends_well();
    let report = scene.nginx.report("upstream");
    assert!(report.starts_with(r#"true nil "HTTP/1.1 101 Switching Protocols"#), "{report}");
    assert!(report.contains("X-Upstream: yes"), "{report}");
}

/// What is warned of when this is called once both are connected.
fn warned(again: &str) -> (Scene, Vec<String>) {
    let scene = Scene::running(&with_proxy(&format!(
        r#"
        assert(proxy:connect("@URL@"))
        local ok, err = {again}
        report("again", ok, err)
        local ok, err = proxy:execute()
        report("execute", ok, err)"#
    )));
    is_a_session(&scene);
    assert_eq!(scene.nginx.report("again"), "true nil");
    let mut said = scene.nginx.said(&["info", "warn"]);
    said.retain(|words| !words.starts_with("forwarding close")); // the session's end
    (scene, said)
}

#[test]
fn connecting_again_warns_and_does_nothing() {
    let (scene, said) = warned(r#"proxy:connect_upstream("@URL@")"#);
    let url = scene.listener.url();
    assert_eq!(said, [format!("connection with upstream at \"{url}\" already established")]);
    let (_, said) = warned("proxy:connect_client()");
    assert_eq!(said, ["client handshake already completed"]);
    let (scene, said) = warned(r#"proxy:connect("ws://elsewhere.invalid/")"#);
    let url = scene.listener.url();
    let upstream = format!("connection with upstream at \"{url}\" already established");
    assert_eq!(said, [&upstream, "client handshake already completed"]);
    let warnings = scene.nginx.said(&["warn"]);
    assert_eq!(warnings.len(), 2, "they are warnings: {warnings:?}");
}

#[test]
fn the_uri_in_the_warning_is_quoted_as_lua_quotes() {
    let scene = Scene::running(&with_proxy(
        r#"
        local uri = "@URL@/a?q=\\x"
        assert(proxy:connect(uri))
        assert(proxy:connect_upstream("ws://another"))
        report("quoted", string.format("%q", uri))
        local ok, err = proxy:execute()
        report("execute", ok, err)"#,
    ));
    is_a_session(&scene);
    let url = scene.listener.url();
    assert_eq!(
        scene.nginx.said(&["warn"]),
        [format!(r#"connection with upstream at "{url}/a?q=\\x" already established"#)]
    );
}

#[test]
fn execute_needs_the_client_first_and_then_the_upstream() {
    let scene = Scene::running(&with_proxy(
        r#"
        report("neither", proxy:execute())
        assert(proxy:connect_upstream("@URL@"))
        report("upstream", proxy:execute())
        report("status", ngx.headers_sent)"#,
    ));
    let client = http_client(&scene);
    let upstream = scene.listener.accept();
    assert_eq!(scene.nginx.report("neither"), r#"nil "client handshake not complete""#);
    assert_eq!(scene.nginx.report("upstream"), r#"nil "client handshake not complete""#);
    assert_eq!(scene.nginx.report("status"), "false");
    drop((client, upstream));
    let scene = Scene::running(&with_proxy(
        r#"
        assert(proxy:connect_client())
        report("client", proxy:execute())"#,
    ));
    let _client = super::support::peer::Peer::connect(scene.nginx.addr);
    assert_eq!(scene.nginx.report("client"), r#"nil "upstream connection not established""#);
}

/// A client that asks, and does not wait for its answer.
fn http_client(scene: &Scene) -> TcpStream {
    let mut client = super::support::http::connect(scene.nginx.addr);
    std::io::Write::write_all(&mut client, request("/", "").as_bytes()).unwrap();
    client
}

#[test]
fn when_the_upstream_fails_the_client_has_been_sent_nothing() {
    let gone = Listener::bind().url(); // nobody listens there any more
    let nginx = Nginx::running(&with_proxy(&format!(
        r#"
        report("upstream", proxy:connect_upstream("{gone}"))
        report("sent", ngx.headers_sent)
        report("connect", proxy:connect("{gone}"))
        ngx.status = 503
        ngx.say("sorry")"#
    )));
    let answer = ask(nginx.addr, request("/", "Connection: close\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("sorry"), "{answer}");
    let reason = "failed to connect: connection refused";
    // The third result of a failure is nothing or nil.
    assert!(nginx.report("upstream").starts_with(&format!("nil \"{reason}\"")));
    assert_eq!(nginx.report("sent"), "false");
    let connect = format!("nil \"failed connecting to upstream: {reason}\"");
    assert_eq!(nginx.report("connect"), connect);
}

#[test]
fn an_upstream_that_failed_may_be_followed_by_another() {
    let gone = Listener::bind().url();
    let scene = Scene::running(&with_proxy(&format!(
        r#"
        report("first", (proxy:connect("{gone}")))
        report("second", proxy:connect("@URL@"))
        local ok, err = proxy:execute()
        report("execute", ok, err)"#
    )));
    let (mut client, mut upstream) = scene.meet();
    close(&mut client, &mut upstream);
    assert_eq!(scene.nginx.report("execute"), "true nil");
    assert_eq!(scene.nginx.report("first"), "nil");
    assert_eq!(scene.nginx.report("second"), "true");
}

#[test]
fn when_the_client_fails_connect_says_so_and_the_upstream_is_let_go() {
    let scene = Scene::running(&with_proxy(
        r#"
        report("connect", proxy:connect("@URL@"))
        ngx.status = 400
        ngx.say("no")"#,
    ));
    let addr = scene.nginx.addr;
    let client = std::thread::spawn(move || {
        ask(addr, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    });
    let (mut upstream, _) = asked_and_upgraded(&scene);
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let expected = r#"nil "failed client handshake: bad \"upgrade\" request header: nil""#;
    assert_eq!(scene.nginx.report("connect"), expected);
    super::support::http::hear_all(&mut upstream);
}

fn asked_and_upgraded(scene: &Scene) -> (TcpStream, String) {
    let (mut stream, head) = asked(&scene.listener);
    let answer = super::support::http::good_answer(&head, "");
    std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
    (stream, head)
}
