//! Step 3, the other half: three creative handoffs a month (S33–S39). One is accepted at once, one is
//! returned and then accepted, one fails twice and is escalated to a person.

use super::actors::{Actors, refused};
use super::models::{COPY_ARTIFACTS, COPY_MODEL};
use super::tasks::CREATIVE_TASK;
use remit_api::handoff::v1::handoff_service_client::HandoffServiceClient;
use remit_api::handoff::v1::{
    Brief, ClaimReviewRequest, CreateHandoffRequest, Grade, Handoff, HandoffState, OverrideHandoffRequest,
    OverrideKind, PublishHandoffRequest, PublishedVariant, Reason, ReasonCode, RecordTriggerRequest, RunInputs,
    StartRunRequest, SubmitReviewRequest, SubmitVariantsRequest, TriggerEvent, Variant, VariantReview,
};
use remit_api::wire::time::stamp;
use remit_core::{Error, Result, Timestamp, digest};

/// How the three handoffs of a month ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Creative {
    /// Published, at once or after a return.
    pub(super) published: usize,
    /// Sent back for another iteration.
    pub(super) returned: usize,
    /// Escalated after the second failure.
    pub(super) escalated: usize,
}

/// What a person took back after it was published: in March and September.
const WITHDRAWN: [char; 2] = ['3', '9'];
const VARIANTS: usize = 12;
const REVIEWED: usize = 3;

/// Runs the three handoffs of the month that `label` names.
///
/// # Errors
/// Whatever the service refuses against expectation.
pub(super) async fn month(actors: &Actors, label: &str, now: Timestamp) -> Result<Creative> {
    let mut sum = Creative::default();
    for (kind, passes_at) in [("accepted", Some(1)), ("returned", Some(2)), ("escalated", None)] {
        let name = format!("handoffs/{kind}-{label}");
        let state = handoff(actors, &name, passes_at, now).await?;
        if kind == "returned" && label.ends_with(WITHDRAWN) {
            withdraw(actors, &name).await?;
        }
        match state {
            HandoffState::Published => sum.published += 1,
            HandoffState::Escalated => sum.escalated += 1,
            other => return Err(Error::internal(format!("{name} ended in state {}", other.as_str_name()))),
        }
        sum.returned += usize::from(kind != "accepted");
    }
    Ok(sum)
}

/// Runs one handoff to its end. `passes_at` is the iteration whose best variant passes the checklist.
async fn handoff(actors: &Actors, name: &str, passes_at: Option<usize>, now: Timestamp) -> Result<HandoffState> {
    let id = name.trim_start_matches("handoffs/");
    create_and_trigger(actors, name, now).await?;
    let mut state = HandoffState::Triggered;
    for iteration in 1..=2 {
        let run = RunInputs {
            model_version: COPY_MODEL.into(),
            prompt_version: COPY_ARTIFACTS[0].into(),
            guardrail_version: COPY_ARTIFACTS[1].into(),
            style_guide_version: COPY_ARTIFACTS[2].into(),
        };
        let mut agent = HandoffServiceClient::new(actors.to("handoff", "copywriter")?);
        agent
            .start_run(StartRunRequest {
                name: name.into(),
                inputs: Some(run),
                request_id: format!("demo-run-{id}-{iteration}"),
            })
            .await
            .map_err(refused)?;
        agent
            .submit_variants(SubmitVariantsRequest {
                name: name.into(),
                variants: (1..=VARIANTS).map(|rank| variant(id, iteration, rank)).collect(),
                request_id: format!("demo-variants-{id}-{iteration}"),
            })
            .await
            .map_err(refused)?;
        state = review(actors, name, iteration, passes_at == Some(iteration)).await?.state();
        if state != HandoffState::Returned {
            break;
        }
    }
    if state == HandoffState::Accepted {
        state = publish(actors, name, passes_at.unwrap_or(1)).await?.state();
    }
    Ok(state)
}

/// A person overrides what AI made, although it had passed: it counts as an intervention.
async fn withdraw(actors: &Actors, name: &str) -> Result<()> {
    let id = name.trim_start_matches("handoffs/");
    let request = OverrideHandoffRequest {
        name: name.into(),
        kind: OverrideKind::Rollback.into(),
        reason: Some(Reason { code: ReasonCode::OffStrategy.into(), text: "it promises what we do not sell".into() }),
        request_id: format!("demo-withdraw-{id}"),
        ..Default::default()
    };
    HandoffServiceClient::new(actors.to("handoff", "carl")?).override_handoff(request).await.map_err(refused).map(drop)
}

