//! Messages under way: they are finished, and none begins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Kind, Verdict};

use super::support::host::{config, pass, session, session_from};
use super::support::offence::{in_order, PROMPT};
use super::support::peer::{BINARY, CONTINUATION, PING, PONG, TEXT};
use super::support::{on_every_policy, wait_until};
use super::{both_hear_the_close, drain, hear_until_close, A_WHILE, SIDES};

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
