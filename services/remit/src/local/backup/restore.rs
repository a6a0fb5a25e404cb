//! `remit restore`: a backup becomes a data directory, and its log is recomputed.

use super::manifest::{Manifest, damaged, hashing_copy};
use super::{database, refuse_content};
use crate::args::Restore;
use crate::cli::{print_raw, text};
use remit_audit::{Service, fsck, sequencer};
use remit_core::{Error, Ids, Result, SystemClock, Tenant};
use remit_runtime::Config;
use remit_store::{Db, Options, private};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Restores a backup into an empty directory and says what was verified.
pub(in crate::local) async fn run(args: Restore) -> Result<()> {
    let config = args.settings.load()?;
    let manifest = Manifest::read(&args.backup, args.manifest.as_deref())?;
    let since = args.checkpoints.iter().map(|path| text(path)).collect::<Result<Vec<_>>>()?;
    unpack(&args.backup, &manifest, &config.data.dir)?;
    let mut told = format!(
        "{}: restored as of {} from {} files, each with the digest of the manifest\n",
        config.data.dir.display(),
        manifest.time,
        manifest.files.len()
    );
    for key in &manifest.elsewhere {
        told += &format!("needed beside it, and not in the backup: {key}\n");
    }
    print_raw(told.as_bytes())?;
    if !manifest.services.iter().any(|service| service == "audit") {
        return print_raw(b"not verified: the backup holds no audit log\n");
    }
    verify(config, &since).await
}

/// Puts the files in place: all of them, or none.
fn unpack(backup: &Path, manifest: &Manifest, to: &Path) -> Result<()> {
    refuse_content(to)?;
    let unfinished = beside(to);
    refuse_content(&unfinished)?;
    private::directory(&unfinished)?;
    let copied = manifest.files.iter().try_for_each(|kept| {
        let found = hashing_copy(backup, &unfinished, Path::new(&kept.path))?;
        match found {
            Some(found) if found == *kept => Ok(()),
            Some(found) => {
                Err(damaged(format!("{} is not what it was: {} now, {}", kept.path, found.digest, kept.digest)))
            }
            None => Err(damaged(format!("{} is missing", kept.path))),
        }
    });
    if let Err(error) = copied {
        // What was copied is in the backup still.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(error);
    }
    let failed = |error: std::io::Error| {
        let what = format!("cannot put {} in place: {error}", to.display());
        Error::precondition("BACKUP_FAILED", what).with_source(error)
    };
    if to.exists() {
        fs::remove_dir(to).map_err(failed)?;
    }
    fs::rename(&unfinished, to).map_err(failed)
}

fn beside(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

/// Recomputes the log of every tenant, and holds it against what was known of it outside.
async fn verify(mut config: Config, since: &[String]) -> Result<()> {
    // A key that is missing is missed, and not made: the log would go on under another name.
    config.auth.development = false;
    let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes))));
    let keys = Arc::new(remit_audit::load_keys(&config, &ids).map_err(|error| {
        let what = "everything is in place, but not verified: put the keys of the log where they belong, then run \
                    remit audit fsck --local";
        Error::new(error.kind(), error.reason(), format!("{what}: {}", error.message()))
    })?);
    let url = format!("sqlite:{}", config.data.dir.join(database("audit")).display());
    let db = Db::open(&url, &remit_audit::SCHEMA, ids, Options { migrate: false, ..Options::default() }).await?;
    let log = Service::new(db.clone(), Arc::new(SystemClock), keys, sequencer::Limits::default());
    let (mut findings, mut extended) = (0, 0);
    for (tenant, report) in fsck::all(&log, fsck::MAX_FINDINGS).await? {
        let name = log.keys().origin(&tenant);
        findings += tell(&tenant, &report)?;
        for note in since.iter().filter(|note| is_of(note, &name)) {
            let report = log.fsck(&tenant, note, fsck::MAX_FINDINGS).await?;
            extended += 1;
            findings += tell(&tenant, &report)?;
            if report.findings.is_empty() {
                print_raw(format!("{tenant}: extends the checkpoint of {} entries\n", report.start).as_bytes())?;
            }
        }
    }
    db.close().await;
    if extended < since.len() {
        let what = format!(
            "{} of the checkpoints are of none of the restored logs: a log is missing, or audit.origin is another",
            since.len() - extended
        );
        return Err(Error::precondition("CHECKPOINT_FOREIGN", what));
    }
    match findings {
        0 => print_raw(b"verified: every log computes to its signed checkpoint\n"),
        found => Err(Error::precondition("LOG_DAMAGED", format!("the restored log does not verify: {found} findings"))),
    }
}

fn tell(tenant: &Tenant, report: &fsck::Report) -> Result<usize> {
    for finding in &report.findings {
        let kind = finding.kind.as_str_name();
        print_raw(format!("{tenant}: {kind} {}: {}\n", finding.location, finding.message).as_bytes())?;
    }
    if report.start == 0 {
        let told = format!(
            "{tenant}: {} entries, {} of them recomputed, {} pruned, {} erased\n",
            report.size, report.entries, report.pruned, report.erased
        );
        print_raw(told.as_bytes())?;
    }
    Ok(report.findings.len())
}

/// Whether a note is a checkpoint of the log of this name. What it says is verified with it.
fn is_of(note: &str, name: &str) -> bool {
    note.lines().next() == Some(name)
}
