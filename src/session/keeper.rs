//! One thread that watches over all sessions whose own two threads both relay: those of a server, which so have no
//! third.
//!
//! Rules: it runs as long as there are such sessions, and not longer: the last one to leave sees it end. It is on the
//! way of no frame. What it does for a session never waits, and a panic in it ends that session alone. A process that
//! was forked has sessions of its own, and a keeper of its own.
//!
//! Theory: a session that begins has its first deadline seconds ahead. It is left at the door, where the keeper finds it
//! whenever it wakes next; woken it is only for a deadline that comes before that. The door is shut while somebody comes
//! in, which takes the first look at the session, so that no order comes before its session; of all locks it is taken
//! first.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use super::control::{Control, Event, Watcher};
use super::supervisor::{Next, Supervisor};
use crate::error::{Error, Result};
use crate::io::own_thread;

/// It supervises, and writes what is left over.
const STACK_SIZE: usize = 256 * 1024;

/// The keeper of this process, while there are sessions.
static KEEPER: Mutex<Option<Keeper>> = Mutex::new(None);

struct Keeper {
    orders: Sender<Order>,
    door: Arc<Mutex<Door>>,
    thread: JoinHandle<()>,
    sessions: u64,
    next: u64,
    /// The process that it runs in: a fork takes this, and not the thread.
    process: u32,
}

/// Where sessions wait that the keeper has not seen yet.
#[derive(Default)]
struct Door {
    newcomers: Vec<(u64, Kept)>,
    /// When the keeper wakes by itself.
    wakes_at: Option<Instant>,
}

enum Order {
    /// Somebody is at the door whose deadline is the next.
    Look,
    Tell(u64, Event),
    Leave,
}

/// The way from a session to its supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    number: u64,
    orders: Sender<Order>,
}

impl Line {
    /// Tells the supervisor; once the session is over, nobody.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.orders.send(Order::Tell(self.number, event)); // gone only with its last session
    }
}

/// A session that is, or will be, supervised; the keeper stays until this is dropped.
pub(super) struct Ward {
    line: Line,
    door: Arc<Mutex<Door>>,
}

/// A session that is watched.
pub(super) struct Watched(Receiver<Infallible>);

impl Watched {
    /// Until it is over, and the supervisor has let go of it.
    pub(super) fn wait(self) {
        let _ = self.0.recv(); // nothing is ever sent
    }
}

impl Ward {
    /// Registers a session, with the keeper that there is or with a new one.
    pub(super) fn enter() -> Result<Ward> {
        let mut keeper = KEEPER.lock();
        if keeper.as_ref().is_some_and(|keeper| keeper.process != std::process::id()) {
            std::mem::forget(keeper.take()); // its thread, of which there is none here, can be neither joined nor told
        }
        let keeper = match &mut *keeper {
            Some(keeper) => keeper,
            none => none.insert(Keeper::start()?),
        };
        keeper.sessions += 1;
        keeper.next += 1;
        let line = Line { number: keeper.next, orders: keeper.orders.clone() };
        Ok(Ward { line, door: Arc::clone(&keeper.door) })
    }

    /// From now on the session is watched. The door stays shut from before anybody can order something until the session
    /// is there: an order that the keeper has is for somebody whom it finds.
    pub(super) fn watch(&self, control: &Control, mut supervisor: Supervisor) -> Watched {
        let (over, watched) = crossbeam_channel::bounded(0);
        let mut door = self.door.lock();
        control.watch_without_poll(Watcher::Keeper(self.line.clone()));
        let Next::Look(patience) = supervisor.attend(Supervisor::begin) else {
            return Watched(watched); // a bug, which has ended the session
        };
        let deadline = patience.map(|patience| Instant::now() + patience);
        let kept = Kept { supervisor: Box::new(supervisor), deadline, _over: over };
        door.newcomers.push((self.line.number, kept));
        let is_next = deadline.is_some_and(|at| door.wakes_at.is_none_or(|wakes| at < wakes));
        if is_next {
            door.wakes_at = deadline;
            drop(door);
            let _ = self.line.orders.send(Order::Look); // it is there as long as this is
        }
        Watched(watched)
    }
}

impl Drop for Ward {
    /// The last one sees the keeper to its end, so that no thread of the library's outlives its sessions.
    fn drop(&mut self) {
        let mut keeper = KEEPER.lock();
        let Some(there) = keeper.as_mut().filter(|k| k.orders.same_channel(&self.line.orders))
        else {
            return; // another process's
        };
        there.sessions -= 1;
        if there.sessions > 0 {
            return;
        }
        let last = keeper.take();
        drop(keeper); // whoever comes meanwhile starts another
        if let Some(last) = last {
            let _ = last.orders.send(Order::Leave);
            let _ = last.thread.join(); // it lets no panic out
        }
    }
}

