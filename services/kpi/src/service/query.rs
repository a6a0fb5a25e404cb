//! Reading rollups: stored buckets summed up to the periods and groups that are asked for.

use crate::calendar::{QUARTER_HOUR, Span, due_within};
use crate::definition::Definition;
use crate::dimensions::{self, Dimensions, Filter};
use crate::service::ingest::cover;
use crate::store::rollups::Grain;
use crate::store::{events, kpis, rollups};
use crate::summary::{Shape, Summary};
use remit_api::kpi::v1 as api;
use remit_api::kpi::v1::{DataState, Direction, Granularity, Kind, Rollup, TargetState};
use remit_api::wire::time::{of, stamp};
use remit_core::{Error, Kind as ErrorKind, Result, Tenant, Timestamp};
use remit_drift::{Histogram, Moments, mean_interval, wilson};
use remit_store::Tx;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most rollups in one answer.
const MAX_ROLLUPS: usize = 20_000;
/// The confidence level of the intervals that rollups show.
const LEVEL: f64 = 0.95;

/// What is asked of a KPI.
#[derive(Debug)]
pub(crate) struct Question {
    /// The span, widened to whole periods if there is a granularity.
    pub(crate) span: Span,
    /// The length of the periods; `None` for one rollup of the span.
    pub(crate) granularity: Option<Granularity>,
    /// The dimensions to split by.
    pub(crate) group_by: Vec<String>,
    /// Which series count.
    pub(crate) filter: Filter,
    /// The only groups that are asked for, if not all.
    pub(crate) only: Option<BTreeSet<Dimensions>>,
}

impl Question {
    /// One rollup of a span, of the series that pass `filter`.
    ///
    /// # Errors
    /// `InvalidArgument`: `FILTER_INVALID`, `DIMENSION_UNKNOWN`, `TIME_RANGE_INVALID`, naming the fields.
    pub(crate) fn whole(definition: &Definition, span: Span, filter: &str, fields: (&str, &str)) -> Result<Self> {
        on_borders(span, fields.0)?;
        let filter = Filter::parse(filter, &definition.keys, fields.1)?;
        Ok(Self { span, granularity: None, group_by: Vec::new(), filter, only: None })
    }

    /// Rollups by period.
    ///
    /// # Errors
    /// As [`Question::whole`].
    pub(crate) fn periods(
        definition: &Definition,
        span: Span,
        granularity: Granularity,
        group_by: &[String],
        filter: &str,
    ) -> Result<Self> {
        if let Some(key) = group_by.iter().find(|key| !definition.keys.contains(key)) {
            let why = format!("{key} is not a dimension of this KPI, which has: {}", definition.keys.join(", "));
            return Err(Error::invalid("DIMENSION_UNKNOWN", "group_by", why));
        }
        if granularity == Granularity::Unspecified {
            let whole = Self::whole(definition, span, filter, ("range", "filter"))?;
            return Ok(Self { group_by: group_by.to_vec(), ..whole });
        }
        let filter = Filter::parse(filter, &definition.keys, "filter")?;
        Ok(Self { span, granularity: Some(granularity), group_by: group_by.to_vec(), filter, only: None })
    }
}

/// Checks that a span is made of whole stored buckets.
///
/// # Errors
/// `InvalidArgument` (`TIME_RANGE_INVALID`), naming `field`.
pub(crate) fn on_borders(span: Span, field: &str) -> Result<()> {
    if span.start.rem_euclid(QUARTER_HOUR) != 0 || span.end.rem_euclid(QUARTER_HOUR) != 0 {
        return Err(Error::invalid("TIME_RANGE_INVALID", field, "must begin and end on a full quarter hour"));
    }
    Ok(())
}

/// What the events of one period and group add up to.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// The period.
    pub(crate) span: Span,
    /// The values of the group-by dimensions.
    pub(crate) group: Dimensions,
    /// The sum.
    pub(crate) summary: Summary,
    /// The number of different members of a DISTINCT.
    pub(crate) distinct: u64,
}

