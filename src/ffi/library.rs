//! What concerns the library as a whole: its version, and the names of its numbers.
//!
//! Rule: texts given out here are static and NUL-terminated.

use std::ffi::{c_char, c_int, CStr};

use super::constants::{self, one_side, wsproxy_abi_number};
use super::guard;
use crate::error::{Error, ErrorKind, Fault};
use crate::{Kind, Side};

/// What `wsproxy_strerror` says, in the order of the codes, from 0 down.
const RESULTS: [&CStr; 17] = [
    c"success",
    c"a value that cannot be taken",
    c"a call out of order",
    c"the client's request is no acceptable WebSocket handshake",
    c"the upstream refused the handshake",
    c"the upstream could not be reached",
    c"a deadline passed",
    c"a peer broke the WebSocket protocol",
    c"a peer went over a limit",
    c"a peer went away without a close frame",
    c"the hook failed",
    c"the operating system refused something",
    c"the queue of frames to send is full, try again later",
    c"not supported by this version",
    c"stopped",
    c"a bug in libwsproxy",
    c"TLS failed",
];

/// The version of the library, as "0.1.0". Static.
#[no_mangle]
pub extern "C" fn wsproxy_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The number of the library's ABI; WSPROXY_ABI is that of the header.
#[no_mangle]
pub extern "C" fn wsproxy_abi() -> c_int {
    wsproxy_abi_number::WSPROXY_ABI as c_int
}

/// Whether a host compiled with this WSPROXY_ABI can use the library that it found.
///
/// Returns WSPROXY_OK, or WSPROXY_ERR_UNSUPPORTED: then call nothing else.
#[no_mangle]
pub extern "C" fn wsproxy_check_abi(abi: c_int) -> c_int {
    guard::code(|| {
        if abi == wsproxy_abi() {
            return Ok(());
        }
        let words = format!("this library has ABI {}, the host wants {abi}", wsproxy_abi());
        Err(Error::new(ErrorKind::Unsupported, Fault::Host, words))
    })
}

/// What a result means, in a few words. Static; "unknown result" for numbers that are none. What exactly went
/// wrong is told by `wsproxy_error`.
#[no_mangle]
pub extern "C" fn wsproxy_strerror(result: c_int) -> *const c_char {
    let place = result.checked_neg().and_then(|n| usize::try_from(n).ok());
    place.and_then(|n| RESULTS.get(n)).copied().unwrap_or(c"unknown result").as_ptr()
}

/// "client" or "upstream"; "unknown" for other numbers. Static.
#[no_mangle]
pub extern "C" fn wsproxy_side_name(side: c_int) -> *const c_char {
    let name = match one_side(side) {
        Ok(Side::Client) => c"client",
        Ok(Side::Upstream) => c"upstream",
        Err(_) => c"unknown",
    };
    name.as_ptr()
}

/// "text", "binary", "continuation", "close", "ping" or "pong"; "unknown" for other numbers. Static.
#[no_mangle]
pub extern "C" fn wsproxy_kind_name(kind: c_int) -> *const c_char {
    let name = match constants::kind(kind) {
        Ok(Kind::Continuation) => c"continuation",
        Ok(Kind::Text) => c"text",
        Ok(Kind::Binary) => c"binary",
        Ok(Kind::Close) => c"close",
        Ok(Kind::Ping) => c"ping",
        Ok(Kind::Pong) => c"pong",
        Err(_) => c"unknown",
    };
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::super::constants::{code_of, kind_number, side_number};
    use super::*;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: every text of this file is static.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn names_are_those_of_the_rust_api() {
        for kind in Kind::ALL {
            assert_eq!(text(wsproxy_kind_name(kind_number(kind))), kind.name());
        }
        for side in Side::BOTH {
            assert_eq!(text(wsproxy_side_name(side_number(side))), side.name());
        }
        assert_eq!(text(wsproxy_kind_name(3)), "unknown");
        assert_eq!(text(wsproxy_side_name(3)), "unknown");
    }

    #[test]
    fn every_result_has_words_and_other_numbers_have_none() {
        let code = code_of(&Error::new(ErrorKind::Again, Fault::Host, ""));
        assert_eq!(
            text(wsproxy_strerror(code)),
            "the queue of frames to send is full, try again later"
        );
        assert_eq!(text(wsproxy_strerror(0)), "success");
        assert_eq!(text(wsproxy_strerror(-15)), "a bug in libwsproxy");
        for number in [1, -17, c_int::MIN, c_int::MAX] {
            assert_eq!(text(wsproxy_strerror(number)), "unknown result");
        }
    }

    #[test]
    fn another_abi_is_not_supported() {
        assert_eq!(wsproxy_check_abi(wsproxy_abi()), 0);
        assert_eq!(wsproxy_check_abi(wsproxy_abi() + 1), -13);
        assert_eq!(text(wsproxy_version()), env!("CARGO_PKG_VERSION"));
    }
}
