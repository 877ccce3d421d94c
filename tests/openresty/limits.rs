//! The limits of frames and of joined messages.

use std::net::Shutdown;

use super::scene::{close, Scene, ROLES};
use super::support::peer::{Peer, BINARY, CONTINUATION, PING, PONG, TEXT};

/// A session with these options for one role: that one's end, and the other.
fn limited(role: &str, options: &str) -> (Scene, Peer, Peer) {
    let scene = Scene::new(&options.replace("ROLE", role));
    let (one, other) = scene.meet_from(role);
    (scene, one, other)
}

/// The session ends because the role has gone beyond a limit.
fn is_over(scene: &Scene, role: &str, what: &str, mut offender: Peer, mut other: Peer) {
    assert_eq!(offender.hear_close(), (Some(1009), "Payload Too Large".into()));
    assert_eq!(other.hear_close(), (Some(1001), String::new()));
    for peer in [&offender, &other] {
        let _ = peer.stream.shutdown(Shutdown::Write); // it may be closed already
    }
    for peer in [&mut offender, &mut other] {
        assert_eq!(peer.try_hear(), None, "nothing comes after the close");
    }
    scene.ends_well();
    assert_eq!(
        scene.nginx.said(&["info"]),
        [format!("{role} frame {what} exceeds limit, closing")]
    );
}

fn ends(role: &str, mut one: Peer, mut other: Peer, scene: &Scene) {
    match role {
        "client" => close(&mut one, &mut other),
        _ => close(&mut other, &mut one),
    }
    scene.ends_well();
}

#[test]
fn a_frame_of_exactly_the_limit_passes_and_a_larger_one_ends_the_session() {
    for role in ROLES {
        let (scene, mut one, mut other) = limited(role, "ROLE_max_frame_size = 10");
        for _ in 0..3 {
            one.send(true, TEXT, b"0123456789");
            other.expect(true, TEXT, b"0123456789");
        }
        one.send(true, TEXT, b"0123456789a");
        is_over(&scene, role, "size (11)", one, other);
    }
}

#[test]
fn a_limit_of_one_role_is_not_the_others() {
    for role in ROLES {
        let (scene, mut one, mut other) =
            limited(role, "ROLE_max_frame_size = 1, ROLE_max_fragments = 1");
        other.send(true, TEXT, b"longer");
        one.expect(true, TEXT, b"longer");
        other.send(false, TEXT, b"longer");
        other.send(true, CONTINUATION, b"longer");
        one.expect(false, TEXT, b"longer");
        one.expect(true, CONTINUATION, b"longer");
        one.send(true, BINARY, b"");
        other.expect(true, BINARY, b"");
        ends(role, one, other, &scene);
    }
}

#[test]
fn without_aggregation_the_size_is_each_frames() {
    for role in ROLES {
        let (scene, mut one, mut other) = limited(role, "ROLE_max_frame_size = 10");
        for (fin, opcode) in [(false, TEXT), (false, CONTINUATION), (true, CONTINUATION)] {
            one.send(fin, opcode, b"12345678");
            other.expect(fin, opcode, b"12345678");
        }
        one.send(false, BINARY, b"x");
        other.expect(false, BINARY, b"x");
        one.send(true, CONTINUATION, &[b'x'; 12]);
        is_over(&scene, role, "size (12)", one, other);
    }
}

#[test]
fn with_aggregation_the_sum_counts_at_each_part() {
    let options = "ROLE_max_frame_size = 10, aggregate_fragments = true";
    for role in ROLES {
        let (scene, mut one, mut other) = limited(role, options);
        for _ in 0..3 {
            one.send(false, TEXT, b"12345");
            one.send(false, CONTINUATION, b"67890");
            one.send(true, CONTINUATION, b"");
            other.expect(true, TEXT, b"1234567890");
        }
        one.send(false, TEXT, b"12345");
        one.send(false, CONTINUATION, b"67890");
        one.send(false, CONTINUATION, b"x"); // the end of the message never comes
        is_over(&scene, role, "size (11)", one, other);
    }
}

#[test]
fn with_aggregation_an_unfragmented_message_counts_too() {
    let options = "ROLE_max_frame_size = 10, aggregate_fragments = true";
    for role in ROLES {
        let (scene, mut one, mut other) = limited(role, options);
        one.send(true, TEXT, b"1234567890");
        other.expect(true, TEXT, b"1234567890");
        one.send(true, BINARY, &[0; 20]);
        is_over(&scene, role, "size (20)", one, other);
    }
}

#[test]
fn with_aggregation_fragments_are_counted_at_each_part() {
    let options = "ROLE_max_fragments = 3, aggregate_fragments = true";
    for role in ROLES {
        let (scene, mut one, mut other) = limited(role, options);
        for _ in 0..3 {
            one.send(false, TEXT, b"a");
            one.send(false, CONTINUATION, b"");
            one.send(true, CONTINUATION, b"b");
            other.expect(true, TEXT, b"ab");
            one.send(true, BINARY, b"");
            other.expect(true, BINARY, b"");
        }
        one.send(false, TEXT, b"a");
        for _ in 0..2 {
            one.send(false, CONTINUATION, b"");
        }
        one.send(false, CONTINUATION, b"");
        is_over(&scene, role, "count (4)", one, other);
    }
}

#[test]
fn control_frames_are_exempt() {
    for options in ["", ", aggregate_fragments = true"] {
        for role in ROLES {
            let limits = format!("ROLE_max_frame_size = 2, ROLE_max_fragments = 2{options}");
            let (scene, mut one, mut other) = limited(role, &limits);
            for opcode in [PING, PONG] {
                one.send(true, opcode, &[b'x'; 125]);
                other.expect(true, opcode, &[b'x'; 125]);
            }
            one.send(false, TEXT, b"a");
            for opcode in [PING, PONG, PING] {
                one.send(true, opcode, b"between");
            }
            one.send(true, CONTINUATION, b"b");
            let mut heard = Vec::new();
            while heard.last() != Some(&b'b') {
                let frame = other.hear();
                match frame.opcode {
                    PING | PONG => assert_eq!(frame.payload, b"between"),
                    _ => heard.extend(frame.payload),
                }
            }
            assert_eq!(heard, b"ab");
            one.send_close(1000, "a reason beyond the limit");
            assert_eq!(other.hear_close(), (Some(1000), "a reason beyond the limit".into()));
            drop((one, other));
            scene.ends_well();
        }
    }
}

#[test]
fn the_callback_sees_nothing_of_a_frame_beyond_the_limit() {
    for role in ROLES {
        let (scene, mut one, mut other) = limited(
            role,
            r#"ROLE_max_frame_size = 3, on_frame = function(_, role, typ, payload)
                report("seen", role, typ, payload)
                return payload
            end"#,
        );
        one.send(true, TEXT, b"123");
        other.expect(true, TEXT, b"123");
        one.send(true, TEXT, b"1234");
        let nginx = &scene.nginx;
        assert_eq!(one.hear_close(), (Some(1009), "Payload Too Large".into()));
        assert_eq!(other.hear_close(), (Some(1001), String::new()));
        assert_eq!(nginx.reports("seen"), [format!(r#""{role}" "text" "123""#)]);
        drop((one, other));
        scene.ends_well();
    }
}
