//! What watches over a threaded session while its two threads relay: it keeps the time, carries out what the host asks
//! from outside, and writes what is left over.
//!
//! Theory: the threads show their progress by counters. The supervisor looks at them a few times per timeout, notes what
//! moved with its own clock, and ends what did not. It wakes a thread by shutting its socket down. It has either a thread
//! to itself ([`Supervisor::watch`]), or shares the keeper's: then it is called when there is something to see.
//!
//! Rules: only that one function waits, as other sessions would wait too. A panic ends this session, and no other: its
//! threads would relay on with nobody to keep the time or to hear the host.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::control::Event;
use super::slow::SendQueue;
use super::threads::Session;
use super::urgency::Urgency;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Fault};
use crate::ws::ending::Cause;
use crate::ws::frame::{PerSide, Side};
use crate::ws::timers::{Due, Timers};

/// How many looks at the counters fit into one timeout: it strikes at most this part of itself late.
const LOOKS: u64 = 8;
/// How often left-over bytes are tried again, in milliseconds: at first, and at most.
const RETRY: (u64, u64) = (1, 64);

/// See the top of this file.
pub(crate) struct Supervisor {
    session: Arc<Session>,
    timers: Timers,
    started: Instant,
    /// The time between two looks, in milliseconds.
    look: Option<u64>,
    retry: u64,
    /// Whether a connection is still to be cut.
    cutting: bool,
    keepalive: [u8; 8],
    seen_reads: PerSide<u64>,
    seen_writes: PerSide<u64>,
    seen_relayed: PerSide<u64>,
    seen_queues: PerSide<SendQueue>,
    finished: PerSide<bool>,
}

/// What comes after a look.
pub(super) enum Next {
    /// Another one within this time, or when there is something to see.
    Look(Option<Duration>),
    /// Nothing: the session is over, as far as it is supervised.
    Over,
}

impl Supervisor {
    /// Its clock begins now.
    pub(super) fn new(config: &Config, session: Arc<Session>, keepalive: [u8; 8]) -> Self {
        let periods = config.periods();
        let timeouts = [periods.idle, periods.write].into_iter().filter(|&period| period > 0);
        Supervisor {
            session,
            timers: Timers::new(periods, 0),
            started: Instant::now(),
            look: timeouts.min().map(|period| period.div_ceil(LOOKS)),
            retry: RETRY.0,
            cutting: false,
            keepalive,
            seen_reads: PerSide::default(),
            seen_writes: PerSide::default(),
            seen_relayed: PerSide::default(),
            seen_queues: PerSide::default(),
            finished: PerSide::default(),
        }
    }

    /// Watches on this thread, until the session is over.
    pub(super) fn watch(mut self, events: &Receiver<Event>) {
        let mut next = self.attend(Supervisor::begin);
        while let Next::Look(patience) = next {
            let event = match patience {
                Some(patience) => events.recv_timeout(patience).ok(),
                None => events.recv().ok(),
            };
            next = self.attend(|supervisor| supervisor.see(event));
        }
    }

    /// Has `see` look after the session, and say whether it is over.
    pub(super) fn attend(&mut self, see: impl FnOnce(&mut Supervisor) -> bool) -> Next {
        // Unwind safety: a supervisor that panicked is not called again.
        let next = catch_unwind(AssertUnwindSafe(|| match see(self) {
            true => Next::Over,
            false => Next::Look(self.patience()),
        }));
        next.unwrap_or_else(|_| {
            let words = "a bug: the supervisor of the session panicked";
            self.session.give_up(Error::new(ErrorKind::Internal, Fault::System, words));
            Next::Over
        })
    }

    /// The first look. Of what was sent before nobody may have heard.
    pub(super) fn begin(&mut self) -> bool {
        Side::BOTH.iter().for_each(|&side| self.take_mail(side));
        self.see(None)
    }

    /// Takes note of `event`, looks at everything, and does what is due. Whether the session is over.
    pub(super) fn see(&mut self, event: Option<Event>) -> bool {
        match event {
            Some(Event::Finished(side)) => *self.finished.get_mut(side) = true,
            Some(Event::Mail(side)) => {
                self.take_mail(side);
                self.timers.note_activity(self.now());
            }
            Some(Event::End | Event::Look) | None => {}
        }
        self.look();
        self.is_over()
    }

    fn take_mail(&self, side: Side) {
        self.session.control.mail(side).hear();
        self.session.ports.get(side).push();
    }

    /// Looks at everything, and does what is due.
    fn look(&mut self) {
        self.obey();
        let now = self.now();
        self.look_at_counters(now);
        self.push_left_overs();
        while let Some(due) = self.timers.due(now) {
            if self.act(due) {
                break;
            }
        }
    }

