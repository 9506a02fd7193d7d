use std::fmt;

/// Rows of text under headings, in columns as wide as need be. Columns of numbers are set to the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Table { rows: vec![headings.map(String::from).to_vec()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Quantities with units are numbers; addresses, times and names are none.
    fn is_numeric(&self, column: usize) -> bool {
        let quantity = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit()) && !cell.contains(':');
        let cells =
            || self.rows.iter().skip(1).filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        cells().any(quantity) && cells().all(|cell| cell == "-" || quantity(cell))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let shape: Vec<(usize, bool)> = (0..columns)
            .map(|column| {
                let width = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
                (self.rows.iter().map(width).max().unwrap_or(0), self.is_numeric(column))
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, (width, numeric)) in row.iter().zip(&shape) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                line.push_str(&if *numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
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
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut table = Table::new(["NODE", "ADDRESS", "KEYS"]);
        table.row(["1".into(), "127.0.0.1:7380".into(), "5".into()]);
        table.row(["20".into(), "127.0.0.1:7390".into(), "1,000".into()]);
        table.row(["3".into(), "127.0.0.1:7400".into(), "-".into()]);
        assert_eq!(
            table.to_string(),
            "NODE  ADDRESS          KEYS\n   1  127.0.0.1:7380      5\n  20  127.0.0.1:7390  1,000\n   3  127.0.0.1:7400      -\n"
        );
    }
}
