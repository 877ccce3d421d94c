//! The event-loop face: a session driven by pull, without a socket. The peers are byte strings; what the session makes of
//! them must not depend on how they are cut, nor on when verdicts come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod deadlines;
mod handshakes;
mod reading;
mod scene;
mod verdicts;
