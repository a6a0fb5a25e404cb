//! Control charts: for individual values, for the next of them, and for shares.

use crate::inference::Sample;
use crate::special::{normal_two_sided, student_critical};

/// Half the distance in which values count as one: sums of decimal fractions are off by a last digit.
const ROUNDING: f64 = 1e-9;

/// The limits within which a stable process stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControlLimits {
    /// The mean of the baseline.
    pub centre: f64,
    /// The lower limit.
    pub lower: f64,
    /// The upper limit.
    pub upper: f64,
}

impl ControlLimits {
    /// Whether `x` lies beyond a limit.
    pub fn signals(&self, x: f64) -> bool {
        let slack = ROUNDING * self.centre.abs();
        x < self.lower - slack || x > self.upper + slack
    }
}

/// The limits of an individuals chart: mean plus and minus `sigmas` times the mean moving range over
/// d2 = 1.128 (Shewhart 1931; NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2). The moving
/// range, unlike the standard deviation, is hardly widened by a drift within the baseline.
///
/// `None` with fewer than two values, one that is not finite, or a width that is not above 0.
pub fn individuals_chart(baseline: &[f64], sigmas: f64) -> Option<ControlLimits> {
    const D2: f64 = 1.128;
    let sound = baseline.len() >= 2 && sigmas > 0.0 && baseline.iter().all(|value| value.is_finite());
    if !sound {
        return None;
    }
    let centre = baseline.iter().sum::<f64>() / baseline.len() as f64;
    let ranges: f64 = baseline.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
    let sigma = ranges / (baseline.len() - 1) as f64 / D2;
    Some(ControlLimits { centre, lower: centre - sigmas * sigma, upper: centre + sigmas * sigma })
}

/// The limits within which the next value of a stable process stays with the chance that `sigmas` have for a normal
/// variable. [`individuals_chart`] takes mean and sigma for known; of `baseline.len()` values they are estimates, so
/// that its limits are crossed four times too often at twenty. Student's t stands for the normal quantile here, with the
/// degrees of freedom that the mean moving range has, 0.605 for each (Cryer and Ryan, Journal of Quality Technology 22,
/// 1990), and the error of the mean is added.
///
/// `None` as [`individuals_chart`].
pub fn prediction_limits(baseline: &[f64], sigmas: f64) -> Option<ControlLimits> {
    let known = individuals_chart(baseline, sigmas)?;
    let n = baseline.len() as f64;
    let sigma = (known.upper - known.centre) / sigmas;
    let half = student_critical(normal_two_sided(sigmas), 0.605 * (n - 1.0)) * sigma * (1.0 + 1.0 / n).sqrt();
    Some(ControlLimits { lower: known.centre - half, upper: known.centre + half, ..known })
}

/// The limits of the share of a period with `trials` trials: a p-chart whose width follows the trials, so that a weekend
/// of few does not alarm, widened by what the periods vary beyond chance (Laney, Quality Engineering 14, 2002) and for
/// the estimates as in [`prediction_limits`].
///
/// `None` with fewer than two periods that have trials, or as [`individuals_chart`].
pub fn share_limits(baseline: &[Sample], trials: f64, sigmas: f64) -> Option<ControlLimits> {
    let known: Vec<&Sample> = baseline.iter().filter(|sample| sample.trials > 0.0).collect();
    let (successes, all) = known.iter().fold((0.0, 0.0), |(x, n), sample| (x + sample.successes, n + sample.trials));
    if known.len() < 2 || trials <= 0.0 {
        return None;
    }
    // Half a case each way: never to have seen one does not mean that none can come.
    let centre = (successes + 0.5) / (all + 1.0);
    let error = |n: f64| (centre * (1.0 - centre) / n).sqrt();
    let scores: Vec<f64> = known.iter().map(|sample| (sample.share() - centre) / error(sample.trials)).collect();
    let limits = prediction_limits(&scores, sigmas)?;
    let chance = sigmas * (1.0 + trials / all).sqrt();
    let half = chance.max(limits.upper - limits.centre) * error(trials);
    // A share of so few trials jumps by whole cases.
    let step = 0.5 / trials;
    Some(ControlLimits { centre, lower: (centre - half - step).max(0.0), upper: (centre + half + step).min(1.0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The flow-rate example of the NIST handbook, 6.3.2.2: mean 50.81, mean moving range 1.8778.
    #[test]
    fn the_flow_rates_of_the_handbook() {
        let flow = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1];
        let limits = individuals_chart(&flow, 3.0).unwrap();
        assert!((limits.centre - 50.81).abs() < 1e-9);
        assert!((limits.upper - 55.804_1).abs() < 1e-3, "{limits:?}");
        assert!((limits.lower - 45.815_9).abs() < 1e-3, "{limits:?}");
        assert!(limits.signals(56.0) && !limits.signals(50.0));
    }

    #[test]
    fn a_constant_series_is_in_control_and_its_change_is_not() {
        let limits = prediction_limits(&[0.1; 20], 3.0).unwrap();
        assert!(!limits.signals(0.1) && limits.signals(0.11) && limits.signals(0.09));
    }

    #[test]
    fn few_values_make_wide_limits_and_many_those_of_shewhart() {
        let wave = |n: u32| -> Vec<f64> { (0..n).map(|i| f64::from(i % 2)).collect() };
        let width = |n| {
            let (next, known) = (prediction_limits(&wave(n), 3.0).unwrap(), individuals_chart(&wave(n), 3.0).unwrap());
            (next.upper - next.centre) / (known.upper - known.centre)
        };
        assert!(width(5) > 2.0 && width(20) > 1.2 && width(20) < 1.5 && (width(2_000) - 1.0).abs() < 0.01);
    }

    #[test]
    fn the_limits_of_a_share_follow_its_trials() {
        let days: Vec<Sample> =
            (0..20).map(|i| Sample { successes: 100.0 + f64::from(i % 3), trials: 2_000.0 }).collect();
        let (week, weekend) = (share_limits(&days, 2_000.0, 3.0).unwrap(), share_limits(&days, 50.0, 3.0).unwrap());
        assert!(week.signals(0.10) && !weekend.signals(0.10) && weekend.signals(0.5));
        let never = [Sample { successes: 0.0, trials: 100.0 }; 20];
        assert!(!share_limits(&never, 100.0, 3.0).unwrap().signals(0.0));
        assert_eq!(share_limits(&days, 0.0, 3.0), None);
    }

    #[test]
    fn one_value_or_a_hole_has_no_limits() {
        assert_eq!(individuals_chart(&[1.0], 3.0), None);
        assert_eq!(individuals_chart(&[1.0, f64::NAN], 3.0), None);
        assert_eq!(individuals_chart(&[1.0, 2.0], 0.0), None);
    }
}
