//! What other threads may ask of a session, and hear of it: the end, frames of the host's, counters.
//!
//! Rules: nothing here blocks for longer than it takes to copy a frame. Frames of the host's wait in a bounded
//! queue per side; who delivers them keeps their order, lets control frames overtake data frames that wait for
//! the end of a message, and drops nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::keeper::Line;
use super::urgency::{EndRequest, Urgency};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::io::{Waker, WakerPool};
use crate::ws::close::Close;
use crate::ws::decode::MAX_CONTROL_PAYLOAD;
use crate::ws::frame::{Kind, PerSide, Side};
use crate::ws::stats::{SideStats, Stats};

/// What wakes the thread that looks after a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The host asks for the end.
    End,
    /// The host has queued a frame for this side.
    Mail(Side),
    /// A close frame has passed somewhere, or bytes are left that somebody must write.
    Look,
    /// The thread that reads from this side has ended.
    Finished(Side),
}

/// Who looks after the session now.
#[derive(Debug)]
pub(crate) enum Watcher {
    /// Nobody: before and after, and between the verbs.
    Nobody,
    /// A poll loop.
    Poll(Arc<Waker>),
    /// The supervisor of two threads.
    Supervisor(Sender<Event>),
    /// The same, in the keeper's hands.
    Keeper(Line),
}

/// The part of a session that any thread may touch.
#[derive(Debug)]
pub(crate) struct Control {
    end: EndRequest,
    watcher: Mutex<Watcher>,
    /// For one wait after the other.
    waker: Mutex<Option<Arc<Waker>>>,
    /// Where it is from; without any it is this session's own.
    wakers: Option<Arc<WakerPool>>,
    open: AtomicBool,
    mail: PerSide<Mailbox>,
    stats: Mutex<Stats>,
}

impl Control {
    pub(crate) fn new(send_queue: usize, wakers: Option<Arc<WakerPool>>) -> Self {
        Control {
            end: EndRequest::none(),
            watcher: Mutex::new(Watcher::Nobody),
            waker: Mutex::default(),
            wakers,
            open: AtomicBool::new(false),
            mail: PerSide::from_fn(|_| Mailbox::new(send_queue)),
            stats: Mutex::new(Stats::default()),
        }
    }

    /// Asks for the end, this soon.
    pub(crate) fn end(&self, urgency: Urgency, close: Close) {
        if self.end.raise(urgency, close) {
            self.wake(Event::End);
        }
    }

    /// How soon the end was asked for. Cheap: it may be asked once per frame.
    pub(crate) fn urgency(&self) -> Urgency {
        self.end.urgency()
    }

    /// With which close frame it was asked for.
    pub(crate) fn end_requested(&self) -> Option<Close> {
        self.end.close()
    }

    /// From now on `watcher` is woken.
    pub(crate) fn watch(&self, watcher: Watcher) {
        *self.watcher.lock() = watcher;
    }

    /// Has a poll loop watch the session: it is woken by what this returns.
    pub(crate) fn watch_by_poll(&self) -> Result<Arc<Waker>> {
        let mut kept = self.waker.lock();
        let waker = match &*kept {
            Some(waker) => Arc::clone(waker),
            None => Arc::clone(kept.insert(self.new_waker()?)),
        };
        self.watch(Watcher::Poll(Arc::clone(&waker)));
        Ok(waker)
    }

    fn new_waker(&self) -> Result<Arc<Waker>> {
        match &self.wakers {
            Some(wakers) => wakers.lend(),
            None => Waker::new().map(Arc::new),
        }
    }

    /// Has the session watched by what needs no descriptor, or by nobody any more: a poll loop's waker is given back.
    pub(crate) fn watch_without_poll(&self, watcher: Watcher) {
        self.watch(watcher);
        let waker = self.waker.lock().take();
        if let (Some(wakers), Some(waker)) = (&self.wakers, waker) {
            wakers.give_back(waker);
        }
    }

    /// Whether frames of the host's are taken: from the handshakes to the end.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// Queues a frame of the host's.
    pub(crate) fn send(&self, to: Side, kind: Kind, payload: &[u8]) -> Result<()> {
        check_frame(kind, payload)?;
        if !self.open.load(Ordering::Acquire) {
            return Err(Error::state("frames can be sent from connect to the end of execute only"));
        }
        self.mail.get(to).post(to, kind, payload)?;
        if !self.mail.get(to).told.swap(true, Ordering::AcqRel) {
            self.wake(Event::Mail(to)); // once until it is heard: what wakes must not queue without bound
        }
        Ok(())
    }

