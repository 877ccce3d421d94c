//! Defects 2 and 3: time.

use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{ErrorKind, Side};

use super::support::host::{config, pass, session};
use super::support::offence::{in_order, legal};
use super::support::peer::{Peer, BINARY};
use super::support::POLICIES;

/// Defect 2: a timeout in the middle of a frame lost what had been read, and the stream ran out of step.
#[test]
fn a_frame_that_comes_a_byte_at_a_time_arrives_whole_and_the_next_one_too() {
    let sessions = POLICIES.iter().flat_map(|&policy| Side::BOTH.map(|from| (policy, from)));
    let running: Vec<_> = sessions
        .map(|(policy, from)| {
            thread::spawn(move || {
                let config = config(policy, |config| {
                    config.idle_timeout(Duration::from_millis(1_000));
                    config.write_timeout(Duration::from_millis(200));
                });
                let (client, upstream, host) = session(config, pass);
                let (mut sender, mut other) = in_order(from, client, upstream);
                let (started, payload) = (Instant::now(), [7; 20]);
                for byte in legal(from, true, BINARY, &payload) {
                    sender.send_bytes(&[byte]);
                    thread::sleep(Duration::from_millis(80));
                }
                assert_eq!(other.hear().payload, payload, "{policy:?} {from:?}");
                assert!(
                    started.elapsed() > Duration::from_millis(1_000),
                    "longer than the timeouts"
                );
                sender.send_text("in step");
                assert_eq!(other.hear_text(), "in step", "{policy:?} {from:?}");
                drop((sender, other));
                assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
            })
        })
        .collect();
    running.into_iter().for_each(|session| session.join().unwrap());
}

/// Defect 3: an idle or vanished peer held the session for ever.
#[test]
fn an_idle_session_ends_with_1001_for_both() {
    for policy in POLICIES {
        let config = config(policy, |config| {
            config.idle_timeout(Duration::from_millis(300));
            config.close_timeout(Duration::from_millis(300)).unwrap();
        });
        let (mut client, mut upstream, host) = session(config, pass);
        let closes = |peer: &mut Peer| peer.hear_close().0;
        assert_eq!(
            (closes(&mut client), closes(&mut upstream)),
            (Some(1001), Some(1001)),
            "{policy:?}"
        );
        // Neither answers, as one that has vanished would not.
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout, "{policy:?}");
        drop((client, upstream));
    }
}
