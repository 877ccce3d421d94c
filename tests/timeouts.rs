//! The deadlines of an established session, on every driver. Those of the handshakes: `deadlines.rs`.
//!
//! Periods are short, so every test says only what must hold on a busy machine too: what ends a session does so not
//! before its period, and what keeps it alive comes several times per period.

mod support;

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use support::host::{config, meet, pass, session, session_from, Host};
use support::peer::{Listener, Peer, BINARY, CONTINUATION, PING, PONG, TEXT};
use support::{has_passed, on_every_policy};
use wsproxy::{Client, Close, Config, Error, ErrorKind, Fault, Frame, Kind, Policy, Side, Verdict};

const SHORT: Duration = Duration::from_millis(300);

fn timed_out(error: Error, fault: Fault, words: &str) {
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Timeout, fault));
    assert_eq!(error.message(), words);
}

#[test]
fn silence_from_both_sides_ends_the_session_with_1001_for_both() {
    on_every_policy(|policy| {
        let started = Instant::now();
        let (mut client, mut upstream, host) = session(
            config(policy, |c| {
                c.idle_timeout(SHORT);
            }),
            pass,
        );
        for peer in [&mut client, &mut upstream] {
            assert_eq!(peer.hear_close(), (Some(1001), String::new()));
        }
        assert!(has_passed(SHORT, started.elapsed()));
        drop((client, upstream));
        let error = host.outcome().unwrap_err();
        timed_out(error, Fault::Client, "nothing came from either side for 300 ms");
    });
}

#[test]
fn silence_after_a_frame_that_a_hook_has_seen_is_silence_too() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(SHORT);
        });
        let (mut client, mut upstream, host) = session(config, pass);
        client.send_text("last words");
        let heard = std::iter::repeat_with(|| upstream.hear()).find(|heard| heard.opcode != TEXT);
        assert_eq!(heard.unwrap().close(), (Some(1001), String::new()));
        assert_eq!(client.hear_close(), (Some(1001), String::new()));
        drop((client, upstream));
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
    });
}

/// Does `act` every fifth of the idle timeout, for three of them: the session must still be there.
fn keeps_alive(act: impl Fn(&Host, &mut Peer, &mut Peer) + Sync) {
    on_every_policy(|policy| {
        let idle = Duration::from_secs(1);
        let config = config(policy, |c| {
            c.idle_timeout(idle);
        });
        let (mut client, mut upstream, host) = session(config, pass);
        for _ in 0..15 {
            act(&host, &mut client, &mut upstream);
            thread::sleep(idle / 5);
        }
        client.send_text("still here");
        assert_eq!(upstream.hear_text(), "still here");
        client.send_close(1000, "");
        upstream.hear_close();
    });
}

#[test]
fn control_frames_from_either_side_and_frames_of_the_hosts_keep_a_session_alive() {
    thread::scope(|scope| {
        scope.spawn(|| {
            keeps_alive(|_, client, upstream| {
                client.send(true, PING, b"");
                upstream.expect(true, PING, b"");
            })
        });
        scope.spawn(|| {
            keeps_alive(|_, client, upstream| {
                upstream.send(true, PONG, b"");
                client.expect(true, PONG, b"");
            })
        });
        scope.spawn(|| {
            keeps_alive(|host, client, _| {
                host.send(Side::Client, Kind::Ping, b"").unwrap();
                client.expect(true, PING, b"");
            })
        });
    });
}

#[test]
fn a_hook_that_takes_longer_than_the_idle_timeout_is_not_silence() {
    on_every_policy(|policy| {
        let idle = Duration::from_secs(1);
        let config = config(policy, |c| {
            c.idle_timeout(idle);
        });
        let hook = move |_: &mut Frame<'_>| {
            thread::sleep(3 * idle);
            let close = || Close::new(4000, "in the end").unwrap();
            Verdict::End { client: close(), upstream: close() }
        };
        let (mut client, mut upstream, host) = session(config, hook);
        client.send_text("think");
        for peer in [&mut upstream, &mut client] {
            assert_eq!(peer.hear_close(), (Some(4000), "in the end".into()));
        }
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn no_idle_timeout_means_none() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(Duration::ZERO).write_timeout(Duration::ZERO);
        });
        let (mut client, mut upstream, _host) = session(config, pass);
        client.hear_nothing_for(SHORT);
        client.send_text("still here");
        assert_eq!(upstream.hear_text(), "still here");
    });
}

