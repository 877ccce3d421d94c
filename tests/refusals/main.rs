//! Handshakes that fail, one test for each row of `docs/refusals.md`: the row is what the test expects.
//!
//! The first driver stands for all here: the handshakes do not know it. The ways in which a client and an upstream come
//! together are all gone through: see `scene.rs`.

mod client;
mod host;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod unreached;
mod upstream;
