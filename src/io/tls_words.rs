//! What a TLS failure was, in words for a person: expired, another name, unknown issuer, no TLS at all.
//!
//! Theory: OpenSSL gives a reason and, where a certificate was refused, the verdict on it. Ours come first; OpenSSL's
//! own follow in parentheses, since that is what people search for.

use std::error::Error as StdError;
use std::io;

use openssl::error::ErrorStack;

use crate::error::{Error, ErrorKind, Fault};

/// A failure of TLS inside an [`io::Error`], to be told from one of the socket.
#[derive(Debug)]
struct TlsFailure(String);

impl std::fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for TlsFailure {}

/// The error of a read or write under TLS, in words.
pub(super) fn read_error(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>());
    match inner.and_then(|inner| inner.ssl_error()).and_then(reason) {
        Some(reason) => io::Error::other(TlsFailure(in_words(&reason))),
        None => error,
    }
}

/// The error of a peer that makes us answer and does not read the answers.
pub(super) fn greedy() -> io::Error {
    io::Error::other(TlsFailure("asks for answers and does not read them".to_owned()))
}

/// The error of a handshake with whoever is at fault.
pub(super) fn handshake_error(error: &(dyn StdError + 'static), fault: Fault, name: &str) -> Error {
    let words = match (verdict(error), stack(error).and_then(reason)) {
        (Some(verdict), _) => certificate_words(&verdict, name),
        (None, Some(reason)) => in_words(&reason),
        (None, None) => format!("the TLS handshake failed: {error}"),
    };
    Error::new(ErrorKind::Tls, fault, words)
}

/// `error` of a connection with whoever is at fault, if TLS has failed and not the connection.
pub(crate) fn tls_failure(error: &io::Error, fault: Fault) -> Option<Error> {
    let failure = error.get_ref()?.downcast_ref::<TlsFailure>()?;
    Some(Error::new(ErrorKind::Tls, fault, failure.0.as_str()))
}

fn stack<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e ErrorStack> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|e| e.downcast_ref())
}

fn reason(stack: &ErrorStack) -> Option<String> {
    stack.errors().iter().find_map(|error| error.reason()).map(str::to_owned)
}

/// The verdict on the peer's certificate, which native-tls puts last, in parentheses.
fn verdict(error: &(dyn StdError + 'static)) -> Option<String> {
    if !stack(error)?.errors().iter().any(|e| e.reason() == Some("certificate verify failed")) {
        return None;
    }
    let text = error.to_string();
    let (_, verdict) = text.rsplit_once(" (")?;
    Some(verdict.strip_suffix(')')?.to_owned())
}

fn certificate_words(verdict: &str, name: &str) -> String {
    let lower = verdict.to_ascii_lowercase().replace("self signed", "self-signed");
    let ours = match lower.as_str() {
        "certificate has expired" => "its certificate has expired".into(),
        "certificate is not yet valid" => "its certificate is not valid yet".into(),
        "hostname mismatch" | "ip address mismatch" => {
            format!("its certificate is for another name than {name}")
        }
        "self-signed certificate" => "its certificate is self-signed".into(),
        "self-signed certificate in certificate chain"
        | "unable to get local issuer certificate"
        | "unable to get issuer certificate"
        | "unable to verify the first certificate" => {
            "its certificate has an unknown issuer".into()
        }
        _ => "its certificate cannot be verified".to_owned(),
    };
    format!("{ours} ({verdict})")
}

fn in_words(reason: &str) -> String {
    if let Some((_, alert)) = reason.split_once(" alert ") {
        return alert_words(alert, reason);
    }
    let ours = match reason {
        "wrong version number"
        | "http request"
        | "https proxy request"
        | "unknown protocol"
        | "packet length too long"
        | "record layer failure" => "does not speak TLS",
        "unsupported protocol" | "version too low" | "wrong ssl version" => {
            "offers no TLS version that is allowed"
        }
        "peer did not return a certificate" => "shows no certificate, and has to",
        "no shared cipher" => "offers no cipher that is allowed",
        "unexpected eof while reading" => "ended without a close_notify",
        _ => "broke the TLS protocol",
    };
    format!("{ours} ({reason})")
}

/// An alert of the peer's (RFC 8446 section 6.2).
fn alert_words(alert: &str, reason: &str) -> String {
    let ours = match alert {
        "certificate required" => "requires a client certificate",
        "bad certificate"
        | "unsupported certificate"
        | "certificate revoked"
        | "certificate expired"
        | "certificate unknown"
        | "unknown ca"
        | "access denied"
        | "decrypt error" => "refused the certificate that it was shown",
        "protocol version" => "refused the TLS versions that are allowed",
        "handshake failure" => {
            "refused the TLS handshake: no cipher in common, or a client certificate is required"
        }
        "unrecognized name" => "has no certificate for the name that it was asked for",
        "no application protocol" => "does not speak HTTP/1.1",
        _ => "refused TLS",
    };
    format!("{ours} ({reason})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_lacks_is_said_in_either_spelling_of_openssl() {
        for (verdict, ours) in [
            ("certificate has expired", "its certificate has expired"),
            ("certificate is not yet valid", "its certificate is not valid yet"),
            ("Hostname mismatch", "its certificate is for another name than a.example"),
            ("hostname mismatch", "its certificate is for another name than a.example"),
            ("IP address mismatch", "its certificate is for another name than a.example"),
            ("self signed certificate", "its certificate is self-signed"),
            ("self-signed certificate", "its certificate is self-signed"),
            ("self signed certificate in certificate chain", "has an unknown issuer"),
            ("unable to get local issuer certificate", "has an unknown issuer"),
            ("CRL has expired", "its certificate cannot be verified"),
        ] {
            let words = certificate_words(verdict, "a.example");
            assert!(words.contains(ours) && words.ends_with(&format!("({verdict})")), "{words}");
        }
    }

    #[test]
    fn alerts_and_reasons_are_said_in_words() {
        for (reason, ours) in [
            ("tlsv13 alert certificate required", "requires a client certificate"),
            ("tlsv1 alert unknown ca", "refused the certificate that it was shown"),
            ("tlsv1 alert protocol version", "refused the TLS versions that are allowed"),
            ("wrong version number", "does not speak TLS"),
            ("http request", "does not speak TLS"),
            ("unsupported protocol", "offers no TLS version that is allowed"),
            ("bad record mac", "broke the TLS protocol"),
            ("tlsv1 alert something new", "refused TLS"),
        ] {
            let words = in_words(reason);
            assert!(words.starts_with(ours) && words.ends_with(&format!("({reason})")), "{words}");
        }
    }

    #[test]
    fn a_failure_of_tls_is_told_from_one_of_the_socket() {
        let error = tls_failure(&greedy(), Fault::Client).unwrap();
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Tls, Fault::Client));
        assert!(tls_failure(&io::ErrorKind::ConnectionReset.into(), Fault::Client).is_none());
    }
}
