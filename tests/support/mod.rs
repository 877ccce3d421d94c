//! What the tests of sessions share: a host that runs one session, and raw peers that say exactly what they are told.
//!
//! Rules: free ports, loopback, every read has a deadline, nothing outlives its test.
#![allow(dead_code)] // each test crate uses its part

pub mod host;
pub mod http;
pub mod http_proxy;
pub mod offence;
pub mod peer;
pub mod python;

use std::thread;
use std::time::{Duration, Instant};

use wsproxy::Policy;

/// Longer than anything a healthy test waits for.
pub const LONG: Duration = Duration::from_secs(20);

pub const POLICIES: [Policy; 3] = [Policy::Serial, Policy::Concurrent, Policy::Caller];

/// Whether a period of the library's has passed, whose clock counts whole milliseconds.
pub fn has_passed(period: Duration, took: Duration) -> bool {
    took + Duration::from_millis(5) >= period
}

/// Runs a test on all of them at once.
pub fn on_every_policy(test: impl Fn(Policy) + Sync) {
    let test = &test;
    thread::scope(|scope| {
        for policy in POLICIES {
            let named = thread::Builder::new().name(format!("{policy:?}"));
            named.spawn_scoped(scope, move || test(policy)).unwrap();
        }
    });
}

/// Waits for something that no event announces.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
