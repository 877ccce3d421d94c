//! A session on its caller's thread sleeps while there is nothing for it to do, whatever it holds back.
//!
//! Told by what the thread does and not by time: whoever spins is found running, or wakes again and again.

mod support;

use std::fs;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, meet, Host};
use support::peer::{Listener, Peer, BINARY, CLOSE};
use support::wait_until;
use wsproxy::{Client, Kind, Policy, Side, Verdict};

/// Longer than a session waits before it gives memory back.
const A_WHILE: Duration = Duration::from_millis(800);

/// The thread of a session, by its folder under /proc.
struct Watched(String);

impl Watched {
    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).unwrap()
    }

    /// How often it has been taken off its CPU, by itself or by others.
    fn switches(&self) -> u64 {
        let status = self.read("status");
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
    }

    fn sleeps(&self) -> bool {
        self.read("stat").rsplit(") ").next().unwrap().starts_with('S')
    }

    /// It wakes for deadlines at most: twice for each side.
    fn assert_sleeping(&self, what: &str) {
        thread::sleep(A_WHILE);
        let before = self.switches();
        let awake = (0..50).filter(|_| {
            thread::sleep(Duration::from_millis(10));
            !self.sleeps()
        });
        let (awake, woken) = (awake.count(), self.switches() - before);
        assert!(
            awake <= 4 && woken <= 4,
            "{what}: running {awake} times of 50, woken {woken} times"
        );
    }
}

/// Client, upstream, host, and the thread that relays.
fn session() -> (Peer, Peer, Host, Watched) {
    let listener = Listener::bind();
    let (url, (tell, told)) = (listener.url(), channel());
    let host = Host::serve(config(Policy::Caller, |_| {}), move |proxy, client| {
        let own = fs::read_link("/proc/thread-self").unwrap();
        tell.send(own.to_str().unwrap().to_owned()).unwrap();
        proxy.connect(Client::new(client), &url)?;
        proxy.execute(|_| Verdict::Forward)
    });
    let (client, upstream) = meet(&host, &listener);
    (client, upstream, host, Watched(told.recv().unwrap()))
}

/// As much from `peer` as the proxy takes from it while the other side reads nothing.
fn press(peer: &Peer) -> thread::JoinHandle<()> {
    let mut peer = peer.twin();
    thread::spawn(move || {
        let bytes = peer.frame(true, BINARY, &[7; 64 << 10]);
        while peer.try_send_bytes(&bytes).is_ok() {}
    })
}

#[test]
fn a_session_with_nothing_to_do_sleeps_and_hears_of_the_host_all_the_same() {
    let (mut client, mut upstream, host, watched) = session();
    client.send(true, BINARY, b"there");
    upstream.expect(true, BINARY, b"there");
    upstream.send(true, BINARY, b"back");
    client.expect(true, BINARY, b"back");
    watched.assert_sleeping("idle");
    host.send(Side::Client, Kind::Text, b"from the host").unwrap();
    assert_eq!(client.hear_text(), "from the host");
    watched.assert_sleeping("idle again");
    host.proxy.stop(1000, "").unwrap();
    assert_eq!(client.hear_close().0, Some(1000));
}

#[test]
fn a_session_that_holds_a_side_back_sleeps() {
    for pressing in [Side::Client, Side::Upstream] {
        let (client, upstream, host, watched) = session();
        let presser = press(if pressing == Side::Client { &client } else { &upstream });
        watched.assert_sleeping(&format!("nobody reads what the {pressing} sends"));
        host.proxy.abort();
        let _ = host.outcome();
        drop((client, upstream));
        presser.join().unwrap();
    }
}

#[test]
fn a_connection_that_is_lost_while_its_side_is_held_back_keeps_nobody_awake() {
    let (client, upstream, host, watched) = session();
    let presser = press(&upstream);
    watched.assert_sleeping("held back");
    upstream.shutdown();
    presser.join().unwrap();
    upstream.reset();
    watched.assert_sleeping("lost behind what the client does not read");
    assert!(!host.has_ended());
    host.proxy.abort();
    let _ = host.outcome();
    drop(client);
}

#[test]
fn a_side_that_has_closed_keeps_nobody_awake_while_the_other_has_not() {
    let (mut client, mut upstream, host, watched) = session();
    client.send_close(1000, "");
    assert_eq!(upstream.hear().opcode, CLOSE);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    watched.assert_sleeping("the upstream has yet to close");
    upstream.send_close(1000, "");
    drop((client, upstream));
    wait_until("it ends", || host.has_ended());
}

/// How long a frame of the host's stays behind when the message that it waits for ends among frames that were left: they
/// are looked at again when there is room, while nothing is read and no wait is over.
fn left_behind() -> Duration {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Caller, |_| {}), move |proxy, client| {
        proxy.connect(Client::new(client), &url)?;
        proxy.execute(|frame| {
            if frame.payload() == b"x" {
                frame.set_payload(&vec![b'y'; 4 << 20]).unwrap();
            }
            Verdict::Forward
        })
    });
    let (mut client, mut upstream) = meet(&host, &listener);
    let frames: [(bool, u8, &[u8]); 4] =
        [(false, BINARY, b"x"), (false, 0, b"x"), (false, 0, b"x"), (true, 0, b"last")];
    let bytes = frames.map(|(fin, opcode, payload)| client.frame(fin, opcode, payload)).concat();
    client.send_bytes(&bytes); // one write, and so one read
    thread::sleep(Duration::from_millis(300)); // it waits for room by now; if not, this finds out less
    host.send(Side::Upstream, Kind::Text, b"from the host").unwrap();
    for _ in 0..3 {
        assert_eq!(upstream.hear().payload.len(), 4 << 20);
    }
    assert_eq!(upstream.hear().payload, b"last");
    let last = Instant::now();
    assert_eq!(upstream.hear_text(), "from the host");
    last.elapsed()
}

/// Who is left waits for the next deadline each time, which is that for giving memory back; a busy machine is not slow
/// five times.
#[test]
fn a_frame_of_the_hosts_is_not_left_when_the_message_before_it_ends() {
    let waits: Vec<Duration> = (0..5).map(|_| left_behind()).collect();
    assert!(waits.iter().any(|wait| *wait < Duration::from_millis(200)), "{waits:?}");
}