impl Keeper {
    fn start() -> Result<Keeper> {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let door = Arc::<Mutex<Door>>::default();
        let rounds = Rounds { door: Arc::clone(&door), ..Rounds::default() };
        let work = move || rounds.run(&inbox);
        let thread = own_thread::start("wsproxy-keeper", STACK_SIZE, work)
            .map_err(|error| Error::system("cannot start the thread that keeps the time", error))?;
        Ok(Keeper { orders, door, thread, sessions: 0, next: 0, process: std::process::id() })
    }
}

/// What the thread knows.
#[derive(Default)]
struct Rounds {
    door: Arc<Mutex<Door>>,
    sessions: HashMap<u64, Kept>,
    deadlines: BTreeSet<(Instant, u64)>,
}

struct Kept {
    supervisor: Box<Supervisor>,
    deadline: Option<Instant>,
    /// Dropped behind the supervisor: whoever waits for the end hears of it.
    _over: Sender<Infallible>,
}

impl Rounds {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match self.let_in() {
                Some(at) => orders.recv_deadline(at),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            self.let_in(); // the order may be one of theirs
            match order {
                Ok(Order::Tell(number, event)) => {
                    self.call(number, |supervisor| supervisor.see(Some(event)));
                }
                Ok(Order::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Leave) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.see_due();
        }
    }

    /// Takes those at the door in. The next deadline of all, at which it wakes.
    fn let_in(&mut self) -> Option<Instant> {
        let mut door = self.door.lock();
        for (number, kept) in std::mem::take(&mut door.newcomers) {
            self.deadlines.extend(kept.deadline.map(|at| (at, number)));
            self.sessions.insert(number, kept);
        }
        door.wakes_at = self.deadlines.first().map(|(at, _)| *at);
        door.wakes_at
    }

    /// Those whose deadlines have passed, each once.
    fn see_due(&mut self) {
        let now = Instant::now();
        let due: Vec<u64> = self.deadlines.range(..=(now, u64::MAX)).map(|(_, n)| *n).collect();
        due.into_iter().for_each(|number| self.call(number, |supervisor| supervisor.see(None)));
    }

