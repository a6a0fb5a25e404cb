//! Judging the conditions of alert rules.

use super::query::{self, Cell, Question, count};
use super::summaries::{CrossLayer, Moved, moved};
use crate::calendar::{Calendar, Span};
use crate::conditions::{BASELINE, LEAST_CHANGE, LEAST_ELAPSED, SIGMAS, or};
use crate::definition::Definition;
use crate::dimensions::Filter;
use crate::store::kpis::definition;
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::threshold_condition::Comparison;
use remit_api::kpi::v1::{
    AlertRule, AnomalyCondition, CrossLayerCondition, Granularity, GuardCondition, Kind, Kpi, KpiState,
    PacingCondition, ThresholdCondition,
};
use remit_core::{Error, Result, Tenant};
use remit_drift::individuals_chart;
use remit_store::Tx;
use std::collections::BTreeMap;

/// What a rule found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The condition holds.
    Holds(Found),
    /// It does not.
    Clear,
    /// There is too little data to say: an alert that fires keeps firing.
    Unknown,
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
    };
    let definition = definition(tx, tenant, kpi, &format!("alert_rule.{kind}.kpi")).await?;
    Filter::parse(filter, &definition.keys, &format!("alert_rule.{kind}.filter"))?;
    match condition {
        Some(Condition::Pacing(_)) if !matches!(definition.kind, Kind::Sum | Kind::Count | Kind::Distinct) => {
            invalid("pacing.kpi", "must be of kind SUM, COUNT or DISTINCT: only totals have a pace")
        }
        Some(Condition::Anomaly(c)) if c.baseline_periods != 0 && c.baseline_periods < 5 => {
            invalid("anomaly.baseline_periods", "must be 0, or 5 to 200")
        }
        Some(Condition::Anomaly(c)) if c.sigmas != 0.0 && c.sigmas < 1.0 => {
            invalid("anomaly.sigmas", "must be 0, or 1 to 10")
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
    match &rule.condition {
        Some(Condition::Threshold(condition)) => judge.threshold(condition).await,
        Some(Condition::Pacing(condition)) => judge.pacing(condition).await,
        Some(Condition::Anomaly(condition)) => judge.anomaly(condition).await,
        Some(Condition::Guard(condition)) => judge.guard(condition).await,
        Some(Condition::CrossLayer(condition)) => judge.cross_layer(condition).await,
        None => Ok(Finding::Unknown),
    }
}

struct Judge<'a> {
    tx: &'a mut Tx,
    tenant: &'a Tenant,
    known: &'a BTreeMap<String, Kpi>,
    now: i64,
}

impl Judge<'_> {
    async fn definition(&mut self, kpi: &str) -> Result<Definition> {
        match self.known.get(kpi) {
            Some(known) => Definition::new(known.clone()),
            None => definition(self.tx, self.tenant, kpi, "kpi").await,
        }
    }

    /// The last `n` periods that are over, oldest first.
    fn complete(&self, calendar: &Calendar, granularity: Granularity, n: usize) -> Vec<Span> {
        let mut span = calendar.period(granularity, self.now);
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
        query::cells(self.tx, self.tenant, definition, &question).await
    }

    async fn last(
        &mut self,
        definition: &Definition,
        granularity: Granularity,
        n: usize,
        filter: &str,
    ) -> Result<Vec<Cell>> {
        let spans = self.complete(&definition.calendar, granularity, n);
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
        let mut judged = None;
        for cell in &cells {
            let n = count(cell.summary.n());
            let Some(value) = cell.value(&definition).filter(|_| n >= condition.min_n) else {
                return Ok(Finding::Unknown);
            };
            let crosses = match condition.comparison() {
                Comparison::Above => value > condition.limit,
                Comparison::Below => value < condition.limit,
                Comparison::Unspecified => false,
            };
            if !crosses {
                return Ok(Finding::Clear);
            }
            judged = Some((cell.span, value, n));
        }
        let Some((span, value, n)) = judged else { return Ok(Finding::Unknown) };
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
            return Ok(Finding::Unknown);
        }
        let cells = self.cells(&definition, condition.granularity(), span, &condition.filter).await?;
        let Some(cell) = cells.into_iter().next() else { return Ok(Finding::Unknown) };
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

    async fn anomaly(&mut self, condition: &AnomalyCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let periods = usize::try_from(or(condition.baseline_periods, BASELINE)).unwrap_or(20);
        let sigmas = or(condition.sigmas, SIGMAS);
        let cells = self.last(&definition, condition.granularity(), periods + 1, &condition.filter).await?;
        let Some((judged, baseline)) = cells.split_last() else { return Ok(Finding::Unknown) };
        let known: Vec<f64> = baseline.iter().filter_map(|cell| cell.value(&definition)).collect();
        // A baseline with holes has no moving range across them that means anything.
        let limits = if known.len() == periods { individuals_chart(&known, sigmas) } else { None };
        let (Some(limits), Some(value)) = (limits, judged.value(&definition)) else { return Ok(Finding::Unknown) };
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

    async fn guard(&mut self, condition: &GuardCondition) -> Result<Finding> {
        let definition = self.definition(&condition.kpi).await?;
        let guards = definition.kpi.guards.clone();
        let least = or(condition.min_change_ratio, LEAST_CHANGE);
        let watched = self.moved(vec![definition], condition.granularity()).await?.pop();
        let Some((watched, improvement)) = watched.and_then(|moved| moved.improvement.map(|by| (moved, by))) else {
            return Ok(Finding::Unknown);
        };
        if improvement < least {
            return Ok(Finding::Clear);
        }
        let mut definitions = Vec::with_capacity(guards.len());
        for guard in guards {
            // A guard that was never created guards nothing.
            definitions.extend(self.definition(&guard).await.ok());
        }
        let mut violated = Vec::new();
        for guard in self.moved(definitions, condition.granularity()).await? {
            if let Some(change) = guard.improvement.filter(|change| *change <= -least) {
                violated.push(format!("{} by {:.1}%", guard.definition.kpi.name, -change * 100.0));
            }
        }
        if violated.is_empty() {
            return Ok(Finding::Clear);
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
            let last = definition.calendar.before(granularity, definition.calendar.period(granularity, self.now));
            let before = definition.calendar.before(granularity, last);
            (definition, (last, before))
        });
        let asked = asked.collect();
        moved(self.tx, self.tenant, asked).await
    }

    async fn cross_layer(&mut self, condition: &CrossLayerCondition) -> Result<Finding> {
        let active = self.known.values().filter(|kpi| kpi.state() == KpiState::Active);
        let definitions = active.map(|kpi| Definition::new(kpi.clone())).collect::<Result<_>>()?;
        let all = self.moved(definitions, condition.granularity()).await?;
        let Some(span) = all.first().map(|moved| moved.current.span) else { return Ok(Finding::Unknown) };
        let cross = CrossLayer::of(&all, or(condition.min_change_ratio, LEAST_CHANGE));
        if !cross.conflicts() {
            return Ok(Finding::Clear);
        }
        let message = format!(
            "operational KPIs got better ({}) while strategic ones got worse ({})",
            cross.operational_improved.join(", "),
            cross.strategic_worsened.join(", ")
        );
        Ok(Finding::Holds(Found { kpi: String::new(), span, value: None, n: 0, message }))
    }
}
