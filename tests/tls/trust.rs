//! Which upstreams are trusted, and what is said of those that are not: to the host all, to the client nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{Connection, ServerConfig};
use wsproxy::{Config, Error, ErrorKind, Fault, Policy, Side, TlsVersion};

use super::authority::{local, self_signed, trusted, Authority, Identity, Validity};
use super::scene::{accept, config, connect, part, UPSTREAM};
use super::stream::{server, Tls, BOTH, TLS12, TLS13};
use super::support::host::{pass, Host};
use super::support::http::{ask, status};
use super::support::peer::{request, Listener};

/// What the session with such an upstream comes to: the error, and what the client is answered.
fn turned_away(
    host_name: &str,
    set: impl FnOnce(&mut Config),
    upstream: impl FnOnce(TcpStream) + Send,
) -> (Error, String) {
    let listener = Listener::bind();
    let url = format!("wss://{host_name}:{}/secret-path", listener.addr().port());
    let host = Host::start(config(UPSTREAM, Policy::Serial, set), &url, pass);
    let answer = thread::scope(|scope| {
        scope.spawn(|| upstream(listener.accept_tcp()));
        ask(host.addr, request("/", "").as_bytes())
    });
    (host.outcome().expect_err("no session"), answer)
}

/// The same; the client may learn nothing, and is answered with `code`.
fn fails(
    host_name: &str,
    set: impl FnOnce(&mut Config),
    upstream: impl FnOnce(TcpStream) + Send,
    code: u16,
    words: &str,
) -> Error {
    let (error, answer) = turned_away(host_name, set, upstream);
    assert_eq!(status(&answer), code, "{error}: {answer}");
    for told in ["certificate", "TLS", "issuer", "alert", "secret", host_name] {
        assert!(!answer.contains(told), "{told}: {answer}");
    }
    assert_eq!(error.fault(), Fault::Upstream, "{error}");
    assert!(error.message().contains(words), "{words:?} was to be in {error}");
    error
}

/// An upstream with this identity is refused, with words.
fn is_not_trusted(host_name: &str, identity: &Identity, words: &str) {
    for versions in [TLS12, TLS13] {
        let config = server(versions, identity, None);
        let upstream = |tcp| drop(Tls::accept(tcp, config).err().expect("a refusal"));
        let error = fails(host_name, |_| {}, upstream, 502, words);
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    }
    // What is not verified is taken.
    goes_well(host_name, server(BOTH, identity, None), |config| {
        config.upstream_verify(false);
    });
}

/// A session with this upstream comes about and ends well; the upstream's connection.
fn goes_well(host_name: &str, upstream: Arc<ServerConfig>, set: impl FnOnce(&mut Config)) -> Tls {
    let listener = Listener::bind();
    let url = format!("wss://{host_name}:{}", listener.addr().port());
    let host = Host::start(config(UPSTREAM, Policy::Serial, set), &url, pass);
    let addr = host.addr;
    let client = thread::spawn(move || connect(addr, false));
    let mut upstream = accept(&listener, Some(upstream));
    part(&mut client.join().unwrap(), &mut upstream, &host);
    upstream.stream.tls().clone()
}

#[test]
fn an_upstream_is_trusted_by_its_name_or_address_and_its_issuer() {
    goes_well("localhost", server(BOTH, local(), None), |_| {});
    goes_well("127.0.0.1", server(BOTH, local(), None), |_| {});
    let between = trusted().intermediate("the deputy");
    let mut identity = between.issue(&["localhost"], Validity::Now);
    identity.chain += &between.pem;
    goes_well("localhost", server(BOTH, &identity, None), |_| {});
}

#[test]
fn a_certificate_of_the_past_or_future_is_not_trusted() {
    let of = |validity| trusted().issue(&["localhost"], validity);
    is_not_trusted("localhost", &of(Validity::Past), "its certificate has expired");
    is_not_trusted("localhost", &of(Validity::Future), "its certificate is not valid yet");
}

