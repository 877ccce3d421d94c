//! Frame headers, read from bytes (RFC 6455 section 5.2).
//!
//! Rules: every rule that a header alone can break is checked here, as soon as the bytes that break it are there:
//! nobody waits for the rest of a frame that is wrong already, and a declared length is known before the four bytes of
//! the mask come.

use super::frame::{Kind, Side};
use super::mask::Mask;
use super::violation::Violation;

/// The largest payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The largest header: two bytes, eight of length, four of mask.
pub const MAX_HEADER: usize = 14;

/// What a frame says about itself before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its type.
    pub kind: Kind,
    /// Whether it ends its message.
    pub fin: bool,
    /// Payload bytes.
    pub len: u64,
    /// Bytes of the header itself.
    pub size: usize,
    /// Its mask: there for frames from the client, and only for those.
    pub mask: Option<Mask>,
}

/// What is known from the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// Not even the length is known.
    Partial,
    /// The length is known, the mask is not there yet.
    MaskMissing(Header),
    /// The whole header.
    Whole(Header),
}

/// Reads the header at the start of `bytes`, which came from `from`.
#[inline] // into its one caller: the result is taken apart there, and need not go through memory
pub fn decode(bytes: &[u8], from: Side) -> Result<Decoded, Violation> {
    let (first, second) = match bytes {
        [first, second, ..] => (*first, *second),
        [first] => return check_first(*first).map(|_| Decoded::Partial),
        [] => return Ok(Decoded::Partial),
    };
    let kind = check_first(first)?;
    check_second(second, kind, from)?;
    let (len, size) = match second & 0x7F {
        126 | 127 => match long_length(bytes)? {
            Some(length) => length,
            None => return Ok(Decoded::Partial),
        },
        len => (u64::from(len), 2),
    };
    let header = Header { kind, fin: first & 0x80 != 0, len, size, mask: None };
    if from == Side::Upstream {
        return Ok(Decoded::Whole(header));
    }
    Ok(match bytes.get(size..size + 4) {
        Some(&[a, b, c, d]) => {
            Decoded::Whole(Header { size: size + 4, mask: Some([a, b, c, d]), ..header })
        }
        _ => Decoded::MaskMissing(header),
    })
}

/// Reads the header of a message that is whole, and short enough for the shortest form of a length. Of anything else,
/// what is wrong included, [`decode`] has to make sense.
#[inline]
pub fn decode_small(bytes: &[u8], from: Side) -> Option<Header> {
    let &[first, second, ..] = bytes else { return None };
    let kind = match first {
        0x81 => Kind::Text,
        0x82 => Kind::Binary,
        _ => return None,
    };
    let (mask_bit, size) = match from {
        Side::Client => (0x80, 6),
        Side::Upstream => (0, 2),
    };
    let len = second ^ mask_bit; // with the wrong one it is a large number
    if len > 125 || bytes.len() < size + usize::from(len) {
        return None;
    }
    let mask = match from {
        Side::Client => bytes.get(2..6)?.first_chunk().copied(),
        Side::Upstream => None,
    };
    Some(Header { kind, fin: true, len: u64::from(len), size, mask })
}

/// The mask in a whole header that has one.
#[inline]
pub fn mask_of(header: &[u8]) -> Mask {
    header.last_chunk().copied().unwrap_or_default()
}

#[inline]
fn check_first(first: u8) -> Result<Kind, Violation> {
    let kind = match first & 0x7F {
        0x0 => Kind::Continuation,
        0x1 => Kind::Text,
        0x2 => Kind::Binary,
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xA => Kind::Pong,
        _ => return Err(bad_first(first)),
    };
    if kind.is_control() && first & 0x80 == 0 {
        return Err(Violation::protocol("a control frame is fragmented"));
    }
    Ok(kind)
}

#[cold]
fn bad_first(first: u8) -> Violation {
    match first & 0x70 {
        0 => Violation::protocol(format!("unknown opcode {:#x}", first & 0x0F)),
        _ => Violation::protocol("reserved bits are set and no extension was negotiated"),
    }
}

#[inline]
fn check_second(second: u8, kind: Kind, from: Side) -> Result<(), Violation> {
    // RFC 6455 section 5.1: a client masks every frame, a server none.
    match (from, second & 0x80 != 0) {
        (Side::Client, false) => return Err(Violation::protocol("a frame is not masked")),
        (Side::Upstream, true) => return Err(Violation::protocol("a frame is masked")),
        _ => {}
    }
    if kind.is_control() && usize::from(second & 0x7F) > MAX_CONTROL_PAYLOAD {
        return Err(Violation::protocol("a control frame is longer than 125 bytes"));
    }
    Ok(())
}

