//! Publishing: mechanical once a person has signed, and impossible before (A6).

use super::record::{self, Record};
use super::{Service, reviews, runs};
use crate::convert::stamp;
use crate::machine::Action;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::VariantFate;
use remit_core::{Error, Result};
use remit_runtime::{Cx, Started, finish};
use remit_store::timers;
use serde_json::json;

impl Service {
    /// Publishes signed variants.
    pub async fn publish_handoff(&self, cx: &Cx, request: pb::PublishHandoffRequest) -> Result<pb::Handoff> {
        // Asked outside the transaction and judged inside, as for a run.
        let before = record::peek(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        let permission = match &before.run_inputs {
            Some(inputs) if !before.human_led => Some(self.permission(cx, &request.name, &inputs.model_version).await),
            _ => None,
        };
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        record.go(Action::Publish)?;
        let signed_digest = check_signature(&record, &request.variants)?;
        runs::check_tags(&record)?;
        if !record.handoff.human_led {
            let permission =
                permission.ok_or_else(|| Error::internal("an accepted AI result names no model version"))??;
            permission.require(&format!("{} may no longer be published", request.name))?;
        }
        let now = mutation.now();
        for variant in &mut record.handoff.variants {
            if request.variants.iter().any(|published| published.variant == variant.variant) {
                variant.fate = VariantFate::Published.into();
            }
        }
        record.handoff.publish_time = Some(stamp(now));
        record.handoff.expire_time = None;
        timers::cancel(mutation.tx(), &cx.tenant, &format!("expire/{}", record.id)).await?;
        record.put_variants(&mut mutation).await?;
        let details = json!({
            "signed_digest": signed_digest,
            "variants": request.variants.iter().map(|v| json!([v.variant, v.content_digest])).collect::<Vec<_>>(),
        });
        let handoff = record.save(&mut mutation, cx.method, "", details).await?;
        finish(mutation, handoff).await
    }
}

/// Refuses what no signature that holds releases, or what is not what was signed. Returns the signed digest.
fn check_signature(record: &Record, variants: &[pb::PublishedVariant]) -> Result<String> {
    let handoff = &record.handoff;
    let Some((review, signature)) = record::signed(handoff) else {
        let message = format!("{} has no reviewer's signature that holds", handoff.name);
        return Err(Error::precondition("SIGNATURE_REQUIRED", message));
    };
    let digest = reviews::signed_digest(handoff, &record.gate, review.iteration, &review.variants)?;
    if digest != signature.digest || review.iteration != handoff.iteration {
        let message = format!("{} is not what was signed: sign it again", handoff.name);
        return Err(Error::precondition("CONTENT_CHANGED", message));
    }
    for (index, wanted) in variants.iter().enumerate() {
        if !signature.variants.contains(&wanted.variant) {
            let message = format!("the signature of {} does not release variant {}", handoff.name, wanted.variant);
            return Err(Error::precondition("SIGNATURE_REQUIRED", message));
        }
        if variants.iter().take(index).any(|other| other.variant == wanted.variant) {
            return Err(Error::invalid("VARIANTS_INVALID", format!("variants[{index}].variant"), "is there twice"));
        }
        let signed = review.variants.iter().find(|v| v.variant == wanted.variant).map(|v| &v.content_digest);
        let present = handoff.variants.iter().find(|v| v.variant == wanted.variant).map(|v| &v.content_digest);
        if signed != Some(&wanted.content_digest) || present != Some(&wanted.content_digest) {
            let message =
                format!("the content of variant {} of {} is not what was signed", wanted.variant, handoff.name);
            return Err(Error::precondition("CONTENT_CHANGED", message));
        }
    }
    Ok(digest)
}
