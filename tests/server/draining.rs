//! How a server ends: who asks, what both sides hear, and that it is over by the deadline.

use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::scene::{listening, relay, Scene};
use super::support::host::{config, pass, talk};
use super::support::offence::PROMPT;
use super::support::peer::{Peer, BINARY, CONTINUATION, TEXT};
use super::support::{has_passed, on_every_policy};
use wsproxy::{Policy, Server, Verdict};

const SOON: Duration = Duration::from_secs(8);
/// How late the end may be.
const LATE: Duration = Duration::from_millis(500);

fn hears(peer: &mut Peer, code: Option<u16>) {
    assert_eq!(peer.hear_close(), (code, String::new()));
}

#[test]
fn idle_sessions_are_closed_at_once_on_both_sides() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        let mut sessions: Vec<_> = (0..10).map(|_| scene.session()).collect();
        sessions.iter_mut().for_each(|(client, upstream)| talk(client, upstream));
        let started = Instant::now();
        scene.server.drain(1001, Duration::from_secs(60)).unwrap();
        for (client, upstream) in &mut sessions {
            for peer in [client, upstream] {
                hears(peer, Some(1001));
                peer.send_close(1001, "");
            }
        }
        for (client, _) in &mut sessions {
            client.hear_end();
        }
        drop(sessions);
        let (outcome, at) = scene.ended();
        assert_eq!(outcome, Ok(()));
        assert!(at - started < PROMPT, "{policy:?}: {:?}", at - started);
        assert!(TcpStream::connect(scene.addr).is_err());
        (0..10).for_each(|_| assert_eq!(scene.outcome(), Ok(())));
        assert_eq!((scene.stats().completed, scene.stats().failed), (10, 0));
    });
}

#[test]
fn nobody_new_is_taken_while_sessions_still_drain() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        let (mut client, mut upstream) = scene.session();
        client.send(false, TEXT, b"begun");
        upstream.expect(false, TEXT, b"begun");
        scene.server.drain(1001, SOON).unwrap();
        super::support::wait_until("nobody listens", || TcpStream::connect(scene.addr).is_err());
        assert!(scene.runs());
        client.send(true, CONTINUATION, b"ended");
        upstream.expect(true, CONTINUATION, b"ended");
        hears(&mut upstream, Some(1001));
        hears(&mut client, Some(1001));
        drop((client, upstream));
        assert_eq!(scene.ended().0, Ok(()));
    });
}

#[test]
fn peers_that_never_answer_are_cut_off_at_the_deadline() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |config| {
            config.close_timeout(Duration::from_secs(60)).unwrap();
        });
        let mut sessions: Vec<_> = (0..20).map(|_| scene.session()).collect();
        let (timeout, started) = (Duration::from_millis(1500), Instant::now());
        scene.server.drain(1001, timeout).unwrap();
        for (client, upstream) in &mut sessions {
            hears(client, Some(1001));
            hears(upstream, Some(1001));
        }
        assert!(started.elapsed() < timeout, "told late");
        let (outcome, at) = scene.ended();
        let took = at - started;
        assert_eq!(outcome, Ok(()));
        assert!(has_passed(timeout, took) && took < timeout + LATE, "{policy:?}: {took:?}");
        (0..20).for_each(|_| assert_eq!(scene.outcome(), Ok(())));
        for (client, upstream) in &mut sessions {
            client.hear_end();
            upstream.hear_end();
        }
    });
}

