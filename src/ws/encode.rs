//! Frames, written to bytes (RFC 6455 section 5.2). Lengths are always in their shortest form.

use tungstenite::protocol::frame::coding::OpCode;
use tungstenite::protocol::frame::FrameHeader;

use super::buffer::Buffer;
use super::decode::MAX_HEADER;
use super::frame::Kind;
use super::mask::{apply_mask, Mask};

/// Appends a whole frame to `out`.
pub fn encode(out: &mut Buffer, kind: Kind, fin: bool, payload: &[u8], mask: Option<Mask>) {
    let header = &mut [0; MAX_HEADER][..];
    write_header(&mut &mut *header, kind, fin, payload.len(), mask);
    out.extend_from_slice(header.get(..header_len(payload.len(), mask)).unwrap_or_default());
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(mask), Some(written)) = (mask, out.get_mut(start..)) {
        apply_mask(written, mask, 0);
    }
}

/// Writes a header into `out`, which must have room for `header_len` bytes.
pub fn write_header(out: &mut &mut [u8], kind: Kind, fin: bool, len: usize, mask: Option<Mask>) {
    let header = FrameHeader {
        is_final: fin,
        opcode: OpCode::from(kind as u8),
        mask,
        ..FrameHeader::default()
    };
    let written = header.format(len as u64, out);
    debug_assert!(written.is_ok(), "it is measured by the caller");
}

/// The size of the header for `len` payload bytes.
pub fn header_len(len: usize, mask: Option<Mask>) -> usize {
    FrameHeader { mask, ..FrameHeader::default() }.len(len as u64)
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, Decoded};
    use super::super::frame::Side;
    use super::*;

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
