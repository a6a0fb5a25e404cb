//! The seven drift detectors (R16). Each says n, baseline, thresholds and verdict, also when there is
//! not enough to say anything.

use super::sources::{AT_ONCE, Frame, Got, LARGEST, Sources, got};
use crate::ask::Ask;
use crate::time::Month;
use futures::{StreamExt as _, stream};
use remit_api::council::v1::{DriftDetector, DriftResult, DriftVerdict};
use remit_api::handoff::v1::HandoffSummary;
use remit_api::kpi::v1 as kpi;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::types::TimeRange;
use remit_drift::{Counts, RateLimits, ShareLimits, Verdict};
use remit_runtime::Channel;

/// The least number of values for a verdict about a distribution, as the KPI service applies it.
const MIN_N: i64 = 100;
/// The least number of cases for a verdict about a rate.
const MIN_CASES: i64 = 30;
/// The chance of a verdict of any one detector when nothing has changed, at most.
const LEVEL: f64 = 0.01;
/// Thresholds of PSI in common use: Siddiqi, Credit Risk Scorecards (2006).
const PSI: (f64, f64) = (0.10, 0.25);
/// The change of the share of overridden work, as a difference of shares.
const OVERRIDES: RateLimits = RateLimits { moderate: 0.05, significant: 0.10, level: LEVEL };
/// Thresholds of the share of outputs that depart from the strategy.
const DIVERGENCE: (f64, f64) = (0.10, 0.25);
/// Thresholds of the mean of outcome minus score.
const CALIBRATION: (f64, f64) = (0.05, 0.10);
/// The share of reviews that accepted: nearly all is a finding, not praise, unless chance explains it for one who would
/// accept as many as is usual.
const ACCEPTANCE: ShareLimits = ShareLimits { usual: 0.85, moderate: 0.95, significant: 0.98, level: LEVEL };

fn blank(detector: DriftDetector, subject: &str, statistic: &str, (moderate, significant): (f64, f64)) -> DriftResult {
    DriftResult {
        detector: detector.into(),
        subject: subject.to_owned(),
        statistic: statistic.to_owned(),
        moderate_threshold: moderate,
        significant_threshold: significant,
        verdict: DriftVerdict::InsufficientData.into(),
        ..DriftResult::default()
    }
}

/// Judges a level by its size, once chance is ruled out: `certain` is the least size that the month's interval allows.
fn judge(result: &mut DriftResult, value: f64, certain: f64, enough: bool) {
    (result.value, result.corrected_value) = (value, value);
    let verdict = match value {
        _ if !enough => DriftVerdict::InsufficientData,
        _ if certain <= 0.0 => DriftVerdict::None,
        value if value >= result.significant_threshold => DriftVerdict::Significant,
        value if value >= result.moderate_threshold => DriftVerdict::Moderate,
        _ => DriftVerdict::None,
    };
    result.verdict = verdict.into();
    if !enough {
        result.note = format!("too few cases: {} in the month, {} in the baseline", result.n, result.baseline_n);
    }
}

/// How far the interval of a level stays away from nothing: 0 if it holds 0, or if there is none.
fn certain(rollup: &kpi::Rollup) -> f64 {
    rollup.interval.as_ref().map_or(0.0, |interval| interval.lower.max(-interval.upper).max(0.0))
}

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

fn shares(histogram: Option<&kpi::Histogram>) -> Vec<f64> {
    let Some(histogram) = histogram else { return Vec::new() };
    let total: i64 = histogram.counts.iter().sum::<i64>() + histogram.underflow + histogram.overflow;
    if total == 0 {
        return Vec::new();
    }
    histogram.counts.iter().map(|&count| super::pack::round(count as f64 / total as f64)).collect()
}

/// Writes a comparison into a result.
fn fill(result: &mut DriftResult, answer: &kpi::CompareDistributionsResponse) {
    (result.n, result.baseline_n) = (answer.n, answer.baseline_n);
    result.value = answer.psi.unwrap_or_default();
    result.corrected_value = answer.psi_corrected.unwrap_or_default();
    result.ks = answer.kolmogorov_smirnov.as_ref().map(|test| test.statistic).unwrap_or_default();
    // The divergence is the square of the distance (Lin 1991).
    result.js = answer.jensen_shannon_distance.map(|distance| distance * distance).unwrap_or_default();
    result.wasserstein = answer.wasserstein.unwrap_or_default();
    result.bins = shares(answer.histogram.as_ref());
    result.baseline_bins = shares(answer.baseline_histogram.as_ref());
    let mut least = MIN_N;
    if let Some(thresholds) = &answer.thresholds {
        (result.moderate_threshold, result.significant_threshold) =
            (thresholds.moderate_psi, thresholds.significant_psi);
        least = thresholds.min_n;
    }
    let verdict = match answer.verdict() {
        kpi::DriftVerdict::None => DriftVerdict::None,
        kpi::DriftVerdict::Moderate => DriftVerdict::Moderate,
        kpi::DriftVerdict::Significant => DriftVerdict::Significant,
        kpi::DriftVerdict::InsufficientData | kpi::DriftVerdict::Unspecified => DriftVerdict::InsufficientData,
    };
    result.verdict = verdict.into();
    if verdict == DriftVerdict::InsufficientData {
        let (n, baseline) = (answer.n, answer.baseline_n);
        result.note = format!("too few values: {n} in the month, {baseline} in the baseline, {least} needed");
    }
}