    /// Ends what the host wants ended, if it may end now.
    fn obey(&mut self) {
        let Session { control, ports, .. } = &*self.session;
        let urgency = control.urgency();
        let may_end = match urgency {
            Urgency::None => false,
            Urgency::Drain => self.is_drained(),
            Urgency::Stop | Urgency::Abort => true,
        };
        if !may_end {
            return;
        }
        if self.session.cause.lock().is_none() {
            if urgency == Urgency::Drain {
                Side::BOTH.iter().for_each(|&side| ports.get(side).collect_mail());
            }
            if let Some(close) = control.end_requested() {
                self.session.end(Cause::Stopped(close));
            }
        }
        if urgency == Urgency::Abort {
            let cut = Side::BOTH.map(|side| ports.get(side).cut_short());
            self.cutting = cut != [true, true];
        }
    }

    /// Whether neither side is in the middle of a message, nor will be. A session that closes is left to that.
    fn is_drained(&self) -> bool {
        let ports = &self.session.ports;
        let held = Side::BOTH.map(|side| ports.get(side).hold()); // both, before either is judged
        let closing = |side: Side| ports.get(side).closing().has_begun();
        held == [true, true] && !Side::BOTH.into_iter().any(closing)
    }

    fn look_at_counters(&mut self, now: u64) {
        for side in Side::BOTH {
            let port = self.session.ports.get(side);
            let reads = self.session.reads.get(side).load(Ordering::Acquire);
            if std::mem::replace(self.seen_reads.get_mut(side), reads) != reads {
                self.timers.note_input(side, now);
            }
            if self.session.at_work.get(side).load(Ordering::Acquire) {
                self.timers.note_input(side, now); // nothing more is read from it meanwhile
            }
            let (waiting, writes) = port.progress();
            let wrote = std::mem::replace(self.seen_writes.get_mut(side), writes) != writes;
            let drains =
                waiting && self.seen_queues.get_mut(side).moves(self.session.wires.get(side));
            self.timers.note_output(side, waiting, wrote || drains, now);
            let relayed = port.relayed();
            if std::mem::replace(self.seen_relayed.get_mut(side), relayed) != relayed || drains {
                self.timers.note_activity(now);
            }
            if port.closing().has_begun() {
                self.timers.note_closing(now);
            }
        }
    }

    fn push_left_overs(&mut self) {
        let ports = &self.session.ports;
        if !Side::BOTH.iter().any(|&side| ports.get(side).has_left_over()) {
            self.retry = RETRY.0;
            return;
        }
        Side::BOTH.iter().for_each(|&side| ports.get(side).push());
        self.retry = (self.retry * 2).min(RETRY.1);
    }

    /// Does what is due; `true` when nothing is left to be looked at now.
    fn act(&mut self, due: Due) -> bool {
        let session = &*self.session;
        match due {
            Due::Keepalive => {
                Side::BOTH.iter().for_each(|&side| session.ports.get(side).ping(&self.keepalive));
                return false;
            }
            Due::Idle => session.end(Cause::idle(self.timers.periods().idle)),
            Due::Silent(side) => session.end(Cause::silent(side, self.timers.periods().idle)),
            Due::Stalled(side) => {
                session.end(Cause::stalled(side, self.timers.periods().write));
                session.ports.get(side).cut();
                self.timers.note_closing(self.now());
            }
            Due::Close => {
                if let Some(cause) = self.overdue() {
                    session.end(cause);
                }
                Side::BOTH.iter().for_each(|&side| session.ports.get(side).cut());
            }
        }
        true
    }

    fn overdue(&self) -> Option<Cause> {
        let ports = &self.session.ports;
        ports.client.with_outbox(|client| {
            ports.upstream.with_outbox(|upstream| {
                Cause::overdue(client, upstream, self.timers.periods().close)
            })
        })
    }

    fn is_over(&self) -> bool {
        self.finished.client
            && self.finished.upstream
            && !Side::BOTH.iter().any(|&side| self.session.ports.get(side).has_left_over())
    }

    fn patience(&self) -> Option<Duration> {
        let left_over = Side::BOTH.iter().any(|&side| self.session.ports.get(side).has_left_over());
        let retry = left_over.then_some(self.retry);
        let next = self.timers.next().map(|at| at.saturating_sub(self.now()));
        let cutting = self.cutting.then_some(RETRY.0);
        [self.look, retry, cutting, next].into_iter().flatten().min().map(Duration::from_millis)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
