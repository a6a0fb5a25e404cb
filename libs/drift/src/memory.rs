//! Charts that remember: a lasting shift too small for one period to show adds up.

use crate::special::{normal_quantile, student_two_sided};

/// The allowance and the limit of the CUSUM in standard deviations: in control an alarm every 465 periods on average, a
/// shift of one standard deviation found after 10.4 and one of two after 4.0 (Montgomery, "Introduction to statistical
/// quality control", 7th edition, table 9.3).
const ALLOWANCE: f64 = 0.5;
const DECISION: f64 = 5.0;
/// Weight and limit of the EWMA: 500 in control, 10.3 at a shift of one (Lucas and Saccucci, Technometrics 32, 1990; in
/// Montgomery table 9.11).
const WEIGHT: f64 = 0.10;
const WIDTH: f64 = 2.814;
/// One period says no more than this, so that a single outlier is no shift (the robust CUSUM of Lucas and Crosier, 1982).
const MOST: f64 = 4.0;
/// Fewer periods than this with a score say nothing.
const LEAST: usize = 20;
/// The part of the limit below which a shift is over.
const OVER: f64 = 0.5;

/// How earlier periods are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The cumulative sum of what exceeds half a standard deviation (Page, Biometrika 41, 1954).
    Cusum,
    /// The exponentially weighted moving average (Roberts, Technometrics 1, 1959).
    Ewma,
}

/// What a period measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The value.
    pub value: f64,
    /// How much it weighs: the trials of a share, else 1. The variance of a value is inverse to it.
    pub weight: f64,
    /// Which periods it is like, such as the day of its week: only these are its baseline. Below 31.
    pub class: usize,
}

/// Where a chart stands after its last period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The statistic of the side that is further out, in standard deviations.
    pub statistic: f64,
    /// The limit of it.
    pub limit: f64,
    /// The shift that lasts, if there is one.
    pub shift: Option<Shift>,
}

/// A shift that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Whether the values went up.
    pub up: bool,
    /// The position of the first period that is shifted, as far as can be told.
    pub since: usize,
}

/// The weighted mean and variance of the periods of one class so far.
#[derive(Debug, Clone, Copy, Default)]
struct Learned {
    n: f64,
    weight: f64,
    mean: f64,
    squares: f64,
}

impl Learned {
    /// How unusual a value is after these, as a standard normal variable. The weighted difference from their mean is
    /// Student's t if all come from one normal process, whatever its mean and variance, and does not depend on the scores
    /// before (Hawkins, "Self-starting CUSUM charts for location and scale", The Statistician 36, 1987): so that the
    /// average run lengths of known parameters hold, however short the history.
    fn score(&self, seen: &Observation) -> Option<f64> {
        if self.n < 2.0 {
            return None;
        }
        // A constant process is known to its last digits only.
        let squares = self.squares.max(1e-18 * self.mean * self.mean * self.weight).max(f64::MIN_POSITIVE);
        let error = (squares / (self.n - 1.0) * (1.0 / seen.weight + 1.0 / self.weight)).sqrt();
        let t = (seen.value - self.mean) / error;
        let tail = student_two_sided(t, self.n - 1.0).clamp(1e-12, 1.0);
        Some((normal_quantile(1.0 - tail / 2.0).min(MOST)).copysign(t))
    }

    fn learn(&mut self, seen: &Observation) {
        self.n += 1.0;
        self.weight += seen.weight;
        let off = seen.value - self.mean;
        self.mean += off * seen.weight / self.weight;
        self.squares += seen.weight * off * (seen.value - self.mean);
    }
}

/// One side of a chart.
#[derive(Debug, Clone)]
struct Side {
    sign: f64,
    statistic: f64,
    /// What was known when the statistic last said nothing, and the position of the period after.
    before: (Vec<Learned>, usize),
}

