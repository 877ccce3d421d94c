//! The event-loop face: a session whose host has the sockets and the clock, and drives it by pull. The host gives bytes,
//! takes frames, gives verdicts and takes bytes; it may be nginx, an epoll loop or asyncio.
//!
//! Rules: no sockets, no threads, no clock and no callback, a logger's neither; nothing blocks. The host tells the time by [`Pull::tick`],
//! once in each turn of its loop, and whatever it calls after that counts as of then. A verdict may come as late as it
//! likes: its direction waits, the other one goes on. The end of a stream counts behind the frames that came before it.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::control::Control;
use super::halves::Halves;
use super::proxy::Outcome;
use super::pull_opening::Target;
use super::relay::{Below, Relay};
use super::urgency::Urgency;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ws::buffer::Buffer;
use crate::ws::close::Close;
use crate::ws::ending::{fault_of, Cause};
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};
use crate::ws::stats::Stats;
use crate::ws::timers::Due;
use crate::ws::verdict::{Frame, Verdict};

/// A session driven by pull; [`Proxy::pull`](crate::Proxy::pull) makes it.
#[derive(Debug)]
pub struct Pull {
    pub(super) config: Arc<Config>,
    pub(super) control: Arc<Control>,
    pub(super) outcome: Arc<Mutex<Outcome>>,
    pub(super) relay: Relay,
    /// The handshakes, until both are over.
    pub(super) halves: Option<Box<Halves>>,
    pub(super) target: Option<Target>,
    pub(super) answer_head: Vec<u8>,
    /// Streams that have ended, behind frames that were not dealt with yet.
    pub(super) ended: PerSide<Option<String>>,
    /// Since when a frame is with the host.
    pub(super) shown: PerSide<Option<u64>>,
    /// Output that was taken by [`Pull::take_output`]: where it lies, or a copy.
    pub(super) taken: PerSide<Taken>,
    pub(super) now: u64,
}

/// Output that was taken out of the session.
#[derive(Debug, Default)]
pub(super) struct Taken {
    in_place: Option<Range<usize>>,
    copy: Buffer,
}

/// A copy larger than this is given back.
const KEPT_COPY: usize = 64 * 1024;

