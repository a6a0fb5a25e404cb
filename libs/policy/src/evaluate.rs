//! Evaluating a policy, with the explanation.

use super::condition::{Condition, Scope};
use super::input::Input;
use super::milli::Milli;
use super::model::{Direction, HitPolicy, Otherwise, Pattern, Policy};
use remit_core::{Error, Kind, Result, canonical};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The id of the cap that every policy has: ratings that others entered never make work more automatic than people who
/// rated in person do, and without such people never more than [`Pattern::HumanInTheLoop`].
pub const CLAIMED_CAP: &str = "claimed-ratings";

/// The id of the cap that every policy has on work whose tags a program gave and no person has confirmed.
pub const CLAIMED_TAGS_CAP: &str = "claimed-tags";

/// What one axis added to the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The axis.
    pub axis: String,
    /// The rating as it was given.
    pub rating: i32,
    /// What a higher rating speaks for.
    pub direction: Direction,
    /// The weight in the policy.
    pub weight: Milli,
    /// What was added.
    pub points: Milli,
}

/// A rule whose condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatchedRule {
    /// Its id.
    pub id: String,
    /// The pattern it gives.
    pub pattern: Pattern,
    /// Whether it decided.
    pub decided: bool,
    /// The attributes that the input lacks and without which nobody knows whether the condition holds; then the rule is
    /// taken to hold because it is the more human outcome. Empty if it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// A cap whose condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedCap {
    /// Its id.
    pub id: String,
    /// The most automatic pattern that it leaves.
    pub at_most: Pattern,
    /// The pattern before.
    pub before: Pattern,
    /// The pattern after: the same or more human.
    pub after: Pattern,
    /// Why the cap exists.
    pub reason: String,
    /// The attributes that the input lacks and without which nobody knows whether the condition holds; then the cap
    /// applies. Empty if it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// The outcome for one input, and why. Its canonical JSON is a function of policy and input alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The pattern after caps.
    pub pattern: Pattern,
    /// The pattern before caps.
    pub base_pattern: Pattern,
    /// The band of the score; empty if the table decided.
    pub band: String,
    /// The sum of the contributions.
    pub score: Milli,
    /// In the order of the axes.
    pub contributions: Vec<Contribution>,
    /// In the order of the table.
    pub rules: Vec<MatchedRule>,
    /// In the order of the policy.
    pub caps: Vec<AppliedCap>,
    /// In the order of the policy.
    pub notes: Vec<String>,
    /// What the work must have besides, sorted.
    pub requirements: Vec<String>,
    /// The share of results that people look at.
    pub sampling_ratio: Milli,
    /// The reading that the policy takes.
    pub reading: String,
    /// `policies/{policy}/versions/{version}`.
    pub policy: String,
    /// The digest of the policy.
    pub policy_digest: String,
    /// The attributes that the input lacks and that rules or caps depend on, sorted: there the stricter outcome counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Whether it rests on ratings that others entered for the raters: alone, those that people gave in person do not
    /// lead to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
}

impl Evaluation {
    /// The canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// `Internal` if it cannot be written, which no evaluation causes.
    pub fn canonical_json(&self) -> Result<String> {
        canonical::json(self)
    }

    /// The digest of the canonical JSON.
    ///
    /// # Errors
    /// As [`Self::canonical_json`].
    pub fn digest(&self) -> Result<String> {
        canonical::digest(self)
    }
}

/// What the rules of a table say about one input, by their places.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Those whose conditions hold.
    pub sure: Vec<usize>,
    /// Those that could decide if what the input lacks were known.
    pub open: Vec<usize>,
}

/// Moves an outcome toward people where it goes beyond `at_most`, by a cap that every policy has.
fn bound(found: &mut Evaluation, id: &str, at_most: Pattern, reason: &str) {
    if found.pattern <= at_most {
        return;
    }
    found.caps.push(AppliedCap {
        id: id.to_owned(),
        at_most,
        before: found.pattern,
        after: at_most,
        reason: reason.to_owned(),
        unknown: Vec::new(),
    });
    found.pattern = at_most;
    found.sampling_ratio = Milli::whole(1);
}

