//! Histograms over fixed edges: they merge by adding counts, in any order, without any loss.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Strictly increasing, finite edges of bins.
///
/// Bin `i` holds `edge[i] < x <= edge[i + 1]`: upper edges are inclusive, as in Prometheus. So a
/// score that is a percentile `k / n` falls evenly into equal-width bins. The first bin also holds
/// its own lower edge, so that 0 is a legal score. What lies outside is counted apart, as underflow
/// and overflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Edges(Vec<f64>);

/// Why edges were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgesError {
    /// There must be 2 to 201 of them.
    Count,
    /// Each must be finite and greater than the one before.
    Order,
}

impl fmt::Display for EdgesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "must be 2 to 201 edges",
            Self::Order => "must be finite and strictly increasing",
        })
    }
}

impl std::error::Error for EdgesError {}

impl Edges {
    /// Checks and takes edges.
    ///
    /// # Errors
    /// [`EdgesError`] if there are fewer than 2 or more than 201, or they do not increase.
    pub fn new(edges: Vec<f64>) -> Result<Self, EdgesError> {
        if !(2..=201).contains(&edges.len()) {
            return Err(EdgesError::Count);
        }
        if !edges.iter().all(|edge| edge.is_finite()) || edges.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(EdgesError::Order);
        }
        Ok(Self(edges))
    }

    /// The ten equal-width bins of a score in `[0, 1]`.
    pub fn unit_deciles() -> Self {
        Self((0..=10).map(|i| f64::from(i) / 10.0).collect())
    }

    /// Fine bins of a score in `[0, 1]`: hundredths in the middle, a twelfth of a decade towards 0 and 1 down to 1e-5, where
    /// the scores of rare outcomes crowd. The deciles are among them. From these [`Histogram::in_quantiles_of`] makes bins
    /// of any baseline; each lies within one fine bin of the true quantile.
    pub fn score() -> Self {
        let tail: Vec<f64> = (0..48).map(|i| 1e-5 * 10f64.powf(f64::from(i) / 12.0)).collect();
        let middle = (10..=90).map(|i| f64::from(i) / 100.0);
        let near_one = tail.iter().rev().map(|x| 1.0 - x);
        Self([0.0].into_iter().chain(tail.iter().copied()).chain(middle).chain(near_one).chain([1.0]).collect())
    }

    /// The edges.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The number of bins between the edges.
    pub fn bins(&self) -> usize {
        self.0.len() - 1
    }

    /// The slot of `x`: 0 is underflow, `1..=bins` are the bins, `bins + 1` is overflow.
    fn slot(&self, x: f64) -> usize {
        if x == self.0[0] { 1 } else { self.0.partition_point(|edge| *edge < x) }
    }
}

/// Counts of values between fixed edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    edges: Edges,
    /// Underflow, the bins, overflow.
    slots: Vec<u64>,
}

impl Histogram {
    /// A histogram of nothing.
    pub fn new(edges: Edges) -> Self {
        let slots = vec![0; edges.bins() + 2];
        Self { edges, slots }
    }

    /// A histogram of finite values; values that are not numbers are left out.
    pub fn of(edges: Edges, values: impl IntoIterator<Item = f64>) -> Self {
        let mut histogram = Self::new(edges);
        values.into_iter().for_each(|value| histogram.add(value));
        histogram
    }

    /// Restores a histogram from its slots (underflow, bins, overflow); `None` if their number does
    /// not fit the edges.
    pub fn from_slots(edges: Edges, slots: Vec<u64>) -> Option<Self> {
        (slots.len() == edges.bins() + 2).then_some(Self { edges, slots })
    }

    /// Counts `x`; NaN is left out.
    pub fn add(&mut self, x: f64) {
        if !x.is_nan() {
            self.slots[self.edges.slot(x)] += 1;
        }
    }

