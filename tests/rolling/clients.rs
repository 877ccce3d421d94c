//! Clients that come, talk for a while and go, and what they have seen; and the upstream that answers them.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::support::{wait_until, LONG};

/// An upstream that sends back what it gets; on threads that end with their connections.
pub fn echoing_upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(stream.unwrap()) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_text() && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

pub type Session = WebSocket<TcpStream>;

/// Connects to `address`; an error in words.
pub fn connect(address: &str) -> Result<Session, String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_nodelay(true).unwrap();
    let (session, _) = tungstenite::client(format!("ws://{address}/"), stream)
        .map_err(|error| format!("handshake: {error}"))?;
    Ok(session)
}

/// Sends a text and awaits it back.
pub fn echoes(session: &mut Session, text: &str) -> Result<(), Error> {
    session.send(Message::text(text))?;
    match session.read()? {
        Message::Text(echo) => {
            assert_eq!(echo.as_str(), text);
            Ok(())
        }
        other => panic!("not the echo: {other:?}"),
    }
}

/// How sessions have ended.
#[derive(Debug, Default)]
pub struct Seen {
    pub ended_by_client: usize,
    pub told_to_go: usize,
    pub failures: Vec<String>,
}

/// Clients at work.
pub struct Traffic {
    seen: Arc<Mutex<Seen>>,
    sessions: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub fn start(address: &str, clients: usize) -> Traffic {
        let (seen, sessions, over) =
            <(Arc<Mutex<Seen>>, Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let client = |number: usize| {
            let (seen, sessions, over) =
                (Arc::clone(&seen), Arc::clone(&sessions), Arc::clone(&over));
            let address = address.to_owned();
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let ended = one_session(&address, number, &over);
                    let mut seen = seen.lock();
                    match ended {
                        Ok(Ended::ByClient) => seen.ended_by_client += 1,
                        Ok(Ended::ToldToGo) => seen.told_to_go += 1,
                        Err(why) => seen.failures.push(why),
                    }
                    drop(seen);
                    sessions.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..clients).map(client).collect();
        Traffic { seen, sessions, over, threads }
    }

    /// Until that many more sessions have ended.
    pub fn goes_on(&self, sessions: usize) {
        let enough = self.sessions.load(Ordering::Relaxed) + sessions;
        wait_until("traffic", || self.sessions.load(Ordering::Relaxed) >= enough);
    }

    pub fn has_failed(&self) -> bool {
        !self.seen.lock().failures.is_empty()
    }

    pub fn stop(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.seen.lock())
    }
}

enum Ended {
    ByClient,
    ToldToGo,
}

/// Every third client stays until it is told to go, the others leave after a few words.
fn one_session(address: &str, number: usize, over: &AtomicBool) -> Result<Ended, String> {
    let mut session = connect(address)?;
    let mut said = 0;
    while number % 3 == 0 || said < 5 {
        if over.load(Ordering::Relaxed) {
            break;
        }
        match echoes_or_close(&mut session, &format!("{number}: {said}"))? {
            Some(CloseCode::Away) => return finish(session).map(|()| Ended::ToldToGo),
            Some(code) => return Err(format!("closed with {code}")),
            None => said += 1,
        }
        thread::sleep(Duration::from_millis(3));
    }
    session.close(None).map_err(|error| format!("close: {error}"))?;
    finish(session).map(|()| Ended::ByClient)
}

/// The echo, or the code of a close frame that came instead of it.
fn echoes_or_close(session: &mut Session, text: &str) -> Result<Option<CloseCode>, String> {
    match session.send(Message::text(text)) {
        Ok(()) => {}
        // The close frame is there already.
        Err(Error::Io(_)) => {}
        Err(error) => return Err(format!("send: {error}")),
    }
    match session.read() {
        Ok(Message::Text(echo)) if echo.as_str() == text => Ok(None),
        Ok(Message::Close(close)) => Ok(Some(close.ok_or("a close without a code")?.code)),
        Ok(other) => Err(format!("not the echo: {other:?}")),
        Err(error) => Err(format!("ended without a close frame: {error}")),
    }
}

/// Reads to the end, which must be that of a closing handshake.
fn finish(mut session: Session) -> Result<(), String> {
    loop {
        match session.read() {
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(format!("the closing handshake broke off: {error}")),
        }
    }
}
