//! Cross-site hijacking (CWE-1385, CVE-2026-27977), headers that crash the reader (CVE-2026-14631), and line breaks
//! that come in by values.

use std::io::Write;
use std::time::Duration;

use wsproxy::{Admission, Client, Config, ErrorKind, Policy};

use super::crowd::{upstream, Crowd};
use super::guard::watched;
use super::support::host::{config, pass, Host};
use super::support::http::{ask, asked, connect, good_answer, hear_all, nobody_called, status};
use super::support::offence::PROMPT;
use super::support::peer::{header, read_head, request, Listener};

fn guarded() -> std::sync::Arc<Config> {
    config(Policy::Serial, |config| {
        config.allow_origin("https://good.com").unwrap();
        config.allow_origin("http://localhost:8080").unwrap();
    })
}

#[test]
fn only_an_origin_that_is_listed_exactly_may_connect() {
    watched(|| {
        let upstream = upstream(|mut stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        });
        let crowd = Crowd::start(guarded(), &format!("ws://{}", upstream.addr));
        let status_for = |lines: &str| {
            let answer = ask(crowd.addr, request("/", lines).as_bytes());
            assert!(crowd.outcome().is_err());
            status(&answer)
        };
        // As far as the upstream, which is what may not happen to any other.
        for good in [
            "https://good.com",
            "HTTPS://GOOD.com",
            "https://good.com:443",
            "http://localhost:8080",
        ] {
            assert_eq!(status_for(&format!("Origin: {good}\r\n")), 404, "{good}");
        }
    });
}

#[test]
fn every_other_origin_is_403_and_the_upstream_hears_nothing() {
    watched(|| {
        let upstream = Listener::bind();
        let crowd = Crowd::start(guarded(), &upstream.url());
        for lines in [
            "",
            "Origin: null\r\n",
            "Origin:\r\n",
            "Origin: *\r\n",
            "Origin: http://good.com\r\n",
            "Origin: https://good.com:444\r\n",
            "Origin: https://good.com.evil.com\r\n",
            "Origin: https://evilgood.com\r\n",
            "Origin: https://sub.good.com\r\n",
            "Origin: https://good.com/\r\n",
            "Origin: https://good.com@evil.com\r\n",
            "Origin: https://evil.com#https://good.com\r\n",
            "Origin: https://good.com, https://evil.com\r\n",
            "Origin: https://good.com https://evil.com\r\n",
            "Origin: https://good.com.\r\n",
            "Origin: https://localhost:8080\r\n",
            "Origin: https://good.com\r\nOrigin: https://good.com\r\n",
            "Origin: \u{feff}https://good.com\r\n",
        ] {
            let answer = ask(crowd.addr, request("/", lines).as_bytes());
            assert_eq!(status(&answer), 403, "{lines}");
            assert_eq!(crowd.outcome().unwrap_err().kind(), ErrorKind::Request, "{lines}");
            nobody_called(&upstream);
        }
    });
}

#[test]
fn without_a_list_two_origins_are_still_refused() {
    watched(|| {
        let upstream = Listener::bind();
        let host = Host::start(config(Policy::Serial, |_| {}), &upstream.url(), pass);
        let twice = "Origin: https://a.test\r\nOrigin: https://b.test\r\n";
        assert_eq!(status(&ask(host.addr, request("/", twice).as_bytes())), 403);
        assert!(host.outcome().is_err());
        nobody_called(&upstream);
    });
}

/// Numbers that look random, the same every time for one seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// A value that is nearly one, or nothing like one.
    fn value(&mut self, good: &[&str]) -> Vec<u8> {
        let mut value = good[self.below(good.len())].as_bytes().to_vec();
        for _ in 0..self.below(5) {
            let odd = b"\0\r\n\t :/?#[]@!*,\"\x7f\x80\xff\xc3(%0123456789.-\\;";
            let byte =
                if self.below(3) == 0 { self.below(256) as u8 } else { odd[self.below(odd.len())] };
            let at = self.below(value.len() + 1);
            match self.below(3) {
                0 => value.insert(at, byte),
                1 => value.truncate(at),
                _ => value.splice(at..at, vec![byte; self.below(300)]).for_each(drop),
            }
        }
        value
    }
}

