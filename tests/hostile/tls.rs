//! Hostile peers under TLS: two threads on one object (cpython#137583, openssl#20446), hellos that never end, floods of
//! records that carry nothing, answers that nobody reads.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Client, Config, ErrorKind, Policy, Side};

use super::authority::local;
use super::guard::{cpu, memory, watched};
use super::scene::{
    accept, config, connect, part, session, session_under, url, Legs, Stream, CLIENT, EVERY,
    UPSTREAM,
};
use super::stream::{server, Tls, TLS13};
use super::support::host::{pass, Host};
use super::support::http;
use super::support::offence::legal;
use super::support::peer::{Listener, Peer, BINARY};
use super::support::POLICIES;

/// What a session may take of memory, both ends of its TLS in this process included.
const FLAT: u64 = 24 << 20;

/// A session with little room towards the client: what nobody reads fills it soon. Client, upstream, host.
fn narrow(legs: Legs, config: Arc<Config>) -> (Peer<Stream>, Peer<Stream>, Host) {
    let listener = Listener::bind();
    let upstream_url = if legs.upstream { url(&listener) } else { listener.url() };
    let host = Host::serve(config, move |proxy, client| {
        socket2::SockRef::from(&client).set_send_buffer_size(16 << 10).unwrap();
        proxy.connect(Client::new(client), &upstream_url)?;
        proxy.execute(pass)
    });
    let addr = host.addr;
    let client = thread::spawn(move || connect(addr, legs.client));
    let upstream = accept(&listener, legs.upstream.then(|| server(TLS13, local(), None)));
    let client = client.join().unwrap();
    socket2::SockRef::from(client.stream.tcp()).set_recv_buffer_size(4096).unwrap();
    (client, upstream, host)
}

#[test]
fn a_side_that_never_reads_under_tls_holds_the_other_back_and_is_cut_off() {
    watched(|| {
        for policy in POLICIES {
            for from in Side::BOTH {
                let config = config(EVERY, policy, |config| {
                    config.write_timeout(Duration::from_millis(1_000));
                    config.close_timeout(Duration::from_millis(500)).unwrap();
                });
                let (client, upstream, host) = session(EVERY, config, pass);
                let (sender, other) = match from {
                    Side::Client => (client, upstream),
                    Side::Upstream => (upstream, client),
                };
                let before = memory("VmRSS");
                let frame = legal(from, true, BINARY, &[7; 60_000]);
                let mut hand = sender.stream.twin();
                let tcp = sender.stream.tcp();
                tcp.set_write_timeout(Some(Duration::from_millis(400))).unwrap();
                let mut sent = 0;
                while hand.write_all(&frame).is_ok() {
                    sent += frame.len();
                    assert!(sent < 256 << 20, "{policy:?} {from:?}: never held back");
                }
                let grown = memory("VmRSS").saturating_sub(before);
                assert!(grown < FLAT, "{policy:?} {from:?}: {grown} bytes more after {sent}");
                let error = host.outcome().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Timeout, "{policy:?} {from:?}: {error}");
                drop((sender, other));
            }
        }
    });
}

