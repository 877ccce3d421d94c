//! Upstreams behind an HTTP proxy (RFC 9110 section 9.3.6): what that is asked, and what it may answer. What the client
//! hears of its refusals: `refusals/unreached.rs`.

#[allow(dead_code)]
#[path = "tls/authority.rs"]
mod authority;
#[allow(dead_code)]
#[path = "tls/scene.rs"]
mod scene;
#[allow(dead_code)]
#[path = "tls/stream.rs"]
mod stream;
mod support;

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, meet, part, pass, talk, Host};
use support::http;
use support::http_proxy::HttpProxy;
use support::on_every_policy;
use support::peer::{header, read_head, request, Listener, Peer};
use wsproxy::{Config, Error, ErrorKind, Fault, Policy};

/// Far under the deadline of the handshakes, however busy the machine is.
const AT_ONCE: Duration = Duration::from_secs(8);

fn behind(policy: Policy, proxy: &str) -> Arc<Config> {
    config(policy, |config| {
        config.http_proxy(proxy).unwrap();
    })
}

#[test]
fn frames_cross_a_tunnel_to_an_upstream_whose_name_only_the_http_proxy_knows() {
    on_every_policy(|policy| {
        let upstream = Listener::bind();
        let proxy = HttpProxy::to(upstream.addr());
        let config = behind(policy, &proxy.url(""));
        let host = Host::start(config, "ws://upstream.invalid/chat", pass);
        let (mut client, mut peer) = meet(&host, &upstream);
        let asked = "CONNECT upstream.invalid:80 HTTP/1.1\r\nHost: upstream.invalid:80\r\n\r\n";
        assert_eq!(proxy.asked(), asked);
        assert!(peer.head.starts_with("GET /chat HTTP/1.1\r\nHost: upstream.invalid\r\n"));
        talk(&mut client, &mut peer);
        part(client, peer, &host);
    });
}

