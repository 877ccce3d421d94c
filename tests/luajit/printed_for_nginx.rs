//! What the README prints for nginx runs as it stands: only ports and the folder of the modules are others here.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::authority::{local, trusted};
use super::nginx::{Nginx, Port};
use super::readme::{block, with};
use super::scene::read_head;
use super::stream::{self, Tls, BOTH};
use super::support::http::{self, ask, good_answer};
use super::support::peer::{request, Listener, Peer, BINARY, CONTINUATION, TEXT};

/// The complete nginx.conf, in front of this upstream.
fn conf(listener: &Listener) -> String {
    with(&block("nginx", "events {"), "9000", &listener.addr().port().to_string())
}

/// The same with other locations.
fn conf_with(listener: &Listener, server: &str) -> String {
    let conf = block("nginx", "events {");
    let (head, _) = conf.split_once("        location / {").expect("a location");
    let server = server.replace("9000", &listener.addr().port().to_string());
    format!("{head}{server}\n    }}\n}}\n")
}

fn location(path: &str, code: &str) -> String {
    format!("location {path} {{ content_by_lua_block {{\n{code}\n}}")
}

fn meet(nginx: &Nginx, listener: &Listener, target: &str) -> (Peer, Peer) {
    let (addr, request) = (nginx.addr, request(target, ""));
    let client = thread::spawn(move || Peer::connect_with(addr, &request));
    let upstream = listener.accept();
    (client.join().unwrap(), upstream)
}

fn part(mut client: Peer, mut upstream: Peer) {
    client.send_close(1000, "");
    upstream.hear_close();
    upstream.send_close(1000, "");
    client.hear_close();
    client.hear_end();
}

#[test]
fn the_nginx_conf_runs_as_printed() {
    let listener = Listener::bind();
    let nginx = Nginx::start(&conf(&listener), |_| ());
    let (mut client, mut upstream) = meet(&nginx, &listener, "/");
    client.send(false, TEXT, b"whole ");
    client.send(true, CONTINUATION, b"message");
    upstream.expect(true, TEXT, b"whole message");
    upstream.send(true, BINARY, b"dropped");
    upstream.send(true, TEXT, b"text");
    client.expect(true, TEXT, b"text");
    part(client, upstream);
    drop(listener);
    let mut client = http::connect(nginx.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    assert_eq!(http::status(&read_head(&mut client).expect("an answer")), 502);
    nginx.says("failed connecting to upstream: failed to connect: connection refused");
}

#[test]
fn both_legs_speak_tls_as_printed() {
    let (listener, port) = (Listener::bind(), Port::reserve());
    let code = with(&block("lua", "wss://"), "9443", &listener.addr().port().to_string());
    let server = with(&block("nginx", "listen 8443"), "listen 8443", &port.listen());
    let conf = conf_with(&listener, &format!("{server}{}\n}}", location("/", &code)));
    let http = block("nginx", "lua_ssl_trusted_certificate");
    let http = with(&http, "/etc/ssl/certs/ca-certificates.crt", "authority.pem");
    let conf = with(&conf, "http {\n", &format!("http {{\n{http}"));
    let nginx = Nginx::start(&conf, |folder| {
        std::fs::write(folder.join("authority.pem"), &trusted().pem).unwrap();
        std::fs::write(folder.join("chain.pem"), &local().chain).unwrap();
        std::fs::write(folder.join("key.pem"), &local().key).unwrap();
    });
    let addr = port.addr();
    let client = thread::spawn(move || {
        let mut tls = Tls::connect_trusting(TcpStream::connect(addr).unwrap()).unwrap();
        tls.write_all(request("/", "").as_bytes()).unwrap();
        let head = read_head(&mut tls).expect("an answer");
        Peer::over(tls, true, head)
    });
    let mut tls = Tls::accept(listener.accept_tcp(), stream::server(BOTH, local(), None)).unwrap();
    let head = read_head(&mut tls).expect("a request");
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    tls.write_all(good_answer(&head, "").as_bytes()).unwrap();
    let (mut client, mut upstream) = (client.join().unwrap(), Peer::over(tls, false, head));
    client.send_text("up");
    upstream.expect(true, TEXT, b"up");
    upstream.send_text("down");
    client.expect(true, TEXT, b"down");
    nginx.is_content();
}

/// Somebody who says yes to "good".
fn judge() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line); // nginx may be gone
            let answer = if line == "good\n" { "yes\n" } else { "no\n" };
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn the_hook_that_asks_somebody_else_runs_as_printed() {
    let listener = Listener::bind();
    let code = with(&block("lua", "receive(\"*l\")"), "7000", &judge().to_string());
    let nginx =
        Nginx::start(&conf_with(&listener, &format!("{}\n}}", location("/", &code))), |_| ());
    let (mut client, mut upstream) = meet(&nginx, &listener, "/");
    client.send_text("good");
    upstream.expect(true, TEXT, b"good");
    client.send_text("bad");
    assert_eq!(client.hear_close(), (Some(1008), "not allowed".into()));
    assert_eq!(upstream.hear_close(), (Some(1008), "not allowed".into()));
    nginx.is_content();
}

#[test]
fn a_session_is_told_something_by_another_request_as_printed() {
    let listener = Listener::bind();
    let session = location("/", &block("lua", "open[ngx.var.arg_name] = proxy"));
    let other = location("/tell", &block("lua", "no such session"));
    let conf = conf_with(&listener, &format!("{session}\n}}\n{other}\n}}"));
    let nginx = Nginx::start(&with(&conf, "events {", "worker_processes 1;\nevents {"), |folder| {
        std::fs::write(folder.join("open_sessions.lua"), "return {}").unwrap();
    });
    let (mut client, upstream) = meet(&nginx, &listener, "/?name=ann");
    let tell = |target: &str| {
        let answer = ask(nginx.addr, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
        answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned()).unwrap_or(answer)
    };
    assert_eq!(tell("/tell?name=ann&text=hello"), "sent");
    client.expect(true, TEXT, b"hello");
    assert_eq!(tell("/tell?name=bob&text=hello"), "no such session");
    part(client, upstream);
    assert_eq!(tell("/tell?name=ann&text=hello"), "no such session");
    nginx.is_content();
}

#[test]
fn statistics_are_logged_as_printed() {
    let listener = Listener::bind();
    let session = location("/", &block("lua", "ngx.ctx.proxy = proxy"));
    let log = block("lua", "ngx.ctx.proxy:stats()");
    let conf = conf_with(&listener, &format!("{session}\nlog_by_lua_block {{\n{log}\n}}\n}}"));
    let nginx = Nginx::start(&conf, |_| ());
    let (mut client, mut upstream) = meet(&nginx, &listener, "/");
    client.send_text("12345");
    upstream.expect(true, TEXT, b"12345");
    part(client, upstream);
    nginx.says("from the client: 1 texts of 5 bytes, closed first");
}

#[test]
fn the_drop_in_module_runs_as_printed() {
    let listener = Listener::bind();
    let code = block("lua", "require \"resty.websocket.proxy\"");
    let nginx =
        Nginx::start(&conf_with(&listener, &format!("{}\n}}", location("/", &code))), |_| ());
    let (mut client, mut upstream) = meet(&nginx, &listener, "/");
    client.send(false, TEXT, b"a");
    client.send(true, CONTINUATION, b"b");
    upstream.expect(true, TEXT, b"ab");
    part(client, upstream);
    nginx.says("forwarding close with code: 1000, payload: ");
    nginx.is_content();
}
