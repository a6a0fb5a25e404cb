//! Conditions on how a KPI has run until now: control charts, with and without a memory, and whether it runs at all.

use super::query::{Cell, count};
use super::watchdog::{Finding, Found, Judge, unknown};
use crate::calendar::Span;
use crate::conditions::{BASELINE, HISTORY, SIGMAS, or};
use crate::definition::Definition;
use remit_api::kpi::v1::shift_condition::Chart;
use remit_api::kpi::v1::{AnomalyCondition, Granularity, Kind, MissingDataCondition, ShiftCondition};
use remit_api::wire::time;
use remit_core::Result;
use remit_drift::{Memory, Observation, Sample, prediction_limits, share_limits, standing};

/// How many periods make a season: what a weekend lacks says nothing of Monday.
fn season(granularity: Granularity) -> usize {
    if granularity == Granularity::Day { 7 } else { 1 }
}

/// Which days a day is like.
const WEEK: usize = 7;

/// What periods are worth to a chart that remembers, with the place of each among `cells`. Nothing recorded is the number 0
/// of what is counted or summed, from the first period with data on; of anything else it is a hole.
fn observations(definition: &Definition, cells: &[Cell], by_day_of_week: bool) -> Vec<(usize, Observation)> {
    let totals = matches!(definition.kind, Kind::Count | Kind::Sum | Kind::Distinct);
    let mut began = false;
    let observation = |(at, cell): (usize, &Cell)| {
        let measured = cell.value(definition);
        began |= measured.is_some();
        let value = measured.or((totals && began).then_some(0.0))?;
        let trials = cell.summary.sample().trials;
        let weight = if definition.is_proportion() && trials > 0.0 { trials } else { 1.0 };
        Some((at, Observation { value, weight, class: if by_day_of_week { at % WEEK } else { 0 } }))
    };
    cells.iter().enumerate().filter_map(observation).collect()
}

impl Judge<'_> {
    pub(super) async fn anomaly(&mut self, condition: &AnomalyCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let periods = usize::try_from(or(condition.baseline_periods, BASELINE)).unwrap_or(20);
        let sigmas = or(condition.sigmas, SIGMAS);
        let (granularity, season) = (condition.granularity(), season(condition.granularity()));
        // Weekends may leave holes: as many periods are read as hold the wanted number of those with data.
        let read = if condition.by_day_of_week { season * (periods + 2) } else { periods + periods / 2 + season };
        let cells = self.last(&definition, granularity, read, &condition.filter).await?;
        let Some((judged, baseline)) = cells.split_last() else {
            return Ok(unknown(format!("{} has no period", condition.kpi)));
        };
        // Days are told apart by their place in the week, counted back from the one that is judged.
        let like = |back: usize| !condition.by_day_of_week || back.is_multiple_of(season);
        let with_data: Vec<&Cell> = baseline
            .iter()
            .enumerate()
            .filter(|(at, cell)| like(baseline.len() - at) && cell.value(&definition).is_some())
            .map(|(_, cell)| cell)
            .collect();
        let used = &with_data[with_data.len().saturating_sub(periods)..];
        // Nothing at all where a season ago there was something is the number 0 of what is counted or summed.
        let usual = baseline.len().checked_sub(season).and_then(|at| baseline.get(at));
        let totals = matches!(definition.kind, Kind::Count | Kind::Sum | Kind::Distinct);
        let expected = usual.is_some_and(|cell| cell.value(&definition).is_some());
        let value = judged.value(&definition).or((totals && expected).then_some(0.0));
        let limits = if used.len() < periods {
            None
        } else if definition.is_proportion() && judged.summary.sample().trials > 0.0 {
            let shares: Vec<Sample> = used.iter().map(|cell| cell.summary.sample()).collect();
            share_limits(&shares, judged.summary.sample().trials, sigmas)
        } else {
            let values: Vec<f64> = used.iter().filter_map(|cell| cell.value(&definition)).collect();
            prediction_limits(&values, sigmas)
        };
        let (Some(limits), Some(value)) = (limits, value) else {
            let (kpi, known) = (&condition.kpi, used.len());
            let last = if value.is_some() { "" } else { ", and none in the last" };
            return Ok(unknown(format!("{kpi} has data in {known} of the {periods} periods needed{last}")));
        };
        if !limits.signals(value) {
            return Ok(Finding::Clear);
        }
        let message = format!(
            "{} was {value:.6}, outside the control limits {:.6} to {:.6} around {:.6} of {periods} periods",
            condition.kpi, limits.lower, limits.upper, limits.centre
        );
        let (span, n) = (judged.span, count(judged.summary.n()));
        Ok(Finding::Holds(Found { kpi: condition.kpi.clone(), span, value: Some(value), n, message }))
    }

    pub(super) async fn shift(&mut self, condition: &ShiftCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let periods = usize::try_from(or(condition.history_periods, HISTORY)).unwrap_or(200);
        let cells = self.last(&definition, condition.granularity(), periods, &condition.filter).await?;
        let seen = observations(&definition, &cells, condition.by_day_of_week);
        let values: Vec<Observation> = seen.iter().map(|(_, observation)| *observation).collect();
        let (memory, chart) = match condition.chart() {
            Chart::Ewma => (Memory::Ewma, "the EWMA"),
            Chart::Cusum | Chart::Unspecified => (Memory::Cusum, "the CUSUM"),
        };
        let (Some(found), Some((last, now))) = (standing(&values, memory), seen.last()) else {
            let (kpi, known) = (&condition.kpi, values.len());
            return Ok(unknown(format!("{kpi} has data in {known} periods, too few for twenty that can be scored")));
        };
        let Some(shift) = found.shift else { return Ok(Finding::Clear) };
        let began = seen.get(shift.since).and_then(|(at, _)| cells.get(*at)).map_or(0, |cell| cell.span.start);
        let Some(cell) = cells.get(*last) else { return Ok(unknown("the last period is gone")) };
        let message = format!(
            "{} has shifted {} since {} and stood at {:.6}: {chart} is at {:.2} standard deviations, its limit {:.2}",
            condition.kpi,
            if shift.up { "up" } else { "down" },
            remit_core::Timestamp(began),
            now.value,
            found.statistic,
            found.limit,
        );
        let (span, n) = (cell.span, count(cell.summary.n()));
        Ok(Finding::Holds(Found { kpi: condition.kpi.clone(), span, value: Some(now.value), n, message }))
    }

    pub(super) async fn missing_data(&mut self, condition: &MissingDataCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let periods = usize::try_from(condition.periods.max(1)).unwrap_or(1);
        let created = definition.kpi.create_time.as_ref().map_or(0, |at| time::of(at).0);
        let mut cells = self.last(&definition, condition.granularity(), periods, &condition.filter).await?;
        if cells.iter().any(|cell| cell.summary.n() > 0) {
            return Ok(Finding::Clear);
        }
        cells.retain(|cell| cell.span.end > created);
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else {
            return Ok(unknown(format!("{} has no complete period", condition.kpi)));
        };
        if cells.len() < periods {
            let (kpi, known) = (&condition.kpi, cells.len());
            return Ok(unknown(format!("{kpi} has been there for {known} of the {periods} periods")));
        }
        let span = Span { start: first.span.start, end: last.span.end };
        let message = format!("{} has no events in the last {periods} complete period(s)", condition.kpi);
        Ok(Finding::Holds(Found { kpi: condition.kpi.clone(), span, value: None, n: 0, message }))
    }
}
