//! What an experiment may conclude: tests and intervals of the difference between two arms that agree with each other,
//! whatever was randomised.

use crate::inference::{Interval, Sample, TestResult, Tested, is_chance};
use crate::special::{chi_square_upper, normal_quantile, normal_two_sided, student_critical};

/// Up to this many trials in both samples together, and up to ten times as many where an outcome is rare, Fisher's exact
/// test is used: its chance of a false finding is at most alpha at every n, that of the z test only nearly.
const EXACT_TRIALS: f64 = 10_000.0;
/// Outcomes are rare where fewer than this many are expected in a cell of the table.
const RARE: f64 = 50.0;
/// The steps of a bisection: enough for every digit of a double.
const STEPS: u32 = 80;

/// Sums over units of randomisation of what each brought: a numerator and a denominator in millionths. A mean over units
/// is the ratio whose denominators are 1. Integer sums do not depend on the order of arrival.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// The number of units.
    pub n: u64,
    pub(crate) numerator: i128,
    pub(crate) denominator: i128,
    pub(crate) numerator_squares: i128,
    pub(crate) denominator_squares: i128,
    pub(crate) products: i128,
}

impl Units {
    /// Counts a unit by its numerator and denominator in millionths.
    pub fn add(&mut self, numerator: i128, denominator: i128) {
        self.n += 1;
        self.numerator = self.numerator.saturating_add(numerator);
        self.denominator = self.denominator.saturating_add(denominator);
        self.numerator_squares = self.numerator_squares.saturating_add(numerator.saturating_mul(numerator));
        self.denominator_squares = self.denominator_squares.saturating_add(denominator.saturating_mul(denominator));
        self.products = self.products.saturating_add(numerator.saturating_mul(denominator));
    }

    /// The numerators over the denominators; `None` without any.
    pub fn ratio(&self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }

    /// Whether the denominator of every unit is 1, so that the ratio is a plain mean.
    pub fn are_single(&self) -> bool {
        let n = i128::from(self.n);
        self.denominator == n * 1_000_000 && self.denominator_squares == n * 1_000_000_000_000
    }

    /// The units as trials with two outcomes; `None` unless each is one of 0 or 1 out of 1.
    pub fn trials(&self) -> Option<Sample> {
        // In [0, 1] a square equals its root at the ends alone; a value above 1 would make the squares greater.
        let two_outcomes = self.are_single() && self.numerator.checked_mul(1_000_000) == Some(self.numerator_squares);
        let successes = self.numerator as f64 / 1e6;
        (two_outcomes && (0.0..=self.n as f64).contains(&successes))
            .then_some(Sample { successes, trials: self.n as f64 })
    }

    /// The variance of the ratio by the delta method (Deng, Knoblich and Lu, "Applying the delta method in metric
    /// analytics", KDD 2018): that of the mean of `numerator - ratio * denominator` over the squared mean denominator.
    /// `None` with fewer than two units.
    pub(crate) fn variance(&self) -> Option<f64> {
        let ratio = self.ratio().filter(|_| self.n >= 2)?;
        let n = self.n as f64;
        let (yy, xy, xx) = (self.numerator_squares as f64, self.products as f64, self.denominator_squares as f64);
        let residual = ratio.mul_add(ratio.mul_add(xx, -2.0 * xy), yy);
        // What remains of equal terms that cancel is rounding and no variance.
        let residual = if residual <= 1e-13 * yy { 0.0 } else { residual };
        Some(residual * n / (n - 1.0) / (self.denominator as f64).powi(2))
    }
}

/// The test of two ratios over independent units: Student's t with Welch's degrees of freedom on the variances of the
/// delta method. With denominators of 1 it is Welch's t test of two means.
///
/// `None` with fewer than two units or without a denominator on a side, with `alpha` outside (0, 1), and where no unit
/// differs from another: nothing is known then of how much they vary.
pub fn ratios(a: &Units, b: &Units, alpha: f64) -> Option<Tested> {
    if !is_chance(alpha) {
        return None;
    }
    let difference = a.ratio()? - b.ratio()?;
    let (of_a, of_b) = (a.variance()?, b.variance()?);
    let error = (of_a + of_b).sqrt();
    if !(error > 0.0 && error.is_finite()) {
        return None;
    }
    let method = if a.are_single() && b.are_single() { "Welch t" } else { "delta-method ratio t" };
    Some(Tested::welch(method, difference, (of_a, a.n), (of_b, b.n), alpha))
}

