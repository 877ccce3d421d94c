//! The verbs in and out of order, and the two halves of connect. How a client is handed over: `clients.rs`.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use support::host::{config, meet, part, pass, session, session_with, talk, Host};
use support::http;
use support::on_every_policy;
use support::peer::{header, read_head, request, Listener, Peer};
use wsproxy::{Client, ErrorKind, Fault, Result, Verdict};

/// A call out of order, and the words that say so.
fn out_of_order(outcome: Result<()>, words: &str) {
    let error = outcome.expect_err(words);
    assert_eq!((error.kind(), error.fault()), (ErrorKind::State, Fault::Host));
    assert_eq!(error.message(), words);
}

/// A client connection for calls that must not even look at it.
fn spare() -> Client {
    let listener = Listener::bind();
    Client::new(TcpStream::connect(listener.addr()).unwrap())
}

#[test]
fn calls_out_of_order_say_so_and_change_nothing() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            out_of_order(proxy.execute(pass), "the client is not connected");
            out_of_order(proxy.relay(), "the client is not connected");
            proxy.connect(Client::new(client), &url)?;
            out_of_order(proxy.connect(spare(), &url), "the client is connected already");
            out_of_order(proxy.connect_client(spare()), "the client is connected already");
            out_of_order(proxy.connect_upstream(&url), "the upstream is connected already");
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        talk(&mut client, &mut upstream);
        let proxy = &host.proxy;
        out_of_order(proxy.execute(pass), "execute: execute is under way");
        out_of_order(proxy.connect(spare(), "ws://x"), "connect: execute is under way");
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
        out_of_order(proxy.execute(pass), "execute: the session has ended");
        out_of_order(proxy.connect_upstream("ws://x"), "connect_upstream: the session has ended");
    });
}

#[test]
fn verbs_called_from_inside_the_hook_are_refused_and_disturb_nothing() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session_with(config(policy, |_| {}), |proxy, _| {
            out_of_order(proxy.execute(pass), "execute: execute is under way");
            out_of_order(proxy.connect_client(spare()), "connect_client: execute is under way");
            Verdict::Forward
        });
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn an_unusable_url_or_descriptor_is_an_argument_error_and_the_session_can_go_on() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let good = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            for url in
                ["", "http://x", "ws://", "ws://a b", "ws://x#f", "ws://user@x", "ws://x:99999"]
            {
                let error = proxy.connect(spare(), url).unwrap_err();
                assert_eq!(
                    (error.kind(), error.fault()),
                    (ErrorKind::Argument, Fault::Host),
                    "{url}"
                );
            }
            let file = std::fs::File::open("/dev/null").unwrap();
            for fd in [-1, 1_000_000, file.as_raw_fd()] {
                assert_eq!(Client::duplicate_of(fd).unwrap_err().kind(), ErrorKind::Argument);
            }
            let error = proxy.connect(Client::new(file), &good).unwrap_err();
            assert_eq!(
                (error.kind(), error.fault()),
                (ErrorKind::Argument, Fault::Host),
                "{error}"
            );
            proxy.connect(Client::new(client), &good)?;
            proxy.execute(pass)
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn a_wss_url_that_leads_to_no_tls_is_an_error_and_another_upstream_may_be_tried() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let (secure, plain) = (format!("wss://{}", listener.addr()), listener.url());
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            let error = proxy.connect_upstream(&secure).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Tls, Fault::Upstream), "{error}");
            proxy.connect(Client::new(client), &plain)?;
            proxy.execute(pass)
        });
        let addr = host.addr;
        let client = std::thread::spawn(move || Peer::connect(addr));
        listener.accept_tcp().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut upstream = listener.accept();
        let mut client = client.join().unwrap();
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn the_upstream_may_be_connected_first() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let config = config(policy, |c| {
            c.subprotocol("chat").unwrap().subprotocol("superchat").unwrap();
        });
        let host = Host::serve(config, move |proxy, client| {
            proxy.connect_upstream(&url)?;
            assert_eq!(proxy.subprotocol().as_deref(), Some("superchat"));
            out_of_order(proxy.execute(pass), "the client is not connected");
            proxy.connect_client(Client::new(client))?;
            proxy.execute(pass)
        });
        let client = host.tcp(); // the host waits for nothing of it yet
        let mut upstream = listener.accept_with("Sec-WebSocket-Protocol: superchat\r\n");
        assert_eq!(header(&upstream.head, "Sec-WebSocket-Protocol").unwrap(), "chat, superchat");
        upstream.send_text("early");
        let mut client = Peer::upgraded_client(client);
        let offer = "Sec-WebSocket-Protocol: superchat, other\r\n";
        client.send_bytes(request("/", offer).as_bytes());
        let head = read_head(&mut client.stream);
        assert_eq!(header(&head, "Sec-WebSocket-Protocol").as_deref(), Some("superchat"));
        assert_eq!(client.hear_text(), "early");
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn a_client_that_cannot_use_the_subprotocol_chosen_before_is_refused() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let config = config(policy, |c| {
            c.subprotocol("chat").unwrap();
        });
        let host = Host::serve(config, move |proxy, client| {
            proxy.connect_upstream(&url)?;
            proxy.connect_client(Client::new(client))
        });
        let mut client = host.tcp();
        let mut upstream = listener.accept_with("Sec-WebSocket-Protocol: chat\r\n");
        client.write_all(request("/", "").as_bytes()).unwrap();
        assert_eq!(http::status(&http::hear_all(&mut client)), 400);
        drop(client);
        assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
        upstream.hear_end();
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request);
    });
}

