//! A comparison as a page that a person opens: one file, with its plots in it, and nothing from elsewhere.
//!
//! `plots` draws, `view` says numbers as people read them, `page.html` and `page.css` lay them out.

mod page;
mod plots;
pub mod text;
mod view;

pub use page::page;
pub use plots::{Figure, plots};

/// A page or a plot that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page's template.
    #[error("the report's page cannot be made: {0}")]
    Page(#[from] minijinja::Error),
}

/// The result of a call into this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
