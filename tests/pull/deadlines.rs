//! Deadlines by the host's clock.

use std::time::Duration;

use wsproxy::{Config, ErrorKind, Side};

use super::scene::{close, frame, Session};

#[test]
fn the_deadlines_are_told_and_struck_by_the_hosts_clock() {
    let mut config = Config::new();
    config.idle_timeout(Duration::from_secs(7));
    config.close_timeout(Duration::from_secs(3)).unwrap();
    let mut session = Session::open(config);
    session.pull.tick(2000);
    assert_eq!(session.pull.deadline(), Some(8000));
    session.give(Side::Client, &frame(Side::Client, 0x81, b"x"));
    session.pull.tick(2500);
    assert_eq!(session.pull.deadline(), Some(3000), "the buffer of what came is given back then");
    session.pull.tick(3000);
    assert_eq!(session.pull.deadline(), Some(9500));
    session.pull.tick(9500);
    session.settle();
    assert_eq!(session.frames(Side::Client), [close(1001)]);
    assert_eq!(session.pull.deadline(), Some(12_500));
    assert!(!session.pull.is_over());
    session.pull.tick(12_500);
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_side_that_takes_nothing_for_the_write_timeout_is_given_up() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 10])).unwrap();
    session.pull.pass(Side::Client);
    session.pull.tick(2000);
    session.pull.tick(32_000);
    session.take(Side::Client);
    assert_eq!(session.frames(Side::Client), [close(1011)]);
    assert!(!session.pull.has_output(Side::Upstream));
    session.give(Side::Client, &frame(Side::Client, 0x88, b"\x03\xf3"));
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Timeout);
}

/// A host that sleeps until the deadline tells the time no earlier: what its last calls began has to be in it.
#[test]
fn a_deadline_that_a_call_has_brought_nearer_is_told_without_another_tick() {
    let mut session = Session::open(Config::new());
    assert_eq!(session.pull.deadline(), Some(121_000));
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 10])).unwrap();
    session.pull.pass(Side::Client);
    assert_eq!(session.pull.deadline(), Some(31_000), "the upstream takes nothing");
    session.take(Side::Upstream);
    assert_eq!(session.pull.deadline(), Some(1500), "it has taken all; the buffer is kept a while");
    session.pull.tick(1500);
    assert_eq!(session.pull.deadline(), Some(121_000), "the buffer is given back");

    session.give(Side::Client, &frame(Side::Client, 0x88, b"\x03\xe8"));
    assert_eq!(session.pull.deadline(), Some(2000), "a buffer again");
    session.pull.tick(2000);
    assert_eq!(session.pull.deadline(), Some(11_500), "the upstream has not answered the close");
    session.pull.tick(11_500);
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result().unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_side_that_takes_little_by_little_is_not_given_up() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 10])).unwrap();
    session.pull.pass(Side::Client);
    for n in 0..9 {
        session.pull.tick(1000 + 20_000 * n);
        session.pull.wrote(Side::Upstream, 1);
        assert_eq!(session.pull.deadline(), Some(31_000 + 20_000 * n));
        assert!(!session.pull.is_over());
    }
    session.take(Side::Upstream);
    assert_eq!(session.pull.result(), Ok(()));
}

/// That something is kept shows by its deadline.
#[test]
fn what_a_frame_took_is_given_back_by_a_deadline_that_only_its_own_side_puts_off() {
    for size in [1, 1 << 20] {
        let mut session = Session::open(Config::new());
        let idle = session.pull.deadline().unwrap();
        for (from, now) in [(Side::Client, 2000), (Side::Upstream, 2100), (Side::Client, 2400)] {
            session.pull.tick(now);
            session.give(from, &frame(from, 0x82, &vec![7; size]));
            assert!(session.pull.deadline() <= Some(now + 500));
        }
        for now in [2600, 2900] {
            assert_eq!(session.pull.deadline(), Some(now));
            session.pull.tick(now);
        }
        assert!(session.pull.deadline() > Some(idle), "nothing is kept, and nobody is woken");
    }
}
