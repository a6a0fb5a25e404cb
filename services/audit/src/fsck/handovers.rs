//! The changes of the signing key, each compared with its entry.

use super::{FindingKind, Findings};
use crate::leaf::Leaf;
use crate::store::key_handovers;
use crate::store::prunings::ROTATE;
use remit_core::details::SigningKeyRotated;
use remit_core::{Result, Tenant};
use remit_store::Tx;
use remit_tlog::{Checkpoint, Hash, Note, VerifierKey};
use std::collections::BTreeMap;

/// The old keys' signatures that are stored, by the size that they are for, and what an entry says of the next size.
pub(super) struct Handovers {
    stored: BTreeMap<u64, String>,
    stated: Option<SigningKeyRotated>,
}

impl Handovers {
    pub(super) async fn read(tx: &mut Tx, tenant: &Tenant, start: u64) -> Result<Self> {
        // Also beyond the end of the log, where nothing belongs.
        let stored = key_handovers::within(tx, tenant, start, u64::MAX).await?.into_iter().collect();
        Ok(Self { stored, stated: None })
    }

    /// Takes the next entry.
    pub(super) fn push(&mut self, leaf: &Leaf) {
        if leaf.action == ROTATE && leaf.service == crate::SCHEMA.service && leaf.outcome == "SUCCESS" {
            self.stated = Some(serde_json::from_str(leaf.details()).unwrap_or_default());
        }
    }

    /// Whether the entry just taken says that the key was changed.
    pub(super) fn is_next(&self) -> bool {
        self.stated.is_some()
    }

    /// Compares, where the entry just taken says that the key was changed; `before` and `after` are the tree's size and root
    /// around it.
    pub(super) fn check(&mut self, origin: &str, before: (u64, Hash), after: (u64, Hash), findings: &mut Findings) {
        let Some(stated) = self.stated.take() else { return };
        let stored = self.stored.remove(&after.0);
        if let Err(why) = compare(origin, &stated, stored.as_deref(), before, after) {
            findings.add(
                FindingKind::Checkpoint,
                format!("checkpoints/{}", after.0),
                format!("the signing key was changed: {why}"),
            );
        }
    }

    /// Names what is stored and has no entry.
    pub(super) fn finish(&self, findings: &mut Findings) {
        for size in self.stored.keys() {
            let message = "the signature of an old key is there, and no entry changed the key";
            findings.add(FindingKind::Checkpoint, format!("checkpoints/{size}"), message);
        }
    }
}

fn compare(
    origin: &str,
    stated: &SigningKeyRotated,
    stored: Option<&str>,
    before: (u64, Hash),
    after: (u64, Hash),
) -> std::result::Result<(), String> {
    let old = VerifierKey::parse(&stated.old_key).map_err(|error| error.to_string())?;
    let checkpoint = |(size, root): (u64, Hash)| Checkpoint { origin: origin.to_owned(), size, root };
    let last = Note::parse(&stated.checkpoint).and_then(|note| note.verify(&old).map(|_| note.text));
    if last.map_err(|error| format!("the last checkpoint of the old key: {error}"))? != checkpoint(before).to_string() {
        return Err(format!("the last checkpoint of the old key is not that of {} entries", before.0));
    }
    let line = stored.ok_or("the signature of the old key is gone")?;
    let note = Note::parse(&format!("{}\n{line}", checkpoint(after)));
    note.and_then(|note| note.verify(&old)).map(drop).map_err(|error| format!("the signature of the old key: {error}"))
}
