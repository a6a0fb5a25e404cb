//! Whether scores are the chances that they claim to be, once outcomes are known.

use crate::histogram::Histogram;
use crate::inference::{Interval, TestResult, is_chance};
use crate::moments::Moments;
use crate::special::{chi_square_power, chi_square_upper, normal_quantile, normal_two_sided};
use crate::verdict::Verdict;

/// The bins of a reliability diagram.
const BINS: u64 = 10;
/// The least expected outcomes of each sort in a bin of the test.
const EXPECTED: f64 = 5.0;
/// The least outcomes of each sort for a statement on their order.
const OF_EACH: u64 = 10;

/// The scores of those whose outcome was the same.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// Their histogram over fine bins in [0, 1], such as [`crate::Edges::score`].
    pub histogram: &'a Histogram,
    /// Their exact sums.
    pub moments: &'a Moments,
}

/// A bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reliability {
    /// Scores in the bin.
    pub n: u64,
    /// Their mean: the share of outcomes that was promised.
    pub promised: f64,
    /// The share of outcomes that came.
    pub came: f64,
}

/// How scores and outcomes agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Scores with an outcome.
    pub n: u64,
    /// Those whose outcome came.
    pub positives: u64,
    /// The mean square of outcome minus score, exactly (Brier, Monthly Weather Review 78, 1950).
    pub brier: f64,
    /// The mean of minus the logarithm of the chance that was given to what came, at the middle of the fine bins.
    pub log_loss: f64,
    /// The expected calibration error: the mean distance of promised and came over [`Calibration::bins`], weighted by n
    /// (Naeini, Cooper and Hauskrecht, AAAI 2015).
    pub ece: f64,
    /// What [`Calibration::ece`] would be on average of a calibrated model: chance makes small samples look wrong.
    pub ece_expected: f64,
    /// Up to ten bins of nearly equal numbers of scores.
    pub bins: Vec<Reliability>,
    /// The chance that one whose outcome came was scored above one whose did not, ties half: the area under the ROC curve.
    /// `None` without both sorts.
    pub auc: Option<f64>,
    /// The interval of it at 0.95 (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).
    pub auc_interval: Option<Interval>,
    /// The test of the null that the scores are the chances: chi-square over the bins, none of whose degrees of freedom is
    /// used up, since nothing is fitted (Hosmer and Lemeshow 1980, on new data).
    pub fit: TestResult,
    /// The one-sided test of the null that scores do not fall with the outcome (Mann and Whitney 1947, with ties): a small p
    /// value says that the model is inverted. `None` with fewer than ten of either sort.
    pub inverted: Option<TestResult>,
}

/// Holds scores against outcomes. `None` without scores, or over edges that differ.
pub fn calibration(positives: Scored<'_>, negatives: Scored<'_>) -> Option<Calibration> {
    let (came, stayed) = (positives.histogram, negatives.histogram);
    let n = came.n() + stayed.n();
    if n == 0 || came.edges() != stayed.edges() {
        return None;
    }
    let fine = fine(came, stayed);
    // (1 - s)^2 summed over those that came, s^2 over the others.
    let misses = positives.moments.n as f64 - 2.0 * positives.moments.total() + squares(positives.moments);
    let brier = (misses + squares(negatives.moments)) / n as f64;
    let log_loss =
        fine.iter().map(|bin| -(bin.came * bin.score.ln() + bin.stayed * (1.0 - bin.score).ln())).sum::<f64>();
    let groups = grouped(&fine, n);
    let bins: Vec<Reliability> = groups
        .iter()
        .map(|bin| Reliability { n: bin.n() as u64, promised: bin.promised / bin.n(), came: bin.came / bin.n() })
        .collect();
    let off = |bin: &Reliability| bin.n as f64 / n as f64 * (bin.promised - bin.came).abs();
    // The mean of the magnitude of a normal variable is its standard deviation times the root of 2 / pi.
    let by_chance = |bin: &Group| (std::f64::consts::FRAC_2_PI * bin.variance).sqrt() / n as f64;
    let (auc, auc_interval, inverted) = order(&fine, came.n(), stayed.n());
    Some(Calibration {
        n,
        positives: came.n(),
        brier,
        log_loss: log_loss / n as f64,
        ece: bins.iter().map(off).sum(),
        ece_expected: groups.iter().map(by_chance).sum(),
        bins,
        auc,
        auc_interval,
        fit: fit(&groups),
        inverted,
    })
}

/// The sum of squares, in the unit of the values.
fn squares(moments: &Moments) -> f64 {
    moments.squares as f64 / 1e12
}

/// A fine bin: its middle, and how many came and stayed away.
struct Fine {
    score: f64,
    came: f64,
    stayed: f64,
}

