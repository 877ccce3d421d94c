//! TLS, which the host with the library's server speaks.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::host::{close, echo_one, echoes, refusal, Which, PATIENCE};

/// A certificate that vouches for itself, in files and for rustls.
struct Identity {
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn new() -> Identity {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), own.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        Identity { folder, certificate: own.cert.der().clone(), key }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn connector(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }

    fn acceptor(&self) -> Arc<ServerConfig> {
        let (chain, key) = (vec![self.certificate.clone()], self.key.clone_key());
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }
}

/// An upstream on TLS that sends every message back; gives its port.
fn secure_echo(identity: &Identity) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = identity.acceptor();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = rustls::StreamOwned::new(connection, stream.unwrap());
            std::thread::spawn(move || echo_one(stream));
        }
    });
    port
}

#[test]
fn tls_is_spoken_on_both_sides() {
    let (front, back) = (Identity::new(), Identity::new());
    let url = format!("wss://localhost:{}", secure_echo(&back));
    let (cert, key, ca) = (front.file("cert.pem"), front.file("key.pem"), back.file("cert.pem"));
    let flags = ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca, "--hook", "upper"];
    let host = Which::Server.start(&url, &flags); // valgrind takes long over the system's authorities
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(front.connector(), name).unwrap();
    let stream = TcpStream::connect(&host.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let stream = rustls::StreamOwned::new(connection, stream);
    let mut client = tungstenite::client("wss://localhost/", stream).expect("the handshake").0;
    echoes(&mut client, "hello", "HELLO");
    close(client);
    assert_eq!(host.end("-TERM").1, "");
}

#[test]
fn an_upstream_that_nobody_vouches_for_is_a_502_and_a_line_of_words() {
    let back = Identity::new();
    let host = Which::Server.start(&format!("wss://localhost:{}", secure_echo(&back)), &[]);
    assert_eq!(refusal(&host, &[]), 502);
    let (_, err) = host.end("-TERM");
    assert!(err.starts_with("#1 upstream: "), "{err}");
    assert!(err.contains("certificate"), "{err}");
}
