//! Tables whose columns line up.

use std::fmt;

/// A table: a head and rows of as many cells. The first column is aligned left, and every other
/// whose cells do not all begin like numbers.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Table {
        Table { head: head.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not as many cells as the head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.head.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| &row[column]);
        cells.chain([&self.head[column]]).map(|cell| width(cell)).max().unwrap_or(0)
    }

    fn is_numeric(&self, column: usize) -> bool {
        let numeric = |cell: &str| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c));
        column > 0 && self.rows.iter().all(|row| numeric(&row[column]))
    }
}

/// Columns of a terminal that text takes: East Asian wide characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6) { 2 } else { 1 }).sum()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<(usize, bool)> =
            (0..self.head.len()).map(|column| (self.width(column), self.is_numeric(column))).collect();
        for row in [&self.head].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (cell, &(wide, numeric)) in row.iter().zip(&columns) {
                let padding = " ".repeat(wide - width(cell));
                let (before, after) = if numeric { (padding.as_str(), "") } else { ("", padding.as_str()) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table = Table::new(&["model", "ok", "read"]);
        table.row(["squeezenet".to_owned(), "7".to_owned(), "开往".to_owned()]);
        table.row(["ocr".to_owned(), "1200".to_owned(), "x".to_owned()]);
        assert_eq!(table.to_string(), "model         ok  read\nsqueezenet     7  开往\nocr         1200  x\n");
    }
}
