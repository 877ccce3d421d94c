//! However the input is cut, the output is the same: the same bytes, the same verdicts and the same counts, whole, byte
//! by byte and at random places; and frames that are only looked at, now and then, go on as if they were not.

use wsproxy::ws::close::Close;
use wsproxy::ws::engine::{Engine, Seeds};
use wsproxy::ws::frame::{Kind, PerSide, Side};
use wsproxy::ws::stats::Stats;
use wsproxy::ws::verdict::Verdict;

use crate::plan::{Planner, Settings};
use crate::random::Random;
use crate::reference::Reference;
use crate::world::rules;

#[derive(Clone, Copy, Debug)]
enum Cut {
    /// As bytes that came with the handshake.
    Whole,
    Bytes,
    Anywhere,
    /// Anywhere, and between two pieces it may change whether frames are looked at.
    Glances,
}

/// Opcode, fin and payload.
type Frames = Vec<(u8, bool, Vec<u8>)>;

struct Script {
    from: Side,
    settings: Settings,
    stream: Vec<u8>,
    seed: u64,
}

/// One stream, fed several times.
pub(crate) fn check(mut random: Random, trace: bool) {
    let from = random.pick(&Side::BOTH);
    let settings = Settings::random(&mut random);
    let (masked, bounds, keepalive) = (from == Side::Client, settings.bounds, random.array());
    let plan = Planner { random: &mut random, masked, bounds, keepalive }.plan();
    let stream = Vec::from(plan).concat();
    if stream.len() > 20_000 {
        return;
    }
    let script = Script { from, settings, stream, seed: random.next() };
    let whole = script.run(Cut::Whole, keepalive);
    for cut in [Cut::Bytes, Cut::Anywhere, Cut::Glances] {
        if matches!(cut, Cut::Glances) && settings.inspected {
            continue; // what is looked at may be changed
        }
        let other = script.run(cut, keepalive);
        if trace && other != whole {
            eprintln!("{from} sent {:02x?}\n{settings:?}\nwhole {whole:?}", script.stream);
        }
        assert_eq!(other, whole, "cut {cut:?}");
    }
}

impl Script {
    /// What leaves for the client and for the upstream, and what was counted.
    fn run(&self, cut: Cut, keepalive: [u8; 8]) -> ([Frames; 2], Stats) {
        let rules = rules(&self.settings);
        let both = PerSide { client: rules, upstream: rules };
        let mut engine = Engine::new(both, &Seeds { masks: [[1; 32], [2; 32]], keepalive });
        engine.directions.get_mut(self.from).set_inspected(self.settings.inspected);
        let mut got = Side::BOTH.map(|side| Reference::new(side == Side::Upstream, false, None));
        let mut random = Random::new(self.seed ^ cut as u64);
        let (mut rest, mut shown, mut glances) = (&self.stream[..], 0, Vec::new());
        if let Cut::Whole = cut {
            engine.directions.get_mut(self.from).inbox().append(rest);
            rest = &[];
        }
        loop {
            while engine.poll(self.from) {
                match self.settings.inspected {
                    true => self.judge(&mut engine, shown),
                    false => glances.extend(self.glance(&mut engine)),
                }
                shown += 1;
                if random.one_in(2) {
                    flush(&mut engine, &mut got, &mut random);
                }
            }
            flush(&mut engine, &mut got, &mut random);
            let wants = engine.wants_input(self.from);
            if rest.is_empty() || !wants {
                break;
            }
            if let Cut::Glances = cut {
                engine.directions.get_mut(self.from).set_inspected(random.one_in(2));
            }
            let room = engine.space(self.from);
            let most = if let Cut::Bytes = cut { 1 } else { 1 + random.below(400) };
            let (now, later) = rest.split_at(most.min(room.len()).min(rest.len()));
            room[..now.len()].copy_from_slice(now);
            engine.filled(self.from, now.len());
            rest = later;
        }
        engine.input_ended(self.from, "it ended");
        flush(&mut engine, &mut got, &mut random);
        let mut sent = got[self.from.other() as usize].frames.iter().map(|frame| &frame.payload);
        assert!(glances.iter().all(|glance| sent.any(|sent| sent == glance)), "seen and not sent");
        let frames = got.map(|got| {
            assert!(got.fault.is_none() && got.is_between_frames(), "{:?}", got.fault);
            got.frames.into_iter().map(|frame| (frame.opcode, frame.fin, frame.payload)).collect()
        });
        (frames, engine.stats())
    }

    /// Lets a frame go on; what it said, but for a close frame.
    fn glance(&self, engine: &mut Engine) -> Option<Vec<u8>> {
        let frame = engine.frame(self.from).unwrap();
        let said = (frame.kind() != Kind::Close).then(|| frame.payload().to_vec());
        engine.resolve(self.from, Verdict::Forward);
        said
    }

    /// The hook's answer to frame number `shown`, always the same.
    fn judge(&self, engine: &mut Engine, shown: u64) {
        let mut random = Random::of_case(self.seed, shown);
        let mut frame = engine.frame(self.from).unwrap();
        if random.one_in(3) {
            let size = random.pick(&[0, 3, 125, 126, frame.payload().len()]);
            let text = random.text(size);
            let _refused = frame.set_payload(&text);
        }
        if random.one_in(3) && frame.kind() == Kind::Close {
            frame.set_code(Some(4000)).unwrap();
        }
        let verdict = match random.below(24) {
            0 => Verdict::End { client: Close::none(), upstream: Close::none() },
            1 => Verdict::Failed("failed".into()),
            2..=7 => Verdict::Drop,
            _ => Verdict::Forward,
        };
        engine.resolve(self.from, verdict);
    }
}

/// Writes everything, in random pieces.
fn flush(engine: &mut Engine, got: &mut [Reference; 2], random: &mut Random) {
    for side in Side::BOTH {
        while engine.has_output(side) {
            let bytes = engine.output(side).concat();
            let count = 1 + random.below(bytes.len());
            engine.wrote(side, count);
            got[side as usize].feed(&bytes[..count]);
        }
    }
}
