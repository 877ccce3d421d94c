//! Carrying out a verdict: a frame is sent on from where it lies, sent on changed, or left out.
//!
//! Rules: what becomes ready is a legal stream (RFC 6455 section 5.4), whatever the verdicts: [`Outgoing`] knows types and
//! ends, [`Utf8`] text with pieces missing.
//!
//! Theory: a frame that nobody has changed keeps its header, but for the first byte, where a hook has left out fragments
//! before it, and the mask. One that stayed masked is unmasked and masked again in one pass.
//!
//! [`Outgoing`]: super::message::Outgoing

use super::close::Close;
use super::decode::{mask_of, MAX_HEADER};
use super::direction::{Direction, Effect, Then};
use super::encode::{encode, header_len, rewrite_header, write_header};
use super::frame::{Kind, PerSide};
use super::mask::{apply_mask, exchange, Mask};
use super::receive::{Arrival, Place};
use super::utf8::Utf8;
use super::verdict::{Changes, Verdict};

impl Direction {
    /// Carries out the verdict on the frame that waits.
    #[inline]
    pub fn resolve(&mut self, verdict: Verdict) -> Option<Box<Effect>> {
        let arrival = self.waiting.take()?;
        let goes_on = matches!(verdict, Verdict::Forward) && !self.goes_nowhere(arrival.kind);
        if goes_on && self.is_as_it_came(&arrival) {
            self.send_in_place(&arrival); // what is to be fast: all else is an exception
            self.receiver.consume(&arrival);
            return None;
        }
        self.resolve_exception(&arrival, verdict)
    }

    /// Whether a frame can be sent on without a look at what it says, or at what went before it.
    #[inline]
    fn is_as_it_came(&self, arrival: &Arrival) -> bool {
        !self.changes.replaced && self.diverged.is_none() && arrival.kind != Kind::Close
    }

    #[inline(never)]
    fn resolve_exception(&mut self, arrival: &Arrival, verdict: Verdict) -> Option<Box<Effect>> {
        let then = match verdict {
            Verdict::Failed(why) => Some(Then::HookFailed(why)),
            Verdict::End { client, upstream } => Some(Then::End(PerSide { client, upstream })),
            _ if self.goes_nowhere(arrival.kind) => self.close.is_some().then_some(Then::Nothing),
            Verdict::Drop => self.drop_frame(arrival),
            Verdict::Forward => self.forward(arrival),
        };
        self.receiver.consume(arrival);
        self.changes = Changes::default();
        let received = self.close.take();
        if received.is_some() {
            self.deafen();
        }
        then.map(|then| Box::new(Effect { received: received.map(|close| *close), then }))
    }

    fn drop_frame(&mut self, arrival: &Arrival) -> Option<Then> {
        self.receiver.stats.dropped += 1;
        if arrival.kind.is_control() {
            return (arrival.kind == Kind::Close).then_some(Then::Nothing);
        }
        let text = self.diverge(arrival);
        let end_is_owed = self.outgoing.skip(arrival.fin);
        if arrival.fin {
            self.diverged = None;
        }
        if end_is_owed && text.is_some_and(|text| !text.is_complete()) {
            return Some(Then::HookFailed(
                "dropping this fragment leaves half a character of text".into(),
            ));
        }
        if end_is_owed {
            self.insert(Kind::Continuation, b"");
        }
        None
    }

    fn forward(&mut self, arrival: &Arrival) -> Option<Then> {
        self.receiver.stats.replaced += u64::from(self.changes.replaced);
        if arrival.kind == Kind::Close {
            return Some(Then::Forward(self.changed_close(arrival)));
        }
        if !arrival.kind.is_control() && !self.text_goes_on(arrival) {
            return Some(Then::HookFailed(
                "what the hook left of this message is not UTF-8".into(),
            ));
        }
        match self.changes.other_len.take() {
            Some(payload) => {
                let (opcode, mask) = (self.opcode(arrival), self.next_mask());
                encode(self.batch.tail(), opcode, arrival.fin, &payload, mask);
            }
            None => self.send_in_place(arrival),
        }
        None
    }

