//! What this process remembers of each log outside of the database: the last checkpoint that it signed and saw committed,
//! one small file a tenant in the data directory.
//!
//! Whoever owns the database can put an older copy of it in place, whose head is validly signed. What such a log would go
//! on to say contradicts what was already signed, and this file is how a process knows without asking a witness. It is
//! written after commits, by a task of its own and at most once a second, so that appending waits for no second disk: it
//! is a lower bound, which a crash can leave a second behind. Processes with data directories of their own each keep
//! theirs; each finds only what contradicts what it saw itself.

use crate::keys::Keys;
use crate::service::Service;
use crate::store::heads::{self, Head};
use crate::store::{subjects, tiles};
use remit_core::{Error, Result, Tenant};
use remit_store::{Tx, private, tenants};
use remit_tlog::{Checkpoint, Hash, Note, proof};
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The least time between two rounds of writing.
const PAUSE: Duration = Duration::from_secs(1);

/// A log as it was: its size, and its root hash at that size.
pub(crate) type Seen = (u64, Hash);

/// What is known of one log.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The last state that was seen.
    seen: Option<Seen>,
    /// The state in the file.
    kept: Option<Seen>,
    /// Whether the log was found not to extend what is in the file.
    forked: bool,
}

/// The memory of one process. Without a directory it lasts as long as the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    dir: Option<PathBuf>,
    known: Mutex<HashMap<Tenant, Known>>,
    /// What is to be written: the newest checkpoint of each log.
    due: Mutex<BTreeMap<Tenant, String>>,
    bell: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(path: &std::path::Path, why: &dyn std::fmt::Display) -> Error {
    let what = format!("what was last signed cannot be read from or written to {}: {why}", path.display());
    Error::precondition("LOG_MEMORY_FAILED", what)
}

impl Memory {
    /// A memory in files of `dir`.
    pub(crate) fn within(dir: PathBuf) -> Self {
        Self { dir: Some(dir), ..Self::default() }
    }

    fn path(&self, tenant: &Tenant) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(format!("{tenant}.checkpoint")))
    }

    /// What is known of a log, from the file when it is asked for the first time.
    fn recall(&self, tenant: &Tenant, keys: &Keys) -> Result<Known> {
        if let Some(known) = lock(&self.known).get(tenant) {
            return Ok(*known);
        }
        let kept = match self.path(tenant) {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(failed(&path, &error)),
                Ok(text) => {
                    let checkpoint = keys.open(tenant, &text).map_err(|error| failed(&path, &error))?;
                    Some((checkpoint.size, checkpoint.root))
                }
            },
        };
        let known = Known { seen: kept, kept, forked: false };
        Ok(*lock(&self.known).entry(tenant.clone()).or_insert(known))
    }

    /// What the file says of a log.
    pub(crate) fn kept(&self, tenant: &Tenant, keys: &Keys) -> Result<Option<Seen>> {
        Ok(self.recall(tenant, keys)?.kept)
    }

    /// Of which logs there are files.
    pub(crate) fn tenants(&self) -> Vec<Tenant> {
        let files = self.dir.as_ref().and_then(|dir| std::fs::read_dir(dir).ok());
        let named = files.into_iter().flatten().flatten().filter_map(|file| {
            let name = file.file_name();
            Tenant::new(name.to_str()?.strip_suffix(".checkpoint")?).ok()
        });
        named.collect()
    }

    /// Takes note of a committed state of the log.
    pub(crate) fn saw(&self, tenant: &Tenant, size: u64, root: Hash, checkpoint: &str) {
        let mut all = lock(&self.known);
        let known = all.entry(tenant.clone()).or_default();
        if known.forked || known.seen.is_some_and(|(before, _)| before >= size) {
            return;
        }
        known.seen = Some((size, root));
        drop(all);
        if self.dir.is_some() {
            lock(&self.due).insert(tenant.clone(), checkpoint.to_owned());
            self.bell.notify_one();
        }
    }

    /// Whether nothing newer than this state was seen, and nothing was found that speaks against it: what is put on top
    /// of it needs no other look at what this process knows.
    pub(crate) fn is_newest(&self, tenant: &Tenant, size: u64, root: Hash) -> bool {
        lock(&self.known).get(tenant).is_some_and(|known| !known.forked && known.seen == Some((size, root)))
    }

    fn condemn(&self, tenant: &Tenant) {
        lock(&self.known).entry(tenant.clone()).or_default().forked = true;
    }
}

/// The error for a log that is not the one that this process knows.
fn rolled_back(tenant: &Tenant, was: Seen, now: Seen) -> Error {
    let what = format!(
        "the log of {tenant} had {} entries with root {} when this process last signed it, and now has {} with root {}, \
         which does not extend that: the database was put back or rewritten. If it was restored from a backup on purpose, \
         tell the witnesses and auditors, keep {tenant}.checkpoint from the directory audit-heads as evidence, move it away \
         and start again",
        was.0, was.1, now.0, now.1
    );
    Error::precondition("LOG_ROLLED_BACK", what)
}

/// Finds that the tree of `new`, a head that the log signed, extends that of `old`.
pub(crate) async fn extends(tx: &mut Tx, tenant: &Tenant, old: Seen, new: Seen) -> Result<bool> {
    if old.0 == 0 || old == new {
        return Ok(true);
    }
    if old.0 >= new.0 {
        return Ok(false);
    }
    let found = tiles::consistency(tx, tenant, old.0, new.0).await?;
    Ok(proof::check_consistency(old.0, old.1, new.0, new.1, &found.hashes).is_ok())
}

