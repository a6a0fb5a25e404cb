//! `remit backup` and `remit restore`: everything that a suite on SQLite keeps, as it was at one moment.

mod manifest;
mod restore;

pub(super) use restore::run as restore;

use super::{databases, services};
use crate::args::Backup;
use crate::cli::print_raw;
use manifest::{FORMAT, Kept, Manifest, NAME, hashing_copy, manifest_digest};
use remit_core::{Clock as _, Error, Result, SystemClock};
use remit_runtime::Config;
use remit_store::{private, snapshot};
use secrecy::ExposeSecret as _;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Copies databases and the rest of the data directory into a new directory, with a manifest of what it holds.
pub(super) async fn run(args: Backup) -> Result<()> {
    let config = args.settings.load()?;
    let from = embedded(&config)?;
    begin(&args.directory)?;
    // Files before databases: a journal of checks that was taken into its database in between is then in both, under one
    // name, and counts once; and what the log was last seen to say is not later than the log.
    let mut files = copy_files(&config.data.dir, &args.directory, args.without_keys)?;
    let wanted: Vec<(PathBuf, PathBuf)> =
        from.iter().map(|(service, path)| (path.clone(), args.directory.join(database(service)))).collect();
    snapshot::copy(&wanted).await?;
    for (service, _) in &from {
        files.push(Kept::of(&args.directory, Path::new(&database(service)))?);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        format: FORMAT,
        remit: env!("CARGO_PKG_VERSION").to_owned(),
        time: SystemClock.now().to_string(),
        services: from.iter().map(|(service, _)| (*service).to_owned()).collect(),
        elsewhere: elsewhere(&config),
        without_keys: args.without_keys,
        files,
    };
    let text = manifest.text()?;
    // Last, so that a backup that was cut short has none and is refused.
    private::create(&args.directory.join(NAME), &text)?;
    tell(&args.directory, &manifest, &manifest_digest(&text))
}

fn tell(directory: &Path, manifest: &Manifest, digest: &str) -> Result<()> {
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let mut told = format!(
        "{}: {} files, {bytes} bytes: {}\nas of {}; manifest {digest}\n",
        directory.display(),
        manifest.files.len(),
        manifest.services.join(", "),
        manifest.time
    );
    told += "Keep that digest, and a checkpoint of a witness, apart: `remit restore --manifest` holds the backup against it.\n";
    if manifest.without_keys {
        told += "The keys of the data directory are not in it: keep them apart.\n";
    } else {
        told += "It holds the keys of the data directory: whoever reads it can act in their name.\n";
    }
    for key in &manifest.elsewhere {
        told += &format!("Not in it: {key}\n");
    }
    print_raw(told.as_bytes())
}

/// The databases that are there, by service.
fn embedded(config: &Config) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut found = Vec::new();
    for service in databases::named(config) {
        let url = config.database_url(service.name);
        let Some(path) = url.expose_secret().strip_prefix("sqlite:") else {
            let what = format!(
                "the database of {} is on a server, which has tools for this: docs/operations.md says in which order",
                service.name
            );
            return Err(Error::precondition("BACKUP_NOT_EMBEDDED", what));
        };
        let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        if path.exists() {
            found.push((service.name, path));
        }
    }
    if found.is_empty() {
        let what = format!("{} holds no database: name the data directory of the server", config.data.dir.display());
        return Err(Error::precondition("BACKUP_EMPTY", what));
    }
    Ok(found)
}

fn database(service: &str) -> String {
    format!("{service}.db")
}

/// Makes the directory, or finds that it is an empty one.
fn begin(directory: &Path) -> Result<()> {
    refuse_content(directory)?;
    private::directory(directory)
}

/// Refuses a directory in which something is.
fn refuse_content(directory: &Path) -> Result<()> {
    match fs::read_dir(directory).map(|mut found| found.next().is_some()) {
        Ok(true) => {
            let what =
                format!("{} is not empty, and nothing is written over: name a new directory", directory.display());
            Err(Error::precondition("DIRECTORY_NOT_EMPTY", what))
        }
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::invalid("FILE_UNREADABLE", directory.display().to_string(), error.to_string())),
    }
}

/// What is in a data directory beside databases, keys and what belongs to a running process.
const STATE: [&str; 3] = ["audit-heads", "checks", "clock"];

/// Copies what the data directory holds beside databases.
fn copy_files(from: &Path, to: &Path, without_keys: bool) -> Result<Vec<Kept>> {
    let mut copied = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let at = from.join(&folder);
        let entries = fs::read_dir(&at).map_err(|error| unreadable(&at, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&at, &error))?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            let state = path.iter().next().is_some_and(|first| STATE.iter().any(|name| first == *name));
            let top = folder.as_os_str().is_empty();
            if (top && is_of_a_process(&path)) || (without_keys && !state) || (!kind.is_dir() && !kind.is_file()) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if let Some(kept) = hashing_copy(from, to, &path)? {
                copied.push(kept);
            }
        }
    }
    Ok(copied)
}

/// Whether a file is a database, which is copied otherwise, or the lock.
fn is_of_a_process(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let databases = services().into_iter().any(|service| {
        ["", "-wal", "-shm", "-journal"].iter().any(|part| name == format!("{}.db{part}", service.name))
    });
    databases || name == "lock"
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid("FILE_UNREADABLE", path.display().to_string(), error.to_string())
}

/// The keys that the configuration has outside of the data directory.
fn elsewhere(config: &Config) -> Vec<String> {
    let named = [
        ("auth.service_key", &config.auth.service_key),
        ("auth.issuer_dir", &config.auth.issuer_dir),
        ("mandates.key", &config.mandates.key),
        ("audit.signing_key", &config.audit.signing_key),
        ("audit.master_keys_file", &config.audit.master_keys_file),
        ("server.tls_key", &config.server.tls_key),
    ];
    let outside =
        named.into_iter().filter(|(_, path)| !path.as_os_str().is_empty() && !path.starts_with(&config.data.dir));
    let mut all: BTreeSet<String> = outside.map(|(setting, path)| format!("{setting} ({})", path.display())).collect();
    if !config.audit.master_keys.expose_secret().is_empty() {
        all.insert("audit.master_keys".to_owned());
    }
    all.into_iter().collect()
}
