//! A raw WebSocket peer: no checks, no automatic answers. It can say anything, and shows exactly what it hears.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::http::good_answer;
use super::LONG;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A frame as it was on the wire, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

impl Heard {
    /// Code and reason of a close frame.
    pub fn close(&self) -> (Option<u16>, String) {
        assert_eq!(self.opcode, CLOSE, "not a close frame: {self:?}");
        match self.payload.as_slice() {
            [] => (None, String::new()),
            [a, b, reason @ ..] => {
                (Some(u16::from_be_bytes([*a, *b])), String::from_utf8(reason.to_vec()).unwrap())
            }
            _ => panic!("half a close code"),
        }
    }
}

/// One end of a connection.
pub struct Peer<S = TcpStream> {
    pub stream: S,
    masks: bool,
    /// The head that the other end sent in the handshake.
    pub head: String,
}

/// Where upstreams are accepted.
pub struct Listener(pub TcpListener);

impl Listener {
    pub fn bind() -> Listener {
        Listener(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.addr())
    }

    /// A connection whose request was not read.
    pub fn accept_tcp(&self) -> TcpStream {
        self.wait_for_a_call();
        let (stream, _) = self.0.accept().unwrap();
        prepare(&stream);
        stream
    }

    /// Accepting has no deadline of its own.
    fn wait_for_a_call(&self) {
        let deadline = Timespec { tv_sec: LONG.as_secs() as i64, tv_nsec: 0 };
        let mut call = [PollFd::new(&self.0, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut call, Some(&deadline)), Ok(1), "nobody called");
    }

    /// A connection, upgraded.
    pub fn accept(&self) -> Peer {
        self.accept_with("")
    }

    /// A connection, upgraded with these header lines more.
    pub fn accept_with(&self, more: &str) -> Peer {
        let mut stream = self.accept_tcp();
        let head = read_head(&mut stream);
        stream.write_all(good_answer(&head, more).as_bytes()).unwrap();
        Peer { stream, masks: false, head }
    }
}

/// The request that a plain client sends.
pub fn request(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: example.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// The value of a header in a head.
pub fn header(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
}

/// Reads a head, its empty line included, and nothing more.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => break,
            Err(error) => panic!("no whole head: {error}: {:?}", String::from_utf8_lossy(&head)),
        }
    }
    String::from_utf8(head).unwrap()
}

/// Deadlines, and small writes at once.
pub fn prepare(stream: &TcpStream) {
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// A frame's bytes, right or wrong.
pub fn frame(fin: bool, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![opcode | if fin { 0x80 } else { 0 }];
    let bit = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(bit | len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let start = bytes.len();
    bytes.extend(payload);
    apply(mask.unwrap_or_default(), &mut bytes[start..]);
    bytes
}

/// Masks or unmasks (RFC 6455 section 5.3), eight bytes a step, as tests are not optimised.
fn apply(mask: [u8; 4], payload: &mut [u8]) {
    if mask == [0; 4] {
        return;
    }
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().unwrap());
    let mut steps = payload.chunks_exact_mut(8);
    for step in &mut steps {
        let word = u64::from_ne_bytes((&*step).try_into().unwrap()) ^ wide;
        step.copy_from_slice(&word.to_ne_bytes());
    }
    steps.into_remainder().iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

impl Peer {
    /// A client, upgraded by whoever listens at `addr`.
    pub fn connect(addr: SocketAddr) -> Peer {
        Peer::connect_with(addr, &request("/", ""))
    }

    /// A client with a request of its own.
    pub fn connect_with(addr: SocketAddr, request: &str) -> Peer {
        let mut stream = TcpStream::connect(addr).unwrap();
        prepare(&stream);
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "not upgraded: {head}");
        Peer { stream, masks: true, head }
    }

    /// A client on a connection that the other end takes for upgraded.
    pub fn upgraded_client(stream: TcpStream) -> Peer {
        prepare(&stream);
        Peer { stream, masks: true, head: String::new() }
    }

    /// The same connection for another thread.
    pub fn twin(&self) -> Peer {
        let stream = self.stream.try_clone().unwrap();
        Peer { stream, masks: self.masks, head: self.head.clone() }
    }

    /// Nothing may come for this long.
    pub fn hear_nothing_for(&mut self, period: Duration) {
        self.stream.set_read_timeout(Some(period)).unwrap();
        let outcome = self.stream.read(&mut [0; 1]);
        self.stream.set_read_timeout(Some(LONG)).unwrap();
        let error = outcome.expect_err("silence");
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    }

    /// No more from this end.
    pub fn shutdown(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Goes away with a reset, as a crashed host does.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl<S: Read + Write> Peer<S> {
    /// One end of a connection that is open already; clients mask.
    pub fn over(stream: S, masks: bool, head: String) -> Peer<S> {
        Peer { stream, masks, head }
    }

    /// Sends a frame, masked if this is a client.
    pub fn send(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.send_bytes(&self.frame(fin, opcode, payload));
    }

    pub fn send_text(&mut self, text: &str) {
        self.send(true, TEXT, text.as_bytes());
    }

    pub fn send_close(&mut self, code: u16, reason: &str) {
        self.send(true, CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// A frame as this peer would send it.
    pub fn frame(&self, fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        frame(fin, opcode, payload, self.masks.then_some([0x37, 0xFA, 0x21, 0x3D]))
    }

    /// Sends what it can; the other end may close meanwhile.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame.
    pub fn hear(&mut self) -> Heard {
        self.try_hear().expect("a frame, and not the end")
    }

    /// The next frame; `None` at the end of the stream. Half a frame is a failure.
    pub fn try_hear(&mut self) -> Option<Heard> {
        let mut first = [0; 1];
        match self.stream.read(&mut first) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no frame: {error}"),
        }
        let [second] = self.exactly();
        let len = match second & 0x7F {
            126 => u64::from(u16::from_be_bytes(self.exactly())),
            127 => u64::from_be_bytes(self.exactly()),
            len => u64::from(len),
        };
        let mask = (second & 0x80 != 0).then(|| self.exactly());
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.stream.read_exact(&mut payload).expect("a whole payload");
        if let Some(mask) = mask {
            apply(mask, &mut payload);
        }
        let (fin, rsv) = (first[0] & 0x80 != 0, first[0] >> 4 & 7);
        Some(Heard { fin, rsv, opcode: first[0] & 0x0F, mask, payload })
    }

    /// The next frame must be text.
    pub fn hear_text(&mut self) -> String {
        let heard = self.hear();
        assert_eq!(heard.opcode, TEXT, "{heard:?}");
        String::from_utf8(heard.payload).unwrap()
    }

    /// The next frame must be a close.
    pub fn hear_close(&mut self) -> (Option<u16>, String) {
        self.hear().close()
    }

    /// The next frame must be this one.
    pub fn expect(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        let heard = self.hear();
        assert_eq!((heard.fin, heard.opcode, heard.payload.len()), (fin, opcode, payload.len()));
        assert!(heard.payload == payload, "the payload of {} bytes is another", payload.len());
        assert_eq!((heard.rsv, heard.mask.is_some()), (0, !self.masks));
    }

    /// Nothing more may come but the end of the stream.
    pub fn hear_end(&mut self) {
        let heard = self.try_hear();
        assert_eq!(heard, None, "the end was to come");
    }

    /// How long `act` takes.
    pub fn timed<T>(&mut self, act: impl FnOnce(&mut Peer<S>) -> T) -> (T, Duration) {
        let started = Instant::now();
        (act(self), started.elapsed())
    }

    fn exactly<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).expect("a whole header");
        bytes
    }
}
