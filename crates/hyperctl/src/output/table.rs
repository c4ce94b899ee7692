//! Tables that fit the terminal: columns of words give way, and a cell that is too long is wrapped. Numbers stay whole.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table};

use super::printable;

/// The narrowest width a table is squeezed into.
const NARROWEST: u16 = 40;

/// Rows under a heading.
pub(crate) struct Rows {
    table: Table,
    right: &'static [usize],
}

impl Rows {
    /// A table with these columns; those in `right` hold numbers.
    pub(crate) fn new(heading: &[&str], right: &'static [usize]) -> Self {
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        match terminal_width() {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(NARROWEST))
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        let mut rows = Rows { table, right };
        rows.table.set_header(rows.cells(heading.iter().map(|name| name.to_uppercase())));
        for index in right {
            if let Some(column) = rows.table.column_mut(*index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        rows
    }

    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = self.cells(cells);
        self.table.add_row(cells);
    }

    fn cells(&self, cells: impl IntoIterator<Item = String>) -> Vec<Cell> {
        let align = |index| match self.right.contains(&index) {
            true => CellAlignment::Right,
            false => CellAlignment::Left,
        };
        cells
            .into_iter()
            .enumerate()
            .map(|(index, text)| Cell::new(printable(&text)).set_alignment(align(index)))
            .collect()
    }

    /// The table, without blanks at the ends of its lines.
    pub(crate) fn text(&self) -> String {
        let lines = self.table.lines();
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// Columns of the terminal that stdout is; `None` if it is none.
fn terminal_width() -> Option<u16> {
    let term = console::Term::stdout();
    term.is_term().then(|| term.size().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_have_no_trailing_blanks() {
        let mut rows = Rows::new(&["name", "size"], &[1]);
        rows.push(["a".to_owned(), "1".to_owned()]);
        rows.push(["bcd".to_owned(), "1234".to_owned()]);
        assert_eq!(rows.text(), " NAME  SIZE\n a        1\n bcd   1234");
    }
}