    /// Has a session's supervisor look after it; of a session that is over nothing is left.
    fn call(&mut self, number: u64, see: impl FnOnce(&mut Supervisor) -> bool) {
        let Some(kept) = self.sessions.get_mut(&number) else { return };
        if let Some(deadline) = kept.deadline.take() {
            self.deadlines.remove(&(deadline, number));
        }
        match kept.supervisor.attend(see) {
            Next::Over => {
                self.sessions.remove(&number);
            }
            Next::Look(patience) => {
                kept.deadline = patience.map(|patience| Instant::now() + patience);
                self.deadlines.extend(kept.deadline.map(|at| (at, number)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::error::{ErrorKind, Fault};
    use crate::io::{Socket, Wire};
    use crate::session::randomness::seeds;
    use crate::session::threaded::{take_apart, Parts};
    use crate::session::threads::{relay, Hook, Session};
    use crate::session::urgency::Urgency;
    use crate::ws::close::Close;
    use crate::ws::direction::Direction;
    use crate::ws::engine::Engine;
    use crate::ws::frame::{Kind, PerSide, Side};

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    /// A session of two threads, that a keeper watches.
    struct Scene {
        session: Arc<Session>,
        peers: PerSide<UnixStream>,
        threads: Vec<Receiver<Infallible>>,
        watched: Watched,
    }

    fn begin(ward: &Ward, config: &Config) -> Scene {
        let (mut scene, directions) = idle(ward, config);
        let PerSide { client, upstream } = directions;
        for (from, way) in [(Side::Client, client), (Side::Upstream, upstream)] {
            let session = Arc::clone(&scene.session);
            let work = move || relay(&session, &Hook { hook: None, turn: None }, from, way);
            scene.threads.push(at_work(work));
        }
        scene
    }

    /// One whose threads have not begun.
    fn idle(ward: &Ward, config: &Config) -> (Scene, PerSide<Box<Direction>>) {
        let control = Arc::new(Control::new(1024, None));
        let Unwatched { session, directions, supervisor, peers } = unwatched(&control, config);
        let watched = ward.watch(&control, supervisor);
        (Scene { session, peers, threads: Vec::new(), watched }, directions)
    }

    struct Unwatched {
        session: Arc<Session>,
        directions: PerSide<Box<Direction>>,
        supervisor: Supervisor,
        peers: PerSide<UnixStream>,
    }

    fn unwatched(control: &Arc<Control>, config: &Config) -> Unwatched {
        let (wires, peers) = connections();
        let engine = Box::new(Engine::new(config.rules, &seeds().unwrap()));
        let wires = PerSide { client: &wires.client, upstream: &wires.upstream };
        let Parts { session, directions, keepalive } = take_apart(control, wires, engine);
        let supervisor = Supervisor::new(config, Arc::clone(&session), keepalive);
        Unwatched { session, directions, supervisor, peers }
    }

    fn connections() -> (PerSide<Wire>, PerSide<UnixStream>) {
        let pair = || {
            let (ours, peer) = UnixStream::pair().unwrap();
            peer.set_read_timeout(Some(LONG)).unwrap();
            (Wire::plain(Socket::adopt(ours.into()).unwrap()), peer)
        };
        let ((client, client_peer), (upstream, upstream_peer)) = (pair(), pair());
        let peers = PerSide { client: client_peer, upstream: upstream_peer };
        (PerSide { client, upstream }, peers)
    }

    /// Starts a thread; what comes back ends with it.
    fn at_work(work: impl FnOnce() + Send + 'static) -> Receiver<Infallible> {
        let (over, ended) = crossbeam_channel::bounded(0);
        thread::spawn(move || {
            let _over = over;
            work();
        });
        ended
    }

    fn ends(what: &Receiver<Infallible>) {
        assert_eq!(what.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }

    impl Scene {
        /// Every thread is over, and so is the watch.
        fn ends(&self) {
            self.threads.iter().for_each(ends);
            ends(&self.watched.0);
        }

        /// A message without payload passes from the client to the upstream, which sees its mask.
        fn relays(&mut self) {
            self.peers.client.write_all(&[0x82, 0x80, 1, 2, 3, 4]).unwrap();
            let mut frame = [0; 6];
            self.peers.upstream.read_exact(&mut frame).unwrap();
            assert_eq!(frame[..2], [0x82, 0x80]);
        }

        /// Both peers close, without a code, and are gone.
        fn closes(&mut self) {
            self.peers.client.write_all(&[0x88, 0x80, 1, 2, 3, 4]).unwrap();
            self.peers.upstream.write_all(&[0x88, 0]).unwrap();
            for side in Side::BOTH {
                let peer = self.peers.get_mut(side);
                peer.shutdown(std::net::Shutdown::Write).unwrap();
                peer.read_to_end(&mut Vec::new()).unwrap();
            }
        }
    }

    fn ward(number: u64, orders: &Sender<Order>, rounds: &Rounds) -> Ward {
        Ward { line: Line { number, orders: orders.clone() }, door: Arc::clone(&rounds.door) }
    }

    #[test]
    fn an_order_that_comes_right_behind_its_session_is_carried_out() {
        let rounds = Rounds::default();
        let (orders, inbox) = crossbeam_channel::unbounded();
        let [first, second] = [1, 2].map(|number| ward(number, &orders, &rounds));
        let _earlier = idle(&first, &Config::new());
        let keeper = at_work(move || rounds.run(&inbox));
        while !first.door.lock().newcomers.is_empty() {
            thread::yield_now();
        }
        let (scene, _directions) = idle(&second, &Config::new()); // its deadline is the later one: nobody is woken
        for side in Side::BOTH {
            second.line.tell(Event::Finished(side));
        }
        ends(&scene.watched.0);
        orders.send(Order::Leave).unwrap();
        ends(&keeper);
    }

    /// As [`Scene`], watched from another thread while the door is kept shut for a while: what `meanwhile` orders comes at
    /// the worst moment.
    fn watched_late(
        ward: &Ward,
        orders: &Receiver<Order>,
        meanwhile: impl FnOnce(&Control),
    ) -> (Arc<Control>, PerSide<UnixStream>) {
        let control = Arc::new(Control::new(1024, None));
        control.set_open(true);
        let Unwatched { supervisor, peers, .. } = unwatched(&control, &Config::new());
        thread::scope(|scope| {
            let door = ward.door.lock();
            scope.spawn(|| ward.watch(&control, supervisor));
            thread::sleep(Duration::from_millis(50)); // it is at the door by now; if not, this finds out less
            meanwhile(&control);
            let early = orders.try_iter().filter(|order| matches!(order, Order::Tell(..)));
            assert_eq!(early.count(), 0, "the keeper is told of a session that it cannot find");
            drop(door);
        });
        (control, peers)
    }

    #[test]
    fn what_is_ordered_while_a_session_comes_to_its_watch_is_not_lost() {
        let rounds = Rounds::default();
        let (orders, inbox) = crossbeam_channel::unbounded();
        let [first, second] = [1, 2].map(|number| ward(number, &orders, &rounds));
        let mut told = [0; 4];
        let (_control, mut peers) = watched_late(&first, &inbox, |control| {
            control.send(Side::Client, Kind::Text, b"hi").unwrap();
        });
        peers.client.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"\x81\x02hi");
        let (_control, mut peers) = watched_late(&second, &inbox, |control| {
            control.end(Urgency::Stop, Close::new(1001, "").unwrap());
        });
        peers.client.read_exact(&mut told).unwrap();
        assert_eq!(told, [0x88, 2, 0x03, 0xe9]);
    }

    #[test]
    fn the_door_is_shut_until_a_session_that_comes_in_was_looked_at() {
        let rounds = Rounds::default();
        let (orders, _inbox) = crossbeam_channel::unbounded();
        let ward = ward(1, &orders, &rounds);
        let control = Arc::new(Control::new(1024, None));
        let Unwatched { session, supervisor, peers: _peers, .. } =
            unwatched(&control, &Config::new());
        control.end(Urgency::Stop, Close::code_only(1001)); // so the first look is for the cause of the end
        thread::scope(|scope| {
            let cause = session.cause.lock();
            scope.spawn(|| ward.watch(&control, supervisor));
            let patience = Instant::now() + LONG;
            let is_shut = || ward.door.try_lock().is_none();
            while !is_shut() && Instant::now() < patience {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(30)); // it stays so while that look lasts
            let stays_shut = is_shut();
            drop(cause);
            assert!(stays_shut);
        });
        assert_eq!(ward.door.lock().newcomers.len(), 1);
    }

    #[test]
    fn sessions_that_come_while_it_sleeps_are_ended_in_time() {
        let rounds = Rounds::default();
        let (orders, inbox) = crossbeam_channel::unbounded();
        let wards = [1, 2, 3, 4].map(|number| ward(number, &orders, &rounds));
        let keeper = at_work(move || rounds.run(&inbox));
        let mut hasty = Config::new();
        hasty.idle_timeout(Duration::from_millis(40));
        let mut patient = Config::new();
        patient.idle_timeout(60 * LONG).write_timeout(60 * LONG);
        let ends_by_itself = |ward: &Ward| {
            thread::sleep(Duration::from_millis(100)); // the keeper sleeps by now; if not, this finds out less
            let mut scene = begin(ward, &hasty);
            let mut told = [0; 1];
            scene.peers.client.read_exact(&mut told).unwrap();
            assert_eq!(told, [0x88]);
            scene.closes();
            scene.ends();
        };
        // While it has nobody to look after, with a deadline behind it, and with one that is far away.
        ends_by_itself(&wards[0]);
        ends_by_itself(&wards[1]);
        let _patient = idle(&wards[2], &patient);
        ends_by_itself(&wards[3]);
        orders.send(Order::Leave).unwrap();
        ends(&keeper);
    }

    #[test]
    fn a_panic_in_the_watch_over_a_session_ends_that_session_alone() {
        let mut rounds = Rounds::default();
        let (orders, inbox) = crossbeam_channel::unbounded();
        let [mut broken, mut sound] =
            [1, 2].map(|number| begin(&ward(number, &orders, &rounds), &Config::new()));
        rounds.let_in();
        rounds.call(1, |_| panic!("meant"));
        assert_eq!(rounds.deadlines.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [2]);
        let keeper = at_work(move || rounds.run(&inbox));

        broken.ends();
        let cause = broken.session.cause.lock().take();
        let error = cause.and_then(|cause| cause.error()).unwrap();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Internal, Fault::System));
        for side in Side::BOTH {
            let mut told = Vec::new();
            broken.peers.get_mut(side).read_to_end(&mut told).unwrap();
            assert_eq!(told[0], 0x88, "the {side} is sent a close frame, and nothing else");
        }

        sound.relays();
        sound.closes();
        sound.ends();
        assert!(sound.session.cause.lock().is_none());
        orders.send(Order::Leave).unwrap();
        ends(&keeper);
    }
}