/// The answer: a cell for each period and group; periods without data have cells too.
///
/// # Errors
/// `ResourceExhausted` (`RESULT_TOO_LARGE`); else as the database says.
pub(crate) async fn cells(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    question: &Question,
) -> Result<Vec<Cell>> {
    let periods = match question.granularity {
        None => vec![question.span],
        Some(granularity) => {
            definition.calendar.periods(granularity, question.span, MAX_ROLLUPS).ok_or_else(too_large)?
        }
    };
    let groups = groups(tx, tenant, definition, question).await?;
    let mut cells: BTreeMap<(usize, &Dimensions), Cell> = BTreeMap::new();
    let everything: BTreeSet<&Dimensions> = groups.values().collect();
    let none = Dimensions::new();
    let shown: Vec<&Dimensions> =
        if question.group_by.is_empty() { vec![&none] } else { everything.into_iter().collect() };
    if periods.len().saturating_mul(shown.len()) > MAX_ROLLUPS {
        return Err(too_large());
    }
    for (index, span) in periods.iter().enumerate() {
        for group in &shown {
            let summary = Summary::new(definition.shape());
            cells.insert((index, *group), Cell { span: *span, group: (*group).clone(), summary, distinct: 0 });
        }
    }
    let slot = |at: i64| {
        let index = periods.partition_point(|period| period.end <= at);
        periods.get(index).filter(|period| period.contains(at)).map(|_| index)
    };
    for (grain, part) in parts(definition, question, &periods) {
        rollups::scan(tx, tenant, &definition.id, grain, part, &definition.shape(), |(bucket, series), summary| {
            let cell = slot(bucket).zip(groups.get(&series)).and_then(|key| cells.get_mut(&key));
            if let Some(cell) = cell {
                cell.summary.merge(&summary);
            }
        })
        .await?;
    }
    if definition.kind == Kind::Distinct
        && let (Some(first), Some(last)) = (periods.first(), periods.last())
    {
        let mut members: HashMap<(usize, &Dimensions), HashSet<String>> = HashMap::new();
        let span = Span { start: first.start, end: last.end };
        events::scan(tx, tenant, &definition.id, span, |recorded| {
            let counts = recorded.corrected.is_none() && !recorded.event.retract;
            let key = slot(recorded.event.occurred_at).zip(groups.get(&recorded.series_id)).filter(|_| counts);
            if let Some((key, member)) = key.zip(recorded.event.member) {
                members.entry(key).or_default().insert(member);
            }
            Ok(())
        })
        .await?;
        for (key, members) in members {
            if let Some(cell) = cells.get_mut(&key) {
                cell.distinct = members.len() as u64;
            }
        }
    }
    Ok(cells.into_values().collect())
}

/// The groups with the largest values over the whole span, largest first, at most `top`. Of a value with an interval the lower
/// end counts: of two cases two are every case, which says little.
///
/// # Errors
/// As [`cells`].
pub(crate) async fn largest(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    question: &Question,
    top: usize,
) -> Result<Vec<Dimensions>> {
    let calendar = &definition.calendar;
    let span = question.granularity.map_or(question.span, |granularity| Span {
        start: calendar.period(granularity, question.span.start).start,
        end: calendar.period(granularity, question.span.end - 1).end,
    });
    let whole = Question {
        span,
        granularity: None,
        group_by: question.group_by.clone(),
        filter: question.filter.clone(),
        only: None,
    };
    let cells = cells(tx, tenant, definition, &whole).await?.into_iter();
    let mut ranked: Vec<(f64, Dimensions)> = cells
        .filter_map(|cell| {
            let value = cell.value(definition)?;
            Some((cell.interval(definition).map_or(value, |interval| interval.lower), cell.group))
        })
        .collect();
    ranked.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
    ranked.truncate(top);
    Ok(ranked.into_iter().map(|(_, group)| group).collect())
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::ResourceExhausted,
        "RESULT_TOO_LARGE",
        format!("more than {MAX_ROLLUPS} rollups: ask for less time, longer periods or fewer dimensions"),
    )
}

