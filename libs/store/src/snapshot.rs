//! A copy of several SQLite databases as they were at one moment, while other processes go on with them.

use crate::{classify, private};
use remit_core::{Error, Result};
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long whoever writes may keep a copy waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Copies databases, each from the first path to the second, which must not be there.
///
/// All of them are as they were at one moment: until the last is copied nobody writes to any, and whoever would waits. A
/// record is then either in the outbox of its service or in the audit log, and the log holds nothing that the others do
/// not know of. Reading goes on. The copies are for their owner alone, are on the disk, and hold nothing that was erased.
///
/// # Errors
/// `Unavailable` (`DATABASE_BUSY`) if somebody writes for longer than 30 s; `FailedPrecondition` (`BACKUP_FAILED`) if a
/// database cannot be read or a copy cannot be written.
pub async fn copy(databases: &[(PathBuf, PathBuf)]) -> Result<()> {
    let mut frozen = Vec::with_capacity(databases.len());
    for (from, _) in databases {
        let mut writer = open(from).await?;
        sqlx::raw_sql("begin immediate").execute(&mut writer).await.map_err(|error| failed("read", from, error))?;
        frozen.push(writer);
    }
    for (from, to) in databases {
        private::reserve(to);
        let mut reader = open(from).await?;
        let target = to.display().to_string();
        let copied = sqlx::query("vacuum into $1").bind(target).execute(&mut reader).await;
        copied.map_err(|error| failed("copy", from, error))?;
        let _ = reader.close().await;
        File::open(to).and_then(|file| file.sync_all()).map_err(|error| {
            let what = format!("cannot write {}: {error}", to.display());
            Error::precondition("BACKUP_FAILED", what).with_source(error)
        })?;
    }
    for mut writer in frozen {
        // Nothing was written; and a connection that is gone holds no lock.
        let _ = sqlx::raw_sql("rollback").execute(&mut writer).await;
        let _ = writer.close().await;
    }
    Ok(())
}

async fn open(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(PATIENCE);
    options.connect().await.map_err(|error| failed("open", path, error))
}

fn failed(what: &str, path: &Path, error: sqlx::Error) -> Error {
    let cause = classify::plain(error);
    if cause.reason() == "DATABASE_BUSY" {
        return cause;
    }
    let message = format!("cannot {what} the database {}: {}", path.display(), cause.message());
    Error::precondition("BACKUP_FAILED", message).with_source(cause)
}
