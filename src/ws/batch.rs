//! What one direction has made ready to be written: at best the very bytes that arrived, where they lie.
//!
//! Theory: frames forwarded as they came stay in the inbox and form one run. The first frame that was changed in
//! length, dropped, or put in by the host breaks the run; from there on bytes are copied behind it, into the tail.
//! A run and a tail are two slices, written by one call.

use std::ops::Range;

use super::buffer::Buffer;
use super::inbox::Inbox;

/// A tail larger than this is given back when it is written.
const KEPT_TAIL: usize = 64 * 1024;

/// Bytes to write, in order: the run, then the tail.
#[derive(Debug, Default)]
pub struct Batch {
    run: Range<usize>,
    tail: Buffer,
    written: usize,
}

impl Batch {
    /// Whether everything was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.run.is_empty() && self.tail.len() == self.written
    }

    /// Whether more was copied together than a read brings: a hook that makes frames larger, or sends its own.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.tail.len() - self.written > KEPT_TAIL
    }

    /// What is to be written.
    pub fn slices<'a>(&'a self, inbox: &'a Inbox) -> [&'a [u8]; 2] {
        [inbox.slice(self.run.clone()), self.tail.get(self.written..).unwrap_or_default()]
    }

    /// Takes all of it: the run, if there is nothing else, is left where it lies; else `copy` has it all.
    pub fn take(&mut self, inbox: &Inbox, copy: &mut Buffer) -> Option<Range<usize>> {
        let run = std::mem::take(&mut self.run);
        let in_place = self.tail.is_empty();
        if !in_place {
            copy.extend_from_slice(inbox.slice(run.clone()));
            copy.extend_from_slice(self.tail.get(self.written..).unwrap_or_default());
        }
        self.clear();
        in_place.then_some(run)
    }

    /// Copies the run, so that the inbox may move its bytes.
    pub fn lift(&mut self, inbox: &Inbox) {
        let run = std::mem::take(&mut self.run);
        if !run.is_empty() {
            let (run, rest) = (inbox.slice(run), self.tail.get(self.written..).unwrap_or_default());
            let mut lifted = Buffer::with_capacity(run.len() + rest.len());
            lifted.extend_from_slice(run);
            lifted.extend_from_slice(rest);
            (self.tail, self.written) = (lifted, 0);
        }
    }

    /// `count` bytes of it were written.
    pub fn wrote(&mut self, count: usize) {
        let of_run = count.min(self.run.len());
        self.run.start += of_run;
        self.written += count - of_run;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Nothing of it is to be written any more.
    pub fn clear(&mut self) {
        self.run = 0..0;
        self.written = 0;
        self.tail.clear();
        if self.tail.capacity() > KEPT_TAIL {
            self.tail = Buffer::default();
        }
    }

    /// How much memory [`Batch::rest`] would give back.
    pub fn spare(&self) -> usize {
        if self.is_empty() {
            self.tail.capacity()
        } else {
            0
        }
    }

    /// Little is to be expected for a while.
    pub fn rest(&mut self) {
        if self.is_empty() {
            *self = Batch::default();
        }
    }

    /// Adds bytes that lie ready in the inbox.
    #[inline]
    pub fn add_in_place(&mut self, inbox: &Inbox, range: Range<usize>) {
        let is_one_run = self.tail.is_empty() && !self.run.is_empty();
        if is_one_run && self.run.end == range.start {
            self.run.end = range.end;
        } else if self.is_empty() {
            self.clear();
            self.run = range;
        } else {
            self.tail.extend_from_slice(inbox.slice(range));
        }
    }

    /// Adds a buffer whose first `skip` bytes do not count, without a copy where that is possible.
    pub fn add_owned(&mut self, bytes: Buffer, skip: usize) {
        if self.tail.is_empty() {
            self.tail = bytes;
            self.written = skip;
        } else {
            self.tail.extend_from_slice(bytes.get(skip..).unwrap_or_default());
        }
    }

    /// Where to append frames that lie nowhere yet.
    pub fn tail(&mut self) -> &mut Buffer {
        &mut self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(batch: &Batch, inbox: &Inbox) -> String {
        String::from_utf8(batch.slices(inbox).concat()).unwrap()
    }

    #[test]
    fn neighbours_are_one_run_and_nothing_is_copied() {
        let (mut inbox, mut batch) = (Inbox::new(), Batch::default());
        inbox.append(b"onetwothree");
        batch.add_in_place(&inbox, 0..3);
        batch.add_in_place(&inbox, 3..6);
        assert_eq!(batch.slices(&inbox), [b"onetwo".as_slice(), b""]);
    }

    #[test]
    fn order_is_kept_behind_a_gap_and_across_partial_writes() {
        let (mut inbox, mut batch) = (Inbox::new(), Batch::default());
        inbox.append(b"onetwothree");
        batch.add_in_place(&inbox, 0..3);
        batch.tail().extend_from_slice(b"-host-");
        batch.add_in_place(&inbox, 6..11);
        batch.add_owned(b"....last"[..].into(), 4);
        let mut written = String::new();
        while !batch.is_empty() {
            written.push_str(&text(&batch, &inbox)[..1]);
            batch.wrote(1);
        }
        assert_eq!(written, "one-host-threelast");
    }

    #[test]
    fn what_is_taken_stays_in_place_unless_there_is_a_tail() {
        let (mut inbox, mut batch) = (Inbox::new(), Batch::default());
        inbox.append(b"onetwothree");
        let mut copy = Buffer::default();
        batch.add_in_place(&inbox, 0..6);
        assert_eq!((batch.take(&inbox, &mut copy), copy.len()), (Some(0..6), 0));
        batch.add_in_place(&inbox, 0..3);
        batch.tail().extend_from_slice(b"-host-");
        assert_eq!(batch.take(&inbox, &mut copy), None);
        assert_eq!(*copy, *b"one-host-");
        assert!(batch.is_empty());
    }

    #[test]
    fn what_was_lifted_does_not_need_the_inbox() {
        let (mut inbox, mut batch) = (Inbox::new(), Batch::default());
        inbox.append(b"onetwo");
        batch.add_in_place(&inbox, 0..6);
        batch.wrote(1);
        batch.tail().extend_from_slice(b"-host-");
        batch.lift(&inbox);
        assert_eq!(text(&batch, &Inbox::new()), "netwo-host-");
        batch.wrote(7);
        batch.lift(&inbox);
        assert_eq!(text(&batch, &Inbox::new()), "ost-");
    }

    #[test]
    fn a_joined_message_is_lifted_without_the_room_before_it() {
        let (mut inbox, mut batch) = (Inbox::new(), Batch::default());
        inbox.append(b"one-");
        batch.add_in_place(&inbox, 0..4);
        batch.add_owned(b"....message"[..].into(), 4);
        batch.lift(&inbox);
        assert_eq!(text(&batch, &Inbox::new()), "one-message");
    }

    #[test]
    fn a_joined_message_is_sent_from_where_it_was_joined() {
        let (inbox, mut batch) = (Inbox::new(), Batch::default());
        batch.add_owned(b"....message"[..].into(), 4);
        assert_eq!(text(&batch, &inbox), "message");
        batch.wrote(7);
        assert!(batch.is_empty());
    }
}