/// A chart that takes one period after the other.
///
/// Mean and variance are learned on the way. From a shift on nothing more is learned, and what was learned since it began is
/// forgotten, so that it stays a shift until the values come back.
#[derive(Debug, Clone)]
pub struct Chart {
    memory: Memory,
    learned: Vec<Learned>,
    sides: [Side; 2],
    shift: Option<Shift>,
    /// Periods taken, those of them with a score, and those since the chart last began anew.
    taken: usize,
    scored: usize,
    since_start: i32,
    limit: f64,
}

impl Chart {
    /// A chart of periods of so many classes, at most 31.
    pub fn new(memory: Memory, classes: usize) -> Self {
        let learned = vec![Learned::default(); classes.clamp(1, 31)];
        let sides = [1.0, -1.0].map(|sign| Side { sign, statistic: 0.0, before: (learned.clone(), 0) });
        Self { memory, learned, sides, shift: None, taken: 0, scored: 0, since_start: 0, limit: DECISION }
    }

    /// Takes the next period, whose value and weight are finite, and its weight above 0.
    pub fn take(&mut self, seen: &Observation) {
        self.taken += 1;
        let class = seen.class.min(self.learned.len() - 1);
        let Some(score) = self.learned[class].score(seen) else {
            self.learned[class].learn(seen);
            return;
        };
        (self.scored, self.since_start) = (self.scored + 1, self.since_start.saturating_add(1));
        self.limit = limit(self.memory, self.since_start);
        for side in &mut self.sides {
            let score = side.sign * score;
            side.statistic = match self.memory {
                Memory::Cusum => (side.statistic + score - ALLOWANCE).clamp(0.0, self.limit),
                Memory::Ewma => WEIGHT.mul_add(score - side.statistic, side.statistic),
            };
        }
        match self.shift {
            Some(shift) => self.recover(shift),
            None => self.watch(class, seen),
        }
    }

    /// Begins anew once the values are back.
    fn recover(&mut self, shift: Shift) {
        let back = |side: &Side| (side.sign > 0.0) == shift.up && side.statistic < OVER * self.limit;
        if self.sides.iter().any(back) {
            (self.shift, self.since_start) = (None, 0);
            let before = (self.learned.clone(), self.taken);
            self.sides.iter_mut().for_each(|side| (side.statistic, side.before) = (0.0, before.clone()));
        }
    }

    /// Learns from a period, and looks whether a shift has added up.
    fn watch(&mut self, class: usize, seen: &Observation) {
        self.learned[class].learn(seen);
        for side in self.sides.iter_mut().filter(|side| side.statistic <= 0.0) {
            side.before = (self.learned.clone(), self.taken);
        }
        if let Some(side) = self.sides.iter().find(|side| side.statistic >= self.limit) {
            self.shift = Some(Shift { up: side.sign > 0.0, since: side.before.1 });
            // Of a class that was not known by then, what is known now has to do.
            let forget = |(now, then): (&Learned, &Learned)| if then.n < 2.0 { *now } else { *then };
            self.learned = self.learned.iter().zip(&side.before.0).map(forget).collect();
        }
    }

    /// Where it stands; `None` with fewer than twenty periods that have a score.
    pub fn standing(&self) -> Option<Standing> {
        let statistic = self.sides.iter().map(|side| side.statistic).fold(0.0, f64::max);
        let standing = Standing { statistic, limit: self.limit, shift: self.shift };
        (self.scored >= LEAST).then_some(standing)
    }
}

/// What the last of `observations` say, the oldest first: `None` with fewer than twenty that have a score, or with one that
/// is not finite.
pub fn standing(observations: &[Observation], memory: Memory) -> Option<Standing> {
    let sound = |one: &Observation| one.value.is_finite() && one.weight.is_finite() && one.weight > 0.0;
    if !observations.iter().all(sound) {
        return None;
    }
    let mut chart = Chart::new(memory, observations.iter().map(|one| one.class).max()? + 1);
    observations.iter().for_each(|one| chart.take(one));
    chart.standing()
}

