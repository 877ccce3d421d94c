//! An embeddable reverse proxy for WebSocket frames: so far its engine.

pub mod error;
#[doc(hidden)]
pub mod ws;
