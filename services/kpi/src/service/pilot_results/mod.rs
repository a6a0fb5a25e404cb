//! What a pilot was, week by week, and what may be concluded from that.
//!
//! The week is the unit: the events of a day depend on each other, and days differ by the day of the week, so that tests over
//! events or days would find a change in every second pilot in which nothing happened. Six to eight weeks on each side are
//! few; that is what Student's t is for.

use super::comparisons::{Change, DEFAULT_ALPHA, interval, test};
use super::query::count;
use crate::calendar::Span;
use crate::conditions::or;
use crate::definition::Definition;
use crate::dimensions::{self, Filter};
use crate::store::kpis;
use crate::store::rollups::{self, Grain};
use crate::summary::Summary;
use remit_api::kpi::v1 as api;
use remit_api::kpi::v1::criterion_result::State;
use remit_api::kpi::v1::exit_criterion::Comparison;
use remit_api::kpi::v1::{
    ChangeVerdict, CriterionResult, ExitCriterion, Granularity, Kind, Pilot, PilotChange, PilotFigure,
    PilotMeasurement, PilotResult, PilotWeek,
};
use remit_api::wire::time::stamp;
use remit_core::{Result, Tenant, Timestamp};
use remit_drift::{Interval, Moments, Tested, Units, holm, ratio_interval, ratios};
use remit_store::Tx;
use std::collections::{HashMap, HashSet};

/// A day in microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;
/// A week in microseconds.
const WEEK: i64 = 7 * DAY;
/// The least n on each side if the pilot names none.
const LEAST_N: i64 = 30;

/// Whether the weeks of a KPI of this kind add up, and their ratio is its value.
pub(crate) fn adds_up(kind: Kind) -> bool {
    matches!(kind, Kind::Sum | Kind::Count | Kind::Ratio | Kind::Mean | Kind::Distribution)
}

/// The weeks of a span from its start; the last takes the days that are left over.
fn weeks(span: Span) -> Vec<Span> {
    let n = ((span.end - span.start) / WEEK).max(1);
    let at = |week: i64| span.start + week * WEEK;
    (0..n).map(|week| Span { start: at(week), end: if week + 1 == n { span.end } else { at(week + 1) } }).collect()
}

/// Measures the KPIs of a pilot over a span, as they are recorded now.
///
/// # Errors
/// As the database says.
pub(crate) async fn measure(
    tx: &mut Tx,
    tenant: &Tenant,
    (pilot, definitions): (&Pilot, &[Definition]),
    span: Span,
    now: Timestamp,
) -> Result<PilotMeasurement> {
    let weeks = weeks(span);
    let places: HashMap<&str, usize> = definitions.iter().enumerate().map(|(at, of)| (of.id.as_str(), at)).collect();
    let ids: Vec<&str> = definitions.iter().map(|definition| definition.id.as_str()).collect();
    let passing = passing(tx, tenant, (pilot, definitions), &ids).await?;
    let mut found: Vec<Vec<Summary>> =
        definitions.iter().map(|of| weeks.iter().map(|_| Summary::new(of.shape())).collect()).collect();
    rollups::scan_all(tx, tenant, &ids, Grain::QuarterHour, span, |kpi_id, (quarter, series_id), body| {
        let Some(at) = places.get(kpi_id) else { return Ok(()) };
        if passing.as_ref().is_some_and(|passing| !passing.contains(&(*at, series_id))) {
            return Ok(());
        }
        let week = weeks.partition_point(|week| week.end <= quarter);
        if let Some(week) = found.get_mut(*at).and_then(|weeks| weeks.get_mut(week)) {
            week.merge(&Summary::decode(body, &definitions[*at].shape())?);
        }
        Ok(())
    })
    .await?;
    let figures = definitions.iter().zip(found).map(|(definition, found)| figure(definition, &weeks, &found)).collect();
    Ok(PilotMeasurement { measure_time: Some(stamp(now)), figures })
}

/// The series that pass the filter of a pilot, by the position of their KPI; `None` without a filter.
async fn passing(
    tx: &mut Tx,
    tenant: &Tenant,
    (pilot, definitions): (&Pilot, &[Definition]),
    ids: &[&str],
) -> Result<Option<HashSet<(usize, i64)>>> {
    if pilot.filter.is_empty() {
        return Ok(None);
    }
    let filter = |definition: &Definition| Filter::parse(&pilot.filter, &definition.keys, "filter");
    let filters: Vec<Filter> = definitions.iter().map(filter).collect::<Result<_>>()?;
    let mut passing = HashSet::new();
    for (kpi_id, series_id, text) in kpis::series_of(tx, tenant, ids).await? {
        let place = ids.iter().position(|id| *id == kpi_id);
        if let Some((at, filter)) = place.and_then(|at| Some((at, filters.get(at)?)))
            && filter.passes(&dimensions::parse(&text)?)
        {
            passing.insert((at, series_id));
        }
    }
    Ok(Some(passing))
}

/// A KPI over its weeks.
fn figure(definition: &Definition, weeks: &[Span], found: &[Summary]) -> PilotFigure {
    let mut whole = Summary::new(definition.shape());
    let week = |(span, summary): (&Span, &Summary)| {
        whole.merge(summary);
        let events = summary.n();
        let (numerator, denominator) = match definition.kind {
            Kind::Ratio => (summary.moments.total(), Moments::value(summary.denominator)),
            Kind::Sum => (summary.moments.total(), ((span.end - span.start) / DAY) as f64),
            Kind::Count => (events as f64, ((span.end - span.start) / DAY) as f64),
            _ => (summary.moments.total(), events as f64),
        };
        PilotWeek {
            start_time: Some(stamp(Timestamp(span.start))),
            end_time: Some(stamp(Timestamp(span.end))),
            event_count: count(events),
            numerator,
            denominator,
        }
    };
    let weeks: Vec<PilotWeek> = weeks.iter().zip(found).map(week).collect();
    let mut figure = PilotFigure {
        kpi: definition.kpi.name.clone(),
        n: count(if definition.has_trials() { whole.trials() } else { whole.n() }),
        late_count: count(whole.late_by(Granularity::Day).0),
        weeks,
        ..PilotFigure::default()
    };
    let units = units(&figure);
    figure.value = units.ratio().filter(|_| whole.n() > 0);
    figure.interval = ratio_interval(&units, 1.0 - DEFAULT_ALPHA).map(message);
    figure
}

