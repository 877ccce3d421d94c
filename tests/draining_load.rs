//! Draining under full load: both peers send fragmented messages as fast as they can, and check that all they hear is
//! whole, in order and byte-exact up to a close that stands between messages.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use support::host::{config, session};
use support::on_every_policy;
use support::peer::{Peer, BINARY, CLOSE, CONTINUATION, PING};
use wsproxy::{Config, Frame, Kind, Policy, Verdict};

/// The payload of the message with this number, in fragments.
fn message(number: u32) -> Vec<Vec<u8>> {
    let fragments = 1 + number % 7;
    let piece = |index: u32| {
        let len = (number.wrapping_mul(2_654_435_761) >> 7).wrapping_add(index * 997) % 3_000;
        let mut bytes = vec![(number ^ index) as u8; len as usize];
        bytes.extend(number.to_be_bytes());
        bytes
    };
    (0..fragments).map(piece).collect()
}

/// Sends messages until it is told to stop, or nobody takes them.
fn flood(mut peer: Peer, told: &AtomicBool) {
    for number in 0.. {
        let fragments = message(number);
        let last = fragments.len() - 1;
        let frames = fragments.iter().enumerate().map(|(index, payload)| {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let mut bytes = peer.frame(index == last, opcode, payload);
            if number % 5 == 0 {
                bytes.extend(peer.frame(true, PING, b"between"));
            }
            bytes
        });
        let bytes = frames.collect::<Vec<_>>().concat();
        if peer.try_send_bytes(&bytes).is_err() || told.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Hears messages up to the close, and checks each; how many there were.
fn hear_all(peer: &mut Peer, policy: Policy) -> u32 {
    let (mut number, mut index) = (0, 0);
    let mut expected = message(0);
    loop {
        let heard = peer.hear();
        match heard.opcode {
            PING => continue,
            CLOSE => {
                assert_eq!(heard.close(), (Some(1001), "drained".into()));
                assert_eq!(index, 0, "{policy:?}: a close in the middle of message {number}");
                return number;
            }
            _ => {}
        }
        let opcode = if index == 0 { BINARY } else { CONTINUATION };
        let last = index + 1 == expected.len();
        assert_eq!((heard.opcode, heard.fin), (opcode, last), "{policy:?} {number} {index}");
        assert!(heard.payload == expected[index], "{policy:?}: message {number} is another");
        index += 1;
        if last {
            (number, index) = (number + 1, 0);
            expected = message(number);
        }
    }
}

fn drains_between_messages(
    set: impl Fn(&mut Config) + Sync,
    hook: impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync + Clone + 'static,
) {
    on_every_policy(|policy| {
        for round in 0..4 {
            let (client, upstream, host) = session(config(policy, &set), hook.clone());
            let peers = [client, upstream].map(|mut peer| {
                let told = Arc::new(AtomicBool::new(false));
                let (sends, heeds) = (peer.twin(), Arc::clone(&told));
                let sending = thread::spawn(move || flood(sends, &heeds));
                thread::spawn(move || {
                    let count = hear_all(&mut peer, policy);
                    told.store(true, Ordering::SeqCst);
                    peer.stream.shutdown(std::net::Shutdown::Both).unwrap_or(()); // it may have ended
                    sending.join().unwrap();
                    count
                })
            });
            thread::sleep(Duration::from_millis(5 + 17 * round));
            host.proxy.drain(1001, "drained").unwrap();
            for peer in peers {
                peer.join().unwrap();
            }
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn the_close_comes_between_messages_and_all_before_it_are_whole() {
    drains_between_messages(|_| {}, |_| Verdict::Forward);
}

#[test]
fn the_same_with_a_hook_that_replaces_every_payload() {
    drains_between_messages(
        |_| {},
        |frame| {
            let payload = frame.payload().to_vec();
            if frame.kind() != Kind::Close {
                frame.set_payload(&payload).unwrap();
            }
            Verdict::Forward
        },
    );
}

#[test]
fn the_same_with_a_slow_hook() {
    drains_between_messages(
        |_| {},
        |_| {
            thread::sleep(Duration::from_micros(300));
            Verdict::Forward
        },
    );
}
