//! What a session takes from its process, and that it gives everything back: threads and descriptors, however it ends.
//!
//! One test at a time: they count what belongs to the whole process.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use support::host::{config, pass, session_with, Host};
use support::http;
use support::peer::{request, Listener, Peer, CONTINUATION};
use support::{wait_until, POLICIES};
use wsproxy::{Client, Kind, Policy, Proxy, Server, Verdict};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

/// The names of this process's threads, but for those of the test harness and the peers, with their ids. A thread
/// without a name has that of the thread that started it.
fn threads(of_interest: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?; // it may have ended
        Some((task.file_name().into_string().unwrap(), name.trim().to_owned()))
    });
    named.filter(|(_, name)| of_interest(name)).collect()
}

fn library_threads() -> usize {
    threads(|name| name.starts_with("wsproxy-")).len()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs a session, has `end` end it, and waits until everything is as it was.
fn leaves_nothing(policy: Policy, what: &str, end: impl FnOnce(&mut Peer, &mut Peer, &Host)) {
    let before = descriptors();
    let config = config(policy, |c| {
        c.close_timeout(Duration::from_millis(100)).unwrap();
        c.idle_timeout(Duration::from_millis(500));
    });
    let hook = |_: &Proxy, frame: &mut wsproxy::Frame<'_>| match frame.payload() {
        b"fail" => Verdict::Failed("as told".into()),
        b"panic" => panic!("as told"),
        _ => Verdict::Forward,
    };
    let (mut client, mut upstream, host) = session_with(config, hook);
    client.send_text("hello");
    assert_eq!(upstream.hear_text(), "hello");
    let running = if policy == Policy::Caller { 0 } else { 2 };
    wait_until("the threads run", || library_threads() == running);
    end(&mut client, &mut upstream, &host);
    let _ = host.outcome();
    // execute has joined them; the system may list one that was joined for a moment longer.
    wait_until(&format!("{policy:?} {what}: the threads are gone"), || library_threads() == 0);
    // The host's ends are closed although the peers' are not.
    while client.try_hear().is_some() {}
    while upstream.try_hear().is_some() {}
    drop((client, upstream, host));
    wait_until(&format!("{policy:?} {what}: the descriptors are closed"), || {
        descriptors() <= before
    });
}

#[test]
fn threads_and_descriptors_are_gone_after_every_kind_of_end() {
    let _alone = alone();
    type End = fn(&mut Peer, &mut Peer, &Host);
    let ends: [(&str, End); 11] = [
        ("closes", |client, upstream, _| {
            client.send_close(1000, "");
            upstream.hear_close();
            upstream.send_close(1000, "");
            client.hear_close();
            client.hear_end();
        }),
        ("the client closes and hears nothing", |client, _, _| client.send_close(1000, "")),
        ("the upstream closes and hears nothing", |_, upstream, _| upstream.send_close(1000, "")),
        ("the client ends", |client, _, _| client.shutdown()),
        ("the upstream ends", |_, upstream, _| upstream.shutdown()),
        ("stop", |_, _, host| host.proxy.stop(1001, "").unwrap()),
        ("the hook fails", |client, _, _| client.send_text("fail")),
        ("the hook panics", |_, upstream, _| upstream.send_text("panic")),
        ("a breach of the protocol", |client, _, _| client.send(true, CONTINUATION, b"")),
        ("a limit", |_, upstream, _| {
            upstream.send_bytes(&[&[0x82, 127][..], &(1u64 << 40).to_be_bytes()].concat());
        }),
        ("silence", |_, _, _| {}),
    ];
    for policy in POLICIES {
        for (what, end) in ends {
            leaves_nothing(policy, what, end);
        }
    }
}

#[test]
fn descriptors_are_closed_after_handshakes_that_fail() {
    let _alone = alone();
    let before = descriptors();
    for policy in POLICIES {
        for answer in
            ["", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "nonsense\r\n\r\n"]
        {
            let listener = Listener::bind();
            let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
            let mut client = http::connect(host.addr);
            client.write_all(request("/", "").as_bytes()).unwrap();
            let (mut upstream, _) = http::asked(&listener);
            upstream.write_all(answer.as_bytes()).unwrap();
            drop(upstream);
            http::hear_all(&mut client);
            drop(client);
            assert!(host.outcome().is_err());
        }
    }
    wait_until("the descriptors are closed", || descriptors() <= before);
}

