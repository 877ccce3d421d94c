//! The end of a session, however it comes, on every driver: who hears what, when, and what `execute` says.
//!
//! "At once" is proved against the default close timeout of ten seconds.

mod support;

use std::time::Duration;

use support::host::{config, meet, pass, session, session_from, Host};
use support::peer::{Listener, BINARY, CLOSE, TEXT};
use support::{has_passed, on_every_policy, POLICIES};
use wsproxy::{Client, ErrorKind, Fault, Kind, Side, Verdict};

const AT_ONCE: Duration = Duration::from_secs(5);

/// What the other side hears when this one is lost.
fn lost(side: Side) -> (Option<u16>, String) {
    let code = match side {
        Side::Client => 1001,
        Side::Upstream => 1011,
    };
    (Some(code), String::new())
}

fn fault(side: Side) -> Fault {
    match side {
        Side::Client => Fault::Client,
        Side::Upstream => Fault::Upstream,
    }
}

#[test]
fn a_close_crosses_with_code_and_reason_and_so_does_its_answer() {
    for policy in POLICIES {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send_close(4001, "enough");
        assert_eq!(upstream.hear_close(), (Some(4001), "enough".into()));
        upstream.send_close(4002, "so be it");
        assert_eq!(client.hear_close(), (Some(4002), "so be it".into()));
        client.hear_end();
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    }
}

#[test]
fn every_legal_close_arrives_as_it_was_sent_from_either_side() {
    let longest = "x".repeat(123);
    let codes = [(1000, ""), (1003, "größe"), (1014, "bad gateway"), (3000, "r"), (4999, &longest)];
    let with_code =
        codes.map(|(code, reason): (u16, &str)| [&code.to_be_bytes(), reason.as_bytes()].concat());
    on_every_policy(|policy| {
        for side in Side::BOTH {
            for body in with_code.iter().chain([&Vec::new()]) {
                let (mut first, mut second, host) =
                    session_from(side, config(policy, |_| {}), pass);
                first.send(true, CLOSE, body);
                second.expect(true, CLOSE, body);
                second.send(true, CLOSE, body);
                first.expect(true, CLOSE, body);
                drop((first, second));
                assert_eq!(host.outcome(), Ok(()), "{policy:?} {side} {body:?}");
            }
        }
    });
}

#[test]
fn two_closes_at_once_cross() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send_close(4001, "mine");
        upstream.send_close(4002, "no, mine");
        assert_eq!(upstream.hear_close(), (Some(4001), "mine".into()));
        assert_eq!(client.hear_close(), (Some(4002), "no, mine".into()));
        client.hear_end();
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn a_client_that_sends_nothing_after_its_close_still_hears_what_comes_before_the_answer() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send_close(1000, "");
        client.shutdown();
        assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
        upstream.hear_nothing_for(Duration::from_millis(50)); // time to mistake the end for a loss
        upstream.send_text("the rest");
        upstream.send_close(1000, "bye");
        assert_eq!(client.hear_text(), "the rest");
        assert_eq!(client.hear_close(), (Some(1000), "bye".into()));
        client.hear_end();
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()));
    });
}

#[test]
fn nothing_after_a_close_is_forwarded() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut first, mut second, host) = session_from(side, config(policy, |_| {}), pass);
            let close = first.frame(true, CLOSE, &1000u16.to_be_bytes());
            let late = first.frame(true, TEXT, b"late");
            first.send_bytes(&[close, late].concat());
            assert_eq!(second.hear_close(), (Some(1000), String::new()));
            let later = first.frame(true, BINARY, &[7; 100]);
            first.send_bytes(&later);
            second.hear_nothing_for(Duration::from_millis(30));
            second.send_close(1000, "");
            assert_eq!(first.hear_close(), (Some(1000), String::new()));
            drop((first, second));
            assert_eq!(host.outcome(), Ok(()));
            let stats = host.stats();
            assert_eq!(
                (stats.client.frames.iter().sum(), stats.upstream.frames.iter().sum()),
                (1u64, 1u64)
            );
        }
    });
}

