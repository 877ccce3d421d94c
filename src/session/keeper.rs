//! One thread that supervises every threaded session of the process: so a session has two threads, not three.
//!
//! Rules: it runs as long as there are such sessions, and not longer: the last one to leave sees it end. It is on the
//! way of no frame. What it does for a session never waits, and a panic in it ends that session alone. A process that
//! was forked has sessions of its own, and a keeper of its own.

use std::collections::{BTreeSet, HashMap};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use super::control::Event;
use super::supervisor::Supervisor;
use crate::error::{Error, Result};
use crate::io::with_signals_blocked;
use crate::ws::frame::Side;

/// It supervises, and writes what is left over.
const STACK_SIZE: usize = 256 * 1024;

/// The keeper of this process, while there are sessions.
static KEEPER: Mutex<Option<Keeper>> = Mutex::new(None);

struct Keeper {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
    sessions: u64,
    next: u64,
    /// The process that it runs in: a fork takes this, and not the thread.
    process: u32,
}

enum Order {
    Watch(u64, Box<Supervisor>),
    Tell(u64, Event),
    Leave,
}

/// The way from a session to its supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    number: u64,
    orders: Sender<Order>,
}

impl Line {
    /// Tells the supervisor; once the session is over, nobody.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.orders.send(Order::Tell(self.number, event)); // gone only with its last session
    }

    /// From now on the session is watched, and ends by its deadlines.
    pub(super) fn watch(&self, supervisor: Supervisor) {
        let _ = self.orders.send(Order::Watch(self.number, Box::new(supervisor)));
    }
}

/// A session that is, or will be, supervised; the keeper stays until this is dropped.
pub(super) struct Ward {
    pub(super) line: Line,
}

impl Ward {
    /// Registers a session, with the keeper that there is or with a new one.
    pub(super) fn enter() -> Result<Ward> {
        let mut keeper = KEEPER.lock();
        if keeper.as_ref().is_some_and(|keeper| keeper.process != std::process::id()) {
            std::mem::forget(keeper.take()); // its thread, of which there is none here, can be neither joined nor told
        }
        let keeper = match &mut *keeper {
            Some(keeper) => keeper,
            none => none.insert(Keeper::start()?),
        };
        keeper.sessions += 1;
        keeper.next += 1;
        Ok(Ward { line: Line { number: keeper.next, orders: keeper.orders.clone() } })
    }
}

impl Drop for Ward {
    /// The last one sees the keeper to its end, so that no thread of the library's outlives its sessions.
    fn drop(&mut self) {
        let mut keeper = KEEPER.lock();
        let Some(there) = keeper.as_mut().filter(|k| k.orders.same_channel(&self.line.orders))
        else {
            return; // another process's
        };
        there.sessions -= 1;
        if there.sessions > 0 {
            return;
        }
        let last = keeper.take();
        drop(keeper); // whoever comes meanwhile starts another
        if let Some(last) = last {
            let _ = last.orders.send(Order::Leave);
            let _ = last.thread.join(); // it lets no panic out
        }
    }
}

impl Keeper {
    fn start() -> Result<Keeper> {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let builder = Builder::new().name("wsproxy-keeper".into()).stack_size(STACK_SIZE);
        let thread = with_signals_blocked(|| builder.spawn(move || Rounds::default().run(&inbox)))
            .map_err(|error| Error::system("cannot start the thread that keeps the time", error))?;
        Ok(Keeper { orders, thread, sessions: 0, next: 0, process: std::process::id() })
    }
}

/// What the thread knows.
#[derive(Default)]
struct Rounds {
    sessions: HashMap<u64, Kept>,
    deadlines: BTreeSet<(Instant, u64)>,
}

struct Kept {
    supervisor: Box<Supervisor>,
    deadline: Option<Instant>,
}

impl Rounds {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match self.deadlines.first() {
                Some((at, _)) => orders.recv_deadline(*at),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Watch(number, supervisor)) => {
                    self.sessions.insert(number, Kept { supervisor, deadline: None });
                    // Of what was sent before nobody may have heard.
                    Side::BOTH.iter().for_each(|&side| self.see(number, Some(Event::Mail(side))));
                }
                Ok(Order::Tell(number, event)) => self.see(number, Some(event)),
                Ok(Order::Leave) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.see_due();
        }
    }

    /// Those whose deadlines have passed, each once.
    fn see_due(&mut self) {
        let now = Instant::now();
        let due: Vec<u64> = self.deadlines.range(..=(now, u64::MAX)).map(|(_, n)| *n).collect();
        due.into_iter().for_each(|number| self.see(number, None));
    }

    /// Has a session's supervisor look after it; of a session that is over nothing is left.
    fn see(&mut self, number: u64, event: Option<Event>) {
        let Some(kept) = self.sessions.get_mut(&number) else { return };
        if let Some(deadline) = kept.deadline.take() {
            self.deadlines.remove(&(deadline, number));
        }
        // Unwind safety: a supervisor that panicked is not called again.
        let seen = catch_unwind(AssertUnwindSafe(|| kept.supervisor.see(event)));
        let is_over = match seen {
            Ok(is_over) => is_over,
            Err(_) => kept.supervisor.give_up(),
        };
        if is_over {
            self.sessions.remove(&number);
            return;
        }
        if let Some(patience) = kept.supervisor.patience() {
            let deadline = Instant::now() + patience;
            kept.deadline = Some(deadline);
            self.deadlines.insert((deadline, number));
        }
    }
}
