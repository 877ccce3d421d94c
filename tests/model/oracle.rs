//! What must leave, worked out from what came, what the hook answered and what the host did: the promise, as a model.
//!
//! Rules: frames for a side leave in order and exactly as listed here; close frames exactly once and last.
//! Only the proxy's own pings may stand anywhere among them.

use std::collections::VecDeque;

use wsproxy::ws::close::Close;
use wsproxy::ws::frame::Side;

use crate::plan::Settings;
use crate::reference::{
    is_legal_code, Reference, Seen, Text, CLOSE, CONTINUATION, PING, PONG, TEXT,
};

/// A close frame's code and reason.
pub(crate) type Closed = (Option<u16>, Vec<u8>);

/// What the hook is to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) opcode: u8,
    pub(crate) message: u8,
    pub(crate) fin: bool,
    /// Without the code, for a close frame.
    pub(crate) payload: Vec<u8>,
    pub(crate) code: Option<u16>,
}

/// One side of the session: what it sent, and what it is to get.
pub(crate) struct Party {
    pub(crate) settings: Settings,
    /// Reads what it sends.
    pub(crate) sent: Reference,
    taken: usize,
    joined: Vec<u8>,
    /// Frames from it that the hook was not shown yet.
    pub(crate) unseen: VecDeque<Shown>,
    /// Its close frame has been dealt with.
    pub(crate) close_came: bool,
    /// Nothing that it sends counts any more.
    pub(crate) deaf: bool,
    /// Its stream has ended, and nothing is owed to it.
    pub(crate) gone: bool,
    /// It takes no more bytes.
    pub(crate) failed: bool,

    /// Reads what it gets.
    pub(crate) got: Reference,
    compared: usize,
    /// Opcode, fin and payload of what it must get, closes and own pings apart.
    expected: VecDeque<(u8, bool, Vec<u8>)>,
    pub(crate) close: Option<Closed>,
    pings: usize,
    /// A message to it is under way.
    pub(crate) open: bool,
    text: Text,
    /// It was gone when the session ended.
    left_out: bool,
}

impl Party {
    fn new(side: Side, settings: Settings, other: Settings) -> Self {
        let is_client = side == Side::Client;
        Party {
            settings,
            sent: Reference::new(is_client, settings.check_utf8, Some(settings.bounds)),
            taken: 0,
            joined: Vec::new(),
            unseen: VecDeque::new(),
            close_came: false,
            deaf: false,
            gone: false,
            failed: false,
            got: Reference::new(!is_client, other.check_utf8, None),
            compared: 0,
            expected: VecDeque::new(),
            close: None,
            pings: 0,
            open: false,
            text: Text::default(),
            left_out: false,
        }
    }

    fn may_be_sent(&self) -> bool {
        self.close.is_none() && !self.gone
    }
}

/// Both sides.
pub(crate) struct Oracle {
    parties: [Party; 2],
    keepalive: [u8; 8],
    /// No message is begun any more.
    pub(crate) draining: bool,
}

impl Oracle {
    pub(crate) fn new(settings: [Settings; 2], keepalive: [u8; 8]) -> Self {
        let [client, upstream] = settings;
        let parties = [
            Party::new(Side::Client, client, upstream),
            Party::new(Side::Upstream, upstream, client),
        ];
        Oracle { parties, keepalive, draining: false }
    }

    pub(crate) fn of(&self, side: Side) -> &Party {
        &self.parties[side as usize]
    }

    pub(crate) fn of_mut(&mut self, side: Side) -> &mut Party {
        &mut self.parties[side as usize]
    }

    /// Whether what comes from `from` goes nowhere.
    pub(crate) fn is_muted(&self, from: Side) -> bool {
        let to = self.of(from.other());
        to.close.is_some() || to.failed || to.left_out
    }

    /// Whether a frame of this type from `from` goes nowhere.
    fn is_void(&self, from: Side, opcode: u8) -> bool {
        let held = self.draining && !self.of(from.other()).open;
        self.is_muted(from) || (held && opcode < CLOSE)
    }

    /// The next frame from `from` that the hook is to be shown.
    pub(crate) fn next_shown(&mut self, from: Side) -> Option<Shown> {
        loop {
            let frame = self.of_mut(from).unseen.pop_front()?;
            if !self.is_void(from, frame.opcode) {
                return Some(frame);
            }
        }
    }

    /// Bytes came from `from`.
    pub(crate) fn came(&mut self, from: Side, bytes: &[u8]) {
        let keepalive = self.keepalive;
        let party = self.of_mut(from);
        if party.deaf {
            return;
        }
        party.sent.feed(bytes);
        while let Some(frame) = party.sent.frames.get(party.taken).cloned() {
            party.taken += 1;
            if frame.opcode == PONG && frame.payload == keepalive {
                continue;
            }
            party.unseen.extend(shown(frame, party.settings.aggregate, &mut party.joined));
        }
    }