/// Student's interval of a ratio over independent units, on the variance of the delta method.
///
/// `None` where [`ratios`] would give none.
pub fn ratio_interval(units: &Units, level: f64) -> Option<Interval> {
    if !is_chance(level) {
        return None;
    }
    let (ratio, error) = (units.ratio()?, units.variance()?.sqrt());
    if !(error > 0.0 && error.is_finite()) {
        return None;
    }
    let half = student_critical(1.0 - level, (units.n - 1) as f64) * error;
    Some(Interval { lower: ratio - half, upper: ratio + half, level })
}

/// The test of two proportions of independent trials, with an interval that holds 0 exactly if the test finds nothing.
///
/// The statistic is the pooled z; the p value is Fisher's where the samples are small, else that of z. The interval is the
/// score interval of the difference (Mee 1984; the inversion of that z test), widened where Fisher's test is more careful
/// than z by the ratio of the two at no difference.
///
/// `None` without trials on a side, where successes or trials are no whole numbers, or with `alpha` outside (0, 1).
pub fn proportions(a: Sample, b: Sample, alpha: f64) -> Option<Tested> {
    let whole = |x: f64| (0.0..=1e12).contains(&x) && x.fract() == 0.0;
    let sound = |s: Sample| whole(s.successes) && whole(s.trials) && s.trials > 0.0 && s.successes <= s.trials;
    if !(sound(a) && sound(b) && is_chance(alpha)) {
        return None;
    }
    let difference = a.share() - b.share();
    let total = a.trials + b.trials;
    let pooled = (a.successes + b.successes) / total;
    let rarest = a.trials.min(b.trials) * pooled.min(1.0 - pooled);
    let statistic = score(a, b, 0.0);
    let exact = total <= EXACT_TRIALS || (rarest < RARE && total <= 10.0 * EXACT_TRIALS);
    let (method, p_value) =
        if exact { ("Fisher exact", fisher(a, b)) } else { ("two-proportion z", normal_two_sided(statistic)) };
    let critical = normal_quantile(1.0 - alpha / 2.0);
    // What Fisher's p value would be of z: below the z that was found, the interval must reach further by as much.
    let careful = if is_chance(p_value) { normal_quantile(1.0 - p_value / 2.0) } else { statistic.abs() };
    let wider = if exact && careful > 0.0 { (statistic.abs() / careful).clamp(1.0, 1e3) } else { 1.0 };
    let end = |edge: f64| bisect(edge, difference, |delta| score(a, b, delta).abs() > critical * wider);
    Some(Tested {
        difference,
        interval: Interval { lower: end(-1.0), upper: end(1.0), level: 1.0 - alpha },
        test: TestResult { method, statistic, degrees_of_freedom: 0.0, p_value },
    })
}

/// The border between `outside` and `inside`, at the first of which `beyond` holds.
fn bisect(mut outside: f64, mut inside: f64, beyond: impl Fn(f64) -> bool) -> f64 {
    if !beyond(outside) {
        return outside;
    }
    for _ in 0..STEPS {
        let middle = f64::midpoint(outside, inside);
        if beyond(middle) { outside = middle } else { inside = middle }
    }
    f64::midpoint(outside, inside)
}

/// The score statistic of the hypothesis that the shares differ by `delta`: the distance over the standard error at the
/// most likely shares that differ by that much.
fn score(a: Sample, b: Sample, delta: f64) -> f64 {
    let distance = a.share() - b.share() - delta;
    if distance == 0.0 {
        return 0.0;
    }
    // The likelihood is concave in the first share, so that its slope falls.
    let (mut low, mut high) = (delta.max(0.0), 1.0 + delta.min(0.0));
    let part = |count: f64, share: f64| if count > 0.0 { count / share } else { 0.0 };
    for _ in 0..STEPS {
        let share = f64::midpoint(low, high);
        let slope = part(a.successes, share) - part(a.trials - a.successes, 1.0 - share)
            + part(b.successes, share - delta)
            - part(b.trials - b.successes, 1.0 - share + delta);
        if slope > 0.0 { low = share } else { high = share }
    }
    let share =
        if delta == 0.0 { (a.successes + b.successes) / (a.trials + b.trials) } else { f64::midpoint(low, high) };
    let spread = |share: f64, trials: f64| (share * (1.0 - share)).max(0.0) / trials;
    distance / (spread(share, a.trials) + spread(share - delta, b.trials)).sqrt()
}

