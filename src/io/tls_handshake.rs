//! A TLS handshake by steps, for a loop that waits for more than one thing at a time.
//!
//! Rules: it never blocks and knows no deadline; the loop drops it when that has passed. Whatever has come behind
//! the handshake stays for the connection that it becomes. The peer is sent the alert that says why it failed.

use std::error::Error as StdError;
use std::io::{self, ErrorKind as Io};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use native_tls::TlsConnector;
use openssl::ssl::SslAcceptor;

use super::backlog::Backlog;
use super::memory::{Incoming, Memory};
use super::poll::Events;
use super::socket::Socket;
use super::tls::Tls;
use super::tls_step::{Midway, Step};
use super::tls_words::handshake_error;
use super::wire::Wire;
use crate::error::{Error, ErrorKind, Fault, Result};

/// A handshake under way. Watch its descriptor for [`Handshake::events`], then [`Handshake::advance`].
pub(crate) struct Handshake {
    socket: Socket,
    backlog: Arc<Backlog>,
    fault: Fault,
    name: String,
    /// What the TLS object has to say next; `None` only inside a step.
    state: Option<Box<dyn Midway>>,
}

/// What a step came to.
pub(crate) enum Shaken {
    /// An encrypted connection.
    Done(Wire),
    /// Not yet.
    Pending(Handshake),
}

impl Handshake {
    /// With the upstream, which `name` belongs to.
    pub(crate) fn connect(connector: &TlsConnector, name: &str, socket: Socket) -> Result<Shaken> {
        let start = |memory| Step::from(connector.connect(name, memory));
        Handshake::start(socket, Vec::new(), Fault::Upstream, name, start)
    }

    /// With a client that has begun with `early`.
    pub(crate) fn accept(acceptor: &SslAcceptor, socket: Socket, early: Vec<u8>) -> Result<Shaken> {
        Handshake::start(socket, early, Fault::Client, "", |memory| {
            Step::from(acceptor.accept(memory))
        })
    }

    fn start(
        socket: Socket,
        early: Vec<u8>,
        fault: Fault,
        name: &str,
        start: impl FnOnce(Memory) -> Step,
    ) -> Result<Shaken> {
        let backlog = Arc::new(Backlog::default());
        let memory = Memory::new(Incoming::of(early), Arc::clone(&backlog));
        Handshake { socket, backlog, fault, name: name.to_owned(), state: None }.took(start(memory))
    }

    /// What to wait for.
    pub(crate) fn watched(&self) -> (BorrowedFd<'_>, Events) {
        let writable = self.backlog.is_waiting();
        (self.socket.as_fd(), Events { readable: true, writable, hang_up: false })
    }

    /// Goes as far as it goes without waiting. After an error the connection is closed.
    pub(crate) fn advance(mut self) -> Result<Shaken> {
        let Some(mut state) = self.state.take() else {
            return Err(Error::state("the TLS handshake is over"));
        };
        let read = state.memory().incoming.fill(|room| self.socket.try_recv(room));
        match self.backlog.flush(&self.socket).and(read) {
            Ok(()) => self.took(state.go_on()),
            Err(error) if error.kind() == Io::WouldBlock => {
                self.state = Some(state);
                Ok(Shaken::Pending(self))
            }
            Err(error) => {
                let lost = self.lost(&error);
                self.give_up();
                Err(lost)
            }
        }
    }

    /// Ends the connection, of which the host may hold a copy.
    pub(crate) fn give_up(self) {
        let _ = self.socket.shutdown_both(); // already ended is as good
        self.socket.discard_input(); // or a reset might overtake the alert
    }

    /// The TLS object has made its step: sends what it has to say, and sees what it has come to.
    fn took(mut self, step: Step) -> Result<Shaken> {
        let flushed = self.backlog.flush(&self.socket); // an alert too, before its reason is reported
        let error = match (step, flushed) {
            (Step::Failed(error), _) => self.failed(&*error),
            (_, Err(error)) => self.lost(&error),
            (Step::Done(stream), _) => {
                return Ok(Shaken::Done(Wire::tls(self.socket, Tls::new(stream, self.backlog))));
            }
            (Step::Pending(state), _) => {
                self.state = Some(state);
                return Ok(Shaken::Pending(self));
            }
        };
        self.give_up();
        Err(error)
    }

    fn failed(&self, error: &(dyn StdError + 'static)) -> Error {
        match is_end(error) {
            true => self.gone("closed the connection during the TLS handshake".to_owned()),
            false => handshake_error(error, self.fault, &self.name),
        }
    }

    fn lost(&self, error: &io::Error) -> Error {
        self.gone(format!("lost during the TLS handshake: {error}"))
    }

    /// A client that leaves is gone, as one that leaves in the middle of its request. An upstream that leaves has refused
    /// TLS, for all we can know.
    fn gone(&self, words: String) -> Error {
        let kind = if self.fault == Fault::Client { ErrorKind::Gone } else { ErrorKind::Tls };
        Error::new(kind, self.fault, words)
    }
}

/// Whether the stream has ended, which [`Memory`] tells the TLS object.
fn is_end(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == Io::UnexpectedEof)
}
