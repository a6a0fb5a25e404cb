//! Comparing periods and distributions.

use super::Service;
use super::experiments::check_hidden;
use super::query::{self, Cell, Question, count, histogram};
use crate::calendar::Span;
use crate::conditions::or;
use crate::definition::Definition;
use crate::definition::drift::{settings, thresholds};
use crate::store::kpis::definition;
use crate::store::rollups;
use crate::summary::Shape;
use remit_api::kpi::v1 as api;
use remit_api::kpi::v1::{
    ChangeVerdict, CompareDistributionsRequest, CompareDistributionsResponse, ComparePeriodsRequest,
    ComparePeriodsResponse, Direction, DriftVerdict, Granularity, Kind,
};
use remit_api::types::TimeRange;
use remit_api::wire::{Word as _, range};
use remit_core::{Error, Result, Tenant};
use remit_drift::{
    Divergence, Histogram, TestResult, Tested, Thresholds, Verdict, compare, kolmogorov_smirnov, mean_difference,
    one_sided, proportions, wasserstein, wasserstein_normed, welch,
};
use remit_runtime::Cx;
use remit_store::Tx;

/// The accepted chance of a false finding if none is given (A20).
pub(crate) const DEFAULT_ALPHA: f64 = 0.05;

/// The bins of a comparison, as quantiles of the baseline.
const BINS: u32 = 10;

impl Service {
    /// Compares two periods of a KPI.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `FailedPrecondition` (`EXPERIMENT_RUNNING`), `InvalidArgument` naming the field.
    pub(crate) async fn compare_periods(
        &self,
        cx: &Cx,
        request: ComparePeriodsRequest,
    ) -> Result<ComparePeriodsResponse> {
        let current = range::closed(request.current.as_ref(), "current")?;
        let baseline = range::closed(request.baseline.as_ref(), "baseline")?;
        let mut tx = self.snapshot(cx).await?;
        let definition = definition(&mut tx, &cx.tenant, &request.kpi, "kpi").await?;
        let mut read = async |span: Span, field: &str| -> Result<(Cell, api::Rollup)> {
            let question = Question::whole(&definition, span, &request.filter, (field, "filter"))?;
            let now = self.db.now().0;
            check_hidden(&mut tx, &cx.tenant, &definition, &question, now).await?;
            let cell = query::whole(&mut tx, &cx.tenant, &definition, &question).await?;
            let shown = query::present(&mut tx, &cx.tenant, &definition, &question, vec![cell.clone()], now).await?;
            Ok((cell, shown.into_iter().next().unwrap_or_default()))
        };
        let (current, current_rollup) = read(current.into(), "current").await?;
        let (baseline, baseline_rollup) = read(baseline.into(), "baseline").await?;
        let alpha = or(request.alpha, DEFAULT_ALPHA);
        let change = Change::of(&definition, &current, &baseline, alpha);
        let mut response = ComparePeriodsResponse {
            current: Some(current_rollup),
            baseline: Some(baseline_rollup),
            difference: change.difference,
            relative_difference: change.relative,
            difference_interval: change.tested.as_ref().map(interval),
            test: change.tested.as_ref().map(|tested| test(&tested.test)),
            verdict: 0,
        };
        response.set_verdict(change.verdict(&definition, change.tested.map(|tested| tested.test.p_value), alpha));
        Ok(response)
    }

    /// Compares a distribution with a baseline.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `FailedPrecondition` (`KIND_WRONG`, `EDGES_DIFFER`), `InvalidArgument`
    /// naming the field.
    pub(crate) async fn compare_distributions(
        &self,
        cx: &Cx,
        request: CompareDistributionsRequest,
    ) -> Result<CompareDistributionsResponse> {
        let window = range::closed(request.window.as_ref(), "window")?;
        let mut tx = self.snapshot(cx).await?;
        let watched = distribution(definition(&mut tx, &cx.tenant, &request.kpi, "kpi").await?)?;
        let base = if request.baseline_kpi.is_empty() {
            watched.clone()
        } else {
            distribution(definition(&mut tx, &cx.tenant, &request.baseline_kpi, "baseline_kpi").await?)?
        };
        let limits = limits(&watched, request.thresholds.unwrap_or_default())?;
        if base.edges != watched.edges {
            let message = format!("{} and {} have different edges", watched.kpi.name, base.kpi.name);
            return Err(Error::precondition("EDGES_DIFFER", message));
        }
        let window = Question::whole(&watched, window.into(), &request.filter, ("window", "filter"))?;
        let window = shape(&mut tx, &cx.tenant, &watched, Some(window)).await?;
        let question = match open_span(&mut tx, &cx.tenant, &base, request.baseline.as_ref()).await? {
            Some(span) => {
                Some(Question::whole(&base, span, &request.baseline_filter, ("baseline", "baseline_filter"))?)
            }
            None => None,
        };
        let baseline = shape(&mut tx, &cx.tenant, &base, question).await?;
        Ok(drift(&window, &baseline, limits))
    }
}

