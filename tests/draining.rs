//! Draining: the end that comes between messages, on every driver. What drains under full load: `draining_load.rs`.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::host::{config, meet, pass, session, session_from, session_with, Host};
use support::http;
use support::offence::{in_order, PROMPT};
use support::peer::{frame, request, Heard, Listener, Peer};
use support::peer::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use support::{on_every_policy, wait_until};
use wsproxy::{Client, ErrorKind, Kind, Side, Verdict};

const SIDES: [Side; 2] = Side::BOTH;

/// Long enough for anything that is on its way to arrive.
const A_WHILE: Duration = Duration::from_millis(60);

/// What both sides hear of a drain with 1001, and that the session then ends well.
fn both_hear_the_close(mut client: Peer, mut upstream: Peer, host: &Host) {
    for peer in [&mut client, &mut upstream] {
        assert_eq!(peer.hear_close(), (Some(1001), "going down".into()));
    }
    for peer in [&mut client, &mut upstream] {
        peer.send_close(1001, "");
    }
    client.hear_end();
    drop((client, upstream));
    assert_eq!(host.outcome(), Ok(()));
}

fn drain(host: &Host) {
    host.proxy.drain(1001, "going down").unwrap();
}

/// Frames until a close, which must be the last.
fn hear_until_close(peer: &mut Peer) -> (Vec<Heard>, Heard) {
    let mut heard = Vec::new();
    loop {
        match peer.hear() {
            close if close.opcode == CLOSE => return (heard, close),
            frame => heard.push(frame),
        }
    }
}

#[test]
fn both_sides_of_an_idle_session_hear_the_close_at_once() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        support::host::talk(&mut client, &mut upstream);
        thread::sleep(A_WHILE);
        let started = Instant::now();
        drain(&host);
        both_hear_the_close(client, upstream, &host);
        assert!(started.elapsed() < PROMPT, "{policy:?}: {:?}", started.elapsed());
    });
}

#[test]
fn a_reason_that_is_too_long_is_refused_and_nothing_drains() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        let refused = host.proxy.drain(1001, &"r".repeat(124)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Argument);
        support::host::talk(&mut client, &mut upstream);
    });
}

