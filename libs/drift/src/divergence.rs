//! How far two histograms over the same edges lie apart.

use crate::histogram::Histogram;
use crate::inference::TestResult;
use crate::special::{chi_square_upper, kolmogorov_upper};

/// Every divergence of two histograms, computed together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// Values in the window.
    pub n: u64,
    /// Values in the baseline.
    pub baseline_n: u64,
    /// Bins, underflow and overflow among them, that hold a value on either side.
    pub bins: u32,
    /// [`psi`].
    pub psi: f64,
    /// [`psi_expected`].
    pub psi_expected: f64,
    /// `psi - psi_expected`, not below 0.
    pub psi_corrected: f64,
    /// [`kolmogorov_smirnov`].
    pub kolmogorov_smirnov: TestResult,
    /// [`jensen_shannon_distance`].
    pub jensen_shannon_distance: f64,
    /// [`wasserstein`].
    pub wasserstein: f64,
    /// [`chi_square`].
    pub chi_square: TestResult,
    /// [`homogeneity`], on which verdicts rest.
    pub homogeneity: TestResult,
    /// [`g_test`].
    pub g_test: TestResult,
    /// [`hellinger`].
    pub hellinger: f64,
    /// [`total_variation`].
    pub total_variation: f64,
    /// [`mean_difference`].
    pub mean_difference: f64,
    /// [`wasserstein_normed`].
    pub wasserstein_normed: Option<f64>,
    /// [`one_sided`].
    pub one_sided: OneSided,
}

/// How far a distribution has moved each way, by its distribution function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneSided {
    /// The most by which the share of values above an edge has grown.
    pub up: f64,
    /// The most by which the share of values below an edge has grown.
    pub down: f64,
}

/// Compares `window` with `baseline`. `None` if either is empty or their edges differ.
pub fn compare(window: &Histogram, baseline: &Histogram) -> Option<Divergence> {
    let (n, baseline_n) = totals(window, baseline)?;
    let bins = occupied(window, baseline);
    let psi = psi(window, baseline)?;
    let psi_expected = psi_expected(bins, n, baseline_n);
    Some(Divergence {
        n,
        baseline_n,
        bins,
        psi,
        psi_expected,
        psi_corrected: (psi - psi_expected).max(0.0),
        kolmogorov_smirnov: kolmogorov_smirnov(window, baseline)?,
        jensen_shannon_distance: jensen_shannon_distance(window, baseline)?,
        wasserstein: wasserstein(window, baseline)?,
        chi_square: chi_square(window, baseline)?,
        homogeneity: homogeneity(window, baseline)?,
        g_test: g_test(window, baseline)?,
        hellinger: hellinger(window, baseline)?,
        total_variation: total_variation(window, baseline)?,
        mean_difference: mean_difference(window, baseline)?,
        wasserstein_normed: wasserstein_normed(window, baseline),
        one_sided: one_sided(window, baseline)?,
    })
}

fn totals(window: &Histogram, baseline: &Histogram) -> Option<(u64, u64)> {
    let (n, m) = (window.n(), baseline.n());
    (n > 0 && m > 0 && window.edges() == baseline.edges()).then_some((n, m))
}

fn pairs<'a>(window: &'a Histogram, baseline: &'a Histogram) -> impl Iterator<Item = (f64, f64)> + 'a {
    let both = window.slots().iter().zip(baseline.slots());
    both.filter(|(a, b)| **a + **b > 0).map(|(a, b)| (*a as f64, *b as f64))
}

fn occupied(window: &Histogram, baseline: &Histogram) -> u32 {
    u32::try_from(pairs(window, baseline).count()).unwrap_or(u32::MAX)
}

/// The population stability index: the sum of `(p - q) ln(p / q)` over the bins, which is Jeffreys'
/// symmetrised divergence (Kullback and Leibler 1951). A bin that is empty on one side counts as half a
/// value there, so that the logarithm stays finite; a bin that is empty on both is left out.
///
/// `None` if either histogram is empty or their edges differ.
pub fn psi(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    let (n, m) = totals(window, baseline)?;
    let terms = pairs(window, baseline).map(|(a, b)| {
        let (p, q) = (a.max(0.5) / n as f64, b.max(0.5) / m as f64);
        (p - q) * (p / q).ln()
    });
    Some(terms.sum())
}

