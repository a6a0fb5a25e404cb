//! `remit audit verify` of a proof file: one entry, without a server.

use super::connect::text;
use super::output::Output;
use remit_audit::export_verify::{Beforehand, CLOCKS};
use remit_core::{Error, Result};
use remit_tlog::client::Trust;
use remit_tlog::proof_file::ProofFile;
use remit_tlog::{Error as LogError, Hash, leaf_hash};
use std::path::Path;

/// Checks that the entry in a proof file is in the log whose key is trusted.
pub(super) fn verify(out: &Output, path: &Path, beforehand: Beforehand, leaf: Option<&str>) -> Result<()> {
    let refused =
        |why: LogError| Error::precondition("PROOF_REFUSED", format!("{}: {why}", path.display())).with_source(why);
    if beforehand.earlier.is_some() {
        return Err(Error::invalid(
            "OPTION_NOT_ALLOWED",
            "since",
            "cannot be used with a proof file, which ties no two sizes",
        ));
    }
    let Some(log) = beforehand.key else {
        let why = "must be given for a proof file, which says nothing of whose log it is";
        return Err(Error::invalid("FIELD_REQUIRED", "key", why));
    };
    let text = text(path)?;
    let file = ProofFile::parse(&text).map_err(refused)?;
    let stated = leaf.map(|text| {
        let bytes = hex::decode(text).unwrap_or_default();
        Hash::from_slice(&bytes).map_err(|error| Error::invalid("FIELD_INVALID", "leaf-hash", error.to_string()))
    });
    let leaf = match (stated.transpose()?, &file.extra) {
        (Some(stated), Some(entry)) if leaf_hash(entry) != stated => {
            let what = format!("{}: the entry in it has leaf hash {}", path.display(), leaf_hash(entry));
            return Err(Error::precondition("PROOF_REFUSED", what));
        }
        (Some(stated), _) => stated,
        (None, Some(entry)) => leaf_hash(entry),
        (None, None) => {
            let why = "must be given for a proof file without the entry: retention has removed that";
            return Err(Error::invalid("FIELD_REQUIRED", "leaf-hash", why));
        }
    };
    let (origin, witnesses) = (log.name().to_owned(), beforehand.witnesses.len());
    let trust = Trust::new(&origin, log, beforehand.witnesses, beforehand.quorum)
        .map_err(|error| Error::invalid("KEY_INVALID", "witness", error.to_string()))?
        .within(0..=beforehand.now.map_or(u64::MAX, |now| now.saturating_add(CLOCKS)));
    let checkpoint = trust.check_proof_file(leaf, &text).map_err(refused)?;
    let entry = file.extra.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let facts = [
        ("verified", "yes".to_owned()),
        ("log", checkpoint.origin.clone()),
        ("entry", format!("{} of {}", file.index, checkpoint.size)),
        ("leaf hash", leaf.to_string()),
        ("witnesses", format!("{} of {witnesses} given must have cosigned", beforehand.quorum)),
        ("content", entry.clone()),
    ];
    out.facts(&facts, || {
        Ok(serde_json::json!({
            "verified": true, "origin": checkpoint.origin, "index": file.index, "size": checkpoint.size,
            "leafHash": leaf.to_string(), "entry": entry,
        }))
    })
}
