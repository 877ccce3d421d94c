//! Mended: whoever does not have certificates checked is told, once per worker.

use super::authority::local;
use super::conf::Conf;
use super::nginx::Nginx;
use super::scene::handler;
use super::stream::{self, Tls, BOTH};
use super::support::http::{self, good_answer};
use super::support::peer::{request, Listener};
use std::io::{Read, Write};

/// So many sessions with an upstream that speaks TLS; what nginx's Lua warns of.
fn warnings(connect: &str, sessions: usize) -> Vec<String> {
    let listener = Listener::bind();
    let url = format!("wss://{}/", listener.addr());
    let mut conf = Conf::running(&handler("", connect).replace("@URL@", &url));
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    authority.write_all(super::authority::trusted().pem.as_bytes()).unwrap();
    conf.http = format!("lua_ssl_trusted_certificate {};", authority.path().display());
    let nginx = Nginx::start(&conf);
    for done in 1..=sessions {
        let mut client = http::connect(nginx.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let config = stream::server(BOTH, local(), None);
        let mut tls = Tls::accept(listener.accept_tcp(), config).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let answer = good_answer(&String::from_utf8(head).unwrap(), "");
        tls.write_all(answer.as_bytes()).unwrap();
        super::support::peer::read_head(&mut client);
        tls.finish(true);
        drop((client, tls));
        nginx.first_reports("execute", done);
    }
    nginx.said(&["warn"])
}

#[test]
fn an_unverified_certificate_is_warned_of_once() {
    let warnings = warnings("nil", 3);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("ssl_verify"), "{warnings:?}");
}

#[test]
fn a_verified_certificate_is_nothing_to_warn_of() {
    let none = warnings("{ ssl_verify = true, server_name = 'localhost' }", 2);
    assert_eq!(none, [""; 0]);
}
