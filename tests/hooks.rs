//! Where and when the hook runs: the three policies, and what a slow hook holds up.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use support::host::{config, meet, session, session_with, Host};
use support::peer::{Listener, BINARY, CONTINUATION, TEXT};
use support::LONG;
use wsproxy::{Client, Close, Frame, Kind, Policy, Proxy, Side, Verdict};

/// A hook that stops at each frame of `side` until it is let go, and says that it did.
fn held_at(
    side: Side,
) -> (impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync, Receiver<()>, Sender<()>) {
    let ((tell, reached), (let_go, gate)) = (channel(), channel());
    let ends = Mutex::new((tell, gate));
    let hook = move |frame: &mut Frame<'_>| {
        if frame.from() == side {
            let (tell, gate) = &*ends.lock().unwrap();
            let _ = tell.send(());
            let _ = gate.recv_timeout(2 * LONG); // longer than any peer waits
        }
        Verdict::Forward
    };
    (hook, reached, let_go)
}

#[test]
fn concurrent_hooks_run_for_both_directions_at_once() {
    // Each call waits for the other one: that both return proves it.
    let (inside, both) = (Mutex::new(0), Condvar::new());
    let hook = move |_: &mut Frame<'_>| {
        let mut count = inside.lock().unwrap();
        *count += 1;
        both.notify_all();
        let (_count, waited) = both.wait_timeout_while(count, LONG, |count| *count < 2).unwrap();
        assert!(!waited.timed_out(), "the other hook never ran");
        Verdict::Forward
    };
    let (mut client, mut upstream, _host) = session(config(Policy::Concurrent, |_| {}), hook);
    client.send_text("1");
    upstream.send_text("2");
    assert_eq!((client.hear_text(), upstream.hear_text()), ("2".into(), "1".into()));
}

#[test]
fn serial_and_caller_hooks_never_run_two_at_once() {
    for policy in [Policy::Serial, Policy::Caller] {
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, peak) = (Arc::clone(&inside), Arc::clone(&most));
        let (client, upstream, _host) = session(config(policy, |_| {}), move |_| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_micros(200));
            now.fetch_sub(1, Ordering::SeqCst);
            Verdict::Forward
        });
        thread::scope(|scope| {
            for peer in [&client, &upstream] {
                let (mut sends, mut hears) = (peer.twin(), peer.twin());
                scope.spawn(move || (0..300).for_each(|_| sends.send(true, BINARY, b"x")));
                scope.spawn(move || (0..300).for_each(|_| hears.expect(true, BINARY, b"x")));
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1, "{policy:?}");
    }
}

#[test]
fn serial_hooks_take_turns_frame_by_frame() {
    // The client's frames have come in one read, and each of their hooks takes long. The upstream's frame is sent
    // during the fifth: its hook must not wait for the other fifteen.
    let order = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&order);
    let (tell, fifth) = channel();
    let tell = Mutex::new(tell);
    let (mut client, mut upstream, _host) = session(config(Policy::Serial, |_| {}), move |frame| {
        let count = {
            let mut order = record.lock().unwrap();
            order.push(frame.from());
            order.len()
        };
        if count == 5 {
            tell.lock().unwrap().send(()).unwrap();
        }
        thread::sleep(Duration::from_millis(50));
        Verdict::Forward
    });
    let frames: Vec<u8> = (0..20).flat_map(|_| client.frame(true, BINARY, b"slow")).collect();
    client.send_bytes(&frames);
    fifth.recv_timeout(LONG).unwrap();
    upstream.send_text("in between");
    assert_eq!(client.hear_text(), "in between");
    let order = order.lock().unwrap();
    let place = order.iter().position(|side| *side == Side::Upstream).unwrap();
    assert!((5..=7).contains(&place), "{place}: {order:?}");
}

