//! What `debug` tells, at level debug.

use super::conf::Conf;
use super::scene::{close, handler, Scene};
use super::support::peer::{BINARY, CONTINUATION, PING, TEXT};

fn scene(options: &str) -> Scene {
    Scene::with(Conf { log_level: "debug", ..Conf::running(&handler(options, "nil")) })
}

/// What Lua said at level debug in a session in which `talk` happens.
fn told(
    options: &str,
    talk: impl FnOnce(&mut super::support::peer::Peer, &mut super::support::peer::Peer),
) -> (Scene, Vec<String>) {
    let scene = scene(options);
    let (mut client, mut upstream) = scene.meet();
    talk(&mut client, &mut upstream);
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
    let said = scene.nginx.said(&["debug"]);
    (scene, said)
}

#[test]
fn nothing_is_told_without_it() {
    for options in ["", "debug = false"] {
        let (_, said) = told(options, |client, upstream| {
            client.send_text("x");
            upstream.expect(true, TEXT, b"x");
        });
        // lua-resty-websocket has lines of its own, whenever nginx is built with debugging.
        let ours = |said: &&String| {
            ["connect", "complet", "receiving", "[frame]"].iter().any(|word| said.contains(word))
        };
        assert_eq!(said.iter().find(ours), None);
    }
}

#[test]
fn the_handshakes_are_told() {
    let (scene, said) = told("debug = true", |_, _| {});
    let url = scene.listener.url();
    let lines = [
        format!("connecting to \"{url}\" upstream"),
        format!("connected to \"{url}\" upstream"),
        "completing client handshake".to_owned(),
        "completed client handshake".to_owned(),
    ];
    assert_eq!(said[..4], lines);
}

#[test]
fn each_side_that_is_waited_for_is_told() {
    let (_, said) = told("debug = 'yes'", |client, upstream| {
        client.send_text("x");
        upstream.expect(true, TEXT, b"x");
    });
    let count = |line: &str| said.iter().filter(|said| *said == line).count();
    assert!(count("client receiving frame...") >= 2, "{said:#?}");
    assert!(count("upstream receiving frame...") >= 1, "{said:#?}");
}

/// The lines of the block about each frame.
fn blocks(said: &[String]) -> Vec<Vec<&str>> {
    let blocks = said.iter().filter(|said| said.contains("[frame]"));
    blocks
        .map(|block| block.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
        .collect()
}

fn block<'a>(arrow: &str, lines: &[&'a str]) -> (String, Vec<&'a str>) {
    (format!("[frame] downstream {arrow} resty.proxy {arrow} upstream"), lines.to_vec())
}

fn are(said: &[String], expected: &[(String, Vec<&str>)]) {
    let blocks = blocks(said);
    assert_eq!(blocks.len(), expected.len(), "{blocks:#?}");
    for (block, (first, rest)) in blocks.iter().zip(expected) {
        assert_eq!(block[0], first);
        assert_eq!(block[1..], rest[..]);
    }
}

#[test]
fn each_frame_is_told_with_an_arrow_and_what_it_is() {
    let (_, said) = told("debug = true", |client, upstream| {
        client.send_text("hello");
        upstream.expect(true, TEXT, b"hello");
        upstream.send(false, BINARY, b"\x00\"\n\\");
        client.expect(false, BINARY, b"\x00\"\n\\");
        upstream.send(true, CONTINUATION, b"");
        client.expect(true, CONTINUATION, b"");
        client.send(true, PING, b"ping");
        upstream.expect(true, PING, b"ping");
    });
    let plain = |typ, payload, fin| vec!["aggregating: nil", typ, payload, fin];
    are(
        &said,
        &[
            block("-->", &plain(r#"type: "text""#, r#"payload: "hello" (len: 5)"#, "fin: true")),
            block(
                "<--",
                &plain(r#"type: "binary""#, r#"payload: "\0\"\\n\\" (len: 4)"#, "fin: false"),
            ),
            block("<--", &plain(r#"type: "continuation""#, r#"payload: "" (len: 0)"#, "fin: true")),
            block("-->", &plain(r#"type: "ping""#, r#"payload: "ping" (len: 4)"#, "fin: true")),
            block(
                "--x",
                &[
                    "aggregating: nil",
                    r#"type: "close""#,
                    "code: 1000",
                    r#"payload: "" (len: 0)"#,
                    "fin: true",
                ],
            ),
            block(
                "x--",
                &[
                    "aggregating: nil",
                    r#"type: "close""#,
                    "code: 1000",
                    r#"payload: "" (len: 0)"#,
                    "fin: true",
                ],
            ),
        ],
    );
}

#[test]
fn a_long_payload_is_cut_at_24_bytes() {
    let (_, said) = told("debug = true", |client, upstream| {
        for len in [24, 25, 3000] {
            let payload = "0123456789".repeat(300);
            client.send_text(&payload[..len]);
            upstream.expect(true, TEXT, &payload.as_bytes()[..len]);
        }
    });
    let payloads: Vec<&str> = blocks(&said)[..3].iter().map(|block| block[3]).collect();
    let cut = "012345678901234567890123";
    let expected = [
        format!("payload: \"{cut}\" (len: 24)"),
        format!("payload: \"{cut}[...]\" (len: 25)"),
        format!("payload: \"{cut}[...]\" (len: 3000)"),
    ];
    assert_eq!(payloads, expected);
}

#[test]
fn fragments_that_are_joined_are_told_one_by_one() {
    let (_, said) = told("debug = true, aggregate_fragments = true", |client, upstream| {
        client.send(false, TEXT, b"a");
        client.send(true, CONTINUATION, b"bc");
        upstream.expect(true, TEXT, b"abc");
    });
    let blocks = blocks(&said);
    assert_eq!(blocks[0][1], "aggregating: true");
    assert_eq!(blocks[0][2], r#"type: "text""#);
    assert_eq!(blocks[0][3..], [r#"payload: "a" (len: 1)"#, "fin: false"]);
    assert_eq!(blocks[1][2], r#"type: "continuation""#);
    assert!(blocks[1].contains(&r#"payload: "bc" (len: 2)"#), "{:?}", blocks[1]);
    assert_eq!(blocks[1].last(), Some(&"fin: true"));
}
