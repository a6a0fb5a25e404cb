//! Checkpoints and proofs.

use super::Service;
use super::entries::{entry_index, entry_not_found, handovers};
use crate::export_verify::{CLOCKS, SINCE};
use crate::memory;
use crate::store::checkpoints::{self, Line};
use crate::store::heads::{self, Head, signed};
use crate::store::{damaged, tiles};
use remit_api::audit::v1 as api;
use remit_api::wire::time::stamp;
use remit_core::details::{CheckpointCosigned, Details as _};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_runtime::Cx;
use remit_store::Tx;
use remit_tlog::proof_file::ProofFile;
use remit_tlog::{Checkpoint, Hash, Note};

/// How many cosigned sizes are looked at for one that has enough.
const MAX_SIZES: i64 = 100;

impl Service {
    /// The signed checkpoint at `size`, with the cosignatures of known witnesses.
    pub(crate) async fn checkpoint_at(&self, tx: &mut Tx, tenant: &Tenant, size: u64) -> Result<api::Checkpoint> {
        let head = heads::read(tx, tenant).await?;
        self.checkpoint_under(tx, tenant, &head, size).await
    }

    /// The same under a head that was just read.
    async fn checkpoint_under(&self, tx: &mut Tx, tenant: &Tenant, head: &Head, size: u64) -> Result<api::Checkpoint> {
        let root = tiles::root(tx, tenant, size).await?;
        self.checkpoint_of(tx, tenant, head, size, root).await
    }

    /// Finds that `root` is the one root of `size`: that of the head, which a step signed over the leaves that it added,
    /// or one that the head's tree extends. Tiles that somebody has changed lead to another, which is not signed.
    async fn check_root(&self, tx: &mut Tx, tenant: &Tenant, head: &Head, size: u64, root: Hash) -> Result<()> {
        self.keys.check_head(tenant, head)?;
        if memory::extends(tx, tenant, (size, root), (head.size, head.root)).await? {
            return Ok(());
        }
        let what = format!(
            "the stored tiles give root {root} at {size}, which the signed head of {} entries contradicts: it is not signed; \
             VerifyLog says which tile is wrong",
            head.size
        );
        Err(Error::precondition("CHECKPOINT_CONFLICT", what))
    }

    /// The same where the root is known. Ed25519 is deterministic, so every replica gives the same bytes.
    async fn checkpoint_of(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        head: &Head,
        size: u64,
        root: Hash,
    ) -> Result<api::Checkpoint> {
        self.check_root(tx, tenant, head, size, root).await?;
        let checkpoint = Checkpoint { origin: self.keys.origin(tenant), size, root };
        let mut note = checkpoint.sign(&self.keys.signer(tenant)?);
        let mut cosigned = Vec::new();
        // Without witnesses no line counts, whatever is stored.
        let alone = self.keys.witnesses().is_empty();
        let lines = if alone { Vec::new() } else { checkpoints::of_size(tx, tenant, size).await? };
        for line in lines {
            let Some(key) = self.keys.witnesses().iter().find(|key| key.name() == line.witness) else { continue };
            let text = format!("{}\n{}", note.text, line.signature);
            let with_line =
                Note::parse(&text).map_err(|error| damaged(format!("cosignature of {}: {error}", line.witness)))?;
            // A witness that has changed its key since no longer counts.
            let Ok(time) = with_line.verify(key) else { continue };
            note.signatures.extend(with_line.signatures);
            let time = i64::try_from(time).unwrap_or(i64::MAX).saturating_mul(1_000_000);
            cosigned.push(api::Cosignature { witness: line.witness, cosign_time: Some(stamp(Timestamp(time))) });
        }
        Ok(api::Checkpoint {
            origin: checkpoint.origin,
            size: signed(size),
            root_hash: checkpoint.root.0.to_vec(),
            note: note.to_string(),
            verifier_key: self.keys.signer(tenant)?.verifier().to_string(),
            cosignatures: cosigned,
        })
    }

    /// The newest checkpoint with at least `minimum` cosignatures.
    ///
    /// # Errors
    /// `FailedPrecondition` (`NOT_COSIGNED`).
    pub async fn get_checkpoint(&self, cx: &Cx, request: api::GetCheckpointRequest) -> Result<api::Checkpoint> {
        self.checkpoint(&cx.tenant, request.min_cosignatures).await
    }

