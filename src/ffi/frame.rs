//! The hook of a C host: shows a frame as a struct, lets it be changed, reads the verdict.
//!
//! Theory: the struct that the host sees is the first field of a [`Shown`], which knows the Rust [`Frame`] behind
//! it. It is lent to the hook (`lent`), so that a pointer kept beyond the hook, a copy, or one carried to another
//! thread is an error and not a stray write.

use std::cell::{RefCell, UnsafeCell};
use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

use super::constants::{
    close_code, close_number, kind_number, side_number, sides, wsproxy_verdict, NO_STATUS,
};
use super::session::wsproxy;
use super::{guard, incoming, lent};
use crate::error::{Error, Result};
use crate::{Close, Frame, Kind, PerSide, Verdict};

/// A frame, lent to the hook until it returns. Read-only: the functions `wsproxy_frame_*` change it. May grow at
/// its end.
#[repr(C)]
pub struct wsproxy_frame {
    /// The side it came from: WSPROXY_CLIENT or WSPROXY_UPSTREAM.
    pub from: i32,
    /// What it is: WSPROXY_TEXT and so on.
    pub kind: i32,
    /// 1 if it is the last or only fragment of its message, else 0; 1 on control frames.
    pub fin: i32,
    /// On a close frame its code, or WSPROXY_CLOSE_ABSENT; 0 on others.
    pub code: i32,
    /// The payload, unmasked, not NUL-terminated; on a close frame the reason.
    pub payload: *const u8,
    /// Its length in bytes.
    pub payload_len: usize,
}

/// Looks at one frame and returns WSPROXY_FORWARD, WSPROXY_DROP or WSPROXY_END; anything else is a failed hook:
/// both sides get close 1011 and `wsproxy_execute` returns WSPROXY_ERR_HOOK.
///
/// `frame` is lent until the hook returns; `userdata` is what `wsproxy_execute` or `wsproxy_server_run` was given.
/// Where the hook runs is told by the policy. It may call `wsproxy_send`, `wsproxy_stop`, `wsproxy_drain`,
/// `wsproxy_abort`, `wsproxy_free`, `wsproxy_set_userdata`, the questions (`wsproxy_stats`, `wsproxy_subprotocol` and so
/// on), the functions `wsproxy_frame_*`, and of a server `wsproxy_server_drain`, `_free` and the questions. It may not
/// unwind (no C++ exception, no longjmp out of it).
pub type wsproxy_on_frame = Option<
    unsafe extern "C-unwind" fn(
        p: *mut wsproxy,
        frame: *mut wsproxy_frame,
        userdata: *mut c_void,
    ) -> c_int,
>;

type OnFrame = unsafe extern "C-unwind" fn(*mut wsproxy, *mut wsproxy_frame, *mut c_void) -> c_int;

/// The host's function with what it is to be handed.
pub(super) struct Hook {
    on_frame: OnFrame,
    session: *mut wsproxy,
    userdata: *mut c_void,
}

// SAFETY: the pointers are only handed back to the host's function, which the host promises to be callable where
// the policy it chose runs it. The session behind `session` is alive as long as the call of `wsproxy_execute`
// that owns this.
unsafe impl Send for Hook {}
// SAFETY: as above; nothing in it is ever changed.
unsafe impl Sync for Hook {}

impl Hook {
    pub(super) fn new(on_frame: OnFrame, session: *mut wsproxy, userdata: *mut c_void) -> Self {
        Hook { on_frame, session, userdata }
    }

    /// Shows `frame` to the host and reads its verdict.
    pub(super) fn show(&self, frame: &mut Frame<'_>) -> Verdict {
        let shown = Shown::new(frame, self.session);
        // SAFETY: the host's promise about its function; `shown` stays where it is until the call is over.
        let verdict = lent::lend(&shown, || unsafe {
            (self.on_frame)(self.session, shown.public.get(), self.userdata)
        });
        shown.ends.into_inner().verdict(verdict)
    }
}

/// A frame while the hook looks at it.
#[repr(C)]
struct Shown {
    public: UnsafeCell<wsproxy_frame>,
    /// The Rust frame; its lifetime is erased, the loan ends before it.
    frame: NonNull<Frame<'static>>,
    session: *mut wsproxy,
    ends: RefCell<Ends>,
}

