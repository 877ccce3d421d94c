//! How sessions end: what `execute` returns, and what is in the log.

use super::conf::Conf;
use super::scene::{close, handler, session, Scene, ROLES};
use super::support::peer::{Peer, CLOSE, PING};
use super::support::wait_until;

#[test]
fn closes_cross_with_code_and_reason_and_are_logged() {
    let scene = Scene::new("");
    let long = "r".repeat(123);
    let mut expected = Vec::new();
    for (code, reason) in [
        (1000, "bye"),
        (1001, ""),
        (1003, "größe"),
        (1011, long.as_str()),
        (3000, "x"),
        (4999, "y"),
    ] {
        for role in ROLES {
            let (mut one, mut other) = scene.meet_from(role);
            one.send_close(code, reason);
            assert_eq!(other.hear_close(), (Some(code), reason.to_owned()));
            other.send_close(1000, "answer");
            assert_eq!(one.hear_close(), (Some(1000), "answer".into()));
            drop((one, other));
            expected.push(format!("forwarding close with code: {code}, payload: {reason}"));
            expected.push("forwarding close with code: 1000, payload: answer".to_owned());
            let count = expected.len() / 2;
            assert_eq!(scene.nginx.first_reports("execute", count)[count - 1], "true nil");
        }
    }
    assert_eq!(scene.nginx.said(&["info", "warn", "error"]), expected);
    assert_eq!(scene.nginx.said(&["info"]), expected);
    scene.nginx.is_content();
}

#[test]
fn a_close_without_a_code_crosses_and_its_code_is_nil_in_the_log() {
    let (scene, mut client, mut upstream) = session("");
    upstream.send(true, CLOSE, b"");
    assert_eq!(client.hear_close(), (None, String::new()));
    client.send(true, CLOSE, b"");
    assert_eq!(upstream.hear_close(), (None, String::new()));
    scene.ends_well();
    let line = "forwarding close with code: nil, payload: ";
    assert_eq!(scene.nginx.said(&["info"]), [line, line]);
}

#[test]
fn what_the_callback_makes_of_a_close_is_logged() {
    let (scene, mut client, mut upstream) =
        session("on_frame = function(_, _, _, payload) return payload .. '!', 4001 end");
    client.send_close(1000, "a");
    assert_eq!(upstream.hear_close(), (Some(4001), "a!".into()));
    upstream.send_close(1000, "b");
    assert_eq!(client.hear_close(), (Some(4001), "b!".into()));
    scene.ends_well();
    let line = |payload: &str| format!("forwarding close with code: 4001, payload: {payload}");
    assert_eq!(scene.nginx.said(&["info"]), [line("a!"), line("b!")]);
}

#[test]
fn the_connections_are_closed_once_both_have_closed() {
    let (scene, mut client, mut upstream) = session("");
    close(&mut client, &mut upstream);
    upstream.shutdown();
    client.hear_end();
    upstream.hear_end();
    scene.ends_well();
}

/// Everything until the end; a close is answered.
fn drain(peer: &mut Peer) {
    while let Some(heard) = peer.try_hear() {
        if heard.opcode == CLOSE {
            let answer = peer.frame(true, CLOSE, &heard.payload);
            let _ = peer.try_send_bytes(&answer); // it may be closed already
        }
    }
}

#[test]
fn an_upstream_that_leaves_without_a_close_is_an_orderly_end() {
    let (scene, mut client, mut upstream) = session("");
    upstream.send_text("last");
    client.expect(true, 1, b"last");
    drop(upstream);
    drain(&mut client);
    scene.ends_well();
    assert_eq!(scene.nginx.said(&["warn", "error"]), [""; 0]);
}

#[test]
fn a_client_that_leaves_without_a_close_is_an_orderly_end() {
    let (scene, mut client, mut upstream) = session("");
    client.send_text("last");
    upstream.expect(true, 1, b"last");
    drop(client);
    drain(&mut upstream);
    drop(upstream);
    scene.ends_well();
    assert_eq!(scene.nginx.said(&["warn", "error"]), [""; 0]);
}

#[test]
fn what_was_on_its_way_before_an_end_arrives() {
    let (scene, mut client, mut upstream) = session("");
    let frames: Vec<u8> = (0..1000).flat_map(|_| upstream.frame(true, 2, &[7; 100])).collect();
    upstream.send_bytes(&frames);
    drop(upstream);
    for _ in 0..1000 {
        client.expect(true, 2, &[7; 100]);
    }
    drain(&mut client);
    scene.ends_well();
}

#[test]
fn a_peer_that_breaks_the_protocol_is_an_error_with_its_role() {
    for role in ROLES {
        let scene = Scene::new("");
        let (mut offender, other) = scene.meet_from(role);
        let mut frame = offender.frame(true, 1, b"x");
        frame[0] |= 0x40; // RSV1, which nobody negotiated
        offender.send_bytes(&frame);
        is_logged(&scene, &format!("failed receiving frame from {role}: "));
        drop((offender, other));
        let report = scene.nginx.report("execute");
        let words = report.strip_prefix("nil \"").and_then(|rest| rest.strip_suffix('"'));
        let words = words.unwrap_or_else(|| panic!("{report}")).to_owned();
        assert!(!words.is_empty());
        let line = format!("failed receiving frame from {role}: {words}");
        assert!(scene.nginx.said(&["error"]).contains(&line), "{line}");
    }
}

/// Waits until a line at level error begins like this.
fn is_logged(scene: &Scene, begin: &str) {
    wait_until(begin, || scene.nginx.said(&["error"]).iter().any(|s| s.starts_with(begin)));
}

#[test]
fn a_frame_that_cannot_be_forwarded_is_logged_with_its_role() {
    for role in ROLES {
        let scene = Scene::new("on_frame = function(_, _, _, payload) return payload:rep(126) end");
        let (mut from, _other) = scene.meet_from(role);
        from.send(true, PING, b"x"); // and no control frame has room for so much (RFC 6455 section 5.5)
        is_logged(&scene, &format!("failed forwarding a frame from {role}: "));
    }
}

#[test]
fn a_close_that_cannot_be_sent_is_logged_with_the_role_of_its_receiver() {
    for (from, to) in [("client", "upstream"), ("upstream", "client")] {
        let scene = Scene::new("on_frame = function(_, _, _, payload) return payload:rep(124) end");
        let (mut closing, _other) = scene.meet_from(from);
        closing.send_close(1000, "x");
        is_logged(&scene, &format!("failed sending close frame to {to}: "));
    }
}

#[test]
fn a_handler_goes_on_after_the_end() {
    let mut conf = Conf::running(&(handler("", "nil") + "report('after', ngx.get_phase())"));
    conf.log_level = "notice";
    let scene = Scene::with(conf);
    for _ in 0..3 {
        let (mut client, mut upstream) = scene.meet();
        close(&mut client, &mut upstream);
        drop(upstream);
        client.hear_end();
    }
    assert_eq!(scene.nginx.first_reports("after", 3), ["\"content\""; 3]);
    scene.ends_well();
}
