//! A process that runs out of descriptors. Alone in its process: the limit is everybody's.

mod support;

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use wsproxy::{Client, Config, Fault, Proxy};

/// Runs `f` while only `spare` more descriptors can be opened.
fn with_spare<T>(spare: u64, f: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    // A new descriptor takes the lowest free number: without gaps the limit is exact.
    let next = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
    let current = Some(u64::try_from(next).unwrap() + spare);
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
    let answer = f();
    setrlimit(Resource::Nofile, before).unwrap();
    answer
}

#[test]
fn a_client_is_answered_even_when_no_descriptor_is_left() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", upstream.local_addr().unwrap());
    for spare in 0..2 {
        let (ours, mut client) = UnixStream::pair().unwrap();
        client.write_all(support::peer::request("/", "").as_bytes()).unwrap();
        let proxy = Proxy::new(Arc::new(Config::new())).unwrap();
        let error = with_spare(spare, || proxy.connect(Client::new(ours), &url)).unwrap_err();
        assert_eq!(error.fault(), Fault::System, "{error}");
        assert!(error.message().contains("Too many open files"), "{error}");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(["500", "502"].contains(&status), "{spare} descriptors: {answer:?}");
    }
}
