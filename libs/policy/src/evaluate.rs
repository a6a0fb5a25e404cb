//! Evaluating a policy, with the explanation.

use super::condition::Scope;
use super::input::Input;
use super::milli::Milli;
use super::model::{Direction, HitPolicy, Pattern, Policy};
use remit_core::{Error, Kind, Result, canonical};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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

impl Policy {
    /// The ratings of `input` in the order of the axes.
    ///
    /// # Errors
    /// `InvalidArgument`: `AXIS_MISSING`, `AXIS_OUT_OF_RANGE`.
    pub fn ratings_of(&self, input: &Input) -> Result<Vec<i32>> {
        self.file
            .axes
            .iter()
            .map(|axis| match input.ratings.get(&axis.name) {
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
        let ratings = self.ratings_of(input)?;
        let score = self.score(&ratings);
        let band = self.band(score);
        let scope = Scope {
            input,
            ratings: &ratings,
            score: score.to_f64(),
            band: band.map(|band| band.name.as_str()).unwrap_or_default(),
        };
        let mut requirements = BTreeSet::new();
        let (from_table, rules) = self.decide_by_table(&scope, &mut requirements)?;
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
            if condition.holds(&scope) {
                let after = pattern.min(cap.at_most);
                caps.push(AppliedCap {
                    id: cap.id.clone(),
                    at_most: cap.at_most,
                    before: pattern,
                    after,
                    reason: cap.reason.clone(),
                });
                pattern = after;
                requirements.extend(cap.requires.iter().cloned());
            }
        }
        let notes = self.file.notes.iter().zip(&self.notes).filter(|(_, condition)| condition.holds(&scope));
        let notes = notes.map(|(note, _)| note.text.clone()).collect();
        let contributions = self.file.axes.iter().zip(&ratings).map(|(axis, rating)| Contribution {
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
            sampling_ratio: self.sampling_ratio(pattern, &ratings),
            reading: self.file.reading.clone(),
            policy: self.name(),
            policy_digest: self.digest().to_owned(),
        })
    }

    fn sampling_ratio(&self, pattern: Pattern, ratings: &[i32]) -> Milli {
        let all = Milli::whole(1);
        let Some(sampling) = self.file.sampling.as_ref().filter(|_| pattern == Pattern::HumanOnTheLoop) else {
            return all;
        };
        let axis = self.file.axes.iter().position(|axis| axis.name == sampling.axis);
        let rating = axis.and_then(|i| ratings.get(i));
        rating.and_then(|rating| sampling.ratios.get(rating)).copied().unwrap_or(all)
    }

    /// The pattern that the table gives, or none where the bands decide.
    fn decide_by_table(
        &self,
        scope: &Scope<'_>,
        requirements: &mut BTreeSet<String>,
    ) -> Result<(Option<Pattern>, Vec<MatchedRule>)> {
        let Some(table) = &self.file.table else { return Ok((None, Vec::new())) };
        let matches: Vec<usize> = (0..table.rules.len()).filter(|i| self.rules[*i].holds(scope)).collect();
        let most_human = matches.iter().map(|i| table.rules[*i].pattern).min();
        let Some(most_human) = most_human else {
            return match table.otherwise {
                Some(otherwise) => Ok((otherwise.pattern(), Vec::new())),
                None => Err(Error::new(
                    Kind::FailedPrecondition,
                    "NO_RULE_MATCHED",
                    format!("no rule of {} matches, and it names no default", self.name()),
                )),
            };
        };
        if table.hit_policy == HitPolicy::Unique && matches.len() > 1 {
            let ids: Vec<&str> = matches.iter().map(|i| table.rules[*i].id.as_str()).collect();
            let text = format!("rules {} of {} match the same input", ids.join(", "), self.name());
            return Err(Error::new(Kind::FailedPrecondition, "RULES_OVERLAP", text));
        }
        let decides = |i: usize| match table.hit_policy {
            HitPolicy::Unique | HitPolicy::First => matches.first() == Some(&i),
            HitPolicy::Priority | HitPolicy::Collect => table.rules[i].pattern == most_human,
        };
        for i in &matches {
            if decides(*i) || table.hit_policy == HitPolicy::Collect {
                requirements.extend(table.rules[*i].requires.iter().cloned());
            }
        }
        let pattern = match table.hit_policy {
            HitPolicy::Unique | HitPolicy::First => matches.first().map(|i| table.rules[*i].pattern),
            HitPolicy::Priority | HitPolicy::Collect => Some(most_human),
        };
        let rules = matches.iter().map(|i| MatchedRule {
            id: table.rules[*i].id.clone(),
            pattern: table.rules[*i].pattern,
            decided: decides(*i),
        });
        Ok((pattern, rules.collect()))
    }
}
