//! Abort: the end that waits for nobody, on every driver.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, meet, pass, session, session_from, Host};
use support::http;
use support::peer::{request, Listener, Peer, BINARY, CLOSE, TEXT};
use support::{on_every_policy, wait_until};
use wsproxy::{Client, ErrorKind, Fault, Side, Verdict};

/// Far under the close timeout of 10 s, which a stop would wait for.
const QUICK: Duration = Duration::from_secs(2);

fn abort(host: &Host) {
    let started = Instant::now();
    host.proxy.abort();
    assert_eq!(host.outcome(), Ok(()));
    assert!(started.elapsed() < QUICK, "took {:?}", started.elapsed());
}

/// Wakes whoever still writes to a connection that the other end has closed.
fn hang_up(peer: &Peer) {
    let _ = peer.stream.shutdown(Shutdown::Both); // it may be gone
}

#[test]
fn peers_that_answer_nothing_are_told_and_not_waited_for() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        support::host::talk(&mut client, &mut upstream);
        abort(&host);
        for peer in [&mut client, &mut upstream] {
            assert_eq!(peer.hear_close(), (Some(1001), String::new()), "{policy:?}");
            peer.hear_end();
        }
    });
}

#[test]
fn peers_that_read_nothing_do_not_hold_up_an_abort() {
    on_every_policy(|policy| {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let (client, upstream, host) = session(config(policy, |_| {}), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Verdict::Forward
        });
        let floods = [client.twin(), upstream.twin()].map(|mut peer| {
            thread::spawn(move || {
                let bytes = peer.frame(true, BINARY, &[7; 60_000]);
                while peer.try_send_bytes(&bytes).is_ok() {}
            })
        });
        let mut before = 0;
        wait_until("all buffers are full", || {
            thread::sleep(Duration::from_millis(100));
            let now = seen.load(Ordering::SeqCst);
            now > 0 && std::mem::replace(&mut before, now) == now
        });
        abort(&host);
        [client, upstream].iter().for_each(hang_up);
        floods.into_iter().for_each(|flood| flood.join().unwrap());
    });
}

#[test]
fn a_message_that_is_kept_open_for_ever_is_cut_off() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"a");
            to.expect(false, TEXT, b"a");
            host.proxy.drain(4001, "please").unwrap();
            to.hear_nothing_for(Duration::from_millis(50));
            assert!(!host.has_ended());
            abort(&host);
            for peer in [&mut from, &mut to] {
                assert_eq!(peer.hear_close(), (Some(4001), "please".into()));
                peer.hear_end();
            }
        }
    });
}

#[test]
fn a_closing_handshake_under_way_is_cut_short() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        host.proxy.stop(4001, "").unwrap();
        assert_eq!(client.hear_close(), (Some(4001), String::new()));
        assert_eq!(upstream.hear_close(), (Some(4001), String::new()));
        abort(&host);
        client.hear_end();
        upstream.hear_end();

        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send_close(4002, "");
        assert_eq!(upstream.hear_close(), (Some(4002), String::new()));
        abort(&host);
        upstream.hear_end();
    });
}

#[test]
fn an_abort_under_load_ends_the_session() {
    on_every_policy(|policy| {
        for round in 0..5 {
            let (client, upstream, host) = session(config(policy, |_| {}), pass);
            let peers = [client, upstream].map(|mut peer| {
                let mut sends = peer.twin();
                let sending = thread::spawn(move || {
                    let bytes = sends.frame(true, BINARY, &[7; 700]);
                    while sends.try_send_bytes(&bytes).is_ok() {}
                });
                thread::spawn(move || {
                    let mut some = vec![0; 64 << 10];
                    while peer.stream.read(&mut some).is_ok_and(|count| count > 0) {}
                    hang_up(&peer);
                    sending.join().unwrap();
                })
            });
            thread::sleep(Duration::from_millis(3 + 11 * round));
            abort(&host);
            peers.into_iter().for_each(|peer| peer.join().unwrap());
        }
    });
}

#[test]
fn an_abort_from_inside_the_hook_ends_the_session_when_the_hook_returns() {
    on_every_policy(|policy| {
        let (mut client, _upstream, host) =
            support::host::session_with(config(policy, |_| {}), |proxy, _| {
                proxy.abort();
                Verdict::Forward
            });
        let started = Instant::now();
        client.send_text("x");
        assert_eq!(host.outcome(), Ok(()));
        assert!(started.elapsed() < QUICK);
    });
}

#[test]
fn an_abort_between_connect_and_execute_tells_both_sides() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            proxy.abort();
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        for peer in [&mut client, &mut upstream] {
            assert_eq!(peer.hear().opcode, CLOSE);
            peer.hear_end();
        }
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn an_abort_ends_a_handshake_whose_upstream_hangs() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let mut stream = http::connect(host.addr);
        stream.write_all(request("/", "").as_bytes()).unwrap();
        let _held = http::asked(&listener);
        let started = Instant::now();
        host.proxy.abort();
        assert_eq!(http::status(&http::hear_all(&mut stream)), 503);
        let error = host.outcome().unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Stopped, Fault::Host));
        assert!(started.elapsed() < QUICK);
    });
}

#[test]
fn an_abort_does_not_wait_for_a_refused_client_to_go_away() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let mut stream = http::connect(host.addr);
        stream.write_all(request("/", "").as_bytes()).unwrap();
        let _held = http::asked(&listener);
        host.proxy.stop(1001, "").unwrap();
        // The answer is whole, and the client stays: a second is what it would be given.
        let started = Instant::now();
        assert_eq!(http::status(&http::hear_all(&mut stream)), 503);
        host.proxy.abort();
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Stopped);
        assert!(started.elapsed() < Duration::from_millis(700), "{:?}", started.elapsed());
    });
}
