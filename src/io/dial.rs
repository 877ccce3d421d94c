//! A connection to the first of several addresses that takes it, or to a Unix socket, made without blocking.
//!
//! RFC 8305 in spirit: addresses in order, the families in turns. The next one is tried when one has
//! failed, or beside those under way when [`ATTEMPT_DELAY`] has passed; the first that connects wins,
//! and the others are closed. A [`Dial`] knows neither the time nor a deadline: the loop that drives
//! it has a clock, says when the delay has passed, and drops the `Dial` when it is too late, which
//! closes everything under way.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{sockopt, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::poll::Events;
use super::socket::Socket;
use crate::error::{Error, ErrorKind, Fault, Result};

/// How long an attempt is alone before the next address is tried beside it: RFC 8305 section 5's
/// "Connection Attempt Delay" as it recommends.
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A name with hundreds of silent addresses is not to eat the host's descriptors.
const MOST_UNDER_WAY: usize = 16;

/// What Linux has room for in an address of a Unix socket, without the NUL.
const LONGEST_UNIX_PATH: usize = 107;

/// Attempts under way. Wait for what [`watched`](Dial::watched) says, then [`advance`](Dial::advance).
#[derive(Debug)]
pub(crate) struct Dial {
    target: String,
    /// In the order in which they began; not empty between two steps.
    under_way: Vec<Attempt>,
    waiting: VecDeque<SocketAddr>,
    failures: Vec<(Option<SocketAddr>, Errno)>,
    begun: usize,
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// In blocking mode; a TCP connection with TCP_NODELAY and keepalive.
    Connected(Socket),
    /// Not yet. It may be other addresses now, and other descriptors.
    Pending(Dial),
}

/// One socket that connects, or has.
#[derive(Debug)]
struct Attempt {
    socket: OwnedFd,
    /// None for a Unix socket.
    address: Option<SocketAddr>,
}

impl Dial {
    /// Begins with the first of `addresses`, the ones that `host` stands for; it and `port` are for
    /// the words of an error.
    pub(crate) fn start(host: &str, port: u16, addresses: Vec<SocketAddr>) -> Result<Dial> {
        let target = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let mut dial = Dial::to(target, families_in_turns(addresses));
        dial.begin_next()?;
        Ok(dial)
    }

    /// To the Unix socket `path`. Nothing is waited for: the first step is the last.
    pub(crate) fn start_unix(path: &str) -> Result<Dial> {
        let address = unix_address(path)?;
        let mut dial = Dial::to(path.escape_debug().to_string(), VecDeque::new());
        match attempt_unix(&address) {
            Ok(socket) => dial.under_way.push(Attempt { socket, address: None }),
            Err(errno) if is_exhaustion(errno) => return Err(dial.exhausted(errno)),
            Err(errno) => {
                dial.failures.push((None, errno));
                return Err(dial.unreachable());
            }
        }
        Ok(dial)
    }

    fn to(target: String, waiting: VecDeque<SocketAddr>) -> Dial {
        Dial { target, under_way: Vec::new(), waiting, failures: Vec::new(), begun: 0 }
    }