impl Pull {
    pub(super) fn new(
        config: Arc<Config>,
        control: Arc<Control>,
        outcome: Arc<Mutex<Outcome>>,
        engine: Box<Engine>,
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
            taken: PerSide::default(),
            now: 0,
        }
    }

    /// Tells the time, in milliseconds since any fixed moment; does what is due, and what other threads have asked for.
    pub fn tick(&mut self, now: u64) {
        let moved = self.move_on(now);
        self.look_around(moved);
    }

    /// It is `now`; the clock never goes back. Whether it moved.
    fn move_on(&mut self, now: u64) -> bool {
        let moved = now > self.now;
        self.now = self.now.max(now);
        moved
    }

    fn look_around(&mut self, moved: bool) {
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
        self.keep_time(moved);
    }

    /// When to call [`Pull::tick`] at the latest; it changes with every other call.
    pub fn deadline(&mut self) -> Option<u64> {
        if let Some(halves) = &self.halves {
            return halves.deadline();
        }
        // What waits, or closes, only since the last tick has its deadline too.
        self.relay.note_time(self.now, PerSide::<Below>::default());
        self.relay.deadline()
    }

    /// Whether to read from `from` now. If not, its bytes are to stay where they are.
    pub fn wants_input(&self, from: Side) -> bool {
        self.listens_to(from) && self.relay.wants_input(from)
    }

    fn listens_to(&self, from: Side) -> bool {
        self.ended.get(from).is_none()
            && self.halves.as_ref().is_none_or(|halves| !halves.is_lost())
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
            return Err(refused(from));
        }
        self.relay.give(from, bytes, self.now);
        self.advance();
        Ok(())
    }

    /// [`Pull::input`] and [`Pull::tick`] for bytes that were read because [`Pull::wants_input`] had said so, by a host that
    /// cannot leave them where they are. What has come to wait for the other side since then, because of the time or of
    /// another thread, does not refuse them.
    ///
    /// # Errors
    /// [`ErrorKind::Again`] if nothing that comes from `from` counts, or a frame of its waits; then none was taken.
    pub fn read(&mut self, from: Side, bytes: &[u8], now: u64) -> Result<()> {
        let moved = self.move_on(now);
        let takes = self.listens_to(from) && self.relay.engine.takes_input(from);
        if takes {
            self.relay.give(from, bytes, self.now);
        }
        self.advance();
        self.look_around(moved);
        match takes {
            true => Ok(()),
            false => Err(refused(from)),
        }
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
    #[inline]
    pub fn poll(&mut self, from: Side) -> bool {
        if self.halves.is_some() {
            return false;
        }
        if self.relay.poll(from) {
            self.shown.get_mut(from).get_or_insert(self.now);
            return true;
        }
        if !self.relay.has_left(from) {
            if let Some(how) = self.ended.get_mut(from).take() {
                self.relay.engine.input_ended(from, &how);
            }
        }
        false
    }

    /// The frame from `from` that waits.
    #[inline]
    pub fn frame(&mut self, from: Side) -> Option<Frame<'_>> {
        self.relay.engine.frame(from)
    }

    /// Carries out the verdict on the frame from `from` that waits. None may wait any more: then nothing happens.
    #[inline]
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

    /// Takes all of [`Pull::output`], as written: for a host that writes later, from a copy of its own. It is had from
    /// [`Pull::taken`].
    pub fn take_output(&mut self, to: Side) {
        let Taken { in_place, copy } = self.taken.get_mut(to);
        copy.clear();
        if copy.capacity() > KEPT_COPY {
            *copy = Buffer::default();
        }
        *in_place = self.relay.take_output(to, copy);
        if self.halves.is_none() {
            self.relay.take_waiting_mail(to, self.now);
        }
    }

    /// What was taken for `to`, until the next call for either side but the questions.
    pub fn taken(&self, to: Side) -> &[u8] {
        let Taken { in_place, copy } = self.taken.get(to);
        match in_place {
            Some(range) => self.relay.engine.directions.get(to.other()).taken(range.clone()),
            None => copy,
        }
    }

    /// Whether output waits for `to`, or frames from the other side that were left, or much memory is to be given back:
    /// then there is more to be done as soon as what was taken is written.
    pub fn has_more(&self, to: Side) -> bool {
        let is_swollen = self.taken.get(to).copy.capacity() > KEPT_COPY;
        is_swollen || self.has_output(to) || self.relay.has_left(to.other())
    }

    /// Whether a close frame has passed anywhere.
    pub fn is_closing(&self) -> bool {
        self.relay.engine.is_closing()
    }

    /// What has crossed.
    pub fn stats(&self) -> Stats {
        self.relay.engine.stats()
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

    /// Within the same millisecond nothing can be due that was not before.
    fn keep_time(&mut self, moved: bool) {
        if !moved && !self.relay.has_news() {
            return;
        }
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
        for side in Side::BOTH {
            if self.relay.rest(side, self.now) {
                *self.taken.get_mut(side.other()) = Taken::default();
            }
        }
        while let Some(due) = self.relay.act(self.now) {
            if let Due::Stalled(side) = due {
                self.input_ended(side, "took no bytes"); // nothing that it still sends is worth waiting for
            }
        }
        self.relay.count();
    }
}

fn refused(from: Side) -> Error {
    let words = format!("nothing is to be read from the {from} now");
    Error::new(ErrorKind::Again, fault_of(from.other()), words)
}

impl Drop for Pull {
    /// Nobody delivers frames of the host's any more.
    fn drop(&mut self) {
        self.control.set_open(false);
    }
}
