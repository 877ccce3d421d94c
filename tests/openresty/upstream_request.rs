//! What the options of `connect` make of the request that the upstream is sent.

use std::io::Write;
use std::os::unix::net::UnixListener;

use super::nginx::Nginx;
use super::scene::{close, handler, Scene};
use super::support::http::good_answer;
use super::support::peer::{header, request, Listener, Peer};

/// The request for these options of `connect`; the session works.
fn asked_with(options: &str) -> (String, Scene) {
    asked_at("@URL@", options)
}

fn asked_at(url: &str, options: &str) -> (String, Scene) {
    let scene = Scene::running(&handler("", options).replace("@URL@", url));
    let (mut client, mut upstream) = scene.meet();
    client.send_text("x");
    upstream.expect(true, 1, b"x");
    close(&mut client, &mut upstream);
    scene.ends_well();
    (upstream.head, scene)
}

fn values(head: &str, name: &str) -> Vec<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).collect()
}

#[test]
fn without_options_it_is_a_plain_handshake() {
    let (head, scene) = asked_with("nil");
    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    assert_eq!(values(&head, "Host"), [scene.listener.addr().to_string()]);
    assert_eq!(values(&head, "Upgrade"), ["websocket"]);
    assert_eq!(values(&head, "Connection"), ["Upgrade"]);
    assert_eq!(values(&head, "Sec-WebSocket-Version"), ["13"]);
    assert_eq!(values(&head, "Sec-WebSocket-Key")[0].len(), 24);
    for absent in ["Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"] {
        assert_eq!(header(&head, absent), None, "{head}");
    }
    let (same, _) = asked_with("{}");
    assert_eq!(same.lines().count(), head.lines().count());
}

#[test]
fn no_header_of_the_clients_is_forwarded_by_itself() {
    let scene = Scene::new("");
    let more = "Cookie: a=1\r\nUser-Agent: u\r\nOrigin: http://o\r\nX-Own: x\r\n\
                Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (mut client, mut upstream) = scene.meet_with(&request("/path?query", more), "");
    assert!(upstream.head.starts_with("GET / HTTP/1.1\r\n"), "{}", upstream.head);
    for absent in ["Cookie", "User-Agent", "Origin", "X-Own", "Sec-WebSocket-Extensions"] {
        assert_eq!(header(&upstream.head, absent), None, "{}", upstream.head);
    }
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn the_target_is_the_uris() {
    for (path, target) in [("", "/"), ("/", "/"), ("/a/b", "/a/b"), ("/a?b=c&d", "/a?b=c&d")] {
        let (head, _) = asked_at(&format!("@URL@{path}"), "nil");
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
    }
}

#[test]
fn subprotocols_are_offered_from_a_string_or_an_array() {
    let (head, _) = asked_with("{ protocols = 'one' }");
    assert_eq!(values(&head, "Sec-WebSocket-Protocol"), ["one"]);
    let (head, _) = asked_with("{ protocols = 'one, two' }");
    assert_eq!(values(&head, "Sec-WebSocket-Protocol"), ["one, two"]);
    let (head, _) = asked_with("{ protocols = { 'one', 'two', 'three' } }");
    let offered = values(&head, "Sec-WebSocket-Protocol").join(",").replace(' ', "");
    assert_eq!(offered, "one,two,three");
}

#[test]
fn the_origin_is_sent() {
    let (head, _) = asked_with("{ origin = 'https://o.example' }");
    assert_eq!(values(&head, "Origin"), ["https://o.example"]);
}

#[test]
fn headers_are_sent_as_they_are_and_in_order() {
    let (head, _) =
        asked_with("{ headers = { 'X-b: 1', 'x-A:  2', 'X-b: 3', 'Cookie: c=d; e=f' } }");
    assert_eq!(values(&head, "X-B"), ["1", "3"]);
    assert!(head.contains("\r\nX-b: 1\r\n"), "{head}");
    assert!(head.contains("\r\nCookie: c=d; e=f\r\n"), "{head}");
    assert_eq!(header(&head, "x-a").unwrap(), "2");
    let place = |line: &str| head.find(line).unwrap();
    assert!(place("X-b: 1") < place("x-A:") && place("x-A:") < place("X-b: 3"), "{head}");
    assert!(place("X-b: 3") < place("Cookie:"), "{head}");
}

#[test]
fn the_host_is_sent_instead_of_the_uris() {
    let (head, _) = asked_with("{ host = 'other.example' }");
    assert_eq!(values(&head, "Host"), ["other.example"]);
}

#[test]
fn the_key_is_the_callers() {
    let (head, _) = asked_with("{ key = 'AAECAwQFBgcICQoLDA0ODw==' }");
    assert_eq!(values(&head, "Sec-WebSocket-Key"), ["AAECAwQFBgcICQoLDA0ODw=="]);
}

#[test]
fn a_name_is_resolved_by_nginx() {
    let listener = Listener::bind();
    let url = format!("ws://upstream.test:{}/", listener.addr().port());
    // The one name that nginx knows without a resolver of the network: an `upstream` block's are not for cosockets.
    let answer = Nginx::running(&handler("", "nil").replace("@URL@", &url));
    let refused = super::support::http::ask(answer.addr, request("/", "").as_bytes());
    assert!(refused.starts_with("HTTP/1.1 502 "), "{refused}");
    let expected = "nil \"failed connecting to upstream: failed to connect: \
                    no resolver defined to resolve \\\"upstream.test\\\"\"";
    assert_eq!(answer.report("connect"), expected);
}

#[test]
fn an_upstream_may_listen_on_a_unix_socket() {
    for (path, target) in [("/x/y?z", "/x/y?z"), ("", "/"), ("/", "/")] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let url = format!("ws://unix:{}:{path}", socket.display());
        let nginx =
            Nginx::running(&handler("", "{ headers = { 'X-One: 1' } }").replace("@URL@", &url));
        let mut client = super::support::http::connect(nginx.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(super::support::LONG)).unwrap();
        let head = read_unix_head(&mut stream);
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
        assert_eq!(values(&head, "X-One"), ["1"]);
        assert_eq!(values(&head, "Host").len(), 1, "{head}");
        stream.write_all(good_answer(&head, "").as_bytes()).unwrap();
        let head = super::support::peer::read_head(&mut client);
        let (mut client, mut upstream) =
            (Peer::over(client, true, head), Peer::over(stream, false, String::new()));
        client.send_text("x");
        upstream.expect(true, 1, b"x");
        upstream.send_close(1000, "");
        assert_eq!(client.hear_close(), (Some(1000), String::new()));
        client.send_close(1000, "");
        assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
        assert_eq!(nginx.report("execute"), "true nil");
    }
}

