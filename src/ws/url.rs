//! The upstream's URL: `ws://` or `wss://`, a host, a port, and perhaps what to ask for.
//!
//! Rules: strict, because it decides where a connection goes; the words of an error never repeat the URL, because
//! credentials hide in it. What is asked for follows nginx's `proxy_pass`: a URL without a path and query takes the
//! client's; one with either is used as it stands. The client's target never chooses the host.

use std::fmt;

use http::uri::PathAndQuery;

use super::authority::Authority;
use crate::error::{Error, Result};

/// Where the upstream is and what is asked of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    authority: Authority,
    /// The URL's own path and query, always beginning with `/`; `None` when it has neither.
    target: Option<String>,
}

impl Url {
    /// Reads a `ws://` or `wss://` URL.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument), with words that say what is wrong.
    pub fn parse(text: &str) -> Result<Url> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it may hold visible ASCII characters only"));
        }
        if text.contains('#') {
            return Err(wrong("a fragment (#...) is not allowed"));
        }
        let (secure, rest) = split_scheme(text)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Ok(Url {
            secure,
            authority: Authority::parse(authority).map_err(wrong)?,
            target: own_target(target)?,
        })
    }

    /// Whether the connection is to be encrypted: `wss://`.
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The host's name or address in lower case, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    /// The port: the one written, or 80 and 443.
    pub fn port(&self) -> u16 {
        self.authority.port.unwrap_or(self.default_port())
    }

    /// The value of `Host`: IPv6 in brackets, the scheme's default port left out.
    pub fn authority(&self) -> String {
        let port = self.authority.port.filter(|&port| port != self.default_port());
        self.authority.to_text(port)
    }

    /// What to ask the upstream for: the URL's own path and query, or else the client's, or else `/`.
    pub fn target_for(&self, client_target: Option<&str>) -> String {
        self.target.as_deref().or(client_target).unwrap_or("/").to_owned()
    }

    fn default_port(&self) -> u16 {
        if self.secure {
            443
        } else {
            80
        }
    }
}

impl fmt::Debug for Url {
    /// Without path and query: tokens travel there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "Url({scheme}://{})", self.authority())
    }
}

fn split_scheme(text: &str) -> Result<(bool, &str)> {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => Ok((false, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => Ok((true, rest)),
        _ => Err(wrong("it must begin with ws:// or wss://")),
    }
}

/// A query alone belongs to the path `/` (RFC 9112 section 3.2.1).
fn own_target(written: &str) -> Result<Option<String>> {
    if written.is_empty() {
        return Ok(None);
    }
    let target = if written.starts_with('/') { written.to_owned() } else { format!("/{written}") };
    match PathAndQuery::try_from(target.as_str()) {
        Ok(_) => Ok(Some(target)),
        Err(_) => Err(wrong("the path or query has a character that must be percent-encoded")),
    }
}

fn wrong(what: &str) -> Error {
    Error::argument(format!("the upstream's URL is not usable: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Fault};

    fn parse(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn scheme_decides_encryption_and_default_port() {
        let plain = parse("ws://h");
        assert_eq!((plain.secure(), plain.host(), plain.port()), (false, "h", 80));
        let secure = parse("WsS://H.Example/x");
        assert_eq!((secure.secure(), secure.host(), secure.port()), (true, "h.example", 443));
    }

    #[test]
    fn authority_leaves_the_default_port_out_and_brackets_ipv6() {
        for (text, authority) in [
            ("ws://h:80/", "h"),
            ("ws://h:443/", "h:443"),
            ("wss://h:443", "h"),
            ("wss://h:80", "h:80"),
            ("ws://[::1]", "[::1]"),
            ("ws://[::1]:9000/x", "[::1]:9000"),
        ] {
            assert_eq!(parse(text).authority(), authority, "{text}");
        }
        assert_eq!(parse("ws://[2001:DB8::1]:9000/x").host(), "2001:db8::1");
    }

    #[test]
    fn url_without_path_takes_the_target_of_the_client() {
        let url = parse("ws://h:1");
        assert_eq!(url.target_for(Some("/chat?a=b")), "/chat?a=b");
        assert_eq!(url.target_for(None), "/");
    }

    #[test]
    fn url_with_path_or_query_is_used_as_it_stands() {
        for (text, target) in [
            ("ws://h/", "/"),
            ("ws://h/a/b?c=/d@e:f", "/a/b?c=/d@e:f"),
            ("ws://h?x", "/?x"),
            ("ws://h:9?", "/?"),
            ("ws://h/%20", "/%20"),
            ("ws://h//x", "//x"),
        ] {
            assert_eq!(parse(text).target_for(Some("/client")), target, "{text}");
        }
    }

    #[test]
    fn unusable_url_is_the_fault_of_the_host() {
        for text in [
            "",
            "h",
            "http://h",
            "ws:/h",
            "ws//h",
            "ws://",
            "ws:///x",
            "ws://?x",
            "ws://:80",
            "ws://h:0/",
            "ws://h:65536",
            "ws://h:",
            "ws://h/#f",
            "ws://h/ x",
            "ws://h/\r\nX: y",
            "ws://h/\n",
            "ws://h/\0",
            "ws://h/\u{e9}",
            "ws://b\u{fc}cher.example/",
            " ws://h",
            "ws://h ",
            "ws://[::1",
            "ws://[x]/",
            "ws://a b/",
            "ws://h\\@evil/",
            "ws://h/\u{7f}",
            "ws://h/<x>",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.fault()), (ErrorKind::Argument, Fault::Host), "{text}");
        }
    }

    #[test]
    fn credentials_are_refused_and_never_repeated() {
        for text in [
            "ws://u:secret@h/",
            "ws://secret@h",
            "u:secret@h",
            "ws://u:secret/x@h",
            "wss://u:se#secret@h",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn debug_form_hides_the_query() {
        assert_eq!(format!("{:?}", parse("wss://h:9/x?token=secret")), "Url(wss://h:9)");
    }
}
