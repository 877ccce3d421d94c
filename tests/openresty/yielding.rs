//! `on_frame` may wait: meanwhile only its own direction does.

use super::scene::{close, session, Scene};
use super::support::peer::{BINARY, CLOSE, PING, TEXT};

/// Holds the client's frames until the upstream sends "go".
const GATE: &str = r#"on_frame = (function()
    local held, gone = 0, false
    return function(_, role, typ, payload)
        if role == "client" then
            held = held + 1
            report("held", held, payload)
            while not gone do
                ngx.sleep(0.001)
            end
            held = held - 1
        elseif payload == "go" then
            gone = true
        end
        return payload
    end
end)()"#;

#[test]
fn a_callback_that_sleeps_holds_its_own_direction_alone() {
    let (scene, mut client, mut upstream) = session(GATE);
    client.send_text("first");
    client.send_text("second");
    scene.nginx.report("held");
    for number in 0..50 {
        let words = format!("on the other way {number}");
        upstream.send_text(&words);
        client.expect(true, TEXT, words.as_bytes());
    }
    upstream.hear_nothing_for(std::time::Duration::from_millis(50));
    assert_eq!(scene.nginx.reports("held"), [r#"1 "first""#], "the second waits for the first");
    upstream.send_text("go");
    client.expect(true, TEXT, b"go");
    upstream.expect(true, TEXT, b"first");
    upstream.expect(true, TEXT, b"second");
    assert_eq!(scene.nginx.reports("held"), [r#"1 "first""#, r#"1 "second""#]);
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn others_are_served_while_a_callback_sleeps() {
    let (scene, mut client, mut upstream) = session(GATE);
    client.send_text("x");
    scene.nginx.report("held");
    assert_eq!(scene.nginx.get("/ready").0, 204);
    let (mut another, mut anothers) = scene.meet();
    anothers.send_text("go");
    another.expect(true, TEXT, b"go");
    another.send_text("y");
    anothers.expect(true, TEXT, b"y");
    upstream.send_text("go");
    client.expect(true, TEXT, b"go");
    upstream.expect(true, TEXT, b"x");
    close(&mut client, &mut upstream);
    close(&mut another, &mut anothers);
    assert_eq!(scene.nginx.first_reports("execute", 2), ["true nil"; 2]);
    scene.nginx.is_content();
}

#[test]
fn a_callback_may_use_cosockets_subrequests_and_threads() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame = function(_, role, typ, payload)
            if typ == "close" then return payload end
            if payload == "thread" then
                local thread = ngx.thread.spawn(function() ngx.sleep(0.001) return "from a thread" end)
                local _, words = ngx.thread.wait(thread)
                return words
            end
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", @PORT@))
            assert(sock:send("GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
            local status = assert(sock:receive())
            sock:close()
            return role .. ": " .. status
        end"#,
    );
    client.send_text("x");
    upstream.expect(true, TEXT, b"client: HTTP/1.1 204 No Content");
    upstream.send_text("x");
    client.expect(true, TEXT, b"upstream: HTTP/1.1 204 No Content");
    client.send_text("thread");
    upstream.expect(true, TEXT, b"from a thread");
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn each_frame_is_shown_once_and_in_order_whoever_sleeps() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame = (function()
            local expected = { client = 0, upstream = 0 }
            return function(_, role, typ, payload)
                if typ == "binary" then
                    expected[role] = expected[role] + 1
                    if tonumber(payload) ~= expected[role] then report("out of order", role, payload) end
                    if expected[role] % 7 == 0 then ngx.sleep(0.001) end
                    if expected[role] % 31 == 0 then ngx.sleep(0) end
                end
                return payload
            end
        end)()"#,
    );
    let all = 1..=300;
    for peer in [&mut client, &mut upstream] {
        let frames =
            all.clone().map(|number| peer.frame(true, BINARY, number.to_string().as_bytes()));
        let frames = frames.collect::<Vec<_>>().concat();
        peer.send_bytes(&frames);
    }
    for peer in [&mut upstream, &mut client] {
        for number in all.clone() {
            peer.expect(true, BINARY, number.to_string().as_bytes());
        }
    }
    close(&mut client, &mut upstream);
    scene.ends_well();
    assert_eq!(scene.nginx.reports("out of order"), [""; 0]);
}

#[test]
fn what_arrives_while_a_callback_sleeps_is_kept() {
    let (scene, mut client, mut upstream) = session(GATE);
    client.send_text("held");
    scene.nginx.report("held");
    let frames: Vec<u8> = (0..100).flat_map(|_| client.frame(true, PING, b"kept")).collect();
    client.send_bytes(&frames);
    client.send_close(1000, "and this");
    upstream.send_text("go");
    client.expect(true, TEXT, b"go");
    upstream.expect(true, TEXT, b"held");
    for _ in 0..100 {
        upstream.expect(true, PING, b"kept");
    }
    assert_eq!(upstream.hear_close(), (Some(1000), "and this".into()));
    upstream.send_close(1000, "");
    assert_eq!(client.hear_close(), (Some(1000), String::new()));
    scene.ends_well();
}

#[test]
fn a_client_that_leaves_while_the_callback_sleeps_ends_the_session() {
    let scene = Scene::new(GATE);
    let (mut client, mut upstream) = scene.meet();
    client.send_text("x");
    scene.nginx.report("held");
    drop(client);
    upstream.send_text("go");
    // Whether the frame still comes depends on what nginx sees first; the end comes.
    while upstream.try_hear().is_some_and(|heard| heard.opcode != CLOSE) {}
    drop(upstream);
    scene.nginx.report("execute");
}
