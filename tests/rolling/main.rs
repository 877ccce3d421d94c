//! Many machines: two C hosts behind a real HAProxy, restarted one after the other under traffic.
//!
//! Rules: HAProxy runs with the configuration that is shipped; everything is seen from the clients, on the wire. A port
//! that a restarted host takes again is the one that the system gave its predecessor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../built/mod.rs"]
mod built;
mod clients;
mod processes;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use clients::Traffic;
use processes::{Balancer, Host};

/// How many clients come and go at the same time.
const CLIENTS: usize = 24;

#[test]
fn hosts_restarted_one_after_the_other_fail_no_new_connection_and_end_every_session_by_a_close_frame(
) {
    let upstream = clients::echoing_upstream();
    let (mut a, mut b) = (Host::start(&upstream), Host::start(&upstream));
    let balancer = Balancer::start([&a.address, &b.address]);
    let traffic = Traffic::start(&balancer.address, CLIENTS);
    traffic.goes_on(200);
    for round in 0..2 {
        for (name, host) in [("a", &mut a), ("b", &mut b)] {
            host.restart();
            balancer.has_up(name);
            traffic.goes_on(100);
            assert!(!traffic.has_failed(), "round {round}, after the restart of {name}");
        }
    }
    let seen = traffic.stop();
    assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
    assert!(seen.told_to_go >= 4, "{seen:?}: hardly a session was open during a restart");
    assert!(seen.ended_by_client >= 100, "{seen:?}");
    println!("{seen:?}");
}

#[test]
fn a_host_without_room_sends_its_clients_to_the_other() {
    let upstream = clients::echoing_upstream();
    let hosts = [(); 2].map(|()| Host::start_with(&upstream, &["--max-connections", "2"]));
    let balancer = Balancer::start([&hosts[0].address, &hosts[1].address]);
    let mut sessions: Vec<_> =
        (0..4).map(|_| clients::connect(&balancer.address).unwrap()).collect();
    let refused = clients::connect(&balancer.address).unwrap_err();
    assert!(refused.contains("503"), "{refused}");
    for session in &mut sessions {
        clients::echoes(session, "still here").unwrap();
    }
    drop(sessions.pop());
    std::thread::sleep(Duration::from_millis(50));
    support::wait_until("the place that became free is used", || {
        clients::connect(&balancer.address)
            .is_ok_and(|mut session| clients::echoes(&mut session, "a new one").is_ok())
    });
}