    /// The frames of the host's for `to`.
    pub(crate) fn mail(&self, to: Side) -> &Mailbox {
        self.mail.get(to)
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Stats {
        *self.stats.lock()
    }

    /// Takes over what a direction has counted of the frames from `from`.
    pub(crate) fn count_received(&self, from: Side, counted: &SideStats) {
        let stats = &mut *self.stats.lock();
        let side = stats.side_mut(from);
        let (close_sent, sent_by_host) = (side.close_sent, side.sent_by_host);
        *side = SideStats { close_sent, sent_by_host, ..*counted };
    }

    /// Counts frames of the host's that were sent to `to`.
    pub(crate) fn count_sent(&self, to: Side, count: u64) {
        if count > 0 {
            self.stats.lock().side_mut(to).sent_by_host += count;
        }
    }

    /// A close frame was sent to `to`.
    pub(crate) fn note_close_sent(&self, to: Side, close: &Close) {
        self.stats.lock().side_mut(to).close_sent.get_or_insert(close.code());
    }

    /// A close frame came from `from`.
    pub(crate) fn note_close_received(&self, from: Side) {
        self.stats.lock().first_close.get_or_insert(from);
    }

    /// Takes over all the counters.
    pub(crate) fn set_stats(&self, stats: Stats) {
        *self.stats.lock() = stats;
    }

    /// Wakes whoever looks after the session.
    pub(crate) fn wake(&self, event: Event) {
        match &*self.watcher.lock() {
            Watcher::Nobody => {}
            Watcher::Poll(waker) => waker.wake(),
            Watcher::Supervisor(events) => {
                let _ = events.send(event); // it hears nothing more only when it is over
            }
            Watcher::Keeper(line) => line.tell(event),
        }
    }
}

fn check_frame(kind: Kind, payload: &[u8]) -> Result<()> {
    match kind {
        Kind::Close => {
            Err(Error::argument("a close frame is sent by stop or by the hook's verdict"))
        }
        Kind::Continuation => {
            Err(Error::argument("the host sends whole messages: text, binary, ping or pong"))
        }
        Kind::Ping | Kind::Pong if payload.len() > MAX_CONTROL_PAYLOAD => Err(Error::argument(
            format!("a {kind} of {} bytes is longer than {MAX_CONTROL_PAYLOAD}", payload.len()),
        )),
        Kind::Text if std::str::from_utf8(payload).is_err() => {
            Err(Error::argument("the payload of a text message must be UTF-8"))
        }
        _ => Ok(()),
    }
}

/// What a queued frame takes besides its payload: empty ones fill the queue too.
const OVERHEAD: usize = 64;

/// How many queues full of the host's frames are sent to a side at a stretch: a host may be as fast as its client for
/// ever, and others are to have their turn.
pub(crate) const QUEUES_AT_A_STRETCH: usize = 2;

/// A queue with room for more frames is given back when it is empty.
const KEPT_FRAMES: usize = 32;

/// Frames of the host's for one side.
#[derive(Debug)]
pub(crate) struct Mailbox {
    has_mail: AtomicBool,
    /// Whoever looks after the session was told of mail, and has not taken note yet.
    told: AtomicBool,
    limit: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<(Kind, Vec<u8>)>,
    bytes: usize,
    /// How many of them are control frames.
    controls: usize,
}

impl Queue {
    fn note_taken(&mut self, kind: Kind, len: usize) {
        self.bytes -= len + OVERHEAD;
        self.controls -= usize::from(kind.is_control());
    }

    /// Those behind the first frame, which was refused.
    fn deliver_controls(&mut self, mut take: impl FnMut(Kind, &[u8]) -> bool) {
        let mut frames = std::mem::take(&mut self.frames);
        let mut is_first = true;
        frames.retain(|(kind, payload)| {
            let is_offered = !std::mem::replace(&mut is_first, false) && kind.is_control();
            let taken = is_offered && take(*kind, payload);
            if taken {
                self.note_taken(*kind, payload.len());
            }
            !taken
        });
        self.frames = frames;
    }
}

impl Mailbox {
    fn new(limit: usize) -> Self {
        Mailbox {
            has_mail: AtomicBool::new(false),
            told: AtomicBool::new(false),
            limit,
            queue: Mutex::default(),
        }
    }

