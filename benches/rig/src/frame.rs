//! Frames as RFC 6455 section 5.2 lays them out: headers read and written, payloads masked.

/// The largest header: two bytes, eight of length, four of mask.
pub const MAX_HEADER: usize = 14;

pub const BINARY: u8 = 0x2;
pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    /// Payload bytes.
    pub len: usize,
    /// Bytes of the header itself.
    pub size: usize,
}

/// Reads the header at the start of `bytes`; `None` when it is not whole.
pub fn read_header(bytes: &[u8]) -> Option<Header> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (len, at) = match second & 0x7F {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        len => (usize::from(len), 2),
    };
    let masked = second & 0x80 != 0;
    let mask = if masked { Some(bytes.get(at..at + 4)?.try_into().ok()?) } else { None };
    let size = if masked { at + 4 } else { at };
    Some(Header { fin: first & 0x80 != 0, opcode: first & 0x7F, mask, len, size })
}

/// Writes the header of a whole message to the front of `out`, which is large enough; returns its size.
pub fn write_header(out: &mut [u8], opcode: u8, len: usize, mask: Option<[u8; 4]>) -> usize {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    out[0] = 0x80 | opcode;
    let size = match len {
        0..=125 => {
            out[1] = bit | len as u8;
            2
        }
        126..=65_535 => {
            out[1] = bit | 126;
            out[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = bit | 127;
            out[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    match mask {
        Some(mask) => {
            out[size..size + 4].copy_from_slice(&mask);
            size + 4
        }
        None => size,
    }
}

/// Masks or unmasks a whole payload.
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let bytes: &mut [u8; 8] = chunk.try_into().expect("chunks of eight");
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 26] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut bytes = [0; MAX_HEADER];
                let size = write_header(&mut bytes, BINARY, len, mask);
                let expected = Header { fin: true, opcode: BINARY, mask, len, size };
                assert_eq!(read_header(&bytes[..size]), Some(expected));
                assert_eq!(read_header(&bytes[..size - 1]), None);
            }
        }
    }

    #[test]
    fn reserved_bits_are_part_of_the_opcode_so_that_they_are_noticed() {
        assert_eq!(read_header(&[0xC2, 0]).unwrap().opcode, 0x42);
    }

    #[test]
    fn a_payload_is_masked_byte_by_byte() {
        for len in 0..40u8 {
            let mut payload: Vec<u8> = (0..len).collect();
            apply_mask(&mut payload, [9, 8, 7, 6]);
            let expected: Vec<u8> = (0..len).map(|i| i ^ (9 - i % 4)).collect();
            assert_eq!(payload, expected);
        }
    }
}
