//! Thousands of sessions on one thread, in which nothing happens: they cost nothing, and each has its deadline.

use std::time::{Duration, Instant};

use super::peers::{allow_descriptors, meet};
use super::process::Process;
use super::support::peer::Listener;
use super::support::wait_until;
use super::Shape;

const SESSIONS: usize = 3000;

#[test]
fn thousands_of_idle_sessions_on_one_thread_hold_up_nobody_and_end_when_it_is_time() {
    allow_descriptors(2 * SESSIONS + 500);
    let idle = Duration::from_secs(6);
    let listener = Listener::bind();
    let timeout = idle.as_millis().to_string();
    let flags = ["--hook", "pass", "--idle-timeout", &timeout];
    let host = Process::start(Shape::EventLoop, &listener.url(), &flags);
    let descriptors = host.descriptors();

    let (mut client, mut upstream) = meet(host.addr, &listener);
    let mut talk = || {
        client.send_text("hello");
        assert_eq!(upstream.hear_text(), "hello");
        upstream.send_text("hello to you");
        assert_eq!(client.hear_text(), "hello to you");
    };
    let mut sessions = Vec::new();
    let began = Instant::now();
    for number in 0..SESSIONS {
        let called = Instant::now(); // its time begins later
        sessions.push((meet(host.addr, &listener), called));
        if number % 100 == 0 {
            talk();
        }
    }
    println!("{SESSIONS} sessions in {:?}", began.elapsed());
    assert_eq!(host.threads(), 1);

    // Each ends no earlier than its time, in their order, while one goes on.
    for (number, ((mut client, mut upstream), called)) in sessions.into_iter().enumerate() {
        for peer in [&mut client, &mut upstream] {
            assert_eq!(peer.hear_close().0, Some(1001), "session {number}");
            peer.send_close(1001, "");
        }
        let rounding = Duration::from_millis(2);
        assert!(called.elapsed() + rounding >= idle, "session {number} was cut short");
        upstream.shutdown();
        if number % 100 == 0 {
            talk();
        }
    }
    wait_until("the idle sessions are gone", || host.descriptors() == descriptors + 2);
    talk();
    drop((client, upstream));
    host.tell_to_end();
    host.has_to_end();
}
