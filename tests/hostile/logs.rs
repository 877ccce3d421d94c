//! Credentials and payloads that turn up in logs, errors, or what is shown for debugging.

use std::io::Write;
use std::sync::Mutex;
use std::thread;

use wsproxy::{Admission, Client, ErrorKind, Kind, Policy, Side, Verdict};

use super::guard::watched;
use super::support::host::{config, pass, session, Host};
use super::support::http::{ask, asked, connect, hear_all, status};
use super::support::http_proxy::HttpProxy;
use super::support::offence::legal;
use super::support::peer::{request, Listener, Peer, TEXT};
use super::support::POLICIES;

/// A part of everything that must stay secret here.
const SECRET: &str = "s3cr3t";

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Runs `body` with every line of every level collected; none may hold the secret.
fn collected(body: impl FnOnce() + Send) {
    watched(|| {
        let _ = log::set_logger(&Collector); // only the first time
        log::set_max_level(log::LevelFilter::Trace);
        log::trace!("the collector collects");
        body();
        log::set_max_level(log::LevelFilter::Off);
        let lines = std::mem::take(&mut *LINES.lock().unwrap());
        assert!(lines.iter().any(|line| line.contains("the collector collects")));
        for line in lines {
            assert!(!line.contains(SECRET), "{line}");
        }
    });
}

