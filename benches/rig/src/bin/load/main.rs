//! The load generator: opens WebSocket connections, sends messages and checks each reply byte for byte.
//!
//! Does what the lines of its standard input say, answers each with one line, and ends when the input does:
//!
//!     open ADDRESS COUNT AT_ONCE      opened COUNT SECONDS
//!     echo KIND SIZE IN_FLIGHT for SECONDS | times COUNT
//!                                     echoed MESSAGES SECONDS P50 P99 (of round trips, in microseconds)
//!     close                           closed COUNT SECONDS
//!
//! Whatever goes wrong ends it with words on standard error and status 1.

mod closing;
mod connection;
mod echoing;
mod opening;
mod pattern;

use std::error::Error;
use std::io::{stdin, stdout, Write};
use std::time::Duration;

use connection::Connection;
use echoing::{echo, Until};
use pattern::Pattern;
use wsproxy_bench::readiness::Readiness;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// In which something has to happen.
pub const PATIENCE_MS: i32 = 20_000;

/// The connections, by the numbers that the epoll tells.
pub struct Load {
    pub readiness: Readiness,
    pub connections: Vec<Connection>,
}

impl Load {
    /// Waits; that nothing happens for long is a failure.
    pub fn wait(&mut self, ready: &mut Vec<u64>, what: &str) -> Result<()> {
        self.readiness.wait(PATIENCE_MS, ready)?;
        if ready.is_empty() {
            return Err(format!("nothing came for {PATIENCE_MS} ms while {what}").into());
        }
        Ok(())
    }
}

fn obey(load: &mut Load, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["open", address, count, at_once] => {
            let (count, at_once) = (count.parse()?, at_once.parse()?);
            let took = opening::open(load, address.parse()?, count, at_once)?;
            Ok(format!("opened {count} {}", took.as_secs_f64()))
        }
        ["echo", kind, size, in_flight, mode, amount] => {
            let in_flight = in_flight.parse()?;
            let pattern = Pattern::new(kind.parse()?, size.parse()?, in_flight);
            let until = match mode {
                "for" => Until::After(Duration::from_secs_f64(amount.parse()?)),
                _ => Until::Times(amount.parse()?),
            };
            let outcome = echo(load, &pattern, in_flight, until)?;
            Ok(format!("echoed {outcome}"))
        }
        ["close"] => {
            let count = load.connections.len();
            let took = closing::close(load)?;
            Ok(format!("closed {count} {}", took.as_secs_f64()))
        }
        _ => Err(format!("no such order: {line:?}").into()),
    }
}

fn run() -> Result<()> {
    let mut load = Load { readiness: Readiness::new()?, connections: Vec::new() };
    for line in stdin().lines() {
        let answer = obey(&mut load, &line?)?;
        println!("{answer}");
        stdout().flush()?;
    }
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        eprintln!("load: {error}");
        std::process::exit(1);
    }
}
