//! What a span of time looked like.

use super::Service;
use crate::statistics::{considered, latency, rate};
use crate::store::clocks::{ACCEPT, DECIDE};
use crate::store::routings::bit;
use crate::store::summaries::{self, Clocks, Count, Late, LateLead, Overridden, Routed, Span};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{Destination, HandoffState, RoutingReason, RoutingState};
use remit_api::wire::time::stamp;
use remit_api::wire::{Word, decode, range};
use remit_core::name::GateName;
use remit_core::{Error, Result};
use remit_runtime::Cx;
use std::collections::BTreeMap;

/// How many breaches a summary names.
const MOST_BREACHES: i64 = 200;

fn named(counts: Vec<Count>) -> Vec<pb::NamedCount> {
    counts.into_iter().map(|count| pb::NamedCount { key: count.key, count: count.count }).collect()
}

/// How often each key stands in the pairs.
fn tally<K: Into<String>>(counts: impl IntoIterator<Item = (K, i64)>) -> Vec<pb::NamedCount> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key.into()).or_default() += count;
    }
    sums.into_iter().map(|(key, count)| pb::NamedCount { key, count }).collect()
}

fn level(clocks: Clocks) -> pb::ServiceLevelSummary {
    pb::ServiceLevelSummary {
        clock: clocks.clock,
        met_count: clocks.met,
        breached_count: clocks.breached,
        open_count: clocks.open,
        met: Some(rate(clocks.met, clocks.met + clocks.breached)),
    }
}

/// The clock of this name, with nothing counted if none was started.
fn level_named(clocks: &[Clocks], clock: &str) -> pb::ServiceLevelSummary {
    let found = clocks.iter().find(|found| found.clock == clock);
    let (met, breached, open) = found.map_or((0, 0, 0), |found| (found.met, found.breached, found.open));
    level(Clocks { clock: clock.to_owned(), met, breached, open })
}

/// How many of these overrides are by people who are none of the gate's.
fn by_outsiders(overrides: &[Overridden]) -> i64 {
    overrides.iter().filter(|row| row.outsider).map(|row| row.count).sum()
}

fn by_reason(overrides: &[Overridden]) -> Vec<pb::NamedCount> {
    tally(overrides.iter().map(|row| (row.reason.word(), row.count)))
}

impl Service {
    /// Counts handoffs.
    pub(crate) async fn summarize_handoffs(
        &self,
        cx: &Cx,
        request: pb::SummarizeHandoffsRequest,
    ) -> Result<pb::HandoffSummary> {
        let time = range::closed(request.time_range.as_ref(), "time_range")?;
        if !request.gate.is_empty() {
            GateName::parse(&request.gate, "gate")?;
        }
        let span = Span { tenant: &cx.tenant, gate: &request.gate, time };
        let mut tx = self.db.snapshot().await?;
        let finished = summaries::finished(&mut tx, &span).await?;
        let mut states = summaries::states(&mut tx, &span).await?;
        let reviews = summaries::reviews(&mut tx, &span).await?;
        let overrides = summaries::overrides(&mut tx, &span, "handoffs/").await?;
        let interventions = summaries::interventions(&mut tx, &span).await?;
        let grades = summaries::grades(&mut tx, &span).await?;
        let clocks = summaries::clocks(&mut tx, &span).await?;
        let oldest = summaries::oldest_open(&mut tx, &span).await?;
        let iterations = summaries::iterations(&mut tx, &span).await?;
        let escalations = summaries::escalations(&mut tx, &span).await?;
        let late = summaries::late_handoffs(&mut tx, &span, MOST_BREACHES).await?;

        states.sort_by_key(|state| HandoffState::parse(&state.key).map(i32::from));
        let rework = reviews.iter().filter(|review| review.outcome != HandoffState::Accepted);
        let surprised = reviews.iter().filter(|review| review.surprised).count();
        let unfollowed = overrides.iter().filter(|row| !row.followed_up);
        Ok(pb::HandoffSummary {
            time_range: request.time_range,
            created_count: finished.created,
            published_count: finished.published,
            states: named(states),
            review_outcomes: tally(reviews.iter().map(|review| (review.outcome.word(), 1))),
            iterations: named(iterations),
            escalations: named(escalations),
            service_levels: clocks.into_iter().map(level).collect(),
            override_count: overrides.iter().map(|row| row.count).sum(),
            overrides_by_reason: by_reason(&overrides),
            overrides_by_kind: tally(overrides.iter().map(|row| (row.kind.word(), row.count))),
            overrides_by_model_version: tally(overrides.iter().map(|row| (row.model_version.as_str(), row.count))),
            overrides_without_follow_up: unfollowed.map(|row| row.count).sum(),
            human_intervention: Some(rate(interventions.count, interventions.total)),
            decision_latency: Some(latency(reviews.iter().map(|review| review.latency_us).collect())),
            reviewers: considered(&reviews, |review| &review.reviewer),
            gates: considered(&reviews, |review| &review.gate_version),
            model_grades: grades
                .into_iter()
                .map(|row| pb::ModelGrades {
                    model_version: row.model_version,
                    graded_count: row.graded,
                    passed: Some(rate(row.passed, row.graded)),
                    mean_total: row.mean_total,
                    factual_errors: Some(rate(row.factual_errors, row.graded)),
                })
                .collect(),
            rework_by_channel: tally(rework.map(|review| (review.channel.as_str(), 1))),
            surprised: Some(rate(surprised as i64, reviews.len() as i64)),
            oldest_open_create_time: oldest.as_ref().map(|open| stamp(open.create_time)),
            oldest_open: oldest.map(|open| open.name).unwrap_or_default(),
            breaches: late.into_iter().map(late_handoff).collect::<Result<_>>()?,
            outsider_override_count: by_outsiders(&overrides),
        })
    }