async fn create_and_trigger(actors: &Actors, name: &str, now: Timestamp) -> Result<()> {
    let id = name.trim_start_matches("handoffs/");
    let mut client = HandoffServiceClient::new(actors.to("handoff", "dara")?);
    client
        .create_handoff(CreateHandoffRequest {
            handoff_id: id.into(),
            handoff: Some(Handoff {
                display_name: format!("Ad copy {id}"),
                gate: "gates/creative-approval".into(),
                task: CREATIVE_TASK.into(),
                brief: Some(Brief {
                    audience: "Savers who renew a deposit this quarter".into(),
                    message: "A fixed rate for a year, decided in five minutes".into(),
                    outcome: "Booked calls with an adviser".into(),
                    success_measure: "Conversion rate of contacted leads".into(),
                    ..Default::default()
                }),
                channel: "email".into(),
                ..Default::default()
            }),
            request_id: format!("demo-handoff-{id}"),
        })
        .await
        .map_err(refused)?;
    for event_type in ["brief.finalized", "budget.approved"] {
        client
            .record_trigger(RecordTriggerRequest {
                name: name.into(),
                event: Some(TriggerEvent {
                    event_id: format!("{event_type}-{id}"),
                    event_type: event_type.into(),
                    source: "work-management".into(),
                    reference: format!("ticket-{id}"),
                    occurred_at: Some(stamp(now)),
                    ..Default::default()
                }),
                request_id: format!("demo-trigger-{event_type}-{id}"),
            })
            .await
            .map_err(refused)?;
    }
    Ok(())
}

fn content_digest(id: &str, iteration: usize, rank: usize) -> String {
    digest::sha256(format!("{id} iteration {iteration} variant {rank}").as_bytes())
}

fn variant(id: &str, iteration: usize, rank: usize) -> Variant {
    Variant {
        variant: format!("i{iteration}-v{rank}"),
        content_digest: content_digest(id, iteration, rank),
        excerpt: format!("Headline {rank} of iteration {iteration}"),
        ai_rank: rank as i32,
        ..Default::default()
    }
}

/// The creative director grades the top three: a pass is 90, 85 and 80 on average, a fail is held back by
/// the brand grade.
async fn review(actors: &Actors, name: &str, iteration: usize, passes: bool) -> Result<Handoff> {
    let id = name.trim_start_matches("handoffs/");
    let mut carl = HandoffServiceClient::new(actors.to("handoff", "carl")?);
    carl.claim_review(ClaimReviewRequest { name: name.into(), request_id: format!("demo-claim-{id}-{iteration}") })
        .await
        .map_err(refused)?;
    let graded = (1..=REVIEWED).map(|rank| {
        let base = if passes && rank == 1 { 90.0 } else { 60.0 };
        let grade = |item: &str, grade: f64| Grade { item: item.into(), grade };
        VariantReview {
            variant: format!("i{iteration}-v{rank}"),
            content_digest: content_digest(id, iteration, rank),
            grades: vec![grade("brand_fit", base), grade("legal", 100.0), grade("positioning", base - 5.0)],
            reasons: if passes && rank == 1 {
                vec![]
            } else {
                vec![Reason { code: ReasonCode::Tone.into(), text: "reads like a brochure".into() }]
            },
            ..Default::default()
        }
    });
    let answer = carl
        .submit_review(SubmitReviewRequest {
            name: name.into(),
            variants: graded.collect(),
            next_prompt_version: if passes { String::new() } else { COPY_ARTIFACTS[0].into() },
            request_id: format!("demo-review-{id}-{iteration}"),
            ..Default::default()
        })
        .await;
    Ok(answer.map_err(refused)?.into_inner())
}

async fn publish(actors: &Actors, name: &str, iteration: usize) -> Result<Handoff> {
    let id = name.trim_start_matches("handoffs/");
    let published =
        PublishedVariant { variant: format!("i{iteration}-v1"), content_digest: content_digest(id, iteration, 1) };
    let answer = HandoffServiceClient::new(actors.to("handoff", "dara")?)
        .publish_handoff(PublishHandoffRequest {
            name: name.into(),
            variants: vec![published],
            request_id: format!("demo-publish-{id}"),
        })
        .await;
    Ok(answer.map_err(refused)?.into_inner())
}
