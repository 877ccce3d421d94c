//! Limits on what a side may send, on every driver: exactly the limit passes, one more is 1009 to the offender and
//! 1001 to the other side, and is not forwarded.

mod support;

use support::host::{config, pass, session_from};
use support::on_every_policy;
use support::peer::{Peer, BINARY, CONTINUATION};
use wsproxy::{Config, ErrorKind, Fault, Policy, Side};

/// A limit, what just fits, and what is too much; messages as the sizes of their fragments.
struct Case {
    set: fn(&mut Config, Side),
    fits: &'static [&'static [usize]],
    too_much: &'static [usize],
    words: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        set: |config, side| {
            config.max_frame_size(side, 1000).unwrap();
        },
        fits: &[&[1000], &[1000, 1000, 1], &[1000]],
        too_much: &[1001],
        words: "frame size 1001 exceeds the limit of 1000",
    },
    Case {
        set: |config, side| {
            config.max_message_size(side, 1000).unwrap();
        },
        fits: &[&[1000], &[600, 400, 0], &[1000]],
        too_much: &[1001],
        words: "message size 1001 exceeds the limit of 1000",
    },
    Case {
        set: |config, side| {
            config.max_message_size(side, 1000).unwrap();
        },
        fits: &[&[999, 1]],
        too_much: &[600, 400, 1],
        words: "message size 1001 exceeds the limit of 1000",
    },
    Case {
        set: |config, side| {
            config.max_fragments(side, 3).unwrap();
        },
        fits: &[&[1, 1, 1], &[0, 0, 0], &[5]],
        too_much: &[0, 0, 0, 0],
        words: "fragment count 4 exceeds the limit of 3",
    },
    Case {
        set: |config, side| {
            config.max_fragments(side, 1).unwrap();
        },
        fits: &[&[9], &[9]],
        too_much: &[1, 1],
        words: "fragment count 2 exceeds the limit of 1",
    },
];

/// The frames of a message: fin, opcode, payload.
fn message(sizes: &[usize]) -> Vec<(bool, u8, Vec<u8>)> {
    let last = sizes.len() - 1;
    let frame = |(i, &size): (usize, &usize)| {
        (i == last, if i == 0 { BINARY } else { CONTINUATION }, vec![b'x'; size])
    };
    sizes.iter().enumerate().map(frame).collect()
}

fn send(peer: &mut Peer, sizes: &[usize]) {
    message(sizes).iter().for_each(|(fin, opcode, payload)| peer.send(*fin, *opcode, payload));
}

fn check(case: &Case, policy: Policy, side: Side, aggregate: bool) {
    let config = config(policy, |config| {
        (case.set)(config, side);
        config.aggregate(side, aggregate);
    });
    let (mut offender, mut other, host) = session_from(side, config, pass);
    for sizes in case.fits {
        send(&mut offender, sizes);
        match aggregate {
            true => other.expect(true, BINARY, &vec![b'x'; sizes.iter().sum()]),
            false => message(sizes).iter().for_each(|(fin, opcode, payload)| {
                other.expect(*fin, *opcode, payload);
            }),
        }
    }
    // The other side has no limit of its own.
    send(&mut other, case.too_much);
    message(case.too_much).iter().for_each(|(fin, opcode, payload)| {
        offender.expect(*fin, *opcode, payload);
    });
    send(&mut offender, case.too_much);
    assert_eq!(offender.hear_close(), (Some(1009), String::new()));
    if !aggregate {
        let fits = &message(case.too_much)[..case.too_much.len() - 1];
        fits.iter().for_each(|(fin, opcode, payload)| other.expect(*fin, *opcode, payload));
    }
    assert_eq!(other.hear_close(), (Some(1001), String::new()));
    drop((offender, other));
    let error = host.outcome().unwrap_err();
    let fault = if side == Side::Client { Fault::Client } else { Fault::Upstream };
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Limit, fault));
    assert_eq!(error.message(), case.words);
}

#[test]
fn exactly_the_limit_passes_and_one_more_is_1009_to_the_offender_and_1001_to_the_other() {
    on_every_policy(|policy| {
        for case in &CASES {
            for side in Side::BOTH {
                check(case, policy, side, false);
                check(case, policy, side, true);
            }
        }
    });
}

#[test]
fn a_header_that_promises_2_to_the_63_is_refused_before_anything_follows() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            for (len, code) in
                [(1 << 31, 1009), (u64::MAX >> 1, 1009), (1 << 63, 1002), (u64::MAX, 1002)]
            {
                let (mut offender, mut other, host) =
                    session_from(side, config(policy, |_| {}), pass);
                let masked = if side == Side::Client { 0x80 } else { 0 };
                offender.send_bytes(&[&[0x82, masked | 127], &u64::to_be_bytes(len)[..]].concat());
                assert_eq!(offender.hear_close(), (Some(code), String::new()), "{len:#x}");
                let (heard, _) = other.hear_close();
                let blameless = if code == 1009 || side == Side::Client { 1001 } else { 1011 };
                assert_eq!(heard, Some(blameless));
                drop((offender, other));
                assert!(host.outcome().is_err());
            }
        }
    });
}

#[test]
fn what_the_host_makes_of_a_frame_is_not_under_the_limits_of_its_sender() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.max_frame_size(Side::Client, 10).unwrap();
        });
        let (mut client, mut upstream, _host) = session_from(Side::Client, config, |frame| {
            frame.set_payload(&[b'y'; 70_000]).unwrap();
            wsproxy::Verdict::Forward
        });
        client.send(true, BINARY, b"small");
        upstream.expect(true, BINARY, &[b'y'; 70_000]);
    });
}
