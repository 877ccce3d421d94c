//! Bytes under TLS: all of them, in order, both ways at once, however they are cut.

use std::io::Write;
use std::thread;
use std::time::Instant;

use wsproxy::Verdict;

use super::authority::local;
use super::scene::{config, part, session, session_under, Legs, Stream, CLIENT, EVERY, UPSTREAM};
use super::stream::{server, TLS12, TLS13};
use super::support::on_every_policy;
use super::support::peer::{frame, Peer, BINARY};

/// What moves each way; as many MiB as `WSPROXY_TEST_MIB` says, where it is set.
fn amount() -> usize {
    let mib = std::env::var("WSPROXY_TEST_MIB").ok().and_then(|n| n.parse().ok());
    mib.unwrap_or(64) << 20
}

/// Payloads are cut out of this, so that every position has its own look.
fn pattern(salt: usize) -> Vec<u8> {
    (0..1_048_573usize).map(|i| (i * 31 + (i >> 8) * 7 + (i >> 16) + salt) as u8).collect()
}

/// The largest payload.
const MOST: usize = 300_000;

/// Sends as many bytes of payload, in frames of all sizes.
pub fn send_all(peer: &mut Peer<Stream>, amount: usize, masks: bool, salt: usize) {
    let pattern = [pattern(salt), pattern(salt)].concat();
    let (mut at, mut len) = (0, 1);
    while at < amount {
        let payload = &pattern[at % 1_048_573..][..len.min(amount - at)];
        peer.stream.write_all(&frame(true, BINARY, payload, masks.then_some([0; 4]))).unwrap();
        at += payload.len();
        len = len * 3 % MOST + 1;
    }
}

/// Hears them, and checks each.
pub fn hear_all(peer: &mut Peer<Stream>, amount: usize, salt: usize) {
    let pattern = [pattern(salt), pattern(salt)].concat();
    let mut at = 0;
    while at < amount {
        let heard = peer.hear();
        assert_eq!((heard.fin, heard.opcode), (true, BINARY), "after {at} bytes");
        let expected = &pattern[at % 1_048_573..][..heard.payload.len()];
        assert!(heard.payload == expected, "other bytes after {at}");
        at += heard.payload.len();
    }
    assert_eq!(at, amount);
}

/// Moves as many bytes each way at once.
pub fn both_ways(client: &mut Peer<Stream>, upstream: &mut Peer<Stream>, amount: usize) {
    let (mut client_sends, mut upstream_sends) = (client.other_hand(), upstream.other_hand());
    thread::scope(|scope| {
        scope.spawn(move || send_all(&mut client_sends, amount, true, 1));
        scope.spawn(move || send_all(&mut upstream_sends, amount, false, 2));
        scope.spawn(|| hear_all(client, amount, 2));
        scope.spawn(|| hear_all(upstream, amount, 1));
    });
}

fn moves_much_both_ways(legs: Legs) {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(legs, config(legs, policy, |_| {}), |_| Verdict::Forward);
        let started = Instant::now();
        both_ways(&mut client, &mut upstream, amount());
        println!("{legs:?} {policy:?}: {:?}", started.elapsed());
        part(&mut client, &mut upstream, &host);
    });
}

#[test]
fn much_crosses_both_ways_at_once_with_tls_upstream() {
    moves_much_both_ways(UPSTREAM);
}

#[test]
fn much_crosses_both_ways_at_once_with_tls_on_the_client_leg() {
    moves_much_both_ways(CLIENT);
}

#[test]
fn much_crosses_both_ways_at_once_with_tls_on_both_legs() {
    moves_much_both_ways(EVERY);
}

#[test]
fn tls_1_2_moves_bytes_as_well_as_tls_1_3() {
    on_every_policy(|policy| {
        for versions in [TLS12, TLS13] {
            let config = config(UPSTREAM, policy, |_| {});
            let upstream = server(versions, local(), None);
            let (mut client, mut upstream, host) =
                session_under(UPSTREAM, config, upstream, |_| Verdict::Forward);
            let spoken = upstream.stream.tls().look(|connection| connection.protocol_version());
            assert_eq!(spoken, Some(versions[0].version));
            both_ways(&mut client, &mut upstream, 4 << 20);
            part(&mut client, &mut upstream, &host);
        }
    });
}

#[test]
fn a_record_for_each_byte_is_as_good() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        let payload: Vec<u8> = (0..200_000usize).map(|i| (i * 7 + (i >> 8)) as u8).collect();
        let down = upstream.frame(true, BINARY, &payload);
        let up = client.frame(true, BINARY, &payload);
        let (from_client, from_upstream) =
            (client.stream.tls().clone(), upstream.stream.tls().clone());
        thread::scope(|scope| {
            scope.spawn(|| from_upstream.send_bytewise(&down).unwrap());
            scope.spawn(|| from_client.send_bytewise(&up).unwrap());
            scope.spawn(|| client.expect(true, BINARY, &payload));
            scope.spawn(|| upstream.expect(true, BINARY, &payload));
        });
        part(&mut client, &mut upstream, &host);
    });
}

#[test]
fn the_rest_of_a_record_that_is_larger_than_a_read_does_not_wait_for_another_record() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
        let payload = &pattern(5)[..16_000];
        client.send(true, BINARY, payload);
        upstream.expect(true, BINARY, payload);
        upstream.send(true, BINARY, payload);
        client.expect(true, BINARY, payload);
        part(&mut client, &mut upstream, &host);
    });
}

#[test]
fn a_side_that_stops_reading_for_a_while_loses_nothing() {
    on_every_policy(|policy| {
        for to_upstream in [true, false] {
            let (client, upstream, host) =
                session(EVERY, config(EVERY, policy, |_| {}), |_| Verdict::Forward);
            let (mut sends, mut hears) =
                if to_upstream { (client, upstream) } else { (upstream, client) };
            let mut sender = sends.other_hand();
            let sending = thread::spawn(move || send_all(&mut sender, 24 << 20, to_upstream, 3));
            thread::sleep(std::time::Duration::from_millis(700));
            assert!(!sending.is_finished(), "{policy:?}: never held back");
            // The other way flows meanwhile.
            hears.send_text("meanwhile");
            assert_eq!(sends.hear_text(), "meanwhile", "{policy:?}");
            hear_all(&mut hears, 24 << 20, 3);
            sending.join().unwrap();
            let (mut client, mut upstream) =
                if to_upstream { (sends, hears) } else { (hears, sends) };
            part(&mut client, &mut upstream, &host);
        }
    });
}
