//! What a session talks to: a connection as bytes, read by one user and written by another.
//!
//! Rule: the two users may be two threads, each with a clone of its own; at most one reads and at
//! most one writes. A shutdown may come from a third.
//!
//! What is written under TLS counts as written once it is encrypted; `backlog` is what of it the socket has not
//! taken yet. A plain connection has none.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::socket::Socket;
use super::sys;
use super::tls::Tls;

/// See the top of this file. Clones are the same connection; the last one dropped closes it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: Socket,
    tls: Option<Tls>,
}

impl Wire {
    /// A connection without encryption.
    pub(crate) fn plain(socket: Socket) -> Wire {
        Wire { inner: Arc::new(Inner { socket, tls: None }) }
    }

    /// A connection under TLS.
    pub(super) fn tls(socket: Socket, tls: Tls) -> Wire {
        Wire { inner: Arc::new(Inner { socket, tls: Some(tls) }) }
    }

    fn parts(&self) -> (&Socket, Option<&Tls>) {
        (&self.inner.socket, self.inner.tls.as_ref())
    }

    /// The connection without its cover, of a plain one that nobody else has.
    pub(crate) fn into_socket(self) -> Option<Socket> {
        Arc::into_inner(self.inner).filter(|inner| inner.tls.is_none()).map(|inner| inner.socket)
    }

    /// Whether it is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.inner.tls.is_some()
    }

    /// Blocks until there is something; 0 is the end.
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self.parts() {
            (socket, None) => socket.recv(buf),
            (socket, Some(tls)) => tls.recv(socket, buf, |room| socket.recv(room)),
        }
    }

    /// The same within limits, see [`Socket::recv_within`]; [`io::ErrorKind::WouldBlock`] when nothing came.
    pub(super) fn recv_within(&self, buf: &mut [u8], patience: Duration) -> io::Result<usize> {
        let recv = |room: &mut [u8]| self.inner.socket.recv_within(room, patience);
        match self.parts() {
            (_, None) => recv(buf),
            (socket, Some(tls)) => tls.recv(socket, buf, recv),
        }
    }

    /// See [`Socket::replace_timeout`].
    pub(super) fn replace_timeout(&self, timeout: Duration) -> Option<Option<Duration>> {
        self.inner.socket.replace_timeout(timeout)
    }

    /// See [`Socket::restore_timeout`].
    pub(super) fn restore_timeout(&self, timeout: Option<Duration>) {
        self.inner.socket.restore_timeout(timeout);
    }

    /// What is there; [`io::ErrorKind::WouldBlock`] when nothing is, 0 is the end.
    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self.parts() {
            (socket, None) => socket.try_recv(buf),
            (socket, Some(tls)) => tls.try_recv(socket, buf),
        }
    }

    /// Gives back memory that was needed under load; for whoever reads, when nothing has come for a while.
    pub(crate) fn rest(&self) {
        if let Some(tls) = &self.inner.tls {
            tls.rest();
        }
    }

    /// Whether there may be something to read that no wait for the descriptor will tell of.
    pub(crate) fn has_input(&self) -> bool {
        self.inner.tls.as_ref().is_some_and(Tls::has_input)
    }

    /// As much as fits now, in order; [`io::ErrorKind::WouldBlock`] when nothing does.
    pub(crate) fn try_send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.parts() {
            (socket, None) => socket.try_send(parts),
            (socket, Some(tls)) => tls.try_send(socket, parts),
        }
    }

    /// Blocks until [`try_send`](Wire::try_send) or [`flush`](Wire::flush) has something to say.
    pub(crate) fn wait_writable(&self) -> io::Result<()> {
        match self.parts() {
            (socket, None) => socket.wait_writable(),
            (socket, Some(tls)) => tls.wait_writable(socket),
        }
    }

    /// Whether a write waits for a read to come first, not for room: TLS 1.2 is being renegotiated.
    pub(crate) fn is_held(&self) -> bool {
        self.inner.tls.as_ref().is_some_and(Tls::is_held)
    }

    /// Whether bytes wait that only a [`flush`](Wire::flush) or a later write will send.
    pub(crate) fn has_backlog(&self) -> bool {
        self.inner.tls.as_ref().is_some_and(Tls::has_backlog)
    }

    /// Sends the backlog as far as it fits now; says how many bytes that was.
    pub(crate) fn flush(&self) -> io::Result<usize> {
        match self.parts() {
            (_, None) => Ok(0),
            (socket, Some(tls)) => tls.flush(socket),
        }
    }

    /// Bytes that were taken from us and have not reached the peer's system; falling while a slow peer reads.
    pub(crate) fn unacknowledged(&self) -> Option<u64> {
        sys::unacknowledged(self.inner.socket.as_fd())
    }

    /// Tells the peer that nothing more comes; behind the backlog, if there is one.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self.parts() {
            (socket, None) => socket.shutdown_write(),
            (socket, Some(tls)) => tls.shutdown_write(socket),
        }
    }

    /// Ends both ways and wakes whoever blocks on this.
    pub(crate) fn shutdown_both(&self) -> io::Result<()> {
        match self.parts() {
            (socket, None) => socket.shutdown_both(),
            (socket, Some(tls)) => tls.shutdown_both(socket),
        }
    }

    /// Before it is closed: what has come is thrown away, encrypted as it is, or the peer would be reset and lose what is on
    /// its way to it. See [`Socket::discard_input`].
    pub(crate) fn discard_input(&self) {
        self.inner.socket.discard_input();
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.socket.as_fd()
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
