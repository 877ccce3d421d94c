//! One way of a session: what arrives from one side, the hook's verdict on it, and what is ready for the other.
//!
//! Rules: every frame gets one verdict, in order; `resolve` carries it out. Close frames never become ready here: they
//! are reported, and the outbox of the other side sends them, so that there is one place that knows whether a close was
//! sent.

use std::ops::Range;

use super::batch::Batch;
use super::buffer::Buffer;
use super::close::Close;
use super::encode::encode;
use super::frame::{Kind, PerSide, Side};
use super::inbox::Inbox;
use super::mask::{Mask, MaskSource};
use super::message::Outgoing;
use super::receive::{Arrival, Receiver, Rules};
use super::stats::SideStats;
use super::utf8::Utf8;
use super::verdict::{Changes, Frame, Verdict};
use super::violation::Violation;

/// What [`Direction::poll`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    /// A frame waits for its verdict: [`Direction::frame`], then [`Direction::resolve`].
    Frame,
    /// Nothing more without more bytes.
    NeedInput,
    /// Something that concerns more than this direction. Boxed: it is rare, and this is returned for each frame.
    Effect(Box<Effect>),
}

/// What concerns more than one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The close frame that came from this side, if that was the frame: nothing more from it counts.
    pub received: Option<Close>,
    /// What follows.
    pub then: Then,
}

/// What follows from a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Nothing: the hook dropped a close frame.
    Nothing,
    /// The other side is to be sent this close frame.
    Forward(Close),
    /// The hook ends the session.
    End(PerSide<Close>),
    /// The hook failed.
    HookFailed(String),
}

/// One way of a session.
#[derive(Debug)]
pub struct Direction {
    from: Side,
    pub(super) receiver: Receiver,
    pub(super) batch: Batch,
    pub(super) outgoing: Outgoing,
    /// The text sent on so far, once it differs from what came.
    pub(super) diverged: Option<Utf8>,
    /// Fresh masks, when frames go to the upstream. Boxed: the other way has no need of its size.
    masks: Option<Box<MaskSource>>,
    keepalive: [u8; 8],
    pub(super) waiting: Option<Arrival>,
    /// What the frame that waits says, if it is a close frame. Boxed and apart: it is rare.
    pub(super) close: Option<Box<Close>>,
    pub(super) changes: Changes,
    inspected: bool,
    draining: bool,
    muted: bool,
    deaf: bool,
}

impl Direction {
    /// The way from `from`. `seed` is for masks; pongs that carry `keepalive` answer the proxy's own pings.
    pub fn new(from: Side, rules: Rules, seed: [u8; 32], keepalive: [u8; 8]) -> Self {
        Direction {
            from,
            receiver: Receiver::new(from, rules),
            batch: Batch::default(),
            outgoing: Outgoing::default(),
            diverged: None,
            masks: (from == Side::Client).then(|| Box::new(MaskSource::from_seed(seed))),
            keepalive,
            waiting: None,
            close: None,
            changes: Changes::default(),
            inspected: true,
            draining: false,
            muted: false,
            deaf: false,
        }
    }

    /// Whether frames wait for verdicts; without, all are forwarded.
    pub fn set_inspected(&mut self, inspected: bool) {
        self.inspected = inspected;
        self.receiver.leave_masked(!inspected);
    }

    /// The other side may be sent nothing more: what still comes is checked for its close frame only.
    pub fn mute(&mut self) {
        self.muted = true;
        if self.waiting.is_none() {
            self.receiver.stop_joining(); // a message that waits for its verdict is lent out
        }
    }

    /// The other side is sent the rest of the message under way, and no other message of this side's. Control frames
    /// go on.
    pub fn drain(&mut self) {
        self.draining = true;
        if self.waiting.is_none() && self.is_held() {
            self.receiver.stop_joining();
        }
    }

    /// Whether it drains, and the other side is between messages: there it stays.
    pub fn is_held(&self) -> bool {
        self.draining && !self.outgoing.is_open()
    }

    /// Whether the frame that waits has nowhere to go: then the verdict on it, if it is to forward or to drop, changes
    /// nothing.
    pub fn is_in_vain(&self) -> bool {
        self.waiting.is_some_and(|arrival| self.goes_nowhere(arrival.kind))
    }