#[test]
fn a_client_hello_that_trickles_for_ever_meets_the_deadline() {
    watched(|| {
        for policy in POLICIES {
            let listener = Listener::bind();
            let config = config(CLIENT, policy, |config| {
                config.connect_timeout(Duration::from_millis(600)).unwrap();
            });
            let host = Host::start(config, &listener.url(), pass);
            let mut tcp = http::connect(host.addr);
            let (started, used) = (Instant::now(), cpu());
            tcp.write_all(&[0x16, 3, 1, 0x3F, 0xFF, 1, 0, 0x3F, 0xFB, 3, 3]).unwrap();
            while tcp.write_all(&[0]).is_ok() {
                assert!(started.elapsed() < Duration::from_secs(5), "{policy:?}: for ever");
                thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
            let used = cpu() - used;
            assert!(used < Duration::from_millis(400), "{policy:?}: a spin of {used:?}");
        }
    });
}

#[test]
fn half_open_tls_handshakes_leave_nothing_behind() {
    watched(|| {
        let config = config(CLIENT, Policy::Caller, |config| {
            config.connect_timeout(Duration::from_secs(2)).unwrap();
        });
        let crowd = super::crowd::Crowd::start(config, "ws://127.0.0.1:9");
        for round in 0..10 {
            let half_open: Vec<_> = (0..50)
                .map(|i| {
                    let mut tcp = http::connect(crowd.addr);
                    let hello = [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
                    tcp.write_all(&hello[..i % hello.len()]).unwrap();
                    tcp
                })
                .collect();
            if round == 9 {
                thread::sleep(Duration::from_millis(2_200)); // these meet the deadline
            }
            drop(half_open);
            for _ in 0..50 {
                let error = crowd.outcome().unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Gone | ErrorKind::Timeout), "{error}");
            }
        }
    });
}

#[test]
fn key_updates_whose_answers_are_read_are_obeyed_in_flat_memory() {
    watched(|| {
        for policy in POLICIES {
            let upstream = server(TLS13, local(), None);
            let (mut client, mut upstream, host) =
                session_under(UPSTREAM, config(UPSTREAM, policy, |_| {}), upstream, pass);
            let tls = upstream.stream.tls().clone();
            let before = memory("VmRSS");
            for _ in 0..400 {
                // rustls itself bears no more than 32 answers in a row.
                tls.refresh_keys_often(15).unwrap();
                upstream.send_text("they are on their way");
                assert_eq!(client.hear_text(), "they are on their way", "{policy:?}");
                client.send_text("up");
                assert_eq!(upstream.hear_text(), "up", "{policy:?}");
            }
            let grown = memory("VmRSS").saturating_sub(before);
            assert!(grown < FLAT, "{policy:?}: {grown} bytes more");
            upstream.send_text("down");
            assert_eq!(client.hear_text(), "down", "{policy:?}");
            let used = cpu();
            thread::sleep(Duration::from_millis(300));
            let used = cpu() - used;
            assert!(used < Duration::from_millis(150), "{policy:?}: a spin of {used:?}");
            part(&mut client, &mut upstream, &host);
        }
    });
}

#[test]
fn key_updates_whose_answers_nobody_reads_end_the_session_in_flat_memory() {
    watched(|| {
        for policy in POLICIES {
            let config = config(CLIENT, policy, |config| {
                config.close_timeout(Duration::from_millis(500)).unwrap();
            });
            let (client, mut upstream, host) = narrow(CLIENT, config);
            let (tls, before, started) = (client.stream.tls(), memory("VmRSS"), Instant::now());
            while tls.refresh_keys_often(500).is_ok() {
                assert!(started.elapsed() < Duration::from_secs(60), "{policy:?}: without end");
            }
            let grown = memory("VmRSS").saturating_sub(before);
            assert!(grown < FLAT, "{policy:?}: {grown} bytes more");
            assert_eq!(upstream.hear_close().0, Some(1001), "{policy:?}");
            let error = host.outcome().unwrap_err();
            assert!(error.message().contains("does not read them"), "{policy:?}: {error}");
        }
    });
}

#[test]
fn key_updates_whose_answers_wait_behind_unread_frames_end_the_session() {
    watched(|| {
        for policy in POLICIES {
            let config = config(UPSTREAM, policy, |config| {
                config.close_timeout(Duration::from_millis(500)).unwrap();
            });
            let upstream = server(TLS13, local(), None);
            let (mut client, upstream, host) = session_under(UPSTREAM, config, upstream, pass);
            socket2::SockRef::from(upstream.stream.tcp()).set_recv_buffer_size(4096).unwrap();
            let frame = legal(Side::Client, true, BINARY, &[7; 300_000]);
            client.stream.tcp().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            while client.stream.write_all(&frame).is_ok() {}
            let (tls, started) = (upstream.stream.tls(), Instant::now());
            while tls.refresh_keys_often(500).is_ok() {
                assert!(started.elapsed() < Duration::from_secs(60), "{policy:?}: without end");
            }
            assert_eq!(client.hear_close().0, Some(1011), "{policy:?}");
            let error = host.outcome().unwrap_err();
            assert!(error.message().contains("does not read them"), "{policy:?}: {error}");
        }
    });
}

