//! The rule that a review is sealed only once witnesses vouch for the audit log behind it.
//!
//! What the audit service says is not enough for that: the cosignatures are verified here, and so is that the
//! cosigned log extends the one that the review cites.

use super::super::Service;
use super::collect::collected_evidence;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{GetCheckpointRequest, GetConsistencyProofRequest};
use remit_api::council::v1::Review;
use remit_core::{Error, Result, Tenant};
use remit_runtime::foreign;
use remit_tlog::client::advance;
use remit_tlog::{Checkpoint, Hash, Note};

fn refused(review: &Review, why: impl std::fmt::Display) -> Error {
    Error::precondition("REVIEW_NOT_COSIGNED", format!("{} cannot be sealed: {why}", review.name))
}

impl Service {
    /// The newest signed note with enough cosignatures, if it covers the checkpoint that the review cites, with the proof
    /// of that; empty if no cosignatures are asked for.
    ///
    /// # Errors
    /// `FailedPrecondition` (`REVIEW_NOT_COSIGNED`); as the audit service fails.
    pub(super) async fn witnessed(&self, tenant: &Tenant, review: &Review) -> Result<(String, Vec<Hash>)> {
        let wanted = self.seal_min_cosignatures;
        if wanted == 0 {
            return Ok((String::new(), Vec::new()));
        }
        let evidence = collected_evidence(&mut self.db.read().await?, tenant, &review.name).await?;
        if evidence.audit_checkpoint.is_empty() {
            return Err(refused(review, "it cites no checkpoint of the audit log; refresh its evidence"));
        }
        let read = |note: &str| -> remit_tlog::Result<(Note, Checkpoint)> {
            let note = Note::parse(note)?;
            let checkpoint = Checkpoint::parse(&note.text)?;
            Ok((note, checkpoint))
        };
        let (_, cited) = read(&evidence.audit_checkpoint).map_err(|error| refused(review, error))?;
        let ask = self.ask(tenant);
        let mut audit = AuditServiceClient::new(ask.channel("audit"));
        let request = GetCheckpointRequest { min_cosignatures: i32::try_from(wanted).unwrap_or(i32::MAX) };
        let cosigned = audit.get_checkpoint(ask.of(request)).await.map_err(foreign);
        let cosigned = cosigned.map_err(|error| match error.reason() {
            "NOT_COSIGNED" => refused(review, error.message()),
            _ => error,
        })?;
        let text = cosigned.into_inner().note;
        let (note, checkpoint) = read(&text).map_err(|error| refused(review, error))?;
        let found = note.count_signers(&self.witnesses).map_err(|error| refused(review, error))?;
        if found < wanted {
            return Err(refused(review, format_args!("{found} of {wanted} cosignatures are of witnesses known here")));
        }
        if checkpoint.size < cited.size {
            let (cited, size) = (cited.size, checkpoint.size);
            return Err(refused(
                review,
                format_args!("it cites {cited} entries of the audit log, and {wanted} witnesses vouch only for {size}"),
            ));
        }
        let mut proof = Vec::new();
        if 0 < cited.size && cited.size < checkpoint.size {
            let size = |size| i64::try_from(size).unwrap_or(i64::MAX);
            let request = GetConsistencyProofRequest {
                old_size: size(cited.size),
                new_size: size(checkpoint.size),
                with_handovers: false,
            };
            for hash in audit.get_consistency_proof(ask.of(request)).await.map_err(foreign)?.into_inner().hashes {
                proof.push(Hash::from_slice(&hash).map_err(|error| refused(review, error))?);
            }
        }
        if cited.size > 0 {
            advance(Some(&cited), &checkpoint, &proof).map_err(|error| {
                refused(review, format_args!("the cosigned log does not extend the one that it cites: {error}"))
            })?;
        }
        Ok((text, proof))
    }
}
