//! Clients that the host turns away: its handshake hook, `stop`, the limit of its server.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wsproxy::{Admission, Client, Config, Handshake, Policy, Server};

use super::support::host::{config, Host};
use super::support::http;
use super::support::peer::{read_head, request, Listener};
use super::support::wait_until;
use super::table::{row, Row};

const BODY: &str = "the hook's own words\n";

type Hook = fn(&mut Handshake<'_>) -> Admission;

/// A client whose host has this hook: with its request unread, read by the host, and answered before the upstream.
fn hook_is(row: Row, hook: Hook) {
    for way in 0..3 {
        let listener = Listener::bind();
        let url = listener.url();
        let host =
            Host::serve(config(Policy::Serial, |_| {}), move |proxy, mut client| match way {
                0 => proxy.connect_with(Client::new(client), &url, hook),
                1 => {
                    let head = read_head(&mut client).into_bytes();
                    proxy.connect_with(Client::new(client).with_head(head), &url, hook)
                }
                _ => proxy.connect_client_with(Client::new(client), hook),
            });
        let answer = http::ask(host.addr, request("/", "").as_bytes());
        row.is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
        row.is_answered_by(&answer, BODY);
        assert!(!answer.contains("s3cr3t"), "the client is not told why: {answer}");
        http::nobody_called(&listener);
    }
}

#[test]
fn a_refusal_of_the_hooks_is_what_it_said() {
    hook_is(row!(), |handshake| {
        handshake.add_answer_header("WWW-Authenticate", b"Basic realm=\"x\"").unwrap();
        Admission::refuse(401, BODY).unwrap()
    });
}

#[test]
fn a_redirect_of_the_hooks_is_what_it_said() {
    hook_is(row!(), |handshake| {
        handshake.add_answer_header("Location", b"/login").unwrap();
        Admission::refuse(302, "").unwrap()
    });
}

#[test]
fn a_handshake_hook_that_panics_is_a_500() {
    hook_is(row!(), |handshake| {
        handshake.add_answer_header("X-Half", b"s3cr3t").unwrap();
        panic!("s3cr3t words of a test's");
    });
}

#[test]
fn a_handshake_hook_that_fails_is_a_500() {
    hook_is(row!(), |_| Admission::Failed("s3cr3t: no database".into()));
}

#[test]
fn a_refusal_with_200_is_a_failed_hook() {
    hook_is(row!(), |_| Admission::Refuse { status: 200, body: b"fine".to_vec() });
}

#[test]
fn stop_while_the_request_is_awaited_is_a_503() {
    let row = row!();
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect(Client::new(client), &url)
    });
    let mut client = http::connect(host.addr);
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    thread::sleep(Duration::from_millis(50)); // it waits by now; if not, the answer is the same
    host.proxy.stop(1001, "").unwrap();
    row.is_answered_by(&http::hear_all(&mut client), "");
    row.is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
    http::nobody_called(&listener);
}

#[test]
fn stop_while_the_upstream_is_asked_is_a_503() {
    let row = row!();
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect(Client::new(client), &url)
    });
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    let (mut upstream, _) = http::asked(&listener);
    host.proxy.stop(1001, "").unwrap();
    row.is_answered_by(&http::hear_all(&mut client), "");
    row.is_told_by(&host.outcome().unwrap_err(), host.proxy.refusal_status());
    assert_eq!(http::hear_all(&mut upstream), "");
}

#[test]
fn a_client_over_the_servers_limit_is_answered_503() {
    let row = row!();
    let server = Server::new(Arc::new(Config::new())).unwrap();
    server.max_connections(1).unwrap();
    let addr = server.listen("127.0.0.1:0").unwrap().parse().unwrap();
    let (upstream, calls) = (Listener::bind(), AtomicUsize::new(0));
    let url = upstream.url();
    thread::scope(|scope| {
        scope.spawn(|| {
            server.run(|proxy, client| {
                calls.fetch_add(1, Ordering::AcqRel);
                proxy.connect(client, &url)
            })
        });
        let _draining = Drains(&server);
        let first = TcpStream::connect(addr).unwrap();
        wait_until("the first is there", || calls.load(Ordering::Acquire) == 1);
        row.is_answered_by(&http::ask(addr, request("/", "").as_bytes()), "");
        wait_until("it is counted", || server.stats().refused == 1);
        assert_eq!(calls.load(Ordering::Acquire), 1, "the session of the first");
        drop(first);
    });
    http::nobody_called(&upstream);
}

/// Ends its server when the test is over, in whatever way.
struct Drains<'a>(&'a Server);

impl Drop for Drains<'_> {
    fn drop(&mut self) {
        self.0.drain(1001, Duration::from_secs(5)).unwrap();
    }
}