fn fine(came: &Histogram, stayed: &Histogram) -> Vec<Fine> {
    let edges = came.edges().as_slice();
    let last = edges.len() - 1;
    let middle = |slot: usize| match slot {
        0 => edges[0],
        slot if slot > last => edges[last],
        slot => f64::midpoint(edges[slot - 1], edges[slot]),
    };
    let both = came.slots().iter().zip(stayed.slots()).enumerate();
    both.filter(|(_, (came, stayed))| **came + **stayed > 0)
        .map(|(slot, (came, stayed))| Fine {
            // A chance of exactly 0 or 1 has no logarithm.
            score: middle(slot).clamp(1e-6, 1.0 - 1e-6),
            came: *came as f64,
            stayed: *stayed as f64,
        })
        .collect()
}

/// Neighbouring fine bins together.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    came: f64,
    stayed: f64,
    /// The sum of the scores.
    promised: f64,
    /// The variance of the number that comes, if the scores are chances.
    variance: f64,
}

impl Group {
    fn n(&self) -> f64 {
        self.came + self.stayed
    }

    fn add(&mut self, other: &Self) {
        self.came += other.came;
        self.stayed += other.stayed;
        self.promised += other.promised;
        self.variance += other.variance;
    }
}

/// Up to ten groups that hold nearly equal numbers of scores.
fn grouped(fine: &[Fine], n: u64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let (mut open, mut below) = (Group::default(), 0.0);
    for bin in fine {
        let count = bin.came + bin.stayed;
        let (promised, variance) = (bin.score * count, bin.score * (1.0 - bin.score) * count);
        open.add(&Group { came: bin.came, stayed: bin.stayed, promised, variance });
        below += count;
        if below * BINS as f64 >= (groups.len() + 1) as f64 * n as f64 {
            groups.push(std::mem::take(&mut open));
        }
    }
    if open.n() > 0.0 {
        groups.push(open);
    }
    groups
}

fn fit(groups: &[Group]) -> TestResult {
    let mut tested: Vec<Group> = Vec::new();
    let mut open = Group::default();
    for group in groups {
        open.add(group);
        if open.promised.min(open.n() - open.promised) >= EXPECTED {
            tested.push(std::mem::take(&mut open));
        }
    }
    match tested.last_mut() {
        Some(last) => last.add(&open),
        None => tested.push(open),
    }
    let part = |group: &Group| (group.came - group.promised).powi(2) / group.variance;
    let statistic = tested.iter().filter(|group| group.variance > 0.0).map(part).sum();
    let degrees_of_freedom = tested.len() as f64;
    let p_value = chi_square_upper(statistic, degrees_of_freedom);
    TestResult { method: "Hosmer-Lemeshow", statistic, degrees_of_freedom, p_value }
}

/// The area under the ROC curve with its interval, and the test that it is at least a half.
fn order(fine: &[Fine], came: u64, stayed: u64) -> (Option<f64>, Option<Interval>, Option<TestResult>) {
    let (p, q) = (came as f64, stayed as f64);
    if came == 0 || stayed == 0 {
        return (None, None, None);
    }
    let (mut came_below, mut stayed_below, mut auc) = (0.0, 0.0, 0.0);
    let (mut squares_came, mut squares_stayed, mut ties) = (0.0, 0.0, 0.0);
    for bin in fine {
        // The shares of the other sort that this bin is on the right side of, ties half.
        let (right_came, right_stayed) = ((stayed_below + bin.stayed / 2.0) / q, (p - came_below - bin.came / 2.0) / p);
        auc += bin.came * right_came / p;
        squares_came += bin.came * right_came * right_came;
        squares_stayed += bin.stayed * right_stayed * right_stayed;
        came_below += bin.came;
        stayed_below += bin.stayed;
        let tied = bin.came + bin.stayed;
        ties += tied.mul_add(tied * tied, -tied);
    }
    let spread = |squares: f64, n: f64| ((squares - n * auc * auc) / (n - 1.0) / n).max(0.0);
    let interval = (came >= OF_EACH && stayed >= OF_EACH).then(|| {
        let half = normal_quantile(0.975) * (spread(squares_came, p) + spread(squares_stayed, q)).sqrt();
        Interval { lower: (auc - half).max(0.0), upper: (auc + half).min(1.0), level: 0.95 }
    });
    let n = p + q;
    let variance = (n + 1.0 - ties / (n * (n - 1.0))) / (12.0 * p * q);
    let inverted = (came >= OF_EACH && stayed >= OF_EACH && variance > 0.0).then(|| {
        let statistic = (auc - 0.5) / variance.sqrt();
        let half = normal_two_sided(statistic) / 2.0;
        let p_value = if statistic < 0.0 { half } else { 1.0 - half };
        TestResult { method: "Mann-Whitney, one-sided", statistic, degrees_of_freedom: 0.0, p_value }
    });
    (Some(auc), interval, inverted)
}

/// The least departures of scores from chances that matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationLimits {
    /// The calibration error beyond that of chance from which a departure is moderate.
    pub moderate: f64,
    /// The same from which it is significant.
    pub significant: f64,
    /// The area under the curve up to which an inverted model is significant.
    pub inverted: f64,
    /// The chance of any verdict of a calibrated model, at most.
    pub level: f64,
    /// The least number of scores with an outcome.
    pub min_n: u64,
}

