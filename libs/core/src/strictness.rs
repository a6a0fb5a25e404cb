//! Whether a change of rules makes them stricter or looser.
//!
//! Anyone responsible may tighten; loosening needs a mandate. So that policies, gates and thresholds mean the same by
//! the two words, each compares its parts in its own way and puts the answers together here: what is tighter in one
//! place and looser in another is both, and counts as a loosening.

use std::cmp::Ordering;
use std::fmt::Display;

/// What a change does to the strictness of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Nothing that anyone could notice in an outcome.
    #[default]
    Same,
    /// Everything stays as strict as it was, and something becomes stricter.
    Tightens,
    /// Everything stays as loose as it was, and something becomes looser.
    Loosens,
    /// Something becomes stricter and something looser.
    Mixed,
}

impl Direction {
    /// All directions, in the order of their values on the wire.
    pub const ALL: [Self; 4] = [Self::Same, Self::Tightens, Self::Loosens, Self::Mixed];

    /// The direction of a change of a value of which more is stricter, such as the share of results that people see:
    /// `Tightens` where it grows.
    pub fn more_is_stricter<T: PartialOrd>(before: &T, after: &T) -> Self {
        Self::of(after.partial_cmp(before))
    }

    /// The direction of a change of a value of which more is looser, such as the autonomy of AI: `Loosens` where it
    /// grows.
    pub fn more_is_looser<T: PartialOrd>(before: &T, after: &T) -> Self {
        Self::of(before.partial_cmp(after))
    }

    /// The direction of a requirement that is there or not: `Tightens` where it appears.
    pub fn required(before: bool, after: bool) -> Self {
        Self::more_is_stricter(&before, &after)
    }

    /// The direction of a change between things that are only ranked, of which a higher rank is looser. Two that are not
    /// the same and have one rank are each looser in their own way: that is both.
    pub fn by_looseness<T: PartialEq>(before: &T, after: &T, rank: impl Fn(&T) -> i32) -> Self {
        if before == after {
            return Self::Same;
        }
        match Self::more_is_looser(&rank(before), &rank(after)) {
            Self::Same => Self::Mixed,
            direction => direction,
        }
    }

    /// The direction of a change between things of which no program can say which is stricter: `Mixed` where they
    /// differ.
    pub fn unknown<T: PartialEq>(before: &T, after: &T) -> Self {
        if before == after { Self::Same } else { Self::Mixed }
    }

    /// The direction from how strict what comes after is, compared with what was before: `Greater` is stricter. What
    /// cannot be compared may be either, and is both.
    pub fn of(strictness: Option<Ordering>) -> Self {
        match strictness {
            Some(Ordering::Equal) => Self::Same,
            Some(Ordering::Greater) => Self::Tightens,
            Some(Ordering::Less) => Self::Loosens,
            None => Self::Mixed,
        }
    }

    /// The direction of a whole of which two parts go in these directions.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        match (self.tightens() || other.tightens(), self.loosens() || other.loosens()) {
            (false, false) => Self::Same,
            (true, false) => Self::Tightens,
            (false, true) => Self::Loosens,
            (true, true) => Self::Mixed,
        }
    }

    /// Whether anything becomes looser: then the change needs a mandate.
    pub fn loosens(self) -> bool {
        matches!(self, Self::Loosens | Self::Mixed)
    }

    /// Whether anything becomes stricter.
    pub fn tightens(self) -> bool {
        matches!(self, Self::Tightens | Self::Mixed)
    }

    /// The word on the wire, that of `remit.type.v1.StrictnessChange`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "SAME",
            Self::Tightens => "TIGHTENS",
            Self::Loosens => "LOOSENS",
            Self::Mixed => "MIXED",
        }
    }

    /// The direction of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.as_str() == word)
    }
}

impl FromIterator<Self> for Direction {
    /// The direction of the whole; `Same` for nothing.
    fn from_iter<I: IntoIterator<Item = Self>>(parts: I) -> Self {
        parts.into_iter().fold(Self::Same, Self::merge)
    }
}

/// How many parts a refusal names, and of how many characters of each.
const MOST_PARTS: usize = 5;
const LONGEST_PART: usize = 200;

/// What a change does, put together part by part, with what becomes looser in words: whoever is refused it learns what
/// there is to decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    direction: Direction,
    loosened: Vec<String>,
}

