//! Sessions in numbers: in one process that serves everything, and in workers under a master.

use std::time::Duration;

use rustix::process::Signal;

use super::conf::Conf;
use super::scene::{close, handler, Scene};
use super::support::peer::TEXT;
use super::support::LONG;

fn scene(workers: Option<usize>) -> Scene {
    Scene::with(Conf { workers, ..Conf::running(&handler("", "nil")) })
}

#[test]
fn one_process_serves_many_sessions_at_once() {
    let scene = scene(None);
    let mut sessions: Vec<_> = (0..100).map(|_| scene.meet()).collect();
    for round in 0..3 {
        for (number, (client, _)) in sessions.iter_mut().enumerate() {
            client.send_text(&format!("{round} {number}"));
        }
        for (number, (client, upstream)) in sessions.iter_mut().enumerate() {
            let words = format!("{round} {number}");
            upstream.expect(true, TEXT, words.as_bytes());
            upstream.send_text(&words);
            client.expect(true, TEXT, words.as_bytes());
        }
    }
    for (client, upstream) in &mut sessions {
        close(client, upstream);
    }
    drop(sessions);
    assert_eq!(scene.nginx.first_reports("execute", 100), ["true nil"; 100]);
    scene.nginx.is_content();
}

#[test]
fn a_stalled_session_stalls_no_other() {
    let scene = scene(None);
    let (mut client, stalled) = scene.meet();
    // What nobody reads fills every buffer between.
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let frame = client.frame(true, 2, &[0; 60_000]);
    while client.try_send_bytes(&frame).is_ok() {}
    for _ in 0..10 {
        let (mut client, mut upstream) = scene.meet();
        client.send_text("x");
        upstream.expect(true, TEXT, b"x");
        close(&mut client, &mut upstream);
    }
    assert_eq!(scene.nginx.get("/ready").0, 204);
    drop((client, stalled));
    scene.nginx.first_reports("execute", 11);
}

#[test]
fn workers_under_a_master_serve_sessions_and_finish_them_when_told_to_quit() {
    let mut scene = scene(Some(2));
    let mut sessions: Vec<_> = (0..20).map(|_| scene.meet()).collect();
    scene.nginx.tell(Signal::QUIT);
    assert_eq!(scene.nginx.ended_within(Duration::from_millis(300)), None, "sessions go on");
    for (client, upstream) in &mut sessions {
        client.send_text("still");
        upstream.expect(true, TEXT, b"still");
        close(client, upstream);
    }
    drop(sessions);
    let ended = scene.nginx.ended_within(LONG).expect("nginx ends");
    assert!(ended.success(), "{ended}");
    assert_eq!(scene.nginx.reports("execute"), ["true nil"; 20]);
    scene.nginx.is_content();
}
