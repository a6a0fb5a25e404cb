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
use remit_core::name;
use remit_runtime::Channel;

/// The least number of values for a verdict about a distribution, as the KPI service applies it.
const MIN_N: i64 = 100;
/// The least number of cases for a verdict about a rate.
const MIN_CASES: i64 = 30;
/// The least number of reviews for a verdict about a reviewer (U10, U11).
const MIN_REVIEWS: i64 = 10;
/// Thresholds of PSI in common use: Siddiqi, Credit Risk Scorecards (2006).
const PSI: (f64, f64) = (0.10, 0.25);
/// Thresholds of a change of the share of overridden work, as a difference of shares.
const OVERRIDES: (f64, f64) = (0.05, 0.10);
/// Thresholds of the share of outputs that depart from the strategy.
const DIVERGENCE: (f64, f64) = (0.10, 0.25);
/// Thresholds of the mean of outcome minus score.
const CALIBRATION: (f64, f64) = (0.05, 0.10);
/// Thresholds of the share of reviews that accepted: nearly all is a finding, not praise.
const ACCEPTANCE: (f64, f64) = (0.95, 0.98);

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

fn judge(result: &mut DriftResult, value: f64, enough: bool) {
    (result.value, result.corrected_value) = (value, value);
    let verdict = match value {
        _ if !enough => DriftVerdict::InsufficientData,
        value if value >= result.significant_threshold => DriftVerdict::Significant,
        value if value >= result.moderate_threshold => DriftVerdict::Moderate,
        _ => DriftVerdict::None,
    };
    result.verdict = verdict.into();
    if !enough {
        result.note = format!("too few cases: {} in the month, {} in the baseline", result.n, result.baseline_n);
    }
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
    async fn lead_scores(&self, version: &str) -> Option<DriftResult> {
        let mut result = blank(DriftDetector::LeadScore, version, "psi", PSI);
        result.baseline = format!("kpis/lead_score_baseline of {version}");
        // Platforms name the version in full, or by its id alone.
        for label in [version, name::last(version)] {
            let filter = format!("model_version = \"{label}\"");
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
                    return Some(result);
                }
                Ok(_) => {}
                Err(why) => return Some(unavailable(result, &why)),
            }
        }
        None
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
                judge(&mut result, now.value.unwrap_or_default().abs(), now.n >= least && now.value.is_some());
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
    let mut result = blank(DriftDetector::OverrideRate, "human intervention in handoffs", "change of share", OVERRIDES);
    result.baseline = format!("handoffs of {}", frame.month.previous().period());
    let rate = |summary: &HandoffSummary| summary.human_intervention.unwrap_or_default();
    match (now, before) {
        (Ok(now), Ok(before)) => {
            let (now, before) = (rate(now), rate(before));
            (result.n, result.baseline_n) = (now.total, before.total);
            let (after, earlier) = (now.ratio.unwrap_or_default(), before.ratio.unwrap_or_default());
            result.note = format!("{after:.4} after {earlier:.4}");
            judge(&mut result, (after - earlier).abs(), now.total >= MIN_CASES && before.total >= MIN_CASES);
        }
        (Err(why), _) | (_, Err(why)) => return unavailable(result, why),
    }
    result
}

/// Reviewers and gates whose approvals look unconsidered.
fn reviewers(handoffs: &Got<HandoffSummary>) -> Vec<DriftResult> {
    let none = || blank(DriftDetector::ReviewerBehaviour, "all reviewers", "share accepted", ACCEPTANCE);
    let summary = match handoffs {
        Ok(summary) => summary,
        Err(why) => return vec![unavailable(none(), why)],
    };
    let busy = summary.reviewers.iter().chain(&summary.gates).filter(|one| one.review_count >= MIN_REVIEWS);
    let judged: Vec<DriftResult> = busy
        .map(|one| {
            let mut result = blank(DriftDetector::ReviewerBehaviour, &one.subject, "share accepted", ACCEPTANCE);
            result.n = one.review_count;
            let (burst, edits) = (one.largest_burst, one.edits_before_accept);
            result.note = format!("largest burst within a minute: {burst}; edits before acceptance: {edits}");
            judge(&mut result, one.accepted.as_ref().and_then(|rate| rate.ratio).unwrap_or_default(), true);
            result
        })
        .collect();
    if judged.is_empty() {
        let most = summary.reviewers.iter().map(|one| one.review_count).max().unwrap_or(0);
        let note = format!("no reviewer decided {MIN_REVIEWS} reviews; the most was {most}");
        return vec![DriftResult { note, ..none() }];
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::handoff::v1::{ConsideredApproval, Rate};

    #[test]
    fn a_rate_needs_cases_before_it_gets_a_verdict() {
        let mut result = blank(DriftDetector::OverrideRate, "x", "share", OVERRIDES);
        judge(&mut result, 0.5, false);
        assert_eq!(result.verdict(), DriftVerdict::InsufficientData);
        for (value, verdict) in
            [(0.04, DriftVerdict::None), (0.05, DriftVerdict::Moderate), (0.1, DriftVerdict::Significant)]
        {
            judge(&mut result, value, true);
            assert_eq!(result.verdict(), verdict);
        }
    }

    #[test]
    fn a_reviewer_who_accepts_everything_is_significant() {
        let rate = Rate { count: 12, total: 12, ratio: Some(1.0), ..Rate::default() };
        let one =
            ConsideredApproval { subject: "rae".into(), review_count: 12, accepted: Some(rate), ..Default::default() };
        let summary = HandoffSummary { reviewers: vec![one.clone()], ..Default::default() };
        assert_eq!(reviewers(&Ok(summary))[0].verdict(), DriftVerdict::Significant);
        let few =
            HandoffSummary { reviewers: vec![ConsideredApproval { review_count: 9, ..one }], ..Default::default() };
        assert_eq!(reviewers(&Ok(few))[0].verdict(), DriftVerdict::InsufficientData);
        assert!(reviewers(&Err("UNAVAILABLE: gone".into()))[0].note.starts_with("not available"));
    }
}