impl Default for CalibrationLimits {
    /// 0.05 and 0.10; 0.45; 0.01; 100.
    fn default() -> Self {
        Self { moderate: 0.05, significant: 0.10, inverted: 0.45, level: 0.01, min_n: 100 }
    }
}

impl CalibrationLimits {
    /// Judges a model: two tests share the level, that the scores are the chances, and that they do not fall with the
    /// outcome. Returns the verdict with the p value of both together; `None` stands for no outcomes.
    ///
    /// What is not rejected is [`Verdict::None`] only where an error of [`Self::significant`] is found in four of five.
    pub fn judge(&self, found: Option<&Calibration>) -> (Verdict, Option<f64>) {
        let Some(found) = found.filter(|found| found.n >= self.min_n.max(1)) else {
            return (Verdict::InsufficientData, None);
        };
        let level = self.level / 2.0;
        let order = found.inverted.map_or(1.0, |test| test.p_value);
        let p_value = (2.0 * found.fit.p_value.min(order)).min(1.0);
        let error = (found.ece - found.ece_expected).max(0.0);
        let misfits = found.fit.p_value < level;
        let inverted = order < level && found.auc.is_some_and(|auc| auc <= self.inverted);
        let verdict = if inverted || (misfits && error >= self.significant) {
            Verdict::Significant
        } else if misfits && error >= self.moderate {
            Verdict::Moderate
        } else if self.finds(found) {
            Verdict::None
        } else {
            Verdict::InsufficientData
        };
        (verdict, Some(p_value))
    }

    fn finds(&self, found: &Calibration) -> bool {
        let share = (found.positives as f64 + 0.5) / (found.n as f64 + 1.0);
        let shift = found.n as f64 * self.significant.powi(2) / (share * (1.0 - share));
        is_chance(self.level) && chi_square_power(shift, found.fit.degrees_of_freedom, self.level / 2.0) >= 0.8
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::histogram::Edges;

    fn of(scores: &[f64]) -> (Histogram, Moments) {
        let mut moments = Moments::default();
        scores.iter().for_each(|score| moments.add(Moments::fixed(*score)));
        (Histogram::of(Edges::score(), scores.iter().copied()), moments)
    }

    fn scored((histogram, moments): &(Histogram, Moments)) -> Scored<'_> {
        Scored { histogram, moments }
    }

    fn found(came: &[f64], stayed: &[f64]) -> Calibration {
        calibration(scored(&of(came)), scored(&of(stayed))).unwrap()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
    }

    /// Worked by hand: scores .8 and .4 came, .4 and .2 did not.
    #[test]
    fn four_leads_by_hand() {
        let found = found(&[0.8, 0.4], &[0.4, 0.2]);
        assert_eq!((found.n, found.positives), (4, 2));
        close(found.brier, (0.04 + 0.36 + 0.16 + 0.04) / 4.0);
        close(found.auc.unwrap(), 3.5 / 4.0);
        assert_eq!((found.auc_interval, found.inverted), (None, None));
        let middle = |s: f64| s - 0.005;
        let loss = -(middle(0.8).ln() + middle(0.4).ln() + (1.0 - middle(0.4)).ln() + (1.0 - middle(0.2)).ln()) / 4.0;
        close(found.log_loss, loss);
    }

    /// A score of .9 for those who stay away: the mean of outcome minus score is near 0, and every order is wrong.
    #[test]
    fn an_inverted_model_is_found() {
        let wrong = |n: usize| found(&vec![0.1; n / 2], &vec![0.9; n / 2]);
        let judge = |found: &Calibration| CalibrationLimits::default().judge(Some(found)).0;
        let inverted = wrong(200);
        close(inverted.auc.unwrap(), 0.0);
        assert_eq!(judge(&inverted), Verdict::Significant);
        assert_eq!(judge(&wrong(98)), Verdict::InsufficientData);
        // Of each ten scored .1 one comes, of each ten scored .9 nine do.
        let right = found(&[vec![0.1; 40], vec![0.9; 360]].concat(), &[vec![0.1; 360], vec![0.9; 40]].concat());
        assert_eq!(judge(&right), Verdict::None);
        assert!(right.fit.p_value > 0.5 && right.auc_interval.unwrap().lower > 0.8);
        // All scored .5 say nothing of the order, and are calibrated.
        let flat = found(&[0.5; 200], &[0.5; 200]);
        assert_eq!((flat.auc, judge(&flat)), (Some(0.5), Verdict::None));
        let high = found(&[0.5; 120], &[0.5; 280]);
        assert_eq!(judge(&high), Verdict::Significant);
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let (some, none) = (of(&[0.5]), of(&[]));
        assert!(calibration(scored(&none), scored(&none)).is_none());
        assert_eq!(calibration(scored(&some), scored(&none)).unwrap().auc, None);
        assert_eq!(CalibrationLimits::default().judge(None), (Verdict::InsufficientData, None));
    }
}
