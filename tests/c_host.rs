//! `bindings/c/proxy.c`, the C host: its flags, its hook, what it prints, its end. Its load is tested in `c_host_load`.
//!
//! The peers are tungstenite's. Where valgrind runs the host, an error or a leak is its exit status.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod shared_library;

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::{Message, WebSocket};

type Client = WebSocket<TcpStream>;

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

    /// Sends a signal and waits for the end, which must be with status 0; gives back stdout and stderr.
    fn end(mut self, signal: &str) -> (String, String) {
        let mut kill = Command::new("kill");
        shared_library::run(kill.args([signal, &self.child.id().to_string()]));
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

fn echo_one(stream: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

fn echoes(client: &mut Client, sent: &str, expected: &str) {
    client.send(Message::text(sent)).unwrap();
    assert_eq!(client.read().unwrap(), Message::text(expected));
}

fn close(mut client: Client) {
    client.close(None).unwrap();
    while client.read().is_ok() {}
}

#[test]
fn wrong_flags_end_the_host_with_status_2_and_words() {
    let good = ["--listen", "127.0.0.1:0", "--upstream", "ws://127.0.0.1:1"];
    let wrong: [(&[&str], &str); 9] = [
        (&["--nonsense"], "unknown flag --nonsense"),
        (&["--hook", "loud"], "--hook loud"),
        (&["--threads", "2"], "--threads 2"),
        (&["--max-frame-size", "0"], "at least 1"),
        (&["--max-message-size", "1k"], "--max-message-size 1k"),
        (&["--max-fragments"], "--max-fragments"),
        (&["--idle-timeout", "-1"], "--idle-timeout -1"),
        (&["--listen", "127.0.0.1"], "--listen 127.0.0.1"),
        (&["--upstream", "http://127.0.0.1"], "--upstream http://127.0.0.1"),
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
        let host = Host::start(under_valgrind(), &echo, &["--hook", "pass"]);
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
    let host = Host::start(under_valgrind(), &silent_url, &[]);
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
    host.end("-TERM");
}

fn cpu_ticks(host: &Host) -> u64 {
    let stat = std::fs::read_to_string(host.proc("stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum()
}
