//! The handshake hook: what it sees, what it may change and answer, when it is asked and when not. Refusals by it and
//! what their clients hear: `refusals/host.rs`.

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use support::host::{config, meet, part, pass, talk, Host};
use support::http::{self, good_answer, nobody_called};
use support::on_every_policy;
use support::peer::{header, read_head, request, Listener, Peer};
use wsproxy::{Admission, Client, Config, ErrorKind, Fault, Handshake, Policy, Result};

/// A host that asks `hook` about its one client, then relays.
fn host(
    set: impl FnOnce(&mut Config),
    url: &str,
    hook: impl FnMut(&mut Handshake<'_>) -> Admission + Send + 'static,
) -> Host {
    let url = url.to_owned();
    Host::serve(config(Policy::Serial, set), move |proxy, client| {
        proxy.connect_with(Client::new(client), &url, hook)?;
        proxy.execute(pass)
    })
}

/// What the upstream is asked, the hook being `hook`.
fn asked_for(
    set: impl FnOnce(&mut Config),
    request: &str,
    hook: impl FnMut(&mut Handshake<'_>) -> Admission + Send + 'static,
) -> String {
    let listener = Listener::bind();
    let host = host(set, &listener.url(), hook);
    let mut client = http::connect(host.addr);
    client.write_all(request.as_bytes()).unwrap();
    http::asked(&listener).1.replace(&listener.addr().to_string(), "UPSTREAM")
}

fn argument(outcome: Result<()>) {
    let error = outcome.expect_err("a value that cannot be taken");
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host), "{error}");
}

#[test]
fn the_hook_sees_the_request_as_it_came() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&seen);
    let more = "Cookie: a\r\ncookie: b\r\nX-Empty:\r\nSec-WebSocket-Protocol: p, q\r\n";
    asked_for(
        |_| (),
        &request("/a%2Fb?c=%20&d", more),
        move |handshake| {
            let mut seen = told.lock().unwrap();
            seen.push(format!("{} {}", handshake.method(), handshake.target()));
            seen.push(format!("{} {:?}", handshake.host(), handshake.protocols()));
            seen.push(format!("{:?} {}", handshake.peer(), handshake.is_secure()));
            seen.push(format!("{:?}", handshake.header("COOKIE").map(String::from_utf8_lossy)));
            seen.push(format!("{:?}", handshake.header("X-None")));
            let lines = handshake.headers().map(|(name, value)| (name.to_owned(), value.to_vec()));
            seen.extend(
                lines.map(|(name, value)| format!("{name}: {}", String::from_utf8(value).unwrap())),
            );
            Admission::Accept
        },
    );
    let expected = [
        "GET /a%2Fb?c=%20&d",
        "example.test [\"p\", \"q\"]",
        "Some(\"127.0.0.1\") false",
        "Some(\"a\")",
        "None",
    ];
    let asked = request("/", more);
    let lines = asked.lines().skip(1).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(|line| line.replace("X-Empty:", "X-Empty: ")).collect();
    let expected: Vec<String> = expected.map(str::to_owned).into_iter().chain(lines).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn the_hook_is_asked_once_and_before_anybody_is_dialled() {
    on_every_policy(|policy| {
        let listener = Arc::new(Listener::bind());
        let (url, upstream) = (listener.url(), Arc::clone(&listener));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect_with(Client::new(client), &url, |_| {
                counted.fetch_add(1, Ordering::AcqRel);
                thread::sleep(std::time::Duration::from_millis(50)); // time enough to be dialled
                nobody_called(&upstream);
                Admission::Accept
            })?;
            proxy.execute(pass)
        });
        let (mut client, mut peer) = meet(&host, &listener);
        talk(&mut client, &mut peer);
        part(client, peer, &host);
        assert_eq!(calls.load(Ordering::Acquire), 1);
    });
}

/// A hook that may not be asked.
fn never(_: &mut Handshake<'_>) -> Admission {
    panic!("the hook was asked")
}

#[test]
fn the_hook_is_not_asked_about_a_client_that_the_host_has_upgraded() {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, mut client| {
        let head = read_head(&mut client);
        client.write_all(good_answer(&head, "").as_bytes()).unwrap();
        proxy.connect_with(Client::new(client).upgraded(Vec::new()), &url, never)?;
        proxy.execute(pass)
    });
    let (mut client, mut upstream) = meet(&host, &listener);
    talk(&mut client, &mut upstream);
    part(client, upstream, &host);
}

