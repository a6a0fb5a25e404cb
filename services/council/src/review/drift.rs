//! The seven drift detectors (R16). Each says n, baseline, thresholds and verdict, also when there is
//! not enough to say anything.

use super::conduct;
use super::sources::{AT_ONCE, Frame, Got, LARGEST, Sources, got};
use crate::ask::Ask;
use crate::time::Month;
use futures::{StreamExt as _, stream};
use remit_api::council::v1::{DriftDetector, DriftResult, DriftVerdict};
use remit_api::kpi::v1 as kpi;
use remit_api::kpi::v1::drift_settings::{Statistic, Worse};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::types::TimeRange;
use remit_api::wire::Word as _;
use remit_drift::among_many;
use remit_runtime::Channel;

/// The least number of values for a verdict about a distribution, as the KPI service applies it.
const MIN_N: i64 = 100;
/// The least number of cases for a verdict about a rate.
pub(super) const MIN_CASES: i64 = 30;
/// The chance of a verdict of any one detector when nothing has changed, at most.
pub(super) const LEVEL: f64 = 0.01;
/// Thresholds of PSI in common use: Siddiqi, Credit Risk Scorecards (2006).
const PSI: (f64, f64) = (0.10, 0.25);
/// Thresholds of the share of outputs that depart from the strategy.
const DIVERGENCE: (f64, f64) = (0.10, 0.25);
/// Thresholds of the mean of outcome minus score.
const CALIBRATION: (f64, f64) = (0.05, 0.10);

/// The least calibration errors beyond chance that matter, as the KPI service applies them.
const ERROR: (f64, f64) = (0.05, 0.10);
/// What the calibration of a version is called.
const CALIBRATED: &str = "calibration error";
/// What that of a KPI is called.
const DIFFERENCE: &str = "mean of outcome minus score";
/// The statistics that compare scores with what happened, and not with earlier scores.
pub(crate) const OF_OUTCOMES: [&str; 2] = [CALIBRATED, DIFFERENCE];

