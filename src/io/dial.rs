//! A TCP connection to the first of several addresses that takes it, made without blocking.
//!
//! The addresses are tried in order, each until it fails. A [`Dial`] knows no deadline: the loop that
//! drives it has one for everything and drops the `Dial` when it has passed, which closes the attempt
//! under way.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::vec;

use rustix::io::Errno;
use rustix::net::{sockopt, AddressFamily, SocketFlags, SocketType};

use super::socket::Socket;
use crate::error::{Error, ErrorKind, Fault, Result};

/// An attempt under way. Watch its descriptor for [`writable`](super::Events::WRITABLE), then
/// [`advance`](Dial::advance).
#[derive(Debug)]
pub(crate) struct Dial {
    under_way: OwnedFd,
    address: SocketAddr,
    rest: Rest,
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// In blocking mode, with TCP_NODELAY.
    Connected(Socket),
    /// Not yet. It may be another address now, and another descriptor.
    Pending(Dial),
}

/// The addresses still to be tried, and what became of the others.
#[derive(Debug)]
struct Rest {
    target: String,
    addresses: vec::IntoIter<SocketAddr>,
    failures: Vec<(SocketAddr, Errno)>,
}

impl Dial {
    /// Begins with the first of `addresses`, the ones that `host` stands for; it and `port` are for
    /// the words of an error.
    pub(crate) fn start(host: &str, port: u16, addresses: Vec<SocketAddr>) -> Result<Dial> {
        let target = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        Rest { target, addresses: addresses.into_iter(), failures: Vec::new() }.next_attempt()
    }

    /// To be called when the descriptor is writable; harmless before. An error when no address is
    /// left.
    pub(crate) fn advance(self) -> Result<Dialled> {
        match outcome(&self.under_way) {
            Ok(true) => self.connected().map(Dialled::Connected),
            Ok(false) => Ok(Dialled::Pending(self)),
            Err(errno) => {
                let mut rest = self.rest;
                rest.failures.push((self.address, errno));
                rest.next_attempt().map(Dialled::Pending)
            }
        }
    }

    fn connected(self) -> Result<Socket> {
        let configured = rustix::io::ioctl_fionbio(&self.under_way, false)
            .and_then(|()| sockopt::set_tcp_nodelay(&self.under_way, true));
        let what = || format!("cannot configure the connection to {}", self.rest.target);
        configured.map_err(|errno| Error::system(&what(), errno))?;
        Ok(Socket::dialled(self.under_way, self.address))
    }
}

impl AsFd for Dial {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.under_way.as_fd()
    }
}