    /// The opcode under which `arrival` is sent now.
    #[inline]
    fn opcode(&mut self, arrival: &Arrival) -> Kind {
        match arrival.kind.is_control() {
            true => arrival.kind,
            false => self.outgoing.next(arrival.message, arrival.fin),
        }
    }

    fn changed_close(&mut self, arrival: &Arrival) -> Close {
        let received = self.close.as_ref().and_then(|close| close.code());
        let code = self.changes.code.unwrap_or(received);
        let reason = match self.changes.other_len.take() {
            Some(reason) => reason,
            None => self.receiver.payload_mut(arrival).get(2..).unwrap_or_default().to_vec(),
        };
        Close::mapped(code, &String::from_utf8_lossy(&reason))
    }

    /// Sends the payload from where it lies.
    #[inline]
    fn send_in_place(&mut self, arrival: &Arrival) {
        let (opcode, mask) = (self.opcode(arrival), self.next_mask());
        match arrival.place {
            Place::Inbox { header, len } => {
                let inbox = &mut self.receiver.inbox;
                let start = inbox.position();
                let frame = inbox.unread_mut().get_mut(..header + len).unwrap_or_default();
                if let Some((header, payload)) = frame.split_at_mut_checked(header) {
                    if let Some(mask) = mask {
                        let change = match arrival.masked {
                            true => exchange(mask_of(header), mask),
                            false => mask,
                        };
                        apply_mask(payload, change, 0);
                    }
                    rewrite_header(header, opcode, arrival.fin, mask);
                }
                self.batch.add_in_place(inbox, start..start + header + len);
            }
            Place::Joined => self.send_joined(arrival, opcode, mask),
        }
    }

    fn send_joined(&mut self, arrival: &Arrival, opcode: Kind, mask: Option<Mask>) {
        let mut message = self.receiver.take_joined();
        let payload = message.get_mut(MAX_HEADER..).unwrap_or_default();
        let len = payload.len();
        if let Some(mask) = mask {
            apply_mask(payload, mask, 0);
        }
        let skip = MAX_HEADER - header_len(len, mask);
        let room = message.get_mut(skip..MAX_HEADER).unwrap_or_default();
        write_header(room, opcode, arrival.fin, len, mask);
        self.batch.add_owned(message, skip);
    }

    /// From here on the text sent is no longer the text that came: it has stopped where this frame begins.
    fn diverge(&mut self, arrival: &Arrival) -> Option<Utf8> {
        if arrival.message != Kind::Text || !self.receiver.checks_text() {
            return None;
        }
        Some(*self.diverged.get_or_insert(self.receiver.text_before()))
    }