impl Policy {
    /// `ratings` in the order of the axes.
    ///
    /// # Errors
    /// `InvalidArgument`: `AXIS_MISSING`, `AXIS_OUT_OF_RANGE`.
    fn in_order(&self, ratings: &BTreeMap<String, i32>) -> Result<Vec<i32>> {
        self.file
            .axes
            .iter()
            .map(|axis| match ratings.get(&axis.name) {
                None => Err(Error::invalid(
                    "AXIS_MISSING",
                    format!("ratings.{}", axis.name),
                    "has no rating, and the policy needs one",
                )),
                Some(rating) if !(axis.lowest..=axis.highest).contains(rating) => Err(Error::invalid(
                    "AXIS_OUT_OF_RANGE",
                    format!("ratings.{}", axis.name),
                    format!("must be from {} to {}", axis.lowest, axis.highest),
                )),
                Some(rating) => Ok(*rating),
            })
            .collect()
    }

    /// The score of ratings in the order of the axes.
    pub fn score(&self, ratings: &[i32]) -> Milli {
        Milli(self.file.axes.iter().zip(ratings).map(|(axis, rating)| axis.points(*rating).0).sum())
    }

    /// What the policy makes of `input`, and why.
    ///
    /// # Errors
    /// `InvalidArgument`: `AXIS_MISSING`, `AXIS_OUT_OF_RANGE`, `INPUT_INVALID`. `FailedPrecondition`:
    /// `NO_RULE_MATCHED`, `RULES_OVERLAP`, which lint excludes for an active policy.
    pub fn evaluate(&self, input: &Input) -> Result<Evaluation> {
        input.validate()?;
        let mut found = self.outcome(input, &self.in_order(&input.ratings)?)?;
        if let Some(signed) = &input.signed_ratings {
            self.hold_to(signed, input, &mut found)?;
        }
        if input.claimed_tags {
            let reason = "a program gave the tags and nobody has confirmed them: a person decides on each result";
            bound(&mut found, CLAIMED_TAGS_CAP, Pattern::HumanInTheLoop, reason);
        }
        Ok(found)
    }

