//! Frame headers, read from bytes (RFC 6455 section 5.2).
//!
//! Rules: every rule that a header alone can break is checked here, as soon as the bytes that break it are there:
//! nobody waits for the rest of a frame that is wrong already. tungstenite's parser does the layout; where bytes may be
//! missing it is given the header without its mask bit, so that a declared length is known before the four bytes of the
//! mask come.

use std::io::Cursor;

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::FrameHeader;

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
    match bytes {
        [first, second, ..] => check_first_two(*first, *second, from)?,
        [first] => check_first(*first)?,
        [] => {}
    }
    match bytes.first_chunk::<MAX_HEADER>() {
        // No header is longer: it is all there, and nothing need be taken out.
        Some(whole) => Ok(parse(whole)?.map_or(Decoded::Partial, Decoded::Whole)),
        None => decode_short(bytes, from),
    }
}

/// So few bytes that some of the header may be missing.
fn decode_short(bytes: &[u8], from: Side) -> Result<Decoded, Violation> {
    let mut unmasked = [0; MAX_HEADER];
    for (to, byte) in unmasked.iter_mut().zip(bytes) {
        *to = *byte;
    }
    unmasked[1] &= 0x7F;
    let header = parse(unmasked.get(..bytes.len()).unwrap_or_default())?;
    Ok(header.map_or(Decoded::Partial, |header| with_mask(header, bytes, from)))
}

fn parse(bytes: &[u8]) -> Result<Option<Header>, Violation> {
    let mut cursor = Cursor::new(bytes);
    // Looked at where it lies: to move it costs more than to parse it.
    let parsed = FrameHeader::parse(&mut cursor);
    let (header, len) = match &parsed {
        Ok(Some((header, len))) => (header, *len),
        Ok(None) => return Ok(None),
        Err(error) => return Err(Violation::protocol(format!("bad frame header: {error}"))),
    };
    let size = usize::try_from(cursor.position()).unwrap_or(MAX_HEADER);
    check_length(header, len, size)?;
    let kind = kind_of(header.opcode)?;
    Ok(Some(Header { kind, fin: header.is_final, len, size, mask: header.mask }))
}

fn with_mask(header: Header, bytes: &[u8], from: Side) -> Decoded {
    match (from, bytes.get(header.size..header.size + 4)) {
        (Side::Upstream, _) => Decoded::Whole(header),
        (Side::Client, Some(&[a, b, c, d])) => {
            let mask = Some([a, b, c, d]);
            Decoded::Whole(Header { size: header.size + 4, mask, ..header })
        }
        (Side::Client, _) => Decoded::MaskMissing(header),
    }
}

fn check_first(first: u8) -> Result<(), Violation> {
    if first & 0x70 != 0 {
        return Err(Violation::protocol("reserved bits are set and no extension was negotiated"));
    }
    if !matches!(first & 0x0F, 0x0..=0x2 | 0x8..=0xA) {
        return Err(Violation::protocol(format!("unknown opcode {:#x}", first & 0x0F)));
    }
    if first & 0x88 == 0x08 {
        return Err(Violation::protocol("a control frame is fragmented"));
    }
    Ok(())
}

fn check_first_two(first: u8, second: u8, from: Side) -> Result<(), Violation> {
    check_first(first)?;
    // RFC 6455 section 5.1: a client masks every frame, a server none.
    match (from, second & 0x80 != 0) {
        (Side::Client, false) => return Err(Violation::protocol("a frame is not masked")),
        (Side::Upstream, true) => return Err(Violation::protocol("a frame is masked")),
        _ => {}
    }
    if first & 0x08 != 0 && usize::from(second & 0x7F) > MAX_CONTROL_PAYLOAD {
        return Err(Violation::protocol("a control frame is longer than 125 bytes"));
    }
    Ok(())
}

fn check_length(header: &FrameHeader, len: u64, size: usize) -> Result<(), Violation> {
    if len > i64::MAX as u64 {
        return Err(Violation::protocol("a length has its most significant bit set"));
    }
    if header.len(len) != size {
        return Err(Violation::protocol("a length is not in its shortest form"));
    }
    Ok(())
}

fn kind_of(opcode: OpCode) -> Result<Kind, Violation> {
    Ok(match opcode {
        OpCode::Data(Data::Continue) => Kind::Continuation,
        OpCode::Data(Data::Text) => Kind::Text,
        OpCode::Data(Data::Binary) => Kind::Binary,
        OpCode::Control(Control::Close) => Kind::Close,
        OpCode::Control(Control::Ping) => Kind::Ping,
        OpCode::Control(Control::Pong) => Kind::Pong,
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            return Err(Violation::protocol("unknown opcode"))
        }
    })
}

#[cfg(test)]
mod tests {
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
}
