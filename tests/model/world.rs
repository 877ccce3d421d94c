//! One session: two peers, a hook and a host that do random things in random order, the engine, and the oracle.

use wsproxy::ws::close::Close;
use wsproxy::ws::ending::Cause;
use wsproxy::ws::engine::{Engine, Seeds};
use wsproxy::ws::frame::{Kind, PerSide, Side};
use wsproxy::ws::limits::Limits;
use wsproxy::ws::receive::Rules;
use wsproxy::ws::verdict::Verdict;

use crate::hook;
use crate::oracle::{closed, lost, Oracle};
use crate::peer::{Peer, Waiting};
use crate::plan::{Planner, Settings};
use crate::random::Random;
use crate::reference::{BINARY, PING, PONG, TEXT};

/// More rounds than any session needs once everybody does what is left to do.
const ROUNDS: usize = 20_000;

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) oracle: Oracle,
    pub(crate) random: Random,
    peers: [Peer; 2],
    keepalive: [u8; 8],
    ended_by_host: bool,
    quiet: bool,
    trace: bool,
}

pub(crate) fn rules(settings: &Settings) -> Rules {
    let limits = Limits {
        max_frame_size: settings.bounds.frame,
        max_message_size: settings.bounds.message,
        max_fragments: settings.bounds.fragments,
        explain: false,
    };
    Rules { aggregate: settings.aggregate, check_utf8: settings.check_utf8, limits }
}

impl World {
    pub(crate) fn new(mut random: Random, trace: bool) -> Self {
        let settings = [Settings::random(&mut random), Settings::random(&mut random)];
        let keepalive = random.array();
        let seeds = Seeds { masks: [random.array(), random.array()], keepalive };
        let both = PerSide { client: rules(&settings[0]), upstream: rules(&settings[1]) };
        let mut engine = Engine::new(both, &seeds);
        let mut peers = Vec::new();
        for side in Side::BOTH {
            let Settings { inspected, bounds, .. } = settings[side as usize];
            engine.directions.get_mut(side).set_inspected(inspected);
            let masked = side == Side::Client;
            let random = &mut random;
            let plan = Planner { random, masked, bounds, keepalive }.plan();
            peers.push(Peer::new(plan, random));
        }
        let Ok(peers) = peers.try_into() else { unreachable!() };
        let quiet = random.one_in(3);
        let oracle = Oracle::new(settings, keepalive);
        let world =
            World { engine, oracle, random, peers, keepalive, ended_by_host: false, quiet, trace };
        world.say(|| format!("{settings:?} keepalive {keepalive:?}"));
        world
    }

