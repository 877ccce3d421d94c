//! The constants of the C API, and the way from each to the Rust value it stands for.
//!
//! Rule: a number that a host passes is looked up here; one that is not in the table is an error with words.
//! The enums name C enum values and are no parameter's type: a C enum may hold any int, a Rust enum may not.

use std::ffi::c_int;

use crate::error::{Error, ErrorKind, Fault, Result};
use crate::{Kind, Policy, Side, TlsVersion};

/// What the functions that return `int` return: `WSPROXY_OK` (0) or one of the negative codes.
#[repr(C)]
pub enum wsproxy_result {
    /// It worked.
    WSPROXY_OK = 0,
    /// NULL, or a value that cannot be taken. Nothing was changed.
    WSPROXY_ERR_ARGUMENT = -1,
    /// A call out of order. Nothing was changed.
    WSPROXY_ERR_STATE = -2,
    /// The client's request is no acceptable WebSocket handshake; it was answered with an HTTP error.
    WSPROXY_ERR_REQUEST = -3,
    /// The upstream answered the handshake with something other than a valid 101, or the handshake hook refused the
    /// client.
    WSPROXY_ERR_REFUSED = -4,
    /// The upstream, or the HTTP proxy on the way to it, could not be reached or would not connect.
    WSPROXY_ERR_UNREACHABLE = -5,
    /// A deadline passed.
    WSPROXY_ERR_TIMEOUT = -6,
    /// A peer broke RFC 6455.
    WSPROXY_ERR_PROTOCOL = -7,
    /// A peer went over a configured limit.
    WSPROXY_ERR_LIMIT = -8,
    /// A peer went away without a close frame.
    WSPROXY_ERR_GONE = -9,
    /// A hook failed: it returned something that is no verdict.
    WSPROXY_ERR_HOOK = -10,
    /// The operating system refused something.
    WSPROXY_ERR_IO = -11,
    /// The queue of frames sent by the host is full. Try again later.
    WSPROXY_ERR_AGAIN = -12,
    /// Something that this version cannot do.
    WSPROXY_ERR_UNSUPPORTED = -13,
    /// `wsproxy_stop`, `wsproxy_abort` or `wsproxy_free` ended the handshake.
    WSPROXY_ERR_STOPPED = -14,
    /// A bug in this library.
    WSPROXY_ERR_INTERNAL = -15,
    /// TLS failed: a certificate that cannot be trusted, a peer that speaks no TLS, one that refused ours.
    WSPROXY_ERR_TLS = -16,
}

/// The two ends of a session.
#[repr(C)]
pub enum wsproxy_side {
    /// The end that asked for the upgrade.
    WSPROXY_CLIENT = 1,
    /// The end that the library dialled.
    WSPROXY_UPSTREAM = 2,
    /// Both, where a function says that it takes this.
    WSPROXY_BOTH = 3,
}

/// The type of a frame; the numbers are the opcodes of RFC 6455.
#[repr(C)]
pub enum wsproxy_kind {
    /// A later fragment of a message.
    WSPROXY_CONTINUATION = 0,
    /// A text message, or its first fragment.
    WSPROXY_TEXT = 1,
    /// A binary message, or its first fragment.
    WSPROXY_BINARY = 2,
    /// The closing handshake.
    WSPROXY_CLOSE = 8,
    /// A ping.
    WSPROXY_PING = 9,
    /// A pong.
    WSPROXY_PONG = 10,
}

/// What a hook returns. 0 is not among them, so that a hook that fails halfway never forwards.
#[repr(C)]
pub enum wsproxy_verdict {
    /// Send the frame on, as the hook left it.
    WSPROXY_FORWARD = 1,
    /// Send nothing. A text message may have been cut into fragments inside a character: when the fragment before
    /// such a cut is sent on and the one after it dropped, or the other way round, what is left would not be UTF-8,
    /// and the session ends like after a failed hook (1011). `wsproxy_config_set_aggregate` avoids it; without
    /// `wsproxy_config_set_check_utf8` nobody looks.
    WSPROXY_DROP = 2,
    /// Close both sides, with 1000 or with what `wsproxy_frame_set_end` said.
    WSPROXY_END = 3,
}

