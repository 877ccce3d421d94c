//! Encrypted bytes on their way to a socket: queued by whoever encrypts, sent by one user at a time.
//!
//! Rules: the queue's lock is not held while the socket is called; the sender's lock is, by calls that never wait. So
//! after a flush nothing waits but what the socket has no room for, whoever has queued it. The order of the bytes is
//! the order in which they were queued. After a failure nothing is kept.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::socket::Socket;

/// A buffer that grew beyond this is given back when it is empty: an idle connection keeps little.
const KEPT: usize = 40 * 1024;

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: Mutex<Queue>,
    hand: Mutex<Hand>,
    /// All that is not sent, the sender's share included. Changed under the queue's lock; asked for with each frame, and so
    /// without it.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Of what waits, at most so much answers the peer.
    answers: u64,
    /// Our half ends once the bytes are out.
    fin: bool,
    failed: bool,
}

/// What the sender has taken out of the queue, and how much of it is sent.
#[derive(Debug, Default)]
struct Hand {
    bytes: Vec<u8>,
    start: usize,
}

impl Backlog {
    /// Queues bytes.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut queue = self.queue.lock();
        if !queue.failed {
            queue.bytes.extend_from_slice(bytes);
            self.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        }
    }

    /// Nothing has come for a while: gives back what is empty.
    pub(super) fn rest(&self) {
        let mut queue = self.queue.lock();
        if queue.bytes.is_empty() {
            queue.bytes = Vec::new();
        }
    }

    /// So many of the bytes queued last are answers: nobody will write them again.
    pub(super) fn note_answers(&self, count: u64) {
        let mut queue = self.queue.lock();
        queue.answers = (queue.answers + count).min(self.waiting() as u64); // some may be sent by now
    }

    /// How many answers wait, at most.
    pub(super) fn answers(&self) -> u64 {
        match self.waiting() {
            0 => 0,
            _ => self.queue.lock().answers,
        }
    }

    /// Whether bytes wait.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting() > 0
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Ends our half of the connection behind the last byte; now, if there is none.
    pub(super) fn end(&self, socket: &Socket) -> io::Result<()> {
        self.queue.lock().fin = true;
        self.flush(socket).map(|_| ())
    }

    /// Sends what the socket takes, without waiting, and says how much that was.
    pub(super) fn flush(&self, socket: &Socket) -> io::Result<usize> {
        if !self.has_work()? {
            return Ok(0);
        }
        let mut hand = self.hand.lock();
        let (mut count, mut sent) = (0, 0);
        loop {
            match self.next(&mut hand, sent)? {
                Next::Send => {}
                Next::End => return socket.shutdown_write().map(|()| count),
                Next::Nothing => return Ok(count),
            }
            match socket.try_send(&[IoSlice::new(hand.rest())]) {
                Ok(some) => {
                    hand.start += some;
                    count += some;
                    sent = some;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
                Err(error) => {
                    *hand = Hand::default();
                    self.fail();
                    return Err(error);
                }
            }
        }
    }

    fn has_work(&self) -> io::Result<bool> {
        let queue = self.queue.lock();
        match queue.failed {
            true => Err(ErrorKind::BrokenPipe.into()),
            false => Ok(queue.fin || self.is_waiting()),
        }
    }

    fn fail(&self) {
        let mut queue = self.queue.lock();
        *queue = Queue { failed: true, ..Queue::default() };
        self.waiting.store(0, Ordering::Release);
    }

    /// Notes that `sent` bytes are out, and says what is to be done next; takes it from the queue when the hand is empty.
    fn next(&self, hand: &mut Hand, sent: usize) -> io::Result<Next> {
        let mut queue = self.queue.lock();
        if queue.failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let before = self.waiting.fetch_sub(sent, Ordering::AcqRel);
        if before == sent {
            queue.answers = 0;
        }
        if !hand.rest().is_empty() {
            return Ok(Next::Send);
        }
        hand.bytes.clear();
        hand.start = 0;
        if hand.bytes.capacity() > KEPT {
            hand.bytes = Vec::new();
        }
        std::mem::swap(&mut hand.bytes, &mut queue.bytes);
        if !hand.bytes.is_empty() {
            return Ok(Next::Send);
        }
        hand.bytes = Vec::new(); // one buffer is enough
        match std::mem::take(&mut queue.fin) {
            true => Ok(Next::End),
            false => Ok(Next::Nothing),
        }
    }
}

