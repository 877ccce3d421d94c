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
    backlog: Arc<Backlog>,
}

/// Encrypted bytes that came from a socket.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// All of it is initialised; what waits is between `start` and `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes the last read brought: the next one is given more room than that.
    last: usize,
    /// The stream has ended behind them.
    ended: bool,
}

/// Room for one read: what an idle connection keeps; a record of the largest size (RFC 8446 section 5.2) and its header;
/// and what pays under load.
const ROOMS: [usize; 2] = [4 * 1024, 17 * 1024];
const MOST_ROOM: usize = 68 * 1024;

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
        let more = ROOMS.into_iter().find(|&room| room > self.last);
        let size = self.end + more.unwrap_or(MOST_ROOM);
        if self.bytes.len() > size {
            self.bytes = self.waiting().to_vec(); // what was only needed under load is given back
        }
        self.bytes.resize(size, 0);
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = read(&mut *room)?;
        self.last = count;
        self.end += count;
        self.ended |= count == 0;
        Ok(())
    }
}

impl Memory {
    pub(super) fn new(incoming: Incoming, backlog: Arc<Backlog>) -> Memory {
        Memory { incoming, backlog }
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

    #[test]
    fn the_room_grows_while_much_comes_and_shrinks_again() {
        let mut incoming = Incoming::default();
        let mut rooms = Vec::new();
        let [least, record] = ROOMS;
        for count in [10, least, record, MOST_ROOM, 100, 10] {
            incoming
                .fill(|room| {
                    rooms.push(room.len());
                    Ok(count)
                })
                .unwrap();
            incoming.start = incoming.end; // all is read
        }
        assert_eq!(rooms, [least, least, record, MOST_ROOM, MOST_ROOM, least]);
        assert!(incoming.bytes.capacity() <= least, "{}", incoming.bytes.capacity());
    }
}
