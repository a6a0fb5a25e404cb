//! The policy file and its compiled form.

use super::check::check;
use super::condition::Condition;
use super::milli::Milli;
use remit_core::unique::UniqueKeys;
use remit_core::{Error, Result, Timestamp, canonical, digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who does the work and who watches, from most human to most automatic (S131); the order is the order of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Pattern {
    /// A person does the work alone.
    HumanOnly,
    /// AI drafts, a person refines to the final form.
    AiFirstDraft,
    /// AI produces options, a person decides on each instance.
    HumanInTheLoop,
    /// AI runs, people watch exceptions and samples.
    HumanOnTheLoop,
}

impl Pattern {
    /// All patterns, from most human to most automatic.
    pub const ALL: [Self; 4] = [Self::HumanOnly, Self::AiFirstDraft, Self::HumanInTheLoop, Self::HumanOnTheLoop];

    /// The name in files, SQL and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HumanOnly => "HUMAN_ONLY",
            Self::AiFirstDraft => "AI_FIRST_DRAFT",
            Self::HumanInTheLoop => "HUMAN_IN_THE_LOOP",
            Self::HumanOnTheLoop => "HUMAN_ON_THE_LOOP",
        }
    }

    /// The pattern of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.as_str() == text)
    }
}

/// What a higher rating on an axis speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Direction {
    /// For AI.
    HigherFavoursAi,
    /// For people.
    HigherFavoursHuman,
}

/// How a rating becomes points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scoring {
    /// Weight times rating, mirrored within the scale on an axis that favours people.
    #[default]
    Directed,
    /// Weight times rating whatever the direction. Only a literal reading of the seed needs it.
    AsRated,
}

/// Something that people rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Lower case, such as `predictability`.
    pub name: String,
    /// What a higher rating speaks for.
    pub direction: Direction,
    /// More than 0, at most 1,000.
    #[serde(default = "one")]
    pub weight: Milli,
    /// The lowest rating, from 1.
    #[serde(default = "lowest")]
    pub lowest: i32,
    /// The highest rating, to 5.
    #[serde(default = "highest")]
    pub highest: i32,
    /// How a rating becomes points.
    #[serde(default)]
    pub scoring: Scoring,
    /// What ratings mean, for raters.
    #[serde(default)]
    pub anchors: BTreeMap<i32, String>,
}

fn one() -> Milli {
    Milli::whole(1)
}
fn lowest() -> i32 {
    1
}
fn highest() -> i32 {
    5
}
fn yes() -> bool {
    true
}
fn backtest_days() -> u32 {
    14
}

impl Axis {
    /// The points of a rating.
    pub fn points(&self, rating: i32) -> Milli {
        let mirrored = self.scoring == Scoring::Directed && self.direction == Direction::HigherFavoursHuman;
        let value = if mirrored { self.lowest + self.highest - rating } else { rating };
        Milli(self.weight.0 * i64::from(value))
    }
}

/// A range of scores and the pattern it leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Such as `HYBRID`.
    pub name: String,
    /// The pattern.
    pub pattern: Pattern,
    /// The score must be greater.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Milli>,
    /// The score must be at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Milli>,
    /// The score must be at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Milli>,
    /// The score must be less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Milli>,
}

impl Band {
    /// Whether the band contains the score.
    pub fn contains(&self, score: Milli) -> bool {
        self.above.is_none_or(|bound| score > bound)
            && self.at_least.is_none_or(|bound| score >= bound)
            && self.at_most.is_none_or(|bound| score <= bound)
            && self.below.is_none_or(|bound| score < bound)
    }
}

/// What several matching rules mean (DMN's hit policies, as far as they are used).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HitPolicy {
    /// At most one rule may match; two are an error.
    #[default]
    Unique,
    /// The first in the order of the file decides.
    First,
    /// The most human pattern decides, with the requirements of the rules that give it.
    Priority,
    /// The most human pattern decides, with the requirements of all matching rules.
    Collect,
}

/// What to do if no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Otherwise {
    /// Take the band of the score.
    Bands,
    /// A person does the work alone.
    HumanOnly,
    /// AI drafts.
    AiFirstDraft,
    /// A person decides on each instance.
    HumanInTheLoop,
}

impl Otherwise {
    /// The pattern, or none for the bands. A default can never be the most automatic pattern.
    pub fn pattern(self) -> Option<Pattern> {
        match self {
            Self::Bands => None,
            Self::HumanOnly => Some(Pattern::HumanOnly),
            Self::AiFirstDraft => Some(Pattern::AiFirstDraft),
            Self::HumanInTheLoop => Some(Pattern::HumanInTheLoop),
        }
    }
}

/// One rule of the decision table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique in the file.
    pub id: String,
    /// The condition, in CEL.
    pub when: String,
    /// The pattern it gives.
    pub pattern: Pattern,
    /// What the work must have besides.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Why the rule exists.
    #[serde(default)]
    pub reason: String,
}

/// The decision table. Where it decides, the bands do not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What several matches mean.
    #[serde(default)]
    pub hit_policy: HitPolicy,
    /// What no match means; left out, it is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// A bound that can only move an outcome toward people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Unique in the file.
    pub id: String,
    /// The condition, in CEL.
    pub when: String,
    /// The most automatic pattern that is left.
    pub at_most: Pattern,
    /// What the work must have besides.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Why the cap exists.
    pub reason: String,
}

