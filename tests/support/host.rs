//! A host program in a thread: it accepts one client, connects, executes, and reports.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread;

use wsproxy::{
    Client, Config, ErrorKind, Frame, Kind, Policy, Proxy, Result, Side, Stats, Verdict,
};

use super::peer::{Listener, Peer};
use super::{wait_until, LONG};

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
        Host::start_with(config, url, move |_, frame| hook(frame))
    }

    /// The same with a hook that may call the proxy.
    pub fn start_with(
        config: Arc<Config>,
        url: &str,
        hook: impl Fn(&Proxy, &mut Frame<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Host {
        let url = url.to_owned();
        Host::serve(config, move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            proxy.execute(|frame| hook(proxy, frame))
        })
    }

    /// Waits for one client, and does with it what `run` says.
    pub fn serve(
        config: Arc<Config>,
        run: impl FnOnce(&Proxy, TcpStream) -> Result<()> + Send + 'static,
    ) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let proxy = Arc::new(Proxy::new(config).unwrap());
        let (tell, outcome) = channel();
        let session = Arc::clone(&proxy);
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            drop(listener);
            let _ = tell.send(run(&session, client));
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

    /// Sends a frame of the host's. The client has its answer a moment before `connect` returns, and only then may
    /// frames be sent: this waits for it.
    pub fn send(&self, to: Side, kind: Kind, payload: &[u8]) -> Result<()> {
        let mut outcome = Ok(());
        wait_until("the session takes frames", || {
            outcome = self.proxy.send(to, kind, payload);
            !outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::State)
        });
        outcome
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
    session_with(config, move |_, frame| hook(frame))
}

/// The same with a hook that may call the proxy.
pub fn session_with(
    config: Arc<Config>,
    hook: impl Fn(&Proxy, &mut Frame<'_>) -> Verdict + Send + Sync + 'static,
) -> (Peer, Peer, Host) {
    let listener = Listener::bind();
    let host = Host::start_with(config, &listener.url(), hook);
    let (client, upstream) = meet(&host, &listener);
    (client, upstream, host)
}

/// A session seen from `side`: its peer, the other one, host.
pub fn session_from(
    side: Side,
    config: Arc<Config>,
    hook: impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync + 'static,
) -> (Peer, Peer, Host) {
    let (client, upstream, host) = session(config, hook);
    match side {
        Side::Client => (client, upstream, host),
        Side::Upstream => (upstream, client, host),
    }
}

/// The two peers of a host that is in front of `listener`.
pub fn meet(host: &Host, listener: &Listener) -> (Peer, Peer) {
    let addr = host.addr;
    let client = thread::spawn(move || Peer::connect(addr));
    let upstream = listener.accept();
    (client.join().unwrap(), upstream)
}

/// An orderly end, begun by `first`; what the peers have not heard of before must be the closes.
pub fn part(mut first: Peer, mut second: Peer, host: &Host) {
    first.send_close(1000, "");
    second.hear_close();
    second.send_close(1000, "");
    first.hear_close();
    drop((first, second));
    assert_eq!(host.outcome(), Ok(()));
}

/// A message each way.
pub fn talk(client: &mut Peer, upstream: &mut Peer) {
    client.send_text("up");
    assert_eq!(upstream.hear_text(), "up");
    upstream.send_text("down");
    assert_eq!(client.hear_text(), "down");
}
