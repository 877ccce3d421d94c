//! Draining: the end that comes between messages, on every driver. What drains under full load: `draining_load.rs`.

#[path = "../support/mod.rs"]
mod support;

mod beginnings;
mod endings;
mod messages;

use std::time::Duration;

use support::host::Host;
use support::peer::{Heard, Peer, CLOSE};
use wsproxy::Side;

const SIDES: [Side; 2] = Side::BOTH;

/// Long enough for anything that is on its way to arrive.
const A_WHILE: Duration = Duration::from_millis(60);

/// What both sides hear of a drain with 1001, and that the session then ends well.
fn both_hear_the_close(mut client: Peer, mut upstream: Peer, host: &Host) {
    for peer in [&mut client, &mut upstream] {
        assert_eq!(peer.hear_close(), (Some(1001), "going down".into()));
    }
    for peer in [&mut client, &mut upstream] {
        peer.send_close(1001, "");
    }
    client.hear_end();
    drop((client, upstream));
    assert_eq!(host.outcome(), Ok(()));
}

fn drain(host: &Host) {
    host.proxy.drain(1001, "going down").unwrap();
}

/// Frames until a close, which must be the last.
fn hear_until_close(peer: &mut Peer) -> (Vec<Heard>, Heard) {
    let mut heard = Vec::new();
    loop {
        match peer.hear() {
            close if close.opcode == CLOSE => return (heard, close),
            frame => heard.push(frame),
        }
    }
}
