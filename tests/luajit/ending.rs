//! How sessions end, and what `execute` returns then: closes, `close`, `drain`, `abort`, limits, peers that go.

use super::scene::{hook, Scene};
use super::support::peer::{BINARY, CONTINUATION, TEXT};

#[test]
fn close_codes_and_reasons_cross_both_ways() {
    for (code, reason) in [(1000, "bye"), (1001, ""), (3000, "three"), (4999, "last")] {
        let mut scene = Scene::hooked("return payload, code");
        scene.upstream.send_close(code, reason);
        assert_eq!(scene.client.hear_close(), (Some(code), reason.to_owned()));
        scene.client.send_close(code, "");
        assert_eq!(scene.upstream.hear_close(), (Some(code), String::new()));
        scene.client.hear_end();
        drop(scene.upstream); // which ends the connection first (RFC 6455 section 7.1.1)
        scene.script.says("execute\ttrue");
        scene.script.has_to_end();
    }
}

#[test]
fn a_close_code_that_nobody_may_send_is_mapped() {
    for (code, on_the_wire) in [("1006", Some(1011)), ("1015", Some(1011)), ("1005", None)] {
        let mut scene = Scene::hooked(&format!("return payload, {code}"));
        scene.client.send_close(1000, "");
        assert_eq!(scene.upstream.hear_close().0, on_the_wire);
    }
}

#[test]
fn the_hook_may_close_with_codes_for_each_side_and_its_frame_is_not_sent_on() {
    let mut scene = Scene::hooked(
        "if typ == 'text' then
            report('close', proxy:close(4001, 'for you', 4002, 'for them'))
            return 'never sent'
        end
        return payload, code",
    );
    scene.client.send_text("end it");
    assert_eq!(scene.client.hear_close(), (Some(4001), "for you".into()));
    assert_eq!(scene.upstream.hear_close(), (Some(4002), "for them".into()));
    scene.client.send_close(4001, "");
    scene.upstream.send_close(4002, "");
    drop((scene.client, scene.upstream));
    scene.script.says("close\ttrue");
    scene.script.says("execute\ttrue");
    scene.script.has_to_end();
}

#[test]
fn a_close_without_codes_is_1000_for_both_sides() {
    let mut scene = Scene::hooked("proxy:close()");
    scene.upstream.send(true, BINARY, b"x");
    assert_eq!(scene.upstream.hear_close(), (Some(1000), String::new()));
    assert_eq!(scene.client.hear_close(), (Some(1000), String::new()));
}

#[test]
fn a_close_that_cannot_be_sent_is_refused_and_the_session_goes_on() {
    let mut scene = Scene::hooked(
        "report('long', proxy:close(1000, ('x'):rep(124)))
        report('code', proxy:close(70000))
        report('text', proxy:close(1000, '\\255'))
        report('theirs', proxy:close(1000, '', 1000, ('x'):rep(124)))
        return payload, code",
    );
    scene.client.send_text("still");
    scene.upstream.expect(true, TEXT, b"still");
    for kind in ["long", "code", "text", "theirs"] {
        let report = scene.script.report(kind);
        assert_eq!((report[0].as_str(), report[2].as_str()), ("nil", "-1"), "{kind}: {report:?}");
    }
}

#[test]
fn a_session_closed_before_it_runs_ends_as_soon_as_it_does() {
    let mut scene = Scene::running(
        "session(nil, function(proxy)
            report('own', proxy:close(1000, '', 4000, ''))
            report('close', proxy:close(1013, 'later'))
        end)",
    );
    assert_eq!(scene.client.hear_close(), (Some(1013), "later".into()));
    assert_eq!(scene.upstream.hear_close(), (Some(1013), "later".into()));
    scene.client.send_close(1013, "");
    scene.upstream.send_close(1013, "");
    drop((scene.client, scene.upstream));
    let report = scene.script.report("own");
    assert_eq!(report[0], "nil");
    assert!(report[1].contains("only inside on_frame"), "{report:?}");
    scene.script.says("close\ttrue");
    scene.script.says("execute\ttrue");
}

#[test]
fn a_drain_waits_for_the_end_of_the_message() {
    let mut scene =
        Scene::hooked("if payload == 'one' then proxy:drain() end return payload, code");
    scene.client.send(false, TEXT, b"one");
    scene.upstream.expect(false, TEXT, b"one");
    scene.client.send(true, CONTINUATION, b"two");
    scene.upstream.expect(true, CONTINUATION, b"two");
    assert_eq!(scene.upstream.hear_close(), (Some(1001), String::new()));
    assert_eq!(scene.client.hear_close(), (Some(1001), String::new()));
    scene.client.send_close(1001, "");
    scene.upstream.send_close(1001, "");
    drop((scene.client, scene.upstream));
    scene.script.says("execute\ttrue");
}