/// The weeks of a figure as units.
fn units(figure: &PilotFigure) -> Units {
    let millionths = |value: f64| (value * 1e6).round() as i128;
    let mut units = Units::default();
    figure.weeks.iter().for_each(|week| units.add(millionths(week.numerator), millionths(week.denominator)));
    units
}

fn message(found: Interval) -> api::Interval {
    api::Interval { lower: found.lower, upper: found.upper, level: found.level }
}

/// Judges a pilot by what was measured before and during it: its changes, at the level 0.05 over all together (Holm), and its
/// exit criteria, each by a 95% interval. Since all of them have to be met, a pilot that misses one exits in at most one of
/// forty (Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982).
pub(crate) fn judge(pilot: &Pilot, definitions: &[Definition], result: &mut PilotResult) {
    let (Some(before), Some(during)) = (&result.baseline, &result.pilot) else { return };
    let sides: Vec<(&PilotFigure, &PilotFigure)> = before.figures.iter().zip(&during.figures).collect();
    let tested = |at: usize, alpha: f64| -> Option<Tested> {
        let (before, during) = sides.get(at).filter(|(a, b)| is_enough(pilot, a) && is_enough(pilot, b))?;
        ratios(&units(during), &units(before), alpha)
    };
    // One that cannot be tested counts as a test all the same, with 1: dropping it would loosen the bound.
    let p_values: Vec<f64> =
        (0..sides.len()).map(|at| tested(at, DEFAULT_ALPHA).map_or(1.0, |tested| tested.test.p_value)).collect();
    let adjusted = holm(&p_values);
    let change = |(at, definition): (usize, &Definition)| {
        let (before, during) = sides.get(at)?;
        let (p_value, adjusted) = (*p_values.get(at)?, *adjusted.get(at)?);
        // The level at which the adjusted p value would just be alpha: interval and verdict then agree.
        let level =
            if adjusted > 0.0 { DEFAULT_ALPHA * p_value / adjusted } else { DEFAULT_ALPHA / p_values.len() as f64 };
        let tested = tested(at, level);
        let change = Change::between(during.value, before.value, tested);
        let verdict = match &change.tested {
            None => ChangeVerdict::InsufficientData,
            Some(_) => change.verdict(definition, Some(adjusted), DEFAULT_ALPHA),
        };
        Some(PilotChange {
            kpi: definition.kpi.name.clone(),
            kpi_version: definition.kpi.version,
            difference: change.difference,
            relative_difference: change.relative,
            difference_interval: change.tested.as_ref().map(interval),
            test: change.tested.as_ref().map(|tested| test(&tested.test)),
            adjusted_p_value: change.tested.as_ref().map(|_| adjusted),
            verdict: verdict.into(),
        })
    };
    let changes = definitions.iter().enumerate().filter_map(change).collect();
    let criterion = |criterion: &ExitCriterion| {
        let at = definitions.iter().position(|definition| definition.kpi.name == criterion.kpi)?;
        let (before, during) = sides.get(at)?;
        let (value, interval) = match criterion.comparison() {
            Comparison::ChangeAtLeast | Comparison::ChangeAtMost => (
                during.value.zip(before.value).map(|(during, before)| during - before),
                tested(at, DEFAULT_ALPHA).as_ref().map(interval),
            ),
            _ => (during.value, during.interval.filter(|_| is_enough(pilot, during))),
        };
        let state = interval.as_ref().map_or(State::InsufficientData, |interval| standing(criterion, interval));
        Some(CriterionResult { criterion: Some(criterion.clone()), state: state.into(), value, interval, n: during.n })
    };
    let criteria: Vec<CriterionResult> = pilot.exit_criteria.iter().filter_map(criterion).collect();
    result.exit = !criteria.is_empty() && criteria.iter().all(|found| found.state() == State::Met);
    (result.changes, result.criteria) = (changes, criteria);
}

/// The exit criteria of a pilot that was not judged yet.
pub(crate) fn pending(pilot: &Pilot) -> Vec<CriterionResult> {
    let pending = |criterion: &ExitCriterion| CriterionResult {
        criterion: Some(criterion.clone()),
        state: State::InsufficientData.into(),
        ..CriterionResult::default()
    };
    pilot.exit_criteria.iter().map(pending).collect()
}

/// Whether a figure says enough to be judged: no data is not zero, so a week without any leaves it unknown.
fn is_enough(pilot: &Pilot, figure: &PilotFigure) -> bool {
    figure.n >= or(pilot.min_n, LEAST_N) && figure.weeks.iter().all(|week| week.event_count > 0)
}

fn standing(criterion: &ExitCriterion, interval: &api::Interval) -> State {
    let least = matches!(criterion.comparison(), Comparison::AtLeast | Comparison::ChangeAtLeast);
    let (worst, best) = if least { (interval.lower, interval.upper) } else { (-interval.upper, -interval.lower) };
    let limit = if least { criterion.limit } else { -criterion.limit };
    if worst >= limit {
        State::Met
    } else if best < limit {
        State::NotMet
    } else {
        State::NotShown
    }
}

#[cfg(test)]
mod tests;
