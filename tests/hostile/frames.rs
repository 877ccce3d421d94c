//! Frames that two parsers read differently, or that RFC 6455 forbids; and masks.
//! CVE-2025-10148 (curl), CVE-2026-45736 (ws).

use std::collections::HashSet;

use wsproxy::{Kind, Side, Verdict};

use super::guard::watched;
use super::support::host::{config, pass, session};
use super::support::offence::{is_closed, legal, MASK};
use super::support::peer::{frame, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use super::support::POLICIES;

/// What makes a frame from `from`: its first byte, the seven bits of its length, and what follows.
fn raw(from: Side, first: u8, len: u8, more: &[u8]) -> Vec<u8> {
    let bit = if from == Side::Client { 0x80 } else { 0 };
    [&[first, bit | len], more].concat()
}

fn refused_from_both(code: u16, bytes: impl Fn(Side) -> Vec<u8> + Sync) {
    watched(|| Side::BOTH.iter().for_each(|&from| is_closed(from, &bytes(from), code, |_| {})));
}

#[test]
fn lengths_that_are_not_minimal_are_1002() {
    refused_from_both(1002, |from| raw(from, 0x82, 126, &[0, 125]));
    refused_from_both(1002, |from| raw(from, 0x82, 126, &[0, 0]));
    refused_from_both(1002, |from| raw(from, 0x82, 127, &[0, 0, 0, 0, 0, 0, 0xFF, 0xFF]));
    refused_from_both(1002, |from| raw(from, 0x82, 127, &[0; 8]));
}

#[test]
fn reserved_bits_are_1002() {
    for bits in [0x40, 0x20, 0x10, 0x70] {
        refused_from_both(1002, |from| raw(from, 0x81 | bits, 0, &[]));
    }
}

#[test]
fn unknown_opcodes_are_1002() {
    for opcode in (3..8).chain(11..16) {
        refused_from_both(1002, |from| raw(from, 0x80 | opcode, 0, &[]));
    }
}

#[test]
fn frames_with_the_wrong_masking_are_1002() {
    watched(|| {
        is_closed(Side::Client, &frame(true, TEXT, b"bare", None), 1002, |_| {});
        is_closed(Side::Upstream, &frame(true, TEXT, b"masked", Some(MASK)), 1002, |_| {});
        is_closed(Side::Client, &frame(true, PING, b"", None), 1002, |_| {});
        is_closed(Side::Upstream, &frame(true, CLOSE, b"", Some([0; 4])), 1002, |_| {});
    });
}

#[test]
fn control_frames_that_are_fragmented_or_long_are_1002() {
    for opcode in [CLOSE, PING, PONG] {
        refused_from_both(1002, |from| legal(from, false, opcode, b""));
        refused_from_both(1002, |from| raw(from, 0x80 | opcode, 126, &[0, 126]));
        refused_from_both(1002, |from| raw(from, 0x80 | opcode, 127, &[]));
    }
}

#[test]
fn a_continuation_of_nothing_is_1002() {
    refused_from_both(1002, |from| legal(from, true, CONTINUATION, b"x"));
    refused_from_both(1002, |from| legal(from, false, CONTINUATION, b""));
}

#[test]
fn a_new_message_inside_a_message_is_1002_in_both_modes() {
    watched(|| {
        for (from, second) in Side::BOTH.iter().flat_map(|&from| [(from, TEXT), (from, BINARY)]) {
            let bytes = [legal(from, false, TEXT, b"a"), legal(from, true, second, b"b")].concat();
            is_closed(from, &bytes, 1002, |config| {
                config.aggregate(from, true);
            });
            for policy in POLICIES {
                let (client, upstream, host) = session(config(policy, |_| {}), pass);
                let (mut offender, mut other) =
                    super::support::offence::in_order(from, client, upstream);
                offender.send_bytes(&bytes);
                assert_eq!(offender.hear_close().0, Some(1002), "{policy:?}");
                let first = other.hear();
                assert_eq!((first.fin, first.payload), (false, b"a".to_vec()));
                assert!(matches!(other.hear_close().0, Some(1001 | 1011)), "{policy:?}");
                drop((offender, other));
                assert!(host.outcome().is_err());
            }
        }
    });
}

#[test]
fn close_frames_with_bad_codes_or_reasons_are_refused() {
    refused_from_both(1002, |from| legal(from, true, CLOSE, &[3]));
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 0x8000, 0xFFFF] {
        refused_from_both(1002, |from| legal(from, true, CLOSE, &code.to_be_bytes()));
    }
    refused_from_both(1007, |from| legal(from, true, CLOSE, &[3, 0xE8, 0xFF]));
    refused_from_both(1007, |from| legal(from, true, CLOSE, &[3, 0xE8, b'a', 0xC3]));
}

