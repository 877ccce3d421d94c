//! Whatever a hook does to the session that it is called from: stop, send, panic, end, let go of it.
//! CVE-2025-62409, CVE-2026-26311 (Envoy): callbacks on closed streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use wsproxy::{Client, Close, ErrorKind, Frame, Kind, Policy, Proxy, Side, Verdict};

use super::guard::watched;
use super::support::host::{config, Host};
use super::support::http::connect;
use super::support::peer::{read_head, request, Listener, Peer, BINARY, CLOSE, PING, TEXT};
use super::support::POLICIES;

type Deed = fn(&Proxy, &mut Frame<'_>) -> Verdict;

/// A session whose hook is `deed`, with the proxy in hand; and how often the hook was called.
fn session(policy: Policy, deed: Deed) -> (Peer, Peer, Host, Arc<AtomicUsize>) {
    let own: Arc<Mutex<Option<Arc<Proxy>>>> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let (inside, counted) = (Arc::clone(&own), Arc::clone(&calls));
    let listener = Listener::bind();
    let host = Host::start(config(policy, |_| {}), &listener.url(), move |frame| {
        counted.fetch_add(1, Ordering::AcqRel);
        let proxy = inside.lock().unwrap().clone().unwrap();
        deed(&proxy, frame)
    });
    *own.lock().unwrap() = Some(Arc::clone(&host.proxy));
    let addr = host.addr;
    let client = thread::spawn(move || Peer::connect(addr));
    let upstream = listener.accept();
    (client.join().unwrap(), upstream, host, calls)
}

/// The close frames that the peers must hear when the client sends `opcode`; and `execute`'s result.
fn ends(opcode: u8, deed: Deed, codes: (u16, u16), kind: Option<ErrorKind>) {
    for policy in POLICIES {
        let (mut client, mut upstream, host, calls) = session(policy, deed);
        let payload: &[u8] = if opcode == CLOSE { &[3, 0xE8] } else { b"first" };
        client.send(true, opcode, payload);
        if opcode != CLOSE {
            client.send(true, TEXT, b"never shown");
        }
        let context = format!("{policy:?}, opcode {opcode}");
        assert_eq!(client.hear_close().0, Some(codes.0), "{context}");
        assert_eq!(upstream.hear_close().0, Some(codes.1), "{context}");
        drop((client, upstream));
        assert_eq!(host.outcome().err().map(|error| error.kind()), kind, "{context}");
        let calls = calls.load(Ordering::Acquire);
        assert!(calls <= 2, "{context}: {calls} calls, of a hook whose session has ended");
    }
}

#[test]
fn a_hook_may_stop_its_session() {
    watched(|| {
        let deed: Deed = |proxy, _| {
            proxy.stop(4000, "by the hook").unwrap();
            proxy.stop(4001, "again").unwrap();
            Verdict::Drop
        };
        for opcode in [TEXT, BINARY, PING] {
            ends(opcode, deed, (4000, 4000), None);
        }
    });
}

#[test]
fn a_hook_may_stop_its_session_while_a_close_frame_passes() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host, _) = session(policy, |proxy, _| {
                proxy.stop(4000, "").unwrap();
                Verdict::Forward
            });
            client.send_close(1000, "");
            assert!(matches!(upstream.hear_close().0, Some(1000 | 4000)), "{policy:?}");
            upstream.send_close(1000, "");
            assert!(matches!(client.hear_close().0, Some(1000 | 4000)), "{policy:?}");
            drop((client, upstream));
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn a_hook_that_panics_or_fails_ends_both_sides_with_1011() {
    watched(|| {
        for opcode in [TEXT, PING, CLOSE] {
            // Without the words of the panic hook, whose backtrace would take much memory.
            let panics: Deed = |_, _| std::panic::resume_unwind(Box::new("a hook of a test"));
            ends(opcode, panics, (1011, 1011), Some(ErrorKind::Hook));
            let failed: Deed = |_, _| Verdict::Failed("no verdict".into());
            ends(opcode, failed, (1011, 1011), Some(ErrorKind::Hook));
        }
    });
}

#[test]
fn a_hook_may_end_the_session_with_a_close_for_each_side() {
    watched(|| {
        let deed: Deed = |_, _| Verdict::End {
            client: Close::new(4001, "").unwrap(),
            upstream: Close::new(4002, "").unwrap(),
        };
        for opcode in [TEXT, PING, CLOSE] {
            ends(opcode, deed, (4001, 4002), None);
        }
    });
}

#[test]
fn a_hook_may_send_to_either_side_and_its_frames_come_first() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host, _) = session(policy, |proxy, frame| {
                if frame.kind() == Kind::Text {
                    proxy.send(Side::Upstream, Kind::Binary, b"before").unwrap();
                    proxy.send(Side::Client, Kind::Binary, b"back").unwrap();
                    assert!(proxy.send(Side::Client, Kind::Close, b"").is_err());
                    assert!(proxy.send(Side::Client, Kind::Ping, &[0; 126]).is_err());
                    assert!(proxy.send(Side::Client, Kind::Text, b"\xff").is_err());
                }
                Verdict::Forward
            });
            client.send_text("seen");
            assert_eq!(upstream.hear().payload, b"before", "{policy:?}");
            assert_eq!(upstream.hear_text(), "seen");
            assert_eq!(client.hear().payload, b"back");
            client.send_close(1000, "");
            upstream.hear_close();
            upstream.send_close(1000, "");
            client.hear_close();
            drop((client, upstream));
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
            assert!(host.proxy.send(Side::Client, Kind::Text, b"late").is_err());
        }
    });
}

#[test]
fn calls_out_of_order_from_inside_the_hook_are_errors_and_change_nothing() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host, _) = session(policy, |proxy, _| {
                let kind = |done: wsproxy::Result<()>| done.unwrap_err().kind();
                assert_eq!(kind(proxy.connect_upstream("ws://127.0.0.1:1")), ErrorKind::State);
                assert_eq!(kind(proxy.relay()), ErrorKind::State);
                assert_eq!(kind(proxy.execute(|_| Verdict::Drop)), ErrorKind::State);
                Verdict::Forward
            });
            client.send_text("a");
            assert_eq!(upstream.hear_text(), "a", "{policy:?}");
            upstream.send_text("b");
            assert_eq!(client.hear_text(), "b", "{policy:?}");
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_host_that_lets_go_of_its_session_inside_the_hook_harms_nobody() {
    watched(|| {
        for policy in POLICIES {
            let upstream = Listener::bind();
            let listener = Listener::bind();
            let (addr, url) = (listener.addr(), upstream.url());
            let host = thread::spawn(move || {
                let (stream, _) = listener.0.accept().unwrap();
                let proxy = Arc::new(Proxy::new(config(policy, |_| {})).unwrap());
                proxy.connect(Client::new(stream), &url).unwrap();
                let other = Mutex::new(Some(Arc::clone(&proxy)));
                proxy.execute(|_| {
                    drop(other.lock().unwrap().take());
                    Verdict::Forward
                })
            });
            let mut client = connect(addr);
            std::io::Write::write_all(&mut client, request("/", "").as_bytes()).unwrap();
            let mut upstream = upstream.accept();
            assert!(read_head(&mut client).contains(" 101 "));
            upstream.send_text("x");
            drop((client, upstream));
            assert!(host.join().unwrap().is_err());
        }
    });
}