fn keeps_silent(shown: &dyn std::fmt::Debug, words: &str) {
    let shown = format!("{shown:?} {words}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn a_session_logs_and_shows_no_credential_and_no_payload() {
    collected(|| {
        for policy in POLICIES {
            let config = config(policy, |config| {
                config.set_header("X-Api-Key", b"s3cr3t-key").unwrap();
                config.allow_origin("https://good.com").unwrap();
            });
            keeps_silent(&config, "");
            let listener = Listener::bind();
            let url = format!("{}/path?token=s3cr3t-url", listener.url());
            let host = Host::start(config, &url, |frame| {
                keeps_silent(&(frame.kind(), frame.from()), "");
                match frame.payload().starts_with(b"fail") {
                    true => Verdict::Failed("failed".into()),
                    false => Verdict::Forward,
                }
            });
            let addr = host.addr;
            let client = thread::spawn(move || {
                let more = "Authorization: Bearer s3cr3t\r\nCookie: sid=s3cr3t\r\nOrigin: https://good.com\r\n\
                    Proxy-Authorization: Basic s3cr3t\r\nSec-WebSocket-Protocol: s3cr3t-proto\r\n";
                Peer::connect_with(addr, &request("/c?token=s3cr3t-target", more))
            });
            let mut upstream = listener.accept();
            let mut client = client.join().unwrap();
            assert!(
                upstream.head.contains("Bearer s3cr3t") && upstream.head.contains("s3cr3t-key")
            );
            client.send_text("s3cr3t payload");
            assert!(upstream.hear_text().contains(SECRET));
            host.proxy.send(Side::Client, Kind::Text, b"s3cr3t of the host's").unwrap();
            assert!(client.hear_text().contains(SECRET));
            upstream.send_close(1000, "s3cr3t reason");
            assert!(client.hear_close().1.contains(SECRET));
            client.send_close(1000, "s3cr3t answer");
            upstream.hear_close();
            drop((client, upstream));
            keeps_silent(&host.outcome(), "");
            keeps_silent(&host.proxy, &format!("{:?}", host.stats()));
        }
    });
}

#[test]
fn what_is_refused_logs_and_shows_no_credential() {
    collected(|| {
        let secrets = "Cookie: s3cr3t\r\nAuthorization: Basic s3cr3t\r\n";
        for (target, more) in [
            ("/?s3cr3t", "Content-Length: 1\r\n"),
            ("http://s3cr3t@host/", ""),
            ("/s3cr3t", "Origin: https://s3cr3t.test\r\n"),
            ("/s3cr3t", "Sec-WebSocket-Protocol: s3cr3t, s3cr3t\r\n"),
            ("/s3cr3t", "X-s3cr3t bad line\r\n"),
            ("/s3cr3t", "Host: s3cr3t\r\n"),
            ("/s3cr3t", "Sec-WebSocket-Key: s3cr3t\r\n"),
        ] {
            let config = config(Policy::Serial, |config| {
                config.allow_origin("https://good.com").unwrap();
            });
            let host = Host::start(config, "ws://user.invalid/s3cr3t", pass);
            let answer = ask(host.addr, request(target, &(more.to_owned() + secrets)).as_bytes());
            assert!(answer.starts_with("HTTP/1.1 4") && !answer.contains(SECRET), "{answer}");
            let error = host.outcome().unwrap_err();
            keeps_silent(&error, &error.to_string());
            keeps_silent(&host.proxy, "");
        }
    });
}

#[test]
fn an_upstream_that_refuses_or_answers_nonsense_logs_and_shows_no_credential() {
    collected(|| {
        for answer in [
            "HTTP/1.1 401 No\r\nSet-Cookie: s3cr3t\r\nContent-Length: 6\r\n\r\ns3cr3t",
            "HTTP/1.1 101 Yes\r\nSet-Cookie: s3cr3t\r\nSec-WebSocket-Accept: s3cr3t\r\n\r\n",
            "s3cr3t\r\n\r\n",
            "HTTP/1.1 101 Yes\r\nX s3cr3t\r\n\r\n",
        ] {
            let listener = Listener::bind();
            let host = Host::start(config(Policy::Serial, |_| {}), &listener.url(), pass);
            let mut client = connect(host.addr);
            client.write_all(request("/", "Cookie: s3cr3t\r\n").as_bytes()).unwrap();
            let (mut upstream, _) = asked(&listener);
            upstream.write_all(answer.as_bytes()).unwrap();
            drop(upstream);
            hear_all(&mut client);
            drop(client);
            let error = host.outcome().unwrap_err();
            keeps_silent(&error, &error.to_string());
            keeps_silent(&host.proxy, "");
        }
    });
}

#[test]
fn offences_log_and_show_no_payload() {
    collected(|| {
        for policy in POLICIES {
            for bytes in [
                legal(Side::Client, true, TEXT, b"s3cr3t \xff"),
                [
                    legal(Side::Client, false, TEXT, b"s3cr3t"),
                    legal(Side::Client, true, TEXT, b"s3cr3t"),
                ]
                .concat(),
                legal(Side::Client, true, 8, b"\x03\xe8s3cr3t\xff"),
                b"GET /s3cr3t HTTP/1.1\r\n\r\n".to_vec(),
            ] {
                let (mut client, upstream, host) = session(config(policy, |_| {}), pass);
                client.send_bytes(&bytes);
                let _ = client.hear_close();
                drop((client, upstream));
                let error = host.outcome().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol);
                keeps_silent(&error, &error.to_string());
            }
        }
    });
}

#[test]
fn urls_that_are_refused_are_not_repeated() {
    collected(|| {
        for url in [
            "ws://user:s3cr3t@127.0.0.1/",
            "http://s3cr3t/",
            "ws://127.0.0.1/s3cr3t#x",
            "ws://127.0.0.1:s3cr3t/",
            "ws://[s3cr3t]/",
            "wss://127.0.0.1/?s3cr3t",
            "s3cr3t",
        ] {
            let proxy = wsproxy::Proxy::new(config(Policy::Serial, |_| {})).unwrap();
            let error = proxy.connect_upstream(url).unwrap_err();
            keeps_silent(&error, &error.to_string());
        }
    });
}

