//! One side's frames, as they arrive: bytes, header, payload, whole frame or whole message.
//!
//! Rules: every check is made as early as its bytes allow: header rules and limits on the header, masks and UTF-8
//! as payload arrives. A frame stays where it arrived, in the inbox; only the fragments of an aggregated message
//! are copied, once, into one buffer with room for a header before it. A payload that nobody is to look at stays masked:
//! whoever sends it on changes one mask for another in a single pass.

use super::buffer::Buffer;
use super::decode::{decode, decode_small, mask_of, Decoded, Header, MAX_HEADER};
use super::frame::{Kind, Side};
use super::inbox::Inbox;
use super::limits::Limits;
use super::mask::apply_mask;
use super::message::Incoming;
use super::stats::SideStats;
use super::utf8::Utf8;
use super::violation::Violation;

/// How one side's frames are treated.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Join fragments, so that the hook sees whole messages.
    pub aggregate: bool,
    /// Refuse text that is not UTF-8.
    pub check_utf8: bool,
    /// What it may send.
    pub limits: Limits,
}

/// Where the payload of an arrival lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the inbox, behind a header of `header` bytes.
    Inbox {
        /// Bytes of the header.
        header: usize,
        /// Bytes of the payload.
        len: usize,
    },
    /// In the buffer of joined fragments.
    Joined,
}

/// A whole frame, or a whole message when aggregating.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The type as the hook sees it.
    pub kind: Kind,
    /// The type of the message that it belongs to; for control frames the same.
    pub message: Kind,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether the payload is as it came: see [`Receiver::leave_masked`].
    pub masked: bool,
    /// Where the payload lies.
    pub place: Place,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    header: Header,
    message: Kind,
    done: usize,
}

/// The receiving half of a direction.
#[derive(Debug)]
pub struct Receiver {
    from: Side,
    rules: Rules,
    /// The bytes.
    pub inbox: Inbox,
    /// What has arrived, counted.
    pub stats: SideStats,
    admitted: Option<Kind>,
    current: Option<Current>,
    incoming: Incoming,
    text: Utf8,
    text_before: Utf8,
    joined: Buffer,
    keep_joined: bool,
    leave_masked: bool,
}

impl Receiver {
    /// Frames from `from`, treated by `rules`.
    pub fn new(from: Side, rules: Rules) -> Self {
        Receiver {
            from,
            rules,
            inbox: Inbox::new(),
            stats: SideStats::default(),
            admitted: None,
            current: None,
            incoming: Incoming::default(),
            text: Utf8::default(),
            text_before: Utf8::default(),
            joined: Buffer::default(),
            keep_joined: true,
            leave_masked: false,
        }
    }

    /// Whether frames that begin from now on stay masked, where nothing here needs to see what they hold.
    #[inline]
    pub fn leave_masked(&mut self, leave: bool) {
        self.leave_masked = leave;
    }

    /// Room for the next read.
    pub fn space(&mut self) -> &mut [u8] {
        let unread = self.inbox.unread().len();
        let wanted = self.current.map_or(0, |current| {
            current.header.size.saturating_add(payload_len(&current.header)).saturating_sub(unread)
        });
        self.inbox.space(wanted)
    }

    /// Whether a frame has begun to arrive and is not whole.
    pub fn is_mid_frame(&self) -> bool {
        !self.inbox.unread().is_empty() || self.current.is_some()
    }

    /// Nobody wants messages any more: fragments are still checked, and no longer kept.
    pub fn stop_joining(&mut self) {
        self.keep_joined = false;
        self.joined = Buffer::default();
    }

