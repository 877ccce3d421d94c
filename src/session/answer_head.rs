//! The head of the upstream's answer, as it came: for a host that drives the session by pull to see.

use crate::ws::engine::Engine;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

fn heads_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD)?;
    Some(end + END_OF_HEAD.len())
}

/// The head that a refusal begins with.
pub(super) fn refused_head(engine: &mut Engine) -> Vec<u8> {
    let unread = engine.directions.upstream.inbox().unread();
    let end = heads_end(unread).unwrap_or(unread.len());
    unread.get(..end).unwrap_or_default().to_vec()
}

/// The last of the heads in the `consumed` bytes before what is unread: interim answers go before it.
pub(super) fn last_head(engine: &mut Engine, consumed: usize) -> Vec<u8> {
    let inbox = engine.directions.upstream.inbox();
    let end = inbox.position();
    let mut head = inbox.slice(end.saturating_sub(consumed)..end);
    while let Some(next) = heads_end(head).and_then(|end| head.get(end..)) {
        if next.is_empty() {
            break;
        }
        head = next;
    }
    head.to_vec()
}
