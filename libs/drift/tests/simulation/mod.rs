//! Verdicts on made-up months, by the thousand: how often each cries wolf, and how often it sees what is there.

use remit_drift::{
    Counts, Edges, Histogram, RateLimits, Sample, ShareLimits, Thresholds, Verdict, compare, prediction_limits,
    share_limits,
};

/// A month that is made up again and again.
pub struct Case {
    /// The verdict.
    pub verdict: &'static str,
    /// What the months are like.
    pub months: &'static str,
    /// The highest rate of false alarms that is stated, or `None` where something has changed.
    pub level: Option<f64>,
    /// Makes a month and says whether the verdict is one of change.
    pub flags: fn(&mut Chance) -> bool,
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine.
pub struct Chance(pub u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn successes(&mut self, n: u32, p: f64) -> u64 {
        (0..n).map(|_| u64::from(self.uniform() < p)).sum()
    }

    fn counts(&mut self, n: u32, p: f64) -> Counts {
        Counts::new(self.successes(n, p), u64::from(n)).unwrap_or_default()
    }

    /// Scores whose logit is normal: crowded near 0, as of rare outcomes.
    fn scores(&mut self, n: u32, shift: f64) -> Histogram {
        let score = |z: f64| 1.0 / (1.0 + (3.0 - z).exp());
        Histogram::of(Edges::score(), (0..n).map(|_| score(self.normal() + shift)))
    }
}

/// The limits of the override detector.
pub const OVERRIDES: RateLimits = RateLimits { moderate: 0.05, significant: 0.10, level: 0.01 };
/// The limits of the reviewer detector.
pub const ACCEPTANCE: ShareLimits = ShareLimits { usual: 0.85, moderate: 0.95, significant: 0.98, level: 0.01 };

fn alarms(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Moderate | Verdict::Significant)
}

fn drifts(chance: &mut Chance, n: u32, m: u32, shift: f64) -> bool {
    let (window, baseline) = (chance.scores(n, shift), chance.scores(m, 0.0));
    let binned = Histogram::in_quantiles_of(&window, &baseline, 10);
    let found = binned.and_then(|(window, baseline)| compare(&window, &baseline));
    alarms(Thresholds::default().verdict(found.as_ref()))
}

fn overrides(chance: &mut Chance, n: u32, before: f64, now: f64) -> bool {
    let (now, before) = (chance.counts(n, now), chance.counts(n, before));
    alarms(OVERRIDES.change(now, before).0)
}

fn accepts(chance: &mut Chance, n: u32, p: f64) -> bool {
    alarms(ACCEPTANCE.judge(chance.counts(n, p)).0)
}

fn value(chance: &mut Chance, periods: usize, shift: f64) -> bool {
    let baseline: Vec<f64> = (0..periods).map(|_| chance.normal()).collect();
    prediction_limits(&baseline, 3.0).is_some_and(|limits| limits.signals(chance.normal() + shift))
}

fn share(chance: &mut Chance, trials: u32, p: f64) -> bool {
    let mut day = |n: u32, p: f64| Sample { successes: chance.successes(n, p) as f64, trials: f64::from(n) };
    let baseline: Vec<Sample> = (0..20).map(|i| day(if i % 7 < 5 { 500 } else { 50 }, 0.05)).collect();
    let now = day(trials, p);
    share_limits(&baseline, now.trials, 3.0).is_some_and(|limits| limits.signals(now.successes / now.trials))
}

