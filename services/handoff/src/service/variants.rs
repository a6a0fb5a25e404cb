//! Variants: delivered for review, and edited by people; each edit voids the signature, because it was bound to
//! other content (R6).

use super::held::Held;
use super::runs::{pattern_of, permitted};
use super::{Service, clocks, overrides};
use crate::machine::Action;
use crate::pattern_rules::{Done, Step, Work, judge};
use crate::store::{Handoffs, variants};
use crate::{gate_rules, principal, review_rules, signatures};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState as State, OverrideKind, VariantFate};
use remit_api::wire::time;
use remit_api::wire::{Word as _, actor, required};
use remit_core::details::{VariantEdited, VariantsSubmitted};
use remit_core::name::HandoffName;
use remit_core::{Error, Result};
use remit_runtime::Cx;
use remit_store::{Records as _, page};

impl Service {
    /// Delivers variants for review.
    pub(crate) async fn submit_variants(&self, cx: &Cx, request: pb::SubmitVariantsRequest) -> Result<pb::Handoff> {
        // Asked outside the mutation and judged inside, as for a run.
        HandoffName::parse(&request.name, "name")?;
        let before = Handoffs::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        let running = before.state() == State::AiRunning;
        let asked = async { if running { self.permission_still(&cx.tenant, &before).await } else { None } };
        let inputs = before.run_inputs.clone().filter(|_| running).unwrap_or_default();
        let (permission, approved) = futures::join!(asked, self.registry.require_approved(&cx.tenant, &inputs));
        self.show_holds(&cx.tenant, &request.name, permission.as_ref()).await?;
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let by_person = held.state() == State::HumanLed;
            held.go(Action::Submit)?;
            if by_person && !cx.actor.is_human() {
                let message = format!("{} is led by a person, who delivers its variants", request.name);
                return Err(Error::denied("HUMAN_REQUIRED", message));
            }
            if !by_person {
                let permission = permitted(&mut held.handoff, permission, "its variants are not taken in")?;
                // Nobody reviews for nothing what cannot be published: a prompt may be withdrawn while AI runs with it.
                approved?;
                let pattern = pattern_of(&held.handoff, &permission);
                judge(&request.name, pattern, Work::Creative, Step::Deliver, Done::default())?;
                held.handoff.set_pattern(pattern);
            }
            let gate = held.gate(m).await?;
            let count = usize::try_from(gate_rules::creative(&gate)?.variants_required).unwrap_or(0);
            review_rules::check_variants(&request.variants, (!by_person).then_some(count))?;
            let handoff = &mut held.handoff;
            if by_person {
                handoff.iteration += 1;
                handoff.human_led = true;
            }
            let delivered = |variant| pb::Variant {
                iteration: handoff.iteration,
                fate: VariantFate::Unspecified.into(),
                edits: 0,
                original_digest: String::new(),
                ..variant
            };
            handoff.variants = request.variants.into_iter().map(delivered).collect();
            handoff.variants.sort_by_key(|variant| variant.ai_rank);
            handoff.submitted_by = Some(actor(&cx.actor));
            handoff.next_prompt_version.clear();
            variants::put(m, handoff).await?;
            clocks::start_review(m, &mut held, &gate).await?;
            let details = VariantsSubmitted {
                variants: i64::try_from(held.handoff.variants.len()).unwrap_or(i64::MAX),
                content_digest: signatures::content_digest(&held.handoff),
                due: held.handoff.due_time.as_ref().map(|due| time::of(due).to_string()),
                ..Default::default()
            };
            held.save(m, cx.method, "", details).await
        })
        .await
    }

    /// Replaces the content of a variant.
    pub(crate) async fn edit_variant(&self, cx: &Cx, request: pb::EditVariantRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let reason = required(request.reason.clone(), "reason")?;
        review_rules::check_reason(&reason, "reason")?;
        self.mutate(call, async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let from = held.state();
            let gate = held.gate(m).await?;
            principal::check_of_work(&gate, &held.handoff, &cx.actor, m.now())?;
            held.go(Action::Edit)?;
            edit(&mut held.handoff, &request)?;
            signatures::void(&mut held.handoff, m.now(), OverrideKind::Edit.word());
            if from == State::Accepted {
                for variant in &mut held.handoff.variants {
                    variant.fate = VariantFate::Unspecified.into();
                }
                clocks::start_review(m, &mut held, &gate).await?;
            }
            variants::put(m, &held.handoff).await?;
            let (code, text) = (reason.code(), reason.text.clone());
            // Correcting what a person made overrides no AI result.
            let override_name = if held.handoff.human_led {
                String::new()
            } else {
                let digests = (request.before_digest.clone(), request.content_digest.clone());
                held.handoff.override_count += 1;
                overrides::of_handoff(m, &held.handoff, OverrideKind::Edit, reason, digests, false).await?
            };
            let details = VariantEdited {
                variant: request.variant,
                content_before: request.before_digest,
                content_after: request.content_digest,
                override_name,
                text,
                ..Default::default()
            };
            held.save(m, cx.method, code.word(), details).await
        })
        .await
    }

    /// Lists the variants of all iterations.
    pub(crate) async fn list_variants(
        &self,
        cx: &Cx,
        request: pb::ListVariantsRequest,
    ) -> Result<pb::ListVariantsResponse> {
        HandoffName::parse(&request.parent, "parent")?;
        let size = page::size(request.page_size);
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[&request.parent]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        Handoffs::get(&mut tx, &cx.tenant, &request.parent).await?;
        let rows = variants::list(&mut tx, &cx.tenant, &request.parent, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| variants::key(row).unwrap_or_default());
        Ok(pb::ListVariantsResponse {
            variants: rows.iter().map(variants::read).collect::<Result<_>>()?,
            next_page_token,
        })
    }
}

/// Replaces the content of a variant.
fn edit(handoff: &mut pb::Handoff, request: &pb::EditVariantRequest) -> Result<()> {
    if handoff.variants.iter().any(|other| other.content_digest == request.content_digest) {
        let what = "is that of a variant already: nothing was edited";
        return Err(Error::invalid("VARIANTS_INVALID", "content_digest", what));
    }
    let variant = handoff.variants.iter_mut().find(|variant| variant.variant == request.variant);
    let missing = || Error::not_found("VARIANT_NOT_FOUND", format!("variant {} of {}", request.variant, request.name));
    let variant = variant.ok_or_else(missing)?;
    if variant.content_digest != request.before_digest {
        return Err(signatures::changed(&request.name, &variant.variant, &variant.content_digest));
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
    Ok(())
}
