//! Keys that change in the middle of a session (RFC 8446 section 4.6.3).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wsproxy::Verdict;

use super::moving::both_ways;
use super::scene::{config, part, session, EVERY};
use super::support::on_every_policy;

#[test]
fn keys_that_change_all_the_time_lose_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        let done = AtomicBool::new(false);
        let ends = [client.stream.tls().clone(), upstream.stream.tls().clone()];
        let changes = thread::scope(|scope| {
            let changing = ends.map(|tls| {
                let done = &done;
                scope.spawn(move || {
                    let mut changes = 0;
                    while !done.load(Ordering::SeqCst) {
                        tls.refresh_keys().unwrap();
                        changes += 1;
                        thread::sleep(Duration::from_millis(20)); // rustls itself bears 32 answers in a row
                    }
                    changes
                })
            });
            both_ways(&mut client, &mut upstream, 32 << 20);
            done.store(true, Ordering::SeqCst);
            changing.map(|thread| thread.join().unwrap())
        });
        assert!(changes.iter().all(|&count| count >= 10), "{policy:?}: {changes:?}");
        part(&mut client, &mut upstream, &host);
    });
}