/// The mean of PSI when nothing has drifted: `(B - 1)(1/n + 1/m)` for `bins` B and sample sizes n and
/// m, since `PSI / (1/n + 1/m)` then follows a chi-square distribution with B - 1 degrees of freedom
/// (Yurdakul, "Statistical properties of population stability index", 2018). It makes small samples
/// look drifted, so verdicts subtract it.
pub fn psi_expected(bins: u32, n: u64, baseline_n: u64) -> f64 {
    f64::from(bins.saturating_sub(1)) * (1.0 / n as f64 + 1.0 / baseline_n as f64)
}

/// The two-sample Kolmogorov-Smirnov test at the edges of the bins. Its statistic is a lower bound of
/// the one of the raw samples, so its p value is an upper bound; the p value is the exact one up to
/// a product of the sample sizes of 10,000, and the asymptotic one (Smirnov 1948) at the effective size `nm / (n + m)`
/// beyond.
///
/// `None` if either histogram is empty or their edges differ.
pub fn kolmogorov_smirnov(window: &Histogram, baseline: &Histogram) -> Option<TestResult> {
    let (n, m) = totals(window, baseline)?;
    let (n, m) = (n as f64, m as f64);
    let (mut above, mut below, mut statistic) = (0.0, 0.0, 0.0f64);
    for (a, b) in pairs(window, baseline) {
        above += a;
        below += b;
        statistic = statistic.max((above / n - below / m).abs());
    }
    Some(TestResult::kolmogorov_smirnov(statistic, n, m))
}

/// The two one-sided Kolmogorov-Smirnov distances (Smirnov 1948) at the edges of the bins. A mean has one direction only: one
/// that falls may hide that the upper tail has grown, and these do not.
///
/// `None` if either histogram is empty or their edges differ.
pub fn one_sided(window: &Histogram, baseline: &Histogram) -> Option<OneSided> {
    let (n, m) = totals(window, baseline)?;
    let (mut gap, mut found) = (0.0f64, OneSided { up: 0.0, down: 0.0 });
    for (a, b) in pairs(window, baseline) {
        gap += a / n as f64 - b / m as f64;
        found = OneSided { up: found.up.max(-gap), down: found.down.max(gap) };
    }
    Some(found)
}

/// Up to this product of sample sizes the exact p value of Kolmogorov-Smirnov is worked out.
const EXACT_PAIRS: f64 = 10_000.0;

/// The chance that the distance of two samples of one continuous distribution reaches `statistic`: one minus the share of
/// the lattice paths that stay closer (Hodges, Arkiv för Matematik 3, 1958; the recursion of `psmirnov` in R).
fn kolmogorov_exact(statistic: f64, n: f64, m: f64) -> f64 {
    let (few, many) = (n.min(m), n.max(m));
    // The distances of the lattice are multiples of 1 / (few * many); a path must stay strictly below.
    let beyond = ((statistic * few * many - 1e-7).ceil() - 0.5) / (few * many);
    // Whole numbers, of at most 10,000 each.
    let (rows, columns) = (few as u32, many as u32);
    let apart = |i: u32, j: u32| (f64::from(i) / few - f64::from(j) / many).abs() > beyond;
    let mut paths: Vec<f64> = (0..=columns).map(|j| if apart(0, j) { 0.0 } else { 1.0 }).collect();
    for i in 1..=rows {
        let weight = f64::from(i) / (f64::from(i) + many);
        let mut left = 0.0;
        for (j, path) in (0..=columns).zip(paths.iter_mut()) {
            let through = if j == 0 { weight * *path } else { weight.mul_add(*path, left) };
            *path = if apart(i, j) { 0.0 } else { through };
            left = *path;
        }
    }
    (1.0 - paths.last().copied().unwrap_or(0.0)).clamp(0.0, 1.0)
}

impl TestResult {
    pub(crate) fn kolmogorov_smirnov(statistic: f64, n: f64, m: f64) -> Self {
        let p_value = if n * m <= EXACT_PAIRS {
            kolmogorov_exact(statistic, n, m)
        } else {
            kolmogorov_upper((n * m / (n + m)).sqrt() * statistic)
        };
        Self { method: "Kolmogorov-Smirnov", statistic, degrees_of_freedom: 0.0, p_value }
    }
}

