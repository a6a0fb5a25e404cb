//! Checks a policy over its whole input space.
//!
//! The outcome is the minimum of the base (bands and table) and of every cap that applies. A minimum of monotone
//! functions is monotone, so it is enough, and exact enough to name the culprit, to check the base and then the base
//! with each cap alone, each over just the variables it names.

use super::condition::Condition;
use super::evaluate::Matches;
use super::golden::CaseResult;
use super::input::{Lack, Type, VARIABLES, Variable};
use super::model::{Direction, HitPolicy, Pattern, Policy};
use super::space::{MAX_EVALUATIONS, MAX_INPUTS, Ratings, Setting, scope, settings};
use std::collections::{BTreeMap, BTreeSet};

/// From this rating on, counted toward people, somebody has to look at results: A24 samples half of them at 3.
const LOOKED_AT: i32 = 3;
/// How many counter-examples are kept.
const MAX_EXAMPLES: usize = 50;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Forbids activation.
    Error,
    /// Probably not meant.
    Warning,
    /// Worth knowing.
    Info,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Where in the file.
    pub field: String,
    /// What is wrong, with a counter-example.
    pub message: String,
}

/// A step of one rating that moves the outcome the wrong way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The axis that was raised by one.
    pub axis: String,
    /// The ratings before the step.
    pub ratings: BTreeMap<String, i32>,
    /// The other inputs that matter, as `name=value`.
    pub attributes: Vec<String>,
    /// The pattern before the step.
    pub before: Pattern,
    /// The pattern after the step.
    pub after: Pattern,
    /// `before_caps` or the id of the cap that causes the step.
    pub stage: String,
}

/// What lint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Combinations of ratings.
    pub combinations: usize,
    /// Inputs that were evaluated, other variables included.
    pub inputs: usize,
    /// Band, pattern, and how many combinations of ratings end there before caps.
    pub bands: Vec<(String, Pattern, usize)>,
    /// Errors first.
    pub findings: Vec<Finding>,
    /// All steps that break monotonicity.
    pub violations: usize,
    /// The first of them.
    pub counter_examples: Vec<Violation>,
    /// The golden cases.
    pub cases: Vec<CaseResult>,
}

impl Report {
    /// Whether no finding is an error.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Checks `policy` over its whole input space and runs its golden cases.
pub fn lint(policy: &Policy) -> Report {
    let ratings = Ratings::of(policy);
    let mut linter = Linter {
        policy,
        report: Report {
            combinations: ratings.len(),
            inputs: 0,
            bands: Vec::new(),
            findings: Vec::new(),
            violations: 0,
            counter_examples: Vec::new(),
            cases: policy.run_cases(),
        },
        ratings,
        budget: MAX_EVALUATIONS,
    };
    linter.directions();
    linter.sampling();
    linter.unknowns();
    linter.bands();
    linter.base();
    for cap in 0..policy.file.caps.len() {
        linter.cap(cap);
    }
    linter.notes();
    linter.finish()
}

struct Linter<'a> {
    policy: &'a Policy,
    ratings: Ratings,
    /// The evaluations that are left.
    budget: usize,
    report: Report,
}

/// The outcome before caps of every combination of ratings under one setting.
struct Base {
    patterns: Vec<Option<Pattern>>,
}