#[test]
fn peers_in_the_middle_of_a_message_hear_the_close_before_the_deadline_all_the_same() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |config| {
            config.close_timeout(Duration::from_secs(60)).unwrap();
        });
        let mut sessions: Vec<_> = (0..10).map(|_| scene.session()).collect();
        for (client, upstream) in &mut sessions {
            client.send(false, BINARY, b"begun");
            upstream.expect(false, BINARY, b"begun");
            upstream.send(false, TEXT, b"too");
            client.expect(false, TEXT, b"too");
        }
        let (timeout, started) = (Duration::from_millis(1600), Instant::now());
        scene.server.drain(1001, timeout).unwrap();
        for (client, upstream) in &mut sessions {
            for peer in [client, upstream] {
                hears(peer, Some(1001));
                let at = started.elapsed();
                assert!(at > timeout / 2 && at < timeout, "{policy:?}: {at:?}");
            }
        }
        let (outcome, at) = scene.ended();
        let took = at - started;
        assert_eq!(outcome, Ok(()));
        assert!(has_passed(timeout, took) && took < timeout + LATE, "{policy:?}: {took:?}");
        (0..10).for_each(|_| assert_eq!(scene.outcome(), Ok(())));
    });
}

#[test]
fn peers_that_take_nothing_are_cut_off_at_the_deadline() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |config| {
            config.close_timeout(Duration::from_secs(60)).unwrap();
        });
        let (client, upstream) = scene.session();
        let flooding = [client.twin(), upstream.twin()].map(|mut peer| {
            thread::spawn(move || {
                let bytes = peer.frame(true, BINARY, &[7; 60_000]);
                while peer.try_send_bytes(&bytes).is_ok() {}
            })
        });
        thread::sleep(Duration::from_millis(300));
        let (timeout, started) = (Duration::from_millis(800), Instant::now());
        scene.server.drain(1001, timeout).unwrap();
        let (outcome, at) = scene.ended();
        let took = at - started;
        assert_eq!(outcome, Ok(()));
        assert!(took < timeout + LATE, "{policy:?}: {took:?}");
        flooding.into_iter().for_each(|thread| thread.join().unwrap());
        drop((client, upstream));
    });
}

#[test]
fn a_second_drain_may_be_shorter_and_does_not_change_the_code() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |config| {
            config.close_timeout(Duration::from_secs(60)).unwrap();
        });
        let (mut client, _upstream) = scene.session();
        scene.server.drain(4000, Duration::from_secs(60)).unwrap();
        hears(&mut client, Some(4000));
        let (timeout, started) = (Duration::from_millis(300), Instant::now());
        scene.server.drain(4001, timeout).unwrap();
        scene.server.drain(4002, Duration::from_secs(90)).unwrap();
        let (outcome, at) = scene.ended();
        let took = at - started;
        assert_eq!(outcome, Ok(()));
        assert!(has_passed(timeout, took) && took < timeout + LATE, "{policy:?}: {took:?}");
    });
}

#[test]
fn no_time_at_all_still_sends_the_close() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        let (mut client, mut upstream) = scene.session();
        client.send(false, TEXT, b"begun");
        upstream.expect(false, TEXT, b"begun");
        let started = Instant::now();
        scene.server.drain(1001, Duration::ZERO).unwrap();
        hears(&mut client, Some(1001));
        hears(&mut upstream, Some(1001));
        let (outcome, at) = scene.ended();
        assert_eq!(outcome, Ok(()));
        assert!(at - started < LATE, "{policy:?}: {:?}", at - started);
    });
}

#[test]
fn both_sides_hear_the_code_that_was_chosen() {
    for (chosen, heard) in [(1012, Some(1012)), (3000, Some(3000)), (1005, None), (0, Some(1011))] {
        let scene = Scene::start(Policy::Serial, |_| {});
        let (mut client, mut upstream) = scene.session();
        scene.server.drain(chosen, SOON).unwrap();
        hears(&mut client, heard);
        hears(&mut upstream, heard);
        drop((client, upstream));
        assert_eq!(scene.ended().0, Ok(()));
    }
}

