//! The accept loop: one thread that waits for connections, starts a thread for each, and joins those that have ended.
//!
//! Rules: this thread does nothing that a peer could hold up; TLS, requests and refusals are the connection's thread's.
//! Without descriptors or threads to spare it pauses instead of spinning; clients wait in the queue meanwhile. When it
//! drains, those who already wait in the queue are still taken: for them the connection has been made. However a
//! session ends, and even this loop, nobody is forgotten.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::drain::{Schedule, Step, GOING_AWAY};
use super::Server;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::io::{own_thread, wait_for_any, Accepted, Events, Listener, Socket, Waker};
use crate::session::{Client, Proxy};
use crate::ws::handshake::Admission;

/// After accepting has failed for want of descriptors, memory or threads.
const PAUSE: Duration = Duration::from_millis(50);
/// How many clients over the limit are answered at once; the next are let go without an answer.
const MOST_REFUSALS: u64 = 64;
/// How many connections are taken at a stretch, so that a flood of them does not hide a request to drain; and how many
/// of those that wait are still taken then.
const AT_A_STRETCH: usize = 64;
const QUEUE: usize = 4096;
/// How long sessions have to end when accepting has failed for good.
const GRACE: Duration = Duration::from_secs(10);

/// What is done for a connection.
pub(super) type Serve<'f> = &'f (dyn Fn(&Arc<Proxy>, Client) -> Result<()> + Sync);

/// See the top of this file.
pub(super) struct Acceptor<'scope, 'env> {
    server: &'scope Server,
    scope: &'scope Scope<'scope, 'env>,
    serve: Serve<'scope>,
    threads: HashMap<u64, ScopedJoinHandle<'scope, ()>>,
    ended: (Sender<u64>, Receiver<u64>),
    next: u64,
    /// Short of descriptors, memory or threads: that was said already.
    short: bool,
}

/// What may still be in a listener's queue.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nobody,
    Somebody,
    /// For want of descriptors, memory or threads.
    NotNow,
}

impl<'scope, 'env: 'scope> Acceptor<'scope, 'env> {
    pub(super) fn new(
        server: &'env Server,
        scope: &'scope Scope<'scope, 'env>,
        serve: Serve<'env>,
    ) -> Self {
        let ended = crossbeam_channel::unbounded();
        Acceptor { server, scope, serve, threads: HashMap::new(), ended, next: 0, short: false }
    }

    /// Until the server is drained.
    pub(super) fn run(mut self, listeners: Vec<Listener>) -> Result<()> {
        let outcome = self.accept_until_drained(&listeners);
        self.drain(listeners.into_iter().map(|listener| (listener, QUEUE)).collect());
        outcome
    }

    fn accept_until_drained(&mut self, listeners: &[Listener]) -> Result<()> {
        let mut pausing = false;
        while self.server.order.asked().is_none() {
            let events = if pausing { Events::NONE } else { Events::READABLE };
            let mut watched: Vec<_> = listeners.iter().map(|l| (l.as_fd(), events)).collect();
            watched.push((self.server.order.waker.as_fd(), Events::READABLE));
            let mut came = wait_for_any(&watched, pausing.then_some(PAUSE))?;
            if came.pop().is_some_and(|woken| woken.readable) {
                self.server.order.waker.drain();
            }
            self.join_ended();
            pausing = false;
            for (listener, _) in listeners.iter().zip(came).filter(|(_, came)| came.readable) {
                pausing |= self.accept(listener, AT_A_STRETCH)? == Rest::NotNow;
            }
        }
        Ok(())
    }

    /// Takes up to `most` of those who wait.
    fn accept(&mut self, listener: &Listener, most: usize) -> Result<Rest> {
        for _ in 0..most {
            match listener.accept()? {
                Accepted::Client(socket) => match self.admit(socket) {
                    Ok(()) => self.short = false,
                    Err(error) => return Ok(self.run_short(&error)),
                },
                Accepted::Nobody => return Ok(Rest::Nobody),
                Accepted::Exhausted(error) => return Ok(self.run_short(&error)),
            }
        }
        Ok(Rest::Somebody)
    }

    /// Says so once, however long it lasts.
    fn run_short(&mut self, error: &Error) -> Rest {
        if !std::mem::replace(&mut self.short, true) {
            log::warn!("{error}; waiting for sessions to end");
        }
        Rest::NotNow
    }

    /// Finds a place for a client; an error when there is no thread for it.
    fn admit(&mut self, socket: Socket) -> Result<()> {
        let server = self.server;
        let counters = &server.crowd.counters;
        counters.accepted.increment();
        let most = u64::try_from(server.most.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
        let client = Client::accepted(socket);
        if counters.active.get() < most {
            return self.start(Seat::take(server, false), client);
        }
        if counters.refusing.get() < MOST_REFUSALS {
            return self.start(Seat::take(server, true), client);
        }
        counters.dropped.increment();
        log::info!("a client over the limit was let go without an answer: too many of them");
        Ok(())
    }

    fn start(&mut self, seat: Seat<'scope>, client: Client) -> Result<()> {
        let (number, ended, serve, server) =
            (self.next, self.ended.0.clone(), self.serve, self.server);
        self.next += 1;
        let stack_size = server.config.thread_stack_size;
        let work = move || {
            let _leaving = Leaving { number, ended, waker: &server.order.waker };
            seat.occupy(number, client, serve);
        };
        match own_thread::start_scoped(self.scope, "wsproxy-session", stack_size, work) {
            Ok(thread) => {
                self.threads.insert(number, thread);
                Ok(())
            }
            Err(error) => {
                server.crowd.counters.dropped.increment();
                Err(Error::system("no thread for a client, which was let go", error))
            }
        }
    }

    /// Joins the threads that have said that they are at their end.
    fn join_ended(&mut self) {
        for number in self.ended.1.try_iter() {
            if let Some(thread) = self.threads.remove(&number) {
                let _ = thread.join(); // a panic was the host's logger's
            }
        }
    }

    /// Sees every session to its end, those included that still wait in a queue.
    fn drain(&mut self, mut queues: Vec<(Listener, usize)>) {
        let order = &self.server.order;
        let mut schedule: Option<Schedule> = None;
        let mut told = None;
        loop {
            order.waker.drain();
            let Some((code, deadline)) = order.asked() else {
                order.ask(GOING_AWAY, GRACE); // accepting has failed
                continue;
            };
            let schedule = schedule.get_or_insert_with(|| Schedule::until(deadline));
            schedule.hasten(deadline);
            let step = schedule.step();
            if told < Some(step) {
                log::info!("draining: {} connections, {step:?}", self.threads.len());
                self.server.crowd.tell_all(step, code);
                told = Some(step);
            }
            let again = self.empty(&mut queues, step);
            self.join_ended();
            if self.threads.is_empty() && queues.is_empty() {
                return;
            }
            let patience = [schedule.wait(), again].into_iter().flatten().min();
            if let Err(error) = wait_for_any(&[(order.waker.as_fd(), Events::READABLE)], patience) {
                log::error!("{error}");
                std::thread::sleep(PAUSE); // looked at all the same
            }
        }
    }

    /// Takes those who wait, and closes each queue behind the last of them. When to look again, if any is left.
    fn empty(&mut self, queues: &mut Vec<(Listener, usize)>, step: Step) -> Option<Duration> {
        let mut again: Option<Duration> = None;
        queues.retain_mut(|(listener, left)| {
            let most = AT_A_STRETCH.min(*left);
            let pause = match self.accept(listener, most) {
                Ok(Rest::Somebody) if *left > most => Duration::ZERO,
                Ok(Rest::NotNow) if step == Step::Drain => PAUSE,
                _ => return false,
            };
            *left -= most;
            again = Some(again.map_or(pause, |other| other.min(pause)));
            true
        });
        again
    }
}

