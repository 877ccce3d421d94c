//! Bytes that grow: a few on the heap, many in a mapping of their own.
//!
//! Theory: what `free` takes back stays with the process, as a rule; a mapping that is dropped goes back to the system
//! at once. So a session that had much to do, and is idle again, costs no more than one that never had. The price is a
//! few system calls and a fault per page when a buffer grows, which is why buffers are kept while bytes come.
//!
//! Rules: memory is never taken ahead of the bytes that are there but to twice as much. Where the system gives no mapping
//! (their number is limited), the heap does.

use std::ops::{Deref, DerefMut, Range};

use memmap2::{Advice, MmapMut};

/// From here on a mapping: four pages.
const LARGE: usize = 16 * 1024;
/// From here on in pages of 2 MiB, where the system has them: a fault for each 4 KiB would cost as much as the bytes.
const HUGE: usize = 4 * 1024 * 1024;

/// See the top of this file.
#[derive(Debug, Default)]
pub struct Buffer {
    store: Store,
    len: usize,
}

/// All of it is initialised.
#[derive(Debug)]
enum Store {
    Heap(Vec<u8>),
    Mapping(MmapMut),
}

impl Default for Store {
    fn default() -> Self {
        Store::Heap(Vec::new())
    }
}

impl Store {
    fn of(size: usize) -> Store {
        if size < LARGE {
            return Store::Heap(vec![0; size]);
        }
        match MmapMut::map_anon(size) {
            Ok(mapping) => {
                if size >= HUGE {
                    let _ = mapping.advise(Advice::HugePage); // without them it is slower, and no less true
                }
                Store::Mapping(mapping)
            }
            Err(_) => Store::Heap(vec![0; size]),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Store::Heap(bytes) => bytes,
            Store::Mapping(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Store::Heap(bytes) => bytes,
            Store::Mapping(bytes) => bytes,
        }
    }
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer { store: Store::of(len), len }
    }

    /// Room for `size` bytes.
    pub fn with_capacity(size: usize) -> Self {
        Buffer { store: Store::of(size), len: 0 }
    }

    /// How many bytes it has; asked of the number itself, since it is asked for each frame.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes fit without more memory.
    pub fn capacity(&self) -> usize {
        self.store.bytes().len()
    }

    /// The bytes at `range`, for one who knows that they are there: only the memory's size is looked at.
    #[inline]
    pub fn part(&self, range: Range<usize>) -> &[u8] {
        self.store.bytes().get(range).unwrap_or_default()
    }

    /// The same, to change.
    #[inline]
    pub fn part_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.store.bytes_mut().get_mut(range).unwrap_or_default()
    }

    /// Forgets all but the first `len` bytes; the memory stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets all bytes; the memory stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let len = self.len + bytes.len();
        if len > self.capacity() {
            self.grow(len);
        }
        if let Some(room) = self.store.bytes_mut().get_mut(self.len..len) {
            room.copy_from_slice(bytes);
            self.len = len;
        }
    }

    /// Makes room for `needed` bytes, and for as many as there are.
    fn grow(&mut self, needed: usize) {
        let size = needed.max(2 * self.len);
        let mut larger = Store::of(size);
        if let Some(front) = larger.bytes_mut().get_mut(..self.len) {
            front.copy_from_slice(self);
        }
        self.store = larger;
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.store.bytes().get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.store.bytes_mut().get_mut(..self.len).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Buffer {
    /// Without a copy.
    fn from(bytes: Vec<u8>) -> Self {
        Buffer { len: bytes.len(), store: Store::Heap(bytes) }
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Buffer::with_capacity(bytes.len());
        buffer.extend_from_slice(bytes);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_there_from_the_heap_to_mappings() {
        let (mut buffer, mut all) = (Buffer::default(), Vec::new());
        for size in [1, 100, LARGE - 101, 1, 70_000, HUGE] {
            let bytes: Vec<u8> = (0..=255).cycle().skip(size % 251).take(size).collect();
            buffer.extend_from_slice(&bytes);
            all.extend_from_slice(&bytes);
            assert!(*buffer == *all, "{} bytes", all.len());
        }
    }

    #[test]
    fn room_is_at_most_twice_what_is_there() {
        let mut buffer = Buffer::default();
        for _ in 0..1000 {
            buffer.extend_from_slice(&[1; 777]);
            assert!(buffer.capacity() <= 2 * buffer.len(), "{} bytes", buffer.len());
        }
    }

    #[test]
    fn many_bytes_lie_in_a_mapping_of_their_own_and_few_on_the_heap() {
        assert!(matches!(Buffer::zeros(LARGE - 1).store, Store::Heap(_)));
        assert!(matches!(Buffer::zeros(LARGE).store, Store::Mapping(_)));
        assert_eq!(Buffer::default().capacity(), 0);
    }

    #[test]
    fn what_was_forgotten_is_written_over() {
        let mut buffer = Buffer::from(&b"one"[..]);
        buffer.clear();
        buffer.extend_from_slice(b"two");
        assert_eq!(*buffer, *b"two");
        buffer.truncate(1);
        assert_eq!(*buffer, *b"t");
    }
}
