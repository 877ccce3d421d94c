//! The threaded session: two threads, one per direction, that read, run the engine, and write; and the shared
//! state through which either of them, or the supervisor, ends the session.
//!
//! Rules: the threads know no clock. A slow or stalled direction never holds up the other; under `serial` a slow
//! hook delays the other direction's hook and nothing else, and hands over after every frame.

use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::control::{Control, Event};
use super::hook;
use super::port::Port;
use super::urgency::Urgency;
use crate::error::{Error, ErrorKind, Fault};
use crate::io::{own_thread, Reader, Wire};
use crate::ws::closing::Event as Passed;
use crate::ws::direction::{Direction, Effect, Poll, Then};
use crate::ws::ending::Cause;
use crate::ws::frame::{PerSide, Side};
use crate::ws::verdict::{Frame, Verdict};
use crate::ws::violation::Violation;
use crate::ws::{inbox, rest};

/// What a thread may keep while it waits without a limit: the room for its read, and a little.
const LITTLE: usize = 3 * inbox::SMALL;
/// How long it keeps more than that while nothing comes.
const PATIENCE: Duration = Duration::from_millis(rest::PATIENCE);

/// A hook that both threads may call.
pub(crate) type SharedHook<'h> = &'h (dyn Fn(&mut Frame<'_>) -> Verdict + Sync);

/// What the two threads and the supervisor share.
pub(crate) struct Session {
    pub(crate) control: Arc<Control>,
    pub(crate) ports: PerSide<Port>,
    pub(crate) wires: PerSide<Wire>,
    pub(crate) reads: PerSide<AtomicU64>,
    /// Whether what came from this side is with the hook, or waits for its turn: that is not idleness.
    pub(crate) at_work: PerSide<AtomicBool>,
    pub(crate) cause: Mutex<Option<Cause>>,
    /// The hook has failed or ended the session: it is not called again.
    pub(crate) hook_done: AtomicBool,
}

/// The hook, and whose turn it is to call it: `None` when both may.
pub(crate) struct Hook<'h> {
    pub(crate) hook: Option<SharedHook<'h>>,
    pub(crate) turn: Option<Mutex<()>>,
}

impl Session {
    /// Tells both sides, as far as they were not told. The first cause counts, for what they are told too.
    pub(crate) fn end(&self, cause: Cause) {
        let cause = self.decide(cause);
        // Both are shut before either is told: the answer of one must not pass for a close of its own.
        Side::BOTH.iter().for_each(|&side| self.ports.get(side).shut());
        for side in Side::BOTH {
            self.ports.get(side).close(&cause.close_for(side));
        }
        self.tell(Event::Look);
    }

    /// Both sides are told, and cut off, which wakes whoever reads or writes there. Mostly called after a panic: if another
    /// one keeps them from being told, they are cut off all the same, and so both threads end.
    pub(crate) fn give_up(&self, error: Error) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.end(Cause::System(error))));
        Side::BOTH.iter().for_each(|&side| self.ports.get(side).cut());
    }

    /// The cause that counts: this one, if it is the first.
    fn decide(&self, cause: Cause) -> Cause {
        self.cause.lock().get_or_insert(cause).clone()
    }

    /// A frame went through the hook: the session is not idle. Only the thread that reads from `from` counts here.
    fn note_frame(&self, from: Side) {
        let reads = self.reads.get(from);
        reads.store(reads.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    fn tell(&self, event: Event) {
        self.control.wake(event); // the supervisor outlives both threads
    }
}

/// The life of one thread: everything that `from` sends, until nothing more can come.
pub(crate) fn relay(session: &Session, hook: &Hook<'_>, from: Side, direction: Box<Direction>) {
    let way = Way {
        session,
        hook,
        from,
        direction,
        source: session.ports.get(from),
        target: session.ports.get(from.other()),
    };
    if catch_unwind(AssertUnwindSafe(|| way.run())).is_err() {
        let words = format!("a bug: the thread that reads from the {from} panicked");
        session.give_up(Error::new(ErrorKind::Internal, Fault::System, words));
    }
    session.tell(Event::Finished(from));
}

struct Way<'s, 'h> {
    session: &'s Session,
    hook: &'s Hook<'h>,
    from: Side,
    direction: Box<Direction>,
    source: &'s Port,
    target: &'s Port,
}

/// What ends a batch.
enum Stop {
    NeedInput,
    /// What the hook made of the frames is so much that it is written before they go on.
    Full,
    Effect(Box<Effect>),
    Violation(Violation),
}

impl Way<'_, '_> {
    fn run(mut self) {
        let mut reader = Reader::new(self.session.wires.get(self.from));
        loop {
            while self.batch() {}
            self.count();
            if !self.source.closing().is_awaited(self.from) {
                return;
            }
            match self.read(&mut reader) {
                Ok(0) => return self.ended("closed the connection"),
                Err(error) => return self.ended(&format!("lost ({error})")),
                Ok(count) => {
                    self.direction.filled(count);
                    self.session.note_frame(self.from);
                }
            }
        }
    }

    /// Waits for bytes. Memory that was needed under load is given back when none come.
    fn read(&mut self, reader: &mut Reader<'_>) -> io::Result<usize> {
        while self.direction.spare() > LITTLE {
            match reader.recv_within(self.direction.space(), PATIENCE)? {
                Some(count) => return Ok(count),
                None => self.rest(),
            }
        }
        reader.recv(self.direction.space())
    }

    fn rest(&mut self) {
        self.direction.rest();
        own_thread::trim_stack(); // a hook may have gone deep
    }

    /// Deals with what was read; `true` when there may be more of it.
    fn batch(&mut self) -> bool {
        self.target.begin();
        let wants_verdicts = self.hook.hook.is_some() || self.target.has_mail();
        self.direction.set_inspected(wants_verdicts);
        let stop = self.frames();
        match stop {
            Stop::Violation(violation) => {
                self.broke(violation);
                return false;
            }
            Stop::Effect(effect) => self.apply(*effect),
            Stop::Full => self.target.flush(&mut self.direction),
            Stop::NeedInput => {
                self.target.flush(&mut self.direction);
                return false;
            }
        }
        true
    }

    fn frames(&mut self) -> Stop {
        let (session, hook) = (self.session, self.hook);
        let mut turn = None; // taken with the first frame: what needs no hook waits for none
        loop {
            self.heed();
            match self.direction.poll() {
                Ok(Poll::Frame) => {}
                Ok(Poll::NeedInput) => return Stop::NeedInput,
                Ok(Poll::Effect(effect)) => return Stop::Effect(effect),
                Err(violation) => return Stop::Violation(violation),
            }
            session.at_work.get(self.from).store(true, Ordering::Release);
            match &mut turn {
                Some(turn) => MutexGuard::bump(turn),
                None => turn = hook.turn.as_ref().map(Mutex::lock),
            }
            self.heed(); // while this waited for its turn: nothing passes unseen
            let verdict = self.verdict();
            session.at_work.get(self.from).store(false, Ordering::Release);
            session.note_frame(self.from);
            if self.target.has_mail() && !self.target.is_closed() && !self.direction.is_held() {
                self.target.insert_mail(&mut self.direction);
            }
            if let Some(effect) = self.direction.resolve(verdict) {
                if matches!(effect.then, Then::End(_) | Then::HookFailed(_)) {
                    self.session.hook_done.store(true, Ordering::Release);
                }
                return Stop::Effect(effect);
            }
            if self.direction.is_full() {
                return Stop::Full;
            }
        }
    }

    /// Notes whether anything more is to be forwarded, and shown to the hook.
    fn heed(&mut self) {
        let urgency = self.session.control.urgency();
        if self.target.is_closed()
            || urgency >= Urgency::Stop
            || self.session.hook_done.load(Ordering::Acquire)
        {
            self.direction.mute();
        } else if urgency == Urgency::Drain {
            self.direction.drain();
        }
    }

    fn verdict(&mut self) -> Verdict {
        if self.direction.is_in_vain() {
            return Verdict::Drop;
        }
        match (self.hook.hook, self.direction.frame()) {
            (Some(hook), Some(mut frame)) => hook::ask(hook, &mut frame),
            _ => Verdict::Forward,
        }
    }

    fn apply(&mut self, effect: Effect) {
        if effect.received.is_some() {
            self.session.control.note_close_received(self.from);
        }
        let ends = matches!(effect.then, Then::End(_) | Then::HookFailed(_));
        if !ends {
            self.target.flush(&mut self.direction);
        }
        if let Some(close) = effect.received {
            self.source.note_close(close);
        }
        match effect.then {
            Then::Nothing => self.session.tell(Event::Look),
            Then::Forward(close) => {
                self.target.close(&close);
                self.session.tell(Event::Look);
            }
            Then::End(closes) => self.end_from_here(Cause::Ended(closes)),
            Then::HookFailed(why) => self.end_from_here(Cause::HookFailed(why)),
        }
    }

    fn broke(&mut self, violation: Violation) {
        self.direction.deafen();
        self.source.note(Passed::Broke);
        self.end_from_here(Cause::Violation(self.from, violation));
    }

    /// Ends the session on account of what came from this side. It is told before what came earlier is written to the
    /// other side, which may be slow.
    fn end_from_here(&mut self, cause: Cause) {
        let cause = self.session.decide(cause);
        self.source.shut();
        self.source.close(&cause.close_for(self.from));
        self.session.tell(Event::Look);
        self.target.flush(&mut self.direction);
        self.session.end(cause);
    }

    fn ended(&mut self, how: &str) {
        let closed = self.source.with_outbox(|outbox| outbox.close_received().is_some());
        let cause = Cause::stream_ended(self.from, closed, self.direction.is_mid_frame(), how);
        self.direction.deafen();
        // Asked first: of two sides that vanish at once, one at least must find the other there to be told.
        let is_news = self.target.closing().may_send();
        self.source.note(Passed::Ended);
        if is_news {
            self.session.end(cause);
        }
        if !self.source.closing().may_send() {
            self.source.cut(); // whoever still writes to it waits in vain
        }
        self.count();
    }

    fn count(&self) {
        self.session.control.count_received(self.from, self.direction.stats());
    }
}
