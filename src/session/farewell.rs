//! Last words without a driver: for sessions that end before one runs, or that have not even a poll loop.

use std::io::IoSlice;

use crate::io::Wire;
use crate::ws::engine::Engine;
use crate::ws::frame::Side;
use crate::ws::handshake::MAX_HEAD;

/// Writes what waits for `to`, as far as the connection takes it at once.
pub(crate) fn farewell(engine: &mut Engine, to: Side, wire: &Wire) {
    while engine.has_output(to) {
        match wire.try_send(&engine.output(to).map(IoSlice::new)) {
            Ok(count) => engine.wrote(to, count),
            Err(_) => return, // nobody waits for a side that takes nothing now
        }
    }
}

/// Reads off what has come already, a head at most: a connection closed with bytes unread is reset, and the answer on
/// its way destroyed (RFC 9112 section 9.6).
pub(crate) fn read_off(wire: &Wire) {
    let mut unread = vec![0; MAX_HEAD];
    let _ = wire.try_recv(&mut unread);
}
