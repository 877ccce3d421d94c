//! The threaded session, from `execute` to its end: the thread that called relays what the client sends, a second one
//! what the upstream sends, and the keeper watches both.
//!
//! Rules: nothing of a session outlives `execute`: the thread that it has started is joined, and the supervisor gone,
//! with what it held. Without a thread there is no session, and both sides are told.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use parking_lot::Mutex;

use super::control::{Control, Event, Watcher};
use super::keeper::Ward;
use super::port::Port;
use super::supervisor::Supervisor;
use super::threads::{relay, Hook, Session, SharedHook};
use crate::config::{Config, Policy};
use crate::error::{Error, Result};
use crate::io::{with_signals_blocked, Wire};
use crate::ws::direction::Direction;
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};

/// Relays until the end, on this thread and one more.
pub(crate) fn run(
    config: &Config,
    control: &Arc<Control>,
    wires: PerSide<&Wire>,
    engine: Engine,
    hook: Option<SharedHook<'_>>,
) -> Result<()> {
    let keepalive = engine.keepalive();
    let Engine { directions, outboxes, .. } = engine;
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
    let turn = (config.policy == Policy::Serial && hook.is_some()).then(|| Mutex::new(()));
    let hook = Hook { hook, turn };
    match Ward::enter() {
        Ok(ward) => {
            let (supervisor, over) = Supervisor::new(config, Arc::clone(&session), keepalive);
            control.watch(Watcher::Keeper(ward.line.clone()));
            ward.line.watch(supervisor);
            std::thread::scope(|scope| share(scope, config, &session, &hook, directions));
            let _ = over.recv(); // what was left over is written, and nobody else has the connections
        }
        Err(error) => session.give_up(error),
    }
    control.watch(Watcher::Nobody);
    let cause = session.cause.lock().take();
    match cause.and_then(|cause| cause.error()) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// The life of both threads.
fn share<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    config: &Config,
    session: &'scope Session,
    hook: &'scope Hook<'_>,
    directions: PerSide<Direction>,
) {
    let PerSide { client, upstream } = directions;
    match start(scope, config, move || relay(session, hook, Side::Upstream, upstream)) {
        Ok(thread) => {
            relay(session, hook, Side::Client, client);
            // The scope alone would not wait for its very end. relay() lets no panic out.
            let _ = thread.join();
        }
        Err(error) => {
            session.give_up(error);
            Side::BOTH.iter().for_each(|&side| session.control.wake(Event::Finished(side)));
        }
    }
}

fn start<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    config: &Config,
    work: impl FnOnce() + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, ()>> {
    let builder = Builder::new().name("wsproxy-upstr".into()).stack_size(config.thread_stack_size);
    with_signals_blocked(|| builder.spawn_scoped(scope, work))
        .map_err(|error| Error::system("cannot start a session thread", error))
}
