//! The programs that README.md prints: whether one relays the frames of several clients, and whether it drains.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;

use rustix::process::{kill_process, Pid, Signal};

use super::super::support::peer::{Listener, Peer, BINARY, CONTINUATION};
use super::super::support::wait_until;
use super::root;

pub fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The first block of README.md in a language.
pub fn printed(language: &str) -> String {
    let readme = readme();
    let (_, rest) = readme.split_once(&format!("\n```{language}\n")).expect("a block of code");
    let (block, _) = rest.split_once("\n```\n").expect("the end of the block");
    format!("{block}\n")
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client of `addr`, and what the upstream has of it.
fn pair(addr: SocketAddr, listener: &Listener) -> [Peer; 2] {
    let client = thread::spawn(move || Peer::connect(addr));
    let upstream = listener.accept();
    [client.join().unwrap(), upstream]
}

/// Texts cross both ways, and binary messages are dropped to their last fragment.
fn talk([client, upstream]: &mut [Peer; 2]) {
    client.send(false, BINARY, b"not this");
    client.send(true, CONTINUATION, b" and not this");
    client.send_text("hello");
    assert_eq!(upstream.hear_text(), "hello");
    upstream.send_text("hello to you");
    assert_eq!(client.hear_text(), "hello to you");
}

/// Runs `program HOST:PORT URL` with two clients at once; gives it back with them.
fn relay(program: &mut Command) -> (Running, [[Peer; 2]; 2]) {
    let (port, listener) = (free_port(), Listener::bind());
    let addr = ([127, 0, 0, 1], port).into();
    let child = program.arg(format!("127.0.0.1:{port}")).arg(listener.url()).spawn();
    let mut running = Running(child.unwrap_or_else(|error| panic!("{program:?}: {error}")));
    wait_until("it listens", || TcpStream::connect(addr).is_ok());
    let mut pairs = [pair(addr, &listener), pair(addr, &listener)];
    pairs.iter_mut().for_each(talk);
    assert!(running.0.try_wait().unwrap().is_none(), "{program:?} ended");
    (running, pairs)
}

pub fn relays(program: &mut Command) {
    relay(program);
}

/// SIGTERM ends it with status 0, and every session with 1001.
pub fn relays_and_drains(program: &mut Command) {
    let (mut running, mut pairs) = relay(program);
    let pid = Pid::from_raw(running.0.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    for peer in pairs.iter_mut().flatten() {
        assert_eq!(peer.hear_close().0, Some(1001));
        peer.send_close(1001, "");
    }
    assert_eq!(running.0.wait().unwrap().code(), Some(0), "{program:?}");
}