#[test]
fn a_message_under_way_is_finished_before_either_side_hears_the_close() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"first ");
            to.expect(false, TEXT, b"first ");
            drain(&host);
            let mut talker = to.twin();
            let talking = thread::spawn(move || {
                (0..100).for_each(|_| {
                    talker.send_text("busy");
                    thread::sleep(Duration::from_millis(1));
                });
            });
            for i in 0..50u8 {
                from.send(false, CONTINUATION, &[b'a' + i % 26; 9]);
                to.expect(false, CONTINUATION, &[b'a' + i % 26; 9]);
            }
            talking.join().unwrap();
            to.hear_nothing_for(A_WHILE);
            assert!(!host.has_ended());
            from.send(true, CONTINUATION, b"last");
            to.expect(true, CONTINUATION, b"last");
            // Of the other direction some may have crossed before the drain was heard of: whole messages.
            let (heard, close) = hear_until_close(&mut from);
            assert!(heard.iter().all(|frame| frame.fin && frame.payload == b"busy"));
            assert_eq!(close.close(), (Some(1001), "going down".into()));
            assert_eq!(to.hear_close(), (Some(1001), "going down".into()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn with_messages_under_way_both_ways_the_close_waits_for_the_end_of_both() {
    on_every_policy(|policy| {
        for first in SIDES {
            let (mut one, mut two, host) = session_from(first, config(policy, |_| {}), pass);
            one.send(false, BINARY, b"1a");
            two.send(false, TEXT, b"2a");
            two.expect(false, BINARY, b"1a");
            one.expect(false, TEXT, b"2a");
            drain(&host);
            one.send(false, CONTINUATION, b"1b");
            two.expect(false, CONTINUATION, b"1b");
            one.send(true, CONTINUATION, b"1c");
            two.expect(true, CONTINUATION, b"1c");
            one.send_text("one more");
            two.hear_nothing_for(A_WHILE);
            one.hear_nothing_for(A_WHILE);
            two.send(false, CONTINUATION, b"2b");
            one.expect(false, CONTINUATION, b"2b");
            two.send(true, CONTINUATION, b"2c");
            one.expect(true, CONTINUATION, b"2c");
            let (client, upstream) = in_order(first, one, two);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn pings_and_pongs_cross_while_one_direction_waits_for_the_other() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"a");
            to.expect(false, TEXT, b"a");
            drain(&host);
            thread::sleep(Duration::from_millis(10));
            for i in 0..20 {
                from.send(true, PING, &[i]);
                to.expect(true, PING, &[i]);
                to.send_text("dropped");
                to.send(true, PONG, &[i]);
                from.expect(true, PONG, &[i]);
            }
            host.send(side, Kind::Ping, b"of the host's").unwrap();
            from.expect(true, PING, b"of the host's");
            from.send(true, CONTINUATION, b"b");
            to.expect(true, CONTINUATION, b"b");
            let (client, upstream) = in_order(side, from, to);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn messages_that_begin_after_the_drain_are_not_shown_to_the_hook() {
    on_every_policy(|policy| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), move |frame| {
            notes.lock().unwrap().push(frame.payload().to_vec());
            Verdict::Forward
        });
        client.send(false, TEXT, b"begun");
        upstream.expect(false, TEXT, b"begun");
        drain(&host);
        thread::sleep(A_WHILE);
        upstream.send_text("late");
        client.hear_nothing_for(A_WHILE);
        client.send_bytes(
            &[client.frame(true, CONTINUATION, b"end"), client.frame(true, TEXT, b"too late")]
                .concat(),
        );
        upstream.expect(true, CONTINUATION, b"end");
        both_hear_the_close(client, upstream, &host);
        assert_eq!(*seen.lock().unwrap(), [b"begun".to_vec(), b"end".to_vec()], "{policy:?}");
    });
}

#[test]
fn a_message_of_which_the_hook_has_let_nothing_pass_has_not_begun() {
    on_every_policy(|policy| {
        for side in SIDES {
            let seen = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&seen);
            let (mut from, to, host) = session_from(side, config(policy, |_| {}), move |frame| {
                count.fetch_add(1, Ordering::SeqCst);
                if frame.kind() == Kind::Close {
                    Verdict::Forward
                } else {
                    Verdict::Drop
                }
            });
            from.send(false, TEXT, b"a");
            wait_until("the hook saw it", || seen.load(Ordering::SeqCst) == 1);
            drain(&host);
            let (client, upstream) = in_order(side, from, to);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn a_message_whose_last_fragment_the_hook_drops_is_ended_all_the_same() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), |frame| {
            if frame.payload() == b"drop" {
                Verdict::Drop
            } else {
                Verdict::Forward
            }
        });
        client.send(false, BINARY, b"begun");
        upstream.expect(false, BINARY, b"begun");
        drain(&host);
        client.send(false, CONTINUATION, b"drop");
        client.send(true, CONTINUATION, b"drop");
        upstream.expect(true, CONTINUATION, b"");
        both_hear_the_close(client, upstream, &host);
    });
}

#[test]
fn half_a_message_that_is_still_being_joined_has_not_begun() {
    on_every_policy(|policy| {
        for side in SIDES {
            let config = config(policy, |c| {
                c.aggregate(side, true);
            });
            let (mut from, mut to, host) = session_from(side, config, pass);
            from.send(false, TEXT, b"half of it");
            from.send(true, PING, b"behind it");
            to.expect(true, PING, b"behind it");
            drain(&host);
            let (client, upstream) = in_order(side, from, to);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn a_session_drained_before_connect_connects_and_ends_when_execute_begins() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.drain(1001, "going down")?;
            let mut early = request("/", "").into_bytes();
            early.extend(frame(true, TEXT, b"early", Some([1, 2, 3, 4])));
            proxy.connect(Client::new(client).with_head(early), &url)?;
            proxy.execute(|frame| match frame.kind() {
                Kind::Close => Verdict::Forward,
                _ => panic!("the session was drained"),
            })
        });
        let mut client = host.tcp();
        support::peer::prepare(&client);
        let upstream = listener.accept();
        assert!(support::peer::read_head(&mut client).starts_with("HTTP/1.1 101 "));
        both_hear_the_close(Peer::upgraded_client(client), upstream, &host);
    });
}