    /// What to wait for, the first of them that comes.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Events)> {
        self.under_way.iter().map(|attempt| (attempt.socket.as_fd(), Events::WRITABLE))
    }

    /// To be called when something that is watched came; harmless before. An error when every address
    /// has failed.
    pub(crate) fn advance(mut self) -> Result<Dialled> {
        let before = self.failures.len();
        for attempt in mem::take(&mut self.under_way) {
            match outcome(&attempt.socket) {
                Ok(true) => return self.connected(attempt).map(Dialled::Connected),
                Ok(false) => self.under_way.push(attempt),
                Err(errno) => self.failures.push((attempt.address, errno)),
            }
        }
        if self.failures.len() > before {
            self.begin_next()?;
        }
        Ok(Dialled::Pending(self))
    }

    /// Whether there is an address to be tried beside those under way.
    pub(crate) fn may_start_next(&self) -> bool {
        !self.waiting.is_empty() && self.under_way.len() < MOST_UNDER_WAY
    }

    /// To be called [`ATTEMPT_DELAY`] after the last attempt began. Where there is no descriptor left
    /// for another one, nothing changes and it may be called again.
    pub(crate) fn start_next(&mut self) -> Result<()> {
        match self.may_start_next() {
            true => self.begin_next(),
            false => Ok(()),
        }
    }

    /// Attempts so far, failed ones too: when it grows, the delay begins anew.
    pub(crate) fn begun(&self) -> usize {
        self.begun
    }

    /// Begins with the next address that does not fail at once. An error when nothing is under way
    /// then.
    fn begin_next(&mut self) -> Result<()> {
        while let Some(&address) = self.waiting.front() {
            let begun = attempt(&address);
            match begun {
                // No address will do better now, but those under way need nothing more.
                Err(errno) if is_exhaustion(errno) && self.under_way.is_empty() => {
                    return Err(self.exhausted(errno));
                }
                Err(errno) if is_exhaustion(errno) => return Ok(()),
                Err(errno) => self.failures.push((Some(address), errno)),
                Ok(_) => {}
            }
            self.waiting.pop_front();
            self.begun += 1;
            if let Ok(socket) = begun {
                self.under_way.push(Attempt { socket, address: Some(address) });
                return Ok(());
            }
        }
        match self.under_way.is_empty() {
            true => Err(self.unreachable()),
            false => Ok(()),
        }
    }

    fn connected(self, attempt: Attempt) -> Result<Socket> {
        let blocking = rustix::io::ioctl_fionbio(&attempt.socket, false);
        let socket = Socket::connected(attempt.socket, attempt.address);
        let configured = blocking
            .map_err(std::io::Error::from)
            .and_then(|()| socket.set_nodelay())
            .and_then(|()| socket.set_keepalive());
        let what = || format!("cannot configure the connection to {}", self.target);
        configured.map_err(|cause| Error::system(&what(), cause))?;
        Ok(socket)
    }

    fn exhausted(&self, errno: Errno) -> Error {
        Error::system(&self.failed(), words(errno))
    }

    fn unreachable(&self) -> Error {
        let words = format!("{}: {}", self.failed(), reasons(&self.failures));
        Error::new(ErrorKind::Unreachable, Fault::Upstream, words)
    }

    fn failed(&self) -> String {
        format!("cannot connect to {}", self.target)
    }
}

