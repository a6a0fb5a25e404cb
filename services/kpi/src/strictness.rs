//! Whether a change of what is watched makes it stricter or looser.
//!
//! Anyone responsible may watch more closely; what is watched less, or not at all, needs the council's mandate. Numbers
//! in the same place are compared; a rule about something else may miss what the one before would have seen, and counts
//! as looser and stricter at once.

use crate::conditions::{BASELINE, HISTORY, LEAST_CHANGE, LEAST_ELAPSED, SIGMAS, or};
use crate::definition::DEFAULT_CARDINALITY;
use crate::definition::drift::{settings, thresholds};
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::drift_settings::Worse;
use remit_api::kpi::v1::shift_condition::Chart;
use remit_api::kpi::v1::threshold_condition::Comparison as Side;
use remit_api::kpi::v1::{
    AlertRule, AnomalyCondition, Cadence, Dimension, Direction as Better, GuardCondition, Kpi, MissingDataCondition,
    PacingCondition, ShiftCondition, ThresholdCondition,
};
use remit_api::wire::Word as _;
use remit_core::strictness::{Comparison, Direction};
use std::collections::BTreeSet;

/// What `after` changes of the definition `before`.
pub(crate) fn of_kpi(before: &Kpi, after: &Kpi) -> Comparison {
    let mut found = Comparison::default();
    let (was, is) = (before.layer().word(), after.layer().word());
    found.part("layer", Direction::unknown(&was, &is), was, is);
    let (was, is) = (before.direction().word(), after.direction().word());
    found.part("direction", Direction::unknown(&was, &is), was, is);
    let better = after.direction();
    let limits = |kpi: &Kpi| {
        let thresholds = kpi.thresholds.unwrap_or_default();
        [("target", kpi.target), ("thresholds.warning", thresholds.warning), ("thresholds.breach", thresholds.breach)]
    };
    for ((name, was), (_, is)) in limits(before).into_iter().zip(limits(after)) {
        found.part(name, limit(was, is, better), said(was), said(is));
    }
    let (was, is): (BTreeSet<_>, BTreeSet<_>) = (before.guards.iter().collect(), after.guards.iter().collect());
    let direction =
        Direction::required(false, !is.is_subset(&was)).merge(Direction::required(!was.is_subset(&is), false));
    found.part("guards", direction, list(&before.guards), list(&after.guards));
    let (was, is) = (due(before), due(after));
    found.part("cadence", Direction::by_looseness(&was, &is, |cadence| rarity(*cadence)), was.word(), is.word());
    let (was, is) = (lateness(before), lateness(after));
    found.part("allowed_lateness", Direction::more_is_looser(&was, &is), seconds(was), seconds(is));
    drift(&mut found, before, after);
    for was in before.dimensions.iter().filter(|dimension| dimension.required) {
        let still = after.dimensions.iter().any(|is| is.key == was.key && is.required);
        found.part(&format!("dimensions.{}", was.key), Direction::required(true, still), "required", "not required");
    }
    // What asks more of events refuses some that come today, and sees less for it.
    for is in &after.dimensions {
        let was = before.dimensions.iter().find(|was| was.key == is.key);
        if is.required && was.is_none_or(|was| !was.required) {
            found.part(&format!("dimensions.{}", is.key), Direction::Loosens, "not required", "required");
        }
        let (was, is_now) = (was.map_or(0, bound), bound(is));
        if is_now < was {
            found.part(&format!("dimensions.{}.max_values", is.key), Direction::Loosens, was, is_now);
        }
    }
    found
}

/// What changes of how drift is judged.
fn drift(found: &mut Comparison, before: &Kpi, after: &Kpi) {
    if before.drift == after.drift {
        return;
    }
    let [was, is] = [before, after].map(|kpi| settings(&thresholds(kpi.drift.as_ref())));
    unlike(found, "drift.statistic", was.statistic().word(), is.statistic().word());
    looser(found, "drift.moderate", was.moderate, is.moderate);
    looser(found, "drift.significant", was.significant, is.significant);
    looser(found, "drift.min_n", was.min_n, is.min_n);
    found.part("drift.level", Direction::more_is_stricter(&was.level, &is.level), was.level, is.level);
    let direction = match (was.worse(), is.worse()) {
        (was, is) if was == is => Direction::Same,
        (_, Worse::Either) => Direction::Tightens,
        (Worse::Either, _) => Direction::Loosens,
        _ => Direction::Mixed,
    };
    found.part("drift.worse", direction, was.worse().word(), is.worse().word());
}

