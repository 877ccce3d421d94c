//! One connection: what of the cycle is to be written, and how far the replies have been checked.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Instant;

use crate::pattern::Pattern;
use crate::Result;

pub struct Connection {
    pub number: usize,
    pub socket: TcpStream,
    /// The message of the cycle that is sent next.
    next: usize,
    /// What of the masked cycle is to be written.
    out: Range<usize>,
    /// Where in the replies the next byte is.
    at: usize,
    /// When the messages in flight were sent.
    sent: VecDeque<Instant>,
    /// How many more may be sent.
    left: u64,
}

impl Connection {
    pub fn new(number: usize, socket: TcpStream) -> Self {
        let sent = VecDeque::new();
        Connection { number, socket, next: 0, out: 0..0, at: 0, sent, left: 0 }
    }

    /// Begins with another pattern, each connection with another message. `left` is how many may be sent.
    pub fn begin(&mut self, pattern: &Pattern, left: u64) {
        self.next = self.number % pattern.cycle;
        self.at = self.next * pattern.reply;
        self.out = self.next * pattern.message..self.next * pattern.message;
        self.left = left;
    }

    /// Sends up to `count` more messages; returns how many.
    pub fn send(&mut self, pattern: &Pattern, count: usize, now: Instant) -> Result<usize> {
        let count = count.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(0);
        }
        if self.out.is_empty() {
            self.out = self.next * pattern.message..self.next * pattern.message;
        } else if self.out.start >= pattern.cycle * pattern.message {
            let cycle = pattern.cycle * pattern.message;
            self.out = self.out.start - cycle..self.out.end - cycle;
        }
        self.out.end += count * pattern.message;
        self.next = (self.next + count) % pattern.cycle;
        self.left -= count as u64;
        self.sent.extend(std::iter::repeat_n(now, count));
        self.write(pattern)?;
        Ok(count)
    }

    /// Writes what can be written.
    pub fn write(&mut self, pattern: &Pattern) -> Result<()> {
        while !self.out.is_empty() {
            match self.socket.write(&pattern.masked[self.out.clone()]) {
                Ok(count) => self.out.start += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("connection {}: {error}", self.number).into()),
            }
        }
        Ok(())
    }

    /// Reads and checks what is there. `replied` is told when each message was sent whose reply is whole now.
    pub fn read(
        &mut self,
        pattern: &Pattern,
        scratch: &mut [u8],
        mut replied: impl FnMut(Instant),
    ) -> Result<()> {
        loop {
            let count = match self.socket.read(scratch) {
                Ok(0) => return Err(format!("connection {} was closed", self.number).into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("connection {}: {error}", self.number).into()),
            };
            for _ in 0..self.check(pattern, &scratch[..count])? {
                let sent = self.sent.pop_front();
                replied(sent.ok_or_else(|| format!("connection {}: unasked", self.number))?);
            }
            if count < scratch.len() {
                return Ok(());
            }
        }
    }

    /// Compares `bytes` with what must come; returns how many replies they complete.
    fn check(&mut self, pattern: &Pattern, mut bytes: &[u8]) -> Result<usize> {
        let whole = (self.at % pattern.reply + bytes.len()) / pattern.reply;
        while !bytes.is_empty() {
            let expected = &pattern.replies[self.at..];
            let count = expected.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            if now != &expected[..count] {
                return Err(self.difference(pattern, now, &expected[..count]));
            }
            self.at = (self.at + count) % pattern.replies.len();
            bytes = later;
        }
        Ok(whole)
    }

    fn difference(
        &self,
        pattern: &Pattern,
        found: &[u8],
        expected: &[u8],
    ) -> Box<dyn std::error::Error> {
        let byte = found.iter().zip(expected).position(|(a, b)| a != b).unwrap_or_default();
        let words = format!(
            "connection {}, {pattern:?}: byte {} of a reply is {:#04x} instead of {:#04x}",
            self.number,
            (self.at + byte) % pattern.reply,
            found[byte],
            expected[byte],
        );
        words.into()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::pattern::Kind;

    fn connection(pattern: &Pattern) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = Connection::new(3, socket);
        connection.begin(pattern, 0);
        connection
    }

    #[test]
    fn replies_are_counted_however_they_are_cut() {
        let pattern = Pattern::new(Kind::Binary, 125, 4);
        let from_three: Vec<u8> =
            [&pattern.replies[3 * 127..], &pattern.replies[..3 * 127]].concat();
        for cut in [1, 2, 126, 127, 128, 1000] {
            let mut connection = connection(&pattern);
            let counts = from_three.chunks(cut).map(|c| connection.check(&pattern, c).unwrap());
            assert_eq!(counts.sum::<usize>(), 256, "cut into pieces of {cut}");
        }
    }

    #[test]
    fn a_wrong_byte_is_found_and_so_is_another_connection_s_reply() {
        let pattern = Pattern::new(Kind::Binary, 125, 4);
        let mut wrong = pattern.replies[3 * 127..4 * 127].to_vec();
        wrong[77] ^= 1;
        let error = connection(&pattern).check(&pattern, &wrong).unwrap_err().to_string();
        assert!(error.contains("connection 3") && error.contains("byte 77 of a reply"), "{error}");
        assert!(connection(&pattern).check(&pattern, &pattern.replies[..127]).is_err());
    }
}
