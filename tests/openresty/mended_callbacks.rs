//! Mended: a callback that fails ends its session for both sides, and `execute` says why.

use super::conf::Conf;
use super::scene::{close, handler, session, Scene, ROLES};
use super::support::offence::PROMPT;
use super::support::peer::{Peer, CLOSE, TEXT};

/// A frame of `role`'s meets this callback: both are closed with 1011, and `execute` returns nil and these words.
fn fails(role: &str, opcode: u8, callback: &str, words: &str) {
    let scene = Scene::new(&format!("on_frame = {callback}"));
    let (mut one, mut other) = scene.meet_from(role);
    one.send(true, opcode, b"");
    for peer in [&mut one, &mut other] {
        let (closed, took) = peer.timed(Peer::hear_close);
        assert_eq!(closed.0, Some(1011), "{role} {callback}: {closed:?}");
        assert!(took < PROMPT, "{role} {callback}: {took:?}");
    }
    drop((one, other));
    let report = scene.nginx.report("execute");
    assert!(report.starts_with("nil \"") && report.contains(words), "{role} {callback}: {report}");
    let said = scene.nginx.said(&["error"]);
    let line = "failed to wait for websocket proxy threads: ";
    assert!(said.iter().any(|said| said.starts_with(line) && said.contains(words)), "{said:?}");
    // The worker goes on.
    assert_eq!(scene.nginx.get("/ready").0, 204);
}

#[test]
fn a_callback_that_throws_ends_both_sides_with_1011() {
    for role in ROLES {
        fails(role, TEXT, "function() error('what happened') end", "what happened");
        fails(role, TEXT, "function() local x = nil; return x.y end", "index local 'x'");
        fails(role, CLOSE, "function() error('in a close', 0) end", "in a close");
        fails(role, TEXT, "function() ngx.sleep(0.01) error('after a sleep') end", "after a sleep");
    }
}

#[test]
fn a_callback_that_throws_what_is_no_string_ends_both_sides_with_1011() {
    let without_words = "setmetatable({}, { __tostring = function() error('none') end })";
    for value in ["nil", "{}", "7", "true", without_words] {
        fails("client", TEXT, &format!("function() error({value}) end"), "");
    }
}

#[test]
fn a_wrong_result_ends_both_sides_with_1011() {
    for role in ROLES {
        let words = "opts.on_frame return value must be nil or a string";
        for wrong in ["1", "true", "false", "{}"] {
            fails(role, TEXT, &format!("function() return {wrong} end"), words);
        }
        let words = "opts.on_frame status code return value must be nil or a number";
        fails(role, CLOSE, "function() return '', 'x' end", words);
    }
}

#[test]
fn what_came_before_the_failure_is_forwarded() {
    let (scene, mut client, mut upstream) = session(
        "on_frame = function(_, _, _, payload)
            if payload == 'bad' then error('bad') end
            return payload
        end",
    );
    let frames =
        ["good", "good", "bad", "good"].map(|words| client.frame(true, TEXT, words.as_bytes()));
    client.send_bytes(&frames.concat());
    upstream.expect(true, TEXT, b"good");
    upstream.expect(true, TEXT, b"good");
    assert_eq!(upstream.hear_close().0, Some(1011));
    assert_eq!(client.hear_close().0, Some(1011));
    drop((client, upstream));
    scene.nginx.report("execute");
}

#[test]
fn a_failure_of_one_session_is_none_of_anothers() {
    let scene = Scene::new(
        "on_frame = function(_, _, _, payload)
            if payload == 'bad' then error('bad') end
            return payload
        end",
    );
    let (mut another, mut anothers) = scene.meet();
    for _ in 0..20 {
        let (mut client, upstream) = scene.meet();
        client.send_text("bad");
        assert_eq!(client.hear_close().0, Some(1011));
        drop((client, upstream));
        another.send_text("good");
        anothers.expect(true, TEXT, b"good");
    }
    close(&mut another, &mut anothers);
    drop((another, anothers));
    assert_eq!(scene.nginx.first_reports("execute", 21)[20], "true nil");
}

#[test]
fn a_callback_of_version_0_0_1_is_called_without_the_proxy() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame_without_proxy = true, on_frame = function(...)
            report("frame", select('#', ...), ...)
            local origin, typ, payload, last, code = ...
            return payload, code
        end"#,
    );
    client.send_text("x");
    upstream.expect(true, TEXT, b"x");
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
    let expected = [
        r#"5 "client" "text" "x" true nil"#,
        r#"5 "client" "close" "" true 1000"#,
        r#"5 "upstream" "close" "" true 1000"#,
    ];
    assert_eq!(scene.nginx.reports("frame"), expected);
}

#[test]
fn an_option_that_the_library_refuses_makes_no_proxy() {
    let scene = Scene::new("idle_timeout = -1");
    assert_eq!(scene.nginx.get("/").0, 500);
    let report = scene.nginx.report("new");
    assert!(report.starts_with("nil \"failed to create client: idle_timeout "), "{report}");
}

#[test]
fn a_failure_in_words_that_are_not_utf8_is_a_failure_and_the_callback_is_asked_once() {
    let scene = Scene::new(
        r#"on_frame = (function()
            local count = 0
            return function()
                count = count + 1
                report("asked", count)
                error("no \255 words", 0)
            end
        end)()"#,
    );
    let (mut client, mut upstream) = scene.meet();
    client.send_text("x");
    for peer in [&mut client, &mut upstream] {
        let (closed, took) = peer.timed(Peer::hear_close);
        assert!(closed.0 == Some(1011) && took < PROMPT, "{closed:?} {took:?}");
    }
    drop((client, upstream));
    assert!(scene.nginx.report("execute").starts_with("nil \"no "));
    assert_eq!(scene.nginx.reports("asked"), ["1"]);
}

/// A thread that waits for a subrequest cannot be killed.
#[test]
fn a_callback_whose_subrequest_outlives_the_session_touches_no_other() {
    let mut conf = Conf::running(&handler(
        r#"close_timeout = 100, on_frame = function(_, role, typ, payload)
            if payload == "slow" then
                ngx.location.capture("/slow")
                report("captured")
            end
            return payload
        end"#,
        "nil",
    ));
    conf.server =
        "location /slow { content_by_lua_block { ngx.sleep(0.5) ngx.say('slow') } }".into();
    let scene = Scene::with(conf);
    let (mut client, upstream) = scene.meet();
    let (mut another, mut anothers) = scene.meet();
    client.send_text("slow");
    drop(upstream);
    scene.nginx.report("execute");
    assert!(scene.nginx.reports("captured").is_empty());
    another.send_text(&"another's".repeat(100));
    anothers.expect(true, TEXT, "another's".repeat(100).as_bytes());
    scene.nginx.report("captured");
    assert_eq!(client.hear_close().0, Some(1011));
    assert!(client.try_hear().is_none(), "nothing follows");
    close(&mut another, &mut anothers);
    scene.nginx.first_reports("execute", 2);
}
