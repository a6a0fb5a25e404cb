//! What may be concluded about proportions and means: intervals and two-sided tests.

use crate::moments::Moments;
use crate::special::{normal_quantile, student_critical, student_two_sided};

/// The result of a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestResult {
    /// The method, such as `Welch t`.
    pub method: &'static str,
    /// The statistic.
    pub statistic: f64,
    /// The degrees of freedom; 0 where the method has none.
    pub degrees_of_freedom: f64,
    /// The two-sided p value.
    pub p_value: f64,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The confidence level, such as 0.95.
    pub level: f64,
}

/// A test together with the difference that it judges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// The first value minus the second.
    pub difference: f64,
    /// The interval of the difference at the level `1 - alpha`.
    pub interval: Interval,
    /// The test.
    pub test: TestResult,
}

/// Successes among trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Successes, `0..=trials`.
    pub successes: f64,
    /// Trials, above 0.
    pub trials: f64,
}

impl Sample {
    /// The share of successes.
    pub fn share(self) -> f64 {
        self.successes / self.trials
    }

    fn sound(self) -> bool {
        self.trials > 0.0 && self.successes >= 0.0 && self.successes <= self.trials && self.trials.is_finite()
    }
}

/// Whether `x` lies strictly between 0 and 1; NaN does not.
pub(crate) fn is_chance(x: f64) -> bool {
    x > 0.0 && x < 1.0
}

/// Wilson's score interval of a proportion (Wilson, Journal of the American Statistical Association 22,
/// 1927), without continuity correction. It stays within [0, 1] and is honest at 0 and 1.
///
/// `None` without trials, with more successes than trials, or with `level` outside (0, 1).
pub fn wilson(sample: Sample, level: f64) -> Option<Interval> {
    if !sample.sound() || !is_chance(level) {
        return None;
    }
    let (n, p) = (sample.trials, sample.share());
    let z = normal_quantile(0.5 + level / 2.0);
    let scale = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / scale;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Some(Interval { lower: (centre - half).max(0.0), upper: (centre + half).min(1.0), level })
}

/// Welch's t test of two means with unequal variances (Welch, Biometrika 34, 1947; degrees of freedom
/// after Satterthwaite 1946).
///
/// `None` with fewer than two values on a side, or with `alpha` outside (0, 1). Two samples without any
/// variation have a p value of 1 if their means are equal and of 0 if not.
pub fn welch(a: &Moments, b: &Moments, alpha: f64) -> Option<Tested> {
    if !is_chance(alpha) {
        return None;
    }
    let difference = a.mean()? - b.mean()?;
    let (share_a, share_b) = (a.variance()? / a.n as f64, b.variance()? / b.n as f64);
    if (share_a + share_b).sqrt() == 0.0 {
        let level = 1.0 - alpha;
        let p_value = if difference == 0.0 { 1.0 } else { 0.0 };
        let test = TestResult { method: "Welch t", statistic: 0.0, degrees_of_freedom: 0.0, p_value };
        return Some(Tested { difference, interval: Interval { lower: difference, upper: difference, level }, test });
    }
    Some(Tested::welch("Welch t", difference, (share_a, a.n), (share_b, b.n), alpha))
}

impl Tested {
    /// Student's t with Welch's degrees of freedom: of the difference of two values, each with its variance, not both
    /// 0, and the number of units that this was estimated from, at least 2.
    pub(crate) fn welch(
        method: &'static str,
        difference: f64,
        (of_a, n): (f64, u64),
        (of_b, m): (f64, u64),
        alpha: f64,
    ) -> Self {
        let error = (of_a + of_b).sqrt();
        let degrees_of_freedom = (of_a + of_b).powi(2) / (of_a * of_a / (n - 1) as f64 + of_b * of_b / (m - 1) as f64);
        let statistic = difference / error;
        let half = student_critical(alpha, degrees_of_freedom) * error;
        let p_value = student_two_sided(statistic, degrees_of_freedom);
        Self {
            difference,
            interval: Interval { lower: difference - half, upper: difference + half, level: 1.0 - alpha },
            test: TestResult { method, statistic, degrees_of_freedom, p_value },
        }
    }
}

/// Student's interval of a mean ("Student", Biometrika 6, 1908).
///
/// `None` with fewer than two values, or with `level` outside (0, 1).
pub fn mean_interval(moments: &Moments, level: f64) -> Option<Interval> {
    if !is_chance(level) {
        return None;
    }
    let (mean, variance) = (moments.mean()?, moments.variance()?);
    let half = student_critical(1.0 - level, (moments.n - 1) as f64) * (variance / moments.n as f64).sqrt();
    Some(Interval { lower: mean - half, upper: mean + half, level })
}

/// The p values adjusted for being several, in the order given (Holm, Scandinavian Journal of
/// Statistics 6, 1979): comparing each with alpha keeps the chance of any false finding below alpha.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut floor = 0.0f64;
    for (rank, index) in order.into_iter().enumerate() {
        floor = floor.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

/// The p values adjusted for being many, in the order given (Benjamini and Hochberg, Journal of the Royal Statistical
/// Society B 57, 1995): of the findings whose adjusted value is at most a level, at most that share is expected to be
/// false, where the tests do not depend on each other, or depend positively.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut ceiling = 1.0f64;
    for (rank, index) in order.into_iter().enumerate() {
        let smaller = (p_values.len() - rank) as f64;
        ceiling = ceiling.min(p_values.len() as f64 / smaller * p_values[index]);
        adjusted[index] = ceiling;
    }
    adjusted
}

