//! Much to write, slow readers, slow hooks: what counts as idle, what a close waits for, when stop is heard, on every
//! driver.

mod support;

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, session, session_with};
use support::peer::{frame, Peer, BINARY, CLOSE};
use support::{on_every_policy, wait_until};
use wsproxy::{Client, Config, ErrorKind, Kind, Proxy, Side, Verdict};

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// Reads `count` bytes, a little at a time.
fn read_slowly(peer: &mut Peer, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    for piece in bytes.chunks_mut(256 << 10) {
        peer.stream.read_exact(piece).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    bytes
}

#[test]
fn a_session_whose_peer_is_still_reading_is_not_idle() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(Duration::from_millis(300));
            c.close_timeout(Duration::from_millis(300)).unwrap();
        });
        let (mut client, upstream, _host) = session(config, |_| Verdict::Forward);
        let payload = vec![7; 15 << 20];
        let mut sends = upstream.twin();
        let bytes = sends.frame(true, BINARY, &payload);
        let sending = thread::spawn(move || sends.try_send_bytes(&bytes));
        let heard = read_slowly(&mut client, payload.len() + 10);
        assert!(heard[10..] == payload, "{policy:?}");
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn a_busy_hook_is_not_idle() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(Duration::from_millis(200));
        });
        let (mut client, mut upstream, _host) = session(config, |_| {
            thread::sleep(Duration::from_millis(30));
            Verdict::Forward
        });
        client.send_bytes(&frame(true, BINARY, b"x", MASK).repeat(30));
        for _ in 0..30 {
            assert_eq!(upstream.hear().opcode, BINARY, "{policy:?}");
        }
    });
}

#[test]
fn what_was_sent_before_a_close_arrives_though_it_takes_longer_than_the_close_timeout() {
    const LARGE: usize = 12 << 20;
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.close_timeout(Duration::from_millis(300)).unwrap();
        });
        let (mut client, mut upstream, _host) = session(config, |frame| {
            if frame.kind() == Kind::Binary {
                frame.set_payload(&vec![7; LARGE]).unwrap();
            }
            Verdict::Forward
        });
        let mut bytes = frame(true, BINARY, b"x", MASK);
        bytes.extend(frame(true, CLOSE, &1000u16.to_be_bytes(), MASK));
        client.send_bytes(&bytes);
        let heard = read_slowly(&mut upstream, LARGE + 14);
        assert_eq!(heard[..2], [0x82, 0xFF], "{policy:?}");
        assert_eq!(upstream.hear_close(), (Some(1000), String::new()), "{policy:?}");
    });
}

#[test]
fn stop_is_heard_between_any_two_frames() {
    on_every_policy(|policy| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let config = config(policy, |c| {
            c.close_timeout(Duration::from_millis(200)).unwrap();
        });
        let (mut client, _upstream, host) = session(config, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(10));
            Verdict::Forward
        });
        client.send_bytes(&frame(true, BINARY, b"x", MASK).repeat(1_000));
        wait_until("the hook is at work", || calls.load(Ordering::SeqCst) > 2);
        let started = Instant::now();
        host.proxy.stop(1001, "").unwrap();
        assert_eq!(host.outcome(), Ok(()));
        let calls = calls.load(Ordering::SeqCst);
        assert!(calls < 500, "{policy:?}: {calls} calls, {:?} after stop", started.elapsed());
    });
}

#[test]
fn a_hook_that_stops_the_session_is_not_called_again() {
    on_every_policy(|policy| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let config = config(policy, |c| {
            c.close_timeout(Duration::from_millis(200)).unwrap();
        });
        let (mut client, mut upstream, host) = session_with(config, move |proxy, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            proxy.stop(4000, "enough").unwrap();
            Verdict::Forward
        });
        client.send_bytes(&frame(true, BINARY, b"x", MASK).repeat(400));
        let mut heard = upstream.hear();
        if heard.opcode == BINARY {
            heard = upstream.hear(); // it was on its way already, or it was not
        }
        assert_eq!(heard.close(), (Some(4000), "enough".into()));
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{policy:?}");
    });
}

#[test]
fn a_hook_that_makes_frames_larger_is_held_back_by_a_side_that_does_not_read() {
    on_every_policy(|policy| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let (mut client, mut upstream, _host) = session(config(policy, |_| {}), move |frame| {
            counted.fetch_add(1, Ordering::SeqCst);
            frame.set_payload(&[7; 32 << 10]).unwrap();
            Verdict::Forward
        });
        client.send_bytes(&frame(true, BINARY, b"", MASK).repeat(5_000));
        thread::sleep(Duration::from_millis(700));
        let before = calls.load(Ordering::SeqCst);
        // What the system buffers, and no more: each frame is 32 KiB.
        assert!((1..1_000).contains(&before), "{policy:?}: {before} calls");
        for _ in 0..5_000 {
            assert_eq!(upstream.hear().payload.len(), 32 << 10);
        }
    });
}

#[test]
fn the_answer_to_a_stop_is_never_shown_to_the_hook() {
    on_every_policy(|policy| {
        for _ in 0..60 {
            let closes = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&closes);
            let (mut client, mut upstream, host) = session(config(policy, |_| {}), move |frame| {
                counted.fetch_add(usize::from(frame.kind() == Kind::Close), Ordering::SeqCst);
                Verdict::Forward
            });
            let answering = thread::spawn(move || {
                client.hear_close();
                client.send_close(1000, "");
            });
            host.proxy.stop(4000, "").unwrap();
            assert_eq!(upstream.hear_close(), (Some(4000), String::new()));
            upstream.send_close(4000, "");
            drop(upstream);
            answering.join().unwrap();
            assert_eq!(host.outcome(), Ok(()));
            assert_eq!(closes.load(Ordering::SeqCst), 0, "{policy:?}");
        }
    });
}