/// What it does to close a definition to events.
pub(crate) fn of_retirement(kpi: &Kpi) -> Comparison {
    let mut found = Comparison::default();
    found.part("state", Direction::Loosens, kpi.state().word(), "RETIRED");
    found
}

/// What `after` changes of the alert rule `before`. A rule that is disabled is compared all the same: else it would
/// come back weaker than it went.
pub(crate) fn of_rule(before: &AlertRule, after: &AlertRule) -> Comparison {
    let mut found = Comparison::default();
    found.part("disabled", Direction::required(!before.disabled, !after.disabled), before.disabled, after.disabled);
    let (was, is) = (before.severity(), after.severity());
    let direction = Direction::more_is_stricter(&i32::from(was), &i32::from(is));
    found.part("severity", direction, was.word(), is.word());
    match (&before.condition, &after.condition) {
        (Some(Condition::Threshold(was)), Some(Condition::Threshold(is))) => threshold(&mut found, was, is),
        (Some(Condition::Pacing(was)), Some(Condition::Pacing(is))) => pacing(&mut found, was, is),
        (Some(Condition::Anomaly(was)), Some(Condition::Anomaly(is))) => anomaly(&mut found, was, is),
        (Some(Condition::Guard(was)), Some(Condition::Guard(is))) => guard(&mut found, was, is),
        (Some(Condition::CrossLayer(was)), Some(Condition::CrossLayer(is))) => {
            unlike(&mut found, "cross_layer.granularity", was.granularity().word(), is.granularity().word());
            let (was, is) = (or(was.min_change_ratio, LEAST_CHANGE), or(is.min_change_ratio, LEAST_CHANGE));
            looser(&mut found, "cross_layer.min_change_ratio", was, is);
        }
        (Some(Condition::Shift(was)), Some(Condition::Shift(is))) => shift(&mut found, was, is),
        (Some(Condition::MissingData(was)), Some(Condition::MissingData(is))) => missing_data(&mut found, was, is),
        (was, is) => unlike(&mut found, "condition", kind(was.as_ref()), kind(is.as_ref())),
    }
    found
}

/// What it does to delete an alert rule.
pub(crate) fn of_deletion() -> Comparison {
    let mut found = Comparison::default();
    found.part("the rule", Direction::Loosens, "watching", "nothing");
    found
}

fn threshold(found: &mut Comparison, was: &ThresholdCondition, is: &ThresholdCondition) {
    unlike(found, "threshold.kpi", &was.kpi, &is.kpi);
    unlike(found, "threshold.comparison", was.comparison().word(), is.comparison().word());
    unlike(found, "threshold.granularity", was.granularity().word(), is.granularity().word());
    unlike(found, "threshold.filter", &was.filter, &is.filter);
    let direction = match is.comparison() {
        Side::Above => Direction::more_is_looser(&was.limit, &is.limit),
        Side::Below => Direction::more_is_stricter(&was.limit, &is.limit),
        Side::Unspecified => Direction::unknown(&was.limit, &is.limit),
    };
    found.part("threshold.limit", direction, was.limit, is.limit);
    looser(found, "threshold.consecutive_periods", was.consecutive_periods.max(1), is.consecutive_periods.max(1));
    looser(found, "threshold.min_n", was.min_n, is.min_n);
}

fn pacing(found: &mut Comparison, was: &PacingCondition, is: &PacingCondition) {
    unlike(found, "pacing.kpi", &was.kpi, &is.kpi);
    unlike(found, "pacing.granularity", was.granularity().word(), is.granularity().word());
    unlike(found, "pacing.filter", &was.filter, &is.filter);
    unlike(found, "pacing.planned_total", was.planned_total, is.planned_total);
    looser(found, "pacing.tolerance_ratio", was.tolerance_ratio, is.tolerance_ratio);
    let (was, is) = (or(was.min_elapsed_ratio, LEAST_ELAPSED), or(is.min_elapsed_ratio, LEAST_ELAPSED));
    looser(found, "pacing.min_elapsed_ratio", was, is);
}

