//! A side that breaks a rule of RFC 6455 or a limit, and what both sides must hear of it.

use std::time::{Duration, Instant};

use wsproxy::{Config, Error, ErrorKind, Fault, Policy, Side};

use super::host::{config, pass, session};
use super::peer::{frame, Peer};
use super::POLICIES;

/// "At once": far under every timeout, however busy the machine is.
pub const PROMPT: Duration = Duration::from_secs(3);

pub const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A frame as `from` has to send it.
pub fn legal(from: Side, fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(fin, opcode, payload, (from == Side::Client).then_some(MASK))
}

/// A header as `from` has to send it, whose length is said to be `len`: in eight bytes.
pub fn long_header(from: Side, opcode: u8, len: u64) -> Vec<u8> {
    let bit = if from == Side::Client { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode, bit | 127];
    bytes.extend(len.to_be_bytes());
    bytes
}

/// The two ends of a session in another order: the one that `from` names first.
pub fn in_order(from: Side, client: Peer, upstream: Peer) -> (Peer, Peer) {
    match from {
        Side::Client => (client, upstream),
        Side::Upstream => (upstream, client),
    }
}

/// What the other side is told when `from` broke a rule: 1002, 1007; or a limit: 1009.
fn lost(from: Side, code: u16) -> u16 {
    match (from, code) {
        (Side::Client, _) | (_, 1009) => 1001,
        (Side::Upstream, _) => 1011,
    }
}

/// `bytes` from `from` get it closed with `code`, at once and on every driver; nothing of them is forwarded.
pub fn is_closed(from: Side, bytes: &[u8], code: u16, set: impl Fn(&mut Config)) {
    for policy in POLICIES {
        let error = is_closed_under(policy, from, bytes, code, &set);
        let kind = if code == 1009 { ErrorKind::Limit } else { ErrorKind::Protocol };
        let fault = if from == Side::Client { Fault::Client } else { Fault::Upstream };
        assert_eq!((error.kind(), error.fault()), (kind, fault), "{policy:?} {error}");
    }
}

fn is_closed_under(
    policy: Policy,
    from: Side,
    bytes: &[u8],
    code: u16,
    set: impl Fn(&mut Config),
) -> Error {
    let (client, upstream, host) = session(config(policy, |config| set(config)), pass);
    let (mut offender, mut other) = in_order(from, client, upstream);
    let started = Instant::now();
    offender.send_bytes(bytes);
    let context = format!("{policy:?} {from:?} {bytes:02x?}");
    assert_eq!(offender.hear_close(), (Some(code), String::new()), "{context:.200}");
    offender.hear_end();
    assert_eq!(other.hear_close(), (Some(lost(from, code)), String::new()), "{context:.200}");
    assert!(started.elapsed() < PROMPT, "{context:.200}: {:?}", started.elapsed());
    drop((offender, other));
    host.outcome().expect_err("a session that ends by an offence is an error")
}
