//! The three verbs: `new`, `connect`, `execute`; and what other threads may call meanwhile.
//!
//! Rules: a session goes one way, from new over connected to ended. A call out of order changes nothing and says
//! so. Whatever fails leaves no connection open: a client that waits for an answer gets one first.

use std::fmt::Display;
use std::sync::Arc;

use parking_lot::Mutex;

use super::caller;
use super::client::Client;
use super::control::{Control, Watcher};
use super::legs::Legs;
use super::opening::HandshakeHook;
use super::pull::Pull;
use super::randomness::seeds;
use super::threaded;
use super::threads::SharedHook;
use super::urgency::Urgency;
use crate::config::{Config, Policy};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::io::{WakerPool, Wire};
use crate::ws::close::Close;
use crate::ws::engine::Engine;
use crate::ws::frame::{Kind, PerSide, Side};
use crate::ws::handshake::{Admission, Handshake, Headers, Refusal};
use crate::ws::stats::Stats;
use crate::ws::url::Url;
use crate::ws::verdict::{Frame, Verdict};
use crate::ws::violation::AWAY;

/// One session between a client and an upstream.
///
/// All methods take `&self` and may be called from any thread; `connect`, its halves and `execute` one at a time.
#[derive(Debug)]
pub struct Proxy {
    pub(super) config: Arc<Config>,
    pub(super) control: Arc<Control>,
    stage: Mutex<Stage>,
    pub(super) outcome: Arc<Mutex<Outcome>>,
}

/// What the handshakes came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) protocol: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) refusal: Option<Arc<Headers>>,
}

impl Outcome {
    pub(super) fn note_refusal(&mut self, refusal: &Refusal) {
        self.status = Some(refusal.status());
        self.refusal = Some(Arc::new(refusal.headers().clone()));
    }
}

#[derive(Debug)]
enum Stage {
    Opening(Box<Legs>),
    /// Another call is at work; its name.
    Busy(&'static str),
    Ended,
}

impl Proxy {
    /// A session with these settings.
    pub fn new(config: Arc<Config>) -> Result<Proxy> {
        Proxy::with_wakers(config, None)
    }

    /// The same; what it waits with is lent by `wakers`.
    pub(crate) fn with_wakers(
        config: Arc<Config>,
        wakers: Option<Arc<WakerPool>>,
    ) -> Result<Proxy> {
        let engine = Box::new(Engine::opening(config.rules, &seeds()?));
        Ok(Proxy {
            control: Arc::new(Control::new(config.send_queue, wakers)),
            config,
            stage: Mutex::new(Stage::Opening(Box::new(Legs::new(engine)))),
            outcome: Arc::default(),
        })
    }

    /// Reads the client's request, connects to the upstream, and answers the client: with the upstream's agreement,
    /// with its refusal, or with an error page. After an error the client's connection is closed and the session
    /// has ended.
    pub fn connect(&self, client: Client, url: &str) -> Result<()> {
        self.connect_with(client, url, |_| Admission::Accept)
    }

