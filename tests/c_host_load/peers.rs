//! Both ends around the C host: single pairs, echo upstreams, and a crowd of clients.

use std::net::SocketAddr;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

use rustix::process::{getrlimit, setrlimit, Resource};

use super::support::peer::{Listener, Peer, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// How many threads the clients of a crowd share.
const CLIENT_THREADS: usize = 8;

/// A client and its upstream, through the host at `addr`.
pub fn meet(addr: SocketAddr, listener: &Listener) -> (Peer, Peer) {
    let client = thread::spawn(move || Peer::connect(addr));
    let upstream = listener.accept();
    (client.join().unwrap(), upstream)
}

/// Sends every frame back, until the close.
fn echo(mut peer: Peer) {
    while let Some(heard) = peer.try_hear() {
        match heard.opcode {
            CONTINUATION | TEXT | BINARY => peer.send(heard.fin, heard.opcode, &heard.payload),
            PING => peer.send(true, PONG, &heard.payload),
            CLOSE => return peer.send(true, CLOSE, &heard.payload),
            _ => {}
        }
    }
}

/// An upstream that takes `count` connections and echoes on all of them.
pub fn echo_upstream(listener: Arc<Listener>, count: usize) -> Vec<JoinHandle<()>> {
    (0..count)
        .map(|_| {
            let listener = Arc::clone(&listener);
            let small = thread::Builder::new().stack_size(256 * 1024);
            small.spawn(move || echo(listener.accept())).unwrap()
        })
        .collect()
}

/// The usual limit of 1,024 descriptors is less than a thousand sessions have ends.
pub fn allow_many_descriptors() {
    allow_descriptors(4096);
}

/// As many as the hard limit allows, which must be `needed` at least.
pub fn allow_descriptors(needed: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(
        limit.maximum.is_none_or(|most| most >= needed as u64),
        "{needed} descriptors are needed; the hard limit is {:?} (ulimit -Hn)",
        limit.maximum
    );
}

/// The text of one frame: its own for every client and round, of changing size.
fn text(client: usize, round: usize) -> String {
    let filler = "abc ".repeat((client * 7 + round * 13) % 97);
    format!("client {client} round {round} {filler}")
}

/// `count` clients of the host at `addr`, all at once, each sending `frames` and hearing them in upper case.
/// `at_the_peak` runs while all of them are connected.
pub fn crowd(addr: SocketAddr, count: usize, frames: usize, at_the_peak: impl FnOnce()) {
    let all_connected = Barrier::new(CLIENT_THREADS + 1);
    thread::scope(|scope| {
        for first in 0..CLIENT_THREADS {
            let all_connected = &all_connected;
            scope.spawn(move || {
                let numbers = (first..count).step_by(CLIENT_THREADS);
                let mut peers: Vec<_> = numbers.map(|n| (n, Peer::connect(addr))).collect();
                all_connected.wait();
                all_connected.wait(); // at_the_peak has run
                (0..frames).for_each(|round| exchange(&mut peers, round));
                peers.into_iter().for_each(|(_, peer)| say_goodbye(peer));
            });
        }
        all_connected.wait();
        let seen = catch_unwind(AssertUnwindSafe(at_the_peak));
        all_connected.wait(); // after a failure too, or it would show as a hang
        seen.unwrap_or_else(|failure| resume_unwind(failure));
    });
}

fn exchange(peers: &mut [(usize, Peer)], round: usize) {
    for (number, peer) in peers.iter_mut() {
        peer.send_text(&text(*number, round));
    }
    for (number, peer) in peers.iter_mut() {
        assert_eq!(peer.hear_text(), text(*number, round).to_uppercase());
    }
}

pub fn say_goodbye(mut peer: Peer) {
    peer.send_close(1000, "done");
    assert_eq!(peer.hear_close(), (Some(1000), "done".to_owned()));
    peer.hear_end();
}
