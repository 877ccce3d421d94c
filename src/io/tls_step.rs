//! What a step of a TLS handshake comes to, whichever object makes it: native-tls towards upstreams, OpenSSL's own
//! acceptor towards clients, since that of native-tls speaks TLS 1.2 and nothing newer.

use std::error::Error as StdError;
use std::io::{Read, Write};

use native_tls::{MidHandshakeTlsStream, TlsStream};
use openssl::ssl::{MidHandshakeSslStream, SslStream};
use openssl::x509::X509VerifyResult;

use super::memory::Memory;

/// A connection whose handshake is over.
pub(super) trait Secure: Read + Write + Send {
    /// What it reads from and writes to.
    fn memory(&mut self) -> &mut Memory;

    /// Whether it has given out all that came: another read would only ask for more. It takes no more out of the memory
    /// than the record that it works on.
    fn is_drained(&mut self) -> bool;

    /// Says that nothing more comes. A connection that is lost needs no farewell: there is no error.
    fn end(&mut self);
}

/// A handshake under way.
pub(super) trait Midway: Send {
    /// What it reads from and writes to.
    fn memory(&mut self) -> &mut Memory;

    /// The next step.
    fn go_on(self: Box<Self>) -> Step;
}

/// See the top of this file.
pub(super) enum Step {
    /// The handshake is over.
    Done(Box<dyn Secure>),
    /// More has to come first.
    Pending(Box<dyn Midway>),
    /// It has failed.
    Failed(Box<dyn StdError>),
}

/// An error with the verdict on the peer's certificate, in the form that native-tls gives it.
#[derive(Debug)]
struct Judged {
    error: openssl::ssl::Error,
    verdict: X509VerifyResult,
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.verdict {
            X509VerifyResult::OK => write!(f, "{}", self.error),
            verdict => write!(f, "{} ({verdict})", self.error),
        }
    }
}

impl StdError for Judged {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

impl Secure for TlsStream<Memory> {
    fn memory(&mut self) -> &mut Memory {
        self.get_mut()
    }

    fn is_drained(&mut self) -> bool {
        self.get_ref().is_read() && self.buffered_read_size().is_ok_and(|size| size == 0)
    }

    fn end(&mut self) {
        let _ = self.shutdown();
    }
}

impl Secure for SslStream<Memory> {
    fn memory(&mut self) -> &mut Memory {
        self.get_mut()
    }

    fn is_drained(&mut self) -> bool {
        self.get_ref().is_read() && self.ssl().pending() == 0
    }

    fn end(&mut self) {
        let _ = self.shutdown();
    }
}

impl Midway for MidHandshakeTlsStream<Memory> {
    fn memory(&mut self) -> &mut Memory {
        self.get_mut()
    }

    fn go_on(self: Box<Self>) -> Step {
        Step::from(self.handshake())
    }
}

impl Midway for MidHandshakeSslStream<Memory> {
    fn memory(&mut self) -> &mut Memory {
        self.get_mut()
    }

    fn go_on(self: Box<Self>) -> Step {
        Step::from(self.handshake())
    }
}

impl From<Result<TlsStream<Memory>, native_tls::HandshakeError<Memory>>> for Step {
    fn from(step: Result<TlsStream<Memory>, native_tls::HandshakeError<Memory>>) -> Step {
        match step {
            Ok(stream) => Step::Done(Box::new(stream)),
            Err(native_tls::HandshakeError::WouldBlock(state)) => Step::Pending(Box::new(state)),
            Err(native_tls::HandshakeError::Failure(error)) => Step::Failed(Box::new(error)),
        }
    }
}

impl From<Result<SslStream<Memory>, openssl::ssl::HandshakeError<Memory>>> for Step {
    fn from(step: Result<SslStream<Memory>, openssl::ssl::HandshakeError<Memory>>) -> Step {
        match step {
            Ok(stream) => Step::Done(Box::new(stream)),
            Err(openssl::ssl::HandshakeError::WouldBlock(state)) => Step::Pending(Box::new(state)),
            Err(openssl::ssl::HandshakeError::Failure(state)) => {
                let verdict = state.ssl().verify_result();
                Step::Failed(Box::new(Judged { verdict, error: state.into_error() }))
            }
            Err(openssl::ssl::HandshakeError::SetupFailure(error)) => Step::Failed(Box::new(error)),
        }
    }
}
