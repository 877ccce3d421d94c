//! What a TLS object reads from and writes to: memory. Sockets are somebody else's business.
//!
//! Rules: bytes to be decrypted are put in for the time of one read only; a write that needs to read (TLS 1.2 may be
//! renegotiating) finds nothing and is tried again after the next read. Otherwise it would meet application data in
//! the middle of a handshake, which OpenSSL takes for an attack. Bytes that were encrypted go to the backlog.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use super::backlog::Backlog;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Memory {
    /// Came from the socket, and not yet read by the TLS object.
    pub(super) incoming: Incoming,
    /// How many bytes went to the backlog, ever.
    pub(super) written: u64,
    backlog: Arc<Backlog>,
}

/// Encrypted bytes that came from a socket.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// All of it is initialised; what waits is between `start` and `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Which of [`ROOMS`] the next read is given at least.
    level: usize,
    /// How many reads in a row would have done with less.
    small_reads: u32,
    /// The stream has ended behind them.
    ended: bool,
}

/// Room for one read: what an idle connection keeps; a record of the largest size (RFC 8446 section 5.2) and its header;
/// and what pays under load.
const ROOMS: [usize; 3] = [4 * 1024, 17 * 1024, 68 * 1024];
/// How many reads in a row that need less room make it smaller: to give it back and take it again costs more than a
/// read, since it is cleared.
const PATIENCE: u32 = 16;

impl Incoming {
    pub(super) fn of(bytes: Vec<u8>) -> Incoming {
        Incoming { end: bytes.len(), bytes, ..Incoming::default() }
    }

    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes bytes in by `read`, which says how many it has put into the room that it is given; 0 is the end.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let size = self.end + ROOMS.get(self.level).copied().unwrap_or_default();
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = read(&mut *room)?;
        self.end += count;
        self.ended |= count == 0;
        self.adapt(count);
        Ok(())
    }

    /// The last read has brought `count` bytes.
    fn adapt(&mut self, count: usize) {
        let needed = ROOMS.iter().take(ROOMS.len() - 1).filter(|&&room| room <= count).count();
        self.small_reads = if needed < self.level { self.small_reads + 1 } else { 0 };
        self.level = self.level.max(needed);
        if self.small_reads > PATIENCE {
            self.rest();
            self.level = needed;
        }
    }

    /// Little is to be expected for a while: keeps what waits, and no more than the least room.
    pub(super) fn rest(&mut self) {
        let [least, ..] = ROOMS;
        if self.bytes.len() > least {
            self.bytes = self.waiting().to_vec();
            (self.start, self.end) = (0, self.bytes.len());
        }
        (self.level, self.small_reads) = (0, 0);
    }

    /// How much memory it holds.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there is nothing to read, not even the end.
    fn is_empty(&self) -> bool {
        self.waiting().is_empty() && !self.ended
    }
}

impl Memory {
    pub(super) fn new(incoming: Incoming, backlog: Arc<Backlog>) -> Memory {
        Memory { incoming, written: 0, backlog }
    }

    /// Whether the TLS object has read all that came from the socket.
    pub(super) fn is_read(&self) -> bool {
        self.incoming.is_empty()
    }
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let waiting = self.incoming.waiting();
        if waiting.is_empty() {
            return Err(match self.incoming.ended {
                true => io::Error::new(ErrorKind::UnexpectedEof, "ended without a close_notify"),
                false => ErrorKind::WouldBlock.into(),
            });
        }
        let count = waiting.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), waiting.get(..count)) {
            to.copy_from_slice(from);
        }
        self.incoming.start += count;
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.backlog.push(buf);
        self.written = self.written.wrapping_add(buf.len() as u64);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Memory {
        Memory::new(Incoming::of(bytes.to_vec()), Arc::new(Backlog::default()))
    }

    #[test]
    fn bytes_are_read_in_parts_and_then_there_are_none() {
        let mut memory = of(b"early");
        let mut some = [0; 3];
        assert_eq!((memory.read(&mut some).unwrap(), &some), (3, b"ear"));
        memory.incoming.fill(|room| (&b" bird"[..]).read(room)).unwrap();
        let mut rest = [0; 64];
        let count = memory.read(&mut rest).unwrap();
        assert_eq!(&rest[..count], b"ly bird");
        assert_eq!(memory.read(&mut rest).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn the_end_comes_behind_the_bytes() {
        let mut memory = of(b"last");
        memory.incoming.fill(|_| Ok(0)).unwrap();
        assert_eq!(memory.read(&mut [0; 9]).unwrap(), 4);
        assert_eq!(memory.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_read_that_fails_loses_nothing() {
        let mut memory = of(b"kept");
        memory.incoming.fill(|_| Err(ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(memory.read(&mut [0; 9]).unwrap(), 4);
    }

    /// A read that brings `count` bytes, all of which are read; says how much room it was given.
    fn room_for(incoming: &mut Incoming, count: usize) -> usize {
        let mut given = 0;
        let read = |room: &mut [u8]| {
            given = room.len();
            Ok(count)
        };
        incoming.fill(read).unwrap();
        incoming.start = incoming.end;
        given
    }

    #[test]
    fn the_room_grows_while_much_comes_and_shrinks_when_little_has_come_for_a_while() {
        let mut incoming = Incoming::default();
        let [least, record, most] = ROOMS;
        let counts = [10, least, record, most, 100];
        let rooms = counts.map(|count| room_for(&mut incoming, count));
        assert_eq!(rooms, [least, least, record, most, most]);
        for _ in 0..PATIENCE {
            assert_eq!(room_for(&mut incoming, 10), most);
        }
        assert_eq!(room_for(&mut incoming, 10), least);
        assert!(incoming.bytes.capacity() <= least, "{}", incoming.bytes.capacity());
    }

    #[test]
    fn reads_that_bring_much_and_little_in_turns_leave_the_room_as_it_is() {
        let mut incoming = Incoming::default();
        let [least, record, _] = ROOMS;
        room_for(&mut incoming, least);
        for _ in 0..100 {
            assert_eq!(room_for(&mut incoming, 10), record);
            assert_eq!(room_for(&mut incoming, least), record);
        }
    }

    #[test]
    fn at_rest_only_what_waits_is_kept() {
        let mut memory = of(&vec![7; ROOMS[2]]);
        assert_eq!(memory.read(&mut vec![0; ROOMS[2] - 3]).unwrap(), ROOMS[2] - 3);
        memory.incoming.rest();
        assert!(memory.incoming.bytes.capacity() <= 3);
        assert!(!memory.is_read());
        assert_eq!(memory.read(&mut [0; 9]).unwrap(), 3);
        assert!(memory.is_read());
    }
}
