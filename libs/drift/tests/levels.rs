//! Verdicts keep the rates that docs/verdicts.md states.

mod simulation;

use simulation::{CASES, rate};

/// Fixed seeds, so that nothing here depends on luck. The bound leaves room for three standard errors of so few draws.
fn keep_their_rates(part: usize) {
    const DRAWS: u32 = 400;
    for case in CASES.iter().skip(part).step_by(4) {
        let found = rate(case, DRAWS);
        match case.level {
            Some(level) => {
                let error = (level * (1.0 - level) / f64::from(DRAWS)).sqrt();
                assert!(found <= level + 3.0 * error, "{}, {}: {found} false alarms", case.verdict, case.months);
            }
            None => assert!(found >= 0.74, "{}, {}: power {found}", case.verdict, case.months),
        }
    }
}

/// In four tests, which run beside each other.
#[test]
fn every_verdict_keeps_its_level_and_sees_what_is_there() {
    keep_their_rates(0);
}

#[test]
fn every_second_verdict_does_too() {
    keep_their_rates(1);
}

#[test]
fn every_third_verdict_does_too() {
    keep_their_rates(2);
}

#[test]
fn every_fourth_verdict_does_too() {
    keep_their_rates(3);
}