/// The Jensen-Shannon distance: the root of the divergence to base 2 (Lin, IEEE Transactions on
/// Information Theory 37, 1991; Endres and Schindelin 2003), in [0, 1].
///
/// `None` if either histogram is empty or their edges differ.
pub fn jensen_shannon_distance(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    let (n, m) = totals(window, baseline)?;
    let gain = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).log2() } else { 0.0 };
    let terms = pairs(window, baseline).map(|(a, b)| {
        let (p, q) = (a / n as f64, b / m as f64);
        let middle = (p + q) / 2.0;
        (gain(p, middle) + gain(q, middle)) / 2.0
    });
    Some(terms.sum::<f64>().clamp(0.0, 1.0).sqrt())
}

/// The Wasserstein-1 distance, the area between the two distribution functions (Vallender 1974), each
/// bin taken as uniform over its width. Values outside count as lying at the outermost edge.
///
/// `None` if either histogram is empty or their edges differ.
pub fn wasserstein(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    let (n, m) = totals(window, baseline)?;
    let share = |count: u64, total: u64| count as f64 / total as f64;
    let mut gap = share(window.underflow(), n) - share(baseline.underflow(), m);
    let mut area = 0.0;
    let edges = window.edges().as_slice().windows(2);
    for (edge, (a, b)) in edges.zip(window.counts().iter().zip(baseline.counts())) {
        let (width, before) = (edge[1] - edge[0], gap);
        gap += share(*a, n) - share(*b, m);
        let (left, right) = (before.abs(), gap.abs());
        area += if before * gap >= 0.0 {
            width * (left + right) / 2.0
        } else {
            // The difference crosses zero inside the bin: two triangles.
            width * (left * left + right * right) / (2.0 * (left + right))
        };
    }
    Some(area)
}

/// The mean of the window less that of the baseline, each value at the middle of its bin, and values outside at the
/// outermost edge: the way in which a distribution has moved.
///
/// `None` if either histogram is empty or their edges differ.
pub fn mean_difference(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    totals(window, baseline)?;
    Some(moments(window).0 - moments(baseline).0)
}

/// [`wasserstein`] in standard deviations of the baseline, by which distances of different signals compare. `None` as that,
/// and where the baseline has one value only.
pub fn wasserstein_normed(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    let (distance, deviation) = (wasserstein(window, baseline)?, moments(baseline).1.sqrt());
    (deviation > 0.0).then(|| distance / deviation)
}

/// Mean and variance of a histogram, each value at the middle of its bin.
fn moments(of: &Histogram) -> (f64, f64) {
    let edges = of.edges().as_slice();
    let middle = |slot: usize| match slot {
        0 => edges[0],
        slot if slot == edges.len() => edges[slot - 1],
        slot => f64::midpoint(edges[slot - 1], edges[slot]),
    };
    let n = of.n() as f64;
    let sum = |power: &dyn Fn(f64) -> f64| {
        of.slots().iter().enumerate().map(|(slot, count)| *count as f64 * power(middle(slot))).sum::<f64>() / n
    };
    let mean = sum(&|x| x);
    (mean, sum(&|x| (x - mean).powi(2)))
}

/// Pearson's chi-square test of homogeneity of two samples over the bins that hold a value (Pearson
/// 1900; Fisher 1922 for the B - 1 degrees of freedom).
///
/// `None` if either histogram is empty or their edges differ.
pub fn chi_square(window: &Histogram, baseline: &Histogram) -> Option<TestResult> {
    let (n, m) = totals(window, baseline)?;
    let (n, m) = (n as f64, m as f64);
    let statistic = pearson(pairs(window, baseline), n, m);
    let degrees_of_freedom = f64::from(occupied(window, baseline)) - 1.0;
    let p_value = chi_square_upper(statistic, degrees_of_freedom);
    Some(TestResult { method: "chi-square", statistic, degrees_of_freedom, p_value })
}

/// Pearson's statistic of bins that hold a value, in samples of `n` and `m` values.
fn pearson(bins: impl Iterator<Item = (f64, f64)>, n: f64, m: f64) -> f64 {
    bins.map(|(a, b)| {
        let (expected_a, expected_b) = ((a + b) * n / (n + m), (a + b) * m / (n + m));
        (a - expected_a).powi(2) / expected_a + (b - expected_b).powi(2) / expected_b
    })
    .sum()
}

