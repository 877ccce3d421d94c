//! The hosts as processes, and the peers around them: tungstenite's clients, and upstreams that send everything back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::shared_library;

pub type Client<S = TcpStream> = WebSocket<S>;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// The two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// `proxy.c`: the library's server, and its threads.
    Server,
    /// `proxy_epoll.c`: an event loop of its own, and one thread.
    EventLoop,
}

pub const BOTH: [Which; 2] = [Which::Server, Which::EventLoop];

/// For scenes that both play.
pub fn on_both(scene: impl Fn(Which)) {
    for which in BOTH {
        println!("{which:?}");
        scene(which);
    }
}

impl Which {
    /// What it calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Which::Server => "proxy",
            Which::EventLoop => "proxy-epoll",
        }
    }

    pub fn sources(self) -> &'static [&'static str] {
        match self {
            Which::Server => &["bindings/c/proxy.c"],
            Which::EventLoop => &[
                "bindings/c/proxy_epoll.c",
                "bindings/c/epoll_carry.c",
                "bindings/c/epoll_crowd.c",
                "bindings/c/epoll_linger.c",
                "bindings/c/epoll_loop.c",
                "bindings/c/epoll_session.c",
                "bindings/c/epoll_sockets.c",
                "bindings/c/epoll_tls.c",
            ],
        }
    }

    /// Besides ours. They come before what needs them.
    pub fn libraries(self) -> &'static [&'static str] {
        match self {
            Which::Server => &[],
            Which::EventLoop => &["-Wl,--no-as-needed", "-lssl", "-lcrypto"],
        }
    }

    /// The program, built once.
    pub fn program(self) -> &'static Path {
        static SERVER: OnceLock<PathBuf> = OnceLock::new();
        static EVENT_LOOP: OnceLock<PathBuf> = OnceLock::new();
        let built = if self == Which::Server { &SERVER } else { &EVENT_LOOP };
        built.get_or_init(|| {
            let folder = format!("c_host_{}", self.name()); // each its own links to the library
            let program = shared_library::linkable(&folder).join(self.name());
            let mut compiler = Command::new("cc");
            compiler.arg("-std=c99").args(self.libraries());
            shared_library::link_all(compiler, self.sources(), &program);
            program
        })
    }

    pub fn plain(self) -> Command {
        Command::new(self.program())
    }

    pub fn under_valgrind(self) -> Command {
        shared_library::valgrind(self.program())
    }

    /// Starts it on a port of its own choice.
    pub fn start(self, upstream: &str, flags: &[&str]) -> Host {
        Host::start(self.plain(), upstream, flags)
    }
}

/// A running host.
pub struct Host {
    pub child: Child,
    pub address: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Host {
    pub fn start(command: Command, upstream: &str, flags: &[&str]) -> Host {
        Host::listening_on("127.0.0.1:0", command, upstream, flags)
    }

    pub fn listening_on(
        listen: &str,
        mut command: Command,
        upstream: &str,
        flags: &[&str],
    ) -> Host {
        command.args(["--listen", listen, "--upstream", upstream]).args(flags);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Host { child, address, out }
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/", self.address);
        tungstenite::client(url, stream).expect("the handshake").0
    }

    pub fn proc(&self, what: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(what)
    }

    pub fn count(&self, what: &str) -> usize {
        std::fs::read_dir(self.proc(what)).unwrap().count()
    }

    pub fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        shared_library::run(kill.args([signal, &self.child.id().to_string()]));
    }

    /// Sends a signal and waits for the end, which must be with status 0; gives back stdout and stderr.
    pub fn end(self, signal: &str) -> (String, String) {
        self.signal(signal);
        self.has_to_end()
    }

    /// Waits for the end, which must be with status 0; gives back stdout and stderr.
    pub fn has_to_end(mut self) -> (String, String) {
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
pub fn echo() -> String {
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

pub fn echo_one(stream: impl Read + Write) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

pub fn echoes<S: Read + Write>(client: &mut Client<S>, sent: &str, expected: &str) {
    client.send(Message::text(sent)).unwrap();
    assert_eq!(client.read().unwrap(), Message::text(expected));
}

pub fn close<S: Read + Write>(mut client: Client<S>) {
    client.close(None).unwrap();
    while client.read().is_ok() {}
}

pub fn cpu_ticks(host: &Host) -> u64 {
    let stat = std::fs::read_to_string(host.proc("stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum()
}

pub fn close_code(message: Message) -> u16 {
    match message {
        Message::Close(Some(frame)) => frame.code.into(),
        other => panic!("no close frame: {other:?}"),
    }
}

/// The status with which a client with these headers is refused.
pub fn refusal(host: &Host, headers: &[(&'static str, &str)]) -> u16 {
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