/// What a sender does next.
enum Next {
    Send,
    /// All is out: our half is to end.
    End,
    Nothing,
}

impl Hand {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    fn socket_and_peer() -> (Socket, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        (Socket::adopt(ours.into()).unwrap(), peer)
    }

    /// Flushes until everything is out, while somebody reads.
    fn flush_all(backlog: &Backlog, socket: &Socket) {
        while backlog.is_waiting() {
            if backlog.flush(socket).unwrap() == 0 {
                socket.wait_writable().unwrap();
            }
        }
    }

    #[test]
    fn bytes_go_out_in_the_order_in_which_two_threads_queue_them() {
        let (socket, mut peer) = socket_and_peer();
        let backlog = Backlog::default();
        let turn = Mutex::new(0u32);
        let heard = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut heard = Vec::new();
                peer.read_to_end(&mut heard).unwrap();
                heard
            });
            let writers = [(), ()].map(|()| {
                scope.spawn(|| loop {
                    {
                        let mut next = turn.lock();
                        if *next == 100_000 {
                            return flush_all(&backlog, &socket);
                        }
                        backlog.push(&next.to_be_bytes());
                        *next += 1;
                    }
                    let _ = backlog.flush(&socket).unwrap();
                })
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            backlog.end(&socket).unwrap();
            reader.join().unwrap()
        });
        let numbers = heard.chunks(4).map(|some| u32::from_be_bytes(some.try_into().unwrap()));
        assert!(numbers.eq(0..100_000));
        assert!(!backlog.is_waiting());
    }

    #[test]
    fn what_does_not_fit_waits_and_the_end_comes_behind_it() {
        let (socket, mut peer) = socket_and_peer();
        let backlog = Backlog::default();
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        backlog.push(&bytes);
        let sent = backlog.flush(&socket).unwrap();
        assert!(sent > 0 && sent < bytes.len() && backlog.is_waiting());
        backlog.end(&socket).unwrap();
        let reader = std::thread::spawn(move || {
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).unwrap();
            heard
        });
        flush_all(&backlog, &socket);
        assert!(reader.join().unwrap() == bytes, "all of it, then the end");
    }

    #[test]
    fn after_a_failure_nothing_is_kept() {
        let (socket, peer) = socket_and_peer();
        let backlog = Arc::new(Backlog::default());
        drop(peer);
        backlog.push(b"nobody");
        assert!(backlog.flush(&socket).is_err());
        backlog.push(b"nobody");
        assert!(!backlog.is_waiting() && backlog.queue.lock().bytes.is_empty());
        assert_eq!(backlog.flush(&socket).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn answers_count_only_as_long_as_they_wait() {
        let (socket, _peer) = socket_and_peer();
        let backlog = Backlog::default();
        backlog.push(b"answer");
        assert_eq!(backlog.flush(&socket).unwrap(), 6);
        backlog.note_answers(6); // too late: they are sent
        assert_eq!(backlog.answers(), 0);
        backlog.push(&vec![0; 4 << 20]);
        backlog.note_answers(4 << 20);
        backlog.flush(&socket).unwrap();
        assert_eq!(backlog.answers(), 4 << 20);
    }

    #[test]
    fn at_rest_no_memory_is_kept_but_for_what_waits() {
        let (socket, _peer) = socket_and_peer();
        let backlog = Backlog::default();
        backlog.push(b"waits");
        backlog.rest();
        assert_eq!(backlog.flush(&socket).unwrap(), 5);
        backlog.rest();
        assert_eq!(backlog.queue.lock().bytes.capacity(), 0);
        assert_eq!(backlog.hand.lock().bytes.capacity(), 0);
    }

    #[test]
    fn much_memory_is_given_back() {
        let (socket, peer) = socket_and_peer();
        let backlog = Backlog::default();
        let reader = std::thread::spawn(move || std::io::copy(&mut &peer, &mut std::io::sink()));
        backlog.push(&vec![0; 1 << 20]);
        flush_all(&backlog, &socket);
        let _ = backlog.flush(&socket).unwrap();
        backlog.push(b"a little");
        flush_all(&backlog, &socket);
        let kept = backlog.queue.lock().bytes.capacity() + backlog.hand.lock().bytes.capacity();
        assert!(kept <= KEPT, "{kept} bytes");
        backlog.end(&socket).unwrap();
        assert!(reader.join().unwrap().is_ok());
    }
}