    fn outcome(&self, input: &Input, ratings: &[i32]) -> Result<Evaluation> {
        let score = self.score(ratings);
        let band = self.band(score);
        let scope = Scope {
            input,
            ratings,
            score: score.to_f64(),
            band: band.map(|band| band.name.as_str()).unwrap_or_default(),
        };
        let (mut requirements, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let by_band = band.map(|band| band.pattern);
        let (from_table, rules) = self.decide_by_table(&scope, by_band, &mut requirements, &mut unknown)?;
        let (base_pattern, band) = match (from_table, band) {
            (Some(pattern), _) => (pattern, ""),
            (None, Some(band)) => (band.pattern, band.name.as_str()),
            (None, None) => {
                let text = format!("no band of {} contains the score {score}", self.name());
                return Err(Error::new(Kind::FailedPrecondition, "NO_RULE_MATCHED", text));
            }
        };
        let mut pattern = base_pattern;
        let mut caps = Vec::new();
        for (cap, condition) in self.file.caps.iter().zip(&self.caps) {
            if condition.may_hold(&scope) {
                let after = pattern.min(cap.at_most);
                let lacking = open_for(condition, &scope);
                unknown.extend(lacking.iter().cloned());
                caps.push(AppliedCap {
                    id: cap.id.clone(),
                    at_most: cap.at_most,
                    before: pattern,
                    after,
                    reason: cap.reason.clone(),
                    unknown: lacking,
                });
                pattern = after;
                requirements.extend(cap.requires.iter().cloned());
            }
        }
        let notes = self.file.notes.iter().zip(&self.notes);
        let notes = notes.filter(|(_, condition)| condition.decide(&scope) == Some(true));
        let notes = notes.map(|(note, _)| note.text.clone()).collect();
        let contributions = self.file.axes.iter().zip(ratings).map(|(axis, rating)| Contribution {
            axis: axis.name.clone(),
            rating: *rating,
            direction: axis.direction,
            weight: axis.weight,
            points: axis.points(*rating),
        });
        Ok(Evaluation {
            pattern,
            base_pattern,
            band: band.to_owned(),
            score,
            contributions: contributions.collect(),
            rules,
            caps,
            notes,
            requirements: requirements.into_iter().collect(),
            sampling_ratio: self.sampling_ratio(pattern, ratings),
            reading: self.file.reading.clone(),
            policy: self.name(),
            policy_digest: self.digest().to_owned(),
            unknown: unknown.into_iter().collect(),
            claimed: false,
        })
    }

    /// Holds an outcome to what the ratings that people gave in person lead to: what others entered for them counts
    /// toward people only.
    fn hold_to(&self, signed: &BTreeMap<String, i32>, input: &Input, found: &mut Evaluation) -> Result<()> {
        let complete = self.file.axes.iter().all(|axis| signed.contains_key(&axis.name));
        let own = if complete { Some(self.outcome(input, &self.in_order(signed)?)?) } else { None };
        let at_most = own.as_ref().map_or(Pattern::HumanInTheLoop, |own| own.pattern);
        found.claimed = own.is_none() || at_most < found.pattern;
        if at_most < found.pattern {
            let reason = match &own {
                Some(_) => "those who rated in person see more for people than what was entered for others",
                None => "on some axis nobody has rated in person: what others entered bounds how far AI may go alone",
            };
            bound(found, CLAIMED_CAP, at_most, reason);
        }
        if let Some(own) = own {
            found.sampling_ratio = found.sampling_ratio.max(own.sampling_ratio);
            let all: BTreeSet<String> = found.requirements.drain(..).chain(own.requirements).collect();
            found.requirements = all.into_iter().collect();
        }
        Ok(())
    }

    pub(crate) fn sampling_ratio(&self, pattern: Pattern, ratings: &[i32]) -> Milli {
        let all = Milli::whole(1);
        let Some(sampling) = self.file.sampling.as_ref().filter(|_| pattern == Pattern::HumanOnTheLoop) else {
            return all;
        };
        let axis = self.file.axes.iter().position(|axis| axis.name == sampling.axis);
        let rating = axis.and_then(|i| ratings.get(i));
        rating.and_then(|rating| sampling.ratios.get(rating)).copied().unwrap_or(all)
    }

    /// The rules that speak about an input.
    pub(crate) fn matches(&self, scope: &Scope<'_>) -> Matches {
        let first = self.file.table.as_ref().is_some_and(|table| table.hit_policy == HitPolicy::First);
        let mut found = Matches::default();
        for (i, condition) in self.rules.iter().enumerate() {
            match condition.decide(scope) {
                Some(true) => found.sure.push(i),
                // After the first rule that holds for sure no other can be the first.
                None if !first || found.sure.is_empty() => found.open.push(i),
                _ => {}
            }
        }
        found
    }

    /// The pattern that the rules give if those that are open do not hold; none if the bands decide or nothing does.
    fn sure_pattern(&self, sure: &[usize]) -> Option<Pattern> {
        let table = self.file.table.as_ref()?;
        let mut patterns = sure.iter().filter_map(|i| table.rules.get(*i)).map(|rule| rule.pattern);
        let from_rules = match table.hit_policy {
            HitPolicy::Unique | HitPolicy::First => patterns.next(),
            HitPolicy::Priority | HitPolicy::Collect => patterns.min(),
        };
        from_rules.or_else(|| table.otherwise.and_then(Otherwise::pattern))
    }

    fn most_human(&self, rules: &[usize]) -> Option<Pattern> {
        let table = self.file.table.as_ref()?;
        rules.iter().filter_map(|i| table.rules.get(*i)).map(|rule| rule.pattern).min()
    }

    /// Whether the bands decide where the table gives nothing.
    fn falls_to_bands(&self) -> bool {
        self.file.table.as_ref().is_none_or(|table| table.otherwise == Some(Otherwise::Bands))
    }

    /// The pattern before caps: of what holds and what may hold the most human. None if nothing gives one, or too much
    /// does.
    pub(crate) fn base_pattern(&self, matches: &Matches, by_band: Option<Pattern>) -> Option<Pattern> {
        let unique = self.file.table.as_ref().is_some_and(|table| table.hit_policy == HitPolicy::Unique);
        if unique && matches.sure.len() > 1 {
            return None;
        }
        let sure = self.sure_pattern(&matches.sure).or(by_band.filter(|_| self.falls_to_bands()));
        more_human(sure, self.most_human(&matches.open))
    }

    /// The pattern that the table gives, or none where the bands decide.
    pub(crate) fn decide_by_table(
        &self,
        scope: &Scope<'_>,
        by_band: Option<Pattern>,
        requirements: &mut BTreeSet<String>,
        unknown: &mut BTreeSet<String>,
    ) -> Result<(Option<Pattern>, Vec<MatchedRule>)> {
        let Some(table) = &self.file.table else { return Ok((None, Vec::new())) };
        let Matches { sure, open } = self.matches(scope);
        if table.hit_policy == HitPolicy::Unique && sure.len() > 1 {
            let ids: Vec<&str> = sure.iter().map(|i| table.rules[*i].id.as_str()).collect();
            let text = format!("rules {} of {} match the same input", ids.join(", "), self.name());
            return Err(Error::new(Kind::FailedPrecondition, "RULES_OVERLAP", text));
        }
        let from_sure = self.sure_pattern(&sure);
        let without = from_sure.or(by_band.filter(|_| self.falls_to_bands()));
        let outcome = more_human(without, self.most_human(&open));
        if outcome.is_none() && !self.falls_to_bands() {
            let text = format!("no rule of {} matches, and it names no default", self.name());
            return Err(Error::new(Kind::FailedPrecondition, "NO_RULE_MATCHED", text));
        }
        // A rule that is open decides only where it is more human than all that is sure.
        let moved = outcome != without;
        let decides = |i: usize| match table.hit_policy {
            HitPolicy::Unique | HitPolicy::First => sure.first() == Some(&i),
            HitPolicy::Priority | HitPolicy::Collect => Some(table.rules[i].pattern) == from_sure,
        };
        let mut rules = Vec::new();
        for i in &sure {
            let rule = &table.rules[*i];
            if decides(*i) || table.hit_policy == HitPolicy::Collect {
                requirements.extend(rule.requires.iter().cloned());
            }
            rules.push((*i, rule, decides(*i) && !moved, Vec::new()));
        }
        for i in &open {
            let (rule, lacking) = (&table.rules[*i], open_for(&self.rules[*i], scope));
            unknown.extend(lacking.iter().cloned());
            if Some(rule.pattern) == outcome {
                requirements.extend(rule.requires.iter().cloned());
                rules.push((*i, rule, moved, lacking));
            }
        }
        rules.sort_by_key(|(i, ..)| *i);
        let rules = rules.into_iter().map(|(_, rule, decided, unknown)| MatchedRule {
            id: rule.id.clone(),
            pattern: rule.pattern,
            decided,
            unknown,
        });
        Ok((if moved { outcome } else { from_sure }, rules.collect()))
    }
}

fn more_human(a: Option<Pattern>, b: Option<Pattern>) -> Option<Pattern> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The attributes that leave the condition open; none if it holds.
fn open_for(condition: &Condition, scope: &Scope<'_>) -> Vec<String> {
    let lacking = condition.lacking(scope.input).map(str::to_owned);
    if condition.decide(scope).is_some() { Vec::new() } else { lacking.collect() }
}