#[test]
fn an_abort_waits_for_nobody() {
    let mut scene = Scene::hooked("proxy:abort()");
    scene.client.send_text("x");
    assert_eq!(scene.client.hear_close().0, Some(1001));
    scene.client.hear_end();
    scene.script.report("execute");
    scene.script.has_to_end();
}

#[test]
fn a_frame_over_the_limit_ends_the_session_with_1009() {
    let opts = "{ client_max_frame_size = 5, on_frame = function(_, _, _, payload, _, code) return payload, code end }";
    let mut scene = Scene::with(opts);
    scene.client.send_text("12345");
    scene.upstream.expect(true, TEXT, b"12345");
    scene.client.send_text("123456");
    assert_eq!(scene.client.hear_close().0, Some(1009));
    assert_eq!(scene.upstream.hear_close().0, Some(1001));
    drop((scene.client, scene.upstream));
    let report = scene.script.report("execute");
    assert_eq!((report[0].as_str(), report[2].as_str()), ("nil", "-8"));
    assert!(report[1].starts_with("client: "), "{report:?}");
}

#[test]
fn a_peer_that_goes_without_a_close_is_an_error_that_names_it() {
    let mut scene = Scene::hooked("return payload, code");
    drop(scene.upstream);
    assert_eq!(scene.client.hear_close().0, Some(1011));
    drop(scene.client);
    let report = scene.script.report("execute");
    assert_eq!((report[0].as_str(), report[2].as_str()), ("nil", "-9"));
    assert!(report[1].starts_with("upstream: "), "{report:?}");
}

#[test]
fn a_peer_that_breaks_the_protocol_is_an_error_that_names_it() {
    let mut scene = Scene::hooked("return payload, code");
    scene.client.send(true, CONTINUATION, b"of nothing");
    assert_eq!(scene.client.hear_close().0, Some(1002));
    assert_eq!(scene.upstream.hear_close().0, Some(1001));
    drop((scene.client, scene.upstream));
    let report = scene.script.report("execute");
    assert_eq!((report[0].as_str(), report[2].as_str()), ("nil", "-7"));
}

#[test]
fn an_idle_session_ends_with_1001() {
    let mut scene = Scene::with("{ idle_timeout = 50 }");
    assert_eq!(scene.client.hear_close().0, Some(1001));
    assert_eq!(scene.upstream.hear_close().0, Some(1001));
    drop((scene.client, scene.upstream));
    assert_eq!(scene.script.report("execute")[2], "-6");
}

#[test]
fn after_the_end_everything_is_refused_but_the_questions() {
    let code = format!(
        "local proxy = session({})
        report('again', proxy:execute())
        report('connect', proxy:connect(0, 'ws://x'))
        report('upstream', proxy:connect_upstream('ws://x'))
        report('client', proxy:connect_client(0))
        report('send', proxy:send('client', 'text', 'x'))
        report('close', proxy:close())
        report('drain', proxy:drain())
        report('abort', proxy:abort())
        local stats = proxy:stats()
        report('stats', stats.client.frames.text, stats.client.bytes.text, stats.client.replaced, stats.client.sent,
            stats.client.close_received, stats.client.close_sent, stats.client.closed_first)
        report('stats', stats.upstream.frames.text, stats.upstream.dropped, stats.upstream.sent,
            stats.upstream.close_received, stats.upstream.close_sent, stats.upstream.closed_first)
        report('rest', proxy:subprotocol(), proxy:http_status())",
        hook(
            "if typ ~= 'text' then return payload, code end
            if role == 'upstream' then return nil end
            proxy:send('client', 'ping', 'p')
            return 'other'"
        )
    );
    let mut scene = Scene::running(&code);
    scene.upstream.send_text("dropped");
    scene.client.send_text("four");
    scene.upstream.expect(true, TEXT, b"other");
    scene.client.expect(true, 9, b"p");
    scene.client.send_close(4000, "");
    scene.upstream.hear_close();
    scene.upstream.send(true, 8, b"");
    scene.client.hear_close();
    drop((scene.client, scene.upstream));
    scene.script.says("execute\ttrue");
    scene.script.says("again\tnil\tclient handshake not complete");
    for kind in ["connect", "upstream", "client", "send", "close", "drain", "abort"] {
        scene.script.says(&format!("{kind}\tnil\tthe session has ended"));
    }
    scene.script.says("stats\t1\t4\t1\t1\t4000\tabsent\ttrue");
    scene.script.says("stats\t1\t1\t0\tabsent\t4000\tfalse");
    scene.script.says("rest\tnil\tnil");
    scene.script.has_to_end();
}
