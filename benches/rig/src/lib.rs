//! What the load generator and the echo upstream share.
//!
//! Rules: neither knows the library that is measured; both are one thread around one epoll, and cheap beside it.

pub mod frame;
pub mod readiness;
