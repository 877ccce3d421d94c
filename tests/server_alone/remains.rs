//! Clients that come in crowds, go at any moment, or say nothing, leave nothing behind.

use std::io::{Read, Write};
use std::time::Duration;

use super::crowd;
use super::guard::watched;
use super::scene::Scene;
use super::support::host::{config, pass, talk};
use super::support::http::connect;
use super::support::peer::{frame, request, TEXT};
use super::support::POLICIES;

const SOON: Duration = Duration::from_secs(10);

/// A client that goes away at this stage.
fn visit(scene: &Scene, visitor: usize) {
    let mut client = connect(scene.addr);
    let text = request("/", "");
    let stage = visitor % 5;
    match stage {
        0 => {}
        1 => client.write_all(&text.as_bytes()[..40]).unwrap(),
        2 => client.write_all(text.as_bytes()).unwrap(),
        _ => {
            client.write_all(text.as_bytes()).unwrap();
            let mut head = [0; 16];
            client.read_exact(&mut head).unwrap();
            let bytes = frame(true, TEXT, &[b'x'; 300], Some([1, 2, 3, 4]));
            client.write_all(&bytes[..if stage == 3 { 0 } else { 100 }]).unwrap();
        }
    }
    match visitor % 2 {
        0 => crowd::reset(client),
        _ => drop(client),
    }
}

#[test]
fn two_thousand_clients_that_leave_at_every_stage_leave_nothing_behind() {
    for policy in POLICIES {
        watched(|| {
            let upstream = crowd::upstream(|mut stream, head| {
                if head.is_empty() {
                    return; // the client has left meanwhile
                }
                crowd::agree(&mut stream, &head);
                let _ = stream.read_to_end(&mut Vec::new()); // a reset is as good
            });
            let url = format!("ws://{}", upstream.addr);
            let config = config(policy, |config| {
                config.close_timeout(Duration::from_millis(200)).unwrap();
            });
            let scene = Scene::serve(config, move |proxy, client, _| {
                proxy.connect(client, &url)?;
                proxy.execute(pass)
            });
            (0..700).for_each(|visitor| visit(&scene, visitor));
            scene.settles("all have gone", |stats| (stats.accepted, stats.active) == (700, 0));
            scene.drain(SOON);
            let stats = scene.stats();
            assert_eq!(stats.completed + stats.failed, 700, "{stats:?}");
        });
    }
}

#[test]
fn five_hundred_silent_clients_over_the_limit_leave_nothing_behind() {
    watched(|| {
        let scene = Scene::start(wsproxy::Policy::Serial, |_| {});
        scene.server.max_connections(1).unwrap();
        let mut inside = scene.session();
        let silent: Vec<_> = (0..500).map(|_| connect(scene.addr)).collect();
        scene.settles("all were taken", |stats| stats.accepted == 501);
        talk(&mut inside.0, &mut inside.1);
        let here = |name: &str| super::guard::threads().iter().filter(|(n, _)| n == name).count();
        assert!(here("wsproxy-session") <= 65, "{}", here("wsproxy-session"));
        scene.settles("all were let go", |stats| stats.refused + stats.dropped == 500);
        talk(&mut inside.0, &mut inside.1);
        drop((silent, inside));
        scene.drain(SOON);
    });
}
