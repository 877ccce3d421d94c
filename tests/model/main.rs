//! The promise, tested by a model: whatever two peers, a hook and a host do, in whatever order and however the
//! bytes are cut, both peers always see a legal RFC 6455 stream, and exactly the frames that they should.
//!
//! `WSPROXY_CASES` sets the number of cases, `WSPROXY_SEED` and `WSPROXY_CASE` run one of them again, with every
//! step printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod cuts;
mod hook;
mod oracle;
mod peer;
mod plan;
mod random;
mod reference;
mod world;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{SystemTime, UNIX_EPOCH};

use random::Random;
use world::World;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

/// Runs many cases; the first that fails is run again with every step printed.
fn for_many_cases(share: u64, case: impl Fn(Random, bool)) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = setting("WSPROXY_SEED").unwrap_or(now % 1_000_000_000);
    let count = setting("WSPROXY_CASES").unwrap_or(10_000) / share;
    println!("WSPROXY_SEED={seed}, {count} cases");
    if let Some(one) = setting("WSPROXY_CASE") {
        return case(Random::of_case(seed, one), true);
    }
    for number in 0..count {
        let run = |trace| case(Random::of_case(seed, number), trace);
        if catch_unwind(AssertUnwindSafe(|| run(false))).is_err() {
            eprintln!("WSPROXY_SEED={seed} WSPROXY_CASE={number} failed; step by step:");
            run(true);
            panic!("case {number} of seed {seed} failed once and not again");
        }
    }
}

#[test]
fn whatever_happens_both_peers_see_legal_streams_and_what_they_should() {
    for_many_cases(1, |random, trace| World::new(random, trace).run());
}

#[test]
fn any_cut_of_the_input_gives_the_same_output() {
    for_many_cases(4, cuts::check);
}
