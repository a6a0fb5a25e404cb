//! Summaries of decisions and checks, as evidence for a review.

use super::Scoring;
use crate::convert;
use crate::store::{self, decisions::Column};
use remit_api::scoring::v1 as api;
use remit_api::types::TimeRange;
use remit_core::{Error, Result, Tenant};
use remit_policy::Pattern;
use std::collections::BTreeMap;

const HOUR_US: i64 = 3_600_000_000;
const CHECK_COUNTS: i64 = 200;

fn patterns(counts: &BTreeMap<String, i64>) -> Vec<api::PatternCount> {
    let count = |pattern: Pattern| api::PatternCount {
        pattern: convert::pattern(pattern).into(),
        count: counts.get(pattern.as_str()).copied().unwrap_or_default(),
    };
    Pattern::ALL.into_iter().map(count).collect()
}

/// Half the sum of the differences of shares: 0 for equal distributions, 1 for disjoint ones.
fn total_variation(a: &BTreeMap<String, i64>, b: &BTreeMap<String, i64>) -> Option<f64> {
    let (n, m) = (a.values().sum::<i64>() as f64, b.values().sum::<i64>() as f64);
    let share = |counts: &BTreeMap<String, i64>, pattern: Pattern, all: f64| {
        counts.get(pattern.as_str()).copied().unwrap_or_default() as f64 / all
    };
    let difference = |pattern: Pattern| (share(a, pattern, n) - share(b, pattern, m)).abs();
    (n > 0.0 && m > 0.0).then(|| Pattern::ALL.into_iter().map(difference).sum::<f64>() / 2.0)
}

impl Scoring {
    pub(crate) async fn summarize_decisions(
        &self,
        tenant: &Tenant,
        range: Option<TimeRange>,
    ) -> Result<api::SummarizeDecisionsResponse> {
        self.seed(tenant).await?;
        let range = range.unwrap_or_default();
        let start = range.start_time.as_ref().map(|at| convert::timestamp(at).micros());
        let end = range.end_time.as_ref().map(|at| convert::timestamp(at).micros());
        let (from, to) = (start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX));
        if from > to {
            return Err(Error::invalid("TIME_RANGE_INVALID", "time_range.end_time", "must not be before start_time"));
        }
        self.counter.fold().await?;
        let mut tx = self.db.snapshot().await?;
        let now: BTreeMap<String, i64> =
            store::decisions::count_by(&mut tx, tenant, Column::Pattern, from, to).await?.into_iter().collect();
        let named = |counts: Vec<(String, i64)>| -> Vec<api::NamedCount> {
            counts.into_iter().map(|(name, count)| api::NamedCount { name, count }).collect()
        };
        let mut answer = api::SummarizeDecisionsResponse {
            decisions: now.values().sum(),
            patterns: patterns(&now),
            bands: named(store::decisions::count_by(&mut tx, tenant, Column::Band, from, to).await?),
            policies: named(store::decisions::count_by(&mut tx, tenant, Column::Policy, from, to).await?),
            ..Default::default()
        };
        let mut caps = BTreeMap::<String, i64>::new();
        for (ids, count) in store::decisions::count_by(&mut tx, tenant, Column::Caps, from, to).await? {
            for id in ids.split(',').filter(|id| !id.is_empty()) {
                *caps.entry(id.to_owned()).or_default() += count;
            }
        }
        answer.caps = named(caps.into_iter().collect());
        if let (Some(start), Some(end)) = (start, end) {
            let earlier = start.saturating_sub(end - start);
            let before: BTreeMap<String, i64> =
                store::decisions::count_by(&mut tx, tenant, Column::Pattern, earlier, start)
                    .await?
                    .into_iter()
                    .collect();
            answer.previous_decisions = before.values().sum();
            answer.previous_patterns = patterns(&before);
            answer.pattern_shift = total_variation(&now, &before);
        }
        for (state, count) in store::tasks::count_by_state(&mut tx, tenant).await? {
            answer.tasks += count;
            match state.as_str() {
                "NEEDS_RECONCILIATION" => answer.needs_reconciliation = count,
                "DECIDED" => answer.tasks_decided = count,
                _ => {}
            }
        }
        // A bucket belongs to the period in which its hour begins.
        let hour = |at: i64| at.div_euclid(HOUR_US) + i64::from(at.rem_euclid(HOUR_US) > 0);
        let (first, last) = (start.map_or(i64::MIN, hour), end.map_or(i64::MAX, hour));
        let deny = i64::from(api::Verdict::Deny as i32);
        (answer.checks, answer.checks_denied) = store::checks::totals(&mut tx, tenant, first, last, deny).await?;
        let sums = store::checks::sums(&mut tx, tenant, first, last, CHECK_COUNTS).await?;
        answer.check_counts = sums
            .into_iter()
            .map(|sum| api::CheckCount {
                model_version: sum.model_version,
                task: sum.task,
                verdict: i32::try_from(sum.verdict).unwrap_or_default(),
                pattern: i32::try_from(sum.pattern).unwrap_or_default(),
                reason: sum.reason,
                count: sum.checks,
            })
            .collect();
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_of_patterns_is_the_total_variation_distance() {
        let counts = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let (a, b) = (counts(&[("HUMAN_ONLY", 1), ("AI_FIRST_DRAFT", 1)]), counts(&[("HUMAN_ONLY", 10)]));
        assert_eq!(total_variation(&a, &b), Some(0.5));
        assert_eq!(total_variation(&a, &a), Some(0.0));
        assert_eq!(total_variation(&a, &BTreeMap::new()), None);
    }
}
