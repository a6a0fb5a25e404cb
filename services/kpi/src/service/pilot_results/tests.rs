#![allow(clippy::unwrap_used)]
use super::*;
use remit_api::kpi::v1::{Direction, Kpi, Layer, Unit};

fn definition(id: &str, kind: Kind) -> Definition {
    let mut kpi = Kpi { name: format!("kpis/{id}"), version: 3, ..Kpi::default() };
    kpi.set_kind(kind);
    kpi.set_unit(Unit::Index);
    kpi.set_layer(Layer::Execution);
    kpi.set_direction(Direction::HigherIsBetter);
    Definition::new(kpi).unwrap()
}

/// A KPI whose weeks had these sums over 100 events each.
fn weekly(id: &str, sums: &[f64]) -> PilotFigure {
    let week = |sum: &f64| PilotWeek { event_count: 100, numerator: *sum, denominator: 100.0, ..PilotWeek::default() };
    let mut figure = PilotFigure {
        kpi: format!("kpis/{id}"),
        n: 100 * sums.len() as i64,
        weeks: sums.iter().map(week).collect(),
        ..PilotFigure::default()
    };
    figure.value = units(&figure).ratio();
    figure.interval = ratio_interval(&units(&figure), 0.95).map(message);
    figure
}

const BEFORE: [f64; 6] = [100.0, 103.0, 98.0, 101.0, 97.0, 101.0];
const DURING: [f64; 6] = [120.0, 118.0, 123.0, 119.0, 121.0, 119.0];

fn judged(kpis: &[(&str, &[f64], &[f64])], criteria: &[(&str, Comparison, f64)]) -> PilotResult {
    let criterion = |(kpi, comparison, limit): &(&str, Comparison, f64)| ExitCriterion {
        kpi: format!("kpis/{kpi}"),
        comparison: (*comparison).into(),
        limit: *limit,
    };
    let pilot = Pilot { exit_criteria: criteria.iter().map(criterion).collect(), ..Pilot::default() };
    let measured = |figures| Some(PilotMeasurement { figures, ..PilotMeasurement::default() });
    let mut result = PilotResult {
        baseline: measured(kpis.iter().map(|(id, before, _)| weekly(id, before)).collect()),
        pilot: measured(kpis.iter().map(|(id, _, during)| weekly(id, during)).collect()),
        ..PilotResult::default()
    };
    let definitions: Vec<Definition> = kpis.iter().map(|(id, ..)| definition(id, Kind::Mean)).collect();
    judge(&pilot, &definitions, &mut result);
    result
}

#[test]
fn a_span_is_cut_into_weeks_and_the_last_takes_the_rest() {
    let lengths = |days: i64| -> Vec<i64> {
        let found = weeks(Span { start: 5 * DAY, end: (5 + days) * DAY });
        assert_eq!((found[0].start, found[found.len() - 1].end), (5 * DAY, (5 + days) * DAY));
        found.iter().map(|week| (week.end - week.start) / DAY).collect()
    };
    assert_eq!(lengths(42), [7; 6]);
    assert_eq!(lengths(48), [7, 7, 7, 7, 7, 13]);
    assert_eq!(lengths(56), [7; 8]);
}

/// The figures of Welch's t by hand: means 1.00 and 1.20, variances of the weeks 4.8e-4 and 3.2e-4.
#[test]
fn weeks_are_compared_by_students_t() {
    let found = judged(&[("a", &BEFORE, &DURING)], &[]);
    let change = &found.changes[0];
    assert_eq!((change.verdict(), change.kpi_version), (ChangeVerdict::Improved, 3));
    assert!((change.difference.unwrap() - 0.2).abs() < 1e-12);
    let statistic = change.test.as_ref().unwrap().statistic;
    assert!((statistic - 0.2 / ((4.8e-4_f64 + 3.2e-4) / 6.0).sqrt()).abs() < 1e-6, "{statistic}");
    assert!(change.difference_interval.unwrap().lower > 0.15 && !found.exit, "there is no criterion");
    let worse = judged(&[("a", &DURING, &BEFORE)], &[]);
    assert_eq!(worse.changes[0].verdict(), ChangeVerdict::Worsened);
}