    fn post(&self, to: Side, kind: Kind, payload: &[u8]) -> Result<()> {
        let mut queue = self.queue.lock();
        if !queue.frames.is_empty() && queue.bytes + payload.len() + OVERHEAD > self.limit {
            return Err(Error::new(
                ErrorKind::Again,
                match to {
                    Side::Client => Fault::Client,
                    Side::Upstream => Fault::Upstream,
                },
                format!("{} bytes wait for the {to} already", queue.bytes),
            ));
        }
        queue.bytes += payload.len() + OVERHEAD;
        queue.controls += usize::from(kind.is_control());
        queue.frames.push_back((kind, payload.to_vec()));
        self.has_mail.store(true, Ordering::Release);
        Ok(())
    }

    /// What was told is heard; to be called before the look at the queue that it leads to. A swap, as a store may come
    /// after that look: whoever sends in between finds it told, and nobody looks again.
    pub(crate) fn hear(&self) {
        self.told.swap(false, Ordering::AcqRel);
    }

    /// Whether a look is worth it. Cheap: it may be asked once per frame.
    pub(crate) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// Whether [`Mailbox::deliver`] is sure to get rid of something: in the middle of a message only control frames are.
    pub(crate) fn may_deliver(&self, mid_message: bool) -> bool {
        self.has_mail() && (!mid_message || self.queue.lock().controls > 0)
    }

    /// Gives each frame to `take`, in order, until it refuses one by `false`; control frames are offered all the
    /// same. What was refused stays. A peer can have this done for each of its fragments, while many frames wait for the
    /// end of its message: so nobody goes through those that would be refused.
    pub(crate) fn deliver(&self, mut take: impl FnMut(Kind, &[u8]) -> bool) {
        let queue = &mut *self.queue.lock();
        while let Some((kind, payload)) = queue.frames.front() {
            let (kind, len) = (*kind, payload.len());
            if !take(kind, payload) {
                break;
            }
            queue.frames.pop_front();
            queue.note_taken(kind, len);
        }
        if queue.controls > 0 {
            queue.deliver_controls(take);
        }
        if queue.frames.is_empty() && queue.frames.capacity() > KEPT_FRAMES {
            queue.frames = VecDeque::new();
        }
        self.has_mail.store(!queue.frames.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> Control {
        let control = Control::new(4 * OVERHEAD, None);
        control.set_open(true);
        control
    }

    #[test]
    fn a_full_queue_says_so_and_a_single_frame_always_fits() {
        let control = control();
        assert!(control.send(Side::Client, Kind::Binary, &[0; 1000]).is_ok());
        let error = control.send(Side::Client, Kind::Binary, &[0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Again);
        control.mail(Side::Client).deliver(|_, _| true);
        assert!(control.send(Side::Client, Kind::Binary, &[0; 1]).is_ok());
    }

    #[test]
    fn empty_frames_fill_the_queue_too() {
        let control = Control::new(1000, None);
        control.set_open(true);
        let taken = (0..100).take_while(|_| control.send(Side::Client, Kind::Text, b"").is_ok());
        assert_eq!(taken.count(), 1000 / OVERHEAD);
    }

    #[test]
    fn a_long_queue_is_given_back_when_it_is_empty() {
        let control = Control::new(1 << 20, None);
        control.set_open(true);
        (0..1000).for_each(|_| control.send(Side::Client, Kind::Text, b"x").unwrap());
        control.mail(Side::Client).deliver(|_, _| true);
        assert!(control.mail(Side::Client).queue.lock().frames.capacity() <= KEPT_FRAMES);
    }

    #[test]
    fn control_frames_overtake_data_that_waits_and_data_keeps_its_order() {
        let control = control();
        for (kind, payload) in [(Kind::Text, "1"), (Kind::Ping, "p"), (Kind::Text, "2")] {
            control.send(Side::Client, kind, payload.as_bytes()).unwrap();
        }
        let mut seen = Vec::new();
        let mut take_some = |data: bool| {
            control.mail(Side::Client).deliver(|kind, payload| {
                let taken = data || kind.is_control();
                if taken {
                    seen.push(payload[0]);
                }
                taken
            })
        };
        take_some(false);
        take_some(true);
        assert_eq!(seen, b"p12");
        assert!(!control.mail(Side::Client).has_mail());
    }

    #[test]
    fn what_may_not_be_sent_is_refused() {
        let control = control();
        let bad: [(Kind, &[u8]); 5] = [
            (Kind::Close, b""),
            (Kind::Continuation, b""),
            (Kind::Ping, &[0; 126]),
            (Kind::Pong, &[0; 126]),
            (Kind::Text, b"\xff"),
        ];
        for (kind, payload) in bad {
            let error = control.send(Side::Client, kind, payload).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument, "{kind}");
        }
        control.set_open(false);
        let error = control.send(Side::Client, Kind::Text, b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
    }
}
