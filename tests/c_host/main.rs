//! The C hosts `bindings/c/proxy.c` and `bindings/c/proxy_epoll.c`: their flags, their hooks, what they print, their end.
//! Their load is tested in `c_host_load`.
//!
//! Rule: what makes sense for both is played by both. The peers are tungstenite's. Where valgrind runs the host, an error
//! or a leak is its exit status.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod ending;
mod event_loop;
mod flags;
mod frames;
mod host;
#[path = "../shared_library/mod.rs"]
mod shared_library;
mod tls;