    pub(crate) async fn checkpoint(&self, tenant: &Tenant, minimum: i32) -> Result<api::Checkpoint> {
        let mut tx = self.db.snapshot().await?;
        let head = heads::read(&mut tx, tenant).await?;
        if minimum <= 0 {
            return self.checkpoint_under(&mut tx, tenant, &head, head.size).await;
        }
        for size in checkpoints::sizes(&mut tx, tenant, minimum.into(), head.size + 1, MAX_SIZES).await? {
            let checkpoint = self.checkpoint_under(&mut tx, tenant, &head, size).await?;
            if checkpoint.cosignatures.len() >= usize::try_from(minimum).unwrap_or(usize::MAX) {
                return Ok(checkpoint);
            }
        }
        Err(Error::precondition(
            "NOT_COSIGNED",
            format!("no checkpoint has {minimum} cosignatures of known witnesses yet"),
        ))
    }

    /// Proves inclusion; `size` 0 means now.
    ///
    /// # Errors
    /// `NotFound` (`ENTRY_NOT_FOUND`); `InvalidArgument` (`SIZE_INVALID`).
    pub async fn get_inclusion_proof(
        &self,
        cx: &Cx,
        request: api::GetInclusionProofRequest,
    ) -> Result<api::InclusionProof> {
        let (tenant, index) = (&cx.tenant, entry_index(&request.name)?);
        let mut tx = self.db.snapshot().await?;
        let head = heads::read(&mut tx, tenant).await?;
        if index >= head.size {
            return Err(entry_not_found(index));
        }
        let size = at_size(request.size, head.size, index + 1, "size")?;
        self.inclusion_at(&mut tx, tenant, &head, index, size).await
    }

    pub(crate) async fn inclusion_at(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        head: &Head,
        index: u64,
        size: u64,
    ) -> Result<api::InclusionProof> {
        let newest = if size == head.size {
            tiles::inclusion_at_head(tx, tenant, index, head, &self.known_tiles).await?
        } else {
            None
        };
        let found = match newest {
            Some(found) => found,
            None => tiles::inclusion(tx, tenant, index, size).await?,
        };
        let checkpoint = self.checkpoint_of(tx, tenant, head, size, found.root).await?.note;
        found.check(index, size)?;
        self.known_tiles.learn(tenant, index, &found);
        let tiles::Inclusion { leaf, hashes, .. } = found;
        let file = ProofFile { extra: None, index, hashes: hashes.clone(), checkpoint: checkpoint.clone() };
        Ok(api::InclusionProof {
            index: signed(index),
            size: signed(size),
            leaf_hash: leaf.0.to_vec(),
            hashes: hashes.iter().map(|hash| hash.0.to_vec()).collect(),
            tlog_proof: file.to_string(),
            checkpoint,
        })
    }

    /// Proves consistency; `new` 0 means now.
    ///
    /// # Errors
    /// `InvalidArgument` (`SIZE_INVALID`).
    pub async fn get_consistency_proof(
        &self,
        cx: &Cx,
        request: api::GetConsistencyProofRequest,
    ) -> Result<api::ConsistencyProof> {
        let tenant = &cx.tenant;
        let mut tx = self.db.snapshot().await?;
        let now = heads::size(&mut tx, tenant).await?;
        let new = at_size(request.new_size, now, 1, "new_size")?;
        let old = at_size(request.old_size, new, 1, "old_size")?;
        let tiles::Consistency { hashes, roots } = tiles::consistency(&mut tx, tenant, old, new).await?;
        let handovers =
            if request.with_handovers { handovers::lines(&mut tx, tenant, old, new).await? } else { Vec::new() };
        Ok(api::ConsistencyProof {
            old_size: signed(old),
            new_size: signed(new),
            hashes: hashes.iter().map(|hash| hash.0.to_vec()).collect(),
            old_root_hash: roots.0.0.to_vec(),
            new_root_hash: roots.1.0.to_vec(),
            handovers,
        })
    }