    /// Puts the next arrival into `next`, if it is whole. It stays until [`Receiver::consume`].
    ///
    /// Not returned: a processor waits for what it has just written in pieces before it copies it as a whole.
    #[inline]
    pub fn poll(&mut self, next: &mut Option<Arrival>) -> Result<(), Violation> {
        while next.is_none() && !self.take_small(next)? {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.begin()? {
                    Some(current) => current,
                    None => break,
                },
            };
            if !self.take_payload(&mut current)? {
                self.current = Some(current); // kept only between reads: most frames come whole
                break;
            }
            self.complete(&current, next)?;
        }
        Ok(())
    }

    /// Unmasks the payload of `arrival`, which was left as it came.
    #[cold]
    pub fn unmask(&mut self, arrival: &mut Arrival) {
        if let Place::Inbox { header, .. } = arrival.place {
            let mask = mask_of(self.inbox.unread().get(..header).unwrap_or_default());
            apply_mask(self.payload_mut(arrival), mask, 0);
        }
        arrival.masked = false;
    }

    /// Takes a whole message of up to 125 bytes, as most are; `false` if it is anything else that comes. What is found out
    /// by steps for the others is known here from the first two bytes.
    #[inline]
    fn take_small(&mut self, next: &mut Option<Arrival>) -> Result<bool, Violation> {
        if self.current.is_some() || self.admitted.is_some() {
            return Ok(false);
        }
        let Some(header) = decode_small(self.inbox.unread(), self.from) else { return Ok(false) };
        let (kind, len) = (self.admit(&header)?, payload_len(&header));
        let leave = self.leave_masked && !self.looks_into(kind, kind);
        let frame = self.inbox.unread_mut().get_mut(header.size..header.size + len);
        let payload = frame.unwrap_or_default();
        if let (Some(mask), false) = (header.mask, leave) {
            apply_mask(payload, mask, 0);
        }
        if self.rules.check_utf8 && kind == Kind::Text {
            self.text_before = self.text;
            if !self.text.feed(payload) {
                return Err(not_text());
            }
            self.end_text()?;
        }
        self.stats.count_frame(kind, len);
        let masked = header.mask.is_some() && leave;
        let place = Place::Inbox { header: header.size, len };
        *next = Some(Arrival { kind, message: kind, fin: true, masked, place });
        Ok(true)
    }

    /// The payload of `arrival`.
    #[inline]
    pub fn payload_mut(&mut self, arrival: &Arrival) -> &mut [u8] {
        match arrival.place {
            Place::Inbox { header, len } => {
                self.inbox.unread_mut().get_mut(header..header + len).unwrap_or_default()
            }
            Place::Joined => self.joined.get_mut(MAX_HEADER..).unwrap_or_default(),
        }
    }

    /// How far the text of the message was when the current arrival began.
    pub fn text_before(&self) -> Utf8 {
        self.text_before
    }

    /// Whether the text of this side is checked.
    pub fn checks_text(&self) -> bool {
        self.rules.check_utf8
    }

    /// Takes the joined message out: [`MAX_HEADER`] bytes of room, then the payload.
    pub fn take_joined(&mut self) -> Buffer {
        std::mem::take(&mut self.joined)
    }

    /// `arrival` is dealt with.
    #[inline]
    pub fn consume(&mut self, arrival: &Arrival) {
        match arrival.place {
            Place::Inbox { header, len } => self.inbox.consume(header + len),
            Place::Joined => self.joined = Buffer::default(),
        }
    }

    /// Reads the header; `None` when it is not all there.
    #[inline]
    fn begin(&mut self) -> Result<Option<Current>, Violation> {
        let (header, whole) = match decode(self.inbox.unread(), self.from)? {
            Decoded::Partial => return Ok(None),
            Decoded::MaskMissing(header) => (header, false),
            Decoded::Whole(header) => (header, true),
        };
        let message = match self.admitted.take() {
            Some(message) => message,
            None => self.admit(&header)?,
        };
        if !whole {
            self.admitted = Some(message);
            return Ok(None);
        }
        let mut current = Current { header, message, done: 0 };
        if self.leave_masked && !self.looks_into(header.kind, message) {
            current.header.mask = None;
        }
        Ok(Some(current))
    }

    /// Whether the payload of such a frame is looked at here, or by those who ask what a control frame says.
    #[inline]
    fn looks_into(&self, kind: Kind, message: Kind) -> bool {
        let is_checked = self.rules.check_utf8 && message == Kind::Text;
        is_checked || self.rules.aggregate || kind.is_control()
    }

    #[inline]
    fn admit(&mut self, header: &Header) -> Result<Kind, Violation> {
        if header.kind.is_control() {
            return Ok(header.kind);
        }
        if header.kind == Kind::Text {
            self.text = Utf8::default();
        }
        self.incoming.admit(header, &self.rules.limits)
    }

    /// Unmasks and checks what has come of the payload, unless it is left masked; `false` when some is missing.
    #[inline]
    fn take_payload(&mut self, current: &mut Current) -> Result<bool, Violation> {
        let (start, len) = (current.header.size, payload_len(&current.header));
        let unread = self.inbox.unread_mut();
        let came = unread.len().saturating_sub(start).min(len);
        let is_text = self.rules.check_utf8 && current.message == Kind::Text;
        if is_text && current.done == 0 {
            self.text_before = self.text;
        }
        if came > current.done {
            let fresh = unread.get_mut(start + current.done..start + came).unwrap_or_default();
            if let Some(mask) = current.header.mask {
                apply_mask(fresh, mask, current.done);
            }
            if is_text && !self.text.feed(fresh) {
                return Err(not_text());
            }
            current.done = came;
        }
        Ok(came == len)
    }

    /// A whole frame has come. It is none for `next` when it was a fragment that only joins a message.
    #[inline]
    fn complete(&mut self, current: &Current, next: &mut Option<Arrival>) -> Result<(), Violation> {
        let Current { header, message, done } = *current;
        if message == Kind::Text && header.fin && !header.kind.is_control() {
            self.end_text()?;
        }
        self.stats.count_frame(header.kind, done); // what is wrong is not counted, however it comes
        if !header.kind.is_control() {
            let is_whole = header.fin && header.kind != Kind::Continuation;
            if self.rules.aggregate && !is_whole {
                *next = self.join(current);
                return Ok(());
            }
        }
        let masked = self.from == Side::Client && header.mask.is_none();
        let place = Place::Inbox { header: header.size, len: done };
        *next = Some(Arrival { kind: header.kind, message, fin: header.fin, masked, place });
        Ok(())
    }

    #[inline]
    fn end_text(&self) -> Result<(), Violation> {
        match self.text.is_complete() {
            true => Ok(()),
            false => Err(Violation::not_utf8("a text message ends inside a character")),
        }
    }

    fn join(&mut self, fragment: &Current) -> Option<Arrival> {
        let Current { header, message, done } = *fragment;
        if self.keep_joined {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&[0; MAX_HEADER]);
            }
            let payload = self.inbox.unread().get(header.size..header.size + done);
            self.joined.extend_from_slice(payload.unwrap_or_default());
        }
        if header.fin {
            self.text_before = Utf8::default();
        }
        self.inbox.consume(header.size + done);
        let whole =
            Arrival { kind: message, message, fin: true, masked: false, place: Place::Joined };
        header.fin.then_some(whole)
    }
}

