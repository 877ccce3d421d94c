//! Mended: no timeout loses bytes, and nobody who is silent holds a session for ever.

use std::thread;
use std::time::{Duration, Instant};

use super::conf::Conf;
use super::scene::{close, handler, Scene, ROLES};
use super::support::offence::PROMPT;
use super::support::peer::{Peer, BINARY, CONTINUATION, TEXT};

fn scene(options: &str) -> Scene {
    let mut conf = Conf::running(&handler(options, "nil"));
    conf.http = "lua_socket_log_errors off;".to_owned();
    Scene::with(conf)
}

/// One byte at a time, each later than the timeout.
fn trickle(from: &mut Peer, frame: &[u8]) {
    for byte in frame {
        from.send_bytes(&[*byte]);
        thread::sleep(Duration::from_millis(25));
    }
}

#[test]
fn a_frame_that_comes_byte_by_byte_slower_than_the_timeout_arrives() {
    for options in ["recv_timeout = 10", "recv_timeout = 10, aggregate_fragments = true"] {
        for client_talks in [true, false] {
            let scene = scene(options);
            let (mut client, mut upstream) = scene.meet();
            let (from, to) = match client_talks {
                true => (&mut client, &mut upstream),
                false => (&mut upstream, &mut client),
            };
            let frame = from.frame(true, TEXT, b"slow");
            trickle(from, &frame);
            to.expect(true, TEXT, b"slow");
            let long = from.frame(true, BINARY, &[7; 300]);
            trickle(from, &long[..10]);
            from.send_bytes(&long[10..]);
            to.expect(true, BINARY, &[7; 300]);
            close(&mut client, &mut upstream);
            drop((client, upstream));
            scene.ends_well();
        }
    }
}

#[test]
fn a_message_that_waits_for_its_parts_longer_than_the_timeout_is_joined() {
    let scene = scene("recv_timeout = 10, aggregate_fragments = true");
    let (mut client, mut upstream) = scene.meet();
    client.send(false, TEXT, b"one ");
    thread::sleep(Duration::from_millis(50));
    client.send(false, CONTINUATION, b"two ");
    thread::sleep(Duration::from_millis(50));
    client.send(true, CONTINUATION, b"three");
    upstream.expect(true, TEXT, b"one two three");
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
}

#[test]
fn a_session_in_which_nothing_crosses_is_ended() {
    for options in ["idle_timeout = 200", "idle_timeout = 200, recv_timeout = 20"] {
        let scene = scene(options);
        let (mut client, mut upstream) = scene.meet();
        let started = Instant::now();
        assert_eq!(client.hear_close().0, Some(1001));
        assert_eq!(upstream.hear_close().0, Some(1001));
        let took = started.elapsed();
        assert!(took > Duration::from_millis(150) && took < PROMPT, "{took:?}");
        drop((client, upstream));
        scene.nginx.report("execute");
    }
}

#[test]
fn a_peer_that_answers_no_close_is_waited_for_no_longer_than_the_close_timeout() {
    for role in ROLES {
        let scene = scene("close_timeout = 200");
        let (mut one, mut other) = scene.meet_from(role);
        one.send_close(1000, "");
        assert_eq!(other.hear_close().0, Some(1000));
        let started = Instant::now();
        scene.nginx.report("execute");
        while one.try_hear().is_some() {}
        while other.try_hear().is_some() {}
        assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    }
}

/// `ngx.now` is the time of day, which an administrator or NTP may set.
#[test]
fn a_step_of_the_time_of_day_neither_ends_a_session_nor_keeps_it() {
    let mut conf = Conf::running(&handler("idle_timeout = 400, close_timeout = 100", "nil"));
    conf.init = "local now, step = ngx.now, 0
        ngx.now = function() return now() + step end
        function step_clock(seconds) step = step + seconds end"
        .to_owned();
    conf.server = "location /forth { content_by_lua_block { step_clock(7200) } }
        location /back { content_by_lua_block { step_clock(-9000) } }"
        .to_owned();
    let scene = Scene::with(conf);
    for step in ["/forth", "/back"] {
        let (mut client, mut upstream) = scene.meet();
        assert_eq!(scene.nginx.get(step).0, 200);
        client.send_text("still here");
        upstream.expect(true, TEXT, b"still here");
        let (closed, took) = client.timed(Peer::hear_close);
        assert_eq!((closed.0, upstream.hear_close().0), (Some(1001), Some(1001)), "{step}");
        assert!((200..2000).contains(&took.as_millis()), "{step}: {took:?}");
    }
    scene.nginx.first_reports("execute", 2);
}

#[test]
fn times_that_no_cosocket_knows_are_for_ever() {
    for options in
        ["recv_timeout = 1e12, write_timeout = 1e12, connect_timeout = 1e12", "recv_timeout = 0"]
    {
        let scene = scene(options);
        let (mut client, mut upstream) = scene.meet();
        client.send_text("x");
        upstream.expect(true, TEXT, b"x");
        thread::sleep(Duration::from_millis(50));
        close(&mut client, &mut upstream);
        drop((client, upstream));
        scene.ends_well();
        let said = scene.nginx.said(&["info"]);
        assert!(!said.iter().any(|said| said.starts_with("timeout")), "{options}: {said:?}");
    }
}
