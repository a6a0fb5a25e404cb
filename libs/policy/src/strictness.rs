//! Whether one policy is tighter or looser than another.
//!
//! Both are evaluated over the inputs that tell them apart: every combination of ratings, and every choice of the
//! variables that their rules and the caps that differ name. A cap that both have alike is left out if it names other
//! variables, because it bounds both alike. A single input that becomes more automatic, loses a requirement or is
//! sampled less makes the change a loosening, however many others become stricter.

use super::model::{Cap, Pattern, Policy};
use super::space::{MAX_EVALUATIONS, MAX_INPUTS, Ratings, Setting, scope, settings};
use super::{Condition, Milli};
use remit_core::strictness::Direction;
use std::collections::BTreeSet;

/// How many examples are kept.
const MAX_EXAMPLES: usize = 10;

/// What a change from one policy to another does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strictness {
    /// Tighter, looser, both or neither.
    pub direction: Direction,
    /// The inputs that were compared.
    pub cells: usize,
    /// Those whose outcome becomes looser.
    pub loosened: usize,
    /// Those whose outcome becomes stricter.
    pub tightened: usize,
    /// What becomes looser, in words: terms of the policy, then the first inputs.
    pub loosening: Vec<String>,
}

impl Strictness {
    /// A term of the policy as a whole.
    fn term(&mut self, direction: Direction, text: impl FnOnce() -> String) {
        self.direction = self.direction.merge(direction);
        if direction.loosens() {
            self.loosening.push(text());
        }
    }

    fn incomparable(mut self, why: &str) -> Self {
        self.term(Direction::Mixed, || why.to_owned());
        self
    }
}

/// Compares two policies. What cannot be compared counts as looser in one place and tighter in another.
pub fn compare(base: &Policy, candidate: &Policy) -> Strictness {
    let mut found = Strictness::default();
    found.term(Direction::more_is_looser(&base.review_by(), &candidate.review_by()), || {
        format!("people look at it again on {}, not on {}", candidate.file.review_by, base.file.review_by)
    });
    let (before, after) = (base.file.backtest_max_age_days, candidate.file.backtest_max_age_days);
    found.term(Direction::more_is_looser(&before, &after), || {
        format!("a backtest counts for {after} days, not {before}")
    });
    let Some(order) = order(base, candidate) else {
        return found.incomparable("the axes or their scales differ: no input has an outcome under both");
    };
    let parts = Parts::of(base, candidate);
    let ratings = Ratings::of(base);
    let conditions = base.rules.len() + candidate.rules.len() + parts.base.len() + parts.candidate.len();
    let each = ratings.len().max(1) * (conditions + 1);
    let limit = (MAX_INPUTS / ratings.len().max(1)).min(MAX_EVALUATIONS / each);
    let named = base.rules.iter().chain(&candidate.rules).chain(parts.differing.iter().copied());
    let Some(settings) = settings(named, limit) else {
        return found.incomparable("what differs names so many variables that the outcomes cannot be compared");
    };
    for setting in &settings {
        for index in 0..ratings.len() {
            let ratings = ratings.get(index);
            let reordered: Vec<i32> = order.iter().filter_map(|i| ratings.get(*i)).copied().collect();
            let before = Outcome::of(base, &parts.base, setting, &ratings);
            let after = Outcome::of(candidate, &parts.candidate, setting, &reordered);
            let direction = before.toward(&after);
            found.cells += 1;
            found.loosened += usize::from(direction.loosens());
            found.tightened += usize::from(direction.tightens());
            found.direction = found.direction.merge(direction);
            if direction.loosens() && found.loosening.len() < MAX_EXAMPLES {
                let axes = base.file.axes.iter().zip(&ratings).map(|(axis, rating)| format!("{}={rating}", axis.name));
                let input: Vec<String> = axes.chain(setting.labels.iter().cloned()).collect();
                found.loosening.push(format!("{}: {}", input.join(" "), before.loosened(&after)));
            }
        }
    }
    found
}

/// For each axis of the candidate the place of the same axis in the base; none if they rate different things.
fn order(base: &Policy, candidate: &Policy) -> Option<Vec<usize>> {
    let (a, b) = (&base.file.axes, &candidate.file.axes);
    let same = |axis: &super::Axis| {
        a.iter().position(|other| (&other.name, other.lowest, other.highest) == (&axis.name, axis.lowest, axis.highest))
    };
    let order: Vec<usize> = b.iter().map(same).collect::<Option<_>>()?;
    (a.len() == b.len()).then_some(order)
}

