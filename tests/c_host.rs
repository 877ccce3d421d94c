//! `bindings/c/proxy.c`, the C host: its flags, its hook, what it prints, its end. Its load is tested in `c_host_load`.
//!
//! The peers are tungstenite's. Where valgrind runs the host, an error or a leak is its exit status.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod shared_library;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::{HandshakeError, Message, WebSocket};

type Client<S = TcpStream> = WebSocket<S>;

const PATIENCE: Duration = Duration::from_secs(60);

/// The program, built once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = shared_library::linkable("c_host").join("proxy");
        let mut compiler = Command::new("cc");
        compiler.arg("-std=c99");
        shared_library::link(compiler, "bindings/c/proxy.c", &program);
        program
    })
}

fn plain() -> Command {
    Command::new(program())
}

fn under_valgrind() -> Command {
    shared_library::valgrind(program())
}

/// A running host.
struct Host {
    child: Child,
    address: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Host {
    fn start(command: Command, upstream: &str, flags: &[&str]) -> Host {
        Host::listening_on("127.0.0.1:0", command, upstream, flags)
    }

    fn listening_on(listen: &str, mut command: Command, upstream: &str, flags: &[&str]) -> Host {
        command.args(["--listen", listen, "--upstream", upstream]).args(flags);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Host { child, address, out }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/", self.address);
        tungstenite::client(url, stream).expect("the handshake").0
    }

    fn proc(&self, what: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(what)
    }

    fn count(&self, what: &str) -> usize {
        std::fs::read_dir(self.proc(what)).unwrap().count()
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        shared_library::run(kill.args([signal, &self.child.id().to_string()]));
    }

    /// Sends a signal and waits for the end, which must be with status 0; gives back stdout and stderr.
    fn end(self, signal: &str) -> (String, String) {
        self.signal(signal);
        self.has_to_end()
    }

    /// Waits for the end, which must be with status 0; gives back stdout and stderr.
    fn has_to_end(mut self) -> (String, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("the host did not end"),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(status.success(), "{status}\n{out}\n{err}");
        (out, err)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended, if the test went well
        let _ = self.child.wait();
    }
}

/// An upstream that sends every message back; gives its URL.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let small = std::thread::Builder::new().stack_size(128 * 1024);
            small.spawn(move || echo_one(stream.unwrap())).unwrap();
        }
    });
    url
}

fn echo_one(stream: impl Read + Write) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

fn echoes<S: Read + Write>(client: &mut Client<S>, sent: &str, expected: &str) {
    client.send(Message::text(sent)).unwrap();
    assert_eq!(client.read().unwrap(), Message::text(expected));
}

fn close<S: Read + Write>(mut client: Client<S>) {
    client.close(None).unwrap();
    while client.read().is_ok() {}
}

