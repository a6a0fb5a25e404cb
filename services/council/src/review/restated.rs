//! Figures that a pack states about its month, and what became of them. A figure that changes after it was frozen is
//! restated by the next pack, from the value that was stated last: so the frozen value and its restatements add up to
//! what is so now, and nothing is counted twice.

use super::pack::{Evidence, Figure, Restated, round};
use super::sources::Got;
use remit_api::council::v1::{Restatement, Review};
use remit_api::handoff::v1::{HandoffSummary, RoutingSummary};
use remit_api::kpi::v1::SummarizeKpisResponse;
use remit_api::registry::v1::OutputSummary;
use remit_api::scoring::v1::SummarizeDecisionsResponse;
use std::collections::{BTreeMap, BTreeSet};

/// The answers that figures come from.
pub(crate) struct Answers<'a> {
    pub(crate) kpis: &'a Got<SummarizeKpisResponse>,
    pub(crate) decisions: &'a Got<SummarizeDecisionsResponse>,
    pub(crate) outputs: &'a Got<OutputSummary>,
    pub(crate) handoffs: &'a Got<HandoffSummary>,
    pub(crate) routing: &'a Got<RoutingSummary>,
}

fn counts(source: &str, list: &[(&str, &str, i64)]) -> Vec<Figure> {
    let figure = |(key, label, n): &(&str, &str, i64)| Figure {
        key: (*key).to_owned(),
        source: source.to_owned(),
        label: (*label).to_owned(),
        // Counts are far below 2^53.
        value: Some(*n as f64),
        n: *n,
    };
    list.iter().map(figure).collect()
}

/// The figures of a month. What a source did not say is no figure.
pub(crate) fn figures(answers: &Answers<'_>) -> Vec<Figure> {
    let mut all = Vec::new();
    for summary in answers.kpis.iter().flat_map(|found| &found.kpis) {
        let (Some(kpi), Some(now)) = (&summary.kpi, &summary.current) else { continue };
        all.push(Figure {
            // By another definition it is another number, and no change of this one.
            key: format!("{}@{}", kpi.name, kpi.version),
            source: "kpi.summary".to_owned(),
            label: kpi.display_name.clone(),
            value: now.value.map(round),
            n: now.n,
        });
    }
    if let Ok(found) = answers.decisions {
        let list = [
            ("decisions.total", "Decisions", found.decisions),
            ("checks.total", "Checks before AI acted", found.checks),
            ("checks.denied", "Checks denied", found.checks_denied),
        ];
        all.extend(counts("scoring.decisions", &list));
    }
    if let Ok(found) = answers.outputs {
        let total = found.total.clone().unwrap_or_default();
        let missing = found.by_disclosure_status.get("MISSING").copied().unwrap_or(0);
        let list = [
            ("outputs.total", "Outputs", total.outputs),
            ("outputs.high_stakes", "Outputs of high or unknown stakes", total.high_stakes),
            ("outputs.incomplete", "Outputs that lack version tags", total.incomplete),
            ("outputs.unapproved", "Outputs of versions not approved", total.unapproved),
            ("outputs.reviewed", "Outputs reviewed by a person", found.human_reviewed),
            ("outputs.unlabelled", "Outputs that lack a label", missing),
        ];
        all.extend(counts("registry.outputs", &list));
    }
    if let Ok(found) = answers.handoffs {
        let reviews: i64 = found.review_outcomes.iter().map(|one| one.count).sum();
        let list = [
            ("handoffs.created", "Handoffs created", found.created_count),
            ("handoffs.published", "Handoffs published", found.published_count),
            ("handoffs.reviews", "Reviews decided", reviews),
            ("handoffs.overrides", "Overrides", found.override_count),
            ("handoffs.no_follow_up", "Overrides without a follow-up", found.overrides_without_follow_up),
        ];
        all.extend(counts("handoff.summary", &list));
    }
    if let Ok(found) = answers.routing {
        let list = [
            ("leads.total", "Leads", found.total_count),
            ("leads.routed", "Leads to sales", found.routed_count),
            ("leads.nurtured", "Leads to nurture", found.nurtured_count),
        ];
        all.extend(counts("handoff.routing", &list));
    }
    all
}

/// What a pack stated about its month, as later packs than that have restated it; `but_for` are the restatements of
/// one of them, which is made anew.
pub(crate) struct Stated {
    figures: BTreeMap<String, (Option<f64>, i64)>,
    /// Sources that did not answer then: what they say now was stated by nobody.
    unheard: BTreeSet<String>,
}

impl Stated {
    /// Reads frozen evidence and the marks on its review.
    pub(crate) fn of(evidence: &Evidence, review: &Review, but_for: &str) -> Self {
        let frozen = evidence.figures.iter().map(|figure| (figure.key.clone(), (figure.value, figure.n)));
        let mut figures: BTreeMap<_, _> = frozen.collect();
        for mark in review.restatements.iter().filter(|mark| mark.review != but_for) {
            figures.insert(mark.figure.clone(), (mark.new_value, mark.new_n));
        }
        Self { figures, unheard: evidence.unavailable().into_iter().collect() }
    }