/// What a handshake hook and the open hook of a server return. Neither 0 nor a verdict on a frame is among them, so
/// that a hook that fails halfway, or is mistaken for another, lets nobody in.
#[repr(C)]
pub enum wsproxy_admission {
    /// Go on.
    WSPROXY_ACCEPT = 4,
    /// From a handshake hook: answer the client with what `wsproxy_handshake_refuse` said, or with 403, and ask no
    /// upstream.
    WSPROXY_REFUSE = 5,
}

/// How `wsproxy_config_set_forwarded` tells the upstream of the client: flags, to be added up.
#[repr(C)]
pub enum wsproxy_forwarded {
    /// Not at all.
    WSPROXY_FORWARDED_NONE = 0,
    /// By X-Forwarded-For, -Proto and -Host.
    WSPROXY_FORWARDED_X = 1,
    /// By Forwarded (RFC 7239).
    WSPROXY_FORWARDED_RFC7239 = 2,
}

/// A version of TLS; the numbers are those on the wire.
#[repr(C)]
pub enum wsproxy_tls_version {
    /// RFC 5246.
    WSPROXY_TLS_1_2 = 771,
    /// RFC 8446.
    WSPROXY_TLS_1_3 = 772,
}

/// Where the hook of a session runs.
#[repr(C)]
pub enum wsproxy_policy {
    /// On two threads of the library, one per direction, never two at once (the default).
    WSPROXY_SERIAL = 0,
    /// On two threads of the library, for both directions at once. For hooks that are thread-safe.
    WSPROXY_CONCURRENT = 1,
    /// On the thread that called `wsproxy_execute`, in a server on the client's own; the library starts no other.
    WSPROXY_CALLER = 2,
}

/// Whose fault a failure was, as `wsproxy_error_fault` tells.
#[repr(C)]
pub enum wsproxy_fault {
    /// Nothing failed yet.
    WSPROXY_FAULT_NONE = 0,
    /// The program that uses this library.
    WSPROXY_FAULT_HOST = 1,
    /// The WebSocket client.
    WSPROXY_FAULT_CLIENT = 2,
    /// The upstream.
    WSPROXY_FAULT_UPSTREAM = 3,
    /// The operating system, or this library itself.
    WSPROXY_FAULT_SYSTEM = 4,
}

/// How much the log callback gets to see: its level and those before it. Each line is about one call of
/// `wsproxy_connect`, one of its halves, or `wsproxy_execute`, about TLS that was set up, or about a server as a
/// whole. Payloads, headers and URLs' paths are never logged.
#[repr(C)]
pub enum wsproxy_log_level {
    /// Nothing.
    WSPROXY_LOG_OFF = 0,
    /// Bugs in this library.
    WSPROXY_LOG_ERROR = 1,
    /// What the host or the system did that ended the call: a hook that failed, a stop in a handshake, no
    /// descriptors.
    WSPROXY_LOG_WARN = 2,
    /// What a peer did that ended the call: a refusal, a broken protocol, a limit, a deadline, a lost connection.
    WSPROXY_LOG_INFO = 3,
    /// Calls that went well.
    WSPROXY_LOG_DEBUG = 4,
    /// Nothing yet: reserved.
    WSPROXY_LOG_TRACE = 5,
}

/// Stands where a close code stands.
#[repr(C)]
pub enum wsproxy_close_code {
    /// A close frame without a code.
    WSPROXY_CLOSE_ABSENT = -1,
}

/// The number for `wsproxy_check_abi`.
#[repr(C)]
pub enum wsproxy_abi_number {
    /// Raised with every change that breaks a compiled host.
    WSPROXY_ABI = 0,
}

/// "No status", for a close frame without a code (RFC 6455 section 7.4.1: never on the wire).
pub(super) const NO_STATUS: u16 = 1005;