#[test]
fn answers_to_the_proxys_own_pings_are_not_forwarded_and_others_are() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(SHORT * 3).keepalive_interval(SHORT / 3);
        });
        for side in Side::BOTH {
            let (mut pinged, other, host) = session_from(side, config.clone(), pass);
            let mut silent = other.twin();
            for _ in 0..12 {
                // Longer than the idle timeout: answered pings keep the session.
                for peer in [&mut pinged, &mut silent] {
                    let ping = peer.hear();
                    assert_eq!((ping.opcode, ping.payload.len()), (PING, 8));
                    peer.send(true, PONG, &ping.payload);
                }
            }
            pinged.send(true, PONG, b"unasked");
            let heard = std::iter::from_fn(|| silent.try_hear()).find(|heard| heard.opcode != PING);
            let heard = heard.expect("the other pong");
            assert_eq!((heard.opcode, &heard.payload[..]), (PONG, &b"unasked"[..]));
            for peer in [pinged, other] {
                peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
            }
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
        }
    });
}

#[test]
fn a_side_that_answers_no_pings_is_gone_however_lively_the_other_is() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(SHORT * 2).keepalive_interval(SHORT / 3);
        });
        for mute in Side::BOTH {
            let (other, mut lively, host) = session_from(mute, config.clone(), pass);
            let mut last = lively.hear();
            while last.opcode == PING {
                lively.send(true, PONG, &last.payload);
                last = lively.hear();
            }
            let code = if mute == Side::Client { 1001 } else { 1011 };
            assert_eq!(last.close(), (Some(code), String::new()), "{policy:?} {mute}");
            lively.send_close(code, "");
            other.stream.shutdown(std::net::Shutdown::Both).unwrap();
            drop(lively);
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
        }
    });
}

#[test]
fn pings_that_nobody_answers_do_not_keep_a_session_alive() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(SHORT * 2).keepalive_interval(SHORT / 3);
        });
        let (mut client, upstream, host) = session(config, pass);
        let mut last = client.hear();
        while last.opcode == PING {
            last = client.hear();
        }
        assert_eq!(last.close(), (Some(1001), String::new()));
        drop((client, upstream));
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
    });
}

#[test]
fn pings_of_the_proxys_go_between_the_fragments_of_a_message() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.keepalive_interval(SHORT / 3);
        });
        let (mut client, mut upstream, _host) = session(config, pass);
        client.send(false, BINARY, b"1");
        upstream.expect(false, BINARY, b"1");
        assert_eq!(upstream.hear().opcode, PING);
        client.send(true, CONTINUATION, b"2");
        let heard = std::iter::from_fn(|| upstream.try_hear()).find(|heard| heard.opcode != PING);
        assert_eq!(heard.expect("the end of the message").payload, b"2");
    });
}

/// Sends large frames until it cannot any more.
fn flood(mut peer: Peer) -> thread::JoinHandle<()> {
    let bytes = peer.frame(true, BINARY, &vec![0; 1 << 20]);
    thread::spawn(move || while peer.try_send_bytes(&bytes).is_ok() {})
}

#[test]
fn a_side_that_takes_nothing_is_cut_off_and_meanwhile_its_own_frames_flow() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let period = Duration::from_secs(1);
            let config = config(policy, |c| {
                c.write_timeout(period);
            });
            let (mut stalled, mut other, host) = session_from(side, config, pass);
            let started = Instant::now();
            let flooding = flood(other.twin());
            while started.elapsed() < period / 2 {
                stalled.send_text("I talk and do not listen");
                assert_eq!(other.hear_text(), "I talk and do not listen");
            }
            let code = if side == Side::Client { 1001 } else { 1011 };
            assert_eq!(other.hear_close(), (Some(code), String::new()));
            assert!(has_passed(period, started.elapsed()));
            other.stream.shutdown(std::net::Shutdown::Both).unwrap();
            let fault = if side == Side::Client { Fault::Client } else { Fault::Upstream };
            timed_out(host.outcome().unwrap_err(), fault, "took no bytes for 1000 ms");
            drop(stalled);
            flooding.join().unwrap();
        }
    });
}

#[test]
fn a_side_that_takes_nothing_is_cut_off_while_the_other_has_still_to_answer() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let config = config(policy, |c| {
                c.write_timeout(SHORT).close_timeout(Duration::from_secs(3600)).unwrap();
            });
            let (mut stalled, mut other, host) = session_from(side, config, pass);
            let flooding = flood(other.twin());
            other.hear_close();
            let mut taken = vec![0; 1 << 20];
            while stalled.stream.read(&mut taken).is_ok_and(|count| count > 0) {}
            assert!(!host.has_ended(), "{policy:?}: the other was not waited for");
            other.stream.shutdown(std::net::Shutdown::Both).unwrap();
            assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Timeout);
            flooding.join().unwrap();
        }
    });
}

