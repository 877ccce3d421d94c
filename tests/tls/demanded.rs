//! Clients that have to show a certificate: who is let in, and what the others and the host are told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ClientConfig, SupportedProtocolVersion};
use wsproxy::{Client, Config, Error, ErrorKind, Fault, Policy, Proxy};

use super::authority::{local, self_signed, trusted, Authority, Identity, Validity};
use super::scene::{accept, config, part, read_head, Stream, CLIENT};
use super::stream::{client, Tls, TLS12, TLS13};
use super::support::host::{pass, Host};
use super::support::http;
use super::support::on_every_policy;
use super::support::peer::{request, Listener, Peer};

fn demanding(policy: Policy) -> Arc<Config> {
    config(CLIENT, policy, |config| {
        config.client_ca(trusted().pem.as_bytes()).unwrap();
    })
}

/// A client's settings: what it shows.
fn showing(
    versions: &[&'static SupportedProtocolVersion],
    identity: &Identity,
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(trusted().roots())
        .with_client_auth_cert(identity.certificates(), identity.private_key());
    Arc::new(config.unwrap())
}

/// What becomes of such a client, and what it hears. The upstream is never called.
fn fails(settings: Arc<ClientConfig>) -> (Error, String) {
    let listener = Listener::bind();
    let host = Host::start(demanding(Policy::Serial), &listener.url(), pass);
    let asks = |tcp: TcpStream| {
        let mut tls = Tls::connect(tcp, settings, "127.0.0.1")?;
        // Under TLS 1.3 the handshake is over for the client; it asks before it hears how that went.
        let _ = tls.write_all(request("/", "").as_bytes());
        thread::sleep(Duration::from_millis(50));
        tls.read(&mut [0; 99])
    };
    let heard = asks(http::connect(host.addr)).expect_err("no answer").to_string();
    let error = host.outcome().expect_err("no session");
    http::nobody_called(&listener);
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Tls, Fault::Client), "{error}");
    (error, heard)
}

#[test]
fn a_client_with_the_right_certificate_is_let_in() {
    let identity = trusted().issue(&["a client"], Validity::Now);
    on_every_policy(|policy| {
        for versions in [TLS12, TLS13] {
            let listener = Listener::bind();
            let host = Host::start(demanding(policy), &listener.url(), pass);
            let (tcp, settings) = (http::connect(host.addr), showing(versions, &identity));
            let client = thread::spawn(move || {
                let mut tls = Tls::connect(tcp, settings, "127.0.0.1").unwrap();
                tls.write_all(request("/", "").as_bytes()).unwrap();
                let head = read_head(&mut tls);
                Peer::over(Stream::Secure(tls), true, head)
            });
            let mut upstream = accept(&listener, None);
            part(&mut client.join().unwrap(), &mut upstream, &host);
        }
    });
}

#[test]
fn a_client_without_a_certificate_hears_that_one_is_required() {
    for (versions, alert) in [(TLS12, "HandshakeFailure"), (TLS13, "CertificateRequired")] {
        let (error, heard) = fails(client(versions, trusted().roots()));
        assert!(error.message().contains("shows no certificate, and has to"), "{error}");
        assert!(heard.contains(alert), "{heard}");
    }
}

#[test]
fn a_client_with_a_wrong_certificate_is_refused_with_the_reason() {
    let stranger = Authority::new("a stranger");
    for (identity, words, alert) in [
        (trusted().issue(&["x"], Validity::Past), "its certificate has expired", "Expired"),
        (trusted().issue(&["x"], Validity::Future), "its certificate is not valid yet", "Bad"),
        (stranger.issue(&["x"], Validity::Now), "its certificate has an unknown issuer", "CA"),
        (self_signed(&["x"]), "its certificate is self-signed", "CA"),
    ] {
        for versions in [TLS12, TLS13] {
            let (error, heard) = fails(showing(versions, &identity));
            assert!(error.message().contains(words), "{error}");
            assert!(heard.contains(alert), "{heard}");
        }
    }
}

#[test]
fn a_certificate_cannot_be_demanded_of_clients_that_speak_no_tls() {
    let mut config = Config::new();
    config.client_ca(trusted().pem.as_bytes()).unwrap();
    let proxy = Proxy::new(Arc::new(config)).unwrap();
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = proxy.connect_client(Client::new(ours)).unwrap_err();
    assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host), "{error}");
    let error = Config::new().client_ca(local().key.as_bytes()).expect_err("no certificate");
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(!error.message().contains("BEGIN"), "{error}");
}

/// A client comes with these settings, and the session ends well; whether its handshake resumed an earlier one.
fn is_resumed(config: &Arc<Config>, settings: &Arc<ClientConfig>) -> bool {
    let listener = Listener::bind();
    let host = Host::start(Arc::clone(config), &listener.url(), pass);
    let (tcp, settings) = (http::connect(host.addr), Arc::clone(settings));
    let client = thread::spawn(move || {
        let mut tls = Tls::connect(tcp, settings, "127.0.0.1").unwrap();
        tls.write_all(request("/", "").as_bytes()).unwrap();
        let head = read_head(&mut tls); // and the tickets before it
        Peer::over(Stream::Secure(tls), true, head)
    });
    let mut upstream = accept(&listener, None);
    let mut client = client.join().unwrap();
    let kind = client.stream.tls().look(|connection| connection.handshake_kind());
    part(&mut client, &mut upstream, &host);
    kind == Some(rustls::HandshakeKind::Resumed)
}

#[test]
fn a_client_that_has_shown_its_certificate_may_resume_its_tls_session() {
    let identity = trusted().issue(&["a client"], Validity::Now);
    for versions in [TLS12, TLS13] {
        let (config, settings) = (demanding(Policy::Serial), showing(versions, &identity));
        assert!(!is_resumed(&config, &settings));
        for _ in 0..3 {
            assert!(is_resumed(&config, &settings), "{versions:?}");
        }
    }
}

#[test]
fn a_tls_session_with_a_host_that_demands_nothing_cannot_be_resumed_with_one_that_does() {
    for versions in [TLS12, TLS13] {
        let (open, settings) =
            (config(CLIENT, Policy::Serial, |_| {}), client(versions, trusted().roots()));
        assert!(!is_resumed(&open, &settings));
        assert!(is_resumed(&open, &settings), "{versions:?}");
        let (error, _) = fails(settings);
        assert!(error.message().contains("shows no certificate, and has to"), "{error}");
    }
}
