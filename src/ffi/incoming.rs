//! What a host passes in: bytes, strings and numbers, checked before anything else sees them.
//!
//! Rule: no reference made here outlives the call that the pointer came with.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::time::Duration;

use crate::error::{Error, Result};

/// `len` bytes at `data`; NULL counts as no bytes when `len` is 0.
pub(super) unsafe fn bytes<'a>(what: &str, data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::argument(format!("the {what} is NULL, its length {len}")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::argument(format!("the {what} has the impossible length {len}")));
    }
    // SAFETY: not NULL, not longer than an object can be; that `len` bytes are there is the host's promise.
    Ok(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// `len` bytes of UTF-8 at `data`.
pub(super) unsafe fn text<'a>(what: &str, data: *const c_char, len: usize) -> Result<&'a str> {
    // SAFETY: passed on to the caller.
    utf8(what, unsafe { bytes(what, data.cast(), len) }?)
}

/// The bytes of a string that ends with a NUL.
pub(super) unsafe fn c_bytes<'a>(what: &str, string: *const c_char) -> Result<&'a [u8]> {
    if string.is_null() {
        return Err(Error::argument(format!("the {what} is NULL")));
    }
    // SAFETY: not NULL; that a NUL ends it is the host's promise.
    Ok(unsafe { CStr::from_ptr(string) }.to_bytes())
}

/// A string of UTF-8 that ends with a NUL.
pub(super) unsafe fn c_text<'a>(what: &str, string: *const c_char) -> Result<&'a str> {
    // SAFETY: passed on to the caller.
    utf8(what, unsafe { c_bytes(what, string) }?)
}

fn utf8<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|e| {
        Error::argument(format!("the {what} is not UTF-8 from byte {} on", e.valid_up_to()))
    })
}

/// A switch: 0 or 1.
pub(super) fn switch(number: c_int) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::argument(format!("the switch is {number}; it must be 0 or 1"))),
    }
}

/// A time in milliseconds.
pub(super) fn milliseconds(number: i64) -> Result<Duration> {
    u64::try_from(number)
        .map(Duration::from_millis)
        .map_err(|_| Error::argument(format!("the time is {number} ms; it cannot be negative")))
}

/// A string for C; a NUL inside, which C cannot hold, becomes U+FFFD.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_with_a_length_is_refused_and_without_one_is_empty() {
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(bytes("payload", std::ptr::null(), 0).unwrap(), b"");
            let error = bytes("payload", std::ptr::null(), 3).unwrap_err();
            assert_eq!(error.to_string(), "host: the payload is NULL, its length 3");
        }
    }

    #[test]
    fn a_length_that_no_object_has_is_refused() {
        let byte = 0u8;
        // SAFETY: the length is refused before the pointer is used.
        let error = unsafe { bytes("payload", (&raw const byte).cast(), usize::MAX) }.unwrap_err();
        assert!(error.message().contains("impossible length"), "{error}");
    }

    #[test]
    fn text_that_is_not_utf8_says_where() {
        // SAFETY: three bytes are there, and a NUL.
        let error = unsafe { c_text("reason", c"ab\xff".as_ptr()) }.unwrap_err();
        assert_eq!(error.message(), "the reason is not UTF-8 from byte 2 on");
    }

    #[test]
    fn a_nul_inside_a_text_does_not_cut_it() {
        assert_eq!(c_string("a\0b").to_str().unwrap(), "a\u{fffd}b");
    }
}
