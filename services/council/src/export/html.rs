//! The document as one page of HTML: no script, no request to anywhere, readable in dark mode and on paper.

use super::page::{Page, Part, Piece};
use askama::Template;
use remit_core::{Error, Result};

#[derive(Template)]
#[template(path = "review.html")]
struct View<'a> {
    page: &'a Page,
    /// The parts of the full pack; none in a summary.
    full: Vec<&'a Part>,
}

/// The page, whole or its first page alone.
///
/// # Errors
/// `Internal` if the template fails, which it does not for values in memory.
pub(super) fn render(page: &Page, whole: bool) -> Result<String> {
    let full = if whole { page.parts.iter().chain(&page.appendices).collect() } else { Vec::new() };
    let view = View { page, full };
    view.render().map_err(|error| Error::internal("the page cannot be rendered").with_source(error))
}