/// A span whose missing ends reach as far as there is data; `None` without data.
async fn open_span(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    range: Option<&TimeRange>,
) -> Result<Option<Span>> {
    let (start, end) = range::open(range, "baseline")?;
    if let (Some(start), Some(end)) = (start, end) {
        return Ok(Some((start..end).into()));
    }
    let Some((first, last)) = rollups::extent(tx, tenant, &definition.id).await? else { return Ok(None) };
    let start = start.map_or_else(|| definition.calendar.period(Granularity::Day, first).start, |at| at.0);
    let end = end.map_or_else(|| definition.calendar.period(Granularity::Day, last).end, |at| at.0);
    Ok((start < end).then_some(Span { start, end }))
}

fn distribution(definition: Definition) -> Result<Definition> {
    if definition.kind == Kind::Distribution {
        return Ok(definition);
    }
    let message = format!("{} is of kind {}, not DISTRIBUTION", definition.kpi.name, definition.kind.word());
    Err(Error::precondition("KIND_WRONG", message))
}

async fn shape(tx: &mut Tx, tenant: &Tenant, definition: &Definition, question: Option<Question>) -> Result<Histogram> {
    let empty = Histogram::new(definition.edges.clone());
    let Some(question) = question else { return Ok(empty) };
    let cell = query::whole(tx, tenant, definition, &question).await?;
    Ok(match cell.summary.shape {
        Shape::Histogram(histogram) => histogram,
        Shape::Sketch(_) | Shape::None | Shape::Last(_) => empty,
    })
}

/// The limits of a definition, but for what a call gives.
fn limits(watched: &Definition, given: api::DriftThresholds) -> Result<Thresholds> {
    let of = thresholds(watched.kpi.drift.as_ref());
    let wanted = Thresholds {
        moderate: or(given.moderate_psi, of.moderate),
        significant: or(given.significant_psi, of.significant),
        min_n: u64::try_from(given.min_n).ok().filter(|n| *n > 0).unwrap_or(of.min_n),
        ..of
    };
    wanted.checked().map_err(|error| Error::invalid("THRESHOLDS_INVALID", "thresholds", error.to_string()))
}

/// A verdict as a message.
pub(crate) fn worded(verdict: Verdict) -> DriftVerdict {
    match verdict {
        Verdict::InsufficientData => DriftVerdict::InsufficientData,
        Verdict::None => DriftVerdict::None,
        Verdict::Moderate => DriftVerdict::Moderate,
        Verdict::Significant => DriftVerdict::Significant,
    }
}

fn drift(window: &Histogram, baseline: &Histogram, limits: Thresholds) -> CompareDistributionsResponse {
    // Fixed bins hide what happens within one of them: where the edges are fine enough, the baseline says which count.
    let quantiles = Histogram::in_quantiles_of(window, baseline, BINS);
    let by_quantile = quantiles.is_some();
    let (binned, binned_baseline) = quantiles.unwrap_or_else(|| (window.clone(), baseline.clone()));
    let found = compare(&binned, &binned_baseline).map(|found| Divergence {
        kolmogorov_smirnov: kolmogorov_smirnov(window, baseline).unwrap_or(found.kolmogorov_smirnov),
        wasserstein: wasserstein(window, baseline).unwrap_or(found.wasserstein),
        wasserstein_normed: wasserstein_normed(window, baseline),
        mean_difference: mean_difference(window, baseline).unwrap_or(found.mean_difference),
        one_sided: one_sided(window, baseline).unwrap_or(found.one_sided),
        ..found
    });
    let mut response = CompareDistributionsResponse {
        n: count(window.n()),
        baseline_n: count(baseline.n()),
        thresholds: Some(api::DriftThresholds {
            moderate_psi: limits.moderate,
            significant_psi: limits.significant,
            min_n: count(limits.min_n),
        }),
        settings: Some(settings(&limits)),
        histogram: Some(histogram(&binned)),
        baseline_histogram: Some(histogram(&binned_baseline)),
        quantile_bins: by_quantile,
        ..CompareDistributionsResponse::default()
    };
    if let Some(found) = &found {
        response.bins = i32::try_from(found.bins).unwrap_or(i32::MAX);
        response.psi = Some(found.psi);
        response.psi_expected = Some(found.psi_expected);
        response.psi_corrected = Some(found.psi_corrected);
        response.kolmogorov_smirnov = Some(test(&found.kolmogorov_smirnov));
        response.jensen_shannon_distance = Some(found.jensen_shannon_distance);
        response.wasserstein = Some(found.wasserstein);
        response.wasserstein_normed = found.wasserstein_normed;
        response.mean_difference = Some(found.mean_difference);
        response.moved_up = Some(found.one_sided.up);
        response.moved_down = Some(found.one_sided.down);
        response.chi_square = Some(test(&found.chi_square));
        response.homogeneity = Some(test(&found.homogeneity));
        response.g_test = Some(test(&found.g_test));
        response.hellinger = Some(found.hellinger);
        response.total_variation = Some(found.total_variation);
        response.effect = Some(limits.statistic.of(found));
        response.p_value = Some(Thresholds::p_value(found));
    }
    response.set_verdict(worded(limits.verdict(found.as_ref())));
    response
}

