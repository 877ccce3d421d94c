//! A socket that listens, on TCP or a Unix path, for an accept loop that waits by poll.
//!
//! Rules: accepting never blocks. What goes wrong with one connection is no error of the listener, and
//! being out of descriptors is told apart, so that a loop can pause instead of spinning. Dropping a
//! [`Listener`] closes it: whoever still waits in its queue is cut off, so a loop that ends in peace
//! accepts until there is [`Nobody`](Accepted::Nobody) first.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{sockopt, AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType};

use super::dial::{is_exhaustion, tcp_socket, unix_address, words};
use super::resolve::look_up_now;
use super::socket::{keep_alive, Socket};
use super::socket_file::SocketFile;
use super::sys;
use crate::error::{Error, Result};

/// As many as the system allows: it clamps this to its own limit (net.core.somaxconn).
const BACKLOG: i32 = i32::MAX;

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Dropped, and so removed, before the descriptor is closed: until then no other file can have its
    /// inode, by which it is known.
    _file: Option<SocketFile>,
    fd: OwnedFd,
    address: String,
    /// The keepalive of this library was set on it, which the system hands down to what it accepts.
    hands_keepalive_down: bool,
}

/// What came of accepting.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// In blocking mode; a TCP connection with keepalive.
    Client(Socket),
    /// The queue is empty.
    Nobody,
    /// The process or the system has no descriptor or memory left for a connection. It stays in the
    /// queue, so the listener stays readable: wait for something else than that.
    Exhausted(Error),
}

impl Listener {
    /// Listens on `HOST:PORT`, where HOST is a name, an IPv4 address or an IPv6 address in brackets
    /// and PORT may be 0 for any that is free; or on `unix:/path`. Of several addresses of a name it
    /// takes the first that can be had. Looking up a name blocks.
    pub(crate) fn bind(text: &str) -> Result<Listener> {
        match text.strip_prefix("unix:") {
            Some(path) => Listener::bind_unix(path),
            None => {
                let (host, port) = host_and_port(text)?;
                let addresses = look_up_now(host, port).map_err(|why| cannot_listen(text, why))?;
                Listener::bind_first(text, &addresses)
            }
        }
    }

    /// Takes over a socket that listens already, made by the host or a service manager. It is set to
    /// non-blocking mode, copies of the descriptor with it, and a Unix path is not removed at the end.
    pub(crate) fn adopt(fd: OwnedFd) -> Result<Listener> {
        let listens = match sockopt::socket_acceptconn(&fd) {
            Ok(listens) => listens,
            Err(Errno::NOTSOCK) => return Err(no_listener("is not a socket")),
            Err(errno) => return Err(Error::system("cannot use the listening socket", errno)),
        };
        if sockopt::socket_type(&fd) != Ok(SocketType::STREAM) {
            return Err(no_listener("is not a stream socket"));
        }
        if !listens {
            return Err(no_listener("does not listen"));
        }
        Listener::new(fd, None).map_err(|errno| match errno {
            Errno::AFNOSUPPORT => no_listener("is neither a TCP nor a Unix socket"),
            other => Error::system("cannot use the listening socket", other),
        })
    }

    /// The same with a copy of the host's descriptor `fd`, so that both sides close their own.
    pub(crate) fn duplicate_of(fd: RawFd) -> Result<Listener> {
        Listener::adopt(sys::duplicate(fd)?)
    }

    fn bind_first(text: &str, addresses: &[SocketAddr]) -> Result<Listener> {
        let mut failures = Vec::new();
        for address in addresses {
            match Listener::at(address) {
                Ok(listener) => return Ok(listener),
                Err(errno) => failures.push((address, words(errno))),
            }
        }
        Err(cannot_listen(
            text,
            match failures.as_slice() {
                [(_, why)] => why.clone(),
                several => {
                    let each = several.iter().map(|(address, why)| format!("{address} ({why})"));
                    each.collect::<Vec<_>>().join(", ")
                }
            },
        ))
    }

    fn at(address: &SocketAddr) -> Result<Listener, Errno> {
        let fd = bound(address)?;
        let hands_keepalive_down = keep_alive(&fd).is_ok(); // once instead of for each connection, and before the first
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(Listener { hands_keepalive_down, ..Listener::new(fd, None)? })
    }

    fn bind_unix(path: &str) -> Result<Listener> {
        let address = unix_address(path)?;
        let failed = |why: String| cannot_listen(&format!("unix:{path}"), why);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let made = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let fd = made.map_err(|errno| failed(words(errno)))?;
        let file = SocketFile::bind(&fd, Path::new(path), &address).map_err(failed)?;
        rustix::net::listen(&fd, BACKLOG)
            .and_then(|()| Listener::new(fd, Some(file)))
            .map_err(|errno| failed(words(errno)))
    }

