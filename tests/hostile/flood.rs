//! Peers that do not read, and peers that never stop. CVE-2020-35896 and slow readers, the CVE-2025-5399 class.

use std::io::{ErrorKind as IoError, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Config, ErrorKind, Fault, Kind, Policy, Side};

use super::guard::{cpu, memory, watched};
use super::support::host::{config, pass, session, Host};
use super::support::offence::{in_order, legal};
use super::support::peer::{Peer, BINARY, PING, TEXT};
use super::support::POLICIES;

/// More than all the kernel's buffers on the way can hold, where they are as large as Linux makes them.
const MUCH: usize = 256 << 20;
/// How long nobody must take a byte until the way counts as blocked.
const BLOCKED: Duration = Duration::from_millis(400);
/// What the session may take meanwhile.
const FLAT: u64 = 16 << 20;

/// Sends `chunk` again and again until the way is blocked; how much was taken.
fn flood(stream: &TcpStream, chunk: &[u8]) -> usize {
    let mut stream = stream;
    stream.set_write_timeout(Some(BLOCKED)).unwrap();
    let mut sent = 0;
    while sent < MUCH {
        let (at, started) = (sent % chunk.len(), Instant::now());
        match stream.write(&chunk[at..]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), IoError::WouldBlock | IoError::TimedOut) => break,
            Err(error) => panic!("{error} after {sent} bytes"),
        }
        if started.elapsed() >= BLOCKED {
            break; // a part of it was taken first
        }
    }
    sent
}

fn patient(policy: Policy, write_timeout: Duration) -> std::sync::Arc<Config> {
    config(policy, |config| {
        config.write_timeout(write_timeout).close_timeout(Duration::from_millis(500)).unwrap();
    })
}

/// A session on which `from` floods with `chunk` and the other side does not read: flooder, the other, host.
fn blocked(policy: Policy, from: Side, chunk: &[u8], timeout: Duration) -> (Peer, Peer, Host) {
    let (client, upstream, host) = session(patient(policy, timeout), pass);
    let (flooder, other) = in_order(from, client, upstream);
    let before = memory("VmRSS");
    let sent = flood(&flooder.stream, chunk);
    assert!(sent < MUCH, "{policy:?} {from:?}: the flooder was never held back");
    let grown = memory("VmRSS").saturating_sub(before);
    assert!(grown < FLAT, "{policy:?} {from:?}: {grown} bytes more after {sent}");
    (flooder, other, host)
}

#[test]
fn a_peer_that_never_reads_holds_the_other_one_back_and_is_cut_off_at_the_write_timeout() {
    watched(|| {
        for (policy, from) in POLICIES.iter().flat_map(|&p| Side::BOTH.map(|side| (p, side))) {
            let chunk = legal(from, true, BINARY, &[7; 60_000]);
            let timeout = Duration::from_millis(1_500);
            let (flooder, other, host) = blocked(policy, from, &chunk, timeout);
            let error = host.outcome().expect_err("the write timeout");
            let fault = if from == Side::Client { Fault::Upstream } else { Fault::Client };
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Timeout, fault), "{error}");
            drop((flooder, other));
        }
    });
}

