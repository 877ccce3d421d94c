//! A connection under TLS that two threads use at once, one to read and one to write.
//!
//! Theory: the TLS object works on memory alone and sits behind a lock, which is held for that work and never
//! while a socket is called. A read takes encrypted bytes from the socket without the lock, then decrypts under it; a
//! write encrypts under it, then sends without. So neither user can hold up the other, and what a read has to answer
//! (key updates, RFC 8446 section 4.6.3; alerts) goes out through the same backlog as what is written.
//!
//! Rules: at most one user reads and one writes. Bytes count as written once they are encrypted; whoever writes
//! looks after the backlog until it is empty, and encrypts no more before. Answers are the reader's to look after, too:
//! a reader that waits for input waits for room for them as well. A peer that asks for more of them than it reads is
//! given up: they would take memory without end.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::backlog::Backlog;
use super::memory::Incoming;
use super::poll::{wait, Events};
use super::socket::Socket;
use super::tls_step::Secure;
use super::tls_words::{greedy, read_error};

/// The most plaintext that one write encrypts: four records.
const MOST: usize = 64 * 1024;
/// How many bytes of answers may wait: those to more than 2,000 requests for a key update.
const MOST_ANSWERS: u64 = 64 * 1024;

/// See the top of this file.
pub(super) struct Tls {
    object: Mutex<Object>,
    /// A read has made progress, or nobody is to wait for one any longer.
    progress: Condvar,
    /// What the reader has of encrypted bytes.
    incoming: Mutex<Incoming>,
    backlog: Arc<Backlog>,
    /// Decrypting may go on without the socket.
    has_input: AtomicBool,
}

struct Object {
    stream: Box<dyn Secure>,
    /// A write waits for a read to go on: the peer renegotiates.
    held: bool,
    ended: bool,
    /// Reading has failed; for the next read, when this one had something to give.
    failure: Option<io::Error>,
}

impl std::fmt::Debug for Tls {
    /// Without its state: keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// A connection whose TLS handshake is over.
    pub(super) fn new(mut stream: Box<dyn Secure>, backlog: Arc<Backlog>) -> Tls {
        let incoming = std::mem::take(&mut stream.memory().incoming);
        Tls {
            object: Mutex::new(Object { stream, held: false, ended: false, failure: None }),
            progress: Condvar::new(),
            incoming: Mutex::new(incoming),
            backlog,
            has_input: AtomicBool::new(true),
        }
    }