fn anomaly(found: &mut Comparison, was: &AnomalyCondition, is: &AnomalyCondition) {
    unlike(found, "anomaly.kpi", &was.kpi, &is.kpi);
    unlike(found, "anomaly.granularity", was.granularity().word(), is.granularity().word());
    unlike(found, "anomaly.filter", &was.filter, &is.filter);
    let periods = |n: i32| or(n, BASELINE);
    unlike(found, "anomaly.baseline_periods", periods(was.baseline_periods), periods(is.baseline_periods));
    looser(found, "anomaly.sigmas", or(was.sigmas, SIGMAS), or(is.sigmas, SIGMAS));
    unlike(found, "anomaly.by_day_of_week", was.by_day_of_week, is.by_day_of_week);
}

fn shift(found: &mut Comparison, was: &ShiftCondition, is: &ShiftCondition) {
    unlike(found, "shift.kpi", &was.kpi, &is.kpi);
    unlike(found, "shift.granularity", was.granularity().word(), is.granularity().word());
    unlike(found, "shift.filter", &was.filter, &is.filter);
    unlike(found, "shift.chart", or(was.chart(), Chart::Cusum).word(), or(is.chart(), Chart::Cusum).word());
    unlike(found, "shift.history_periods", or(was.history_periods, HISTORY), or(is.history_periods, HISTORY));
    unlike(found, "shift.by_day_of_week", was.by_day_of_week, is.by_day_of_week);
}

fn missing_data(found: &mut Comparison, was: &MissingDataCondition, is: &MissingDataCondition) {
    unlike(found, "missing_data.kpi", &was.kpi, &is.kpi);
    unlike(found, "missing_data.granularity", was.granularity().word(), is.granularity().word());
    unlike(found, "missing_data.filter", &was.filter, &is.filter);
    looser(found, "missing_data.periods", was.periods.max(1), is.periods.max(1));
}

fn guard(found: &mut Comparison, was: &GuardCondition, is: &GuardCondition) {
    unlike(found, "guard.kpi", &was.kpi, &is.kpi);
    unlike(found, "guard.granularity", was.granularity().word(), is.granularity().word());
    let (was, is) = (or(was.min_change_ratio, LEAST_CHANGE), or(is.min_change_ratio, LEAST_CHANGE));
    looser(found, "guard.min_change_ratio", was, is);
}

/// A limit that is crossed on the worse side of it.
fn limit(was: Option<f64>, is: Option<f64>, better: Better) -> Direction {
    match (was, is) {
        (Some(was), Some(is)) => match better {
            Better::HigherIsBetter => Direction::more_is_stricter(&was, &is),
            Better::LowerIsBetter => Direction::more_is_looser(&was, &is),
            Better::Neutral | Better::Unspecified => Direction::unknown(&was, &is),
        },
        (was, is) => Direction::required(was.is_some(), is.is_some()),
    }
}

/// How many values a dimension takes.
fn bound(dimension: &Dimension) -> i32 {
    if dimension.max_values == 0 { DEFAULT_CARDINALITY } else { dimension.max_values }
}

fn said(limit: Option<f64>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn due(kpi: &Kpi) -> Cadence {
    match kpi.cadence() {
        Cadence::Unspecified => Cadence::Continuous,
        cadence => cadence,
    }
}

/// How rarely data is missed that does not come.
fn rarity(cadence: Cadence) -> i32 {
    match cadence {
        Cadence::Daily => 1,
        Cadence::Weekly => 2,
        Cadence::Monthly => 3,
        Cadence::Quarterly => 4,
        Cadence::Continuous | Cadence::Unspecified => 5,
    }
}

/// Seconds and nanoseconds; unset is an hour.
fn lateness(kpi: &Kpi) -> (i64, i32) {
    kpi.allowed_lateness.as_ref().map_or((3_600, 0), |late| (late.seconds, late.nanos))
}

fn seconds((seconds, nanos): (i64, i32)) -> String {
    if nanos == 0 { format!("{seconds} s") } else { format!("{seconds}.{nanos:09} s") }
}

fn kind(condition: Option<&Condition>) -> &'static str {
    match condition {
        Some(Condition::Threshold(_)) => "threshold",
        Some(Condition::Pacing(_)) => "pacing",
        Some(Condition::Anomaly(_)) => "anomaly",
        Some(Condition::Guard(_)) => "guard",
        Some(Condition::CrossLayer(_)) => "cross_layer",
        Some(Condition::Shift(_)) => "shift",
        Some(Condition::MissingData(_)) => "missing_data",
        None => "none",
    }
}

