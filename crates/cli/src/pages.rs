//! The page of a comparison and its plots, beside `report.json`.

use crate::output::OutputFolder;
use anyhow::Result;
use offshoot::report::{page, plots};
use offshoot::train::Comparison;
use std::fs;

/// The page's file.
pub(crate) const PAGE: &str = "report.html";

/// Writes the page, and each plot as a file.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(output: &OutputFolder, comparison: &Comparison, data: &str) -> Result<()> {
    output.write(PAGE, &page(comparison, data)?)?;
    fs::create_dir_all(output.path().join("plots"))?;
    for figure in plots(comparison) {
        output.write(&format!("plots/{}.svg", figure.name), &figure.svg)?;
    }
    Ok(())
}
