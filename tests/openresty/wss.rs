//! TLS on either leg, which is nginx's: certificates good and bad, names, certificates of our own.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{Connection, ServerConfig};

use super::authority::{local, self_signed, trusted, Authority, Identity, Validity};
use super::conf::Conf;
use super::nginx::Nginx;
use super::scene::{close, handler};
use super::stream::{self, Tls, BOTH};
use super::support::http::{self, good_answer};
use super::support::http_proxy::HttpProxy;
use super::support::peer::{read_head, request, Listener, Peer};

/// An nginx that trusts [`trusted`], in front of an upstream that may speak TLS.
struct Scene {
    nginx: Nginx,
    listener: Listener,
    _authority: tempfile::NamedTempFile,
}

fn scene(connect: &str) -> Scene {
    scene_with(connect, Listener::bind(), "127.0.0.1")
}

fn scene_with(connect: &str, listener: Listener, host: &str) -> Scene {
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    authority.write_all(trusted().pem.as_bytes()).unwrap();
    let url = format!("wss://{host}:{}/x", listener.addr().port());
    let mut conf = Conf::running(&handler("", connect).replace("@URL@", &url));
    let path = authority.path().display();
    conf.http = format!("lua_ssl_trusted_certificate {path}; lua_ssl_verify_depth 3;");
    Scene { nginx: Nginx::start(&conf), listener, _authority: authority }
}

fn server(identity: &Identity) -> Arc<ServerConfig> {
    stream::server(BOTH, identity, None)
}

