//! The three ways to hand over a client.

use std::os::fd::{OwnedFd, RawFd};

use crate::error::Result;
use crate::io::Socket;

/// A client's connection, and how far the host has dealt with it.
#[derive(Debug)]
pub struct Client {
    socket: Handed,
    progress: Progress,
}

#[derive(Debug)]
enum Handed {
    Descriptor(OwnedFd),
    Checked(Socket),
}

#[derive(Debug)]
pub(crate) enum Progress {
    /// What the host has read of the request; nothing, some or all of it, and perhaps more.
    Request(Vec<u8>),
    /// The host has answered with 101; what it has read after the request.
    Upgraded(Vec<u8>),
}

impl Client {
    /// A connection whose request was not read yet. Its flags are left as they are; it is closed at the end.
    pub fn new(socket: impl Into<OwnedFd>) -> Client {
        Client::of(Handed::Descriptor(socket.into()))
    }

    /// A connection by its descriptor, which stays the caller's: it is duplicated. An error when it is none of a
    /// connected stream socket.
    pub fn duplicate_of(fd: RawFd) -> Result<Client> {
        Ok(Client::of(Handed::Checked(Socket::duplicate_of(fd)?)))
    }

    /// The host has read `head` from the connection: the request or a part of it, and perhaps bytes after it.
    #[must_use]
    pub fn with_head(self, head: Vec<u8>) -> Client {
        Client { progress: Progress::Request(head), ..self }
    }

    /// The host has done the client's handshake itself, and has read `early` after the request.
    #[must_use]
    pub fn upgraded(self, early: Vec<u8>) -> Client {
        Client { progress: Progress::Upgraded(early), ..self }
    }

    /// A connection that a listener of ours has accepted.
    pub(crate) fn accepted(socket: Socket) -> Client {
        Client::of(Handed::Checked(socket))
    }

    pub(crate) fn into_parts(self) -> Result<(Socket, Progress)> {
        let socket = match self.socket {
            Handed::Descriptor(fd) => Socket::adopt(fd)?,
            Handed::Checked(socket) => socket,
        };
        Ok((socket, self.progress))
    }

    fn of(socket: Handed) -> Client {
        Client { socket, progress: Progress::Request(Vec::new()) }
    }
}
