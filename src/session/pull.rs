//! The event-loop face: a session whose host has the sockets and the clock, and drives it by pull. The host gives bytes,
//! takes frames, gives verdicts and takes bytes; it may be nginx, an epoll loop or asyncio.
//!
//! Rules: no sockets, no threads, no clock and no callback; nothing blocks. The host tells the time by [`Pull::tick`],
//! once in each turn of its loop, and whatever it calls after that counts as of then. A verdict may come as late as it
//! likes: its direction waits, the other one goes on. The end of a stream counts behind the frames that came before it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::control::Control;
use super::halves::{Halves, Means, Peer};
use super::proxy::Outcome;
use super::relay::{Below, Relay};
use super::urgency::Urgency;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ws::close::Close;
use crate::ws::ending::{fault_of, Cause};
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};
use crate::ws::handshake::{check_key, check_protocol};
use crate::ws::timers::Due;
use crate::ws::url::Url;
use crate::ws::verdict::{Frame, Verdict};

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

/// A session driven by pull; [`Proxy::pull`](crate::Proxy::pull) makes it.
#[derive(Debug)]
pub struct Pull {
    config: Arc<Config>,
    control: Arc<Control>,
    outcome: Arc<Mutex<Outcome>>,
    relay: Relay,
    /// The handshakes, until both are over.
    halves: Option<Box<Halves>>,
    target: Option<Target>,
    answer_head: Vec<u8>,
    /// Streams that have ended, behind frames that were not dealt with yet.
    ended: PerSide<Option<String>>,
    /// Since when a frame is with the host.
    shown: PerSide<Option<u64>>,
    now: u64,
}

impl Pull {
    pub(super) fn new(
        config: Arc<Config>,
        control: Arc<Control>,
        outcome: Arc<Mutex<Outcome>>,
        engine: Engine,
    ) -> Self {
        let relay = Relay::new(engine, Arc::clone(&control), config.periods(), 0);
        Pull {
            config,
            control,
            outcome,
            relay,
            halves: Some(Box::new(Halves::new())),
            target: None,
            answer_head: Vec::new(),
            ended: PerSide::default(),
            shown: PerSide::default(),
            now: 0,
        }
    }

    /// Tells the time, in milliseconds since any fixed moment; does what is due, and what other threads have asked for.
    pub fn tick(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.halves.is_some() {
            let stopped = self.control.urgency() >= Urgency::Stop;
            self.handshakes(|halves, means| {
                if stopped {
                    halves.stop(means);
                }
                halves.keep_time(means);
            });
            return;
        }
        self.keep_time();
    }

    /// When to call [`Pull::tick`] at the latest; it changes with every other call.
    pub fn deadline(&self) -> Option<u64> {
        self.halves.as_ref().map_or_else(|| self.relay.deadline(), |halves| halves.deadline())
    }

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
        self.opening()?.peer = Peer { address: Some(address.to_string()), secure };
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

    /// Whether to read from `from` now. If not, its bytes are to stay where they are.
    pub fn wants_input(&self, from: Side) -> bool {
        self.ended.get(from).is_none()
            && self.halves.as_ref().is_none_or(|halves| !halves.is_lost())
            && self.relay.wants_input(from)
    }

    /// Room to read into; [`Pull::filled`] says how much was read. Empty unless [`Pull::wants_input`].
    pub fn space(&mut self, from: Side) -> &mut [u8] {
        match self.wants_input(from) {
            true => self.relay.engine.space(from),
            false => &mut [],
        }
    }

    /// `count` bytes from `from` were read into the room.
    pub fn filled(&mut self, from: Side, count: usize) {
        self.relay.filled(from, count, self.now);
        self.advance();
    }

    /// Takes bytes from `from`, all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Again`] unless [`Pull::wants_input`]; then none was taken.
    pub fn input(&mut self, from: Side, bytes: &[u8]) -> Result<()> {
        if !self.wants_input(from) {
            let words = format!("nothing is to be read from the {from} now");
            return Err(Error::new(ErrorKind::Again, fault_of(from.other()), words));
        }
        self.relay.give(from, bytes, self.now);
        self.advance();
        Ok(())
    }

    /// The stream of `from` has ended, or its connection broke or never came about: `how`, for the words of the error.
    pub fn input_ended(&mut self, from: Side, how: &str) {
        self.ended.get_mut(from).get_or_insert_with(|| how.to_owned());
        if self.halves.is_some() {
            return self.advance();
        }
        self.poll(from);
    }

    /// Whether a frame from `from` waits for its verdict. To be asked again after each verdict and each write to the
    /// other side, until it says no.
    pub fn poll(&mut self, from: Side) -> bool {
        if self.halves.is_some() {
            return false;
        }
        self.relay.heed();
        if self.relay.poll(from) {
            self.shown.get_mut(from).get_or_insert(self.now);
            return true;
        }
        self.relay.count();
        if !self.relay.has_left(from) {
            if let Some(how) = self.ended.get_mut(from).take() {
                self.relay.engine.input_ended(from, &how);
            }
        }
        false
    }

