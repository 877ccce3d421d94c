//! Defects 11 to 14: how a session ends.

use std::time::{Duration, Instant};

use wsproxy::{ErrorKind, Side};

use super::support::host::{config, pass, session};
use super::support::offence::{in_order, is_closed, legal, PROMPT};
use super::support::peer::{CLOSE, TEXT};
use super::support::POLICIES;

/// Defect 11: both sides got a bare EOF, and an upstream at fault only after 5 s.
#[test]
fn protocol_errors_are_answered_with_their_code_at_once() {
    for from in Side::BOTH {
        let mut reserved = legal(from, true, TEXT, b"");
        reserved[0] |= 0x40;
        is_closed(from, &reserved, 1002, |_| {});
        is_closed(from, &legal(from, true, TEXT, b"\xc0\x80"), 1007, |_| {});
    }
}

/// Defect 12: TCP stayed open after both closes, and data after a close still passed.
#[test]
fn both_closes_end_the_connections_and_nothing_passes_after_a_close() {
    for policy in POLICIES {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        let late = [
            legal(Side::Client, true, CLOSE, b"\x03\xe8"),
            legal(Side::Client, true, TEXT, b"late"),
        ];
        client.send_bytes(&late.concat());
        assert_eq!(upstream.hear_close().0, Some(1000), "{policy:?}");
        upstream.hear_nothing_for(Duration::from_millis(100));
        upstream.send_text("before the answer");
        assert_eq!(client.hear_text(), "before the answer", "{policy:?}");
        let late = [
            legal(Side::Upstream, true, CLOSE, b"\x03\xe8"),
            legal(Side::Upstream, true, TEXT, b"late"),
        ];
        upstream.send_bytes(&late.concat());
        assert_eq!(client.hear_close().0, Some(1000), "{policy:?}");
        client.hear_end();
        upstream.shutdown();
        upstream.hear_end();
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    }
}

/// Defect 13: whoever was left behind got a bare EOF.
#[test]
fn a_dead_upstream_is_1011_for_the_client_and_a_dead_client_1001_for_the_upstream() {
    for policy in POLICIES {
        for (from, code) in [(Side::Client, 1001), (Side::Upstream, 1011)] {
            for crashes in [true, false] {
                let (client, upstream, host) = session(config(policy, |_| {}), pass);
                let (dead, mut other) = in_order(from, client, upstream);
                let started = Instant::now();
                if crashes {
                    dead.reset();
                } else {
                    drop(dead);
                }
                assert_eq!(other.hear_close().0, Some(code), "{policy:?} {from:?} {crashes}");
                assert!(started.elapsed() < PROMPT);
                drop(other);
                assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
            }
        }
    }
}

/// Defect 14: codes over 0x7fff were swallowed with the session left open; 1005, 1006 and 1015 were forwarded.
#[test]
fn legal_codes_cross_and_others_end_the_session_with_1002() {
    for policy in POLICIES {
        for from in Side::BOTH {
            for code in [1000, 1001, 1003, 1007, 1014, 3000, 4999] {
                let (client, upstream, host) = session(config(policy, |_| {}), pass);
                let (mut sender, mut other) = in_order(from, client, upstream);
                sender.send_close(code, "why");
                assert_eq!(other.hear_close(), (Some(code), "why".into()), "{policy:?} {from:?}");
                other.send_close(code, "");
                assert_eq!(sender.hear_close().0, Some(code));
                drop((sender, other));
                assert_eq!(host.outcome(), Ok(()));
            }
        }
    }
    for from in Side::BOTH {
        for code in [999_u16, 1005, 1006, 1015, 2999, 5000, 0x7FFF, 0x8000, 0xFFFF] {
            is_closed(from, &legal(from, true, CLOSE, &code.to_be_bytes()), 1002, |_| {});
        }
        is_closed(from, &legal(from, true, CLOSE, b"\x03\xe8\xff"), 1007, |_| {});
    }
}