#[test]
fn a_drain_while_the_upstream_is_asked_does_not_disturb_the_handshake() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let addr = host.addr;
        let client = thread::spawn(move || Peer::connect(addr));
        let (mut upstream, head) = http::asked(&listener);
        drain(&host);
        thread::sleep(A_WHILE);
        let mut client_is_in = http::good_answer(&head, "").into_bytes();
        client_is_in.extend(frame(true, PING, b"", None));
        std::io::Write::write_all(&mut upstream, &client_is_in).unwrap();
        let mut client = client.join().unwrap();
        let (_, close) = hear_until_close(&mut client);
        assert_eq!(close.close(), (Some(1001), "going down".into()));
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn a_session_drained_between_connect_and_execute_delivers_the_hosts_frames_first() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            for side in SIDES {
                proxy.send(side, Kind::Text, b"goodbye")?;
            }
            proxy.drain(1001, "going down")?;
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        assert_eq!(client.hear_text(), "goodbye");
        assert_eq!(upstream.hear_text(), "goodbye");
        both_hear_the_close(client, upstream, &host);
    });
}

#[test]
fn frames_of_the_hosts_sent_before_the_drain_arrive_before_the_close() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        host.send(Side::Client, Kind::Text, b"0").unwrap();
        client.expect(true, TEXT, b"0");
        // Pings cross meanwhile, so that the relaying threads place some of the frames and some are placed by others.
        let pings = [0, 1].map(|side| {
            let mut peer = [&client, &upstream][side].twin();
            thread::spawn(move || {
                let ping = peer.frame(true, PING, b"");
                while peer.try_send_bytes(&ping).is_ok() {
                    thread::yield_now();
                }
            })
        });
        for i in 0..1_000u32 {
            for side in SIDES {
                host.send(side, Kind::Binary, &i.to_be_bytes()).unwrap();
            }
        }
        drain(&host);
        for peer in [&mut client, &mut upstream] {
            let (heard, close) = hear_until_close(peer);
            let of_host = heard.iter().filter(|frame| frame.opcode == BINARY);
            let numbers =
                of_host.map(|frame| u32::from_be_bytes(frame.payload[..].try_into().unwrap()));
            assert!(numbers.eq(0..1_000), "{policy:?}");
            assert_eq!(close.close(), (Some(1001), "going down".into()));
            peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
        }
        pings.into_iter().for_each(|pings| pings.join().unwrap());
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn data_of_the_hosts_that_waits_for_the_end_of_a_message_goes_before_the_close() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"a");
            to.expect(false, TEXT, b"a");
            host.send(side.other(), Kind::Text, b"waits").unwrap();
            drain(&host);
            to.hear_nothing_for(A_WHILE);
            from.send(true, CONTINUATION, b"b");
            to.expect(true, CONTINUATION, b"b");
            to.expect(true, TEXT, b"waits");
            let (client, upstream) = in_order(side, from, to);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn stop_ends_at_once_what_still_drains_with_its_own_close() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"a");
            to.expect(false, TEXT, b"a");
            drain(&host);
            to.hear_nothing_for(A_WHILE);
            host.proxy.stop(4001, "now").unwrap();
            for peer in [&mut from, &mut to] {
                assert_eq!(peer.hear_close(), (Some(4001), "now".into()));
            }
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn the_first_drain_counts_and_one_after_stop_or_after_the_end_does_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send(false, TEXT, b"a");
        upstream.expect(false, TEXT, b"a");
        host.proxy.drain(4001, "first").unwrap();
        host.proxy.drain(4002, "second").unwrap();
        client.send(true, CONTINUATION, b"b");
        upstream.expect(true, CONTINUATION, b"b");
        assert_eq!(client.hear_close(), (Some(4001), "first".into()));
        assert_eq!(upstream.hear_close(), (Some(4001), "first".into()));
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(host.proxy.drain(4003, "late"), Ok(()));

        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        host.proxy.stop(4001, "stop").unwrap();
        host.proxy.drain(4002, "drain").unwrap();
        assert_eq!(client.hear_close(), (Some(4001), "stop".into()));
        assert_eq!(upstream.hear_close(), (Some(4001), "stop".into()));
    });
}