/// Every case. The anomaly rows state twice the nominal .27%: normal limits of a discrete share have no exact level.
pub const CASES: &[Case] = &[
    Case {
        verdict: "drift",
        months: "unchanged, 100 against 100",
        level: Some(0.01),
        flags: |c| drifts(c, 100, 100, 0.0),
    },
    Case {
        verdict: "drift",
        months: "unchanged, 100 against 2,000",
        level: Some(0.01),
        flags: |c| drifts(c, 100, 2_000, 0.0),
    },
    Case {
        verdict: "drift",
        months: "unchanged, 500 against 500",
        level: Some(0.01),
        flags: |c| drifts(c, 500, 500, 0.0),
    },
    Case {
        verdict: "drift",
        months: "unchanged, 2,000 against 2,000",
        level: Some(0.01),
        flags: |c| drifts(c, 2_000, 2_000, 0.0),
    },
    Case {
        verdict: "drift",
        months: "0.6 standard deviations up, 150 against 2,000",
        level: None,
        flags: |c| drifts(c, 150, 2_000, 0.6),
    },
    Case {
        verdict: "drift",
        months: "0.3 standard deviations up, 500 against 2,000",
        level: None,
        flags: |c| drifts(c, 500, 2_000, 0.3),
    },
    Case {
        verdict: "drift",
        months: "0.2 standard deviations up, 5,000 against 5,000",
        level: None,
        flags: |c| drifts(c, 5_000, 5_000, 0.2),
    },
    Case {
        verdict: "override rate",
        months: "0.20 both months, n 30",
        level: Some(0.01),
        flags: |c| overrides(c, 30, 0.2, 0.2),
    },
    Case {
        verdict: "override rate",
        months: "0.20 both months, n 100",
        level: Some(0.01),
        flags: |c| overrides(c, 100, 0.2, 0.2),
    },
    Case {
        verdict: "override rate",
        months: "0.02 both months, n 1,000",
        level: Some(0.01),
        flags: |c| overrides(c, 1_000, 0.02, 0.02),
    },
    Case {
        verdict: "override rate",
        months: "0.20 to 0.30, n 500",
        level: None,
        flags: |c| overrides(c, 500, 0.2, 0.3),
    },
    Case {
        verdict: "override rate",
        months: "0.05 to 0.15, n 250",
        level: None,
        flags: |c| overrides(c, 250, 0.05, 0.15),
    },
    Case { verdict: "reviewer", months: "accepts 0.85, n 29", level: Some(0.01), flags: |c| accepts(c, 29, 0.85) },
    Case { verdict: "reviewer", months: "accepts 0.85, n 100", level: Some(0.01), flags: |c| accepts(c, 100, 0.85) },
    Case {
        verdict: "reviewer",
        months: "accepts 0.85, n 1,000",
        level: Some(0.01),
        flags: |c| accepts(c, 1_000, 0.85),
    },
    Case { verdict: "reviewer", months: "accepts 0.99, n 60", level: None, flags: |c| accepts(c, 60, 0.99) },
    Case {
        verdict: "anomaly, value",
        months: "stable, 5 periods before",
        level: Some(0.0054),
        flags: |c| value(c, 5, 0.0),
    },
    Case {
        verdict: "anomaly, value",
        months: "stable, 20 periods before",
        level: Some(0.0054),
        flags: |c| value(c, 20, 0.0),
    },
    Case {
        verdict: "anomaly, value",
        months: "5 sigma up, 20 periods before",
        level: None,
        flags: |c| value(c, 20, 5.0),
    },
    Case {
        verdict: "anomaly, share",
        months: "stable at 0.05, a weekday of 500",
        level: Some(0.0054),
        flags: |c| share(c, 500, 0.05),
    },
    Case {
        verdict: "anomaly, share",
        months: "stable at 0.05, a weekend of 50",
        level: Some(0.0054),
        flags: |c| share(c, 50, 0.05),
    },
    Case {
        verdict: "anomaly, share",
        months: "0.05 to 0.10, a weekday of 500",
        level: None,
        flags: |c| share(c, 500, 0.10),
    },
];

/// The share of `draws` months that a case flags.
pub fn rate(case: &Case, draws: u32) -> f64 {
    let mut chance = Chance(20_261_128);
    f64::from((0..draws).map(|_| u32::from((case.flags)(&mut chance))).sum::<u32>()) / f64::from(draws)
}
