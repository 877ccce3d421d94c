//! An embeddable reverse proxy for WebSocket frames.
//!
//! A host program hands over a **client** connection and names an **upstream** URL; the library performs both
//! handshakes and relays frames both ways. Each frame is shown to the host's **hook**, which may forward, change,
//! drop, or end the session. Whatever it does, both peers always see a legal RFC 6455 stream.
//!
//! ```no_run
//! use std::net::TcpListener;
//! use std::sync::Arc;
//! use wsproxy::{Client, Config, Kind, Proxy, Side, Verdict};
//!
//! let config = Arc::new(Config::new());
//! for client in TcpListener::bind("127.0.0.1:9000")?.incoming() {
//!     let (client, config) = (Client::new(client?), Arc::clone(&config));
//!     std::thread::spawn(move || -> wsproxy::Result<()> {
//!         let proxy = Proxy::new(config)?;
//!         proxy.connect(client, "ws://127.0.0.1:9001")?;
//!         proxy.execute(|frame| {
//!             if frame.from() == Side::Client && frame.kind() == Kind::Binary {
//!                 return Verdict::Drop;
//!             }
//!             Verdict::Forward
//!         })
//!     });
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | room | what is in it |
//! |---|---|
//! | [`error`] | one error: what happened, whose fault it was |
//! | [`config`] | every setting, its default and the reason for it |
//! | `ws` | the engine: from bytes to bytes; no sockets, threads or clock |
//! | `io` | sockets, name lookup, readiness; knows nothing of WebSocket |
//! | `session` | the engine driven over sockets: on two threads, or on the caller's |
//! | [`server`] | an accept loop: a thread per connection, limits, drain |
//! | `ffi` | the C API |

#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod config;
pub mod error;
mod ffi;
mod io;
pub mod server;
mod session;
#[doc(hidden)]
pub mod ws;

pub use config::{Config, Policy};
pub use error::{Error, ErrorKind, Fault, Result};
pub use io::TlsVersion;
pub use server::{Server, ServerStats};
pub use session::{Client, Proxy, Pull, Target};
pub use ws::close::Close;
pub use ws::frame::{Kind, PerSide, Side};
pub use ws::handshake::{Admission, Handshake};
pub use ws::stats::{SideStats, Stats};
pub use ws::verdict::{Frame, Verdict};
