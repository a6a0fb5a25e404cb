//! `remit config`.

use crate::args::ConfigCommand;
use crate::cli::print_raw;
use remit_core::{Error, Kind, Result};
use remit_runtime::config::{DEFAULT, reference_markdown};
use std::path::Path;

const BEGIN: &str = "<!-- configuration reference: begin -->";
const END: &str = "<!-- configuration reference: end -->";

pub(super) fn run(command: ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Reference { write: None } => print_raw(format!("{}\n", reference_markdown()).as_bytes()),
        ConfigCommand::Reference { write: Some(path) } => write(&path),
        ConfigCommand::Show(settings) => print_raw(settings.shown()?.as_bytes()),
        ConfigCommand::Default => print_raw(DEFAULT.as_bytes()),
    }
}

fn write(path: &Path) -> Result<()> {
    let failed = |what: &str, e: std::io::Error| {
        Error::new(Kind::Unavailable, "FILE_NOT_WRITTEN", format!("cannot {what} {}", path.display())).with_source(e)
    };
    let text = std::fs::read_to_string(path).map_err(|e| failed("read", e))?;
    let text = with_reference(&text).ok_or_else(|| {
        Error::invalid("MARKERS_MISSING", "--write", format!("must be a file with the lines {BEGIN} and {END}"))
    })?;
    std::fs::write(path, text).map_err(|e| failed("write", e))
}

/// `text` with the present reference between its markers; `None` if it has none.
fn with_reference(text: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text.get(begin..)?.find(END)?;
    Some(format!("{}\n{}\n{}", text.get(..begin)?, reference_markdown().trim(), text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_page_is_up_to_date() {
        let page = include_str!("../../../../docs/configuration.md");
        assert_eq!(with_reference(page).as_deref(), Some(page), "run `make docs`");
    }
}
