//! Frames of the host's, on every driver: from any thread and from inside the hook, in order, whole, and bounded.

mod support;

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, meet, part, pass, session, session_from, session_with, Host};
use support::offence::in_order;
use support::peer::{Listener, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use support::{on_every_policy, wait_until, LONG, POLICIES};
use wsproxy::{Client, ErrorKind, Fault, Kind, Proxy, Side, Verdict};

const SIDES: [Side; 2] = Side::BOTH;

#[test]
fn a_frame_of_the_hosts_arrives_on_an_idle_session() {
    on_every_policy(|policy| {
        let (client, upstream, host) = session(config(policy, |_| {}), pass);
        let mut peers = [client, upstream];
        let kinds =
            [(Kind::Text, TEXT), (Kind::Binary, BINARY), (Kind::Ping, PING), (Kind::Pong, PONG)];
        for (side, peer) in SIDES.into_iter().zip(&mut peers) {
            for (kind, opcode) in kinds {
                host.send(side, kind, b"from the host").unwrap();
                peer.expect(true, opcode, b"from the host");
            }
            host.send(side, Kind::Binary, &vec![7; 100_000]).unwrap();
            peer.expect(true, BINARY, &vec![7; 100_000]);
        }
        let [client, upstream] = peers;
        part(client, upstream, &host);
        let stats = host.stats();
        assert_eq!((stats.client.sent_by_host, stats.upstream.sent_by_host), (5, 5));
    });
}

#[test]
fn frames_sent_between_connect_and_execute_arrive_though_nothing_else_happens_and_so_do_later_ones()
{
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            for side in Side::BOTH {
                proxy.send(side, Kind::Text, b"early")?;
            }
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        assert_eq!((client.hear_text(), upstream.hear_text()), ("early".into(), "early".into()));
        for (side, peer) in [(Side::Client, &mut client), (Side::Upstream, &mut upstream)] {
            host.send(side, Kind::Text, b"later").unwrap();
            assert_eq!(peer.hear_text(), "later");
        }
        part(client, upstream, &host);
    });
}

#[test]
fn frames_sent_from_many_threads_all_arrive_whole_among_the_relayed_ones() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        host.send(Side::Upstream, Kind::Ping, b"open").unwrap();
        upstream.expect(true, PING, b"open");
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let proxy = &host.proxy;
                scope.spawn(move || {
                    for i in 0..100u8 {
                        proxy.send(Side::Upstream, Kind::Binary, &[thread, i]).unwrap();
                    }
                });
            }
            let mut relayed = client.twin();
            scope.spawn(move || (0..100).for_each(|i| relayed.send(true, BINARY, &[9, i])));
            let mut next = [0; 10];
            for _ in 0..500 {
                let payload = upstream.hear().payload;
                assert_eq!(payload[1], next[payload[0] as usize], "in order by sender");
                next[payload[0] as usize] += 1;
            }
        });
        client.hear_nothing_for(Duration::from_millis(1));
        part(client, upstream, &host);
    });
}

#[test]
fn a_frame_sent_by_the_hook_goes_before_the_frame_that_it_looks_at() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (client, upstream, host) = session_with(config(policy, |_| {}), |proxy, frame| {
                if frame.kind() == Kind::Text {
                    let copy = [b"before ", frame.payload()].concat();
                    proxy.send(frame.from().other(), Kind::Text, &copy).unwrap();
                    proxy.send(frame.from(), Kind::Pong, b"receipt").unwrap();
                }
                Verdict::Forward
            });
            let (mut from, mut to) = in_order(side, client, upstream);
            let both = [from.frame(true, TEXT, b"1"), from.frame(true, TEXT, b"2")].concat();
            from.send_bytes(&both);
            for expected in ["before 1", "1", "before 2", "2"] {
                assert_eq!(to.hear_text(), expected);
            }
            from.expect(true, PONG, b"receipt");
            from.expect(true, PONG, b"receipt");
            let (client, upstream) = in_order(side, from, to);
            part(client, upstream, &host);
        }
    });
}

#[test]
fn data_of_the_hosts_waits_for_the_end_of_a_message_and_pings_go_between_its_fragments() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, BINARY, b"first");
            to.expect(false, BINARY, b"first");
            host.send(side.other(), Kind::Text, b"waits").unwrap();
            host.send(side.other(), Kind::Ping, b"does not").unwrap();
            host.send(side.other(), Kind::Text, b"waits too").unwrap();
            to.expect(true, PING, b"does not");
            from.send(false, CONTINUATION, b"second");
            to.expect(false, CONTINUATION, b"second");
            from.send(true, CONTINUATION, b"last");
            to.expect(true, CONTINUATION, b"last");
            to.expect(true, TEXT, b"waits");
            to.expect(true, TEXT, b"waits too");
        }
    });
}

#[test]
fn data_sent_by_the_hook_in_mid_message_waits_for_its_end() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, _host) =
            session_with(config(policy, |_| {}), |proxy, frame| {
                proxy.send(Side::Upstream, Kind::Text, b"data").unwrap();
                proxy.send(Side::Upstream, Kind::Ping, b"ping").unwrap();
                assert_eq!(frame.from(), Side::Client);
                Verdict::Forward
            });
        client.send(false, BINARY, b"1");
        upstream.expect(true, TEXT, b"data"); // no message was under way yet
        upstream.expect(true, PING, b"ping");
        upstream.expect(false, BINARY, b"1");
        client.send(true, CONTINUATION, b"2");
        upstream.expect(true, PING, b"ping");
        upstream.expect(true, CONTINUATION, b"2");
        upstream.expect(true, TEXT, b"data");
    });
}