pub(super) fn blank(
    detector: DriftDetector,
    subject: &str,
    statistic: &str,
    (moderate, significant): (f64, f64),
) -> DriftResult {
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
    (result.value, result.corrected_value) = (Some(value), Some(value));
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

fn said(verdict: kpi::DriftVerdict) -> DriftVerdict {
    match verdict {
        kpi::DriftVerdict::None => DriftVerdict::None,
        kpi::DriftVerdict::Moderate => DriftVerdict::Moderate,
        kpi::DriftVerdict::Significant => DriftVerdict::Significant,
        kpi::DriftVerdict::InsufficientData | kpi::DriftVerdict::Unspecified => DriftVerdict::InsufficientData,
    }
}

/// How the scores of one version agree with their outcomes. Versions are never mixed: what one got wrong is no other's.
fn calibrated(month: &Month, found: &kpi::ModelCalibration) -> DriftResult {
    let mut result = blank(DriftDetector::LeadScore, &found.model_version, CALIBRATED, ERROR);
    (result.n, result.value, result.p_value, result.level) = (found.n, found.ece, found.p_value, LEVEL);
    result.baseline = format!("its outcomes of {}", month.period());
    result.corrected_value = found.ece.zip(found.ece_expected).map(|(error, chance)| (error - chance).max(0.0));
    result.verdict = said(found.verdict()).into();
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
    result.note = format!("Brier score {}, area under the curve {}", number(found.brier_score), number(found.auc));
    let inverted = found.inverted.as_ref().is_some_and(|test| test.p_value < LEVEL / 2.0);
    if inverted && result.verdict() == DriftVerdict::Significant {
        result.note += ": the model is inverted, its higher scores have the fewer outcomes";
    }
    if result.verdict() == DriftVerdict::InsufficientData {
        result.note +=
            &format!("; {} scores with outcomes are too few for an error of {} to be found", found.n, ERROR.1);
    }
    result
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
    let settings = answer.settings.unwrap_or_default();
    (result.value, result.corrected_value) = (answer.effect, answer.effect);
    if matches!(settings.statistic(), Statistic::Psi | Statistic::Unspecified) {
        result.value = answer.psi;
    } else {
        result.statistic = settings.statistic().word().to_lowercase();
    }
    let least = if settings.min_n == 0 { MIN_N } else { settings.min_n };
    // Of too few values no test is made, so that they do not count among those that are.
    let made = answer.n.min(answer.baseline_n) >= least;
    (result.p_value, result.level) = (answer.p_value.filter(|_| made), settings.level);
    result.ks = answer.kolmogorov_smirnov.as_ref().map(|test| test.statistic);
    // The divergence is the square of the distance (Lin 1991).
    result.js = answer.jensen_shannon_distance.map(|distance| distance * distance);
    result.wasserstein = answer.wasserstein;
    result.bins = shares(answer.histogram.as_ref());
    result.baseline_bins = shares(answer.baseline_histogram.as_ref());
    if settings.significant > 0.0 {
        (result.moderate_threshold, result.significant_threshold) = (settings.moderate, settings.significant);
    }
    let verdict = said(answer.verdict());
    result.verdict = verdict.into();
    let sure = answer.p_value.is_some_and(|p| p < settings.level);
    // Far enough and beyond chance is drift, but for its direction.
    let directed = matches!(settings.worse(), Worse::Up | Worse::Down);
    let far = answer.effect.is_some_and(|effect| effect >= settings.moderate);
    if verdict == DriftVerdict::None && sure && far && directed {
        "it moved, the good way".clone_into(&mut result.note);
    }
    if verdict == DriftVerdict::InsufficientData {
        let (n, baseline) = (answer.n, answer.baseline_n);
        result.note = format!("too few values: {n} in the month, {baseline} in the baseline, {least} needed");
    }
}

/// A detector whose source did not answer.
pub(super) fn unavailable(result: DriftResult, why: &str) -> DriftResult {
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
                let enough = now.n >= least;
                match now.value {
                    Some(value) => judge(&mut result, value.abs(), certain(&now), enough),
                    None => result.note = "no data in the month".to_owned(),
                }
            }
            (Err(why), _) | (_, Err(why)) => return unavailable(result, &why),
        }
        result
    }

    /// The calibration of each version whose outcomes came in the month: from scores beside outcomes, and from their
    /// differences where only these were recorded.
    async fn calibrations(&self) -> Vec<DriftResult> {
        let request = kpi::AssessCalibrationRequest {
            kpi: "kpis/lead_score_outcome".to_owned(),
            range: Some(self.month.range()),
            ..Default::default()
        };
        let found = got(self.client.clone().assess_calibration(self.ask.of(request)).await);
        let mut results: Vec<DriftResult> = match found {
            Ok(answer) => answer.models.iter().map(|model| calibrated(self.month, model)).collect(),
            Err(why) => {
                let none = blank(DriftDetector::LeadScore, "kpis/lead_score_outcome", CALIBRATED, ERROR);
                vec![unavailable(none, &why)]
            }
        };
        results.extend(self.mean_errors().await);
        results
    }

    /// The mean of outcome minus score of each version.
    async fn mean_errors(&self) -> Vec<DriftResult> {
        const NAME: &str = "kpis/lead_score_calibration";
        let none = || blank(DriftDetector::LeadScore, NAME, DIFFERENCE, CALIBRATION);
        let request = kpi::QueryRollupsRequest {
            kpi: NAME.to_owned(),
            range: Some(self.month.range()),
            group_by: vec!["model_version".to_owned()],
            omit_empty: true,
            ..Default::default()
        };
        let rollups = match got(self.client.clone().query_rollups(self.ask.of(request)).await) {
            Ok(answer) => answer.rollups,
            Err(why) => return vec![unavailable(none(), &why)],
        };
        let measured = rollups.iter().filter_map(|rollup| rollup.value.map(|value| (rollup, value)));
        let results: Vec<DriftResult> = measured
            .map(|(rollup, value)| {
                let mut result = none();
                result.baseline = format!("outcomes of {}", self.month.period());
                if let Some(version) = rollup.group.get("model_version").filter(|version| !version.is_empty()) {
                    result.subject.clone_from(version);
                }
                result.n = rollup.n;
                judge(&mut result, value.abs(), certain(rollup), rollup.n >= MIN_N);
                result
            })
            .collect();
        if results.is_empty() {
            return vec![DriftResult { note: "no outcome of a score was recorded in the month".to_owned(), ..none() }];
        }
        results
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
    use DriftDetector::{CreativeSimilarity, OutputQuality, StrategyDivergence};
    let client = KpiServiceClient::new(ask.channel("kpi")).max_decoding_message_size(LARGEST);
    let asker = Asker { ask, client, month };
    let mut results = asker.all_inputs().await;
    results.push(asker.against_month_before(OutputQuality, "kpis/checklist_score").await);
    results.extend(asker.all_lead_scores(versions).await);
    results.extend(asker.calibrations().await);
    results.push(asker.against_month_before(CreativeSimilarity, "kpis/creative_similarity").await);
    let divergence = blank(StrategyDivergence, "kpis/strategy_divergence_rate", "share", DIVERGENCE);
    results.push(asker.level(divergence, MIN_CASES).await);
    results
}

/// All results in the order of the detectors.
pub(crate) fn results(frame: &Frame<'_>, sources: &Sources) -> Vec<DriftResult> {
    let mut results = sources.distributions.clone();
    results.push(conduct::overrides(frame, &sources.handoffs, &sources.handoffs_before));
    results.extend(conduct::reviewers(&sources.handoffs));
    results.sort_by_key(|result| result.detector);
    adjust(&mut results);
    results
}