    fn new(fd: OwnedFd, file: Option<SocketFile>) -> Result<Listener, Errno> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let address = name_of(&rustix::net::getsockname(&fd)?)?;
        Ok(Listener { _file: file, fd, address, hands_keepalive_down: false })
    }

    /// The next connection of the queue. To be called when the descriptor is readable; never blocks.
    pub(crate) fn accept(&self) -> Result<Accepted> {
        loop {
            // Linux does not hand O_NONBLOCK down to what is accepted. Nothing depends on it.
            match rustix::net::acceptfrom_with(&self.fd, SocketFlags::CLOEXEC) {
                Ok((fd, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    return Ok(Accepted::Client(self.kept_alive(Socket::connected(fd, peer))));
                }
                Err(Errno::AGAIN) => return Ok(Accepted::Nobody),
                Err(errno) if is_one_connections(errno) => {}
                // A packet filter may forbid one connection, a sandbox every one: not to be tried without a pause.
                Err(errno) if is_exhaustion(errno) || errno == Errno::PERM => {
                    return Ok(Accepted::Exhausted(self.cannot_accept(errno)));
                }
                Err(errno) => return Err(self.cannot_accept(errno)),
            }
        }
    }

    /// A listener that the host has made hands down the host's numbers; of one of ours that is still asked, as emulations
    /// of Linux may hand nothing down.
    fn kept_alive(&self, socket: Socket) -> Socket {
        let _ = match self.hands_keepalive_down {
            true => socket.inherit_keepalive(),
            false => socket.set_keepalive(),
        }; // no worse without
        socket
    }

    /// `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`, with the port that it really has.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn cannot_accept(&self, errno: Errno) -> Error {
        Error::system(&format!("cannot accept on {}", self.address), words(errno))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn cannot_listen(text: &str, why: impl fmt::Display) -> Error {
    Error::system(&format!("cannot listen on {}", text.escape_debug()), why)
}

fn no_listener(what: &str) -> Error {
    Error::argument(format!("the descriptor to listen on {what}"))
}

/// accept(2) reports what has happened to the connection at the head of the queue, or to its network;
/// it has left the queue then, or nothing was done yet.
fn is_one_connections(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NONET
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
    )
}

fn bound(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let fd = tcp_socket(address)?;
    // Else the connections of the process before would keep the port for a minute.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    rustix::net::bind(&fd, address)?;
    Ok(fd)
}

/// Splits `HOST:PORT`; the host without brackets.
fn host_and_port(text: &str) -> Result<(&str, u16)> {
    let wrong = |what: &str| {
        let text = text.escape_debug();
        Error::argument(format!("cannot listen on \"{text}\": {what}"))
    };
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| wrong("it must be HOST:PORT or unix:/path, and there is no port"))?;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("the port must be a number"));
    }
    let port = port.parse().map_err(|_| wrong("the port must be at most 65535"))?;
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // What follows a % is an interface, which only the system's lookup understands.
        let address = inside.split('%').next().unwrap_or(inside);
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok((inside, port)),
            Err(_) => Err(wrong("there is no IPv6 address between the brackets")),
        };
    }
    match host {
        "" => Err(wrong("there is no host; 0.0.0.0 or [::] are all addresses")),
        _ if host.contains(':') => Err(wrong("an IPv6 address must be in brackets")),
        _ if host.contains(['[', ']', '/', ' ', '\0']) => Err(wrong("the host is no name")),
        _ => Ok((host, port)),
    }
}

