//! The hook: looks at a frame, and changes it or tries what is forbidden.

use wsproxy::ws::frame::{Kind, Side};

use crate::oracle::on_wire;
use crate::peer::Waiting;
use crate::reference::{CLOSE, TEXT};
use crate::world::World;

/// Checks what is shown and changes some of it.
pub(crate) fn look(world: &mut World, side: Side, waiting: &mut Waiting) {
    if world.random.one_in(6) {
        let to = world.random.pick(&Side::BOTH);
        world.send(to);
    }
    let changes = world.random.below(3);
    let candidates: Vec<Vec<u8>> = (0..changes).map(|_| payload(world, waiting)).collect();
    let World { engine, oracle, random, .. } = world;
    let Some(mut frame) = engine.frame(side) else { panic!("no frame from the {side}") };
    assert_eq!((frame.from(), frame.kind() as u8), (side, waiting.shown.opcode));
    assert_eq!(frame.fin(), waiting.shown.fin);
    if !waiting.touched {
        assert_eq!(frame.payload(), waiting.shown.payload);
        assert_eq!(frame.code(), waiting.shown.code);
    }
    let code = random.pick(&[None, Some(1000), Some(1005), Some(1006), Some(2000), Some(4999)]);
    let change_code = random.one_in(4);
    let mut words = Vec::new();
    for payload in &candidates {
        waiting.touched = true;
        let before = frame.payload().to_vec();
        let allowed = oracle.may_set(side, &waiting.shown, frame.code().is_some(), payload);
        let muted = oracle.is_muted(side) || oracle.of(side.other()).gone;
        let set = frame.set_payload(payload).is_ok();
        words.push(format!("set {payload:02x?}: {set}"));
        assert!(set == allowed || muted, "setting {payload:02x?} was to be {allowed}");
        assert_eq!(frame.payload(), if set { payload } else { &before });
    }
    if change_code {
        waiting.touched = true;
        assert_eq!(frame.set_code(code).is_ok(), frame.kind() == Kind::Close);
        if frame.kind() == Kind::Close {
            words.push(format!("set code {code:?}"));
            assert_eq!(frame.code(), on_wire(code));
        }
    }
    waiting.payload = frame.payload().to_vec();
    waiting.code = frame.code();
    world.say(|| format!("looked at the {side}'s frame: {words:?}"));
}

/// Something to put in its place.
fn payload(world: &mut World, waiting: &Waiting) -> Vec<u8> {
    let random = &mut world.random;
    let old = waiting.payload.len();
    let size = match random.below(8) {
        0 | 1 => old,
        2 => random.below(old + 1),
        3 => old + random.between(1, 30),
        4 => 0,
        5 => random.pick(&[122, 123, 124, 125, 126]),
        6 if random.one_in(40) => 70_000,
        _ => random.below(20),
    };
    let is_text = waiting.shown.message == TEXT || waiting.shown.opcode == CLOSE;
    if !is_text || random.one_in(8) {
        return random.bytes(size);
    }
    let mut text = random.text(size);
    if random.one_in(4) {
        text.truncate(random.below(text.len() + 1));
    }
    if random.one_in(8) {
        text.drain(..random.below(text.len() + 1));
    }
    text
}
