//! An established session in one pair of hands: the engine, its deadlines, and what other threads ask for. The poll loop
//! on the caller's thread and the event-loop face both feed it.
//!
//! Rules: no sockets, and the time is an argument (milliseconds). What other threads ask for is looked at by each poll,
//! which is before each frame and after the last verdict, so that nothing they end goes on; and what they send from
//! inside a hook goes before the frame that the hook looks at.

use std::ops::Range;
use std::sync::Arc;

use super::control::Control;
use super::urgency::Urgency;
use crate::ws::buffer::Buffer;
use crate::ws::ending::Cause;
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};
use crate::ws::rest::Rest;
use crate::ws::timers::{Due, Periods, Timers};
use crate::ws::verdict::Verdict;

/// An established session.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) engine: Box<Engine>,
    control: Arc<Control>,
    timers: Timers,
    rest: Rest,
    /// Whether frames wait in the engine because much waits for the other side.
    left: PerSide<bool>,
    /// Whether bytes went out since the last look at the time; and whether some were relayed.
    moved: PerSide<bool>,
    relayed: PerSide<bool>,
    cut: bool,
}

/// What the connection of a side holds below the engine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Below {
    /// Bytes that were taken from the engine and not written, under TLS.
    pub(crate) holds: bool,
    /// The peer has acknowledged bytes since the last look.
    pub(crate) drains: bool,
}

impl Relay {
    /// The deadlines start at `now`.
    pub(crate) fn new(
        mut engine: Box<Engine>,
        control: Arc<Control>,
        periods: Periods,
        now: u64,
    ) -> Self {
        for side in Side::BOTH {
            engine.directions.get_mut(side).set_inspected(true); // frames of the host's go between any two
        }
        Relay {
            engine,
            control,
            timers: Timers::new(periods, now),
            rest: Rest::default(),
            left: PerSide::default(),
            moved: PerSide::default(),
            relayed: PerSide::default(),
            cut: false,
        }
    }

    /// The handshakes are over: the deadlines start again.
    pub(crate) fn begin(&mut self, now: u64) {
        self.timers = Timers::new(*self.timers.periods(), now);
    }

    /// Whether to read from `from` now.
    pub(crate) fn wants_input(&self, from: Side) -> bool {
        self.engine.wants_input(from) && !*self.left.get(from)
    }

    /// `count` bytes from `from` were put into the room that the engine gave.
    pub(crate) fn filled(&mut self, from: Side, count: usize, now: u64) {
        self.engine.filled(from, count);
        self.timers.note_input(from, now);
        self.rest.note_input(from, now);
    }

    /// Takes bytes from `from` that the host has read.
    pub(crate) fn give(&mut self, from: Side, bytes: &[u8], now: u64) {
        self.engine.give(from, bytes);
        self.timers.note_input(from, now);
        self.rest.note_input(from, now);
    }

    /// Whether frames from `from` were left, for which there is room now.
    pub(crate) fn may_go_on(&self, from: Side) -> bool {
        *self.left.get(from) && !self.engine.has_output(from.other())
    }

    /// Whether frames from `from` were left.
    pub(crate) fn has_left(&self, from: Side) -> bool {
        *self.left.get(from)
    }

    /// Whether a frame from `from` waits for its verdict. `false` also when so much waits for the other side that it
    /// has to be written first, before another frame is looked at: where a hook makes more of them than was read, or the
    /// host has sent much.
    #[inline]
    pub(crate) fn poll(&mut self, from: Side) -> bool {
        self.heed();
        if *self.left.get(from) && !self.may_go_on(from) {
            return false;
        }
        let direction = self.engine.directions.get(from);
        *self.left.get_mut(from) = direction.is_full() && !direction.has_frame();
        !*self.left.get(from) && self.engine.poll(from)
    }

    /// Carries out the verdict on the frame from `from` that waits.
    #[inline]
    pub(crate) fn resolve(&mut self, from: Side, verdict: Verdict) {
        self.take_mail(from.other());
        self.engine.resolve(from, verdict);
    }

    /// The hook was at work since `began`, which is not idle time.
    pub(crate) fn worked(&mut self, began: u64, now: u64) {
        self.timers.note_work(began, now);
    }

    /// Lets other threads see what has crossed.
    pub(crate) fn count(&self) {
        self.control.set_stats(self.engine.stats());
    }

    /// `count` bytes of the engine's output were written.
    pub(crate) fn wrote(&mut self, to: Side, count: usize) {
        let relays = self.engine.directions.get(to.other()).has_ready();
        self.engine.wrote(to, count);
        *self.moved.get_mut(to) = true;
        *self.relayed.get_mut(to) |= relays;
    }

