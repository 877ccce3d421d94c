//! Mended: nothing follows a close, connections end once both sides have closed, and nobody is left without a word.

use super::scene::{close, session, Scene, ROLES};
use super::support::offence::PROMPT;
use super::support::peer::{Peer, PING, TEXT};

#[test]
fn the_clients_connection_is_closed_at_once_when_both_have_closed() {
    for first in ROLES {
        let scene = Scene::new("");
        let (mut one, mut other) = scene.meet_from(first);
        one.send_close(1000, "");
        assert_eq!(other.hear_close(), (Some(1000), String::new()));
        other.send_close(1000, "");
        assert_eq!(one.hear_close(), (Some(1000), String::new()));
        // Neither end closes its connection by itself, and the server of each is to be the first (RFC 6455 7.1.1).
        let (client, upstream) =
            if first == "client" { (&mut one, &other) } else { (&mut other, &one) };
        let ((), took) = client.timed(Peer::hear_end);
        assert!(took < PROMPT, "{took:?}");
        upstream.shutdown();
        scene.ends_well();
    }
}

#[test]
fn nothing_that_follows_a_close_is_forwarded_or_shown() {
    for first in ROLES {
        let scene = Scene::new(
            "on_frame = function(_, _, typ, payload) report('seen', typ) return payload end",
        );
        let (mut one, mut other) = scene.meet_from(first);
        let mut bytes = one.frame(true, 8, &[3, 232]);
        bytes.extend(one.frame(true, TEXT, b"after"));
        bytes.extend(one.frame(true, PING, b"after"));
        bytes.extend(one.frame(true, 8, &[3, 232]));
        one.send_bytes(&bytes);
        assert_eq!(other.hear_close(), (Some(1000), String::new()));
        // The other side may still speak, until it closes too.
        other.send_text("still");
        one.expect(true, TEXT, b"still");
        other.send_close(1001, "");
        assert_eq!(one.hear_close(), (Some(1001), String::new()));
        for peer in [&one, &other] {
            let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        }
        one.hear_end();
        other.hear_end();
        scene.ends_well();
        assert_eq!(scene.nginx.reports("seen"), [r#""close""#, r#""text""#, r#""close""#]);
    }
}

/// Leaves without a close, orderly or as a crashed host does.
fn leaves(peer: Peer, with_a_reset: bool) {
    match with_a_reset {
        true => peer.reset(),
        false => drop(peer),
    }
}

#[test]
fn when_the_upstream_is_gone_the_client_is_told_at_once() {
    for with_a_reset in [false, true] {
        let (scene, mut client, upstream) = session("");
        leaves(upstream, with_a_reset);
        let (closed, took) = client.timed(Peer::hear_close);
        assert_eq!(closed.0, Some(1011), "{with_a_reset}");
        assert!(took < PROMPT, "{took:?}");
        client.send_close(1011, "");
        let ((), took) = client.timed(Peer::hear_end);
        assert!(took < PROMPT, "{took:?}");
        let report = scene.nginx.report("execute");
        assert!(with_a_reset || report == "true nil", "{report}");
    }
}

#[test]
fn when_the_client_is_gone_the_upstream_is_told_at_once() {
    for with_a_reset in [false, true] {
        let (scene, client, mut upstream) = session("");
        leaves(client, with_a_reset);
        let (closed, took) = upstream.timed(Peer::hear_close);
        assert_eq!(closed.0, Some(1001), "{with_a_reset}");
        assert!(took < PROMPT, "{took:?}");
        drop(upstream);
        let report = scene.nginx.report("execute");
        assert!(with_a_reset || report == "true nil", "{report}");
    }
}

#[test]
fn an_upstream_that_dies_in_the_middle_of_a_frame_leaves_no_half_of_it() {
    let (scene, mut client, mut upstream) = session("");
    let frame = upstream.frame(true, TEXT, b"whole");
    upstream.send_bytes(&frame);
    upstream.send_bytes(&frame[..4]);
    drop(upstream);
    client.expect(true, TEXT, b"whole");
    assert_eq!(client.hear_close().0, Some(1011));
    client.send_close(1011, "");
    client.hear_end();
    scene.nginx.report("execute");
}

#[test]
fn a_worker_is_as_it_was_after_all_of_that() {
    let scene = Scene::new("");
    for _ in 0..5 {
        let (client, upstream) = scene.meet();
        client.reset();
        drop(upstream);
        let (client, upstream) = scene.meet();
        upstream.reset();
        drop(client);
    }
    scene.nginx.first_reports("execute", 10);
    let (mut client, mut upstream) = scene.meet();
    client.send_text("x");
    upstream.expect(true, TEXT, b"x");
    close(&mut client, &mut upstream);
    drop((client, upstream));
    assert_eq!(scene.nginx.first_reports("execute", 11)[10], "true nil");
}
