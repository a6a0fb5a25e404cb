//! Verdicts keep the rates that docs/verdicts.md states.

mod simulation;

use simulation::{CASES, rate};

/// Fixed seeds, so that nothing here depends on luck. The bound leaves room for three standard errors of so few draws.
#[test]
fn every_verdict_keeps_its_level_and_sees_what_is_there() {
    const DRAWS: u32 = 400;
    for case in CASES {
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
