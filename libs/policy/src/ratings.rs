//! Several raters of one task: median, spread, and how well raters agree over an inventory.

use super::model::Direction;

/// What the raters of one axis say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The median; between two values the one that speaks for people.
    pub median: i32,
    /// Highest minus lowest.
    pub spread: i32,
    /// How many raters.
    pub raters: usize,
}

/// The spread from which raters have to talk before anything is decided (A3).
pub const RECONCILE_SPREAD: i32 = 2;

/// Sums up the ratings of one axis; none if there are none.
///
/// Of an even number of ratings the median lies between two; unknown means more human, so it is rounded down where a
/// higher rating speaks for AI and up where it speaks for people.
pub fn summarize(ratings: &[i32], direction: Direction) -> Option<Summary> {
    let mut sorted = ratings.to_vec();
    sorted.sort_unstable();
    let (low, high) = (sorted.get((sorted.len().checked_sub(1)?) / 2)?, sorted.get(sorted.len() / 2)?);
    let twice = low + high;
    let median = match direction {
        Direction::HigherFavoursAi => twice.div_euclid(2),
        Direction::HigherFavoursHuman => (twice + 1).div_euclid(2),
    };
    Some(Summary { median, spread: sorted.last()? - sorted.first()?, raters: sorted.len() })
}

/// Collects ratings of many tasks for Krippendorff's alpha with the interval metric, in constant memory.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    tasks: u64,
    ratings: f64,
    sum: f64,
    sum_of_squares: f64,
    within: f64,
}

impl Agreement {
    /// Adds the ratings of one task. Tasks with fewer than two raters say nothing about agreement.
    pub fn add(&mut self, ratings: &[i32]) {
        if ratings.len() < 2 {
            return;
        }
        let n = ratings.len() as f64;
        let sum: f64 = ratings.iter().map(|rating| f64::from(*rating)).sum();
        let squares: f64 = ratings.iter().map(|rating| f64::from(*rating).powi(2)).sum();
        self.tasks += 1;
        self.ratings += n;
        self.sum += sum;
        self.sum_of_squares += squares;
        // The sum of squared differences over ordered pairs is 2 (n Σx² - (Σx)²).
        self.within += 2.0 * (n * squares - sum * sum) / (n - 1.0);
    }

    /// How many tasks have several raters.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// Krippendorff's alpha: 1 for perfect agreement, 0 for chance. None if fewer than two tasks have several raters
    /// or all ratings are equal.
    ///
    /// # Source
    /// K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), interval metric.
    pub fn alpha(&self) -> Option<f64> {
        let n = self.ratings;
        let observed = self.within / n;
        let expected = 2.0 * (n * self.sum_of_squares - self.sum * self.sum) / (n * (n - 1.0));
        (self.tasks >= 2 && expected > 0.0).then(|| 1.0 - observed / expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_median_is_rounded_toward_people() {
        let median = |ratings: &[i32], direction| summarize(ratings, direction).map(|summary| summary.median);
        assert_eq!(median(&[3, 4], Direction::HigherFavoursAi), Some(3));
        assert_eq!(median(&[3, 4], Direction::HigherFavoursHuman), Some(4));
        assert_eq!(median(&[5, 1, 2], Direction::HigherFavoursAi), Some(2));
        assert_eq!(median(&[], Direction::HigherFavoursAi), None);
        assert_eq!(summarize(&[1, 3], Direction::HigherFavoursAi).map(|s| s.spread), Some(2));
    }

    /// Krippendorff (2011), example C: 12 units, 4 observers, values 1 to 5, missing data; interval alpha 0.849.
    #[test]
    fn alpha_is_krippendorffs() {
        let units: [&[i32]; 12] = [
            &[1, 1, 1],
            &[2, 2, 3, 2],
            &[3, 3, 3, 3],
            &[3, 3, 3, 3],
            &[2, 2, 2, 2],
            &[1, 2, 3, 4],
            &[4, 4, 4, 4],
            &[1, 1, 2, 1],
            &[2, 2, 2, 2],
            &[5, 5, 5],
            &[1, 1],
            &[3],
        ];
        let mut agreement = Agreement::default();
        units.iter().for_each(|ratings| agreement.add(ratings));
        assert!(agreement.alpha().is_some_and(|alpha| (alpha - 0.849).abs() < 0.0005), "{:?}", agreement.alpha());
        assert_eq!(Agreement::default().alpha(), None);
    }
}