/// Which stored buckets make up the periods.
fn parts(definition: &Definition, question: &Question, periods: &[Span]) -> Vec<(Grain, Span)> {
    let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return Vec::new() };
    let span = Span { start: first.start, end: last.end };
    match question.granularity {
        None => cover(&definition.calendar, span),
        Some(Granularity::QuarterHour | Granularity::Hour) => vec![(Grain::QuarterHour, span)],
        Some(_) => vec![(Grain::Day, span)],
    }
}

/// The group of each series that passes the filter.
async fn groups(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    question: &Question,
) -> Result<BTreeMap<i64, Dimensions>> {
    let mut groups = BTreeMap::new();
    for (id, text) in kpis::series(tx, tenant, &definition.id).await? {
        let all = dimensions::parse(&text)?;
        if question.filter.passes(&all) {
            let value = |key: &String| all.get(key).cloned().unwrap_or_default();
            let group: Dimensions = question.group_by.iter().map(|key| (key.clone(), value(key))).collect();
            if question.only.as_ref().is_none_or(|only| only.contains(&group)) {
                groups.insert(id, group);
            }
        }
    }
    Ok(groups)
}

/// The single cell of a span.
///
/// # Errors
/// As [`cells`].
pub(crate) async fn whole(tx: &mut Tx, tenant: &Tenant, definition: &Definition, question: &Question) -> Result<Cell> {
    let found = cells(tx, tenant, definition, question).await?.into_iter().next();
    Ok(found.unwrap_or_else(|| Cell::empty(definition, question.span)))
}

/// The single cells of spans of many KPIs, of all their series, in the order in which they are asked for: read
/// together, because one after the other would take statements by the hundred.
///
/// # Errors
/// As the database says.
pub(crate) async fn wholes(tx: &mut Tx, tenant: &Tenant, asked: &[(&Definition, Span)]) -> Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = asked.iter().map(|(definition, span)| Cell::empty(definition, *span)).collect();
    let mut parts: BTreeMap<(Grain, Span), BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    for (at, (definition, span)) in asked.iter().enumerate() {
        for part in cover(&definition.calendar, *span) {
            parts.entry(part).or_default().entry(&definition.id).or_default().push(at);
        }
    }
    for ((grain, span), places) in parts {
        let ids: Vec<&str> = places.keys().copied().collect();
        rollups::scan_all(tx, tenant, &ids, grain, span, |kpi_id, _, body| {
            for at in places.get(kpi_id).into_iter().flatten() {
                if let (Some((definition, _)), Some(cell)) = (asked.get(*at), cells.get_mut(*at)) {
                    cell.summary.merge(&Summary::decode(body, &definition.shape())?);
                }
            }
            Ok(())
        })
        .await?;
    }
    for ((definition, span), cell) in asked.iter().zip(&mut cells) {
        if definition.kind == Kind::Distinct {
            let mut members = HashSet::new();
            events::scan(tx, tenant, &definition.id, *span, |recorded| {
                if recorded.corrected.is_none() && !recorded.event.retract {
                    members.extend(recorded.event.member);
                }
                Ok(())
            })
            .await?;
            cell.distinct = members.len() as u64;
        }
    }
    Ok(cells)
}

/// The cells as messages, each with its data state.
///
/// # Errors
/// As the database says.
pub(crate) async fn present(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    question: &Question,
    cells: Vec<Cell>,
    now: i64,
) -> Result<Vec<Rollup>> {
    let mut due: BTreeMap<Span, BTreeSet<Dimensions>> = BTreeMap::new();
    let mut shown = Vec::with_capacity(cells.len());
    for cell in cells {
        let mut rollup = cell.rollup(definition, now);
        if cell.summary.n() == 0 {
            let state = empty_state(tx, tenant, definition, question, &cell, now, &mut due).await?;
            rollup.set_data_state(state);
        }
        shown.push(rollup);
    }
    Ok(shown)
}