#[test]
fn a_session_that_has_ended_has_no_descriptor_though_the_host_still_holds_it() {
    let _alone = alone();
    for policy in POLICIES {
        let before = descriptors();
        let (client, upstream, executed) =
            session_with(config(policy, |_| {}), |_, _| Verdict::Forward);
        drop((client, upstream));
        let _ = executed.outcome();
        let refused = Host::start(config(policy, |_| {}), "ws://127.0.0.1:1", pass);
        let mut client = http::connect(refused.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        http::hear_all(&mut client);
        drop(client);
        assert!(refused.outcome().is_err());
        wait_until(&format!("{policy:?}: only the sessions are left"), || descriptors() <= before);
    }
}

#[test]
fn sessions_of_a_server_have_no_descriptors_when_it_has_ended_though_the_host_still_holds_them() {
    let _alone = alone();
    for policy in POLICIES {
        let before = descriptors();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (listener, server) = (Listener::bind(), Server::new(config(policy, |_| {})).unwrap());
        let (server, url, keep) = (Arc::new(server), listener.url(), Arc::clone(&kept));
        let addr = server.listen("127.0.0.1:0").unwrap().parse().unwrap();
        let running = Arc::clone(&server);
        let running = thread::spawn(move || {
            running.run(|proxy, client| {
                proxy.connect(client, &url)?;
                let mut kept = keep.lock().unwrap();
                kept.push(Arc::clone(proxy));
                let is_executed = kept.len() > 1;
                drop(kept);
                if is_executed {
                    proxy.execute(|_| Verdict::Forward)?;
                }
                Ok(())
            })
        });
        for session in 0..3 {
            let client = thread::spawn(move || Peer::connect(addr));
            let mut upstream = listener.accept();
            let mut client = client.join().unwrap();
            if session > 0 {
                support::host::talk(&mut client, &mut upstream);
            }
            client.shutdown();
            upstream.shutdown();
            while client.try_hear().is_some() {}
        }
        server.drain(1001, Duration::from_secs(5)).unwrap();
        assert_eq!(running.join().unwrap(), Ok(()));
        drop((listener, server));
        wait_until(&format!("{policy:?}: only the sessions are left"), || descriptors() <= before);
        assert_eq!(kept.lock().unwrap().len(), 3);
    }
}

#[test]
fn a_session_dropped_before_execute_ends_its_connections() {
    let _alone = alone();
    let before = descriptors();
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |_, client| {
        let proxy = Proxy::new(config(Policy::Serial, |_| {}))?;
        proxy.connect(Client::new(client), &url)
    });
    let (mut client, mut upstream) = support::host::meet(&host, &listener);
    assert_eq!(host.outcome(), Ok(()));
    assert_eq!(client.hear_close(), (Some(1011), String::new()));
    client.hear_end();
    assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
    upstream.hear_end();
    drop((client, upstream, host, listener));
    wait_until("the descriptors are closed", || descriptors() <= before);
}

#[test]
fn under_caller_no_thread_is_started() {
    let _alone = alone();
    let listener = Listener::bind();
    let url = listener.url();
    let (tell, told) = std::sync::mpsc::channel();
    let host = Host::serve(config(Policy::Caller, |_| {}), move |proxy, client| {
        let named = thread::Builder::new().name("the-caller".into());
        thread::scope(|scope| {
            let session = named.spawn_scoped(scope, || {
                proxy.connect(Client::new(client), &url)?;
                proxy.execute_on_caller(|_| {
                    let mine = |name: &str| name == "the-caller" || name.starts_with("wsproxy-");
                    tell.send(threads(mine)).unwrap();
                    Verdict::Forward
                })
            });
            session.unwrap().join().unwrap()
        })
    });
    let (mut client, upstream) = support::host::meet(&host, &listener);
    client.send_text("count");
    let counted = told.recv().unwrap();
    assert_eq!(counted.len(), 1, "{counted:?}");
    drop((client, upstream));
    let _ = host.outcome();
}

