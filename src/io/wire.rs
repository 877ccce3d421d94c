//! What a session talks to: a connection as bytes, read by one user and written by another.
//!
//! Rule: the two users may be two threads, each with a clone of its own; at most one reads and at
//! most one writes. A shutdown may come from a third.
//!
//! Plain for now. TLS fits in behind the same methods: its state sits behind a lock with two memory
//! buffers, bytes off the socket and bytes for it. A read takes bytes from the socket without the
//! lock, then decrypts under it; a write encrypts under it, then sends without. The lock is so held
//! for work in memory alone, never while a socket blocks, and neither user can hold up the other.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::socket::Socket;
use super::sys;

/// See the top of this file. Clones are the same connection; the last one dropped closes it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    socket: Arc<Socket>,
}

impl Wire {
    /// A connection without encryption.
    pub(crate) fn plain(socket: Socket) -> Wire {
        Wire { socket: Arc::new(socket) }
    }

    /// Blocks until there is something; 0 is the end.
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf)
    }

    /// What is there; [`io::ErrorKind::WouldBlock`] when nothing is, 0 is the end.
    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_recv(buf)
    }

    /// As much as fits now, in order; [`io::ErrorKind::WouldBlock`] when nothing does.
    pub(crate) fn try_send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_send(parts)
    }

    /// Blocks until [`try_send`](Wire::try_send) has something to say.
    pub(crate) fn wait_writable(&self) -> io::Result<()> {
        self.socket.wait_writable()
    }

    /// Bytes that were taken from us and have not reached the peer's system; falling while a slow peer reads.
    pub(crate) fn unacknowledged(&self) -> Option<u64> {
        sys::unacknowledged(self.socket.as_fd())
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    /// Ends both ways and wakes whoever blocks on this.
    pub(crate) fn shutdown_both(&self) -> io::Result<()> {
        self.socket.shutdown_both()
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    fn wire_and_peer() -> (Wire, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        (Wire::plain(Socket::adopt(ours.into()).unwrap()), peer)
    }

    #[test]
    fn two_threads_move_bytes_both_ways_at_once() {
        const TOTAL: usize = 4 << 20;
        let (wire, peer) = wire_and_peer();
        let reading = wire.clone();
        let reader = thread::spawn(move || {
            let (mut buf, mut got) = (vec![0; 64 << 10], 0);
            loop {
                match reading.recv(&mut buf).unwrap() {
                    0 => return got,
                    n => got += n,
                }
            }
        });
        let writer = thread::spawn(move || {
            let chunk = [7; 10_000];
            let mut left = TOTAL;
            while left > 0 {
                let part = IoSlice::new(&chunk[..chunk.len().min(left)]);
                match wire.try_send(&[part]) {
                    Ok(n) => left -= n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        wire.wait_writable().unwrap()
                    }
                    Err(e) => panic!("{e}"),
                }
            }
            wire.shutdown_write().unwrap();
        });
        let mut peer_writes = peer.try_clone().unwrap();
        let peer_writer = thread::spawn(move || {
            peer_writes.write_all(&vec![1; TOTAL]).unwrap();
            peer_writes.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        (&peer).read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), TOTAL);
        assert!(got.iter().all(|byte| *byte == 7));
        assert_eq!(reader.join().unwrap(), TOTAL);
        writer.join().unwrap();
        peer_writer.join().unwrap();
    }

    #[test]
    fn unacknowledged_bytes_fall_while_the_peer_reads() {
        let (wire, mut peer) = wire_and_peer();
        assert_eq!(wire.unacknowledged(), Some(0));
        let chunk = [7; 10_000];
        while wire.try_send(&[IoSlice::new(&chunk)]).is_ok() {}
        let full = wire.unacknowledged().unwrap();
        let mut left = vec![0; 60_000];
        peer.read_exact(&mut left).unwrap();
        assert!(wire.unacknowledged().unwrap() < full);
    }

    #[test]
    fn connection_closes_with_the_last_clone() {
        let (wire, mut peer) = wire_and_peer();
        let clone = wire.clone();
        drop(wire);
        peer.set_nonblocking(true).unwrap();
        let open = peer.read(&mut [0; 1]).unwrap_err();
        assert_eq!(open.kind(), io::ErrorKind::WouldBlock);
        drop(clone);
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    }
}