/// As many tests as a finding is held against, however many more there are.
const MOST_TESTS: f64 = 20.0;

/// The p values of a family of signals, adjusted for being many, in the order given: by [`benjamini_hochberg`], but by no more
/// than what twenty tests take (Bonferroni).
///
/// Without that bound whoever adds signals in which nothing happens would hide what another shows. With it, what is found
/// alone at a twentieth of the level is found among any number; and of signals that have not changed, at most that share is.
pub fn among_many(p_values: &[f64]) -> Vec<f64> {
    let adjusted = benjamini_hochberg(p_values).into_iter();
    adjusted.zip(p_values).map(|(adjusted, p_value)| adjusted.min(p_value * MOST_TESTS)).collect()
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

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-11 * expected.abs().max(1e-3), "{found} for {expected}");
    }

    /// Expected values by SciPy 1.17 (`binomtest().proportion_ci(method="wilson")`); 15 and 81 are the
    /// examples of Newcombe 1998, the last row is the conversion of the Bank Marketing leads.
    #[test]
    fn wilson_intervals() {
        let rows = [
            (0.0, 10.0, 0.95, 0.0, 0.277_532_799_862_889_26),
            (10.0, 10.0, 0.95, 0.722_467_200_137_110_7, 1.0),
            (15.0, 148.0, 0.95, 0.062_386_399_530_736_29, 0.160_487_241_723_303_1),
            (81.0, 263.0, 0.95, 0.255_288_519_878_274_2, 0.366_209_576_982_800_04),
            (4640.0, 41188.0, 0.99, 0.108_703_556_279_353_32, 0.116_729_559_462_795_5),
        ];
        for (successes, trials, level, lower, upper) in rows {
            let found = wilson(Sample { successes, trials }, level).unwrap();
            close(found.lower, lower);
            close(found.upper, upper);
        }
        assert_eq!(wilson(Sample { successes: 2.0, trials: 1.0 }, 0.95), None);
        assert_eq!(wilson(Sample { successes: 0.0, trials: 0.0 }, 0.95), None);
    }

    /// Expected values by SciPy 1.17 (`ttest_ind(equal_var=False)`, `t.interval`).
    #[test]
    fn welch_and_student() {
        let a = of(&[0.21, 1.7, -0.4, 3.3, 2.2, 0.9, 1.1, 2.8, 0.05, 1.45]);
        let b = of(&[1.9, 2.4, 0.3, 4.1, 3.3, 2.7, 1.8, 5.0]);
        let found = welch(&a, &b, 0.05).unwrap();
        close(found.difference, -1.3565);
        close(found.test.statistic, -2.114_661_471_712_005_4);
        close(found.test.degrees_of_freedom, 13.578_597_419_955_548);
        close(found.test.p_value, 0.053_469_303_015_197_96);
        close(found.interval.lower, -2.736_341_095_559_594_4);
        close(found.interval.upper, 0.023_341_095_559_594_294);
        let mean = mean_interval(&a, 0.95).unwrap();
        close(mean.lower, 0.468_821_301_065_429_74);
        close(mean.upper, 2.193_178_698_934_570_3);
    }

    #[test]
    fn constant_samples_and_single_values() {
        assert_eq!(welch(&of(&[1.0, 1.0]), &of(&[1.0, 1.0]), 0.05).unwrap().test.p_value, 1.0);
        assert_eq!(welch(&of(&[1.0, 1.0]), &of(&[2.0, 2.0]), 0.05).unwrap().test.p_value, 0.0);
        assert_eq!(welch(&of(&[1.0]), &of(&[2.0, 2.0]), 0.05), None);
        assert_eq!(mean_interval(&of(&[1.0]), 0.95), None);
    }

    /// By SciPy 1.17 (`false_discovery_control`).
    #[test]
    fn no_number_of_idle_signals_hides_what_is_sure() {
        for idle in [0, 19, 500, 5_000] {
            let family = [vec![0.000_5, 0.000_6], vec![0.9; idle]].concat();
            let adjusted = among_many(&family);
            assert!(adjusted[0] <= 0.01, "{idle}: {}", adjusted[0]);
            assert_eq!(adjusted[1] <= 0.01, idle <= 19, "{idle}: {}", adjusted[1]);
            assert!(adjusted[2..].iter().all(|p| *p >= 0.9), "{idle}");
        }
        assert!(among_many(&[]).is_empty());
    }

    #[test]
    fn benjamini_and_hochberg_step_up() {
        let adjusted = benjamini_hochberg(&[0.001, 0.04, 0.02, 0.5, 0.03]);
        for (found, expected) in adjusted.iter().zip([0.005, 0.05, 0.05, 0.5, 0.05]) {
            close(*found, expected);
        }
        assert_eq!(benjamini_hochberg(&[0.9, 0.95]), [0.95, 0.95]);
        assert!(benjamini_hochberg(&[]).is_empty());
    }

    #[test]
    fn holm_steps_down() {
        let adjusted = holm(&[0.01, 0.04, 0.03]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06]) {
            close(*found, expected);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
