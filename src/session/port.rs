//! The way to one side, shared by the threads of a session: one of them relays, any of them may have to close.
//!
//! Theory: bytes are written by whoever has them, but only between whole frames. The relaying thread marks the
//! port while it works on a batch (`relaying`) and while it writes (`writing`). Others queue what they have in the
//! outbox under the lock and, unless somebody is writing, send what fits without waiting; what is left is sent by
//! the relaying thread after its batch, or by the supervisor. The lock is never held while anybody waits.
//!
//! A session drains when both ports are **held**: the last message that the relaying thread has made ready is whole,
//! and it begins no other. It reads the request to drain before each frame that somebody looks at, and else before each
//! batch: whether it is in the middle of a message is asked while it writes or rests, when its batch is over. Whoever is
//! there first says so, under the lock: that thread when it comes to write, or else the supervisor.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

use super::control::{Control, Event as Wake, QUEUES_AT_A_STRETCH};
use super::urgency::Urgency;
use crate::io::Wire;
use crate::ws::close::Close;
use crate::ws::closing::{Closing, Event};
use crate::ws::direction::Direction;
use crate::ws::frame::{Kind, Side};
use crate::ws::outbox::Outbox;

/// The way to one side.
#[derive(Debug)]
pub(crate) struct Port {
    side: Side,
    wire: Wire,
    control: Arc<Control>,
    gate: Mutex<Gate>,
    /// A close frame went to this side: nothing more may.
    closed: AtomicBool,
    /// Bytes wait for this side.
    waiting: AtomicBool,
    /// Counts every successful write.
    progress: AtomicU64,
    /// Counts those that wrote what the other side sent.
    relayed: AtomicU64,
}

#[derive(Debug)]
struct Gate {
    outbox: Outbox,
    relaying: bool,
    writing: bool,
    /// As of the last batch that was made ready.
    mid_message: bool,
    held: bool,
    broken: bool,
    finished: bool,
}

impl Gate {
    /// Whether this port is held, from now on for good.
    fn hold(&mut self) -> bool {
        self.held |= (self.writing || !self.relaying) && !self.mid_message;
        self.held
    }
}

impl Port {
    pub(crate) fn new(side: Side, wire: Wire, control: Arc<Control>, outbox: Outbox) -> Self {
        Port {
            side,
            wire,
            control,
            gate: Mutex::new(Gate {
                outbox,
                relaying: false,
                writing: false,
                mid_message: false,
                held: false,
                broken: false,
                finished: false,
            }),
            closed: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            relayed: AtomicU64::new(0),
        }
    }

    /// The state of the closing handshake with this side.
    pub(crate) fn closing(&self) -> Closing {
        self.gate.lock().outbox.closing()
    }

    /// Looks at the outbox.
    pub(crate) fn with_outbox<T>(&self, look: impl FnOnce(&Outbox) -> T) -> T {
        look(&self.gate.lock().outbox)
    }

    /// Whether nothing more may be sent. Cheap: once per frame.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether bytes wait that only a later [`Port::push`] or batch will send.
    pub(crate) fn has_left_over(&self) -> bool {
        let gate = self.gate.lock();
        !gate.writing && (!gate.outbox.pending().is_empty() || self.wire.has_backlog())
    }

    /// Whether bytes wait, and how many writes have succeeded.
    pub(crate) fn progress(&self) -> (bool, u64) {
        let waiting = self.waiting.load(Ordering::Acquire) || self.has_left_over();
        (waiting, self.progress.load(Ordering::Acquire))
    }

    /// How many writes have carried what the other side sent.
    pub(crate) fn relayed(&self) -> u64 {
        self.relayed.load(Ordering::Acquire)
    }

