//! TLS on both sides: the library's in one host, and in the other the host's own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use tungstenite::{Message, WebSocket};

use super::host::{
    close, close_code, echo, echo_one, echoes, on_both, refusal, Client, Host, Which, PATIENCE,
};
use super::shared_library;

/// A certificate that vouches for itself, in files and for rustls.
struct Identity {
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn new() -> Identity {
        Identity::of("localhost")
    }

    fn of(name: &str) -> Identity {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
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

/// An upstream on TLS; gives its port.
fn secure_upstream(
    identity: &Identity,
    serve: fn(rustls::StreamOwned<ServerConnection, TcpStream>),
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = identity.acceptor();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = rustls::StreamOwned::new(connection, stream.unwrap());
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// One that sends every message back.
fn secure_echo(identity: &Identity) -> u16 {
    secure_upstream(identity, echo_one)
}

/// Between two ends of its own: `tests/c/epoll_tls.c`.
#[test]
fn tls_of_the_event_loop_keeps_its_rules() {
    let identity = Identity::new();
    let program = shared_library::linkable("c_host_epoll_tls").join("epoll_tls");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-Wl,--no-as-needed", "-lssl", "-lcrypto"]);
    shared_library::link(compiler, "tests/c/epoll_tls.c", &program);
    for mut run in [Command::new(&program), shared_library::valgrind(&program)] {
        shared_library::run(run.args([identity.file("cert.pem"), identity.file("key.pem")]));
    }
}

type Secure = rustls::StreamOwned<ClientConnection, TcpStream>;

/// A client on TLS, that trusts `front`.
fn secure_client(host: &Host, front: &Identity) -> Client<Secure> {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(front.connector(), name).unwrap();
    let stream = TcpStream::connect(&host.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let stream = rustls::StreamOwned::new(connection, stream);
    tungstenite::client("wss://localhost/", stream).expect("the handshake").0
}

#[test]
fn tls_is_spoken_on_both_sides() {
    let (front, back) = (Identity::new(), Identity::new());
    let url = format!("wss://localhost:{}", secure_echo(&back));
    let (cert, key, ca) = (front.file("cert.pem"), front.file("key.pem"), back.file("cert.pem"));
    let flags = ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca, "--hook", "upper"];
    on_both(|which| {
        let host = which.start(&url, &flags);
        let mut client = secure_client(&host, &front);
        echoes(&mut client, "hello", "HELLO");
        close(client);
        assert_eq!(host.end("-TERM").1, "");
    });
}

#[test]
fn tls_leaves_nothing_behind_in_either_host() {
    let front = Identity::new();
    let back = Identity::new();
    let (cert, key, ca) = (front.file("cert.pem"), front.file("key.pem"), back.file("cert.pem"));
    let flags =
        ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca, "--drain-timeout", "5000"];
    on_both(|which| {
        let url = format!("wss://localhost:{}", secure_echo(&back));
        let host = Host::start(which.under_valgrind(), &url, &flags);
        let mut closed = secure_client(&host, &front);
        let mut lost = secure_client(&host, &front);
        let mut drained = secure_client(&host, &front);
        for client in [&mut closed, &mut lost, &mut drained] {
            echoes(client, "hello", "hello");
        }
        close(closed);
        lost.get_ref().sock.shutdown(Shutdown::Both).unwrap();
        let told = std::thread::spawn(move || drained.read());
        host.end("-TERM");
        assert_eq!(close_code(told.join().unwrap().unwrap()), 1001);
    });
}

const MANY: usize = 200;

/// 20 MB of them are more than any buffers take.
fn large(n: usize) -> Message {
    let bytes = (0..100_000 + n).map(|at| (at * 31 + n) as u8);
    Message::binary(bytes.collect::<Vec<u8>>())
}

fn send_many<S: Read + Write>(socket: &mut WebSocket<S>) {
    for n in 0..MANY {
        socket.send(large(n)).unwrap();
    }
}

/// Lets them wait first.
fn has_many<S: Read + Write>(socket: &mut WebSocket<S>) {
    std::thread::sleep(Duration::from_millis(300));
    for n in 0..MANY {
        assert!(socket.read().unwrap() == large(n), "message {n} is another");
    }
}

#[test]
fn over_tls_a_slow_reader_slows_its_sender_down_and_loses_nothing() {
    let (front, back) = (Identity::new(), Identity::new());
    let port = secure_upstream(&back, |stream| {
        let mut socket = tungstenite::accept(stream).unwrap();
        send_many(&mut socket);
        has_many(&mut socket);
        socket.send(Message::text("all there")).unwrap();
        while socket.read().is_ok() {}
    });
    let (cert, key, ca) = (front.file("cert.pem"), front.file("key.pem"), back.file("cert.pem"));
    let flags = ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca, "--hook", "pass"];
    on_both(|which| {
        let host = which.start(&format!("wss://localhost:{port}"), &flags);
        let mut client = secure_client(&host, &front);
        has_many(&mut client);
        send_many(&mut client);
        assert_eq!(client.read().unwrap(), Message::text("all there"));
        close(client);
        assert_eq!(host.end("-TERM").1, "");
    });
}

#[test]
fn an_upstream_that_nobody_vouches_for_is_a_502_and_a_line_of_words() {
    on_both(|which| {
        let back = Identity::new();
        let host = which.start(&format!("wss://localhost:{}", secure_echo(&back)), &[]);
        assert_eq!(refusal(&host, &[]), 502);
        let (_, err) = host.end("-TERM");
        assert!(err.starts_with("#1 upstream: "), "{err}");
        assert!(err.contains("certificate"), "{err}");
    });
}

#[test]
fn an_upstream_with_the_certificate_of_another_is_a_502() {
    let back = Identity::of("elsewhere.test");
    let (port, ca) = (secure_echo(&back), back.file("cert.pem"));
    on_both(|which| {
        for host in ["localhost", "127.0.0.1"] {
            let host = which.start(&format!("wss://{host}:{port}"), &["--tls-ca", &ca]);
            assert_eq!(refusal(&host, &[]), 502);
            assert!(host.end("-TERM").1.contains("certificate"));
        }
    });
}

#[test]
fn an_upstream_is_known_by_its_address_too() {
    let back = Identity::of("127.0.0.1");
    let url = format!("wss://127.0.0.1:{}", secure_echo(&back));
    on_both(|which| {
        let host = which.start(&url, &["--tls-ca", &back.file("cert.pem")]);
        echoes(&mut host.connect(), "hello", "hello");
    });
}

/// What the system told of the address that failed must not be taken for news of the next: the request would leave in
/// the clear.
#[test]
fn where_the_first_address_fails_the_second_is_spoken_to_over_tls() {
    let back = Identity::of("two.test");
    let port = secure_echo(&back);
    let program = shared_library::linkable("c_host_two_addresses").join("proxy-epoll");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c99", "-Wl,--wrap=getaddrinfo"]).args(Which::EventLoop.libraries());
    let sources = [Which::EventLoop.sources(), &["tests/c/two_addresses.c"]].concat();
    shared_library::link_all(compiler, &sources, &program);
    for (url, ca) in [
        (format!("wss://two.test:{port}"), back.file("cert.pem")),
        (echo().replace("127.0.0.1", "two.test"), back.file("cert.pem")),
    ] {
        let host = Host::start(Command::new(&program), &url, &["--tls-ca", &ca]);
        echoes(&mut host.connect(), "hello", "hello");
        assert_eq!(host.end("-TERM").1, "");
    }
}

#[test]
fn an_upstream_that_speaks_no_tls_is_a_502() {
    let url = echo().replace("ws:", "wss:");
    on_both(|which| {
        let host = which.start(&url, &[]);
        assert_eq!(refusal(&host, &[]), 502);
    });
}

#[test]
fn clients_that_speak_no_tls_are_let_go_and_others_served() {
    let front = Identity::new();
    let (cert, key, url) = (front.file("cert.pem"), front.file("key.pem"), echo());
    on_both(|which| {
        let host = which.start(&url, &["--tls-cert", &cert, "--tls-key", &key]);
        for said in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x00\x02\x01\x00", ""] {
            let mut stream = TcpStream::connect(&host.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer); // a reset is an end as well
            assert!(!answer.starts_with(b"HTTP"), "{said:?} was answered in the clear");
        }
        echoes(&mut secure_client(&host, &front), "hello", "hello");
    });
}
