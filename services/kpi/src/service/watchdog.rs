//! Judging the conditions of alert rules.

use super::experiments::{HIDDEN, check_hidden};
use super::query::{self, Cell, Question, count};
use super::summaries::{CrossLayer, Moved, moved};
use crate::calendar::{Calendar, Span};
use crate::conditions::{LEAST_CHANGE, LEAST_ELAPSED, or};
use crate::definition::Definition;
use crate::dimensions::Filter;
use crate::store::kpis::definition;
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::threshold_condition::Comparison;
use remit_api::kpi::v1::{
    AlertRule, Cadence, CrossLayerCondition, Granularity, GuardCondition, Kind, Kpi, KpiState, Layer, PacingCondition,
    ThresholdCondition,
};
use remit_api::wire::Word as _;
use remit_core::{Error, Result, Tenant};
use remit_store::Tx;
use std::collections::BTreeMap;

/// What a rule found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The condition holds.
    Holds(Found),
    /// It does not.
    Clear,
    /// There is too little data to say, and why: an alert that fires keeps firing, and says so.
    Unknown(String),
}

/// A condition that holds.
#[derive(Debug)]
pub(crate) struct Found {
    /// The KPI, empty if there is no single one.
    pub(crate) kpi: String,
    /// The period that was judged.
    pub(crate) span: Span,
    /// The value found.
    pub(crate) value: Option<f64>,
    /// The number of events behind it.
    pub(crate) n: i64,
    /// What was found, with the numbers.
    pub(crate) message: String,
}

/// Checks a condition that is about to be stored.
///
/// # Errors
/// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` naming the field.
pub(crate) async fn check(tx: &mut Tx, tenant: &Tenant, condition: Option<&Condition>) -> Result<()> {
    let invalid =
        |field: &str, why: &str| Err(Error::invalid("ALERT_RULE_INVALID", format!("alert_rule.{field}"), why));
    let (kind, kpi, filter) = match condition {
        None => return invalid("condition", "is required"),
        Some(Condition::CrossLayer(_)) => return Ok(()),
        Some(Condition::Threshold(c)) => ("threshold", &c.kpi, c.filter.as_str()),
        Some(Condition::Pacing(c)) => ("pacing", &c.kpi, c.filter.as_str()),
        Some(Condition::Anomaly(c)) => ("anomaly", &c.kpi, c.filter.as_str()),
        Some(Condition::Guard(c)) => ("guard", &c.kpi, ""),
        Some(Condition::Shift(c)) => ("shift", &c.kpi, c.filter.as_str()),
        Some(Condition::MissingData(c)) => ("missing_data", &c.kpi, c.filter.as_str()),
    };
    let definition = definition(tx, tenant, kpi, &format!("alert_rule.{kind}.kpi")).await?;
    Filter::parse(filter, &definition.keys, &format!("alert_rule.{kind}.filter"))?;
    match condition {
        Some(Condition::Threshold(c)) if definition.is_share() && !(0.0..=1.0).contains(&c.limit) => {
            invalid("threshold.limit", "must be in [0, 1]: the value is a share, 30 percent is 0.3")
        }
        Some(Condition::Pacing(_)) if !matches!(definition.kind, Kind::Sum | Kind::Count | Kind::Distinct) => {
            invalid("pacing.kpi", "must be of kind SUM, COUNT or DISTINCT: only totals have a pace")
        }
        Some(Condition::Anomaly(c)) if c.baseline_periods != 0 && c.baseline_periods < 5 => {
            invalid("anomaly.baseline_periods", "must be 0, or 5 to 200")
        }
        Some(Condition::Anomaly(c)) if c.sigmas != 0.0 && c.sigmas < 1.0 => {
            invalid("anomaly.sigmas", "must be 0, or 1 to 10")
        }
        Some(Condition::Anomaly(c)) if c.by_day_of_week && c.granularity() != Granularity::Day => {
            invalid("anomaly.by_day_of_week", "is only for the granularity DAY")
        }
        Some(Condition::Shift(c)) if c.by_day_of_week && c.granularity() != Granularity::Day => {
            invalid("shift.by_day_of_week", "is only for the granularity DAY")
        }
        Some(Condition::Shift(c)) if c.history_periods != 0 && c.history_periods < 30 => {
            invalid("shift.history_periods", "must be 0, or 30 to 1000")
        }
        Some(Condition::Guard(_)) if definition.kpi.guards.is_empty() => {
            invalid("guard.kpi", "must be a KPI whose definition names guards")
        }
        _ => Ok(()),
    }
}

