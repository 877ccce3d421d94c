//! What the hook may do with a frame, on every driver: whatever it is, both peers see a legal stream.

mod support;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use support::host::{config, part, session, session_from};
use support::on_every_policy;
use support::peer::{Peer, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use wsproxy::{Close, Error, ErrorKind, Fault, Frame, Kind, Side, Verdict};

fn close(code: u16, reason: &str) -> Close {
    Close::new(code, reason).unwrap()
}

/// Sends a text message of these fragments, then a whole one.
fn send_message(peer: &mut Peer, fragments: &[&str]) {
    for (i, fragment) in fragments.iter().enumerate() {
        let opcode = if i == 0 { TEXT } else { CONTINUATION };
        peer.send(i + 1 == fragments.len(), opcode, fragment.as_bytes());
    }
    peer.send_text("next");
}

/// A hook that drops the frames with these payloads.
fn dropping(payloads: &'static [&'static str]) -> impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync {
    move |frame| match payloads.iter().any(|payload| payload.as_bytes() == frame.payload()) {
        true => Verdict::Drop,
        false => Verdict::Forward,
    }
}

#[test]
fn a_replaced_payload_arrives_whatever_its_length() {
    let long = "x".repeat(70_000);
    let replacements = ["", "same", "shorter or longer", &long];
    on_every_policy(|policy| {
        for side in Side::BOTH {
            for new in replacements {
                let copy = new.to_owned();
                let (mut from, mut to, host) =
                    session_from(side, config(policy, |_| {}), move |frame| {
                        if frame.kind() != Kind::Close {
                            frame.set_payload(copy.as_bytes()).unwrap();
                            assert_eq!(frame.payload(), copy.as_bytes());
                        }
                        Verdict::Forward
                    });
                send_message(&mut from, &["from", "till"]);
                to.expect(false, TEXT, new.as_bytes());
                to.expect(true, CONTINUATION, new.as_bytes());
                to.expect(true, TEXT, new.as_bytes());
                part(from, to, &host);
                let stats = host.stats();
                assert_eq!(stats.client.replaced + stats.upstream.replaced, 3);
            }
        }
    });
}

#[test]
fn a_message_without_its_dropped_fragments_is_still_a_message() {
    type Case = (&'static [&'static str], &'static [(bool, u8, &'static str)]);
    let cases: [Case; 6] = [
        (&["a"], &[(false, TEXT, "b"), (true, CONTINUATION, "c")]),
        (&["b"], &[(false, TEXT, "a"), (true, CONTINUATION, "c")]),
        (&["c"], &[(false, TEXT, "a"), (false, CONTINUATION, "b"), (true, CONTINUATION, "")]),
        (&["a", "b"], &[(true, TEXT, "c")]),
        (&["b", "c"], &[(false, TEXT, "a"), (true, CONTINUATION, "")]),
        (&["a", "b", "c"], &[]),
    ];
    on_every_policy(|policy| {
        for side in Side::BOTH {
            for (dropped, expected) in cases {
                let hook = dropping(dropped);
                let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), hook);
                send_message(&mut from, &["a", "b", "c"]);
                for (fin, opcode, payload) in expected {
                    to.expect(*fin, *opcode, payload.as_bytes());
                }
                to.expect(true, TEXT, b"next");
                part(from, to, &host);
                let stats = host.stats();
                assert_eq!(stats.client.dropped + stats.upstream.dropped, dropped.len() as u64);
            }
        }
    });
}

#[test]
fn a_dropped_message_or_control_frame_leaves_no_trace() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let hook = dropping(&["drop me"]);
            let (mut from, mut to, _host) = session_from(side, config(policy, |_| {}), hook);
            from.send(false, BINARY, b"1");
            for opcode in [PING, PONG] {
                from.send(true, opcode, b"drop me");
            }
            from.send(true, CONTINUATION, b"2");
            from.send_text("drop me");
            from.send(true, PING, b"kept");
            to.expect(false, BINARY, b"1");
            to.expect(true, CONTINUATION, b"2");
            to.expect(true, PING, b"kept");
        }
    });
}

