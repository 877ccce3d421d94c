//! A session that rests gives back what it needed under load, and the host's descriptor is as the host has set it.

mod support;

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use support::host::{config, meet, Host};
use support::peer::{Listener, Peer, BINARY};
use support::{on_every_policy, wait_until};
use wsproxy::{Client, Policy, Verdict};

/// What the host has set on the client's connection itself.
const HOSTS_OWN: Option<Duration> = Some(Duration::from_secs(7));
/// Longer than a session waits before it gives memory back.
const A_WHILE: Duration = Duration::from_millis(800);

const LARGE: usize = 200_000;

/// A session whose host keeps a copy of the client's connection: client, upstream, host, copy.
fn shared_session(policy: Policy, non_blocking: bool) -> (Peer, Peer, Host, TcpStream) {
    let listener = Listener::bind();
    let (url, (tell, told)) = (listener.url(), channel());
    let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
        client.set_read_timeout(HOSTS_OWN).unwrap();
        client.set_nonblocking(non_blocking).unwrap();
        tell.send(client.try_clone().unwrap()).unwrap();
        proxy.connect(Client::new(client), &url)?;
        proxy.execute(|_| Verdict::Forward)
    });
    let (client, upstream) = meet(&host, &listener);
    (client, upstream, host, told.recv().unwrap())
}

/// A large message from each side to the other.
fn load(client: &mut Peer, upstream: &mut Peer) {
    let bytes: Vec<u8> = (0..=255).cycle().take(LARGE).collect();
    client.send(true, BINARY, &bytes);
    upstream.expect(true, BINARY, &bytes);
    upstream.send(true, BINARY, &bytes);
    client.expect(true, BINARY, &bytes);
}

#[test]
fn a_receive_timeout_of_the_hosts_is_back_when_the_session_rests_and_when_it_ends() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host, copy) = shared_session(policy, false);
        for _ in 0..2 {
            load(&mut client, &mut upstream);
            if policy != Policy::Caller {
                wait_until("its wait has a limit", || copy.read_timeout().unwrap() != HOSTS_OWN);
            }
            wait_until("it rests", || copy.read_timeout().unwrap() == HOSTS_OWN);
        }
        load(&mut client, &mut upstream);
        drop((client, upstream));
        let _ = host.outcome();
        assert_eq!(copy.read_timeout().unwrap(), HOSTS_OWN);
    });
}

#[test]
fn frames_cross_as_before_when_a_session_has_rested_in_the_middle_of_one() {
    on_every_policy(|policy| {
        for non_blocking in [false, true] {
            let (mut client, mut upstream, _host, _copy) = shared_session(policy, non_blocking);
            load(&mut client, &mut upstream);
            let bytes: Vec<u8> = (0..=255).cycle().skip(9).take(LARGE).collect();
            let whole = client.frame(true, BINARY, &bytes);
            let [first, rest, last] = [0..5, 5..LARGE / 2, LARGE / 2..whole.len()];
            for part in [first, rest] {
                client.send_bytes(&whole[part]);
                thread::sleep(A_WHILE);
            }
            client.send_bytes(&whole[last]);
            upstream.expect(true, BINARY, &bytes);
            thread::sleep(A_WHILE);
            load(&mut client, &mut upstream);
        }
    });
}
