//! Rates, spreads and what they say about those who decide. No rate without its n, no value where there is no
//! data (promise 5).

use crate::store::summaries::Decided;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState;
use remit_api::wire::time::span;
use std::collections::BTreeMap;

/// How many reviewers or gates a summary names.
const MOST_SUBJECTS: usize = 100;
/// A reviewer or gate that accepts at least this share of at least this many reviews is flagged (R17).
const ALWAYS: (f64, i64) = (0.98, 10);
/// Reviews decided within this time count as one burst.
const BURST_MICROS: i64 = 60 * 1_000_000;

/// A rate with its 95% interval.
///
/// Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference, JASA 22.
pub(crate) fn rate(count: i64, total: i64) -> pb::Rate {
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
pub(crate) fn latency(mut micros: Vec<i64>) -> pb::Latency {
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

/// How considered the decisions of each subject are: the busiest first.
pub(crate) fn considered(reviews: &[Decided], subject: impl Fn(&Decided) -> &str) -> Vec<pb::ConsideredApproval> {
    let mut groups: BTreeMap<&str, Vec<&Decided>> = BTreeMap::new();
    for review in reviews {
        groups.entry(subject(review)).or_default().push(review);
    }
    let mut found: Vec<pb::ConsideredApproval> = groups
        .into_iter()
        .map(|(subject, reviews)| {
            let total = i64::try_from(reviews.len()).unwrap_or(i64::MAX);
            let accepted: Vec<&&Decided> =
                reviews.iter().filter(|review| review.outcome == HandoffState::Accepted).collect();
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

    fn review(reviewer: &str, outcome: HandoffState, at: i64) -> Decided {
        Decided {
            gate_version: "gates/g/versions/1".into(),
            channel: "email".into(),
            reviewer: reviewer.into(),
            outcome,
            decide_time: Timestamp(at * 1_000_000),
            latency_us: 1,
            edits_before: 0,
            surprised: false,
        }
    }

    #[test]
    fn a_reviewer_who_accepts_everything_is_flagged_and_a_short_record_is_not() {
        let mut reviews: Vec<Decided> = (0..10).map(|n| review("stamp", HandoffState::Accepted, n * 10)).collect();
        reviews.extend((0..9).map(|n| review("new", HandoffState::Accepted, n * 1_000)));
        reviews.extend((0..12).map(|n| {
            review("careful", if n == 3 { HandoffState::Returned } else { HandoffState::Accepted }, n * 1_000)
        }));
        let found = considered(&reviews, |review| &review.reviewer);
        let flags: Vec<(&str, bool, i64)> =
            found.iter().map(|one| (one.subject.as_str(), one.always_approves, one.largest_burst)).collect();
        assert_eq!(flags, [("careful", false, 1), ("stamp", true, 6), ("new", false, 1)]);
    }
}