/// A detector whose source did not answer.
fn unavailable(result: DriftResult, why: &str) -> DriftResult {
    DriftResult { note: format!("not available: {why}"), ..result }
}

/// The KPI service, asked about one month.
struct Asker<'a> {
    ask: Ask<'a>,
    client: KpiServiceClient<Channel>,
    month: &'a Month,
}

impl Asker<'_> {
    async fn compare(&self, request: kpi::CompareDistributionsRequest) -> Got<kpi::CompareDistributionsResponse> {
        got(self.client.clone().compare_distributions(self.ask.of(request)).await)
    }

    async fn rollup(&self, name: &str, month: &Month) -> Got<kpi::Rollup> {
        let request =
            kpi::QueryRollupsRequest { kpi: name.to_owned(), range: Some(month.range()), ..Default::default() };
        let answer = got(self.client.clone().query_rollups(self.ask.of(request)).await)?;
        Ok(answer.rollups.into_iter().next().unwrap_or_default())
    }

    /// The month's scores of a model version against those it was approved on; `None` if it has neither, as a
    /// version of another kind of model, which is no subject of this detector.
    ///
    /// A signal belongs to the version whose full name it carries. The bare id names a version of every model, and would
    /// accuse one of what another did.
    async fn lead_scores(&self, version: &str) -> Option<DriftResult> {
        let mut result = blank(DriftDetector::LeadScore, version, "psi", PSI);
        result.baseline = format!("kpis/lead_score_baseline of {version}");
        let filter = format!("model_version = \"{version}\"");
        let request = kpi::CompareDistributionsRequest {
            kpi: "kpis/lead_score".to_owned(),
            window: Some(self.month.range()),
            filter: filter.clone(),
            baseline_kpi: "kpis/lead_score_baseline".to_owned(),
            baseline: Some(TimeRange::default()),
            baseline_filter: filter,
            thresholds: None,
        };
        match self.compare(request).await {
            Ok(answer) if answer.n > 0 || answer.baseline_n > 0 => {
                fill(&mut result, &answer);
                Some(result)
            }
            Ok(_) => None,
            Err(why) => Some(unavailable(result, &why)),
        }
    }

    /// A distribution of the month against the month before.
    async fn against_month_before(&self, detector: DriftDetector, name: &str) -> DriftResult {
        let mut result = blank(detector, name, "psi", PSI);
        result.baseline = format!("{name} in {}", self.month.previous().period());
        let request = kpi::CompareDistributionsRequest {
            kpi: name.to_owned(),
            window: Some(self.month.range()),
            baseline: Some(self.month.previous().range()),
            ..Default::default()
        };
        match self.compare(request).await {
            Ok(answer) => fill(&mut result, &answer),
            Err(why) => return unavailable(result, &why),
        }
        result
    }

    /// The size of a rate or mean of the month, beside that of the month before.
    async fn level(&self, mut result: DriftResult, least: i64) -> DriftResult {
        let (name, before) = (result.subject.clone(), self.month.previous());
        result.baseline = format!("{name} in {}", before.period());
        match (self.rollup(&name, self.month).await, self.rollup(&name, &before).await) {
            (Ok(now), Ok(before)) => {
                (result.n, result.baseline_n) = (now.n, before.n);
                result.note = before.value.map(|value| format!("{value:.4} in the month before")).unwrap_or_default();
                let enough = now.n >= least && now.value.is_some();
                judge(&mut result, now.value.unwrap_or_default().abs(), certain(&now), enough);
            }
            (Err(why), _) | (_, Err(why)) => return unavailable(result, &why),
        }
        result
    }

    /// The KPIs that record inputs of models: distributions whose id begins with `input_`.
    async fn inputs(&self) -> Got<Vec<String>> {
        let filter = "kind = \"DISTRIBUTION\"".to_owned();
        let request = kpi::ListKpisRequest { page_size: 1_000, filter, ..Default::default() };
        let answer = got(self.client.clone().list_kpis(self.ask.of(request)).await)?;
        let names = answer.kpis.into_iter().map(|kpi| kpi.name);
        Ok(names.filter(|name| name.starts_with("kpis/input_")).collect())
    }

    async fn all_inputs(&self) -> Vec<DriftResult> {
        let none = || blank(DriftDetector::InputDistribution, "kpis/input_*", "psi", PSI);
        match self.inputs().await {
            Ok(inputs) if inputs.is_empty() => {
                let note = "no distribution KPI named input_… records inputs of models".to_owned();
                vec![DriftResult { note, ..none() }]
            }
            Ok(inputs) => {
                let one = async |name: String| self.against_month_before(DriftDetector::InputDistribution, &name).await;
                stream::iter(inputs).map(one).buffered(AT_ONCE).collect().await
            }
            Err(why) => vec![unavailable(none(), &why)],
        }
    }

    async fn all_lead_scores(&self, versions: Result<Vec<String>, &String>) -> Vec<DriftResult> {
        let none = || blank(DriftDetector::LeadScore, "kpis/lead_score", "psi", PSI);
        let versions = match versions {
            Ok(versions) => versions,
            Err(why) => return vec![unavailable(none(), &format!("the versions are unknown: {why}"))],
        };
        let one = async |version: String| self.lead_scores(&version).await;
        let results: Vec<Option<DriftResult>> = stream::iter(versions).map(one).buffered(AT_ONCE).collect().await;
        let results: Vec<DriftResult> = results.into_iter().flatten().collect();
        if results.is_empty() {
            let note = "no version that was approved in the month has scores or a baseline".to_owned();
            return vec![DriftResult { note, ..none() }];
        }
        results
    }
}