#[test]
fn a_hook_that_ends_the_session_is_not_called_for_a_frame_that_waited_for_its_turn() {
    for ends in [ends_by_verdict, ends_by_stop] {
        let (tell, reached) = channel();
        let (let_go, gate) = channel::<()>();
        let ends_of = Mutex::new((tell, gate));
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let hook = move |proxy: &Proxy, _: &mut Frame<'_>| {
            count.fetch_add(1, Ordering::SeqCst);
            let (tell, gate) = &*ends_of.lock().unwrap();
            let _ = tell.send(());
            let _ = gate.recv_timeout(2 * LONG);
            ends(proxy)
        };
        let (mut client, mut upstream, host) = session_with(config(Policy::Serial, |_| {}), hook);
        client.send_text("1");
        reached.recv_timeout(LONG).unwrap();
        upstream.send_text("2");
        thread::sleep(Duration::from_millis(100)); // it waits by now; if not, this finds out less
        drop(let_go);
        upstream.hear_close();
        client.hear_close();
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

fn ends_by_verdict(_: &Proxy) -> Verdict {
    let close = || Close::new(4001, "").unwrap();
    Verdict::End { client: close(), upstream: close() }
}

fn ends_by_stop(proxy: &Proxy) -> Verdict {
    proxy.stop(4001, "").unwrap();
    Verdict::Drop
}

#[test]
fn a_slow_concurrent_hook_holds_up_its_own_direction_only() {
    let (hook, reached, let_go) = held_at(Side::Upstream);
    let (mut client, mut upstream, _host) = session(config(Policy::Concurrent, |_| {}), hook);
    upstream.send_text("held");
    reached.recv_timeout(LONG).unwrap();
    for i in 0..100u32 {
        client.send(true, BINARY, &i.to_be_bytes());
        upstream.expect(true, BINARY, &i.to_be_bytes());
    }
    let_go.send(()).unwrap();
    assert_eq!(client.hear_text(), "held");
}

#[test]
fn a_slow_hook_does_not_hold_up_what_needs_no_hook() {
    for policy in [Policy::Serial, Policy::Concurrent] {
        let (hook, reached, let_go) = held_at(Side::Upstream);
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), hook);
        upstream.send_text("held");
        reached.recv_timeout(LONG).unwrap();
        // A part of a frame is none yet; a frame of the host's goes by no hook.
        let frame = client.frame(true, TEXT, b"half a frame");
        client.send_bytes(&frame[..frame.len() / 2]);
        host.send(Side::Upstream, Kind::Ping, b"from the host").unwrap();
        assert_eq!(upstream.hear().payload, b"from the host", "{policy:?}");
        let_go.send(()).unwrap();
        assert_eq!(client.hear_text(), "held");
    }
}

#[test]
fn a_breach_of_the_protocol_is_answered_while_the_other_directions_hook_is_slow() {
    for policy in [Policy::Serial, Policy::Concurrent] {
        let (hook, reached, let_go) = held_at(Side::Upstream);
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), hook);
        upstream.send_text("held");
        reached.recv_timeout(LONG).unwrap();
        client.send(true, CONTINUATION, b"of nothing");
        assert_eq!(client.hear_close().0, Some(1002), "{policy:?}");
        assert_eq!(upstream.hear_close().0, Some(1001), "{policy:?}");
        let_go.send(()).unwrap();
        drop((client, upstream));
        assert!(host.outcome().is_err());
    }
}

#[test]
fn the_callers_hook_runs_on_the_thread_that_called_execute() {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Caller, |_| {}), move |proxy, client| {
        proxy.connect(Client::new(client), &url)?;
        let caller = thread::current().id();
        proxy.execute(move |_| {
            assert_eq!(thread::current().id(), caller);
            Verdict::Forward
        })
    });
    let (mut client, mut upstream) = meet(&host, &listener);
    client.send_text("1");
    upstream.send_text("2");
    assert_eq!((client.hear_text(), upstream.hear_text()), ("2".into(), "1".into()));
}

#[test]
fn a_hook_that_borrows_and_changes_its_surroundings_runs_on_the_callers_thread_whatever_the_policy()
{
    for policy in support::POLICIES {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            let mut seen = Vec::new();
            proxy.execute_on_caller(|frame| {
                seen.push(frame.kind());
                Verdict::Forward
            })?;
            assert_eq!(seen, [Kind::Text, Kind::Close, Kind::Close]);
            Ok(())
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        client.send_text("1");
        assert_eq!(upstream.hear_text(), "1");
        client.send_close(1000, "");
        upstream.hear_close();
        upstream.send_close(1000, "");
        client.hear_close();
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    }
}
