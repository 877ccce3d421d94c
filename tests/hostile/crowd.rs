//! A host of many sessions, a thread for each, and an upstream that does what the path says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wsproxy::{Client, Config, Proxy, Result};

use super::support::host::pass;
use super::support::http::good_answer;
use super::support::peer::Listener;
use super::support::LONG;

/// A running accept loop; dropped, it ends. A session that panics leaves an outcome too few.
pub struct Crowd {
    pub addr: SocketAddr,
    outcomes: Receiver<Result<()>>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Sessions with the upstream at `url`, all with one hook that forwards everything.
    pub fn start(config: Arc<Config>, url: &str) -> Crowd {
        let url = url.to_owned();
        let (tell, outcomes) = channel();
        serve(outcomes, move |client| {
            let (config, url, tell) = (Arc::clone(&config), url.clone(), tell.clone());
            thread::spawn(move || run(client, config, &url, &tell));
        })
    }

    /// What the next session that ended came to.
    pub fn outcome(&self) -> Result<()> {
        self.outcomes.recv_timeout(LONG).expect("every session ends in bounded time")
    }
}

fn run(client: TcpStream, config: Arc<Config>, url: &str, tell: &Sender<Result<()>>) {
    let session = Proxy::new(config).unwrap();
    let done = session.connect(Client::new(client), url).and_then(|()| session.execute(pass));
    let _ = tell.send(done);
}

fn serve(
    outcomes: Receiver<Result<()>>,
    mut take: impl FnMut(TcpStream) + Send + 'static,
) -> Crowd {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let acceptor = thread::spawn(move || loop {
        let accepted = listener.accept();
        if stopped.load(Ordering::Acquire) {
            return;
        }
        if let Ok((stream, _)) = accepted {
            take(stream);
        }
    });
    Crowd { addr, outcomes, stop, acceptor: Some(acceptor) }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr); // wakes it
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

/// An upstream whose answer to each request is what `answer` does with the connection and the request's head.
pub fn upstream(answer: impl Fn(TcpStream, String) + Send + Sync + 'static) -> Crowd {
    let answer = Arc::new(answer);
    serve(channel().1, move |mut stream| {
        let answer = Arc::clone(&answer);
        thread::spawn(move || {
            stream.set_read_timeout(Some(LONG)).unwrap();
            let head = try_read_head(&mut stream);
            answer(stream, head);
        });
    })
}

/// As much of a head as comes before the end of the stream, however it ends.
fn try_read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Agrees to the upgrade.
pub fn agree(stream: &mut TcpStream, head: &str) {
    let _ = stream.write_all(good_answer(head, "").as_bytes()); // it may be gone
}

/// Hangs up with a reset.
pub fn reset(stream: TcpStream) {
    let _ = socket2::Socket::from(stream).set_linger(Some(Duration::ZERO)); // it may be gone
}

/// Where nobody listens any more.
pub fn nowhere() -> String {
    Listener::bind().url()
}

/// Raises the limit on descriptors to `count`, where it is lower.
pub fn allow_descriptors(count: u64) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    if soft.parse::<u64>().is_ok_and(|soft| soft < count) {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={}", std::process::id())).arg(format!("--nofile={count}:"));
        assert!(prlimit.status().expect("prlimit, of util-linux").success(), "ulimit -n {count}");
    }
}
