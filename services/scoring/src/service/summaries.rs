//! Summaries of decisions and checks, as evidence for a review.

use super::Service;
use crate::pattern;
use crate::store::{self, decisions::Column};
use remit_api::scoring::v1 as api;
use remit_api::wire::range;
use remit_core::{Result, Tenant, Timestamp};
use remit_policy::Pattern;
use remit_runtime::Cx;
use remit_store::Tx;
use std::collections::BTreeMap;

const HOUR_US: i64 = 3_600_000_000;
const CHECK_COUNTS: i64 = 200;

/// Half the sum of the differences of shares: 0 for equal distributions, 1 for disjoint ones.
fn total_variation(a: &BTreeMap<Pattern, i64>, b: &BTreeMap<Pattern, i64>) -> Option<f64> {
    let (n, m) = (a.values().sum::<i64>() as f64, b.values().sum::<i64>() as f64);
    let share = |counts: &BTreeMap<Pattern, i64>, pattern: Pattern, all: f64| {
        counts.get(&pattern).copied().unwrap_or_default() as f64 / all
    };
    let difference = |pattern: Pattern| (share(a, pattern, n) - share(b, pattern, m)).abs();
    (n > 0.0 && m > 0.0).then(|| Pattern::ALL.into_iter().map(difference).sum::<f64>() / 2.0)
}

/// Decisions made from `from` to before `to`, by pattern.
async fn by_pattern(tx: &mut Tx, tenant: &Tenant, from: i64, to: i64) -> Result<BTreeMap<Pattern, i64>> {
    let counts = store::decisions::count_by(tx, tenant, Column::Pattern, from, to).await?;
    Ok(counts.into_iter().filter_map(|(word, count)| Some((Pattern::parse(&word)?, count))).collect())
}

impl Service {
    pub(crate) async fn summarize_decisions(
        &self,
        cx: &Cx,
        request: api::SummarizeDecisionsRequest,
    ) -> Result<api::SummarizeDecisionsResponse> {
        let tenant = &cx.tenant;
        self.seed(tenant).await?;
        let (start, end) = range::open(request.time_range.as_ref(), "time_range")?;
        let (start, end) = (start.map(Timestamp::micros), end.map(Timestamp::micros));
        let (from, to) = (start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX));
        self.counter.fold().await?;
        let mut tx = self.db.snapshot().await?;
        let now = by_pattern(&mut tx, tenant, from, to).await?;
        let named = |counts: Vec<(String, i64)>| -> Vec<api::NamedCount> {
            counts.into_iter().map(|(name, count)| api::NamedCount { name, count }).collect()
        };
        let mut answer = api::SummarizeDecisionsResponse {
            decisions: now.values().sum(),
            patterns: pattern::counts(&now),
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
            let before = by_pattern(&mut tx, tenant, earlier, start).await?;
            answer.previous_decisions = before.values().sum();
            answer.previous_patterns = pattern::counts(&before);
            answer.pattern_shift = total_variation(&now, &before);
        }
        for (state, count) in store::tasks::count_by_state(&mut tx, tenant).await? {
            answer.tasks += count;
            match state {
                Some(api::TaskState::NeedsReconciliation) => answer.needs_reconciliation = count,
                Some(api::TaskState::Decided) => answer.tasks_decided = count,
                _ => {}
            }
        }
        // A bucket belongs to the period in which its hour begins.
        let hour = |at: i64| at.div_euclid(HOUR_US) + i64::from(at.rem_euclid(HOUR_US) > 0);
        let (first, last) = (start.map_or(i64::MIN, hour), end.map_or(i64::MAX, hour));
        (answer.checks, answer.checks_denied) = store::checks::totals(&mut tx, tenant, first, last).await?;
        let sums = store::checks::sums(&mut tx, tenant, first, last, CHECK_COUNTS).await?;
        answer.check_counts = sums
            .into_iter()
            .map(|(key, count)| api::CheckCount {
                verdict: key.verdict().into(),
                model_version: key.model_version,
                task: key.task,
                pattern: pattern::message(key.pattern).into(),
                reason: key.reason.into_owned(),
                count,
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
        let a = BTreeMap::from([(Pattern::HumanOnly, 1), (Pattern::AiFirstDraft, 1)]);
        let b = BTreeMap::from([(Pattern::HumanOnly, 10)]);
        assert_eq!(total_variation(&a, &b), Some(0.5));
        assert_eq!(total_variation(&a, &a), Some(0.0));
        assert_eq!(total_variation(&a, &BTreeMap::new()), None);
    }
}
