//! What `on_frame` is called with, and what its results do.

use super::scene::Scene;
use super::support::peer::{Heard, BINARY, CONTINUATION, TEXT};

#[test]
fn the_hook_is_told_the_session_side_type_payload_end_and_code() {
    let mut scene = Scene::running(
        "local seen
        local proxy = session({ on_frame = function(...)
            seen = ...
            report(select('#', ...), select(2, ...))
            return (select(4, ...)), (select(6, ...))
        end })
        report('same', proxy == seen)",
    );
    scene.client.send_text("hello");
    scene.upstream.expect(true, TEXT, b"hello");
    scene.upstream.send_close(4001, "enough");
    assert_eq!(scene.client.hear_close(), (Some(4001), "enough".into()));
    scene.client.send(true, 8, b"");
    assert_eq!(scene.upstream.hear_close(), (None, String::new()));
    drop((scene.client, scene.upstream));
    scene.script.says("6\tclient\ttext\thello\ttrue\tnil");
    scene.script.says("6\tupstream\tclose\tenough\ttrue\t4001");
    scene.script.says("6\tclient\tclose\t\ttrue\tnil");
    scene.script.says("execute\ttrue");
    scene.script.says("same\ttrue");
}

#[test]
fn nil_drops_a_string_replaces_and_an_empty_one_is_a_payload() {
    let mut scene = Scene::hooked(
        "if payload == 'drop' then return nil end
        if payload == 'drop too' then return end
        if payload == 'empty' then return '' end
        if payload == 'short' then return ('long'):rep(40000) end
        return payload, code",
    );
    for text in ["drop", "drop too", "empty", "short", "as it is"] {
        scene.client.send_text(text);
    }
    scene.upstream.expect(true, TEXT, b"");
    scene.upstream.expect(true, TEXT, "long".repeat(40000).as_bytes());
    scene.upstream.expect(true, TEXT, b"as it is");
    scene.part();
}

#[test]
fn the_first_fragment_forwarded_has_the_type_of_the_message() {
    let mut scene = Scene::hooked("return payload ~= 'first' and payload or nil, code");
    scene.client.send(false, BINARY, b"first");
    scene.client.send(true, CONTINUATION, b"second");
    scene.upstream.expect(true, BINARY, b"second");
    scene.part();
}

#[test]
fn the_second_result_replaces_the_code_of_a_close_and_of_nothing_else() {
    let mut scene = Scene::hooked("return payload, typ == 'close' and code + 1 or 'no code'");
    scene.client.send_text("hello");
    scene.upstream.expect(true, TEXT, b"hello");
    scene.client.send_close(4000, "bye");
    assert_eq!(scene.upstream.hear_close(), (Some(4001), "bye".into()));
    scene.upstream.send_close(4001, "");
    assert_eq!(scene.client.hear_close(), (Some(4002), String::new()));
    drop((scene.client, scene.upstream));
    scene.script.says("execute\ttrue");
}

#[test]
fn a_close_without_a_code_gets_one_from_the_hook_or_stays_without_reason() {
    let mut scene = Scene::hooked("return 'because', role == 'client' and 4003 or nil");
    scene.client.send(true, 8, b"");
    assert_eq!(scene.upstream.hear_close(), (Some(4003), "because".into()));
    scene.upstream.send(true, 8, b"");
    assert_eq!(scene.client.hear_close(), (None, String::new()));
    drop((scene.client, scene.upstream));
    scene.script.says("execute\ttrue");
}

#[test]
fn a_dropped_close_leaves_the_session_open_for_the_other_side() {
    let mut scene = Scene::hooked(
        "if typ == 'close' and role == 'client' then return nil end return payload, code",
    );
    scene.client.send_close(1000, "");
    scene.upstream.send_text("still here");
    scene.client.expect(true, TEXT, b"still here");
    scene.upstream.send_close(1000, "");
    assert_eq!(scene.client.hear_close().0, Some(1000));
}

fn fails(body: &str, words: &str) {
    let mut scene =
        Scene::hooked(&format!("if typ ~= 'text' then return payload, code end {body}"));
    scene.client.send_text("hello");
    scene.has_failed(words);
}

