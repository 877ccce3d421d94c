//! Clients that speak TLS, and those that were to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Client, Config, Error, ErrorKind, Fault, Policy, Proxy, Side, TlsVersion};

use super::authority::{local, trusted, Authority, Validity};
use super::scene::{accept, config, connect, part, read_head, Stream, CLIENT};
use super::stream::{client, Tls, BOTH, TLS12, TLS13};
use super::support::host::{pass, Host};
use super::support::http::{self, hear_all};
use super::support::offence::PROMPT;
use super::support::on_every_policy;
use super::support::peer::{request, Listener, Peer};

/// What becomes of a client that does this on its connection. The upstream is never called.
fn fails(set: impl FnOnce(&mut Config), act: impl FnOnce(TcpStream)) -> Error {
    let listener = Listener::bind();
    let host = Host::start(config(CLIENT, Policy::Serial, set), &listener.url(), pass);
    act(http::connect(host.addr));
    let error = host.outcome().expect_err("no session");
    http::nobody_called(&listener);
    assert_eq!(error.fault(), Fault::Client, "{error}");
    error
}

fn says(words: &'static [u8]) -> impl FnOnce(TcpStream) {
    move |mut tcp| {
        tcp.write_all(words).unwrap();
        hear_all(&mut tcp);
    }
}

#[test]
fn a_client_that_speaks_no_tls_is_told_from_one_that_fails_at_it() {
    let error = fails(|_| {}, says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("does not speak TLS"), "{error}");
    let error = fails(|_| {}, says(&[0xEE; 300]));
    assert!(error.message().contains("does not speak TLS"), "{error}");
    for bytes in [&[][..], &[0x16], &[0x16, 3, 1, 0, 200, 1]] {
        let error = fails(|_| {}, |mut tcp| tcp.write_all(bytes).unwrap());
        assert_eq!(error.kind(), ErrorKind::Gone); // it has left, whatever it wanted to speak
        assert!(error.message().contains("closed the connection during the TLS"), "{error}");
    }
}

#[test]
fn a_client_that_falls_silent_in_the_tls_handshake_meets_the_deadline() {
    for bytes in [&[][..], &[0x16, 3, 1, 0, 200, 1]] {
        let short = |config: &mut Config| {
            config.connect_timeout(Duration::from_millis(300)).unwrap();
        };
        let started = Instant::now();
        let error = fails(short, |mut tcp| {
            tcp.write_all(bytes).unwrap();
            hear_all(&mut tcp);
        });
        assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("TLS handshake did not arrive in time"), "{error}");
    }
}

#[test]
fn a_client_that_does_not_trust_us_is_reported() {
    for versions in [TLS12, TLS13] {
        let stranger = Authority::new("a stranger");
        let error = fails(
            |_| {},
            |tcp| {
                let refused = Tls::connect(tcp, client(versions, stranger.roots()), "127.0.0.1");
                assert!(refused.is_err());
            },
        );
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.message().contains("refused the certificate that it was shown"), "{error}");
    }
}

#[test]
fn a_client_of_a_lower_version_than_demanded_is_refused() {
    let demand = |config: &mut Config| {
        config.min_tls_version(Side::Client, TlsVersion::Tls13);
    };
    let error = fails(demand, |tcp| {
        let refused = Tls::connect(tcp, client(TLS12, trusted().roots()), "127.0.0.1");
        let alert = refused.err().expect("a refusal").to_string();
        assert!(alert.contains("ProtocolVersion"), "{alert}");
    });
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("offers no TLS version that is allowed"), "{error}");
}

