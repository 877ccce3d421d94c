//! A reader that stalls holds up what is meant for it, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::peers::{meet, say_goodbye};
use super::process::Process;
use super::support::peer::{Listener, Peer, BINARY};
use super::support::LONG;
use super::{Shape, SHAPES};

const MIB: usize = 1 << 20;
/// More than the buffers of two connections and of the host hold together.
const FLOOD: usize = 64;

/// Longer than a frame takes that nothing holds up, much shorter than any timeout.
const SOON: Duration = Duration::from_secs(5);

fn flood(peer: &mut Peer, sent: &AtomicUsize) {
    for number in 0..FLOOD {
        peer.send(true, BINARY, &vec![number as u8; MIB]);
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until nothing more of the flood goes out.
fn wait_for_the_stall(sent: &AtomicUsize) {
    let started = Instant::now();
    let mut before = (sent.load(Ordering::Relaxed), Instant::now());
    while before.1.elapsed() < Duration::from_millis(500) {
        assert!(started.elapsed() < LONG, "the flood never stalls");
        thread::sleep(Duration::from_millis(10));
        let now = sent.load(Ordering::Relaxed);
        if now != before.0 {
            before = (now, Instant::now());
        }
    }
    assert!(before.0 < FLOOD, "the host took {FLOOD} MiB that nobody reads");
}

fn texts_cross(from: &mut Peer, to: &mut Peer) {
    let started = Instant::now();
    for number in 0..100 {
        let text = format!("text {number}");
        from.send_text(&text);
        assert_eq!(to.hear_text(), text);
    }
    assert!(started.elapsed() < SOON, "a hundred texts took {:?}", started.elapsed());
}

/// `client_stalls`: the client reads nothing while its upstream floods it; else the other way round.
fn a_stall_holds_up_nothing_else(shape: Shape, client_stalls: bool) {
    let listener = Listener::bind();
    let host = Process::start(shape, &listener.url(), &["--hook", "pass"]);
    let (client, upstream) = meet(host.addr, &listener);
    let (mut stalls, mut floods) =
        if client_stalls { (client, upstream) } else { (upstream, client) };
    let (mut other_client, mut other_upstream) = meet(host.addr, &listener);

    let sent = AtomicUsize::new(0);
    thread::scope(|scope| {
        let mut flooding = floods.twin();
        let sent = &sent;
        scope.spawn(move || flood(&mut flooding, sent));
        wait_for_the_stall(sent);

        texts_cross(&mut other_client, &mut other_upstream);
        texts_cross(&mut other_upstream, &mut other_client);
        texts_cross(&mut stalls, &mut floods); // the way that nobody stalls
        let (mut third_client, mut third_upstream) = meet(host.addr, &listener);
        texts_cross(&mut third_client, &mut third_upstream);

        for number in 0..FLOOD {
            stalls.expect(true, BINARY, &vec![number as u8; MIB]);
        }
    });
    texts_cross(&mut floods, &mut stalls);
    host.tell_to_end();
    for peer in [stalls, floods, other_client, other_upstream] {
        answers_the_end(peer);
    }
    host.has_to_end();
}

fn answers_the_end(mut peer: Peer) {
    assert_eq!(peer.hear_close().0, Some(1001));
    peer.send_close(1001, "");
}

#[test]
fn a_client_that_stalls_holds_up_nothing_but_its_own_frames() {
    SHAPES.iter().for_each(|&shape| a_stall_holds_up_nothing_else(shape, true));
}

#[test]
fn an_upstream_that_stalls_holds_up_nothing_but_its_own_frames() {
    SHAPES.iter().for_each(|&shape| a_stall_holds_up_nothing_else(shape, false));
}

#[test]
fn clients_that_say_nothing_hold_up_no_other() {
    for shape in [Shape::Threads("serial"), Shape::EventLoop] {
        let listener = Listener::bind();
        let host = Process::start(shape, &listener.url(), &["--hook", "pass"]);
        let silent: Vec<_> =
            (0..50).map(|_| std::net::TcpStream::connect(host.addr).unwrap()).collect();
        let (mut client, mut upstream) = meet(host.addr, &listener);
        texts_cross(&mut client, &mut upstream);
        let goodbye = thread::spawn(move || say_goodbye(client));
        assert_eq!(upstream.hear_close(), (Some(1000), "done".to_owned()));
        upstream.send_close(1000, "done");
        goodbye.join().unwrap();
        drop(silent);
        host.tell_to_end();
        host.has_to_end();
    }
}

/// One thread serves all: whoever always has something to be read must let the others have their turn.
#[test]
fn floods_both_ways_hold_up_no_other() {
    for shape in SHAPES {
        let listener = Listener::bind();
        let host = Process::start(shape, &listener.url(), &["--hook", "pass"]);
        let floods: Vec<_> = (0..4).map(|_| meet(host.addr, &listener)).collect();
        let (mut client, mut upstream) = meet(host.addr, &listener);
        thread::scope(|scope| {
            for (one, other) in &floods {
                for (from, to) in [(one, other), (other, one)] {
                    let (mut from, mut to) = (from.twin(), to.twin());
                    scope.spawn(move || flood(&mut from, &AtomicUsize::new(0)));
                    scope.spawn(move || (0..FLOOD).for_each(|_| assert!(to.try_hear().is_some())));
                }
            }
            texts_cross(&mut client, &mut upstream);
            texts_cross(&mut upstream, &mut client);
        });
        drop((floods, client, upstream));
        host.tell_to_end();
        host.has_to_end();
    }
}
