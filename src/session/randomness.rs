//! What a session takes from the operating system's generator: the seeds of its masks, and keys of handshakes.
//!
//! Rule: nothing is kept between two calls. A process that was forked after one (workers of nginx, Python's
//! `multiprocessing`) must not repeat what another one sends.

use data_encoding::BASE64;
use rand::rngs::SysRng;
use rand::TryRng;

use crate::error::{Error, Result};
use crate::ws::engine::Seeds;

/// The seeds of one session.
pub(super) fn seeds() -> Result<Seeds> {
    let mut bytes = [0; 72]; // by one system call
    fill(&mut bytes)?;
    let mut seeds = Seeds { masks: [[0; 32]; 2], keepalive: [0; 8] };
    let [first, second] = &mut seeds.masks;
    let all = first.iter_mut().chain(second).chain(&mut seeds.keepalive);
    all.zip(bytes).for_each(|(seed, byte)| *seed = byte);
    Ok(seeds)
}

/// A `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455 section 4.1).
pub(super) fn fresh_key() -> Result<String> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(BASE64.encode(&bytes))
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    SysRng
        .try_fill_bytes(bytes)
        .map_err(|error| Error::system("no randomness from the operating system", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_16_bytes_in_base64_and_differ() {
        let (one, two) = (fresh_key().unwrap(), fresh_key().unwrap());
        assert_eq!(BASE64.decode(one.as_bytes()).unwrap().len(), 16);
        assert_ne!(one, two);
    }

    #[test]
    fn seeds_differ_within_a_session_and_between_two() {
        let (one, two) = (seeds().unwrap(), seeds().unwrap());
        let all = [one.masks, two.masks].concat();
        assert!((1..all.len()).all(|n| !all[..n].contains(&all[n])));
        assert_ne!(one.keepalive, two.keepalive);
    }
}
