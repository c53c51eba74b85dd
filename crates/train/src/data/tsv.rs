//! Tab-separated values: as [`super::csv`], with the quotes too.

use super::csv;
use super::format::{Format, Reader};

/// The registry's line.
pub(super) const FORMAT: Format = Format {
    name: "tsv",
    extensions: &["tsv", "tab"],
    about: "tab-separated values; the first line names the columns",
    fixed: true,
    read: Reader::Text(|input, builder| csv::read(input, builder, b'\t')),
};

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    #[test]
    fn tabs_separate_and_commas_do_not() {
        let table = read_text("a\tb\n1,2\t3\n", &FORMAT).unwrap();
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(table.rows[0].get(0), Some("1,2"));
    }
}
