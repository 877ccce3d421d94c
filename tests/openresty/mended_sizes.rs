//! Mended: frames over 65,535 bytes pass, limits are checked on the header, and what a callback returns is sent or
//! refused.

use super::scene::{both_ways, side, Scene, HOOKS, ROLES};
use super::support::offence::{legal, long_header, PROMPT};
use super::support::peer::{Peer, BINARY, CLOSE, CONTINUATION, PING, TEXT};

/// Sends in another thread, as neither end holds so much.
fn sends(from: &Peer, frames: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut from = from.twin();
    std::thread::spawn(move || from.send_bytes(&frames))
}

#[test]
fn frames_over_65535_bytes_pass() {
    for hook in HOOKS {
        both_ways(hook, |from, to| {
            for len in [65_536, 65_537, 100_000, 1 << 20, 8 << 20] {
                let payload: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
                let sent = sends(from, from.frame(true, BINARY, &payload));
                to.expect(true, BINARY, &payload);
                sent.join().unwrap();
            }
        });
    }
}

#[test]
fn joined_messages_over_65535_bytes_pass() {
    both_ways("aggregate_fragments = true", |from, to| {
        let mut frames = from.frame(false, BINARY, &[1; 60_000]);
        for _ in 0..50 {
            frames.extend(from.frame(false, CONTINUATION, &[1; 60_000]));
        }
        frames.extend(from.frame(true, CONTINUATION, b""));
        let sent = sends(from, frames);
        to.expect(true, BINARY, &vec![1; 51 * 60_000]);
        sent.join().unwrap();
    });
}

#[test]
fn a_limit_over_65535_is_exact_and_checked_on_the_header() {
    for role in ROLES {
        let scene = Scene::new(&format!("{role}_max_frame_size = 100000"));
        let (mut one, mut other) = scene.meet_from(role);
        let sent = sends(&one, legal(side(role), true, BINARY, &[0; 100_000]));
        other.expect(true, BINARY, &[0; 100_000]);
        sent.join().unwrap();
        one.send_bytes(&long_header(side(role), BINARY, 100_001)); // and not a byte of it
        let (heard, took) = one.timed(Peer::hear_close);
        assert_eq!(heard, (Some(1009), "Payload Too Large".into()));
        assert!(took < PROMPT, "{took:?}");
        assert_eq!(other.hear_close(), (Some(1001), String::new()));
        drop((one, other));
        scene.ends_well();
        let line = format!("{role} frame size (100001) exceeds limit, closing");
        assert_eq!(scene.nginx.said(&["info"]), [line]);
    }
}

#[test]
fn a_joined_message_is_checked_on_the_header_of_each_part() {
    for role in ROLES {
        let options = format!("{role}_max_frame_size = 100, aggregate_fragments = true");
        let scene = Scene::new(&options);
        let (mut one, mut other) = scene.meet_from(role);
        one.send(false, TEXT, &[b'x'; 60]);
        let part = one.frame(false, CONTINUATION, &[b'x'; 41]);
        let header = if role == "client" { 6 } else { 2 };
        one.send_bytes(&part[..header]);
        assert_eq!(one.hear_close(), (Some(1009), "Payload Too Large".into()));
        assert_eq!(other.hear_close(), (Some(1001), String::new()));
        drop((one, other));
        scene.ends_well();
        let line = format!("{role} frame size (101) exceeds limit, closing");
        assert_eq!(scene.nginx.said(&["info"]), [line]);
    }
}

#[test]
fn without_limits_of_the_callers_a_monstrous_length_is_refused_at_once() {
    for role in ROLES {
        let scene = Scene::new("");
        let (mut one, mut other) = scene.meet_from(role);
        one.send_bytes(&long_header(side(role), BINARY, 1 << 40));
        let (heard, took) = one.timed(Peer::hear_close);
        assert_eq!(heard.0, Some(1009));
        assert!(took < PROMPT, "{took:?}");
        assert_eq!(other.hear_close().0, Some(1001));
        drop((one, other));
        assert_eq!(scene.nginx.report("execute"), "true nil");
    }
}

#[test]
fn a_result_of_the_callback_over_65535_bytes_is_sent() {
    let hook = "on_frame = function(_, _, typ, payload)
        if typ == 'close' then return payload end
        return ('x'):rep(tonumber(payload))
    end";
    both_ways(hook, |from, to| {
        for len in [65_535, 65_536, 1 << 20] {
            from.send_text(&len.to_string());
            to.expect(true, TEXT, &vec![b'x'; len]);
        }
    });
}

#[test]
fn a_control_payload_that_no_frame_can_carry_is_never_sent_and_hangs_nothing() {
    for role in ROLES {
        let scene =
            Scene::new("on_frame = function(_, _, typ, payload) return payload:rep(126) end");
        let (mut one, mut other) = scene.meet_from(role);
        one.send(true, PING, b"x");
        one.send(true, CLOSE, b"");
        // Whether the session went on or was closed because of it.
        let closed = other.hear_close();
        assert!([None, Some(1011)].contains(&closed.0), "{closed:?}");
        let _ = other.try_send_bytes(&other.frame(true, CLOSE, b""));
        while one.try_hear().is_some_and(|heard| heard.opcode != CLOSE) {}
        drop((one, other));
        scene.nginx.report("execute");
    }
}

#[test]
fn a_close_reason_that_no_frame_can_carry_is_never_sent_and_hangs_nothing() {
    for role in ROLES {
        let scene = Scene::new("on_frame = function(_, _, _, payload) return payload:rep(124) end");
        let (mut one, mut other) = scene.meet_from(role);
        one.send_close(1000, "x");
        let (closed, took) = other.timed(Peer::hear_close);
        assert!(closed.1.len() <= 123 && took < PROMPT, "{closed:?} {took:?}");
        drop((one, other));
        scene.nginx.report("execute");
    }
}