/// Runs the detectors that ask the KPI service. `versions` are those that were approved in the month.
pub(crate) async fn ask(ask: Ask<'_>, month: &Month, versions: Result<Vec<String>, &String>) -> Vec<DriftResult> {
    use DriftDetector::{CreativeSimilarity, LeadScore, OutputQuality, StrategyDivergence};
    let client = KpiServiceClient::new(ask.channel("kpi")).max_decoding_message_size(LARGEST);
    let asker = Asker { ask, client, month };
    let mut results = asker.all_inputs().await;
    results.push(asker.against_month_before(OutputQuality, "kpis/checklist_score").await);
    results.extend(asker.all_lead_scores(versions).await);
    let calibration = blank(LeadScore, "kpis/lead_score_calibration", "mean of outcome minus score", CALIBRATION);
    results.push(asker.level(calibration, MIN_N).await);
    results.push(asker.against_month_before(CreativeSimilarity, "kpis/creative_similarity").await);
    let divergence = blank(StrategyDivergence, "kpis/strategy_divergence_rate", "share", DIVERGENCE);
    results.push(asker.level(divergence, MIN_CASES).await);
    results
}

/// All results in the order of the detectors.
pub(crate) fn results(frame: &Frame<'_>, sources: &Sources) -> Vec<DriftResult> {
    let mut results = sources.distributions.clone();
    results.push(overrides(frame, &sources.handoffs, &sources.handoffs_before));
    results.extend(reviewers(&sources.handoffs));
    results.sort_by_key(|result| result.detector);
    results
}

/// The change of the share of AI work that people overrode, against the month before.
fn overrides(frame: &Frame<'_>, now: &Got<HandoffSummary>, before: &Got<HandoffSummary>) -> DriftResult {
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
    (result.value, result.corrected_value) = ((after - earlier).abs(), (after - earlier).abs());
    result.note = format!("{after:.4} after {earlier:.4}{}", chance(p_value));
    if result.verdict() == DriftVerdict::InsufficientData {
        let least = OVERRIDES.significant;
        result.note += &format!("; too few cases to find a change of {least} in four of five months");
    }
}

/// Reviewers and gates whose approvals look unconsidered.
fn reviewers(handoffs: &Got<HandoffSummary>) -> Vec<DriftResult> {
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
            let share = accepted.share().unwrap_or_default();
            (result.value, result.corrected_value) = (share, share);
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
    fn a_level_that_may_be_nothing_is_none() {
        let mut result = blank(DriftDetector::LeadScore, "x", "mean", CALIBRATION);
        let of = |lower, upper| kpi::Rollup {
            interval: Some(kpi::Interval { lower, upper, level: 0.95 }),
            ..Default::default()
        };
        for (value, rollup, enough, verdict) in [
            (0.5, of(0.4, 0.6), false, DriftVerdict::InsufficientData),
            (0.06, of(-0.02, 0.14), true, DriftVerdict::None),
            (0.06, of(-0.09, -0.03), true, DriftVerdict::Moderate),
            (0.04, of(0.03, 0.05), true, DriftVerdict::None),
            (0.10, of(0.05, 0.15), true, DriftVerdict::Significant),
            (0.10, kpi::Rollup::default(), true, DriftVerdict::None),
        ] {
            judge(&mut result, value, certain(&rollup), enough);
            assert_eq!(result.verdict(), verdict, "{value}");
        }
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
