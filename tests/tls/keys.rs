//! Keys that change in the middle of a session (RFC 8446 section 4.6.3).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use wsproxy::Verdict;

use super::moving::both_ways;
use super::scene::{config, part, session, EVERY};
use super::support::on_every_policy;

/// How many changes are sent together. rustls itself bears 32 answers in a row, which a busy machine may make of any
/// number.
const CHANGES: [usize; 10] = [1, 1, 2, 1, 5, 3, 1, 8, 4, 4];

#[test]
fn keys_that_change_under_load_lose_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        let ends = [client.stream.tls().clone(), upstream.stream.tls().clone()];
        let changing = AtomicUsize::new(ends.len());
        thread::scope(|scope| {
            for tls in ends {
                let changing = &changing;
                scope.spawn(move || {
                    for count in CHANGES {
                        tls.refresh_keys_often(count).unwrap();
                        thread::sleep(Duration::from_millis(40));
                    }
                    changing.fetch_sub(1, Ordering::SeqCst);
                });
            }
            // The load is there as long as keys change, however busy the machine is, and a while longer.
            while changing.load(Ordering::SeqCst) > 0 {
                both_ways(&mut client, &mut upstream, 2 << 20);
            }
            both_ways(&mut client, &mut upstream, 2 << 20);
        });
        part(&mut client, &mut upstream, &host);
    });
}
