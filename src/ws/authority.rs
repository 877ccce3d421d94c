//! `host[:port]`, taken strictly: what a URL names, an HTTP proxy's too, and what an origin is compared by.
//!
//! Rules: the host becomes lower case (RFC 3986 section 6.2.2.1) and IPv6 literals lose their brackets. Userinfo, zone
//! identifiers, percent-encoding and empty ports are refused. The words of an error never repeat the text: what
//! stands before an `@` or after a `:` may be a password.

use std::fmt::Write;

/// A host and the port that was written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    /// Lower case; an IPv6 address without its brackets.
    pub(super) host: String,
    /// Whether `host` is an IPv6 address.
    pub(super) ipv6: bool,
    /// The port, when there was one.
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Takes `host`, `host:port`, `[v6]` or `[v6]:port`; an error is what was wrong.
    pub(super) fn parse(text: &str) -> Result<Authority, &'static str> {
        if text.contains('@') {
            return Err("a user name or password is not allowed");
        }
        let (host, ipv6, port) = match text.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or("the IPv6 address has no ']'")?;
                (host, true, ipv6_port(after)?)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, false, Some(port)),
                None => (text, false, None),
            },
        };
        if host.is_empty() {
            return Err("there is no host");
        }
        if ipv6 && !is_ipv6(host) {
            return Err("what stands in brackets is no IPv6 address");
        }
        if !ipv6 && !host.bytes().all(is_host_byte) {
            return Err("the host has a character that no host name has");
        }
        let port = port.map(port_number).transpose()?;
        Ok(Authority { host: host.to_ascii_lowercase(), ipv6, port })
    }

    /// The text form, with `port` when it is given.
    pub(super) fn to_text(&self, port: Option<u16>) -> String {
        let mut text = String::with_capacity(self.host.len() + "[]:65535".len());
        let [open, shut] = if self.ipv6 { ["[", "]"] } else { [""; 2] };
        [open, &self.host, shut].iter().for_each(|part| text.push_str(part));
        if let Some(port) = port {
            let _ = write!(text, ":{port}"); // a String takes everything
        }
        text
    }
}

fn ipv6_port(after: &str) -> Result<Option<&str>, &'static str> {
    match after.strip_prefix(':') {
        Some(port) => Ok(Some(port)),
        None if after.is_empty() => Ok(None),
        None => Err("after an IPv6 address only a port may follow"),
    }
}

/// The letters of host names; `_` is no host name's, but many resolvable names have it.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The alphabet and rough shape of an IPv6 address; the dialler's parser has the last word.
pub(super) fn is_ipv6(text: &str) -> bool {
    let colons = text.bytes().filter(|&byte| byte == b':').count();
    (2..=7).contains(&colons)
        && text.len() <= 45
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.')
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err("the port must be a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken_with_and_without_port() {
        for (text, host, ipv6, port) in [
            ("Example.COM", "example.com", false, None),
            ("h:1", "h", false, Some(1)),
            ("10.0.0.1:65535", "10.0.0.1", false, Some(65535)),
            ("[::1]", "::1", true, None),
            ("[2001:DB8::1]:8080", "2001:db8::1", true, Some(8080)),
            ("[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", true, Some(80)),
            ("my_service.local", "my_service.local", false, None),
        ] {
            let got = Authority::parse(text).unwrap();
            assert_eq!((got.host.as_str(), got.ipv6, got.port), (host, ipv6, port), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ":80",
            "h:",
            "h:0",
            "h:65536",
            "h:+80",
            "h:8a",
            "h:1:2",
            "a b",
            "a%41",
            "u@h",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[1]",
            "[::1%25eth0]",
            "[v1.x]",
            "::1",
            "a/b",
            "a\\b",
            "h\u{e9}",
            "a,b",
            "*.a",
        ] {
            assert!(Authority::parse(text).is_err(), "{text}");
        }
    }
}
