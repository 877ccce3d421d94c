//! The event-loop face, the handshakes: how a host begins a session that it drives by pull.
//!
//! Rules: the verbs return at once; what came of them is asked with [`Pull::is_open`]. There is one parser of URLs: the
//! host dials what [`Pull::upstream`] says.

use std::sync::Arc;

use super::halves::{Halves, Means, Peer};
use super::pull::Pull;
use crate::error::{Error, Result};
use crate::ws::frame::{PerSide, Side};
use crate::ws::handshake::{check_key, check_protocol};
use crate::ws::url::Url;

/// Where an upstream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name or address of the host, an IPv6 address without brackets; of a Unix socket its path.
    pub host: String,
    /// The port; `None` for a Unix socket.
    pub port: Option<u16>,
    /// Whether TLS is spoken there: `wss://`.
    pub secure: bool,
}

impl Target {
    fn of(url: &Url) -> Self {
        let (host, port) = match url.unix_path() {
            Some(path) => (path, None),
            None => (url.host(), Some(url.port())),
        };
        Target { host: host.to_owned(), port, secure: url.secure() }
    }
}

impl Pull {
    /// Where the upstream is that was named last: the host is to dial it.
    pub fn upstream(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// Begins both handshakes: when the client's request has come ([`Pull::input`]) the upstream at `url` is asked, which
    /// the host dials as soon as there is output for it; with its answer the client is answered.
    pub fn connect(&mut self, url: &str) -> Result<()> {
        self.begin_upstream(url, |halves, url, means| halves.connect(url, true, means))
    }

    /// Begins the client's half, or goes on with it: the client is answered as soon as its request is whole.
    pub fn connect_client(&mut self) -> Result<()> {
        self.begin(|halves, means| halves.answer_client(means))
    }

    /// The host has done the client's handshake itself, and read `early` after it.
    pub fn client_upgraded(&mut self, early: &[u8]) -> Result<()> {
        self.begin(|halves, means| halves.client_is_upgraded(early, means))
    }

    /// Begins the upstream's half: it is asked when the client's request has been read, if that is under way, and else
    /// at once. After a failure it may be called again, for a connection that is new.
    pub fn connect_upstream(&mut self, url: &str) -> Result<()> {
        self.begin_upstream(url, |halves, url, _| halves.ask_upstream(url, false))
    }

    /// The same, with the client's request, of which the host has read `head`: the upstream gets what it says. The client
    /// is answered by [`Pull::connect_client`].
    pub fn connect_upstream_for(&mut self, url: &str, head: &[u8]) -> Result<()> {
        self.begin_upstream(url, |halves, url, means| {
            halves.connect(url, false, means)?;
            means.engine.give(Side::Client, head);
            Ok(())
        })
    }

    /// Sets a header of the next request that goes upstream, after what the configuration does.
    pub fn set_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.opening()?.wishes.rules.set(name, value)
    }

    /// Adds a header to the next request that goes upstream.
    pub fn add_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.opening()?.wishes.rules.add(name, value)
    }

    /// Keeps a header of the client's from going upstream with the next request.
    pub fn remove_header(&mut self, name: &str) -> Result<()> {
        self.opening()?.wishes.rules.remove(name)
    }

    /// Offers this subprotocol with the next request, in place of the client's.
    pub fn add_subprotocol(&mut self, name: &str) -> Result<()> {
        check_protocol(name)?;
        self.opening()?.wishes.protocols.push(name.to_owned());
        Ok(())
    }

    /// Asks the upstream the next time with this key in place of a random one: 16 bytes in base64.
    pub fn set_key(&mut self, key: &str) -> Result<()> {
        check_key(key)?;
        self.opening()?.wishes.key = Some(key.to_owned());
        Ok(())
    }

    /// Tells the client's address, and whether it came over TLS, for `X-Forwarded-*` and `Forwarded`.
    pub fn set_peer(&mut self, address: &str, secure: bool) -> Result<()> {
        let words = || Error::argument("the client's address is no IP address");
        let address: std::net::IpAddr = address.parse().map_err(|_| words())?;
        // An IPv4 client that came through an IPv6 socket is told as what it is.
        let address = Some(address.to_canonical().to_string());
        self.opening()?.peer = Peer { address, secure };
        Ok(())
    }

    /// Whether the handshake with `side` is over.
    ///
    /// # Errors
    /// Why it has failed. An upstream that failed alone may be asked again; otherwise the session has ended.
    pub fn is_open(&self, side: Side) -> Result<bool> {
        match self.halves.as_ref().and_then(|halves| halves.failure(side)) {
            Some(error) => Err(error.clone()),
            None => Ok(self.relay.engine.is_open(side)),
        }
    }

    /// The head of the upstream's answer to the last handshake, as it came; empty if there was none.
    pub fn answer_head(&self) -> &[u8] {
        &self.answer_head
    }

    fn opening(&mut self) -> Result<&mut Halves> {
        self.halves.as_deref_mut().ok_or_else(|| Error::state("both handshakes are over"))
    }

    fn begin(
        &mut self,
        begin: impl FnOnce(&mut Halves, &mut Means<'_>) -> Result<()>,
    ) -> Result<()> {
        self.opening()?;
        let mut begun = Ok(());
        self.handshakes(|halves, means| begun = begin(halves, means));
        begun
    }

    /// Begins what concerns the upstream at `url`, by a connection that is new.
    fn begin_upstream(
        &mut self,
        url: &str,
        begin: impl FnOnce(&mut Halves, Url, &mut Means<'_>) -> Result<()>,
    ) -> Result<()> {
        let url = Url::parse(url)?;
        let target = Target::of(&url);
        let ended = self.ended.upstream.take();
        let begun = self.begin(|halves, means| begin(halves, url, means));
        match begun {
            Ok(()) => self.target = Some(target),
            Err(_) => self.ended.upstream = ended,
        }
        begun
    }

    pub(super) fn advance(&mut self) {
        if self.halves.is_some() {
            self.handshakes(|_, _| {});
        }
    }

    /// Works on the handshakes, goes on with them, and establishes the session when they are over.
    pub(super) fn handshakes(&mut self, work: impl FnOnce(&mut Halves, &mut Means<'_>)) {
        let Some(halves) = &mut self.halves else { return };
        let outcome = Arc::clone(&self.outcome);
        let outcome = &mut *outcome.lock();
        let mut means = Means {
            config: &self.config,
            engine: &mut self.relay.engine,
            outcome,
            answer_head: &mut self.answer_head,
            ended: PerSide::from_fn(|side| self.ended.get(side).as_deref()),
            now: self.now,
        };
        work(halves, &mut means);
        halves.advance(&mut means);
        if halves.are_open() {
            self.establish();
        }
    }

    fn establish(&mut self) {
        self.halves = None; // cookies and all
        self.relay.engine.settle();
        self.relay.begin(self.now);
        self.control.set_open(true);
    }
}