#[test]
fn the_threads_of_a_session_are_named_and_block_all_signals() {
    let _alone = alone();
    let (client, upstream, host) =
        session_with(config(Policy::Serial, |_| {}), |_, _| Verdict::Forward);
    wait_until("both run", || library_threads() == 2);
    let running = threads(|name| name.starts_with("wsproxy-"));
    let mut names: Vec<&String> = running.values().collect();
    names.sort();
    assert_eq!(names, ["wsproxy-client", "wsproxy-upstr"]);
    for id in running.keys() {
        let status = fs::read_to_string(format!("/proc/self/task/{id}/status")).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        for signal in [1, 2, 10, 12, 13, 14, 15, 17] {
            assert_ne!(blocked & 1 << (signal - 1), 0, "signal {signal} reaches thread {id}");
        }
    }
    drop((client, upstream));
    let _ = host.outcome();
}

/// CPU time of this process, in clock ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_session_that_waits_costs_no_cpu_time() {
    let _alone = alone();
    for policy in POLICIES {
        let (mut client, mut upstream, host) =
            session_with(config(policy, |_| {}), |_, _| Verdict::Forward);
        let waits = |what: &str| {
            let before = cpu_ticks();
            thread::sleep(Duration::from_millis(250));
            let spent = cpu_ticks() - before;
            assert!(spent <= 8, "{policy:?} spins for {spent}0 of 250 ms: {what}");
        };
        waits("idle");
        client.send(false, 2, b"a message under way");
        upstream.hear();
        host.send(wsproxy::Side::Upstream, Kind::Text, b"waits for its end").unwrap();
        waits("a frame of the host's waits");
        client.send_close(1000, "");
        upstream.hear_close();
        client.shutdown();
        waits("the answer to a close is awaited");
        upstream.send_close(1000, "");
        client.hear_close();
        client.hear_end();
        waits("the upstream's end is awaited");
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()));
    }
}

#[test]
fn a_hundred_sessions_share_one_configuration_and_leave_nothing() {
    let _alone = alone();
    let before = descriptors();
    let config = config(Policy::Serial, |_| {});
    let mut sessions: Vec<_> =
        (0..100).map(|_| session_with(Arc::clone(&config), |_, _| Verdict::Forward)).collect();
    for (i, (client, upstream, _)) in sessions.iter_mut().enumerate() {
        client.send_text(&i.to_string());
        assert_eq!(upstream.hear_text(), i.to_string());
    }
    wait_until("the threads run", || library_threads() == 200);
    for (client, upstream, host) in sessions {
        drop((client, upstream));
        assert!(host.outcome().is_err());
    }
    assert_eq!(library_threads(), 0);
    wait_until("the descriptors are closed", || descriptors() <= before);
}

#[test]
fn sessions_of_a_server_have_two_threads_each_and_one_more_for_all_of_them() {
    const SESSIONS: usize = 20;
    let _alone = alone();
    let before = descriptors();
    for policy in [Policy::Serial, Policy::Concurrent] {
        let (listener, server) = (Listener::bind(), Server::new(config(policy, |_| {})).unwrap());
        let (server, url) = (Arc::new(server), listener.url());
        let addr = server.listen("127.0.0.1:0").unwrap().parse().unwrap();
        let running = Arc::clone(&server);
        let running = thread::spawn(move || {
            running.run(|proxy, client| {
                proxy.connect(client, &url)?;
                proxy.execute(|_| Verdict::Forward)
            })
        });
        let pair = |_| {
            let client = thread::spawn(move || Peer::connect(addr));
            let upstream = listener.accept();
            (client.join().unwrap(), upstream)
        };
        let mut pairs: Vec<_> = (0..SESSIONS).map(pair).collect();
        let count = |wanted: &str| threads(|name| name == wanted).len();
        let names = ["wsproxy-session", "wsproxy-upstr", "wsproxy-keeper"];
        wait_until("two threads for each, and one for all of them", || {
            names.map(count) == [SESSIONS, SESSIONS, 1] && library_threads() == 2 * SESSIONS + 1
        });
        pairs.iter_mut().for_each(|(client, upstream)| support::host::talk(client, upstream));
        server.drain(1001, Duration::from_secs(5)).unwrap();
        for (client, upstream) in &mut pairs {
            assert_eq!(client.hear_close().0, Some(1001));
            assert_eq!(upstream.hear_close().0, Some(1001));
            client.send_close(1001, "");
            upstream.send_close(1001, "");
        }
        assert_eq!(running.join().unwrap(), Ok(()));
        wait_until("the threads are gone", || library_threads() == 0);
        assert_eq!(server.stats().completed, SESSIONS as u64);
        drop((pairs, listener));
    }
    wait_until("the descriptors are closed", || descriptors() <= before);
}
