//! Connections that are opened and aborted at every stage of the handshake: nothing may be left of any of them.
//! CVE-2024-23672 (Tomcat). 2,400 of them; as many as `WSPROXY_TEST_CHURN` says, where it is set.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use wsproxy::Policy;

use super::crowd::{agree, allow_descriptors, nowhere, reset, upstream, Crowd};
use super::guard::{memory, watched};
use super::support::host::config;
use super::support::http::{connect, hear_all};
use super::support::peer::{read_head, request};
use super::support::POLICIES;

/// How many connections are open at once.
const BATCH: usize = 20;

/// What a client does, given its connection.
type Stage = (&'static str, fn(TcpStream));

const STAGES: [Stage; 12] = [
    ("closes at once", drop),
    ("resets at once", reset),
    ("closes after half a request", |stream| drop(after(stream, &half()))),
    ("resets after half a request", |stream| reset(after(stream, &half()))),
    ("closes while the upstream is asked", |stream| drop(after(stream, &request("/silent", "")))),
    ("resets while the upstream is asked", |stream| reset(after(stream, &request("/silent", "")))),
    ("resets without reading its refusal", |stream| reset(after(stream, "nonsense\r\n\r\n"))),
    ("hears a refusal", |stream| heard(after(stream, &request("/refused", "")))),
    ("asks an upstream that resets", |stream| heard(after(stream, &request("/reset", "")))),
    ("has an upstream that leaves after its 101", |stream| {
        heard(after(stream, &request("/left", "")))
    }),
    ("closes when it is through", |stream| drop(through(stream))),
    ("resets when it is through", |stream| reset(through(stream))),
];

fn half() -> String {
    request("/", "").split_at(70).0.to_owned()
}

fn after(mut stream: TcpStream, bytes: &str) -> TcpStream {
    let _ = stream.write_all(bytes.as_bytes()); // whoever hears it may be gone
    stream
}

fn heard(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    hear_all(&mut stream);
}

fn through(stream: TcpStream) -> TcpStream {
    let mut stream = after(stream, &request("/open", ""));
    assert!(read_head(&mut stream).contains(" 101 "));
    after(stream, "\u{1}") // half a frame
}

/// Does what the path of the request says.
fn fickle() -> Crowd {
    upstream(|mut stream, head| match head.split(' ').nth(1) {
        Some("/refused") => {
            let _ = stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
        }
        Some("/reset") => reset(stream),
        Some("/left") => agree(&mut stream, &head),
        Some("/open") => {
            agree(&mut stream, &head);
            let _ = stream.read(&mut [0]); // the close frame; no answer, the end
        }
        _ => {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    })
}

#[test]
fn connections_aborted_at_every_stage_leave_nothing() {
    let count: usize =
        std::env::var("WSPROXY_TEST_CHURN").ok().and_then(|n| n.parse().ok()).unwrap_or(2_400);
    println!("{count} connections");
    let rounds = count.div_ceil(BATCH * STAGES.len() * POLICIES.len());
    watched(move || {
        allow_descriptors(2_000);
        let upstream = fickle();
        let url = format!("ws://{}", upstream.addr);
        // As much as the first of each stage need for good.
        POLICIES.iter().for_each(|&policy| churn(policy, &url));
        let before = memory("VmRSS");
        for _ in 1..rounds.max(2) {
            POLICIES.iter().for_each(|&policy| churn(policy, &url));
        }
        let grown = memory("VmRSS").saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more after {count} connections");
    });
}

fn churn(policy: Policy, url: &str) {
    let crowd = Crowd::start(config(policy, |_| {}), url);
    for (name, stage) in STAGES {
        for _ in 0..BATCH {
            stage(connect(crowd.addr));
        }
        for _ in 0..BATCH {
            assert!(crowd.outcome().is_err(), "a client that {name}");
        }
    }
}

#[test]
fn upstreams_that_are_not_there_leave_nothing() {
    watched(|| {
        for url in [nowhere(), "ws://wsproxy.invalid".into(), "ws://localhost:1".into()] {
            let config = config(Policy::Serial, |config| {
                config.connect_timeout(Duration::from_secs(2)).unwrap();
            });
            let crowd = Crowd::start(config, &url);
            for _ in 0..20 {
                drop(after(connect(crowd.addr), &request("/", "")));
            }
            (0..20).for_each(|_| assert!(crowd.outcome().is_err(), "{url}"));
        }
    });
}