    pub(crate) fn say(&self, words: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("  {}", words());
        }
    }

    /// The whole session; panics where the promise is broken.
    pub(crate) fn run(mut self) {
        for _ in 0..self.random.below(600) {
            self.act();
            self.check();
            self.end_if_drained();
        }
        for _ in 0..ROUNDS {
            if self.engine.is_over() {
                return self.afterwards();
            }
            let acted = Side::BOTH.map(|side| self.go_on(side));
            self.check();
            self.end_if_drained();
            let waits = Side::BOTH.iter().any(|&side| self.engine.has_output(side));
            if acted == [false, false] && !waits && !self.engine.is_over() {
                let closing = Side::BOTH.map(|side| self.engine.outboxes.get(side).closing());
                let reads = Side::BOTH.map(|side| self.engine.wants_input(side));
                assert!(!self.ended_by_host, "stuck: {closing:?}, reads: {reads:?}");
                self.end(Cause::Idle("nothing came".into()), [Some((1001, "")); 2]);
            }
        }
        panic!("the session does not end");
    }

    fn act(&mut self) {
        let side = self.random.pick(&Side::BOTH);
        match self.random.below(200) {
            0..=49 => drop(self.read(side)),
            50..=99 => drop(self.write(side)),
            100..=139 => drop(self.poll(side)),
            140..=189 => self.consider(side),
            190..=195 => self.send(side),
            196 => self.ping(),
            197 if self.random.one_in(8) && !self.quiet => self.end_somehow(),
            198 if self.random.one_in(20) && !self.quiet => self.break_output(side),
            199 if self.random.one_in(8) => self.drain(),
            _ => {}
        }
    }

    /// What a driver would do next; whether there was anything.
    fn go_on(&mut self, side: Side) -> bool {
        let wrote = self.write(side);
        let polled = self.poll(side);
        let resolved = self.peer(side).waiting.is_some();
        if resolved {
            self.resolve(side);
        }
        let read = self.read(side);
        wrote || polled || resolved || read
    }

    fn peer(&mut self, side: Side) -> &mut Peer {
        &mut self.peers[side as usize]
    }

    fn read(&mut self, side: Side) -> bool {
        if !self.engine.wants_input(side) || self.oracle.of(side).gone {
            return false;
        }
        let room = self.engine.space(side);
        assert!(!room.is_empty());
        let peer = &mut self.peers[side as usize];
        let Some(next) = peer.plan.front() else { return self.finish(side) };
        let left = &next[peer.offset..];
        let count = left.len().min(room.len()).min(1 + self.random.below(peer.piece));
        let bytes = left[..count].to_vec();
        room[..count].copy_from_slice(&bytes);
        peer.offset += count;
        if peer.offset == next.len() {
            peer.plan.pop_front();
            peer.offset = 0;
        }
        self.say(|| format!("read {side} {bytes:02x?}"));
        self.engine.filled(side, count);
        self.oracle.came(side, &bytes);
        true
    }

    /// `side` has said what it wanted: it answers a close frame, waits, or leaves.
    fn finish(&mut self, side: Side) -> bool {
        if self.poll(side) {
            return true;
        }
        let told = self.oracle.of(side).got.closed;
        let party = self.oracle.of(side);
        let has_closed = party.sent.closed || self.peers[side as usize].answered;
        let leaves = self.peers[side as usize].leaves || party.failed;
        if told && !has_closed && party.sent.is_between_frames() && party.sent.fault.is_none() {
            self.answer(side);
            return true;
        }
        let lets_go = match side {
            Side::Client => self.engine.wants_fin(side) || (told && !has_closed),
            Side::Upstream => self.engine.wants_fin(side) || told,
        };
        if !leaves && !lets_go {
            return false;
        }
        self.say(|| format!("end of the {side}"));
        self.engine.input_ended(side, "it went away");
        self.oracle.ended(side);
        true
    }

    fn answer(&mut self, side: Side) {
        let World { random, peers, keepalive, oracle, .. } = self;
        let (masked, keepalive) = (side == Side::Client, *keepalive);
        let bounds = oracle.of(side).settings.bounds;
        let close = Planner { random, masked, bounds, keepalive }.close();
        peers[side as usize].plan.push_back(close);
        peers[side as usize].answered = true;
    }

    fn poll(&mut self, side: Side) -> bool {
        let waited = self.peer(side).waiting.is_some();
        let waits = self.engine.poll(side);
        if waited {
            assert!(waits, "a frame from the {side} waited and does not any more");
            return true;
        }
        if waits {
            assert!(!self.oracle.is_muted(side), "a frame is shown that cannot go anywhere");
            let shown = self.oracle.next_shown(side);
            let Some(shown) = shown else { panic!("a frame came from nowhere") };
            self.say(|| format!("frame from the {side}: {shown:?}"));
            let (payload, code) = (shown.payload.clone(), shown.code);
            self.peer(side).waiting = Some(Waiting { shown, payload, code, touched: false });
            return true;
        }
        self.oracle.settle(side);
        assert_eq!(self.engine.directions.get(side).is_deaf(), self.oracle.of(side).deaf);
        false
    }

    /// The hook looks at the frame from `side` that waits, or decides.
    fn consider(&mut self, side: Side) {
        if self.peer(side).waiting.is_none() {
            return;
        }
        if self.random.one_in(2) {
            return self.resolve(side);
        }
        let Some(mut waiting) = self.peer(side).waiting.take() else { return };
        hook::look(self, side, &mut waiting);
        self.peer(side).waiting = Some(waiting);
    }

    fn resolve(&mut self, side: Side) {
        let Some(waiting) = self.peer(side).waiting.take() else { return };
        let verdict = match self.random.below(if self.quiet { 30 } else { 40 }) {
            0..=23 => Verdict::Forward,
            24..=37 => Verdict::Drop,
            38 => Verdict::Failed("the hook failed".into()),
            _ => self.verdict_end(),
        };
        self.say(|| format!("verdict on the {side}'s: {verdict:?}"));
        let Waiting { shown, payload, code, .. } = waiting;
        match &verdict {
            Verdict::Forward => self.oracle.forward(side, &shown, &payload, code),
            Verdict::Drop => self.oracle.drop_frame(side, &shown),
            Verdict::Failed(_) => self.oracle.fail(),
            Verdict::End { client, upstream } => {
                for (to, close) in [(Side::Client, client), (Side::Upstream, upstream)] {
                    self.oracle.end(to, (close.code(), close.reason().into()));
                }
            }
        }
        self.oracle.note_close(side, &shown);
        self.engine.resolve(side, verdict);
    }

    fn verdict_end(&mut self) -> Verdict {
        let mut close = || -> Close {
            let code = self.random.pick(&[0, 1000, 1005, 1006, 1015, 3000, 65535]);
            let size = self.random.pick(&[0, 9, 123]);
            let reason = String::from_utf8(self.random.text(size)).unwrap();
            let (close, expected) = closed(code, &reason);
            assert_eq!((close.code(), close.reason().as_bytes()), (expected.0, &expected.1[..]));
            close
        };
        Verdict::End { client: close(), upstream: close() }
    }

    /// Some of what waits for `side` goes out.
    fn write(&mut self, side: Side) -> bool {
        let bytes = self.engine.output(side).concat();
        assert_eq!(self.engine.has_output(side), !bytes.is_empty());
        if bytes.is_empty() {
            return false;
        }
        if self.oracle.of(side).failed {
            self.engine.output_failed(side);
            return true;
        }
        let count = match self.random.below(3) {
            0 => bytes.len(),
            1 => 1 + self.random.below(bytes.len().min(20)),
            _ => 1 + self.random.below(bytes.len()),
        };
        self.say(|| format!("write {side} {:02x?}", &bytes[..count]));
        self.engine.wrote(side, count);
        self.oracle.went(side, &bytes[..count]);
        let peer = &mut self.peers[side as usize];
        let party = self.oracle.of(side);
        if party.got.closed && peer.answers_at_once && !peer.answered {
            peer.plan.truncate(usize::from(peer.offset > 0));
            if !party.sent.closed && peer.plan.is_empty() && party.sent.is_between_frames() {
                self.answer(side);
            }
        }
        true
    }

    /// The host sends a frame of its own.
    pub(crate) fn send(&mut self, to: Side) {
        let size = self.random.pick(&[0, 1, 20, 125, 126, 300]);
        let (kind, payload) = match self.random.below(4) {
            0 => (Kind::Text, self.random.text(size)),
            1 => (Kind::Binary, self.random.bytes(size)),
            2 => (Kind::Ping, self.random.bytes(size.min(125))),
            _ => (Kind::Pong, self.random.bytes(size.min(125))),
        };
        let opcode = [TEXT, BINARY, PING, PONG][match kind {
            Kind::Text => 0,
            Kind::Binary => 1,
            Kind::Ping => 2,
            _ => 3,
        }];
        self.say(|| format!("send {to} {kind} of {}", payload.len()));
        let taken = self.engine.send(to, kind, &payload);
        assert_eq!(taken, self.oracle.send(to, opcode, &payload), "data inside a message waits");
    }

    fn ping(&mut self) {
        self.say(|| "keepalive".into());
        assert_eq!(self.engine.keepalive(), self.keepalive);
        let waiting = Side::BOTH.map(|side| self.engine.has_output(side));
        self.engine.ping();
        self.oracle.ping(waiting);
    }

    fn end_somehow(&mut self) {
        let by = self.random.pick(&Side::BOTH);
        let code = self.random.pick(&[1000, 1001, 1006, 4000]);
        match self.random.below(4) {
            0 => self.end(Cause::Idle("idle".into()), [Some((1001, "")); 2]),
            1 => self.end(Cause::Stalled(by, "stalled".into()), [Some((lost(by), "")); 2]),
            2 => self.end(Cause::Unanswered(by, "silent".into()), [Some((lost(by), "")); 2]),
            _ => {
                let close = Close::new(code, "that is all").unwrap();
                self.end(Cause::Stopped(close), [Some((code, "that is all")); 2]);
            }
        }
    }

    fn end(&mut self, cause: Cause, closes: [Option<(u16, &str)>; 2]) {
        self.say(|| format!("end {cause:?}"));
        for (side, close) in Side::BOTH.into_iter().zip(closes) {
            let Some((code, reason)) = close else { continue };
            self.oracle.end(side, closed(code, reason).1);
        }
        self.engine.end(cause);
        self.ended_by_host = true;
    }

    fn drain(&mut self) {
        self.say(|| "drain".into());
        self.engine.drain();
        self.oracle.draining = true;
    }

    /// Ends between messages what drains; perhaps later than it could.
    fn end_if_drained(&mut self) {
        if !self.oracle.draining {
            return;
        }
        let closing = self.engine.is_closing();
        let rests = |side: Side| !self.oracle.of(side).open || self.oracle.is_muted(side.other());
        let drained = !closing && Side::BOTH.into_iter().all(rests);
        assert_eq!(self.engine.is_drained(), drained);
        if drained && self.random.one_in(3) {
            let close = Close::new(1001, "drained").unwrap();
            self.end(Cause::Stopped(close), [Some((1001, "drained")); 2]);
        }
    }

    fn break_output(&mut self, side: Side) {
        self.say(|| format!("the {side} takes no more"));
        self.engine.output_failed(side);
        self.oracle.of_mut(side).failed = true;
    }

    fn check(&self) {
        for side in Side::BOTH {
            let sent = self.engine.outboxes.get(side).close_sent();
            let expected = self.oracle.of(side).close.as_ref().map(|(code, _)| *code);
            assert_eq!(sent, expected, "the close frame for the {side}");
            if !self.engine.has_output(side) {
                self.oracle.check_complete(side);
            }
        }
    }

    /// Over is over, whatever is still asked for.
    fn afterwards(mut self) {
        self.check();
        for side in Side::BOTH {
            let party = self.oracle.of(side);
            assert!(party.close.is_some() || party.gone, "the {side} got no close frame");
            self.send(side);
            self.poll(side);
        }
        self.engine.end(Cause::Idle("late".into()));
        self.ping();
        self.check();
        assert!(self.engine.is_over());
        self.oracle.check_masks();
    }
}