    /// Blocks until there is something, as long as `recv` does; 0 is the end.
    pub(super) fn recv(
        &self,
        socket: &Socket,
        buf: &mut [u8],
        recv: impl Fn(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match self.decrypt(socket, buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.answer_meanwhile(socket)?;
                    self.take_in(&recv).inspect_err(|_| self.rest())?; // nothing has come for long, or will
                }
                done => return done,
            }
        }
    }

    /// What is there; [`ErrorKind::WouldBlock`] when nothing is, 0 is the end.
    pub(super) fn try_recv(&self, socket: &Socket, buf: &mut [u8]) -> io::Result<usize> {
        match self.decrypt(socket, buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.take_in(|room| socket.try_recv(room))?;
                self.decrypt(socket, buf)
            }
            done => done,
        }
    }

    /// Gives back memory that was needed under load. For the reader, when nothing has come for a while.
    pub(super) fn rest(&self) {
        self.incoming.lock().rest();
        self.backlog.rest();
    }

    /// Whether a read may find something without the socket having anything to read.
    pub(super) fn has_input(&self) -> bool {
        self.has_input.load(Ordering::Acquire)
    }

    /// As much as is encrypted at once; [`ErrorKind::WouldBlock`] while what was encrypted before waits for room.
    pub(super) fn try_send(&self, socket: &Socket, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.backlog.is_waiting() {
            self.backlog.flush(socket)?;
            if self.backlog.is_waiting() {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        let taken = self.encrypt(parts)?;
        self.backlog.flush(socket)?;
        match taken {
            0 => Err(ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// Blocks until [`Tls::try_send`] has something to say.
    pub(super) fn wait_writable(&self, socket: &Socket) -> io::Result<()> {
        if !self.backlog.is_waiting() {
            let mut object = self.object.lock();
            if object.held && !object.ended {
                self.progress.wait(&mut object);
                return Ok(());
            }
        }
        socket.wait_writable()
    }

    /// Whether bytes wait that only a later [`Tls::flush`] will send.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog.is_waiting()
    }

    /// Sends what waits, as far as it fits now; says how much that was.
    pub(super) fn flush(&self, socket: &Socket) -> io::Result<usize> {
        self.backlog.flush(socket)
    }

    /// Whether a write waits for a read, not for room.
    pub(super) fn is_held(&self) -> bool {
        self.object.lock().held
    }

    /// Tells the peer that nothing more comes: close_notify (RFC 8446 section 6.1), then the end of our half.
    pub(super) fn shutdown_write(&self, socket: &Socket) -> io::Result<()> {
        self.object.lock().stream.end();
        self.backlog.end(socket)
    }

    /// The same as far as it goes without waiting, then the end of everything.
    pub(super) fn shutdown_both(&self, socket: &Socket) -> io::Result<()> {
        {
            let mut object = self.object.lock();
            object.stream.end();
            object.ended = true;
        }
        let _ = self.backlog.flush(socket);
        self.progress.notify_all();
        socket.shutdown_both()
    }

    /// Until there is something to read: sends the answers that had no room. Nobody else may be about to write.
    fn answer_meanwhile(&self, socket: &Socket) -> io::Result<()> {
        while self.backlog.answers() > 0 {
            let either = Events { readable: true, writable: true, hang_up: false };
            let [came] = wait([(socket.as_fd(), either)], None).map_err(io::Error::other)?;
            if came.writable {
                let _ = self.backlog.flush(socket); // after a failure nothing waits
            }
            if came.readable {
                break;
            }
        }
        Ok(())
    }

    /// Takes encrypted bytes from the socket, without a lock.
    fn take_in(&self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut incoming = std::mem::take(&mut *self.incoming.lock());
        let outcome = incoming.fill(read);
        *self.incoming.lock() = incoming;
        if outcome.is_ok() {
            self.has_input.store(true, Ordering::Release);
        }
        outcome
    }

    /// Decrypts into `buf` until it is full or more bytes are needed. To ask the TLS object in vain costs it nearly as much
    /// as a small record, since it takes a buffer for one and gives it back (SSL_MODE_RELEASE_BUFFERS): that is left out.
    fn decrypt(&self, socket: &Socket, buf: &mut [u8]) -> io::Result<usize> {
        if !self.has_input() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut count = 0;
        let (outcome, answers) = {
            let mut object = self.object.lock();
            let mut incoming = self.incoming.lock();
            let memory = object.stream.memory();
            let before = memory.written;
            std::mem::swap(&mut memory.incoming, &mut incoming);
            let outcome = object.read(buf, &mut count);
            let memory = object.stream.memory();
            std::mem::swap(&mut memory.incoming, &mut incoming);
            let is_out = matches!(&outcome, Err(error) if error.kind() == ErrorKind::WouldBlock);
            self.has_input.store(!is_out, Ordering::Release);
            (outcome, memory.written.wrapping_sub(before))
        };
        self.progress.notify_all();
        if answers > 0 {
            self.answer(socket, answers)?;
        }
        match (count, outcome) {
            (0, Err(error)) => Err(error),
            (count, _) => Ok(count),
        }
    }

    /// Sends what a read has queued.
    fn answer(&self, socket: &Socket, count: u64) -> io::Result<()> {
        self.backlog.note_answers(count);
        let _ = self.backlog.flush(socket); // whoever writes finds out; what was read counts
        match self.backlog.answers() > MOST_ANSWERS {
            true => Err(greedy()),
            false => Ok(()),
        }
    }

    fn encrypt(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut object = self.object.lock();
        if object.ended {
            return Err(ErrorKind::BrokenPipe.into()); // not held for ever by a peer that renegotiates
        }
        let mut taken = 0;
        for part in parts {
            let mut rest = part.get(..MOST - taken).unwrap_or(part);
            while !rest.is_empty() {
                match object.stream.write(rest) {
                    Ok(count) => {
                        taken += count;
                        rest = rest.get(count..).unwrap_or_default();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        object.held = true;
                        return Ok(taken);
                    }
                    Err(error) => return Err(read_error(error)),
                }
            }
        }
        Ok(taken)
    }
}

impl Object {
    /// Reads into `buf`, counting. `Ok` when it is full or the stream has ended; then reading may go on at once. With
    /// [`ErrorKind::WouldBlock`] more has to come first.
    fn read(&mut self, buf: &mut [u8], count: &mut usize) -> io::Result<()> {
        self.held = false;
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        while let Some(room) = buf.get_mut(*count..).filter(|room| !room.is_empty()) {
            match self.stream.read(room) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    *count += read;
                    if self.stream.is_drained() {
                        return Err(ErrorKind::WouldBlock.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) if *count == 0 => return Err(read_error(error)),
                Err(error) => {
                    self.failure = Some(read_error(error));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    /// Nothing is encrypted, a byte is a record, and 0 is the end.
    struct Bare {
        memory: Memory,
        asked: Arc<AtomicUsize>,
        ended: bool,
        /// It renegotiates, and takes no bytes before a read.
        renegotiates: bool,
    }

    impl Read for Bare {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut byte = [0];
            if !self.ended {
                self.memory.read_exact(&mut byte)?;
                self.ended = byte == [0];
            }
            match (self.ended, buf.first_mut()) {
                (false, Some(first)) => *first = byte[0],
                _ => return Ok(0),
            }
            Ok(1)
        }
    }

    impl Write for Bare {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            match self.renegotiates {
                true => Err(ErrorKind::WouldBlock.into()),
                false => self.memory.write(buf),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Secure for Bare {
        fn memory(&mut self) -> &mut Memory {
            &mut self.memory
        }

        fn is_drained(&mut self) -> bool {
            self.memory.is_read()
        }

        fn end(&mut self) {}
    }

    /// With the socket, its peer, and how often the TLS object was asked.
    fn bare() -> (Tls, Socket, UnixStream, Arc<AtomicUsize>) {
        bare_that(false)
    }

    fn bare_that(renegotiates: bool) -> (Tls, Socket, UnixStream, Arc<AtomicUsize>) {
        let (ours, peer) = UnixStream::pair().unwrap();
        let (backlog, asked) = (Arc::new(Backlog::default()), Arc::new(AtomicUsize::new(0)));
        let memory = Memory::new(Incoming::default(), Arc::clone(&backlog));
        let asks = Arc::clone(&asked);
        let stream = Box::new(Bare { memory, asked: asks, ended: false, renegotiates });
        (Tls::new(stream, backlog), Socket::adopt(ours.into()).unwrap(), peer, asked)
    }

    #[test]
    fn the_tls_object_is_asked_once_for_each_record_and_never_in_vain() {
        let (tls, socket, mut peer, asked) = bare();
        let mut buf = [0; 64];
        assert!(tls.try_recv(&socket, &mut buf).is_err()); // it may have something of the handshake's
        asked.store(0, Ordering::Relaxed);
        for _ in 0..3 {
            peer.write_all(b"ab").unwrap();
            let count = tls.recv(&socket, &mut buf, |room| socket.recv(room)).unwrap();
            assert_eq!(&buf[..count], b"ab");
            assert!(!tls.has_input());
            assert_eq!(tls.try_recv(&socket, &mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn an_end_that_came_together_with_bytes_is_told_as_often_as_it_is_asked_for() {
        let (tls, socket, mut peer, _asked) = bare();
        let mut buf = [0; 64];
        peer.write_all(b"ab\0").unwrap();
        assert_eq!(tls.try_recv(&socket, &mut buf).unwrap(), 2);
        for _ in 0..3 {
            assert!(tls.has_input());
            assert_eq!(tls.try_recv(&socket, &mut buf).unwrap(), 0);
            assert_eq!(tls.recv(&socket, &mut buf, |room| socket.recv(room)).unwrap(), 0);
        }
    }

    #[test]
    fn an_end_without_a_farewell_is_told_as_often_as_it_is_asked_for() {
        let (tls, socket, mut peer, _asked) = bare();
        let mut buf = [0; 64];
        peer.write_all(b"ab").unwrap();
        drop(peer);
        assert_eq!(tls.try_recv(&socket, &mut buf).unwrap(), 2);
        for _ in 0..3 {
            assert!(tls.try_recv(&socket, &mut buf).is_err());
        }
    }

    #[test]
    fn what_a_small_buffer_left_is_read_without_the_socket() {
        let (tls, socket, mut peer, _asked) = bare();
        peer.write_all(b"abc").unwrap();
        for expected in [b"a", b"b", b"c"] {
            let mut buf = [0; 1];
            assert_eq!(tls.recv(&socket, &mut buf, |room| socket.try_recv(room)).unwrap(), 1);
            assert_eq!(&buf, expected);
        }
    }

    #[test]
    fn a_write_that_waits_for_a_read_is_woken_by_the_end() {
        let (tls, socket, _peer, _asked) = bare_that(true);
        let part = [IoSlice::new(b"x")];
        let error = tls.try_send(&socket, &part).unwrap_err();
        assert_eq!((error.kind(), tls.is_held()), (ErrorKind::WouldBlock, true));
        let (tls, socket) = (Arc::new(tls), Arc::new(socket));
        let (held, on) = (Arc::clone(&tls), Arc::clone(&socket));
        let (woken, is_woken) = std::sync::mpsc::channel();
        std::thread::spawn(move || woken.send(held.wait_writable(&on).is_ok()));
        std::thread::sleep(Duration::from_millis(100)); // it waits by now; if not, it does not begin to
        tls.shutdown_both(&socket).unwrap();
        assert_eq!(is_woken.recv_timeout(Duration::from_secs(60)), Ok(true));
        assert_eq!(tls.try_send(&socket, &part).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    /// How many bytes of memory are kept for what comes.
    fn kept(tls: &Tls) -> usize {
        tls.incoming.lock().capacity()
    }

    #[test]
    fn a_read_that_finds_nothing_under_load_keeps_its_room_and_rest_gives_it_back() {
        let (tls, socket, mut peer, _asked) = bare();
        let mut buf = vec![0; 64 * 1024];
        peer.write_all(&vec![1; 64 * 1024]).unwrap();
        let mut count = 0;
        while count < buf.len() {
            count += tls.try_recv(&socket, &mut buf[count..]).unwrap();
        }
        assert!(tls.try_recv(&socket, &mut buf).is_err());
        let busy = kept(&tls);
        assert!(busy > 16 * 1024, "{busy} bytes");
        tls.rest();
        assert!(kept(&tls) <= 4 * 1024, "{} bytes", kept(&tls));
    }
}
