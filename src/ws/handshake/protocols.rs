//! Subprotocols (RFC 6455 section 4.1 item 10): unique tokens, compared exactly, case included.

use std::collections::BTreeSet;

use super::headers::{is_token, Headers};
use crate::error::{Error, Result};

/// The most subprotocols that a client may offer. The RFC sets none; without one, a head of 64 KiB becomes a
/// megabyte of little strings.
pub const MAX_PROTOCOLS: usize = 100;

/// Why an offer cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfferError {
    TooMany,
    NotToken,
    Repeated,
}

/// What the client offers, over all its lines, in its order.
pub(super) fn offered(headers: &Headers) -> Result<Vec<String>, OfferError> {
    let mut seen = BTreeSet::new();
    let mut offers = Vec::new();
    for element in headers.tokens("sec-websocket-protocol") {
        if offers.len() == MAX_PROTOCOLS {
            return Err(OfferError::TooMany);
        }
        if !is_token(element) {
            return Err(OfferError::NotToken);
        }
        if !seen.insert(element) {
            return Err(OfferError::Repeated);
        }
        offers.push(String::from_utf8_lossy(element).into_owned());
    }
    Ok(offers)
}

/// Checks a subprotocol that the host gave.
///
/// # Errors
/// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) when it is no token.
pub fn check_protocol(name: &str) -> Result<()> {
    if is_token(name.as_bytes()) {
        return Ok(());
    }
    Err(Error::argument(format!("{name:?} is not a subprotocol name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(lines: &[&str]) -> Result<Vec<String>, OfferError> {
        let mut headers = Headers::default();
        for line in lines {
            headers.push("Sec-WebSocket-Protocol", line.as_bytes());
        }
        offered(&headers)
    }

    #[test]
    fn offer_runs_over_all_lines_in_order() {
        assert_eq!(offer(&["b, a", "B"]).unwrap(), ["b", "a", "B"]);
        assert_eq!(offer(&[]).unwrap(), [""; 0]);
        assert_eq!(offer(&[""]).unwrap(), [""; 0]);
    }

    #[test]
    fn repeated_and_malformed_offers_are_refused() {
        assert_eq!(offer(&["a, b, a"]), Err(OfferError::Repeated));
        assert_eq!(offer(&["a", "a"]), Err(OfferError::Repeated));
        for bad in ["a b", "a/b", "\"a\"", "\u{e9}", "a;q=1"] {
            assert_eq!(offer(&[bad]), Err(OfferError::NotToken), "{bad}");
        }
    }

    #[test]
    fn exactly_the_limit_is_allowed_and_one_more_is_not() {
        let names: Vec<String> = (0..=MAX_PROTOCOLS).map(|n| format!("p{n}")).collect();
        assert!(offer(&[&names[1..].join(",")]).is_ok());
        assert_eq!(offer(&[&names.join(",")]), Err(OfferError::TooMany));
    }

    #[test]
    fn names_given_by_the_host_must_be_tokens() {
        assert!(check_protocol("graphql-transport-ws").is_ok());
        for name in ["", "a b", "a,b", "a\r\nX: y"] {
            assert!(check_protocol(name).is_err());
        }
    }
}
