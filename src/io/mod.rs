//! Sockets, name lookup and readiness; bytes in, bytes out.
//!
//! Rule: this room imports nothing of the crate but `crate::error`. It knows no protocol, keeps no
//! deadlines and raises no SIGPIPE. What reads, writes or shuts down reports `std::io::Error`, since only
//! its user knows whose fault a lost connection is; everything else reports [`crate::error::Error`].
//!
//! | file | what it is |
//! |---|---|
//! | `sys` | the `unsafe` ones: copying a foreign descriptor, blocking signals, trimming a stack |
//! | `own_thread` | the threads that the library starts |
//! | `socket` | one connected stream socket, read and written by two threads |
//! | `poll` | waiting for several descriptors at once |
//! | `waker`, `waker_pool` | ending such a wait from outside; wakers that are lent, one for each wait |
//! | `watch` | waiting for the same two descriptors again and again |
//! | `resolve` | a host name into addresses, without blocking |
//! | `dial` | a connection to the first of several addresses that takes it, without blocking |
//! | `listen`, `socket_file` | a socket that listens, and the file of one on a Unix path |
//! | `certificates` | certificates and private keys in PEM |
//! | `tls_settings` | how TLS is spoken, and the objects made of it once |
//! | `tls_handshake` | a TLS handshake by steps, without blocking |
//! | `tls_step` | what a step of it comes to |
//! | `tls` | a connection under TLS, read and written by two threads |
//! | `memory`, `backlog` | what the TLS object reads from and writes to |
//! | `tls_words` | what a TLS failure was, in words |
//! | `wire` | what a session reads and writes: a socket, shared |
//! | `reader` | a wire in the hands of the thread that reads from it, which may notice that nothing comes |

mod backlog;
mod certificates;
mod dial;
mod listen;
mod memory;
pub(crate) mod own_thread;
mod poll;
mod reader;
mod resolve;
mod socket;
mod socket_file;
mod sys;
mod tls;
mod tls_handshake;
mod tls_settings;
mod tls_step;
mod tls_words;
mod waker;
mod waker_pool;
mod watch;
mod wire;

#[cfg(test)]
pub(crate) use dial::addresses;
pub(crate) use dial::{Dial, Dialled, ATTEMPT_DELAY};
pub(crate) use listen::{Accepted, Listener};
pub(crate) use poll::{wait, wait_for_any, Events, Watched};
pub(crate) use reader::Reader;
pub(crate) use resolve::Resolve;
pub(crate) use socket::Socket;
pub(crate) use tls_handshake::{Handshake, Shaken};
pub use tls_settings::TlsVersion;
pub(crate) use tls_settings::{ClientTls, UpstreamTls};
pub(crate) use tls_words::tls_failure;
pub(crate) use waker::Waker;
pub(crate) use waker_pool::WakerPool;
pub(crate) use watch::{Came, Watch};
pub(crate) use wire::Wire;