#[test]
fn a_ping_flood_to_a_side_that_does_not_read_costs_neither_cpu_nor_memory() {
    watched(|| {
        for (policy, from) in POLICIES.iter().flat_map(|&p| Side::BOTH.map(|side| (p, side))) {
            let chunk = legal(from, true, PING, &[b'p'; 125]).repeat(500);
            let (mut flooder, mut other, host) =
                blocked(policy, from, &chunk, Duration::from_secs(60));
            let used = cpu();
            thread::sleep(Duration::from_millis(800));
            let used = cpu() - used;
            assert!(used < Duration::from_millis(250), "{policy:?} {from:?}: a spin of {used:?}");
            // The other way flows all the same.
            let reply = legal(from.other(), true, TEXT, b"meanwhile");
            other.send_bytes(&reply);
            assert_eq!(flooder.hear_text(), "meanwhile", "{policy:?} {from:?}");
            drop((flooder, other));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_million_pings_to_a_side_that_reads_arrive_in_bounded_memory() {
    let count: usize =
        std::env::var("WSPROXY_TEST_PINGS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    watched(move || {
        for policy in POLICIES {
            let (client, mut upstream, host) = session(config(policy, |_| {}), pass);
            let before = memory("VmRSS");
            let mut writer = client.stream.try_clone().unwrap();
            let chunk = legal(Side::Client, true, PING, b"").repeat(1_000);
            let flooding = thread::spawn(move || {
                (0..count / 1_000).for_each(|_| writer.write_all(&chunk).unwrap());
            });
            read_exactly(&mut upstream, count * 6);
            flooding.join().unwrap();
            assert!(memory("VmRSS").saturating_sub(before) < FLAT, "{policy:?}");
            drop((client, upstream));
            assert!(host.outcome().is_err());
            let pings = host.stats().client.frames;
            assert_eq!(pings.iter().sum::<u64>(), count as u64, "{policy:?}");
        }
    });
}

fn read_exactly(peer: &mut Peer, count: usize) {
    use std::io::Read;
    let (mut left, mut buffer) = (count, vec![0; 1 << 16]);
    while left > 0 {
        let room = left.min(buffer.len());
        left -= peer.stream.read(&mut buffer[..room]).unwrap();
    }
}

#[test]
fn a_side_that_reads_a_byte_now_and_then_is_not_cut_off_and_loses_nothing() {
    watched(|| {
        for policy in POLICIES {
            let (client, mut upstream, host) =
                session(patient(policy, Duration::from_millis(600)), pass);
            let text = "s".repeat(100);
            let mut writer = client.stream.try_clone().unwrap();
            let bytes = legal(Side::Client, true, TEXT, text.as_bytes());
            let started = Instant::now();
            let sending = thread::spawn(move || {
                for piece in bytes.chunks(5) {
                    writer.write_all(piece).unwrap();
                    thread::sleep(Duration::from_millis(40));
                }
            });
            assert_eq!(upstream.hear_text(), text);
            assert!(started.elapsed() > Duration::from_millis(600), "slower than the timeout");
            sending.join().unwrap();
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn frames_of_the_hosts_for_a_side_that_does_not_read_are_refused_once_too_many_wait() {
    watched(|| {
        for policy in POLICIES {
            let (client, upstream, host) = session(patient(policy, Duration::from_secs(60)), pass);
            let (before, payload) = (memory("VmRSS"), vec![7; 60_000]);
            let started = Instant::now();
            // The peers may have their 101 before `connect` has returned.
            while host.proxy.send(Side::Upstream, Kind::Ping, b"").is_err() {
                assert!(started.elapsed() < Duration::from_secs(5), "{policy:?}: never open");
                thread::sleep(Duration::from_millis(1));
            }
            // Once the buffers of the kernel are full, the queue is bounded; the pauses let the session fill them.
            let mut refused = 0;
            while refused < 3 && started.elapsed() < Duration::from_secs(15) {
                match host.proxy.send(Side::Upstream, Kind::Binary, &payload) {
                    Ok(()) => refused = 0,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Again, "{error}");
                        refused += 1;
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            }
            assert_eq!(refused, 3, "{policy:?}: never refused");
            let grown = memory("VmRSS").saturating_sub(before);
            assert!(grown < FLAT, "{policy:?}: {grown} bytes more");
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_client_that_sends_on_after_its_offence_is_cut_off() {
    watched(|| {
        for policy in POLICIES {
            let config = config(policy, |config| {
                config.close_timeout(Duration::from_millis(500)).unwrap();
            });
            let (mut client, upstream, host) = session(config, pass);
            let before = memory("VmRSS");
            client.send_bytes(&[0xC1, 0x80, 0, 0, 0, 0]);
            // The system tells a sender whose window was closed only when it next asks.
            client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
            let started = Instant::now();
            let flood =
                thread::spawn(move || while client.try_send_bytes(&[0xFF; 1 << 16]).is_ok() {});
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Protocol);
            assert!(started.elapsed() < Duration::from_secs(10), "{policy:?}: cut off late");
            assert!(memory("VmRSS").saturating_sub(before) < FLAT);
            flood.join().unwrap();
            drop(upstream);
        }
    });
}

#[test]
fn a_stop_ends_a_session_whose_both_sides_do_not_read() {
    watched(|| {
        for policy in POLICIES {
            let config = config(policy, |config| {
                config.close_timeout(Duration::from_millis(500)).unwrap();
            });
            let (client, upstream, host) = session(config, pass);
            for (peer, side) in [(&client, Side::Client), (&upstream, Side::Upstream)] {
                assert!(flood(&peer.stream, &legal(side, true, BINARY, &[7; 60_000])) < MUCH);
            }
            let started = Instant::now();
            host.proxy.stop(1001, "").unwrap();
            let _ = host.outcome(); // in time, however
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{policy:?}: {:?}",
                started.elapsed()
            );
            drop((client, upstream));
        }
    });
}