#[test]
fn wrong_flags_end_the_host_with_status_2_and_words() {
    let good = ["--listen", "127.0.0.1:0", "--upstream", "ws://127.0.0.1:1"];
    let wrong: [(&[&str], &str); 18] = [
        (&["--nonsense"], "unknown flag --nonsense"),
        (&["--hook", "loud"], "--hook loud"),
        (&["--threads", "2"], "--threads 2"),
        (&["--max-frame-size", "0"], "at least 1"),
        (&["--max-message-size", "1k"], "--max-message-size 1k"),
        (&["--max-fragments"], "--max-fragments"),
        (&["--idle-timeout", "-1"], "--idle-timeout -1"),
        (&["--listen", "127.0.0.1"], "--listen 127.0.0.1"),
        (&["--upstream", "http://127.0.0.1"], "--upstream http://127.0.0.1"),
        (&["--upstream", ""], "--upstream"),
        (&["--max-connections", "0"], "--max-connections 0"),
        (&["--drain-timeout", "-1"], "--drain-timeout -1"),
        (&["--drain-timeout", "99999999999999999999"], "--drain-timeout 9999"),
        (&["--origin", "example.com"], "not an origin"),
        (&["--tls-ca", "/nowhere/ca.pem"], "cannot read /nowhere/ca.pem: No such file"),
        (&["--tls-cert", "/nowhere/cert.pem"], "missing flag --tls-key"),
        (&["--tls-key", "/nowhere/key.pem"], "missing flag --tls-cert"),
        (&["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/"], "cannot read /nowhere/cert.pem"),
    ];
    for (flags, words) in wrong {
        let output = plain().args(good).args(flags).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {err}");
        assert!(err.contains(words), "{flags:?}: {err}");
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
    assert_eq!(plain().args(&good[..2]).output().unwrap().status.code(), Some(2));
    assert_eq!(plain().args(&good[2..]).output().unwrap().status.code(), Some(2));
}

#[test]
fn help_is_no_mistake() {
    for flags in [&["--help"][..], &["-h"], &["--listen", "127.0.0.1:0", "--help"]] {
        let output = plain().args(flags).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{flags:?}");
        assert!(out.starts_with("usage: proxy --listen"), "{flags:?}: {out}");
        assert!(output.stderr.is_empty(), "{flags:?}");
    }
}

/// Health checks, scans, closed laptops.
#[test]
fn that_clients_go_away_is_not_worth_a_line() {
    let host = Host::start(plain(), &echo(), &[]);
    for _ in 0..20 {
        drop(TcpStream::connect(&host.address).unwrap());
    }
    let mut half = TcpStream::connect(&host.address).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    drop(half);
    let mut client = host.connect();
    echoes(&mut client, "hello", "hello");
    drop(client);
    assert_eq!(refusal(&host, &[("Sec-WebSocket-Version", "12")]), 426);
    let (_, err) = host.end("-TERM");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains("Sec-WebSocket-Version"), "{err}");
}

#[test]
fn text_is_upper_cased_and_the_rest_left_alone_under_each_policy() {
    let upstream = echo();
    for policy in ["serial", "concurrent", "caller"] {
        let host = Host::start(
            under_valgrind(),
            &upstream,
            &["--hook", "upper", "--threads", policy, "--print"],
        );
        let mut client = host.connect();
        echoes(&mut client, "hello, größe", "HELLO, GRößE");
        client.send(Message::binary(&b"hello"[..])).unwrap();
        assert_eq!(client.read().unwrap(), Message::binary(&b"hello"[..]));
        fragments_are_upper_cased(&mut client);
        close(client);
        let (out, err) = host.end("-TERM");
        assert_eq!(err, "");
        for line in [
            "#1 client -> upstream text         fin        14 bytes upper-cased \"HELLO, GR\\xc3\\xb6\\xc3\\x9fE\"",
            "#1 client -> upstream binary       fin         5 bytes forwarded \"hello\"",
            "#1 client -> upstream text         more        3 bytes upper-cased \"ONE\"",
            "#1 client -> upstream ping         fin         3 bytes forwarded \"two\"",
            "#1 client -> upstream continuation fin         5 bytes upper-cased \"THREE\"",
        ] {
            assert!(out.contains(line), "no line {line:?} in\n{out}");
        }
    }
}

fn fragments_are_upper_cased(client: &mut Client) {
    let fragment = |text: &'static str, code, last| {
        Message::Frame(Frame::message(text, OpCode::Data(code), last))
    };
    client.send(fragment("one", Data::Text, false)).unwrap();
    client.send(Message::Ping("two".into())).unwrap();
    client.send(fragment("three", Data::Continue, true)).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("two".into()));
    assert_eq!(client.read().unwrap(), Message::text("ONETHREE"));
}

#[test]
fn fragments_of_a_binary_message_keep_their_letters() {
    let host = Host::start(plain(), &echo(), &["--hook", "upper"]);
    let mut client = host.connect();
    let first = Frame::message(&b"one"[..], OpCode::Data(Data::Binary), false);
    let last = Frame::message(&b"two"[..], OpCode::Data(Data::Continue), true);
    client.send(Message::Frame(first)).unwrap();
    client.send(Message::Frame(last)).unwrap();
    assert_eq!(client.read().unwrap(), Message::binary(&b"onetwo"[..]));
    host.end("-TERM");
}