#[test]
fn ten_thousand_session_tickets_are_only_bytes() {
    watched(|| {
        for policy in POLICIES {
            let mut upstream = (*server(TLS13, local(), None)).clone();
            upstream.send_tls13_tickets = 10_000;
            let config = config(UPSTREAM, policy, |_| {});
            let (mut client, mut upstream, host) =
                session_under(UPSTREAM, config, upstream.into(), pass);
            part(&mut client, &mut upstream, &host);
        }
    });
}

#[test]
fn a_flood_of_tiny_records_to_a_side_that_does_not_read_is_held_back() {
    watched(|| {
        for policy in POLICIES {
            let (client, upstream, host) = narrow(EVERY, config(EVERY, policy, |_| {}));
            let before = memory("VmRSS");
            let frame = legal(Side::Upstream, true, BINARY, &[7; 40_000]);
            let tls = upstream.stream.tls().clone();
            tls.tcp().set_write_timeout(Some(Duration::from_millis(400))).unwrap();
            let mut frames = 0;
            while tls.send_bytewise(&frame).is_ok() {
                frames += 1;
                assert!(frames < 5_000, "{policy:?}: never held back");
            }
            let grown = memory("VmRSS").saturating_sub(before);
            assert!(grown < FLAT, "{policy:?}: {grown} bytes more");
            let used = cpu();
            thread::sleep(Duration::from_millis(300));
            let used = cpu() - used;
            assert!(used < Duration::from_millis(150), "{policy:?}: a spin of {used:?}");
            drop((client, upstream, tls));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_flood_of_records_that_mean_nothing_in_the_handshake_ends_it() {
    watched(|| {
        for policy in POLICIES {
            let listener = Listener::bind();
            let host = Host::start(config(CLIENT, policy, |_| {}), &listener.url(), pass);
            let mut tcp = http::connect(host.addr);
            let (before, started) = (memory("VmRSS"), Instant::now());
            let changes = [0x14, 3, 3, 0, 1, 1].repeat(1_000);
            while tcp.write_all(&changes).is_ok() {
                assert!(started.elapsed() < Duration::from_secs(30), "{policy:?}: for ever");
            }
            assert!(memory("VmRSS").saturating_sub(before) < FLAT);
            assert!(matches!(
                host.outcome().unwrap_err().kind(),
                ErrorKind::Tls | ErrorKind::Timeout
            ));
        }
    });
}

#[test]
fn a_peer_that_resets_under_tls_while_it_is_written_to_raises_no_signal() {
    watched(|| {
        for policy in POLICIES {
            let (client, upstream, host) = session(EVERY, config(EVERY, policy, |_| {}), pass);
            let mut hand = client.stream.twin();
            let frame = legal(Side::Client, true, BINARY, &[7; 60_000]);
            client.stream.tcp().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            while hand.write_all(&frame).is_ok() {}
            let socket = socket2::SockRef::from(upstream.stream.tcp());
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            drop(upstream);
            thread::sleep(Duration::from_millis(50));
            for (name, pending) in super::guard::threads() {
                assert_eq!(pending & (1 << 12), 0, "SIGPIPE was raised in {name}");
            }
            drop((hand, client));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_refused_client_that_never_stops_sending_is_let_go_in_time() {
    let listener = Listener::bind();
    let host = Host::start(config(CLIENT, Policy::Serial, |_| {}), &listener.url(), pass);
    let mut client = Tls::connect_trusting(http::connect(host.addr)).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let started = Instant::now();
    let record = [0; 64 << 10];
    while started.elapsed() < Duration::from_secs(5) && client.write_all(&record).is_ok() {}
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request);
}