#[test]
fn the_client_may_be_connected_first_and_its_headers_are_passed_on() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect_client(Client::new(client))?;
            out_of_order(proxy.execute(pass), "the upstream is not connected");
            out_of_order(proxy.connect(spare(), &url), "the client is connected already");
            proxy.connect_upstream(&url)?;
            proxy.execute(pass)
        });
        let more = "Cookie: c=1\r\nSec-WebSocket-Protocol: chat\r\n";
        let mut client = Peer::connect_with(host.addr, &request("/path?q", more));
        // Answered before the upstream could choose: nothing chosen, and nothing left to offer.
        assert_eq!(header(&client.head, "Sec-WebSocket-Protocol"), None);
        client.send_text("early");
        let mut upstream = listener.accept();
        assert!(upstream.head.starts_with("GET /path?q HTTP/1.1\r\n"), "{}", upstream.head);
        assert_eq!(header(&upstream.head, "Cookie").as_deref(), Some("c=1"));
        assert_eq!(header(&upstream.head, "Sec-WebSocket-Protocol"), None);
        assert_eq!(upstream.hear_text(), "early");
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn another_upstream_may_be_tried_after_one_that_failed() {
    on_every_policy(|policy| {
        let (bad, good) = (Listener::bind(), Listener::bind());
        let urls = [bad.url(), good.url()];
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            let error = proxy.connect_upstream(&urls[0]).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Upstream));
            assert_eq!(proxy.refusal_status(), Some(503));
            proxy.connect_upstream(&urls[1])?;
            proxy.connect_client(Client::new(client))?;
            proxy.execute(pass)
        });
        let addr = host.addr;
        let client = std::thread::spawn(move || Peer::connect(addr));
        let (mut refuses, _) = http::asked(&bad);
        refuses.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut upstream = good.accept();
        let mut client = client.join().unwrap();
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn sessions_that_share_a_configuration_know_nothing_of_each_other() {
    on_every_policy(|policy| {
        let config = config(policy, |_| {});
        let (mut client, mut upstream, host) = session(Arc::clone(&config), pass);
        let (one, two, other) = session(config, pass);
        drop((one, two));
        assert!(other.outcome().is_err());
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}