impl Comparison {
    /// Adds a part that goes in `direction`: its name, and what was and is.
    pub fn part(&mut self, name: &str, direction: Direction, before: impl Display, after: impl Display) {
        self.direction = self.direction.merge(direction);
        if direction.loosens() {
            self.loosened.push(format!("{name} from {before} to {after}"));
        }
    }

    /// The direction of the whole.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether anything becomes looser.
    pub fn loosens(&self) -> bool {
        self.direction.loosens()
    }

    /// What becomes looser, or may, in the order of its parts.
    pub fn loosened(&self) -> &[String] {
        &self.loosened
    }

    /// The same for the message of a refusal, which has to fit into a header: the first parts, and of long ones the
    /// beginning.
    pub fn summary(&self) -> String {
        let short = |part: &String| match part.char_indices().nth(LONGEST_PART) {
            Some((end, _)) => format!("{}…", &part[..end]),
            None => part.clone(),
        };
        let mut parts: Vec<String> = self.loosened.iter().take(MOST_PARTS).map(short).collect();
        let more = self.loosened.len().saturating_sub(MOST_PARTS);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::Comparison;
    use super::Direction::{self, Loosens, Mixed, Same, Tightens};

    #[test]
    fn a_whole_goes_where_its_parts_go() {
        for one in Direction::ALL {
            assert_eq!((one.merge(one), one.merge(Same), Same.merge(one)), (one, one, one));
            assert_eq!(one.merge(Mixed), Mixed);
        }
        assert_eq!((Tightens.merge(Loosens), Loosens.merge(Tightens)), (Mixed, Mixed));
        assert_eq!([Same, Tightens, Same].into_iter().collect::<Direction>(), Tightens);
        assert_eq!([Same, Tightens, Loosens].into_iter().collect::<Direction>(), Mixed);
        assert_eq!(std::iter::empty().collect::<Direction>(), Same);
    }

    #[test]
    fn values_are_compared_by_what_more_of_them_means() {
        let ratio = Direction::more_is_stricter;
        assert_eq!([ratio(&0.1, &0.5), ratio(&0.5, &0.1), ratio(&0.5, &0.5)], [Tightens, Loosens, Same]);
        let autonomy = Direction::more_is_looser;
        assert_eq!([autonomy(&1, &3), autonomy(&3, &1), autonomy(&2, &2)], [Loosens, Tightens, Same]);
        assert_eq!([Direction::required(false, true), Direction::required(true, false)], [Tightens, Loosens]);
        assert_eq!(ratio(&f64::NAN, &0.5), Mixed, "what cannot be compared may be looser");
    }

    #[test]
    fn what_is_only_ranked_is_looser_or_unlike() {
        let rank = |word: &&str| i32::from(*word == "free");
        let of = |before: &'static str, after: &'static str| Direction::by_looseness(&before, &after, rank);
        assert_eq!([of("a", "free"), of("free", "a"), of("a", "b"), of("a", "a")], [Loosens, Tightens, Mixed, Same]);
        assert_eq!([Direction::unknown(&1, &2), Direction::unknown(&1, &1)], [Mixed, Same]);
    }

    #[test]
    fn a_comparison_says_what_becomes_looser_and_nothing_else() {
        let mut change = Comparison::default();
        change.part("cap", Tightens, 5, 3);
        assert_eq!((change.loosens(), change.loosened().len()), (false, 0));
        change.part("limit", Loosens, 0.1, 0.2);
        change.part("title", Same, "a", "b");
        assert_eq!((change.direction(), change.loosened()), (Mixed, &["limit from 0.1 to 0.2".to_owned()][..]));
        for n in 0..9 {
            change.part("filter", Loosens, "é".repeat(1_000), n);
        }
        let summary = change.summary();
        assert!(summary.starts_with("limit from 0.1 to 0.2; filter from é") && summary.ends_with("; and 5 more"));
        assert!(summary.chars().count() < 1_000, "{summary}");
    }

    #[test]
    fn whatever_is_looser_in_one_place_is_looser() {
        assert_eq!(Direction::ALL.map(Direction::loosens), [false, false, true, true]);
        assert_eq!(Direction::ALL.map(Direction::tightens), [false, true, false, true]);
    }

    #[test]
    fn every_direction_has_a_word() {
        for direction in Direction::ALL {
            assert_eq!(Direction::parse(direction.as_str()), Some(direction));
        }
        assert_eq!(Direction::parse("LOOSER"), None);
    }
}