#[test]
fn a_verdict_that_ends_the_session_tells_each_side_its_own_code() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut from, mut to, host) =
                session_from(side, config(policy, |_| {}), |frame| match frame.payload() {
                    b"end" => Verdict::End {
                        client: close(4001, "dear client"),
                        upstream: close(4002, "dear upstream"),
                    },
                    _ => Verdict::Forward,
                });
            for text in ["before", "end", "after"] {
                from.send_text(text);
            }
            assert_eq!(to.hear_text(), "before");
            let (mut its, mut others) = (from.hear_close(), to.hear_close());
            if side == Side::Upstream {
                std::mem::swap(&mut its, &mut others);
            }
            assert_eq!(its, (Some(4001), "dear client".into()));
            assert_eq!(others, (Some(4002), "dear upstream".into()));
            drop((from, to));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

/// Both sides hear 1011, and `execute` returns the hook's failure.
fn fails(hook: fn(&mut Frame<'_>) -> Verdict, words: &str) {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), hook);
            from.send_text("fail");
            assert_eq!(from.hear_close(), (Some(1011), String::new()));
            assert_eq!(to.hear_close(), (Some(1011), String::new()));
            drop((from, to));
            let error = host.outcome().unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Hook, Fault::Host));
            assert_eq!(error.message(), words);
        }
    });
}

#[test]
fn a_hook_that_fails_ends_the_session_with_1011_for_both() {
    fails(|_| Verdict::Failed("no such user".into()), "no such user");
}

#[test]
fn a_hook_that_panics_ends_the_session_with_1011_for_both() {
    fails(|_| panic!("boom"), "the hook panicked: boom");
    fails(|frame| panic!("boom {}", frame.payload().len()), "the hook panicked: boom 4");
}

#[test]
fn what_the_hook_leaves_of_a_text_must_be_utf_8() {
    on_every_policy(|policy| {
        // Without its first half, the second half of a character is none.
        let (mut client, mut upstream, host) =
            session(config(policy, |_| {}), |frame| match frame.fin() {
                true => Verdict::Forward,
                false => Verdict::Drop,
            });
        client.send(false, TEXT, b"\xc3");
        client.send(true, CONTINUATION, b"\xb6");
        assert_eq!(client.hear_close().0, Some(1011));
        assert_eq!(upstream.hear_close().0, Some(1011));
        drop((client, upstream));
        let error = host.outcome().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Hook);
        assert_eq!(error.message(), "what the hook left of this message is not UTF-8");
    });
}

#[test]
fn what_would_be_illegal_is_refused_to_the_hook_and_changes_nothing() {
    on_every_policy(|policy| {
        let refused = Arc::new(Mutex::new(Vec::<Error>::new()));
        let seen = Arc::clone(&refused);
        let (mut client, mut upstream, _host) = session(config(policy, |_| {}), move |frame| {
            let outcome = match frame.kind() {
                Kind::Ping => frame.set_payload(&[0; 126]),
                Kind::Pong => frame.set_code(Some(1000)),
                Kind::Text => frame.set_payload(b"\xff"),
                Kind::Close if frame.from() == Side::Client => frame.set_payload(&[b'r'; 124]),
                Kind::Close => frame.set_payload(b"\xff"),
                Kind::Binary | Kind::Continuation => frame.set_payload(b"\xff"), // legal in binary
            };
            seen.lock().unwrap().extend(outcome.err());
            Verdict::Forward
        });
        for (opcode, payload) in [(PING, "ping"), (PONG, "pong"), (TEXT, "text")] {
            client.send(true, opcode, payload.as_bytes());
            upstream.expect(true, opcode, payload.as_bytes());
        }
        client.send(true, BINARY, b"x");
        upstream.expect(true, BINARY, b"\xff");
        client.send_close(4001, "reason");
        assert_eq!(upstream.hear_close(), (Some(4001), "reason".into()));
        upstream.send_close(4002, "answer");
        assert_eq!(client.hear_close(), (Some(4002), "answer".into()));
        let refused = refused.lock().unwrap();
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::Argument));
        let words: Vec<&str> = refused.iter().map(Error::message).collect();
        assert_eq!(
            words,
            [
                "the payload of a control frame of 126 bytes is longer than 125",
                "a pong frame has no close code",
                "the payload of a text message must be UTF-8",
                "a close reason of 124 bytes is longer than 123",
                "a close reason must be UTF-8",
            ]
        );
    });
}

