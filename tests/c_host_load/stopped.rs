//! SIGTERM amid sessions: everybody is told, and the host ends with status 0.

use std::thread;
use std::time::{Duration, Instant};

use super::peers::meet;
use super::process::Process;
use super::support::peer::{Listener, Peer, CLOSE, CONTINUATION, TEXT};
use super::{Shape, SHAPES};

const SESSIONS: usize = 20;
const BUSY: usize = 200;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The default, which no flag changes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

fn many_sessions(shape: Shape) -> (Process, Vec<Peer>) {
    let listener = Listener::bind();
    let host = Process::start(shape, &listener.url(), &["--hook", "pass"]);
    let peers = (0..SESSIONS).flat_map(|_| {
        let (client, upstream) = meet(host.addr, &listener);
        [client, upstream]
    });
    let peers = peers.collect();
    (host, peers)
}

#[test]
fn sigterm_closes_every_session_with_1001_and_ends_with_status_0() {
    for shape in SHAPES {
        let (host, mut peers) = many_sessions(shape);
        let started = Instant::now();
        host.tell_to_end();
        for peer in &mut peers {
            assert_eq!(peer.hear_close().0, Some(1001), "{shape:?}");
            peer.send_close(1001, "");
            peer.shutdown(); // the upstream's part (RFC 6455 section 7.1.1)
        }
        host.has_to_end();
        peers.iter_mut().for_each(Peer::hear_end);
        assert!(started.elapsed() < CLOSE_TIMEOUT, "{shape:?}: took {:?}", started.elapsed());
    }
}

/// Answers each message with another, of two fragments, until the close frame, which must stand between messages.
fn chat(mut peer: Peer, begins: bool) {
    let say = |peer: &mut Peer| {
        peer.send(false, TEXT, b"half ");
        peer.send(true, CONTINUATION, b"whole");
    };
    if begins {
        say(&mut peer);
    }
    let mut inside = false;
    loop {
        let heard = peer.try_hear().expect("a close frame comes before the end");
        if heard.opcode == CLOSE {
            assert!(!inside, "closed in the middle of a message");
            assert_eq!(heard.payload, 1001u16.to_be_bytes());
            return peer.send(true, CLOSE, &heard.payload);
        }
        inside = !heard.fin;
        if heard.fin {
            say(&mut peer);
        }
    }
}

#[test]
fn two_hundred_busy_sessions_are_closed_between_messages() {
    for shape in SHAPES {
        let listener = Listener::bind();
        let timeout = DRAIN_TIMEOUT.as_millis().to_string();
        let flags = ["--hook", "pass", "--drain-timeout", &timeout];
        let host = Process::start(shape, &listener.url(), &flags);
        let told = thread::scope(|scope| {
            for _ in 0..BUSY {
                let (client, upstream) = meet(host.addr, &listener);
                scope.spawn(move || chat(client, true));
                scope.spawn(move || chat(upstream, false));
            }
            thread::sleep(Duration::from_millis(300)); // all of them amid it
            host.tell_to_end();
            Instant::now()
        });
        host.has_to_end();
        let took = told.elapsed();
        println!("{shape:?}: {BUSY} busy sessions were drained in {took:?}");
        assert!(took < DRAIN_TIMEOUT - Duration::from_secs(1), "by the deadline only: {took:?}");
    }
}

#[test]
fn peers_that_do_not_answer_delay_sigterm_by_the_close_timeout_only() {
    let running = SHAPES.map(many_sessions);
    let started = Instant::now();
    running.iter().for_each(|(host, _)| host.tell_to_end());
    for (host, mut peers) in running {
        host.has_to_end();
        for peer in &mut peers {
            assert_eq!(peer.hear_close().0, Some(1001));
            peer.hear_end();
        }
    }
    let took = started.elapsed();
    assert!(took > CLOSE_TIMEOUT / 2, "nobody was waited for: {took:?}");
    assert!(took < CLOSE_TIMEOUT + Duration::from_secs(5), "{took:?}");
}
