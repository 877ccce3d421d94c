//! Sending messages and checking their replies, a number of them in flight on each connection.
//!
//! Theory: every reply that a read brought makes room for a message, and those leave with one write. So the number in
//! flight is also the number that a proxy finds together, at most.

use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::pattern::Pattern;
use crate::{Load, Result};

const SCRATCH: usize = 256 * 1024;
/// A minute, in nanoseconds; and the precision.
const LONGEST: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

/// When no more is sent.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    After(Duration),
    /// So many messages on each connection.
    Times(u64),
}

/// What it came to.
pub struct Outcome {
    messages: u64,
    took: Duration,
    round_trips: Histogram<u64>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |quantile| self.round_trips.value_at_quantile(quantile) as f64 / 1000.0;
        let seconds = self.took.as_secs_f64();
        write!(f, "{} {seconds} {} {}", self.messages, micros(0.5), micros(0.99))
    }
}

/// Echoes until then, and until nothing is in flight.
pub fn echo(load: &mut Load, pattern: &Pattern, most: usize, until: Until) -> Result<Outcome> {
    let begun = Instant::now();
    let mut outcome = Outcome {
        messages: 0,
        took: Duration::ZERO,
        round_trips: Histogram::new_with_max(LONGEST, DIGITS)?,
    };
    let mut in_flight = 0;
    let times = if let Until::Times(times) = until { times } else { u64::MAX };
    for connection in &mut load.connections {
        connection.begin(pattern, times);
        in_flight += connection.send(pattern, most, Instant::now())?;
    }
    let (mut scratch, mut ready) = (vec![0; SCRATCH], Vec::new());
    while in_flight > 0 {
        load.wait(&mut ready, "messages were in flight")?;
        for number in &ready {
            let connection = &mut load.connections[usize::try_from(*number)?];
            connection.write(pattern)?;
            let (now, mut replies) = (Instant::now(), 0);
            connection.read(pattern, &mut scratch, |sent| {
                replies += 1;
                let nanos = now.saturating_duration_since(sent).as_nanos();
                outcome.round_trips.saturating_record(u64::try_from(nanos).unwrap_or(LONGEST));
            })?;
            in_flight -= replies;
            outcome.messages += replies as u64;
            let is_over = matches!(until, Until::After(limit) if now - begun >= limit);
            if replies > 0 && !is_over {
                in_flight += connection.send(pattern, replies, Instant::now())?;
            }
        }
    }
    outcome.took = begun.elapsed();
    Ok(outcome)
}
