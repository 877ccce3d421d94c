//! Handshakes: both at once and by halves, what clients are answered, TLS on either leg, who the client may be.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;

use super::authority::{local, self_signed, trusted, Identity};
use super::scene::{read_head, Scene};
use super::script::{printed_by, Script};
use super::stream::{self, Tls, BOTH};
use super::support::http::{ask, good_answer, status};
use super::support::peer::{self, header, request, Listener, Peer, TEXT};

#[test]
fn an_upstream_that_refuses_is_heard_by_the_client_and_reported() {
    let listener = Listener::bind();
    let script = Script::start("session()", &listener.url());
    let addr = script.addr();
    let client = thread::spawn(move || ask(addr, request("/", "").as_bytes()));
    let mut stream = listener.accept_tcp();
    peer::read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
    let answer = client.join().unwrap();
    assert!(status(&answer) == 403 && answer.ends_with("no"), "{answer}");
    let report = script.report("connect");
    assert_eq!((report[0].as_str(), report[2].as_str(), report[3].as_str()), ("nil", "-4", "403"));
    assert!(report[1].starts_with("upstream: "), "{report:?}");
}

#[test]
fn an_upstream_that_nobody_reaches_is_502() {
    let url = Listener::bind().url(); // nobody listens there any more
    let script = Script::start("session()", &url);
    assert_eq!(status(&ask(script.addr(), request("/", "").as_bytes())), 502);
    let report = script.report("connect");
    assert_eq!((report[0].as_str(), report[2].as_str(), report[3].as_str()), ("nil", "-5", "502"));
}

#[test]
fn an_upstream_that_does_not_answer_is_504() {
    let listener = Listener::bind();
    let script = Script::start("session({ connect_timeout = 100 })", &listener.url());
    assert_eq!(status(&ask(script.addr(), request("/", "").as_bytes())), 504);
    let report = script.report("connect");
    assert_eq!((report[2].as_str(), report[3].as_str()), ("-6", "504"));
}