    /// Takes all of the engine's output, as written.
    pub(crate) fn take_output(&mut self, to: Side, copy: &mut Buffer) -> Option<Range<usize>> {
        *self.moved.get_mut(to) |= self.engine.has_output(to);
        *self.relayed.get_mut(to) |= self.engine.directions.get(to.other()).has_ready();
        self.engine.take_output(to, copy)
    }

    /// Bytes went out below the engine.
    pub(crate) fn flushed(&mut self, to: Side) {
        *self.moved.get_mut(to) = true;
    }

    /// Ends what the host wants ended, if it may end here.
    #[inline]
    fn heed(&mut self) {
        let urgency = self.control.urgency();
        if urgency != Urgency::None {
            self.obey(urgency);
        }
    }

    #[cold]
    fn obey(&mut self, urgency: Urgency) {
        if self.engine.cause().is_some() {
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

    /// Whether other threads have asked for something, or sent.
    pub(crate) fn has_news(&self) -> bool {
        let mail = |&side: &Side| self.control.mail(side).has_mail();
        self.control.urgency() != Urgency::None || Side::BOTH.iter().any(mail)
    }

    /// Takes note of what other threads have asked for and sent. What waits is to be written once more before the
    /// connections are closed, if [`Relay::is_cut`] says so now.
    pub(crate) fn hear(&mut self) {
        self.heed();
        self.cut |= self.control.urgency() == Urgency::Abort;
        Side::BOTH.iter().for_each(|&side| self.control.mail(side).hear());
    }

    /// Queues the host's frames for `to`, unless something waits for it: then they stay in their queue, which is
    /// bounded. Whether there were any to be sent.
    pub(crate) fn take_waiting_mail(&mut self, to: Side, now: u64) -> bool {
        let taken = !self.engine.has_output(to) && self.take_mail(to);
        if taken {
            self.timers.note_activity(now);
        }
        taken
    }

    /// Whether [`Relay::take_waiting_mail`] is sure to take some.
    pub(crate) fn may_take_mail(&self, to: Side) -> bool {
        let mid_message = self.engine.directions.get(to.other()).is_mid_message();
        !self.engine.has_output(to) && self.control.mail(to).may_deliver(mid_message)
    }

    #[inline]
    fn take_mail(&mut self, to: Side) -> bool {
        self.control.mail(to).has_mail() && self.deliver_mail(to)
    }

    #[cold]
    fn deliver_mail(&mut self, to: Side) -> bool {
        let mut taken = false;
        self.control.mail(to).deliver(|kind, payload| {
            let sent = self.engine.send(to, kind, payload);
            taken |= sent;
            sent
        });
        taken
    }

    /// Takes note of what waits and what has moved by `now`.
    pub(crate) fn note_time(&mut self, now: u64, below: PerSide<Below>) {
        for side in Side::BOTH {
            self.rest.note_spare(side, self.engine.directions.get(side).spare() > 0, now);
            let Below { holds, drains } = *below.get(side);
            let waiting = holds || self.engine.has_output(side);
            let wrote = std::mem::take(self.moved.get_mut(side));
            self.timers.note_output(side, waiting, wrote || drains, now);
            if std::mem::take(self.relayed.get_mut(side)) || drains {
                self.timers.note_activity(now);
            }
        }
        if self.engine.is_closing() {
            self.note_closing(now);
        }
    }

    /// Gives back what memory the bytes from `from` no longer need, if it is time; says whether it was.
    pub(crate) fn rest(&mut self, from: Side, now: u64) -> bool {
        let is_due = self.rest.is_due(from, now);
        if is_due {
            self.engine.directions.get_mut(from).rest();
            self.rest.note_spare(from, false, now);
        }
        is_due
    }

    /// The next deadline that has passed by `now`, carried out as far as the engine goes. To be written afterwards is
    /// what waits for either side; a stalled side's connection is over.
    pub(crate) fn act(&mut self, now: u64) -> Option<Due> {
        let due = self.timers.due(now)?;
        match due {
            Due::Keepalive => self.engine.ping(),
            Due::Idle => self.engine.end(Cause::idle(self.timers.periods().idle)),
            Due::Silent(side) => self.engine.end(Cause::silent(side, self.timers.periods().idle)),
            Due::Stalled(side) => {
                self.engine.end(Cause::stalled(side, self.timers.periods().write));
                self.engine.output_failed(side);
            }
            Due::Close => {
                let PerSide { client, upstream } = &self.engine.outboxes;
                if let Some(cause) = Cause::overdue(client, upstream, self.timers.periods().close) {
                    self.engine.end(cause);
                }
                self.cut = true;
            }
        }
        self.note_closing(now);
        Some(due)
    }

    /// When to look at the time again.
    pub(crate) fn deadline(&self) -> Option<u64> {
        [self.timers.next(), self.rest.next()].into_iter().flatten().min()
    }

    /// Whether both connections are to be closed now, whatever still waits.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
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
}