#[test]
fn a_drain_before_the_run_counts_for_it_and_for_no_other() {
    let (server, addr) = listening(config(Policy::Serial, |_| {}));
    let nowhere = Server::new(config(Policy::Serial, |_| {})).unwrap();
    for server in [&*server, &nowhere] {
        server.drain(1001, SOON).unwrap();
    }
    nowhere.run(|_, _| Ok(())).unwrap_err(); // listens nowhere: the drain still counts
    nowhere.listen("127.0.0.1:0").unwrap();
    let started = Instant::now();
    assert_eq!(nowhere.run(|_, _| Ok(())), Ok(()));
    let scene = Scene::run(Arc::clone(&server), addr, relay);
    assert_eq!(scene.ended().0, Ok(()));
    assert!(started.elapsed() < PROMPT);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn after_a_drain_it_listens_and_runs_again() {
    on_every_policy(|policy| {
        let (server, addr) = listening(config(policy, |_| {}));
        for round in 1..=4 {
            let scene = Scene::run(Arc::clone(&server), addr, relay);
            let (mut client, mut upstream) = scene.session();
            talk(&mut client, &mut upstream);
            server.drain(1001, SOON).unwrap();
            for peer in [&mut client, &mut upstream] {
                hears(peer, Some(1001));
                peer.send_close(1001, "");
            }
            drop((client, upstream));
            assert_eq!(scene.ended().0, Ok(()));
            assert_eq!((server.stats().completed, server.stats().active), (round, 0));
            assert_eq!(server.listen(&addr.to_string()).unwrap(), addr.to_string());
        }
    });
}

#[test]
fn a_hook_may_drain_the_server_that_called_it() {
    on_every_policy(|policy| {
        static SERVERS: [OnceLock<Arc<Server>>; 3] = [const { OnceLock::new() }; 3];
        let (server, addr) = listening(config(policy, |_| {}));
        let known = &SERVERS[policy as usize];
        known.set(Arc::clone(&server)).unwrap();
        let scene = Scene::run(server, addr, move |proxy, client, url| {
            proxy.connect(client, url)?;
            proxy.execute(|_| {
                known.get().unwrap().drain(1001, SOON).unwrap();
                Verdict::Forward
            })
        });
        let (mut client, mut upstream) = scene.session();
        let (mut idle, mut far) = scene.session();
        client.send_text("drain");
        upstream.expect(true, TEXT, b"drain");
        for peer in [&mut client, &mut upstream, &mut idle, &mut far] {
            hears(peer, Some(1001));
        }
        drop((client, upstream, idle, far));
        assert_eq!(scene.ended().0, Ok(()));
    });
}

#[test]
fn a_hook_that_blocks_is_waited_for_and_no_longer() {
    on_every_policy(|policy| {
        let (enter, entered) = std::sync::mpsc::channel();
        let enter = std::sync::Mutex::new(enter);
        let scene = Scene::serve(config(policy, |_| {}), move |proxy, client, url| {
            proxy.connect(client, url)?;
            proxy.execute(|_| {
                let _ = enter.lock().unwrap().send(());
                thread::sleep(Duration::from_millis(1200));
                Verdict::Forward
            })
        });
        let (mut client, _upstream) = scene.session();
        client.send_text("slowly");
        entered.recv().unwrap();
        let started = Instant::now();
        scene.server.drain(1001, Duration::from_millis(200)).unwrap();
        let (outcome, at) = scene.ended();
        let took = at - started;
        assert_eq!(outcome, Ok(()));
        assert!(took > Duration::from_secs(1), "{policy:?}: {took:?}");
        assert!(took < Duration::from_millis(1200) + LATE, "{policy:?}: {took:?}");
    });
}

#[test]
fn code_that_serves_without_a_session_is_waited_for() {
    let scene = Scene::serve(config(Policy::Serial, |_| {}), |proxy, client, url| {
        thread::sleep(Duration::from_millis(400));
        proxy.connect(client, url)?;
        proxy.execute(pass)
    });
    let mut client = scene.tcp();
    scene.settles("it is there", |stats| stats.active == 1);
    scene.drain(Duration::ZERO);
    super::support::http::hear_all(&mut client);
    assert_eq!((scene.stats().failed, scene.stats().active), (1, 0));
}