    /// Whether [`Direction::mute`] was called.
    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Nothing from this side counts any more: it closed, broke the protocol, or went away.
    pub fn deafen(&mut self) {
        self.deaf = true;
        (self.waiting, self.close) = (None, None);
        self.receiver.stop_joining();
        self.receiver.inbox.clear();
    }

    /// Whether frames from this side no longer count.
    pub fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Bytes that have come from this side and were not read as frames.
    pub fn inbox(&mut self) -> &mut Inbox {
        &mut self.receiver.inbox
    }

    /// Room for the next read. Everything ready must have been written before: it lies in the same buffer.
    pub fn space(&mut self) -> &mut [u8] {
        debug_assert!(self.batch.is_empty() && self.waiting.is_none());
        self.receiver.space()
    }

    /// `count` bytes were read into the room.
    pub fn filled(&mut self, count: usize) {
        self.receiver.inbox.filled(count);
        if self.deaf {
            self.receiver.inbox.clear();
        }
    }

    /// Takes bytes that the host has read elsewhere. What is ready may still wait.
    pub fn give(&mut self, bytes: &[u8]) {
        debug_assert!(self.waiting.is_none());
        if !self.deaf {
            self.batch.lift(&self.receiver.inbox);
            self.receiver.inbox.give(bytes);
        }
    }

    /// Whether the stream, if it ended now, would end inside a frame.
    pub fn is_mid_frame(&self) -> bool {
        !self.deaf && self.receiver.is_mid_frame()
    }

    /// What is ready for the other side.
    pub fn ready(&self) -> [&[u8]; 2] {
        self.batch.slices(&self.receiver.inbox)
    }

    /// Whether anything is ready for the other side.
    pub fn has_ready(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Whether what is ready is so much that it should be written before more frames are dealt with.
    pub fn is_full(&self) -> bool {
        self.batch.is_large()
    }

    /// `count` bytes of what was ready were written.
    pub fn wrote(&mut self, count: usize) {
        self.batch.wrote(count);
    }

    /// How much memory [`Direction::rest`] would give back.
    pub fn spare(&self) -> usize {
        match self.batch.is_empty() && self.waiting.is_none() {
            true => self.receiver.inbox.spare() + self.batch.spare(),
            false => 0,
        }
    }

    /// Nothing has come for a while: keeps what is unread, and no more. What was taken in place is gone.
    pub fn rest(&mut self) {
        if self.batch.is_empty() && self.waiting.is_none() {
            self.receiver.inbox.rest();
            self.batch.rest();
        }
    }

    /// Takes all that is ready, as written: in place, or into `copy`.
    pub fn take_ready(&mut self, copy: &mut Buffer) -> Option<Range<usize>> {
        self.batch.take(&self.receiver.inbox, copy)
    }

    /// What was taken in place, until the next [`Direction::space`], [`Direction::give`] or [`Direction::rest`].
    pub fn taken(&self, range: Range<usize>) -> &[u8] {
        self.receiver.inbox.slice(range)
    }

    /// The other side takes nothing more: what was ready is gone, and nothing more becomes ready.
    pub fn discard(&mut self) {
        self.batch.clear();
        self.mute();
    }

    /// Whether the other side is in the middle of a message.
    pub fn is_mid_message(&self) -> bool {
        self.outgoing.is_open()
    }

    /// What has come from this side, and what the hook did with it.
    pub fn stats(&self) -> &SideStats {
        &self.receiver.stats
    }

    /// Puts a frame of the host's behind what is ready. Data frames only between messages.
    pub fn insert(&mut self, kind: Kind, payload: &[u8]) {
        let mask = self.next_mask();
        encode(self.batch.tail(), kind, true, payload, mask);
    }

    /// A fresh one, if frames to the other side have masks.
    #[inline]
    pub(super) fn next_mask(&mut self) -> Option<Mask> {
        self.masks.as_deref_mut().map(MaskSource::next_mask)
    }

    /// Goes on until a frame waits, something is to be reported, or bytes are missing.
    #[inline]
    pub fn poll(&mut self) -> Result<Poll, Violation> {
        if self.waiting.is_none() && self.receiver.inbox.unread().is_empty() {
            return Ok(Poll::NeedInput); // what nearly every batch ends with
        }
        self.poll_unread()
    }

    fn poll_unread(&mut self) -> Result<Poll, Violation> {
        while !self.deaf {
            if self.waiting.is_some() {
                return Ok(Poll::Frame);
            }
            self.receiver.poll(&mut self.waiting)?;
            let Some(Arrival { kind, .. }) = self.waiting else { break };
            if let Some(poll) = self.admit(kind)? {
                return Ok(poll);
            }
        }
        Ok(Poll::NeedInput)
    }

    /// Whether a frame waits for its verdict.
    pub fn has_frame(&self) -> bool {
        self.waiting.is_some()
    }

    /// The frame that waits for its verdict.
    #[inline]
    pub fn frame(&mut self) -> Option<Frame<'_>> {
        let arrival = self.waiting.as_ref()?;
        let text = text_rule(arrival, &self.receiver, self.diverged);
        let code = self.close.as_ref().and_then(|close| close.code());
        let payload = self.receiver.payload_mut(arrival);
        let payload = match arrival.kind {
            Kind::Close => payload.get_mut(2..).unwrap_or_default(),
            _ => payload,
        };
        let (kind, fin) = (arrival.kind, arrival.fin);
        Some(Frame { from: self.from, kind, fin, payload, code, text, changes: &mut self.changes })
    }

