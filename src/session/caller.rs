//! The session on the caller's thread: no library thread, one poll loop over both sockets and a waker. A small
//! program on top of the engine.
//!
//! Rules: reads and writes never wait; a side is read only while nothing waits for the other (the engine says so);
//! what one read brought is written at once, before anything else is looked at.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Control, Watcher};
use super::farewell::farewell;
use super::hook;
use super::slow::SendQueue;
use super::urgency::Urgency;
use crate::config::Config;
use crate::error::Result;
use crate::io::{wait, Events, Waker, Wire};
use crate::ws::ending::Cause;
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};
use crate::ws::timers::{Due, Timers};
use crate::ws::verdict::{Frame, Verdict};

/// A hook that only the caller's thread calls.
pub(crate) type LocalHook<'h> = &'h mut dyn FnMut(&mut Frame<'_>) -> Verdict;

/// Relays until the end, on this thread.
pub(crate) fn run(
    config: &Config,
    control: &Control,
    wires: PerSide<&Wire>,
    mut engine: Engine,
    hook: Option<LocalHook<'_>>,
) -> Result<()> {
    let waker = match Waker::new() {
        Ok(waker) => Arc::new(waker),
        Err(error) => {
            engine.end(Cause::System(error.clone()));
            Side::BOTH.iter().for_each(|&side| farewell(&mut engine, side, wires.get(side)));
            return Err(error);
        }
    };
    control.watch(Watcher::Poll(Arc::clone(&waker)));
    for side in Side::BOTH {
        engine.directions.get_mut(side).set_inspected(true); // frames of the host's go between any two
    }
    let mut session = Caller {
        control,
        wires,
        engine,
        hook,
        waker,
        timers: Timers::new(config.periods(), 0),
        started: Instant::now(),
        finished: PerSide::default(),
        moved: PerSide::default(),
        relayed: PerSide::default(),
        left: PerSide::default(),
        queues: PerSide::default(),
        cut: false,
    };
    let outcome = session.run();
    if let Err(error) = &outcome {
        session.engine.end(Cause::System(error.clone()));
        Side::BOTH.iter().for_each(|&side| session.write(side));
    }
    control.watch(Watcher::Nobody);
    control.set_stats(session.engine.stats());
    outcome?;
    match session.engine.cause().and_then(Cause::error) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

struct Caller<'a, 'h> {
    control: &'a Control,
    wires: PerSide<&'a Wire>,
    engine: Engine,
    hook: Option<LocalHook<'h>>,
    waker: Arc<Waker>,
    timers: Timers,
    started: Instant,
    finished: PerSide<bool>,
    /// Whether bytes went out since the last look at the time; and whether some were relayed.
    moved: PerSide<bool>,
    relayed: PerSide<bool>,
    /// Whether frames wait in the engine because much waits for the other side.
    left: PerSide<bool>,
    queues: PerSide<SendQueue>,
    cut: bool,
}

impl Caller<'_, '_> {
    fn run(&mut self) -> Result<()> {
        // Frames may have come together with the handshakes.
        Side::BOTH.iter().for_each(|&side| self.relay(side));
        loop {
            self.obey();
            Side::BOTH.iter().for_each(|&side| self.go_on(side));
            self.keep_time();
            if self.cut || self.is_over() {
                return Ok(());
            }
            let [client, upstream, woken] = self.wait()?;
            if woken.readable {
                self.waker.drain();
            }
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

    fn wait(&self) -> Result<[Events; 3]> {
        let watched = |side| {
            let events = Events {
                readable: self.engine.wants_input(side) && !*self.left.get(side),
                writable: self.wants_room(side),
                hang_up: false,
            };
            (self.wires.get(side).as_fd(), events)
        };
        let until =
            self.timers.next().map(|at| Duration::from_millis(at.saturating_sub(self.now())));
        let until = if self.may_go_on() { Some(Duration::ZERO) } else { until };
        let waker = (self.waker.as_fd(), Events::READABLE);
        wait([watched(Side::Client), watched(Side::Upstream), waker], until)
    }

    /// Whether something can be done that no descriptor will tell of: frames were left for which there is room now, as
    /// the other side may have read in between, or a read has left something in memory.
    fn may_go_on(&self) -> bool {
        Side::BOTH.iter().any(|&from| match *self.left.get(from) {
            true => !self.engine.has_output(from.other()),
            false => self.engine.wants_input(from) && self.wires.get(from).has_input(),
        })
    }

    /// Whether bytes wait for `to`, in the engine or under TLS.
    fn has_output(&self, to: Side) -> bool {
        self.engine.has_output(to) || self.wires.get(to).has_backlog()
    }

    /// Whether to wait for room; a write that waits for a read does not.
    fn wants_room(&self, to: Side) -> bool {
        let wire = self.wires.get(to);
        wire.has_backlog() || (self.engine.has_output(to) && !wire.is_held())
    }

    fn is_over(&self) -> bool {
        self.engine.is_over() && !Side::BOTH.iter().any(|&side| self.has_output(side))
    }

    fn read(&mut self, from: Side) {
        if !self.engine.wants_input(from) || *self.left.get(from) {
            return; // what was relayed meanwhile waits for the other side
        }
        let wire = *self.wires.get(from);
        match wire.try_recv(self.engine.space(from)) {
            Ok(0) => self.engine.input_ended(from, "closed the connection"),
            Ok(count) => {
                self.engine.filled(from, count);
                self.timers.note_input(from, self.now());
                self.relay(from);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.engine.input_ended(from, &format!("lost ({error})")),
        }
    }

    /// Goes on with frames that were left because much waited for the other side.
    fn go_on(&mut self, from: Side) {
        if *self.left.get(from) && !self.engine.has_output(from.other()) {
            self.relay(from);
        }
    }

    /// Every frame that one read brought, then one write; more only where a hook makes more of them than was read.
    fn relay(&mut self, from: Side) {
        self.heed();
        let began = self.now();
        *self.left.get_mut(from) = false;
        while !*self.left.get(from) && self.engine.poll(from) {
            let verdict = match (&mut self.hook, self.engine.frame(from)) {
                (Some(hook), Some(mut frame)) => hook::ask(hook, &mut frame),
                _ => Verdict::Forward,
            };
            self.take_mail(from.other());
            self.engine.resolve(from, verdict);
            self.heed();
            if self.engine.directions.get(from).is_full() {
                self.write(from.other());
                *self.left.get_mut(from) = self.engine.has_output(from.other());
            }
        }
        self.timers.note_work(began, self.now()); // the hook's time is not idle time
        self.control.set_stats(self.engine.stats());
        self.write(from.other());
    }

    fn write(&mut self, to: Side) {
        while self.engine.has_output(to) {
            let relays = self.engine.directions.get(to.other()).has_ready();
            let parts = self.engine.output(to).map(IoSlice::new);
            match self.wires.get(to).try_send(&parts) {
                Ok(count) => {
                    self.engine.wrote(to, count);
                    *self.moved.get_mut(to) = true;
                    *self.relayed.get_mut(to) |= relays;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.engine.output_failed(to),
            }
        }
        if self.wires.get(to).has_backlog() {
            match self.wires.get(to).flush() {
                Ok(sent) => *self.moved.get_mut(to) |= sent > 0,
                Err(_) => self.engine.output_failed(to),
            }
        }
        self.finish(to);
    }

    /// Everything is out: our half of the connection may be over.
    fn finish(&mut self, side: Side) {
        let is_out = self.engine.wants_fin(side) && !self.wires.get(side).has_backlog();
        if is_out && !std::mem::replace(self.finished.get_mut(side), true) {
            let wire = *self.wires.get(side);
            let _ = match self.engine.outboxes.get(side).closing().is_over(side) {
                true => wire.shutdown_both(),
                false => wire.shutdown_write(),
            };
        }
    }

    /// Ends what the host wants ended, if it may end here.
    fn heed(&mut self) {
        let urgency = self.control.urgency();
        if urgency == Urgency::None || self.engine.cause().is_some() {
            return;
        }
        if urgency == Urgency::Drain {
            self.engine.drain();
            if !self.engine.is_drained() {
                return;
            }
            Side::BOTH.iter().for_each(|&side| {
                self.take_mail(side);
            });
        }
        if let Some(close) = self.control.end_requested() {
            self.engine.end(Cause::Stopped(close));
        }
    }

    fn obey(&mut self) {
        self.heed();
        Side::BOTH.iter().for_each(|&side| self.control.mail(side).hear());
        Side::BOTH.iter().for_each(|&side| self.push(side));
        if self.control.urgency() == Urgency::Abort {
            self.cut();
        }
    }

    /// Writes what waits, then frames of the host's. While a connection takes nothing, those stay in their queue,
    /// which is bounded.
    fn push(&mut self, to: Side) {
        self.write(to);
        while !self.engine.has_output(to) && self.take_mail(to) {
            self.timers.note_activity(self.now());
            self.write(to);
        }
    }

    /// Queues the host's frames. Whether there were any to be sent.
    fn take_mail(&mut self, to: Side) -> bool {
        if !self.control.mail(to).has_mail() {
            return false;
        }
        let mut taken = false;
        self.control.mail(to).deliver(|kind, payload| {
            let sent = self.engine.send(to, kind, payload);
            taken |= sent;
            sent
        });
        taken
    }

    fn keep_time(&mut self) {
        let now = self.now();
        for side in Side::BOTH {
            let waiting = self.has_output(side);
            let wrote = std::mem::take(self.moved.get_mut(side));
            let drains = waiting && self.queues.get_mut(side).moves(self.wires.get(side));
            self.timers.note_output(side, waiting, wrote || drains, now);
            if std::mem::take(self.relayed.get_mut(side)) || drains {
                self.timers.note_activity(now);
            }
        }
        self.note_closing(now);
        while let Some(due) = self.timers.due(now) {
            self.act(due);
            self.note_closing(now);
        }
    }

    /// A side may first take what the other had sent before its close, if both close by themselves. What waits for a
    /// side that has closed itself holds nothing up.
    fn note_closing(&mut self, now: u64) {
        let (outboxes, has_cause) = (&self.engine.outboxes, self.engine.cause().is_some());
        let is_due = |side: Side| {
            let taker = match outboxes.get(side).close_received() {
                Some(_) => side.other(),
                None => side,
            };
            let unhurried = !has_cause && self.engine.has_output(taker);
            outboxes.get(side).closing().has_begun() && !unhurried
        };
        if Side::BOTH.into_iter().any(is_due) {
            self.timers.note_closing(now);
        }
    }

    fn act(&mut self, due: Due) {
        match due {
            Due::Keepalive => self.engine.ping(),
            Due::Idle => self.engine.end(Cause::idle(self.timers.periods().idle)),
            Due::Silent(side) => {
                self.engine.end(Cause::silent(side, self.timers.periods().idle));
            }
            Due::Stalled(side) => {
                self.engine.end(Cause::stalled(side, self.timers.periods().write));
                self.engine.output_failed(side);
                let _ = self.wires.get(side).shutdown_both();
            }
            Due::Close => {
                let PerSide { client, upstream } = &self.engine.outboxes;
                if let Some(cause) = Cause::overdue(client, upstream, self.timers.periods().close) {
                    self.engine.end(cause);
                }
                self.cut = true;
            }
        }
        Side::BOTH.iter().for_each(|&side| self.write(side));
        if self.cut {
            self.cut();
        }
    }

    /// Ends both connections, and with them the session.
    fn cut(&mut self) {
        self.cut = true;
        Side::BOTH.iter().for_each(|&side| {
            let _ = self.wires.get(side).shutdown_both();
        });
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
