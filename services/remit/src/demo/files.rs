//! The files that the demo leaves.

use remit_core::{Error, Kind, Result};
use std::path::Path;

/// Writes a file by way of a temporary one beside it, and makes the folders that it needs.
///
/// # Errors
/// `Unavailable` (`OUTPUT_NOT_WRITTEN`) naming the path.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::new(Kind::Unavailable, "OUTPUT_NOT_WRITTEN", format!("cannot write {}", path.display())).with_source(e)
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let partial = path.with_extension("partial");
    std::fs::write(&partial, content).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}
