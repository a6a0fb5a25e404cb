//! Counts that are on their way into the database: a file of lines, written before a check is answered.
//!
//! A line that was handed to the operating system survives the end of the process, however sudden, and costs
//! microseconds; that is all that is asked of it. Each file is locked by the process that writes it, so that what is
//! not locked was left behind, and lives for a fraction of a second: once its counts are in the database it is removed.

use super::Counted;
use remit_core::{Error, Kind, Result, Tenant};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

const SUFFIX: &str = "journal";

/// One file, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Journal {
    id: String,
    path: PathBuf,
    file: File,
}

/// The checks in a file, in order.
pub(super) type Checks = Vec<(Tenant, Counted)>;

/// A line of the file.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Line<'a> {
    /// Whose check it was.
    pub tenant: std::borrow::Cow<'a, Tenant>,
    /// The check.
    pub counted: std::borrow::Cow<'a, Counted>,
}

fn failed(path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::ResourceExhausted,
        _ => Kind::Unavailable,
    };
    let text = format!("the journal of checks cannot be used: {}: {error}", path.display());
    Error::new(kind, "CHECK_NOT_COUNTED", text).with_source(error)
}

/// Makes the directory of the journals, for its owner alone.
///
/// # Errors
/// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`).
pub(super) fn prepare(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| failed(dir, error))
}

impl Journal {
    /// Begins the journal `id`, which nobody has used.
    ///
    /// # Errors
    /// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`).
    pub(super) fn create(dir: &Path, id: String) -> Result<Self> {
        let path = dir.join(format!("{id}.{SUFFIX}"));
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|error| failed(&path, error))?;
        // Whoever looks for what was left behind may hold the lock for a moment; it finds nothing and lets go.
        file.lock().map_err(|error| failed(&path, error))?;
        Ok(Self { id, path, file })
    }

    /// Its name, never used again.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Adds one line. After an error the end of the file is uncertain: add nothing more.
    ///
    /// # Errors
    /// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`).
    pub(super) fn append(&mut self, line: &[u8]) -> Result<()> {
        self.file.write_all(line).map_err(|error| failed(&self.path, error))
    }

    /// Removes the file, and only then gives up the lock.
    ///
    /// # Errors
    /// `Unavailable` or `ResourceExhausted` (`CHECK_NOT_COUNTED`); the file is then still there.
    pub(super) fn remove(self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    /// The checks in it, in order. A line without its end was being written when the process ended, so that its
    /// check was not answered.
    ///
    /// # Errors
    /// `Internal` for a line that cannot be read; `Unavailable` (`CHECK_NOT_COUNTED`).
    fn read(&self) -> Result<Checks> {
        let mut text = Vec::new();
        let mut file = File::open(&self.path).map_err(|error| failed(&self.path, error))?;
        file.read_to_end(&mut text).map_err(|error| failed(&self.path, error))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse = |(at, line): (usize, &[u8])| {
            let line: Line<'static> = serde_json::from_slice(line).map_err(|error| {
                Error::internal(format!("{} line {}: {error}", self.path.display(), at + 1)).with_source(error)
            })?;
            Ok((line.tenant.into_owned(), line.counted.into_owned()))
        };
        lines.enumerate().map(parse).collect()
    }
}

/// The journals in `dir` that no process writes any more, with what is in them. One that cannot be read is
/// reported and left where it is.
///
/// # Errors
/// `Unavailable` (`CHECK_NOT_COUNTED`) if the directory cannot be listed.
pub(super) fn abandoned(dir: &Path) -> Result<Vec<(Journal, Checks)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| failed(dir, error))? {
        let path = entry.map_err(|error| failed(dir, error))?.path();
        let Some(id) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
        if path.extension().is_none_or(|extension| extension != SUFFIX) {
            continue;
        }
        let Ok(file) = OpenOptions::new().append(true).open(&path) else { continue };
        match file.try_lock() {
            // Removed while we waited for a handle: its counts are in the database.
            Ok(()) if !path.exists() => {}
            Ok(()) => {
                let journal = Journal { id, path, file };
                match journal.read() {
                    Ok(checks) => found.push((journal, checks)),
                    Err(error) => tracing::error!(%error, "a journal of checks was left behind and cannot be read"),
                }
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error, "a journal of checks cannot be locked");
            }
        }
    }
    Ok(found)
}
