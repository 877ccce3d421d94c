//! What a peer is going to send: messages in fragments with control frames between them, faults, and an end.

use std::collections::VecDeque;

use crate::random::Random;
use crate::reference::{Bounds, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// The treatment of one side, and of what it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) aggregate: bool,
    pub(crate) check_utf8: bool,
    pub(crate) inspected: bool,
    pub(crate) bounds: Bounds,
}

impl Settings {
    pub(crate) fn random(random: &mut Random) -> Self {
        let bounds = match random.below(4) {
            0 => Bounds {
                frame: random.between(0, 300) as u64,
                message: random.between(0, 500) as u64,
                fragments: random.between(1, 6) as u64,
            },
            _ => Bounds { frame: 1 << 20, message: 1 << 20, fragments: 1000 },
        };
        Settings {
            aggregate: random.one_in(2),
            check_utf8: !random.one_in(4),
            inspected: !random.one_in(5),
            bounds,
        }
    }
}

/// Frames, or pieces of something illegal, in the order in which they are sent.
pub(crate) type Plan = VecDeque<Vec<u8>>;

/// Writes what one side sends.
pub(crate) struct Planner<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) masked: bool,
    pub(crate) bounds: Bounds,
    pub(crate) keepalive: [u8; 8],
}

impl Planner<'_> {
    pub(crate) fn plan(&mut self) -> Plan {
        let mut plan = Plan::new();
        for _ in 0..self.random.below(8) {
            self.message(&mut plan);
        }
        match self.random.below(8) {
            0 | 1 => {
                self.fault(&mut plan);
                self.message(&mut plan);
            }
            2..=4 => {
                let close = self.close();
                plan.push_back(close);
                if self.random.one_in(4) {
                    self.message(&mut plan);
                }
            }
            5 => {
                self.message(&mut plan);
                let cut = plan.back_mut().unwrap();
                cut.truncate(self.random.below(cut.len()));
            }
            _ => {}
        }
        plan
    }

    /// One frame, with the shortest length.
    pub(crate) fn frame(&mut self, opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
        let first = opcode | if fin { 0x80 } else { 0 };
        let len = payload.len();
        let length = match len {
            0..=125 => vec![len as u8],
            126..=65535 => [&[126], &(len as u16).to_be_bytes()[..]].concat(),
            _ => [&[127], &(len as u64).to_be_bytes()[..]].concat(),
        };
        self.raw(first, &length, self.masked, payload)
    }

    fn raw(&mut self, first: u8, length: &[u8], masked: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = [&[first], length].concat();
        if !masked {
            bytes.extend_from_slice(payload);
            return bytes;
        }
        bytes[1] |= 0x80;
        let mask: [u8; 4] = if self.random.one_in(50) { [0; 4] } else { self.random.array() };
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    fn size(&mut self) -> usize {
        match self.random.below(100) {
            0..=59 => self.random.below(20),
            60..=84 => self.random.below(300),
            85..=94 => self.random.pick(&[124, 125, 126, 127, 128]),
            95 | 96 => self.bounds.frame.min(1000) as usize,
            97 => self.bounds.frame.min(1000) as usize + 1,
            98 => self.random.between(4000, 9000),
            _ => match self.random.below(4) {
                0 => self.random.pick(&[65534, 65535, 65536, 65537]),
                _ => self.random.between(1, 400),
            },
        }
    }

    fn message(&mut self, plan: &mut Plan) {
        while self.random.one_in(4) {
            let control = self.control();
            plan.push_back(control);
        }
        let is_text = self.random.one_in(2);
        let size = self.size();
        let payload = if is_text { self.random.text(size) } else { self.random.bytes(size) };
        let kind = if is_text { TEXT } else { BINARY };
        self.fragments(plan, kind, &payload);
    }

    /// `payload` as one message, cut anywhere, inside characters too.
    fn fragments(&mut self, plan: &mut Plan, kind: u8, payload: &[u8]) {
        let count = if self.random.one_in(2) { 1 } else { self.random.between(2, 7) };
        let mut cuts: Vec<usize> =
            (1..count).map(|_| self.random.below(payload.len() + 1)).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        for (i, cut) in cuts.windows(2).enumerate() {
            while i > 0 && self.random.one_in(4) {
                let control = self.control();
                plan.push_back(control);
            }
            let opcode = if i == 0 { kind } else { CONTINUATION };
            let frame = self.frame(opcode, i + 1 == count, &payload[cut[0]..cut[1]]);
            plan.push_back(frame);
        }
    }

    fn control(&mut self) -> Vec<u8> {
        let size = self.random.pick(&[0, 1, 5, 9, 124, 125]);
        let payload = self.random.bytes(size);
        match self.random.below(6) {
            0 => self.frame(PONG, true, &{ self.keepalive }),
            1 | 2 => self.frame(PONG, true, &payload),
            _ => self.frame(PING, true, &payload),
        }
    }

    pub(crate) fn close(&mut self) -> Vec<u8> {
        let code = self.random.pick(&[1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999]);
        let size = self.random.pick(&[0, 1, 7, 122, 123]);
        let payload = match self.random.below(3) {
            0 => Vec::new(),
            1 => u16::to_be_bytes(code).to_vec(),
            _ => [&u16::to_be_bytes(code)[..], &self.random.text(size)].concat(),
        };
        self.frame(CLOSE, true, &payload)
    }

    /// Something that breaks a rule, at the end of `plan`.
    fn fault(&mut self, plan: &mut Plan) {
        let payload = self.random.bytes(4);
        let reserved = self.random.pick(&[0x91, 0xA2, 0xC2, 0xF9]);
        let unknown = self.random.pick(&[3, 7, 11, 15]);
        let control = self.random.pick(&[PING, PONG, CLOSE]);
        let fault = match self.random.below(17) {
            0 => self.raw(reserved, &[4], self.masked, &payload),
            1 => self.frame(unknown, true, &payload),
            2 => self.frame(control, false, b""),
            3 => self.frame(control, true, &[b'x'; 126]),
            4 => self.raw(0x82, &[4], !self.masked, &payload),
            5 => self.raw(0x82, &[126, 0, 4], self.masked, &payload),
            6 => self.raw(0x81, &[127, 0, 0, 0, 0, 0, 0, 0, 4], self.masked, b"text"),
            7 => self.raw(0x82, &[127, 0x80, 0, 0, 0, 0, 0, 0, 4], self.masked, &payload),
            8 => self.frame(CONTINUATION, true, &payload),
            9 => [self.frame(TEXT, false, b"a"), self.frame(BINARY, true, b"b")].concat(),
            10 => return self.bad_text(plan),
            11 => self.frame(CLOSE, true, b"x"),
            12 => {
                let code: u16 =
                    self.random.pick(&[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000]);
                self.frame(CLOSE, true, &code.to_be_bytes())
            }
            13 => self.frame(CLOSE, true, b"\x03\xE8reason \xFF"),
            14 => self.random.bytes(200),
            15 => self.raw(
                0x82,
                &[127, 0x7F, 255, 255, 255, 255, 255, 255, 255],
                self.masked,
                &payload,
            ),
            _ => {
                let size = self.bounds.frame.min(70_000) as usize + 1;
                self.frame(BINARY, true, &vec![0; size])
            }
        };
        plan.push_back(fault);
    }

    fn bad_text(&mut self, plan: &mut Plan) {
        const BAD: [&[u8]; 8] = [
            b"\xFF",
            b"\xC0\xAF",
            b"\xED\xA0\x80",
            b"\xF4\x90\x80\x80",
            b"\x80",
            b"\xE6\xB0",
            b"\xF0\x9F\xA6",
            b"\xC3(",
        ];
        let size = self.random.below(30);
        let mut text = self.random.text(size);
        text.extend_from_slice(self.random.pick(&BAD));
        if self.random.one_in(2) {
            text.extend_from_slice("größe".as_bytes());
        }
        self.fragments(plan, TEXT, &text);
    }
}