fn read_unix_head(stream: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Tells whom the cosockets dial, and dials the test's upstream instead.
const SPY: &str = r#"
    local tcp = ngx.socket.tcp
    ngx.socket.tcp = function()
        local sock = tcp()
        local connect = sock.connect
        sock.connect = function(self, host, port)
            report("dialled", host, tonumber(port))
            return connect(self, "127.0.0.1", @UPSTREAM@)
        end
        return sock
    end"#;

#[test]
fn the_default_ports_are_80_and_443() {
    let scene = Listener::bind();
    let port = scene.addr().port().to_string();
    let handler = handler("", "nil").replace("@URL@", "ws://127.0.0.1/x");
    let nginx = Nginx::running(&format!("{} {handler}", SPY.replace("@UPSTREAM@", &port)));
    let mut client = super::support::http::connect(nginx.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let upstream = scene.accept();
    assert_eq!(nginx.report("dialled"), r#""127.0.0.1" 80"#);
    assert!(upstream.head.starts_with("GET /x HTTP/1.1\r\n"), "{}", upstream.head);
    drop((client, upstream));

    let gone = Listener::bind().addr().port().to_string();
    let handler = handler.replace("ws://", "wss://");
    let nginx = Nginx::running(&format!("{} {handler}", SPY.replace("@UPSTREAM@", &gone)));
    super::support::http::ask(nginx.addr, request("/", "").as_bytes());
    assert_eq!(nginx.report("dialled"), r#""127.0.0.1" 443"#);
}

#[test]
fn pools_bound_the_connections_of_a_worker() {
    let pool = |name: &str, backlog: u8| {
        format!("{{ pool = '{name}', pool_size = 1, backlog = {backlog} }}")
    };
    let content = format!(
        "local opts = ({{ ['/a'] = {}, ['/b'] = {}, ['/wait'] = {} }})[ngx.var.uri] {}",
        pool("a", 0),
        pool("b", 0),
        pool("a", 1),
        handler("", "opts")
    );
    let scene = Scene::running(&content);
    let (mut client, mut upstream) = scene.meet_with(&request("/a", ""), "");
    let refused = super::support::http::ask(scene.nginx.addr, request("/a", "").as_bytes());
    assert!(refused.starts_with("HTTP/1.1 502 "), "{refused}");
    let words = "failed to connect: too many waiting connect operations";
    let expected = format!("nil \"failed connecting to upstream: {words}\"");
    assert_eq!(scene.nginx.report("connect"), expected);
    let (mut other, mut others) = scene.meet_with(&request("/b", ""), "");
    for (client, upstream) in [(&mut client, &mut upstream), (&mut other, &mut others)] {
        close(client, upstream);
    }
    drop((client, upstream, other, others));
    scene.nginx.first_reports("execute", 2);
    // The place in the pool is free again.
    let (mut client, mut upstream) = scene.meet_with(&request("/a", ""), "");
    close(&mut client, &mut upstream);
    assert_eq!(scene.nginx.first_reports("execute", 3)[2], "true nil");
}