    /// The engine has gone through all that came: without verdicts, or with nobody to send it to.
    pub(crate) fn settle(&mut self, from: Side) {
        while let Some(frame) = self.of_mut(from).unseen.pop_front() {
            let void = self.is_void(from, frame.opcode);
            let nowhere = void || self.of(from.other()).gone;
            assert!(nowhere || !self.of(from).settings.inspected, "not shown: {frame:?}");
            self.forward(from, &frame, &frame.payload, frame.code);
            self.note_close(from, &frame);
        }
        let party = self.of_mut(from);
        if let (Some((code, _)), false) = (party.sent.fault, party.deaf) {
            party.deaf = true;
            let other = if code == 1009 { 1001 } else { lost(from) };
            self.end(from, (Some(code), Vec::new()));
            self.end(from.other(), (Some(other), Vec::new()));
        }
    }

    /// `frame` from `from` was dealt with: if it was a close frame, nothing follows it.
    pub(crate) fn note_close(&mut self, from: Side, frame: &Shown) {
        if frame.opcode == CLOSE {
            let party = self.of_mut(from);
            (party.close_came, party.deaf) = (true, true);
            party.unseen.clear();
        }
    }

    /// `frame` is forwarded with what the hook left in it.
    pub(crate) fn forward(&mut self, from: Side, frame: &Shown, payload: &[u8], code: Option<u16>) {
        if self.is_void(from, frame.opcode) {
            return;
        }
        let check = self.of(from).settings.check_utf8;
        let to = self.of_mut(from.other());
        if frame.opcode == CLOSE {
            let close = (code, if code.is_some() { payload.to_vec() } else { Vec::new() });
            return self.end(from.other(), close);
        }
        let mut opcode = frame.opcode;
        if opcode < CLOSE {
            if frame.message == TEXT && check {
                let valid = to.text.take(payload) && (!frame.fin || to.text.may_end());
                if !valid {
                    return self.fail();
                }
            }
            opcode = if to.open { CONTINUATION } else { frame.message };
            to.open = !frame.fin;
        }
        to.expected.push_back((opcode, frame.fin, payload.to_vec()));
        if frame.fin && opcode < CLOSE {
            to.text = Text::default();
        }
    }

    /// `frame` is dropped.
    pub(crate) fn drop_frame(&mut self, from: Side, frame: &Shown) {
        let check = self.of(from).settings.check_utf8;
        let void = self.is_void(from, frame.opcode);
        let to = self.of_mut(from.other());
        if frame.opcode >= CLOSE || !frame.fin || !to.open || void {
            return;
        }
        to.open = false;
        let half = !std::mem::take(&mut to.text).may_end();
        if frame.message == TEXT && check && half {
            return self.fail();
        }
        to.expected.push_back((CONTINUATION, true, Vec::new()));
    }

    /// Whether the hook may put `payload` into `frame`, which has a close code now or none.
    pub(crate) fn may_set(&self, from: Side, frame: &Shown, coded: bool, payload: &[u8]) -> bool {
        match frame.opcode {
            CLOSE if !coded => payload.is_empty(),
            CLOSE => payload.len() <= 123 && std::str::from_utf8(payload).is_ok(),
            PING | PONG => payload.len() <= 125,
            _ if frame.message == TEXT && self.of(from).settings.check_utf8 => {
                let mut text = self.of(from.other()).text.clone();
                text.take(payload) && (!frame.fin || text.may_end())
            }
            _ => true,
        }
    }

    /// The host sends a frame; whether it need not wait.
    pub(crate) fn send(&mut self, to: Side, opcode: u8, payload: &[u8]) -> bool {
        let party = self.of_mut(to);
        if party.may_be_sent() && opcode < CLOSE && party.open {
            return false;
        }
        if party.may_be_sent() {
            party.expected.push_back((opcode, true, payload.to_vec()));
        }
        true
    }

    /// The proxy pings those for whom no bytes wait.
    pub(crate) fn ping(&mut self, waiting: [bool; 2]) {
        for (party, waiting) in self.parties.iter_mut().zip(waiting) {
            party.pings += usize::from(party.may_be_sent() && !waiting);
        }
    }

    /// The hook failed.
    pub(crate) fn fail(&mut self) {
        for side in Side::BOTH {
            self.end(side, (Some(1011), Vec::new()));
        }
    }

    /// `to` is to be sent a close frame, unless it was or is not there.
    pub(crate) fn end(&mut self, to: Side, close: Closed) {
        let party = self.of_mut(to);
        if party.may_be_sent() {
            party.close = Some(close);
        } else {
            party.left_out |= party.gone;
        }
    }

