//! Mended: no timeout loses bytes.

use std::thread;
use std::time::Duration;

use super::conf::Conf;
use super::scene::{close, handler, Scene};
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
