//! Mended: whoever breaks the protocol is told by a close code, at once, and so is the other side.

use super::scene::Scene;
use super::support::offence::{legal, long_header, MASK, PROMPT};
use super::support::peer::{frame, Peer, BINARY, CLOSE, PING, TEXT};
use wsproxy::Side;

const SIDES: [Side; 2] = [Side::Client, Side::Upstream];

fn role(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Upstream => "upstream",
    }
}

/// These bytes get their sender closed with `code`; with a callback and without, in both modes.
fn is_closed(side: Side, bytes: &[u8], code: u16) {
    for options in ["", "on_frame = function(_, _, _, p) return p end, aggregate_fragments = true"]
    {
        let context = format!("{side:?} {options} {bytes:02x?}");
        let scene = Scene::new(options);
        let (mut one, mut other) = scene.meet_from(role(side));
        one.send_bytes(bytes);
        let (closed, took) = one.timed(Peer::hear_close);
        assert_eq!(closed.0, Some(code), "{context:.200}");
        assert!(took < PROMPT, "{context:.200}: {took:?}");
        if side == Side::Upstream {
            let ((), took) = one.timed(Peer::hear_end);
            assert!(took < PROMPT, "{context:.200}: {took:?}");
        }
        let told = if side == Side::Client { 1001 } else { 1011 };
        let (closed, took) = other.timed(Peer::hear_close);
        assert_eq!(closed.0, Some(told), "{context:.200}");
        assert!(took < PROMPT, "{context:.200}: {took:?}");
        other.send_close(told, "");
        // nginx closes the connection of a client at the end of its request alone.
        let ((), took) = one.timed(Peer::hear_end);
        assert!(took < PROMPT, "{context:.200}: {took:?}");
        drop((one, other));
        let report = scene.nginx.report("execute");
        assert!(report.starts_with("nil \""), "{context:.200}: {report}");
        let line = format!("failed receiving frame from {}: ", role(side));
        let said = scene.nginx.said(&["error"]);
        assert!(said.iter().any(|said| said.starts_with(&line)), "{context:.200}: {said:?}");
    }
}

fn both_are_closed(bytes: impl Fn(Side) -> Vec<u8>, code: u16) {
    for side in SIDES {
        is_closed(side, &bytes(side), code);
    }
}

/// A legal frame with another first byte.
fn first(side: Side, byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = legal(side, true, TEXT, payload);
    frame[0] = byte;
    frame
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for byte in [0xC1, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F] {
        both_are_closed(|side| first(side, byte, b"x"), 1002);
    }
}

#[test]
fn wrong_control_frames_are_refused() {
    for byte in [0x08, 0x09, 0x0A] {
        both_are_closed(|side| first(side, byte, b""), 1002); // fragments
    }
    both_are_closed(|side| legal(side, true, PING, &[0; 126]), 1002);
    both_are_closed(|side| legal(side, true, CLOSE, &[3]), 1002);
}

#[test]
fn an_unmasked_frame_from_the_client_is_refused() {
    is_closed(Side::Client, &frame(true, TEXT, b"x", None), 1002);
}

#[test]
fn a_masked_frame_from_the_upstream_is_refused() {
    is_closed(Side::Upstream, &frame(true, TEXT, b"x", Some(MASK)), 1002);
}

#[test]
fn lengths_that_are_not_minimal_or_have_64_bits_are_refused() {
    both_are_closed(|side| long_header(side, BINARY, 5), 1002);
    both_are_closed(|side| long_header(side, BINARY, 1 << 63), 1002);
    both_are_closed(
        |side| {
            let bit = if side == Side::Client { 0x80 } else { 0 };
            vec![0x82, bit | 126, 0, 125]
        },
        1002,
    );
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    both_are_closed(|side| legal(side, true, TEXT, b"\xC3\x28"), 1007);
    both_are_closed(|side| legal(side, true, TEXT, b"\xED\xA0\x80"), 1007);
    both_are_closed(|side| legal(side, true, TEXT, b"cut \xE2\x82"), 1007);
    let reason = [&1000u16.to_be_bytes()[..], b"\xFF"].concat();
    both_are_closed(|side| legal(side, true, CLOSE, &reason), 1007);
}

#[test]
fn a_character_may_be_cut_between_fragments() {
    for side in SIDES {
        let scene = Scene::new("");
        let (mut one, mut other) = scene.meet_from(role(side));
        one.send(false, TEXT, b"\xE2\x82");
        other.expect(false, TEXT, b"\xE2\x82");
        one.send(true, 0, b"\xAC");
        other.expect(true, 0, b"\xAC");
        one.send(true, BINARY, b"\xFF\xFE");
        other.expect(true, BINARY, b"\xFF\xFE");
        drop((one, other));
        assert_eq!(scene.nginx.report("execute"), "true nil");
    }
}

#[test]
fn close_codes_that_must_not_be_on_the_wire_are_refused() {
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 0x8000, 65_535] {
        both_are_closed(|side| legal(side, true, CLOSE, &code.to_be_bytes()), 1002);
    }
}

#[test]
fn every_legal_close_code_crosses() {
    let scene = Scene::new("");
    let codes = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]);
    for code in codes {
        for side in SIDES {
            let (mut one, mut other) = scene.meet_from(role(side));
            one.send_close(code, "why");
            assert_eq!(other.hear_close(), (Some(code), "why".into()));
            other.send_close(code, "");
            assert_eq!(one.hear_close(), (Some(code), String::new()));
        }
    }
    scene.nginx.first_reports("execute", 32);
    assert_eq!(scene.nginx.reports("execute"), ["true nil"; 32]);
    scene.nginx.is_content();
}

#[test]
fn codes_of_the_callback_that_must_not_be_on_the_wire_are_never_sent() {
    for code in
        ["0", "999", "1004", "1005", "1006", "1015", "2999", "5000", "40000", "65536", "-1", "1e10"]
    {
        for side in SIDES {
            let scene = Scene::new(&format!(
                "on_frame = function(_, role, _, payload)
                    if role == '{}' then return payload, {code} end
                    return payload
                end",
                role(side)
            ));
            let (mut one, mut other) = scene.meet_from(role(side));
            one.send_close(1000, "");
            let (closed, took) = other.timed(Peer::hear_close);
            assert!([None, Some(1011)].contains(&closed.0), "{side:?} {code}: {closed:?}");
            assert!(took < PROMPT, "{took:?}");
            // An orderly end all the same: the other side answers.
            let _ = other.try_send_bytes(&other.frame(true, CLOSE, &[3, 232]));
            let (_, took) = one.timed(Peer::hear_close);
            assert!(took < PROMPT, "{took:?}");
            drop((one, other));
            scene.nginx.report("execute");
        }
    }
}

#[test]
fn an_upstream_in_the_midst_of_sending_reads_why_it_is_let_go() {
    let scene = Scene::new("upstream_max_frame_size = 1000");
    let (mut client, mut upstream) = scene.meet();
    let frame = upstream.frame(true, BINARY, &[7; 4 << 20]);
    let mut sender = upstream.twin();
    let sending = std::thread::spawn(move || sender.try_send_bytes(&frame));
    assert_eq!(client.hear_close().0, Some(1001));
    assert!(sending.join().unwrap().is_ok(), "reset while it was sending");
    assert_eq!(upstream.hear_close().0, Some(1009));
    upstream.hear_end();
    drop((client, upstream));
    scene.nginx.report("execute");
}
