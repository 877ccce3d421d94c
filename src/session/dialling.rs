//! Reaching the upstream, or a proxy before it: its name looked up, its addresses dialled.
//!
//! Rule: this loop has the time that `io::Dial` lacks. An address that keeps silent costs
//! [`ATTEMPT_DELAY`], and one that refuses costs nothing, while there is another one to try. Whose
//! deadline it is and who may end a wait is the caller's: every wait is `wait`, which waits for one of
//! the sockets, or until the moment given if there is one, and fails when all is to end.

use std::sync::Arc;
use std::time::Instant;

use super::connect::{bad_gateway, Failure};
use super::patience::Watched;
use crate::io::{Dial, Dialled, Resolve, Socket, Waker, ATTEMPT_DELAY};

/// Connects to `host`; `waker` must be among what `wait` waits for.
pub(super) fn dial(
    host: &str,
    port: u16,
    waker: &Arc<Waker>,
    mut wait: impl FnMut(&[Watched<'_>], Option<Instant>) -> Result<(), Failure>,
) -> Result<Socket, Failure> {
    let dial = begin(host, port, waker, &mut wait)?;
    first_to_connect(dial, wait)
}

#[inline(never)] // what it needs of the stack is not to lie there while the connection is waited for
fn begin(
    host: &str,
    port: u16,
    waker: &Arc<Waker>,
    wait: &mut impl FnMut(&[Watched<'_>], Option<Instant>) -> Result<(), Failure>,
) -> Result<Dial, Failure> {
    let resolve = Resolve::start(host, port, waker)?;
    let addresses = loop {
        match resolve.answer() {
            Some(answer) => break answer.map_err(bad_gateway)?,
            None => wait(&[], None)?,
        }
    };
    Dial::start(host, port, addresses).map_err(bad_gateway)
}

/// Connects to the Unix socket `path`.
pub(super) fn dial_unix(
    path: &str,
    wait: impl FnMut(&[Watched<'_>], Option<Instant>) -> Result<(), Failure>,
) -> Result<Socket, Failure> {
    first_to_connect(Dial::start_unix(path).map_err(bad_gateway)?, wait)
}

fn first_to_connect(
    mut dial: Dial,
    mut wait: impl FnMut(&[Watched<'_>], Option<Instant>) -> Result<(), Failure>,
) -> Result<Socket, Failure> {
    let mut next_at = Instant::now() + ATTEMPT_DELAY;
    loop {
        let begun = dial.begun();
        // Before the first wait too: on the same machine a connection is there at once.
        dial = match dial.advance().map_err(bad_gateway)? {
            Dialled::Connected(socket) => return Ok(socket),
            Dialled::Pending(dial) => dial,
        };
        let is_due = next_at <= Instant::now();
        if is_due && dial.begun() == begun {
            dial.start_next().map_err(bad_gateway)?;
        }
        // Also when there was no descriptor for the next one: that is tried again, not all the time.
        if is_due || dial.begun() > begun {
            next_at = Instant::now() + ATTEMPT_DELAY;
        }
        let until = dial.may_start_next().then_some(next_at);
        wait(&dial.watched().collect::<Vec<_>>(), until)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind, Fault};
    use crate::io::addresses::{listening, refusing, silent};
    use crate::io::wait_for_any;
    use std::net::SocketAddr;
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// Waits as a session does, for five seconds at most, and counts.
    fn waiting(
        waits: &mut usize,
    ) -> impl FnMut(&[Watched<'_>], Option<Instant>) -> Result<(), Failure> + '_ {
        let deadline = Instant::now() + Duration::from_secs(5);
        move |watched, until| {
            *waits += 1;
            let until = until.map_or(deadline, |until| until.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
            wait_for_any(watched, Some(left))?;
            match deadline <= Instant::now() {
                true => Err(Failure::Lost(Error::new(ErrorKind::Timeout, Fault::Upstream, "late"))),
                false => Ok(()),
            }
        }
    }

    /// What came of `addresses`, after how long and how many waits.
    fn raced(addresses: Vec<SocketAddr>) -> (Result<Socket, Error>, Duration, usize) {
        let (started, mut waits) = (Instant::now(), 0);
        let dial = Dial::start("upstream.test", 80, addresses);
        let outcome =
            dial.map_err(bad_gateway).and_then(|dial| first_to_connect(dial, waiting(&mut waits)));
        let outcome = outcome.map_err(|failure| match failure {
            Failure::Refusal(refusal) => refusal.into_error(),
            Failure::Lost(error) => error,
        });
        (outcome, started.elapsed(), waits)
    }

    fn peer(socket: &Socket) -> SocketAddr {
        rustix::net::getpeername(socket.as_fd()).unwrap().unwrap().try_into().unwrap()
    }

    const MOMENT: Duration = Duration::from_millis(200);

    #[test]
    fn a_silent_address_costs_a_quarter_of_a_second() {
        let ((_held, quiet), (_listener, open)) = (silent(), listening());
        let (socket, took, waits) = raced(vec![quiet, open]);
        assert_eq!(peer(&socket.unwrap()), open);
        assert!(took >= ATTEMPT_DELAY && took < 3 * ATTEMPT_DELAY, "{took:?}");
        assert!(waits <= 3, "{waits} waits");
    }

    #[test]
    fn several_silent_addresses_cost_a_quarter_of_a_second_each() {
        let ((_a, quiet), (_listener, open)) = (silent(), listening());
        let (socket, took, waits) = raced(vec![quiet, quiet, quiet, open]);
        assert_eq!(peer(&socket.unwrap()), open);
        assert!(took >= 3 * ATTEMPT_DELAY && took < 6 * ATTEMPT_DELAY, "{took:?}");
        assert!(waits <= 5, "{waits} waits");
    }

    #[test]
    fn addresses_that_refuse_cost_nothing() {
        let ((_a, closed), (_listener, open)) = (refusing(), listening());
        let (socket, took, _) = raced(vec![closed, closed, closed, open]);
        assert_eq!(peer(&socket.unwrap()), open);
        assert!(took < MOMENT, "{took:?}");
    }

    #[test]
    fn refusals_before_and_behind_a_silent_address_cost_nothing_more() {
        let ((_a, closed), (_b, quiet), (_listener, open)) = (refusing(), silent(), listening());
        let (socket, took, _) = raced(vec![closed, quiet, closed, open]);
        assert_eq!(peer(&socket.unwrap()), open);
        assert!(took >= ATTEMPT_DELAY && took < 3 * ATTEMPT_DELAY, "{took:?}");
    }

    #[test]
    fn first_address_may_still_win_after_others_were_tried() {
        let ((held, late), (_a, quiet), (_b, closed)) = (silent(), silent(), refusing());
        let dial = Dial::start("upstream.test", 80, vec![late, quiet, closed]).unwrap();
        let (started, mut waits, mut has_room) = (Instant::now(), 0, false);
        let mut wait = waiting(&mut waits);
        let outcome = first_to_connect(dial, |watched, until| {
            // Room in the queue again: the system repeats its request a second after the first one.
            if watched.len() == 2 && !has_room {
                let listener = held.last().unwrap();
                (0..2).for_each(|_| drop(rustix::net::accept(listener).unwrap()));
                has_room = true;
            }
            wait(watched, until)
        });
        assert_eq!(peer(&outcome.ok().unwrap()), late);
        assert!(started.elapsed() > 2 * ATTEMPT_DELAY);
    }

    #[test]
    fn an_address_that_refuses_late_is_mentioned_behind_one_that_refused_before() {
        let ((held, late), (_a, closed)) = (silent(), refusing());
        let dial = Dial::start("upstream.test", 80, vec![late, closed]).unwrap();
        let (mut waits, mut held) = (0, Some(held));
        let mut wait = waiting(&mut waits);
        let outcome = first_to_connect(dial, |watched, until| {
            if until.is_none() {
                held = None; // the next repetition of the request is refused
            }
            wait(watched, until)
        });
        let Err(Failure::Refusal(refusal)) = outcome else { panic!("it must be refused") };
        let error = refusal.into_error();
        let each = format!("{closed} (Connection refused), {late} (Connection refused)");
        let words = format!("cannot connect to upstream.test:80: {each}");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unreachable, words.as_str()));
    }

    #[test]
    fn silence_of_all_ends_with_whoever_keeps_the_deadline_and_without_spinning() {
        let (_held, quiet) = silent();
        let (outcome, took, waits) = raced(vec![quiet, quiet]);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout);
        assert!(took >= Duration::from_secs(5), "{took:?}");
        assert!(waits <= 3, "{waits} waits");
    }

    #[test]
    fn a_unix_socket_is_reached_without_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut waits = 0;
        assert!(dial_unix(path.to_str().unwrap(), waiting(&mut waits)).is_ok());
        assert_eq!(waits, 0);
    }
}
