//! One client of the upstream: its handshake, its messages, its close.
//!
//! Theory: a server's frame is its client's without the four bytes of the mask, so that answers are made in place:
//! the first lies where it is, those after it move down and close the gaps, and one write sends them all.

use std::io::{ErrorKind, Read, Write};
use std::ops::Range;

use wsproxy_bench::frame::{apply_mask, read_header, write_header, Header, BINARY, CLOSE, TEXT};

use crate::handshake::{answer, end_of_head};
use crate::stream::Stream;

/// What an idle connection holds, and what reads that fill the buffer make it grow to.
const SMALL: usize = 2 * 1024;
const LARGE: usize = 256 * 1024;
/// Reads after which others have their turn: a connection that a fast proxy feeds would keep them waiting for ever.
const AT_A_STRETCH: usize = 16;

#[derive(PartialEq)]
enum State {
    Opening,
    Open,
    Closing,
    Closed,
}

/// What was done of what there is.
pub enum Served {
    All,
    /// There may be more.
    Some,
    /// The connection is over.
    Over,
}

pub struct Connection {
    stream: Stream,
    state: State,
    buffer: Vec<u8>,
    /// What was read and not dealt with.
    unread: Range<usize>,
    /// What is to be written; it lies before that.
    answers: Range<usize>,
    /// Whether the last read took all there was.
    drained: bool,
}

impl Connection {
    pub fn new(stream: Stream) -> Self {
        let buffer = vec![0; SMALL];
        let state = State::Opening;
        Connection { stream, state, buffer, unread: 0..0, answers: 0..0, drained: false }
    }

    /// Does what can be done now.
    pub fn serve(&mut self) -> Result<Served, String> {
        self.drained = false;
        let mut reads = 0;
        loop {
            if !self.answers.is_empty() {
                if !self.write()? {
                    return Ok(Served::All);
                }
            } else if self.state == State::Closing {
                self.stream.finish();
                self.state = State::Closed;
            } else if self.state == State::Opening && self.open()? || self.answer_messages()? {
                continue;
            } else if self.drained {
                return Ok(Served::All);
            } else if reads == AT_A_STRETCH {
                return Ok(Served::Some);
            } else if let Some(served) = self.read()? {
                return Ok(served);
            } else {
                reads += 1;
            }
        }
    }

    /// `false` when it would block. A client that is gone needs no answers.
    fn write(&mut self) -> Result<bool, String> {
        match self.stream.write(&self.buffer[self.answers.clone()]) {
            Ok(count) => self.answers.start += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(_) => {
                self.answers = 0..0;
                self.state = State::Closed;
            }
        }
        Ok(true)
    }

    /// `Some` when there is nothing to go on with.
    fn read(&mut self) -> Result<Option<Served>, String> {
        self.make_room();
        let room = self.buffer.len() - self.unread.end;
        match self.stream.read(&mut self.buffer[self.unread.end..]) {
            Ok(0) => Ok(Some(Served::Over)),
            Ok(_) if self.state == State::Closed => Ok(None),
            Ok(count) => {
                self.unread.end += count;
                self.drained = count < room && self.stream.is_drained_by_short_reads();
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(Served::All)),
            Err(_) => Ok(Some(Served::Over)), // reset
        }
    }

    fn make_room(&mut self) {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let wanted = read_header(&self.buffer[self.unread.clone()])
            .filter(|_| self.state == State::Open)
            .map_or(0, |header| header.size + header.len);
        if self.unread.end == self.buffer.len() || wanted > self.buffer.len() {
            let size = (self.buffer.len() * 2).min(LARGE).max(wanted).max(self.unread.end + SMALL);
            self.buffer.resize(size, 0);
        }
    }

    /// The handshake; `true` when it was answered.
    fn open(&mut self) -> Result<bool, String> {
        let Some(end) = end_of_head(&self.buffer[self.unread.clone()]) else { return Ok(false) };
        let head = self.unread.start..self.unread.start + end;
        let answer = answer(&self.buffer[head.clone()])?;
        self.stream.write_all(answer.as_bytes()).map_err(|error| error.to_string())?;
        self.unread.start = head.end;
        self.state = State::Open;
        Ok(true)
    }

    /// Turns all whole messages into answers; `true` when there were any.
    fn answer_messages(&mut self) -> Result<bool, String> {
        while self.state == State::Open {
            let Some(header) = read_header(&self.buffer[self.unread.clone()]) else { break };
            if self.unread.len() < header.size + header.len {
                break;
            }
            self.answer_message(&header)?;
        }
        Ok(!self.answers.is_empty())
    }

    fn answer_message(&mut self, header: &Header) -> Result<(), String> {
        let (Header { fin: true, len, size, .. }, Some(mask)) = (*header, header.mask) else {
            return Err(format!("not a whole and masked message: {header:?}"));
        };
        if ![BINARY, TEXT, CLOSE].contains(&header.opcode) {
            return Err(format!("not what the load sends: {header:?}"));
        }
        let payload = self.unread.start + size..self.unread.start + size + len;
        apply_mask(&mut self.buffer[payload.clone()], mask);
        let own = size - mask.len();
        if self.answers.is_empty() {
            self.answers = payload.start - own..payload.end;
            write_header(&mut self.buffer[payload.start - own..], header.opcode, len, None);
        } else {
            let at = self.answers.end;
            write_header(&mut self.buffer[at..], header.opcode, len, None);
            self.buffer.copy_within(payload.clone(), at + own);
            self.answers.end = at + own + len;
        }
        self.unread.start = payload.end;
        if header.opcode == CLOSE {
            self.state = State::Closing;
        }
        Ok(())
    }
}
