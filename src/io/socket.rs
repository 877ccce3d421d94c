//! One connected stream socket, TCP or Unix, that two threads use at once: one reads, one writes.
//!
//! Rules: `O_NONBLOCK` is never changed on a descriptor that came from the host, since its own copy
//! shares that flag. So every call says by itself whether it blocks. Every send carries `MSG_NOSIGNAL`: a
//! peer that has gone must not end the host by SIGPIPE.

use std::io::{self, ErrorKind as Io, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{retry_on_intr, Errno};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketType};

use super::poll::whole_milliseconds;
use super::sys;
use crate::error::{Error, ErrorKind, Fault, Result};

/// sendmsg(2) refuses more parts than this (`UIO_MAXIOV`); it may send less than all anyway.
const MOST_PARTS: usize = 1024;

/// As much as a head may have, which is the most that waits where nobody was to send more.
const MOST_DISCARDED: usize = 64 * 1024;

/// Linux itself would wait two hours before it asks. NAT gateways and load balancers forget a silent
/// connection after some minutes; the shortest that are common keep it for longer than one.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// With the count: a minute without an answer, as long as a route may take to come back.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 4;

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    /// Who is on the other end; none for a Unix socket. Kept, as a lost connection forgets it.
    peer: Option<SocketAddr>,
}

impl Socket {
    /// Takes over the client connection `fd`.
    pub(crate) fn adopt(fd: OwnedFd) -> Result<Socket> {
        let name = fd.as_raw_fd();
        Socket::named(fd, name)
    }

    /// Copies the client connection `fd`, which stays the host's; errors name the host's number.
    pub(crate) fn duplicate_of(fd: RawFd) -> Result<Socket> {
        Socket::named(sys::duplicate(fd)?, fd)
    }

    fn named(fd: OwnedFd, name: RawFd) -> Result<Socket> {
        check_type(&fd, name)?;
        let peer = match rustix::net::getpeername(&fd) {
            Ok(address) => address.and_then(|address| SocketAddr::try_from(address).ok()),
            Err(Errno::NOTCONN) => return Err(not_connected(&fd, name)),
            Err(errno) => return Err(Error::system(&format!("client fd {name}"), errno)),
        };
        Ok(Socket { fd, peer })
    }

    /// A TCP socket, or without `peer` a Unix one, that this library has dialled or accepted itself;
    /// it may be lost already.
    pub(super) fn connected(fd: OwnedFd, peer: Option<SocketAddr>) -> Socket {
        Socket { fd, peer }
    }

