//! Decision policies: should AI do this task, and under which oversight?
//!
//! A policy is a file ([`PolicyFile`]): axes that people rate, bands over their weighted sum, an optional decision
//! table, caps, notes, sampling and golden cases. [`Policy`] is the compiled form. [`Policy::evaluate`] explains its
//! outcome; [`lint`] proves over the whole input space that a policy is complete, free of overlap and monotone;
//! [`diff`] compares two, and [`strictness`] says which is looser. Nothing here reads a clock, a file or a database, and the same input under the same policy
//! gives the same bytes on every platform: scores are integers in thousandths.

mod check;
mod condition;
pub mod diff;
mod evaluate;
mod golden;
mod input;
pub mod lint;
mod milli;
mod model;
pub mod ratings;
pub mod sampling;
pub mod seed;
pub mod signatures;
mod space;
pub mod strictness;
pub mod suitability;
#[cfg(test)]
mod tests;

pub use condition::Condition;
pub use evaluate::{AppliedCap, CLAIMED_CAP, CLAIMED_TAGS_CAP, Contribution, Evaluation, MatchedRule};
pub use golden::CaseResult;
pub use input::{
    EXECUTION_KINDS, FEEDBACK_DELAYS, FUNCTION_STATUSES, Input, MATURITIES, RESERVED_CATEGORIES, STAKES, SUITABILITIES,
    VALIDITIES, VARIABILITIES, stakes_of_risk, variables,
};
pub use milli::Milli;
pub use model::{
    Axis, Band, Cap, Direction, GoldenCase, HitPolicy, Note, Otherwise, Pattern, Policy, PolicyFile, Rule, Sampling,
    Scoring, Table,
};