/// The two-sided p value of Fisher's exact test (Journal of the Royal Statistical Society 85, 1922): the chance, given
/// both margins, of all tables that are no likelier than this one. Both samples are whole numbers with trials.
pub(crate) fn fisher(a: Sample, b: Sample) -> f64 {
    let successes = a.successes + b.successes;
    let (first, last) = ((successes - b.trials).max(0.0), successes.min(a.trials));
    let mode = ((successes + 1.0) * (a.trials + 1.0) / (a.trials + b.trials + 2.0)).floor().clamp(first, last);
    // From the likeliest table outwards no weight is above 1, so that nothing overflows.
    let next = |k: f64| (successes - k) * (a.trials - k) / ((k + 1.0) * (b.trials - successes + k + 1.0));
    let mut tables = vec![(mode, 1.0)];
    let (mut k, mut weight) = (mode, 1.0);
    while k < last && weight > 0.0 {
        weight *= next(k);
        k += 1.0;
        tables.push((k, weight));
    }
    (k, weight) = (mode, 1.0);
    while k > first && weight > 0.0 {
        k -= 1.0;
        weight /= next(k);
        tables.push((k, weight));
    }
    let seen = tables.iter().find(|(k, _)| *k == a.successes).map_or(0.0, |(_, weight)| *weight);
    let all: f64 = tables.iter().map(|(_, weight)| weight).sum();
    // Equal tables differ by rounding; SciPy allows as much.
    let rarer: f64 = tables.iter().map(|(_, weight)| weight).filter(|weight| **weight <= seen * (1.0 + 1e-7)).sum();
    (rarer / all).min(1.0)
}

