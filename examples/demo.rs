//! Shows frames as they cross: a client, the C host `target/c/proxy` with its hook `upper`, and an echo upstream.
//!
//! Rules: free ports, bounded time, and it checks what it shows: a frame that is not as it should be is a failure.
//! What crossed, and what the hook did, is what the C host prints; what was there before is what the client sent.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{stdout, BufRead, BufReader, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Message, WebSocket};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const HOST: &str = "target/c/proxy";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let upstream = start_echo_upstream()?;
    let mut host = Host::start(upstream)?;
    let mut screen = Screen::new();
    screen.opening(host.addr, upstream)?;
    let mut client = Client::connect(&host)?;
    for step in steps() {
        screen.heading(step.says)?;
        let crossed = client.take(&step, &host)?;
        crossed.iter().try_for_each(|frame| screen.frame(frame))?;
    }
    let status = host.end()?;
    if !status.success() {
        return Err(format!("{HOST} ended with {status}").into());
    }
    screen.summary()
}

// ---- what is sent, and what has to come back ----

/// One act of the client's, and the frames that cross because of it.
struct Step {
    says: &'static str,
    sends: Vec<Message>,
    /// What the client hears then.
    hears: Vec<Message>,
}

fn steps() -> Vec<Step> {
    let bytes = vec![0xCA, 0xFE, b'a', b'b', 0x00, 0xFF];
    let fragment = |text: &'static str, kind, last| {
        Message::Frame(Frame::message(text.as_bytes(), OpCode::Data(kind), last))
    };
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "that was all".into() };
    vec![
        Step {
            says: "a text message; the hook upper-cases it",
            sends: vec![Message::text("hello world")],
            hears: vec![Message::text("HELLO WORLD")],
        },
        Step {
            says: "a binary message; the hook looks at it and lets it be",
            sends: vec![Message::binary(bytes.clone())],
            hears: vec![Message::binary(bytes)],
        },
        Step {
            says: "a text message in three fragments, with a ping between them",
            sends: vec![
                fragment("one, ", Data::Text, false),
                Message::Ping("still there?".into()),
                fragment("two, ", Data::Continue, false),
                fragment("three", Data::Continue, true),
            ],
            hears: vec![Message::Pong("still there?".into()), Message::text("ONE, TWO, THREE")],
        },
        Step {
            says: "the closing handshake",
            sends: vec![Message::Close(Some(goodbye.clone()))],
            hears: vec![Message::Close(Some(goodbye))],
        },
    ]
}

/// What a preview shows of a message before the hook saw it.
fn payload_of(message: &Message) -> String {
    match message {
        Message::Frame(frame) => String::from_utf8_lossy(frame.payload()).into_owned(),
        Message::Text(text) => text.to_string(),
        _ => String::new(),
    }
}

// ---- the upstream ----

/// Answers one client: every message comes back as it was.
fn start_echo_upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    thread::spawn(move || {
        // What goes wrong here is seen by the client, which then hears no echo.
        let Ok((stream, _)) = listener.accept() else { return };
        let Ok(mut socket) = tungstenite::accept(stream) else { return };
        while let Ok(message) = socket.read() {
            let echoed = match message {
                Message::Text(_) | Message::Binary(_) => socket.send(message),
                _ => socket.flush(), // pongs and the answer to a close are tungstenite's own
            };
            if echoed.is_err() {
                return;
            }
        }
    });
    Ok(addr)
}

// ---- the C host ----

/// The running C host; ended when dropped.
struct Host {
    process: Child,
    addr: SocketAddr,
    printed: Receiver<String>,
}