    /// Adds the counts of `other`; returns false and changes nothing if its edges differ.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.edges != other.edges {
            return false;
        }
        self.slots.iter_mut().zip(&other.slots).for_each(|(mine, theirs)| *mine += theirs);
        true
    }

    /// `window` and `baseline` over at most `bins` bins that hold as nearly equal parts of the baseline as their own edges
    /// allow. `None` if there is nothing to choose: the edges differ, are no more than that, or the baseline is empty.
    pub fn in_quantiles_of(window: &Self, baseline: &Self, bins: u32) -> Option<(Self, Self)> {
        let (edges, n) = (baseline.edges.as_slice(), baseline.n());
        if window.edges != baseline.edges || n == 0 || edges.len() <= bins as usize + 1 {
            return None;
        }
        // The number of values at or below each edge.
        let below: Vec<u64> = (baseline.slots.iter())
            .scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            })
            .take(edges.len())
            .collect();
        let mut kept = vec![0, edges.len() - 1];
        for k in 1..bins {
            let wanted = n as f64 * f64::from(k) / f64::from(bins);
            let off = |i: &usize| (below[*i] as f64 - wanted).abs();
            kept.extend((0..edges.len()).min_by(|a, b| off(a).total_cmp(&off(b))));
        }
        kept.sort_unstable();
        kept.dedup();
        let coarse = |fine: &Self| {
            let counts = kept.windows(2).map(|pair| fine.counts()[pair[0]..pair[1]].iter().sum());
            let slots = [fine.underflow()].into_iter().chain(counts).chain([fine.overflow()]).collect();
            Self { edges: Edges(kept.iter().map(|i| edges[*i]).collect()), slots }
        };
        Some((coarse(window), coarse(baseline)))
    }

    /// The edges.
    pub fn edges(&self) -> &Edges {
        &self.edges
    }

    /// Underflow, the bins, overflow.
    pub fn slots(&self) -> &[u64] {
        &self.slots
    }

    /// The counts between the edges.
    pub fn counts(&self) -> &[u64] {
        &self.slots[1..self.slots.len() - 1]
    }

    /// Values below the first edge.
    pub fn underflow(&self) -> u64 {
        self.slots[0]
    }

    /// Values above the last edge.
    pub fn overflow(&self) -> u64 {
        self.slots[self.slots.len() - 1]
    }

    /// The number of values.
    pub fn n(&self) -> u64 {
        self.slots.iter().sum()
    }

    /// The value below which the share `q` of the values lies, interpolated linearly within its bin;
    /// values outside count as lying at the outermost edge. `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let n = self.n();
        if n == 0 {
            return None;
        }
        let edges = self.edges.as_slice();
        let wanted = q.clamp(0.0, 1.0) * n as f64;
        let mut below = self.underflow() as f64;
        if wanted <= below && below > 0.0 {
            return Some(edges[0]);
        }
        for (i, &count) in self.counts().iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && wanted <= below + count {
                return Some(edges[i] + (edges[i + 1] - edges[i]) * (wanted - below) / count);
            }
            below += count;
        }
        edges.last().copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_upper_edge_belongs_to_the_bin_below_it_and_zero_to_the_first() {
        let histogram = Histogram::of(Edges::unit_deciles(), [0.0, 0.1, 0.100001, 0.3, 1.0, -0.1, 1.1, f64::NAN]);
        assert_eq!(histogram.counts(), [2, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((histogram.underflow(), histogram.overflow(), histogram.n()), (1, 1, 7));
    }

    #[test]
    fn percentile_ranks_fall_evenly_into_deciles() {
        let histogram = Histogram::of(Edges::unit_deciles(), (1..=1000).map(|k| f64::from(k) / 1000.0));
        assert_eq!(histogram.counts(), [100; 10]);
    }

    #[test]
    fn bad_edges_are_refused() {
        assert_eq!(Edges::new(vec![0.0]), Err(EdgesError::Count));
        assert_eq!(Edges::new(vec![0.0; 202]), Err(EdgesError::Count));
        assert_eq!(Edges::new(vec![0.0, 0.0]), Err(EdgesError::Order));
        assert_eq!(Edges::new(vec![0.0, f64::NAN]), Err(EdgesError::Order));
        assert_eq!(Edges::new(vec![0.0, f64::INFINITY]), Err(EdgesError::Order));
    }

    #[test]
    fn bins_come_from_the_baseline() {
        assert!(Edges::new(Edges::score().as_slice().to_vec()).is_ok());
        let of = |power: i32| {
            Histogram::of(Edges::score(), (0..10_000).map(|i| ((f64::from(i) + 0.5) / 10_000.0).powi(power) * 0.05))
        };
        let (window, baseline) = Histogram::in_quantiles_of(&of(1), &of(2), 10).unwrap();
        assert_eq!((window.n(), baseline.n()), (10_000, 10_000));
        assert!(baseline.edges().bins() >= 8 && baseline.counts().iter().all(|count| *count < 2_500), "{baseline:?}");
        // All below .1: unit deciles would see one bin on both sides.
        assert!(crate::psi(&window, &baseline).unwrap() > 0.25);
        let even = Histogram::of(Edges::score(), (0..1_000).map(|i| (f64::from(i) + 0.5) / 1_000.0));
        let (_, even) = Histogram::in_quantiles_of(&even, &even, 10).unwrap();
        assert_eq!(even.counts(), [100; 10]);
        assert_eq!(even.edges(), &Edges::unit_deciles());
        let coarse = Histogram::of(Edges::unit_deciles(), [0.5]);
        assert_eq!(Histogram::in_quantiles_of(&coarse, &coarse, 10), None);
    }

    #[test]
    fn quantiles_interpolate_within_the_bin() {
        let histogram = Histogram::of(Edges::unit_deciles(), (1..=1000).map(|k| f64::from(k) / 1000.0));
        for q in [0.05, 0.25, 0.5, 0.95] {
            assert!((histogram.quantile(q).unwrap() - q).abs() < 1e-12);
        }
        assert_eq!(Histogram::new(Edges::unit_deciles()).quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn merging_parts_gives_the_whole(values in prop::collection::vec(-0.5f64..1.5, 0..200), cut in 0usize..200) {
            let cut = cut.min(values.len());
            let whole = Histogram::of(Edges::unit_deciles(), values.iter().copied());
            let mut merged = Histogram::of(Edges::unit_deciles(), values[cut..].iter().copied());
            prop_assert!(merged.merge(&Histogram::of(Edges::unit_deciles(), values[..cut].iter().copied())));
            prop_assert_eq!(merged, whole);
        }
    }
}
