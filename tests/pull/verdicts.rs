//! Verdicts, whenever they come, and what else ends or joins the conversation.

use wsproxy::{Config, ErrorKind, Fault, Kind, Side, Verdict};

use super::scene::{close, frame, Session};

#[test]
fn a_verdict_may_come_late_and_meanwhile_the_other_direction_goes_on_and_the_order_is_kept() {
    let mut session = Session::open(Config::new());
    let two = [frame(Side::Client, 0x81, b"one"), frame(Side::Client, 0x81, b"two")].concat();
    session.pull.input(Side::Client, &two).unwrap();
    assert!(session.pull.poll(Side::Client) && session.pull.poll(Side::Client));
    assert!(!session.pull.wants_input(Side::Client));
    for n in 0..10u8 {
        session.pull.tick(2000 + u64::from(n) * 100_000); // a hook that sleeps is not idle
        session.pull.input(Side::Upstream, &frame(Side::Upstream, 0x82, &[n])).unwrap();
        assert!(session.pull.poll(Side::Upstream));
        session.pull.resolve(Side::Upstream, Verdict::Forward);
        assert!(!session.pull.poll(Side::Upstream));
        session.take(Side::Client);
    }
    assert_eq!(session.pull.frame(Side::Client).unwrap().payload(), b"one");
    session.pull.frame(Side::Client).unwrap().set_payload(b"1").unwrap();
    session.pull.resolve(Side::Client, Verdict::Forward);
    session.settle();
    assert_eq!(session.frames(Side::Client).len(), 10);
    let expected = [(0x81, b"1".to_vec()), (0x81, b"two".to_vec())];
    assert_eq!(session.frames(Side::Upstream), expected);
}

#[test]
fn a_frame_that_waits_is_told_however_much_is_sent_to_the_other_side_meanwhile() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x81, b"one")).unwrap();
    assert!(session.pull.poll(Side::Client));
    session.proxy.send(Side::Upstream, Kind::Binary, &vec![7; 300_000]).unwrap();
    session.pull.tick(1001);
    assert!(session.pull.has_output(Side::Upstream));
    assert!(session.pull.poll(Side::Client), "it was withdrawn");
    assert_eq!(session.pull.frame(Side::Client).unwrap().payload(), b"one");
    session.settle();
    let expected = [(0x82, vec![7; 300_000]), (0x81, b"one".to_vec())];
    assert!(session.frames(Side::Upstream) == expected);
}

#[test]
fn the_end_of_a_stream_counts_behind_the_frames_that_came_before_it() {
    let mut session = Session::open(Config::new());
    let two = [frame(Side::Client, 0x81, b"one"), frame(Side::Client, 0x81, b"two")].concat();
    session.pull.input(Side::Client, &two).unwrap();
    assert!(session.pull.poll(Side::Client));
    session.pull.input_ended(Side::Client, "closed the connection");
    assert!(session.pull.poll(Side::Client), "the first still waits");
    session.settle();
    let expected = [(0x81, b"one".to_vec()), (0x81, b"two".to_vec()), close(1001)];
    assert_eq!(session.frames(Side::Upstream), expected);
    session.pull.input_ended(Side::Upstream, "closed the connection");
    assert!(session.pull.is_over());
    let error = session.pull.result().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
}

#[test]
fn frames_of_the_hosts_and_a_stop_are_heard_at_the_next_tick() {
    let mut session = Session::open(Config::new());
    session.proxy.send(Side::Client, Kind::Text, b"hello").unwrap();
    assert!(!session.pull.has_output(Side::Client));
    session.pull.tick(1001);
    session.settle();
    assert_eq!(session.frames(Side::Client), [(0x81, b"hello".to_vec())]);
    session.client.clear();
    session.proxy.stop(4000, "").unwrap();
    session.pull.tick(1002);
    session.settle();
    assert_eq!(session.frames(Side::Client), [close(4000)]);
    assert_eq!(session.frames(Side::Upstream), [close(4000)]);
    session.give(Side::Client, &frame(Side::Client, 0x88, b"\x0f\xa0"));
    session.give(Side::Upstream, &frame(Side::Upstream, 0x88, b"\x0f\xa0"));
    session.pull.input_ended(Side::Upstream, "closed the connection");
    assert!(session.pull.is_over());
    assert_eq!(session.pull.result(), Ok(()));
}

#[test]
fn a_verdict_that_ends_the_session_and_a_failed_hook_close_both_sides() {
    for (verdict, code) in [
        (Verdict::Failed("no".into()), 1011),
        (
            Verdict::End {
                client: wsproxy::Close::new(4001, "").unwrap(),
                upstream: wsproxy::Close::new(4001, "").unwrap(),
            },
            4001,
        ),
    ] {
        let mut session = Session::open(Config::new());
        session.pull.input(Side::Client, &frame(Side::Client, 0x81, b"x")).unwrap();
        assert!(session.pull.poll(Side::Client));
        session.pull.resolve(Side::Client, verdict);
        session.settle();
        assert_eq!(session.frames(Side::Client), [close(code)]);
        assert_eq!(session.frames(Side::Upstream), [close(code)]);
    }
}

#[test]
fn the_host_ends_a_session_with_a_close_of_its_own_for_each_side() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x81, b"x")).unwrap();
    assert!(session.pull.poll(Side::Client));
    let close_with = |code| wsproxy::Close::new(code, "").unwrap();
    let closes = wsproxy::PerSide { client: close_with(4001), upstream: close_with(4002) };
    session.pull.end(closes).unwrap();
    session.pull.resolve(Side::Client, Verdict::Forward);
    session.settle();
    assert_eq!(session.frames(Side::Client), [close(4001)]);
    assert_eq!(session.frames(Side::Upstream), [close(4002)], "the frame goes nowhere");
    assert!(!session.pull.is_closed(Side::Upstream));
    session.give(Side::Upstream, &frame(Side::Upstream, 0x88, b"\x0f\xa2"));
    assert!(session.pull.is_closed(Side::Upstream) && !session.pull.is_over());
}

#[test]
fn a_side_over_a_limit_is_told_why_where_the_host_wants_that() {
    for (explain, said) in [(false, ""), (true, "Payload Too Large")] {
        let mut config = Config::new();
        config.explain_limits(explain).max_frame_size(Side::Client, 10).unwrap();
        let mut session = Session::open(config);
        session.give(Side::Client, &frame(Side::Client, 0x81, b"eleven byte"));
        let told = [&[0x03, 0xf1], said.as_bytes()].concat();
        assert_eq!(session.frames(Side::Client), [(0x88, told)]);
        assert_eq!(session.frames(Side::Upstream), [close(1001)]);
        let error = session.pull.result().unwrap_err();
        assert_eq!(error.to_string(), "client: frame size 11 exceeds the limit of 10");
    }
}