    /// Whether a witness can have cosigned at this time, in seconds since 1970.
    fn could_be(&self, time: u64) -> bool {
        let now = u64::try_from(self.db.now().0 / 1_000_000).unwrap_or(0);
        (SINCE..=now.saturating_add(CLOCKS)).contains(&time)
    }

    /// Takes a witness's cosignature.
    ///
    /// # Errors
    /// `InvalidArgument` (`NOTE_INVALID`); `PermissionDenied` (`WITNESS_UNKNOWN`).
    pub async fn add_cosignature(&self, cx: &Cx, request: api::AddCosignatureRequest) -> Result<api::Checkpoint> {
        let tenant = &cx.tenant;
        let wrong = |why: String| Error::invalid("NOTE_INVALID", "note", why);
        let note = Note::parse(&request.note).map_err(|error| wrong(error.to_string()))?;
        self.keys.verify(tenant, &note).map_err(|error| wrong(error.to_string()))?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(|error| wrong(error.to_string()))?;
        let mut lines = Vec::new();
        for key in self.keys.witnesses() {
            let Ok(signature) = note.signature_by(key) else { continue };
            let time = note.verify(key).map_err(|error| wrong(error.to_string()))?;
            if !self.could_be(time) {
                return Err(wrong(format!(
                    "{} says that it cosigned {time} seconds after 1970: it must be after 2020 and at most a day ahead of this \
                     server, so set its clock",
                    key.name()
                )));
            }
            let cosign_time =
                i64::try_from(time).map_err(|_| wrong("the time of the cosignature is out of range".into()))?;
            lines.push(Line { witness: key.name().to_owned(), signature: signature.to_string(), cosign_time });
        }
        if lines.is_empty() {
            // Before the mutation, which would record the refusal: the log would grow with each try, and a witness that
            // is not configured yet would never be done with it.
            let message = "no witness that this server knows signed the note: add its key to audit.witnesses";
            return Err(Error::denied("WITNESS_UNKNOWN", message));
        }
        self.db
            .mutate(&cx.call(&request), async |m| {
                let mut new = Vec::new();
                for line in &lines {
                    let before = checkpoints::last_of(m.tx(), tenant, &line.witness).await?;
                    if before.is_none_or(|before| !same_key(&before, &line.signature)) {
                        new.push(line.witness.clone());
                    }
                    checkpoints::put(m.tx(), tenant, checkpoint.size, line, self.db.now()).await?;
                }
                let head = heads::read(m.tx(), tenant).await?;
                if checkpoint.size > head.size || checkpoint.origin != self.keys.origin(tenant) {
                    return Err(wrong(format!(
                        "the note is of {} entries of {}, this log has {}",
                        checkpoint.size, checkpoint.origin, head.size
                    )));
                }
                if tiles::root(m.tx(), tenant, checkpoint.size).await? != checkpoint.root {
                    return Err(wrong("the root hash is not that of this log".into()));
                }
                let answer = self.checkpoint_of(m.tx(), tenant, &head, checkpoint.size, checkpoint.root).await?;
                // That a key begins to cosign is an entry. Its lines are kept beside the checkpoints and prove themselves: an
                // entry for each would let a log grow by being witnessed, and never be witnessed to its end.
                if !new.is_empty() {
                    let mut event = m.event(cx.method, &format!("checkpoints/{}", checkpoint.size));
                    event.details = CheckpointCosigned { root: checkpoint.root.to_string(), witnesses: new }.json();
                    self.record(m, event).await?;
                }
                Ok(answer)
            })
            .await
    }
}

/// Whether two signature lines are of one key.
fn same_key(one: &str, other: &str) -> bool {
    let id = |line: &str| Note::parse(&format!("-\n\n{line}")).ok()?.signatures.first().map(|line| line.key_id);
    id(one).is_some_and(|one| id(other) == Some(one))
}

/// A size of the log as requested: 0 means `now`.
fn at_size(requested: i64, now: u64, least: u64, field: &str) -> Result<u64> {
    match u64::try_from(requested) {
        Ok(0) if now >= least => Ok(now),
        Ok(size) if (least..=now).contains(&size) => Ok(size),
        _ => Err(Error::invalid("SIZE_INVALID", field, format!("must be {least} to {now}"))),
    }
}