/// A length behind the first two bytes, and where it ends; `None` when it is not all there.
fn long_length(bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (len, size, least) = match *bytes {
        [_, second, a, b, ..] if second & 0x7F == 126 => {
            (u64::from(u16::from_be_bytes([a, b])), 4, 126)
        }
        [_, second, a, b, c, d, e, f, g, h, ..] if second & 0x7F == 127 => {
            (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10, 1 << 16)
        }
        _ => return Ok(None),
    };
    if len > i64::MAX as u64 {
        return Err(Violation::protocol("a length has its most significant bit set"));
    }
    if len < least {
        return Err(Violation::protocol("a length is not in its shortest form"));
    }
    Ok(Some((len, size)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use tungstenite::protocol::frame::FrameHeader;

    use super::*;

    fn refusal(bytes: &[u8], from: Side) -> String {
        decode(bytes, from).unwrap_err().to_string()
    }

    #[test]
    fn a_masked_frame_from_the_upstream_is_refused() {
        assert_eq!(refusal(&[0x81, 0x80], Side::Upstream), "a frame is masked");
    }

    #[test]
    fn an_unmasked_frame_from_the_client_is_refused() {
        assert_eq!(refusal(&[0x81, 0x05], Side::Client), "a frame is not masked");
    }

    #[test]
    fn a_small_whole_message_and_nothing_else_is_known_by_its_first_two_bytes() {
        let mut seen = 0;
        for (first, second) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
            let mut bytes = vec![0x5A; 300];
            bytes[..2].copy_from_slice(&[first, second]);
            for from in Side::BOTH {
                let small = decode_small(&bytes, from);
                let header = match decode(&bytes, from) {
                    Ok(Decoded::Whole(header)) if [0x81, 0x82].contains(&first) => header,
                    _ => {
                        assert_eq!(small, None, "{first:#x} {second:#x} {from}");
                        continue;
                    }
                };
                assert_eq!(small, Some(header).filter(|header| header.len <= 125));
                if small.is_some() {
                    let whole = header.size + usize::try_from(header.len).unwrap();
                    let cut_short = |cut| decode_small(&bytes[..cut], from).is_none();
                    assert!((0..whole).all(cut_short), "{first:#x} {second:#x} {from}");
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 2 * 2 * 126);
    }

    #[test]
    fn wrong_first_bytes_are_refused_without_waiting_for_the_rest() {
        for first in [0xC1, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F, 0x08, 0x09, 0x0A] {
            assert!(decode(&[first], Side::Client).is_err(), "{first:#x}");
        }
        assert!(refusal(&[0x89, 0xFE], Side::Client).contains("125"));
    }

    #[test]
    fn lengths_not_in_their_shortest_form_are_refused() {
        assert!(decode(&[0x82, 126, 0, 125], Side::Upstream).is_err());
        assert!(decode(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], Side::Upstream).is_err());
        assert!(decode(&[0x82, 126, 0, 126], Side::Upstream).is_ok());
        assert!(decode(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], Side::Upstream).is_ok());
    }

    #[test]
    fn a_length_of_more_than_63_bits_is_refused() {
        let mut bytes = [0xFF; 10];
        (bytes[0], bytes[1]) = (0x82, 0xFF);
        assert!(refusal(&bytes, Side::Client).contains("most significant bit"));
    }

    #[test]
    fn the_length_is_known_before_the_mask() {
        let bytes = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
        let Decoded::MaskMissing(header) = decode(&bytes[..12], Side::Client).unwrap() else {
            panic!("the mask is not there")
        };
        assert_eq!(header.len, i64::MAX as u64);
        let Decoded::Whole(header) = decode(&bytes, Side::Client).unwrap() else { panic!() };
        assert_eq!((header.size, header.mask), (14, Some([1, 2, 3, 4])));
    }

    #[test]
    fn no_bytes_and_half_a_length_are_no_answer_yet() {
        assert_eq!(decode(&[], Side::Client), Ok(Decoded::Partial));
        assert_eq!(decode(&[0x82, 0xFE, 1], Side::Client), Ok(Decoded::Partial));
    }

    /// What tungstenite reads in `bytes`, held to the rules that it leaves to others: a header with its length, that
    /// of the declared payload, and the bytes of both.
    fn read_by_tungstenite(bytes: &[u8], from: Side) -> Option<(FrameHeader, u64, usize)> {
        let mut cursor = Cursor::new(bytes);
        let (header, len) = FrameHeader::parse(&mut cursor).ok()??;
        let size = usize::try_from(cursor.position()).unwrap();
        let is_control = u8::from(header.opcode) & 0x08 != 0;
        let is_legal = !(header.rsv1 || header.rsv2 || header.rsv3)
            && header.mask.is_some() == (from == Side::Client)
            && !(is_control && (len > 125 || !header.is_final))
            && len <= i64::MAX as u64
            && header.len(len) == size;
        is_legal.then_some((header, len, size))
    }

    #[test]
    fn random_bytes_are_read_as_by_tungstenite() {
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut legal = 0;
        for _ in 0..200_000 {
            let mut bytes = [0; MAX_HEADER];
            random.fill_bytes(&mut bytes);
            let [first, second, third, way, ..] = bytes;
            if way & 0x30 != 0 {
                (bytes[0], bytes[1]) = (first & 0x8F, second | 0x7E); // long ones, without reserved bits
            }
            if third & 0x03 == 0 {
                bytes[2..8].fill(0); // lengths that might be shorter
            }
            for from in Side::BOTH {
                let read = read_by_tungstenite(&bytes, from);
                let ours = match decode(&bytes, from) {
                    Ok(Decoded::Whole(header)) => Some(header),
                    Ok(other) => panic!("{other:?} of {bytes:x?}"),
                    Err(_) => None,
                };
                legal += usize::from(ours.is_some());
                assert_eq!(
                    ours.map(|own| (own.kind as u8, own.fin, own.mask, own.len, own.size)),
                    read.map(|(theirs, len, size)| (
                        theirs.opcode.into(),
                        theirs.is_final,
                        theirs.mask,
                        len,
                        size
                    )),
                    "{bytes:x?} from {from}"
                );
            }
        }
        assert!(legal > 1000, "only {legal} were legal");
    }
}
