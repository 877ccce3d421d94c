//! `resty.wsproxy`: what `http_status` tells to answer a client with whose handshake has failed.

use super::conf::Conf;
use super::scene::Scene;
use super::support::http::{ask, status};
use super::support::peer::request;

/// A handler that connects, with `tls` before the upstream's name, and answers with the status of the failure.
fn scene(tls: &str) -> Scene {
    Scene::with(Conf::running(&format!(
        r#"
            local proxy = require "resty.wsproxy".new({{ connect_timeout = 200 }})
            local url = ("@URL@"):gsub("^ws", "{tls}")
            local ok, err = proxy:connect(url)
            report("connect", ok, err)
            ngx.exit(proxy:http_status())
        "#
    )))
}

#[test]
fn an_upstream_that_says_nothing_is_a_504_with_tls_and_without() {
    for tls in ["ws", "wss"] {
        let scene = scene(tls);
        for _ in 0..5 {
            let answer = ask(scene.nginx.addr, request("/", "").as_bytes());
            assert_eq!(status(&answer), 504, "{tls}: {answer}");
        }
    }
}

#[test]
fn nobody_is_dialled_for_a_request_that_is_none() {
    let scene = scene("ws");
    let request = request("/", "").replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x");
    let answer = ask(scene.nginx.addr, request.as_bytes());
    assert_eq!(status(&answer), 400, "{answer}");
    scene.listener.0.set_nonblocking(true).unwrap();
    assert!(scene.listener.0.accept().is_err(), "{}", scene.nginx.report("connect"));
}