#[test]
fn many_measures_share_one_level() {
    let slightly: [f64; 6] = [103.0, 106.0, 101.0, 104.0, 100.0, 103.0];
    let alone = judged(&[("a", &BEFORE, &slightly)], &[]);
    assert_eq!(alone.changes[0].verdict(), ChangeVerdict::Improved);
    let names: Vec<String> = (0..8).map(|at| format!("k{at}")).collect();
    let same = |name| (name, &BEFORE[..], &BEFORE[..]);
    let mut kpis: Vec<(&str, &[f64], &[f64])> = names.iter().map(|name| same(name.as_str())).collect();
    kpis.push(("a", &BEFORE, &slightly));
    let among = judged(&kpis, &[]);
    let change = among.changes.last().unwrap();
    assert_eq!(change.verdict(), ChangeVerdict::NotSignificant);
    assert!(change.difference_interval.unwrap().lower < 0.0, "interval and verdict agree");
    assert_eq!(change.test, alone.changes[0].test);
}

#[test]
fn a_criterion_is_met_only_if_its_whole_interval_is() {
    let kpis: &[(&str, &[f64], &[f64])] = &[("a", &BEFORE, &DURING)];
    for (comparison, limit, expected) in [
        (Comparison::AtLeast, 1.15, State::Met),
        (Comparison::AtLeast, 1.199, State::NotShown),
        (Comparison::AtLeast, 1.3, State::NotMet),
        (Comparison::AtMost, 1.25, State::Met),
        (Comparison::AtMost, 1.201, State::NotShown),
        (Comparison::AtMost, 1.1, State::NotMet),
        (Comparison::ChangeAtLeast, 0.15, State::Met),
        (Comparison::ChangeAtLeast, 0.199, State::NotShown),
        (Comparison::ChangeAtMost, 0.1, State::NotMet),
        (Comparison::ChangeAtMost, 0.25, State::Met),
    ] {
        let found = judged(kpis, &[("a", comparison, limit)]);
        assert_eq!(
            (found.criteria[0].state(), found.exit),
            (expected, expected == State::Met),
            "{comparison:?} {limit}"
        );
    }
    let both = judged(kpis, &[("a", Comparison::AtLeast, 1.15), ("a", Comparison::AtLeast, 1.3)]);
    assert!(!both.exit, "all of them have to be met");
}

#[test]
fn too_little_is_unknown_and_never_met() {
    let mut silent = weekly("a", &DURING);
    silent.weeks[2] = PilotWeek::default();
    let mut few = weekly("a", &DURING);
    few.n = 29;
    let constant = weekly("a", &[120.0; 6]);
    for (during, why) in [(silent, "a week is silent"), (few, "n is below 30"), (constant, "nothing varies")] {
        let criterion = ExitCriterion { kpi: "kpis/a".to_owned(), comparison: Comparison::AtLeast.into(), limit: 1.0 };
        let pilot = Pilot { exit_criteria: vec![criterion], ..Pilot::default() };
        let measured = |figure| Some(PilotMeasurement { figures: vec![figure], ..PilotMeasurement::default() });
        let baseline = if why == "nothing varies" { weekly("a", &[100.0; 6]) } else { weekly("a", &BEFORE) };
        let mut result = PilotResult { baseline: measured(baseline), pilot: measured(during), ..Default::default() };
        judge(&pilot, &[definition("a", Kind::Mean)], &mut result);
        assert_eq!(result.changes[0].verdict(), ChangeVerdict::InsufficientData, "{why}");
        assert_eq!((result.criteria[0].state(), result.exit), (State::InsufficientData, false), "{why}");
    }
}