#[test]
fn the_hook_is_not_asked_about_what_is_no_handshake_or_comes_from_another_origin() {
    for asks in [
        request("/", "Content-Length: 1\r\n"),
        request("http://evil.test/", ""),
        request("/", "Origin: https://evil.test\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\n".into(),
    ] {
        let listener = Listener::bind();
        let listed = |config: &mut Config| {
            config.allow_origin("https://good.test").unwrap();
        };
        let host = host(listed, &listener.url(), never);
        let mut client = http::connect(host.addr);
        client.write_all(asks.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = http::hear_all(&mut client);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 40"), "{answer}");
        assert_ne!(host.outcome().unwrap_err().kind(), ErrorKind::Hook);
    }
}

#[test]
fn the_hook_may_choose_another_upstream_and_the_named_one_is_never_dialled() {
    let (named, first, chosen) = (Listener::bind(), Listener::bind(), Listener::bind());
    let urls = [format!("{}/first", first.url()), format!("{}/chosen?x", chosen.url())];
    let host = host(
        |_| (),
        &format!("{}/named", named.url()),
        move |handshake| {
            for bad in ["http://x/", "ws://user@x/", "", "ws://x/\r\nEvil: 1"] {
                argument(handshake.set_url(bad));
            }
            urls.iter().for_each(|url| handshake.set_url(url).unwrap()); // the last one counts
            argument(handshake.set_url("wss://x#y"));
            Admission::Accept
        },
    );
    let (mut client, mut upstream) = meet(&host, &chosen);
    assert!(upstream.head.starts_with("GET /chosen?x HTTP/1.1\r\n"), "{}", upstream.head);
    assert_eq!(header(&upstream.head, "Host").unwrap(), chosen.addr().to_string());
    talk(&mut client, &mut upstream);
    part(client, upstream, &host);
    nobody_called(&named);
    nobody_called(&first);
}

#[test]
fn an_upstream_chosen_by_wss_is_asked_for_tls() {
    let (named, chosen) = (Listener::bind(), Listener::bind());
    let url = format!("wss://{}", chosen.addr());
    let host = host(
        |_| (),
        &named.url(),
        move |handshake| {
            handshake.set_url(&url).unwrap();
            Admission::Accept
        },
    );
    let addr = host.addr;
    let client = thread::spawn(move || http::ask(addr, request("/", "").as_bytes()));
    let mut first = [0];
    let mut upstream = chosen.accept_tcp();
    std::io::Read::read_exact(&mut upstream, &mut first).unwrap();
    assert_eq!(first, [0x16], "the first byte of a ClientHello (RFC 8446 section 5.1)");
    drop(upstream);
    assert_eq!(http::status(&client.join().unwrap()), 502);
    assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Tls);
    nobody_called(&named);
}

#[test]
fn what_the_hook_changes_comes_after_the_configuration_and_concerns_this_client_alone() {
    let set = |config: &mut Config| {
        config.set_header("X-Both", b"config").unwrap();
        config.add_header("X-Config", b"1").unwrap();
        config.set_header("X-Gone", b"config").unwrap();
    };
    let asks = request("/", "Cookie: secret\r\nX-User: forged\r\nx-user: again\r\nX-Kept: 1\r\n");
    let head = asked_for(set, &asks, |handshake| {
        handshake.remove_header("cookie").unwrap();
        handshake.set_header("X-User", b"alice").unwrap();
        handshake.add_header("X-User", b"bob").unwrap();
        handshake.set_header("X-Both", b"hook").unwrap();
        handshake.remove_header("X-Gone").unwrap();
        handshake.set_header("Host", b"virtual.example").unwrap();
        Admission::Accept
    });
    let lines: Vec<&str> =
        head.lines().skip(1).take_while(|line| !line.starts_with("Upgrade")).collect();
    let expected = [
        "Host: virtual.example",
        "X-User: alice",
        "X-Kept: 1",
        "X-Both: hook",
        "X-Config: 1",
        "X-User: bob",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_change_that_would_split_a_message_or_belongs_to_the_handshake_is_refused_at_the_call() {
    let head = asked_for(
        |_| (),
        &request("/", ""),
        |handshake| {
            for value in
                [&b"a\r\nEvil: 1"[..], b"a\nEvil: 1", b"a\rb", b"a\0b", b"\r\n\r\nGET / HTTP/1.1"]
            {
                argument(handshake.set_header("X-Evil", value));
                argument(handshake.add_header("X-Evil", value));
                argument(handshake.add_answer_header("X-Evil", value));
                argument(handshake.set_header("Host", value));
            }
            for name in [
                "",
                "a b",
                "a:b",
                "X\r\nEvil",
                "Upgrade",
                "connection",
                "Content-Length",
                "Transfer-Encoding",
            ] {
                argument(handshake.set_header(name, b"x"));
                argument(handshake.add_header(name, b"x"));
                argument(handshake.add_answer_header(name, b"x"));
            }
            for name in ["Sec-WebSocket-Key", "sec-websocket-extensions", "Sec-WebSocket-Protocol"]
            {
                argument(handshake.set_header(name, b"x"));
                argument(handshake.add_answer_header(name, b"x"));
            }
            Admission::Accept
        },
    );
    assert!(!head.contains("Evil"), "{head}");
    assert_eq!(head.matches("Sec-WebSocket-").count(), 2, "{head}");
}

/// Sets two cookies, and something about a body that is not the hook's.
fn with_cookies(handshake: &mut Handshake<'_>) -> Admission {
    handshake.add_answer_header("Set-Cookie", b"hook=1; Path=/").unwrap();
    handshake.add_answer_header("set-cookie", b"hook=2").unwrap();
    handshake.add_answer_header("Content-Type", b"text/evil").unwrap();
    Admission::Accept
}

const COOKIES: &str = "Set-Cookie: hook=1; Path=/\r\nset-cookie: hook=2\r\n";

#[test]
fn answer_headers_are_in_the_clients_101_behind_the_upstreams() {
    let listener = Listener::bind();
    let host = host(|_| (), &listener.url(), with_cookies);
    let addr = host.addr;
    let client = thread::spawn(move || Peer::connect(addr));
    let _upstream = listener.accept_with("Set-Cookie: upstream=1\r\n");
    let head = client.join().unwrap().head;
    assert!(head.ends_with(&format!("Set-Cookie: upstream=1\r\n{COOKIES}\r\n")), "{head}");
    assert!(!head.contains("evil"), "a 101 has no body: {head}");
}

#[test]
fn answer_headers_are_in_a_refusal_of_the_upstreams_and_in_our_own_pages() {
    for (answer, status) in [
        ("HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno", 403),
        ("nonsense\r\n\r\n", 502),
    ] {
        let listener = Listener::bind();
        let host = host(|_| (), &listener.url(), with_cookies);
        let mut client = http::connect(host.addr);
        client.write_all(request("/", "").as_bytes()).unwrap();
        let (mut upstream, _) = http::asked(&listener);
        upstream.write_all(answer.as_bytes()).unwrap();
        let heard = http::hear_all(&mut client);
        drop(client);
        assert_eq!(http::status(&heard), status);
        assert_eq!(heard.matches(COOKIES).count(), 1, "{heard}");
        assert!(!heard.contains("evil"), "the body is not the hook's: {heard}");
        assert!(host.outcome().is_err());
    }
}

#[test]
fn stop_inside_the_hook_is_a_503_and_nobody_is_dialled() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect_with(Client::new(client), &url, |_| {
                proxy.stop(1001, "").unwrap();
                Admission::Accept
            })
        });
        let answer = http::ask(host.addr, request("/", "").as_bytes());
        assert_eq!(http::status(&answer), 503, "{answer}");
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Stopped);
        nobody_called(&listener);
    });
}