/// What is evaluated of two policies.
struct Parts<'a> {
    /// The conditions of the caps that tell them apart.
    differing: Vec<&'a Condition>,
    /// The caps of each that count, by their places: those that differ, and those that name nothing else.
    base: Vec<usize>,
    candidate: Vec<usize>,
}

impl<'a> Parts<'a> {
    fn of(base: &'a Policy, candidate: &'a Policy) -> Self {
        let scored_alike = base.file.axes == candidate.file.axes && base.file.bands == candidate.file.bands;
        let shared = |cap: &Cap, condition: &Condition, other: &Policy| {
            let moves = condition.variables().iter().any(|name| name == "score" || name == "band");
            let same =
                |other: &Cap| (&other.when, other.at_most, &other.requires) == (&cap.when, cap.at_most, &cap.requires);
            (scored_alike || !moves) && other.file.caps.iter().any(same)
        };
        let differing_of = |policy: &'a Policy, other: &Policy| -> Vec<&'a Condition> {
            let caps = policy.file.caps.iter().zip(&policy.caps);
            caps.filter(|(cap, condition)| !shared(cap, condition, other)).map(|(_, condition)| condition).collect()
        };
        let mut differing = differing_of(base, candidate);
        differing.extend(differing_of(candidate, base));
        let mut varied: BTreeSet<&str> = BTreeSet::from(["score", "band"]);
        varied.extend(base.file.axes.iter().map(|axis| axis.name.as_str()));
        for condition in base.rules.iter().chain(&candidate.rules).chain(differing.iter().copied()) {
            varied.extend(condition.variables().iter().map(String::as_str));
        }
        let counting = |policy: &Policy| {
            let names_nothing_else =
                |i: &usize| policy.caps[*i].variables().iter().all(|name| varied.contains(name.as_str()));
            (0..policy.caps.len()).filter(names_nothing_else).collect()
        };
        Self { base: counting(base), candidate: counting(candidate), differing }
    }
}

/// What comes out for one input.
struct Outcome {
    /// None if it cannot be decided, which stops AI.
    pattern: Option<Pattern>,
    requirements: BTreeSet<String>,
    sampling_ratio: Milli,
}

impl Outcome {
    fn of(policy: &Policy, caps: &[usize], setting: &Setting, ratings: &[i32]) -> Self {
        let scope = scope(policy, setting, ratings);
        let by_band = policy.band(policy.score(ratings)).map(|band| band.pattern);
        let mut requirements = BTreeSet::new();
        let base = policy.decide_by_table(&scope, by_band, &mut requirements, &mut BTreeSet::new());
        let mut pattern = base.ok().and_then(|(from_table, _)| from_table.or(by_band));
        for i in caps.iter().filter(|i| policy.caps[**i].may_hold(&scope)) {
            let cap = &policy.file.caps[*i];
            pattern = pattern.map(|pattern| pattern.min(cap.at_most));
            requirements.extend(cap.requires.iter().cloned());
        }
        let sampling_ratio = pattern.map_or(Milli::whole(1), |pattern| policy.sampling_ratio(pattern, ratings));
        Self { pattern, requirements, sampling_ratio }
    }

    /// Where a change from this to `after` goes. What a pattern demands beside it is compared only under one pattern.
    fn toward(&self, after: &Self) -> Direction {
        let pattern = Direction::more_is_looser(&self.pattern, &after.pattern);
        if pattern != Direction::Same {
            return pattern;
        }
        let gained = !after.requirements.is_subset(&self.requirements);
        let lost = !self.requirements.is_subset(&after.requirements);
        Direction::required(false, gained)
            .merge(Direction::required(lost, false))
            .merge(Direction::more_is_stricter(&self.sampling_ratio, &after.sampling_ratio))
    }

    /// What is looser in `after`.
    fn loosened(&self, after: &Self) -> String {
        let word = |pattern: Option<Pattern>| pattern.map_or("undecided", Pattern::as_str);
        if self.pattern != after.pattern {
            return format!("{} becomes {}", word(self.pattern), word(after.pattern));
        }
        let lost: Vec<&str> = self.requirements.difference(&after.requirements).map(String::as_str).collect();
        if lost.is_empty() {
            format!("people look at {} of the results, not {}", after.sampling_ratio, self.sampling_ratio)
        } else {
            format!("no longer needs {}", lost.join(", "))
        }
    }
}
