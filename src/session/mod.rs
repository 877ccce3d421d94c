//! Sessions: the engine driven over sockets. The only room with a clock.
//!
//! | file | what it is |
//! |---|---|
//! | `proxy` | the three verbs |
//! | `client` | the three ways to hand over a client |
//! | `legs` | both connections before `execute` |
//! | `connect`, `patience` | both opening handshakes, and waiting in them |
//! | `threads`, `port`, `supervisor` | the threaded session: two relaying threads, the way to a side, the watch |
//! | `caller` | the session on the caller's thread |
//! | `slow` | telling a slow reader from one that has stopped |
//! | `control` | stop, frames of the host's and counters, from any thread |
//! | `hook` | calling the hook |
//! | `farewell` | last words without a driver |

mod caller;
mod client;
mod connect;
mod control;
mod farewell;
mod hook;
mod legs;
mod patience;
mod port;
mod proxy;
mod slow;
mod supervisor;
mod threads;

pub use client::Client;
pub use proxy::Proxy;
