//! Bytes in and bytes out: what is taken, what waits, what memory they lie in.

use std::time::Duration;

use wsproxy::{Config, ErrorKind, Kind, Side, Verdict};

use super::scene::{answer, frame, Session, REQUEST};

#[test]
fn the_output_does_not_depend_on_how_the_input_is_cut() {
    let client: Vec<u8> = [
        REQUEST.as_bytes(),
        &frame(Side::Client, 0x01, b"hel"),
        &frame(Side::Client, 0x89, b"ping"),
        &frame(Side::Client, 0x80, b"lo"),
        &frame(Side::Client, 0x82, &[7; 300]),
        &frame(Side::Client, 0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let run = |size: usize| {
        let mut session = Session::new(Config::new());
        session.pull.connect("ws://u").unwrap();
        let mut rest = &client[..];
        let mut answered = false;
        while !rest.is_empty() {
            if session.pull.wants_input(Side::Client) {
                let (part, after) = rest.split_at(size.min(rest.len()));
                session.give(Side::Client, part);
                rest = after;
            } else {
                assert!(!std::mem::replace(&mut answered, true));
                for part in answer("").chunks(size) {
                    session.give(Side::Upstream, part);
                }
            }
        }
        if !answered {
            session.give(Side::Upstream, &answer(""));
        }
        let end = session.upstream.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        session.upstream.drain(..end);
        session.frames(Side::Upstream)
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.len(), 5);
    for size in 1..client.len() {
        assert_eq!(run(size), whole, "in parts of {size}");
    }
}

#[test]
fn a_side_that_does_not_take_its_bytes_keeps_the_other_from_being_read() {
    let mut session = Session::open(Config::new());
    session.pull.input(Side::Client, &frame(Side::Client, 0x82, &[1; 1000])).unwrap();
    session.pull.pass(Side::Client);
    assert!(!session.pull.wants_input(Side::Client) && session.pull.wants_input(Side::Upstream));
    let refused = session.pull.input(Side::Client, b"x").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Again);
    assert!(session.pull.space(Side::Client).is_empty());
    session.pull.wrote(Side::Upstream, 1000);
    assert!(!session.pull.wants_input(Side::Client), "the last bytes wait still");
    session.take(Side::Upstream);
    assert!(session.pull.wants_input(Side::Client));
}

#[test]
fn a_hook_that_makes_frames_larger_is_held_back_until_they_are_written() {
    let mut session = Session::open(Config::new());
    let many = frame(Side::Client, 0x82, b"x").repeat(1000);
    session.pull.input(Side::Client, &many).unwrap();
    let (mut most, mut seen) = (0, 0);
    loop {
        while session.pull.poll(Side::Client) {
            session.pull.frame(Side::Client).unwrap().set_payload(&[5; 10_000]).unwrap();
            session.pull.resolve(Side::Client, Verdict::Forward);
            seen += 1;
        }
        most = most.max(session.pull.output(Side::Upstream).concat().len());
        if !session.pull.has_output(Side::Upstream) {
            break;
        }
        session.take(Side::Upstream);
    }
    assert_eq!((seen, session.frames(Side::Upstream).len()), (1000, 1000));
    assert!(most < 100_000, "{most} bytes waited at once");
}

#[test]
fn output_that_is_taken_is_what_would_have_been_written() {
    let run = |takes: bool| {
        let mut session = Session::open(Config::new());
        for n in 0..50u8 {
            session
                .pull
                .input(Side::Upstream, &frame(Side::Upstream, 0x82, &[n; 3]).repeat(3))
                .unwrap();
            let mut changed = n % 3;
            while session.pull.poll(Side::Upstream) {
                if changed == 1 {
                    session.pull.frame(Side::Upstream).unwrap().set_payload(&[n; 500]).unwrap();
                }
                changed = changed.saturating_sub(1);
                session.pull.resolve(Side::Upstream, Verdict::Forward);
            }
            if n % 7 == 0 {
                session.proxy.send(Side::Client, Kind::Ping, &[n]).unwrap();
                session.pull.tick(1000);
            }
            if takes {
                while session.pull.has_more(Side::Client) {
                    session.pull.take_output(Side::Client);
                    let taken = session.pull.taken(Side::Client).to_vec();
                    session.client.extend(taken);
                }
            } else {
                session.settle();
            }
        }
        session.proxy.stop(1000, "").unwrap();
        session.pull.tick(1000);
        session.pull.take_output(Side::Client);
        session.client.extend(session.pull.taken(Side::Client));
        session.client
    };
    assert_eq!(run(true), run(false));
    assert!(run(true).len() > 8000);
}

/// Bytes that the host has read already, at `now`; then frames, and output.
fn read(session: &mut Session, from: Side, bytes: &[u8], now: u64) {
    session.pull.read(from, bytes, now).unwrap();
    session.settle();
}

#[test]
fn bytes_that_were_read_are_taken_though_a_ping_is_due_or_another_thread_has_sent() {
    let mut config = Config::new();
    config.keepalive_interval(Duration::from_secs(5));
    let mut session = Session::open(config);
    let hello = frame(Side::Client, 0x82, b"hello");
    let (first, rest) = hello.split_at(4);
    read(&mut session, Side::Client, first, 1500);
    session.proxy.send(Side::Upstream, Kind::Text, b"sent").unwrap();
    read(&mut session, Side::Client, rest, 1501);
    read(&mut session, Side::Client, &hello, 6500);
    let frames = session.frames(Side::Upstream);
    let count = |kind: u8| frames.iter().filter(|(first, _)| *first == kind).count();
    assert_eq!((count(0x82), count(0x81), count(0x89)), (2, 1, 1), "{frames:?}");
    assert!(frames.iter().all(|(first, payload)| *first != 0x82 || payload == b"hello"));
}

#[test]
fn bytes_that_were_read_do_not_disturb_those_that_wait_to_be_written() {
    let mut session = Session::open(Config::new());
    let some: Vec<_> = (0..50).map(|n| frame(Side::Client, 0x82, &[n; 300])).collect();
    for (n, frame) in some.iter().enumerate() {
        session.pull.read(Side::Client, frame, 1500).unwrap();
        session.pull.pass(Side::Client);
        if n % 7 == 3 {
            session.pull.wrote(Side::Upstream, 1); // a part of what waits
            session.upstream.push(0x82);
            session.settle();
        }
    }
    session.settle();
    let expected: Vec<_> = (0..50).map(|n| (0x82, vec![n; 300])).collect();
    assert_eq!(session.frames(Side::Upstream), expected);
}

#[test]
fn bytes_are_not_taken_while_a_frame_of_the_same_side_waits() {
    let mut session = Session::open(Config::new());
    let hello = frame(Side::Client, 0x82, b"hello");
    session.pull.read(Side::Client, &hello, 1500).unwrap();
    assert!(session.pull.poll(Side::Client));
    let refused = session.pull.read(Side::Client, &hello, 1500).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Again);
}