/// [`chi_square`] over neighbouring bins taken together until each holds at least five expected values on both sides
/// (Cochran, Biometrics 10, 1954), so that the p value keeps its level in small samples and long tails. What is taken
/// together depends on the sum of both sides alone, which says nothing of the null.
///
/// `None` if either histogram is empty or their edges differ.
pub fn homogeneity(window: &Histogram, baseline: &Histogram) -> Option<TestResult> {
    const LEAST: f64 = 5.0;
    let (n, m) = totals(window, baseline)?;
    let (n, m) = (n as f64, m as f64);
    let scarcer = n.min(m) / (n + m);
    let mut bins: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (a, b) in pairs(window, baseline) {
        open = (open.0 + a, open.1 + b);
        if (open.0 + open.1) * scarcer >= LEAST {
            bins.push(std::mem::take(&mut open));
        }
    }
    match bins.last_mut() {
        Some(last) => *last = (last.0 + open.0, last.1 + open.1),
        None => bins.push(open),
    }
    let degrees_of_freedom = bins.len() as f64 - 1.0;
    let statistic = pearson(bins.into_iter(), n, m);
    let p_value = chi_square_upper(statistic, degrees_of_freedom);
    Some(TestResult { method: "chi-square of pooled bins", statistic, degrees_of_freedom, p_value })
}

/// The likelihood-ratio test of homogeneity (Wilks, Annals of Mathematical Statistics 9, 1938) over the bins that hold a
/// value.
///
/// `None` if either histogram is empty or their edges differ.
pub fn g_test(window: &Histogram, baseline: &Histogram) -> Option<TestResult> {
    let (n, m) = totals(window, baseline)?;
    let (n, m) = (n as f64, m as f64);
    let part = |found: f64, expected: f64| if found > 0.0 { 2.0 * found * (found / expected).ln() } else { 0.0 };
    let terms = pairs(window, baseline).map(|(a, b)| part(a, (a + b) * n / (n + m)) + part(b, (a + b) * m / (n + m)));
    // Rounding may leave the least trace below 0.
    let statistic = terms.sum::<f64>().max(0.0);
    let degrees_of_freedom = f64::from(occupied(window, baseline)) - 1.0;
    let p_value = chi_square_upper(statistic, degrees_of_freedom);
    Some(TestResult { method: "G", statistic, degrees_of_freedom, p_value })
}

/// The Hellinger distance in [0, 1] (Journal für die reine und angewandte Mathematik 136, 1909).
///
/// `None` if either histogram is empty or their edges differ.
pub fn hellinger(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    let (n, m) = totals(window, baseline)?;
    let terms = pairs(window, baseline).map(|(a, b)| ((a / n as f64).sqrt() - (b / m as f64).sqrt()).powi(2));
    Some((terms.sum::<f64>() / 2.0).sqrt().min(1.0))
}