#[test]
fn what_the_other_side_still_sends_before_its_own_close_is_forwarded() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut first, mut second, host) = session_from(side, config(policy, |_| {}), pass);
            first.send_close(1000, "");
            second.hear_close();
            for text in ["one more", "and another"] {
                second.send_text(text);
                assert_eq!(first.hear_text(), text);
            }
            second.send(false, TEXT, b"in ");
            second.send(true, 0, b"parts");
            first.expect(false, TEXT, b"in ");
            first.expect(true, 0, b"parts");
            second.send_close(1000, "");
            first.hear_close();
            drop((first, second));
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn a_close_that_the_hook_drops_ends_the_session_after_the_close_timeout() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let close_timeout = Duration::from_millis(400);
            let config = config(policy, |c| {
                c.close_timeout(close_timeout).unwrap();
            });
            let (mut first, mut second, host) =
                session_from(side, config, |frame| match frame.kind() {
                    Kind::Close => Verdict::Drop,
                    _ => Verdict::Forward,
                });
            let (_, took) = first.timed(|first| {
                first.send_close(4001, "dropped");
                second.send_text("meanwhile");
                assert_eq!(first.hear_text(), "meanwhile");
                assert_eq!(first.hear_close(), (Some(4001), "dropped".into()));
                first.hear_end();
            });
            assert!(has_passed(close_timeout, took), "{took:?}");
            assert_eq!(second.hear_close(), lost(side));
            second.hear_end();
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn the_client_is_let_go_at_once_and_an_upstream_that_never_closes_after_the_close_timeout() {
    on_every_policy(|policy| {
        let close_timeout = Duration::from_secs(1);
        for first_to_close in Side::BOTH {
            let config = config(policy, |c| {
                c.close_timeout(close_timeout).unwrap();
            });
            let (mut client, mut upstream, host) = session(config, pass);
            let (_, took) = upstream.timed(|upstream| {
                let (first, second) = match first_to_close {
                    Side::Client => (&mut client, &mut *upstream),
                    Side::Upstream => (&mut *upstream, &mut client),
                };
                first.send_close(1000, "");
                second.hear_close();
                second.send_close(1000, "");
                first.hear_close();
                client.hear_end();
                assert!(!host.has_ended(), "it waits for the upstream");
                upstream.hear_end();
            });
            assert!(has_passed(close_timeout, took), "{took:?}");
            assert_eq!(host.outcome(), Ok(()));
        }
    });
}

#[test]
fn a_side_that_never_answers_a_close_is_at_fault() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let config = config(policy, |c| {
                c.close_timeout(Duration::from_millis(200)).unwrap();
            });
            let (mut silent, mut closing, host) = session_from(side, config, pass);
            closing.send_close(1000, "");
            silent.hear_close();
            assert_eq!(closing.hear_close(), lost(side));
            closing.hear_end();
            silent.hear_end();
            let error = host.outcome().unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Timeout, fault(side)));
            assert_eq!(error.message(), "did not answer a close frame within 200 ms");
        }
    });
}

#[test]
fn the_client_sees_the_end_though_the_host_holds_its_own_copy_of_the_descriptor() {
    use std::os::fd::AsRawFd;
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let (lend, lent) = std::sync::mpsc::channel();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            let duplicate = Client::duplicate_of(client.as_raw_fd())?;
            lend.send(client).unwrap();
            proxy.connect(duplicate, &url)?;
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        let held_by_the_host = lent.recv().unwrap();
        let (_, took) = client.timed(|client| {
            upstream.send_close(1000, "");
            client.hear_close();
            client.send_close(1000, "");
            client.hear_end();
        });
        assert!(took < AT_ONCE, "{took:?}");
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()));
        drop(held_by_the_host);
    });
}

#[test]
fn stats_tell_the_close_codes_and_who_was_first() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut first, mut second, host) = session_from(side, config(policy, |_| {}), pass);
            first.send_close(4001, "a");
            second.hear_close();
            second.send(true, CLOSE, b"");
            first.hear_close();
            drop((first, second));
            assert_eq!(host.outcome(), Ok(()));
            let stats = host.stats();
            let (its, others) = match side {
                Side::Client => (stats.client, stats.upstream),
                Side::Upstream => (stats.upstream, stats.client),
            };
            assert_eq!(stats.first_close, Some(side));
            assert_eq!((its.close_received, its.close_sent), (Some(Some(4001)), Some(None)));
            assert_eq!((others.close_received, others.close_sent), (Some(None), Some(Some(4001))));
        }
    });
}

#[test]
fn an_upstream_that_stops_sending_behind_its_close_still_hears_the_answer() {
    for policy in POLICIES {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        upstream.send_close(1000, "bye");
        upstream.shutdown();
        assert_eq!(client.hear_close(), (Some(1000), "bye".into()));
        client.send_text("one more thing");
        assert_eq!(upstream.hear_text(), "one more thing");
        client.send_close(1000, "");
        assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
        upstream.hear_end();
        client.hear_end();
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    }
}