#[cold]
fn not_text() -> Violation {
    Violation::not_utf8("a text message is not UTF-8")
}

fn payload_len(header: &Header) -> usize {
    usize::try_from(header.len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::encode::encode;
    use super::*;

    const LIMITS: Limits =
        Limits { max_frame_size: 1000, max_message_size: 2000, max_fragments: 4, explain: false };

    fn receiver(aggregate: bool) -> Receiver {
        Receiver::new(Side::Client, Rules { aggregate, check_utf8: true, limits: LIMITS })
    }

    fn poll(receiver: &mut Receiver) -> Result<Option<Arrival>, Violation> {
        let mut next = None;
        receiver.poll(&mut next).map(|()| next)
    }

    fn feed(receiver: &mut Receiver, bytes: &[u8]) {
        receiver.inbox.append(bytes);
    }

    fn frame(kind: Kind, fin: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Buffer::default();
        encode(&mut bytes, kind, fin, payload, Some([1, 2, 3, 4]));
        bytes.to_vec()
    }

    /// Everything that arrives of `bytes` in pieces of `step`.
    fn arrivals(aggregate: bool, bytes: &[u8], step: usize) -> Vec<(Kind, bool, Vec<u8>)> {
        let mut receiver = receiver(aggregate);
        let mut seen = Vec::new();
        for piece in bytes.chunks(step) {
            feed(&mut receiver, piece);
            while let Some(arrival) = poll(&mut receiver).unwrap() {
                seen.push((arrival.kind, arrival.fin, receiver.payload_mut(&arrival).to_vec()));
                receiver.consume(&arrival);
            }
        }
        seen
    }

    fn conversation() -> Vec<u8> {
        [
            frame(Kind::Text, false, "größ".as_bytes().split_at(3).0),
            frame(Kind::Ping, true, b"?"),
            frame(Kind::Continuation, false, b""),
            frame(Kind::Continuation, true, &"größe".as_bytes()[3..]),
            frame(Kind::Binary, true, &[0xFF; 300]),
        ]
        .concat()
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_frames() {
        let bytes = conversation();
        for aggregate in [false, true] {
            let whole = arrivals(aggregate, &bytes, bytes.len());
            for step in 1..20 {
                assert_eq!(arrivals(aggregate, &bytes, step), whole, "pieces of {step}");
            }
        }
    }

    #[test]
    fn aggregated_fragments_are_one_message_and_control_frames_pass_before_it() {
        let seen = arrivals(true, &conversation(), 7);
        let kinds: Vec<Kind> = seen.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(kinds, [Kind::Ping, Kind::Text, Kind::Binary]);
        assert_eq!(seen[1].2, "größe".as_bytes());
    }

    #[test]
    fn a_limit_strikes_before_the_mask_and_the_payload_come() {
        let mut receiver = receiver(false);
        feed(&mut receiver, &frame(Kind::Binary, true, &[0; 1001])[..4]);
        assert_eq!(poll(&mut receiver).unwrap_err().code(), 1009);
    }

    #[test]
    fn a_fragment_too_many_is_refused_in_both_modes() {
        for aggregate in [false, true] {
            let mut receiver = receiver(aggregate);
            let mut result = Ok(None);
            for i in 0..5 {
                let kind = if i == 0 { Kind::Binary } else { Kind::Continuation };
                feed(&mut receiver, &frame(kind, false, b""));
                while let Ok(Some(arrival)) = {
                    result = poll(&mut receiver);
                    &result
                } {
                    let arrival = *arrival;
                    receiver.consume(&arrival);
                }
            }
            assert_eq!(result.unwrap_err().code(), 1009, "aggregate {aggregate}");
        }
    }

    #[test]
    fn text_that_goes_wrong_is_refused_before_its_frame_is_whole() {
        let mut receiver = receiver(false);
        let bytes = frame(Kind::Text, true, b"abc\xff----------");
        feed(&mut receiver, &bytes[..10]);
        assert_eq!(poll(&mut receiver).unwrap_err().code(), 1007);
    }

    #[test]
    fn text_that_ends_inside_a_character_is_refused() {
        let mut receiver = receiver(true);
        feed(&mut receiver, &frame(Kind::Text, false, b"a"));
        feed(&mut receiver, &frame(Kind::Continuation, true, b"\xc3"));
        assert_eq!(poll(&mut receiver).unwrap_err().code(), 1007);
    }
}