/// The words for an address; an error for families that this library does not know.
fn name_of(address: &SocketAddrAny) -> Result<String, Errno> {
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Ok(address.to_string());
    }
    let unix = SocketAddrUnix::try_from(address.clone())?;
    let path = unix.path_bytes().map(|path| String::from_utf8_lossy(path).into_owned());
    let hidden = unix.abstract_name().map(|name| format!("@{}", name.escape_ascii()));
    let name = path.or(hidden).unwrap_or_default();
    Ok(format!("unix:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Fault};
    use crate::io::dial::starvation::{all_descriptors, alone};
    use crate::io::poll::{wait, Events};
    use crate::io::sys::kernel;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::time::Duration;

    fn accepted(listener: &Listener) -> Socket {
        let timeout = Some(Duration::from_secs(5));
        wait([(listener.as_fd(), Events::READABLE)], timeout).unwrap();
        match listener.accept().unwrap() {
            Accepted::Client(socket) => socket,
            other => panic!("{other:?}"),
        }
    }

    fn received(socket: &Socket) -> Vec<u8> {
        let mut buf = [0; 64];
        let count = socket.recv(&mut buf).unwrap();
        buf[..count].to_vec()
    }

    #[test]
    fn a_connection_is_kept_alive_whoever_has_made_the_listener() {
        let [foreign, systems_numbers] =
            [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        sockopt::set_socket_keepalive(&systems_numbers, true).unwrap(); // after two hours
        let own = Listener::bind("127.0.0.1:0").unwrap();
        let adopted = [foreign, systems_numbers].map(|made| Listener::adopt(made.into()).unwrap());
        for listener in adopted.into_iter().chain([own]) {
            let _client = TcpStream::connect(listener.address()).unwrap();
            let socket = accepted(&listener);
            assert!(sockopt::socket_keepalive(&socket).unwrap());
            let numbers = (sockopt::tcp_keepidle(&socket), sockopt::tcp_keepcnt(&socket));
            assert_eq!(numbers, (Ok(Duration::from_secs(60)), Ok(4)));
        }
    }

    fn folder() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock").to_str().unwrap().to_owned();
        (folder, path)
    }

    #[test]
    fn clients_are_accepted_in_order_and_then_there_is_nobody() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(listener.accept().unwrap(), Accepted::Nobody));
        let clients = [b"1", b"2", b"3"].map(|text| {
            let mut client = TcpStream::connect(listener.address()).unwrap();
            client.write_all(text).unwrap();
            client
        });
        for (client, text) in clients.iter().zip(["1", "2", "3"]) {
            let socket = accepted(&listener);
            assert_eq!(received(&socket), text.as_bytes());
            let peer = rustix::net::getpeername(&socket).unwrap();
            assert_eq!(peer, Some(client.local_addr().unwrap().into()));
            assert_eq!(socket.peer_ip().as_deref(), Some("127.0.0.1"));
            assert_eq!(kernel::flags(&socket) & kernel::O_NONBLOCK, 0);
            assert_ne!(kernel::flags(&socket) & kernel::O_CLOEXEC, 0);
        }
        assert!(matches!(listener.accept().unwrap(), Accepted::Nobody));
        assert_ne!(kernel::flags(&listener) & kernel::O_CLOEXEC, 0);
    }

    #[test]
    fn a_client_that_has_left_is_still_accepted_and_harms_nobody() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let gone = socket2::Socket::from(TcpStream::connect(listener.address()).unwrap());
        gone.set_linger(Some(Duration::ZERO)).unwrap();
        drop(gone); // a reset
        let mut client = TcpStream::connect(listener.address()).unwrap();
        client.write_all(b"here").unwrap();
        let first = accepted(&listener);
        assert_eq!(first.peer_ip().as_deref(), Some("127.0.0.1"));
        assert!(first.recv(&mut [0; 8]).is_err());
        assert_eq!(received(&accepted(&listener)), b"here");
    }

    #[test]
    fn address_says_the_port_that_was_free() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let port = listener.address().strip_prefix("127.0.0.1:").unwrap();
        assert_ne!(port.parse::<u16>().unwrap(), 0);
        let by_name = Listener::bind("localhost:0").unwrap();
        assert!(by_name.address().parse::<SocketAddr>().unwrap().ip().is_loopback());
    }

    #[test]
    fn ipv6_is_listened_on_in_brackets() {
        match Listener::bind("[::1]:0") {
            Ok(listener) => {
                assert!(listener.address().starts_with("[::1]:"), "{}", listener.address());
                let _client = TcpStream::connect(listener.address()).unwrap();
                assert_eq!(accepted(&listener).peer_ip().as_deref(), Some("::1"));
            }
            // A machine without IPv6 says so itself.
            Err(error) => assert!(TcpListener::bind("[::1]:0").is_err(), "{error}"),
        }
    }

    #[test]
    fn first_address_that_can_be_had_is_taken() {
        let taken = Listener::bind("127.0.0.1:0").unwrap();
        let taken_address: SocketAddr = taken.address().parse().unwrap();
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind_first("name:1", &[taken_address, free]).unwrap();
        assert_ne!(listener.address(), taken.address());
        let error = Listener::bind_first("name:1", &[taken_address; 2]).unwrap_err();
        let each = format!("{taken_address} (Address already in use)");
        assert_eq!(error.message(), format!("cannot listen on name:1: {each}, {each}"));
    }

    #[test]
    fn an_address_in_use_is_an_error_with_the_systems_words() {
        let first = Listener::bind("127.0.0.1:0").unwrap();
        let error = Listener::bind(first.address()).unwrap_err();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Io, Fault::System));
        let words = format!("cannot listen on {}: Address already in use", first.address());
        assert_eq!(error.message(), words);
    }

    #[test]
    fn a_port_is_free_again_at_once_although_its_connections_linger() {
        let first = Listener::bind("127.0.0.1:0").unwrap();
        let address = first.address().to_owned();
        let mut client = TcpStream::connect(&address).unwrap();
        drop(accepted(&first)); // closed first by us: this end keeps the port in TIME-WAIT
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        drop((client, first));
        assert_eq!(Listener::bind(&address).unwrap().address(), address);
    }

    #[test]
    fn texts_that_are_no_address_are_refused_with_what_is_wrong() {
        for (text, what) in [
            ("", "there is no port"),
            ("localhost", "there is no port"),
            ("localhost:", "the port must be a number"),
            ("localhost:http", "the port must be a number"),
            ("localhost:+80", "the port must be a number"),
            ("localhost:65536", "the port must be at most 65535"),
            (":80", "there is no host"),
            ("::1:80", "an IPv6 address must be in brackets"),
            ("[::1]", "the port must be a number"),
            ("[127.0.0.1]:80", "there is no IPv6 address between the brackets"),
            ("[]:80", "there is no IPv6 address between the brackets"),
            ("[::1:80", "an IPv6 address must be in brackets"),
            ("ws://h:80", "an IPv6 address must be in brackets"),
            ("//h:80", "the host is no name"),
            ("a b:80", "the host is no name"),
            ("a\0b:80", "the host is no name"),
            ("unix:", "is empty"),
            ("unix:/x\0y", "holds a NUL"),
        ] {
            let error = Listener::bind(text).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host), "{text}");
            assert!(error.message().contains(what), "{text}: {error}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(Listener::bind(&long).unwrap_err().message().contains("longer than 107 bytes"));
    }

    #[test]
    fn a_name_that_does_not_resolve_cannot_be_listened_on() {
        let name = "a".repeat(70); // by no resolver's rules a name: no network is asked
        let error = Listener::bind(&format!("{name}:80")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.message().starts_with(&format!("cannot listen on {name}:80: ")), "{error}");
    }

    #[test]
    fn a_unix_socket_is_listened_on_and_its_file_removed_at_the_end() {
        let (_folder, path) = folder();
        let listener = Listener::bind(&format!("unix:{path}")).unwrap();
        assert_eq!(listener.address(), format!("unix:{path}"));
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"hello").unwrap();
        let socket = accepted(&listener);
        assert_eq!(received(&socket), b"hello");
        assert_eq!(socket.peer_ip(), None);
        assert!(matches!(listener.accept().unwrap(), Accepted::Nobody));
        drop(listener);
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn a_unix_path_that_cannot_be_is_an_error_with_the_systems_words() {
        let (_folder, path) = folder();
        let error = Listener::bind(&format!("unix:{path}/x")).unwrap_err();
        let words = format!("cannot listen on unix:{path}/x: No such file or directory");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Io, words.as_str()));
    }

    #[test]
    fn a_socket_that_the_host_made_is_adopted_with_its_file() {
        let (_folder, path) = folder();
        let made = UnixListener::bind(&path).unwrap();
        let listener = Listener::adopt(made.into()).unwrap();
        assert_eq!(listener.address(), format!("unix:{path}"));
        assert!(matches!(listener.accept().unwrap(), Accepted::Nobody), "it must not block");
        drop(listener);
        assert!(Path::new(&path).exists(), "it is the host's");
        let made = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = made.local_addr().unwrap().to_string();
        assert_eq!(Listener::adopt(made.into()).unwrap().address(), address);
    }

    #[test]
    fn what_does_not_listen_is_not_adopted() {
        let bound = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let table: [(OwnedFd, &str); 5] = [
            (std::fs::File::open("/dev/null").unwrap().into(), "is not a socket"),
            (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "is not a stream socket"),
            (UnixDatagram::unbound().unwrap().into(), "is not a stream socket"),
            (UnixStream::pair().unwrap().0.into(), "does not listen"),
            (bound, "does not listen"),
        ];
        for (fd, what) in table {
            let error = Listener::adopt(fd).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host));
            assert_eq!(error.message(), format!("the descriptor to listen on {what}"));
        }
    }

    #[test]
    fn being_out_of_descriptors_loses_no_client() {
        alone("io::listen::tests::being_out_of_descriptors_loses_no_client", || {
            let listener = Listener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.address()).unwrap();
            client.write_all(b"patient").unwrap();
            let all = all_descriptors();
            let Accepted::Exhausted(error) = listener.accept().unwrap() else { panic!("accepted") };
            let words = format!("cannot accept on {}: Too many open files", listener.address());
            assert_eq!((error.kind(), error.message()), (ErrorKind::Io, words.as_str()));
            drop(all);
            assert_eq!(received(&accepted(&listener)), b"patient");
        });
    }
}
