//! Results that may be looked at at any time.

use crate::experiment::Units;
use crate::inference::{Interval, TestResult, Tested, is_chance};

/// The difference of two ratios with an asymptotic confidence sequence: an interval that holds the true difference at
/// every look together with the chance `1 - alpha`, so that an experiment may be stopped at any of them (Waudby-Smith,
/// Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
/// Statistics 52, 2024, theorem 2.2). It is the normal interval with another critical value; `planned` is the number of
/// units in both samples together at which it is narrowest. The p value is that of the sequence: the alpha at which it would
/// just leave 0 out.
///
/// `None` as [`crate::ratios`], with fewer than 100 units on a side, for which no sequence is nearly normal, or with
/// `planned` below 1.
pub fn anytime(a: &Units, b: &Units, planned: f64, alpha: f64) -> Option<Tested> {
    const LEAST: u64 = 100;
    if !is_chance(alpha) || a.n.min(b.n) < LEAST || planned.is_nan() || planned < 1.0 {
        return None;
    }
    let difference = a.ratio()? - b.ratio()?;
    let error = (a.variance()? + b.variance()?).sqrt();
    if !(error > 0.0 && error.is_finite()) {
        return None;
    }
    // Their rho: narrowest at `planned` units, for the usual alpha, lest a part of alpha for one of several treatments
    // changes what was registered.
    let log = -2.0 * 0.05f64.ln();
    let rho = (log + (log + 1.0).ln()) / planned;
    let mixed = (a.n + b.n) as f64 * rho;
    let critical = (2.0 * (mixed + 1.0) / mixed * ((mixed + 1.0).sqrt() / alpha).ln()).sqrt();
    let statistic = difference / error;
    let p_value = ((mixed + 1.0).sqrt() * (-statistic * statistic * mixed / (2.0 * (mixed + 1.0))).exp()).min(1.0);
    Some(Tested {
        difference,
        interval: Interval {
            lower: difference - critical * error,
            upper: difference + critical * error,
            level: 1.0 - alpha,
        },
        test: TestResult { method: "asymptotic confidence sequence", statistic, degrees_of_freedom: 0.0, p_value },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn units(n: u32, every: u32) -> Units {
        let mut units = Units::default();
        (0..n).for_each(|i| units.add(i128::from(u32::from(i % every == 0)) * 1_000_000, 1_000_000));
        units
    }

    #[test]
    fn the_interval_leaves_zero_out_exactly_if_p_is_below_alpha() {
        for (every, alpha) in [(2, 0.05), (3, 0.05), (4, 0.05), (4, 0.2), (5, 0.01)] {
            let found = anytime(&units(400, every), &units(400, 5), 800.0, alpha).unwrap();
            let beyond = found.interval.lower > 0.0 || found.interval.upper < 0.0;
            assert_eq!(beyond, found.test.p_value < alpha, "{every} {alpha} {found:?}");
        }
    }

    /// At the planned number the critical value is 2.80 for 1.96 of one look: what looking at any time costs.
    #[test]
    fn any_time_is_wider_than_one_time() {
        let found = anytime(&units(400, 4), &units(400, 5), 800.0, 0.05).unwrap();
        let fixed = crate::ratios(&units(400, 4), &units(400, 5), 0.05).unwrap();
        let width = |tested: &Tested| tested.interval.upper - tested.interval.lower;
        let cost = width(&found) / width(&fixed);
        assert!((1.35..1.55).contains(&cost), "{cost}");
        assert_eq!(anytime(&units(99, 4), &units(400, 5), 800.0, 0.05), None);
    }
}