    /// The same, with `hook` asked about the client's request before the upstream is: it may refuse the client, choose
    /// another upstream, and change headers. It runs on this thread, once; not for a client that the host has
    /// upgraded itself.
    pub fn connect_with(
        &self,
        client: Client,
        url: &str,
        mut hook: impl FnMut(&mut Handshake<'_>) -> Admission,
    ) -> Result<()> {
        self.connect_to(client, &Url::parse(url)?, &mut hook)
    }

    /// The same with a URL that was parsed before.
    pub(crate) fn connect_to(
        &self,
        client: Client,
        url: &Url,
        hook: HandshakeHook<'_>,
    ) -> Result<()> {
        let mut opening = self.enter("connect", |opening| match opening {
            Legs { client: Some(_), .. } => Err(Error::state("the client is connected already")),
            Legs { upstream: Some(_), .. } => {
                Err(Error::state("the upstream is connected already; use connect_client"))
            }
            _ => Ok(()),
        })?;
        let done = self.connect_both(&mut opening, client, url, hook);
        report("connect", || url.place(), &done);
        self.leave(opening, done, |error| error.kind() == ErrorKind::Argument)
    }

    /// The upstream's half of `connect`. With the client connected before, its headers are passed on. After an
    /// error it may be tried again, with another URL too.
    pub fn connect_upstream(&self, url: &str) -> Result<()> {
        let url = Url::parse(url)?;
        let mut opening = self.enter("connect_upstream", |opening| match &opening.upstream {
            Some(_) => Err(Error::state("the upstream is connected already")),
            None => Ok(()),
        })?;
        let done = self.open_upstream(&mut opening, &url).map_err(|failure| self.explain(failure));
        report("connect_upstream", || url.place(), &done);
        self.leave(opening, done, |error| error.kind() != ErrorKind::Stopped)
    }

    /// The client's half of `connect`: it is answered at once, with the subprotocol of the upstream if that was
    /// connected before. After an error the session has ended.
    pub fn connect_client(&self, client: Client) -> Result<()> {
        self.connect_client_with(client, |_| Admission::Accept)
    }

    /// The same, with `hook` asked about the client's request before it is answered. What it says of the upstream
    /// counts if that is connected later.
    pub fn connect_client_with(
        &self,
        client: Client,
        mut hook: impl FnMut(&mut Handshake<'_>) -> Admission,
    ) -> Result<()> {
        let mut opening = self.enter("connect_client", |opening| match &opening.client {
            Some(_) => Err(Error::state("the client is connected already")),
            None => Ok(()),
        })?;
        let done = self.connect_client_alone(&mut opening, client, &mut hook);
        report("connect_client", || "the client", &done);
        self.leave(opening, done, |error| error.kind() == ErrorKind::Argument)
    }

    /// Relays until the session ends, and shows every frame to `hook`, where [`Config::policy`] says. `Ok` after an
    /// orderly end: close frames both ways, `stop`, or a verdict that ended it.
    pub fn execute(&self, hook: impl Fn(&mut Frame<'_>) -> Verdict + Sync) -> Result<()> {
        match self.config.policy {
            Policy::Caller => self.execute_on_caller(hook),
            Policy::Serial | Policy::Concurrent => self.run_threads(Some(&hook)),
        }
    }

    /// The same on this thread, whatever the policy: no other thread calls the hook.
    pub fn execute_on_caller(&self, mut hook: impl FnMut(&mut Frame<'_>) -> Verdict) -> Result<()> {
        self.run(|wires, engine| {
            caller::run(&self.config, &self.control, wires, engine, Some(&mut hook))
        })
    }

    /// Relays until the session ends, without a hook.
    pub fn relay(&self) -> Result<()> {
        match self.config.policy {
            Policy::Caller => self
                .run(|wires, engine| caller::run(&self.config, &self.control, wires, engine, None)),
            Policy::Serial | Policy::Concurrent => self.run_threads(None),
        }
    }

    /// Hands the session over to a host that owns its sockets and its clock, instead of `connect` and `execute`. The
    /// other methods go on working on it.
    pub fn pull(&self) -> Result<Pull> {
        let legs = self.enter("pull", |legs| match legs {
            Legs { client: None, upstream: None, .. } => Ok(()),
            _ => Err(Error::state("the session is connected already, by sockets of its own")),
        })?;
        let (config, control) = (Arc::clone(&self.config), Arc::clone(&self.control));
        Ok(Pull::new(config, control, Arc::clone(&self.outcome), legs.engine))
    }

    /// Ends the session in an orderly way: both sides are sent this close frame, and `execute` returns at the
    /// latest after the close timeout. Handshakes under way are given up. The first call counts. Frames that the hook
    /// has seen and that are not written yet may go out before the close frame, or not at all.
    pub fn stop(&self, code: u16, reason: &str) -> Result<()> {
        self.control.end(Urgency::Stop, Close::new(code, reason)?);
        Ok(())
    }

    /// Ends the session as `stop` does, but between messages: neither side sees the close frame in the middle of a
    /// message that has begun to cross, and nothing that the hook has let pass is lost. Of both directions the one
    /// that is between messages waits for the other, and forwards control frames only. Handshakes are completed
    /// first, later ones too: the session then ends as soon as `execute` begins. Never blocks, and has no time limit of
    /// its own: `stop` and `abort` end a session that still drains. The first call counts.
    pub fn drain(&self, code: u16, reason: &str) -> Result<()> {
        self.control.end(Urgency::Drain, Close::new(code, reason)?);
        Ok(())
    }

    /// Ends the session now: as `stop` with the close frame that was asked for before, or 1001; but each side is sent
    /// what it takes at once, and nobody's answer is waited for. Never blocks. `execute` returns as soon as the hook
    /// does, if that is at work.
    pub fn abort(&self) {
        self.control.end(Urgency::Abort, Close::code_only(AWAY));
    }

    /// Sends a whole message, a ping or a pong to one side; from inside the hook too, then before the frame that
    /// the hook is looking at. Data waits for the end of a message under way. Never blocks:
    /// [`ErrorKind::Again`] says that too much waits already.
    pub fn send(&self, to: Side, kind: Kind, payload: &[u8]) -> Result<()> {
        self.control.send(to, kind, payload)
    }

    /// What has crossed so far; up to date after each read.
    pub fn stats(&self) -> Stats {
        self.control.stats()
    }

    /// The subprotocol that the upstream chose.
    pub fn subprotocol(&self) -> Option<String> {
        self.outcome.lock().protocol.clone()
    }

    /// The HTTP status of a handshake that was refused: the upstream's, or the one that the client was answered.
    pub fn refusal_status(&self) -> Option<u16> {
        self.outcome.lock().status
    }

    /// The end-to-end header lines of that refusal, in their order; a `Location` or a `Retry-After` for example.
    pub fn refusal_headers(&self) -> Vec<(String, Vec<u8>)> {
        let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
        self.refusal().map_or_else(Vec::new, |headers| headers.iter().map(owned).collect())
    }

    /// The same, shared: another refusal is another list.
    pub(crate) fn refusal(&self) -> Option<Arc<Headers>> {
        self.outcome.lock().refusal.clone()
    }

    /// Ends what was opened and never executed, though the host may still hold the session.
    pub(crate) fn close(&self) {
        let mut stage = self.stage.lock();
        if let Stage::Opening(opening) = &mut *stage {
            opening.shut_down();
            self.end(&mut stage);
        }
    }

    /// The end: nobody watches any more, and no descriptor is kept for that.
    fn end(&self, stage: &mut Stage) {
        self.control.watch_without_poll(Watcher::Nobody);
        *stage = Stage::Ended;
    }

    fn run_threads(&self, hook: Option<SharedHook<'_>>) -> Result<()> {
        self.run(|wires, engine| threaded::run(&self.config, &self.control, wires, engine, hook))
    }

    fn run(&self, drive: impl FnOnce(PerSide<&Wire>, Box<Engine>) -> Result<()>) -> Result<()> {
        let opening = self.enter("execute", |opening| match opening {
            Legs { client: None, .. } => Err(Error::state("the client is not connected")),
            Legs { upstream: None, .. } => Err(Error::state("the upstream is not connected")),
            _ => Ok(()),
        })?;
        let _ended = OnDrop(|| {
            self.control.set_open(false);
            self.end(&mut self.stage.lock());
        });
        let Legs { engine, client, upstream, request, .. } = *opening;
        let (Some(client), Some(upstream)) = (client, upstream) else {
            return Err(Error::state("the session is not connected"));
        };
        drop(request); // cookies and all
        let done = drive(PerSide { client: &client, upstream: &upstream }, engine);
        for wire in [&client, &upstream] {
            let _ = wire.shutdown_both(); // the host's own copies end too
            wire.discard_input(); // under TLS a close_notify follows the close frame
        }
        report("execute", || "the session", &done);
        done
    }

    /// Takes the session in hand, if `check` agrees.
    fn enter(
        &self,
        verb: &'static str,
        check: impl FnOnce(&Legs) -> Result<()>,
    ) -> Result<Box<Legs>> {
        let mut stage = self.stage.lock();
        match &*stage {
            Stage::Ended => return Err(Error::state(format!("{verb}: the session has ended"))),
            Stage::Busy(other) => {
                return Err(Error::state(format!("{verb}: {other} is under way")))
            }
            Stage::Opening(opening) => check(opening)?,
        }
        match std::mem::replace(&mut *stage, Stage::Busy(verb)) {
            Stage::Opening(opening) => Ok(opening),
            Stage::Busy(_) | Stage::Ended => Err(Error::state("the session is in use")),
        }
    }

    /// Puts the session back, or ends it after an error that `survives` does not excuse.
    fn leave(
        &self,
        mut opening: Box<Legs>,
        done: Result<()>,
        survives: impl FnOnce(&Error) -> bool,
    ) -> Result<()> {
        let open = opening.client.is_some() && opening.upstream.is_some() && done.is_ok();
        let ended = done.as_ref().is_err_and(|error| !survives(error));
        if ended {
            opening.shut_down();
        }
        self.control.watch(Watcher::Nobody); // its waker is kept for the next wait
        self.control.set_open(open); // before anybody can execute, which closes it again
        let mut stage = self.stage.lock();
        match ended {
            true => self.end(&mut stage),
            false => *stage = Stage::Opening(opening),
        }
        done
    }
}

impl Drop for Proxy {
    /// A session that never ran still ends its connections, of which the host may hold copies.
    fn drop(&mut self) {
        if let Stage::Opening(opening) = self.stage.get_mut() {
            opening.shut_down();
        }
    }
}

/// One log line per verb. Of a URL only host and port: targets carry tokens.
#[inline(never)] // the words of five lines are not to lie on the stack of a session while it lives
fn report<W: Display>(verb: &str, whom: impl Fn() -> W, done: &Result<()>) {
    match done {
        Ok(()) => log::debug!("{verb}: {}: done", whom()),
        Err(error) if error.kind() == ErrorKind::Internal => {
            log::error!("{verb}: {}: {error}", whom());
        }
        Err(error) if matches!(error.fault(), Fault::Client | Fault::Upstream) => {
            log::info!("{verb}: {}: {error}", whom());
        }
        Err(error) => log::warn!("{verb}: {}: {error}", whom()),
    }
}

/// Runs when dropped, also in a panic.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