/// The code that stands for an error.
pub(super) fn code_of(error: &Error) -> c_int {
    use wsproxy_result::*;
    let code = match error.kind() {
        ErrorKind::Argument => WSPROXY_ERR_ARGUMENT,
        ErrorKind::State => WSPROXY_ERR_STATE,
        ErrorKind::Request => WSPROXY_ERR_REQUEST,
        ErrorKind::Refused => WSPROXY_ERR_REFUSED,
        ErrorKind::Unreachable => WSPROXY_ERR_UNREACHABLE,
        ErrorKind::Timeout => WSPROXY_ERR_TIMEOUT,
        ErrorKind::Protocol => WSPROXY_ERR_PROTOCOL,
        ErrorKind::Limit => WSPROXY_ERR_LIMIT,
        ErrorKind::Gone => WSPROXY_ERR_GONE,
        ErrorKind::Hook => WSPROXY_ERR_HOOK,
        ErrorKind::Io => WSPROXY_ERR_IO,
        ErrorKind::Again => WSPROXY_ERR_AGAIN,
        ErrorKind::Unsupported => WSPROXY_ERR_UNSUPPORTED,
        ErrorKind::Stopped => WSPROXY_ERR_STOPPED,
        ErrorKind::Internal => WSPROXY_ERR_INTERNAL,
        ErrorKind::Tls => WSPROXY_ERR_TLS,
    };
    code as c_int
}

/// `WSPROXY_OK`.
pub(super) const OK: c_int = wsproxy_result::WSPROXY_OK as c_int;

/// The number of a fault.
pub(super) fn fault_number(fault: Option<Fault>) -> c_int {
    use wsproxy_fault::*;
    let number = match fault {
        None => WSPROXY_FAULT_NONE,
        Some(Fault::Host) => WSPROXY_FAULT_HOST,
        Some(Fault::Client) => WSPROXY_FAULT_CLIENT,
        Some(Fault::Upstream) => WSPROXY_FAULT_UPSTREAM,
        Some(Fault::System) => WSPROXY_FAULT_SYSTEM,
    };
    number as c_int
}

/// The number of a side.
pub(super) fn side_number(side: Side) -> c_int {
    match side {
        Side::Client => wsproxy_side::WSPROXY_CLIENT as c_int,
        Side::Upstream => wsproxy_side::WSPROXY_UPSTREAM as c_int,
    }
}

/// The number of a kind.
pub(super) fn kind_number(kind: Kind) -> c_int {
    use wsproxy_kind::*;
    let number = match kind {
        Kind::Continuation => WSPROXY_CONTINUATION,
        Kind::Text => WSPROXY_TEXT,
        Kind::Binary => WSPROXY_BINARY,
        Kind::Close => WSPROXY_CLOSE,
        Kind::Ping => WSPROXY_PING,
        Kind::Pong => WSPROXY_PONG,
    };
    number as c_int
}

/// A close code as C sees it.
pub(super) fn close_number(code: Option<u16>) -> c_int {
    code.map_or(wsproxy_close_code::WSPROXY_CLOSE_ABSENT as c_int, c_int::from)
}

/// The side that a host means; not both.
pub(super) fn one_side(number: c_int) -> Result<Side> {
    Side::BOTH.into_iter().find(|side| side_number(*side) == number).ok_or_else(|| {
        Error::argument(format!(
            "the side is {number}; it must be WSPROXY_CLIENT (1) or WSPROXY_UPSTREAM (2)"
        ))
    })
}

/// The side or sides that a host means.
pub(super) fn sides(number: c_int) -> Result<&'static [Side]> {
    const CLIENT: &[Side] = &[Side::Client];
    const UPSTREAM: &[Side] = &[Side::Upstream];
    if number == wsproxy_side::WSPROXY_BOTH as c_int {
        return Ok(&Side::BOTH);
    }
    match one_side(number) {
        Ok(Side::Client) => Ok(CLIENT),
        Ok(Side::Upstream) => Ok(UPSTREAM),
        Err(_) => Err(Error::argument(format!(
            "the side is {number}; it must be WSPROXY_CLIENT (1), WSPROXY_UPSTREAM (2) or WSPROXY_BOTH (3)"
        ))),
    }
}