#[test]
fn text_that_is_not_utf8_is_1007_at_its_first_bad_byte() {
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xc3"] {
        refused_from_both(1007, |from| legal(from, true, TEXT, bad));
    }
    // The rest of the frame never comes.
    refused_from_both(1007, |from| {
        let whole = legal(from, true, TEXT, &[b"\xf4\x90", &[b'a'; 60_000][..]].concat());
        whole[..20].to_vec()
    });
}

#[test]
fn every_frame_to_the_upstream_has_a_mask_of_its_own_forwarded_ones_too() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
            let mut masks = HashSet::new();
            for i in 0..200 {
                // Always the same mask; alone and many to a read.
                client.send_bytes(&frame(true, TEXT, b"same", Some(MASK)).repeat(1 + i % 3));
                for _ in 0..=i % 3 {
                    let heard = upstream.hear();
                    assert_eq!(heard.payload, b"same");
                    masks.insert(heard.mask.expect("frames to the upstream are masked"));
                }
            }
            host.proxy.send(Side::Upstream, Kind::Ping, b"own").unwrap();
            masks.insert(upstream.hear().mask.expect("the host's frames too"));
            client.send_close(1000, "");
            masks.insert(upstream.hear().mask.expect("closes too"));
            assert!(masks.len() > 398, "{policy:?}: {} masks for 401 frames", masks.len());
            assert!(!masks.contains(&MASK), "{policy:?}: the client's own mask");
            upstream.send_text("unmasked");
            assert_eq!(client.hear().mask, None);
            drop((client, upstream));
            let _ = host.outcome();
        }
    });
}

#[test]
fn two_sessions_never_begin_with_the_same_mask_or_key() {
    watched(|| {
        let mut seen = HashSet::new();
        for _ in 0..20 {
            let (mut client, mut upstream, host) = session(config(POLICIES[0], |_| {}), pass);
            client.send_text("x");
            let key = super::support::peer::header(&upstream.head, "Sec-WebSocket-Key").unwrap();
            assert_ne!(key, super::support::peer::KEY, "the client's own key");
            assert!(seen.insert((key, vec![])));
            assert!(seen.insert((String::new(), upstream.hear().mask.unwrap().to_vec())));
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_reason_over_123_bytes_or_not_utf8_is_refused_and_never_sent() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host) = session(config(policy, |_| {}), |frame| {
                if frame.kind() == Kind::Close {
                    assert!(frame.set_payload(&[b'x'; 124]).is_err());
                    assert!(frame.set_payload(b"\xff").is_err());
                    frame.set_payload(&[b'r'; 123]).unwrap();
                }
                Verdict::Forward
            });
            assert!(host.proxy.stop(1000, &"x".repeat(124)).is_err());
            client.send_close(1000, "short");
            assert_eq!(upstream.hear_close(), (Some(1000), "r".repeat(123)), "{policy:?}");
            upstream.send_close(1000, "");
            assert_eq!(client.hear_close(), (Some(1000), "r".repeat(123)));
            drop((client, upstream));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}