impl Linter<'_> {
    fn find(&mut self, code: &'static str, severity: Severity, field: impl Into<String>, message: impl Into<String>) {
        self.report.findings.push(Finding { code, severity, field: field.into(), message: message.into() });
    }

    /// The axes of the seed mean one thing, so that a rating cannot be inverted twice (S6, A1).
    fn directions(&mut self) {
        for (i, axis) in self.policy.file.axes.iter().enumerate() {
            let wanted = match axis.name.as_str() {
                "predictability" => Direction::HigherFavoursAi,
                "risk" | "human_judgment" => Direction::HigherFavoursHuman,
                _ => continue,
            };
            if axis.direction != wanted {
                let text = format!("a higher {} cannot speak for the other side; name the axis otherwise", axis.name);
                self.find("AXIS_DIRECTION", Severity::Error, format!("axes[{i}].direction"), text);
            }
        }
    }

    fn sampling(&mut self) {
        let policy = self.policy;
        let Some(sampling) = &policy.file.sampling else { return };
        let Some(axis) = policy.file.axes.iter().find(|axis| axis.name == sampling.axis) else { return };
        let ratios: Vec<_> = sampling.ratios.values().collect();
        let wrong = ratios.windows(2).any(|pair| match axis.direction {
            Direction::HigherFavoursHuman => pair[0] > pair[1],
            Direction::HigherFavoursAi => pair[0] < pair[1],
        });
        if wrong {
            let text = format!("people would look at fewer results where {} speaks more for people", axis.name);
            self.find("SAMPLING_NOT_MONOTONE", Severity::Error, "sampling.ratios", text);
        }
        // Work on the loop of which nobody ever sees a result is not on anybody's loop (S72, A24).
        let scale = axis.lowest..=axis.highest;
        for rating in scale.filter(|rating| sampling.ratios.get(rating).is_some_and(|ratio| ratio.0 == 0)) {
            let toward_people = match axis.direction {
                Direction::HigherFavoursHuman => rating,
                Direction::HigherFavoursAi => axis.lowest + axis.highest - rating,
            };
            let severity = if toward_people >= LOOKED_AT { Severity::Error } else { Severity::Warning };
            let text = format!(
                "nobody would ever look at a result where {} is {rating}: an error there stays until somebody outside \
                 finds it",
                axis.name
            );
            self.find("SAMPLING_ZERO", severity, format!("sampling.ratios.{rating}"), text);
        }
    }

    /// Where a rule or a cap depends on what tasks may lack, and does not say what that means.
    fn unknowns(&mut self) {
        let policy = self.policy;
        let rules = policy.rules.iter().enumerate().map(|(i, rule)| (format!("table.rules[{i}].when"), rule));
        let caps = policy.caps.iter().enumerate().map(|(i, cap)| (format!("caps[{i}].when"), cap));
        for (field, condition) in rules.chain(caps) {
            for name in condition.unhandled() {
                let text = format!(
                    "does not say what holds for tasks without {name}: the more human outcome is taken for them; \
                     compare it with {} to say what is meant",
                    absent(name)
                );
                self.find("UNKNOWN_NOT_HANDLED", Severity::Warning, field.clone(), text);
            }
        }
    }

    fn bands(&mut self) {
        let policy = self.policy;
        let bands = &policy.file.bands;
        let mut counts = vec![0; bands.len()];
        let (mut gaps, mut overlaps) = (BTreeMap::new(), BTreeMap::new());
        for index in 0..if bands.is_empty() { 0 } else { self.ratings.len() } {
            let ratings = self.ratings.get(index);
            let score = policy.score(&ratings);
            let holding: Vec<usize> = (0..bands.len()).filter(|i| bands[*i].contains(score)).collect();
            match holding.as_slice() {
                [] => {
                    gaps.entry(score).or_insert(ratings);
                }
                [only] => counts[*only] += 1,
                [first, second, ..] => {
                    counts[*first] += 1;
                    overlaps.entry((*first, *second)).or_insert((score, ratings));
                }
            }
        }
        for (score, ratings) in gaps {
            let text = format!("no band contains the score {score}, as of {}", self.named(&ratings));
            self.find("BAND_GAP", Severity::Error, "bands", text);
        }
        for ((a, b), (score, ratings)) in overlaps {
            let names = format!("{} and {}", bands[a].name, bands[b].name);
            let text = format!("{names} both contain the score {score}, as of {}", self.named(&ratings));
            self.find("BAND_OVERLAP", Severity::Error, format!("bands[{b}]"), text);
        }
        for (i, band) in bands.iter().enumerate() {
            if counts[i] == 0 {
                let text = format!("no combination of ratings reaches {}", band.name);
                self.find("BAND_UNREACHABLE", Severity::Error, format!("bands[{i}]"), text);
            }
            self.report.bands.push((band.name.clone(), band.pattern, counts[i]));
        }
    }

    fn settings<'c>(&mut self, field: &str, conditions: impl Iterator<Item = &'c Condition>) -> Vec<Setting> {
        // Every part evaluates the whole table beside its own condition.
        let each = self.ratings.len().max(1) * (self.policy.rules.len() + 1);
        let limit = (MAX_INPUTS / self.ratings.len().max(1)).min(self.budget / each);
        match settings(conditions, limit).filter(|settings| settings.len() <= limit) {
            Some(settings) => {
                self.budget -= settings.len() * each;
                self.report.inputs += settings.len() * self.ratings.len();
                settings
            }
            None => {
                let text = format!(
                    "names so many variables that more than {MAX_INPUTS} inputs here, or {MAX_EVALUATIONS} evaluations in \
                     all, would have to be checked"
                );
                self.find("SPACE_TOO_LARGE", Severity::Error, field, text);
                Vec::new()
            }
        }
    }

    /// Bands and table over all inputs: reachability, overlap, completeness, monotonicity.
    fn base(&mut self) {
        let policy = self.policy;
        let settings = self.settings("table.rules", policy.rules.iter());
        let mut decided = BTreeSet::new();
        let mut matched = BTreeSet::new();
        let (mut overlaps, mut missing) = (BTreeMap::new(), None);
        for setting in &settings {
            if let Some(table) = &policy.file.table {
                for index in 0..self.ratings.len() {
                    let ratings = self.ratings.get(index);
                    let Matches { sure, open } = self.matches(setting, &ratings);
                    matched.extend(sure.iter().copied());
                    decided.extend(sure.first().copied());
                    let example = || format!("{} {}", self.named(&ratings), setting.labels.join(" "));
                    match sure.as_slice() {
                        [] if open.is_empty() && table.otherwise.is_none() => {
                            missing.get_or_insert_with(example);
                        }
                        [a, b, ..] if table.hit_policy == HitPolicy::Unique => {
                            overlaps.entry((*a, *b)).or_insert_with(example);
                        }
                        _ => {}
                    }
                }
            }
            let base = self.outcomes(setting);
            self.monotone(&base.patterns, None, setting, "before_caps");
        }
        let Some(table) = &policy.file.table else { return };
        if let Some(example) = missing {
            self.find(
                "RULES_INCOMPLETE",
                Severity::Error,
                "table",
                format!("no rule matches {example}, and no default"),
            );
        }
        for ((a, b), example) in overlaps {
            let text = format!("{} and {} both match {example}", table.rules[a].id, table.rules[b].id);
            self.find("RULE_OVERLAP", Severity::Error, format!("table.rules[{b}]"), text);
        }
        let reached = if table.hit_policy == HitPolicy::First { decided } else { matched };
        for (i, rule) in table.rules.iter().enumerate().filter(|(i, _)| !reached.contains(i) && !settings.is_empty()) {
            let text = format!("no input reaches {}", rule.id);
            self.find("RULE_UNREACHABLE", Severity::Error, format!("table.rules[{i}]"), text);
        }
    }

    fn matches(&self, setting: &Setting, ratings: &[i32]) -> Matches {
        self.policy.matches(&scope(self.policy, setting, ratings))
    }

    /// One cap on top of the base: reachability, effect, monotonicity.
    fn cap(&mut self, cap: usize) {
        let policy = self.policy;
        let (condition, at_most) = (&policy.caps[cap], policy.file.caps[cap].at_most);
        let (id, field) = (policy.file.caps[cap].id.clone(), format!("caps[{cap}]"));
        let settings = self.settings(&field, policy.rules.iter().chain([condition]));
        let (mut holds, mut moves) = (settings.is_empty(), settings.is_empty());
        for setting in &settings {
            let base = self.outcomes(setting);
            let mut capped = base.patterns.clone();
            for (index, pattern) in capped.iter_mut().enumerate() {
                let found = condition.decide(&scope(policy, setting, &self.ratings.get(index)));
                holds |= found == Some(true);
                if found != Some(false) {
                    moves |= pattern.is_some_and(|pattern| pattern > at_most);
                    *pattern = pattern.map(|pattern| pattern.min(at_most));
                }
            }
            self.monotone(&capped, Some(&base.patterns), setting, &id);
        }
        if !holds {
            self.find("CAP_UNREACHABLE", Severity::Error, field, format!("the condition of {id} never holds"));
        } else if !moves {
            let text = format!("{id} changes nothing at these weights and bands");
            self.find("CAP_REDUNDANT", Severity::Info, field, text);
        }
    }

    fn notes(&mut self) {
        let policy = self.policy;
        for (i, condition) in policy.notes.iter().enumerate() {
            let field = format!("notes[{i}]");
            let settings = self.settings(&field, [condition].into_iter());
            let holds = settings.iter().any(|setting| {
                (0..self.ratings.len())
                    .any(|index| condition.decide(&scope(policy, setting, &self.ratings.get(index))) == Some(true))
            });
            if !holds && !settings.is_empty() {
                self.find("NOTE_UNREACHABLE", Severity::Warning, field, "the condition never holds");
            }
        }
    }

    fn outcomes(&self, setting: &Setting) -> Base {
        let policy = self.policy;
        let outcome = |index: usize| {
            let ratings = self.ratings.get(index);
            let by_band = policy.band(policy.score(&ratings)).map(|band| band.pattern);
            policy.base_pattern(&self.matches(setting, &ratings), by_band)
        };
        Base { patterns: (0..self.ratings.len()).map(outcome).collect() }
    }

    /// Counts the steps of one rating that move the wrong way, unless `known` already has the same step.
    fn monotone(
        &mut self,
        patterns: &[Option<Pattern>],
        known: Option<&[Option<Pattern>]>,
        setting: &Setting,
        stage: &str,
    ) {
        let axes = &self.policy.file.axes;
        for (axis, definition) in axes.iter().enumerate() {
            let wrong = |before: Pattern, after: Pattern| match definition.direction {
                Direction::HigherFavoursAi => after < before,
                Direction::HigherFavoursHuman => after > before,
            };
            for index in 0..patterns.len() {
                let Some(next) = self.ratings.step(index, axis) else { continue };
                let (Some(before), Some(after)) = (patterns[index], patterns[next]) else { continue };
                if !wrong(before, after) {
                    continue;
                }
                let known = known.and_then(|known| Some((known[index]?, known[next]?)));
                if known.is_some_and(|(before, after)| wrong(before, after)) {
                    continue;
                }
                self.report.violations += 1;
                if self.report.counter_examples.len() < MAX_EXAMPLES {
                    let ratings = self.ratings.get(index);
                    self.report.counter_examples.push(Violation {
                        axis: definition.name.clone(),
                        ratings: axes.iter().map(|axis| axis.name.clone()).zip(ratings).collect(),
                        attributes: setting.labels.clone(),
                        before,
                        after,
                        stage: stage.to_owned(),
                    });
                }
            }
        }
    }

    fn named(&self, ratings: &[i32]) -> String {
        let axes = self.policy.file.axes.iter().zip(ratings);
        axes.map(|(axis, rating)| format!("{}={rating}", axis.name)).collect::<Vec<_>>().join(" ")
    }

    fn finish(mut self) -> Report {
        if let Some(first) = self.report.counter_examples.first() {
            let ratings: Vec<String> = first.ratings.iter().map(|(axis, rating)| format!("{axis}={rating}")).collect();
            let text = format!(
                "{} steps move the wrong way; the first: raising {} at {} turns {} into {}",
                self.report.violations,
                first.axis,
                ratings.join(" "),
                first.before.as_str(),
                first.after.as_str()
            );
            self.find("NOT_MONOTONE", Severity::Error, "axes", text);
        }
        let failed: Vec<CaseResult> = self.report.cases.iter().filter(|case| !case.passed()).cloned().collect();
        for case in failed {
            let text = format!("{}: {}", case.name, case.difference);
            self.find("GOLDEN_CASE_FAILS", Severity::Error, "cases", text);
        }
        self.report.findings.sort_by_key(|finding| finding.severity);
        self.report
    }
}

/// How a condition asks whether the attribute of this name is there.
fn absent(name: &str) -> &'static str {
    match VARIABLES.iter().find(|variable| variable.name == name) {
        Some(Variable { lack: Lack::Zero, kind: Type::Double, .. }) => "0.0",
        Some(Variable { lack: Lack::Zero, .. }) => "0",
        Some(Variable { lack: Lack::Word("UNKNOWN"), .. }) => "'UNKNOWN'",
        _ => "''",
    }
}