/// Finds that a head is one that this log signed and that it extends what this process knows. Called with the head row
/// locked, before anything is put on top of it.
///
/// # Errors
/// `FailedPrecondition`: as [`Keys::check_head`]; `LOG_HEAD_INVALID` if entries are there and no head;
/// `LOG_ROLLED_BACK`; `LOG_MEMORY_FAILED`.
pub(crate) async fn check(tx: &mut Tx, keys: &Keys, tenant: &Tenant, head: &Head) -> Result<()> {
    keys.check_head(tenant, head)?;
    if head.size == 0 && crate::store::entries::first_from(tx, tenant, 0).await?.is_some() {
        let what = format!("the log of {tenant} has entries and no head: restore the row, VerifyLog says of what size");
        return Err(Error::precondition("LOG_HEAD_INVALID", what));
    }
    let (memory, now) = (keys.memory(), (head.size, head.root));
    let known = memory.recall(tenant, keys)?;
    let Some(seen) = known.seen else { return Ok(()) };
    if known.forked || now.0 < seen.0 || (now.0 == seen.0 && now.1 != seen.1) {
        return Err(rolled_back(tenant, seen, now));
    }
    // What came of other processes since is compared when it is written; what the file says, before the first step.
    if known.kept == Some(seen) && !extends(tx, tenant, seen, now).await? {
        memory.condemn(tenant);
        return Err(rolled_back(tenant, seen, now));
    }
    Ok(())
}

impl Service {
    /// Finds, before anything is answered, that this process has the keys of the logs in its database.
    ///
    /// What is wrong with one log alone is reported and refused when that log is next appended to: other tenants do not
    /// stand still for it.
    ///
    /// # Errors
    /// `FailedPrecondition`: `KEY_NOT_OF_LOG` if a log was signed by another key; `MASTER_KEY_MISSING` if subjects' keys
    /// are sealed under a master key that is not here, naming how many.
    pub(crate) async fn check_start(&self) -> Result<()> {
        for tenant in tenants::list(&self.db).await? {
            let mut tx = self.db.snapshot().await?;
            self.check_masters(&mut tx, &tenant).await?;
            let found = match heads::read(&mut tx, &tenant).await {
                Ok(head) => check(&mut tx, &self.keys, &tenant, &head).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(()) => {}
                Err(error) if error.reason() == "KEY_NOT_OF_LOG" => return Err(error),
                Err(error) => tracing::error!(
                    %tenant,
                    reason = error.reason(),
                    "the log of a tenant is refused as it is: {error}"
                ),
            }
        }
        Ok(())
    }

    async fn check_masters(&self, tx: &mut Tx, tenant: &Tenant) -> Result<()> {
        for master in subjects::masters(tx, tenant).await? {
            if self.keys.master().has(&master) {
                continue;
            }
            let count = subjects::count_under(tx, tenant, &master).await?;
            let what = format!(
                "{count} keys of subjects of {tenant} are sealed under master key {master}, which is not configured here: \
                 put it back behind the current one, and drop it after `remit audit rewrap` leaves none"
            );
            return Err(Error::precondition("MASTER_KEY_MISSING", what));
        }
        Ok(())
    }

    /// Writes what was last signed into the data directory until `shutdown`.
    pub(crate) async fn remember(self, shutdown: CancellationToken) {
        let memory = self.keys.memory();
        let mut last = false;
        while !last {
            tokio::select! {
                () = memory.bell.notified() => {}
                () = shutdown.cancelled() => last = true,
            }
            let began = Instant::now();
            let due = std::mem::take(&mut *lock(&memory.due));
            for (tenant, note) in due {
                if let Err(error) = self.keep(&tenant, &note).await {
                    tracing::error!(%tenant, reason = error.reason(), "what was last signed is not kept: {error}");
                }
            }
            // Never more than a tenth of the time on this disk, however many tenants there are.
            let pause = PAUSE.max(began.elapsed() * 9);
            tokio::select! {
                () = tokio::time::sleep(pause), if !last => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Writes one checkpoint, if the log extends with it what the file says.
    async fn keep(&self, tenant: &Tenant, text: &str) -> Result<()> {
        let memory = self.keys.memory();
        let Some(path) = memory.path(tenant) else { return Ok(()) };
        let known = memory.recall(tenant, &self.keys)?;
        let checkpoint = Note::parse(text).and_then(|note| Checkpoint::parse(&note.text));
        let checkpoint = checkpoint.map_err(|error| failed(&path, &error))?;
        let new = (checkpoint.size, checkpoint.root);
        if let Some(kept) = known.kept {
            let mut tx = self.db.snapshot().await?;
            if !extends(&mut tx, tenant, kept, new).await? {
                memory.condemn(tenant);
                return Err(rolled_back(tenant, kept, new));
            }
        }
        let text = text.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            let made = path.parent().map_or(Ok(()), private::directory);
            made.and_then(|()| private::replace(&path, &text)).map_err(|error| failed(&path, &error))
        });
        written.await.map_err(|error| Error::internal("a checkpoint was not written").with_source(error))??;
        lock(&memory.known).entry(tenant.clone()).or_default().kept = Some(new);
        Ok(())
    }
}
