//! Both ways of an established session with one owner, driven by pull: give bytes, take frames, give verdicts,
//! take bytes. The caller's-thread driver and event-loop hosts stand on this; the threaded session takes it apart.
//!
//! Rules: bytes for a side leave in this order: what its batch has begun, else its handshake or what its outbox has
//! begun; then the batch, then the outbox. A side is read only while nothing waits for the other, so that memory stays
//! bounded.

use std::ops::Range;

use super::buffer::Buffer;
use super::close::Close;
use super::closing::Event;
use super::direction::{Direction, Effect, Poll, Then};
use super::ending::Cause;
use super::frame::{Kind, PerSide, Side};
use super::opening::Opening;
use super::outbox::Outbox;
use super::receive::Rules;
use super::stats::{SideStats, Stats};
use super::verdict::{Frame, Verdict};

/// Randomness for one session: from the operating system's generator.
pub struct Seeds {
    /// For the masks of forwarded frames and of our own.
    pub masks: [[u8; 32]; 2],
    /// What keepalive pings carry.
    pub keepalive: [u8; 8],
}

/// Both ways of a session.
#[derive(Debug)]
pub struct Engine {
    /// By the side that sends.
    pub directions: PerSide<Direction>,
    /// By the side that receives.
    pub outboxes: PerSide<Outbox>,
    pub(super) opening: Opening,
    keepalive: [u8; 8],
    cause: Option<Cause>,
    first_close: Option<Side>,
    sent_by_host: PerSide<u64>,
}

impl Engine {
    /// A session whose handshakes are still to come.
    pub fn opening(rules: PerSide<Rules>, seeds: &Seeds) -> Self {
        Engine { opening: Opening::default(), ..Engine::new(rules, seeds) }
    }

    /// An established session whose sides are treated by `rules`.
    pub fn new(rules: PerSide<Rules>, seeds: &Seeds) -> Self {
        let Seeds { masks: [forwarded, own], keepalive } = *seeds;
        Engine {
            directions: PerSide::from_fn(|from| {
                Direction::new(from, *rules.get(from), forwarded, keepalive)
            }),
            outboxes: PerSide::from_fn(|to| Outbox::new(to, own)),
            opening: Opening::done(),
            keepalive,
            cause: None,
            first_close: None,
            sent_by_host: PerSide::default(),
        }
    }

    /// What keepalive pings carry.
    pub fn keepalive(&self) -> [u8; 8] {
        self.keepalive
    }

    /// Whether to read from `from` now.
    pub fn wants_input(&self, from: Side) -> bool {
        if !self.opening.is_done() {
            return self.opening.wants_input(from);
        }
        self.takes_input(from) && !self.has_output(from.other())
    }

    /// Whether bytes from `from` can be taken, whatever waits for the other side: those that were read already.
    pub fn takes_input(&self, from: Side) -> bool {
        if !self.opening.is_done() {
            return self.opening.wants_input(from);
        }
        self.outboxes.get(from).closing().is_awaited(from) && !self.directions.get(from).has_frame()
    }

    /// Room for the next read from `from`; only when [`Engine::wants_input`] said so.
    pub fn space(&mut self, from: Side) -> &mut [u8] {
        self.directions.get_mut(from).space()
    }

    /// `count` bytes were read into the room.
    pub fn filled(&mut self, from: Side, count: usize) {
        self.directions.get_mut(from).filled(count);
    }

    /// Takes bytes from `from` that the host has read elsewhere; only when [`Engine::takes_input`] says so.
    pub fn give(&mut self, from: Side, bytes: &[u8]) {
        self.directions.get_mut(from).give(bytes);
    }

    /// The stream of `from` has ended; `how` is for the error.
    pub fn input_ended(&mut self, from: Side, how: &str) {
        let closed = self.outboxes.get(from).close_received().is_some();
        let mid_frame = self.directions.get(from).is_mid_frame();
        let cause = Cause::stream_ended(from, closed, mid_frame, how);
        self.directions.get_mut(from).deafen();
        self.outboxes.get_mut(from).note(Event::Ended);
        if !self.outboxes.get(from).closing().may_send() {
            self.output_failed(from);
        }
        if self.outboxes.get(from.other()).closing().may_send() {
            self.end(cause);
        }
    }

    /// The connection of `to` takes no more bytes. What it sent before is still read: the end is found there.
    pub fn output_failed(&mut self, to: Side) {
        self.directions.get_mut(to.other()).discard();
        self.outboxes.get_mut(to).discard();
    }

    /// Goes on with what came from `from`. `true` when a frame waits for its verdict.
    #[inline]
    pub fn poll(&mut self, from: Side) -> bool {
        if !self.opening.is_done() {
            return false;
        }
        loop {
            match self.directions.get_mut(from).poll() {
                Ok(Poll::Frame) => return true,
                Ok(Poll::NeedInput) => return false,
                Ok(Poll::Effect(effect)) => self.apply(from, *effect),
                Err(violation) => {
                    self.directions.get_mut(from).deafen();
                    self.outboxes.get_mut(from).note(Event::Broke);
                    self.end(Cause::Violation(from, violation));
                }
            }
        }
    }

