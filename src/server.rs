//! A ready accept loop: listens, gives each connection a thread of its own, keeps their number in bounds, and can be
//! restarted without hurting anybody.
//!
//! Rules: accepting is never held up by a peer. Whoever is over the limit is answered 503. Draining stops accepting,
//! lets handshakes and messages under way finish, closes each session with a close frame, and is over by its deadline.
//! A request to drain is a few atomic stores and one write(2), so that a signal handler may make it.

mod accept;
mod crowd;
mod drain;

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::io::{Listener, WakerPool};
use crate::session::{Client, Proxy};
use crate::ws::close::Close;
use accept::Acceptor;
use crowd::Crowd;
use drain::DrainOrder;

/// How long a client that is one too many may take for its request before it is let go without an answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// A server: any number of listening sockets, one configuration for every session.
///
/// All methods take `&self` and may be called from any thread; `run` by one at a time.
///
/// ```no_run
/// use std::sync::Arc;
/// use wsproxy::{Config, Server, Verdict};
///
/// let server = Server::new(Arc::new(Config::new()))?;
/// println!("listening on {}", server.listen("127.0.0.1:9000")?);
/// server.run(|proxy, client| {
///     proxy.connect(client, "wss://upstream.example")?;
///     proxy.execute(|_frame| Verdict::Forward)
/// })?;
/// # Ok::<(), wsproxy::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    /// For those who are turned away.
    refusing: Arc<Config>,
    most: AtomicUsize,
    listeners: Mutex<Vec<Listener>>,
    order: DrainOrder,
    /// For those who wait by poll.
    wakers: Arc<WakerPool>,
    crowd: Crowd,
    running: AtomicBool,
}

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections accepted, whatever became of them.
    pub accepted: u64,
    /// Sessions there are now, those in their handshakes included.
    pub active: u64,
    /// Connections over the limit, answered 503.
    pub refused: u64,
    /// Connections closed without an answer: too many over the limit at once, or the system had no thread for them.
    pub dropped: u64,
    /// Sessions that have ended in good order.
    pub completed: u64,
    /// Sessions that have ended with an error, those in their handshakes included.
    pub failed: u64,
}

impl Server {
    /// A server whose sessions have these settings. It listens nowhere yet.
    pub fn new(config: Arc<Config>) -> Result<Server> {
        let mut refusing = Config::clone(&config);
        refusing.connect_timeout(config.connect_timeout.min(REFUSAL_TIMEOUT))?;
        Ok(Server {
            config,
            refusing: Arc::new(refusing),
            most: AtomicUsize::new(usize::MAX),
            listeners: Mutex::default(),
            order: DrainOrder::new()?,
            wakers: Arc::default(),
            crowd: Crowd::default(),
            running: AtomicBool::new(false),
        })
    }

    /// How many sessions there may be at once, those in their handshakes included; unlimited by default. Whoever
    /// comes then is answered 503.
    pub fn max_connections(&self, count: usize) -> Result<()> {
        if count == 0 {
            return Err(Error::argument("max_connections must be at least 1"));
        }
        self.most.store(count, Ordering::Relaxed);
        Ok(())
    }

    /// Listens on `HOST:PORT` (an IPv6 address in brackets, port 0 for any that is free) or `unix:/path`, and says
    /// where that is. May be called several times, before [`Server::run`].
    pub fn listen(&self, address: &str) -> Result<String> {
        Ok(self.add(Listener::bind(address)?))
    }

    /// Takes over a socket that listens already, from a service manager for example.
    pub fn adopt(&self, listener: OwnedFd) -> Result<String> {
        Ok(self.add(Listener::adopt(listener)?))
    }

    /// The same by its descriptor, which stays the caller's: it is duplicated.
    pub fn adopt_duplicate_of(&self, fd: RawFd) -> Result<String> {
        Ok(self.add(Listener::duplicate_of(fd)?))
    }

    fn add(&self, listener: Listener) -> String {
        let address = listener.address().to_owned();
        self.listeners.lock().push(listener);
        address
    }

    /// Accepts connections and has `serve` called for each, on a thread of its own, until the server is drained and
    /// every such call has returned. `serve` connects and executes; a session that it leaves without executing it is closed,
    /// and a panic in it ends that connection alone.
    ///
    /// Afterwards the server listens nowhere, and may listen and run again.
    ///
    /// # Errors
    /// [`ErrorKind::State`](crate::ErrorKind::State) when it listens nowhere or runs already;
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) when clients have to show certificates and speak no TLS;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when waiting or accepting fails for good: then the server has been
    /// drained, within ten seconds.
    pub fn run(&self, serve: impl Fn(&Arc<Proxy>, Client) -> Result<()> + Sync) -> Result<()> {
        if self.running.swap(true, Ordering::AcqRel) {
            return Err(Error::state("run: the server runs already"));
        }
        let _running = Running(&self.running);
        self.config.client_tls.acceptor()?; // one that cannot be had is the host's to hear of, not every client's
        let listeners = std::mem::take(&mut *self.listeners.lock());
        if listeners.is_empty() {
            return Err(Error::state("run: the server listens nowhere"));
        }
        let _drained = Drained(self);
        std::thread::scope(|scope| Acceptor::new(self, scope, &serve).run(listeners))
    }

    /// Ends [`Server::run`]: stops accepting, lets handshakes under way finish, sends both sides of every session a
    /// close frame with `code` (1001: going away) between messages, and cuts off what is left when `timeout` has
    /// passed; shortly before that, sessions in the middle of a message are sent their close frames there.
    ///
    /// Returns at once. May be called again: the earliest deadline counts, and the first code. Without a `run` in
    /// progress it counts for the next one, and so does its deadline. A hook that never returns cannot be ended: `run`
    /// waits for it, and for whatever else `serve` does.
    ///
    /// Safe in a signal handler: when it succeeds it takes no lock and no memory.
    pub fn drain(&self, code: u16, timeout: Duration) -> Result<()> {
        Close::new(code, "")?;
        self.order.ask(code, timeout);
        Ok(())
    }

    /// What the server has done so far.
    pub fn stats(&self) -> ServerStats {
        self.crowd.stats()
    }
}

/// A run in progress; when it is over, however it ended, the next may begin.
struct Running<'s>(&'s AtomicBool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A run that is to be drained; when it is over, that is done with.
struct Drained<'s>(&'s Server);

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        self.0.order.forget();
        self.0.crowd.calm();
        self.0.wakers.close();
    }
}
