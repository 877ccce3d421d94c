//! A thousand sessions at once: all of them right, and nothing of them left when they have gone.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::peers::{allow_many_descriptors, crowd, echo_upstream};
use super::process::Process;
use super::support::peer::Listener;
use super::support::{wait_until, LONG};
use super::Shape;

const SESSIONS: usize = 1000;
const FRAMES: usize = 100;
/// What may stay, in KiB: tables of the system libraries and of the server, which never shrink. A crowd holds forty
/// times as much.
const KEPT: u64 = 1024;

/// One crowd at a time: the machine that runs the tests may be small.
static CROWD: Mutex<()> = Mutex::new(());

/// `for_all`: threads that all sessions share.
fn a_crowd_comes_and_goes(shape: Shape, threads_per_session: usize, for_all: usize) {
    let _alone = CROWD.lock();
    allow_many_descriptors();
    let listener = Arc::new(Listener::bind());
    let host = Process::start_frugal(shape, &listener.url(), &["--hook", "upper"]);
    let run = |sessions, frames, at_the_peak: &dyn Fn()| {
        let upstream = echo_upstream(Arc::clone(&listener), sessions);
        crowd(host.addr, sessions, frames, at_the_peak);
        upstream.into_iter().for_each(|thread| thread.join().unwrap());
    };
    let (threads, descriptors) = (host.threads(), host.descriptors());
    let is_back = || host.threads() == threads && host.descriptors() == descriptors;
    run(1, 1, &|| {}); // what is made once, at first use
    wait_until("one session is gone", is_back);
    let memory = host.memory();

    run(SESSIONS, FRAMES, &|| {
        assert_eq!(host.threads(), threads + SESSIONS * threads_per_session + for_all);
        assert!(host.descriptors() >= descriptors + SESSIONS * 2);
        let each = host.anonymous_memory() as usize / SESSIONS;
        println!("{shape:?}: {each} KiB per idle session, its threads' stacks included");
    });

    wait_until("all sessions are gone", is_back);
    // Their threads are gone before the accept loop has joined them all and freed what they had.
    let mut after = host.memory();
    let patience = Instant::now();
    while after >= memory + KEPT && patience.elapsed() < LONG {
        after = host.memory();
    }
    println!("{shape:?}: {memory} KiB before, {after} KiB after {SESSIONS} sessions");
    assert!(after < memory + KEPT, "{shape:?}: {memory} KiB before, {after} KiB after");
    host.tell_to_end();
    host.has_to_end();
}

#[test]
fn a_thousand_serial_sessions_leave_nothing_behind() {
    a_crowd_comes_and_goes(Shape::Threads("serial"), 2, 1);
}

#[test]
fn a_thousand_concurrent_sessions_leave_nothing_behind() {
    a_crowd_comes_and_goes(Shape::Threads("concurrent"), 2, 1);
}

#[test]
fn a_thousand_sessions_on_their_callers_threads_leave_nothing_behind() {
    a_crowd_comes_and_goes(Shape::Threads("caller"), 1, 0);
}

#[test]
fn a_thousand_sessions_on_one_thread_leave_nothing_behind() {
    a_crowd_comes_and_goes(Shape::EventLoop, 0, 0);
}
