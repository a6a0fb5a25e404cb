//! The finite space of inputs over which a policy is checked.
//!
//! Ratings are enumerated completely. Of the other variables only those that the conditions at hand name are varied:
//! every truth value, every value of a closed set, and for numbers and open texts every literal they are compared
//! with, its neighbours, and something else. Between two such values no comparison with a literal changes.

use super::condition::{Condition, Scope};
use super::input::{Input, Type, VARIABLES, stakes_of_risk};
use super::model::Policy;
use std::collections::BTreeSet;

/// How many inputs one part of a policy may have: a bound on memory.
pub(crate) const MAX_INPUTS: usize = 2_000_000;
/// How many conditions are evaluated in all: a bound on time, a few seconds.
pub(crate) const MAX_EVALUATIONS: usize = 5_000_000;

/// All ratings of a policy's axes as numbers from 0 to `len`, the last axis fastest.
pub(crate) struct Ratings {
    lows: Vec<i32>,
    sizes: Vec<usize>,
}

impl Ratings {
    pub(crate) fn of(policy: &Policy) -> Self {
        let axes = &policy.file.axes;
        Self {
            lows: axes.iter().map(|axis| axis.lowest).collect(),
            sizes: axes.iter().map(|axis| usize::try_from(axis.highest - axis.lowest + 1).unwrap_or(1)).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    pub(crate) fn get(&self, mut index: usize) -> Vec<i32> {
        let mut ratings = self.lows.clone();
        for (axis, size) in self.sizes.iter().enumerate().rev() {
            ratings[axis] += i32::try_from(index % size).unwrap_or_default();
            index /= size;
        }
        ratings
    }

    /// The index of the ratings that are one higher on `axis`, if there are.
    pub(crate) fn step(&self, index: usize, axis: usize) -> Option<usize> {
        let stride: usize = self.sizes[axis + 1..].iter().product();
        (index / stride % self.sizes[axis] + 1 < self.sizes[axis]).then_some(index + stride)
    }
}

/// One choice of the variables besides ratings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    input: Input,
    /// `name=value`, by name.
    pub labels: Vec<String>,
    /// The same input with the stakes of each rating of risk, for a task that names no stakes of its own: then a step
    /// of risk is a step of the stakes too.
    by_risk: Option<Box<[Input; 5]>>,
}

impl Setting {
    /// The input at this rating of risk, if risk is an axis.
    pub(crate) fn input(&self, risk: Option<i32>) -> &Input {
        let Some(inputs) = &self.by_risk else { return &self.input };
        // Without an axis of that name the stakes are those of the highest risk.
        let risk = usize::try_from(risk.unwrap_or(5)).unwrap_or(5).clamp(1, 5);
        inputs.get(risk - 1).unwrap_or(&self.input)
    }
}

/// What conditions see under a setting at these ratings.
pub(crate) fn scope<'a>(policy: &'a Policy, setting: &'a Setting, ratings: &'a [i32]) -> Scope<'a> {
    let risk = policy.file.axes.iter().position(|axis| axis.name == "risk").and_then(|i| ratings.get(i)).copied();
    let input = setting.input(risk);
    let score = policy.score(ratings);
    let band = policy.band(score).map(|band| band.name.as_str()).unwrap_or_default();
    Scope { input, ratings, score: score.to_f64(), band }
}

/// Every choice of the variables that `conditions` name, or none if there are more than `limit`.
pub(crate) fn settings<'a>(conditions: impl Iterator<Item = &'a Condition>, limit: usize) -> Option<Vec<Setting>> {
    let (mut names, mut numbers, mut texts) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    for condition in conditions {
        names.extend(condition.variables().iter().map(String::as_str));
        let (more_numbers, more_texts) = condition.literals();
        numbers.extend(more_numbers);
        texts.extend(more_texts);
    }
    if names.contains("reserved") && names.remove("reserved_category") {
        names.insert("reserved_category");
        names.remove("reserved");
    }
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let mut all = vec![Setting::default()];
    for name in names {
        let choices = choices(name, &numbers, &texts);
        if choices.is_empty() {
            continue;
        }
        if all.len().saturating_mul(choices.len()) > limit {
            return None;
        }
        all = all
            .iter()
            .flat_map(|setting| {
                choices.iter().map(|choice| {
                    let mut next = setting.clone();
                    next.labels.push(choice.apply(name, &mut next.input));
                    next
                })
            })
            .collect();
    }
    for setting in all.iter_mut().filter(|setting| setting.input.stakes == FROM_RISK) {
        let input = |risk| Input { stakes: stakes_of_risk(Some(risk)).to_owned(), ..setting.input.clone() };
        setting.by_risk = Some(Box::new([1, 2, 3, 4, 5].map(input)));
    }
    Some(all)
}

