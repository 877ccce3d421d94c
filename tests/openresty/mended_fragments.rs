//! Mended: fragments are counted in both modes, and only legal messages pass whatever the callback drops.

use super::scene::{close, session, Scene, ROLES};
use super::support::offence::PROMPT;
use super::support::peer::{Peer, BINARY, CONTINUATION, PING, TEXT};

const MODES: [&str; 2] = ["", "aggregate_fragments = true,"];

#[test]
fn fragments_are_counted_without_aggregation_too() {
    for role in ROLES {
        let scene = Scene::new(&format!("{role}_max_fragments = 3"));
        let (mut one, mut other) = scene.meet_from(role);
        for _ in 0..2 {
            for (fin, opcode) in [(false, TEXT), (false, CONTINUATION), (true, CONTINUATION)] {
                one.send(fin, opcode, b"x");
                other.expect(fin, opcode, b"x");
            }
        }
        for opcode in [TEXT, CONTINUATION, CONTINUATION] {
            one.send(false, opcode, b"");
            other.expect(false, opcode, b"");
        }
        one.send(false, CONTINUATION, b"");
        assert_eq!(one.hear_close(), (Some(1009), "Payload Too Large".into()));
        assert_eq!(other.hear_close(), (Some(1001), String::new()));
        drop((one, other));
        scene.ends_well();
        let line = format!("{role} frame count (4) exceeds limit, closing");
        assert_eq!(scene.nginx.said(&["info"]), [line]);
    }
}

/// These frames, of which the last is illegal, get their sender closed with 1002.
fn is_illegal(mode: &str, frames: &[(bool, u8)], passing: usize) {
    for role in ROLES {
        let scene = Scene::new(mode);
        let (mut one, mut other) = scene.meet_from(role);
        for (fin, opcode) in frames {
            one.send(*fin, *opcode, b"x");
        }
        for (fin, opcode) in &frames[..passing] {
            other.expect(*fin, *opcode, b"x");
        }
        let (closed, took) = one.timed(Peer::hear_close);
        assert_eq!(closed.0, Some(1002), "{mode} {role} {frames:?}");
        assert!(took < PROMPT, "{took:?}");
        let told = if role == "client" { 1001 } else { 1011 };
        assert_eq!(other.hear_close().0, Some(told), "{mode} {role} {frames:?}");
        other.send_close(told, "");
        one.hear_end();
        drop((one, other));
        let report = scene.nginx.report("execute");
        assert!(report.starts_with("nil \""), "{report}");
    }
}

#[test]
fn a_message_inside_a_message_is_refused() {
    for (mode, passing) in [(MODES[0], 1), (MODES[1], 0)] {
        is_illegal(mode, &[(false, TEXT), (true, TEXT)], passing);
        is_illegal(mode, &[(false, TEXT), (false, BINARY)], passing);
    }
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    for mode in MODES {
        is_illegal(mode, &[(true, CONTINUATION)], 0);
        is_illegal(mode, &[(false, CONTINUATION)], 0);
        is_illegal(mode, &[(true, TEXT), (true, CONTINUATION)], 1);
    }
}

/// Drops what says so.
const DROPS: &str = "on_frame = function(_, _, _, payload)
    if payload ~= 'drop' then return payload end
end";

/// What the other side hears of these frames.
fn becomes(frames: &[(bool, u8, &str)], expected: &[(bool, u8, &str)]) {
    let (scene, mut client, mut upstream) = session(DROPS);
    for client_talks in [true, false] {
        let (from, to) = match client_talks {
            true => (&mut client, &mut upstream),
            false => (&mut upstream, &mut client),
        };
        for (fin, opcode, payload) in frames {
            from.send(*fin, *opcode, payload.as_bytes());
        }
        from.send(true, TEXT, b"the next message");
        for (fin, opcode, payload) in expected {
            to.expect(*fin, *opcode, payload.as_bytes());
        }
        to.expect(true, TEXT, b"the next message");
    }
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
}

#[test]
fn a_dropped_first_fragment_leaves_its_type_to_the_next() {
    becomes(
        &[(false, BINARY, "drop"), (false, CONTINUATION, "a"), (true, CONTINUATION, "b")],
        &[(false, BINARY, "a"), (true, CONTINUATION, "b")],
    );
    becomes(
        &[
            (false, TEXT, "drop"),
            (true, PING, "p"),
            (false, CONTINUATION, "drop"),
            (true, CONTINUATION, "b"),
        ],
        &[(true, PING, "p"), (true, TEXT, "b")],
    );
}

#[test]
fn a_dropped_last_fragment_leaves_an_end() {
    becomes(
        &[(false, TEXT, "a"), (true, CONTINUATION, "drop")],
        &[(false, TEXT, "a"), (true, CONTINUATION, "")],
    );
}

#[test]
fn a_message_of_which_everything_is_dropped_is_none() {
    becomes(
        &[(false, TEXT, "drop"), (false, CONTINUATION, "drop"), (true, CONTINUATION, "drop")],
        &[],
    );
    becomes(
        &[(false, TEXT, "a"), (false, CONTINUATION, "drop"), (true, CONTINUATION, "b")],
        &[(false, TEXT, "a"), (true, CONTINUATION, "b")],
    );
}
