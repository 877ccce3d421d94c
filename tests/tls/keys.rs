//! Keys that change in the middle of a session (RFC 8446 section 4.6.3).

use std::thread;
use std::time::Duration;

use wsproxy::Verdict;

use super::moving::both_ways;
use super::scene::{config, part, session, EVERY};
use super::support::on_every_policy;

/// rustls itself bears 32 answers in a row, which a busy machine may make of any number.
const CHANGES: usize = 30;

#[test]
fn keys_that_change_under_load_lose_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        let ends = [client.stream.tls().clone(), upstream.stream.tls().clone()];
        thread::scope(|scope| {
            for tls in ends {
                scope.spawn(move || {
                    for _ in 0..CHANGES {
                        tls.refresh_keys().unwrap();
                        thread::sleep(Duration::from_millis(20));
                    }
                });
            }
            both_ways(&mut client, &mut upstream, 32 << 20);
        });
        part(&mut client, &mut upstream, &host);
    });
}