#[test]
fn an_error_in_the_hook_closes_both_sides_and_is_returned_with_its_words() {
    fails("error('out of paper')", "out of paper");
    fails("error({ code = 7 })", "table: 0x");
    fails("error()", "nil");
    fails("error(setmetatable({}, { __tostring = function() return 'in words' end }))", "in words");
    fails(
        "error(setmetatable({}, { __tostring = function() error('no') end }))",
        "an error of type table",
    );
    fails("local none; return none.field", "attempt to index local 'none'");
    fails("local function deep() return 1 + deep() end deep()", "stack overflow");
    fails("coroutine.yield()", "attempt to yield");
}

#[test]
fn a_result_that_is_neither_nil_nor_a_string_is_a_failed_hook() {
    for value in ["true", "false", "7", "{}", "print"] {
        fails(&format!("return {value}"), "opts.on_frame return value must be nil or a string");
    }
}

#[test]
fn a_code_that_is_neither_nil_nor_a_number_is_a_failed_hook() {
    for value in ["'1000'", "true", "{}"] {
        let words = "opts.on_frame status code return value must be nil or a number";
        let mut scene = Scene::hooked(&format!("return payload, {value}"));
        scene.client.send_close(1000, "");
        scene.has_failed(words);
    }
}

#[test]
fn a_code_that_is_no_code_is_a_failed_hook() {
    for value in ["-7", "70000", "0/0", "1e300", "-1/0"] {
        let mut scene = Scene::hooked(&format!("return payload, {value}"));
        scene.client.send_close(1000, "");
        scene.has_failed("code");
    }
}

#[test]
fn a_payload_that_a_frame_cannot_have_is_a_failed_hook() {
    fails("return '\\255'", "UTF-8");
    for typ in ["PING", "CLOSE"] {
        let mut scene = Scene::hooked("return ('x'):rep(126), code");
        match typ {
            "PING" => scene.client.send(true, 9, b""),
            _ => scene.client.send_close(1000, ""),
        }
        scene.has_failed("12");
    }
}

#[test]
fn an_error_in_the_middle_of_a_message_leaves_a_legal_stream() {
    let mut scene =
        Scene::hooked("if payload == 'two' then error('no two') end return payload, code");
    scene.client.send(false, TEXT, b"one");
    scene.upstream.expect(false, TEXT, b"one");
    scene.client.send(false, CONTINUATION, b"two");
    scene.has_failed("no two");
}

#[test]
fn the_hook_is_not_called_again_after_it_has_failed() {
    let mut scene = Scene::hooked("report('called', payload) error('once')");
    let frames: Vec<u8> =
        (0..50).flat_map(|n| scene.client.frame(true, TEXT, &[b'a' + n % 26])).collect();
    scene.client.send_bytes(&frames);
    scene.script.says("called\ta");
    scene.has_failed("once");
}

#[test]
fn both_directions_are_called_in_order_and_never_at_once() {
    let mut scene = Scene::running(
        "local inside, last = false, { client = -1, upstream = -1 }
        session({ on_frame = function(_, role, typ, payload, _, code)
            assert(not inside, 'at once')
            inside = true
            if typ == 'text' then
                assert(tonumber(payload) == last[role] + 1, 'out of order')
                last[role] = tonumber(payload)
            end
            inside = false
            return payload, code
        end })",
    );
    let mut writers = [scene.client.twin(), scene.upstream.twin()];
    std::thread::scope(|scope| {
        for writer in &mut writers {
            scope.spawn(|| (0..500).for_each(|n| writer.send_text(&n.to_string())));
        }
        for reader in [&mut scene.client, &mut scene.upstream] {
            scope.spawn(|| {
                let heard: Vec<Heard> = (0..500).map(|_| reader.hear()).collect();
                assert!(heard
                    .iter()
                    .enumerate()
                    .all(|(n, frame)| frame.payload == n.to_string().as_bytes()));
            });
        }
    });
    drop(writers);
    scene.part();
}
