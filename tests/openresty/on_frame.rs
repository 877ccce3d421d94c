//! What `on_frame` is called with, and what its results do.

use super::scene::{close, session, Scene};
use super::support::peer::{Peer, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// The two ends, the one that `from` names first.
fn ordered<'a>(from: &str, client: &'a mut Peer, upstream: &'a mut Peer) -> [&'a mut Peer; 2] {
    match from {
        "client" => [client, upstream],
        _ => [upstream, client],
    }
}

#[test]
fn it_is_called_once_for_every_frame_with_all_that_it_has_to_know() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame = function(proxy, ...)
            report("called", type(proxy.execute), select('#', ...), ngx.get_phase())
            report("frame", ...)
            local _, _, payload, _, code = ...
            return payload, code
        end"#,
    );
    for from in ["client", "upstream"] {
        let [one, other] = ordered(from, &mut client, &mut upstream);
        for (fin, opcode, payload) in [
            (true, TEXT, &b"text"[..]),
            (true, BINARY, &[0, 255, 10]),
            (false, BINARY, b"first"),
            (true, PING, b"between"),
            (false, CONTINUATION, b""),
            (true, CONTINUATION, b"last"),
            (true, PONG, b""),
        ] {
            one.send(fin, opcode, payload);
            other.expect(fin, opcode, payload);
        }
        // So that the order of the reports is the order here.
        scene.nginx.first_reports("frame", if from == "client" { 7 } else { 14 });
    }
    client.send_close(4321, "so long");
    assert_eq!(upstream.hear_close(), (Some(4321), "so long".into()));
    upstream.send(true, CLOSE, b"");
    assert_eq!(client.hear_close(), (None, String::new()));
    let data = |from: &str| {
        [
            format!(r#""{from}" "text" "text" true nil"#),
            format!("\"{from}\" \"binary\" \"\\0\u{FFFD}\\n\" true nil"),
            format!(r#""{from}" "binary" "first" false nil"#),
            format!(r#""{from}" "ping" "between" true nil"#),
            format!(r#""{from}" "continuation" "" false nil"#),
            format!(r#""{from}" "continuation" "last" true nil"#),
            format!(r#""{from}" "pong" "" true nil"#),
        ]
    };
    let closes = [
        r#""client" "close" "so long" true 4321"#.to_owned(),
        r#""upstream" "close" "" true nil"#.to_owned(),
    ];
    assert_eq!(
        scene.nginx.reports("frame"),
        [&data("client")[..], &data("upstream"), &closes].concat()
    );
    assert_eq!(scene.nginx.reports("called"), [r#""function" 5 "content""#; 16]);
    scene.ends_well();
}

#[test]
fn its_first_argument_is_the_proxy() {
    let scene = Scene::running(
        r#"
            local proxy
            proxy = require("resty.websocket.proxy").new({
                on_frame = function(first, role, typ, payload, last, code)
                    report("same", rawequal(first, proxy))
                    return payload
                end,
            })
            assert(proxy:connect("@URL@"))
            report("execute", (proxy:execute()), nil)
        "#,
    );
    let (mut client, mut upstream) = scene.meet();
    client.send_text("x");
    upstream.expect(true, TEXT, b"x");
    close(&mut client, &mut upstream);
    scene.ends_well();
    assert_eq!(scene.nginx.reports("same"), ["true"; 3]);
}

#[test]
fn a_joined_message_is_one_call() {
    let (scene, mut client, mut upstream) = session(
        r#"aggregate_fragments = true, on_frame = function(_, role, typ, payload, last)
            report("frame", role, typ, payload, last)
            return payload
        end"#,
    );
    for from in ["client", "upstream"] {
        let [one, other] = ordered(from, &mut client, &mut upstream);
        one.send(false, TEXT, b"a");
        one.send(false, CONTINUATION, b"");
        one.send(false, CONTINUATION, b"b");
        one.send(true, CONTINUATION, b"c");
        other.expect(true, TEXT, b"abc");
    }
    let expected = ["client", "upstream"].map(|from| format!(r#""{from}" "text" "abc" true"#));
    assert_eq!(scene.nginx.reports("frame"), expected);
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn nil_drops_a_frame_of_any_type() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame = function(_, role, typ, payload)
            if payload ~= "drop" then return payload end
        end"#,
    );
    for from in ["client", "upstream"] {
        let [one, other] = ordered(from, &mut client, &mut upstream);
        for opcode in [TEXT, BINARY, PING, PONG] {
            one.send(true, opcode, b"drop");
            one.send(true, opcode, b"pass");
            other.expect(true, opcode, b"pass");
        }
    }
    close(&mut client, &mut upstream);
    scene.ends_well();
}

#[test]
fn nil_drops_a_close_and_the_session_goes_on() {
    // Whoever waits for an answer that was dropped waits for this long, where the option is known.
    let (scene, mut client, mut upstream) = session(
        r#"close_timeout = 300, on_frame = function(_, role, typ, payload, last, code)
            if role == "client" and typ == "close" then return nil, 1000 end
            return payload
        end"#,
    );
    client.send_close(1000, "heard by nobody");
    for words in ["still", "here"] {
        upstream.send_text(words);
        client.expect(true, TEXT, words.as_bytes());
    }
    upstream.send_close(4000, "enough");
    assert_eq!(client.hear_close(), (Some(4000), "enough".into()));
    drop((client, upstream));
    assert_eq!(scene.nginx.report("execute"), "true nil");
}

#[test]
fn a_string_replaces_the_payload_even_an_empty_one() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame = function(_, role, typ, payload)
            if payload == "empty" then return "" end
            return role .. "\0" .. typ .. "\255" .. payload:rep(2)
        end"#,
    );
    for from in ["client", "upstream"] {
        let [one, other] = ordered(from, &mut client, &mut upstream);
        for (opcode, typ) in [(BINARY, "binary"), (PING, "ping"), (PONG, "pong")] {
            one.send(true, opcode, b"xy");
            let replaced = [from.as_bytes(), b"\0", typ.as_bytes(), b"\xFFxyxy"].concat();
            other.expect(true, opcode, &replaced);
            one.send(true, opcode, b"empty");
            other.expect(true, opcode, b"");
        }
        one.send(true, TEXT, b"empty");
        other.expect(true, TEXT, b"");
    }
    upstream.send_close(1000, "empty");
    assert_eq!(client.hear_close(), (Some(1000), String::new()));
    client.send_close(1000, "empty");
    assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
    scene.ends_well();
}

/// What a close of the client's becomes, when the callback returns this.
fn closed_as(results: &str, payload: &[u8]) -> (Option<u16>, String) {
    let (scene, mut client, mut upstream) = session(&format!(
        "on_frame = function(_, role, typ, payload, last, code)
            if role == 'client' then return {results} end
            return payload
        end"
    ));
    client.send(true, CLOSE, payload);
    let close = upstream.hear_close();
    upstream.send_close(1000, "");
    assert_eq!(client.hear_close(), (Some(1000), String::new()));
    drop((client, upstream));
    scene.ends_well();
    close
}

#[test]
fn the_second_result_replaces_the_code_of_a_close() {
    let bye = &[&4000u16.to_be_bytes()[..], b"bye"].concat();
    assert_eq!(closed_as("payload, 4999", bye), (Some(4999), "bye".into()));
    assert_eq!(closed_as("'other', 1001", bye), (Some(1001), "other".into()));
    assert_eq!(closed_as("'other', code", bye), (Some(4000), "other".into()));
    assert_eq!(closed_as("'', 3000", bye), (Some(3000), String::new()));
    assert_eq!(closed_as("'since', 4001", b""), (Some(4001), "since".into()));
}

#[test]
fn without_a_second_result_a_close_keeps_its_code() {
    let bye = &[&4000u16.to_be_bytes()[..], b"bye"].concat();
    assert_eq!(closed_as("payload", bye), (Some(4000), "bye".into()));
    assert_eq!(closed_as("'why', nil", bye), (Some(4000), "why".into()));
    assert_eq!(closed_as("''", bye), (Some(4000), String::new()));
    assert_eq!(closed_as("payload", b""), (None, String::new()));
}

#[test]
fn a_second_result_is_ignored_on_other_types() {
    let (scene, mut client, mut upstream) = session(
        r#"on_frame = function(_, role, typ, payload, last, code)
            if typ == "close" then return payload end
            return payload, typ == "text" and 4000 or "nonsense"
        end"#,
    );
    for opcode in [TEXT, BINARY, PING, PONG] {
        client.send(true, opcode, b"x");
        upstream.expect(true, opcode, b"x");
    }
    close(&mut client, &mut upstream);
    scene.ends_well();
}

/// Waits until these words are in the error log, at level error.
fn is_logged(scene: &Scene, words: &str) {
    let heard = || scene.nginx.log().iter().any(|e| e.level == "error" && e.text.contains(words));
    super::support::wait_until(words, heard);
}

#[test]
fn a_result_that_is_no_string_is_an_error() {
    for wrong in ["1", "true", "false", "{}", "ngx.null"] {
        let (scene, mut client, _upstream) =
            session(&format!("on_frame = function() return {wrong} end"));
        client.send_text("x");
        is_logged(&scene, "opts.on_frame return value must be nil or a string");
        is_logged(&scene, "failed to wait for websocket proxy threads: ");
    }
}

#[test]
fn a_code_that_is_no_number_is_an_error() {
    for wrong in ["'1000'", "true", "false", "{}"] {
        let (scene, mut client, _upstream) =
            session(&format!("on_frame = function(_, _, _, payload) return payload, {wrong} end"));
        client.send_close(1000, "");
        is_logged(&scene, "opts.on_frame status code return value must be nil or a number");
    }
}

#[test]
fn an_error_in_it_is_logged() {
    let (scene, _client, mut upstream) =
        session("on_frame = function() error('what happened') end");
    upstream.send_text("x");
    is_logged(&scene, "what happened");
    is_logged(&scene, "failed to wait for websocket proxy threads: ");
}