#[test]
fn a_certificate_for_another_name_or_address_is_not_trusted() {
    let other = trusted().issue(&["other.example", "10.0.0.1"], Validity::Now);
    is_not_trusted("localhost", &other, "its certificate is for another name than localhost");
    is_not_trusted("127.0.0.1", &other, "its certificate is for another name than 127.0.0.1");
    let named = trusted().issue(&["localhost"], Validity::Now);
    is_not_trusted("127.0.0.1", &named, "its certificate is for another name than 127.0.0.1");
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_not_trusted() {
    let names = ["localhost"];
    is_not_trusted("localhost", &self_signed(&names), "its certificate is self-signed");
    let stranger = Authority::new("a stranger");
    let mut identity = stranger.issue(&names, Validity::Now);
    is_not_trusted("localhost", &identity, "its certificate has an unknown issuer");
    identity.chain += &stranger.pem;
    is_not_trusted("localhost", &identity, "its certificate has an unknown issuer");
    let between = trusted().intermediate("the deputy");
    let half = between.issue(&names, Validity::Now);
    is_not_trusted("localhost", &half, "its certificate has an unknown issuer");
}

#[test]
fn an_upstream_that_speaks_no_tls_is_told_from_one_that_is_not_there() {
    let says = |words: &'static [u8]| {
        move |mut tcp: TcpStream| {
            tcp.write_all(words).unwrap();
            let _ = tcp.read(&mut [0; 4096]);
        }
    };
    let error = fails(
        "localhost",
        |_| {},
        says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        502,
        "does not speak TLS",
    );
    assert_eq!(error.kind(), ErrorKind::Tls);
    let error = fails("localhost", |_| {}, says(&[0xEE; 300]), 502, "does not speak TLS");
    assert_eq!(error.kind(), ErrorKind::Tls);
    let closes = |mut tcp: TcpStream| drop(tcp.read(&mut [0; 4096]));
    let error = fails("localhost", |_| {}, closes, 502, "closed the connection during the TLS");
    assert_eq!(error.kind(), ErrorKind::Tls);
    let error = fails("localhost", |_| {}, says(&[0x16, 3, 3, 0, 90]), 502, "TLS handshake");
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[test]
fn an_upstream_that_is_silent_in_the_tls_handshake_meets_the_deadline() {
    let short = |config: &mut Config| {
        config.connect_timeout(Duration::from_millis(300)).unwrap();
    };
    let silent =
        |mut tcp: TcpStream| while tcp.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {};
    let error = fails("localhost", short, silent, 504, "did not answer within 300ms");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn an_upstream_that_wants_a_certificate_gets_ours_if_there_is_one() {
    for versions in [TLS12, TLS13] {
        let upstream = server(versions, local(), Some(trusted().roots()));
        let ours = trusted().issue(&["the proxy"], Validity::Now);
        let tls = goes_well("localhost", Arc::clone(&upstream), |config| {
            config.upstream_certificate(ours.chain.as_bytes(), ours.key.as_bytes()).unwrap();
        });
        let shown = tls.look(|connection| connection.peer_certificates().map(<[_]>::to_vec));
        assert_eq!(shown.unwrap()[0], ours.certificates()[0]); // OpenSSL adds issuers that it knows

        let refuses = |tcp| drop(Tls::accept(tcp, Arc::clone(&upstream)).err().expect("a refusal"));
        let error = fails("localhost", |_| {}, refuses, 502, "requires a client certificate");
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");

        let stranger = Authority::new("a stranger").issue(&["the proxy"], Validity::Now);
        let strange = |config: &mut Config| {
            config
                .upstream_certificate(stranger.chain.as_bytes(), stranger.key.as_bytes())
                .unwrap();
        };
        let words = "refused the certificate that it was shown";
        let error = fails("localhost", strange, refuses, 502, words);
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    }
}

#[test]
fn an_upstream_of_a_lower_version_than_demanded_is_refused() {
    let upstream = server(TLS12, local(), None);
    let refuses = |tcp| drop(Tls::accept(tcp, upstream).err().expect("a refusal"));
    let demand = |config: &mut Config| {
        config.min_tls_version(Side::Upstream, TlsVersion::Tls13);
    };
    let error = fails("localhost", demand, refuses, 502, "refused the TLS versions that are");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[test]
fn http_1_1_is_offered_and_nothing_else() {
    let tls = goes_well("localhost", server(BOTH, local(), None), |_| {});
    assert_eq!(tls.look(|c| c.alpn_protocol().map(<[u8]>::to_vec)), Some(b"http/1.1".to_vec()));
    let mut upstream = (*server(BOTH, local(), None)).clone();
    upstream.alpn_protocols = vec![b"h2".to_vec()];
    let refuses = move |tcp| drop(Tls::accept(tcp, Arc::new(upstream)).err().expect("a refusal"));
    fails("localhost", |_| {}, refuses, 502, "does not speak HTTP/1.1");
}

#[test]
fn the_upstream_is_asked_for_by_name_but_never_by_address() {
    let asked = |host_name: &str, set: fn(&mut Config)| {
        goes_well(host_name, server(BOTH, local(), None), set).look(|connection| match connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => unreachable!(),
        })
    };
    assert_eq!(asked("localhost", |_| {}).as_deref(), Some("localhost"));
    assert_eq!(asked("127.0.0.1", |_| {}), None);
    let named = asked("127.0.0.1", |config| {
        config.upstream_server_name("localhost").unwrap();
    });
    assert_eq!(named.as_deref(), Some("localhost"));
    let addressed = asked("localhost", |config| {
        config.upstream_server_name("127.0.0.1").unwrap();
    });
    assert_eq!(addressed, None);
}

#[test]
fn a_server_name_is_what_the_certificate_has_to_be_for() {
    let other = trusted().issue(&["other.example"], Validity::Now);
    goes_well("localhost", server(BOTH, &other, None), |config| {
        config.upstream_server_name("other.example").unwrap();
    });
    let upstream = server(BOTH, local(), None);
    let refuses = |tcp| drop(Tls::accept(tcp, upstream).err().expect("a refusal"));
    let named = |config: &mut Config| {
        config.upstream_server_name("other.example").unwrap();
    };
    fails("localhost", named, refuses, 502, "for another name than other.example");
}
