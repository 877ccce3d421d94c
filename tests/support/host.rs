//! A host program in a thread: it accepts one client, connects, executes, and reports.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread;

use wsproxy::{Client, Config, Frame, Policy, Proxy, Result, Stats, Verdict};

use super::peer::{Listener, Peer};
use super::LONG;

/// A running session's host.
pub struct Host {
    pub addr: SocketAddr,
    pub proxy: Arc<Proxy>,
    outcome: Receiver<Result<()>>,
}

/// A policy, and settings on top of the defaults.
pub fn config(policy: Policy, set: impl FnOnce(&mut Config)) -> Arc<Config> {
    let mut config = Config::new();
    config.policy(policy);
    set(&mut config);
    Arc::new(config)
}

/// Forwards everything.
pub fn pass(_: &mut Frame<'_>) -> Verdict {
    Verdict::Forward
}

impl Host {
    /// Waits for one client, in front of the upstream at `url`.
    pub fn start(
        config: Arc<Config>,
        url: &str,
        hook: impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let proxy = Arc::new(Proxy::new(config).unwrap());
        let (tell, outcome) = channel();
        let (session, url) = (Arc::clone(&proxy), url.to_owned());
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            drop(listener);
            let done = session
                .connect(Client::new(client), &url)
                .and_then(|()| session.execute(hook));
            let _ = tell.send(done);
        });
        Host { addr, proxy, outcome }
    }

    /// What `connect` or `execute` returned.
    pub fn outcome(&self) -> Result<()> {
        self.outcome.recv_timeout(LONG).expect("the session ends in bounded time")
    }

    /// Whether the session has ended; never waits.
    pub fn has_ended(&self) -> bool {
        matches!(self.outcome.try_recv(), Ok(_) | Err(std::sync::mpsc::TryRecvError::Disconnected))
    }

    pub fn stats(&self) -> Stats {
        self.proxy.stats()
    }

    /// An unencumbered connection to the host.
    pub fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.addr).unwrap()
    }
}

/// A session between two raw peers, through a host: client, upstream, host.
pub fn session(
    config: Arc<Config>,
    hook: impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync + 'static,
) -> (Peer, Peer, Host) {
    let listener = Listener::bind();
    let host = Host::start(config, &listener.url(), hook);
    let addr = host.addr;
    let client = thread::spawn(move || Peer::connect(addr));
    let upstream = listener.accept();
    (client.join().unwrap(), upstream, host)
}
