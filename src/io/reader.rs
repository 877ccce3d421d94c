//! A wire in the hands of the one thread that reads from it: it waits without limit, or until nothing has come for a
//! while.
//!
//! Theory: to ask poll(2) before each read would cost a system call per read. The socket keeps such a limit itself
//! (`SO_RCVTIMEO`): set once, it costs nothing while bytes come.
//!
//! Rule: the host's copy of a descriptor shares this option. It is changed only while somebody waits with a limit, and is
//! what it was before the next wait without one, and when this is dropped.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::wire::Wire;

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Reader<'w> {
    wire: &'w Wire,
    /// The timeout in whose place ours is now.
    replaced: Option<Option<Duration>>,
}

impl<'w> Reader<'w> {
    /// For the only thread that reads from `wire`.
    pub(crate) fn new(wire: &'w Wire) -> Self {
        Reader { wire, replaced: None }
    }

    /// Blocks until there is something; 0 is the end.
    pub(crate) fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.restore();
        self.wire.recv(buf)
    }

    /// The same, but `None` when nothing has come for about as long as `patience`, which is the same each time.
    pub(crate) fn recv_within(
        &mut self,
        buf: &mut [u8],
        patience: Duration,
    ) -> io::Result<Option<usize>> {
        let half = patience / 2; // one for each of two ways to wait, see Socket::recv_within
        if self.replaced.is_none() {
            self.replaced = self.wire.replace_timeout(half);
        }
        match self.wire.recv_within(buf, half) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            done => done.map(Some),
        }
    }

    fn restore(&mut self) {
        if let Some(timeout) = self.replaced.take() {
            self.wire.restore_timeout(timeout);
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::Socket;
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread::{sleep, spawn};

    const SHORT: Duration = Duration::from_millis(40);
    const HOSTS_OWN: Option<Duration> = Some(Duration::from_secs(7));

    /// The host's copy, the library's, and the peer.
    fn connection() -> (UnixStream, Wire, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        ours.set_read_timeout(HOSTS_OWN).unwrap();
        let wire = Wire::plain(Socket::duplicate_of(ours.as_raw_fd()).unwrap());
        (ours, wire, peer)
    }

    #[test]
    fn a_wait_with_a_limit_ends_and_loses_nothing() {
        for mode in [false, true] {
            let (ours, wire, mut peer) = connection();
            ours.set_nonblocking(mode).unwrap();
            let (mut reader, mut buf) = (Reader::new(&wire), [0; 8]);
            assert_eq!(reader.recv_within(&mut buf, SHORT).unwrap(), None);
            peer.write_all(b"some").unwrap();
            assert_eq!(reader.recv_within(&mut buf, SHORT).unwrap(), Some(4));
            drop(peer);
            assert_eq!(reader.recv_within(&mut buf, SHORT).unwrap(), Some(0));
        }
    }

    #[test]
    fn a_wait_without_a_limit_outlasts_one_with_a_limit() {
        let (_ours, wire, mut peer) = connection();
        let mut reader = Reader::new(&wire);
        assert_eq!(reader.recv_within(&mut [0; 8], SHORT).unwrap(), None);
        let late = spawn(move || {
            sleep(3 * SHORT);
            peer.write_all(b"late").unwrap();
        });
        assert_eq!(reader.recv(&mut [0; 8]).unwrap(), 4);
        late.join().unwrap();
    }

    #[test]
    fn the_hosts_own_timeout_is_back_before_a_wait_without_a_limit_and_at_the_end() {
        let (ours, wire, mut peer) = connection();
        let mut reader = Reader::new(&wire);
        let _ = reader.recv_within(&mut [0; 8], SHORT).unwrap();
        assert_ne!(ours.read_timeout().unwrap(), HOSTS_OWN);
        peer.write_all(b"x").unwrap();
        reader.recv(&mut [0; 8]).unwrap();
        assert_eq!(ours.read_timeout().unwrap(), HOSTS_OWN);
        let _ = reader.recv_within(&mut [0; 8], SHORT).unwrap();
        wire.shutdown_both().unwrap();
        drop(reader);
        assert_eq!(ours.read_timeout().unwrap(), HOSTS_OWN);
    }
}
