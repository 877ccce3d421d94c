//! The programs that README.md prints, and whether one relays frames.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;

use super::super::support::peer::{Listener, Peer, BINARY};
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
        // It never ends by itself; if it has, nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs `program PORT URL`; texts have to cross both ways, and binary messages have to be dropped.
pub fn relays(program: &mut Command) {
    let (port, listener) = (free_port(), Listener::bind());
    let child = program.arg(port.to_string()).arg(listener.url()).spawn();
    let mut running = Running(child.unwrap_or_else(|error| panic!("{program:?}: {error}")));
    let addr = ([127, 0, 0, 1], port).into();
    wait_until("it listens", || TcpStream::connect(addr).is_ok());

    let client = thread::spawn(move || Peer::connect(addr));
    let mut upstream = listener.accept();
    let mut client = client.join().unwrap();
    client.send(true, BINARY, b"not this");
    client.send_text("hello");
    assert_eq!(upstream.hear_text(), "hello");
    upstream.send_text("hello to you");
    assert_eq!(client.hear_text(), "hello to you");
    assert!(running.0.try_wait().unwrap().is_none(), "{program:?} ended");
}
