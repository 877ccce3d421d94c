//! The session on the caller's thread: no library thread, one loop around an epoll over both sockets and a waker. A
//! small program on top of [`Relay`].
//!
//! Rules: reads and writes never wait; a side is read only while nothing waits for the other (the engine says so);
//! what one read brought is written at once, before anything else is looked at. The clock is asked after a wait and
//! after the hook's work: nothing else takes time.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Control, QUEUES_AT_A_STRETCH};
use super::farewell::farewell;
use super::hook;
use super::relay::{Below, Relay};
use super::slow::SendQueue;
use crate::config::Config;
use crate::error::Result;
use crate::io::{own_thread, Came, Events, Watch, Wire};
use crate::ws::ending::Cause;
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};
use crate::ws::timers::Due;
use crate::ws::verdict::{Frame, Verdict};

/// A hook that only the caller's thread calls.
pub(crate) type LocalHook<'h> = &'h mut dyn FnMut(&mut Frame<'_>) -> Verdict;

/// After how many milliseconds a session gives back what the handshakes took of the stack. Not at once: one that is over
/// soon leaves it to the next, which then need not have it made again.
const SETTLED: u64 = 250;

/// Relays until the end, on this thread.
pub(crate) fn run(
    config: &Config,
    control: &Arc<Control>,
    wires: PerSide<&Wire>,
    mut engine: Box<Engine>,
    hook: Option<LocalHook<'_>>,
) -> Result<()> {
    engine.settle();
    let fds = [&wires.client, &wires.upstream].map(|wire| wire.as_fd());
    let watch = match control.watch_by_poll().and_then(|waker| Watch::new(waker, fds)) {
        Ok(watch) => watch,
        Err(error) => {
            engine.end(Cause::System(error.clone()));
            Side::BOTH.iter().for_each(|&side| farewell(&mut engine, side, wires.get(side)));
            return Err(error);
        }
    };
    let mut session = Caller {
        relay: Relay::new(engine, Arc::clone(control), config.periods(), 0),
        wires,
        hook,
        watch,
        started: Instant::now(),
        now: 0,
        finished: PerSide::default(),
        queues: PerSide::default(),
        trim_at: own_thread::is_own().then_some(SETTLED),
    };
    let outcome = session.run();
    if let Err(error) = &outcome {
        session.relay.engine.end(Cause::System(error.clone()));
        Side::BOTH.iter().for_each(|&side| session.write(side));
    }
    session.relay.count();
    outcome?;
    match session.relay.engine.cause().and_then(Cause::error) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

struct Caller<'a, 'h> {
    relay: Relay,
    wires: PerSide<&'a Wire>,
    hook: Option<LocalHook<'h>>,
    watch: Watch<'a>,
    started: Instant,
    /// The time: as it was after the last wait, or after the hook's last work.
    now: u64,
    finished: PerSide<bool>,
    queues: PerSide<SendQueue>,
    /// When to give back what the handshakes took of the stack, until that is done.
    trim_at: Option<u64>,
}

impl Caller<'_, '_> {
    fn run(&mut self) -> Result<()> {
        // Frames may have come together with the handshakes.
        Side::BOTH.iter().for_each(|&side| self.relay(side));
        let mut woken = true;
        loop {
            if woken || self.relay.has_news() {
                self.obey();
            }
            self.go_on();
            let until = self.keep_time();
            if self.relay.is_cut() || self.is_over() {
                return Ok(());
            }
            let came = self.wait(until)?;
            let [client, upstream] = came.events;
            woken = came.woken;
            for (side, events) in [(Side::Client, client), (Side::Upstream, upstream)] {
                if events.writable {
                    self.write(side);
                }
                if events.readable || self.wires.get(side).has_input() {
                    self.read(side);
                }
            }
        }
    }

    fn wait(&mut self, until: Option<u64>) -> Result<Came> {
        let asked = [Side::Client, Side::Upstream].map(|side| Events {
            readable: self.relay.wants_input(side),
            writable: self.wants_room(side),
            hang_up: false,
        });
        let until = until.map(|at| Duration::from_millis(at.saturating_sub(self.now)));
        let until = if self.may_go_on(asked) { Some(Duration::ZERO) } else { until };
        let came = self.watch.wait(asked, until);
        self.look_at_the_clock();
        came
    }

    /// Whether something can be done that no descriptor will tell of: frames were left for which there is room now, as
    /// the other side may have read in between, a frame of the host's waited for what is over now, or a read has left
    /// something in memory.
    fn may_go_on(&self, asked: [Events; 2]) -> bool {
        Side::BOTH.iter().zip(asked).any(|(&side, asked)| {
            self.relay.may_go_on(side)
                || self.relay.may_take_mail(side)
                || (asked.readable && self.wires.get(side).has_input())
        })
    }

    /// Whether bytes wait for `to`, in the engine or under TLS.
    fn has_output(&self, to: Side) -> bool {
        self.relay.engine.has_output(to) || self.wires.get(to).has_backlog()
    }

    /// Whether to wait for room; a write that waits for a read does not.
    fn wants_room(&self, to: Side) -> bool {
        let wire = self.wires.get(to);
        wire.has_backlog() || (self.relay.engine.has_output(to) && !wire.is_held())
    }

    fn is_over(&self) -> bool {
        self.relay.engine.is_over() && !Side::BOTH.iter().any(|&side| self.has_output(side))
    }

    fn read(&mut self, from: Side) {
        if !self.relay.wants_input(from) {
            return; // what was relayed meanwhile waits for the other side
        }
        let engine = &mut self.relay.engine;
        match self.wires.get(from).try_recv(engine.space(from)) {
            Ok(0) => engine.input_ended(from, "closed the connection"),
            Ok(count) => {
                self.relay.filled(from, count, self.now);
                self.relay(from);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => engine.input_ended(from, &format!("lost ({error})")),
        }
    }

    /// Writes what has come to wait by something else than frames of the other side, goes on with frames that were left
    /// because much waited, and ends what is to be ended.
    fn go_on(&mut self) {
        for side in Side::BOTH {
            if self.has_output(side) || self.relay.engine.is_closing() {
                self.write(side);
            }
        }
        for side in Side::BOTH {
            if self.relay.may_go_on(side) {
                self.relay(side);
            }
        }
    }

    /// Every frame that one read brought, then one write; more only where a hook makes more of them than was read.
    fn relay(&mut self, from: Side) {
        let began = self.now;
        loop {
            let mut asked = false;
            while self.relay.poll(from) {
                let verdict = match (&mut self.hook, self.relay.engine.frame(from)) {
                    (Some(hook), Some(mut frame)) => {
                        asked = true;
                        hook::ask(hook, &mut frame)
                    }
                    _ => Verdict::Forward,
                };
                self.relay.resolve(from, verdict);
            }
            if asked {
                self.look_at_the_clock();
            }
            self.relay.worked(began, self.now);
            self.relay.count();
            self.write(from.other());
            if !self.relay.may_go_on(from) {
                return;
            }
        }
    }

    fn write(&mut self, to: Side) {
        while self.relay.engine.has_output(to) {
            let parts = self.relay.engine.output(to).map(IoSlice::new);
            match self.wires.get(to).try_send(&parts) {
                Ok(count) => self.relay.wrote(to, count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.relay.engine.output_failed(to),
            }
        }
        if self.wires.get(to).has_backlog() {
            match self.wires.get(to).flush() {
                Ok(0) => {}
                Ok(_) => self.relay.flushed(to),
                Err(_) => self.relay.engine.output_failed(to),
            }
        }
        self.finish(to);
    }

    /// Everything is out: our half of the connection may be over.
    fn finish(&mut self, side: Side) {
        let engine = &self.relay.engine;
        let is_out = engine.wants_fin(side) && !self.wires.get(side).has_backlog();
        if is_out && !std::mem::replace(self.finished.get_mut(side), true) {
            let wire = *self.wires.get(side);
            let _ = match engine.outboxes.get(side).closing().is_over(side) {
                true => wire.shutdown_both(),
                false => wire.shutdown_write(),
            };
        }
    }

    fn obey(&mut self) {
        self.relay.hear();
        Side::BOTH.iter().for_each(|&side| self.push(side));
        if self.relay.is_cut() {
            self.cut();
        }
    }

    /// Writes what waits, then frames of the host's. While those wait for room the other side is not read: so it has its
    /// turn before them.
    fn push(&mut self, to: Side) {
        self.write(to);
        for _ in 0..QUEUES_AT_A_STRETCH {
            if !self.relay.may_take_mail(to) {
                return;
            }
            let from = to.other();
            match self.relay.may_go_on(from) {
                true => self.relay(from),
                false => self.read(from),
            }
            self.relay.take_waiting_mail(to, self.now);
            self.write(to);
        }
    }

    /// Does what is due, and says when something will be.
    fn keep_time(&mut self) -> Option<u64> {
        let now = self.now;
        let below = PerSide::from_fn(|side| {
            let wire = *self.wires.get(side);
            let drains = self.has_output(side) && self.queues.get_mut(side).moves(wire);
            Below { holds: wire.has_backlog(), drains }
        });
        self.relay.note_time(now, below);
        let next = self.deadline();
        if next.is_none_or(|at| now < at) {
            return next;
        }
        self.rest();
        while let Some(due) = self.relay.act(now) {
            if let Due::Stalled(side) = due {
                let _ = self.wires.get(side).shutdown_both();
            }
            Side::BOTH.iter().for_each(|&side| self.write(side));
            if self.relay.is_cut() {
                self.cut();
            }
        }
        self.deadline()
    }

    fn deadline(&self) -> Option<u64> {
        [self.relay.deadline(), self.trim_at].into_iter().flatten().min()
    }

    /// Gives back what memory is no longer needed, if it is time.
    fn rest(&mut self) {
        let mut rests = self.trim_at.is_some_and(|at| at <= self.now);
        for side in Side::BOTH {
            if self.relay.rest(side, self.now) {
                self.wires.get(side).rest();
                rests = true;
            }
        }
        if rests {
            self.trim_at = None;
            own_thread::trim_stack();
        }
    }

    /// Ends both connections, and with them the session.
    fn cut(&mut self) {
        Side::BOTH.iter().for_each(|&side| {
            let _ = self.wires.get(side).shutdown_both();
        });
    }

    fn look_at_the_clock(&mut self) {
        self.now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
}