#[test]
fn clients_of_either_version_are_shown_the_whole_chain() {
    let between = trusted().intermediate("the deputy");
    let mut identity = between.issue(&["127.0.0.1"], Validity::Now);
    identity.chain += &between.pem;
    for versions in [TLS12, TLS13, BOTH] {
        let listener = Listener::bind();
        let config = super::support::host::config(Policy::Serial, |config| {
            config.client_certificate(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
        });
        let host = Host::start(config, &listener.url(), pass);
        let tcp = http::connect(host.addr);
        let client = thread::spawn(move || {
            let mut tls =
                Tls::connect(tcp, client(versions, trusted().roots()), "127.0.0.1").unwrap();
            tls.write_all(request("/", "").as_bytes()).unwrap();
            let head = read_head(&mut tls);
            Peer::over(Stream::Secure(tls), true, head)
        });
        let mut upstream = accept(&listener, None);
        let mut client = client.join().unwrap();
        let alpn = client.stream.tls().look(|c| c.alpn_protocol().map(<[u8]>::to_vec));
        assert_eq!(alpn, Some(b"http/1.1".to_vec()));
        part(&mut client, &mut upstream, &host);
    }
}

#[test]
fn a_host_may_have_read_the_first_bytes_of_the_tls_handshake() {
    on_every_policy(|policy| {
        for count in [1, 5, 60, 150] {
            let listener = Listener::bind();
            let url = listener.url();
            let host = Host::serve(config(CLIENT, policy, |_| {}), move |proxy, mut client| {
                let mut early = vec![0; count];
                client.read_exact(&mut early).unwrap();
                proxy.connect(Client::new(client).with_head(early), &url)?;
                proxy.execute(pass)
            });
            let addr = host.addr;
            let client = thread::spawn(move || connect(addr, true));
            let mut upstream = accept(&listener, None);
            part(&mut client.join().unwrap(), &mut upstream, &host);
        }
    });
}

#[test]
fn a_client_that_the_host_has_upgraded_cannot_begin_tls() {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let proxy = Proxy::new(config(CLIENT, Policy::Serial, |_| {})).unwrap();
    let error = proxy.connect_client(Client::new(ours).upgraded(Vec::new())).unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host), "{error}");
    assert!(error.message().contains("upgraded already cannot begin TLS"), "{error}");
}

#[test]
fn a_stop_ends_a_tls_handshake_on_either_leg() {
    // The client's.
    let proxy = Arc::new(Proxy::new(config(CLIENT, Policy::Serial, |_| {})).unwrap());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let connecting = Arc::clone(&proxy);
    let outcome = thread::spawn(move || connecting.connect_client(Client::new(ours)));
    (&theirs).write_all(&[0x16, 3, 1]).unwrap();
    stops(&proxy, outcome);
    assert_eq!((&theirs).read(&mut [0; 9]).unwrap(), 0, "closed");
    // The upstream's.
    let proxy = Arc::new(Proxy::new(config(CLIENT, Policy::Serial, |_| {})).unwrap());
    let listener = Listener::bind();
    let url = format!("wss://{}", listener.addr());
    let connecting = Arc::clone(&proxy);
    let outcome = thread::spawn(move || connecting.connect_upstream(&url));
    let mut tcp = listener.accept_tcp();
    assert!(tcp.read(&mut [0; 4096]).unwrap() > 50, "a hello");
    stops(&proxy, outcome);
    assert_eq!(tcp.read(&mut [0; 4096]).unwrap(), 0, "closed");
}

fn stops(proxy: &Proxy, outcome: thread::JoinHandle<wsproxy::Result<()>>) {
    thread::sleep(Duration::from_millis(50));
    assert!(!outcome.is_finished());
    let started = Instant::now();
    proxy.stop(1001, "").unwrap();
    assert_eq!(outcome.join().unwrap().unwrap_err().kind(), ErrorKind::Stopped);
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
}

#[test]
fn the_certificate_for_clients_must_be_one_with_its_key() {
    let other = trusted().issue(&["localhost"], Validity::Now);
    let mut config = Config::new();
    let error = config
        .client_certificate(local().chain.as_bytes(), other.key.as_bytes())
        .expect_err("another key");
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.message().contains("key is not that of its certificate"), "{error}");
}
