//! What a backup holds, by digest.

use remit_core::{Error, Result};
use remit_store::private;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Component, Path};

/// The file in a backup.
pub(super) const NAME: &str = "manifest.json";
/// The form of what this program writes.
pub(super) const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The form of the backup.
    pub format: u32,
    /// The version of the program that made it.
    pub remit: String,
    /// When it was made, RFC 3339.
    pub time: String,
    /// The services whose databases it holds.
    pub services: Vec<String>,
    /// The settings of keys that were outside of the data directory and are not in it.
    pub elsewhere: Vec<String>,
    /// Whether the keys of the data directory were left out.
    pub without_keys: bool,
    /// Every file but this one.
    pub files: Vec<Kept>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Where it is, below the backup and below the data directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The digest of its content, `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

impl Manifest {
    /// As it is written.
    pub(super) fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        Ok(text.map_err(|error| Error::internal("cannot encode the manifest").with_source(error))? + "\n")
    }

    /// Reads one; `wanted` is the digest that it must have, if somebody kept it.
    pub(super) fn read(backup: &Path, wanted: Option<&str>) -> Result<Self> {
        let path = backup.join(NAME);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| damaged(format!("cannot read {}: {error}", path.display())))?;
        let found = manifest_digest(&text);
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(damaged(format!("its manifest has the digest {found}, not {wanted}: it is another backup")));
        }
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| damaged(format!("{}: {error}", path.display())))?;
        if manifest.format != FORMAT {
            let what = format!("it has the form {}, and this program reads {FORMAT}", manifest.format);
            return Err(damaged(what));
        }
        for kept in &manifest.files {
            let inside = Path::new(&kept.path).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside || kept.path.is_empty() || kept.path == NAME || kept.path == "lock" {
                return Err(damaged(format!("its manifest names {:?}", kept.path)));
            }
        }
        Ok(manifest)
    }
}

impl Kept {
    /// A file as it is.
    pub(super) fn of(backup: &Path, path: &Path) -> Result<Self> {
        let full = backup.join(path);
        let file = File::open(&full).map_err(|error| damaged(format!("cannot read {}: {error}", full.display())))?;
        let (bytes, digest) = pass(file, None).map_err(|error| damaged(format!("{}: {error}", full.display())))?;
        Ok(Self { path: path.display().to_string(), bytes, digest })
    }
}

/// Copies a file for its owner alone and says what was copied; nothing if it is gone.
pub(super) fn hashing_copy(from: &Path, to: &Path, path: &Path) -> Result<Option<Kept>> {
    let (source, target) = (from.join(path), to.join(path));
    let file = match File::open(&source) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::invalid("FILE_UNREADABLE", source.display().to_string(), error.to_string())),
    };
    let mut written = private::begin(&target)?;
    let copied = pass(file, Some(&mut written)).and_then(|done| written.sync_all().map(|()| done));
    let (bytes, digest) = copied.map_err(|error| {
        let what = format!("cannot copy {} to {}: {error}", source.display(), target.display());
        Error::precondition("BACKUP_FAILED", what).with_source(error)
    })?;
    Ok(Some(Kept { path: path.display().to_string(), bytes, digest }))
}

/// Reads to the end, and writes what was read: its size and digest.
fn pass(mut from: File, mut to: Option<&mut File>) -> std::io::Result<(u64, String)> {
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = from.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        if let Some(to) = to.as_deref_mut() {
            to.write_all(part)?;
        }
        bytes += u64::try_from(read).unwrap_or(0);
    }
    Ok((bytes, format!("sha256:{}", hex::encode(hash.finalize()))))
}

/// The digest of a manifest's text.
pub(super) fn manifest_digest(text: &str) -> String {
    remit_core::digest::sha256(text.as_bytes())
}

/// A backup that is not what it was.
pub(super) fn damaged(why: impl std::fmt::Display) -> Error {
    Error::precondition("BACKUP_DAMAGED", format!("the backup cannot be used: {why}"))
}