#[test]
fn a_client_that_the_host_upgraded_hears_1011_when_the_upstream_is_not_to_be_had() {
    let (ours, client) = std::os::unix::net::UnixStream::pair().unwrap();
    let proxy = Proxy::new(Arc::new(Config::new())).unwrap();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = proxy
        .connect(Client::new(ours).upgraded(Vec::new()), &format!("ws://{unused}"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let mut heard = Vec::new();
    (&client).read_to_end(&mut heard).unwrap();
    assert_eq!(heard, frame(true, CLOSE, &1011u16.to_be_bytes(), None));
}

#[test]
fn a_handshake_that_needs_no_wait_is_stopped_all_the_same() {
    let (ours, _client) = std::os::unix::net::UnixStream::pair().unwrap();
    let proxy = Proxy::new(Arc::new(Config::new())).unwrap();
    proxy.stop(1001, "").unwrap();
    let head = support::peer::request("/", "").into_bytes();
    let error = proxy.connect_client(Client::new(ours).with_head(head)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
    assert_eq!(proxy.send(Side::Client, Kind::Text, b"").unwrap_err().kind(), ErrorKind::State);
}

#[test]
fn frames_keep_their_order_when_much_waits() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, _host) = session(config(policy, |_| {}), |frame| {
            let mut payload = frame.payload().to_vec();
            payload.resize(20 << 10, b'.');
            frame.set_payload(&payload).unwrap();
            Verdict::Forward
        });
        let frames = (0..2_000u32).map(|i| frame(true, BINARY, &i.to_be_bytes(), MASK));
        client.send_bytes(&frames.collect::<Vec<_>>().concat());
        let numbers = (0..2_000).map(|_| {
            let payload = upstream.hear().payload;
            u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
        });
        assert!(numbers.eq(0..2_000), "{policy:?}");
    });
}

#[test]
fn a_slow_reader_is_not_taken_for_one_that_answers_no_pings() {
    // Made before: nobody is to be idle for as long as that takes.
    let bytes = &frame(true, BINARY, &vec![7; 15 << 20], None);
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(Duration::from_millis(2000)); // and time for a busy machine to take it all in
            c.keepalive_interval(Duration::from_millis(100));
        });
        let (mut client, upstream, host) = session(config, |_| Verdict::Forward);
        let mut sends = upstream.twin();
        let mut left = bytes.len();
        let bytes = bytes.clone();
        let sending = thread::spawn(move || sends.try_send_bytes(&bytes));
        while left > 0 {
            let mut some = vec![0; 256 << 10];
            match client.stream.read(&mut some).unwrap() {
                0 => panic!("{policy:?}: {left} bytes are missing: {:?}", host.outcome()),
                count => left = left.saturating_sub(count),
            }
            thread::sleep(Duration::from_millis(60));
        }
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn a_hook_that_takes_longer_than_the_idle_timeout_does_not_end_the_session() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.idle_timeout(Duration::from_millis(200));
        });
        let (mut client, mut upstream, _host) = session(config, |_| {
            thread::sleep(Duration::from_millis(700));
            Verdict::Forward
        });
        client.send_text("slowly");
        assert_eq!(upstream.hear_text(), "slowly", "{policy:?}");
    });
}

#[test]
fn a_host_that_sends_without_pause_does_not_put_stop_off() {
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.close_timeout(Duration::from_millis(200)).unwrap();
        });
        let (mut client, _upstream, host) = session(config, |_| Verdict::Forward);
        let proxy = Arc::clone(&host.proxy);
        wait_until("frames are taken", || proxy.send(Side::Client, Kind::Text, b"").is_ok());
        let sending = thread::spawn(move || {
            while !proxy.send(Side::Client, Kind::Text, b"").is_err_and(|error| {
                error.kind() == ErrorKind::State // the session has ended
            }) {}
        });
        let reading = thread::spawn(move || {
            let mut some = vec![0; 64 << 10];
            while client.stream.read(&mut some).is_ok_and(|count| count > 0) {}
        });
        thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        host.proxy.stop(1001, "").unwrap();
        assert_eq!(host.outcome(), Ok(()));
        assert!(started.elapsed() < Duration::from_secs(5), "{policy:?}: {:?}", started.elapsed());
        sending.join().unwrap();
        reading.join().unwrap();
    });
}

#[test]
fn a_hook_is_not_called_when_stop_came_before_execute() {
    on_every_policy(|policy| {
        let listener = support::peer::Listener::bind();
        let url = listener.url();
        let host = support::host::Host::serve(config(policy, |_| {}), move |proxy, client| {
            let mut early = support::peer::request("/", "").into_bytes();
            early.extend(frame(true, BINARY, b"early", MASK));
            proxy.connect(Client::new(client).with_head(early), &url)?;
            proxy.stop(1001, "")?;
            proxy.execute(|_| panic!("the session was stopped"))
        });
        let mut client = host.tcp();
        let mut upstream = listener.accept();
        assert!(support::peer::read_head(&mut client).starts_with("HTTP/1.1 101 "));
        assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    });
}
