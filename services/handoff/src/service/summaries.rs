//! What a span of time looked like. No rate without its n, no value where there is no data (promise 5).

use super::{Service, decode};
use crate::convert::{range, span, stamp};
use crate::machine;
use crate::store;
use crate::store::summaries::{Clocks, Count, Decided, Span};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState, OverrideKind, ReasonCode, RoutingReason, RoutingState};
use remit_core::{Error, Result, name};
use remit_runtime::Cx;
use std::collections::BTreeMap;

/// How many breaches a summary names.
const MOST_BREACHES: i64 = 200;
/// How many reviewers or gates a summary names.
const MOST_SUBJECTS: usize = 100;
/// A reviewer or gate that accepts at least this share of at least this many reviews is flagged (R17).
const ALWAYS: (f64, i64) = (0.98, 10);
/// Reviews decided within this time count as one burst.
const BURST_MICROS: i64 = 60 * 1_000_000;

/// A rate with its 95% interval.
///
/// Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference, JASA 22.
fn rate(count: i64, total: i64) -> pb::Rate {
    if total <= 0 {
        return pb::Rate { count, total, ..Default::default() };
    }
    /// The 97.5% quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (total as f64, count as f64 / total as f64);
    let z2 = Z * Z;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    pb::Rate {
        count,
        total,
        ratio: Some(p),
        lower_ratio: Some((center - half).max(0.0)),
        upper_ratio: Some((center + half).min(1.0)),
    }
}

/// The spread of durations given in microseconds.
fn latency(mut micros: Vec<i64>) -> pb::Latency {
    micros.sort_unstable();
    let (Some(first), Some(last)) = (micros.first().copied(), micros.last().copied()) else {
        return pb::Latency::default();
    };
    let count = micros.len();
    let rank = |percent: usize| micros.get((count * percent).div_ceil(100).max(1) - 1).copied().map(span);
    let sum: i128 = micros.iter().copied().map(i128::from).sum();
    let mean = i64::try_from(sum / count as i128).unwrap_or(i64::MAX);
    pb::Latency {
        count: i64::try_from(count).unwrap_or(i64::MAX),
        min: Some(span(first)),
        p50: rank(50),
        p95: rank(95),
        max: Some(span(last)),
        mean: Some(span(mean)),
    }
}

fn named(counts: Vec<Count>) -> Vec<pb::NamedCount> {
    counts.into_iter().map(|count| pb::NamedCount { key: count.key, count: count.count }).collect()
}