/// Takes back what chance explains among many signals: a verdict of drift stays only where its p value, adjusted for all
/// signals of its detector, is at most its level ([`among_many`]). Only tests that were made count, and detectors are apart:
/// else whoever adds signals of one, where nothing happens, would hide what another found.
fn adjust(results: &mut [DriftResult]) {
    for family in results.chunk_by_mut(|a, b| a.detector == b.detector) {
        let p_values: Vec<f64> = family.iter().filter_map(|result| result.p_value).collect();
        let mut adjusted = among_many(&p_values).into_iter();
        for result in family.iter_mut().filter(|result| result.p_value.is_some()) {
            let (adjusted, level) = (adjusted.next().unwrap_or(1.0), result.level);
            result.adjusted_p_value = Some(adjusted);
            if adjusted > level && matches!(result.verdict(), DriftVerdict::Moderate | DriftVerdict::Significant) {
                result.set_verdict(DriftVerdict::None);
                let tests = p_values.len();
                result.note += &format!("; not beyond chance among {tests} tests: p {adjusted:.4} at level {level}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_verdict_stays_only_beyond_what_chance_does_among_all() {
        let of = |p_value| DriftResult {
            p_value,
            level: LEVEL,
            verdict: DriftVerdict::Significant.into(),
            ..DriftResult::default()
        };
        let verdicts = |p_values: &[Option<f64>]| -> Vec<DriftVerdict> {
            let mut results: Vec<DriftResult> = p_values.iter().map(|p| of(*p)).collect();
            adjust(&mut results);
            results.iter().map(DriftResult::verdict).collect()
        };
        assert_eq!(verdicts(&[Some(0.009)]), [DriftVerdict::Significant]);
        let among = [&[Some(0.009), Some(0.000_1), None][..], &[Some(0.5); 8]].concat();
        let found = verdicts(&among);
        assert_eq!(found[..3], [DriftVerdict::None, DriftVerdict::Significant, DriftVerdict::Significant]);
        let mut results = vec![of(Some(0.009)), of(Some(0.9))];
        adjust(&mut results);
        assert!(results[0].note.contains("among 2 tests"), "{}", results[0].note);
        let others = DriftResult { detector: DriftDetector::ReviewerBehaviour.into(), ..of(Some(0.009)) };
        let mut apart = [vec![of(Some(0.9)); 20], vec![others]].concat();
        adjust(&mut apart);
        assert_eq!(apart[20].verdict(), DriftVerdict::Significant, "signals of one detector hide nothing of another");
    }

    #[test]
    fn idle_inputs_hide_nothing() {
        let input = |n: i64, p_value: f64, verdict: kpi::DriftVerdict| {
            let mut result = blank(DriftDetector::InputDistribution, "kpis/input_x", "psi", PSI);
            let settings = Some(kpi::DriftSettings { level: LEVEL, min_n: 100, ..Default::default() });
            let answer = kpi::CompareDistributionsResponse {
                n,
                baseline_n: n,
                p_value: Some(p_value),
                settings,
                verdict: verdict.into(),
                ..Default::default()
            };
            fill(&mut result, &answer);
            result
        };
        let found = |p_value| input(1_000, p_value, kpi::DriftVerdict::Significant);
        let judge = |p_value, idle: Vec<DriftResult>| {
            let mut results = [vec![found(p_value)], idle].concat();
            adjust(&mut results);
            results[0].verdict()
        };
        // Of inputs without enough values no test was made, whatever a test would have said.
        let silent = vec![input(40, 0.7, kpi::DriftVerdict::InsufficientData); 300];
        assert_eq!(judge(0.009, silent), DriftVerdict::Significant);
        // Inputs with values in which nothing happens are tests; but no more than twenty of them count.
        let still = vec![input(1_000, 0.7, kpi::DriftVerdict::None); 300];
        assert_eq!(judge(0.000_4, still.clone()), DriftVerdict::Significant);
        assert_eq!(judge(0.000_6, still), DriftVerdict::None);
    }

    #[test]
    fn an_inverted_version_is_accused_by_its_own_name() {
        let found = kpi::ModelCalibration {
            model_version: "models/lead-scorer/versions/2".to_owned(),
            verdict: kpi::DriftVerdict::Significant.into(),
            n: 400,
            ece: Some(0.8),
            ece_expected: Some(0.02),
            p_value: Some(1e-9),
            inverted: Some(kpi::TestResult { p_value: 1e-9, ..Default::default() }),
            ..Default::default()
        };
        let result = calibrated(&Month::parse("2026-05", "UTC").unwrap(), &found);
        assert_eq!(
            (result.subject.as_str(), result.verdict()),
            ("models/lead-scorer/versions/2", DriftVerdict::Significant)
        );
        assert!(
            result.note.contains("inverted") && result.corrected_value.is_some_and(|error| (error - 0.78).abs() < 1e-9)
        );
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
}
