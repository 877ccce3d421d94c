//! The upstream's URL: `ws://` or `wss://`, a host, a port, and perhaps what to ask for; or `ws+unix:`, a socket's path.
//!
//! Rules: strict, because it decides where a connection goes; the words of an error never repeat the URL, because
//! credentials hide in it. What is asked for follows nginx's `proxy_pass`: a URL without a path and query takes the
//! client's; one with either is used as it stands. The client's target never chooses the host.
//!
//! `ws+unix:/socket:/target` is written as Node's `ws` documents it: the first `:` ends the socket's path, which holds
//! neither `:` nor `?`. It is taken byte by byte, percent signs too, as `ws` and nginx's `unix:` take it: a path is no
//! URL, and `%2e` names the file of that name.

use std::fmt;

use http::uri::PathAndQuery;

use super::authority::Authority;
use crate::error::{Error, Result};

/// The longest path that fits a `sockaddr_un` with its final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;
/// What a Unix socket's peer is called in `Host`, as Node, Bun and curl have it: it has no name of its own.
const LOCALHOST: &str = "localhost";

/// Where the upstream is and what is asked of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    place: Place,
    /// The URL's own path and query, always beginning with `/`; `None` when it has neither.
    target: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Net(Authority),
    /// The absolute path of a Unix socket.
    Unix(String),
}

