//! Masking (RFC 6455 section 5.3): the transform, and where fresh masks come from.
//!
//! Theory: the transform is an exclusive or with four bytes, over and over. Blocks of 32 bytes let the compiler use
//! vector registers without `unsafe`; what is left of a small frame goes by eight, by four, and by single bytes.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A masking key.
pub type Mask = [u8; 4];

/// Masks or unmasks `payload`, whose first byte is byte number `offset` of its frame.
#[inline]
pub fn apply_mask(payload: &mut [u8], mask: Mask, offset: usize) {
    let key = rotated(mask, offset);
    let word = u64::from(key) << 32 | u64::from(key);
    let mut blocks = payload.chunks_exact_mut(32);
    for block in &mut blocks {
        block.chunks_exact_mut(8).for_each(|bytes| apply_word(bytes, word));
    }
    let mut words = blocks.into_remainder().chunks_exact_mut(8);
    (&mut words).for_each(|bytes| apply_word(bytes, word));
    let mut rest = words.into_remainder();
    if rest.len() >= 4 {
        let (half, end) = rest.split_at_mut(4);
        apply_half(half, key);
        rest = end;
    }
    rest.iter_mut().zip(key.to_ne_bytes()).for_each(|(byte, key)| *byte ^= key);
}

/// What makes of a payload that is masked by `old` one that is masked by `new`.
#[inline]
pub fn exchange(old: Mask, new: Mask) -> Mask {
    (u32::from_ne_bytes(old) ^ u32::from_ne_bytes(new)).to_ne_bytes()
}

#[inline(always)] // into its loops, which are made of vector registers then
fn apply_word(bytes: &mut [u8], word: u64) {
    if let Some(bytes) = bytes.first_chunk_mut::<8>() {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
}

#[inline(always)] // as above
fn apply_half(bytes: &mut [u8], key: u32) {
    if let Some(bytes) = bytes.first_chunk_mut::<4>() {
        *bytes = (u32::from_ne_bytes(*bytes) ^ key).to_ne_bytes();
    }
}

/// The mask as a number in memory's order, from byte number `offset` of a frame on.
#[inline]
fn rotated(mask: Mask, offset: usize) -> u32 {
    u32::from_le_bytes(mask).rotate_right(8 * (offset % 4) as u32).to_le()
}

/// Unpredictable masks without a system call each: a ChaCha generator, buffered (RFC 6455 section 10.3).
pub struct MaskSource(StdRng);

impl MaskSource {
    /// Masks that follow from `seed`, which must come from the operating system's generator.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        MaskSource(StdRng::from_seed(seed))
    }

    /// The next fresh mask.
    #[inline]
    pub fn next_mask(&mut self) -> Mask {
        self.0.next_u32().to_ne_bytes()
    }
}

impl std::fmt::Debug for MaskSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskSource") // its state would tell the masks to come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_by_one(payload: &mut [u8], mask: Mask, offset: usize) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[(i + offset) % 4];
        }
    }

    #[test]
    fn words_and_single_bytes_mask_alike_at_every_length_and_offset() {
        let mask = [0x6d, 0xb6, 0xb2, 0x80];
        for len in 0..70 {
            for offset in 0..9 {
                let plain: Vec<u8> = (0..len as u8).collect();
                let (mut fast, mut slow) = (plain.clone(), plain);
                apply_mask(&mut fast, mask, offset);
                one_by_one(&mut slow, mask, offset);
                assert_eq!(fast, slow, "length {len}, offset {offset}");
            }
        }
    }

    #[test]
    fn masks_differ_from_one_another_and_from_seed_to_seed() {
        let mut source = MaskSource::from_seed([7; 32]);
        let masks: std::collections::HashSet<Mask> =
            (0..1000).map(|_| source.next_mask()).collect();
        assert!(masks.len() > 990);
        assert_ne!(
            MaskSource::from_seed([7; 32]).next_mask(),
            MaskSource::from_seed([8; 32]).next_mask()
        );
    }
}
