//! `recv_timeout`: it is told of, and ends nothing.

use std::thread;
use std::time::{Duration, Instant};

use super::conf::Conf;
use super::scene::{close, handler, Scene};
use super::support::peer::{Peer, PING, PONG, TEXT};
use super::support::wait_until;

const CLIENT: &str = "timeout receiving frame from client, reopening";
const UPSTREAM: &str = "timeout receiving frame from upstream, reopening";

/// nginx's own lines about cosockets that time out, at level error, are switched off as users do.
fn scene(options: &str) -> Scene {
    let mut conf = Conf::running(&handler(options, "nil"));
    conf.http = "lua_socket_log_errors off;".to_owned();
    Scene::with(conf)
}

#[test]
fn it_never_ends_a_session() {
    let scene = scene("recv_timeout = 30");
    let (mut client, mut upstream) = scene.meet();
    for round in 1..=3 {
        scene.nginx.hear_said("info", CLIENT, 3 * round);
        scene.nginx.hear_said("info", UPSTREAM, 3 * round);
        client.send_text("up");
        upstream.expect(true, TEXT, b"up");
        upstream.send_text("down");
        client.expect(true, TEXT, b"down");
    }
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
}

#[test]
fn the_clients_is_told_of_before_the_upstreams_if_nobody_said_anything() {
    let scene = scene("recv_timeout = 80");
    let (client, upstream) = scene.meet();
    wait_until("two timeouts", || scene.nginx.said(&["info"]).len() >= 2);
    assert_eq!(scene.nginx.said(&["info"])[..2], [CLIENT, UPSTREAM]);
    drop((client, upstream));
}

#[test]
fn there_is_none_by_default() {
    let scene = scene("");
    let (mut client, mut upstream) = scene.meet();
    client.hear_nothing_for(Duration::from_millis(300));
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
    assert!(!scene.nginx.said(&["info"]).iter().any(|said| said.contains("timeout")));
}

/// One side talks more often than the timeout; `true` if this machine let it.
fn talks(from: &mut Peer, to: &mut Peer, opcode: u8, timeout: Duration) -> bool {
    let started = Instant::now();
    let mut last = started;
    while started.elapsed() < timeout * 3 {
        from.send(true, opcode, b"x");
        to.expect(true, opcode, b"x");
        if last.elapsed() > timeout / 2 {
            return false;
        }
        last = Instant::now();
        thread::sleep(timeout / 8);
    }
    true
}

/// The timeouts told of while one side talks and the other is silent; once the machine is not too busy for that.
fn while_one_talks(client_talks: bool, opcode: u8) -> Vec<String> {
    let timeout = Duration::from_millis(200);
    for _ in 0..20 {
        let scene = scene("recv_timeout = 200");
        let (mut client, mut upstream) = scene.meet();
        let talked = match client_talks {
            true => talks(&mut client, &mut upstream, opcode, timeout),
            false => talks(&mut upstream, &mut client, opcode, timeout),
        };
        let said = scene.nginx.said(&["info"]);
        close(&mut client, &mut upstream);
        drop((client, upstream));
        scene.ends_well();
        if talked {
            return said;
        }
    }
    panic!("this machine is too busy to say anything every 100 ms");
}

#[test]
fn each_direction_has_its_own_and_every_frame_starts_it_again() {
    for opcode in [TEXT, PING, PONG] {
        let said = while_one_talks(true, opcode);
        assert!(said.len() >= 2 && said.iter().all(|said| said == UPSTREAM), "{said:?}");
        let said = while_one_talks(false, opcode);
        assert!(said.len() >= 2 && said.iter().all(|said| said == CLIENT), "{said:?}");
    }
}