#[test]
fn calls_out_of_order_from_inside_the_hook_are_refused_and_disturb_nothing() {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect_with(Client::new(client), &url, |_| {
            assert_eq!(proxy.connect_upstream("ws://x").unwrap_err().kind(), ErrorKind::State);
            assert_eq!(proxy.execute(pass).unwrap_err().kind(), ErrorKind::State);
            Admission::Accept
        })?;
        proxy.execute(pass)
    });
    let (mut client, mut upstream) = meet(&host, &listener);
    talk(&mut client, &mut upstream);
    part(client, upstream, &host);
}

#[test]
fn with_the_client_first_the_hook_chooses_the_upstream_that_is_connected_later() {
    let (named, chosen) = (Listener::bind(), Listener::bind());
    let (url, other) = (named.url(), chosen.url());
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect_client_with(Client::new(client), |handshake| {
            handshake.set_url(&other).unwrap();
            handshake.set_header("X-Hook", b"1").unwrap();
            with_cookies(handshake)
        })?;
        proxy.connect_upstream(&url)?;
        proxy.execute(pass)
    });
    let (mut client, mut upstream) = meet(&host, &chosen);
    assert!(client.head.contains(COOKIES), "{}", client.head);
    assert_eq!(header(&upstream.head, "X-Hook").as_deref(), Some("1"));
    talk(&mut client, &mut upstream);
    part(client, upstream, &host);
    nobody_called(&named);
}

#[test]
fn with_the_upstream_first_the_hook_cannot_choose_another_and_says_so() {
    let listener = Listener::bind();
    let url = listener.url();
    let host = Host::serve(config(Policy::Serial, |_| {}), move |proxy, client| {
        proxy.connect_upstream(&url)?;
        proxy.connect_client_with(Client::new(client), |handshake| {
            let error = handshake.set_url("ws://other.test").unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::State, Fault::Host));
            with_cookies(handshake)
        })?;
        proxy.execute(pass)
    });
    let (mut client, mut upstream) = meet(&host, &listener);
    assert!(client.head.contains(COOKIES), "{}", client.head);
    talk(&mut client, &mut upstream);
    part(client, upstream, &host);
}
