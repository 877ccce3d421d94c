//! What is sent and what must come back: a cycle of messages that differ from one another, made beforehand.
//!
//! Theory: what leaves is always a run of the cycle, so that any number of messages is one slice and one write; what
//! comes back is the same cycle without masks, so that checking it is comparing memory.

use std::fmt;
use std::str::FromStr;

use wsproxy_bench::frame::{apply_mask, write_header, BINARY, MAX_HEADER, TEXT};

/// A cycle has about so many bytes, and at most so many messages.
const BYTES: usize = 256 * 1024;
const MESSAGES: usize = 256;
const SEED: u64 = 6455;

/// The type of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Binary,
    Text,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "binary" => Ok(Kind::Binary),
            "text" => Ok(Kind::Text),
            _ => Err(format!("neither binary nor text: {text:?}")),
        }
    }
}

/// Messages of one size.
pub struct Pattern {
    /// Payload bytes of a message.
    pub size: usize,
    /// Messages of the cycle.
    pub cycle: usize,
    /// Bytes of a masked message.
    pub message: usize,
    /// The masked messages: the cycle, and as many again as may be in flight.
    pub masked: Vec<u8>,
    /// Bytes of a reply.
    pub reply: usize,
    /// The replies: the cycle.
    pub replies: Vec<u8>,
}

impl Pattern {
    pub fn new(kind: Kind, size: usize, in_flight: usize) -> Self {
        let opcode = if kind == Kind::Text { TEXT } else { BINARY };
        let mut random = fastrand::Rng::with_seed(SEED);
        let cycle = (BYTES / size.max(1)).clamp(1, MESSAGES).max(in_flight);
        let (mut masked, mut replies) = (Vec::new(), Vec::new());
        for _ in 0..cycle {
            let mut payload = vec![0; size];
            random.fill(&mut payload);
            if kind == Kind::Text {
                payload.iter_mut().for_each(|byte| *byte = b' ' + *byte % 95);
            }
            append(&mut replies, opcode, &payload, None);
            append(&mut masked, opcode, &payload, Some(random.u32(..).to_ne_bytes()));
        }
        let (message, reply) = (masked.len() / cycle, replies.len() / cycle);
        masked.extend_from_within(..in_flight * message);
        Pattern { size, cycle, message, masked, reply, replies }
    }
}

fn append(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let mut header = [0; MAX_HEADER];
    let size = write_header(&mut header, opcode, payload.len(), mask);
    out.extend_from_slice(&header[..size]);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages of {} bytes", self.cycle, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_can_be_sent_from_any_message_on() {
        let pattern = Pattern::new(Kind::Binary, 125, 64);
        assert_eq!(pattern.cycle, 256);
        assert_eq!(pattern.masked.len(), (256 + 64) * 131);
        assert_eq!(pattern.replies.len(), 256 * 127);
        assert_eq!(pattern.masked[..64 * 131], pattern.masked[256 * 131..]);
    }

    #[test]
    fn the_replies_are_the_messages_without_masks() {
        let pattern = Pattern::new(Kind::Text, 300, 1);
        let (message, reply) = (&pattern.masked[..308], &pattern.replies[..304]);
        let mut payload = message[8..].to_vec();
        apply_mask(&mut payload, message[4..8].try_into().unwrap());
        assert_eq!(payload, reply[4..]);
        assert!(payload.is_ascii());
    }

    #[test]
    fn large_messages_make_short_cycles() {
        assert_eq!(Pattern::new(Kind::Binary, 1 << 20, 2).cycle, 2);
    }
}
