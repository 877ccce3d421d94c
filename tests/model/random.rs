//! Numbers that look random and follow from a seed (splitmix64), so that every case can be run again.

/// A generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The generator of one case of a run.
    pub(crate) fn of_case(seed: u64, case: u64) -> Self {
        let mut random = Random(seed ^ case.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Random(random.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Less than `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_ne_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    /// Exactly `len` bytes of text, with characters of one to four bytes and those at the edges of each length.
    pub(crate) fn text(&mut self, len: usize) -> Vec<u8> {
        const CHARACTERS: [char; 16] = [
            'a',
            '\0',
            '\u{7F}',
            '\u{80}',
            'é',
            '\u{7FF}',
            '\u{800}',
            '水',
            '\u{D7FF}',
            '\u{E000}',
            '\u{FEFF}',
            '\u{FFFF}',
            '\u{10000}',
            '🦀',
            '\u{FFFFF}',
            '\u{10FFFF}',
        ];
        let mut text = String::new();
        while text.len() < len.min(300) {
            let next = self.pick(&CHARACTERS);
            if text.len() + next.len_utf8() <= len {
                text.push(next);
            }
        }
        let mut bytes = text.into_bytes();
        bytes.resize(len, b'.');
        bytes
    }
}
