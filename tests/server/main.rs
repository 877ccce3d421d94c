//! The server on real sockets: it listens, keeps its limits, and drains. What needs a process to itself:
//! `tests/server_alone`.

#[path = "../tls/authority.rs"]
#[allow(dead_code)] // tests of TLS use the rest
mod authority;
mod draining;
mod handshakes;
mod limits;
mod listening;
mod load;
mod scene;
#[path = "../tls/stream.rs"]
#[allow(dead_code)]
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod tls;
