//! nginx's error log, entry by entry.
//!
//! An entry opens with a date and may span lines. What a test's Lua tells its test is an entry too, at level notice:
//! `report NAME: VALUES`, strings quoted.

use std::fmt;

/// The levels at which nothing is written in an orderly session.
const BAD: [&str; 4] = ["error", "crit", "alert", "emerg"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub level: String,
    /// Everything behind the process's number.
    pub text: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "[{}] {}", self.level, self.text)
    }
}

/// The entries of a log, of which the last may be cut.
pub fn entries(log: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in log.lines() {
        match (opening(line), entries.last_mut()) {
            (Some(entry), _) => entries.push(entry),
            (None, Some(last)) => {
                last.text.push('\n');
                last.text.push_str(line);
            }
            (None, None) => {}
        }
    }
    entries
}

/// `2026/01/31 12:00:00 [info] 17#17: *1 what happened`
fn opening(line: &str) -> Option<Entry> {
    let (date, rest) = line.split_once(" [")?;
    let is_date =
        date.len() == 19 && date.bytes().all(|b| b.is_ascii_digit() || b"/: ".contains(&b));
    let (level, rest) = rest.split_once("] ")?;
    let (_, text) = rest.split_once(": ")?;
    is_date.then(|| Entry { level: level.to_owned(), text: text.to_owned() })
}

impl Entry {
    /// What Lua said through `ngx.log`, without the place and without what nginx adds about the request.
    pub fn lua(&self) -> Option<&str> {
        let (_, said) = self.text.split_once("[lua] ")?;
        let (_place, said) = said.split_once(": ")?;
        // The name of the function, where there is one.
        let said = match said.split_once("(): ") {
            Some((name, rest)) if !name.contains(' ') => rest,
            _ => said,
        };
        let end = said.rfind(", client: ").unwrap_or(said.len());
        let said = &said[..end];
        Some(said.rsplit_once(" while ").map_or(said, |(said, _)| said))
    }

    pub fn is_bad(&self) -> bool {
        BAD.contains(&self.level.as_str())
    }

    /// What a test's Lua told under this name.
    pub fn report(&self, name: &str) -> Option<&str> {
        self.lua()?.strip_prefix("report ")?.strip_prefix(name)?.strip_prefix(": ")
    }
}
