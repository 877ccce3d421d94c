//! Telling a slow reader from one that has stopped.
//!
//! Theory: the system calls a connection writable only when a good part of its send queue, which may be megabytes, is
//! free. A slow reader empties it for minutes before that. What it reads shows as acknowledged bytes.

use crate::io::Wire;

/// What was last seen of a connection's send queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SendQueue(Option<u64>);

impl SendQueue {
    /// Whether the peer has acknowledged anything since the last time this was asked.
    pub(crate) fn moves(&mut self, wire: &Wire) -> bool {
        let now = wire.unacknowledged();
        let before = std::mem::replace(&mut self.0, now);
        before != now
    }
}
