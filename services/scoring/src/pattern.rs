//! Autonomy patterns: those of the policy engine as those of the contract, and back.

use remit_api::scoring::v1::{PatternCount, PatternShift};
use remit_api::types::AutonomyPattern;
use remit_api::wire::Word as _;
use remit_policy::Pattern;
use std::collections::BTreeMap;

/// The pattern for a message.
pub(crate) fn message(pattern: Pattern) -> AutonomyPattern {
    match pattern {
        Pattern::HumanOnly => AutonomyPattern::HumanOnly,
        Pattern::AiFirstDraft => AutonomyPattern::AiFirstDraft,
        Pattern::HumanInTheLoop => AutonomyPattern::HumanInTheLoop,
        Pattern::HumanOnTheLoop => AutonomyPattern::HumanOnTheLoop,
    }
}

/// The same as a number; that of `UNSPECIFIED` for none.
pub(crate) fn number(pattern: Option<Pattern>) -> i32 {
    pattern.map_or(AutonomyPattern::Unspecified, message).into()
}

/// The pattern of a message.
pub(crate) fn of(pattern: AutonomyPattern) -> Option<Pattern> {
    Pattern::parse(pattern.word())
}

/// Every pattern with its count.
pub(crate) fn counts(counts: &BTreeMap<Pattern, i64>) -> Vec<PatternCount> {
    let count = |pattern: Pattern| PatternCount {
        pattern: message(pattern).into(),
        count: counts.get(&pattern).copied().unwrap_or_default(),
    };
    Pattern::ALL.into_iter().map(count).collect()
}

/// Moves from one pattern to another with their counts.
pub(crate) fn shifts(counts: impl IntoIterator<Item = ((Pattern, Pattern), i64)>) -> Vec<PatternShift> {
    let shift = |((from, to), count)| PatternShift { from: message(from).into(), to: message(to).into(), count };
    counts.into_iter().map(shift).collect()
}
