//! Edits of variants by people: each voids the signature, because it was bound to other content (R6).

use super::record::{self, Record};
use super::reviews::{changed, check_reason};
use super::{Service, clocks, overrides};
use crate::machine::Action;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState as State, OverrideKind, VariantFate};
use remit_core::{Error, Result};
use remit_runtime::{Cx, Started, finish};
use serde_json::json;

impl Service {
    /// Replaces the content of a variant.
    pub async fn edit_variant(&self, cx: &Cx, request: pb::EditVariantRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let reason = request.reason.clone().unwrap_or_default();
        check_reason(&reason, "reason")?;
        let (from, now, name) = (record.state(), mutation.now(), request.name.clone());
        record.go(Action::Edit)?;
        if record.handoff.variants.iter().any(|other| other.content_digest == request.content_digest) {
            return Err(Error::invalid(
                "VARIANTS_INVALID",
                "content_digest",
                "is that of a variant already: nothing was edited",
            ));
        }
        let variant = record.handoff.variants.iter_mut().find(|variant| variant.variant == request.variant);
        let missing = || Error::not_found("VARIANT_NOT_FOUND", format!("variant {} of {name}", request.variant));
        let variant = variant.ok_or_else(missing)?;
        if variant.content_digest != request.before_digest {
            return Err(changed(&name, &variant.variant, &variant.content_digest));
        }
        if variant.original_digest.is_empty() {
            variant.original_digest.clone_from(&variant.content_digest);
        }
        variant.content_digest.clone_from(&request.content_digest);
        variant.edits += 1;
        for (to, from) in [(&mut variant.uri, &request.uri), (&mut variant.excerpt, &request.excerpt)] {
            if !from.is_empty() {
                to.clone_from(from);
            }
        }
        record::void_signature(&mut record.handoff, now, "EDIT");
        if from == State::Accepted {
            for variant in &mut record.handoff.variants {
                variant.fate = VariantFate::Unspecified.into();
            }
            clocks::start_review(&mut mutation, &mut record).await?;
        }
        record.put_variants(&mut mutation).await?;
        // Correcting what a person made overrides no AI result.
        let overridden = if record.handoff.human_led {
            String::new()
        } else {
            let digests = (request.before_digest.clone(), request.content_digest.clone());
            overrides::insert_for_handoff(&mut mutation, &mut record, OverrideKind::Edit, reason.clone(), digests)
                .await?
        };
        let details = json!({
            "variant": request.variant,
            "content_before": request.before_digest,
            "content_after": request.content_digest,
            "override": overridden,
            "text": reason.text,
        });
        let code = reason.code().as_str_name().trim_start_matches("REASON_CODE_");
        let handoff = record.save(&mut mutation, cx.method, code, details).await?;
        finish(mutation, handoff).await
    }
}
