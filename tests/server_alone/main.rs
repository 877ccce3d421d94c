//! What a server does to its process, and a process to it: descriptors, threads, memory, CPU time, signals. One test at
//! a time.
#![allow(unsafe_code)] // sigaction and a counting allocator

#[path = "../hostile/crowd.rs"]
#[allow(dead_code)] // other tests use the rest
mod crowd;
mod exhausted;
#[path = "../hostile/guard.rs"]
#[allow(dead_code)]
mod guard;
mod remains;
#[path = "../server/scene.rs"]
mod scene;
mod signals;
#[path = "../support/mod.rs"]
mod support;
