//! `resty.wsproxy` itself: what it does more than the module whose place `resty.websocket.proxy` takes.

use std::io::Write;
use std::time::Duration;

use super::authority::{local, Authority, Validity};
use super::scene::{close, Scene};
use super::stream::{self, Tls, BOTH};
use super::support::http;
use super::support::peer::{header, request, Peer, PING, PONG, TEXT};

/// A handler with these options of `new`; what follows `execute` may use `proxy`.
fn handler(options: &str, connect: &str, after: &str) -> String {
    format!(
        r#"
            local proxy = require("resty.wsproxy").new({{ {options} }})
            current = proxy
            local ok, err, head = proxy:connect("@URL@", {connect})
            if not ok then
                report("connect", ok, err)
                return ngx.exit(proxy:http_status())
            end
            local ok, err = proxy:execute()
            report("execute", ok, err)
            {after}
        "#
    )
}

fn scene(options: &str) -> Scene {
    Scene::running(&handler(options, "nil", ""))
}

/// Calls nginx; the whole answer.
fn answer(scene: &Scene, request: &str) -> String {
    let mut client = http::connect(scene.nginx.addr);
    client.write_all(request.as_bytes()).unwrap();
    http::hear_all(&mut client)
}

#[test]
fn the_clients_headers_target_and_subprotocols_go_upstream_and_the_upstreams_answer_comes_back() {
    let after = r#"report("subprotocol", proxy:subprotocol())"#;
    let scene = Scene::running(&handler("forwarded = 'both'", "nil", after));
    let more = "Cookie: a=b\r\nSec-WebSocket-Protocol: x, y\r\nKeep-Alive: 1\r\n";
    let (mut client, mut upstream) = scene.meet_with(
        &request("/path?q=1", more),
        "Sec-WebSocket-Protocol: y\r\nSet-Cookie: one=1\r\nSet-Cookie: two=2\r\nServer: theirs\r\n",
    );
    assert!(upstream.head.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{}", upstream.head);
    for (name, value) in [
        ("Cookie", "a=b"),
        ("Sec-WebSocket-Protocol", "x, y"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
    ] {
        assert_eq!(header(&upstream.head, name).as_deref(), Some(value), "{name}");
    }
    assert!(header(&upstream.head, "Forwarded").is_some());
    assert_eq!(header(&upstream.head, "Keep-Alive"), None);
    assert_eq!(header(&client.head, "Sec-WebSocket-Protocol").as_deref(), Some("y"));
    assert!(client.head.contains("Set-Cookie: one=1\r\nSet-Cookie: two=2\r\n"), "{}", client.head);
    assert!(!client.head.contains("theirs"), "nginx has a Server line of its own");
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
    assert_eq!(scene.nginx.report("subprotocol"), r#""y""#);
}

#[test]
fn headers_stay_with_the_client_where_the_host_wants_that() {
    let scene = Scene::running(&handler(
        "pass_headers = false",
        "{ headers = { 'X-Own: 1', 'X-Own: 2' }, origin = 'http://o' }",
        "",
    ));
    let (mut client, mut upstream) = scene.meet_with(&request("/p", "Cookie: a=b\r\n"), "");
    assert_eq!(header(&upstream.head, "Cookie"), None);
    assert!(upstream.head.contains("X-Own: 1\r\nX-Own: 2\r\n"), "{}", upstream.head);
    assert_eq!(header(&upstream.head, "Origin").as_deref(), Some("http://o"));
    close(&mut client, &mut upstream);
}

#[test]
fn a_request_that_is_no_handshake_reaches_no_upstream_and_is_the_hosts_to_answer() {
    for (request, status, words) in [
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned(),
            "400",
            r#"bad \"upgrade\" request header: nil"#,
        ),
        (
            request("/", "").replace("Version: 13", "Version: 8"),
            "426",
            r#"bad \"sec-websocket-version\" request header"#,
        ),
        (request("/", "Content-Length: 1\r\n") + "x", "400", "a handshake has no body"),
        (request("http://evil.test/", ""), "400", "the request target must be a path"),
    ] {
        let scene = scene("");
        let answer = answer(&scene, &request);
        assert_eq!(&answer[9..12], status, "{request}");
        let report = scene.nginx.report("connect");
        assert!(report.contains(words), "{report}");
        scene.listener.0.set_nonblocking(true).unwrap();
        assert!(scene.listener.0.accept().is_err(), "nobody calls the upstream");
    }
}

#[test]
fn what_an_upstream_answered_is_had_as_a_status() {
    let scene = scene("");
    let mut client = http::connect(scene.nginx.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let mut upstream = scene.listener.accept_tcp();
    super::support::peer::read_head(&mut upstream);
    upstream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(http::hear_all(&mut client).starts_with("HTTP/1.1 403 "));
    let url = scene.listener.url();
    drop(scene);
    let scene = Scene::running(&handler("", "nil", "").replace("@URL@", &url));
    assert!(answer(&scene, &request("/", "")).starts_with("HTTP/1.1 502 "));
    let words = scene.nginx.report("connect");
    assert!(words.contains("failed to connect: connection refused"), "{words}");
}

#[test]
fn certificates_are_verified_unless_the_host_does_not_want_that() {
    let stranger = Authority::new("a stranger").issue(&["localhost"], Validity::Now);
    for (options, good) in [("", false), ("ssl_verify = false", true)] {
        let mut scene = scene(options);
        let url = scene.listener.url().replace("ws:", "wss:");
        scene.nginx = super::nginx::Nginx::start(&super::conf::Conf::running(
            &handler(options, "nil", "").replace("@URL@", &url),
        ));
        let mut client = http::connect(scene.nginx.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let identity = if good { local() } else { &stranger };
        let tls = Tls::accept(scene.listener.accept_tcp(), stream::server(BOTH, identity, None));
        if !good {
            drop(tls);
            assert!(http::hear_all(&mut client).starts_with("HTTP/1.1 502 "));
            assert!(scene.nginx.report("connect").contains("ssl handshake failed"));
            continue;
        }
        let mut byte = [0];
        std::io::Read::read_exact(&mut tls.expect("a TLS handshake"), &mut byte).unwrap();
        assert_eq!(&byte, b"G", "the request comes");
    }
}

#[test]
fn the_hook_sends_frames_of_its_own_before_the_one_that_it_looks_at() {
    let scene = scene(
        "on_frame = function(proxy, role, typ, payload)
            assert(proxy:send('upstream', 'text', 'before ' .. payload))
            assert(proxy:send('client', 'binary', 'seen'))
            return payload
        end",
    );
    let (mut client, mut upstream) = scene.meet();
    client.send_text("one");
    upstream.expect(true, TEXT, b"before one");
    upstream.expect(true, TEXT, b"one");
    client.expect(true, super::support::peer::BINARY, b"seen");
}

#[test]
fn another_request_of_the_worker_sends_frames_and_ends_the_session() {
    let mut conf = super::conf::Conf::running(&handler("", "nil", ""));
    conf.server = r#"
        location /send { content_by_lua_block { ngx.say(current:send("client", "text", "from elsewhere")) } }
        location /close { content_by_lua_block { ngx.say(current:close(4001, "you", 4002, "it")) } }
    "#
    .to_owned();
    let scene = Scene::with(conf);
    let (mut client, mut upstream) = scene.meet();
    assert!(scene.nginx.get("/send").1.contains("true"));
    client.expect(true, TEXT, b"from elsewhere");
    assert!(scene.nginx.get("/close").1.contains("true"));
    assert_eq!(client.hear_close(), (Some(4001), "you".to_owned()));
    assert_eq!(upstream.hear_close(), (Some(4002), "it".to_owned()));
    client.send_close(4001, "");
    upstream.send_close(4002, "");
    drop((client, upstream));
    scene.ends_well();
}

#[test]
fn the_hook_ends_the_session_and_its_frame_goes_nowhere() {
    let scene = scene(
        "on_frame = function(proxy, role, typ, payload)
            if payload == 'enough' then proxy:close(4000, 'so be it') end
            return payload
        end",
    );
    let (mut client, mut upstream) = scene.meet();
    client.send_text("first");
    client.send_text("enough");
    upstream.expect(true, TEXT, b"first");
    assert_eq!(upstream.hear_close(), (Some(4000), "so be it".to_owned()));
    assert_eq!(client.hear_close(), (Some(4000), "so be it".to_owned()));
    upstream.send_close(4000, "");
    client.send_close(4000, "");
    drop((client, upstream));
    scene.ends_well();
}

#[test]
fn what_has_crossed_is_counted_by_side_and_can_be_read_after_the_end() {
    let after = r#"
        local stats = proxy:stats()
        local client, upstream = stats.client, stats.upstream
        report("stats", client.frames.text, client.bytes.text, client.dropped, client.replaced, client.closed_first,
            upstream.frames.binary, upstream.bytes.binary, upstream.close_received, upstream.close_sent)
    "#;
    let hook = "on_frame = function(_, role, typ, payload, _, code)
        if payload == 'drop' then return nil end
        if payload == 'change' then return 'changed' end
        return payload, code
    end";
    let scene = Scene::running(&handler(hook, "nil", after));
    let (mut client, mut upstream) = scene.meet();
    for text in ["drop", "change", "pass"] {
        client.send_text(text);
    }
    upstream.expect(true, TEXT, b"changed");
    upstream.expect(true, TEXT, b"pass");
    upstream.send(true, super::support::peer::BINARY, &[0; 300]);
    client.expect(true, super::support::peer::BINARY, &[0; 300]);
    close(&mut client, &mut upstream);
    drop((client, upstream));
    assert_eq!(scene.nginx.report("stats"), "3 14 1 1 true 1 300 1000 1000");
}

#[test]
fn the_proxy_pings_both_sides_and_keeps_their_answers() {
    let scene = scene("keepalive_interval = 100, idle_timeout = 2000");
    let (mut client, mut upstream) = scene.meet();
    for _ in 0..3 {
        for peer in [&mut client, &mut upstream] {
            let ping = peer.hear();
            assert_eq!(ping.opcode, PING);
            peer.send(true, PONG, &ping.payload);
        }
    }
    client.send_text("x");
    loop {
        let heard = upstream.hear();
        assert_ne!(heard.opcode, PONG, "the client's answers are the proxy's");
        if heard.opcode == TEXT {
            break;
        }
    }
}

#[test]
fn a_side_that_answers_no_pings_is_given_up() {
    let scene = scene("keepalive_interval = 100, idle_timeout = 400, close_timeout = 200");
    let (client, mut upstream) = scene.meet();
    let answers = std::thread::spawn(move || loop {
        let heard = upstream.hear();
        match heard.opcode {
            PING => upstream.send(true, PONG, &heard.payload),
            _ => return heard.close(),
        }
    });
    assert_eq!(answers.join().unwrap().0, Some(1001), "the client was silent");
    let words = scene.nginx.report("execute");
    assert!(words.contains("in spite of pings"), "{words}");
    drop(client);
}

#[test]
fn wrong_use_throws_at_the_callers_level() {
    let scene = Scene::running(
        r#"
            local wsproxy = require "resty.wsproxy"
            local function try(name, ...)
                local ok, err = pcall(...)
                report(name, ok, (err:gsub("^content_by_lua%b():%d+: ", "here: ")))
            end
            try("table", function() wsproxy.new(7) end)
            try("hook", function() wsproxy.new({ on_frame = 1 }) end)
            try("unknown", function() wsproxy.new({ idle_timout = 1 }) end)
            try("value", function() wsproxy.new({ client_max_frame_size = 0 }) end)
            local proxy = wsproxy.new()
            try("role", function() proxy:send("server", "text", "") end)
            report("early", proxy:execute())
            report("send", proxy:send("client", "text", "x"))
            report("close", proxy:close(1000))
        "#,
    );
    answer(&scene, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    for (name, words) in [
        ("table", r#"false "here: opts must be a table""#),
        ("hook", r#"false "here: opts.on_frame must be a function""#),
        ("unknown", r#"false "here: unknown option opts.idle_timout""#),
    ] {
        assert_eq!(scene.nginx.report(name), words);
    }
    for name in ["value", "role"] {
        let report = scene.nginx.report(name);
        assert!(report.starts_with("false \"here: "), "{name}: {report}");
    }
    assert_eq!(scene.nginx.report("early"), r#"nil "client handshake not complete""#);
    assert!(scene.nginx.report("send").starts_with("nil \"host: "));
    assert!(scene.nginx.report("close").starts_with("nil \"host: "));
}

#[test]
fn a_side_that_reads_nothing_holds_back_the_other_and_is_given_up() {
    let scene = scene("write_timeout = 2000, close_timeout = 500");
    let (mut client, upstream) = scene.meet();
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let sent = (0..4096)
        .take_while(|_| client.try_send_bytes(&client.frame(true, 2, &[1; 65_000])).is_ok());
    assert!(sent.count() < 4096, "266 MB went into a peer that reads nothing");
    let words = scene.nginx.report("execute");
    assert!(words.contains("upstream: took no bytes"), "{words}");
    drop(upstream);
}

/// Peers of other tests look at bytes alone.
#[test]
fn an_aggregated_message_comes_as_one_frame() {
    let scene = scene("upstream_aggregate_fragments = true");
    let (mut client, mut upstream): (Peer, Peer) = scene.meet();
    upstream.send(false, TEXT, b"a");
    upstream.send(true, 0, b"b");
    client.expect(true, TEXT, b"ab");
    client.send(false, TEXT, b"c");
    upstream.expect(false, TEXT, b"c");
}