#[test]
fn credentials_of_an_http_proxy_are_logged_and_shown_nowhere() {
    collected(|| {
        for policy in POLICIES {
            let upstream = Listener::bind();
            let proxy = HttpProxy::to(upstream.addr());
            let config = config(policy, |config| {
                config.http_proxy(&proxy.url("user:s3cr3t@")).unwrap();
            });
            keeps_silent(&config, "");
            let host = Host::start(config, "ws://upstream.invalid/?s3cr3t", pass);
            let addr = host.addr;
            let client = thread::spawn(move || Peer::connect(addr));
            let peer = upstream.accept();
            assert!(proxy.asked().contains("Proxy-Authorization: Basic dXNlcjpzM2NyM3Q="));
            assert!(!peer.head.contains("dXNlcjpzM2NyM3Q"), "{}", peer.head);
            drop((client.join().unwrap(), peer));
            keeps_silent(&host.outcome(), "");
            keeps_silent(&host.proxy, "");
        }
    });
}

#[test]
fn an_http_proxy_that_refuses_hears_the_credentials_and_nobody_else_does() {
    collected(|| {
        for answer in [
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=s3cr3t\r\n\r\ns3cr3t",
            "s3cr3t\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\ns3cr3t",
            "HTTP/1.1 200 OK\r\nX s3cr3t\r\n\r\n",
            "",
        ] {
            let listener = Listener::bind();
            let config = config(Policy::Serial, |config| {
                config.http_proxy(&format!("http://s3cr3t:s3cr3t@{}", listener.addr())).unwrap();
            });
            let host = Host::start(config, "ws://upstream.invalid/s3cr3t", pass);
            let mut client = connect(host.addr);
            client.write_all(request("/", "").as_bytes()).unwrap();
            let (mut stream, _) = asked(&listener);
            stream.write_all(answer.as_bytes()).unwrap();
            drop(stream);
            let heard = hear_all(&mut client);
            drop(client);
            assert!(status(&heard) == 502 && !heard.contains(SECRET), "{heard}");
            let error = host.outcome().unwrap_err();
            keeps_silent(&error, &error.to_string());
            keeps_silent(&host.proxy, "");
        }
        for url in [
            "http://u:s3cr3t@",
            "https://u:s3cr3t@h:1",
            "http://u:s3cr3t@h:1/x",
            "s3cr3t",
            "http://s3cr3t@:s3cr3t",
        ] {
            let error = wsproxy::Config::new().http_proxy(url).unwrap_err();
            keeps_silent(&error, &error.to_string());
        }
    });
}

#[test]
fn what_the_handshake_hook_sees_and_says_is_logged_and_shown_nowhere() {
    collected(|| {
        for ending in 0..3 {
            let listener = Listener::bind();
            let url = listener.url();
            let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
                proxy.connect_with(Client::new(client), &url, |handshake| {
                    handshake.set_header("X-Key", b"s3cr3t").unwrap();
                    handshake.add_answer_header("Set-Cookie", b"s3cr3t").unwrap();
                    handshake.set_url(&format!("{url}/s3cr3t")).unwrap();
                    keeps_silent(handshake, "");
                    for outcome in [
                        handshake.set_url("ws://u:s3cr3t@h"),
                        handshake.set_header("X", b"s3cr3t\r\n"),
                        handshake.add_answer_header("X", b"s3cr3t\0"),
                    ] {
                        keeps_silent(&outcome.unwrap_err(), "");
                    }
                    match ending {
                        0 => Admission::refuse(401, "s3cr3t").unwrap(),
                        _ => Admission::Accept,
                    }
                })
            });
            let mut client = connect(host.addr);
            client.write_all(request("/s3cr3t", "Cookie: s3cr3t\r\n").as_bytes()).unwrap();
            if ending > 0 {
                let (mut upstream, head) = asked(&listener);
                assert!(
                    head.starts_with("GET /s3cr3t ") && head.contains("X-Key: s3cr3t"),
                    "{head}"
                );
                let answer = ["HTTP/1.1 403 No\r\n\r\ns3cr3t", "s3cr3t"][ending - 1];
                upstream.write_all(answer.as_bytes()).unwrap();
            }
            assert!(hear_all(&mut client).contains("Set-Cookie: s3cr3t\r\n"));
            drop(client);
            let error = host.outcome().unwrap_err();
            keeps_silent(&error, &error.to_string());
            keeps_silent(&host.proxy, "");
        }
    });
}