    /// A close frame is about to be queued: from now on nothing more is forwarded.
    pub(crate) fn shut(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Frames of the host's that the relaying thread puts into its own batch.
    pub(crate) fn insert_mail(&self, direction: &mut Direction) {
        let mut count = 0;
        self.control.mail(self.side).deliver(|kind, payload| {
            let taken = kind.is_control() || !direction.is_mid_message();
            if taken {
                direction.insert(kind, payload);
                count += 1;
            }
            taken
        });
        self.control.count_sent(self.side, count);
    }

    /// Whether the host has queued frames. Cheap: once per frame.
    pub(crate) fn has_mail(&self) -> bool {
        self.control.mail(self.side).has_mail()
    }

    /// The relaying thread begins a batch: until it is written, the host's frames are for that thread to place.
    pub(crate) fn begin(&self) {
        self.gate.lock().relaying = true;
    }

    /// The relaying thread writes its batch, and whatever others have queued meanwhile. Waits as long as it takes; but
    /// where the host goes on and on, it has more to read in between.
    pub(crate) fn flush(&self, direction: &mut Direction) {
        let mut pending = {
            let mut gate = self.gate.lock();
            if gate.broken || !gate.outbox.closing().may_send() {
                direction.discard();
            }
            gate.writing = true;
            gate.mid_message = direction.is_mid_message();
            if self.control.urgency() == Urgency::Drain && !gate.held && gate.hold() {
                self.control.wake(Wake::Look); // the last one, perhaps
            }
            gate.outbox.take_pending()
        };
        let mut outcome = Ok(());
        let mut queues = 0..QUEUES_AT_A_STRETCH;
        loop {
            if outcome.is_ok() {
                outcome = self.write_all(&pending, direction);
            }
            let mut gate = self.gate.lock();
            if outcome.is_err() {
                self.break_off(&mut gate);
                direction.discard();
            }
            match queues.next() {
                Some(_) => _ = self.take_mail(&mut gate),
                None => self.control.wake(Wake::Mail(self.side)), // the supervisor goes on
            }
            pending = gate.outbox.take_pending();
            if pending.is_empty() {
                (gate.writing, gate.relaying) = (false, false);
                return self.finish(&mut gate);
            }
        }
    }

    /// While the session drains: whether nothing that was begun for this side is unfinished, nor will be.
    pub(crate) fn hold(&self) -> bool {
        let closed = self.is_closed();
        closed || self.gate.lock().hold()
    }

    /// Queues the host's frames, before the close frame that is to come.
    pub(crate) fn collect_mail(&self) {
        self.take_mail(&mut self.gate.lock());
    }

    /// Queues a close frame unless one went before, and sends what can be sent.
    pub(crate) fn close(&self, close: &Close) {
        let mut gate = self.gate.lock();
        if gate.outbox.push_close(close) {
            self.control.note_close_sent(self.side, close);
        }
        self.shut();
        self.push_out(&mut gate);
    }

    /// Queues a ping of the proxy's own, unless bytes wait already: those show as well whether anybody is there.
    pub(crate) fn ping(&self, payload: &[u8]) {
        let mut gate = self.gate.lock();
        if gate.writing || !gate.outbox.pending().is_empty() {
            return;
        }
        gate.outbox.push(Kind::Ping, payload);
        self.push_out(&mut gate);
    }

    /// Something happened on this side's connection.
    pub(crate) fn note(&self, event: Event) {
        let mut gate = self.gate.lock();
        gate.outbox.note(event);
        if event == Event::Ended && !gate.outbox.closing().may_send() {
            gate.outbox.discard();
        }
        self.push_out(&mut gate);
    }

    /// A close frame came from this side.
    pub(crate) fn note_close(&self, close: Close) {
        let mut gate = self.gate.lock();
        gate.outbox.note_close(close);
        self.push_out(&mut gate);
    }

    /// Sends what waits, without waiting itself: left-over bytes, then frames of the host's. While the connection takes
    /// nothing, those stay in their queue, which is bounded.
    pub(crate) fn push(&self) {
        let mut gate = self.gate.lock();
        for _ in 0..QUEUES_AT_A_STRETCH {
            self.push_out(&mut gate);
            let is_free = !gate.relaying && gate.outbox.pending().is_empty();
            if !is_free || !self.take_mail(&mut gate) {
                return;
            }
        }
        self.push_out(&mut gate);
        self.control.wake(Wake::Mail(self.side)); // the host is as fast as we are: let others in between
    }

    /// The same as [`Port::cut`], but what waits is sent first as far as the connection takes it. `false` while
    /// another thread is about to do so, which takes a moment.
    pub(crate) fn cut_short(&self) -> bool {
        let is_writing = self.gate.lock().writing;
        if is_writing && !self.waiting.load(Ordering::Acquire) {
            return false;
        }
        self.cut();
        true
    }

    /// Ends the connection both ways, which wakes every thread that waits for it.
    pub(crate) fn cut(&self) {
        let _ = self.wire.shutdown_both(); // already ended is as good
    }

    /// Queues the host's frames. Whether there were any to be sent.
    fn take_mail(&self, gate: &mut Gate) -> bool {
        if !self.control.mail(self.side).has_mail() {
            return false;
        }
        let mut count = 0;
        self.control.mail(self.side).deliver(|kind, payload| {
            let taken = kind.is_control() || !gate.mid_message || !gate.outbox.closing().may_send();
            if taken {
                count += u64::from(gate.outbox.closing().may_send());
                gate.outbox.push(kind, payload);
            }
            taken
        });
        self.control.count_sent(self.side, count);
        count > 0
    }

    /// Writes what fits, unless somebody is in the middle of writing.
    fn push_out(&self, gate: &mut Gate) {
        if gate.broken {
            gate.outbox.discard(); // queued since: nobody else would ever take it out
        }
        while !gate.writing && !gate.outbox.pending().is_empty() {
            match self.wire.try_send(&[IoSlice::new(gate.outbox.pending())]) {
                Ok(count) => {
                    gate.outbox.wrote(count);
                    self.progress.fetch_add(1, Ordering::AcqRel);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.break_off(gate),
            }
        }
        if !gate.writing && self.wire.has_backlog() {
            match self.wire.flush() {
                Ok(sent) => self.progress.fetch_add(u64::from(sent > 0), Ordering::AcqRel),
                Err(_) => return self.break_off(gate),
            };
        }
        self.finish(gate);
    }

    /// Everything is out: our half of the connection may be over. See [`Closing::wants_fin`].
    fn finish(&self, gate: &mut Gate) {
        if gate.writing || gate.finished || !gate.outbox.wants_fin() || self.wire.has_backlog() {
            return;
        }
        gate.finished = true;
        let _ = match gate.outbox.closing().is_over(self.side) {
            true => self.wire.shutdown_both(),
            false => self.wire.shutdown_write(),
        };
    }

    /// The connection takes no more bytes. Whoever reads from it finds out why.
    fn break_off(&self, gate: &mut Gate) {
        gate.broken = true;
        gate.outbox.discard();
        self.closed.store(true, Ordering::Release);
    }

    fn write_all(&self, mut pending: &[u8], direction: &mut Direction) -> io::Result<()> {
        while !pending.is_empty() || direction.has_ready() {
            let relays = direction.has_ready();
            let [run, tail] = direction.ready();
            let parts = [pending, run, tail].map(IoSlice::new);
            let count = match self.wire.try_send(&parts) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait()?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.progress.fetch_add(1, Ordering::AcqRel);
            self.relayed.fetch_add(u64::from(relays), Ordering::AcqRel);
            let of_pending = count.min(pending.len());
            pending = pending.get(of_pending..).unwrap_or_default();
            direction.wrote(count - of_pending);
        }
        while self.wire.has_backlog() {
            self.wait()?;
            let sent = u64::from(self.wire.flush()? > 0);
            self.progress.fetch_add(sent, Ordering::AcqRel);
            self.relayed.fetch_add(sent, Ordering::AcqRel);
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        self.waiting.store(true, Ordering::Release);
        let waited = self.wire.wait_writable();
        self.waiting.store(false, Ordering::Release);
        waited
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::io::Socket;

    fn port_and_peer() -> (Port, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        peer.set_nonblocking(true).unwrap();
        let wire = Wire::plain(Socket::adopt(ours.into()).unwrap());
        let outbox = Outbox::new(Side::Client, [0; 32]);
        (Port::new(Side::Client, wire, Arc::new(Control::new(1, None)), outbox), peer)
    }

    #[test]
    fn pings_do_not_pile_up_behind_what_waits() {
        let (port, mut peer) = port_and_peer();
        port.gate.lock().writing = true;
        (0..3).for_each(|_| port.ping(b"there?"));
        assert!(port.with_outbox(|outbox| outbox.pending().is_empty()));
        port.gate.lock().writing = false;
        port.ping(b"there?");
        let mut frame = [0; 9];
        assert_eq!(peer.read(&mut frame).unwrap(), 8);
    }

    #[test]
    fn a_connection_is_not_cut_short_while_a_thread_is_about_to_write() {
        let (port, mut peer) = port_and_peer();
        port.gate.lock().writing = true;
        assert!(!port.cut_short());
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        port.waiting.store(true, Ordering::Release); // for room: it may wait for ever
        assert!(port.cut_short());
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }
}
