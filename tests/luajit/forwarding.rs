//! Frames of every kind and size cross both ways, with a hook that looks at all of them and without.

use std::thread;

use tungstenite::Message;

use super::scene::Scene;
use super::script::Script;
use super::support::http;
use super::support::peer::{Listener, Peer, BINARY, CONTINUATION, PING, PONG, TEXT};

const SIZES: [usize; 6] = [0, 125, 126, 65535, 65536, 1 << 20];

const PASS: &str = "{ on_frame = function(_, _, _, payload, _, code) return payload, code end }";

fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 95 + 32) as u8).collect()
}

/// A large frame is written while the other end reads it.
fn crosses(from: &mut Peer, to: &mut Peer, opcode: u8, size: usize) {
    let payload = payload(size);
    thread::scope(|scope| {
        scope.spawn(|| from.send(true, opcode, &payload));
        to.expect(true, opcode, &payload);
    });
}

fn everything_crosses(opts: &str) {
    let mut scene = Scene::with(opts);
    for size in SIZES {
        for opcode in [TEXT, BINARY] {
            crosses(&mut scene.client, &mut scene.upstream, opcode, size);
            crosses(&mut scene.upstream, &mut scene.client, opcode, size);
        }
    }
    for opcode in [PING, PONG] {
        for size in [0, 1, 125] {
            crosses(&mut scene.client, &mut scene.upstream, opcode, size);
            crosses(&mut scene.upstream, &mut scene.client, opcode, size);
        }
    }
    scene.part();
}

#[test]
fn frames_of_all_kinds_and_sizes_cross_both_ways() {
    everything_crosses(PASS);
}

#[test]
fn frames_of_all_kinds_and_sizes_cross_without_a_hook() {
    everything_crosses("nil");
}

#[test]
fn every_byte_reaches_the_hook_and_comes_back_from_it() {
    let all: Vec<u8> = (0..=255).collect();
    let mut scene = Scene::hooked(
        "if typ == 'binary' then
            for n = 0, 255 do assert(payload:byte(n + 1) == n) end
            return payload:reverse()
        end
        return payload, code",
    );
    scene.client.send(true, BINARY, &all);
    let reversed: Vec<u8> = all.iter().rev().copied().collect();
    scene.upstream.expect(true, BINARY, &reversed);
    scene.part();
}

#[test]
fn fragments_cross_one_by_one_with_control_frames_between_them() {
    let mut scene = Scene::hooked("report(role, typ, payload, last, code) return payload, code");
    scene.client.send(false, TEXT, b"one");
    scene.upstream.expect(false, TEXT, b"one");
    scene.client.send(true, PING, b"?");
    scene.upstream.expect(true, PING, b"?");
    scene.client.send(false, CONTINUATION, b"");
    scene.upstream.expect(false, CONTINUATION, b"");
    scene.client.send(true, CONTINUATION, b"two");
    scene.upstream.expect(true, CONTINUATION, b"two");
    scene.script.says("client\ttext\tone\tfalse\tnil");
    scene.script.says("client\tping\t?\ttrue\tnil");
    scene.script.says("client\tcontinuation\t\tfalse\tnil");
    scene.script.says("client\tcontinuation\ttwo\ttrue\tnil");
}

#[test]
fn aggregated_fragments_are_one_message_and_control_frames_pass_before_it() {
    let mut scene = Scene::with(
        "{ aggregate_fragments = true, on_frame = function(_, role, typ, payload, last, code)
            report(role, typ, payload, last, code)
            return payload, code
        end }",
    );
    scene.upstream.send(false, BINARY, b"one ");
    scene.upstream.send(true, PING, b"");
    scene.upstream.send(false, CONTINUATION, b"two ");
    scene.upstream.send(true, CONTINUATION, b"three");
    scene.client.expect(true, PING, b"");
    scene.client.expect(true, BINARY, b"one two three");
    scene.script.says("upstream\tping\t\ttrue\tnil");
    scene.script.says("upstream\tbinary\tone two three\ttrue\tnil");
}

#[test]
fn one_side_alone_may_be_aggregated() {
    let mut scene = Scene::with("{ client_aggregate_fragments = true }");
    scene.client.send(false, TEXT, b"a");
    scene.client.send(true, CONTINUATION, b"b");
    scene.upstream.expect(true, TEXT, b"ab");
    scene.upstream.send(false, TEXT, b"a");
    scene.client.expect(false, TEXT, b"a");
    scene.upstream.send(true, CONTINUATION, b"b");
    scene.client.expect(true, CONTINUATION, b"b");
    scene.part();
}

/// Neither of them is ours.
#[test]
fn tungstenite_talks_to_tungstenite_across_the_hook() {
    let listener = Listener::bind();
    let script = Script::start(&format!("session({PASS})"), &listener.url());
    let addr = script.addr();
    let echo = thread::spawn(move || {
        let mut upstream = tungstenite::accept(listener.accept_tcp()).unwrap();
        while let Ok(message) = upstream.read() {
            if !message.is_close() && (message.is_text() || message.is_binary()) {
                upstream.send(message).unwrap();
            }
        }
    });
    let stream = http::connect(addr);
    let (mut client, _) = tungstenite::client(format!("ws://{addr}/"), stream).unwrap();
    for size in SIZES {
        let text = String::from_utf8(payload(size)).unwrap();
        for message in [Message::text(text), Message::binary(payload(size))] {
            client.send(message.clone()).unwrap();
            assert!(client.read().unwrap() == message, "{size} bytes have changed");
        }
    }
    client.send(Message::Ping(vec![1, 2].into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong(vec![1, 2].into()));
    client.close(None).unwrap();
    while client.read().is_ok() {}
    echo.join().unwrap();
    script.says("execute\ttrue");
}
