//! The data directory of the embedded mode: one SQLite file a service, one process at a time.

use crate::private;
use remit_core::{Error, Kind, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// An open data directory. Keep it for as long as its databases are open: dropping it gives up the lock.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, creating it if it does not exist, and locks it against other processes.
    ///
    /// # Errors
    /// `FailedPrecondition`: `DATA_DIR_IN_USE` if another process has it open, naming that process, `DATA_DIR_READABLE` if
    /// others than its owner can read it; `Unavailable` (`DATA_DIR_FAILED`) if it cannot be created or written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let failed = |what: &str, error: std::io::Error| {
            Error::new(
                Kind::Unavailable,
                "DATA_DIR_FAILED",
                format!("cannot {what} the data directory {}: {error}", path.display()),
            )
            .with_source(error)
        };
        // It holds an audit log and keys.
        private::directory(&path)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(|error| failed("lock", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".to_owned(),
                    pid => format!("process {pid}"),
                };
                return Err(Error::precondition(
                    "DATA_DIR_IN_USE",
                    format!(
                        "the data directory {} is in use by {holder}: stop that process, or start this one with a \
                         data directory of its own",
                        path.display()
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        let note = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())?;
            lock.sync_all()
        };
        note(&mut lock).map_err(|error| failed("write to", error))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The URL of a service's database in it, for [`crate::Db::open`].
    pub fn url(&self, service: &str) -> String {
        format!("sqlite:{}", self.path.join(format!("{service}.db")).display())
    }
}