impl Url {
    /// Reads a `ws://`, `wss://` or `ws+unix:` URL.
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
        let (scheme, rest) = split_scheme(text)?;
        let (place, target) = match scheme {
            Scheme::Unix => split_socket_path(rest)?,
            Scheme::Plain | Scheme::Secure => {
                let (authority, target) =
                    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Place::Net(Authority::parse(authority).map_err(wrong)?), target)
            }
        };
        Ok(Url { secure: scheme == Scheme::Secure, place, target: own_target(target)? })
    }

    /// Whether the connection is to be encrypted: `wss://`.
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The path of the Unix socket to connect to, if that is where the upstream is.
    pub fn unix_path(&self) -> Option<&str> {
        match &self.place {
            Place::Unix(path) => Some(path),
            Place::Net(_) => None,
        }
    }

    /// The host's name or address in lower case, an IPv6 address without brackets; `localhost` for a Unix socket.
    pub fn host(&self) -> &str {
        match &self.place {
            Place::Net(authority) => &authority.host,
            Place::Unix(_) => LOCALHOST,
        }
    }

    /// The port: the one written, or 80 and 443. Means nothing for a Unix socket.
    pub fn port(&self) -> u16 {
        match &self.place {
            Place::Net(authority) => authority.port.unwrap_or(self.default_port()),
            Place::Unix(_) => self.default_port(),
        }
    }

    /// The value of `Host`: IPv6 in brackets, the scheme's default port left out; `localhost` for a Unix socket.
    pub fn authority(&self) -> String {
        match &self.place {
            Place::Net(authority) => {
                authority.to_text(authority.port.filter(|&port| port != self.default_port()))
            }
            Place::Unix(_) => LOCALHOST.to_owned(),
        }
    }

    /// What CONNECT names: IPv6 in brackets, the port always there (RFC 9110 section 9.3.6). Not to be asked for a
    /// Unix socket, which no HTTP proxy reaches.
    pub fn connect_authority(&self) -> String {
        match &self.place {
            Place::Net(authority) => authority.to_text(Some(self.port())),
            Place::Unix(_) => format!("{LOCALHOST}:{}", self.port()),
        }
    }

    /// Where it leads, for a log: no path and no query of the upstream's, where tokens travel.
    pub fn place(&self) -> String {
        self.unix_path().map_or_else(|| self.authority(), |path| format!("unix:{path}"))
    }

    /// What to ask the upstream for: the URL's own path and query, or else the client's, or else `/`.
    pub fn target_for<'a>(&'a self, client_target: Option<&'a str>) -> &'a str {
        self.target.as_deref().or(client_target).unwrap_or("/")
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
        match (&self.place, self.secure) {
            (Place::Unix(path), _) => write!(f, "Url(ws+unix:{path})"),
            (Place::Net(_), true) => write!(f, "Url(wss://{})", self.authority()),
            (Place::Net(_), false) => write!(f, "Url(ws://{})", self.authority()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Plain,
    Secure,
    Unix,
}

fn split_scheme(text: &str) -> Result<(Scheme, &str)> {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix("//")) {
        ("ws", Some(rest)) => Ok((Scheme::Plain, rest)),
        ("wss", Some(rest)) => Ok((Scheme::Secure, rest)),
        ("ws+unix", with_slashes) => Ok((Scheme::Unix, with_slashes.unwrap_or(rest))),
        ("wss+unix", _) => Err(wrong("a Unix socket is not encrypted, use ws+unix:")),
        _ => Err(wrong("it must begin with ws://, wss:// or ws+unix:")),
    }
}

/// `/socket`, `/socket:/target` or `/socket:?query`.
fn split_socket_path(rest: &str) -> Result<(Place, &str)> {
    let (path, target) = rest.split_once(':').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err(wrong("after ws+unix: the absolute path of a socket must follow, and no host"));
    }
    if path.contains('?') {
        return Err(wrong("a ':' must part the socket's path from what to ask for"));
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(wrong("the socket's path is longer than 107 bytes"));
    }
    if !target.is_empty() && !target.starts_with(['/', '?']) {
        return Err(wrong("behind the socket's path and ':' a path or query must follow"));
    }
    Ok((Place::Unix(path.to_owned()), target))
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
            "ws+unix",
            "ws+unix:",
            "ws+unix://",
            "ws+unix:run/s",
            "ws+unix://h/s",
            "ws+unix::/x",
            "ws+unix:/s?x",
            "ws+unix:/s?x:/y",
            "ws+unix:/s:x",
            "ws+unix:/s::/x",
            "ws+unix:/s:/<x>",
            "ws+unix:/s s",
            "ws+unix:/s\0",
            "ws+unix:/s#f",
            "wss+unix:/s",
            "wss+unix:///s:/x",
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
            "ws+unix://u:secret@h/s",
            "ws+unix:/s:secret",
            "ws+unix:/s?secret",
            "wss+unix:/secret",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn debug_form_hides_the_query() {
        assert_eq!(format!("{:?}", parse("wss://h:9/x?token=secret")), "Url(wss://h:9)");
        assert_eq!(format!("{:?}", parse("ws+unix:/s:/x?token=secret")), "Url(ws+unix:/s)");
    }

    #[test]
    fn unix_socket_is_named_by_its_path_and_asked_as_localhost() {
        for (text, path, target) in [
            ("ws+unix:/run/s", "/run/s", "/client"),
            ("WS+Unix:///run/s", "/run/s", "/client"),
            ("ws+unix:/run/s:", "/run/s", "/client"),
            ("ws+unix:/run/s:/", "/run/s", "/"),
            ("ws+unix:///run/s:/a:b?c=/d:e", "/run/s", "/a:b?c=/d:e"),
            ("ws+unix:/run/s:?x", "/run/s", "/?x"),
            ("ws+unix:/run/%2e@[s]", "/run/%2e@[s]", "/client"),
        ] {
            let url = parse(text);
            assert_eq!(url.unix_path(), Some(path), "{text}");
            assert_eq!(url.target_for(Some("/client")), target, "{text}");
            assert_eq!((url.host(), url.authority().as_str()), ("localhost", "localhost"));
            assert!(!url.secure());
        }
        assert_eq!(parse("ws://localhost").unix_path(), None);
    }

    #[test]
    fn socket_path_that_fits_no_address_is_refused() {
        let path = format!("/{}", "x".repeat(106));
        assert_eq!(parse(&format!("ws+unix:{path}:/t")).unix_path(), Some(path.as_str()));
        assert!(Url::parse(&format!("ws+unix:{path}x:/t")).is_err());
    }

    #[test]
    fn encrypted_unix_socket_is_refused_with_words() {
        let error = Url::parse("wss+unix:/s").unwrap_err();
        assert!(error.message().contains("use ws+unix:"), "{error}");
    }

    #[test]
    fn connect_names_host_and_port_always() {
        for (text, authority) in [
            ("ws://H", "h:80"),
            ("wss://h/x", "h:443"),
            ("wss://h:443", "h:443"),
            ("ws://h:8080?x", "h:8080"),
            ("wss://[2001:DB8::1]", "[2001:db8::1]:443"),
        ] {
            assert_eq!(parse(text).connect_authority(), authority, "{text}");
        }
    }
}
