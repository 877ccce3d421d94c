//! A host name into addresses, for a poll loop that must not block.
//!
//! The C library's getaddrinfo is the only lookup that follows the machine's own rules (hosts file,
//! nsswitch, resolv.conf), and it blocks. So it runs on a thread of its own. It cannot be called off
//! either: dropping a [`Resolve`] leaves that thread to itself. It ends when the C library gives up
//! (resolv.conf's timeouts, some seconds), holding nothing but the name, the channel and the waker,
//! and finds nobody listening.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};

use super::own_thread;
use super::waker::Waker;
use crate::error::{Error, ErrorKind, Fault, Result};

type Answer = Result<Vec<SocketAddr>>;

/// getaddrinfo itself keeps its large buffers on the heap; the rest is for name-service modules of
/// the machine. Only what is touched becomes memory.
const STACK: usize = 256 << 10;

/// A lookup.
#[derive(Debug)]
pub(crate) enum Resolve {
    /// There was nothing to look up.
    Known(SocketAddr),
    UnderWay(Receiver<Answer>),
}

impl Resolve {
    /// Looks up `host` (a name, or an IP address with or without brackets). When the answer is there,
    /// `waker` is woken; that of an IP address is there at once, without a thread or a wake. So ask
    /// for the answer before the first wait.
    pub(crate) fn start(host: &str, port: u16, waker: &Arc<Waker>) -> Result<Resolve> {
        match literal(host) {
            Some(ip) => Ok(Resolve::Known(SocketAddr::new(ip, port))),
            None => {
                let host = host.to_owned();
                Resolve::on_a_thread(move || look_up(&host, port), Arc::clone(waker))
            }
        }
    }

    /// The answer, once: in the system's order of preference, never empty. None while there is none.
    pub(crate) fn answer(&self) -> Option<Answer> {
        let answer = match self {
            Resolve::Known(address) => return Some(Ok(vec![*address])),
            Resolve::UnderWay(answer) => answer,
        };
        match answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let words = "the name lookup ended without an answer";
                Some(Err(Error::new(ErrorKind::Internal, Fault::System, words)))
            }
        }
    }

    fn on_a_thread(
        lookup: impl FnOnce() -> Answer + Send + 'static,
        waker: Arc<Waker>,
    ) -> Result<Resolve> {
        let (tell, answer) = crossbeam_channel::bounded(1);
        let work = move || {
            let _ = tell.send(lookup()); // Nobody may be listening any more.
            waker.wake();
        };
        own_thread::start("wsproxy-resolve", STACK, work)
            .map_err(|cause| Error::system("cannot start a thread for the name lookup", cause))?;
        Ok(Resolve::UnderWay(answer))
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host).parse().ok()
}

fn look_up(host: &str, port: u16) -> Answer {
    look_up_now(host, port).map_err(|why| {
        let words = format!("cannot resolve {}: {why}", host.escape_debug());
        Error::new(ErrorKind::Unreachable, Fault::Upstream, words)
    })
}

/// Blocks. Addresses in the system's order of preference, never none; or why there are none.
pub(super) fn look_up_now(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) if addresses.len() == 0 => Err("it has no address".into()),
        Ok(addresses) => Ok(addresses.collect()),
        Err(cause) => {
            let words = cause.to_string();
            let why = words.strip_prefix("failed to lookup address information: ");
            Err(why.unwrap_or(&words).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::poll::{wait, Events};
    use crate::io::sys::kernel;
    use std::os::fd::AsFd;
    use std::thread;
    use std::time::{Duration, Instant};

    fn waker() -> Arc<Waker> {
        Arc::new(Waker::new().unwrap())
    }

    fn wait_for(waker: &Waker) {
        let timeout = Some(Duration::from_secs(10));
        let woken = wait([(waker.as_fd(), Events::READABLE)], timeout).unwrap();
        assert_eq!(woken, [Events::READABLE]);
    }

    /// The answer, waited for as a poll loop would.
    fn resolved(host: &str) -> Answer {
        let waker = waker();
        let resolve = Resolve::start(host, 80, &waker).unwrap();
        resolve.answer().unwrap_or_else(|| {
            wait_for(&waker);
            resolve.answer().unwrap()
        })
    }

    #[test]
    fn addresses_are_answered_at_once_and_without_a_thread() {
        for (host, expected) in [
            ("192.0.2.7", "192.0.2.7:80"),
            ("::1", "[::1]:80"),
            ("[2001:db8::2]", "[2001:db8::2]:80"),
        ] {
            let waker = waker();
            let resolve = Resolve::start(host, 80, &waker).unwrap();
            assert_eq!(Arc::strong_count(&waker), 1, "a thread holds the waker");
            let answer = resolve.answer().unwrap().unwrap();
            assert_eq!(answer, [expected.parse::<SocketAddr>().unwrap()]);
        }
    }

    #[test]
    fn a_name_is_answered_by_a_wake() {
        let addresses = resolved("localhost").unwrap();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 80), "{addresses:?}");
    }

    #[test]
    fn a_name_that_does_not_resolve_is_named_in_the_error() {
        // Not names by any resolver's rules, so that no network is asked.
        for host in ["a".repeat(70), "nul\0inside".into()] {
            let error = resolved(&host).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Unreachable, Fault::Upstream));
            let start = format!("cannot resolve {}: ", host.escape_debug());
            assert!(error.message().starts_with(&start), "{error}");
            assert!(error.message().len() > start.len());
        }
    }

    #[test]
    fn the_lookup_runs_on_a_named_thread_that_blocks_signals() {
        let waker = waker();
        let (tell, told) = crossbeam_channel::bounded(1);
        let lookup = move || {
            let name = thread::current().name().map(str::to_owned);
            tell.send((name, kernel::has_signal("SigBlk", libc::SIGTERM))).unwrap();
            Ok(Vec::new())
        };
        let _resolve = Resolve::on_a_thread(lookup, Arc::clone(&waker)).unwrap();
        wait_for(&waker);
        assert_eq!(told.recv().unwrap(), (Some("wsproxy-resolve".into()), true));
    }

    #[test]
    fn an_abandoned_lookup_ends_by_itself() {
        let waker = waker();
        let (go, gate) = crossbeam_channel::bounded::<()>(0);
        let lookup = move || {
            let _ = gate.recv();
            Ok(Vec::new())
        };
        let resolve = Resolve::on_a_thread(lookup, Arc::clone(&waker)).unwrap();
        assert!(resolve.answer().is_none());
        drop(resolve);
        drop(go);
        let started = Instant::now();
        while Arc::strong_count(&waker) > 1 {
            assert!(started.elapsed() < Duration::from_secs(5), "the thread is still there");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
