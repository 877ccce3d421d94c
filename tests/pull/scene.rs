//! A session by pull without sockets: bytes in, and what has come out.

use std::sync::Arc;

use wsproxy::{Config, Proxy, Pull, Side};

use crate::support::peer;

pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
pub const REQUEST: &str =
    "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: c\r\n\
    Sec-WebSocket-Protocol: a, b\r\n\r\n";

pub fn answer(lines: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// A frame with a mask of zeros if it is the client's.
pub fn frame(from: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    peer::frame(false, first, payload, (from == Side::Client).then_some([0; 4]))
}

/// One session and what has come out of it.
pub struct Session {
    pub proxy: Proxy,
    pub pull: Pull,
    pub client: Vec<u8>,
    pub upstream: Vec<u8>,
}

impl Session {
    pub fn new(config: Config) -> Self {
        let proxy = Proxy::new(Arc::new(config)).unwrap();
        let mut pull = proxy.pull().unwrap();
        pull.tick(1000);
        pull.set_key(KEY).unwrap();
        Session { proxy, pull, client: Vec::new(), upstream: Vec::new() }
    }

    pub fn open(config: Config) -> Self {
        let mut session = Session::new(config);
        session.pull.connect("ws://up.example:81").unwrap();
        session.give(Side::Client, REQUEST.as_bytes());
        session.give(Side::Upstream, &answer(""));
        assert!(session.pull.is_open(Side::Client).unwrap());
        session.client.clear();
        session.upstream.clear();
        session
    }

    pub fn got(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// Gives bytes, forwards every frame, takes the output.
    pub fn give(&mut self, from: Side, bytes: &[u8]) {
        self.pull.input(from, bytes).unwrap();
        self.settle();
    }

    pub fn settle(&mut self) {
        loop {
            Side::BOTH.iter().for_each(|&side| self.pull.pass(side));
            Side::BOTH.iter().for_each(|&side| self.take(side));
            if !Side::BOTH.iter().any(|&side| self.pull.has_output(side)) {
                return;
            }
        }
    }

    pub fn take(&mut self, to: Side) {
        let bytes = self.pull.output(to).concat();
        self.pull.wrote(to, bytes.len());
        self.got(to).extend(bytes);
    }

    /// The frames that went to `to`, unmasked: first byte and payload.
    pub fn frames(&self, to: Side) -> Vec<(u8, Vec<u8>)> {
        let mut rest = match to {
            Side::Client => &self.client[..],
            Side::Upstream => &self.upstream[..],
        };
        let mut frames = Vec::new();
        while let [first, second, after @ ..] = rest {
            let (len, after) = match second & 0x7f {
                126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
                127 => (u64::from_be_bytes(after[..8].try_into().unwrap()) as usize, &after[8..]),
                len => (usize::from(len), after),
            };
            let (mask, after) = match second & 0x80 {
                0 => ([0; 4], after),
                _ => (after[..4].try_into().unwrap(), &after[4..]),
            };
            let payload =
                after[..len].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            frames.push((*first, payload));
            rest = &after[len..];
        }
        frames
    }
}

pub fn close(code: u16) -> (u8, Vec<u8>) {
    (0x88, code.to_be_bytes().to_vec())
}
