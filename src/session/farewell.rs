//! Last words without a driver: for sessions that end before one runs, or that have not even a poll loop.

use std::io::IoSlice;

use crate::io::Wire;
use crate::ws::engine::Engine;
use crate::ws::frame::Side;

/// Writes what waits for `to`, as far as the connection takes it at once.
pub(crate) fn farewell(engine: &mut Engine, to: Side, wire: &Wire) {
    while engine.has_output(to) {
        match wire.try_send(&engine.output(to).map(IoSlice::new)) {
            Ok(count) => engine.wrote(to, count),
            Err(_) => return, // nobody waits for a side that takes nothing now
        }
    }
}
