//! What goes to one side besides the frames of the other: its handshake, close frames, pings, frames of the host.
//! It also holds the state of the closing handshake with that side.
//!
//! Rule: a close frame is queued here or nowhere, at most once, and nothing after it.

use super::buffer::Buffer;
use super::close::Close;
use super::closing::{Closing, Event};
use super::encode::encode;
use super::frame::{Kind, Side};
use super::mask::MaskSource;

/// The queue of one side.
#[derive(Debug)]
pub struct Outbox {
    to: Side,
    bytes: Buffer,
    written: usize,
    /// What waits goes before the frames that are ready for this side.
    leads: bool,
    /// Boxed: frames to the client have no need of its size.
    masks: Option<Box<MaskSource>>,
    closing: Closing,
    close_sent: Option<Option<u16>>,
    close_received: Option<Close>,
}

impl Outbox {
    /// For frames to `to`; `seed` is for masks.
    pub fn new(to: Side, seed: [u8; 32]) -> Self {
        Outbox {
            to,
            bytes: Buffer::default(),
            written: 0,
            leads: false,
            masks: (to == Side::Upstream).then(|| Box::new(MaskSource::from_seed(seed))),
            closing: Closing::Open,
            close_sent: None,
            close_received: None,
        }
    }

    /// The state of the closing handshake.
    pub fn closing(&self) -> Closing {
        self.closing
    }

    /// Something happened on this side's connection.
    pub fn note(&mut self, event: Event) {
        self.closing = self.closing.after(event);
    }

    /// It sent a close frame.
    pub fn note_close(&mut self, close: Close) {
        self.note(Event::Received);
        self.close_received.get_or_insert(close);
    }

    /// The close frame that it sent.
    pub fn close_received(&self) -> Option<&Close> {
        self.close_received.as_ref()
    }

    /// The code of the close frame that it was sent.
    pub fn close_sent(&self) -> Option<Option<u16>> {
        self.close_sent
    }

    /// Queues bytes that go before frames that are ready: the handshake, and frames that were ready before others.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.leads = true;
    }

    /// The same of a head, which is not copied if nothing waits before it.
    pub fn push_head(&mut self, head: Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = Buffer::from(head);
            self.leads = true;
        } else {
            self.push_raw(&head);
        }
    }

    /// Queues a frame, unless a close went before; data frames only between messages.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) {
        if self.closing.may_send() {
            let mask = self.masks.as_deref_mut().map(MaskSource::next_mask);
            encode(&mut self.bytes, kind, true, payload, mask);
        }
    }

    /// Queues a close frame, unless one went before. Whether it did.
    pub fn push_close(&mut self, close: &Close) -> bool {
        let fresh = self.closing.may_send();
        if fresh {
            self.push(Kind::Close, &close.to_payload());
            self.note(Event::Sent);
            self.close_sent = Some(close.code());
        }
        fresh
    }

    /// What is to be written.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Whether it goes before anything else: it is the handshake, or a part of it was written.
    pub fn leads(&self) -> bool {
        self.leads
    }

    /// `count` bytes of it were written.
    pub fn wrote(&mut self, count: usize) {
        self.written += count;
        self.leads |= count > 0;
        if self.written >= self.bytes.len() {
            self.take_pending();
        }
    }

    /// Takes out what is to be written.
    pub fn take_pending(&mut self) -> Buffer {
        self.leads = false;
        let bytes = std::mem::take(&mut self.bytes);
        match std::mem::take(&mut self.written) {
            0 => bytes,
            written => bytes.get(written..).unwrap_or_default().into(),
        }
    }

    /// Its connection cannot be written to any more.
    pub fn discard(&mut self) {
        self.take_pending();
    }

    /// Whether to close our half of its connection now.
    pub fn wants_fin(&self) -> bool {
        self.closing.wants_fin(self.to) && self.pending().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_close_and_there_is_only_one() {
        let mut outbox = Outbox::new(Side::Client, [0; 32]);
        assert!(outbox.push_close(&Close::new(1001, "").unwrap()));
        assert!(!outbox.push_close(&Close::new(1002, "").unwrap()));
        outbox.push(Kind::Ping, b"late");
        assert_eq!(outbox.pending(), [0x88, 2, 0x03, 0xE9]);
        assert_eq!(outbox.close_sent(), Some(Some(1001)));
    }

    #[test]
    fn frames_for_the_upstream_have_masks_that_differ() {
        let mut outbox = Outbox::new(Side::Upstream, [1; 32]);
        outbox.push(Kind::Ping, b"");
        outbox.push(Kind::Ping, b"");
        let bytes = outbox.take_pending();
        assert_eq!((bytes[1], bytes[7]), (0x80, 0x80));
        assert_ne!(bytes[2..6], bytes[8..12]);
    }

    #[test]
    fn the_connection_is_let_go_only_when_the_close_is_out() {
        let mut outbox = Outbox::new(Side::Client, [0; 32]);
        outbox.note_close(Close::none());
        outbox.push_close(&Close::none());
        assert!(!outbox.wants_fin());
        outbox.wrote(2);
        assert!(outbox.wants_fin());
    }
}