impl Rest {
    /// An attempt on the next address that does not fail at once.
    fn next_attempt(mut self) -> Result<Dial> {
        while let Some(address) = self.addresses.next() {
            match attempt(&address) {
                Ok(under_way) => return Ok(Dial { under_way, address, rest: self }),
                // The process or the system is out of something: no address will do better.
                Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    return Err(Error::system(&self.failed(), words(errno)));
                }
                Err(errno) => self.failures.push((address, errno)),
            }
        }
        let words = format!("{}: {}", self.failed(), self.reasons());
        Err(Error::new(ErrorKind::Unreachable, Fault::Upstream, words))
    }

    fn failed(&self) -> String {
        format!("cannot connect to {}", self.target)
    }

    fn reasons(&self) -> String {
        match self.failures.as_slice() {
            [] => "it has no address".into(),
            [(_, errno)] => words(*errno),
            several => {
                let each = several.iter().map(|(a, errno)| format!("{a} ({})", words(*errno)));
                each.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// A socket that is connecting to `address`.
fn attempt(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, address) {
        // Connected at once it is writable at once, and needs no path of its own. A signal does not
        // undo what was begun.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Whether it has connected; false while it is at it.
fn outcome(socket: &OwnedFd) -> Result<bool, Errno> {
    sockopt::socket_error(socket)??;
    match rustix::net::getpeername(socket) {
        // Dialling a free local port, TCP may pick that very port as its own and meet itself.
        Ok(Some(peer)) if rustix::net::getsockname(socket)? == peer => Err(Errno::CONNREFUSED),
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The system's words, without the number that std adds.
fn words(errno: Errno) -> String {
    let words = std::io::Error::from(errno).to_string();
    words.split(" (os error").next().unwrap_or(&words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::poll::{wait, Events};
    use crate::io::sys::kernel;
    use std::io::{IoSlice, Read};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    /// An address that refuses for as long as the first half lives: bound, so that nobody else takes
    /// it, but not listening.
    fn refusing() -> (OwnedFd, SocketAddr) {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        let address = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
        (socket, address)
    }

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Drives it as a poll loop would.
    fn dial(addresses: Vec<SocketAddr>) -> Result<Socket> {
        let mut dial = Dial::start("upstream.test", 8080, addresses)?;
        loop {
            let timeout = Some(Duration::from_secs(5));
            assert_eq!(wait([(dial.as_fd(), Events::WRITABLE)], timeout)?, [Events::WRITABLE]);
            dial = match dial.advance()? {
                Dialled::Connected(socket) => return Ok(socket),
                Dialled::Pending(dial) => dial,
            };
        }
    }

    #[test]
    fn a_dialled_connection_carries_bytes_and_is_set_up() {
        let (listener, address) = listening();
        let socket = dial(vec![address]).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        socket.try_send(&[IoSlice::new(b"hello")]).unwrap();
        let mut got = [0; 5];
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        assert_eq!(kernel::flags(&socket) & kernel::O_NONBLOCK, 0);
        assert_ne!(kernel::flags(&socket) & kernel::O_CLOEXEC, 0);
        assert!(sockopt::tcp_nodelay(&socket).unwrap());
        assert_eq!(socket.peer_ip().as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn connect_to_a_closed_port_says_refused() {
        let (_held, address) = refusing();
        let error = dial(vec![address]).unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
        let words = "cannot connect to upstream.test:8080: Connection refused";
        assert_eq!(error.message(), words);
    }

    #[test]
    fn second_address_is_tried_when_the_first_refuses() {
        let (_held, closed) = refusing();
        let (listener, open) = listening();
        let socket = dial(vec![closed, open]).unwrap();
        let (_accepted, from) = listener.accept().unwrap();
        assert_eq!(rustix::net::getsockname(&socket).unwrap(), from.into());
    }

    #[test]
    fn every_address_is_mentioned_when_all_fail() {
        let ((_a, first), (_b, second)) = (refusing(), refusing());
        let error = dial(vec![first, second]).unwrap_err();
        let words = format!(
            "cannot connect to upstream.test:8080: \
             {first} (Connection refused), {second} (Connection refused)"
        );
        assert_eq!(error.message(), words);
    }

    #[test]
    fn no_address_at_all_is_an_error() {
        let error = dial(Vec::new()).unwrap_err();
        let words = "cannot connect to upstream.test:8080: it has no address";
        assert_eq!(error.message(), words);
        let error = Dial::start("::1", 80, Vec::new()).unwrap_err();
        assert_eq!(error.message(), "cannot connect to [::1]:80: it has no address");
    }

    #[test]
    fn an_address_that_answers_nothing_blocks_nobody() {
        // A full accept queue: further connection requests are dropped in silence.
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let address: SocketAddr = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
        let _filling: Vec<_> = (0..4).map(|_| attempt(&address).unwrap()).collect();
        let started = Instant::now();
        let dial = Dial::start("upstream.test", 8080, vec![address]).unwrap();
        let soon = Some(Duration::from_millis(30));
        assert_eq!(wait([(dial.as_fd(), Events::WRITABLE)], soon).unwrap(), [Events::NONE]);
        assert!(matches!(dial.advance().unwrap(), Dialled::Pending(_)));
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_connection_to_itself_counts_as_refused() {
        let (socket, address) = refusing();
        rustix::net::connect(&socket, &address).unwrap();
        assert_eq!(outcome(&socket), Err(Errno::CONNREFUSED));
    }
}
