//! Exact tests of counts, for samples too small for a normal distribution.

use crate::inference::Sample;
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

impl From<Counts> for Sample {
    fn from(counts: Counts) -> Self {
        Self { successes: counts.successes as f64, trials: counts.trials as f64 }
    }
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
    use crate::experiment::fisher;

    fn of(successes: u64, trials: u64) -> Counts {
        Counts::new(successes, trials).unwrap()
    }

    /// 2 of 2 against 0 of 2 is 1 in 3; the lady who tasted tea had 3 of 4 right on each side: 17 of 35, both ways.
    #[test]
    fn tables_worked_by_hand() {
        let exact = |a: (u64, u64), b: (u64, u64)| fisher(of(a.0, a.1).into(), of(b.0, b.1).into());
        assert!((exact((2, 2), (0, 2)) - 1.0 / 3.0).abs() < 1e-9);
        assert!((exact((3, 4), (1, 4)) - 34.0 / 70.0).abs() < 1e-9);
        assert!((exact((5, 10), (5, 10)) - 1.0).abs() < 1e-9);
        assert!((exact((0, 7), (0, 9)) - 1.0).abs() < 1e-9);
        assert!((binomial_upper(of(10, 10), 0.85) - 0.85f64.powi(10)).abs() < 1e-12);
        assert!((binomial_upper(of(1, 2), 0.5) - 0.75).abs() < 1e-12);
        assert!((binomial_upper(of(0, 5), 0.5) - 1.0).abs() < 1e-12);
        assert_eq!(Counts::new(3, 2), None);
    }
}
