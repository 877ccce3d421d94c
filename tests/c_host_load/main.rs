//! The C host `target/c/proxy` under load: a thousand sessions at once, readers that stall, an end amid it all.
//!
//! Rule: everything is seen from outside, on the wire and in /proc. Flags and output are tested in `c_host`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../built/mod.rs"]
mod built;
mod crowd;
mod peers;
mod process;
mod stalled;
mod stopped;
#[path = "../support/mod.rs"]
mod support;

/// The values of `--threads`.
const POLICIES: [&str; 3] = ["serial", "concurrent", "caller"];
