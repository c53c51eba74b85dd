//! Tables, in the form that also Markdown takes.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// A table; the columns from `numbers` on are aligned to the right.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numbers: usize) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header.to_vec()).add_rows(rows);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right() {
        let rows = [["lora", "1,000"], ["full", "7"]].map(|row| row.map(str::to_owned).to_vec());
        let text = table(&["method", "trained"], rows, 1);
        assert_eq!(text.lines().next(), Some("| method | trained |"));
        assert_eq!(text.lines().last(), Some("| full   |       7 |"));
    }
}