#[test]
fn a_client_that_asks_for_no_websocket_is_answered_and_reported() {
    let listener = Listener::bind();
    let script = Script::start("session()", &listener.url());
    assert_eq!(status(&ask(script.addr(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 400);
    let report = script.report("connect");
    assert_eq!((report[2].as_str(), report[3].as_str()), ("-3", "400"));
    assert!(report[1].starts_with("client: "), "{report:?}");
}

#[test]
fn a_head_that_was_read_before_counts() {
    let mut scene = Scene::running(
        "local ffi = require 'ffi'
        ffi.cdef 'ssize_t read(int fd, void *data, size_t count);'
        local client, some = accept(), ffi.new('char[30]')
        local head = ffi.string(some, ffi.C.read(client:getfd(), some, 30))
        local proxy = wsproxy.new()
        report('connect', proxy:connect(client, arg[1], head))
        client:close()
        report('execute', proxy:execute())",
    );
    assert!(scene.upstream.head.contains("\r\nSec-WebSocket-Key: "));
    scene.script.says("connect\ttrue");
    scene.client.send_text("x");
    scene.upstream.expect(true, TEXT, b"x");
    scene.part();
}

#[test]
fn the_halves_may_be_connected_in_either_order_and_again() {
    for halves in ["upstream client connect", "client upstream connect", "connect upstream client"]
    {
        let mut scene = Scene::running(&format!(
            "local client, proxy = accept(), wsproxy.new({{ protocols = {{ 'chat' }} }})
            report('early', proxy:execute())
            for half in ('{halves}'):gmatch('%a+') do
                if half == 'upstream' then report(half, proxy:connect_upstream(arg[1])) end
                if half == 'client' then report(half, proxy:connect_client(client)) end
                if half == 'connect' then report(half, proxy:connect(client, arg[1])) end
            end
            client:close()
            report('execute', proxy:execute())"
        ));
        scene.script.says("early\tnil\tclient handshake not complete");
        for half in halves.split(' ') {
            scene.script.says(&format!("{half}\ttrue"));
        }
        scene.client.send_text("x");
        scene.upstream.expect(true, TEXT, b"x");
        scene.part();
    }
}

#[test]
fn one_half_is_not_enough_and_a_failed_upstream_may_be_tried_again() {
    let nobody = Listener::bind().url();
    let scene = Scene::running(&format!(
        "local client, proxy = accept(), wsproxy.new()
        report('bad', proxy:connect_upstream('{nobody}'))
        report('status', proxy:http_status())
        report('worse', proxy:connect_upstream('http://x'))
        report('nul', proxy:connect_upstream('ws://x\\0y'))
        report('good', proxy:connect_upstream(arg[1]))
        report('status', proxy:http_status())
        report('early', proxy:execute())
        report('client', proxy:connect_client(client))
        client:close()
        report('execute', proxy:execute())",
    ));
    assert_eq!(scene.script.report("bad")[2], "-5");
    scene.script.says("status\t502");
    assert_eq!(scene.script.report("worse")[2], "-1");
    assert_eq!(scene.script.report("nul")[2], "-1");
    scene.script.says("good\ttrue");
    scene.script.says("status\tnil");
    scene.script.says("early\tnil\tclient handshake not complete");
    scene.script.says("client\ttrue");
    scene.part();
}

#[test]
fn a_url_that_is_none_changes_nothing() {
    let scene = Scene::running(
        "local client, proxy = accept(), wsproxy.new()
        report('bad', proxy:connect(client, 'ftp://x'))
        report('nul', proxy:connect(client, 'ws://x\\0y'))
        report('good', proxy:connect(client, arg[1]))
        client:close()
        report('execute', proxy:execute())",
    );
    assert_eq!(scene.script.report("bad")[2], "-1");
    assert_eq!(scene.script.report("nul")[2], "-1");
    scene.script.says("good\ttrue");
    scene.part();
}

#[test]
fn the_subprotocol_that_the_upstream_chose_is_told() {
    let listener = Listener::bind();
    let script = Script::start("report('chose', session():subprotocol())", &listener.url());
    let addr = script.addr();
    let client = thread::spawn(move || {
        Peer::connect_with(addr, &request("/", "Sec-WebSocket-Protocol: chat, mail\r\n"))
    });
    let upstream = listener.accept_with("Sec-WebSocket-Protocol: mail\r\n");
    let client = client.join().unwrap();
    assert_eq!(header(&client.head, "Sec-WebSocket-Protocol").as_deref(), Some("mail"));
    Scene { client, upstream, script: Script::start("", "") }.leave();
    script.report("execute");
    script.says("chose\tmail");
}

impl Scene {
    fn leave(self) {
        drop((self.client, self.upstream));
    }
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A session to `wss://` with these options, in front of an upstream with this identity: both peers, or the client's
/// answer.
fn secure(opts: &str, identity: &Identity) -> (Script, Result<(Peer, Peer<Tls>), String>) {
    let listener = Listener::bind();
    let url = format!("wss://127.0.0.1:{}/", listener.addr().port());
    let script = Script::start(&format!("session({opts})"), &url);
    let addr = script.addr();
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(request("/", "").as_bytes()).unwrap();
    let tls = Tls::accept(listener.accept_tcp(), stream::server(BOTH, identity, None));
    let upstream = tls.ok().and_then(|mut tls| {
        let head = read_head(&mut tls)?;
        tls.write_all(good_answer(&head, "").as_bytes()).unwrap();
        Some(Peer::over(tls, false, head))
    });
    peer::prepare(&client);
    let Some(upstream) = upstream else {
        return (script, Err(super::support::http::hear_all(&mut client)));
    };
    let head = peer::read_head(&mut client);
    (script, Ok((Peer::over(client, true, head), upstream)))
}

fn relays(opts: &str, identity: &Identity) {
    let (script, peers) = secure(opts, identity);
    let (mut client, mut upstream) = peers.expect("both handshakes");
    client.send_text("up");
    upstream.expect(true, TEXT, b"up");
    upstream.send(true, 2, &[7; 100_000]);
    client.expect(true, 2, &[7; 100_000]);
    client.send_close(1000, "");
    upstream.hear_close();
    upstream.send_close(1000, "");
    client.hear_close();
    drop((client, upstream));
    script.says("execute\ttrue");
}

#[test]
fn a_secure_upstream_with_a_good_certificate_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let ca = file(&folder, "ca.pem", &trusted().pem);
    let pass = "on_frame = function(_, _, _, payload, _, code) return payload, code end";
    relays(&format!("{{ upstream_ca_file = {ca:?}, {pass} }}"), local());
    let other = trusted().issue(&["other.test"], super::authority::Validity::Now);
    relays(
        &format!("{{ upstream_ca_file = {ca:?}, upstream_server_name = 'other.test' }}"),
        &other,
    );
    relays(&format!("{{ upstream_ca_file = {ca:?}, upstream_min_tls = '1.3' }}"), local());
}

#[test]
fn a_secure_upstream_with_a_bad_certificate_is_refused_unless_nobody_verifies() {
    for identity in [local(), &self_signed(&["127.0.0.1"])] {
        let (script, peers) = secure("{}", identity);
        assert_eq!(status(&peers.err().expect("no session")), 502);
        let report = script.report("connect");
        assert_eq!(
            (report[0].as_str(), report[2].as_str(), report[3].as_str()),
            ("nil", "-16", "502")
        );
        relays("{ upstream_verify = false }", identity);
    }
}

#[test]
fn clients_speak_tls_to_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) =
        (file(&folder, "chain.pem", &local().chain), file(&folder, "key.pem", &local().key));
    let listener = Listener::bind();
    let script = Script::start(
        &format!("session({{ client_certificate = {{ {chain:?}, {key:?} }} }})"),
        &listener.url(),
    );
    let addr = script.addr();
    let client = thread::spawn(move || {
        let mut tls = Tls::connect_trusting(TcpStream::connect(addr).unwrap()).unwrap();
        tls.write_all(request("/", "").as_bytes()).unwrap();
        let head = read_head(&mut tls).unwrap();
        Peer::over(tls, true, head)
    });
    let mut upstream = listener.accept();
    let mut client = client.join().unwrap();
    client.send_text("x");
    upstream.expect(true, TEXT, b"x");
}

#[test]
fn anything_with_a_descriptor_is_a_client() {
    for client in ["client:getfd()", "{ getfd = function() return client:getfd() end }"] {
        Scene::running(&format!(
            "local client, proxy = accept(), wsproxy.new()
            report('connect', proxy:connect({client}, arg[1]))
            client:close()
            report('execute', proxy:execute())"
        ))
        .has_connected()
        .part();
    }
}

impl Scene {
    fn has_connected(self) -> Scene {
        self.script.says("connect\ttrue");
        self
    }
}

#[test]
fn wrong_use_is_thrown_at_the_callers_level() {
    let calls = [
        ("wsproxy.new('x')", "opts must be a table"),
        ("wsproxy.new(7)", "opts must be a table"),
        ("wsproxy.new({ on_frame = 'f' })", "opts.on_frame must be a function"),
        ("wsproxy.new({ nobody = 1 })", "unknown option opts.nobody"),
        ("wsproxy.new({ [1] = 1 })", "unknown option opts.1"),
        ("wsproxy.new({ idle_timeout = 'x' })", "opts.idle_timeout must be a number >= 0"),
        ("wsproxy.config('x')", "opts must be a table"),
        ("wsproxy.listen(80)", "address must be a string"),
        (
            "proxy:connect('x', 'ws://x')",
            "client must be a file descriptor or a socket with a method getfd",
        ),
        (
            "proxy:connect({}, 'ws://x')",
            "client must be a file descriptor or a socket with a method getfd",
        ),
        ("proxy:connect(0, 7)", "uri must be a string"),
        ("proxy:connect(0, 'ws://x', 7)", "head must be a string"),
        (
            "proxy:connect_client(nil)",
            "client must be a file descriptor or a socket with a method getfd",
        ),
        ("proxy:connect_client(0, {})", "head must be a string"),
        ("proxy:connect_upstream()", "uri must be a string"),
        ("proxy:send('both', 'text', 'x')", "role must be \"client\" or \"upstream\""),
        (
            "proxy:send('client', 'close', 'x')",
            "typ must be \"text\", \"binary\", \"ping\" or \"pong\"",
        ),
        ("proxy:send('client', 'text', 7)", "payload must be a string"),
        ("proxy:close('x')", "code must be a number"),
        ("proxy:close(1000, 7)", "reason must be a string"),
        ("proxy:close(1000, '', '1000')", "code must be a number"),
        ("proxy:drain(1000, 7)", "reason must be a string"),
    ];
    let mut code = "local wsproxy = require 'wsproxy' local proxy = wsproxy.new()\n".to_owned();
    for (call, _) in calls {
        code += &format!(
            "print(select(2, pcall(assert(loadstring([==[local wsproxy, proxy = ...
            local result = {call}
            return result]==], '=caller')), wsproxy, proxy)))\n"
        );
    }
    let printed = printed_by(&code);
    let thrown: Vec<&str> = printed.lines().collect();
    assert_eq!(thrown.len(), calls.len());
    for ((call, words), thrown) in calls.iter().zip(thrown) {
        assert_eq!(thrown, format!("caller:2: {words}"), "{call}");
    }
}

#[test]
fn a_descriptor_that_is_no_socket_is_an_error() {
    let printed = printed_by(
        "local proxy = require 'wsproxy'.new()
        print(proxy:connect(-1, 'ws://127.0.0.1:1'))
        print(proxy:connect(99999, 'ws://127.0.0.1:1'))
        print(proxy:connect(0, 'ws://127.0.0.1:1'))",
    );
    for line in printed.lines() {
        assert!(line.starts_with("nil\thost: "), "{line}");
    }
    assert_eq!(printed.lines().count(), 3);
}
