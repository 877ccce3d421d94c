//! Defects 1, 4, 8, 9, 10, 15 and 18: frames on their way.

use std::io::Read;
use std::thread;
use std::time::Duration;

use wsproxy::{Config, ErrorKind, Kind, Side, Verdict};

use super::support::host::{config, pass, session};
use super::support::offence::{in_order, is_closed, legal, long_header, MASK};
use super::support::peer::{frame, BINARY, CONTINUATION, PING, TEXT};
use super::support::POLICIES;

/// Defect 1: every frame over 65535 bytes ended the session, without a close frame.
#[test]
fn a_frame_of_more_than_65535_bytes_crosses_up_to_the_limit_and_is_1009_over_it() {
    for policy in POLICIES {
        for from in Side::BOTH {
            let set = |config: &mut Config| {
                config.max_frame_size(from, 1 << 20).unwrap();
            };
            let (client, upstream, host) = session(config(policy, set), pass);
            let (mut sender, mut other) = in_order(from, client, upstream);
            for len in [65_535, 65_536, 100_000, 1 << 20] {
                let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let bytes = legal(from, true, BINARY, &payload);
                let mut writer = sender.stream.try_clone().unwrap();
                let sending = thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
                assert!(other.hear().payload == payload, "{policy:?} {from:?} {len}");
                sending.join().unwrap().unwrap();
            }
            sender.send_bytes(&long_header(from, BINARY, (1 << 20) + 1));
            assert_eq!(sender.hear_close().0, Some(1009), "{policy:?} {from:?}");
            assert_eq!(other.hear_close().0, Some(1001), "{policy:?} {from:?}");
            drop((sender, other));
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Limit);
        }
    }
}

/// Defect 4: `max_fragments` never struck without aggregation, and sizes were looked at in memory, not on the header.
#[test]
fn limits_strike_in_both_modes_and_on_the_header() {
    for (from, aggregate) in Side::BOTH.iter().flat_map(|&from| [(from, false), (from, true)]) {
        let set = |config: &mut Config| {
            config.aggregate(from, aggregate).max_fragments(from, 2).unwrap();
            config.max_frame_size(from, 10).unwrap().max_message_size(from, 15).unwrap();
        };
        is_closed(from, &legal(from, true, TEXT, b"eleven byte")[..2], 1009, set);
        for parts in [&[1, 1, 0][..], &[10, 6]] {
            let (client, upstream, host) = session(config(POLICIES[0], set), pass);
            let (mut offender, mut other) = in_order(from, client, upstream);
            let frames = parts.iter().enumerate().map(|(i, &len)| {
                let opcode = if i == 0 { TEXT } else { CONTINUATION };
                legal(from, false, opcode, &vec![b'a'; len])
            });
            offender.send_bytes(&frames.collect::<Vec<_>>().concat());
            assert_eq!(offender.hear_close().0, Some(1009), "{from:?} {aggregate} {parts:?}");
            let forwarded = if aggregate { 0 } else { parts.len() - 1 };
            (0..forwarded).for_each(|_| assert!(!other.hear().fin));
            assert_eq!(other.hear_close().0, Some(1001));
            drop((offender, other));
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Limit);
        }
    }
}

/// Defect 8: an error in `on_frame` ended one direction, and the session stayed half dead.
#[test]
fn a_failing_hook_closes_both_sides_with_1011_and_is_reported() {
    for policy in POLICIES {
        for from in Side::BOTH {
            for fails in [true, false] {
                let (client, upstream, host) =
                    session(config(policy, |_| {}), move |_| match fails {
                        true => Verdict::Failed("on purpose".into()),
                        false => panic!("on purpose"),
                    });
                let (mut sender, mut other) = in_order(from, client, upstream);
                sender.send_text("x");
                assert_eq!(sender.hear_close().0, Some(1011), "{policy:?} {from:?}");
                assert_eq!(other.hear_close().0, Some(1011), "{policy:?} {from:?}");
                drop((sender, other));
                assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Hook);
            }
        }
    }
}

