//! The special functions behind p values and intervals, in double precision: those of `statrs`, and Kolmogorov's, which
//! it does not have.

use statrs::distribution::{ChiSquared, ContinuousCDF as _, Normal, StudentsT};
use std::f64::consts::PI;

/// The chance that a standard normal variable exceeds `z` in magnitude.
pub(crate) fn normal_two_sided(z: f64) -> f64 {
    // The square is chi-square with one degree of freedom. The normal tail of statrs is off by up to 9e-11.
    chi_square_upper(z * z, 1.0)
}

/// The `p` quantile of the standard normal distribution, 0 < p < 1.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The chance that Student's t with `df` degrees of freedom exceeds `t` in magnitude.
pub(crate) fn student_two_sided(t: f64, df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |student| 2.0 * student.sf(t.abs()))
}

/// The value that Student's t with `df` degrees of freedom exceeds in magnitude with the chance `alpha`, by bisection of
/// the tail: the quantile of statrs is off by more than 1e-8 at 1e5 degrees of freedom.
pub(crate) fn student_critical(alpha: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_two_sided(high, df) > alpha && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if student_two_sided(middle, df) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The chance that chi-square with `df` degrees of freedom exceeds `x`.
pub(crate) fn chi_square_upper(x: f64, df: f64) -> f64 {
    // Without a degree of freedom nothing varies.
    if x <= 0.0 || df <= 0.0 { 1.0 } else { ChiSquared::new(df).map_or(f64::NAN, |square| square.sf(x)) }
}

/// The chance that a chi-square test at `level` rejects when its statistic is noncentral by `shift`: the noncentral
/// distribution is a Poisson mixture of central ones (Johnson, Kotz and Balakrishnan, 1995, chapter 29).
pub(crate) fn chi_square_power(shift: f64, df: f64, level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while chi_square_upper(high, df) > level && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if chi_square_upper(middle, df) > level { low = middle } else { high = middle }
    }
    // So far beyond the limit that the mixture would only add up to 1.
    if shift > 400.0 && shift > 4.0 * high {
        return 1.0;
    }
    let half = shift / 2.0;
    let (mut weight, mut power) = ((-half).exp(), 0.0);
    for j in 0..2_000 {
        let j = f64::from(j);
        power += weight * chi_square_upper(high, df + 2.0 * j);
        weight *= half / (j + 1.0);
        if j > half && weight < 1e-12 {
            break;
        }
    }
    power.min(1.0)
}

/// The chance that the limiting Kolmogorov distribution exceeds `x` (Smirnov, Annals of Mathematical
/// Statistics 19, 1948): the theta series in the form that converges fast on each side of 1.
pub(crate) fn kolmogorov_upper(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        let factor = (2.0 * PI).sqrt() / x;
        let below: f64 = (1..=20).map(|k| (-(f64::from(2 * k - 1) * PI / x).powi(2) / 8.0).exp()).sum();
        return (1.0 - factor * below).clamp(0.0, 1.0);
    }
    let above: f64 = (1..=100)
        .map(|k| {
            let term = (-2.0 * f64::from(k * k) * x * x).exp();
            if k % 2 == 1 { term } else { -term }
        })
        .sum();
    (2.0 * above).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by SciPy 1.17 (`scipy.stats.norm`, `t`, `chi2`, `kstwobign`).
    fn agrees(name: &str, rows: &[(f64, f64)]) {
        for (found, expected) in rows {
            let error = (found - expected).abs();
            assert!(error <= 2e-12 * expected.abs() + 1e-300 || error < 1e-15, "{name}: {found} for {expected}");
        }
    }

    #[test]
    fn normal_tails_and_quantiles() {
        agrees(
            "tail",
            &[
                (normal_two_sided(0.0), 1.0),
                (normal_two_sided(0.5), 0.617_075_077_451_973_8),
                (normal_two_sided(-1.0), 0.317_310_507_862_914_15),
                (normal_two_sided(3.0), 0.002_699_796_063_260_186_6),
                (normal_two_sided(6.0), 1.973_175_290_075_389e-9),
                (normal_two_sided(10.0), 1.523_970_604_832_094e-23),
            ],
        );
        agrees(
            "quantile",
            &[
                (normal_quantile(1e-10), -6.361_340_902_404_056),
                (normal_quantile(1e-3), -3.090_232_306_167_813),
                (normal_quantile(0.025), -1.959_963_984_540_054_5),
                (normal_quantile(0.3), -0.524_400_512_708_041),
                (normal_quantile(0.5), 0.0),
                (normal_quantile(0.8), 0.841_621_233_572_914_3),
                (normal_quantile(0.975), 1.959_963_984_540_054),
                (normal_quantile(0.999_999_9), 5.199_337_582_290_661),
            ],
        );
    }

    #[test]
    fn student_tails_and_critical_values() {
        agrees(
            "tail",
            &[
                (student_two_sided(0.0, 5.0), 1.0),
                (student_two_sided(1.0, 1.0), 0.5),
                (student_two_sided(2.2, 7.3), 0.062_169_165_400_023_6),
                (student_two_sided(-5.0, 3.0), 0.015_392_438_073_302_294),
                (student_two_sided(12.0, 30.0), 5.580_185_415_199_261e-13),
            ],
        );
        agrees(
            "critical",
            &[
                (student_critical(0.05, 1.0), 12.706_204_736_174_694),
                (student_critical(0.05, 9.0), 2.262_157_162_798_205),
                (student_critical(0.01, 15.3), 2.938_534_502_645_056),
            ],
        );
        // With many degrees of freedom the logarithms of gamma cancel digits.
        assert!((student_two_sided(1.5, 1000.0) - 0.133_930_038_822_086_26).abs() < 1e-11);
        assert!((student_critical(0.1, 1e5) - 1.644_868_864_784_969_6).abs() < 1e-8);
    }

    #[test]
    fn chi_square_tails() {
        agrees(
            "tail",
            &[
                (chi_square_upper(0.0, 4.0), 1.0),
                (chi_square_upper(0.5, 1.0), 0.479_500_122_186_953_37),
                (chi_square_upper(3.84, 1.0), 0.050_043_521_248_705_19),
                (chi_square_upper(16.9, 9.0), 0.050_305_190_124_310_8),
                (chi_square_upper(40.0, 9.0), 7.598_525_229_464_264e-6),
                (chi_square_upper(5.0, 9.0), 0.834_308_260_193_407_5),
            ],
        );
        assert!((chi_square_upper(250.0, 200.0) - 0.009_379_131_668_826_098).abs() < 1e-12);
    }

    #[test]
    fn kolmogorov_tails() {
        agrees(
            "tail",
            &[
                (kolmogorov_upper(0.0), 1.0),
                (kolmogorov_upper(0.2), 0.999_999_999_999_495),
                (kolmogorov_upper(0.5), 0.963_945_243_664_875_1),
                (kolmogorov_upper(0.827_6), 0.499_958_416_563_544_56),
                (kolmogorov_upper(0.99), 0.280_873_839_225_548_9),
                (kolmogorov_upper(1.0), 0.269_999_671_677_354_56),
                (kolmogorov_upper(1.36), 0.049_485_876_755_377_876),
                (kolmogorov_upper(2.5), 7.453_306_344_157_342e-6),
            ],
        );
    }
}
