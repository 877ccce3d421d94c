//! The defects of the ancestor, Kong's `resty.websocket.proxy`, that this library must not have: a test for each
//! that needs no nginx. The numbers are those of the list that the project keeps of them.
//!
//! Not here, because they concern nginx's own sockets: 16, certificates.

mod closing;
mod data;
mod handshake;
#[path = "../support/mod.rs"]
mod support;
mod time;