/// Judges a rule at `now`; `known` has the definitions by name.
///
/// # Errors
/// As the database says.
pub(crate) async fn judge(
    tx: &mut Tx,
    tenant: &Tenant,
    known: &BTreeMap<String, Kpi>,
    rule: &AlertRule,
    now: i64,
) -> Result<Finding> {
    let mut judge = Judge { tx, tenant, known, now };
    let found = match &rule.condition {
        Some(Condition::Threshold(condition)) => judge.threshold(condition).await,
        Some(Condition::Pacing(condition)) => judge.pacing(condition).await,
        Some(Condition::Anomaly(condition)) => judge.anomaly(condition).await,
        Some(Condition::Guard(condition)) => judge.guard(condition).await,
        Some(Condition::CrossLayer(condition)) => judge.cross_layer(condition).await,
        Some(Condition::Shift(condition)) => judge.shift(condition).await,
        Some(Condition::MissingData(condition)) => judge.missing_data(condition).await,
        None => Ok(unknown("the rule has no condition")),
    };
    match found {
        // What nobody may see yet, an alert must not tell.
        Err(error) if error.reason() == HIDDEN => Ok(unknown(error.message())),
        found => found,
    }
}

pub(super) fn unknown(why: impl Into<String>) -> Finding {
    Finding::Unknown(why.into())
}

/// What is known of the periods of a threshold rule, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crossing {
    Crosses,
    Stays,
    Unknown,
}

/// Whether all periods cross. One that is known not to is enough to say no, wherever the holes are.
fn all_cross(periods: &[Crossing]) -> Crossing {
    if periods.contains(&Crossing::Stays) {
        Crossing::Stays
    } else if periods.is_empty() || periods.contains(&Crossing::Unknown) {
        Crossing::Unknown
    } else {
        Crossing::Crosses
    }
}

pub(super) struct Judge<'a> {
    tx: &'a mut Tx,
    tenant: &'a Tenant,
    known: &'a BTreeMap<String, Kpi>,
    now: i64,
}

