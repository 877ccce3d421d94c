//! More clients than there are places, and clients that take their time.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::scene::Scene;
use super::support::host::talk;
use super::support::http::{ask, hear_all, status};
use super::support::on_every_policy;
use super::support::peer::{header, request};
use wsproxy::Policy;

#[test]
fn the_next_client_hears_503_and_those_inside_go_on() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        scene.server.max_connections(2).unwrap();
        let mut inside = [scene.session(), scene.session()];
        for refused in 1..=3 {
            let answer = ask(scene.addr, request("/", "").as_bytes());
            assert_eq!(status(&answer), 503, "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
            assert_eq!(header(head, "Connection").as_deref(), Some("close"));
            let length = header(head, "Content-Length").unwrap().parse::<usize>().unwrap();
            assert_eq!(body.len(), length);
            scene.settles("it is counted", |stats| stats.refused == refused);
        }
        for (client, upstream) in &mut inside {
            talk(client, upstream);
        }
        let stats = scene.stats();
        assert_eq!((stats.accepted, stats.active, stats.dropped), (5, 2, 0));
    });
}

#[test]
fn a_place_that_becomes_free_is_used() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        scene.server.max_connections(1).unwrap();
        for round in 1..=5 {
            let (mut client, mut upstream) = scene.session();
            talk(&mut client, &mut upstream);
            assert_eq!(status(&ask(scene.addr, request("/", "").as_bytes())), 503);
            client.send_close(1000, "");
            upstream.hear_close();
            upstream.send_close(1000, "");
            client.hear_close();
            drop((client, upstream));
            scene.settles("the place is free", |stats| stats.active == 0);
            assert_eq!(scene.stats().completed, round);
        }
    });
}

#[test]
fn a_limit_that_is_raised_counts_for_the_next_client() {
    let scene = Scene::start(Policy::Serial, |_| {});
    scene.server.max_connections(1).unwrap();
    let mut first = scene.session();
    assert_eq!(status(&ask(scene.addr, request("/", "").as_bytes())), 503);
    scene.server.max_connections(2).unwrap();
    let mut second = scene.session();
    talk(&mut first.0, &mut first.1);
    talk(&mut second.0, &mut second.1);
}

#[test]
fn silent_clients_over_the_limit_are_let_go_and_hold_nobody_up() {
    let scene = Scene::start(Policy::Caller, |_| {});
    scene.server.max_connections(1).unwrap();
    let mut inside = scene.session();
    let started = Instant::now();
    let mut silent: Vec<TcpStream> = (0..100).map(|_| scene.tcp()).collect();
    scene.settles("all are there", |stats| stats.accepted == 101);
    talk(&mut inside.0, &mut inside.1);
    drop(inside);
    scene.settles("the place is free", |stats| stats.active == 0);
    let mut next = scene.session();
    talk(&mut next.0, &mut next.1);
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    for client in &mut silent {
        let answer = hear_all(client);
        assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(silent);
    scene.settles("all are counted", |stats| stats.refused + stats.dropped == 100);
    assert_eq!(scene.stats().accepted, 102);
}

#[test]
fn clients_that_trickle_end_at_the_deadline_of_the_handshake() {
    on_every_policy(|policy| {
        let timeout = Duration::from_millis(600);
        let scene = Scene::start(policy, |config| {
            config.connect_timeout(timeout).unwrap();
        });
        let started = Instant::now();
        let trickling: Vec<_> = (0..15)
            .map(|_| {
                let mut client = scene.tcp();
                thread::spawn(move || {
                    let mut writer = client.try_clone().unwrap();
                    let answered = thread::spawn(move || hear_all(&mut client));
                    for byte in request("/", "").bytes() {
                        if answered.is_finished() || writer.write_all(&[byte]).is_err() {
                            break;
                        }
                        thread::sleep(Duration::from_millis(50));
                    }
                    (answered.join().unwrap(), started.elapsed())
                })
            })
            .collect();
        let (mut client, mut upstream) = scene.session();
        talk(&mut client, &mut upstream);
        for client in trickling {
            let (answer, took) = client.join().unwrap();
            assert!(answer.is_empty() || status(&answer) == 408, "{policy:?}: {answer}");
            assert!(took + Duration::from_millis(5) >= timeout, "{policy:?}: {took:?}");
            assert!(took < timeout + Duration::from_secs(3), "{policy:?}: {took:?}");
        }
        scene.settles("they have failed", |stats| (stats.active, stats.failed) == (1, 15));
        talk(&mut client, &mut upstream);
    });
}