/// Each address with what became of it; of a single one what became of it.
fn reasons(failures: &[(Option<SocketAddr>, Errno)]) -> String {
    match failures {
        [] => "it has no address".into(),
        // A Unix socket's connect says so instead of waiting.
        [(None, Errno::AGAIN)] => "its queue of connections is full".into(),
        [(_, errno)] => words(*errno),
        several => {
            let each = several.iter().filter_map(|(address, errno)| {
                address.map(|address| format!("{address} ({})", words(*errno)))
            });
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// RFC 8305 section 4 with a "First Address Family Count" of 1: the resolver's first address leads,
/// the families take turns, and within each the resolver's order stays.
fn families_in_turns(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let leads = |address: &&SocketAddr| {
        addresses.first().is_some_and(|first| first.is_ipv6() == address.is_ipv6())
    };
    if addresses.iter().all(|address| leads(&address)) {
        return addresses.into();
    }
    let (leading, other): (Vec<&SocketAddr>, Vec<_>) = addresses.iter().partition(leads);
    let turns = (0..leading.len().max(other.len())).flat_map(|n| [leading.get(n), other.get(n)]);
    turns.flatten().map(|address| **address).collect()
}

/// The process or the system is out of something, which is no address's fault.
pub(super) fn is_exhaustion(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}

/// `path` as an address, if it can be one.
pub(super) fn unix_address(path: &str) -> Result<SocketAddrUnix> {
    let wrong = |what: &str| {
        let path = path.escape_debug();
        Error::argument(format!("the path of a Unix socket is not usable: {path} {what}"))
    };
    if path.is_empty() {
        return Err(Error::argument("the path of a Unix socket is empty"));
    }
    if path.contains('\0') {
        return Err(wrong("holds a NUL"));
    }
    if path.len() > LONGEST_UNIX_PATH {
        return Err(wrong(&format!("is longer than {LONGEST_UNIX_PATH} bytes")));
    }
    SocketAddrUnix::new(path).map_err(|errno| wrong(&format!("({})", words(errno))))
}

/// A socket that has connected: for a Unix socket there is no other way but failing.
pub(super) fn attempt_unix(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, address))?;
    Ok(socket)
}

/// A socket that is connecting to `address`.
fn attempt(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = tcp_socket(address)?;
    match rustix::net::connect(&socket, address) {
        // Connected at once it is writable at once, and needs no path of its own. A signal does not
        // undo what was begun.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Whether it has connected; false while it is at it.
fn outcome(socket: &OwnedFd) -> Result<bool, Errno> {
    match rustix::net::getpeername(socket) {
        // Dialling a free local port, TCP may pick that very port as its own and meet itself.
        Ok(Some(peer)) if rustix::net::getsockname(socket)? == peer => Err(Errno::CONNREFUSED),
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => sockopt::socket_error(socket)?.map(|()| false),
        Err(errno) => Err(errno),
    }
}

/// The system's words, without the number that std adds.
pub(super) fn words(errno: Errno) -> String {
    let words = std::io::Error::from(errno).to_string();
    words.split(" (os error").next().unwrap_or(&words).to_owned()
}

/// A TCP socket of the family of `address`: non-blocking, closed on exec.
pub(super) fn tcp_socket(address: &SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

/// Addresses of every temper, for the tests of whoever dials.
#[cfg(test)]
pub(crate) mod addresses {
    use super::*;
    use std::net::TcpListener;

    /// Refuses for as long as the first half lives: bound, so that nobody else takes it, but not
    /// listening.
    pub(crate) fn refusing() -> (OwnedFd, SocketAddr) {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        let address = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
        (socket, address)
    }

    pub(crate) fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Answers nothing for as long as the first half lives: a full accept queue, where further
    /// connection requests are dropped in silence.
    pub(crate) fn silent() -> (Vec<OwnedFd>, SocketAddr) {
        let (socket, address) = refusing();
        rustix::net::listen(&socket, 0).unwrap();
        let filling = (0..4).map(|_| attempt(&address).unwrap());
        let mut held: Vec<OwnedFd> = filling.collect();
        held.push(socket);
        (held, address)
    }
}

/// For the tests of what happens to a process without descriptors.
#[cfg(test)]
pub(super) mod starvation {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    use std::fs::File;
    use std::process::Command;

    /// Runs `body`, the only thing in the test of that name, in a process of its own.
    pub(in crate::io) fn alone(test: &str, body: impl FnOnce()) {
        if std::env::var("WSPROXY_ALONE").is_ok_and(|name| name == test) {
            return body();
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args([test, "--exact"]).env("WSPROXY_ALONE", test).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    }

    /// Every descriptor that the process may have.
    pub(in crate::io) fn all_descriptors() -> Vec<File> {
        let few = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, few).unwrap();
        std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::addresses::{listening, refusing, silent};
    use super::starvation::{all_descriptors, alone};
    use super::*;
    use crate::io::poll::wait_for_any;
    use crate::io::sys::kernel;
    use std::io::{IoSlice, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Instant;

    /// What came within `timeout`.
    fn came(dial: &Dial, timeout: Duration) -> Vec<Events> {
        wait_for_any(&dial.watched().collect::<Vec<_>>(), Some(timeout)).unwrap()
    }

    /// Drives it as a poll loop would that never starts another attempt by itself.
    fn finish(mut dial: Dial) -> Result<Socket> {
        loop {
            assert!(came(&dial, Duration::from_secs(5)).contains(&Events::WRITABLE));
            dial = match dial.advance()? {
                Dialled::Connected(socket) => return Ok(socket),
                Dialled::Pending(dial) => dial,
            };
        }
    }

    fn dial(addresses: Vec<SocketAddr>) -> Result<Socket> {
        finish(Dial::start("upstream.test", 8080, addresses)?)
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
        assert!(sockopt::socket_keepalive(&socket).unwrap());
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
        let (_held, address) = silent();
        let started = Instant::now();
        let dial = Dial::start("upstream.test", 8080, vec![address]).unwrap();
        assert_eq!(came(&dial, Duration::from_millis(30)), [Events::NONE]);
        assert!(!dial.may_start_next(), "there is no other address");
        assert!(matches!(dial.advance().unwrap(), Dialled::Pending(_)));
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn first_that_connects_wins_and_the_others_are_closed() {
        let ((_held, quiet), (listener, open)) = (silent(), listening());
        let mut dial = Dial::start("upstream.test", 8080, vec![quiet, open]).unwrap();
        assert_eq!((dial.begun(), dial.may_start_next()), (1, true));
        dial.start_next().unwrap();
        assert_eq!((dial.begun(), dial.may_start_next()), (2, false));
        assert_eq!(dial.watched().count(), 2);
        let copy = dial.under_way[0].socket.try_clone().unwrap();
        let socket = finish(dial).unwrap();
        assert_eq!(rustix::net::getpeername(&socket).unwrap(), Some(open.into()));
        listener.accept().unwrap();
        let inode = std::fs::read_link(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap();
        assert_eq!(open_descriptors_of(&inode), 1, "only the copy is left");
    }

    fn open_descriptors_of(target: &std::path::Path) -> usize {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link == target).count()
    }

    #[test]
    fn earlier_address_wins_when_two_have_connected() {
        let ((_a, first), (_b, second)) = (listening(), listening());
        let mut dial = Dial::start("upstream.test", 8080, vec![first, second]).unwrap();
        dial.start_next().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        let socket = finish(dial).unwrap();
        assert_eq!(rustix::net::getpeername(&socket).unwrap(), Some(first.into()));
    }

    #[test]
    fn an_address_that_refuses_starts_the_next_beside_a_silent_one() {
        let ((_a, quiet), (_b, closed), (_c, open)) = (silent(), refusing(), listening());
        let mut dial = Dial::start("upstream.test", 8080, vec![quiet, closed, open]).unwrap();
        dial.start_next().unwrap();
        let socket = finish(dial).unwrap();
        assert_eq!(rustix::net::getpeername(&socket).unwrap(), Some(open.into()));
    }

    #[test]
    fn no_more_than_sixteen_attempts_are_under_way() {
        let (_held, quiet) = silent();
        let mut dial = Dial::start("upstream.test", 8080, vec![quiet; 40]).unwrap();
        while dial.may_start_next() {
            dial.start_next().unwrap();
        }
        dial.start_next().unwrap();
        assert_eq!((dial.begun(), dial.watched().count()), (16, 16));
    }

    #[test]
    fn a_dial_without_a_descriptor_for_the_next_attempt_goes_on_with_the_first() {
        alone(
            "io::dial::tests::\
             a_dial_without_a_descriptor_for_the_next_attempt_goes_on_with_the_first",
            || {
                let ((_held, quiet), (_listener, open)) = (silent(), listening());
                let mut dial = Dial::start("upstream.test", 8080, vec![quiet, open]).unwrap();
                let mut all = all_descriptors();
                dial.start_next().unwrap();
                assert_eq!((dial.begun(), dial.may_start_next()), (1, true));
                let error = Dial::start("upstream.test", 8080, vec![open]).unwrap_err();
                let words = "cannot connect to upstream.test:8080: Too many open files";
                assert_eq!((error.kind(), error.message()), (ErrorKind::Io, words));
                all.pop();
                dial.start_next().unwrap();
                let socket = finish(dial).unwrap();
                assert_eq!(rustix::net::getpeername(&socket).unwrap(), Some(open.into()));
            },
        );
    }

    #[test]
    fn families_take_turns_beginning_with_the_resolvers_first() {
        let order = |written: &str| {
            let addresses: Vec<SocketAddr> = written
                .split(' ')
                .map(|n| match n.parse::<u16>().unwrap() {
                    port @ 0..=9 => SocketAddr::from(([127, 0, 0, 1], port)),
                    port => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
                })
                .collect();
            let mixed = families_in_turns(addresses);
            mixed.iter().map(|a| a.port().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order("10 11 12 1 2"), "10 1 11 2 12");
        assert_eq!(order("1 2 10 3"), "1 10 2 3");
        assert_eq!(order("1 10 11 12"), "1 10 11 12");
        assert_eq!(order("3 1 2"), "3 1 2");
        assert_eq!(order("12"), "12");
        assert!(families_in_turns(Vec::new()).is_empty());
    }

    #[test]
    fn a_unix_socket_is_dialled_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let socket = finish(Dial::start_unix(path.to_str().unwrap()).unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        socket.try_send(&[IoSlice::new(b"hello")]).unwrap();
        let mut got = [0; 5];
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        assert_eq!(kernel::flags(&socket) & kernel::O_NONBLOCK, 0);
        assert_ne!(kernel::flags(&socket) & kernel::O_CLOEXEC, 0);
        assert_eq!(socket.peer_ip(), None);
    }

    #[test]
    fn a_unix_socket_that_takes_nobody_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        drop(UnixListener::bind(at("stale")).unwrap());
        std::fs::write(at("file"), "").unwrap();
        for (name, why) in [
            ("absent", "No such file or directory"),
            ("stale", "Connection refused"),
            ("file", "Connection refused"),
            ("file/x", "Not a directory"),
        ] {
            let error = Dial::start_unix(&at(name)).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
            assert_eq!(error.message(), format!("cannot connect to {}: {why}", at(name)));
        }
    }

    #[test]
    fn a_unix_socket_with_a_full_queue_is_an_error_and_no_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full").to_str().unwrap().to_owned();
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let started = Instant::now();
        let error = Dial::start_unix(&path).unwrap_err();
        let words = format!("cannot connect to {path}: its queue of connections is full");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unreachable, words.as_str()));
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_path_that_no_unix_socket_can_have_is_the_hosts_fault() {
        let fitting = format!("/{}", "x".repeat(106));
        assert_eq!(Dial::start_unix(&fitting).unwrap_err().kind(), ErrorKind::Unreachable);
        for (path, words) in [
            (fitting + "x", "is longer than 107 bytes"),
            ("/run/x\0y".into(), "holds a NUL"),
            (String::new(), "is empty"),
        ] {
            let error = Dial::start_unix(&path).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host));
            assert!(error.message().ends_with(words), "{error}");
        }
    }

    #[test]
    fn a_connection_to_itself_counts_as_refused() {
        let (socket, address) = refusing();
        rustix::net::connect(&socket, &address).unwrap();
        assert_eq!(outcome(&socket), Err(Errno::CONNREFUSED));
    }
}
