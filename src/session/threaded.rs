//! The threaded session, from `execute` to its end: one thread relays what the client sends, another what the upstream
//! sends, and a supervisor watches both.
//!
//! Rules: both are threads of the library's own, so that a hook finds the same on each. The host's, which called execute,
//! keeps the watch; one that the library has started for a connection relays, and leaves the watch to the keeper. Nothing
//! of a session outlives `execute`: its threads are joined, and its supervisor is gone, with what it held. Without a
//! thread there is no session, and both sides are told.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use parking_lot::Mutex;

use super::control::{Control, Event, Watcher};
use super::keeper::Ward;
use super::port::Port;
use super::supervisor::Supervisor;
use super::threads::{relay, Hook, Session, SharedHook};
use crate::config::{Config, Policy};
use crate::error::{Error, Result};
use crate::io::{own_thread, Wire};
use crate::ws::direction::Direction;
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};

/// Relays until the end, on two threads.
pub(crate) fn run(
    config: &Config,
    control: &Arc<Control>,
    wires: PerSide<&Wire>,
    engine: Box<Engine>,
    hook: Option<SharedHook<'_>>,
) -> Result<()> {
    if Side::BOTH.iter().any(|&side| wires.get(side).is_secure()) {
        own_thread::trim_stack(); // a TLS handshake goes deep, the others do not
    }
    let Parts { session, directions, keepalive } = take_apart(control, wires, engine);
    let turn = (config.policy == Policy::Serial && hook.is_some()).then(|| Mutex::new(()));
    let hook = Hook { hook, turn };
    let supervisor = Supervisor::new(config, Arc::clone(&session), keepalive);
    let crew = Crew { session: &session, hook: &hook, stack_size: config.thread_stack_size };
    match own_thread::is_own() {
        true => crew.relay_here(directions, supervisor),
        false => crew.watch_here(directions, supervisor),
    }
    let cause = session.cause.lock().take();
    match cause.and_then(|cause| cause.error()) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// What the engine of an established session is taken apart into.
pub(super) struct Parts {
    pub(super) session: Arc<Session>,
    pub(super) directions: PerSide<Box<Direction>>,
    pub(super) keepalive: [u8; 8],
}

#[inline(never)] // its large frame is not to lie on the thread's stack for as long as the session lives
pub(super) fn take_apart(
    control: &Arc<Control>,
    wires: PerSide<&Wire>,
    engine: Box<Engine>,
) -> Parts {
    let keepalive = engine.keepalive();
    let Engine { directions: PerSide { client, upstream }, outboxes, .. } = *engine;
    let directions = PerSide { client: Box::new(client), upstream: Box::new(upstream) };
    let PerSide { client, upstream } = outboxes;
    let wires = PerSide::from_fn(|side| Wire::clone(wires.get(side)));
    let port = |side, outbox| Port::new(side, wires.get(side).clone(), Arc::clone(control), outbox);
    let session = Arc::new(Session {
        control: Arc::clone(control),
        ports: PerSide {
            client: port(Side::Client, client),
            upstream: port(Side::Upstream, upstream),
        },
        wires,
        reads: PerSide::from_fn(|_| AtomicU64::new(0)),
        at_work: PerSide::from_fn(|_| AtomicBool::new(false)),
        cause: Mutex::new(None),
        hook_done: AtomicBool::new(false),
    });
    Parts { session, directions, keepalive }
}

/// Who is at work on a session.
struct Crew<'s, 'h> {
    session: &'s Session,
    hook: &'s Hook<'h>,
    stack_size: usize,
}

impl Crew<'_, '_> {
    /// On a thread that the library has started for a connection: it relays, and a second one, and the keeper watches.
    fn relay_here(&self, directions: PerSide<Box<Direction>>, supervisor: Supervisor) {
        let ward = match Ward::enter() {
            Ok(ward) => ward,
            Err(error) => return self.session.give_up(error),
        };
        let watched = ward.watch(&self.session.control, supervisor);
        let PerSide { client, upstream } = directions;
        std::thread::scope(|scope| {
            let other = self.start(scope, Side::Upstream, upstream);
            relay(self.session, self.hook, Side::Client, client);
            join(other);
        });
        watched.wait(); // what was left over is written, and nobody else has the connections
    }

    /// On the host's thread, which watches while two others relay.
    fn watch_here(&self, directions: PerSide<Box<Direction>>, supervisor: Supervisor) {
        let (events, inbox) = crossbeam_channel::unbounded();
        self.session.control.watch_without_poll(Watcher::Supervisor(events));
        let PerSide { client, upstream } = directions;
        std::thread::scope(|scope| {
            let threads = [
                self.start(scope, Side::Client, client),
                self.start(scope, Side::Upstream, upstream),
            ];
            supervisor.watch(&inbox);
            threads.into_iter().for_each(join);
        });
    }

    /// Starts the thread that relays what `from` sends. Without it the session ends.
    fn start<'scope, 'env: 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, 'env>,
        from: Side,
        direction: Box<Direction>,
    ) -> Option<ScopedJoinHandle<'scope, ()>> {
        let name = match from {
            Side::Client => "wsproxy-client",
            Side::Upstream => "wsproxy-upstr",
        };
        let work = move || relay(self.session, self.hook, from, direction);
        let started = own_thread::start_scoped(scope, name, self.stack_size, work);
        let failed = |error| {
            self.session.give_up(Error::system("cannot start a session thread", error));
            self.session.control.wake(Event::Finished(from));
        };
        started.map_err(failed).ok()
    }
}

/// The scope alone would not wait for a thread's very end. relay() lets no panic out.
fn join(thread: Option<ScopedJoinHandle<'_, ()>>) {
    let _ = thread.map(ScopedJoinHandle::join);
}
