//! Peers that go away while they are written to. No signal may be raised: in a C host SIGPIPE is the end.

use std::thread;
use std::time::Duration;

use wsproxy::Side;

use super::guard::{settle, threads, watched};
use super::support::host::{config, pass, session};
use super::support::offence::{in_order, legal};
use super::support::peer::BINARY;
use super::support::POLICIES;

/// SIGPIPE, in the words of `/proc`.
const SIGPIPE: u64 = 1 << 12;

/// A write that waits when the reset comes finds it said already by the read, as EPIPE: that is what raises SIGPIPE.
/// Which of the two is first is chance, so there are several rounds.
#[test]
fn a_peer_that_resets_while_it_is_written_to_ends_its_session_and_raises_no_signal() {
    watched(|| {
        for (policy, from) in POLICIES.iter().flat_map(|&p| Side::BOTH.map(|side| (p, side))) {
            for _ in 0..6 {
                let config = config(policy, |config| {
                    config.close_timeout(Duration::from_secs(5)).unwrap();
                });
                let (client, upstream, host) = session(config, pass);
                let (mut sender, other) = in_order(from, client, upstream);
                let mut writer = sender.stream.try_clone().unwrap();
                let chunk = legal(from, true, BINARY, &[7; 60_000]);
                let writing = thread::spawn(move || {
                    use std::io::Write;
                    (0..500).all(|_| writer.write_all(&chunk).is_ok())
                });
                thread::sleep(Duration::from_millis(100)); // the session's write waits by now
                other.reset();
                let lost = if from == Side::Client { 1011 } else { 1001 };
                assert_eq!(sender.hear_close().0, Some(lost), "{policy:?} {from:?}");
                // The library's threads block all signals: one that was raised is still pending.
                no_sigpipe();
                let _ = writing.join(); // it may be cut off
                no_sigpipe();
                drop(sender);
                assert!(host.outcome().is_err(), "{policy:?} {from:?}");
            }
        }
    });
}

fn no_sigpipe() {
    for (name, pending) in threads() {
        assert_eq!(pending & SIGPIPE, 0, "SIGPIPE was raised in {name}");
    }
}

#[test]
fn a_peer_that_vanishes_in_the_middle_of_a_frame_leaves_no_half_frame_behind() {
    watched(|| {
        for (policy, from) in POLICIES.iter().flat_map(|&p| Side::BOTH.map(|side| (p, side))) {
            let (client, upstream, host) = session(config(policy, |_| {}), pass);
            let (mut gone, mut other) = in_order(from, client, upstream);
            let whole = legal(from, true, BINARY, &[7; 50_000]);
            gone.send_bytes(&whole[..20_000]);
            thread::sleep(Duration::from_millis(20));
            drop(gone);
            let lost = if from == Side::Client { 1001 } else { 1011 };
            assert_eq!(
                other.hear_close().0,
                Some(lost),
                "{policy:?} {from:?}: the close, not a piece"
            );
            drop(other);
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn two_peers_that_vanish_at_once_end_the_session() {
    watched(|| {
        for policy in POLICIES {
            for _ in 0..20 {
                let (client, upstream, host) = session(config(policy, |_| {}), pass);
                let leaving = thread::spawn(move || client.reset());
                upstream.reset();
                leaving.join().unwrap();
                assert!(host.outcome().is_err(), "{policy:?}");
            }
        }
    });
}

#[test]
fn a_session_that_ended_keeps_no_thread_even_while_its_handle_lives() {
    watched(|| {
        let mut hosts = Vec::new();
        for policy in POLICIES {
            let (client, upstream, host) = session(config(policy, |_| {}), pass);
            drop((client, upstream));
            assert!(host.outcome().is_err());
            hosts.push(host);
        }
        let left = || threads().into_iter().any(|(name, _)| name.starts_with("wsproxy"));
        settle(|| !left(), || format!("{:?}", threads()));
    });
}