#[test]
fn malformed_origins_hosts_and_targets_are_answered_and_crash_nothing() {
    let rounds: usize =
        std::env::var("WSPROXY_TEST_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let seed = std::env::var("WSPROXY_TEST_SEED").ok().and_then(|n| n.parse().ok());
    let mut dice = Dice(seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1));
    println!("WSPROXY_TEST_SEED={} WSPROXY_TEST_FUZZ={rounds}", dice.0);
    watched(move || {
        let upstream = upstream(|mut stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        });
        let crowd = Crowd::start(guarded(), &format!("ws://{}", upstream.addr));
        for _ in 0..rounds {
            let origin = dice.value(&[
                "https://good.com",
                "http://[::1]:80",
                "null",
                "https://%",
                "https://[::",
            ]);
            let host =
                dice.value(&["good.com", "[::1]:80", "1.2.3.4:99999", "[v1.a]", "a:b:c", "xn--a"]);
            let target = dice.value(&["/", "/a?b=c", "/%zz", "//", "http://a/", "/\u{e9}"]);
            let head =
                [&b"GET "[..], &target, b" HTTP/1.1\r\nHost: ", &host, b"\r\nOrigin: ", &origin];
            let rest = request("/", "").split_once("example.test").unwrap().1.to_owned();
            let bytes = [head.concat(), rest.into_bytes()].concat();
            let answer = ask(crowd.addr, &bytes);
            let shown = String::from_utf8_lossy(&bytes);
            let status = status(&answer);
            assert!([400, 403, 404, 405, 505].contains(&status), "{shown:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?}: {answer}");
            assert!(crowd.outcome().is_err(), "{shown:?}");
        }
    });
}

