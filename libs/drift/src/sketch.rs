//! A quantile sketch with a relative error bound that merges exactly.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// DDSketch (Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
/// relative-error guarantees", VLDB 2019) with a relative error of 1%, sparse and without collapsing.
///
/// Values are counted in bins whose edges grow by the factor `gamma = (1 + a) / (1 - a)`; values
/// nearer to zero than one millionth count as zero. Values up to 1e9 in magnitude need at most 1,728
/// bins for each sign, so nothing has to be collapsed and merging is exact and associative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    negative: BTreeMap<i32, u64>,
    zero: u64,
    positive: BTreeMap<i32, u64>,
}

/// The relative error of a quantile.
const ACCURACY: f64 = 0.01;

/// The magnitude below which a value counts as zero.
const SMALLEST: f64 = 1e-6;

fn gamma() -> f64 {
    (1.0 + ACCURACY) / (1.0 - ACCURACY)
}

fn bin(magnitude: f64) -> i32 {
    // The bins of finite magnitudes lie within +-36,000, far inside i32.
    (magnitude.ln() / gamma().ln()).ceil() as i32
}

fn middle(bin: i32) -> f64 {
    2.0 * gamma().powi(bin) / (gamma() + 1.0)
}

impl Sketch {
    /// Counts a finite `x`; others are left out.
    pub fn add(&mut self, x: f64) {
        if !x.is_finite() {
            return;
        }
        if x.abs() < SMALLEST {
            self.zero += 1;
        } else if x > 0.0 {
            *self.positive.entry(bin(x)).or_default() += 1;
        } else {
            *self.negative.entry(bin(-x)).or_default() += 1;
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.zero += other.zero;
        for (mine, theirs) in [(&mut self.negative, &other.negative), (&mut self.positive, &other.positive)] {
            theirs.iter().for_each(|(bin, count)| *mine.entry(*bin).or_default() += count);
        }
    }

    /// The number of values.
    pub fn n(&self) -> u64 {
        self.zero + self.negative.values().sum::<u64>() + self.positive.values().sum::<u64>()
    }

    /// The quantile by linear interpolation between the values of the ranks about `q (n - 1)` (method 7 of Hyndman and Fan
    /// 1996, the default of NumPy and R), each within 1% of its magnitude. `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let position = q.clamp(0.0, 1.0) * self.n().checked_sub(1)? as f64;
        let rank = position.floor();
        let below = self.of_rank(rank as u64)?;
        let share = position - rank;
        if share == 0.0 {
            return Some(below);
        }
        let above = self.of_rank(rank as u64 + 1)?;
        Some((above - below).mul_add(share, below))
    }

    /// The value of a rank, counted from 0, within 1% of its magnitude.
    fn of_rank(&self, rank: u64) -> Option<f64> {
        let negative = self.negative.iter().rev().map(|(bin, count)| (-middle(*bin), *count));
        let positive = self.positive.iter().map(|(bin, count)| (middle(*bin), *count));
        let mut seen = 0;
        negative
            .chain([(0.0, self.zero)])
            .chain(positive)
            .find(|(_, count)| {
                seen += count;
                seen > rank
            })
            .map(|(value, _)| value)
    }

    /// The bins as (sign, bin, count) in ascending order of value: the stored form.
    pub fn bins(&self) -> impl Iterator<Item = (i32, i32, u64)> {
        let negative = self.negative.iter().rev().map(|(bin, count)| (-1, *bin, *count));
        let positive = self.positive.iter().map(|(bin, count)| (1, *bin, *count));
        negative.chain((self.zero > 0).then_some((0, 0, self.zero))).chain(positive)
    }

    /// Restores a sketch from its [`bins`](Self::bins).
    pub fn from_bins(bins: impl IntoIterator<Item = (i32, i32, u64)>) -> Self {
        let mut sketch = Self::default();
        for (sign, bin, count) in bins {
            match sign {
                0 => sketch.zero += count,
                1.. => *sketch.positive.entry(bin).or_default() += count,
                _ => *sketch.negative.entry(bin).or_default() += count,
            }
        }
        sketch
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert_eq!(of(&[f64::NAN, f64::INFINITY]).n(), 0);
    }

    /// NumPy 2.3, `numpy.percentile`: nine of 1 s and one of 500 s.
    #[test]
    fn small_samples_have_the_percentiles_of_numpy() {
        let mut values = [1.0; 10];
        values[9] = 500.0;
        for (q, expected) in [(0.5, 1.0), (0.95, 275.45), (0.99, 455.09), (1.0, 500.0)] {
            let found = of(&values).quantile(q).unwrap();
            assert!((found / expected - 1.0).abs() <= 0.0101, "{found} for {expected}");
        }
        let median = of(&[1.0, 2.0, 3.0, 5.0, 8.0, 13.0]).quantile(0.5).unwrap();
        assert!((median - 4.0).abs() <= 0.05, "{median}");
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_one_percent_of_the_interpolated_one(
            mut values in prop::collection::vec(prop_oneof![-1e9f64..1e9, -1.0f64..1.0, Just(0.0)], 1..300),
            q in 0.0f64..=1.0,
        ) {
            let found = of(&values).quantile(q).unwrap();
            values.sort_by(f64::total_cmp);
            let position = q * (values.len() - 1) as f64;
            let (below, above) = (values[position.floor() as usize], values[position.ceil() as usize]);
            let exact = below + (above - below) * position.fract();
            let bound = 0.010_001 * below.abs().max(above.abs()) + 1e-6;
            prop_assert!((found - exact).abs() <= bound, "{found} for {exact}");
        }

        #[test]
        fn parts_merge_to_the_whole_and_survive_storage(
            values in prop::collection::vec(-1e6f64..1e6, 0..200), cut in 0usize..200,
        ) {
            let cut = cut.min(values.len());
            let mut merged = of(&values[cut..]);
            merged.merge(&of(&values[..cut]));
            prop_assert_eq!(&merged, &of(&values));
            prop_assert_eq!(Sketch::from_bins(merged.bins()), merged);
        }
    }
}
