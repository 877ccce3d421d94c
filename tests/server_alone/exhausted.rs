//! A process that runs out of descriptors.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use wsproxy::Policy;

use super::guard::watched;
use super::scene::{listening, relay, Scene};
use super::support::host::config;
use super::support::http::{connect, hear_all, status};

/// Leaves the process this many descriptors more than it has, until this is dropped.
struct Starved {
    before: Rlimit,
    taken: Vec<File>,
}

impl Starved {
    fn but(more: usize) -> Starved {
        let before = getrlimit(Resource::Nofile);
        let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
        let numbers = numbers.filter_map(|fd| fd.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let current = Some(numbers.max().unwrap() + 1 + more as u64);
        setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
        let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect(); // gaps too
        taken.truncate(taken.len() - more);
        Starved { before, taken }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.taken.clear();
        setrlimit(Resource::Nofile, self.before).unwrap();
    }
}

/// The CPU time of this process, in hundredths of a second; takes no descriptor.
fn ticks(stat: &mut File) -> u64 {
    let mut text = String::new();
    stat.rewind().unwrap();
    stat.read_to_string(&mut text).unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    let fields = fields.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn without_descriptors_clients_wait_without_spinning_and_are_served_when_some_are_free() {
    watched(|| {
        let (server, addr) = listening(config(Policy::Serial, |_| {}));
        let mut clients: Vec<TcpStream> = (0..60).map(|_| connect(addr)).collect();
        let mut clock = File::open("/proc/self/stat").unwrap();
        let starved = Starved::but(1); // the upstream's
        let scene = Scene::run(server, addr, relay);
        let before = ticks(&mut clock);
        thread::sleep(Duration::from_secs(2));
        let used = ticks(&mut clock) - before;
        assert!(used < 20, "{used} hundredths of a second of CPU time for waiting");
        assert!(scene.runs());
        assert_eq!(scene.stats().accepted, 0);
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
        let starved = Starved::but(5);
        let scene = Scene::run(server, addr, relay);
        clients.iter_mut().for_each(|client| assert!(status(&hear_all(client)) >= 400));
        drop(clients);
        scene.settles("all have ended", |stats| (stats.active, stats.failed) == (0, 60));
        drop(starved);
        scene.drain(Duration::from_secs(5));
    });
}
