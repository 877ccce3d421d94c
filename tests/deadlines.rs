//! The deadline of the handshakes, stage by stage, on every driver: who is at fault, what the client is answered, and
//! that nothing which trickles puts it off.

mod support;

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::host::{config, pass, Host};
use support::http;
use support::peer::{request, Listener};
use support::{has_passed, on_every_policy};
use wsproxy::{ErrorKind, Fault, Policy};

const DEADLINE: Duration = Duration::from_millis(400);
/// Far under any other limit of the tests, however busy the machine is.
const SOON: Duration = Duration::from_secs(5);

fn host(policy: Policy, url: &str) -> Host {
    let config = config(policy, |c| {
        c.connect_timeout(DEADLINE).unwrap();
    });
    Host::start(config, url, pass)
}

/// What the client hears, how the call ends, and when.
fn fails(
    host: &Host,
    client: &mut TcpStream,
    status: u16,
    kind: ErrorKind,
    fault: Fault,
) -> String {
    let started = Instant::now();
    let heard = http::hear_all(client);
    assert_eq!(http::status(&heard), status, "{heard}");
    assert!(heard.contains("Connection: close\r\n"), "{heard}");
    client.shutdown(Shutdown::Both).unwrap(); // heard: the host need not linger
    let error = host.outcome().unwrap_err();
    assert_eq!((error.kind(), error.fault()), (kind, fault), "{error}");
    assert_eq!(host.proxy.refusal_status(), Some(status));
    assert!(started.elapsed() < SOON);
    error.message().to_owned()
}

/// A client that has asked.
fn asking(host: &Host) -> TcpStream {
    let mut client = http::connect(host.addr);
    client.write_all(request("/", "").as_bytes()).unwrap();
    client
}

/// Sends a byte now and then, for as long as anybody listens.
fn trickle(stream: &TcpStream, bytes: String) {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || {
        bytes.bytes().cycle().try_for_each(|byte| {
            thread::sleep(DEADLINE / 8);
            stream.write_all(&[byte])
        })
    });
}

#[test]
fn a_client_that_does_not_send_its_request_in_time_is_answered_408() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        for begins in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let started = Instant::now();
            let host = host(policy, &listener.url());
            let mut client = http::connect(host.addr);
            client.write_all(begins.as_bytes()).unwrap();
            let words = fails(&host, &mut client, 408, ErrorKind::Timeout, Fault::Client);
            assert_eq!(words, "the handshake request did not arrive in time");
            assert!(has_passed(DEADLINE, started.elapsed()));
        }
        http::nobody_called(&listener);
    });
}

#[test]
fn a_request_that_trickles_does_not_put_the_deadline_off() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = host(policy, &listener.url());
        let mut client = http::connect(host.addr);
        client.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").unwrap();
        trickle(&client, "x".into());
        fails(&host, &mut client, 408, ErrorKind::Timeout, Fault::Client);
    });
}

/// A listener whose queue is full: connection requests to it are dropped in silence.
fn black_hole() -> (TcpListener, SocketAddr, Vec<Socket>) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let listener = TcpListener::from(listener);
    let addr = listener.local_addr().unwrap();
    let fill = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&addr.into()); // under way
        socket
    };
    let filling = (0..4).map(|_| fill()).collect();
    thread::sleep(Duration::from_millis(20));
    (listener, addr, filling)
}

#[test]
fn an_upstream_that_swallows_connection_requests_is_504() {
    on_every_policy(|policy| {
        let (_listener, addr, _filling) = black_hole();
        let host = host(policy, &format!("ws://{addr}"));
        let mut client = asking(&host);
        let words = fails(&host, &mut client, 504, ErrorKind::Timeout, Fault::Upstream);
        assert_eq!(words, "did not answer within 400ms");
    });
}

#[test]
fn an_upstream_that_hangs_after_accepting_is_504_and_is_let_go() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = host(policy, &listener.url());
        let mut client = asking(&host);
        let (mut hangs, _) = http::asked(&listener);
        fails(&host, &mut client, 504, ErrorKind::Timeout, Fault::Upstream);
        assert_eq!(http::hear_all(&mut hangs), "");
    });
}

#[test]
fn half_an_answer_is_504_and_one_that_trickles_does_not_put_the_deadline_off() {
    on_every_policy(|policy| {
        for more in ["", "x"] {
            let listener = Listener::bind();
            let host = host(policy, &listener.url());
            let mut client = asking(&host);
            let (mut slow, _) = http::asked(&listener);
            slow.write_all(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ").unwrap();
            if !more.is_empty() {
                trickle(&slow, more.into());
            }
            fails(&host, &mut client, 504, ErrorKind::Timeout, Fault::Upstream);
        }
    });
}

#[test]
fn interim_answers_do_not_put_the_deadline_off() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = host(policy, &listener.url());
        let mut client = asking(&host);
        let (slow, _) = http::asked(&listener);
        trickle(&slow, "HTTP/1.1 100 Continue\r\n\r\n".into());
        fails(&host, &mut client, 504, ErrorKind::Timeout, Fault::Upstream);
    });
}

#[test]
fn a_refusal_whose_body_does_not_end_is_relayed_as_far_as_it_came() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = host(policy, &listener.url());
        let mut client = asking(&host);
        let (mut slow, _) = http::asked(&listener);
        slow.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nso far").unwrap();
        let heard = http::hear_all(&mut client);
        assert!(heard.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{heard}");
        assert!(heard.ends_with("Content-Length: 6\r\nConnection: close\r\n\r\nso far"), "{heard}");
        drop(client);
        let error = host.outcome().unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Upstream));
    });
}

#[test]
fn an_upstream_that_refuses_connections_is_502_at_once() {
    on_every_policy(|policy| {
        // Bound and not listening: nobody else can have the port meanwhile.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let host = Host::start(config(policy, |_| {}), &format!("ws://{addr}"), pass);
        let mut client = asking(&host);
        let words = fails(&host, &mut client, 502, ErrorKind::Unreachable, Fault::Upstream);
        assert_eq!(words, format!("cannot connect to {addr}: Connection refused"));
    });
}

#[test]
fn an_upstream_whose_name_does_not_resolve_is_502() {
    on_every_policy(|policy| {
        // No name by any resolver's rules, so that no network is asked.
        let url = format!("ws://{}/", "a".repeat(70));
        let host = Host::start(config(policy, |_| {}), &url, pass);
        let mut client = asking(&host);
        let words = fails(&host, &mut client, 502, ErrorKind::Unreachable, Fault::Upstream);
        assert!(words.starts_with("cannot resolve aaaa"), "{words}");
    });
}

#[test]
fn a_refused_client_that_neither_reads_nor_leaves_holds_nothing_up() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let mut client = http::connect(host.addr);
        client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        trickle(&client, "x".into());
        let started = Instant::now();
        assert_eq!(host.outcome().unwrap_err().kind(), ErrorKind::Request);
        assert!(started.elapsed() < SOON);
        assert_eq!(http::status(&http::hear_all(&mut client)), 405);
    });
}

#[test]
fn the_deadline_counts_for_a_half_alone_too() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let config = config(policy, |c| {
            c.connect_timeout(DEADLINE).unwrap();
        });
        let host = Host::serve(config, move |proxy, _client| {
            let error = proxy.connect_upstream(&url).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Timeout, Fault::Upstream));
            Ok(())
        });
        let _client = host.tcp();
        let _hangs = http::asked(&listener);
        assert_eq!(host.outcome(), Ok(()));
    });
}
