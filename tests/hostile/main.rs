//! Hostile peers: attacks that have hurt others, on real sockets. After every one of them the process has the
//! threads, descriptors and memory that it had before.

#[path = "../tls/authority.rs"]
#[allow(dead_code)]
mod authority;
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
mod renegotiation;
#[path = "../tls/scene.rs"]
#[allow(dead_code)]
mod scene;
mod smuggling;
#[path = "../tls/stream.rs"]
#[allow(dead_code)]
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod tls;
