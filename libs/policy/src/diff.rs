//! Compares two policies: their texts field by field, their outcomes rating by rating.

use super::model::{Pattern, Policy};
use super::space::Ratings;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One difference of two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path in the canonical JSON, such as `/bands/0/above`.
    pub path: String,
    /// JSON before; empty if added.
    pub before: String,
    /// JSON after; empty if removed.
    pub after: String,
}

/// The differences of two policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Of the files, by path.
    pub changes: Vec<Change>,
    /// Combinations of ratings, before caps, by their two patterns, where these differ.
    pub shifts: BTreeMap<(Pattern, Pattern), usize>,
}

impl Diff {
    /// Combinations that move toward AI.
    pub fn toward_ai(&self) -> usize {
        self.shifts.iter().filter(|((from, to), _)| to > from).map(|(_, n)| n).sum()
    }

    /// Combinations that move toward people.
    pub fn toward_human(&self) -> usize {
        self.shifts.iter().filter(|((from, to), _)| to < from).map(|(_, n)| n).sum()
    }
}

/// Compares two policies. Outcomes are compared by bands alone, and only if both rate the same axes on the same scale.
pub fn diff(base: &Policy, candidate: &Policy) -> Diff {
    let mut result = Diff::default();
    let read = |policy: &Policy| serde_json::from_str(policy.canonical_json()).unwrap_or(Value::Null);
    compare(String::new(), Some(&read(base)), Some(&read(candidate)), &mut result.changes);
    let scale = |policy: &Policy| -> Vec<(String, i32, i32)> {
        policy.file.axes.iter().map(|axis| (axis.name.clone(), axis.lowest, axis.highest)).collect()
    };
    if scale(base) == scale(candidate) {
        let ratings = Ratings::of(base);
        for index in 0..ratings.len() {
            let ratings = ratings.get(index);
            let outcome = |policy: &Policy| policy.band(policy.score(&ratings)).map(|band| band.pattern);
            if let (Some(from), Some(to)) = (outcome(base), outcome(candidate))
                && from != to
            {
                *result.shifts.entry((from, to)).or_default() += 1;
            }
        }
    }
    result
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                compare(format!("{path}/{key}"), a.get(key), b.get(key), changes);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                compare(format!("{path}/{i}"), a.get(i), b.get(i), changes);
            }
        }
        (a, b) => {
            let text = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
            changes.push(Change { path, before: text(a), after: text(b) });
        }
    }
}
