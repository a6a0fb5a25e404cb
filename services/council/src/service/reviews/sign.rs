//! Signatures and the seal.

use super::super::{Council, actor, bodies, changed, check_name, some};
use super::{Editing, ballot, missing};
use crate::store;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use remit_api::council::v1::{
    ActionItem, ActionItemState, Review, ReviewSignature, ReviewState, Seal, SealReviewRequest, SignReviewRequest,
};
use remit_core::quorum::Choice;
use remit_core::{Error, Result};
use remit_runtime::{Cx, finish};
use remit_store::Mutation;

impl Council {
    /// Signs the pack as it stands.
    pub async fn sign_review(&self, cx: &Cx, request: SignReviewRequest) -> Result<Review> {
        let mut edit = match self.edit(cx, &request.name, &request.request_id, &request).await? {
            Editing::Replay(review) => return Ok(*review),
            Editing::Fresh(edit) => edit,
        };
        if request.pack_digest != edit.review.pack_digest {
            let message =
                format!("{} changed: read it again, its digest is {}", edit.review.name, edit.review.pack_digest);
            return Err(Error::precondition("CONTENT_CHANGED", message));
        }
        let now = edit.mutation.now();
        let delegations = bodies::delegations(edit.mutation.tx(), &cx.tenant, &edit.review.body).await?;
        let ballot = ballot(&edit.review, &edit.seats);
        let seat = ballot.admit(&cx.actor, None, Choice::Approve, &delegations, now).map_err(|error| {
            if error.reason() == "ALREADY_VOTED" {
                Error::precondition("ALREADY_SIGNED", format!("{} or the seat has signed", cx.actor.subject))
            } else {
                error
            }
        })?;
        let signature = ReviewSignature {
            signer: Some(actor(&cx.actor)),
            seat: seat.subject.clone(),
            role_group: seat.role_group.clone(),
            pack_digest: request.pack_digest,
            create_time: some(now),
            valid: true,
            comment: request.comment.clone(),
        };
        edit.review.signatures.push(signature);
        self.commit_edit(*edit, request.comment).await
    }

    /// Seals a review that enough members signed.
    pub async fn seal_review(&self, cx: &Cx, request: SealReviewRequest) -> Result<Review> {
        check_name(&request.name, "reviews/*", "name")?;
        self.seed(&cx.tenant).await?;
        // The audit service is asked before the transaction begins, so that none is held open meanwhile.
        let review: Review = store::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        let witnessed = match review.state() {
            ReviewState::Open => self.witnessed(&cx.tenant, &review).await?,
            // A repetition is answered, anything else refused below.
            _ => String::new(),
        };
        let edit = match self.edit(cx, &request.name, &request.request_id, &request).await? {
            Editing::Replay(review) => return Ok(*review),
            Editing::Fresh(edit) => edit,
        };
        if edit.review.evidence_digest != review.evidence_digest {
            let message = format!("the evidence of {} was collected anew meanwhile: read it again", review.name);
            return Err(Error::precondition("CONTENT_CHANGED", message));
        }
        let lacking = missing(&edit.review, &edit.seats);
        if !lacking.is_empty() {
            let message = format!("{} is not signed by enough members: {}", edit.review.name, lacking.join(", "));
            return Err(Error::precondition("QUORUM_MISSING", message));
        }
        let (mut mutation, before, mut review) = (edit.mutation, edit.before, edit.review);
        let now = mutation.now();
        let mut fresh = [0; 32];
        self.ids.fill(&mut fresh);
        let key = SigningKey::from_bytes(&store::seal_seed(mutation.tx(), &cx.tenant, fresh).await?);
        let signature = key.sign(review.pack_digest.as_bytes()).to_bytes();
        let public_key = key.verifying_key().to_bytes();
        let mut event = mutation.event(mutation.call().method, &review.name);
        review.state = ReviewState::Sealed.into();
        review.missing = Vec::new();
        review.update_time = some(now);
        review.seal = Some(Seal {
            create_time: some(now),
            signature: signature.to_vec(),
            public_key: public_key.to_vec(),
            audit_event: event.id.clone(),
            cosigned_checkpoint: witnessed.clone(),
        });
        store::save(mutation.tx(), &cx.tenant, &mut review).await?;
        let digests = changed(&mutation, &review.name, Some(&before), &review);
        (event.before_digest, event.after_digest) = (digests.before_digest, digests.after_digest);
        event.details = serde_json::json!({
            "period": review.period,
            "pack_digest": review.pack_digest,
            "signature": STANDARD.encode(signature),
            "public_key": STANDARD.encode(public_key),
            "cosigned_checkpoint": witnessed,
            "signers": review
                .signatures
                .iter()
                .filter(|signature| signature.valid)
                .filter_map(|signature| signature.signer.as_ref().map(|signer| signer.subject.clone()))
                .collect::<Vec<_>>(),
        });
        mutation.record(event);
        self.carry_actions(&mut mutation, &review).await?;
        finish(mutation, review).await
    }

    /// Counts open action items as carried over to the next review.
    async fn carry_actions(&self, mutation: &mut Mutation, review: &Review) -> Result<()> {
        let tenant = mutation.tenant().clone();
        let open: Vec<ActionItem> = store::in_states(mutation.tx(), &tenant, &[ActionItemState::Open.into()]).await?;
        for item in open {
            let mut item: ActionItem = store::claim(mutation.tx(), &tenant, &item.name).await?;
            if item.state() != ActionItemState::Open {
                continue;
            }
            item.times_carried = item.times_carried.saturating_add(1);
            item.update_time = some(mutation.now());
            store::save(mutation.tx(), &tenant, &mut item).await?;
            let mut event = mutation.event("council.actionItems.carry", &item.name);
            event.details = serde_json::json!({"review": review.name, "times_carried": item.times_carried});
            mutation.record(event);
        }
        Ok(())
    }
}
