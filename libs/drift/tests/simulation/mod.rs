//! Verdicts on made-up months, by the thousand: how often each cries wolf, and how often it sees what is there.

mod experiments;

use remit_drift::{
    CalibrationLimits, Chart, Counts, Edges, Histogram, Memory, Moments, Observation, RateLimits, Sample, Scored,
    ShareLimits, Statistic, Thresholds, Units, Verdict, among_many, calibration, compare, prediction_limits, ratios,
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
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
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

/// Weeks of a rate whose days differ, also by the day of the week, before and during a pilot that multiplies it by `by`.
fn pilot(chance: &mut Chance, (before, during): (u32, u32), by: f64) -> bool {
    let mut weeks = |weeks: u32, by: f64| {
        let mut units = Units::default();
        for _ in 0..weeks {
            let (mut won, mut trials) = (0, 0);
            for day in 0..7 {
                let of = if day < 5 { 360 } else { 100 };
                let rate = (if day < 5 { 0.21 } else { 0.11 } + 0.01 * chance.normal()) * by;
                (won, trials) = (won + chance.successes(of, rate), trials + u64::from(of));
            }
            units.add(i128::from(won) * 1_000_000, i128::from(trials) * 1_000_000);
        }
        units
    };
    let (before, during) = (weeks(before, 1.0), weeks(during, by));
    ratios(&during, &before, 0.05).is_some_and(|found| found.test.p_value < 0.05)
}

/// Drift of one signal as another statistic sees it.
fn drifts_by(chance: &mut Chance, statistic: Statistic, n: u32, shift: f64) -> bool {
    let (window, baseline) = (chance.scores(n, shift), chance.scores(n, 0.0));
    let binned = Histogram::in_quantiles_of(&window, &baseline, 10);
    let found = binned.and_then(|(window, baseline)| compare(&window, &baseline));
    let (moderate, significant) = statistic.usual();
    alarms(Thresholds { statistic, moderate, significant, ..Thresholds::default() }.verdict(found.as_ref()))
}

/// Signals of which the first has drifted: whether any other is found, and whether it is.
fn many(chance: &mut Chance, signals: u32, shift: f64) -> (bool, bool) {
    let found: Vec<(bool, f64)> = (0..signals)
        .map(|signal| {
            let shift = if signal == 0 { shift } else { 0.0 };
            let (window, baseline) = (chance.scores(300, shift), chance.scores(300, 0.0));
            let binned = Histogram::in_quantiles_of(&window, &baseline, 10);
            let found = binned.and_then(|(window, baseline)| compare(&window, &baseline));
            let alarm = alarms(Thresholds::default().verdict(found.as_ref()));
            (alarm, found.map_or(1.0, |found| Thresholds::p_value(&found)))
        })
        .collect();
    let adjusted = among_many(&found.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    let kept: Vec<bool> = found.iter().zip(adjusted).map(|((alarm, _), p)| *alarm && p <= 0.01).collect();
    (kept[1..].contains(&true), kept[0])
}

/// Scores and outcomes of a model whose logits are wrong by `off`, or whose scores are upside down.
fn miscalibrated(chance: &mut Chance, n: u32, off: f64, inverted: bool) -> bool {
    let mut all = [(); 2].map(|()| (Histogram::new(Edges::score()), Moments::default()));
    for _ in 0..n {
        let logit = chance.normal() - 1.0;
        let share = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        let score = if inverted { share(-logit - 2.0) } else { share(logit + off) };
        let came = chance.uniform() < share(logit);
        let (histogram, moments) = &mut all[usize::from(came)];
        histogram.add(score);
        moments.add(Moments::fixed(score));
    }
    let [stayed, came] = &all;
    let found = calibration(
        Scored { histogram: &came.0, moments: &came.1 },
        Scored { histogram: &stayed.0, moments: &stayed.1 },
    );
    alarms(CalibrationLimits::default().judge(found.as_ref()).0)
}

/// Whether a chart begins to fire in one of the periods from `before` on. What fired by then is of another change.
fn begins(mut chart: Chart, before: usize, all: impl Iterator<Item = Observation>) -> bool {
    let mut began = false;
    for (at, seen) in all.enumerate() {
        chart.take(&seen);
        let fires = chart.standing().is_some_and(|found| found.shift.is_some());
        if at + 1 == before && fires {
            return false;
        }
        began |= at >= before && fires;
    }
    began
}

fn charted(chance: &mut Chance, memory: Memory, (before, after): (usize, usize), shift: f64) -> bool {
    let all = (0..before + after).map(|at| Observation {
        value: chance.normal() + if at < before { 0.0 } else { shift },
        weight: 1.0,
        class: 0,
    });
    begins(Chart::new(memory, 1), before, all)
}

/// The same by the day of the week, of which two are low.
fn weekly(chance: &mut Chance, shift: f64) -> bool {
    let all = (0..110).map(|day| {
        let low = if day % 7 < 5 { 100.0 } else { 20.0 };
        let off = if day < 100 { 0.0 } else { shift };
        Observation { value: low + chance.normal() + off, weight: 1.0, class: day % 7 }
    });
    begins(Chart::new(Memory::Cusum, 7), 100, all)
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
    Case {
        verdict: "drift by Hellinger",
        months: "unchanged, 200 against 200",
        level: Some(0.01),
        flags: |c| drifts_by(c, Statistic::Hellinger, 200, 0.0),
    },
    Case {
        verdict: "drift by Kolmogorov-Smirnov",
        months: "unchanged, 200 against 200",
        level: Some(0.01),
        flags: |c| drifts_by(c, Statistic::KolmogorovSmirnov, 200, 0.0),
    },
    Case {
        verdict: "drift by Jensen-Shannon",
        months: "0.6 standard deviations up, 300 against 300",
        level: None,
        flags: |c| drifts_by(c, Statistic::JensenShannon, 300, 0.6),
    },
    Case {
        verdict: "drift by Wasserstein, normed",
        months: "0.6 standard deviations up, 300 against 300",
        level: None,
        flags: |c| drifts_by(c, Statistic::WassersteinNormed, 300, 0.6),
    },
    Case {
        verdict: "pilot, change",
        months: "unchanged, six weeks before and six during",
        level: Some(0.05),
        flags: |c| pilot(c, (6, 6), 1.0),
    },
    Case {
        verdict: "pilot, change",
        months: "unchanged, eight weeks before and six during",
        level: Some(0.05),
        flags: |c| pilot(c, (8, 6), 1.0),
    },
    Case {
        verdict: "pilot, change",
        months: "10% more, six weeks of about 2,000 trials at 0.20",
        level: None,
        flags: |c| pilot(c, (6, 6), 1.1),
    },
    Case {
        verdict: "20 signals (Benjamini-Hochberg)",
        months: "any of 20 unchanged, 300 against 300",
        level: Some(0.01),
        flags: |c| {
            let (others, first) = many(c, 20, 0.0);
            others || first
        },
    },
    Case {
        verdict: "20 signals (Benjamini-Hochberg)",
        months: "the one of 20 that is 0.6 standard deviations up",
        level: None,
        flags: |c| many(c, 20, 0.6).1,
    },
    Case {
        verdict: "100 signals (of which 20 count)",
        months: "the one of 100 that is 0.6 standard deviations up",
        level: None,
        flags: |c| many(c, 100, 0.6).1,
    },
    Case {
        verdict: "calibration",
        months: "scores are chances, n 100",
        level: Some(0.01),
        flags: |c| miscalibrated(c, 100, 0.0, false),
    },
    Case {
        verdict: "calibration",
        months: "scores are chances, n 2,000",
        level: Some(0.01),
        flags: |c| miscalibrated(c, 2_000, 0.0, false),
    },
    Case {
        verdict: "calibration",
        months: "about 0.14 too high, n 500",
        level: None,
        flags: |c| miscalibrated(c, 500, 0.8, false),
    },
    Case {
        verdict: "calibration",
        months: "inverted with the right mean, n 200",
        level: None,
        flags: |c| miscalibrated(c, 200, 0.0, true),
    },
    Case {
        verdict: "shift, CUSUM",
        months: "stable, 10 more periods after 50",
        level: Some(10.0 / 370.0),
        flags: |c| charted(c, Memory::Cusum, (50, 10), 0.0),
    },
    Case {
        verdict: "shift, CUSUM",
        months: "stable, 10 more periods after 190",
        level: Some(10.0 / 370.0),
        flags: |c| charted(c, Memory::Cusum, (190, 10), 0.0),
    },
    Case {
        verdict: "shift, CUSUM",
        months: "2 sigma up, within 8 periods after 50",
        level: None,
        flags: |c| charted(c, Memory::Cusum, (50, 8), 2.0),
    },
    Case {
        verdict: "shift, CUSUM",
        months: "1 sigma up, within 20 periods after 100",
        level: None,
        flags: |c| charted(c, Memory::Cusum, (100, 20), 1.0),
    },
    Case {
        verdict: "shift, CUSUM",
        months: "stable weeks with low weekends, 10 more days after 100",
        level: Some(10.0 / 370.0),
        flags: |c| weekly(c, 0.0),
    },
    Case {
        verdict: "shift, CUSUM",
        months: "2 sigma up in such weeks, within 10 days after 100",
        level: None,
        flags: |c| weekly(c, 2.0),
    },
    Case {
        verdict: "shift, EWMA",
        months: "stable, 10 more periods after 190",
        level: Some(10.0 / 370.0),
        flags: |c| charted(c, Memory::Ewma, (190, 10), 0.0),
    },
    Case {
        verdict: "shift, EWMA",
        months: "1 sigma up, within 20 periods after 100",
        level: None,
        flags: |c| charted(c, Memory::Ewma, (100, 20), 1.0),
    },
    Case {
        verdict: "experiment, fixed horizon",
        months: "0.10 in both arms, 200 units each",
        level: Some(0.05),
        flags: |c| experiments::fixed(c, 200, 0.10, 0.10),
    },
    Case {
        verdict: "experiment, fixed horizon",
        months: "0.10 against 0.15, the 726 units each of the plan",
        level: None,
        flags: |c| experiments::fixed(c, 726, 0.10, 0.15),
    },
    Case {
        verdict: "experiment, at any time",
        months: "0.10 in both arms, a look every 50 units from 100 to 1,000 each",
        level: Some(0.05),
        flags: |c| experiments::anytime(c, 0.10, 0.10),
    },
    Case {
        verdict: "experiment, at any time",
        months: "0.10 against 0.17, the same looks",
        level: None,
        flags: |c| experiments::anytime(c, 0.10, 0.17),
    },
    Case {
        verdict: "experiment, ratio of users",
        months: "clicks of 20 views a user, 100 users each, no difference",
        level: Some(0.05),
        flags: experiments::clicks,
    },
    Case {
        verdict: "experiment, CUPED",
        months: "0.8 explained by before, 100 units each, no difference",
        level: Some(0.05),
        flags: |c| experiments::covaried(c, 100, 0.0),
    },
    Case {
        verdict: "experiment, CUPED",
        months: "0.8 explained by before, 100 units each, 0.3 sigma up",
        level: None,
        flags: |c| experiments::covaried(c, 100, 0.3),
    },
];

/// The share of `draws` months that a case flags.
pub fn rate(case: &Case, draws: u32) -> f64 {
    let mut chance = Chance(20_261_128);
    f64::from((0..draws).map(|_| u32::from((case.flags)(&mut chance))).sum::<u32>()) / f64::from(draws)
}
