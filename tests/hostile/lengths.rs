//! Memory, or an endless loop, by a length that is only declared; endless tiny fragments.
//! CVE-2022-35922, CVE-2020-27813, CVE-2020-13935, CVE-2026-1528, CVE-2026-48779 (ws).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use wsproxy::{Config, Side};

use super::crowd::{agree, allow_descriptors, upstream, Crowd};
use super::guard::{cpu, memory, settle, watched};
use super::support::host::{config, pass, session};
use super::support::http::connect;
use super::support::offence::{is_closed, legal, long_header};
use super::support::peer::{frame, request, Peer, BINARY, CONTINUATION, TEXT};
use super::support::POLICIES;

const SESSIONS: usize = 500;

#[test]
fn a_declared_length_over_the_limit_is_1009_before_a_byte_of_it_came() {
    watched(|| {
        for from in Side::BOTH {
            for len in [(16 << 20) + 1, 1 << 31, 1 << 32, (1 << 62) + 1, (1 << 63) - 1] {
                is_closed(from, &long_header(from, BINARY, len), 1009, |_| {});
            }
        }
    });
}

#[test]
fn a_length_of_64_bits_is_1002() {
    watched(|| {
        for from in Side::BOTH {
            for len in [1 << 63, (1 << 63) + 125, u64::MAX - 13, u64::MAX] {
                is_closed(from, &long_header(from, BINARY, len), 1002, |_| {});
            }
        }
    });
}

#[test]
fn lengths_that_add_up_to_more_than_64_bits_are_1009() {
    watched(|| {
        let unlimited = |config: &mut Config| {
            for side in Side::BOTH {
                config.max_frame_size(side, u64::MAX).unwrap();
                config.aggregate(side, true);
            }
        };
        for from in Side::BOTH {
            let first = legal(from, false, BINARY, b"x");
            let bytes = [first, long_header(from, CONTINUATION, (1 << 63) - 1)].concat();
            is_closed(from, &bytes, 1009, unlimited);
        }
    });
}

/// Raw clients, upgraded; nothing of their heads is kept.
fn clients(crowd: &Crowd, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::connect(crowd.addr)).collect()
}

fn silent_upstream() -> Crowd {
    upstream(|mut stream, head| {
        agree(&mut stream, &head);
        let _ = stream.read(&mut [0]); // the close frame; no answer, the end
    })
}

#[test]
fn five_hundred_sessions_with_a_length_over_the_limit_take_no_memory() {
    watched(|| {
        allow_descriptors(8_000);
        for policy in POLICIES {
            let upstream = silent_upstream();
            let crowd = Crowd::start(config(policy, |_| {}), &format!("ws://{}", upstream.addr));
            let mut clients = clients(&crowd, SESSIONS);
            let (before, size) = (memory("VmRSS"), memory("VmSize"));
            for (i, client) in clients.iter_mut().enumerate() {
                let len = [1 << 31, (1 << 63) - 1, 1 << 63, u64::MAX][i % 4];
                client.send_bytes(&long_header(Side::Client, BINARY, len));
            }
            for (i, client) in clients.iter_mut().enumerate() {
                let code = if i % 4 < 2 { 1009 } else { 1002 };
                assert_eq!(client.hear_close(), (Some(code), String::new()));
            }
            let (now, size_now) = (memory("VmRSS"), memory("VmSize"));
            assert!(now < before + (32 << 20), "{policy:?}: {} KiB", (now - before) >> 10);
            assert!(size_now < size + (1 << 30), "{policy:?}: {} KiB", (size_now - size) >> 10);
            drop(clients);
            (0..SESSIONS).for_each(|_| assert!(crowd.outcome().is_err()));
        }
    });
}

/// Sessions that declare the largest legal frame and send `sent` bytes of it take memory for those, and no more.
fn memory_follows_what_came(sessions: usize, sent: usize) {
    allow_descriptors(8_000);
    for policy in POLICIES {
        let upstream = silent_upstream();
        let crowd = Crowd::start(config(policy, |_| {}), &format!("ws://{}", upstream.addr));
        let mut clients = clients(&crowd, sessions);
        let (before, size) = (memory("VmRSS"), memory("VmSize"));
        let start = [long_header(Side::Client, BINARY, 16 << 20), vec![7; 4 + sent]].concat();
        clients.iter_mut().for_each(|client| client.send_bytes(&start));
        thread::sleep(Duration::from_millis(500)); // what was declared would be taken by now
        let allowed = (32 << 20) + (3 * sessions * sent) as u64;
        let (now, size_now) = (memory("VmRSS"), memory("VmSize"));
        assert!(now < before + allowed, "{policy:?}: {} KiB", (now - before) >> 10);
        assert!(size_now < size + (1 << 30), "{policy:?}: {} KiB", (size_now - size) >> 10);
        drop(clients);
        (0..sessions).for_each(|_| assert!(crowd.outcome().is_err()));
    }
}