    /// The frame from `from` that waits.
    #[inline]
    pub fn frame(&mut self, from: Side) -> Option<Frame<'_>> {
        self.directions.get_mut(from).frame()
    }

    /// Carries out the verdict on the frame from `from` that waits.
    #[inline]
    pub fn resolve(&mut self, from: Side, verdict: Verdict) {
        if let Some(effect) = self.directions.get_mut(from).resolve(verdict) {
            self.apply(from, *effect);
        }
    }

    /// Queues a frame of the host's; `false` when it must wait for the end of a message under way, and `true` also
    /// when it is too late for any frame.
    pub fn send(&mut self, to: Side, kind: Kind, payload: &[u8]) -> bool {
        let direction = self.directions.get_mut(to.other());
        if !self.outboxes.get(to).closing().may_send() {
            return true;
        }
        if !kind.is_control() && direction.is_mid_message() {
            return false;
        }
        direction.insert(kind, payload);
        *self.sent_by_host.get_mut(to) += 1;
        true
    }

    /// Queues the proxy's own pings, where no bytes wait: those show as well whether anybody is there.
    pub fn ping(&mut self) {
        let payload = self.keepalive;
        for side in Side::BOTH {
            if !self.has_output(side) {
                self.outboxes.get_mut(side).push(Kind::Ping, &payload);
            }
        }
    }

    /// Ends the session: both sides that were not sent a close frame yet are sent theirs. The first cause counts.
    pub fn end(&mut self, cause: Cause) {
        for side in Side::BOTH {
            self.push_close(side, &cause.close_for(side));
        }
        self.cause.get_or_insert(cause);
    }

    /// Lets both ways come to rest between messages. Once [`Engine::is_drained`], the session can be ended.
    pub fn drain(&mut self) {
        Side::BOTH.iter().for_each(|&side| self.directions.get_mut(side).drain());
    }

    /// Whether neither side is in the middle of a message, nor will be. A session that closes is left to that.
    pub fn is_drained(&self) -> bool {
        let rests = |direction: &Direction| direction.is_held() || direction.is_muted();
        !self.is_closing() && Side::BOTH.iter().all(|&side| rests(self.directions.get(side)))
    }

    /// What ended the session, other than two close frames that crossed.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Whether a close frame has passed anywhere.
    pub fn is_closing(&self) -> bool {
        Side::BOTH.iter().any(|&side| self.outboxes.get(side).closing().has_begun())
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        Side::BOTH
            .iter()
            .all(|&side| self.outboxes.get(side).closing().is_over(side) && !self.has_output(side))
    }

    /// Whether bytes wait for `to`.
    pub fn has_output(&self, to: Side) -> bool {
        self.directions.get(to.other()).has_ready() || !self.outboxes.get(to).pending().is_empty()
    }

    /// The bytes that wait for `to`, in order.
    pub fn output(&self, to: Side) -> [&[u8]; 3] {
        let [run, tail] = self.directions.get(to.other()).ready();
        let pending = self.outboxes.get(to).pending();
        match self.outboxes.get(to).leads() {
            true => [pending, run, tail],
            false => [run, tail, pending],
        }
    }

    /// `count` bytes of [`Engine::output`] were written.
    pub fn wrote(&mut self, to: Side, count: usize) {
        let outbox = self.outboxes.get_mut(to);
        let direction = self.directions.get_mut(to.other());
        let ready: usize = direction.ready().iter().map(|part| part.len()).sum();
        let (of_pending, of_ready) = match outbox.leads() {
            true => {
                (count.min(outbox.pending().len()), count.saturating_sub(outbox.pending().len()))
            }
            false => (count.saturating_sub(ready), count.min(ready)),
        };
        outbox.wrote(of_pending);
        direction.wrote(of_ready);
    }

    /// Takes all of [`Engine::output`], as written: in place, to be had by [`Direction::taken`], or into `copy`.
    pub fn take_output(&mut self, to: Side, copy: &mut Buffer) -> Option<Range<usize>> {
        let (outbox, direction) = (self.outboxes.get_mut(to), self.directions.get_mut(to.other()));
        if outbox.pending().is_empty() {
            return direction.take_ready(copy);
        }
        let pending_first = outbox.leads();
        let (pending, ready) = (outbox.take_pending(), direction.ready().concat());
        let [first, last] = match pending_first {
            true => [&pending[..], &ready],
            false => [&ready[..], &pending],
        };
        copy.extend_from_slice(first);
        copy.extend_from_slice(last);
        direction.wrote(ready.len());
        None
    }

    /// Whether to close our half of the connection of `to` now.
    pub fn wants_fin(&self, to: Side) -> bool {
        self.outboxes.get(to).wants_fin() && !self.has_output(to)
    }

    /// What has crossed.
    pub fn stats(&self) -> Stats {
        let sides = PerSide::from_fn(|side| SideStats {
            close_sent: self.outboxes.get(side).close_sent(),
            sent_by_host: *self.sent_by_host.get(side),
            ..*self.directions.get(side).stats()
        });
        Stats::of(sides, self.first_close)
    }

    fn apply(&mut self, from: Side, effect: Effect) {
        if let Some(close) = effect.received {
            self.first_close.get_or_insert(from);
            self.outboxes.get_mut(from).note_close(close);
        }
        match effect.then {
            Then::Nothing => {}
            Then::Forward(close) => self.push_close(from.other(), &close),
            Then::End(closes) => self.end(Cause::Ended(closes)),
            Then::HookFailed(why) => self.end(Cause::HookFailed(why)),
        }
    }

    /// Queues a close frame behind everything that is ready.
    fn push_close(&mut self, to: Side, close: &Close) {
        let (outbox, direction) = (self.outboxes.get_mut(to), self.directions.get_mut(to.other()));
        if outbox.leads() && outbox.closing().may_send() {
            let ready = direction.ready().concat();
            outbox.push_raw(&ready);
            direction.wrote(ready.len());
        }
        if outbox.push_close(close) {
            direction.mute();
        }
    }
}
