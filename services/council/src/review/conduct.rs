//! The detectors of what people do with the work of machines: whether they override it more or less than before, and whether
//! they approve it without considering it.

use super::drift::{LEVEL, MIN_CASES, blank, unavailable};
use super::sources::{Frame, Got};
use remit_api::council::v1::{DriftDetector, DriftResult, DriftVerdict};
use remit_api::handoff::v1::HandoffSummary;
use remit_drift::{Counts, RateLimits, ShareLimits, Verdict};

/// The change of the share of overridden work, as a difference of shares.
const OVERRIDES: RateLimits = RateLimits { moderate: 0.05, significant: 0.10, level: LEVEL };
/// The share of reviews that accepted: nearly all is a finding, not praise, unless chance explains it for one who would
/// accept as many as is usual.
const ACCEPTANCE: ShareLimits = ShareLimits { usual: 0.85, moderate: 0.95, significant: 0.98, level: LEVEL };

fn worded(verdict: Verdict) -> DriftVerdict {
    match verdict {
        Verdict::InsufficientData => DriftVerdict::InsufficientData,
        Verdict::None => DriftVerdict::None,
        Verdict::Moderate => DriftVerdict::Moderate,
        Verdict::Significant => DriftVerdict::Significant,
    }
}

/// The p value of a verdict, in words.
fn chance(p_value: Option<f64>) -> String {
    p_value.map(|p| format!("; p {p:.4} at level {LEVEL}")).unwrap_or_default()
}

/// Counts of a rate; a rate that does not add up has no cases.
fn counts(count: i64, total: i64) -> Counts {
    let whole = |x: i64| u64::try_from(x).unwrap_or(0);
    Counts::new(whole(count), whole(total)).unwrap_or_default()
}

/// The change of the share of AI work that people overrode, against the month before.
pub(crate) fn overrides(frame: &Frame<'_>, now: &Got<HandoffSummary>, before: &Got<HandoffSummary>) -> DriftResult {
    let limits = (OVERRIDES.moderate, OVERRIDES.significant);
    let mut result = blank(DriftDetector::OverrideRate, "human intervention in handoffs", "change of share", limits);
    result.baseline = format!("handoffs of {}", frame.month.previous().period());
    match (now, before) {
        (Ok(now), Ok(before)) => changed(&mut result, now, before),
        (Err(why), _) | (_, Err(why)) => return unavailable(result, why),
    }
    result
}

fn changed(result: &mut DriftResult, now: &HandoffSummary, before: &HandoffSummary) {
    let rate = |summary: &HandoffSummary| summary.human_intervention.unwrap_or_default();
    let (now, before) = (rate(now), rate(before));
    (result.n, result.baseline_n) = (now.total, before.total);
    let (now, before) = (counts(now.count, now.total), counts(before.count, before.total));
    let (verdict, p_value) = OVERRIDES.change(now, before);
    let enough = result.n.min(result.baseline_n) >= MIN_CASES;
    result.verdict = if enough { worded(verdict) } else { DriftVerdict::InsufficientData }.into();
    let Some((after, earlier)) = now.share().zip(before.share()) else {
        result.note = format!("no cases: {} in the month, {} in the baseline", result.n, result.baseline_n);
        return;
    };
    let difference = (after - earlier).abs();
    (result.value, result.corrected_value) = (Some(difference), Some(difference));
    (result.p_value, result.level) = (p_value, LEVEL);
    result.note = format!("{after:.4} after {earlier:.4}{}", chance(p_value));
    if result.verdict() == DriftVerdict::InsufficientData {
        let least = OVERRIDES.significant;
        result.note += &format!("; too few cases to find a change of {least} in four of five months");
    }
}

