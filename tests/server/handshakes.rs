//! Drains that find clients on their way in.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::scene::{listening, relay, Scene};
use super::support::host::config;
use super::support::http::{asked, good_answer, hear_all, status};
use super::support::peer::{read_head, request, Listener, Peer};
use super::support::{on_every_policy, LONG};
use wsproxy::Policy;

const SOON: Duration = Duration::from_secs(8);

/// Upgraded, it hears 1001, answers, and hears the end.
fn is_sent_away(mut peer: Peer) {
    assert_eq!(peer.hear_close(), (Some(1001), String::new()));
    peer.send_close(1001, "");
}

#[test]
fn handshakes_under_way_are_completed_and_then_closed() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        let text = request("/", "");
        let (start, rest) = text.split_at(30);
        let mut early = scene.tcp(); // with half a request
        early.write_all(start.as_bytes()).unwrap();
        let mut late = scene.tcp(); // its upstream has not answered
        late.write_all(text.as_bytes()).unwrap();
        let (mut answering, head) = asked(&scene.upstream);
        scene.settles("both are there", |stats| stats.active == 2);
        scene.server.drain(1001, SOON).unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(scene.runs());
        answering.write_all(good_answer(&head, "").as_bytes()).unwrap();
        early.write_all(rest.as_bytes()).unwrap();
        let second = scene.upstream.accept();
        for client in [&mut late, &mut early] {
            assert!(read_head(client).starts_with("HTTP/1.1 101 "));
        }
        let peers = [Peer::upgraded_client(late), Peer::upgraded_client(early), second];
        peers.into_iter().for_each(is_sent_away);
        is_sent_away(Peer::over(answering, false, String::new()));
        assert_eq!(scene.ended().0, Ok(()));
        assert_eq!(scene.stats().completed, 2);
    });
}

#[test]
fn handshakes_that_are_not_completed_hear_503_before_the_deadline() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        let mut silent = scene.tcp();
        let mut waiting = scene.tcp();
        waiting.write_all(request("/", "").as_bytes()).unwrap();
        let _never_answering = asked(&scene.upstream);
        scene.settles("both are there", |stats| stats.active == 2);
        let started = Instant::now();
        scene.server.drain(1001, Duration::from_millis(1200)).unwrap();
        for client in [&mut waiting, &mut silent] {
            let answer = hear_all(client);
            assert_eq!(status(&answer), 503, "{policy:?}: {answer}");
        }
        let (outcome, at) = scene.ended();
        assert_eq!(outcome, Ok(()));
        assert!(at - started < Duration::from_millis(1700), "{policy:?}: {:?}", at - started);
    });
}

#[test]
fn clients_that_wait_in_the_queue_are_served_before_it_closes() {
    on_every_policy(|policy| {
        let (server, addr) = listening(config(policy, |_| {}));
        let waiting: Vec<_> = (0..150)
            .map(|_| {
                let mut client = super::support::http::connect(addr);
                client.write_all(request("/", "").as_bytes()).unwrap();
                client
            })
            .collect();
        server.drain(1001, SOON).unwrap();
        let scene = Scene::run(server, addr, relay);
        let (sender, upstreams) = std::sync::mpsc::channel();
        let listener = Listener(scene.upstream.0.try_clone().unwrap());
        thread::spawn(move || (0..150).try_for_each(|_| sender.send(listener.accept())));
        for mut client in waiting {
            assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
            is_sent_away(Peer::upgraded_client(client));
            is_sent_away(upstreams.recv_timeout(LONG).unwrap());
        }
        assert_eq!(scene.ended().0, Ok(()));
        assert_eq!((scene.stats().completed, scene.stats().failed), (150, 0), "{policy:?}");
    });
}

#[test]
fn clients_in_the_queue_are_refused_over_the_limit_as_ever() {
    let (server, addr) = listening(config(Policy::Serial, |_| {}));
    server.max_connections(1).unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| super::support::http::connect(addr)).collect();
    for client in &mut clients {
        client.write_all(request("/", "").as_bytes()).unwrap();
    }
    server.drain(1001, SOON).unwrap();
    let scene = Scene::run(server, addr, relay);
    let upstream = scene.upstream.accept();
    scene.settles("all were taken", |stats| stats.accepted == 10); // before the place is free again
    is_sent_away(upstream);
    let mut first = clients.remove(0);
    assert!(read_head(&mut first).starts_with("HTTP/1.1 101 "));
    is_sent_away(Peer::upgraded_client(first));
    clients.iter_mut().for_each(|client| assert_eq!(status(&hear_all(client)), 503));
    drop(clients);
    assert_eq!(scene.ended().0, Ok(()));
    assert_eq!((scene.stats().completed, scene.stats().refused), (1, 9));
}
