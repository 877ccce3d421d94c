//! Hostile peers: attacks that have hurt others, on real sockets. After every one of them the process has the
//! threads, descriptors and memory that it had before.

mod churn;
mod crowd;
mod flood;
mod frames;
mod gone;
mod guard;
mod heads;
mod hooks;
mod lengths;
mod logs;
mod origins;
mod smuggling;
#[path = "../support/mod.rs"]
mod support;
