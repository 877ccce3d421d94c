//! Calling the hook: a panic in it is a failed hook, never the end of the process or of a thread.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::ws::handshake::{Admission, Handshake};
use crate::ws::verdict::{Frame, Verdict};

/// Asks the hook about a frame.
pub(crate) fn ask(hook: impl FnOnce(&mut Frame<'_>) -> Verdict, frame: &mut Frame<'_>) -> Verdict {
    // Unwind safety: after a panic the hook is not called again, and the frame is not sent.
    catch_unwind(AssertUnwindSafe(|| hook(frame))).unwrap_or_else(|panic| {
        Verdict::Failed(format!("the hook panicked: {}", words(panic.as_ref())))
    })
}

/// Asks the handshake hook about a client.
pub(crate) fn admit(
    hook: impl FnOnce(&mut Handshake<'_>) -> Admission,
    handshake: &mut Handshake<'_>,
) -> Admission {
    // Unwind safety: after a panic nothing that the hook has changed is used.
    catch_unwind(AssertUnwindSafe(|| hook(handshake))).unwrap_or_else(|panic| {
        Admission::Failed(format!("the handshake hook panicked: {}", words(panic.as_ref())))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
