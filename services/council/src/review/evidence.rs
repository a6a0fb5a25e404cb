//! What evidence says of itself: what was tested, who had handed over what, and which figures later packs compare.

use serde::{Deserialize, Serialize};

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Checked {
    /// All that was looked at is as it should be.
    Passed,
    /// The threshold was reached.
    Failed,
    /// There was nothing to look at.
    NothingToTest,
    /// Who would know did not answer.
    SourceNotAvailable,
}

/// One test of the records of the month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// The evidence key, such as `registry.disclosure`.
    pub(crate) key: String,
    /// What is looked at.
    pub(crate) population: String,
    /// What is asked of each.
    pub(crate) test: String,
    /// How many of them are looked at.
    pub(crate) sample: String,
    /// From when on it fails.
    pub(crate) threshold: String,
    /// How many there were.
    pub(crate) n: i64,
    /// What came of it.
    pub(crate) outcome: Checked,
    /// The same in words.
    pub(crate) said: String,
}

/// How far a service had handed over what it knows when the evidence was collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceState {
    /// The service.
    pub(crate) source: String,
    /// The instant up to which its events were asked for.
    pub(crate) until: String,
    /// How many entries of the audit log it has counted; none for a service that counts none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<i64>,
    /// How many entries there were then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<i64>,
    /// Events that it had not handed over.
    pub(crate) waiting: i64,
    /// Events that the audit log had refused for good.
    pub(crate) parked: i64,
    /// Why it counts as away; empty if it does not.
    pub(crate) away: String,
}

/// A number that a pack states about its month, by which a later pack knows whether it has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The stable key, such as `outputs.total`.
    pub(crate) key: String,
    /// The source that gave it, as in [`super::pack::Block::Unavailable`].
    pub(crate) source: String,
    /// In words.
    pub(crate) label: String,
    /// The value; none without data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<f64>,
    /// How many it rests on.
    pub(crate) n: i64,
}

/// A figure of an earlier month that is another by now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restated {
    /// The month.
    pub(crate) period: String,
    /// The key of the figure.
    pub(crate) key: String,
    /// The figure in words.
    pub(crate) label: String,
    /// The value as last stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) old_value: Option<f64>,
    /// The value now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new_value: Option<f64>,
    /// How many the old value rests on.
    pub(crate) old_n: i64,
    /// How many the new value rests on.
    pub(crate) new_n: i64,
}