/// Reviewers and gates whose approvals look unconsidered.
pub(crate) fn reviewers(handoffs: &Got<HandoffSummary>) -> Vec<DriftResult> {
    let limits = (ACCEPTANCE.moderate, ACCEPTANCE.significant);
    let least = i64::try_from(ACCEPTANCE.least()).unwrap_or(i64::MAX);
    let none = || blank(DriftDetector::ReviewerBehaviour, "all reviewers", "share accepted", limits);
    let summary = match handoffs {
        Ok(summary) => summary,
        Err(why) => return vec![unavailable(none(), why)],
    };
    let busy = summary.reviewers.iter().chain(&summary.gates).filter(|one| one.review_count >= least);
    let judged: Vec<DriftResult> = busy
        .map(|one| {
            let mut result = blank(DriftDetector::ReviewerBehaviour, &one.subject, "share accepted", limits);
            result.n = one.review_count;
            let (burst, edits) = (one.largest_burst, one.edits_before_accept);
            let accepted = one.accepted.unwrap_or_default();
            let accepted = counts(accepted.count, accepted.total);
            let (verdict, p_value) = ACCEPTANCE.judge(accepted);
            (result.value, result.corrected_value) = (accepted.share(), accepted.share());
            (result.p_value, result.level) = (p_value, LEVEL);
            result.verdict = worded(verdict).into();
            result.note =
                format!("largest burst within a minute: {burst}; edits before acceptance: {edits}{}", chance(p_value));
            result
        })
        .collect();
    if judged.is_empty() {
        let most = summary.reviewers.iter().map(|one| one.review_count).max().unwrap_or(0);
        let note =
            format!("no reviewer decided {least} reviews, below which chance explains any share; the most was {most}");
        return vec![DriftResult { note, ..none() }];
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::handoff::v1::{ConsideredApproval, Rate};

    fn summary(count: i64, total: i64) -> HandoffSummary {
        HandoffSummary { human_intervention: Some(Rate { count, total, ..Rate::default() }), ..Default::default() }
    }

    fn change(now: (i64, i64), before: (i64, i64)) -> DriftResult {
        let mut result = blank(DriftDetector::OverrideRate, "x", "share", (0.05, 0.10));
        changed(&mut result, &summary(now.0, now.1), &summary(before.0, before.1));
        result
    }

    #[test]
    fn a_change_of_overrides_is_more_than_chance_and_matters() {
        assert_eq!(
            change((9, 30), (6, 30)).verdict(),
            DriftVerdict::InsufficientData,
            "what chance does in most months"
        );
        assert_eq!(change((29, 29), (0, 30)).verdict(), DriftVerdict::InsufficientData);
        assert_eq!(change((20, 30), (6, 30)).verdict(), DriftVerdict::Significant);
        assert_eq!(change((400, 2_000), (280, 2_000)).verdict(), DriftVerdict::Moderate);
        assert_eq!(change((410, 2_000), (400, 2_000)).verdict(), DriftVerdict::None);
        let nothing = change((0, 0), (6, 30));
        assert!(nothing.verdict() == DriftVerdict::InsufficientData && nothing.note.starts_with("no cases"));
    }

    #[test]
    fn a_reviewer_who_accepts_everything_is_significant_once_chance_is_ruled_out() {
        let reviewed = |count: i64, total: i64| {
            let accepted = Some(Rate { count, total, ..Rate::default() });
            let one = ConsideredApproval { subject: "rae".into(), review_count: total, accepted, ..Default::default() };
            reviewers(&Ok(HandoffSummary { reviewers: vec![one], ..Default::default() })).remove(0).verdict()
        };
        assert_eq!(reviewed(60, 60), DriftVerdict::Significant);
        assert_eq!(reviewed(96, 100), DriftVerdict::Moderate);
        assert_eq!(reviewed(85, 100), DriftVerdict::None);
        assert_eq!(reviewed(28, 28), DriftVerdict::InsufficientData);
        assert!(reviewers(&Err("UNAVAILABLE: gone".into()))[0].note.starts_with("not available"));
    }
}