/// The kind of frame that a host means.
pub(super) fn kind(number: c_int) -> Result<Kind> {
    Kind::ALL.into_iter().find(|kind| kind_number(*kind) == number).ok_or_else(|| {
        Error::argument(format!("the kind is {number}, which is no WSPROXY_ kind of frame"))
    })
}

/// The policy that a host means.
pub(super) fn policy(number: c_int) -> Result<Policy> {
    use wsproxy_policy::*;
    match number {
        n if n == WSPROXY_SERIAL as c_int => Ok(Policy::Serial),
        n if n == WSPROXY_CONCURRENT as c_int => Ok(Policy::Concurrent),
        n if n == WSPROXY_CALLER as c_int => Ok(Policy::Caller),
        _ => Err(Error::argument(format!(
            "the policy is {number}; it must be WSPROXY_SERIAL (0), WSPROXY_CONCURRENT (1) or WSPROXY_CALLER (2)"
        ))),
    }
}

/// Whether `X-Forwarded-*` and whether `Forwarded` are meant.
pub(super) fn forwarded(number: c_int) -> Result<(bool, bool)> {
    use wsproxy_forwarded::*;
    const X: c_int = WSPROXY_FORWARDED_X as c_int;
    const RFC7239: c_int = WSPROXY_FORWARDED_RFC7239 as c_int;
    match number {
        n if n == WSPROXY_FORWARDED_NONE as c_int => Ok((false, false)),
        X => Ok((true, false)),
        RFC7239 => Ok((false, true)),
        n if n == X | RFC7239 => Ok((true, true)),
        _ => Err(Error::argument(format!(
            "the flags are {number}; they must be WSPROXY_FORWARDED_X (1), WSPROXY_FORWARDED_RFC7239 (2), both or 0"
        ))),
    }
}

/// The version of TLS that a host means.
pub(super) fn tls_version(number: c_int) -> Result<TlsVersion> {
    use wsproxy_tls_version::*;
    match number {
        n if n == WSPROXY_TLS_1_2 as c_int => Ok(TlsVersion::Tls12),
        n if n == WSPROXY_TLS_1_3 as c_int => Ok(TlsVersion::Tls13),
        _ => Err(Error::argument(format!(
            "the TLS version is {number}; it must be WSPROXY_TLS_1_2 (771) or WSPROXY_TLS_1_3 (772)"
        ))),
    }
}

/// The close code that a host means: a number of 16 bits, or none.
pub(super) fn close_code(number: c_int) -> Result<Option<u16>> {
    if number == wsproxy_close_code::WSPROXY_CLOSE_ABSENT as c_int {
        return Ok(None);
    }
    u16::try_from(number).map(Some).map_err(|_| {
        Error::argument(format!(
            "the close code is {number}; it must be WSPROXY_CLOSE_ABSENT (-1) or from 0 to 65535"
        ))
    })
}

/// The level that a host means.
pub(super) fn log_level(number: c_int) -> Result<log::LevelFilter> {
    use log::LevelFilter::*;
    use wsproxy_log_level::*;
    match number {
        n if n == WSPROXY_LOG_OFF as c_int => Ok(Off),
        n if n == WSPROXY_LOG_ERROR as c_int => Ok(Error),
        n if n == WSPROXY_LOG_WARN as c_int => Ok(Warn),
        n if n == WSPROXY_LOG_INFO as c_int => Ok(Info),
        n if n == WSPROXY_LOG_DEBUG as c_int => Ok(Debug),
        n if n == WSPROXY_LOG_TRACE as c_int => Ok(Trace),
        _ => Err(crate::Error::argument(format!(
            "the log level is {number}; it must be from 0 to 5"
        ))),
    }
}

/// The number of a level.
pub(super) fn log_level_number(level: log::Level) -> c_int {
    use wsproxy_log_level::*;
    let number = match level {
        log::Level::Error => WSPROXY_LOG_ERROR,
        log::Level::Warn => WSPROXY_LOG_WARN,
        log::Level::Info => WSPROXY_LOG_INFO,
        log::Level::Debug => WSPROXY_LOG_DEBUG,
        log::Level::Trace => WSPROXY_LOG_TRACE,
    };
    number as c_int
}