#[test]
fn what_a_slow_hook_has_let_pass_arrives_and_nothing_else_is_shown_to_it() {
    on_every_policy(|policy| {
        let passed = Arc::new(Mutex::new([0, 0]));
        let count = Arc::clone(&passed);
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), move |frame| {
            thread::sleep(Duration::from_millis(5));
            if frame.kind() == Kind::Binary {
                count.lock().unwrap()[frame.from() as usize] += 1;
            }
            Verdict::Forward
        });
        for peer in [&mut client, &mut upstream] {
            peer.send_bytes(&peer.frame(true, BINARY, b"x").repeat(200));
        }
        wait_until("the hook is at work", || passed.lock().unwrap().iter().sum::<usize>() > 5);
        let started = Instant::now();
        drain(&host);
        let heard = [&mut upstream, &mut client].map(|peer| {
            let (heard, close) = hear_until_close(peer);
            assert_eq!(close.close(), (Some(1001), "going down".into()));
            heard.len()
        });
        assert!(started.elapsed() < PROMPT, "{policy:?}: {:?}", started.elapsed());
        drop((client, upstream));
        assert_eq!(host.outcome(), Ok(()));
        assert_eq!(heard, *passed.lock().unwrap(), "{policy:?}");
        assert!(heard.iter().sum::<usize>() < 200, "{policy:?}: {heard:?}");
    });
}

#[test]
fn a_drain_from_inside_the_hook_lets_the_frame_pass_and_then_closes() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (client, upstream, host) = session_with(config(policy, |_| {}), |proxy, frame| {
                if frame.payload() == b"drain" {
                    proxy.drain(1001, "going down").unwrap();
                }
                Verdict::Forward
            });
            let (mut from, mut to) = in_order(side, client, upstream);
            from.send(false, TEXT, b"drain");
            to.expect(false, TEXT, b"drain");
            to.hear_nothing_for(A_WHILE);
            from.send(true, CONTINUATION, b".");
            to.expect(true, CONTINUATION, b".");
            let (client, upstream) = in_order(side, from, to);
            both_hear_the_close(client, upstream, &host);
        }
    });
}

#[test]
fn a_side_that_closes_by_itself_while_held_goes_through_its_own_handshake() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            to.send(false, TEXT, b"begun ");
            from.expect(false, TEXT, b"begun ");
            drain(&host);
            thread::sleep(Duration::from_millis(10));
            from.send_close(4000, "my own");
            assert_eq!(to.hear_close(), (Some(4000), "my own".into()));
            to.send(true, CONTINUATION, b"ended");
            from.expect(true, CONTINUATION, b"ended");
            to.send_close(4004, "its answer");
            assert_eq!(from.hear_close(), (Some(4004), "its answer".into()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn a_side_that_closes_in_mid_message_while_held_goes_through_its_own_handshake() {
    on_every_policy(|policy| {
        for side in SIDES {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            from.send(false, TEXT, b"begun ");
            to.expect(false, TEXT, b"begun ");
            drain(&host);
            from.send_close(4000, "never mind");
            assert_eq!(to.hear_close(), (Some(4000), "never mind".into()));
            to.send_close(4000, "");
            assert_eq!(from.hear_close(), (Some(4000), String::new()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn a_side_that_vanishes_while_the_session_drains_is_an_error_as_ever() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send(false, TEXT, b"begun ");
        upstream.expect(false, TEXT, b"begun ");
        drain(&host);
        drop(client);
        assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
        drop(upstream);
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Gone);
    });
}

#[test]
fn a_message_that_a_slow_reader_has_not_taken_yet_arrives_before_the_close() {
    const LARGE: usize = 12 << 20;
    on_every_policy(|policy| {
        for side in SIDES {
            let seen = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&seen);
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Verdict::Forward
            });
            let mut sender = from.twin();
            let sending = thread::spawn(move || {
                let bytes = sender.frame(true, BINARY, &vec![7; LARGE]);
                sender.try_send_bytes(&bytes).unwrap();
            });
            wait_until("the hook has seen it", || seen.load(Ordering::SeqCst) == 1);
            drain(&host);
            // The one side is told although the other has not taken everything yet.
            assert_eq!(from.hear_close(), (Some(1001), "going down".into()), "{policy:?}");
            to.expect(true, BINARY, &vec![7; LARGE]);
            assert_eq!(to.hear_close(), (Some(1001), "going down".into()), "{policy:?}");
            sending.join().unwrap();
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}
