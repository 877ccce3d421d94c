//! The module `wsproxy` in plain LuaJIT: real processes of `luajit`, real sockets; and what bindings/lua says of itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[allow(dead_code)]
#[path = "../tls/authority.rs"]
mod authority;
mod scene;
mod script;
#[path = "../shared_library/mod.rs"]
mod shared_library;
#[allow(dead_code)]
#[path = "../tls/stream.rs"]
mod stream;
#[path = "../support/mod.rs"]
mod support;

mod compiled;
mod connecting;
mod ending;
mod forwarding;
mod life;
mod listening;
mod loading;
mod nginx;
mod on_frame;
mod options;
mod printed;
mod printed_for_nginx;
mod readme;
