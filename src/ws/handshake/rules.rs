//! What the host changes in the headers of the request sent upstream: add, set, remove, in the order given; for every
//! session by the configuration, and for one by its handshake hook.
//!
//! Rule: names that the handshake or the connection owns are refused when the rule is made, so applying never fails.
//! `Host` may be set, but neither removed nor doubled.

use super::headers::{check_name, check_value, Headers};
use crate::error::{Error, Result};

/// Owned by the handshake, by the connection or by message framing.
const OWNED: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Header changes, in the order in which they are applied.
#[derive(Debug, Clone, Default)]
pub struct HeaderRules {
    rules: Vec<Rule>,
}

#[derive(Clone)]
enum Rule {
    Add(String, Vec<u8>),
    Set(String, Vec<u8>),
    Remove(String),
}

impl Rule {
    fn name(&self) -> &str {
        match self {
            Rule::Add(name, _) | Rule::Set(name, _) | Rule::Remove(name) => name,
        }
    }
}

impl std::fmt::Debug for Rule {
    /// Without the value: authorization is set this way.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self {
            Rule::Add(..) => "Add",
            Rule::Set(..) => "Set",
            Rule::Remove(..) => "Remove",
        };
        write!(f, "{verb}({})", self.name())
    }
}

impl HeaderRules {
    /// Adds a line, whatever lines of that name there are.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) for a name that is no header's or not the
    /// host's, and for control characters in the value; nothing is changed.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<()> {
        refuse_unless_free(name)?;
        refuse_host(name, "added")?;
        check_value(name, value)?;
        self.rules.push(Rule::Add(name.to_owned(), value.to_vec()));
        Ok(())
    }

    /// Makes this the only line of that name.
    ///
    /// # Errors
    /// As [`add`](Self::add); an empty `Host` too.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<()> {
        refuse_unless_free(name)?;
        check_value(name, value)?;
        if name.eq_ignore_ascii_case("host") && !value.iter().any(u8::is_ascii_graphic) {
            return Err(Error::argument("header Host cannot be empty"));
        }
        self.rules.push(Rule::Set(name.to_owned(), value.to_vec()));
        Ok(())
    }

    /// Removes every line of that name.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn remove(&mut self, name: &str) -> Result<()> {
        refuse_unless_free(name)?;
        refuse_host(name, "removed")?;
        self.rules.push(Rule::Remove(name.to_owned()));
        Ok(())
    }

    /// Whether the last rule about that name puts a line or removes it; `None` when no rule is about it.
    pub(super) fn puts(&self, name: &str) -> Option<bool> {
        let last = self.rules.iter().rfind(|rule| rule.name().eq_ignore_ascii_case(name))?;
        Some(!matches!(last, Rule::Remove(_)))
    }

    pub(super) fn apply(&self, headers: &mut Headers) {
        for rule in &self.rules {
            match rule {
                Rule::Add(name, value) => headers.push(name, value),
                Rule::Set(name, value) => headers.set(name, value),
                Rule::Remove(name) => headers.remove(name),
            }
        }
    }
}

fn refuse_unless_free(name: &str) -> Result<()> {
    check_name(name)?;
    let lower = name.to_ascii_lowercase();
    if lower == "sec-websocket-protocol" {
        return Err(Error::argument("subprotocols are not offered by header rules"));
    }
    if OWNED.contains(&lower.as_str()) || lower.starts_with("sec-websocket-") {
        return Err(Error::argument(format!("header {name} belongs to the handshake")));
    }
    Ok(())
}

/// A request has exactly one Host (RFC 9112 section 3.2).
fn refuse_host(name: &str, verb: &str) -> Result<()> {
    if name.eq_ignore_ascii_case("host") {
        return Err(Error::argument(format!("header Host can be set, not {verb}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn applied(rules: &HeaderRules) -> String {
        let mut headers = Headers::default();
        headers.push("Host", b"h");
        headers.push("Cookie", b"c");
        headers.push("cookie", b"d");
        rules.apply(&mut headers);
        let mut out = Vec::new();
        headers.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rules_apply_in_the_order_given() {
        let mut rules = HeaderRules::default();
        rules.set("COOKIE", b"e").unwrap();
        rules.add("Cookie", b"f").unwrap();
        rules.set("Host", b"other").unwrap();
        rules.add("X", b"1").unwrap();
        rules.remove("x").unwrap();
        rules.add("Y", b"2").unwrap();
        assert_eq!(applied(&rules), "Host: other\r\nCOOKIE: e\r\nCookie: f\r\nY: 2\r\n");
    }

    #[test]
    fn last_rule_about_a_name_says_whether_it_is_put() {
        let mut rules = HeaderRules::default();
        assert_eq!(rules.puts("A"), None);
        rules.set("a", b"1").unwrap();
        assert_eq!(rules.puts("A"), Some(true));
        rules.remove("A").unwrap();
        assert_eq!((rules.puts("a"), rules.puts("b")), (Some(false), None));
    }

    #[test]
    fn names_that_the_handshake_owns_are_refused() {
        let mut rules = HeaderRules::default();
        for name in [
            "Connection",
            "UPGRADE",
            "Sec-WebSocket-Key",
            "sec-websocket-version",
            "Sec-WebSocket-Accept",
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Protocol",
            "Content-Length",
            "Transfer-Encoding",
            "TE",
        ] {
            assert_eq!(rules.add(name, b"x").unwrap_err().kind(), ErrorKind::Argument, "{name}");
            assert!(rules.set(name, b"x").is_err(), "{name}");
            assert!(rules.remove(name).is_err(), "{name}");
        }
        assert!(rules.add("Host", b"x").is_err() && rules.remove("host").is_err());
        assert!(rules.set("Host", b" ").is_err());
        assert_eq!(applied(&rules), applied(&HeaderRules::default()));
    }

    #[test]
    fn injection_is_refused_at_the_call_and_the_value_not_repeated() {
        let mut rules = HeaderRules::default();
        for value in [&b"secret\r\nX: y"[..], b"secret\n", b"secret\r", b"secret\0"] {
            let error = rules.set("Authorization", value).unwrap_err();
            assert!(!error.to_string().contains("secret"));
            assert!(rules.add("A", value).is_err());
        }
        assert!(rules.add("A: b\r\nC", b"d").is_err() && rules.remove("").is_err());
    }

    #[test]
    fn debug_form_hides_values() {
        let mut rules = HeaderRules::default();
        rules.set("Authorization", b"secret").unwrap();
        assert!(!format!("{rules:?}").contains("secret"));
    }
}
