//! Decided reviews and their grades, as they are counted.

use remit_api::handoff::v1::{Handoff, HandoffState, ReasonCode, Review};
use remit_api::wire::Word as _;
use remit_core::Result;
use remit_store::{BulkInsert, Mutation, query};

/// Records the next review of a handoff, which leads to the state `outcome`.
pub(crate) async fn insert(
    m: &mut Mutation,
    handoff: &Handoff,
    review: &Review,
    outcome: HandoffState,
    latency_us: i64,
) -> Result<()> {
    let number = i64::try_from(handoff.reviews.len()).unwrap_or(i64::MAX).saturating_add(1);
    let decide_time = m.now();
    query(
        "insert into reviews (tenant_id, handoff, review_no, gate, gate_version, iteration, channel, reviewer,
             outcome, decide_time, latency_us, edits_before, surprised)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(m.tenant())
    .bind(&handoff.name)
    .bind(number)
    .bind(&handoff.gate)
    .bind(&handoff.gate_version)
    .bind(review.iteration)
    .bind(&handoff.channel)
    .bind(&m.actor().subject)
    .bind(outcome.word())
    .bind(decide_time)
    .bind(latency_us)
    .bind(review.edits_before)
    .bind(review.surprised)
    .execute(m.tx())
    .await?;
    // What a person made tells nothing about a model.
    let model_version = match &handoff.run_inputs {
        Some(inputs) if !handoff.human_led => inputs.model_version.clone(),
        _ => String::new(),
    };
    let (graded, count) = (&review.variants, review.variants.len());
    let factual = graded
        .iter()
        .map(|variant| i64::from(variant.reasons.iter().any(|reason| reason.code() == ReasonCode::FactualError)));
    BulkInsert::into("graded_variants")
        .text("tenant_id", vec![m.tenant().as_str().to_owned(); count])
        .text("handoff", vec![handoff.name.clone(); count])
        .bigint("review_no", vec![number; count])
        .text("variant_id", graded.iter().map(|variant| variant.variant.clone()))
        .text("gate", vec![handoff.gate.clone(); count])
        .text("model_version", vec![model_version; count])
        .double("total", graded.iter().map(|variant| variant.total))
        .bigint("passed", graded.iter().map(|variant| i64::from(variant.passed)))
        .bigint("factual_error", factual)
        .bigint("decide_time", vec![decide_time.0; count])
        .execute(m.tx())
        .await
        .map(drop)
}