impl Host {
    fn start(upstream: SocketAddr) -> Result<Host> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(HOST);
        if !program.is_file() {
            return Err(format!("{HOST} is not there: run `make examples` first").into());
        }
        let mut process = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--upstream", &format!("ws://{upstream}")])
            .args(["--hook", "upper", "--print"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{HOST} does not start: {error}"))?;
        let out = process.stdout.take().ok_or("no output of the C host")?;
        let mut host = Host { process, addr: upstream, printed: lines_of(out) };
        let line = host.next_line()?;
        host.addr = line
            .strip_prefix("listening on ")
            .and_then(|addr| addr.parse().ok())
            .ok_or_else(|| format!("{HOST} does not say where it listens: {line}"))?;
        Ok(host)
    }

    fn next_line(&self) -> Result<String> {
        let line = self.printed.recv_timeout(PATIENCE);
        line.map_err(|_| format!("{HOST} printed less than it should").into())
    }

    /// Ends it as an operator does, and says how it went.
    fn end(&mut self) -> Result<ExitStatus> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or("no process")?, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(format!("{HOST} does not end when told to").into())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing to do if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines_of(out: ChildStdout) -> Receiver<String> {
    let (tell, printed) = channel();
    thread::spawn(move || {
        BufReader::new(out).lines().map_while(|line| line.ok()).try_for_each(|line| tell.send(line))
    });
    printed
}

/// A line of `--print`: `#1 client -> upstream text fin 11 bytes upper-cased "HELLO WORLD"`.
struct Crossed {
    to_upstream: bool,
    kind: String,
    last: bool,
    size: usize,
    action: String,
    code: Option<String>,
    preview: String,
    /// What the hook was shown, if it made something else of it.
    before: Option<String>,
}

impl Crossed {
    fn parse(line: &str) -> Option<Crossed> {
        let (head, preview) = line.split_once(" \"")?;
        let words: Vec<&str> = head.split_whitespace().collect();
        let [_, "client", arrow, "upstream", kind, fin, size, "bytes", action, code @ ..] =
            words.as_slice()
        else {
            return None;
        };
        Some(Crossed {
            to_upstream: *arrow == "->",
            kind: (*kind).to_owned(),
            last: *fin == "fin",
            size: size.parse().ok()?,
            action: (*action).to_owned(),
            code: code.first().map(|&code| code.to_owned()),
            preview: preview.trim_end_matches("...").strip_suffix('"')?.to_owned(),
            before: None,
        })
    }
}

// ---- the client ----

struct Client {
    socket: WebSocket<TcpStream>,
}

impl Client {
    fn connect(host: &Host) -> Result<Client> {
        let stream = TcpStream::connect(host.addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(format!("ws://{}/", host.addr), stream)?;
        Ok(Client { socket })
    }

    /// Does a step; gives back the frames that crossed, as the C host saw them.
    fn take(&mut self, step: &Step, host: &Host) -> Result<Vec<Crossed>> {
        let mut sent: VecDeque<String> = step.sends.iter().map(payload_of).collect();
        for message in &step.sends {
            self.socket.send(message.clone())?;
        }
        for expected in &step.hears {
            let heard = self.socket.read()?;
            if heard != *expected {
                return Err(format!("heard {heard:?} instead of {expected:?}").into());
            }
        }
        let next = || {
            let line = host.next_line()?;
            let mut frame = Crossed::parse(&line).ok_or_else(|| format!("not a frame: {line}"))?;
            let before = if frame.to_upstream { sent.pop_front() } else { None };
            frame.before = before.filter(|_| frame.action == "upper-cased");
            Ok(frame)
        };
        std::iter::repeat_with(next).take(step.sends.len() + step.hears.len()).collect()
    }
}

// ---- what is shown ----

#[derive(Default)]
struct Count {
    frames: usize,
    bytes: usize,
    replaced: usize,
}

struct Screen {
    colours: bool,
    up: Count,
    down: Count,
}

const DIM: &str = "2";
const BOLD: &str = "1";
const GREEN: &str = "32";
const BLUE: &str = "34";
const YELLOW: &str = "33";

impl Screen {
    fn new() -> Screen {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = stdout().is_terminal() && !is_set("NO_COLOR") && !dumb;
        Screen { colours, up: Count::default(), down: Count::default() }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn opening(&self, host: SocketAddr, upstream: SocketAddr) -> Result<()> {
        let title = self.paint(BOLD, "libwsproxy: a C program looks at every frame");
        writeln!(stdout(), "{title}\n")?;
        writeln!(stdout(), "  client     sends to   ws://{host}")?;
        writeln!(stdout(), "  proxy      {HOST}, in front of the upstream, with a hook")?;
        writeln!(stdout(), "  upstream   echoes at  ws://{upstream}")?;
        Ok(())
    }

    fn heading(&self, text: &str) -> Result<()> {
        Ok(writeln!(stdout(), "\n{}", self.paint(DIM, text))?)
    }

    fn frame(&mut self, frame: &Crossed) -> Result<()> {
        let count = if frame.to_upstream { &mut self.up } else { &mut self.down };
        count.frames += 1;
        count.bytes += frame.size;
        count.replaced += usize::from(frame.action != "forwarded");

        let (colour, arrow) = if frame.to_upstream { (GREEN, "->") } else { (BLUE, "<-") };
        let way = self.paint(colour, &format!("client {arrow} upstream"));
        let kind = if frame.last { frame.kind.clone() } else { format!("{} ...", frame.kind) };
        let kind = self.paint(BOLD, &format!("{kind:<16}"));
        let code = frame.code.iter().map(|code| format!("{code} ")).collect::<String>();
        let shown = frame.before.as_ref().unwrap_or(&frame.preview);
        let shown = format!("{code}\"{shown}\"");
        let did = match &frame.before {
            Some(_) => self.paint(YELLOW, &format!("replaced: \"{}\"", frame.preview)),
            None => self.paint(DIM, &frame.action),
        };
        Ok(writeln!(stdout(), "  {way}  {kind}{:>4} B  {shown:<28}{did}", frame.size)?)
    }

    fn summary(&self) -> Result<()> {
        let Screen { up, down, .. } = self;
        writeln!(stdout(), "\n{}", self.paint(BOLD, "Summary"))?;
        for (to, count) in [("upstream", up), ("client", down)] {
            let Count { frames, bytes, replaced } = count;
            writeln!(
                stdout(),
                "  to the {to:<10}{frames} frames, {bytes:>3} B, {replaced} replaced by the hook"
            )?;
        }
        writeln!(stdout(), "  all of them as they should be; the proxy ended with status 0\n")?;
        writeln!(stdout(), "Put it before your own upstream:\n")?;
        writeln!(
            stdout(),
            "  {HOST} --listen 127.0.0.1:8080 --upstream ws://127.0.0.1:9000 --hook pass --print"
        )?;
        Ok(())
    }
}