/// Why a period has no data: nothing is due, it is not due yet or was given elsewhere, or it is missing.
async fn empty_state(
    tx: &mut Tx,
    tenant: &Tenant,
    definition: &Definition,
    question: &Question,
    cell: &Cell,
    now: i64,
    due: &mut BTreeMap<Span, BTreeSet<Dimensions>>,
) -> Result<DataState> {
    let Some(granularity) = due_within(definition.kpi.cadence()) else { return Ok(DataState::NoData) };
    let period = definition.calendar.period(granularity, cell.span.end - 1);
    let created = definition.kpi.create_time.map_or(0, |time| of(&time).0);
    if now < period.end.saturating_add(definition.lateness) || period.end <= created || cell.span.end < period.end {
        return Ok(DataState::NotDue);
    }
    if cell.span.start <= period.start {
        return Ok(DataState::Missing);
    }
    let groups = match due.entry(period) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(slot) => {
            let question = Question {
                span: period,
                granularity: None,
                group_by: question.group_by.clone(),
                filter: question.filter.clone(),
                only: question.only.clone(),
            };
            let given = cells(tx, tenant, definition, &question).await?.into_iter();
            slot.insert(given.filter(|cell| cell.summary.n() > 0).map(|cell| cell.group).collect())
        }
    };
    Ok(if groups.contains(&cell.group) { DataState::NotDue } else { DataState::Missing })
}

impl Cell {
    /// A span of which nothing is known.
    fn empty(definition: &Definition, span: Span) -> Self {
        Self { span, group: Dimensions::new(), summary: Summary::new(definition.shape()), distinct: 0 }
    }

    /// The value by the kind of the KPI; `None` without data.
    pub(crate) fn value(&self, definition: &Definition) -> Option<f64> {
        let moments = &self.summary.moments;
        if moments.n == 0 {
            return None;
        }
        match definition.kind {
            Kind::Sum => Some(moments.total()),
            Kind::Count => Some(moments.n as f64),
            Kind::Ratio => {
                let denominator = Moments::value(self.summary.denominator);
                (denominator > 0.0).then(|| moments.total() / denominator)
            }
            Kind::Percentile => self.quantile(0.5),
            Kind::Distinct => Some(self.distinct as f64),
            Kind::Last => match &self.summary.shape {
                Shape::Last(Some((_, _, value))) => Some(Moments::value(i128::from(*value))),
                _ => None,
            },
            Kind::Mean | Kind::Distribution | Kind::Unspecified => moments.mean(),
        }
    }

    /// The n of the value: trials where they are independent, else events.
    pub(crate) fn n(&self, definition: &Definition) -> u64 {
        if definition.has_trials() { self.summary.trials() } else { self.summary.n() }
    }

    fn quantile(&self, q: f64) -> Option<f64> {
        match &self.summary.shape {
            Shape::Sketch(sketch) => sketch.quantile(q),
            Shape::Histogram(histogram) => histogram.quantile(q),
            Shape::None | Shape::Last(_) => None,
        }
    }

    fn interval(&self, definition: &Definition) -> Option<api::Interval> {
        let interval = match definition.kind {
            Kind::Ratio if definition.has_trials() => wilson(self.summary.sample(), LEVEL),
            Kind::Mean => mean_interval(&self.summary.moments, LEVEL),
            _ => None,
        };
        interval.map(|found| api::Interval { lower: found.lower, upper: found.upper, level: found.level })
    }