#[test]
fn the_tunnel_is_asked_for_the_host_and_port_of_the_url() {
    for (url, authority) in [
        ("ws://[2001:db8::1]:9000/x", "[2001:db8::1]:9000"),
        ("ws://127.0.0.9", "127.0.0.9:80"),
        ("ws://Up.Example:8080/?q", "up.example:8080"),
    ] {
        let upstream = Listener::bind();
        let proxy = HttpProxy::to(upstream.addr());
        let host = Host::start(behind(Policy::Serial, &proxy.url("")), url, pass);
        let (_client, _upstream) = meet(&host, &upstream);
        assert!(proxy.asked().starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")), "{url}");
    }
}

#[test]
fn credentials_go_to_the_http_proxy_and_no_further() {
    let upstream = Listener::bind();
    let proxy = HttpProxy::to(upstream.addr());
    // The example of RFC 7617 section 2.
    let config = behind(Policy::Serial, &proxy.url("Aladdin:open%20sesame@"));
    let host = Host::start(config, &upstream.url(), pass);
    let addr = host.addr;
    let asks = request("/", "Proxy-Authorization: Basic of-the-clients\r\nCookie: c=1\r\n");
    let client = thread::spawn(move || Peer::connect_with(addr, &asks));
    let peer = upstream.accept();
    client.join().unwrap();
    let asked = proxy.asked();
    let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(header(&asked, "Proxy-Authorization").as_deref(), Some(basic));
    assert!(!asked.contains("Cookie") && !asked.contains("of-the-clients"), "{asked}");
    assert_eq!(header(&peer.head, "Proxy-Authorization"), None, "{}", peer.head);
    assert!(!peer.head.contains("QWxh"), "{}", peer.head);
    assert_eq!(header(&peer.head, "Cookie").as_deref(), Some("c=1"));
}

#[test]
fn tls_to_the_upstream_runs_inside_the_tunnel() {
    on_every_policy(|policy| {
        let upstream = Listener::bind();
        let proxy = HttpProxy::to(upstream.addr());
        let config = scene::config(scene::UPSTREAM, policy, |config| {
            config.http_proxy(&proxy.url("")).unwrap();
        });
        // Its name is checked against the certificate, and only the HTTP proxy looks it up.
        let host = Host::start(config, "wss://localhost/chat", pass);
        let addr = host.addr;
        let client = thread::spawn(move || scene::connect(addr, false));
        let tls = stream::server(stream::BOTH, authority::local(), None);
        let mut peer = scene::accept(&upstream, Some(tls));
        let mut client = client.join().unwrap();
        assert!(proxy.asked().starts_with("CONNECT localhost:443 HTTP/1.1\r\n"));
        assert!(peer.head.starts_with("GET /chat HTTP/1.1\r\nHost: localhost\r\n"));
        client.send_text("up");
        assert_eq!(peer.hear_text(), "up");
        peer.send_text("down");
        assert_eq!(client.hear_text(), "down");
        scene::part(&mut client, &mut peer, &host);
    });
}

#[test]
fn a_unix_socket_is_reached_without_the_http_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("up.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let proxy = HttpProxy::to(Listener::bind().addr());
    let url = format!("ws+unix:{}", path.display());
    let host = Host::start(behind(Policy::Serial, &proxy.url("")), &url, pass);
    let addr = host.addr;
    let client = thread::spawn(move || http::ask(addr, request("/", "").as_bytes()));
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(http::status(&client.join().unwrap()), 404);
    proxy.nobody_asked();
}

/// The HTTP proxy answers with `answer`, again and again if `endless`; the status for the client, and the error.
fn answered(answer: &[u8], endless: bool) -> (u16, Error) {
    let proxy = Listener::bind();
    let config = behind(Policy::Serial, &format!("http://user:s3cr3t@{}", proxy.addr()));
    let host = Host::start(config, "ws://upstream.invalid", pass);
    let started = Instant::now();
    let addr = host.addr;
    let client = thread::spawn(move || http::ask(addr, request("/", "").as_bytes()));
    let (mut stream, head) = http::asked(&proxy);
    assert!(head.starts_with("CONNECT "), "{head}");
    let _ = stream.write_all(answer);
    let poured = endless && (0..4_000).all(|_| stream.write_all(&answer.repeat(100)).is_ok());
    assert!(!poured, "nobody has stopped it");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let answer = client.join().unwrap();
    assert_eq!(http::hear_all(&mut stream), "", "the upstream's request was not sent");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    let error = host.outcome().unwrap_err();
    assert!(!answer.contains("s3cr3t") && !error.to_string().contains("s3cr3t"), "{error}");
    (http::status(&answer), error)
}

#[test]
fn what_is_no_agreement_of_the_http_proxys_is_a_bad_gateway_and_says_why() {
    let huge = [b"HTTP/1.1 200 ".to_vec(), vec![b'a'; 70_000]].concat();
    for (answer, endless, words) in [
        (
            &b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n"[..],
            false,
            "407 Who are you",
        ),
        (b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", false, "refused to connect: 403 No"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", false, "refused to connect: 302"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, "answered CONNECT with a 101"),
        (b"", false, "closed the connection before answering CONNECT"),
        (b"HTTP/1.1 200 OK\r\nVia", false, "closed the connection before answering CONNECT"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", false, "not HTTP/1"),
        (b"\x15\x03\x01\0\x02\x02\x16", false, "TLS where plain HTTP was expected"),
        (b"HTTP/1.1 200 OK\nX: y\n\n", false, "answered CONNECT with"),
        (&huge, false, "a head of more than"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", true, "a head of more than"),
    ] {
        let (status, error) = answered(answer, endless);
        assert_eq!((status, error.kind()), (502, ErrorKind::Unreachable), "{error}");
        assert_eq!(error.fault(), Fault::Upstream);
        assert!(
            error.message().contains("HTTP proxy") && error.message().contains(words),
            "{error}"
        );
    }
}

#[test]
fn bytes_behind_the_http_proxys_agreement_are_refused() {
    let early =
        "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    for answer in [early, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"] {
        let (status, error) = answered(answer.as_bytes(), false);
        assert_eq!((status, error.kind()), (502, ErrorKind::Unreachable), "{error}");
        assert!(error.message().contains("before the upstream was asked"), "{error}");
    }
}

#[test]
fn interim_answers_and_any_2xx_open_the_tunnel() {
    for agreement in [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 204 Fine\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let proxy = Listener::bind();
        let config = behind(Policy::Serial, &format!("http://{}", proxy.addr()));
        let host = Host::start(config, "ws://upstream.invalid", pass);
        let mut client = http::connect(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (mut stream, _) = http::asked(&proxy);
        agreement.bytes().for_each(|byte| stream.write_all(&[byte]).unwrap());
        let head = read_head(&mut stream);
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
        stream.write_all(http::good_answer(&head, "").as_bytes()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    }
}

#[test]
fn tunnel_and_upstream_have_one_deadline_together() {
    let patience = Duration::from_millis(900);
    let proxy = Listener::bind();
    let config = config(Policy::Serial, |config| {
        config.http_proxy(&format!("http://{}", proxy.addr())).unwrap();
        config.connect_timeout(patience).unwrap();
    });
    let host = Host::start(config, "ws://upstream.invalid", pass);
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let started = Instant::now();
    let (mut stream, _) = http::asked(&proxy);
    thread::sleep(patience / 2);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"); // then nothing
    assert_eq!(http::status(&http::hear_all(&mut client)), 504);
    drop(client);
    let took = started.elapsed();
    assert!(took < patience * 4, "{took:?}");
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(http::hear_all(&mut stream).starts_with("GET / "), "it was asked behind the agreement");
}

#[test]
fn a_client_that_leaves_while_the_http_proxy_is_asked_lets_it_go_at_once() {
    let proxy = Listener::bind();
    let config = behind(Policy::Serial, &format!("http://{}", proxy.addr()));
    let host = Host::start(config, "ws://upstream.invalid", pass);
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut stream, _) = http::asked(&proxy);
    let started = Instant::now();
    drop(client);
    assert_eq!(http::hear_all(&mut stream), "");
    let error = host.outcome().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
    assert!(started.elapsed() < AT_ONCE);
}

#[test]
fn stop_while_the_http_proxy_is_asked_lets_it_go_at_once() {
    let proxy = Listener::bind();
    let config = behind(Policy::Serial, &format!("http://{}", proxy.addr()));
    let host = Host::start(config, "ws://upstream.invalid", pass);
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut stream, _) = http::asked(&proxy);
    host.proxy.stop(1001, "").unwrap();
    assert_eq!(http::hear_all(&mut stream), "");
    assert_eq!(http::status(&http::hear_all(&mut client)), 503);
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Stopped);
}

#[test]
fn an_http_proxy_that_is_not_there_is_a_bad_gateway() {
    let free = Listener::bind().addr(); // nobody listens there any more
    let config = behind(Policy::Serial, &format!("http://user:s3cr3t@{free}"));
    let host = Host::start(config, "ws://127.0.0.1:9/", pass);
    assert_eq!(http::status(&http::ask(host.addr, request("/", "").as_bytes())), 502);
    let error = host.outcome().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
    assert!(error.message().contains(&free.to_string()), "{error}");
    assert!(!error.message().contains("s3cr3t"), "{error}");
}
