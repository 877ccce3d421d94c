//! What the tests of sessions share: a host that runs one session, and raw peers that say exactly what they are told.
//!
//! Rules: free ports, loopback, every read has a deadline, nothing outlives its test.
#![allow(dead_code)] // each test crate uses its part

pub mod host;
pub mod peer;

use std::time::Duration;

use wsproxy::Policy;

/// Longer than anything a healthy test waits for.
pub const LONG: Duration = Duration::from_secs(20);

pub const POLICIES: [Policy; 3] = [Policy::Serial, Policy::Concurrent, Policy::Caller];
