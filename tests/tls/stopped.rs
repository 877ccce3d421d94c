//! Sessions under TLS that end because the host wants it, or because a side takes too long.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Config, ErrorKind, Policy, Side};

use super::scene::{config, session, Stream, EVERY};
use super::support::host::{pass, Host};
use super::support::offence::{legal, PROMPT};
use super::support::on_every_policy;
use super::support::peer::{Peer, BINARY, CLOSE, CONTINUATION};

/// Sends messages of three fragments until the other end takes no more; how many it has begun.
fn send_messages(peer: &mut Peer<Stream>) -> usize {
    let fragment = [9; 5_000];
    for begun in 1..100_000 {
        for (fin, opcode) in [(false, BINARY), (false, CONTINUATION), (true, CONTINUATION)] {
            let bytes = peer.frame(fin, opcode, &fragment);
            if peer.try_send_bytes(&bytes).is_err() {
                return begun;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("never drained");
}

/// Hears messages of three fragments, all of them whole, then the close frame.
fn hear_whole_messages(peer: &mut Peer<Stream>) -> usize {
    for whole in 0.. {
        let heard = peer.hear();
        if heard.opcode == CLOSE {
            assert_eq!(heard.close(), (Some(1001), "going down".into()));
            return whole;
        }
        assert_eq!((heard.fin, heard.opcode), (false, BINARY), "message {whole}");
        peer.expect(false, CONTINUATION, &[9; 5_000]);
        peer.expect(true, CONTINUATION, &[9; 5_000]);
    }
    unreachable!()
}

#[test]
fn a_drain_ends_between_messages_under_tls_on_both_legs() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(EVERY, config(EVERY, policy, |_| {}), pass);
        let sends = [client.other_hand(), upstream.other_hand()];
        thread::scope(|scope| {
            let senders = sends.map(|mut peer| scope.spawn(move || send_messages(&mut peer)));
            let hears = [&mut client, &mut upstream].map(|peer| {
                scope.spawn(|| {
                    let whole = hear_whole_messages(peer);
                    peer.send_close(1001, "");
                    // What this end still sends may be answered with a reset, as both have closed.
                    peer.stream.tls().finish(true);
                    whole
                })
            });
            thread::sleep(Duration::from_millis(300));
            host.proxy.drain(1001, "going down").unwrap();
            for hearing in hears {
                assert!(hearing.join().unwrap() > 3, "{policy:?}: there was no traffic");
            }
            for sender in senders {
                assert!(sender.join().unwrap() > 3);
            }
        });
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    });
}

/// A session whose client has stopped to read while much is on its way to it: client, upstream, host.
fn stuffed(policy: Policy, set: impl FnOnce(&mut Config)) -> (Peer<Stream>, Peer<Stream>, Host) {
    let (client, mut upstream, host) = session(EVERY, config(EVERY, policy, set), pass);
    let frame = legal(Side::Upstream, true, BINARY, &[7; 300_000]);
    upstream.stream.tcp().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while upstream.stream.write_all(&frame).is_ok() {}
    (client, upstream, host)
}

#[test]
fn an_abort_under_tls_waits_for_no_peer_that_does_not_read() {
    on_every_policy(|policy| {
        let (client, upstream, host) = stuffed(policy, |_| {});
        assert!(!host.has_ended(), "{policy:?}");
        let started = Instant::now();
        host.proxy.abort();
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        assert!(started.elapsed() < PROMPT, "{policy:?}: {:?}", started.elapsed());
        drop((client, upstream));
    });
}

#[test]
fn a_client_that_has_closed_and_ended_its_half_but_reads_nothing_is_cut_off_in_time() {
    on_every_policy(|policy| {
        let (mut client, upstream, host) = stuffed(policy, |config| {
            config.close_timeout(Duration::from_millis(800)).unwrap();
        });
        client.send_close(1000, "");
        client.stream.tls().finish(true);
        let started = Instant::now();
        let error = host.outcome().expect_err("the closing handshake is never over");
        assert!(started.elapsed() < PROMPT, "{policy:?}: {:?}", started.elapsed());
        // Nor has the upstream answered the close frame.
        assert_eq!(error.kind(), ErrorKind::Timeout, "{policy:?}: {error}");
        drop((client, upstream));
    });
}