#[test]
fn five_hundred_sessions_that_declare_the_limit_and_send_little_take_little_memory() {
    watched(|| memory_follows_what_came(SESSIONS, 100));
}

#[test]
fn sessions_that_send_a_part_of_a_large_frame_take_memory_for_that_part() {
    watched(|| memory_follows_what_came(100, 150_000));
}

#[test]
fn more_fragments_than_the_limit_are_1009_in_both_modes() {
    watched(|| {
        for (from, aggregate) in Side::BOTH.iter().flat_map(|&side| [(side, false), (side, true)]) {
            let set = |config: &mut Config| {
                config.max_fragments(from, 100).unwrap().aggregate(from, aggregate);
            };
            for payload in [&b""[..], b"x"] {
                let next = legal(from, false, CONTINUATION, payload);
                let first = legal(from, false, TEXT, payload);
                assert_passes(from, &[first.clone(), next.repeat(98)].concat(), set);
                // The others come first to whom fragments pass one by one.
                let (client, upstream, host) = session(config(POLICIES[0], set), pass);
                let (mut offender, other) =
                    super::support::offence::in_order(from, client, upstream);
                offender.send_bytes(&[first, next.repeat(100)].concat());
                assert_eq!(offender.hear_close(), (Some(1009), String::new()));
                let seen = count_until_close(other);
                assert_eq!(seen, (if aggregate { 0 } else { 100 }, Some(1001)));
                drop(offender);
                assert!(host.outcome().is_err());
            }
        }
    });
}

/// How many frames come before the close frame, and its code.
fn count_until_close(mut peer: Peer) -> (usize, Option<u16>) {
    let mut count = 0;
    loop {
        let heard = peer.hear();
        if heard.opcode == super::support::peer::CLOSE {
            return (count, heard.close().0);
        }
        count += 1;
    }
}

fn assert_passes(from: Side, fragments: &[u8], set: impl Fn(&mut Config)) {
    for policy in POLICIES {
        let (client, upstream, host) = session(config(policy, &set), pass);
        let (mut sender, mut other) = super::support::offence::in_order(from, client, upstream);
        sender.send_bytes(fragments);
        sender.send_bytes(&legal(from, true, CONTINUATION, b"end"));
        while !other.hear().payload.ends_with(b"end") {}
        drop((sender, other));
        assert!(host.outcome().is_err());
    }
}

#[test]
fn an_endless_message_of_empty_fragments_takes_no_memory_and_ends_at_the_limit() {
    watched(|| {
        for policy in POLICIES {
            let config = config(policy, |config| {
                config.max_fragments(Side::Client, 300_000).unwrap().aggregate(Side::Client, true);
            });
            let (mut client, mut upstream, host) = session(config, pass);
            let before = memory("VmRSS");
            client.send(false, TEXT, b"");
            let many = frame(false, CONTINUATION, b"", Some([0; 4])).repeat(10_000);
            for _ in 0..30 {
                if client.try_send_bytes(&many).is_err() {
                    break; // cut off
                }
            }
            assert_eq!(client.hear_close(), (Some(1009), String::new()), "{policy:?}");
            assert_eq!(upstream.hear_close(), (Some(1001), String::new()), "{policy:?}");
            assert!(memory("VmRSS") < before + (8 << 20));
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn half_a_frame_and_silence_costs_no_cpu() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, upstream, host) = session(config(policy, |_| {}), pass);
            for header in [&[0x82u8][..], &[0x80 | 127, 0, 0], &[0, 0, 0, 0x10, 0, 0], &[1, 2]] {
                client.send_bytes(header);
                thread::sleep(Duration::from_millis(20));
            }
            let used = cpu();
            thread::sleep(Duration::from_millis(500));
            assert!(cpu() - used < Duration::from_millis(200), "{policy:?}: {:?}", cpu() - used);
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn clients_that_never_send_a_request_take_little_memory() {
    watched(|| {
        allow_descriptors(8_000);
        let config = config(POLICIES[0], |config| {
            config.connect_timeout(Duration::from_secs(30)).unwrap();
        });
        let crowd = Crowd::start(config, &super::crowd::nowhere());
        let before = memory("VmRSS");
        let half = request("/", "").split_at(60).0.to_owned();
        let mut waiting: Vec<TcpStream> = (0..SESSIONS).map(|_| connect(crowd.addr)).collect();
        waiting.iter_mut().for_each(|stream| stream.write_all(half.as_bytes()).unwrap());
        settle(|| memory("Threads") >> 10 > SESSIONS as u64, || "all are taken".into());
        assert!(memory("VmRSS") < before + (64 << 20));
        drop(waiting);
        (0..SESSIONS).for_each(|_| assert!(crowd.outcome().is_err()));
    });
}