    /// Whether the text sent stays UTF-8 with this frame.
    fn text_goes_on(&mut self, arrival: &Arrival) -> bool {
        let Some(mut text) = self.diverge(arrival) else { return true };
        let valid = match &self.changes.other_len {
            Some(payload) => text.feed(payload),
            None => text.feed(self.receiver.payload_mut(arrival)),
        };
        self.diverged = (!arrival.fin).then_some(text);
        valid && (!arrival.fin || text.is_complete())
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Buffer;
    use super::super::decode::{decode, Decoded};
    use super::super::direction::Poll;
    use super::super::frame::Side;
    use super::super::limits::Limits;
    use super::super::receive::Rules;
    use super::*;

    const MASK: Mask = [0x80, 2, 0xFF, 4];

    fn from_client(check_utf8: bool) -> Direction {
        let limits = Limits {
            max_frame_size: 1 << 20,
            max_message_size: 1 << 20,
            max_fragments: 9,
            explain: false,
        };
        let rules = Rules { aggregate: false, check_utf8, limits };
        Direction::new(Side::Client, rules, [7; 32], [0; 8])
    }

    fn frame(kind: Kind, fin: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Buffer::default();
        encode(&mut bytes, kind, fin, payload, Some(MASK));
        bytes.to_vec()
    }

    /// Type, end, mask and plain payload of the only frame that is ready.
    fn sent(direction: &Direction) -> (Kind, bool, Mask, Vec<u8>) {
        let mut bytes = direction.ready().concat();
        let Ok(Decoded::Whole(header)) = decode(&bytes, Side::Client) else {
            panic!("no frame from a client: {bytes:?}");
        };
        let mut payload = bytes.split_off(header.size);
        assert_eq!(payload.len() as u64, header.len);
        apply_mask(&mut payload, header.mask.unwrap(), 0);
        (header.kind, header.fin, header.mask.unwrap(), payload)
    }

    /// Gives both halves of `bytes`, cut at `at`, each seen or not.
    fn halves(direction: &mut Direction, bytes: &[u8], at: usize, seen: [bool; 2]) -> Poll {
        let (first, last) = bytes.split_at(at);
        let [before, after] = seen;
        direction.set_inspected(before);
        direction.give(first);
        assert_eq!(direction.poll(), Ok(Poll::NeedInput));
        direction.set_inspected(after);
        direction.give(last);
        direction.poll().unwrap()
    }

    #[test]
    fn what_nobody_looks_at_arrives_as_it_was_sent_under_another_mask() {
        for len in [0, 1, 3, 4, 7, 33, 125, 126, 300, 70_000] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let bytes = frame(Kind::Binary, true, &payload);
            for at in [0, 1, 5, bytes.len() / 2, bytes.len() - 1] {
                let mut direction = from_client(true);
                let left = halves(&mut direction, &bytes, at, [false, false]);
                assert_eq!(left, Poll::NeedInput);
                let (kind, fin, mask, plain) = sent(&direction);
                assert_eq!((kind, fin), (Kind::Binary, true));
                assert_eq!(plain, payload, "{len} bytes cut at {at}");
                assert_ne!(mask, MASK);
            }
        }
    }

    #[test]
    fn a_frame_is_seen_unmasked_whenever_it_was_decided_to_look() {
        for check_utf8 in [true, false] {
            for kind in [Kind::Text, Kind::Binary, Kind::Ping] {
                let bytes = frame(kind, true, b"plain words");
                for at in 0..bytes.len() {
                    let mut direction = from_client(check_utf8);
                    let found = halves(&mut direction, &bytes, at, [false, true]);
                    assert_eq!(found, Poll::Frame);
                    assert_eq!(direction.frame().unwrap().payload(), b"plain words");
                    assert_eq!(direction.resolve(Verdict::Forward), None);
                    assert_eq!(sent(&direction).3, b"plain words");
                }
            }
        }
    }

    #[test]
    fn a_frame_that_was_to_be_seen_and_is_not_any_more_is_sent_as_it_came() {
        let bytes = frame(Kind::Binary, true, b"plain words");
        for at in 0..bytes.len() {
            let mut direction = from_client(true);
            let found = halves(&mut direction, &bytes, at, [true, false]);
            assert_eq!(found, Poll::NeedInput);
            assert_eq!(sent(&direction).3, b"plain words");
        }
    }

    #[test]
    fn the_fragment_behind_a_dropped_one_takes_its_type() {
        let mut direction = from_client(true);
        direction.give(&frame(Kind::Binary, false, b"no"));
        direction.give(&frame(Kind::Continuation, true, b"yes"));
        for verdict in [Verdict::Drop, Verdict::Forward] {
            assert_eq!(direction.poll(), Ok(Poll::Frame));
            direction.resolve(verdict);
        }
        let (kind, fin, _, plain) = sent(&direction);
        assert_eq!((kind, fin, plain), (Kind::Binary, true, b"yes".to_vec()));
    }
}