    /// The frame from `from` that waits.
    pub fn frame(&mut self, from: Side) -> Option<Frame<'_>> {
        self.relay.engine.frame(from)
    }

    /// Carries out the verdict on the frame from `from` that waits. None may wait any more: then nothing happens.
    pub fn resolve(&mut self, from: Side, verdict: Verdict) {
        if let Some(began) = self.shown.get_mut(from).take() {
            if began != self.now {
                self.relay.worked(began, self.now);
            }
            self.relay.resolve(from, verdict);
        }
    }

    /// Forwards every frame from `from` unseen.
    pub fn pass(&mut self, from: Side) {
        while self.poll(from) {
            self.resolve(from, Verdict::Forward);
        }
    }

    /// Ends the session: each side that was not sent a close frame yet is sent this one. A frame that waits goes nowhere.
    /// Before both handshakes are over, [`Proxy::stop`](crate::Proxy::stop) does.
    pub fn end(&mut self, closes: PerSide<Close>) -> Result<()> {
        if self.halves.is_some() {
            return Err(Error::state("a session that is not established has no closing handshake"));
        }
        self.relay.engine.end(Cause::Ended(closes));
        Ok(())
    }

    /// The bytes that wait for `to`, in order. What is written of them is to be told before anything else is called.
    pub fn output(&self, to: Side) -> [&[u8]; 3] {
        self.relay.engine.output(to)
    }

    /// Whether bytes wait for `to`.
    pub fn has_output(&self, to: Side) -> bool {
        self.relay.engine.has_output(to)
    }

    /// `count` bytes of [`Pull::output`] were written.
    pub fn wrote(&mut self, to: Side, count: usize) {
        self.relay.wrote(to, count);
        if self.halves.is_none() {
            self.relay.take_waiting_mail(to, self.now);
        }
    }

    /// The connection of `to` takes no more bytes. What it has sent before is still to be read.
    pub fn output_failed(&mut self, to: Side) {
        self.relay.engine.output_failed(to);
    }

    /// Whether to close our half of the connection of `to` now: everything was written.
    pub fn wants_fin(&self, to: Side) -> bool {
        self.relay.engine.wants_fin(to)
    }

    /// Whether the closing handshake with `side` is over: both close frames have passed, or its stream has ended. Only the
    /// end of its stream can still be waited for.
    pub fn is_closed(&self, side: Side) -> bool {
        let closing = self.relay.engine.outboxes.get(side).closing();
        !closing.may_send() && !closing.may_receive() && !self.has_output(side)
    }

    /// Whether nothing is left to do but to close both connections; what still waits is to be written as far as it goes
    /// at once. [`Pull::result`] says how it ended.
    pub fn is_over(&self) -> bool {
        let lost = |halves: &Halves| {
            halves.is_lost() && !Side::BOTH.iter().any(|&side| self.has_output(side))
        };
        let over = || self.relay.is_cut() || self.relay.engine.is_over();
        self.halves.as_ref().map_or_else(over, |halves| lost(halves))
    }

    /// What `connect` or `execute` would return: meaningful once the session is over.
    pub fn result(&self) -> Result<()> {
        let lost = self.halves.as_ref().filter(|halves| halves.is_lost());
        let lost = lost.and_then(|halves| halves.failure(Side::Client).cloned());
        match lost.or_else(|| self.relay.engine.cause().and_then(Cause::error)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn keep_time(&mut self) {
        for side in Side::BOTH {
            if let Some(began) = self.shown.get_mut(side) {
                self.relay.worked(*began, self.now);
                *began = self.now;
            }
        }
        self.relay.hear();
        Side::BOTH.iter().for_each(|&side| {
            self.relay.take_waiting_mail(side, self.now);
        });
        self.relay.note_time(self.now, PerSide::<Below>::default());
        while let Some(due) = self.relay.act(self.now) {
            if let Due::Stalled(side) = due {
                self.input_ended(side, "took no bytes"); // nothing that it still sends is worth waiting for
            }
        }
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

    fn advance(&mut self) {
        if self.halves.is_some() {
            self.handshakes(|_, _| {});
        }
    }

    /// Works on the handshakes, goes on with them, and establishes the session when they are over.
    fn handshakes(&mut self, work: impl FnOnce(&mut Halves, &mut Means<'_>)) {
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
        log::debug!("pull: both sides are open");
    }
}

impl Drop for Pull {
    /// Nobody delivers frames of the host's any more.
    fn drop(&mut self) {
        self.control.set_open(false);
    }
}