    /// The cell as a message. Without data the state is NO_DATA; whether it was due is another question.
    pub(crate) fn rollup(&self, definition: &Definition, now: i64) -> Rollup {
        let (summary, kind) = (&self.summary, definition.kind);
        let some = summary.n() > 0;
        let numeric = some && !matches!(kind, Kind::Count | Kind::Distinct);
        let millionths = |value: i64| Moments::value(i128::from(value));
        let clock = definition.calendar.exact(self.span).unwrap_or(Granularity::Day);
        let (late, corrected_late) = summary.late_by(clock);
        let value = self.value(definition);
        let quantiles = definition.kpi.percentiles.iter();
        let mut rollup = Rollup {
            start_time: Some(stamp(Timestamp(self.span.start))),
            end_time: Some(stamp(Timestamp(self.span.end))),
            group: self.group.clone(),
            n: count(self.n(definition)),
            event_count: count(summary.n()),
            value,
            sum: (numeric && kind != Kind::Last).then(|| summary.moments.total()),
            denominator: (some && kind == Kind::Ratio).then(|| Moments::value(summary.denominator)),
            min: summary.min.filter(|_| numeric).map(millionths),
            max: summary.max.filter(|_| numeric).map(millionths),
            mean: summary.moments.mean().filter(|_| numeric && !matches!(kind, Kind::Ratio | Kind::Last)),
            interval: self.interval(definition),
            percentiles: quantiles
                .filter_map(|q| self.quantile(*q).map(|value| api::Percentile { quantile: *q, value }))
                .collect(),
            late_count: count(late),
            corrected_count: count(summary.corrected),
            restated: late > 0 || corrected_late > 0,
            update_time: (summary.updated_at > 0).then(|| stamp(Timestamp(summary.updated_at))),
            open: now < self.span.end,
            ..Rollup::default()
        };
        if let Shape::Histogram(found) = &summary.shape {
            rollup.histogram = Some(histogram(found));
        }
        rollup.set_data_state(if some { DataState::Present } else { DataState::NoData });
        rollup.set_target_state(target_state(definition, value, rollup.interval.as_ref()));
        rollup
    }
}

/// A count as the API has it.
pub(crate) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A histogram as a message.
pub(crate) fn histogram(found: &Histogram) -> api::Histogram {
    api::Histogram {
        edges: found.edges().as_slice().to_vec(),
        counts: found.counts().iter().copied().map(count).collect(),
        underflow: count(found.underflow()),
        overflow: count(found.overflow()),
    }
}

/// How a value stands against target and limits. That it is on target is said only where its interval says so, too: of five
/// cases without a fault nobody knows that fewer than one in fifty has one.
fn target_state(definition: &Definition, value: Option<f64>, interval: Option<&api::Interval>) -> TargetState {
    let Some(value) = value else { return TargetState::Unspecified };
    let least = match definition.direction {
        Direction::HigherIsBetter => interval.map_or(value, |interval| interval.lower),
        _ => interval.map_or(value, |interval| interval.upper),
    };
    let met = |limit: f64| match definition.direction {
        Direction::HigherIsBetter if least < limit => TargetState::TooFew,
        Direction::LowerIsBetter if least > limit => TargetState::TooFew,
        _ => TargetState::OnTarget,
    };
    let worse = |limit: f64| match definition.direction {
        Direction::HigherIsBetter => value < limit,
        Direction::LowerIsBetter => value > limit,
        Direction::Neutral | Direction::Unspecified => false,
    };
    let thresholds = definition.kpi.thresholds.unwrap_or_default();
    if definition.direction == Direction::Neutral {
        TargetState::Unspecified
    } else if thresholds.breach.is_some_and(worse) {
        TargetState::Breach
    } else if thresholds.warning.is_some_and(worse) {
        TargetState::Warning
    } else if let Some(target) = definition.kpi.target {
        if worse(target) { TargetState::OffTarget } else { met(target) }
    } else if let Some(limit) = thresholds.warning.or(thresholds.breach) {
        met(limit)
    } else {
        TargetState::Unspecified
    }
}
