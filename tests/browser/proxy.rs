//! The proxy between them: a `Server` on a thread, what browsers asked it, and how each session ended.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wsproxy::{Admission, Config, Handshake, Server, ServerStats, Verdict};

use super::authority::Identity;

/// A request, as one side of the proxy saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    fn new(handshake: &Handshake<'_>) -> Asked {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = handshake.headers().map(|(name, value)| (name.to_owned(), text(value)));
        Asked { target: handshake.target().to_owned(), headers: headers.collect() }
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn cookies(&self) -> Vec<&str> {
        self.header("Cookie").map(|cookies| cookies.split("; ").collect()).unwrap_or_default()
    }
}

/// What a server has heard and done.
#[derive(Debug, Default)]
pub struct Log {
    asked: Mutex<Vec<Asked>>,
    errors: Mutex<Vec<String>>,
}

/// A server at work. Drained and waited for when dropped.
pub struct Running {
    pub port: u16,
    server: Arc<Server>,
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

/// A server that has ended.
#[derive(Debug)]
pub struct Ended {
    pub stats: ServerStats,
    log: Arc<Log>,
}

impl Running {
    /// In front of the upstream at `port`, with this certificate; only pages of the `origins` may connect, if any.
    pub fn start(identity: &Identity, upstream: u16, origins: &[&str]) -> Running {
        let mut config = Config::new();
        let (chain, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
        config.client_certificate(chain, key).unwrap();
        for origin in origins {
            config.allow_origin(origin).unwrap();
        }
        let server = Arc::new(Server::new(Arc::new(config)).unwrap());
        let address = server.listen("127.0.0.1:0").unwrap();
        let port = address.rsplit(':').next().unwrap().parse().expect(&address);
        let log = Arc::new(Log::default());
        let thread = thread::spawn({
            let (server, log) = (Arc::clone(&server), Arc::clone(&log));
            move || run(&server, &log, &format!("ws://127.0.0.1:{upstream}"))
        });
        Running { port, server, log, thread: Some(thread) }
    }

    pub fn server(&self) -> Arc<Server> {
        Arc::clone(&self.server)
    }

    pub fn end(mut self) -> Ended {
        self.drain();
        Ended { stats: self.server.stats(), log: Arc::clone(&self.log) }
    }

    fn drain(&mut self) {
        self.server.drain(1001, Duration::from_secs(10)).unwrap();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(server: &Server, log: &Log, upstream: &str) {
    let outcome = server.run(|proxy, client| {
        let outcome = proxy.connect_with(client, upstream, |handshake| {
            log.asked.lock().unwrap().push(Asked::new(handshake));
            Admission::Accept
        });
        let outcome = outcome.and_then(|()| proxy.execute(|_| Verdict::Forward));
        if let Err(error) = &outcome {
            log.errors.lock().unwrap().push(error.to_string());
        }
        outcome
    });
    if let Err(error) = outcome {
        log.errors.lock().unwrap().push(format!("run: {error}"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain();
    }
}

impl Ended {
    pub fn asked(&self) -> Vec<Asked> {
        self.log.asked.lock().unwrap().clone()
    }

    pub fn errors(&self) -> Vec<String> {
        self.log.errors.lock().unwrap().clone()
    }
}
