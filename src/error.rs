//! One error for everything: what happened ([`ErrorKind`]), whose fault it was ([`Fault`]), and words for a person.
//!
//! Rule: a message says what was wrong with what value and names no secret: no payload, cookie or credential.

use std::fmt;

/// A [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The program that uses this library: a bad argument, a call out of order, a failing hook.
    Host,
    /// The WebSocket client.
    Client,
    /// The upstream.
    Upstream,
    /// The operating system or this library itself.
    System,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Host => "host",
            Fault::Client => "client",
            Fault::Upstream => "upstream",
            Fault::System => "system",
        })
    }
}

/// What happened. Each kind is one `WSPROXY_ERR_*` code of the C API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value that this library cannot take; nothing was changed.
    Argument,
    /// A call out of order; nothing was changed.
    State,
    /// The client's request is no acceptable WebSocket handshake; it was answered with an HTTP error.
    Request,
    /// The upstream answered the handshake with something other than a valid 101, or the handshake hook refused the
    /// client.
    Refused,
    /// The upstream, or the HTTP proxy on the way to it, could not be reached or would not connect.
    Unreachable,
    /// A deadline passed.
    Timeout,
    /// A peer broke RFC 6455.
    Protocol,
    /// A peer went over a configured limit.
    Limit,
    /// A peer went away without a close frame.
    Gone,
    /// A hook failed: it panicked or answered with no verdict.
    Hook,
    /// The operating system refused something.
    Io,
    /// The queue of frames sent by the host is full; try again later.
    Again,
    /// Something that this version cannot do.
    Unsupported,
    /// `stop` ended the call.
    Stopped,
    /// A bug in this library.
    Internal,
    /// TLS failed: a certificate that cannot be trusted, a peer that speaks no TLS, one that refused ours.
    Tls,
}

/// What happened, whose fault it was, and words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    fault: Fault,
    message: String,
}

impl Error {
    /// An error of `kind`, caused by `fault`, explained by `message`.
    pub fn new(kind: ErrorKind, fault: Fault, message: impl Into<String>) -> Self {
        Error { kind, fault, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Argument, Fault::Host, message)
    }

    pub(crate) fn state(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::State, Fault::Host, message)
    }

    pub(crate) fn system(what: &str, cause: impl fmt::Display) -> Self {
        Error::new(ErrorKind::Io, Fault::System, format!("{what}: {cause}"))
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whose fault it was.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The words, without the name of the one at fault.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    /// `client: the words`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault, self.message)
    }
}

impl std::error::Error for Error {}
