//! The one guard of the C line: panics are caught, NULL is an error, results become codes, words are kept.
//!
//! Rule: every exported function is one call of a function in this file. Unwinding never crosses the line.

use std::any::Any;
use std::ffi::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use super::constants::{code_of, OK};
use super::words::Words;
use crate::error::{Error, ErrorKind, Fault, Result};

/// Runs `body`; a panic in it becomes the answer of `on_panic`.
///
/// Unwind safety: what a panic may leave half done is behind locks that do not poison, and each holder of one
/// writes a whole new value or nothing.
pub(super) fn catch<T>(on_panic: impl FnOnce(Error) -> T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(answer) => answer,
        Err(panic) => on_panic(bug(panic.as_ref())),
    }
}

/// Runs `body` and turns its result into a code, for functions that have no handle to keep the words on.
pub(super) fn code(body: impl FnOnce() -> Result<()>) -> c_int {
    match catch(Err, body) {
        Ok(()) => OK,
        Err(error) => code_of(&error),
    }
}

/// What a host holds by a pointer that came out of `Arc::into_raw`: a session, a server.
pub(super) trait Handle {
    /// What it is, in words.
    const NAME: &'static str;

    /// Where the words of its failures are kept.
    fn words(&self) -> &Words;
}

/// Runs `body` with what is behind `p`; keeps the words of its error there.
///
/// It cannot vanish meanwhile: `body` works on a reference of its own, which is what makes freeing it from inside its
/// hook, or while another thread is in one of its calls, sound. When all goes well no lock and no memory is taken: a
/// signal handler may come this way.
pub(super) unsafe fn handle<T: Handle>(p: *const T, body: impl FnOnce(&T) -> Result<()>) -> c_int {
    code(|| {
        // SAFETY: the caller's promise: NULL, or a handle that is still alive.
        let handle = unsafe { share(p) }?;
        let result = catch(Err, || body(&handle));
        if let Err(error) = &result {
            handle.words().record(error);
        }
        result
    })
}

/// As [`handle`], in a call that calls nothing of the host's, no log callback either: nobody can free what is behind `p`
/// meanwhile, so no further reference is taken. Once per read and write.
pub(super) unsafe fn brief<T: Handle>(p: *const T, body: impl FnOnce(&T) -> Result<()>) -> c_int {
    // SAFETY: the caller's promise: NULL, or a handle that is still alive and not freed during the call.
    let Some(handle) = (unsafe { p.as_ref() }) else { return code(|| Err(null::<T>())) };
    match catch(Err, || body(handle)) {
        Ok(()) => OK,
        Err(error) => code(|| {
            handle.words().record(&error);
            Err(error)
        }),
    }
}

/// Asks what is behind `p` something; NULL, or a panic, has the answer `otherwise`.
pub(super) unsafe fn ask<T: Handle, A: Copy>(
    p: *const T,
    otherwise: A,
    body: impl FnOnce(&T) -> A,
) -> A {
    catch(
        |_| otherwise,
        || {
            // SAFETY: as in `handle`.
            unsafe { share(p) }.map_or(otherwise, |handle| body(&handle))
        },
    )
}

/// Runs `body` with what is behind `p`, if there is something, in a call that calls nothing of the host's: nobody can
/// free it meanwhile, so no further reference is taken. Once per frame.
pub(super) unsafe fn quick<T: Handle, A>(
    p: *const T,
    otherwise: A,
    body: impl FnOnce(&T) -> Option<A>,
) -> A {
    // SAFETY: the caller's promise: NULL, or a handle that is still alive and not freed during the call.
    let answer = catch(|_| None, || unsafe { p.as_ref() }.and_then(body));
    answer.unwrap_or(otherwise)
}

/// A further reference to what is behind `p`.
unsafe fn share<T: Handle>(p: *const T) -> Result<Arc<T>> {
    if p.is_null() {
        return Err(null::<T>());
    }
    // SAFETY: `p` came out of `Arc::into_raw`, and the count is at least one: the host's own reference, or that of
    // the call whose hook we are in.
    unsafe {
        Arc::increment_strong_count(p);
        Ok(Arc::from_raw(p))
    }
}

fn null<T: Handle>() -> Error {
    Error::argument(format!("the {} is NULL", T::NAME))
}

fn bug(panic: &(dyn Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words");
    Error::new(ErrorKind::Internal, Fault::System, format!("a bug in libwsproxy: {said}"))
}

#[cfg(test)]
mod tests {
    use super::super::session::wsproxy;
    use super::*;

    #[test]
    fn a_panic_becomes_the_internal_error_with_its_words() {
        let mut seen = None;
        catch(|error| seen = Some(error), || panic!("the roof is on fire"));
        let error = seen.expect("the panic was caught");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.to_string(), "system: a bug in libwsproxy: the roof is on fire");
        assert_eq!(code(|| panic!("{}", 7)), -15);
    }

    #[test]
    fn null_is_an_argument_error_for_every_kind_of_guard() {
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(handle(std::ptr::null::<wsproxy>(), |_| Ok(())), -1);
            assert_eq!(brief(std::ptr::null::<wsproxy>(), |_| Ok(())), -1);
            assert_eq!(ask(std::ptr::null::<wsproxy>(), 7, |_| 8), 7);
        }
    }
}