impl Shown {
    fn new(frame: &mut Frame<'_>, session: *mut wsproxy) -> Self {
        Shown {
            public: wsproxy_frame::of(frame).into(),
            frame: NonNull::from(frame).cast(),
            session,
            ends: RefCell::default(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Frame<'_>) -> Result<()>) -> Result<()> {
        // SAFETY: we are on the thread that shows the frame, inside the hook, and nobody else touches it
        // meanwhile: `show` holds the only reference, and no function called here calls back into the host.
        let (frame, public) = unsafe { (&mut *self.frame.as_ptr(), &mut *self.public.get()) };
        change(frame)?;
        *public = wsproxy_frame::of(frame);
        Ok(())
    }
}

/// Whether the hook that is running on this thread was shown a frame of `session`, which is alive until it returns.
#[inline]
pub(super) fn is_shown_by(session: *const wsproxy) -> bool {
    // SAFETY: this thread is lending it, so `show` has not returned.
    let showing = lent::innermost::<Shown>().map(|shown| unsafe { shown.as_ref() }.session);
    showing.is_some_and(|showing| std::ptr::eq(showing, session))
}

impl wsproxy_frame {
    /// `frame` as C sees it.
    pub(super) fn of(frame: &Frame<'_>) -> Self {
        wsproxy_frame {
            from: side_number(frame.from()),
            kind: kind_number(frame.kind()),
            fin: i32::from(frame.fin()),
            code: code_number(frame),
            payload: frame.payload().as_ptr(),
            payload_len: frame.payload().len(),
        }
    }
}

/// What WSPROXY_END sends to each side; `None` is 1000 for both. Boxed: it is rare, and there is one for each frame.
#[derive(Default)]
pub(super) struct Ends(Option<Box<PerSide<Close>>>);

impl Ends {
    /// What the host says of `side`, or of both.
    pub(super) fn set(&mut self, side: c_int, code: c_int, reason: &str) -> Result<()> {
        let sides = sides(side)?;
        let close = close(code, reason)?;
        let ends = match &mut self.0 {
            Some(ends) => ends,
            unset => unset.insert(Box::new(normal_ends()?)),
        };
        sides.iter().for_each(|side| *ends.get_mut(*side) = close.clone());
        Ok(())
    }

    /// The verdict that the host means by `number`.
    #[inline]
    pub(super) fn verdict(self, number: c_int) -> Verdict {
        match number == wsproxy_verdict::WSPROXY_FORWARD as c_int {
            true => Verdict::Forward,
            false => self.other_verdict(number),
        }
    }

    #[inline(never)] // there is one for each frame, and nearly all are the first
    fn other_verdict(self, number: c_int) -> Verdict {
        match number {
            n if n == wsproxy_verdict::WSPROXY_DROP as c_int => Verdict::Drop,
            n if n == wsproxy_verdict::WSPROXY_END as c_int => {
                match self.0.map_or_else(normal_ends, |ends| Ok(*ends)) {
                    Ok(PerSide { client, upstream }) => Verdict::End { client, upstream },
                    Err(error) => Verdict::Failed(error.message().to_owned()),
                }
            }
            _ => Verdict::Failed(format!("the hook returned {number}, which is no verdict")),
        }
    }
}

/// The close frame that the host means.
pub(super) fn close(code: c_int, reason: &str) -> Result<Close> {
    Close::new(close_code(code)?.unwrap_or(NO_STATUS), reason)
}

fn normal_ends() -> Result<PerSide<Close>> {
    Ok(PerSide { client: Close::new(1000, "")?, upstream: Close::new(1000, "")? })
}

/// Replaces the payload of `frame` by `len` bytes at `data`, which may lie within it.
pub(super) unsafe fn replace_payload(
    frame: &mut Frame<'_>,
    data: *const c_void,
    len: usize,
) -> Result<()> {
    // SAFETY: passed on to the caller.
    let data = unsafe { incoming::bytes("payload", data, len) }?;
    let (new, old) = (data.as_ptr_range(), frame.payload().as_ptr_range());
    if new.start < old.end && old.start < new.end {
        let copy = data.to_vec(); // else it would be written over while it is read
        return frame.set_payload(&copy);
    }
    frame.set_payload(data)
}

fn code_number(frame: &Frame<'_>) -> c_int {
    match frame.kind() {
        Kind::Close => close_number(frame.code()),
        _ => 0,
    }
}

/// Runs `body` with the frame behind `frame`, if this thread is showing it.
unsafe fn shown(frame: *mut wsproxy_frame, body: impl FnOnce(&Shown) -> Result<()>) -> c_int {
    guard::code(|| {
        if frame.is_null() {
            return Err(Error::argument("the frame is NULL"));
        }
        let shown = lent::find::<Shown>(frame.cast())
            .ok_or_else(|| Error::state("this thread is not inside the hook of this frame"))?;
        // SAFETY: this thread is lending it, so `show` has not returned.
        let shown = unsafe { shown.as_ref() };
        let result = guard::catch(Err, || body(shown));
        if let Err(error) = &result {
            // SAFETY: the session is alive while its hook runs.
            unsafe { &*shown.session }.words.record(error);
        }
        result
    })
}

/// Replaces the payload of a frame; on a close frame its reason. Inside the hook only.
///
/// `data` is copied, and may be a part of the present payload. Afterwards `frame->payload` and
/// `frame->payload_len` tell the new one, and the old pointer is dead.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, for more than 125 bytes in a control frame or 123 in a close
/// reason, for text that is not UTF-8, and for a reason on a close frame without a code, whose code is to be set
/// first (`wsproxy_frame_set_code`); WSPROXY_ERR_STATE outside the hook of this frame. After a failure nothing was
/// changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_frame_set_payload(
    frame: *mut wsproxy_frame,
    data: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { shown(frame, |shown| shown.change(|frame| replace_payload(frame, data, len))) }
}

/// Replaces the code of a close frame; WSPROXY_CLOSE_ABSENT takes it away, and then no reason is sent either. Inside
/// the hook only.
///
/// Codes that must not be on the wire are mapped: 1005 to no code, others to 1011.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, for other frames and for numbers that are no code;
/// WSPROXY_ERR_STATE outside the hook of this frame. After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_frame_set_code(frame: *mut wsproxy_frame, code: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        shown(frame, |shown| {
            let code = close_code(code)?;
            shown.change(|frame| frame.set_code(code))
        })
    }
}

/// Says what WSPROXY_END sends to `side` (or WSPROXY_BOTH); without it, 1000 goes to both. Inside the hook only; it
/// ends nothing by itself.
///
/// `code` may be WSPROXY_CLOSE_ABSENT; codes that must not be on the wire are mapped: 1005 to no code, others to
/// 1011. `reason` is copied: UTF-8, at most 123 bytes, none without a code, NULL if `reason_len` is 0.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, another side, code or reason; WSPROXY_ERR_STATE outside the
/// hook of this frame. After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_frame_set_end(
    frame: *mut wsproxy_frame,
    side: c_int,
    code: c_int,
    reason: *const c_char,
    reason_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        shown(frame, |shown| {
            let reason = incoming::text("close reason", reason, reason_len)?;
            shown.ends.borrow_mut().set(side, code, reason)
        })
    }
}