#[test]
fn line_breaks_and_nul_in_the_hosts_own_values_are_refused_at_the_call() {
    let mut config = Config::new();
    for bad in
        ["a\r\nEvil: 1", "a\nEvil: 1", "a\rEvil: 1", "a\0b", "\r\n", "a\r\n\r\nGET / HTTP/1.1"]
    {
        let kinds = [
            config.add_header("X-Note", bad.as_bytes()).err(),
            config.set_header("X-Note", bad.as_bytes()).err(),
            config.add_header(bad, b"x").err(),
            config.set_header(bad, b"x").err(),
            config.remove_header(bad).err(),
            config.set_header("Host", bad.as_bytes()).err(),
            config.subprotocol(bad).err(),
            config.allow_origin(bad).err(),
            config.allow_origin(&format!("https://{bad}")).err(),
        ];
        for error in kinds {
            let error = error.expect("an error");
            assert_eq!(error.kind(), ErrorKind::Argument, "{bad:?}: {error}");
            assert!(!error.message().contains(['\r', '\n', '\0']), "{error:?}");
        }
    }
    watched(move || {
        let upstream = Listener::bind();
        let host = Host::start(std::sync::Arc::new(config), &upstream.url(), pass);
        let mut client = connect(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (stream, head) = asked(&upstream);
        assert!(!head.contains("Evil") && !head.contains("X-Note"), "{head}");
        drop(stream);
        assert_eq!(status(&hear_all(&mut client)), 502, "the empty list of origins is unchanged");
        assert!(host.outcome().is_err());
    });
}

#[test]
fn an_url_with_line_breaks_is_refused_before_anybody_is_called() {
    watched(|| {
        let upstream = Listener::bind();
        for tail in ["/a\r\nEvil: 1", "/a b", "/a\0", "/a\n", "?q=\r\n\r\n", "/#x"] {
            let url = upstream.url() + tail;
            let proxy = wsproxy::Proxy::new(config(Policy::Serial, |_| {})).unwrap();
            assert_eq!(proxy.connect_upstream(&url).unwrap_err().kind(), ErrorKind::Argument);
        }
        nobody_called(&upstream);
    });
}

#[test]
fn an_upstream_cannot_put_headers_into_the_clients_answer_by_line_breaks() {
    watched(|| {
        for answer in [
            "HTTP/1.1 403 No\rEvil: 1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 403 No\r\nX: a\nEvil: 1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 403 No\r\nX: a\r Evil: 1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 403 No\r\nX: a\0Evil: 1\r\nContent-Length: 0\r\n\r\n",
        ] {
            let upstream = Listener::bind();
            let host = Host::start(config(Policy::Serial, |_| {}), &upstream.url(), pass);
            let started = std::time::Instant::now();
            let mut client = connect(host.addr);
            client.write_all(request("/", "").as_bytes()).unwrap();
            let (mut stream, _) = asked(&upstream);
            stream.write_all(answer.as_bytes()).unwrap();
            let heard = hear_all(&mut client);
            assert_eq!(status(&heard), 502, "{answer:?}: {heard}");
            assert!(!heard.contains("Evil"), "{heard}");
            drop(client);
            assert!(started.elapsed() < PROMPT + Duration::from_secs(1));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn line_breaks_and_nul_in_the_handshake_hooks_values_reach_neither_side() {
    watched(|| {
        let upstream = Listener::bind();
        let url = upstream.url();
        let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
            proxy.connect_with(Client::new(client), &url, |handshake| {
                for bad in [
                    "a\r\nEvil: 1",
                    "a\nEvil: 1",
                    "a\rEvil: 1",
                    "a\0Evil",
                    "\r\n\r\nGET /Evil HTTP/1.1",
                ] {
                    for outcome in [
                        handshake.set_header("X-Note", bad.as_bytes()),
                        handshake.add_header("X-Note", bad.as_bytes()),
                        handshake.add_answer_header("X-Note", bad.as_bytes()),
                        handshake.set_header(bad, b"x"),
                        handshake.add_header(bad, b"x"),
                        handshake.remove_header(bad),
                        handshake.add_answer_header(bad, b"x"),
                        handshake.set_header("Host", bad.as_bytes()),
                        handshake.set_url(&format!("ws://127.0.0.1/{bad}")),
                    ] {
                        let error = outcome.expect_err(bad);
                        assert_eq!(error.kind(), ErrorKind::Argument, "{bad:?}: {error}");
                        assert!(!error.message().contains(['\r', '\n', '\0']), "{error:?}");
                    }
                }
                Admission::Accept
            })
        });
        let mut client = connect(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (mut stream, head) = asked(&upstream);
        stream.write_all(good_answer(&head, "").as_bytes()).unwrap();
        let answer = read_head(&mut client);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        for head in [head, answer] {
            assert!(!head.contains("Evil") && !head.contains("X-Note"), "{head}");
        }
        assert_eq!(host.outcome(), Ok(()));
    });
}

/// What an upstream is told by `Forwarded` of a client that sends this Host and these lines.
fn forwarded(host: &str, lines: &str) -> Result<String, u16> {
    let upstream = Listener::bind();
    let config = config(Policy::Serial, |config| {
        config.forwarded(true).forwarded_rfc7239(true);
    });
    let session = Host::start(config, &upstream.url(), pass);
    let mut client = connect(session.addr);
    let asks = request("/", lines).replace("Host: example.test", &format!("Host: {host}"));
    client.write_all(asks.as_bytes()).unwrap();
    upstream.0.set_nonblocking(true).unwrap();
    let head = loop {
        let is_answered = client.set_nonblocking(true).is_ok() && client.peek(&mut [0]).is_ok();
        client.set_nonblocking(false).unwrap();
        match upstream.0.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                break Ok(read_head(&mut stream));
            }
            Err(_) if is_answered => break Err(status(&hear_all(&mut client))),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    drop(client);
    assert!(session.outcome().is_err());
    head.map(|head| {
        assert_eq!(head.to_lowercase().matches("\r\nforwarded: ").count(), 1, "{head}");
        header(&head, "Forwarded").unwrap()
    })
}

#[test]
fn a_client_cannot_write_elements_of_forwarded_by_its_host_or_by_an_open_quote() {
    watched(|| {
        for (host, told) in [
            ("a;for=192.0.2.66", "for=127.0.0.1;host=\"a;for=192.0.2.66\";proto=http"),
            ("a;proto=https", "for=127.0.0.1;host=\"a;proto=https\";proto=http"),
            ("[::1]:80", "for=127.0.0.1;host=\"[::1]:80\";proto=http"),
        ] {
            assert_eq!(forwarded(host, "").as_deref(), Ok(told), "{host}");
        }
        for host in ["a\";for=x", "a,for=192.0.2.66", "a\\", "a b", "a\tb", "a\0", "\"a\"", "a@b/c"]
        {
            assert_eq!(forwarded(host, ""), Err(400), "{host}");
        }
        let ours = "for=127.0.0.1;host=example.test;proto=http";
        for line in ["for=\"", "for=\"x\\", "\"", "for=1.2.3.4;by=\"open", "=x", "for", "for=x \"y"]
        {
            let told = forwarded("example.test", &format!("Forwarded: {line}\r\n"));
            assert_eq!(told.as_deref(), Ok(ours), "{line}: it would swallow what is added");
        }
    });
}