#[test]
fn the_hook_may_change_code_and_reason_of_a_close() {
    type Change = fn(&mut Frame<'_>);
    let cases: [(Change, &[u8]); 7] = [
        (|frame| frame.set_code(Some(4005)).unwrap(), b"\x0f\xa5reason"),
        (|frame| frame.set_payload(b"changed").unwrap(), b"\x0f\xa1changed"),
        (|frame| frame.set_payload(b"").unwrap(), b"\x0f\xa1"),
        (|frame| frame.set_code(None).unwrap(), b""),
        (|frame| frame.set_code(Some(1005)).unwrap(), b""),
        (|frame| frame.set_code(Some(1006)).unwrap(), b"\x03\xf3reason"),
        (|frame| frame.set_code(Some(65_535)).unwrap(), b"\x03\xf3reason"),
    ];
    on_every_policy(|policy| {
        for side in Side::BOTH {
            for (change, expected) in cases {
                let (mut from, mut to, _host) =
                    session_from(side, config(policy, |_| {}), move |frame| {
                        assert_eq!((frame.kind(), frame.code()), (Kind::Close, Some(4001)));
                        assert_eq!(frame.payload(), b"reason");
                        change(frame);
                        Verdict::Forward
                    });
                from.send_close(4001, "reason");
                to.expect(true, CLOSE, expected);
            }
        }
    });
}

#[test]
fn a_close_without_code_is_told_apart_from_any_number_and_may_be_given_one() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, _host) = session(config(policy, |_| {}), |frame| {
            assert_eq!((frame.code(), frame.payload()), (None, &b""[..]));
            frame.set_code(Some(1001)).unwrap();
            frame.set_payload(b"why not").unwrap();
            Verdict::Forward
        });
        client.send(true, CLOSE, b"");
        assert_eq!(upstream.hear_close(), (Some(1001), "why not".into()));
    });
}

#[test]
fn every_frame_reaches_the_hook_once_and_in_order() {
    const COUNT: u32 = 2000;
    on_every_policy(|policy| {
        let seen = Arc::new(Mutex::new([Vec::new(), Vec::new()]));
        let record = Arc::clone(&seen);
        let (client, upstream, host) = session(config(policy, |_| {}), move |frame| {
            if frame.kind() == Kind::Binary {
                let number = u32::from_be_bytes(frame.payload().try_into().unwrap());
                record.lock().unwrap()[(frame.from() == Side::Upstream) as usize].push(number);
            }
            Verdict::Forward
        });
        std::thread::scope(|scope| {
            for peer in [&client, &upstream] {
                let (mut sends, mut hears) = (peer.twin(), peer.twin());
                scope.spawn(move || {
                    (0..COUNT).for_each(|i| sends.send(true, BINARY, &i.to_be_bytes()));
                });
                scope.spawn(move || {
                    (0..COUNT).for_each(|i| hears.expect(true, BINARY, &i.to_be_bytes()));
                });
            }
        });
        part(client, upstream, &host);
        let expected: Vec<u32> = (0..COUNT).collect();
        assert!(seen.lock().unwrap().iter().all(|numbers| *numbers == expected));
    });
}

#[test]
fn an_aggregated_message_reaches_the_hook_as_one() {
    on_every_policy(|policy| {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let config = config(policy, |c| {
            c.aggregate(Side::Client, true);
        });
        let (mut client, mut upstream, _host) = session(config, move |frame| {
            let seen = (frame.kind(), frame.fin(), frame.payload().to_vec());
            tell.lock().unwrap().send(seen).unwrap();
            frame.set_payload(&frame.payload().to_ascii_uppercase()).unwrap();
            Verdict::Forward
        });
        send_message(&mut client, &["to", "ge", "ther"]);
        assert_eq!(told.recv().unwrap(), (Kind::Text, true, b"together".to_vec()));
        upstream.expect(true, TEXT, b"TOGETHER");
        upstream.expect(true, TEXT, b"NEXT");
    });
}