    /// Counts routings.
    pub(crate) async fn summarize_routing(
        &self,
        cx: &Cx,
        request: pb::SummarizeRoutingRequest,
    ) -> Result<pb::RoutingSummary> {
        let time = range::closed(request.time_range.as_ref(), "time_range")?;
        let span = Span { tenant: &cx.tenant, gate: "", time };
        let mut tx = self.db.snapshot().await?;
        let rows = summaries::routings(&mut tx, &span).await?;
        let clocks = summaries::lead_clocks(&mut tx, &span).await?;
        let accepted = summaries::accepted(&mut tx, &span).await?;
        let overrides = summaries::overrides(&mut tx, &span, "routings/").await?;
        let briefings = summaries::briefings(&mut tx, &span).await?;
        let late = summaries::late_leads(&mut tx, &span, MOST_BREACHES).await?;

        let sum = |of: fn(&Routed) -> i64| rows.iter().map(of).sum::<i64>();
        let held = || rows.iter().filter(|row| row.state == RoutingState::Held);
        let decided = || rows.iter().filter(|row| row.state != RoutingState::Held);
        let to = |destination| decided().filter(move |row| row.destination == destination);
        let reasons = rows.iter().flat_map(|row| {
            let reasons = RoutingReason::VALUES.iter().filter_map(|(_, number)| RoutingReason::try_from(*number).ok());
            reasons.filter(|reason| row.reasons & bit(*reason) != 0).map(|reason| (reason.word(), row.count))
        });
        let sampled_count = sum(|row| row.sampled);
        Ok(pb::RoutingSummary {
            time_range: request.time_range,
            total_count: sum(|row| row.count),
            routed_count: to(Destination::Sales).map(|row| row.count).sum(),
            nurtured_count: to(Destination::Nurture).map(|row| row.count).sum(),
            models: models(&rows),
            reasons: tally(reasons),
            high_intent_count: sum(|row| row.high_intent),
            data_quality_count: sum(|row| row.data_quality),
            states: tally(rows.iter().map(|row| (row.state.word(), row.count))),
            accept: Some(level_named(&clocks, ACCEPT)),
            accept_latency: Some(latency(accepted.into_iter().map(|accepted| accepted.latency_us).collect())),
            reassigned_count: sum(|row| row.reassigns),
            sampled_count,
            sample_coverage: Some(rate(sum(|row| row.sampled_checked), sampled_count)),
            overridden: Some(rate(sum(|row| row.overridden), sum(|row| row.checked))),
            overrides_by_reason: by_reason(&overrides),
            briefings_issued: briefings.total,
            briefings_acknowledged: Some(rate(briefings.count, briefings.total)),
            breaches: late.into_iter().map(late_lead).collect::<Result<_>>()?,
            held_count: held().map(|row| row.count).sum(),
            decide: Some(level_named(&clocks, DECIDE)),
            outsider_override_count: by_outsiders(&overrides),
        })
    }
}

/// Routings by model version.
fn models(rows: &[Routed]) -> Vec<pb::ModelRouting> {
    let mut models: BTreeMap<&str, pb::ModelRouting> = BTreeMap::new();
    for row in rows {
        let model = models.entry(&row.model_version).or_default();
        match row.destination {
            _ if row.state == RoutingState::Held => model.held_count += row.count,
            Destination::Sales => model.routed_count += row.count,
            Destination::Nurture | Destination::Unspecified => model.nurtured_count += row.count,
        }
        if row.reasons & bit(RoutingReason::ModelNotPermitted) != 0 {
            model.denied_count += row.count;
        }
    }
    let models = models.into_iter().map(|(name, model)| pb::ModelRouting {
        model_version: name.to_owned(),
        routed: Some(rate(model.routed_count, model.routed_count + model.nurtured_count)),
        ..model
    });
    models.collect()
}

fn narrow(number: i64) -> Result<i32> {
    i32::try_from(number).map_err(|cause| Error::internal("a stored count is too large").with_source(cause))
}

fn late_handoff(late: Late) -> Result<pb::BreachRecord> {
    let breach = pb::Breach {
        clock: late.clock,
        round: narrow(late.round)?,
        due_time: Some(stamp(late.due_time)),
        detect_time: Some(stamp(late.detect_time)),
        rung: narrow(late.rung)?,
        called: Some(decode::<pb::Principal>(&late.called)?).filter(|called| called.who.is_some()),
    };
    Ok(pb::BreachRecord { resource: late.resource, breach: Some(breach) })
}

fn late_lead(late: LateLead) -> Result<pb::BreachRecord> {
    let breach = pb::Breach {
        clock: late.clock,
        round: narrow(late.round)?,
        due_time: Some(stamp(late.due_time)),
        detect_time: Some(stamp(late.detect_time)),
        rung: 1,
        called: None,
    };
    Ok(pb::BreachRecord { resource: late.routing, breach: Some(breach) })
}