#[test]
fn a_side_that_was_told_and_ends_its_stream_unread_is_waited_for_no_longer() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let config = config(policy, |c| {
                c.idle_timeout(Duration::ZERO).write_timeout(Duration::ZERO);
                c.close_timeout(Duration::from_secs(3600)).unwrap();
            });
            let (deaf, mut other, host) = session_from(side, config, pass);
            let flooding = flood(other.twin());
            thread::sleep(Duration::from_millis(300)); // nothing fits any more; if it does, this finds out less
            host.proxy.stop(1001, "").unwrap();
            assert_eq!(other.hear_close(), (Some(1001), String::new()));
            deaf.shutdown();
            other.stream.shutdown(std::net::Shutdown::Both).unwrap();
            assert_eq!(host.outcome(), Ok(()));
            flooding.join().unwrap();
        }
    });
}

/// A session whose client has small buffers on both ends of its connection.
fn narrow(policy: Policy, set: impl Fn(&mut Config)) -> (Peer, Peer, Host) {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(policy, |c| set(c)), move |proxy, client| {
        SockRef::from(&client).set_send_buffer_size(16 << 10).unwrap();
        proxy.connect(Client::new(client), &url)?;
        proxy.execute(pass)
    });
    let (client, upstream) = meet(&host, &listener);
    SockRef::from(&client.stream).set_recv_buffer_size(16 << 10).unwrap();
    (client, upstream, host)
}

#[test]
fn a_slow_reader_that_takes_a_little_is_not_cut_off() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = narrow(policy, |c| {
            c.write_timeout(Duration::from_millis(800));
        });
        let payload = vec![7; 300_000];
        upstream.send(true, BINARY, &payload);
        upstream.send_close(1000, "");
        let mut taken = Vec::new();
        while taken.len() < payload.len() {
            let mut some = [0; 8 << 10];
            let count = std::io::Read::read(&mut client.stream, &mut some).unwrap();
            assert!(count > 0, "cut off after {} bytes", taken.len());
            taken.extend_from_slice(&some[..count]);
            thread::sleep(Duration::from_millis(60));
        }
        assert!(!host.has_ended());
    });
}

/// The system calls a connection writable again only when a good part of its send queue, megabytes by default, is free.
#[test]
fn a_slow_reader_behind_large_buffers_is_not_cut_off() {
    on_every_policy(|policy| {
        let timeout = Duration::from_millis(1500);
        let config = config(policy, |c| {
            c.write_timeout(timeout);
        });
        let (mut client, upstream, host) = session(config, pass);
        let mut floods = upstream.twin();
        let flooding = thread::spawn(move || {
            let frame = floods.frame(true, BINARY, &vec![0; 1 << 20]);
            while floods.try_send_bytes(&frame).is_ok() {}
        });
        let started = Instant::now();
        while started.elapsed() < timeout * 4 {
            let mut some = [0; 20 << 10];
            let count = std::io::Read::read(&mut client.stream, &mut some).unwrap();
            assert!(count > 0 && !host.has_ended(), "cut off after {:?}", started.elapsed());
            thread::sleep(Duration::from_millis(50));
        }
        upstream.stream.shutdown(std::net::Shutdown::Both).unwrap();
        flooding.join().unwrap();
    });
}

#[test]
fn the_close_timeout_counts_from_the_first_close_and_nothing_puts_it_off() {
    on_every_policy(|policy| {
        let close = Duration::from_millis(500);
        let config = config(policy, |c| {
            c.close_timeout(close).unwrap();
        });
        let (mut client, mut upstream, host) = session(config, pass);
        let started = Instant::now();
        client.send_close(1000, "");
        upstream.hear_close();
        // It goes on talking instead of answering: forwarded, but not for ever.
        let mut talks = upstream.twin();
        let talking = thread::spawn(move || {
            let frame = talks.frame(true, PING, b"");
            while talks.try_send_bytes(&frame).is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let mut last = client.hear();
        while last.opcode == PING {
            last = client.hear();
        }
        assert_eq!(last.close(), (Some(1011), String::new()));
        assert!(has_passed(close, started.elapsed()));
        timed_out(
            host.outcome().unwrap_err(),
            Fault::Upstream,
            "did not answer a close frame within 500 ms",
        );
        drop(upstream);
        talking.join().unwrap();
    });
}
