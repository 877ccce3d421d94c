//! Tables, which read well in a terminal and are Markdown.

use std::fmt;

/// Rows of cells; the first row is the heading.
#[derive(Debug, Default)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    pub fn new(heading: &[&str]) -> Self {
        Table(vec![heading.iter().map(|&cell| cell.to_owned()).collect()])
    }

    /// Cells that are missing at the end are empty.
    pub fn push(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.0.iter().filter_map(|row| row.get(column));
        // Words that say why there are no figures take the room that there is.
        let cells = cells.filter(|cell| cell.chars().count() <= 24);
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.first().map_or(0, Vec::len);
        for (number, row) in self.0.iter().enumerate() {
            f.write_str("|")?;
            for column in 0..columns {
                let (cell, width) =
                    (row.get(column).map_or("", String::as_str), self.width(column));
                match column {
                    0 => write!(f, " {cell:<width$} |")?,
                    _ => write!(f, " {cell:>width$} |")?,
                }
            }
            f.write_str("\n")?;
            if number == 0 {
                let rule = |column| match column {
                    0 => format!("{}|", "-".repeat(self.width(0) + 2)),
                    _ => format!("{}:|", "-".repeat(self.width(column) + 1)),
                };
                writeln!(f, "|{}", (0..columns).map(rule).collect::<String>())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new(&["peer", "µs"]);
        table.push(vec!["a".into(), "15.5".into()]);
        table.push(vec!["b".into()]);
        assert_eq!(
            table.to_string(),
            "| peer |   µs |\n|------|-----:|\n| a    | 15.5 |\n| b    |      |\n"
        );
    }
}