/// The change from one cell to another.
#[derive(Debug)]
pub(crate) struct Change {
    /// Current minus baseline; `None` without data on both sides.
    pub(crate) difference: Option<f64>,
    /// The difference over the magnitude of the baseline; `None` if that is 0.
    pub(crate) relative: Option<f64>,
    /// The test, where the kind allows one.
    pub(crate) tested: Option<Tested>,
}

impl Change {
    /// Compares `current` with `baseline`.
    pub(crate) fn of(definition: &Definition, current: &Cell, baseline: &Cell, alpha: f64) -> Self {
        let tested = match definition.kind {
            Kind::Ratio if definition.has_trials() => {
                proportions(current.summary.sample(), baseline.summary.sample(), alpha)
            }
            // Two constants differ with certainty only for those who know that they are constant.
            Kind::Mean => welch(&current.summary.moments, &baseline.summary.moments, alpha)
                .filter(|tested| tested.interval.lower < tested.interval.upper),
            _ => None,
        };
        Self::between(current.value(definition), baseline.value(definition), tested)
    }

    /// The change between two values and its test, if there is one.
    pub(crate) fn between(current: Option<f64>, baseline: Option<f64>, tested: Option<Tested>) -> Self {
        let values = current.zip(baseline);
        Self {
            difference: values.map(|(current, baseline)| current - baseline),
            relative: values
                .filter(|(_, baseline)| *baseline != 0.0)
                .map(|(current, baseline)| (current - baseline) / baseline.abs()),
            tested,
        }
    }

    /// The relative change in the good direction; `None` without one.
    pub(crate) fn improvement(&self, direction: Direction) -> Option<f64> {
        match direction {
            Direction::HigherIsBetter => self.relative,
            Direction::LowerIsBetter => self.relative.map(|change| -change),
            Direction::Neutral | Direction::Unspecified => None,
        }
    }

    /// The verdict with this p value, where the kind allows a test.
    pub(crate) fn verdict(&self, definition: &Definition, p_value: Option<f64>, alpha: f64) -> ChangeVerdict {
        let testable = definition.kind == Kind::Mean || definition.is_proportion();
        let Some(difference) = self.difference else { return ChangeVerdict::InsufficientData };
        match p_value {
            None if testable => return ChangeVerdict::InsufficientData,
            Some(p_value) if p_value >= alpha => return ChangeVerdict::NotSignificant,
            _ => {}
        }
        if difference == 0.0 {
            return ChangeVerdict::Unchanged;
        }
        match definition.direction {
            Direction::Neutral | Direction::Unspecified => ChangeVerdict::Changed,
            direction if (difference > 0.0) == (direction == Direction::HigherIsBetter) => ChangeVerdict::Improved,
            _ => ChangeVerdict::Worsened,
        }
    }
}

/// A test as a message.
pub(crate) fn test(found: &TestResult) -> api::TestResult {
    api::TestResult {
        method: found.method.to_owned(),
        statistic: found.statistic,
        degrees_of_freedom: found.degrees_of_freedom,
        p_value: found.p_value,
    }
}

/// The interval of a tested difference as a message.
pub(crate) fn interval(tested: &Tested) -> api::Interval {
    api::Interval { lower: tested.interval.lower, upper: tested.interval.upper, level: tested.interval.level }
}
