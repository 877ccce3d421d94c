//! A server whose clients come under TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::authority::{local, Identity};
use super::scene::Scene;
use super::stream::Tls;
use super::support::host::config;
use super::support::http::hear_all;
use super::support::on_every_policy;
use super::support::peer::{request, Peer};
use wsproxy::{Config, ErrorKind, Policy, Server};

fn secure(policy: Policy) -> Arc<Config> {
    config(policy, |config| {
        let Identity { chain, key } = local();
        config.client_certificate(chain.as_bytes(), key.as_bytes()).unwrap();
        config.connect_timeout(Duration::from_secs(5)).unwrap();
    })
}

/// The answer to a request, under TLS.
fn asks(tcp: TcpStream) -> (Tls, String) {
    let mut tls = Tls::connect_trusting(tcp).unwrap();
    tls.write_all(request("/", "").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (tls, String::from_utf8(head).unwrap())
}

fn session(scene: &Scene) -> (Peer<Tls>, Peer) {
    thread::scope(|scope| {
        let tcp = scene.tcp();
        let asking = scope.spawn(|| asks(tcp));
        let upstream = scene.upstream.accept();
        let (tls, head) = asking.join().unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (Peer::over(tls, true, head), upstream)
    })
}

#[test]
fn clients_under_tls_are_served_refused_and_drained_like_others() {
    on_every_policy(|policy| {
        let scene = Scene::serve(secure(policy), super::scene::relay);
        scene.server.max_connections(2).unwrap();
        let (mut client, mut upstream) = session(&scene);
        client.send_text("up");
        assert_eq!(upstream.hear_text(), "up");
        upstream.send_text("down");
        assert_eq!(client.hear_text(), "down");
        let mut silent = scene.tcp(); // does not even begin TLS
        scene.settles("it has its place", |stats| stats.active == 2);
        let (mut refused, head) = asks(scene.tcp());
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        let mut body = String::new();
        refused.read_to_string(&mut body).unwrap();
        assert!(!body.is_empty());
        drop(refused);
        scene.server.drain(1001, Duration::from_secs(2)).unwrap();
        for code in [client.hear_close(), upstream.hear_close()] {
            assert_eq!(code, (Some(1001), String::new()));
        }
        client.send_close(1001, "");
        upstream.send_close(1001, "");
        hear_all(&mut silent);
        assert_eq!(scene.ended().0, Ok(()));
        let stats = scene.stats();
        assert_eq!((stats.completed, stats.failed, stats.refused), (1, 1, 1), "{policy:?}");
    });
}

#[test]
fn a_server_that_demands_certificates_of_clients_without_tls_does_not_run() {
    let config = config(Policy::Serial, |config| {
        config.client_ca(local().chain.as_bytes()).unwrap();
    });
    let server = Server::new(config).unwrap();
    server.listen("127.0.0.1:0").unwrap();
    let error = server.run(|_, _| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.message().contains("client_certificate is not set"), "{error}");
}