fn read_tls_head(tls: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

impl Scene {
    fn call(&self) -> TcpStream {
        let mut client = http::connect(self.nginx.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        client
    }

    /// A session, until its orderly end; the upstream's end of TLS.
    fn is_a_session(&self, config: Arc<ServerConfig>) -> Tls {
        let mut client = self.call();
        let mut tls = Tls::accept(self.listener.accept_tcp(), config).expect("a TLS handshake");
        let head = read_tls_head(&mut tls);
        assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
        tls.write_all(good_answer(&head, "").as_bytes()).unwrap();
        let answer = read_head(&mut client);
        let mut client = Peer::over(client, true, answer);
        let mut upstream = Peer::over(tls.clone(), false, head);
        client.send(true, 2, &[1; 50_000]);
        upstream.expect(true, 2, &[1; 50_000]);
        upstream.send(true, 2, &[2; 50_000]);
        client.expect(true, 2, &[2; 50_000]);
        client.send_close(1000, "");
        assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
        upstream.send_close(1000, "");
        assert_eq!(client.hear_close(), (Some(1000), String::new()));
        assert_eq!(self.nginx.report("execute"), "true nil");
        self.nginx.is_content();
        tls
    }

    /// What `connect` says of an upstream with this identity, which is sent no request.
    fn fails(&self, identity: &Identity) -> String {
        let mut client = self.call();
        if let Ok(mut tls) = Tls::accept(self.listener.accept_tcp(), server(identity)) {
            let mut heard = Vec::new();
            let _ = std::io::Read::read_to_end(&mut tls, &mut heard); // an alert, or the end
            assert_eq!(heard, b"", "a request came");
        }
        let answer = http::hear_all(&mut client);
        assert!(answer.starts_with("HTTP/1.1 502 "), "the client was sent something: {answer}");
        self.nginx.report("connect")
    }
}

fn failed(words: &str) -> String {
    format!("nil {:?}", format!("failed connecting to upstream: ssl handshake failed: {words}"))
}

fn server_name(tls: &Tls) -> Option<String> {
    tls.look(|connection| match connection {
        Connection::Server(server) => server.server_name().map(str::to_owned),
        Connection::Client(_) => unreachable!("the upstream is a server"),
    })
}

#[test]
fn no_certificate_is_verified_unless_asked() {
    for connect in ["nil", "{}", "{ ssl_verify = false }"] {
        scene(connect).is_a_session(server(&self_signed(&["elsewhere.test"])));
    }
}

#[test]
fn a_good_certificate_is_verified() {
    let scene = scene("{ ssl_verify = true, server_name = 'localhost' }");
    let tls = scene.is_a_session(server(local()));
    assert_eq!(server_name(&tls), Some("localhost".into()));
}

/// An upstream with a certificate that does not do is sent nothing, and nginx's own line says why.
///
/// What `connect` says is "ssl handshake failed" and nginx's words, or that it failed, if it needed no waiting: nginx's
/// cosocket returns a success then, with the connection closed (lua module 0.10.23).
fn is_refused(identity: &Identity, connect: &str, words: &str, why: &str) {
    let scene = scene(connect);
    let report = scene.fails(identity);
    assert!(report == failed(words) || report == failed("handshake failed"), "{report}");
    let log = scene.nginx.log();
    assert!(log.iter().any(|entry| entry.text.contains(why)), "{log:?}");
}

const VERIFIED: &str = "{ ssl_verify = true, server_name = 'localhost' }";

#[test]
fn a_bad_certificate_is_refused_in_nginxs_words() {
    let stranger = Authority::new("a stranger").issue(&["localhost"], Validity::Now);
    let old = trusted().issue(&["localhost"], Validity::Past);
    for (identity, words) in [
        (stranger, "21: unable to verify the first certificate"),
        (self_signed(&["localhost"]), "18: self-signed certificate"),
        (old, "10: certificate has expired"),
    ] {
        let why = format!("lua ssl certificate verify error: ({words})");
        is_refused(&identity, VERIFIED, words, &why);
    }
}

#[test]
fn a_certificate_of_another_name_is_refused() {
    let other = trusted().issue(&["elsewhere.test"], Validity::Now);
    let why = "lua ssl certificate does not match host \"localhost\"";
    is_refused(&other, VERIFIED, "certificate host mismatch", why);
    let verified = "{ ssl_verify = true, host = 'host.test' }";
    let why = "lua ssl certificate does not match host \"host.test\"";
    is_refused(local(), verified, "certificate host mismatch", why);
}

#[test]
fn the_name_is_the_server_name_or_the_host_or_the_uris() {
    let both = "{ host = 'host.test', server_name = 'name.test' }";
    let tls = scene(both).is_a_session(server(local()));
    assert_eq!(server_name(&tls), Some("name.test".into()));
    let tls = scene("{ host = 'host.test' }").is_a_session(server(local()));
    assert_eq!(server_name(&tls), Some("host.test".into()));
    let verified = "{ ssl_verify = true, host = 'host.test' }";
    let identity = trusted().issue(&["host.test"], Validity::Now);
    scene(verified).is_a_session(server(&identity));
}

#[test]
fn a_certificate_of_our_own_is_shown_to_an_upstream_that_wants_one() {
    let own = trusted().issue(&["client.test"], Validity::Now);
    let connect = format!(
        "(function()
            local ssl = require 'ngx.ssl'
            return {{
                client_cert = assert(ssl.parse_pem_cert([[{}]])),
                client_priv_key = assert(ssl.parse_pem_priv_key([[{}]])),
            }}
        end)()",
        own.chain, own.key
    );
    let wants = stream::server(BOTH, local(), Some(trusted().roots()));
    let tls = scene(&connect).is_a_session(wants);
    let shown = tls.look(|connection| connection.peer_certificates().map(<[_]>::to_vec));
    assert_eq!(shown, Some(own.certificates()));
}

#[test]
fn an_upstream_that_speaks_no_tls_fails_with_nginxs_own_line_about_it() {
    let scene = scene("nil");
    let mut client = scene.call();
    let mut upstream = scene.listener.accept_tcp();
    upstream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let answer = http::hear_all(&mut client);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(scene.nginx.report("connect"), failed("handshake failed"));
    let log = scene.nginx.log();
    assert!(log.iter().any(|entry| entry.text.contains("SSL_do_handshake() failed")), "{log:?}");
}

#[test]
fn clients_speak_tls_with_nginx() {
    let listener = Listener::bind();
    let mut conf = Conf::running(&handler("", "nil").replace("@URL@", &listener.url()));
    conf.tls = Some(local().clone());
    let nginx = Nginx::start(&conf);
    let tcp = http::connect(nginx.tls_addr);
    let mut tls = Tls::connect_trusting(tcp).unwrap();
    tls.write_all(request("/", "").as_bytes()).unwrap();
    let mut upstream = listener.accept();
    let head = read_tls_head(&mut tls);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut client = Peer::over(tls, true, head);
    client.send(true, 2, &[1; 60_000]);
    upstream.expect(true, 2, &[1; 60_000]);
    for _ in 0..10 {
        upstream.send(true, 2, &[2; 60_000]);
    }
    for _ in 0..10 {
        client.expect(true, 2, &[2; 60_000]);
    }
    client.send_close(1000, "");
    assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
    upstream.send_close(1000, "");
    assert_eq!(client.hear_close(), (Some(1000), String::new()));
    assert_eq!(nginx.report("execute"), "true nil");
    nginx.is_content();
}

#[test]
fn an_upstream_may_be_behind_an_http_proxy() {
    let listener = Listener::bind();
    let proxy = HttpProxy::to(listener.addr());
    let port = listener.addr().port();
    let connect = format!(
        "{{ server_name = 'localhost', ssl_verify = true, proxy_opts = {{
            wss_proxy = '{}', wss_proxy_authorization = 'Basic dTpw' }} }}",
        proxy.url("")
    );
    let scene = scene_with(&connect, listener, "behind.test");
    scene.is_a_session(server(local()));
    let asked = proxy.asked();
    let target = format!("behind.test:{port}");
    assert!(asked.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{asked}");
    assert!(asked.contains(&format!("\r\nHost: {target}\r\n")), "{asked}");
    assert!(asked.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{asked}");
}

#[test]
fn an_http_proxy_that_refuses_is_told_of() {
    let proxy = Listener::bind();
    let connect = format!("{{ proxy_opts = {{ wss_proxy = 'http://{}' }} }}", proxy.addr());
    let scene = scene_with(&connect, Listener::bind(), "behind.test");
    let mut client = scene.call();
    let (mut stream, _) = http::asked(&proxy);
    stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
    assert_eq!(http::hear_all(&mut stream), "", "TLS with a proxy that refused");
    let answer = http::hear_all(&mut client);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let words = "error establishing a connection to the proxy server, got status 407";
    let expected = format!("nil {:?}", format!("failed connecting to upstream: {words}"));
    assert_eq!(scene.nginx.report("connect"), expected);
}

#[test]
fn an_http_proxy_without_credentials_is_sent_none_and_is_for_wss_alone() {
    let listener = Listener::bind();
    let proxy = HttpProxy::to(listener.addr());
    let connect = format!("{{ proxy_opts = {{ wss_proxy = '{}' }} }}", proxy.url(""));
    let scene = scene_with(&connect, listener, "behind.test");
    scene.is_a_session(server(local()));
    let asked = proxy.asked();
    assert!(!asked.contains("Authorization"), "{asked}");
    let scene = super::scene::Scene::connecting("", &connect);
    let (mut client, mut upstream) = scene.meet();
    close(&mut client, &mut upstream);
    scene.ends_well();
    proxy.nobody_asked();
}
