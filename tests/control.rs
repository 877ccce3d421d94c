//! What other threads, and the hook itself, may ask of a session: to stop at any time, and its counters.

mod support;

use std::sync::mpsc::channel;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use support::host::{config, meet, pass, session, session_with, Host};
use support::http;
use support::peer::{request, Listener, CONTINUATION, PING, TEXT};
use support::{on_every_policy, wait_until, LONG};
use wsproxy::{Client, ErrorKind, Fault, Frame, Policy, Proxy, Side, Verdict};

const SIDES: [Side; 2] = Side::BOTH;

#[test]
fn stop_from_another_thread_closes_both_sides_in_an_orderly_way() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        host.proxy.stop(4001, "maintenance").unwrap();
        for peer in [&mut client, &mut upstream] {
            assert_eq!(peer.hear_close(), (Some(4001), "maintenance".into()));
        }
        upstream.send_text("too late for this");
        for peer in [&mut client, &mut upstream] {
            peer.send_close(1000, "");
        }
        client.hear_end();
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn stop_ends_a_session_whose_peers_do_not_answer_within_the_close_timeout() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.close_timeout(Duration::from_millis(200)).unwrap();
        });
        let (mut client, mut upstream, host) = session(config, pass);
        host.proxy.stop(1001, "").unwrap();
        assert_eq!(host.outcome(), Ok(()));
        for peer in [&mut client, &mut upstream] {
            assert_eq!(peer.hear_close(), (Some(1001), String::new()));
            peer.hear_end();
        }
    });
}

#[test]
fn stop_from_inside_the_hook_closes_both_sides_and_at_most_its_frame_goes_before() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (client, upstream, host) = session_with(config(policy, |_| {}), |proxy, frame| {
                if frame.payload() == b"stop" {
                    proxy.stop(4002, "by the hook").unwrap();
                }
                Verdict::Forward
            });
            let (mut from, mut to) = support::offence::in_order(side, client, upstream);
            from.send_text("stop");
            let mut heard = to.hear();
            if heard.opcode == 1 {
                assert_eq!(heard.payload, b"stop"); // not promised, see Proxy::stop
                heard = to.hear();
            }
            assert_eq!(heard.close(), (Some(4002), "by the hook".into()));
            assert_eq!(from.hear_close(), (Some(4002), "by the hook".into()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn a_frame_that_was_ready_does_not_follow_the_close_of_a_stop_that_overtook_it() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (told, is_told) = channel();
            let is_told = Mutex::new(is_told);
            let hook = move |proxy: &Proxy, frame: &mut Frame<'_>| {
                if frame.payload() == b"second" {
                    proxy.stop(4001, "").unwrap();
                    if policy != Policy::Caller {
                        is_told.lock().unwrap().recv_timeout(LONG).unwrap();
                    }
                }
                Verdict::Forward
            };
            let (client, upstream, host) = session_with(config(policy, |_| {}), hook);
            let (mut from, mut to) = support::offence::in_order(side, client, upstream);
            from.send_bytes(
                &[from.frame(true, TEXT, b"first"), from.frame(true, TEXT, b"second")].concat(),
            );
            let heard = std::iter::repeat_with(|| to.hear()).find(|heard| heard.opcode != TEXT);
            assert_eq!(heard.unwrap().close(), (Some(4001), String::new()));
            told.send(()).unwrap();
            assert_eq!(from.hear_close(), (Some(4001), String::new()));
            for peer in [&mut from, &mut to] {
                peer.send_close(4001, "");
                peer.shutdown();
            }
            to.hear_end();
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn only_the_first_stop_counts_and_one_after_the_end_does_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        assert_eq!(
            host.proxy.stop(1000, &"r".repeat(124)).unwrap_err().kind(),
            ErrorKind::Argument
        );
        host.proxy.stop(4001, "first").unwrap();
        host.proxy.stop(4002, "second").unwrap();
        assert_eq!(client.hear_close(), (Some(4001), "first".into()));
        assert_eq!(upstream.hear_close(), (Some(4001), "first".into()));
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(host.proxy.stop(4003, "late"), Ok(()));
    });
}

/// Stops a handshake once `reached` says that it is where it should be; the client is answered 503.
fn stops_while(client: &str, reached: impl Fn(&Listener) -> Box<dyn std::any::Any>) {
    on_every_policy_in_turn(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let mut stream = http::connect(host.addr);
        std::io::Write::write_all(&mut stream, client.as_bytes()).unwrap();
        let _held = reached(&listener);
        let started = Instant::now();
        host.proxy.stop(1001, "").unwrap();
        assert_eq!(http::status(&http::hear_all(&mut stream)), 503);
        drop(stream);
        let error = host.outcome().unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Stopped, Fault::Host));
        assert_eq!(host.proxy.refusal_status(), Some(503));
        assert!(started.elapsed() < Duration::from_secs(5));
    });
}

fn on_every_policy_in_turn(test: impl Fn(wsproxy::Policy)) {
    support::POLICIES.into_iter().for_each(test);
}

#[test]
fn stop_ends_a_handshake_whose_upstream_hangs() {
    stops_while(&request("/", ""), |listener| Box::new(http::asked(listener)));
}

#[test]
fn stop_ends_a_handshake_whose_client_trickles_its_request() {
    let half = &request("/", "")[..40];
    stops_while(half, |_| {
        std::thread::sleep(Duration::from_millis(50)); // no event says that half a request was read
        Box::new(())
    });
}

#[test]
fn a_session_stopped_before_connect_connects_to_nobody() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.stop(1001, "")?;
            proxy.connect(Client::new(client), &url)
        });
        assert_eq!(http::status(&http::ask(host.addr, request("/", "").as_bytes())), 503);
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Stopped);
        http::nobody_called(&listener);
    });
}

#[test]
fn a_session_stopped_between_connect_and_execute_tells_both_sides() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            proxy.stop(4001, "changed my mind")?;
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        assert_eq!(client.hear_close(), (Some(4001), "changed my mind".into()));
        assert_eq!(upstream.hear_close(), (Some(4001), "changed my mind".into()));
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn stats_can_be_read_while_the_session_runs() {
    on_every_policy(|policy| {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let (mut client, mut upstream, host) = session_with(config(policy, |_| {}), move |p, _| {
            tell.lock().unwrap().send(p.stats()).unwrap(); // from inside the hook too
            Verdict::Forward
        });
        client.send(false, TEXT, b"four");
        client.send(true, CONTINUATION, b"fives");
        upstream.send(true, PING, b"six...");
        wait_until("all are counted", || {
            let stats = host.stats();
            let sum = |counters: [u64; 6]| counters.iter().sum::<u64>();
            sum(stats.client.frames) == 2
                && sum(stats.client.bytes) == 9
                && sum(stats.upstream.frames) == 1
                && sum(stats.upstream.bytes) == 6
        });
        assert!(told.recv_timeout(LONG).is_ok());
        assert!(!host.has_ended());
        drop((client, upstream));
    });
}
