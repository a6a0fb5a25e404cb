//! Exact tests of counts, for samples too small for a normal distribution.

use statrs::function::factorial::ln_binomial;

/// Successes among trials, as whole numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub(crate) successes: u64,
    pub(crate) trials: u64,
}

impl Counts {
    /// So many successes among so many trials; `None` with more successes than trials.
    pub fn new(successes: u64, trials: u64) -> Option<Self> {
        (successes <= trials).then_some(Self { successes, trials })
    }

    /// The share of successes; `None` without trials.
    pub fn share(self) -> Option<f64> {
        (self.trials > 0).then(|| self.successes as f64 / self.trials as f64)
    }
}

/// The two-sided p value of Fisher's exact test (Journal of the Royal Statistical Society 85, 1922): the chance, given
/// both margins, of a table no likelier than this one.
pub(crate) fn fisher(a: Counts, b: Counts) -> f64 {
    let (successes, all) = (a.successes + b.successes, a.trials + b.trials);
    let whole = ln_binomial(all, a.trials);
    let chance = |x: u64| ln_binomial(successes, x) + ln_binomial(all - successes, a.trials - x) - whole;
    let least = successes.saturating_sub(b.trials);
    let most = successes.min(a.trials);
    // Rounding must not part tables that are equally likely.
    let here = chance(a.successes) + 1e-7;
    let sum: f64 = (least..=most).map(chance).filter(|other| *other <= here).map(f64::exp).sum();
    sum.min(1.0)
}

/// The chance of at least so many successes when each has the chance `p`.
pub(crate) fn binomial_upper(found: Counts, p: f64) -> f64 {
    let n = found.trials;
    let term = |x: u64| (ln_binomial(n, x) + x as f64 * p.ln() + (n - x) as f64 * (1.0 - p).ln()).exp();
    (found.successes..=n).map(term).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(successes: u64, trials: u64) -> Counts {
        Counts::new(successes, trials).unwrap()
    }

    /// 2 of 2 against 0 of 2 is 1 in 3; the lady who tasted tea had 3 of 4 right on each side: 17 of 35, both ways.
    #[test]
    fn tables_worked_by_hand() {
        assert!((fisher(of(2, 2), of(0, 2)) - 1.0 / 3.0).abs() < 1e-9);
        assert!((fisher(of(3, 4), of(1, 4)) - 34.0 / 70.0).abs() < 1e-9);
        assert!((fisher(of(5, 10), of(5, 10)) - 1.0).abs() < 1e-9);
        assert!((fisher(of(0, 7), of(0, 9)) - 1.0).abs() < 1e-9);
        assert!((binomial_upper(of(10, 10), 0.85) - 0.85f64.powi(10)).abs() < 1e-12);
        assert!((binomial_upper(of(1, 2), 0.5) - 0.75).abs() < 1e-12);
        assert!((binomial_upper(of(0, 5), 0.5) - 1.0).abs() < 1e-12);
        assert_eq!(Counts::new(3, 2), None);
    }
}
