//! What has crossed, counted.

use super::close::Close;
use super::frame::{Kind, PerSide, Side};

/// Counters of one side. "From it" unless said otherwise; bytes are payload bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SideStats {
    /// Frames received, in the order of [`Kind::ALL`].
    pub frames: [u64; 6],
    /// Payload bytes received, in the order of [`Kind::ALL`].
    pub bytes: [u64; 6],
    /// Frames (messages, when aggregating) from it that the hook dropped.
    pub dropped: u64,
    /// Frames (messages, when aggregating) from it that the hook changed.
    pub replaced: u64,
    /// Frames that the host sent to it.
    pub sent_by_host: u64,
    /// The code of the close frame that it sent: `Some(None)` for one without code.
    pub close_received: Option<Option<u16>>,
    /// The code of the close frame that it was sent.
    pub close_sent: Option<Option<u16>>,
}

impl SideStats {
    #[inline]
    pub(crate) fn count_frame(&mut self, kind: Kind, payload: usize) {
        let at = kind.index();
        if let (Some(frames), Some(bytes)) = (self.frames.get_mut(at), self.bytes.get_mut(at)) {
            *frames += 1;
            *bytes += payload as u64;
        }
    }

    pub(crate) fn note_close_received(&mut self, close: &Close) {
        self.close_received.get_or_insert(close.code());
    }
}

/// Counters of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// The client's.
    pub client: SideStats,
    /// The upstream's.
    pub upstream: SideStats,
    /// The side whose close frame came first.
    pub first_close: Option<Side>,
}

impl Stats {
    pub(crate) fn side_mut(&mut self, side: Side) -> &mut SideStats {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// Puts together what the two directions counted.
    pub(crate) fn of(sides: PerSide<SideStats>, first_close: Option<Side>) -> Stats {
        Stats { client: sides.client, upstream: sides.upstream, first_close }
    }
}