#[test]
fn there_is_more_to_be_done_until_the_copy_of_a_large_message_is_given_back() {
    let mut config = Config::new();
    config.aggregate(Side::Client, true);
    let mut session = Session::open(config);
    for (first, size) in [(0x02, 1 << 20), (0x80, 1)] {
        let bytes = frame(Side::Client, first, &vec![7; size]);
        session.pull.read(Side::Client, &bytes, 2000).unwrap();
        session.pull.pass(Side::Client);
    }
    session.pull.take_output(Side::Upstream);
    assert!(session.pull.taken(Side::Upstream).len() > 1 << 20);
    let mut turns = 0;
    while session.pull.has_more(Side::Upstream) {
        turns += 1;
        assert!(turns < 3, "{turns} turns for nothing");
        session.pull.pass(Side::Client);
        session.pull.take_output(Side::Upstream);
        assert!(session.pull.taken(Side::Upstream).is_empty());
    }
    assert!(turns > 0);
}

#[test]
fn half_a_frame_outlasts_the_buffer_that_it_came_in() {
    let mut session = Session::open(Config::new());
    let bytes = frame(Side::Client, 0x82, &vec![7; 100_000]);
    let (half, rest) = bytes.split_at(30_000);
    session.pull.tick(2000);
    session.give(Side::Client, &frame(Side::Client, 0x82, &vec![7; 500_000]));
    session.give(Side::Client, half);
    session.pull.tick(2500);
    session.pull.tick(3500);
    session.give(Side::Client, rest);
    let sizes =
        session.frames(Side::Upstream).iter().map(|frame| frame.1.len()).collect::<Vec<_>>();
    assert_eq!(sizes, [500_000, 100_000]);
    assert!(session.frames(Side::Upstream)[1].1 == [7; 100_000]);
}