/// The stakes of a task that names none.
const FROM_RISK: &str = "(from risk)";

enum Choice {
    Bool(bool),
    Int(i32),
    Double(f64),
    Text(String),
    Labels(Vec<String>),
}

fn choices(name: &str, numbers: &[f64], texts: &BTreeSet<String>) -> Vec<Choice> {
    let Some(variable) = VARIABLES.iter().find(|variable| variable.name == name) else { return Vec::new() };
    match (variable.kind, name) {
        // The score and the band follow from the ratings.
        (_, "score" | "band") => Vec::new(),
        (Type::Bool, _) => vec![Choice::Bool(false), Choice::Bool(true)],
        (Type::Int, _) => (0..=5).map(Choice::Int).collect(),
        (Type::Double, _) => {
            let mut values = vec![0.0, 1_000_000.0];
            for number in numbers {
                values.extend([number - 0.001, *number, number + 0.001]);
            }
            values.retain(|value| (0.0..=1_000_000.0).contains(value));
            values.sort_by(f64::total_cmp);
            values.dedup();
            values.into_iter().map(Choice::Double).collect()
        }
        (Type::Text, _) if variable.domain.is_empty() => {
            let others = [String::new(), "something-else".to_owned()];
            texts.iter().filter(|text| !text.is_empty()).cloned().chain(others).map(Choice::Text).collect()
        }
        (Type::Text, "stakes") => {
            variable.domain.iter().chain([&FROM_RISK]).map(|text| Choice::Text((*text).to_owned())).collect()
        }
        (Type::Text, _) => variable.domain.iter().map(|text| Choice::Text((*text).to_owned())).collect(),
        (Type::Texts, _) => {
            let texts: Vec<&String> = texts.iter().take(10).collect();
            let subset = |bits: usize| {
                let chosen = texts.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0);
                Choice::Labels(chosen.map(|(_, text)| (*text).clone()).collect())
            };
            (0..1usize << texts.len()).map(subset).collect()
        }
    }
}

impl Choice {
    fn apply(&self, name: &str, input: &mut Input) -> String {
        match self {
            Self::Bool(value) => {
                match name {
                    "brand_impacting" => input.brand_impacting = *value,
                    "regulated_domain" => input.regulated_domain = *value,
                    "pilot_evidence" => input.pilot_evidence = *value,
                    _ => input.reserved_category = if *value { "POSITIONING" } else { "NONE" }.into(),
                }
                format!("{name}={value}")
            }
            Self::Int(value) => {
                input.complexity = *value;
                format!("{name}={value}")
            }
            Self::Double(value) => {
                if name == "frequency_per_week" {
                    input.frequency_per_week = *value;
                } else {
                    input.minutes_per_instance = *value;
                }
                format!("{name}={value}")
            }
            Self::Text(value) => {
                let field = match name {
                    "reserved_category" => &mut input.reserved_category,
                    "execution_kind" => &mut input.execution_kind,
                    "stakes" => &mut input.stakes,
                    "function_status" => &mut input.function_status,
                    "function_suitability" => &mut input.function_suitability,
                    "function_maturity" => &mut input.function_maturity,
                    "tolerated_variability" => &mut input.tolerated_variability,
                    "environment_validity" => &mut input.environment_validity,
                    "feedback_delay" => &mut input.feedback_delay,
                    _ => &mut input.function,
                };
                field.clone_from(value);
                format!("{name}={value}")
            }
            Self::Labels(labels) => {
                input.labels.clone_from(labels);
                format!("{name}=[{}]", labels.join(", "))
            }
        }
    }
}
