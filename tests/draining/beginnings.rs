//! What comes before the close: handshakes, and frames of the host's.

use std::thread;

use wsproxy::{Client, Kind, Side, Verdict};

use super::support::host::{config, meet, pass, session, session_from, Host};
use super::support::http;
use super::support::offence::in_order;
use super::support::on_every_policy;
use super::support::peer::{frame, request, Listener, Peer, BINARY, CONTINUATION, PING, TEXT};
use super::{both_hear_the_close, drain, hear_until_close, A_WHILE, SIDES};

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
        super::support::peer::prepare(&client);
        let upstream = listener.accept();
        assert!(super::support::peer::read_head(&mut client).starts_with("HTTP/1.1 101 "));
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