#[test]
fn aggregated_messages_are_printed_as_one_frame() {
    let host = Host::start(plain(), &echo(), &["--aggregate", "--print"]);
    let mut client = host.connect();
    let first = Frame::message("one", OpCode::Data(Data::Text), false);
    let last = Frame::message("two", OpCode::Data(Data::Continue), true);
    client.send(Message::Frame(first)).unwrap();
    client.send(Message::Frame(last)).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("onetwo"));
    close(client);
    let (out, _) = host.end("-INT");
    assert!(
        out.contains("client -> upstream text         fin         6 bytes forwarded \"onetwo\""),
        "{out}"
    );
}

#[test]
fn an_ipv6_address_is_listened_on_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6: nothing to listen on");
        return;
    }
    let host = Host::listening_on("[::1]:0", plain(), &echo(), &[]);
    assert!(host.address.starts_with("[::1]:"), "{}", host.address);
    echoes(&mut host.connect(), "hello", "hello");
    host.end("-TERM");
}

#[test]
fn a_limit_from_the_flags_holds() {
    let host = Host::start(plain(), &echo(), &["--hook", "pass", "--max-frame-size", "5"]);
    let mut client = host.connect();
    echoes(&mut client, "12345", "12345");
    client.send(Message::text("123456")).unwrap();
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(frame.code), 1009);
    drop(client);
    let (_, err) = host.end("-TERM");
    assert!(err.starts_with("#1 client: "), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn sigterm_ends_sessions_in_every_state_and_leaves_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts by its backlog, says nothing
    let (echo, silent_url) = (echo(), format!("ws://{}", silent.local_addr().unwrap()));
    for signal in ["-TERM", "-INT"] {
        let flags = ["--hook", "pass", "--drain-timeout", "1500"];
        let host = Host::start(under_valgrind(), &echo, &flags);
        let mut connected = host.connect();
        let _says_nothing = TcpStream::connect(&host.address).unwrap();
        echoes(&mut connected, "hello", "hello");
        let stopped = std::thread::spawn(move || connected.read());
        host.end(signal);
        let Message::Close(Some(frame)) = stopped.join().unwrap().unwrap() else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(frame.code), 1001);
    }
    let host = Host::start(under_valgrind(), &silent_url, &["--drain-timeout", "1500"]);
    let address = host.address.clone();
    let waiting = std::thread::spawn(move || {
        tungstenite::client(format!("ws://{address}/"), TcpStream::connect(&address).unwrap())
            .is_err()
    });
    let (_asked, _) = silent.accept().unwrap();
    host.end("-TERM");
    assert!(waiting.join().unwrap());
}

#[test]
fn without_descriptors_clients_wait_and_the_host_does_not_spin() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 20; exec \"$@\"", "sh"]).arg(program());
    let host = Host::start(limited, &echo(), &[]);
    let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(&host.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let before = cpu_ticks(&host);
    std::thread::sleep(Duration::from_millis(1000));
    let spent = cpu_ticks(&host) - before;
    assert!(spent < 20, "{spent} ticks of 10 ms in one second");
    drop(clients);
    let deadline = Instant::now() + PATIENCE;
    while host.count("fd") > 8 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    echoes(&mut host.connect(), "hello", "hello");
    let (_, err) = host.end("-TERM");
    assert!(err.starts_with("proxy: ") && err.contains("Too many open files"), "{err}");
}

