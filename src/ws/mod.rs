//! The engine: HTTP upgrade, RFC 6455 and the rules of relaying, from bytes to bytes.
//!
//! Rules: no sockets, no threads, no clock, no `unsafe`; time and randomness come in as arguments. However the
//! input is cut, the output is the same. Data flows one way: bytes, decode, rules, hook, encode, bytes.

pub mod authority;
pub mod batch;
pub mod buffer;
pub mod close;
pub mod closing;
pub mod decode;
pub mod direction;
pub mod encode;
pub mod ending;
pub mod engine;
pub mod frame;
pub mod handshake;
pub mod inbox;
pub mod limits;
pub mod mask;
pub mod message;
pub mod opening;
pub mod origin;
pub mod outbox;
pub mod proxy_url;
pub mod receive;
mod resolve;
pub mod rest;
pub mod stats;
pub mod timers;
pub mod url;
pub mod utf8;
pub mod verdict;
pub mod violation;
