//! The words for an upstream that cannot be reached, or does not answer as it should.

use std::io::Write;

use super::nginx::Nginx;
use super::scene::{handler, Scene};
use super::support::http::{ask, asked};
use super::support::peer::{request, Listener};

/// What `connect` says, when nobody needs to be called.
fn without_a_call(url: &str, options: &str) -> String {
    let nginx = Nginx::running(&handler("", options).replace("@URL@", url));
    let answer = ask(nginx.addr, request("/", "").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 502 "), "the client was sent something: {answer}");
    nginx.report("connect")
}

fn failed(words: &str) -> String {
    format!("nil {:?}", format!("failed connecting to upstream: {words}"))
}

#[test]
fn a_uri_that_is_none_is_refused() {
    for uri in ["", "nonsense", "http://127.0.0.1/", "ws:/127.0.0.1", "ws://", "://x", "/path"] {
        assert_eq!(without_a_call(uri, "nil"), failed("bad websocket uri"), "{uri:?}");
    }
}

#[test]
fn options_of_the_wrong_type_are_refused() {
    for (options, words) in [
        ("{ headers = 'X: y' }", "custom headers must be a table"),
        ("{ headers = true }", "custom headers must be a table"),
        ("{ host = 1 }", "custom host header must be a string"),
        ("{ host = {} }", "custom host header must be a string"),
        ("{ server_name = true }", "SSL server_name must be a string"),
        ("{ server_name = 5 }", "SSL server_name must be a string"),
    ] {
        // A listener, so that nothing else fails.
        let listener = Listener::bind();
        assert_eq!(without_a_call(&listener.url(), options), failed(words), "{options}");
    }
}

#[test]
fn a_certificate_without_its_key_is_thrown() {
    let scene = Scene::running(
        r#"
        local proxy = assert(require("resty.websocket.proxy").new())
        local ssl = require "ngx.ssl"
        report("connect", pcall(proxy.connect, proxy, "@URL@", { client_cert = true }))"#,
    );
    scene.nginx.get("/");
    let report = scene.nginx.report("connect");
    let words = "client_priv_key must be provided with client_cert\"";
    assert!(report.starts_with("false ") && report.ends_with(words), "{report}");
}

#[test]
fn nobody_listens() {
    let url = Listener::bind().url();
    let words = "failed to connect: connection refused";
    assert_eq!(without_a_call(&url, "nil"), failed(words));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("ws://unix:{}/absent:/", folder.path().display());
    let words = "failed to connect: no such file or directory";
    assert_eq!(without_a_call(&url, "nil"), failed(words));
}

/// What `connect` says of an upstream that does this with its connection and keeps what it returns; nginx has these
/// directives.
fn of_an_upstream<T: Send>(
    directives: &str,
    options: &str,
    act: impl FnOnce(&Listener) -> T + Send,
) -> (String, String) {
    let mut conf = super::conf::Conf::running(&handler("", options));
    conf.http = directives.to_owned();
    let scene = Scene::with(conf);
    let answer = std::thread::scope(|scope| {
        let listener = &scene.listener;
        let upstream = scope.spawn(move || act(listener));
        let answer = ask(scene.nginx.addr, request("/", "").as_bytes());
        drop(upstream.join().unwrap());
        answer
    });
    (scene.nginx.report("connect"), answer)
}

#[test]
fn an_upstream_that_hangs_up_has_sent_no_head() {
    for part in ["", "HTTP/1.1 101 Switching", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"]
    {
        let (report, answer) = of_an_upstream("", "nil", |listener| {
            let (mut stream, _) = asked(listener);
            stream.write_all(part.as_bytes()).unwrap();
        });
        assert_eq!(report, failed("failed to receive response header: closed"));
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
}

#[test]
fn an_upstream_that_is_silent_times_out() {
    let directives = "lua_socket_read_timeout 100ms;";
    let (report, _) = of_an_upstream(directives, "nil", asked);
    assert_eq!(report, failed("failed to receive response header: timeout"));
}

#[test]
fn an_upstream_that_takes_no_request_times_out() {
    // More than the buffers of both ends hold, from a listener whose connections have small ones.
    let directives = "lua_socket_send_timeout 200ms; lua_socket_buffer_size 4k;";
    let options = "{ headers = { 'X: ' .. ('x'):rep(24 * 1024 * 1024) } }";
    let (report, answer) = of_an_upstream(directives, options, |listener| {
        socket2::SockRef::from(&listener.0).set_recv_buffer_size(4096).unwrap();
        listener.accept_tcp()
    });
    assert_eq!(report, failed("failed to send the handshake request: timeout"));
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[test]
fn an_answer_that_is_no_http_1_1_is_refused() {
    for answer in ["HTTP/1.0 101 Switching Protocols", "HTTP/2 101", "SSH-2.0-x", "ICY 200 OK"] {
        let (report, client) = of_an_upstream("", "nil", |listener| {
            let (mut stream, _) = asked(listener);
            stream.write_all(format!("{answer}\r\nServer: s\r\n\r\n").as_bytes()).unwrap();
        });
        let begin = failed(&format!("bad HTTP response status line: {answer}"));
        assert!(report.starts_with(begin.trim_end_matches('"')), "{report}");
        assert!(client.starts_with("HTTP/1.1 502 "), "{client}");
    }
}
