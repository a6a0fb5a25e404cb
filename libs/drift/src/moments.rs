//! Count, sum and sum of squares of fixed-point values: exact, so that they merge in any order.

use serde::{Deserialize, Serialize};

/// The units of a fixed-point value in 1: values are kept to six decimal places.
const SCALE: f64 = 1e6;

/// The first two moments of values kept to six decimal places.
///
/// Integer sums do not depend on the order of arrival, as sums of floating-point numbers do, so that a
/// rollup that was restated equals one computed from scratch to the last digit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// The number of values.
    pub n: u64,
    /// The sum in millionths.
    pub sum: i128,
    /// The sum of squares in millionths of millionths.
    pub squares: i128,
}

impl Moments {
    /// A value in millionths, rounded half away from zero. Callers bound values to 1e9 in magnitude;
    /// beyond 9.2e12 the result saturates.
    pub fn fixed(x: f64) -> i64 {
        (x * SCALE).round() as i64
    }

    /// The value of a number of millionths.
    pub fn value(fixed: i128) -> f64 {
        fixed as f64 / SCALE
    }

    /// Counts a value given in millionths.
    pub fn add(&mut self, fixed: i64) {
        let wide = i128::from(fixed);
        self.n += 1;
        self.sum = self.sum.saturating_add(wide);
        self.squares = self.squares.saturating_add(wide * wide);
    }

    /// Adds the moments of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// The sum; zero without values.
    pub fn total(&self) -> f64 {
        Self::value(self.sum)
    }

    /// The arithmetic mean. `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.total() / self.n as f64)
    }

    /// The unbiased sample variance. `None` with fewer than two values.
    ///
    /// The numerator `n * squares - sum^2` is computed in integers wherever it fits, so that nothing
    /// cancels.
    pub fn variance(&self) -> Option<f64> {
        if self.n < 2 {
            return None;
        }
        let n = self.n as f64;
        let exact = i128::from(self.n)
            .checked_mul(self.squares)
            .zip(self.sum.checked_mul(self.sum))
            .and_then(|(left, right)| left.checked_sub(right))
            .map(|numerator| numerator as f64);
        let numerator = exact.unwrap_or_else(|| n * self.squares as f64 - (self.sum as f64).powi(2));
        Some((numerator / (n * (n - 1.0)) / (SCALE * SCALE)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.add(Moments::fixed(*value)));
        moments
    }

    #[test]
    fn a_large_offset_does_not_cancel_the_variance() {
        assert_eq!(of(&[1e9, 1e9 - 1.0, 1e9 - 2.0]).variance(), Some(1.0));
    }

    #[test]
    fn too_few_values_have_no_mean_and_no_variance() {
        assert_eq!(of(&[]).mean(), None);
        assert_eq!(of(&[3.0]).variance(), None);
        assert_eq!(of(&[3.0]).mean(), Some(3.0));
    }

    #[test]
    fn a_tenth_ten_times_is_one() {
        assert_eq!(of(&[0.1; 10]).total(), 1.0);
    }
}
