//! One epoll, edge-triggered: whoever is told of a socket uses it until it would block.

use std::io;
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What is told at once, at most.
const BATCH: usize = 256;

/// Sockets by number.
pub struct Readiness {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Readiness {
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Readiness { epoll, events: vec![EpollEvent::empty(); BATCH] })
    }

    /// Watches a socket for both ways, from edge to edge. Closing it ends that.
    pub fn watch(&self, socket: impl AsFd, number: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        Ok(self.epoll.add(socket, EpollEvent::new(flags, number))?)
    }

    /// Watches for something to read or accept, as long as there is any.
    pub fn watch_input(&self, source: impl AsFd, number: u64) -> io::Result<()> {
        Ok(self.epoll.add(source, EpollEvent::new(EpollFlags::EPOLLIN, number))?)
    }

    /// Puts the numbers of what is ready into `ready`; none of them after `milliseconds` without any (-1: waits for
    /// ever).
    pub fn wait(&mut self, milliseconds: i32, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        let timeout = EpollTimeout::try_from(milliseconds).map_err(io::Error::other)?;
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => ready.extend(self.events[..count].iter().map(EpollEvent::data)),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