fn limit(memory: Memory, periods: i32) -> f64 {
    match memory {
        Memory::Cusum => DECISION,
        Memory::Ewma => {
            let known = 1.0 - (1.0 - WEIGHT).powi(2 * periods.clamp(1, 1_000));
            WIDTH * (WEIGHT / (2.0 - WEIGHT) * known).sqrt()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Values that swing about `mean` with a standard deviation near 1.
    fn swing(n: u32, mean: f64) -> impl Iterator<Item = Observation> {
        let off = [0.9, -1.2, 0.3, 1.1, -0.4, -1.0, 0.6, -0.3];
        (0..n as usize).map(move |i| Observation { value: mean + off[i % off.len()], weight: 1.0, class: 0 })
    }

    fn shift(parts: &[(u32, f64)], memory: Memory) -> Option<Shift> {
        let all: Vec<_> = parts.iter().flat_map(|(n, mean)| swing(*n, *mean)).collect();
        standing(&all, memory).unwrap().shift
    }

    #[test]
    fn a_lasting_shift_is_found_stays_found_and_ends_with_recovery() {
        for memory in [Memory::Cusum, Memory::Ewma] {
            assert_eq!(shift(&[(48, 10.0)], memory), None);
            let up = shift(&[(48, 10.0), (8, 12.0)], memory).unwrap();
            assert!(up.up && (46..=50).contains(&up.since), "{memory:?} {up:?}");
            assert!(!shift(&[(48, 10.0), (8, 8.0)], memory).unwrap().up);
            assert_eq!(
                shift(&[(48, 10.0), (120, 12.0)], memory).unwrap().since,
                up.since,
                "the window swallows nothing"
            );
            assert_eq!(shift(&[(48, 10.0), (16, 12.0), (40, 10.0)], memory), None);
        }
    }

    #[test]
    fn one_outlier_is_no_shift_and_a_constant_is_known_to_its_last_digits() {
        let mut once: Vec<_> = swing(48, 10.0).collect();
        once.push(Observation { value: 1_000.0, ..once[0] });
        assert_eq!(standing(&once, Memory::Cusum).unwrap().shift, None);
        let of = |value| Observation { value, weight: 1.0, class: 0 };
        let tenths = [vec![of(0.1); 20], vec![of(0.1 + 0.2 - 0.2); 20]].concat();
        assert_eq!(standing(&tenths, Memory::Cusum).unwrap().shift, None);
        let more = [vec![of(0.1); 40], vec![of(0.11); 3]].concat();
        assert!(standing(&more, Memory::Cusum).unwrap().shift.unwrap().up);
    }

    #[test]
    fn a_weekend_is_compared_with_weekends() {
        let day = |i: usize| {
            let low = if i % 7 < 5 { 100.0 } else { 10.0 };
            Observation { value: low + [0.5, -0.7, 0.2, -0.1][i % 4], weight: 1.0, class: i % 7 }
        };
        let weeks: Vec<_> = (0..70).map(day).collect();
        assert_eq!(standing(&weeks, Memory::Cusum).unwrap().shift, None);
        let quiet: Vec<_> =
            weeks.iter().copied().chain((70..77).map(|i| Observation { value: 8.0, ..day(i) })).collect();
        assert!(!standing(&quiet, Memory::Cusum).unwrap().shift.unwrap().up);
    }

    #[test]
    fn too_few_periods_and_holes_say_nothing() {
        let few: Vec<_> = swing(21, 0.0).collect();
        assert_eq!(standing(&few, Memory::Cusum), None);
        assert!(standing(&swing(22, 0.0).collect::<Vec<_>>(), Memory::Cusum).is_some());
        let hole = [few, vec![Observation { value: f64::NAN, weight: 1.0, class: 0 }]].concat();
        assert_eq!((standing(&hole, Memory::Ewma), standing(&[], Memory::Ewma)), (None, None));
    }
}
