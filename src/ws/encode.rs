//! Frames, written to bytes (RFC 6455 section 5.2). Lengths are always in their shortest form.

use super::buffer::Buffer;
use super::decode::MAX_HEADER;
use super::frame::Kind;
use super::mask::{apply_mask, Mask};

/// Appends a whole frame to `out`.
pub fn encode(out: &mut Buffer, kind: Kind, fin: bool, payload: &[u8], mask: Option<Mask>) {
    let header = &mut [0; MAX_HEADER];
    write_header(header, kind, fin, payload.len(), mask);
    out.extend_from_slice(header.get(..header_len(payload.len(), mask)).unwrap_or_default());
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(mask), Some(written)) = (mask, out.get_mut(start..)) {
        apply_mask(written, mask, 0);
    }
}

/// Writes a header into `out`, which must have room for `header_len` bytes.
#[inline]
pub fn write_header(out: &mut [u8], kind: Kind, fin: bool, len: usize, mask: Option<Mask>) {
    debug_assert!(out.len() >= header_len(len, mask), "it is measured by the caller");
    let first = first_byte(kind, fin);
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let rest = match u16::try_from(len) {
        Ok(len @ ..=125) => put(out, [first, masked | len as u8]),
        Ok(len) => put(put(out, [first, masked | 126]), len.to_be_bytes()),
        Err(_) => put(put(out, [first, masked | 127]), (len as u64).to_be_bytes()),
    };
    if let Some(mask) = mask {
        put(rest, mask);
    }
}

/// Makes a header that came the one of the frame that is sent on: as long, and masked if it was. Its length is in the
/// shortest form already, or it would have been refused.
#[inline]
pub fn rewrite_header(header: &mut [u8], kind: Kind, fin: bool, mask: Option<Mask>) {
    if let Some(first) = header.first_mut() {
        *first = first_byte(kind, fin);
    }
    if let (Some(mask), Some(old)) = (mask, header.last_chunk_mut()) {
        *old = mask;
    }
}

#[inline]
fn first_byte(kind: Kind, fin: bool) -> u8 {
    kind as u8 | if fin { 0x80 } else { 0 }
}

/// Puts `bytes` at the front of `out`; gives what is behind them.
#[inline]
fn put<const N: usize>(out: &mut [u8], bytes: [u8; N]) -> &mut [u8] {
    match out.split_first_chunk_mut() {
        Some((front, rest)) => {
            *front = bytes;
            rest
        }
        None => &mut [],
    }
}

/// The size of the header for `len` payload bytes.
#[inline]
pub fn header_len(len: usize, mask: Option<Mask>) -> usize {
    let length = match len {
        ..=125 => 0,
        126..=0xFFFF => 2,
        _ => 8,
    };
    2 + length + if mask.is_some() { 4 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, Decoded};
    use super::super::frame::Side;
    use super::*;

    use tungstenite::protocol::frame::coding::OpCode;
    use tungstenite::protocol::frame::FrameHeader;

    #[test]
    fn headers_are_those_that_tungstenite_writes() {
        for len in [0, 1, 125, 126, 255, 256, 65535, 65536, 1 << 20, usize::MAX] {
            for (mask, fin) in [(None, true), (None, false), (Some([1, 2, 3, 4]), true)] {
                for kind in Kind::ALL {
                    let (mut ours, mut theirs) = ([0; MAX_HEADER], Vec::new());
                    write_header(&mut ours, kind, fin, len, mask);
                    let header = FrameHeader {
                        is_final: fin,
                        opcode: OpCode::from(kind as u8),
                        mask,
                        ..FrameHeader::default()
                    };
                    header.format(len as u64, &mut theirs).unwrap();
                    assert_eq!(ours[..header_len(len, mask)], theirs, "{kind} of {len} bytes");
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_header() {
        for len in [0, 1, 125, 126, 65535, 65536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut bytes = Buffer::default();
                encode(&mut bytes, Kind::Binary, false, &vec![7; len], mask);
                let from = if mask.is_some() { Side::Client } else { Side::Upstream };
                let Ok(Decoded::Whole(header)) = decode(&bytes, from) else {
                    panic!("length {len}")
                };
                assert_eq!((header.len, header.fin, header.mask), (len as u64, false, mask));
                assert_eq!(header.size + len, bytes.len());
                assert_eq!(header.size, header_len(len, mask));
            }
        }
    }
}
