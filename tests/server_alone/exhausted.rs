//! A process that runs out of descriptors.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use wsproxy::Policy;

use super::guard::{cpu, watched};
use super::scene::{listening, relay, Scene};
use super::support::host::config;
use super::support::http::{connect, hear_all, status};
use super::support::wait_until;

/// Leaves the process this many descriptors more than it has, until this is dropped.
struct Starved(Rlimit);

impl Starved {
    fn but(more: u64) -> Starved {
        let before = getrlimit(Resource::Nofile);
        let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
        let numbers = numbers.filter_map(|fd| fd.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let current = Some(numbers.max().unwrap_or(2) + 1 + more);
        setrlimit(Resource::Nofile, Rlimit { current, ..before.clone() }).unwrap();
        Starved(before)
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0.clone()).unwrap();
    }
}

#[test]
fn without_descriptors_clients_wait_without_spinning_and_are_served_when_some_are_free() {
    watched(|| {
        let (server, addr) = listening(config(Policy::Serial, |_| {}));
        let mut clients: Vec<TcpStream> = (0..60).map(|_| connect(addr)).collect();
        let scene = Scene::run(server, addr, relay);
        let starved = Starved::but(0); // races with the first few: they are in
        wait_until("some are in, or none", || scene.stats().accepted <= 60);
        thread::sleep(Duration::from_millis(200));
        let before = (cpu(), scene.stats().accepted);
        thread::sleep(Duration::from_secs(2));
        let used = cpu() - before.0;
        assert!(used < Duration::from_millis(200), "{used:?} of CPU time for waiting");
        assert!(scene.runs());
        drop(starved);
        scene.settles("all were taken", |stats| stats.accepted == 60);
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        clients.iter_mut().for_each(|client| assert!(status(&hear_all(client)) >= 400));
        drop(clients);
        scene.drain(Duration::from_secs(5));
        assert_eq!(scene.stats().failed, 60);
    });
}

#[test]
fn with_few_descriptors_every_client_that_has_asked_is_answered() {
    watched(|| {
        let (server, addr) = listening(config(Policy::Serial, |_| {}));
        let mut clients: Vec<TcpStream> = (0..60).map(|_| connect(addr)).collect();
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        let scene = Scene::run(server, addr, relay);
        let starved = Starved::but(5);
        clients.iter_mut().for_each(|client| assert!(status(&hear_all(client)) >= 400));
        drop(clients);
        scene.settles("all have ended", |stats| (stats.active, stats.failed) == (0, 60));
        drop(starved);
        scene.drain(Duration::from_secs(5));
    });
}
