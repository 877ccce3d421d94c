//! A drain under full load: both sides of 200 sessions send fragmented messages as fast as the other side takes them.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::scene::Scene;
use super::support::host::config;
use super::support::peer::{frame, Peer, BINARY, CLOSE, CONTINUATION};
use super::support::POLICIES;
use wsproxy::{Kind, PerSide, Side, Verdict};

const SESSIONS: usize = 200;
const DEADLINE: Duration = Duration::from_secs(15);
/// How many messages are on their way at most in each direction: 400 senders without a window would use up what memory
/// the system has for TCP, which then drops segments.
const WINDOW: usize = 32;
/// A crowd on two processors makes its own latecomers.
const LATE: Duration = Duration::from_millis(500);

/// How many messages the hook has seen begin, and end, from each side.
type Seen = Arc<PerSide<[AtomicU64; 2]>>;

/// Reads by larger pieces, as tests are not optimised.
struct Buffered(BufReader<TcpStream>);

impl Read for Buffered {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Buffered {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.get_mut().write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The fragments of a message.
fn message(number: u64) -> Vec<Vec<u8>> {
    let piece = |index: u64| {
        let mut bytes = vec![(number ^ index) as u8; (number * 577 + index * 997) as usize % 3_000];
        bytes.extend(number.to_be_bytes());
        bytes
    };
    (0..1 + number % 5).map(piece).collect()
}

/// Sends until nobody takes it, a message for each leave to do so.
fn flood(mut peer: Peer, mask: Option<[u8; 4]>, leave: &Receiver<()>) {
    for (number, ()) in (0..).zip(leave) {
        let fragments = message(number);
        let last = fragments.len() - 1;
        for (index, payload) in fragments.iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let bytes = frame(index == last, opcode, payload, mask);
            if peer.try_send_bytes(&bytes).is_err() {
                return;
            }
        }
    }
}

/// Hears messages up to the close, each of them whole; how many there were.
fn hear_all(peer: &mut Peer<Buffered>, leave: &SyncSender<()>) -> u64 {
    for number in 0.. {
        let fragments = message(number);
        let last = fragments.len() - 1;
        for (index, payload) in fragments.iter().enumerate() {
            let heard = peer.hear();
            if heard.opcode == CLOSE {
                assert_eq!(heard.close(), (Some(1001), String::new()));
                assert_eq!(index, 0, "a close in the middle of message {number}");
                return number;
            }
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            assert_eq!((heard.opcode, heard.fin), (opcode, index == last), "{number} {index}");
            assert!(heard.payload == *payload, "message {number} is another");
        }
        let _ = leave.try_send(()); // the other side may be gone
    }
    0
}

/// One end of a session under load: how many messages it has heard before the close. It sends as the other end gives it
/// leave to, and gives leave itself.
fn end(peer: Peer, mask: Option<[u8; 4]>, leave: Receiver<()>, give: SyncSender<()>) -> u64 {
    let (sends, stream) = (peer.twin(), peer.stream.try_clone().unwrap());
    let sending = small(move || flood(sends, mask, &leave));
    let mut hears = Peer::over(Buffered(BufReader::new(stream)), mask.is_some(), String::new());
    let count = hear_all(&mut hears, &give);
    drop(give);
    let _ = peer.stream.shutdown(std::net::Shutdown::Both); // it may have ended
    sending.join().unwrap();
    count
}

fn small<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap()
}

#[test]
fn two_hundred_busy_sessions_all_end_between_messages_and_nothing_is_lost() {
    for policy in POLICIES {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = Arc::clone(&seen);
        let scene = Scene::serve(config(policy, |_| {}), move |proxy, client, url| {
            let seen = Seen::default();
            all.lock().unwrap().push(Arc::clone(&seen)); // sessions begin one after the other
            proxy.connect(client, url)?;
            proxy.execute(|frame| {
                let [begun, ended] = seen.get(frame.from());
                let data = frame.kind() != Kind::Close;
                let begins = data && frame.kind() != Kind::Continuation;
                begun.fetch_add(u64::from(begins), Ordering::Relaxed);
                ended.fetch_add(u64::from(data && frame.fin()), Ordering::Relaxed);
                Verdict::Forward
            })
        });
        let sessions: Vec<_> = (0..SESSIONS).map(|_| scene.session()).collect();
        let mut starts = Vec::new();
        let ends: Vec<_> = sessions
            .into_iter()
            .map(|(client, upstream)| {
                let ((up, may_up), (down, may_down)) = (sync_channel(WINDOW), sync_channel(WINDOW));
                starts.extend([up.clone(), down.clone()]);
                let upstream = small(move || end(upstream, None, may_down, up));
                (small(move || end(client, Some([1, 2, 3, 4]), may_up, down)), upstream)
            })
            .collect();
        for start in starts {
            (0..WINDOW).for_each(|_| start.send(()).unwrap());
        }
        thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        scene.server.drain(1001, DEADLINE).unwrap();
        let (outcome, at) = scene.ended();
        assert_eq!(outcome, Ok(()));
        assert!(at - started < DEADLINE + LATE, "{policy:?}: {:?}", at - started);
        (0..SESSIONS).for_each(|_| assert_eq!(scene.outcome(), Ok(()), "{policy:?}"));
        let mut total = 0;
        for ((client, upstream), seen) in ends.into_iter().zip(seen.lock().unwrap().iter()) {
            let heard =
                PerSide { client: client.join().unwrap(), upstream: upstream.join().unwrap() };
            for side in Side::BOTH {
                let [begun, ended] = seen.get(side.other());
                let (begun, ended) = (begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
                let heard = *heard.get(side);
                assert_eq!((begun, ended), (heard, heard), "{policy:?}: heard by the {side}");
                total += heard;
            }
        }
        assert!(total > 10 * SESSIONS as u64, "{policy:?}: {total} messages are no load");
        assert_eq!(scene.stats().completed, SESSIONS as u64);
    }
}
