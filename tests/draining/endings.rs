//! Who closes, who vanishes, and what ends a drain.

use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{ErrorKind, Verdict};

use super::support::host::{config, pass, session, session_from, session_with};
use super::support::offence::{in_order, PROMPT};
use super::support::on_every_policy;
use super::support::peer::{CONTINUATION, TEXT};
use super::{both_hear_the_close, drain, A_WHILE, SIDES};

#[test]
fn both_sides_of_an_idle_session_hear_the_close_at_once() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        super::support::host::talk(&mut client, &mut upstream);
        thread::sleep(A_WHILE);
        let started = Instant::now();
        drain(&host);
        both_hear_the_close(client, upstream, &host);
        assert!(started.elapsed() < PROMPT, "{policy:?}: {:?}", started.elapsed());
    });
}

#[test]
fn a_reason_that_is_too_long_is_refused_and_nothing_drains() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        let refused = host.proxy.drain(1001, &"r".repeat(124)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Argument);
        super::support::host::talk(&mut client, &mut upstream);
    });
}

#[test]
fn stop_ends_at_once_what_still_drains_with_its_own_close() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"a");
            to.expect(false, TEXT, b"a");
            drain(&host);
            to.hear_nothing_for(A_WHILE);
            host.proxy.stop(4001, "now").unwrap();
            for peer in [&mut from, &mut to] {
                assert_eq!(peer.hear_close(), (Some(4001), "now".into()));
            }
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn the_first_drain_counts_and_one_after_stop_or_after_the_end_does_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send(false, TEXT, b"a");
        upstream.expect(false, TEXT, b"a");
        host.proxy.drain(4001, "first").unwrap();
        host.proxy.drain(4002, "second").unwrap();
        client.send(true, CONTINUATION, b"b");
        upstream.expect(true, CONTINUATION, b"b");
        assert_eq!(client.hear_close(), (Some(4001), "first".into()));
        assert_eq!(upstream.hear_close(), (Some(4001), "first".into()));
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(host.proxy.drain(4003, "late"), Ok(()));

        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        host.proxy.stop(4001, "stop").unwrap();
        host.proxy.drain(4002, "drain").unwrap();
        assert_eq!(client.hear_close(), (Some(4001), "stop".into()));
        assert_eq!(upstream.hear_close(), (Some(4001), "stop".into()));
    });
}

#[test]
fn a_drain_from_inside_the_hook_lets_the_frame_pass_and_then_closes() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (client, upstream, host) = session_with(config(policy, |_| {}), |proxy, frame| {
                if frame.payload() == b"drain" {
                    proxy.drain(1001, "going down").unwrap();
                }
                Verdict::Forward
            });
            let (mut from, mut to) = in_order(side, client, upstream);
            from.send(false, TEXT, b"drain");
            to.expect(false, TEXT, b"drain");
            to.hear_nothing_for(A_WHILE);
            from.send(true, CONTINUATION, b".");
            to.expect(true, CONTINUATION, b".");
            let (client, upstream) = in_order(side, from, to);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn a_side_that_closes_by_itself_while_held_goes_through_its_own_handshake() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            to.send(false, TEXT, b"begun ");
            from.expect(false, TEXT, b"begun ");
            drain(&host);
            thread::sleep(Duration::from_millis(10));
            from.send_close(4000, "my own");
            assert_eq!(to.hear_close(), (Some(4000), "my own".into()));
            to.send(true, CONTINUATION, b"ended");
            from.expect(true, CONTINUATION, b"ended");
            to.send_close(4004, "its answer");
            assert_eq!(from.hear_close(), (Some(4004), "its answer".into()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn a_side_that_closes_in_mid_message_while_held_goes_through_its_own_handshake() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"begun ");
            to.expect(false, TEXT, b"begun ");
            drain(&host);
            from.send_close(4000, "never mind");
            assert_eq!(to.hear_close(), (Some(4000), "never mind".into()));
            to.send_close(4000, "");
            assert_eq!(from.hear_close(), (Some(4000), String::new()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn a_side_that_vanishes_while_the_session_drains_is_an_error_as_ever() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send(false, TEXT, b"begun ");
        upstream.expect(false, TEXT, b"begun ");
        drain(&host);
        drop(client);
        assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
        drop(upstream);
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
    });
}
