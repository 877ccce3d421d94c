//! The URL of an HTTP proxy, `http://user:password@host:port`, and the credentials in it.
//!
//! Rules: strict, and silent about secrets: neither an error nor a debug form shows any of the text. The port must be
//! written: curl would take 1080 and Go and Python 80, and a wrong guess gives the credentials to somebody else. User
//! and password are percent-encoded; the user has no colon and neither has control characters (RFC 7617 section 2).

use std::fmt;

use data_encoding::BASE64;

use super::authority::Authority;
use crate::error::{Error, Result};

/// Where an HTTP proxy is, and who asks it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    authority: Authority,
    port: u16,
    credentials: Option<Credentials>,
}

/// A user and a password for an HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl ProxyUrl {
    /// Reads an `http://` URL that names a host, a port, and perhaps a user and a password.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument), with words that say what is wrong.
    pub fn parse(text: &str) -> Result<ProxyUrl> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it may hold visible ASCII characters only"));
        }
        let rest = after_scheme(text)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("nothing may follow the host and port"));
        }
        let (userinfo, place) = match rest.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, rest),
        };
        let credentials = userinfo.map(Credentials::parse).transpose()?;
        let authority = Authority::parse(place).map_err(wrong)?;
        let port = authority.port.ok_or_else(|| wrong("the port must be written"))?;
        Ok(ProxyUrl { authority, port, credentials })
    }

    /// The proxy's name or address in lower case, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, an IPv6 address in brackets: what may be shown of it.
    pub fn authority(&self) -> String {
        self.authority.to_text(Some(self.port))
    }

    /// The user and password, if they were written.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl fmt::Debug for ProxyUrl {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl(http://{})", self.authority())
    }
}

impl Credentials {
    /// Takes `user` or `user:password`, percent-encoded.
    fn parse(userinfo: &str) -> Result<Credentials> {
        if userinfo.contains('@') {
            return Err(wrong("an '@' in the user or password must be written %40"));
        }
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let (user, password) = (percent_decoded(user)?, percent_decoded(password)?);
        if user.is_empty() && password.is_empty() {
            return Err(wrong("there is an '@' without a user or password"));
        }
        if user.contains(&b':') {
            return Err(wrong("a user cannot have a ':'"));
        }
        if user.iter().chain(&password).any(u8::is_ascii_control) {
            return Err(wrong("the user or password has a control character"));
        }
        Ok(Credentials { user, password })
    }

    /// The value of `Proxy-Authorization` (RFC 7617 section 2).
    pub(super) fn to_basic(&self) -> String {
        let pair = [self.user.as_slice(), &self.password].join(&b':');
        format!("Basic {}", BASE64.encode(&pair))
    }
}

impl fmt::Debug for Credentials {
    /// Nothing of either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

fn after_scheme(text: &str) -> Result<&str> {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok(rest),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
            Err(wrong("proxies behind TLS (https://) are not supported, use http://"))
        }
        _ => Err(wrong("it must begin with http://")),
    }
}

fn percent_decoded(text: &str) -> Result<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(decoded),
            [b'%', high, low, after @ ..] => {
                decoded.push(byte_of(*high, *low)?);
                after
            }
            [b'%', ..] => return Err(bad_escape()),
            [byte, after @ ..] => {
                decoded.push(*byte);
                after
            }
        };
    }
}

fn byte_of(high: u8, low: u8) -> Result<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(bad_escape()),
    }
}

fn bad_escape() -> Error {
    wrong("a '%' in the user or password must be followed by two hexadecimal digits")
}

fn wrong(what: &str) -> Error {
    Error::argument(format!("the HTTP proxy's URL is not usable: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Fault};

    fn basic(text: &str) -> String {
        let proxy = ProxyUrl::parse(text).unwrap();
        let value = proxy.credentials().unwrap().to_basic();
        let pair = BASE64.decode(value.strip_prefix("Basic ").unwrap().as_bytes()).unwrap();
        String::from_utf8_lossy(&pair).into_owned()
    }

    #[test]
    fn host_and_port_are_read() {
        for (text, host, port, authority) in [
            ("http://Proxy.example:3128", "proxy.example", 3128, "proxy.example:3128"),
            ("HTTP://10.0.0.1:80/", "10.0.0.1", 80, "10.0.0.1:80"),
            ("http://u:p@[::1]:8080/", "::1", 8080, "[::1]:8080"),
        ] {
            let proxy = ProxyUrl::parse(text).unwrap();
            assert_eq!((proxy.host(), proxy.port()), (host, port), "{text}");
            assert_eq!(proxy.authority(), authority);
            assert_eq!(proxy.credentials().is_some(), text.contains('@'));
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        for (userinfo, pair) in [
            ("user:pass", "user:pass"),
            ("user", "user:"),
            ("user:", "user:"),
            (":pass", ":pass"),
            ("u%40x:p%3a%2F%25:q", "u@x:p:/%:q"),
            ("%C3%bc:%20", "\u{fc}: "),
        ] {
            assert_eq!(basic(&format!("http://{userinfo}@h:1")), pair, "{userinfo}");
        }
    }

    #[test]
    fn unusable_url_is_the_fault_of_the_host() {
        for text in [
            "",
            "h:80",
            "http:h:80",
            "http://",
            "http://:80",
            "http://h",
            "http://h/",
            "http://h:",
            "http://h:0",
            "http://h:65536",
            "http://h:80//",
            "http://h:80/x",
            "http://h:80?x",
            "http://h:80#x",
            "http://h:80 ",
            "http://h\r\nX:80",
            "http://\u{e9}:80",
            "http://[::1:80",
            "http://@h:80",
            "http://:@h:80",
            "http://a%3ab@h:80",
            "http://u%0d%0aX:p@h:80",
            "http://u:%00@h:80",
            "http://u:%7f@h:80",
            "http://u%@h:80",
            "http://u%4@h:80",
            "http://u%+1@h:80",
            "socks5://h:1080",
            "https://h:443",
        ] {
            let error = ProxyUrl::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host), "{text}");
        }
    }

    #[test]
    fn proxy_behind_tls_is_refused_with_words() {
        let error = ProxyUrl::parse("https://h:443").unwrap_err();
        assert!(error.message().contains("https://) are not supported"), "{error}");
    }

    #[test]
    fn credentials_are_never_repeated() {
        for text in [
            "http://secret:secret@h",
            "http://secret:secret@h:0",
            "http://secret:se/cret@h:80/secret",
            "http://secret@secret@h:80",
            "http://secret%zz@h:80",
            "http://secret%3a:x@h:80",
            "https://secret@h:80",
            "secret:secret@h:80",
        ] {
            let error = ProxyUrl::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let proxy = ProxyUrl::parse("http://secret:secret@h:80").unwrap();
        assert_eq!(format!("{proxy:?}"), "ProxyUrl(http://h:80)");
        assert_eq!(format!("{:?}", proxy.credentials()), "Some(Credentials(..))");
    }
}
