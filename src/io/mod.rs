//! Sockets, name lookup and readiness; bytes in, bytes out.
//!
//! Rule: this room imports nothing of the crate but `crate::error`. It knows no protocol, keeps no
//! deadlines and raises no SIGPIPE. What reads, writes or shuts down reports `std::io::Error`, since only
//! its user knows whose fault a lost connection is; everything else reports [`crate::error::Error`].
//!
//! | file | what it is |
//! |---|---|
//! | `sys` | the `unsafe` ones: copying a foreign descriptor, blocking signals |
//! | `socket` | one connected stream socket, read and written by two threads |
//! | `poll` | waiting for several descriptors at once, and a waker for such a wait |
//! | `resolve` | a host name into addresses, without blocking |
//! | `dial` | a connection to the first of several addresses that takes it, without blocking |
//! | `wire` | what a session reads and writes: a socket, shared |

mod dial;
mod poll;
mod resolve;
mod socket;
mod sys;
mod wire;

pub(crate) use dial::{Dial, Dialled};
pub(crate) use poll::{wait, Events, Waker};
pub(crate) use resolve::Resolve;
pub(crate) use socket::Socket;
pub(crate) use sys::with_signals_blocked;
pub(crate) use wire::Wire;