impl Judge<'_> {
    pub(super) async fn definition(&mut self, kpi: &str) -> Result<Definition> {
        match self.known.get(kpi) {
            Some(known) => Definition::new(known.clone()),
            None => definition(self.tx, self.tenant, kpi, "kpi").await,
        }
    }

    /// The last `n` periods that are over, oldest first. A period is over when what may come late has come.
    fn complete(&self, definition: &Definition, granularity: Granularity, n: usize) -> Vec<Span> {
        let calendar: &Calendar = &definition.calendar;
        let mut span = calendar.period(granularity, self.now.saturating_sub(definition.lateness));
        let mut spans: Vec<Span> = (0..n)
            .map(|_| {
                span = calendar.before(granularity, span);
                span
            })
            .collect();
        spans.reverse();
        spans
    }

    async fn cells(
        &mut self,
        definition: &Definition,
        granularity: Granularity,
        span: Span,
        filter: &str,
    ) -> Result<Vec<Cell>> {
        let question = Question::periods(definition, span, granularity, &[], filter)?;
        check_hidden(self.tx, self.tenant, definition, &question, self.now).await?;
        query::cells(self.tx, self.tenant, definition, &question).await
    }

    pub(super) async fn last(
        &mut self,
        definition: &Definition,
        granularity: Granularity,
        n: usize,
        filter: &str,
    ) -> Result<Vec<Cell>> {
        let spans = self.complete(definition, granularity, n);
        match (spans.first(), spans.last()) {
            (Some(first), Some(last)) => {
                let span = Span { start: first.start, end: last.end };
                self.cells(definition, granularity, span, filter).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn threshold(&mut self, condition: &ThresholdCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let periods = usize::try_from(condition.consecutive_periods.max(1)).unwrap_or(1);
        let cells = self.last(&definition, condition.granularity(), periods, &condition.filter).await?;
        let measured = |cell: &Cell| {
            let n = count(cell.summary.n());
            // Of a count, nothing recorded is the number 0.
            let counted = matches!(definition.kind, Kind::Count | Kind::Distinct);
            let value = cell.value(&definition).or(counted.then_some(0.0));
            value.filter(|_| n >= condition.min_n).map(|value| (cell.span, value, n))
        };
        let known: Vec<_> = cells.iter().map(measured).collect();
        let crossing = |found: &Option<(Span, f64, i64)>| match (found, condition.comparison()) {
            (None, _) => Crossing::Unknown,
            (Some((_, value, _)), Comparison::Above) if *value > condition.limit => Crossing::Crosses,
            (Some((_, value, _)), Comparison::Below) if *value < condition.limit => Crossing::Crosses,
            _ => Crossing::Stays,
        };
        let crossings: Vec<Crossing> = known.iter().map(crossing).collect();
        let (span, value, n) = match (all_cross(&crossings), known.last()) {
            (Crossing::Crosses, Some(Some(last))) => *last,
            (Crossing::Stays, _) => return Ok(Finding::Clear),
            _ => {
                let why = format!("{} has a period with fewer than {} events", condition.kpi, condition.min_n.max(1));
                return Ok(unknown(why));
            }
        };
        let side = if condition.comparison() == Comparison::Above { "above" } else { "below" };
        let message = format!(
            "{} was {value:.6} (n = {n}), {side} the limit {}, for {periods} complete period(s)",
            condition.kpi, condition.limit
        );
        Ok(Finding::Holds(Found { kpi: condition.kpi.clone(), span, value: Some(value), n, message }))
    }

    async fn pacing(&mut self, condition: &PacingCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let span = definition.calendar.period(condition.granularity(), self.now);
        let elapsed = (self.now - span.start) as f64 / (span.end - span.start) as f64;
        if elapsed < or(condition.min_elapsed_ratio, LEAST_ELAPSED) {
            return Ok(unknown(format!("too little of the period of {} has passed", condition.kpi)));
        }
        let cells = self.cells(&definition, condition.granularity(), span, &condition.filter).await?;
        let Some(cell) = cells.into_iter().next() else {
            return Ok(unknown(format!("{} has no period", condition.kpi)));
        };
        // Nothing happened is behind every pace, so here no data does count as zero.
        let value = cell.value(&definition).unwrap_or(0.0);
        let pace = condition.planned_total * elapsed;
        let off = (value - pace) / pace;
        if off.abs() <= condition.tolerance_ratio {
            return Ok(Finding::Clear);
        }
        let side = if off > 0.0 { "ahead of" } else { "behind" };
        let message = format!(
            "{} stands at {value:.6}, {:.1}% {side} the pace of {pace:.6} towards {}",
            condition.kpi,
            off.abs() * 100.0,
            condition.planned_total
        );
        let n = count(cell.summary.n());
        Ok(Finding::Holds(Found { kpi: condition.kpi.clone(), span, value: Some(value), n, message }))
    }

    async fn guard(&mut self, condition: &GuardCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let guards = definition.kpi.guards.clone();
        let least = or(condition.min_change_ratio, LEAST_CHANGE);
        let watched = self.moved(vec![definition], condition.granularity()).await?.pop();
        let Some((watched, improvement)) = watched.and_then(|moved| moved.improvement.map(|by| (moved, by))) else {
            return Ok(unknown(format!("{} was not measured in both periods", condition.kpi)));
        };
        if improvement < least {
            return Ok(Finding::Clear);
        }
        let mut definitions = Vec::with_capacity(guards.len());
        for guard in guards {
            // A guard that was never created guards nothing.
            definitions.extend(self.definition(&guard).await.ok());
        }
        let (mut violated, mut unmeasured) = (Vec::new(), Vec::new());
        for guard in self.moved(definitions, condition.granularity()).await? {
            if let Some(change) = guard.improvement.filter(|change| *change <= -least) {
                violated.push(format!("{} by {:.1}%", guard.definition.kpi.name, -change * 100.0));
            } else if guard.improvement.is_none() {
                unmeasured.push(guard.definition.kpi.name);
            }
        }
        if violated.is_empty() {
            // What was not measured guards nothing, and clears nothing.
            return Ok(if unmeasured.is_empty() {
                Finding::Clear
            } else {
                unknown(format!("guards that were not measured in both periods: {}", unmeasured.join(", ")))
            });
        }
        let message = format!(
            "{} got better by {:.1}% while its guards got worse: {}",
            condition.kpi,
            improvement * 100.0,
            violated.join(", ")
        );
        Ok(Finding::Holds(Found {
            kpi: condition.kpi.clone(),
            span: watched.current.span,
            value: watched.current.value(&watched.definition),
            n: count(watched.current.summary.n()),
            message,
        }))
    }

    /// KPIs in the last complete period and the one before.
    async fn moved(&mut self, definitions: Vec<Definition>, granularity: Granularity) -> Result<Vec<Moved>> {
        let asked = definitions.into_iter().map(|definition| {
            let last = self.complete(&definition, granularity, 1).into_iter().next();
            let last = last.unwrap_or_else(|| definition.calendar.period(granularity, self.now));
            let before = definition.calendar.before(granularity, last);
            (definition, (last, before))
        });
        let asked = asked.collect();
        moved(self.tx, self.tenant, asked).await
    }

    /// At the granularity of the rule, and at the quarter if a strategic KPI is measured no more often: what has no two
    /// months in a row would never count.
    async fn cross_layer(&mut self, condition: &CrossLayerCondition) -> Result<Finding> {
        let active = self.known.values().filter(|kpi| kpi.state() == KpiState::Active);
        let definitions: Vec<Definition> = active.map(|kpi| Definition::new(kpi.clone())).collect::<Result<_>>()?;
        let rare = |definition: &Definition| {
            definition.kpi.layer() == Layer::Strategic && definition.kpi.cadence() == Cadence::Quarterly
        };
        let mut granularities = vec![condition.granularity()];
        if condition.granularity() != Granularity::Quarter && definitions.iter().any(rare) {
            granularities.push(Granularity::Quarter);
        }
        let mut measured = false;
        for granularity in granularities {
            let all = self.moved(definitions.clone(), granularity).await?;
            let moves = |layer: Layer| {
                all.iter().any(|moved| moved.definition.kpi.layer() == layer && moved.improvement.is_some())
            };
            measured |= moves(Layer::Operational) && moves(Layer::Strategic);
            let Some(span) = all.first().map(|moved| moved.current.span) else { continue };
            let cross = CrossLayer::of(&all, or(condition.min_change_ratio, LEAST_CHANGE));
            if cross.conflicts() {
                let message = format!(
                    "operational KPIs got better ({}) while strategic ones got worse ({}), by {}",
                    cross.operational_improved.join(", "),
                    cross.strategic_worsened.join(", "),
                    granularity.word().to_lowercase()
                );
                return Ok(Finding::Holds(Found { kpi: String::new(), span, value: None, n: 0, message }));
            }
        }
        Ok(if measured { Finding::Clear } else { unknown("no layer was measured in both periods") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_that_stays_clears_whatever_is_missing() {
        use Crossing::{Crosses, Stays, Unknown};
        assert_eq!(all_cross(&[Crosses, Crosses]), Crosses);
        assert_eq!(all_cross(&[Unknown, Stays]), Stays);
        assert_eq!(all_cross(&[Crosses, Unknown, Stays]), Stays);
        assert_eq!(all_cross(&[Crosses, Unknown]), Unknown);
        assert_eq!(all_cross(&[]), Unknown);
    }
}