/// The p value of arms of these sizes if units were assigned by these shares (chi-square). `None` where it says nothing:
/// without shares above 0 for each arm, or with fewer than 5 units expected in an arm.
pub fn sample_ratio(counts: &[u64], shares: &[f64]) -> Option<f64> {
    let total = counts.iter().sum::<u64>() as f64;
    let whole: f64 = shares.iter().sum();
    let expected: Vec<f64> = shares.iter().map(|share| share / whole * total).collect();
    if counts.len() != shares.len() || counts.len() < 2 || !expected.iter().all(|expected| *expected >= 5.0) {
        return None;
    }
    let statistic: f64 =
        counts.iter().zip(&expected).map(|(n, expected)| (*n as f64 - expected).powi(2) / expected).sum();
    Some(chi_square_upper(statistic, (counts.len() - 1) as f64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Moments, mean_interval, welch};
    use proptest::prelude::*;

    fn sample(successes: u32, trials: u32) -> Sample {
        Sample { successes: f64::from(successes), trials: f64::from(trials) }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{found} for {expected}");
    }

    /// Worked by hand: of 6 equally likely tables of 2/2 against 0/2 two are as extreme; Fisher's tea (3 of 4 against 1
    /// of 4) has 34 of 70; 4/35 against 0/35 is 2 C(35,4) / C(70,4).
    #[test]
    fn small_samples_are_judged_exactly() {
        close(proportions(sample(2, 2), sample(0, 2), 0.05).unwrap().test.p_value, 1.0 / 3.0);
        close(proportions(sample(3, 4), sample(1, 4), 0.05).unwrap().test.p_value, 34.0 / 70.0);
        let few = proportions(sample(4, 35), sample(0, 35), 0.05).unwrap();
        close(few.test.p_value, 2.0 * 52_360.0 / 916_895.0);
        assert!(few.interval.lower < 0.0 && few.interval.upper > 0.1);
        assert_eq!(proportions(sample(0, 5), sample(0, 7), 0.05).unwrap().test.p_value, 1.0);
        assert_eq!(proportions(sample(0, 0), sample(0, 7), 0.05), None);
        assert_eq!(proportions(Sample { successes: 0.5, trials: 3.0 }, sample(0, 7), 0.05), None);
    }

    /// Visits of the Hillstrom e-mail experiment; statistics and p value by SciPy.
    #[test]
    fn large_samples_are_judged_by_the_z_test() {
        let mail = proportions(sample(3894, 21307), sample(2262, 21306), 0.05).unwrap();
        assert_eq!(mail.test.method, "two-proportion z");
        close(mail.test.statistic, 22.486_040_827_192_82);
        assert!((mail.test.p_value / 5.685_165_482_802_317e-112 - 1.0).abs() < 1e-9);
        assert!(mail.interval.lower > 0.069 && mail.interval.upper < 0.084);
    }

    /// Newcombe 1998, table II, example (a), 56 of 70 against 48 of 80; statistic and p value by SciPy.
    #[test]
    fn the_statistic_is_that_of_the_z_test_at_every_size() {
        let found = proportions(sample(56, 70), sample(48, 80), 0.05).unwrap();
        close(found.difference, 0.2);
        close(found.test.statistic, 2.650_171_951_258_533_6);
        close(normal_two_sided(found.test.statistic), 0.008_045_081_368_196_56);
    }

    fn units(values: &[(i64, i64)]) -> Units {
        let mut units = Units::default();
        values.iter().for_each(|(y, x)| units.add(i128::from(*y) * 1_000_000, i128::from(*x) * 1_000_000));
        units
    }

    #[test]
    fn means_are_ratios_whose_denominators_are_one() {
        let (a, b) = ([1, 5, 2, 8, 3], [9, 4, 7, 12]);
        let of = |values: &[i64]| units(&values.iter().map(|y| (*y, 1)).collect::<Vec<_>>());
        let moments = |values: &[i64]| {
            let mut moments = Moments::default();
            values.iter().for_each(|y| moments.add(y * 1_000_000));
            moments
        };
        let (found, expected) = (ratios(&of(&a), &of(&b), 0.05), welch(&moments(&a), &moments(&b), 0.05));
        let (found, expected) = (found.unwrap(), expected.unwrap());
        assert_eq!(found.test.method, "Welch t");
        close(found.test.p_value, expected.test.p_value);
        close(found.interval.lower, expected.interval.lower);
        let (of_mean, of_ratio) = (mean_interval(&moments(&a), 0.95), ratio_interval(&of(&a), 0.95));
        close(of_ratio.unwrap().lower, of_mean.unwrap().lower);
        close(of_ratio.unwrap().upper, of_mean.unwrap().upper);
        assert_eq!((ratio_interval(&of(&[5, 5]), 0.95), ratio_interval(&of(&[5]), 0.95)), (None, None));
        assert_eq!(ratios(&of(&[5, 5]), &of(&[6, 6]), 0.05), None, "nothing is known of how much units vary");
        assert_eq!(of(&[0, 1, 1]).trials(), Some(sample(2, 3)));
        assert_eq!((of(&[0, 2]).trials(), units(&[(1, 2)]).trials()), (None, None));
    }

    /// Two users with all the clicks and two with none are four units, however many views each has: the ratio is 1/2
    /// against 1/4 with (-2, 2) about it, by hand.
    #[test]
    fn views_of_a_user_are_no_trials() {
        let a = units(&[(20, 20), (0, 20), (20, 20), (0, 20)]);
        let b = units(&[(20, 20), (0, 20), (0, 20), (0, 20)]);
        let found = ratios(&a, &b, 0.05).unwrap();
        assert_eq!((found.test.method, found.difference), ("delta-method ratio t", 0.25));
        close(found.test.statistic, 0.25 / (1.0_f64 / 12.0 + 0.0625).sqrt());
        assert!(found.test.p_value > 0.4);
        let as_trials = proportions(sample(40, 80), sample(20, 80), 0.05).unwrap();
        assert!(as_trials.test.p_value < 0.01, "which is what the views would claim");
    }

    #[test]
    fn arms_of_another_size_than_planned_are_found() {
        assert!(sample_ratio(&[5_000, 4_000], &[1.0, 1.0]).unwrap() < 1e-20);
        assert!(sample_ratio(&[5_000, 4_000], &[5.0, 4.0]).unwrap() > 0.999);
        assert_eq!(sample_ratio(&[3, 4], &[1.0, 1.0]), None);
        assert_eq!(sample_ratio(&[300, 400], &[1.0, 0.0]), None);
    }

    proptest! {
        #[test]
        fn an_interval_holds_no_difference_exactly_if_the_test_finds_nothing(
            n in 1u32..80, m in 1u32..80, x in 0.0f64..=1.0, y in 0.0f64..=1.0, alpha in 0.01f64..0.2,
        ) {
            let part = |share: f64, n: u32| Sample { successes: (share * f64::from(n)).round(), trials: f64::from(n) };
            let found = proportions(part(x, n), part(y, m), alpha).unwrap();
            prop_assert!(found.interval.lower <= found.difference && found.difference <= found.interval.upper);
            if (found.test.p_value - alpha).abs() > 1e-9 {
                let holds = found.interval.lower <= 0.0 && 0.0 <= found.interval.upper;
                prop_assert_eq!(holds, found.test.p_value >= alpha, "{:?}", found);
            }
        }
    }
}