/// The total variation distance: half of the sum of absolute differences of shares, in [0, 1].
///
/// `None` if either histogram is empty or their edges differ.
pub fn total_variation(window: &Histogram, baseline: &Histogram) -> Option<f64> {
    let (n, m) = totals(window, baseline)?;
    let terms = pairs(window, baseline).map(|(a, b)| (a / n as f64 - b / m as f64).abs());
    Some((terms.sum::<f64>() / 2.0).min(1.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Edges, Thresholds, Verdict};
    use proptest::prelude::*;

    fn of(counts: &[u64]) -> Histogram {
        let slots = [&[0], counts, &[0]].concat();
        Histogram::from_slots(Edges::unit_deciles(), slots).unwrap()
    }

    const WINDOW: [u64; 10] = [120, 95, 110, 102, 88, 99, 105, 97, 100, 84];
    const BASELINE: [u64; 10] = [60, 70, 95, 105, 110, 120, 130, 115, 101, 94];

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} for {expected}");
    }

    /// Expected values by NumPy and SciPy 1.17: `jensenshannon(base=2)`, `kstwobign`,
    /// `chi2_contingency(correction=False)`, and `quad` over the difference of the two piecewise linear
    /// distribution functions.
    #[test]
    fn all_divergences_of_two_known_histograms() {
        let found = compare(&of(&WINDOW), &of(&BASELINE)).unwrap();
        assert_eq!((found.n, found.baseline_n, found.bins), (1000, 1000, 10));
        close(found.psi, 0.069_996_418_040_432_5);
        close(found.psi_expected, 0.018);
        close(found.psi_corrected, 0.051_996_418_040_432_5);
        close(found.jensen_shannon_distance, 0.111_647_113_326_917_71);
        close(found.kolmogorov_smirnov.statistic, 0.1);
        close(found.kolmogorov_smirnov.p_value, 9.079_985_952_496_105e-5);
        close(found.chi_square.statistic, 34.141_710_331_004_2);
        close(found.chi_square.p_value, 8.435_484_715_661_523e-5);
        assert!((found.wasserstein - 0.0521).abs() < 1e-12);
    }

    /// Histograms of a lead score on the UCI Bank Marketing leads: the baseline of version 1 and four of its
    /// months, the last with ten leads. Corrected PSI by NumPy: 0.0016, 0.0685, 0.4870.
    #[test]
    fn real_leads_drift_when_they_do_and_ten_leads_say_nothing() {
        let baseline = of(&[1882, 1882, 1882, 1879, 1886, 1882, 1882, 1881, 1882, 1884]);
        let judge = |counts: &[u64]| {
            let found = compare(&of(counts), &baseline).unwrap();
            (Thresholds::default().verdict(Some(&found)), (found.psi_corrected * 1e4).round())
        };
        assert_eq!(judge(&[482, 459, 462, 438, 465, 431, 426, 417, 407, 387]), (Verdict::None, 16.0));
        // A quarter of a standard deviation: K-S sees at .095 what PSI spreads thin.
        assert_eq!(judge(&[507, 717, 696, 567, 593, 488, 510, 474, 357, 266]), (Verdict::Moderate, 685.0));
        assert_eq!(judge(&[90, 106, 159, 172, 192, 203, 207, 224, 212, 893]), (Verdict::Significant, 4870.0));
        assert_eq!(judge(&[0, 3, 0, 0, 1, 4, 1, 0, 0, 1]).0, Verdict::InsufficientData);
        assert_eq!(Thresholds::default().verdict(None), Verdict::InsufficientData);
    }

    #[test]
    fn masses_at_opposite_edges_are_as_far_apart_as_can_be() {
        let low = of(&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let high = of(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
        let found = compare(&low, &high).unwrap();
        close(found.jensen_shannon_distance, 1.0);
        close(found.wasserstein, 0.9);
        close(found.kolmogorov_smirnov.statistic, 1.0);
        assert!(found.psi.is_finite());
        close(found.hellinger, 1.0);
        close(found.total_variation, 1.0);
        close(found.g_test.statistic, 40.0 * std::f64::consts::LN_2);
        // Five expected values a bin: both stay as they are.
        close(found.homogeneity.statistic, 20.0);
        assert_eq!(compare(&of(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0]), &high).unwrap().homogeneity.p_value, 1.0);
    }

    #[test]
    fn nothing_and_other_edges_cannot_be_compared() {
        let empty = of(&[0; 10]);
        assert_eq!(compare(&empty, &of(&BASELINE)), None);
        let other = Histogram::of(Edges::new(vec![0.0, 1.0]).unwrap(), [0.5]);
        assert_eq!(compare(&other, &of(&BASELINE)), None);
    }

    proptest! {
        #[test]
        fn a_distribution_has_no_distance_from_itself_and_distances_are_symmetric(
            a in prop::collection::vec(0u64..50, 10), b in prop::collection::vec(0u64..50, 10),
        ) {
            let (a, b) = (of(&a), of(&b));
            if let (Some(same), Some(there), Some(back)) = (compare(&a, &a), compare(&a, &b), compare(&b, &a)) {
                prop_assert!(same.psi.abs() < 1e-12 && same.wasserstein < 1e-12 && same.jensen_shannon_distance < 1e-7);
                prop_assert!((there.psi - back.psi).abs() < 1e-9);
                prop_assert!((there.wasserstein - back.wasserstein).abs() < 1e-12);
                prop_assert!(there.psi >= 0.0 && (0.0..=1.0).contains(&there.chi_square.p_value));
            }
        }
    }
}
