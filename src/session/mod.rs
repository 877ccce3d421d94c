//! Sessions: the engine driven over sockets. The only room with a clock.
//!
//! | file | what it is |
//! |---|---|
//! | `proxy` | the three verbs |
//! | `client` | the three ways to hand over a client |
//! | `legs` | both connections before `execute` |
//! | `connect`, `patience` | both opening handshakes, and waiting in them |
//! | `opening` | what `connect` does, step by step |
//! | `securing` | TLS on either leg |
//! | `tunnelling` | the way through an HTTP proxy |
//! | `dialling` | reaching the upstream: names, several addresses |
//! | `threaded`, `threads`, `port` | the threaded session: its life, its two relaying threads, the way to a side |
//! | `supervisor`, `keeper` | the watch over a threaded session; the one thread that keeps it for all sessions of a server |
//! | `caller` | the session on the caller's thread |
//! | `relay` | an established session in one pair of hands: what `caller` and `pull` share |
//! | `pull`, `pull_opening` | the event-loop face: the host has the sockets and the clock |
//! | `halves`, `answer_head` | both opening handshakes of such a session; the upstream's answer for the host to see |
//! | `randomness` | what the operating system's generator is asked for |
//! | `slow` | telling a slow reader from one that has stopped |
//! | `control` | drain, stop, abort, frames of the host's and counters, from any thread |
//! | `deadline` | a moment by which something is to be over |
//! | `urgency` | how the host asks for the end, and how soon |
//! | `hook` | calling the hook |
//! | `farewell` | last words without a driver |

mod answer_head;
mod caller;
mod client;
mod connect;
mod control;
mod deadline;
mod dialling;
mod farewell;
mod halves;
mod hook;
mod keeper;
mod legs;
mod opening;
mod patience;
mod port;
mod proxy;
mod pull;
mod pull_opening;
mod randomness;
mod relay;
mod securing;
mod slow;
mod supervisor;
mod threaded;
mod threads;
mod tunnelling;
mod urgency;

pub use client::Client;
pub(crate) use deadline::Deadline;
pub use proxy::Proxy;
pub use pull::Pull;
pub use pull_opening::Target;