fn tally(counts: BTreeMap<String, i64>) -> Vec<pb::NamedCount> {
    counts.into_iter().map(|(key, count)| pb::NamedCount { key, count }).collect()
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

fn reason_name(code: i64) -> String {
    let code = i32::try_from(code).ok().and_then(|code| ReasonCode::try_from(code).ok()).unwrap_or_default();
    code.as_str_name().trim_start_matches("REASON_CODE_").to_owned()
}

/// What is counted about the overrides of a span.
#[derive(Default)]
struct OverrideCounts {
    total: i64,
    without_follow_up: i64,
    by_reason: BTreeMap<String, i64>,
    by_kind: BTreeMap<String, i64>,
    by_model: BTreeMap<String, i64>,
}

impl OverrideCounts {
    fn of(rows: Vec<store::summaries::Overrides>) -> Self {
        let mut counts = Self::default();
        for row in rows {
            let kind =
                i32::try_from(row.kind).ok().and_then(|kind| OverrideKind::try_from(kind).ok()).unwrap_or_default();
            let kind = kind.as_str_name().trim_start_matches("OVERRIDE_KIND_").to_owned();
            counts.total += row.count;
            counts.without_follow_up += if row.followed_up { 0 } else { row.count };
            *counts.by_reason.entry(reason_name(row.reason)).or_default() += row.count;
            *counts.by_kind.entry(kind).or_default() += row.count;
            *counts.by_model.entry(row.model_version).or_default() += row.count;
        }
        counts
    }
}

/// How considered the decisions of each subject are: the busiest first.
fn considered(reviews: &[Decided], subject: impl Fn(&Decided) -> &str) -> Vec<pb::ConsideredApproval> {
    let mut groups: BTreeMap<&str, Vec<&Decided>> = BTreeMap::new();
    for review in reviews {
        groups.entry(subject(review)).or_default().push(review);
    }
    let mut found: Vec<pb::ConsideredApproval> = groups
        .into_iter()
        .map(|(subject, reviews)| {
            let total = i64::try_from(reviews.len()).unwrap_or(i64::MAX);
            let accepted: Vec<&&Decided> = reviews.iter().filter(|review| review.outcome == "ACCEPTED").collect();
            let accepts = i64::try_from(accepted.len()).unwrap_or(i64::MAX);
            let share = rate(accepts, total);
            pb::ConsideredApproval {
                subject: subject.to_owned(),
                review_count: total,
                accept_count: accepts,
                reject_count: total - accepts,
                decision_latency: Some(latency(reviews.iter().map(|review| review.latency_us).collect())),
                edits_before_accept: accepted.iter().map(|review| review.edits_before).sum(),
                largest_burst: burst(&reviews),
                always_approves: total >= ALWAYS.1 && share.ratio.is_some_and(|ratio| ratio >= ALWAYS.0),
                accepted: Some(share),
            }
        })
        .collect();
    found.sort_by_key(|subject| std::cmp::Reverse(subject.review_count));
    found.truncate(MOST_SUBJECTS);
    found
}

/// The most decisions within one minute; `reviews` are in order of time.
fn burst(reviews: &[&Decided]) -> i64 {
    let (mut first, mut most) = (0, 0);
    for (last, review) in reviews.iter().enumerate() {
        while review.decide_time.0 - reviews[first].decide_time.0 >= BURST_MICROS {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    i64::try_from(most).unwrap_or(i64::MAX)
}

impl Service {
    /// Counts handoffs.
    pub async fn summarize_handoffs(
        &self,
        cx: &Cx,
        request: pb::SummarizeHandoffsRequest,
    ) -> Result<pb::HandoffSummary> {
        let (start, end) = range(request.time_range.as_ref())?;
        let gate = match request.gate.as_str() {
            "" => "",
            name => name::ids::<1>(name, "gates/*", "gate")?[0],
        };
        let within = Span { start, end };
        let mut tx = self.db.snapshot().await?;
        let tenant = &cx.tenant;
        let (created_count, published_count) =
            store::summaries::created_published(&mut tx, tenant, gate, within).await?;
        let states = store::summaries::states(&mut tx, tenant, gate).await?;
        let reviews = store::summaries::reviews(&mut tx, tenant, gate, within).await?;
        let overrides =
            OverrideCounts::of(store::summaries::overrides(&mut tx, tenant, gate, within, "handoffs/").await?);
        let (ai_run, overridden) = store::summaries::interventions(&mut tx, tenant, gate, within).await?;
        let grades = store::summaries::grades(&mut tx, tenant, gate, within).await?;
        let clocks = store::summaries::clocks(&mut tx, tenant, gate, within).await?;
        let oldest = store::summaries::oldest_open(&mut tx, tenant, gate).await?;
        let iterations = store::summaries::iterations(&mut tx, tenant, gate, within).await?;
        let escalations = store::summaries::escalations(&mut tx, tenant, gate, within).await?;
        let breaches = store::summaries::breaches(&mut tx, tenant, gate, within, MOST_BREACHES).await?;

        let (mut outcomes, mut rework) = (BTreeMap::new(), BTreeMap::new());
        for review in &reviews {
            *outcomes.entry(review.outcome.clone()).or_default() += 1;
            if review.outcome != "ACCEPTED" {
                *rework.entry(review.channel.clone()).or_default() += 1;
            }
        }
        let surprised = reviews.iter().filter(|review| review.surprised).count();
        let state_name = |state: i64| {
            let state =
                i32::try_from(state).ok().and_then(|state| HandoffState::try_from(state).ok()).unwrap_or_default();
            machine::state_name(state).to_owned()
        };
        Ok(pb::HandoffSummary {
            time_range: request.time_range,
            created_count,
            published_count,
            states: states.into_iter().map(|(state, count)| pb::NamedCount { key: state_name(state), count }).collect(),
            review_outcomes: tally(outcomes),
            iterations: named(iterations),
            escalations: named(escalations),
            service_levels: clocks.into_iter().map(level).collect(),
            override_count: overrides.total,
            overrides_by_reason: tally(overrides.by_reason),
            overrides_by_kind: tally(overrides.by_kind),
            overrides_by_model_version: tally(overrides.by_model),
            overrides_without_follow_up: overrides.without_follow_up,
            human_intervention: Some(rate(overridden, ai_run)),
            decision_latency: Some(latency(reviews.iter().map(|review| review.latency_us).collect())),
            reviewers: considered(&reviews, |review| &review.reviewer),
            gates: considered(&reviews, |review| &review.gate),
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
            rework_by_channel: tally(rework),
            surprised: Some(rate(surprised as i64, reviews.len() as i64)),
            oldest_open_create_time: oldest.as_ref().map(|(_, at)| stamp(*at)),
            oldest_open: oldest.map(|(id, _)| format!("handoffs/{id}")).unwrap_or_default(),
            breaches: breaches.into_iter().map(breach).collect::<Result<_>>()?,
        })
    }

    /// Counts routings.
    pub async fn summarize_routing(&self, cx: &Cx, request: pb::SummarizeRoutingRequest) -> Result<pb::RoutingSummary> {
        let (start, end) = range(request.time_range.as_ref())?;
        let within = Span { start, end };
        let tenant = &cx.tenant;
        let mut tx = self.db.snapshot().await?;
        let rows = store::summaries::routings(&mut tx, tenant, within).await?;
        let accept = store::summaries::accept_clocks(&mut tx, tenant, within).await?;
        let latencies = store::summaries::accept_latencies(&mut tx, tenant, within).await?;
        let overrides =
            OverrideCounts::of(store::summaries::overrides(&mut tx, tenant, "", within, "routings/").await?);
        let (briefings_issued, acknowledged) = store::summaries::briefings(&mut tx, tenant, within).await?;
        let late = store::summaries::accept_breaches(&mut tx, tenant, within, MOST_BREACHES).await?;

        let mut summary = pb::RoutingSummary { time_range: request.time_range, ..Default::default() };
        let (mut states, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        let mut models: BTreeMap<String, pb::ModelRouting> = BTreeMap::new();
        let (mut sampled_checked, mut checked, mut overridden) = (0, 0, 0);
        for row in rows {
            let model = models
                .entry(row.model_version.clone())
                .or_insert_with(|| pb::ModelRouting { model_version: row.model_version.clone(), ..Default::default() });
            if row.destination == i64::from(pb::Destination::Sales as i32) {
                model.routed_count += row.count;
            } else {
                model.nurtured_count += row.count;
            }
            if row.reasons & (1 << RoutingReason::ModelNotPermitted as i64) != 0 {
                model.denied_count += row.count;
            }
            let state =
                i32::try_from(row.state).ok().and_then(|state| RoutingState::try_from(state).ok()).unwrap_or_default();
            *states.entry(state.as_str_name().trim_start_matches("ROUTING_STATE_").to_owned()).or_default() +=
                row.count;
            for reason in (1..=8).filter_map(|code| RoutingReason::try_from(code).ok()) {
                if row.reasons & (1 << reason as i64) != 0 {
                    let name = reason.as_str_name().trim_start_matches("ROUTING_REASON_").to_owned();
                    *reasons.entry(name).or_default() += row.count;
                }
            }
            summary.high_intent_count += row.high_intent;
            summary.data_quality_count += row.data_quality;
            summary.sampled_count += row.sampled;
            summary.reassigned_count += row.reassigns;
            sampled_checked += row.sampled_checked;
            checked += row.checked;
            overridden += row.overridden;
        }
        for model in models.values_mut() {
            model.routed = Some(rate(model.routed_count, model.routed_count + model.nurtured_count));
            summary.routed_count += model.routed_count;
            summary.nurtured_count += model.nurtured_count;
        }
        summary.total_count = summary.routed_count + summary.nurtured_count;
        summary.models = models.into_values().collect();
        summary.states = tally(states);
        summary.reasons = tally(reasons);
        summary.accept = Some(level(accept));
        summary.accept_latency = Some(latency(latencies));
        summary.sample_coverage = Some(rate(sampled_checked, summary.sampled_count));
        summary.overridden = Some(rate(overridden, checked));
        summary.overrides_by_reason = tally(overrides.by_reason);
        summary.briefings_issued = briefings_issued;
        summary.briefings_acknowledged = Some(rate(acknowledged, briefings_issued));
        summary.breaches = late
            .into_iter()
            .map(|(lead, round, due, detected)| pb::BreachRecord {
                resource: format!("routings/{lead}"),
                breach: Some(pb::Breach {
                    clock: "accept".into(),
                    round: i32::try_from(round).unwrap_or(i32::MAX),
                    due_time: Some(stamp(due)),
                    detect_time: Some(stamp(detected)),
                    rung: 1,
                    called: None,
                }),
            })
            .collect();
        Ok(summary)
    }
}

fn breach(row: store::summaries::BreachRow) -> Result<pb::BreachRecord> {
    let narrow = |number: i64| {
        i32::try_from(number).map_err(|cause| Error::internal("a stored count is too large").with_source(cause))
    };
    Ok(pb::BreachRecord {
        resource: row.resource,
        breach: Some(pb::Breach {
            clock: row.clock,
            round: narrow(row.round)?,
            due_time: Some(stamp(row.due_time)),
            detect_time: Some(stamp(row.detect_time)),
            rung: narrow(row.rung)?,
            called: Some(decode::<pb::Principal>(&row.called)?).filter(|called| called.who.is_some()),
        }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use remit_core::Timestamp;

    #[test]
    fn no_data_is_no_rate() {
        let none = rate(0, 0);
        assert_eq!((none.total, none.ratio, none.lower_ratio), (0, None, None));
        assert_eq!(latency(Vec::new()), pb::Latency::default());
    }

    #[test]
    fn the_interval_is_wilsons() {
        // R: prop.test(8, 10, correct = FALSE)$conf.int gives 0.4901625 and 0.9433178.
        let share = rate(8, 10);
        assert!((share.lower_ratio.unwrap() - 0.490_162_5).abs() < 1e-6);
        assert!((share.upper_ratio.unwrap() - 0.943_317_8).abs() < 1e-6);
        assert_eq!(rate(0, 5).lower_ratio, Some(0.0));
        assert!(rate(5, 5).upper_ratio.unwrap() <= 1.0);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let spread = latency((1..=20).map(|n| n * 1_000_000).collect());
        let seconds = |duration: Option<prost_types::Duration>| duration.unwrap().seconds;
        assert_eq!(
            (seconds(spread.min), seconds(spread.p50), seconds(spread.p95), seconds(spread.max)),
            (1, 10, 19, 20)
        );
        assert_eq!(spread.mean.unwrap().nanos, 500_000_000);
    }

    fn review(reviewer: &str, outcome: &str, at: i64) -> Decided {
        Decided {
            gate: "gates/g/versions/1".into(),
            channel: "email".into(),
            reviewer: reviewer.into(),
            outcome: outcome.into(),
            decide_time: Timestamp(at * 1_000_000),
            latency_us: 1,
            edits_before: 0,
            surprised: false,
        }
    }

    #[test]
    fn a_reviewer_who_accepts_everything_is_flagged_and_a_short_record_is_not() {
        let mut reviews: Vec<Decided> = (0..10).map(|n| review("stamp", "ACCEPTED", n * 10)).collect();
        reviews.extend((0..9).map(|n| review("new", "ACCEPTED", n * 1_000)));
        reviews.extend((0..12).map(|n| review("careful", if n == 3 { "RETURNED" } else { "ACCEPTED" }, n * 1_000)));
        let found = considered(&reviews, |review| &review.reviewer);
        let flags: Vec<(&str, bool, i64)> =
            found.iter().map(|one| (one.subject.as_str(), one.always_approves, one.largest_burst)).collect();
        assert_eq!(flags, [("careful", false, 1), ("stamp", true, 6), ("new", false, 1)]);
    }
}