/// A remark on some inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The condition, in CEL.
    pub when: String,
    /// The remark.
    pub text: String,
}

/// How many results people look at where AI runs on its own (A24).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The axis that decides.
    pub axis: String,
    /// Rating to share, 0 to 1; every rating of the axis.
    pub ratios: BTreeMap<i32, Milli>,
}

/// An input and what must come out, kept with the policy like a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCase {
    /// What the case is about.
    pub name: String,
    /// The input.
    pub given: super::Input,
    /// The pattern after caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// The pattern before caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_pattern: Option<Pattern>,
    /// The band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// The score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Milli>,
    /// All notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<String>>,
    /// The ids of all matching caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// The ids of all matching rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<String>>,
}

/// A policy as it is written, in YAML or JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// The policy's id.
    pub policy: String,
    /// The version's id.
    pub version: String,
    /// A short title.
    pub title: String,
    /// The reading of an ambiguous rule that the policy takes.
    #[serde(default)]
    pub reading: String,
    /// Whether it may ever be activated.
    #[serde(default = "yes")]
    pub activatable: bool,
    /// The day on which people should look at it again, such as `2027-06-30` (S108).
    pub review_by: String,
    /// How many days a backtest stays good for activation, 1 to 365.
    #[serde(default = "backtest_days")]
    pub backtest_max_age_days: u32,
    /// The axes.
    pub axes: Vec<Axis>,
    /// The bands; may be empty if the table always decides.
    #[serde(default)]
    pub bands: Vec<Band>,
    /// The decision table, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// The caps.
    #[serde(default)]
    pub caps: Vec<Cap>,
    /// The notes.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// The sampling; left out, every result is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// The golden cases.
    #[serde(default)]
    pub cases: Vec<GoldenCase>,
}

/// A policy that was checked and compiled. It can be shared between threads.
#[derive(Debug)]
pub struct Policy {
    /// The file.
    pub file: PolicyFile,
    pub(crate) rules: Vec<Condition>,
    pub(crate) caps: Vec<Condition>,
    pub(crate) notes: Vec<Condition>,
    canonical: String,
    digest: String,
}

impl Policy {
    /// Reads, checks and compiles a policy in YAML, of which JSON is a part.
    ///
    /// # Errors
    /// `InvalidArgument` (`POLICY_INVALID`), naming the field of the file; a key that stands twice in one map is named
    /// with its line.
    pub fn parse(source: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(source).map_err(|_| invalid("source", "must be UTF-8"))?;
        if text.len() > 262_144 {
            return Err(invalid("source", "must be at most 256 KiB"));
        }
        let file = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)
                .and_then(|_: UniqueKeys| serde_json::from_str(text))
                .map_err(|error| invalid("source", error.to_string()))?
        } else {
            serde_norway::from_str(text)
                .and_then(|_: UniqueKeys| serde_norway::from_str(text))
                .map_err(|error| invalid("source", error.to_string()))?
        };
        Self::compile(file)
    }

    /// Checks and compiles a file.
    ///
    /// # Errors
    /// `InvalidArgument` (`POLICY_INVALID`), naming the field of the file.
    pub fn compile(file: PolicyFile) -> Result<Self> {
        check(&file)?;
        let axes: Vec<&str> = file.axes.iter().map(|axis| axis.name.as_str()).collect();
        let bands: Vec<&str> = file.bands.iter().map(|band| band.name.as_str()).collect();
        let compile =
            |field: String, text: &str| Condition::compile(text, &axes, &bands).map_err(|why| invalid(field, why));
        let rules = file.table.iter().flat_map(|table| &table.rules).enumerate();
        let rules =
            rules.map(|(i, rule)| compile(format!("table.rules[{i}].when"), &rule.when)).collect::<Result<_>>()?;
        let caps = file.caps.iter().enumerate();
        let caps = caps.map(|(i, cap)| compile(format!("caps[{i}].when"), &cap.when)).collect::<Result<_>>()?;
        let notes = file.notes.iter().enumerate();
        let notes = notes.map(|(i, note)| compile(format!("notes[{i}].when"), &note.when)).collect::<Result<_>>()?;
        let canonical = canonical::json(&file)?;
        let digest = digest::sha256(canonical.as_bytes());
        Ok(Self { file, rules, caps, notes, canonical, digest })
    }

    /// `policies/{policy}/versions/{version}`.
    pub fn name(&self) -> String {
        format!("policies/{}/versions/{}", self.file.policy, self.file.version)
    }

    /// The canonical JSON (RFC 8785), over which the digest is taken.
    pub fn canonical_json(&self) -> &str {
        &self.canonical
    }

    /// The digest of the canonical JSON.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The last microsecond of the day on which people should look at the policy again, in UTC.
    pub fn review_by(&self) -> Timestamp {
        let day = self.file.review_by.parse::<jiff::civil::Date>().and_then(|day| day.tomorrow());
        let end = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC));
        end.map_or(Timestamp(0), |end| Timestamp(end.timestamp().as_microsecond() - 1))
    }

    /// The first band that contains the score.
    pub fn band(&self, score: Milli) -> Option<&Band> {
        self.file.bands.iter().find(|band| band.contains(score))
    }
}

pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Error {
    Error::invalid("POLICY_INVALID", field, why)
}