#[test]
fn a_receiver_that_stalls_fills_the_queue_and_nothing_accepted_is_lost() {
    const SIZE: usize = 64 << 10;
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut stalls, other, host) = session_from(side, config(policy, |_| {}), pass);
            let send = |i: u32| {
                let mut payload = vec![7; SIZE];
                payload[..4].copy_from_slice(&i.to_be_bytes());
                host.send(side, Kind::Binary, &payload)
            };
            let (mut accepted, mut since) = (0, Instant::now());
            while since.elapsed() < Duration::from_millis(300) {
                match send(accepted) {
                    Ok(()) => (accepted, since) = (accepted + 1, Instant::now()),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Again);
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
                assert!((accepted as usize * SIZE) < 100 << 20, "nothing bounds the queue");
            }
            // The other direction still flows, and the receiver still gets all that was accepted.
            let mut stalled_sends = stalls.twin();
            let mut other_hears = other.twin();
            stalled_sends.send_text("I can still talk");
            assert_eq!(other_hears.hear_text(), "I can still talk");
            for i in 0..accepted {
                let payload = stalls.hear().payload;
                assert_eq!((payload.len(), &payload[..4]), (SIZE, &i.to_be_bytes()[..]));
            }
            wait_until("there is room again", || send(accepted).is_ok());
        }
    });
}

#[test]
fn frames_can_be_sent_from_connect_to_the_end_of_execute_only() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy: &Proxy, client| {
            let error = proxy.send(Side::Client, Kind::Text, b"too early").unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::State, Fault::Host));
            proxy.connect(Client::new(client), &url)?;
            proxy.send(Side::Client, Kind::Text, b"already")?;
            proxy.execute(pass)
        });
        let (mut client, upstream) = meet(&host, &listener);
        assert_eq!(client.hear_text(), "already");
        part(client, upstream, &host);
        let error = host.proxy.send(Side::Client, Kind::Text, b"too late").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
    });
}

#[test]
fn frames_queued_before_the_close_go_out_before_it_and_none_goes_out_behind_it() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) =
            session_with(config(policy, |_| {}), |proxy, frame| {
                if frame.kind() == Kind::Close && frame.from() == Side::Client {
                    proxy.send(Side::Upstream, Kind::Text, b"last words").unwrap();
                }
                Verdict::Forward
            });
        client.send_close(1000, "");
        assert_eq!(upstream.hear_text(), "last words");
        upstream.hear_close();
        host.proxy.send(Side::Upstream, Kind::Text, b"too late").unwrap(); // no error, no frame
        upstream.hear_nothing_for(Duration::from_millis(30));
        upstream.send_close(1000, "");
        client.hear_close();
        upstream.shutdown();
        upstream.hear_end();
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(host.stats().upstream.sent_by_host, 1);
    });
}

/// Ends the session, and with it the flood, also where a test fails.
struct Flood(Arc<Proxy>);

impl Flood {
    /// The host sends to the client as much as is taken.
    fn of(host: &Host) -> Flood {
        let proxy = Arc::clone(&host.proxy);
        thread::spawn(move || loop {
            match proxy.send(Side::Client, Kind::Binary, &[7; 16 << 10]) {
                Err(error) if error.kind() == ErrorKind::State => return, // it has ended
                Err(error) if error.kind() != ErrorKind::Again => panic!("{error}"),
                _ => {}
            }
        });
        Flood(Arc::clone(&host.proxy))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[test]
fn a_host_that_sends_without_end_holds_nothing_up_that_goes_the_other_way() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        let flood = Flood::of(&host);
        let mut taking = client.twin();
        let taker = thread::spawn(move || {
            let mut room = vec![0; 1 << 20];
            while taking.stream.read(&mut room).is_ok_and(|count| count > 0) {}
        });
        for _ in 0..20 {
            client.send(true, BINARY, b"heard");
            upstream.expect(true, BINARY, b"heard");
        }
        host.proxy.stop(1000, "").unwrap();
        assert_eq!(upstream.hear_close().0, Some(1000));
        drop(flood);
        let _ = host.outcome();
        taker.join().unwrap();
    });
}

#[test]
fn a_host_that_sends_without_end_leaves_the_other_side_its_turn() {
    for policy in POLICIES {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        let flood = Flood::of(&host);
        thread::sleep(Duration::from_millis(300)); // it is at its height by then; if not, this finds out less
        (0..20).for_each(|_| upstream.send(true, BINARY, b"heard"));
        upstream.send_close(1000, "");
        let (patience, mut heard) = (Instant::now() + LONG, 0);
        for count in 0.. {
            let frame = client.hear();
            if frame.opcode == CLOSE {
                break;
            }
            heard += usize::from(frame.payload == b"heard");
            assert!(Instant::now() < patience, "{policy:?}: {heard} of 20 frames, and no close");
            if count % 2 == 0 {
                thread::sleep(Duration::from_millis(1)); // slower than the host, or the flood would ebb
            }
        }
        assert_eq!(heard, 20);
        drop(flood);
        let _ = host.outcome();
    }
}
