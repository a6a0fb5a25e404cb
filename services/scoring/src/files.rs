//! What can be said of policy files without a server, in the messages of the contract.

use crate::pattern;
use remit_api::scoring::v1 as api;
use remit_api::types::StrictnessChange;
use remit_core::Result;
use remit_core::strictness::Direction;
use remit_policy::{Policy, diff as compare, lint as check, strictness};

/// Checks a policy file over its whole input space and runs its golden cases.
///
/// # Errors
/// `InvalidArgument` (`POLICY_INVALID`), naming the field of the file.
pub fn lint(source: &[u8]) -> Result<api::LintReport> {
    Ok(lint_message(&Policy::parse(source)?))
}

/// Compares two policy files: their texts field by field and their outcomes input by input.
///
/// # Errors
/// As [`lint`].
pub fn diff(base: &[u8], candidate: &[u8]) -> Result<api::DiffPoliciesResponse> {
    Ok(diff_message(&Policy::parse(base)?, &Policy::parse(candidate)?))
}

pub(crate) fn lint_message(policy: &Policy) -> api::LintReport {
    let report = check::lint(policy);
    let severity = |severity| match severity {
        check::Severity::Error => api::LintSeverity::Error,
        check::Severity::Warning => api::LintSeverity::Warning,
        check::Severity::Info => api::LintSeverity::Info,
    };
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    api::LintReport {
        passed: report.passed(),
        combinations: count(report.combinations),
        inputs: count(report.inputs),
        bands: report
            .bands
            .iter()
            .map(|(band, pattern, n)| api::BandCount {
                band: band.clone(),
                pattern: pattern::message(*pattern).into(),
                combinations: count(*n),
            })
            .collect(),
        findings: report
            .findings
            .iter()
            .map(|finding| api::LintFinding {
                code: finding.code.to_owned(),
                severity: severity(finding.severity).into(),
                field: finding.field.clone(),
                message: finding.message.clone(),
            })
            .collect(),
        monotonicity_violations: count(report.violations),
        counter_examples: report
            .counter_examples
            .iter()
            .map(|step| api::MonotonicityViolation {
                axis: step.axis.clone(),
                ratings: step.ratings.clone().into_iter().collect(),
                attributes: step.attributes.clone(),
                before: pattern::message(step.before).into(),
                after: pattern::message(step.after).into(),
                stage: step.stage.clone(),
            })
            .collect(),
        golden_cases: report
            .cases
            .iter()
            .map(|case| api::GoldenCaseResult {
                name: case.name.clone(),
                passed: case.passed(),
                difference: case.difference.clone(),
            })
            .collect(),
        policy_digest: policy.digest().to_owned(),
    }
}

pub(crate) fn diff_message(base: &Policy, candidate: &Policy) -> api::DiffPoliciesResponse {
    let found = compare::diff(base, candidate);
    let strictness = strictness::compare(base, candidate);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    api::DiffPoliciesResponse {
        base_digest: base.digest().to_owned(),
        candidate_digest: candidate.digest().to_owned(),
        toward_ai: count(found.toward_ai()),
        toward_human: count(found.toward_human()),
        changes: found
            .changes
            .into_iter()
            .map(|change| api::PolicyChange { path: change.path, before: change.before, after: change.after })
            .collect(),
        shifts: pattern::shifts(found.shifts.into_iter().map(|(shift, n)| (shift, count(n)))),
        strictness_change: strictness_change(strictness.direction).into(),
        cells: count(strictness.cells),
        cells_loosened: count(strictness.loosened),
        cells_tightened: count(strictness.tightened),
        loosening: strictness.loosening,
    }
}

fn strictness_change(direction: Direction) -> StrictnessChange {
    match direction {
        Direction::Same => StrictnessChange::Same,
        Direction::Tightens => StrictnessChange::Tightens,
        Direction::Loosens => StrictnessChange::Loosens,
        Direction::Mixed => StrictnessChange::Mixed,
    }
}
