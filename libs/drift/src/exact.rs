//! The same distances on raw samples, for those who have them.

use crate::inference::TestResult;

/// Walks both sorted samples, calling `step(width to the next value, F - G)` after each distinct value.
fn walk(a: &[f64], b: &[f64], mut step: impl FnMut(f64, f64)) -> Option<()> {
    let sorted = |values: &[f64]| {
        let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let here = a.get(i).copied().unwrap_or(f64::INFINITY).min(b.get(j).copied().unwrap_or(f64::INFINITY));
        while a.get(i).is_some_and(|value| *value == here) {
            i += 1;
        }
        while b.get(j).is_some_and(|value| *value == here) {
            j += 1;
        }
        let next = a.get(i).copied().unwrap_or(f64::INFINITY).min(b.get(j).copied().unwrap_or(f64::INFINITY));
        let width = if next.is_finite() { next - here } else { 0.0 };
        step(width, i as f64 / a.len() as f64 - j as f64 / b.len() as f64);
    }
    Some(())
}

/// The two-sample Kolmogorov-Smirnov test on raw samples, with the exact p value of small samples (see
/// [`crate::kolmogorov_smirnov`]).
/// Values that are not finite are left out. `None` if a sample is empty.
pub fn kolmogorov_smirnov_exact(a: &[f64], b: &[f64]) -> Option<TestResult> {
    let mut statistic = 0.0f64;
    walk(a, b, |_, gap| statistic = statistic.max(gap.abs()))?;
    let finite = |values: &[f64]| values.iter().filter(|value| value.is_finite()).count() as f64;
    Some(TestResult::kolmogorov_smirnov(statistic, finite(a), finite(b)))
}

/// The Wasserstein-1 distance of two raw samples: the area between their distribution functions
/// (Vallender 1974). Values that are not finite are left out. `None` if a sample is empty.
pub fn wasserstein_exact(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut area = 0.0;
    walk(a, b, |width, gap| area += width * gap.abs())?;
    Some(area)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: [f64; 10] = [0.21, 1.7, -0.4, 3.3, 2.2, 0.9, 1.1, 2.8, 0.05, 1.45];
    const B: [f64; 8] = [1.9, 2.4, 0.3, 4.1, 3.3, 2.7, 1.8, 5.0];

    /// Expected values by SciPy 1.17 (`ks_2samp`, `wasserstein_distance`), and of two samples that do not overlap by hand:
    /// 2 of 861 orders of two among forty, 2 of 6 of two among two.
    #[test]
    fn raw_samples() {
        let test = kolmogorov_smirnov_exact(&A, &B).unwrap();
        assert!((test.statistic - 0.575).abs() < 1e-12);
        assert!((0.05..0.12).contains(&test.p_value), "{}", test.p_value);
        let forty: Vec<f64> = (0..40).map(f64::from).collect();
        let apart = kolmogorov_smirnov_exact(&[50.0, 60.0], &forty).unwrap();
        assert!((apart.p_value - 2.0 / 861.0).abs() < 1e-12);
        let two = |b: [f64; 2]| kolmogorov_smirnov_exact(&[1.0, 2.0], &b).unwrap().p_value;
        assert!((two([3.0, 4.0]) - 2.0 / 6.0).abs() < 1e-12);
        assert!((two([1.5, 2.5]) - 1.0).abs() < 1e-12, "no order of two and two is closer than a half");
        assert!((wasserstein_exact(&A, &B).unwrap() - 1.3565).abs() < 1e-12);
    }

    #[test]
    fn an_empty_sample_has_no_distance() {
        assert_eq!(wasserstein_exact(&A, &[]), None);
        assert_eq!(kolmogorov_smirnov_exact(&[f64::NAN], &B), None);
    }
}