fn cpu_ticks(host: &Host) -> u64 {
    let stat = std::fs::read_to_string(host.proc("stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum()
}

fn close_code(message: Message) -> u16 {
    match message {
        Message::Close(Some(frame)) => frame.code.into(),
        other => panic!("no close frame: {other:?}"),
    }
}

#[test]
fn a_drain_waits_for_the_end_of_a_message_and_takes_nobody_else() {
    for signal in ["-TERM", "-INT"] {
        let host = Host::start(plain(), &echo(), &["--drain-timeout", "60000"]);
        let mut client = host.connect();
        echoes(&mut client, "hello", "hello");
        let part = |text: &'static str, code, last| {
            Message::Frame(Frame::message(text, OpCode::Data(code), last))
        };
        client.send(part("half ", Data::Text, false)).unwrap();
        client.send(Message::Ping("crossed".into())).unwrap();
        assert_eq!(client.read().unwrap(), Message::Pong("crossed".into()));
        host.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&host.address).is_ok() {
            assert!(Instant::now() < deadline, "it still listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        client.send(part("whole", Data::Continue, true)).unwrap();
        assert_eq!(close_code(client.read().unwrap()), 1001);
        while client.read().is_ok() {}
        let (_, err) = host.has_to_end();
        assert!(!err.contains("#1 "), "{err}");
    }
}

#[test]
fn the_drain_timeout_ends_sessions_that_do_not_answer_and_a_second_signal_does_so_at_once() {
    let timeout = Duration::from_millis(1500);
    for (flag, second) in [("1500", false), ("600000", true)] {
        let host = Host::start(plain(), &echo(), &["--drain-timeout", flag]);
        let mut client = host.connect();
        echoes(&mut client, "hello", "hello");
        let started = Instant::now();
        host.signal("-TERM");
        assert_eq!(close_code(client.read().unwrap()), 1001);
        // The answer to the close frame was only queued: nobody sends it.
        if second {
            host.signal("-INT");
        }
        host.has_to_end();
        let took = started.elapsed();
        assert!(second || took >= timeout, "nobody was waited for: {took:?}");
        assert!(took < timeout + Duration::from_secs(6), "{took:?}");
        drop(client);
    }
}

#[test]
fn whoever_is_one_too_many_is_answered_503() {
    let host = Host::start(plain(), &echo(), &["--max-connections", "1"]);
    let mut client = host.connect();
    echoes(&mut client, "hello", "hello");
    assert_eq!(refusal(&host, &[]), 503);
    echoes(&mut client, "still here", "still here");
    close(client);
    host.end("-TERM");
}

/// The status with which a client with these headers is refused.
fn refusal(host: &Host, headers: &[(&'static str, &str)]) -> u16 {
    let stream = TcpStream::connect(&host.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("ws://{}/", host.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match tungstenite::client(request, stream) {
        Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => answer.status().as_u16(),
        other => panic!("no refusal: {:?}", other.map(|(_, answer)| answer)),
    }
}

#[test]
fn only_pages_of_the_origins_named_may_connect() {
    let flags = ["--origin", "https://a.example", "--origin", "https://b.example"];
    let host = Host::start(plain(), &echo(), &flags);
    assert_eq!(refusal(&host, &[("origin", "https://c.example")]), 403);
    let stream = TcpStream::connect(&host.address).unwrap();
    let mut request = format!("ws://{}/", host.address).into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://b.example".parse().unwrap());
    let mut client = tungstenite::client(request, stream).expect("the handshake").0;
    echoes(&mut client, "hello", "hello");
    close(client);
    host.end("-TERM");
}

#[test]
fn both_sides_may_be_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let (front, back) = (folder.path().join("front"), folder.path().join("back"));
    let upstream = UnixListener::bind(&back).unwrap();
    std::thread::spawn(move || upstream.incoming().for_each(|stream| echo_one(stream.unwrap())));
    let place = format!("unix:{}", front.display());
    let url = format!("ws+unix:{}", back.display());
    let host = Host::listening_on(&place, plain(), &url, &[]);
    assert_eq!(host.address, place);
    let stream = UnixStream::connect(&front).unwrap();
    let mut client = tungstenite::client("ws://localhost/", stream).expect("the handshake").0;
    echoes(&mut client, "hello", "hello");
    close(client);
    host.end("-TERM");
    assert!(!front.exists());
}

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
    let host = Host::start(plain(), &url, &flags); // valgrind takes long over the system's authorities
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
    let host = Host::start(plain(), &format!("wss://localhost:{}", secure_echo(&back)), &[]);
    assert_eq!(refusal(&host, &[]), 502);
    let (_, err) = host.end("-TERM");
    assert!(err.starts_with("#1 upstream: "), "{err}");
    assert!(err.contains("certificate"), "{err}");
}
