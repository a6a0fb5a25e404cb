//! CUPED: what units brought before an experiment explains part of how much they vary in it.

use crate::experiment::Units;
use crate::inference::{Tested, is_chance};

/// Units with a covariate from before the experiment, which the treatment cannot have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covaried {
    /// What they brought in the experiment.
    pub units: Units,
    covariate: i128,
    squares: i128,
    with_numerator: i128,
    with_denominator: i128,
}

impl Covaried {
    /// Counts a unit by its numerator, its denominator and its covariate in millionths.
    pub fn add(&mut self, numerator: i128, denominator: i128, covariate: i128) {
        self.units.add(numerator, denominator);
        self.covariate = self.covariate.saturating_add(covariate);
        self.squares = self.squares.saturating_add(covariate.saturating_mul(covariate));
        self.with_numerator = self.with_numerator.saturating_add(numerator.saturating_mul(covariate));
        self.with_denominator = self.with_denominator.saturating_add(denominator.saturating_mul(covariate));
    }

    fn mean(&self) -> f64 {
        self.covariate as f64 / self.units.n as f64
    }

    /// The sum of squares of the covariate about its mean.
    fn spread(&self) -> f64 {
        self.squares as f64 - self.covariate as f64 * self.mean()
    }

    /// The sum of products with the influence of each unit on the ratio, `(numerator - ratio * denominator) / mean
    /// denominator`: their mean is 0.
    fn together(&self, ratio: f64) -> f64 {
        let mean_denominator = self.units.denominator as f64 / self.units.n as f64;
        ratio.mul_add(-(self.with_denominator as f64), self.with_numerator as f64) / mean_denominator
    }
}

/// The test of two ratios, each corrected by how far its units differed from the others before: CUPED (Deng, Xu, Kohavi and
/// Walker, WSDM 2013), on the influence of each unit where the metric is a ratio (their appendix B). Randomisation makes the
/// covariate equal but for chance, so that the difference stays what it was on average; its variance falls by the square of
/// the correlation.
///
/// `None` as [`crate::ratios`]; where the covariate does not vary, the same as that.
pub fn adjusted(a: &Covaried, b: &Covaried, alpha: f64) -> Option<Tested> {
    if !is_chance(alpha) {
        return None;
    }
    let (ratio_a, ratio_b) = (a.units.ratio()?, b.units.ratio()?);
    let (of_a, of_b) = (a.units.variance()?, b.units.variance()?);
    let spread = a.spread() + b.spread();
    if spread <= 1e-12 * (a.squares as f64 + b.squares as f64) {
        return crate::ratios(&a.units, &b.units, alpha);
    }
    let theta = (a.together(ratio_a) + b.together(ratio_b)) / spread;
    let difference = ratio_a - ratio_b - theta * (a.mean() - b.mean());
    let left = |of: f64, arm: &Covaried, ratio: f64| {
        let n = arm.units.n as f64;
        let explained = theta * theta * arm.spread() - 2.0 * theta * arm.together(ratio);
        (of + explained / (n * (n - 1.0))).max(0.0)
    };
    let (of_a, of_b) = (left(of_a, a, ratio_a), left(of_b, b, ratio_b));
    let error = (of_a + of_b).sqrt();
    if !(error > 0.0 && error.is_finite()) {
        return None;
    }
    Some(Tested::welch("CUPED-adjusted t", difference, (of_a, a.units.n), (of_b, b.units.n), alpha))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Units whose value is their covariate, a constant and a little noise.
    fn arm(n: i64, more: i64, shift: i64) -> Covaried {
        let mut arm = Covaried::default();
        for i in 0..n {
            let before = 100 + (i * 37 + shift) % 101;
            let noise = (i * 13) % 7 - 3;
            let [y, x] = [before + more + noise, before].map(|value| i128::from(value) * 1_000_000);
            arm.add(y, 1_000_000, x);
        }
        arm
    }

    #[test]
    fn what_was_there_before_explains_most_of_the_variance() {
        let (a, b) = (arm(202, 3, 0), arm(202, 0, 5));
        let plain = crate::ratios(&a.units, &b.units, 0.05).unwrap();
        let found = adjusted(&a, &b, 0.05).unwrap();
        assert!(plain.test.p_value > 0.05 && found.test.p_value < 1e-6, "{plain:?} {found:?}");
        assert!((found.difference - 3.0).abs() < 0.2);
        let width = |tested: &Tested| tested.interval.upper - tested.interval.lower;
        assert!(width(&found) < width(&plain) / 5.0);
    }

    #[test]
    fn a_covariate_that_does_not_vary_changes_nothing() {
        let constant = |values: &[i128]| {
            let mut arm = Covaried::default();
            values.iter().for_each(|value| arm.add(value * 1_000_000, 1_000_000, 5_000_000));
            arm
        };
        let (a, b) = (constant(&[1, 2, 3, 4]), constant(&[2, 2, 5, 6]));
        assert_eq!(adjusted(&a, &b, 0.05), crate::ratios(&a.units, &b.units, 0.05));
    }

    /// By hand: a common slope of 1 through (1, 1), (2, 2), (3, 4) against (1, 0), (2, 2), (3, 2), of the same covariates,
    /// leaves the difference of 7/3 and 4/3 as it is.
    #[test]
    fn equal_covariates_leave_the_difference() {
        let of = |values: [(i128, i128); 3]| {
            let mut arm = Covaried::default();
            values.iter().for_each(|(y, x)| arm.add(y * 1_000_000, 1_000_000, x * 1_000_000));
            arm
        };
        let found = adjusted(&of([(1, 1), (2, 2), (4, 3)]), &of([(0, 1), (2, 2), (2, 3)]), 0.05).unwrap();
        assert!((found.difference - 1.0).abs() < 1e-12);
        // Theta is (3 + 2) / (2 + 2); the residual sums of squares are 14/3 - 15/2 + 25/8 and 8/3 - 5 + 25/8.
        let theta = 5.0 / 4.0;
        let left = |yy: f64, xy: f64| (yy - 2.0 * theta * xy + theta * theta * 2.0) / 6.0;
        let error = (left(14.0 / 3.0, 3.0) + left(8.0 / 3.0, 2.0)).sqrt();
        assert!((found.test.statistic - 1.0 / error).abs() < 1e-9);
    }
}