impl Drop for Acceptor<'_, '_> {
    /// Only after a panic is anybody left, and nobody else is left to end them.
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.server.crowd.tell_all(Step::Abort, GOING_AWAY);
        }
    }
}

/// A thread that serves a connection; when it is over, however it ended, the accept loop hears of it.
struct Leaving<'s> {
    number: u64,
    ended: Sender<u64>,
    waker: &'s Waker,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = self.ended.send(self.number); // nobody listens after a panic of the accept loop
        self.waker.wake();
    }
}

/// A place among the sessions, or among those who are told that there is none.
struct Seat<'s> {
    server: &'s Server,
    refusing: bool,
}

impl<'s> Seat<'s> {
    fn take(server: &'s Server, refusing: bool) -> Self {
        let seat = Seat { server, refusing };
        seat.counter().increment();
        seat
    }

    fn counter(&self) -> &super::crowd::Counter {
        let counters = &self.server.crowd.counters;
        if self.refusing {
            &counters.refusing
        } else {
            &counters.active
        }
    }

    #[inline(never)] // else it lies on the connection's stack too, for as long as that lives
    fn proxy(&self) -> Result<Arc<Proxy>> {
        let Server { config, refusing, wakers, .. } = self.server;
        let config: &Arc<Config> = if self.refusing { refusing } else { config };
        Proxy::with_wakers(Arc::clone(config), Some(Arc::clone(wakers))).map(Arc::new)
    }

    /// The life of one connection.
    fn occupy(self, number: u64, client: Client, serve: Serve<'_>) {
        let crowd = &self.server.crowd;
        let proxy = match self.proxy() {
            Ok(proxy) => proxy,
            Err(error) => {
                log::error!("{error}");
                return crowd.counters.dropped.increment();
            }
        };
        crowd.enter(number, &proxy);
        let done = catch_unwind(AssertUnwindSafe(|| match self.refusing {
            true => refuse(&proxy, client),
            false => serve(&proxy, client),
        }));
        crowd.leave(number);
        proxy.close(); // no drain reaches it any more
        match done {
            _ if self.refusing => crowd.counters.refused.increment(),
            Ok(Ok(())) => crowd.counters.completed.increment(),
            Ok(Err(_)) => crowd.counters.failed.increment(),
            Err(_) => {
                log::error!("the code that serves a connection panicked");
                crowd.counters.failed.increment();
            }
        }
    }
}

impl Drop for Seat<'_> {
    /// Behind the last one nothing is left open.
    fn drop(&mut self) {
        self.counter().decrement();
        let counters = &self.server.crowd.counters;
        if counters.active.get() + counters.refusing.get() == 0 {
            self.server.wakers.close();
        }
    }
}

/// Reads the client's request and answers 503.
fn refuse(proxy: &Proxy, client: Client) -> Result<()> {
    log::info!("a client over the limit is answered 503");
    proxy.connect_client_with(client, |_| Admission::Refuse {
        status: 503,
        body: b"503 Service Unavailable: no more connections are taken\n".to_vec(),
    })
}
