//! What is printed and written: sections with a heading, words and a table.

use std::fmt;

use crate::table::Table;

pub struct Section {
    pub title: String,
    pub table: Table,
    pub notes: Vec<String>,
    /// Whether a peer that is built did not do its work.
    pub has_failures: bool,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "### {}\n\n{}", self.title, self.table)?;
        match self.notes.is_empty() {
            true => Ok(()),
            false => writeln!(f, "\n{}", self.notes.join("\n\n")),
        }
    }
}

/// benches/RESULTS.md.
pub fn page(head: &str, sections: &[Section]) -> String {
    let sections: Vec<String> = sections.iter().map(Section::to_string).collect();
    format!(
        "# Results\n\nWritten by `make bench ARGS=--write`, all of it in one run. [README.md](README.md) tells what \
         the rows and\nthe peers are and how to read them.\n\n{head}\n{}",
        sections.join("\n")
    )
}
