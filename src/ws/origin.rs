//! Which origins may open a WebSocket: the defence against cross-site hijacking (CWE-1385).
//!
//! Rules: an empty list lets everything pass. Otherwise the request needs exactly one `Origin` that equals an entry in
//! scheme, host and port; there are no wildcards and no suffixes. Case and the default ports of http, https, ws and wss
//! make no difference. `null` is no origin: it passes only when it was added literally.
//!
//! A *missing* `Origin` is refused too once there is a list. Browsers always send one (RFC 6455 section 4.1), so this
//! costs no browser anything; a list says "these and no others", and an absent value is none of these. Django Channels,
//! Rails and Python's `websockets` read their lists the same way.

use super::authority::Authority;
use crate::error::{Error, Result};

/// The origins that may connect; empty means every one.
#[derive(Debug, Clone, Default)]
pub struct OriginList {
    allowed: Vec<Origin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Null,
    /// `port` is `None` only for a scheme without a default port.
    Site {
        scheme: String,
        host: String,
        port: Option<u16>,
    },
}

impl OriginList {
    /// Allows one more origin: `scheme://host`, `scheme://host:port` or `null`.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument); the list is unchanged.
    pub fn add(&mut self, origin: &str) -> Result<()> {
        if origin.contains('*') {
            return Err(wrong("wildcards are not supported, add each origin"));
        }
        let origin = Origin::parse(origin).map_err(wrong)?;
        if !self.allowed.contains(&origin) {
            self.allowed.push(origin);
        }
        Ok(())
    }

    /// Whether every origin is allowed, because none was added.
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty()
    }

    /// Whether a request with this `Origin`, or with none, may go on.
    pub fn allows(&self, origin: Option<&[u8]>) -> bool {
        if self.allowed.is_empty() {
            return true;
        }
        origin
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|text| Origin::parse(text).ok())
            .is_some_and(|origin| self.allowed.contains(&origin))
    }
}

impl Origin {
    /// The serialised form of RFC 6454 section 6.2, no more.
    fn parse(text: &str) -> std::result::Result<Origin, &'static str> {
        if text == "null" {
            return Ok(Origin::Null);
        }
        let (scheme, rest) = text.split_once("://").ok_or("it must be scheme://host[:port]")?;
        if !is_scheme(scheme) {
            return Err("the scheme is malformed");
        }
        if rest.contains(['/', '?', '#']) {
            return Err("it must end after the host or port, without a path or slash");
        }
        let scheme = scheme.to_ascii_lowercase();
        let Authority { host, port, .. } = Authority::parse(rest)?;
        let port = port.or(default_port(&scheme));
        Ok(Origin::Site { scheme, host, port })
    }
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

fn wrong(what: &str) -> Error {
    Error::argument(format!("not an origin: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(origins: &[&str]) -> OriginList {
        let mut list = OriginList::default();
        for origin in origins {
            list.add(origin).unwrap();
        }
        list
    }

    fn allows(list: &OriginList, origin: &str) -> bool {
        list.allows(Some(origin.as_bytes()))
    }

    #[test]
    fn empty_list_allows_everything() {
        let empty = OriginList::default();
        assert!(empty.is_empty());
        assert!(empty.allows(None));
        for origin in ["https://a", "null", "", "\0"] {
            assert!(allows(&empty, origin));
        }
    }

    #[test]
    fn case_and_default_port_make_no_difference() {
        let list = list(&["https://Good.com", "http://plain.example:80", "wss://w.example:443"]);
        for origin in [
            "https://good.com",
            "HTTPS://GOOD.COM:443",
            "http://plain.example",
            "http://plain.example:80",
            "wss://w.example",
        ] {
            assert!(allows(&list, origin), "{origin}");
        }
    }

    #[test]
    fn scheme_host_and_port_must_be_equal() {
        let list = list(&["https://good.com", "http://h:8080", "https://[::1]"]);
        for origin in [
            "http://good.com",
            "https://good.com:8443",
            "https://good.com.evil.com",
            "https://evilgood.com",
            "https://sub.good.com",
            "https://good.com.",
            "https://good.com@evil.com",
            "https://evil.com#https://good.com",
            "https://good.com/",
            "https://good.com https://evil.com",
            "https://good.com, https://evil.com",
            "https://good.com:443:443",
            "http://h",
            "good.com",
            "null",
            "NULL",
            "",
            "://",
            "https://",
            "https://[::1",
            "\u{0}",
        ] {
            assert!(!allows(&list, origin), "{origin}");
        }
        assert!(!list.allows(Some(b"https://good.com\xff")));
        assert!(allows(&list, "https://[::1]:443"));
    }

    #[test]
    fn missing_origin_is_refused_once_there_is_a_list() {
        assert!(!list(&["https://good.com"]).allows(None));
        assert!(!list(&["null"]).allows(None));
    }

    #[test]
    fn null_passes_only_when_added_literally() {
        assert!(!allows(&list(&["https://good.com"]), "null"));
        let list = list(&["null", "https://good.com"]);
        assert!(allows(&list, "null"));
        assert!(!allows(&list, "Null"));
        assert!(allows(&list, "https://good.com"));
    }

    #[test]
    fn other_schemes_have_no_default_port() {
        let list = list(&["chrome-extension://abcdef"]);
        assert!(allows(&list, "chrome-extension://abcdef"));
        assert!(!allows(&list, "chrome-extension://abcdef:80"));
    }

    #[test]
    fn malformed_entry_is_refused_and_changes_nothing() {
        let mut list = OriginList::default();
        for origin in [
            "",
            "*",
            "https://*",
            "https://*.good.com",
            "good.com",
            "https://",
            "https://good.com/",
            "1x://h",
            "https://good.com/path",
            "https://u@good.com",
            "https://good.com:0",
            "https://good.com:x",
            "NULL",
            "https://go\u{f6}d.com",
            "https://good.com\r\n",
            "x y://h",
        ] {
            assert!(list.add(origin).is_err(), "{origin}");
            assert!(list.is_empty());
        }
    }
}
