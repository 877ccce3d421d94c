//! A server that runs in a thread, in front of one upstream that is a raw peer.
#![allow(dead_code)] // each test crate uses its part

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Client, Config, Policy, Proxy, Result, Server, ServerStats};

use super::support::host::{config, pass};
use super::support::peer::{Listener, Peer};
use super::support::{wait_until, LONG};

/// A running server.
pub struct Scene {
    pub server: Arc<Server>,
    pub addr: SocketAddr,
    pub upstream: Listener,
    done: Receiver<(Result<()>, Instant)>,
    outcomes: Receiver<Result<()>>,
}

/// What a server does with a client, in front of the upstream at that URL.
pub trait Serve: Fn(&Arc<Proxy>, Client, &str) -> Result<()> + Send + Sync + 'static {}

impl<F: Fn(&Arc<Proxy>, Client, &str) -> Result<()> + Send + Sync + 'static> Serve for F {}

/// Forwards everything.
pub fn relay(proxy: &Arc<Proxy>, client: Client, url: &str) -> Result<()> {
    proxy.connect(client, url)?;
    proxy.execute(pass)
}

/// A server that listens on the loopback and does not run.
pub fn listening(config: Arc<Config>) -> (Arc<Server>, SocketAddr) {
    let server = Arc::new(Server::new(config).unwrap());
    let addr = server.listen("127.0.0.1:0").unwrap().parse().unwrap();
    (server, addr)
}

impl Scene {
    /// A server that forwards everything.
    pub fn start(policy: Policy, set: impl FnOnce(&mut Config)) -> Scene {
        Scene::serve(config(policy, set), relay)
    }

    pub fn serve(config: Arc<Config>, serve: impl Serve) -> Scene {
        let (server, addr) = listening(config);
        Scene::run(server, addr, serve)
    }

    /// Runs a server that listens at `addr`.
    pub fn run(server: Arc<Server>, addr: SocketAddr, serve: impl Serve) -> Scene {
        let upstream = Listener::bind();
        let url = upstream.url();
        let (tell, outcomes) = channel();
        let (tell_end, done) = channel();
        let running = Arc::clone(&server);
        thread::spawn(move || {
            let outcome = running.run(|proxy, client| {
                let outcome = serve(proxy, client, &url);
                let _ = tell.send(outcome.clone());
                outcome
            });
            let _ = tell_end.send((outcome, Instant::now()));
        });
        Scene { server, addr, upstream, done, outcomes }
    }

    /// A session: client and upstream.
    pub fn session(&self) -> (Peer, Peer) {
        let addr = self.addr;
        let client = thread::spawn(move || Peer::connect(addr));
        let upstream = self.upstream.accept();
        (client.join().unwrap(), upstream)
    }

    pub fn tcp(&self) -> TcpStream {
        super::support::http::connect(self.addr)
    }

    /// What `run` returned, and when.
    pub fn ended(&self) -> (Result<()>, Instant) {
        self.done.recv_timeout(LONG).expect("the server ends in bounded time")
    }

    pub fn runs(&self) -> bool {
        matches!(self.done.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty))
    }

    /// What the next `serve` that ended returned.
    pub fn outcome(&self) -> Result<()> {
        self.outcomes.recv_timeout(LONG).expect("every session ends in bounded time")
    }

    pub fn stats(&self) -> ServerStats {
        self.server.stats()
    }

    /// Waits until the counters are so.
    pub fn settles(&self, what: &str, good: impl Fn(ServerStats) -> bool) {
        wait_until(what, || good(self.stats()));
    }

    /// Drains with 1001 and waits for the end, which must be good.
    pub fn drain(&self, timeout: Duration) {
        self.server.drain(1001, timeout).unwrap();
        assert_eq!(self.ended().0, Ok(()));
    }
}