    /// The stream of `from` has ended.
    pub(crate) fn ended(&mut self, from: Side) {
        let party = self.of_mut(from);
        // Behind its close frame it may only have stopped sending: the answer is owed all the same.
        let is_owed = party.close_came && party.close.is_none();
        (party.deaf, party.gone) = (true, !is_owed);
        party.unseen.clear();
        if self.of(from.other()).may_be_sent() {
            self.end(from, (Some(lost(from)), Vec::new()));
            self.end(from.other(), (Some(lost(from)), Vec::new()));
        }
    }

    /// `bytes` have gone out to `to`.
    pub(crate) fn went(&mut self, to: Side, bytes: &[u8]) {
        let keepalive = self.keepalive;
        let party = self.of_mut(to);
        party.got.feed(bytes);
        assert_eq!(party.got.fault, None, "an illegal stream to the {to}");
        assert_eq!(party.got.after_close, 0, "bytes to the {to} after its close frame");
        while let Some(frame) = party.got.frames.get(party.compared) {
            party.compared += 1;
            if frame.opcode == CLOSE {
                assert_eq!(Some(read_close(&frame.payload)), party.close, "close to the {to}");
                assert!(party.expected.is_empty(), "{:?} missing before it", party.expected);
            } else if frame.opcode == PING && frame.payload == keepalive {
                assert!(party.pings > 0, "a ping to the {to} that nobody sent");
                party.pings -= 1;
            } else {
                let expected = party.expected.pop_front();
                let got = (frame.opcode, frame.fin, &frame.payload);
                let same = expected.as_ref().is_some_and(|(o, f, p)| (*o, *f, p) == got);
                assert!(same, "the {to} got {got:?} and should have got {expected:?}");
            }
        }
    }

    /// Nothing waits for `to`: it must have got everything, and no half frame.
    pub(crate) fn check_complete(&self, to: Side) {
        let party = self.of(to);
        if party.gone || party.failed {
            return;
        }
        assert!(party.expected.is_empty(), "the {to} did not get {:?}", party.expected);
        assert_eq!(party.got.closed, party.close.is_some(), "close to the {to}");
        assert_eq!(party.pings, 0, "pings missing to the {to}");
        assert!(party.got.is_between_frames(), "half a frame to the {to}");
    }

    /// Masks are fresh: not those that came, not one another's. (One chance meeting in 2^32 is forgiven.)
    pub(crate) fn check_masks(&self) {
        let masks = |frames: &[Seen]| -> Vec<[u8; 4]> {
            frames.iter().filter_map(|frame| frame.mask).collect()
        };
        let came = masks(&self.of(Side::Client).sent.frames);
        let mut went = masks(&self.of(Side::Upstream).got.frames);
        let repeated = went.iter().filter(|mask| came.contains(mask)).count();
        let count = went.len();
        went.sort_unstable();
        went.dedup();
        assert!(repeated <= 1, "{repeated} masks of the client's sent on");
        assert!(went.len() + 1 >= count && (count != 2 || went.len() == 2), "masks repeated");
    }
}

/// What the hook is to be shown when `frame` has come.
fn shown(frame: Seen, aggregate: bool, joined: &mut Vec<u8>) -> Option<Shown> {
    let Seen { opcode, message, fin, payload, .. } = frame;
    if opcode == CLOSE {
        let (code, reason) = read_close(&payload);
        return Some(Shown { opcode, message, fin, payload: reason, code });
    }
    if opcode > CLOSE || !aggregate {
        return Some(Shown { opcode, message, fin, payload, code: None });
    }
    joined.extend_from_slice(&payload);
    let whole = fin.then(|| std::mem::take(joined))?;
    Some(Shown { opcode: message, message, fin, payload: whole, code: None })
}

fn read_close(payload: &[u8]) -> Closed {
    match payload {
        [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason.to_vec()),
        _ => (None, Vec::new()),
    }
}

/// What the other side is told when `side` is lost.
pub(crate) fn lost(side: Side) -> u16 {
    if side == Side::Client {
        1001
    } else {
        1011
    }
}

/// What goes on the wire for a code that the host names.
pub(crate) fn on_wire(code: Option<u16>) -> Option<u16> {
    code.filter(|&code| code != 1005).map(|code| if is_legal_code(code) { code } else { 1011 })
}

/// The same for a whole close frame.
pub(crate) fn closed(code: u16, reason: &str) -> (Close, Closed) {
    let wire = on_wire(Some(code));
    let reason = if wire.is_some() { reason } else { "" };
    (Close::new(code, reason).unwrap(), (wire, reason.as_bytes().to_vec()))
}
