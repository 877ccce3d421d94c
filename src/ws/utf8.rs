//! UTF-8 as it arrives (RFC 6455 section 8.1): text may be cut anywhere, inside a character too.
//!
//! Theory: all but an unfinished last character is checked at once with SIMD; the unfinished one waits, at most
//! three bytes. A prefix that no character can begin with is refused before the rest of it comes.

/// Up to here it is worth to see first whether all of it is ASCII: of what is, it saves three quarters of the time; of
/// what is not, it costs a third more.
const SHORT: usize = 256;

/// How far the text of one message has been checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utf8 {
    partial: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Takes the next bytes; `false` when the text can no longer be UTF-8.
    #[must_use]
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let is_plain = self.len == 0 && bytes.len() <= SHORT && is_ascii(bytes);
        is_plain || self.feed_any(bytes)
    }

    #[inline(never)]
    fn feed_any(&mut self, mut bytes: &[u8]) -> bool {
        while self.len > 0 {
            let Some((&next, rest)) = bytes.split_first() else { return true };
            bytes = rest;
            if !self.grow(next) {
                return false;
            }
        }
        let (whole, unfinished) = bytes.split_at(bytes.len() - unfinished_tail(bytes));
        simdutf8::basic::from_utf8(whole).is_ok() && unfinished.iter().all(|&byte| self.grow(byte))
    }

    /// Whether the text may end here.
    pub fn is_complete(&self) -> bool {
        self.len == 0
    }

    /// Adds a byte to the unfinished character; `false` when none can look like that.
    fn grow(&mut self, byte: u8) -> bool {
        let at = usize::from(self.len);
        let Some(slot) = self.partial.get_mut(at) else { return false };
        *slot = byte;
        let seen = self.partial.get(..=at).unwrap_or_default();
        match std::str::from_utf8(seen) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_none() => self.len += 1,
            Err(_) => return false,
        }
        true
    }
}

/// By words, the last of which may overlap: for text this short the library's own takes several times as long.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let any = bytes.chunks_exact(8).filter_map(<[u8]>::first_chunk).copied();
    let any = any.map(u64::from_ne_bytes).fold(0, |any, word| any | word);
    let end = match bytes.last_chunk() {
        Some(&word) => u64::from_ne_bytes(word),
        None => bytes.iter().fold(0, |any, &byte| any | u64::from(byte)),
    };
    (any | end) & u64::from_ne_bytes([0x80; 8]) == 0
}

/// How many bytes at the end begin a character that is not whole; at most three.
fn unfinished_tail(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if needed > back + 1 { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid_in_two_pieces(bytes: &[u8], cut: usize) -> bool {
        let mut state = Utf8::default();
        state.feed(&bytes[..cut]) && state.feed(&bytes[cut..]) && state.is_complete()
    }

    #[test]
    fn text_is_judged_alike_at_every_cut() {
        let samples: [&[u8]; 9] = [
            "plain".as_bytes(),
            "κόσμε — 水 🦀 end".as_bytes(),
            b"\xce\xba\xed\xa0\x80edited", // a surrogate
            b"\xf4\x90\x80\x80",           // beyond U+10FFFF
            b"\xc0\xaf",                   // overlong
            b"abc\xff",
            b"\x80",
            b"cut \xe6\xb0",
            b"\xf0\x9f\xa6\x80\xf0\x9f",
        ];
        for sample in samples {
            let expected = std::str::from_utf8(sample).is_ok();
            for cut in 0..=sample.len() {
                assert_eq!(valid_in_two_pieces(sample, cut), expected, "{sample:?} cut at {cut}");
            }
            let mut state = Utf8::default();
            let bytewise = sample.iter().all(|&b| state.feed(&[b])) && state.is_complete();
            assert_eq!(bytewise, expected, "{sample:?} byte by byte");
        }
    }

    #[test]
    fn a_short_text_is_judged_alike_wherever_it_is_not_ascii() {
        for len in 0..=SHORT + 1 {
            let mut text = vec![b'a'; len];
            assert!(Utf8::default().feed(&text));
            for at in 0..len {
                text[at] = 0xFF;
                assert!(!Utf8::default().feed(&text), "byte {at} of {len}");
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn a_hopeless_prefix_is_refused_before_the_character_ends() {
        assert!(!Utf8::default().feed(b"\xed\xa0"));
        assert!(!Utf8::default().feed(b"\xf4\x90"));
        assert!(!Utf8::default().feed(b"\xc0"));
    }
}