fn looser<T: PartialOrd + std::fmt::Display>(found: &mut Comparison, name: &str, was: T, is: T) {
    found.part(name, Direction::more_is_looser(&was, &is), was, is);
}

fn unlike<T: PartialEq + std::fmt::Display>(found: &mut Comparison, name: &str, was: T, is: T) {
    found.part(name, Direction::unknown(&was, &is), was, is);
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::kpi::v1::{AlertSeverity, CrossLayerCondition, DriftSettings, Granularity, Layer, Thresholds};

    fn kpi() -> Kpi {
        Kpi {
            layer: Layer::Execution.into(),
            direction: Better::HigherIsBetter.into(),
            target: Some(10.0),
            thresholds: Some(Thresholds { warning: Some(8.0), breach: Some(6.0) }),
            guards: vec!["kpis/a".to_owned()],
            cadence: Cadence::Weekly.into(),
            dimensions: vec![Dimension { key: "channel".to_owned(), max_values: 2, required: true }],
            ..Kpi::default()
        }
    }

    fn dimension(key: &str, max_values: i32, required: bool) -> Dimension {
        Dimension { key: key.to_owned(), max_values, required }
    }

    fn kpi_after(change: impl FnOnce(&mut Kpi)) -> Direction {
        let mut after = kpi();
        change(&mut after);
        of_kpi(&kpi(), &after).direction()
    }

    /// A change, and what it is.
    type Case = (fn(&mut Kpi), Direction);

    #[test]
    fn a_definition_is_looser_where_less_is_asked_of_it() {
        let cases: &[Case] = &[
            (|kpi| kpi.target = Some(9.0), Direction::Loosens),
            (|kpi| kpi.target = Some(11.0), Direction::Tightens),
            (|kpi| kpi.target = None, Direction::Loosens),
            (|kpi| kpi.thresholds = None, Direction::Loosens),
            (|kpi| kpi.thresholds = Some(Thresholds { warning: Some(9.0), breach: Some(5.0) }), Direction::Mixed),
            (|kpi| kpi.guards = vec![], Direction::Loosens),
            (|kpi| kpi.guards.push("kpis/b".to_owned()), Direction::Tightens),
            (|kpi| kpi.guards = vec!["kpis/b".to_owned()], Direction::Mixed),
            (|kpi| kpi.set_direction(Better::LowerIsBetter), Direction::Mixed),
            (|kpi| kpi.set_layer(Layer::Strategic), Direction::Mixed),
            (|kpi| kpi.set_cadence(Cadence::Daily), Direction::Tightens),
            (|kpi| kpi.set_cadence(Cadence::Unspecified), Direction::Loosens),
            (|kpi| kpi.allowed_lateness = Some(prost_types::Duration { seconds: 7_200, nanos: 0 }), Direction::Loosens),
            (|kpi| kpi.dimensions[0].required = false, Direction::Loosens),
            (|kpi| kpi.dimensions[0].max_values = 1, Direction::Loosens),
            (|kpi| kpi.dimensions[0].max_values = 0, Direction::Same),
            (|kpi| kpi.dimensions.push(dimension("zz", 1, true)), Direction::Loosens),
            (|kpi| kpi.dimensions.push(dimension("zz", 1, false)), Direction::Same),
            (|kpi| kpi.owner = "mira".to_owned(), Direction::Same),
            (|kpi| kpi.drift = Some(DriftSettings::default()), Direction::Same),
            (|kpi| kpi.drift = Some(DriftSettings { moderate: 0.2, ..Default::default() }), Direction::Loosens),
            (|kpi| kpi.drift = Some(DriftSettings { level: 0.05, ..Default::default() }), Direction::Tightens),
            (|kpi| kpi.drift = Some(DriftSettings { min_n: 1_000, ..Default::default() }), Direction::Loosens),
            (
                |kpi| kpi.drift = Some(DriftSettings { worse: Worse::Up.into(), ..Default::default() }),
                Direction::Loosens,
            ),
            (|kpi| kpi.drift = Some(DriftSettings { statistic: 5, ..Default::default() }), Direction::Mixed),
        ];
        for (at, (change, direction)) in cases.iter().enumerate() {
            assert_eq!(kpi_after(change), *direction, "case {at}");
        }
        let open = Kpi { dimensions: vec![dimension("channel", 0, false)], ..Kpi::default() };
        for narrower in [dimension("channel", 1, false), dimension("channel", 0, true)] {
            let narrower = Kpi { dimensions: vec![narrower], ..Kpi::default() };
            assert_eq!(of_kpi(&open, &narrower).direction(), Direction::Loosens, "it refuses what is fed today");
        }
        let lower = |limit| Kpi { target: Some(limit), direction: Better::LowerIsBetter.into(), ..Kpi::default() };
        assert_eq!(of_kpi(&lower(5.0), &lower(6.0)).direction(), Direction::Loosens);
        assert_eq!(of_kpi(&lower(5.0), &lower(4.0)).direction(), Direction::Tightens);
        assert!(of_retirement(&kpi()).loosens() && of_deletion().loosens());
    }

    fn rule() -> AlertRule {
        let condition = ThresholdCondition {
            kpi: "kpis/a".to_owned(),
            comparison: Side::Above.into(),
            limit: 3.0,
            granularity: Granularity::Day.into(),
            ..ThresholdCondition::default()
        };
        AlertRule {
            severity: AlertSeverity::Warning.into(),
            condition: Some(Condition::Threshold(condition)),
            ..AlertRule::default()
        }
    }

    fn after(change: impl FnOnce(&mut ThresholdCondition)) -> Direction {
        let mut after = rule();
        if let Some(Condition::Threshold(condition)) = &mut after.condition {
            change(condition);
        }
        of_rule(&rule(), &after).direction()
    }

    #[test]
    fn a_rule_is_looser_where_it_fires_less() {
        assert_eq!(after(|c| c.limit = 4.0), Direction::Loosens);
        assert_eq!(after(|c| c.limit = 2.0), Direction::Tightens);
        assert_eq!(after(|c| c.consecutive_periods = 1), Direction::Same, "0 stands for 1");
        assert_eq!(after(|c| c.consecutive_periods = 2), Direction::Loosens);
        assert_eq!(after(|c| c.min_n = 100), Direction::Loosens);
        assert_eq!(after(|c| c.set_granularity(Granularity::Month)), Direction::Mixed);
        assert_eq!(after(|c| c.filter = "channel = \"web\"".to_owned()), Direction::Mixed);
        assert!(after(|c| c.set_comparison(Side::Below)).loosens());
        let with = |change: fn(&mut AlertRule)| {
            let mut after = rule();
            change(&mut after);
            of_rule(&rule(), &after).direction()
        };
        assert_eq!(with(|rule| rule.disabled = true), Direction::Loosens);
        assert_eq!(with(|rule| rule.set_severity(AlertSeverity::Info)), Direction::Loosens);
        assert_eq!(with(|rule| rule.set_severity(AlertSeverity::Critical)), Direction::Tightens);
        assert_eq!(with(|rule| rule.display_name = "x".to_owned()), Direction::Same);
        let cross = |ratio| AlertRule {
            condition: Some(Condition::CrossLayer(CrossLayerCondition {
                min_change_ratio: ratio,
                ..Default::default()
            })),
            ..rule()
        };
        assert_eq!(of_rule(&cross(0.0), &cross(0.5)).direction(), Direction::Loosens);
        assert_eq!(of_rule(&cross(0.0), &cross(LEAST_CHANGE)).direction(), Direction::Same);
        assert_eq!(of_rule(&rule(), &cross(0.0)).direction(), Direction::Mixed);
        let missing = |periods| AlertRule {
            condition: Some(Condition::MissingData(MissingDataCondition { periods, ..Default::default() })),
            ..rule()
        };
        assert_eq!(of_rule(&missing(0), &missing(1)).direction(), Direction::Same);
        assert_eq!(of_rule(&missing(1), &missing(3)).direction(), Direction::Loosens);
        let shift = |chart: Chart, history_periods| AlertRule {
            condition: Some(Condition::Shift(ShiftCondition {
                chart: chart.into(),
                history_periods,
                ..Default::default()
            })),
            ..rule()
        };
        let same = of_rule(&shift(Chart::Unspecified, 0), &shift(Chart::Cusum, HISTORY));
        assert_eq!(same.direction(), Direction::Same);
        assert_eq!(of_rule(&shift(Chart::Cusum, 0), &shift(Chart::Ewma, 0)).direction(), Direction::Mixed);
        let off = AlertRule { disabled: true, ..rule() };
        let weaker = AlertRule { disabled: true, ..cross(1.0) };
        assert!(of_rule(&off, &weaker).loosens(), "it does not come back weaker than it went");
    }
}
