//! How connections under TLS end: with a close_notify (RFC 8446 section 6.1), without, in the middle, after the closes.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use wsproxy::{ErrorKind, Fault, Side, Verdict};

use super::authority::local;
use super::scene::{config, part, read_head, session, url, EVERY, UPSTREAM};
use super::stream::{server, Tls, BOTH};
use super::support::host::{pass, Host};
use super::support::http::connect as connect_tcp;
use super::support::offence::PROMPT;
use super::support::on_every_policy;
use super::support::peer::{request, Listener, BINARY};

fn fault(side: Side) -> Fault {
    match side {
        Side::Client => Fault::Client,
        Side::Upstream => Fault::Upstream,
    }
}

/// `side` ends its connection in the middle of a session; what the session ends with.
fn leaves(policy: wsproxy::Policy, side: Side, how: fn(&Tls)) -> wsproxy::Error {
    let (client, upstream, host) = session(EVERY, config(EVERY, policy, |_| {}), pass);
    let (mut leaver, mut other, told) = match side {
        Side::Client => (client, upstream, 1001),
        Side::Upstream => (upstream, client, 1011),
    };
    leaver.send(true, BINARY, b"the last");
    let started = Instant::now();
    how(leaver.stream.tls());
    other.expect(true, BINARY, b"the last");
    assert_eq!(other.hear_close(), (Some(told), String::new()), "{policy:?} {side:?}");
    drop(other);
    let error = host.outcome().unwrap_err();
    assert!(started.elapsed() < PROMPT, "{policy:?} {side:?}: {:?}", started.elapsed());
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, fault(side)), "{error}");
    error
}

#[test]
fn an_end_without_a_close_notify_is_told_from_one_with_it() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let error = leaves(policy, side, Tls::end_tcp);
            assert!(error.message().contains("without a close_notify"), "{error}");
            for and_tcp in [|tls: &Tls| tls.finish(true), |tls: &Tls| tls.finish(false)] {
                let error = leaves(policy, side, and_tcp);
                assert!(!error.message().contains("close_notify"), "{error}");
                assert!(error.message().contains("closed the connection"), "{error}");
            }
        }
    });
}

#[test]
fn bytes_that_are_not_tls_in_the_middle_of_a_session_end_it_with_words() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let error = leaves(policy, side, |tls| {
                let record = [&[0x17, 3, 3, 0, 32][..], &[0xEE; 32]].concat();
                tls.tcp().try_clone().unwrap().write_all(&record).unwrap();
            });
            assert!(error.message().contains("broke the TLS protocol"), "{error}");
        }
    });
}

#[test]
fn an_end_without_a_close_notify_after_the_closes_is_no_error() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        upstream.send_close(1000, "");
        assert_eq!(client.hear_close().0, Some(1000));
        client.send_close(1000, "");
        client.stream.tls().end_tcp();
        assert_eq!(upstream.hear_close().0, Some(1000));
        upstream.stream.tls().end_tcp();
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        client.hear_end(); // with a close_notify, or this would be an error
        upstream.hear_end();
    });
}

#[test]
fn a_session_that_ends_in_order_takes_no_time() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        let started = Instant::now();
        part(&mut client, &mut upstream, &host);
        upstream.hear_end();
        assert!(started.elapsed() < PROMPT, "{policy:?}: {:?}", started.elapsed());
    });
}

#[test]
fn a_refusal_whose_body_ends_without_a_close_notify_is_relayed() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(UPSTREAM, policy, |_| {}), &url(&listener), pass);
        let mut client = connect_tcp(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let mut upstream = Tls::accept(listener.accept_tcp(), server(BOTH, local(), None)).unwrap();
        read_head(&mut upstream);
        let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nyou again";
        upstream.write_all(refusal.as_bytes()).unwrap();
        upstream.end_tcp();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert!(
            heard.starts_with("HTTP/1.1 403 ") && heard.ends_with("\r\n\r\nyou again"),
            "{heard}"
        );
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Refused);
    });
}

#[test]
fn a_refused_client_under_tls_reads_its_answer_to_the_end() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let legs = super::scene::CLIENT;
        let host = Host::start(config(legs, policy, |_| {}), &listener.url(), pass);
        let tcp = connect_tcp(host.addr);
        let mut client = Tls::connect_trusting(tcp).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap(); // an error without a close_notify
        assert!(heard.starts_with("HTTP/1.1 4"), "{heard}");
        drop(client);
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request);
    });
}

#[test]
fn a_side_that_vanishes_is_noticed_under_tls_too() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let error = leaves(policy, side, |tls| {
                // Not at once: a reset would overtake the frame.
                std::thread::sleep(Duration::from_millis(100));
                let socket = socket2::SockRef::from(tls.tcp());
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                socket.shutdown(std::net::Shutdown::Both).unwrap();
            });
            assert!(error.message().contains("lost"), "{error}");
        }
    });
}

#[test]
fn a_client_that_ends_its_half_with_its_close_loses_nothing_of_what_is_on_its_way() {
    const LONG_TAIL: usize = 12 << 20;
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(EVERY, config(EVERY, policy, |_| {}), pass);
        let tail = std::thread::spawn(move || {
            upstream.hear_close();
            let some = vec![7; 1 << 20];
            (0..LONG_TAIL >> 20).for_each(|_| upstream.send(true, BINARY, &some));
            upstream.send_close(1000, "");
            upstream.stream.tls().finish(true);
            upstream
        });
        client.send_close(1000, "");
        std::thread::sleep(Duration::from_millis(50));
        client.stream.tls().finish(false); // a close_notify behind the close frame
        std::thread::sleep(Duration::from_millis(300));
        for _ in 0..LONG_TAIL >> 20 {
            client.expect(true, BINARY, &vec![7; 1 << 20]);
            std::thread::sleep(Duration::from_millis(60));
        }
        assert_eq!(client.hear_close().0, Some(1000), "{policy:?}");
        drop(tail.join().unwrap());
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    });
}