    /// Blocks until there is something, also on a descriptor in non-blocking mode or with a receive
    /// timeout. 0 is the end. `buf` must have room: with none every answer is 0.
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.receive(buf, RecvFlags::empty()) {
                Err(error) if error.kind() == Io::WouldBlock => self.wait_for(PollFlags::IN)?,
                done => return done,
            }
        }
    }

    /// The same, but [`Io::WouldBlock`] when nothing has come for about as long as the socket's own timeout and `patience`
    /// together. A descriptor in non-blocking mode does not know the first, and in blocking mode it is what has passed
    /// already; which of them this one is may change at any time, so that both count.
    pub(super) fn recv_within(&self, buf: &mut [u8], patience: Duration) -> io::Result<usize> {
        loop {
            match self.receive(buf, RecvFlags::empty()) {
                Err(error) if error.kind() == Io::WouldBlock => {
                    let came = self.wait_within(PollFlags::IN, Some(patience))?;
                    if !came {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }

    /// Sets how long a receive blocks on a descriptor in blocking mode, and says how long it was (`None`: without limit).
    /// `None` where that is not to be changed.
    pub(super) fn replace_timeout(&self, timeout: Duration) -> Option<Option<Duration>> {
        let before = sockopt::socket_timeout(&self.fd, Timeout::Recv).ok()?;
        sockopt::set_socket_timeout(&self.fd, Timeout::Recv, Some(timeout)).ok()?;
        Some(before)
    }

    /// Undoes [`Socket::replace_timeout`].
    pub(super) fn restore_timeout(&self, timeout: Option<Duration>) {
        // What could be changed can be changed back.
        let _ = sockopt::set_socket_timeout(&self.fd, Timeout::Recv, timeout);
    }

    /// What is there, without blocking; [`Io::WouldBlock`] when nothing is, 0 is the end.
    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.receive(buf, RecvFlags::DONTWAIT)
    }

    fn receive(&self, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        debug_assert!(!buf.is_empty(), "0 must mean the end");
        let (count, _) = retry_on_intr(|| rustix::net::recv(&self.fd, &mut *buf, flags))?;
        Ok(count)
    }

    /// As much of `parts` as fits now, in order, by one system call and without blocking;
    /// [`Io::WouldBlock`] when nothing fits.
    pub(crate) fn try_send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut full = parts.iter().filter(|part| !part.is_empty());
        if let (Some(only), None) = (full.next(), full.next()) {
            // What a frame mostly is; a list of parts costs the system a good part of a small write.
            return Ok(retry_on_intr(|| rustix::net::send(&self.fd, only, flags))?);
        }
        let parts = parts.get(..MOST_PARTS).unwrap_or(parts);
        let send =
            || rustix::net::sendmsg(&self.fd, parts, &mut SendAncillaryBuffer::default(), flags);
        Ok(retry_on_intr(send)?)
    }

    /// Blocks until [`try_send`](Socket::try_send) has something to say: room, or an error.
    /// [`shutdown_both`](Socket::shutdown_both) by another thread ends it.
    pub(crate) fn wait_writable(&self) -> io::Result<()> {
        self.wait_for(PollFlags::OUT)
    }

    fn wait_for(&self, events: PollFlags) -> io::Result<()> {
        self.wait_within(events, None).map(|_| ())
    }

    /// Whether something came within `patience`.
    fn wait_within(&self, events: PollFlags, patience: Option<Duration>) -> io::Result<bool> {
        let patience = patience.map(whole_milliseconds);
        let fds = &mut [PollFd::new(&self.fd, events)];
        let count = retry_on_intr(|| rustix::event::poll(fds, patience.as_ref()))?;
        Ok(count > 0)
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(rustix::net::Shutdown::Write)
    }

    /// Ends both ways, for the host's copy of the descriptor too, and wakes every thread that blocks
    /// on this socket. What had arrived before can still be read.
    pub(crate) fn shutdown_both(&self) -> io::Result<()> {
        self.shutdown(rustix::net::Shutdown::Both)
    }

    fn shutdown(&self, how: rustix::net::Shutdown) -> io::Result<()> {
        match rustix::net::shutdown(&self.fd, how) {
            // The connection is gone already.
            Ok(()) | Err(Errno::NOTCONN | Errno::CONNRESET | Errno::PIPE) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Throws away what has come already: a connection that is closed with bytes unread is reset, and what is still on
    /// its way to the peer is destroyed (RFC 9112 section 9.6). Bounded; nobody else may read any more.
    #[inline(never)] // else its buffer is part of whatever frame calls it, for as long as a session lives
    pub(crate) fn discard_input(&self) {
        let mut unread = [0; 4096];
        for _ in 0..MOST_DISCARDED / unread.len() {
            match self.try_recv(&mut unread) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
    }

    /// Sends small writes at once; what is written is already whole. Unix sockets always do.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self.peer {
            Some(_) => Ok(sockopt::set_tcp_nodelay(&self.fd, true)?),
            None => Ok(()),
        }
    }

    /// Lets the system notice within two minutes that the peer's machine has gone without a word, also
    /// where no timeout is set; and NAT, which forgets silent connections, has something to see. Unix
    /// sockets need none of it.
    pub(super) fn set_keepalive(&self) -> io::Result<()> {
        match self.peer {
            Some(_) => Ok(keep_alive(&self.fd)?),
            None => Ok(()),
        }
    }

    /// The same of a connection that a listener of ours may have handed that down to: Linux does, emulations do not all.
    pub(super) fn inherit_keepalive(&self) -> io::Result<()> {
        match sockopt::socket_keepalive(&self.fd) {
            Ok(true) => Ok(()),
            _ => self.set_keepalive(),
        }
    }

    /// The peer's IP address, an IPv4 address that came through an IPv6 socket as IPv4; none for a
    /// Unix socket.
    pub(crate) fn peer_ip(&self) -> Option<String> {
        self.peer.map(|peer| peer.ip().to_canonical().to_string())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Has the system ask a peer that is silent whether it is there.
pub(super) fn keep_alive(fd: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_keepalive(fd, true)?;
    let tuned = sockopt::set_tcp_keepidle(fd, KEEPALIVE_IDLE)
        .and_then(|()| sockopt::set_tcp_keepintvl(fd, KEEPALIVE_INTERVAL))
        .and_then(|()| sockopt::set_tcp_keepcnt(fd, KEEPALIVE_COUNT));
    match tuned {
        // Sandboxes that emulate Linux do not all have these: their own numbers will do.
        Err(Errno::NOPROTOOPT) => Ok(()),
        done => done,
    }
}

/// Stream sockets of the families that this library knows; else the host has mixed something up.
fn check_type(fd: &OwnedFd, name: RawFd) -> Result<()> {
    let what = match sockopt::socket_type(fd) {
        Ok(SocketType::STREAM) => return check_family(fd, name),
        Ok(SocketType::DGRAM) => "is a datagram socket",
        Ok(SocketType::SEQPACKET) => "is a sequenced-packet socket",
        Ok(_) => "is not a stream socket",
        Err(Errno::NOTSOCK) => "is not a socket",
        Err(errno) => return Err(Error::system(&format!("client fd {name}"), errno)),
    };
    Err(Error::argument(format!("client fd {name} {what}")))
}

fn check_family(fd: &OwnedFd, name: RawFd) -> Result<()> {
    match sockopt::socket_domain(fd) {
        Ok(AddressFamily::INET | AddressFamily::INET6 | AddressFamily::UNIX) => Ok(()),
        Ok(_) => {
            let words = format!("client fd {name} is neither a TCP nor a Unix socket");
            Err(Error::argument(words))
        }
        Err(errno) => Err(Error::system(&format!("client fd {name}"), errno)),
    }
}

/// A client that has reset its connection looks like a socket that was never connected, but for the
/// error that waits on it; that one is not the host's fault.
fn not_connected(fd: &OwnedFd, name: RawFd) -> Error {
    match sockopt::socket_error(fd) {
        Ok(Err(_reset)) => {
            Error::new(ErrorKind::Gone, Fault::Client, format!("client fd {name} was reset"))
        }
        _ => Error::argument(format!("client fd {name} is not connected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sys::{kernel, with_signals_blocked};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(5);

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    fn adopted(fd: impl Into<OwnedFd>) -> Socket {
        Socket::adopt(fd.into()).unwrap()
    }

    /// Both kinds of socket, each with its peer.
    fn both_kinds() -> [(Socket, OwnedFd); 2] {
        let (tcp, tcp_peer) = tcp_pair();
        let (unix, unix_peer) = UnixStream::pair().unwrap();
        [(adopted(tcp), tcp_peer.into()), (adopted(unix), unix_peer.into())]
    }

    /// Closes with unread bytes, which TCP turns into a reset.
    fn reset(peer: TcpStream, ours: &mut TcpStream) {
        ours.write_all(b"never read").unwrap();
        peer.peek(&mut [0; 1]).unwrap();
        drop(peer);
    }

    fn fill(socket: &Socket) {
        let chunk = [0; 64 << 10];
        let send = || socket.try_send(&[IoSlice::new(&chunk)]);
        let full = std::iter::repeat_with(send).find_map(Result::err).unwrap();
        assert_eq!(full.kind(), Io::WouldBlock);
    }

    /// Runs `blocking` on a thread, `wake` a little later, and gives what came of the first.
    fn woken<T: Send + 'static>(
        socket: Socket,
        blocking: impl FnOnce(&Socket) -> T + Send + 'static,
        wake: impl FnOnce(&Socket),
    ) -> T {
        let socket = Arc::new(socket);
        let (tell, told) = crossbeam_channel::bounded(1);
        let theirs = Arc::clone(&socket);
        std::thread::spawn(move || tell.send(blocking(&theirs)));
        assert!(told.recv_timeout(Duration::from_millis(60)).is_err(), "it did not block");
        wake(&socket);
        told.recv_timeout(LONG).unwrap()
    }

    #[test]
    fn what_is_no_connected_stream_socket_is_refused_in_words() {
        let unconnected = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let table: [(OwnedFd, &str); 5] = [
            (std::fs::File::open("/dev/null").unwrap().into(), "is not a socket"),
            (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "is a datagram socket"),
            (UnixDatagram::unbound().unwrap().into(), "is a datagram socket"),
            (TcpListener::bind("127.0.0.1:0").unwrap().into(), "is not connected"),
            (unconnected.unwrap(), "is not connected"),
        ];
        for (fd, words) in table {
            let number = fd.as_raw_fd();
            let error = Socket::adopt(fd).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host));
            assert_eq!(error.message(), format!("client fd {number} {words}"));
        }
    }

    #[test]
    fn a_copy_is_refused_by_the_hosts_number() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = Socket::duplicate_of(file.as_raw_fd()).unwrap_err();
        let words = format!("client fd {} is not a socket", file.as_raw_fd());
        assert_eq!(error.message(), words);
    }

    #[test]
    fn a_client_that_has_reset_its_connection_is_not_the_hosts_fault() {
        let (mut ours, peer) = tcp_pair();
        reset(peer, &mut ours);
        std::thread::sleep(Duration::from_millis(20));
        let error = Socket::adopt(ours.into()).unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Gone, Fault::Client));
    }

    #[test]
    fn the_peers_address_is_known_for_tcp_and_kept() {
        let (ours, peer) = tcp_pair();
        let socket = adopted(ours);
        drop(peer);
        socket.shutdown_both().unwrap();
        assert_eq!(socket.peer_ip().as_deref(), Some("127.0.0.1"));
        socket.set_nodelay().unwrap();
        assert!(sockopt::tcp_nodelay(&socket.fd).unwrap());
    }

    #[test]
    fn a_unix_socket_has_no_address_and_takes_no_delay_as_it_is() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let socket = adopted(ours);
        assert_eq!(socket.peer_ip(), None);
        socket.set_nodelay().unwrap();
    }

    #[test]
    fn ipv4_through_an_ipv6_socket_is_an_ipv4_address() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let socket = Socket::connected(ours.into(), "[::ffff:192.0.2.1]:80".parse().ok());
        assert_eq!(socket.peer_ip().as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn recv_blocks_even_on_a_descriptor_in_non_blocking_mode() {
        let (ours, peer) = tcp_pair();
        ours.set_nonblocking(true).unwrap();
        let receive = |socket: &Socket| {
            let mut buf = [0; 8];
            let count = socket.recv(&mut buf).unwrap();
            buf[..count].to_vec()
        };
        let got = woken(adopted(ours), receive, |_| (&peer).write_all(b"hello").unwrap());
        assert_eq!(got, b"hello");
    }

    #[test]
    fn recv_outlasts_a_receive_timeout_of_the_host() {
        let (ours, peer) = tcp_pair();
        ours.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let receive = |socket: &Socket| socket.recv(&mut [0; 8]).unwrap();
        assert_eq!(woken(adopted(ours), receive, |_| (&peer).write_all(b"x").unwrap()), 1);
    }

    #[test]
    fn a_descriptor_keeps_its_non_blocking_flag() {
        for mode in [true, false] {
            let (ours, peer) = tcp_pair();
            ours.set_nonblocking(mode).unwrap();
            let socket = Socket::duplicate_of(ours.as_raw_fd()).unwrap();
            fill(&socket);
            (&peer).write_all(b"x").unwrap();
            socket.recv(&mut [0; 8]).unwrap();
            socket.set_nodelay().unwrap();
            assert_eq!(kernel::flags(&ours) & kernel::O_NONBLOCK != 0, mode);
            drop(socket);
            assert_eq!(kernel::flags(&ours) & kernel::O_NONBLOCK != 0, mode);
        }
    }

    #[test]
    fn try_calls_never_block_on_a_blocking_descriptor() {
        for (socket, _peer) in both_kinds() {
            assert_eq!(kernel::flags(&socket) & kernel::O_NONBLOCK, 0);
            let nothing = socket.try_recv(&mut [0; 8]).unwrap_err();
            assert_eq!(nothing.kind(), Io::WouldBlock);
            fill(&socket);
        }
    }

    #[test]
    fn parts_are_sent_in_order_by_one_call_however_many() {
        for (socket, peer) in both_kinds() {
            let parts = vec![IoSlice::new(b"ab"); 3000];
            assert_eq!(socket.try_send(&parts).unwrap(), 2 * MOST_PARTS);
            assert_eq!(socket.try_send(&[]).unwrap(), 0);
            let peer = adopted(peer);
            let (mut buf, mut got) = ([0; 4096], Vec::new());
            while got.len() < 2 * MOST_PARTS {
                let count = peer.recv(&mut buf).unwrap();
                got.extend_from_slice(&buf[..count]);
            }
            assert_eq!(got, b"ab".repeat(MOST_PARTS));
        }
    }

    #[test]
    fn send_to_a_closed_peer_gives_an_error_and_no_sigpipe() {
        let send_until_error = |socket: &Socket| loop {
            if let Err(error) = socket.try_send(&[IoSlice::new(b"x")]) {
                if error.kind() != Io::WouldBlock {
                    break error.kind();
                }
            }
        };
        // The runtime of Rust ignores SIGPIPE; while blocked it is kept pending all the same.
        with_signals_blocked(|| {
            for (socket, peer) in both_kinds() {
                drop(peer);
                let first = send_until_error(&socket);
                assert!(matches!(first, Io::BrokenPipe | Io::ConnectionReset), "{first:?}");
                assert_eq!(send_until_error(&socket), Io::BrokenPipe);
                assert!(!kernel::has_signal("SigPnd", libc::SIGPIPE));
            }
            // So that the above can fail: this is what a send without the flag does.
            let (ours, peer) = UnixStream::pair().unwrap();
            drop(peer);
            rustix::net::send(&ours, b"x", SendFlags::empty()).unwrap_err();
            assert!(kernel::has_signal("SigPnd", libc::SIGPIPE));
        });
    }

    #[test]
    fn keepalive_asks_after_a_minute_of_silence_and_gives_up_after_another() {
        let (ours, _peer) = tcp_pair();
        let socket = adopted(ours);
        assert!(!sockopt::socket_keepalive(&socket).unwrap());
        socket.set_keepalive().unwrap();
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(60));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(15));
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 4);
    }

    #[test]
    fn a_unix_socket_needs_no_keepalive() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let socket = adopted(ours);
        socket.set_keepalive().unwrap();
        assert!(!sockopt::socket_keepalive(&socket).unwrap());
    }

    #[test]
    fn shutdown_wakes_a_blocked_reader() {
        for (socket, _peer) in both_kinds() {
            let receive = |socket: &Socket| socket.recv(&mut [0; 8]).unwrap();
            assert_eq!(woken(socket, receive, |socket| socket.shutdown_both().unwrap()), 0);
        }
    }

    #[test]
    fn shutdown_wakes_a_reader_of_a_descriptor_in_non_blocking_mode() {
        let (ours, _peer) = tcp_pair();
        ours.set_nonblocking(true).unwrap();
        let receive = |socket: &Socket| socket.recv(&mut [0; 8]).unwrap();
        assert_eq!(woken(adopted(ours), receive, |socket| socket.shutdown_both().unwrap()), 0);
    }

    #[test]
    fn shutdown_wakes_a_blocked_writer() {
        for (socket, _peer) in both_kinds() {
            fill(&socket);
            let write = |socket: &Socket| {
                socket.wait_writable().unwrap();
                socket.try_send(&[IoSlice::new(b"x")]).unwrap_err().kind()
            };
            let outcome = woken(socket, write, |socket| socket.shutdown_both().unwrap());
            assert_eq!(outcome, Io::BrokenPipe);
        }
    }

    #[test]
    fn shutdown_of_the_write_side_is_the_peers_end_and_leaves_reading() {
        for (socket, peer) in both_kinds() {
            let peer = adopted(peer);
            socket.shutdown_write().unwrap();
            assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 0);
            peer.try_send(&[IoSlice::new(b"late")]).unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 4);
        }
    }

    #[test]
    fn shutdown_of_a_lost_connection_is_no_error() {
        let (mut ours, peer) = tcp_pair();
        let socket = Socket::duplicate_of(ours.as_raw_fd()).unwrap();
        reset(peer, &mut ours);
        std::thread::sleep(Duration::from_millis(20));
        socket.shutdown_write().unwrap();
        socket.shutdown_both().unwrap();
        socket.shutdown_both().unwrap();
    }
}
