//! The C line: every function of `include/wsproxy.h`, and nothing else.
//!
//! Rules. No decisions here: convert, call the Rust API, convert back; nobody imports this room. Every exported
//! function runs inside one of the guards of `guard`, so that no panic crosses the line, and is a plain
//! `extern "C" fn` that cbindgen can read. Every integer that comes in is checked, never cast to an enum. What
//! the functions say in their comments is what the C reader gets: cbindgen copies it into the header, so it is
//! written for him. `tests/header.rs` compares.
#![allow(unsafe_code)] // The C line is made of raw pointers; each block says why it is sound.
#![warn(unsafe_op_in_unsafe_fn)]
#![allow(non_camel_case_types)] // The names are C's.
#![allow(unreachable_pub)] // The linker and cbindgen reach them.
#![allow(clippy::missing_safety_doc)] // The rules for pointers stand in the header's own words.

mod config;
mod config_handshake;
mod config_tls;
mod constants;
mod frame;
mod guard;
mod handshake;
mod incoming;
mod lent;
mod library;
mod log;
mod pull;
mod pull_frame;
mod pull_opening;
mod pull_turn;
mod refusal;
mod server;
mod serving;
mod session;
mod stats;
mod turn;
mod words;