    #[inline]
    pub(super) fn goes_nowhere(&self, kind: Kind) -> bool {
        self.muted || (self.is_held() && !kind.is_control())
    }

    /// Sorts out what needs no verdict: a frame of this kind waits.
    #[inline]
    fn admit(&mut self, kind: Kind) -> Result<Option<Poll>, Violation> {
        if (kind.is_control() && self.is_own_pong(kind)?) || self.goes_nowhere(kind) {
            return Ok(self.pass_over());
        }
        if self.inspected {
            if let Some(arrival) = self.waiting.as_mut().filter(|arrival| arrival.masked) {
                self.receiver.unmask(arrival); // it has begun to come when nobody was to see it
            }
            return Ok(Some(Poll::Frame));
        }
        Ok(self.resolve(Verdict::Forward).map(Poll::Effect))
    }

    /// Whether the control frame that waits answers a ping of the proxy's own. A close frame is read here.
    #[cold]
    fn is_own_pong(&mut self, kind: Kind) -> Result<bool, Violation> {
        let Some(arrival) = &self.waiting else { return Ok(false) };
        let payload = self.receiver.payload_mut(arrival);
        if kind == Kind::Close {
            let close = Close::parse(payload).inspect_err(|_| self.waiting = None)?;
            self.receiver.stats.note_close_received(&close);
            self.close = Some(Box::new(close));
            return Ok(false);
        }
        Ok(kind == Kind::Pong && *payload == self.keepalive)
    }

    /// Nobody is to see the frame that waits.
    #[cold]
    fn pass_over(&mut self) -> Option<Poll> {
        let arrival = self.waiting.take()?;
        self.receiver.consume(&arrival);
        let received = *self.close.take()?;
        self.deafen();
        Some(Poll::Effect(Box::new(Effect { received: Some(received), then: Then::Nothing })))
    }
}

fn text_rule(arrival: &Arrival, receiver: &Receiver, diverged: Option<Utf8>) -> Option<Utf8> {
    let is_text = arrival.message == Kind::Text && receiver.checks_text();
    is_text.then(|| diverged.unwrap_or(receiver.text_before()))
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::*;

    const LIMITS: Limits =
        Limits { max_frame_size: 1000, max_message_size: 1000, max_fragments: 4, explain: false };

    fn read(direction: &mut Direction, bytes: &[u8]) {
        direction.space()[..bytes.len()].copy_from_slice(bytes);
        direction.filled(bytes.len());
    }

    #[test]
    fn what_comes_after_a_close_frame_is_thrown_away() {
        let rules = Rules { aggregate: false, check_utf8: true, limits: LIMITS };
        let mut direction = Direction::new(Side::Upstream, rules, [0; 32], [0; 8]);
        read(&mut direction, &[0x88, 0]);
        assert_eq!(direction.poll(), Ok(Poll::Frame));
        assert!(direction.resolve(Verdict::Forward).is_some());
        for _ in 0..1000 {
            read(&mut direction, &[0x82; 1000]);
            assert_eq!(direction.poll(), Ok(Poll::NeedInput));
        }
        assert!(direction.inbox().unread().is_empty() && direction.spare() < 100_000);
    }
}
