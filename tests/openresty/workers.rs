//! Sessions in numbers: in one process that serves everything, and in workers under a master.

use std::time::Duration;

use rustix::process::Signal;

use super::conf::Conf;
use super::scene::{close, handler, Scene, ROLES};
use super::support::peer::TEXT;
use super::support::{wait_until, LONG};

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

/// The processes that this one started and that run.
fn children(id: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    list.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

#[test]
fn sessions_outlive_a_reload_and_new_ones_are_served_by_new_workers() {
    let scene = scene(Some(1));
    let id = scene.nginx.id();
    let (mut old, mut olds) = scene.meet();
    for round in 1..=3 {
        let before = children(id);
        scene.nginx.tell(Signal::HUP);
        // The new worker is there, and the old one no longer takes anybody.
        let line = "gracefully shutting down";
        wait_until("the old worker hears of it", || {
            scene.nginx.log().iter().filter(|entry| entry.text.contains(line)).count() == round
        });
        wait_until("the new worker", || children(id).iter().any(|child| !before.contains(child)));
        let (mut new, mut news) = scene.meet();
        for (client, upstream) in [(&mut old, &mut olds), (&mut new, &mut news)] {
            client.send_text("x");
            upstream.expect(true, TEXT, b"x");
            upstream.send_text("y");
            client.expect(true, TEXT, b"y");
        }
        close(&mut new, &mut news);
    }
    close(&mut old, &mut olds);
    drop((old, olds));
    wait_until("one worker is left", || children(id).len() == 1);
    assert_eq!(scene.nginx.first_reports("execute", 4), ["true nil"; 4]);
    scene.nginx.is_content();
}

#[test]
fn one_worker_serves_ten_thousand_sessions_one_after_another() {
    let scene = scene(None);
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", scene.nginx.id())).unwrap().count();
    let before = descriptors();
    for number in 0..10_000 {
        let (mut client, mut upstream) = scene.meet();
        let words = number.to_string();
        client.send_text(&words);
        upstream.expect(true, TEXT, words.as_bytes());
        close(&mut client, &mut upstream);
    }
    wait_until("all connections are closed", || descriptors() == before);
    let ends = scene.nginx.first_reports("execute", 10_000);
    assert!(ends.iter().all(|end| end == "true nil"));
    scene.nginx.is_content();
}

#[test]
fn compiled_code_forwards_as_interpreted_code_does() {
    for (jit, frames) in [("jit.opt.start('hotloop=1', 'hotexit=1')", 3000), ("jit.off()", 300)] {
        let options = r#"on_frame = function(_, role, typ, payload, last, code)
            if typ ~= "text" then return payload, code end
            return #payload % 3 == 0 and payload .. role or payload:upper()
        end"#;
        let mut conf = Conf::running(&handler(options, "nil"));
        conf.init_worker = jit.to_owned();
        let scene = Scene::with(conf);
        for role in ROLES {
            let (mut one, mut other) = scene.meet_from(role);
            for number in 0..frames {
                let payload = "x".repeat(number % 200);
                one.send_text(&payload);
                let expected = match number % 200 % 3 {
                    0 => payload + role,
                    _ => payload.to_uppercase(),
                };
                other.expect(true, TEXT, expected.as_bytes());
            }
            drop((one, other));
        }
        scene.nginx.first_reports("execute", 2);
        assert_eq!(scene.nginx.reports("execute"), ["true nil"; 2]);
    }
}