/// Defect 9: a callback's result over 65535 bytes, or over 125 in a control frame, hung the session.
#[test]
fn a_hooks_large_result_is_sent_and_an_illegal_one_refused_to_the_hook() {
    for policy in POLICIES {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), |frame| {
            match frame.kind() {
                Kind::Text => frame.set_payload(&[b'y'; 100_000]).unwrap(),
                Kind::Ping => assert!(frame.set_payload(&[b'y'; 126]).is_err()),
                _ => {}
            }
            Verdict::Forward
        });
        client.send_text("x");
        assert_eq!(upstream.hear().payload, [b'y'; 100_000], "{policy:?}");
        client.send(true, PING, b"as it was");
        assert_eq!(upstream.hear().payload, b"as it was", "{policy:?}");
        upstream.send_text("x");
        assert_eq!(client.hear().payload.len(), 100_000, "{policy:?}");
        drop((client, upstream));
        assert!(host.outcome().is_err());
    }
}

/// Defect 10: messages were joined into unfinished ones, and orphan continuations passed.
#[test]
fn a_message_inside_a_message_and_an_orphan_continuation_are_1002() {
    for from in Side::BOTH {
        for aggregate in [false, true] {
            let set = |config: &mut Config| {
                config.aggregate(from, aggregate);
            };
            is_closed(from, &legal(from, true, CONTINUATION, b"orphan"), 1002, set);
        }
        let inside = [legal(from, false, TEXT, b"a"), legal(from, true, TEXT, b"b")].concat();
        is_closed(from, &inside, 1002, |config| {
            config.aggregate(from, true);
        });
    }
}

/// Defect 10: dropping a first fragment left an orphan, dropping the last one an endless message.
#[test]
fn a_message_whose_first_or_last_fragment_is_dropped_is_still_a_legal_stream() {
    for policy in POLICIES {
        for from in Side::BOTH {
            let (client, upstream, host) = session(config(policy, |_| {}), |frame| {
                match frame.payload().starts_with(b"drop") {
                    true => Verdict::Drop,
                    false => Verdict::Forward,
                }
            });
            let (mut sender, mut other) = in_order(from, client, upstream);
            for (fin, opcode, payload) in [
                (false, TEXT, &b"drop"[..]),
                (false, CONTINUATION, b"a"),
                (true, CONTINUATION, b"drop"),
                (true, TEXT, b"drop"),
                (true, TEXT, b"whole"),
            ] {
                sender.send(fin, opcode, payload);
            }
            let heard: Vec<_> = (0..3).map(|_| other.hear()).collect();
            let shape: Vec<_> =
                heard.iter().map(|heard| (heard.fin, heard.opcode, &heard.payload[..])).collect();
            let legal: [(bool, u8, &[u8]); 3] =
                [(false, TEXT, b"a"), (true, CONTINUATION, b""), (true, TEXT, b"whole")];
            assert_eq!(shape, legal, "{policy:?} {from:?}");
            drop((sender, other));
            assert!(host.outcome().is_err());
        }
    }
}

/// Defect 15: neither UTF-8 nor masks nor lengths were checked.
#[test]
fn bad_utf8_wrong_masking_and_long_lengths_are_refused() {
    for from in Side::BOTH {
        is_closed(from, &legal(from, true, TEXT, b"\xff"), 1007, |_| {});
        is_closed(from, &long_header(from, BINARY, 5), 1002, |_| {});
    }
    is_closed(Side::Upstream, &frame(true, TEXT, b"x", Some(MASK)), 1002, |_| {});
    is_closed(Side::Client, &frame(true, TEXT, b"x", None), 1002, |_| {});
}

/// Defect 18: a read for each header, length, mask and payload, and a write for each frame.
#[test]
fn many_frames_of_one_read_leave_in_one_write() {
    for policy in POLICIES {
        for from in Side::BOTH {
            let (client, upstream, host) = session(config(policy, |_| {}), pass);
            let (mut sender, mut other) = in_order(from, client, upstream);
            // Twice: the buffers are small until the first read has filled them.
            let mut first_read = 0;
            for _ in 0..2 {
                let bytes = legal(from, true, TEXT, b"0123456789").repeat(200);
                let expected = bytes.len(); // masked as often as they came
                let reading = thread::spawn(move || {
                    let mut buffer = vec![0; 1 << 16];
                    let first = other.stream.read(&mut buffer).unwrap();
                    let mut read = first;
                    while read < expected {
                        read += other.stream.read(&mut buffer).unwrap();
                    }
                    (other, first)
                });
                thread::sleep(Duration::from_millis(20)); // it waits by now
                sender.send_bytes(&bytes);
                (other, first_read) = reading.join().unwrap();
            }
            // A write per frame would wake the reader with the first sixteen bytes.
            assert!(
                first_read >= 2_000,
                "{policy:?} {from:?}: {first_read} bytes in the first read"
            );
            drop((sender, other));
            assert!(host.outcome().is_err());
        }
    }
}
