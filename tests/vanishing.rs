//! Sides that go away without the closing handshake, on every driver: the other one hears of it at once.

mod support;

use support::host::{config, pass, session, session_from};
use support::on_every_policy;
use support::peer::{Peer, TEXT};
use wsproxy::{ErrorKind, Fault, Side};

/// What the other side hears when this one is lost.
fn lost(side: Side) -> (Option<u16>, String) {
    let code = match side {
        Side::Client => 1001,
        Side::Upstream => 1011,
    };
    (Some(code), String::new())
}

fn fault(side: Side) -> Fault {
    match side {
        Side::Client => Fault::Client,
        Side::Upstream => Fault::Upstream,
    }
}

/// Answers the close that came, and lets the connection go.
fn answer_close(mut peer: Peer) {
    peer.send_close(1000, "");
    drop(peer);
}

#[test]
fn a_vanished_upstream_is_1011_for_the_client_and_a_vanished_client_1001_for_the_upstream() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (gone, mut left, host) = session_from(side, config(policy, |_| {}), pass);
            drop(gone);
            assert_eq!(left.hear_close(), lost(side));
            answer_close(left);
            let error = host.outcome().unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, fault(side)));
            assert_eq!(error.message(), "closed the connection without a close frame");
        }
    });
}

#[test]
fn a_reset_is_told_to_the_other_side_and_named_in_the_error() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (gone, mut left, host) = session_from(side, config(policy, |_| {}), pass);
            gone.reset();
            assert_eq!(left.hear_close(), lost(side));
            answer_close(left);
            let error = host.outcome().unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, fault(side)));
            assert!(error.message().starts_with("lost ("), "{error}");
        }
    });
}

#[test]
fn an_end_inside_a_frame_is_no_clean_end() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut gone, mut left, host) = session_from(side, config(policy, |_| {}), pass);
            let whole = gone.frame(true, TEXT, b"only half of this");
            gone.send_bytes(&whole[..whole.len() - 5]);
            drop(gone);
            assert_eq!(left.hear_close(), lost(side));
            answer_close(left);
            let error = host.outcome().unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, fault(side)));
            assert_eq!(error.message(), "closed the connection in the middle of a frame");
        }
    });
}

#[test]
fn a_peer_that_only_stops_sending_without_a_close_is_gone_too() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut gone, mut left, host) = session_from(side, config(policy, |_| {}), pass);
            gone.shutdown();
            assert_eq!(left.hear_close(), lost(side));
            answer_close(left);
            gone.hear_end();
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
        }
    });
}

#[test]
fn a_client_that_closes_and_then_vanishes_holds_up_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send_close(1000, "");
        upstream.hear_close();
        client.reset();
        for _ in 0..20 {
            upstream.send_text("to nobody"); // some of it meets a broken connection
        }
        upstream.send_close(1000, "");
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn two_sides_that_vanish_at_once_are_no_orderly_end() {
    on_every_policy(|policy| {
        for _ in 0..50 {
            let (client, upstream, host) = session(config(policy, |_| {}), pass);
            drop((client, upstream));
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
        }
    });
}