    /// What of it is another value by now. A figure of a source that does not answer now stands as it was stated.
    pub(crate) fn restated(&self, period: &str, now: &[Figure]) -> Vec<Restated> {
        let changed = now.iter().filter_map(|figure| {
            let (old_value, old_n) = match self.figures.get(&figure.key) {
                Some(old) => *old,
                None if self.unheard.contains(&figure.source) => (None, 0),
                None => return None,
            };
            let same = old_n == figure.n && old_value == figure.value;
            (!same).then(|| Restated {
                period: period.to_owned(),
                key: figure.key.clone(),
                label: figure.label.clone(),
                old_value,
                new_value: figure.value,
                old_n,
                new_n: figure.n,
            })
        });
        changed.collect()
    }
}

/// The restatements that `review` has made of an earlier one, read back from the marks there.
pub(crate) fn made(earlier: &Review, review: &str) -> Vec<Restated> {
    let own = earlier.restatements.iter().filter(|mark| mark.review == review);
    own.map(|mark| Restated {
        period: earlier.period.clone(),
        key: mark.figure.clone(),
        label: mark.label.clone(),
        old_value: mark.old_value,
        new_value: mark.new_value,
        old_n: mark.old_n,
        new_n: mark.new_n,
    })
    .collect()
}

/// The mark on the earlier review.
pub(crate) fn mark(restated: &Restated, review: &str, now: Option<prost_types::Timestamp>) -> Restatement {
    Restatement {
        figure: restated.key.clone(),
        label: restated.label.clone(),
        old_value: restated.old_value,
        new_value: restated.new_value,
        old_n: restated.old_n,
        new_n: restated.new_n,
        review: review.to_owned(),
        create_time: now,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::review::sources::Frame;
    use crate::time::Month;
    use proptest::prelude::*;
    use remit_api::wire::time::stamp;
    use remit_core::Timestamp;

    fn figure(n: i64) -> Figure {
        Figure {
            key: "outputs.total".to_owned(),
            source: "registry.outputs".to_owned(),
            label: "Outputs".to_owned(),
            value: Some(n as f64),
            n,
        }
    }

    fn stated(frozen: &[Figure], marks: &[Restated], unheard: &[&str]) -> Stated {
        let mut figures: BTreeMap<_, _> = frozen.iter().map(|one| (one.key.clone(), (one.value, one.n))).collect();
        figures.extend(marks.iter().map(|mark| (mark.key.clone(), (mark.new_value, mark.new_n))));
        Stated { figures, unheard: unheard.iter().map(|&source| source.to_owned()).collect() }
    }

    #[test]
    fn a_changed_figure_is_restated_once_with_both_values() {
        let frozen = [figure(392)];
        let first = stated(&frozen, &[], &[]).restated("2024-01", &[figure(522)]);
        assert_eq!(first.iter().map(|one| (one.old_n, one.new_n)).collect::<Vec<_>>(), [(392, 522)]);
        assert!(stated(&frozen, &first, &[]).restated("2024-01", &[figure(522)]).is_empty());
        assert!(stated(&frozen, &first, &[]).restated("2024-01", &[]).is_empty(), "a source that is away says nothing");
        assert!(
            stated(&[], &[], &[]).restated("2024-01", &[figure(1)]).is_empty(),
            "a figure that is new is no change"
        );
        let late = stated(&[], &[], &["registry.outputs"]).restated("2024-01", &[figure(7)]);
        assert_eq!(late.iter().map(|one| (one.old_value, one.new_value)).collect::<Vec<_>>(), [(None, Some(7.0))]);
    }

    proptest! {
        /// Records happen in one month and are recorded in the same or a later one; each month's pack is frozen at some
        /// time after its end, in any order with them.
        #[test]
        fn packs_and_their_restatements_add_up_to_the_log(
            records in prop::collection::vec((0_usize..6, 0_usize..8), 0..60),
            freezes in prop::collection::vec(0_usize..3, 6),
        ) {
            // Of each month, the time at which its pack is frozen; packs are frozen one after another.
            let mut at = 0;
            let mut frozen: Vec<Option<(Vec<Figure>, Vec<Restated>)>> = vec![None; 6];
            let now = |month: usize, at: usize| {
                let n = records.iter().filter(|(of, delay)| *of == month && of + delay <= at).count();
                figure(i64::try_from(n).unwrap())
            };
            for (month, delay) in freezes.iter().enumerate() {
                at = at.max(month + delay);
                for (earlier, pack) in frozen.iter_mut().enumerate().take(month) {
                    let (figures, marks) = pack.as_mut().unwrap();
                    let more = stated(figures, marks, &[]).restated("", &[now(earlier, at)]);
                    marks.extend(more);
                }
                frozen[month] = Some((vec![now(month, at)], Vec::new()));
            }
            for (month, pack) in frozen.iter().enumerate() {
                let (figures, marks) = pack.as_ref().unwrap();
                let sum = figures[0].n + marks.iter().map(|mark| mark.new_n - mark.old_n).sum::<i64>();
                prop_assert_eq!(sum, now(month, at).n);
            }
        }

        /// What is counted by when it was recorded is in exactly one month.
        #[test]
        fn a_record_belongs_to_one_month(micros in 1_700_000_000_000_000_i64..1_760_000_000_000_000) {
            let time = Timestamp(micros);
            let mut month = Month::of(Timestamp(1_690_000_000_000_000), "Asia/Kathmandu").unwrap();
            let mut found = 0;
            for _ in 0..40 {
                let review = Review::default();
                let frame = Frame {
                    review: &review, body_title: "", month: &month, cut_off: month.end(), now: month.end(), earlier: &[],
                };
                found += usize::from(frame.in_month(&Some(stamp(time))));
                month = month.next();
            }
            prop_assert_eq!(found, 1);
        }
    }
}
