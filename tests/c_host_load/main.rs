//! The C hosts `target/c/proxy` and `target/c/proxy-epoll` under load: thousands of sessions at once, readers that stall,
//! clients that go away at every stage, an end amid it all.
//!
//! Rule: everything is seen from outside, on the wire and in /proc. Flags and output are tested in `c_host`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod aborted;
#[path = "../built/mod.rs"]
mod built;
mod crowd;
mod idle;
mod peers;
mod process;
mod stalled;
mod stopped;
#[path = "../support/mod.rs"]
mod support;

/// A host, and where its sessions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On threads of the library's server: a value of `--threads`.
    Threads(&'static str),
    /// On one thread, around one epoll.
    EventLoop,
}

const SHAPES: [Shape; 4] = [
    Shape::Threads("serial"),
    Shape::Threads("concurrent"),
    Shape::Threads("caller"),
    Shape::EventLoop,
];
