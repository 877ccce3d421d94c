//! The bytes that came from one side and were not dealt with yet: one buffer, in which frames are also changed
//! and from which they are sent.
//!
//! Rules: memory follows the bytes that really came, never a declared length. There is none until the first read; it
//! grows while reads fill it or a frame does not fit, is kept while as much comes, and is given back at rest
//! ([`Inbox::rest`]) or when little comes.
//!
//! Theory: of a mapping only those pages are memory that bytes were put into. So the step to the steady size is taken at
//! once, and larger ones double: a mapping more costs more than all of its pages that stay empty.

use super::buffer::Buffer;

/// What the first read is given, and what a thread that waits holds: a frame that is not large. Not less, as a thread of
/// glibc keeps for itself what it frees of up to 1032 bytes.
pub const SMALL: usize = 1280;
/// Reads that fill this much get the steady size next.
const ROOMY: usize = 8 * 1024;
/// What reads that fill the buffer make it grow to, and how much is read at once unless a frame needs more: a frame of
/// 64 KiB fits. Twice that costs more in cache misses than it saves in reads.
const STEADY: usize = 68 * 1024;
/// How many reads in a row that leave it nearly empty make it smaller.
const PATIENCE: u32 = 64;

/// Bytes received; `start..end` of them are unread.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Buffer,
    start: usize,
    end: usize,
    /// The room that the next read was given.
    room: usize,
    filled_up: bool,
    small_reads: u32,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> Self {
        Inbox::default()
    }

    /// What came and was not consumed.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        self.buffer.part(self.start..self.end)
    }

    /// The same, to change in place.
    #[inline]
    pub fn unread_mut(&mut self) -> &mut [u8] {
        self.buffer.part_mut(self.start..self.end)
    }

    /// Any part of the buffer, by the positions that [`Inbox::position`] gave.
    #[inline]
    pub fn slice(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.buffer.part(range)
    }

    /// Where the unread bytes begin; good until the next [`Inbox::space`] or [`Inbox::slim`].
    #[inline]
    pub fn position(&self) -> usize {
        self.start
    }

    /// The first `count` unread bytes are dealt with. They stay in place until then.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// How much memory [`Inbox::rest`] would give back; what is worth no move counts as none.
    pub fn spare(&self) -> usize {
        let unread = self.end - self.start;
        let spare = self.buffer.capacity() - unread;
        if unread == 0 || spare > unread.max(SMALL) {
            spare
        } else {
            0
        }
    }

    /// Little is to be expected for a while: keeps what is unread, and no more. Positions count no longer.
    pub fn rest(&mut self) {
        if self.spare() > 0 {
            self.move_to(self.end - self.start);
        }
    }

    /// Forgets everything unread.
    pub fn clear(&mut self) {
        self.start = self.end;
    }

    /// Room for the next read. `wanted` is how many more bytes the frame under way needs, as far as known.
    pub fn space(&mut self, wanted: usize) -> &mut [u8] {
        let size = self.next_size();
        if size != self.buffer.len() {
            self.move_to(size);
        } else if self.is_to_be_compacted(wanted) {
            self.compact();
        }
        if self.end == self.buffer.len() {
            self.grow(wanted);
        }
        self.room = (self.buffer.len() - self.end).min(wanted.max(STEADY));
        self.buffer.get_mut(self.end..self.end + self.room).unwrap_or_default()
    }

    /// `count` bytes were put into the room.
    pub fn filled(&mut self, count: usize) {
        self.end += count.min(self.buffer.len() - self.end);
        self.filled_up = count >= self.room;
        // Half of what makes it grow to that size, or reads of one size would have it shrink and grow in turns.
        let most = if self.buffer.len() > STEADY { self.buffer.len() / 8 } else { ROOMY / 2 };
        let is_little = self.end - self.start <= most.min(self.buffer.len() / 8);
        self.small_reads = if is_little { self.small_reads.saturating_add(1) } else { 0 };
    }

    /// Takes bytes that the host has read elsewhere.
    pub fn give(&mut self, bytes: &[u8]) {
        let needed = self.unread().len() + bytes.len();
        let mut size = self.next_size();
        if needed > size {
            size = needed.max((size * 2).min(needed * 2)); // a large frame comes in many parts
        }
        if size != self.buffer.len() {
            self.move_to(size);
        } else if self.buffer.len() - self.end < bytes.len() || self.start == self.end {
            self.compact();
        }
        if let Some(room) = self.buffer.get_mut(self.end..self.end + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.filled(bytes.len());
        self.filled_up = false; // how much is read at once is not for us to say
    }

    /// Takes bytes that came another way, such as with the handshake.
    pub fn append(&mut self, bytes: &[u8]) {
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(bytes);
        self.end = self.buffer.len();
    }

    /// The size for the next reads: larger when the last one filled it, smaller when little has come for a while.
    fn next_size(&self) -> usize {
        let (len, unread) = (self.buffer.len(), self.end - self.start);
        let is_too_large = self.small_reads > PATIENCE && unread <= SMALL / 2;
        match () {
            () if len < SMALL => SMALL.max(unread),
            () if self.filled_up && len < ROOMY => len * 2,
            () if self.filled_up && len < STEADY => STEADY,
            () if is_too_large && len > STEADY => STEADY,
            () if is_too_large => SMALL,
            () => len,
        }
    }

    /// Not while much would be moved; in a large buffer early, so that reads go to the same memory, in the cache.
    fn is_to_be_compacted(&self, wanted: usize) -> bool {
        let (unread, room) = (self.end - self.start, self.buffer.len() - self.end);
        let is_cheap = unread == 0 || (self.buffer.len() > STEADY && unread <= SMALL);
        self.start > 0 && (is_cheap || room < wanted.max(SMALL / 4))
    }

    /// Takes the unread bytes to the front.
    fn compact(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    /// Takes the unread bytes to the front of a buffer of `size` bytes.
    fn move_to(&mut self, size: usize) {
        let mut buffer = Buffer::zeros(size);
        let unread = self.unread();
        if let Some(front) = buffer.get_mut(..unread.len()) {
            front.copy_from_slice(unread);
        }
        (self.start, self.end) = (0, unread.len());
        self.buffer = buffer;
        (self.filled_up, self.small_reads) = (false, 0);
    }

    /// The buffer is full of a frame that is not whole: at most twice what came.
    fn grow(&mut self, wanted: usize) {
        let len = self.buffer.len();
        self.move_to(len + wanted.max(SMALL / 4).min(len.max(SMALL)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inbox: &mut Inbox, bytes: &[u8], wanted: usize) -> usize {
        let room = inbox.space(wanted);
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        inbox.filled(count);
        count
    }

    #[test]
    fn memory_follows_what_came_and_not_what_was_promised() {
        let mut inbox = Inbox::new();
        read(&mut inbox, &[1; 10], 1 << 40);
        assert_eq!(inbox.space(1 << 40).len(), SMALL - 10);
        let mut came = 10;
        while came < 1 << 20 {
            came += read(&mut inbox, &[2; 4096], 1 << 40);
            let most = if came < ROOMY { 2 * came.max(SMALL) } else { STEADY.max(2 * came) };
            assert!(inbox.buffer.capacity() <= most, "{came} bytes came");
        }
        assert_eq!(inbox.unread().len(), came);
    }

    #[test]
    fn bytes_that_are_given_at_once_cost_no_more_than_twice_themselves() {
        let mut inbox = Inbox::new();
        inbox.give(b"before");
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        inbox.give(&bytes);
        assert_eq!(inbox.unread(), [b"before", &bytes[..]].concat());
        assert!(inbox.buffer.capacity() <= 2 * inbox.unread().len());
    }

    #[test]
    fn a_large_frame_that_is_given_in_many_parts_is_moved_a_few_times() {
        let mut inbox = Inbox::new();
        let (mut moves, mut came) = (0, 0);
        let mut place = inbox.buffer.as_ptr();
        while came < 16 << 20 {
            inbox.give(&[1; 60_000]);
            came += 60_000;
            moves += u32::from(std::mem::replace(&mut place, inbox.buffer.as_ptr()) != place);
            assert!(inbox.buffer.capacity() <= 2 * came.max(SMALL), "{came} bytes came");
        }
        assert_eq!(inbox.unread().len(), came);
        assert!(moves < 12, "{moves} times");
    }

    #[test]
    fn at_rest_an_empty_one_has_no_memory() {
        let mut inbox = Inbox::new();
        assert_eq!(inbox.spare(), 0);
        read(&mut inbox, &[1; 10], 0);
        inbox.consume(10);
        assert_eq!(inbox.spare(), SMALL);
        inbox.rest();
        assert_eq!((inbox.spare(), inbox.buffer.capacity()), (0, 0));
        inbox.give(b"more");
        assert_eq!(inbox.unread(), b"more");
    }

    #[test]
    fn at_rest_in_the_middle_of_a_frame_only_its_bytes_are_kept() {
        let mut inbox = Inbox::new();
        inbox.give(&[1; 1 << 20]);
        inbox.consume((1 << 20) - 10);
        assert!(inbox.spare() > 1 << 19);
        inbox.rest();
        assert_eq!((inbox.spare(), inbox.buffer.capacity()), (0, 10));
        assert_eq!(read(&mut inbox, &[2; 20], 100), 20);
        assert_eq!(inbox.unread(), [[1; 10].as_slice(), &[2; 20]].concat());
    }

    #[test]
    fn at_rest_a_buffer_that_is_mostly_used_is_left_alone() {
        let mut inbox = Inbox::new();
        inbox.give(&[1; 100_000]);
        let place = inbox.buffer.as_ptr();
        inbox.rest();
        assert_eq!((inbox.spare(), inbox.buffer.as_ptr()), (0, place));
    }

    #[test]
    fn what_a_large_frame_has_made_of_it_is_kept_while_such_frames_come() {
        let mut inbox = Inbox::new();
        let mut moves = 0;
        for _ in 0..10 {
            let (mut left, mut place) = (1 << 20, inbox.buffer.as_ptr());
            while left > 0 {
                left -= read(&mut inbox, &[1; 10_000][..left.min(10_000)], left);
                moves += u32::from(std::mem::replace(&mut place, inbox.buffer.as_ptr()) != place);
            }
            inbox.consume(1 << 20);
        }
        assert!(moves < 12, "{moves} times");
    }

    #[test]
    fn what_a_large_frame_has_made_of_it_is_given_back_when_only_little_comes() {
        let mut inbox = Inbox::new();
        inbox.give(&[1; 1 << 20]);
        inbox.consume(1 << 20);
        for _ in 0..2 * (PATIENCE + 2) {
            read(&mut inbox, &[0; 100], 0);
            inbox.consume(100);
        }
        inbox.space(0);
        assert_eq!(inbox.buffer.capacity(), SMALL);
    }

    #[test]
    fn reads_of_one_size_do_not_have_it_shrink_and_grow_in_turns() {
        for size in [SMALL, SMALL + 1, ROOMY / 2 + 1, ROOMY, ROOMY + 200, STEADY] {
            let mut inbox = Inbox::new();
            let mut sizes = Vec::new();
            for _ in 0..10 * PATIENCE {
                let mut left = size;
                while left > 0 {
                    left -= read(&mut inbox, &[0; STEADY][..left], 0);
                }
                inbox.consume(size);
                sizes.push(inbox.buffer.len());
            }
            sizes.dedup();
            assert!(sizes.is_sorted(), "reads of {size}: {sizes:?}");
        }
    }

    #[test]
    fn reads_are_no_longer_than_they_need_be() {
        let mut inbox = Inbox::new();
        inbox.give(&[1; 1 << 20]);
        inbox.consume((1 << 20) - 1);
        assert_eq!(inbox.space(10).len(), STEADY);
        assert_eq!(inbox.space(500_000).len(), 500_000);
    }

    #[test]
    fn it_grows_under_load_and_is_small_again_when_little_comes() {
        let mut inbox = Inbox::new();
        for _ in 0..10 {
            let count = read(&mut inbox, &[0; 1 << 20], 0);
            inbox.consume(count - 1); // a frame is hardly ever whole at the end of a read
        }
        inbox.space(0);
        assert_eq!(inbox.buffer.len(), STEADY);
        inbox.clear();
        for _ in 0..=PATIENCE + 1 {
            read(&mut inbox, &[0; 100], 0);
            inbox.clear();
        }
        inbox.space(0);
        assert_eq!(inbox.buffer.len(), SMALL);
    }

    #[test]
    fn after_the_handshakes_what_came_early_is_kept_and_no_more() {
        let mut inbox = Inbox::new();
        inbox.append(&[7; 60_000]);
        inbox.consume(59_990);
        inbox.rest();
        assert_eq!((inbox.unread(), inbox.buffer.capacity()), ([7; 10].as_slice(), 10));
    }

    #[test]
    fn unread_bytes_survive_making_room() {
        let mut inbox = Inbox::new();
        let bytes: Vec<u8> = (0..=255).cycle().take(SMALL).collect();
        read(&mut inbox, &bytes, 0);
        inbox.consume(SMALL - 100);
        inbox.space(50_000);
        assert_eq!(inbox.unread(), &bytes[SMALL - 100..]);
        inbox.append(b"early");
        assert_eq!(inbox.unread(), [&bytes[SMALL - 100..], b"early"].concat());
    }

    #[test]
    fn a_frame_that_comes_in_drops_is_whole_in_a_buffer_that_is_too_large_for_it() {
        let mut inbox = Inbox::new();
        inbox.give(&[1; 1 << 20]);
        inbox.consume(1 << 20);
        let bytes: Vec<u8> = (0..=255).cycle().take(4080).collect();
        bytes.chunks(30).for_each(|drop| _ = read(&mut inbox, drop, 0));
        assert_eq!(inbox.unread(), bytes);
    }
}
