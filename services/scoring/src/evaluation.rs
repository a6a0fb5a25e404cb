//! A task under a policy: what the engine looks at, and what it finds, in the messages of the contract.

use crate::{pattern, task};
use remit_api::scoring::v1 as api;
use remit_api::wire::Word as _;
use remit_core::{Error, Result, name};
use remit_policy::ratings::{RECONCILE_SPREAD, Summary};
use remit_policy::{Direction, Evaluation, Input, Policy};
use std::collections::BTreeMap;

/// An evaluation and the inputs it was made from, in canonical JSON.
pub(crate) struct Evaluated {
    pub evaluation: Evaluation,
    pub inputs_json: String,
}

/// Evaluates a task whose raters agree.
///
/// # Errors
/// `FailedPrecondition`: `TASK_UNRATED`, `TASK_NEEDS_RECONCILIATION`; else as the engine says.
pub(crate) fn evaluate(
    name: &str,
    task: &api::Task,
    function: Option<&api::Function>,
    policy: &Policy,
) -> Result<Evaluated> {
    let summaries = task::summaries(task, policy);
    match task::rated_state(&summaries, policy) {
        api::TaskState::Unrated => {
            let missing = policy.file.axes.iter().filter(|axis| !summaries.contains_key(&axis.name));
            let missing: Vec<&str> = missing.map(|axis| axis.name.as_str()).collect();
            let text = format!("{name} has no rating of {}, and {} needs one", missing.join(", "), policy.name());
            Err(Error::precondition("TASK_UNRATED", text))
        }
        api::TaskState::NeedsReconciliation => {
            let apart = summaries.iter().filter(|(_, summary)| summary.spread >= RECONCILE_SPREAD);
            let apart: Vec<String> = apart.map(|(axis, summary)| format!("{axis} by {}", summary.spread)).collect();
            let text = format!("the raters of {name} are apart on {}: let them talk and rate again", apart.join(", "));
            Err(Error::precondition("TASK_NEEDS_RECONCILIATION", text))
        }
        _ => {
            let mut input = input(task, function, &summaries);
            input.signed_ratings = task::signed_medians(task, policy);
            let inputs_json = serde_json::to_string(&input)
                .map_err(|error| Error::internal("writing the inputs of a decision").with_source(error))?;
            Ok(Evaluated { evaluation: policy.evaluate(&input)?, inputs_json })
        }
    }
}

/// Everything that a policy may look at in a task of a function. Whose ratings these are, [`evaluate`] adds.
pub(crate) fn input(
    task: &api::Task,
    function: Option<&api::Function>,
    summaries: &BTreeMap<String, Summary>,
) -> Input {
    let unknown = Input::default();
    let or = |word: &str, other: String| if word.is_empty() { other } else { word.to_owned() };
    let of = |word: Option<&'static str>, other: String| or(word.unwrap_or_default(), other);
    let kind = of(function.map(|function| function.execution_kind().word()), unknown.execution_kind);
    Input {
        ratings: summaries.iter().map(|(axis, summary)| (axis.clone(), summary.median)).collect(),
        signed_ratings: None,
        claimed_tags: !task.tags_claimed_by.is_empty(),
        frequency_per_week: task.frequency_per_week,
        minutes_per_instance: task.minutes_per_instance,
        complexity: task.complexity,
        brand_impacting: task.brand_impacting,
        regulated_domain: task.regulated_domain,
        pilot_evidence: task.pilot_evidence,
        reserved_category: or(task.reserved_category().word(), unknown.reserved_category),
        execution_kind: or(task.execution_kind().word(), kind),
        stakes: task::stakes(task, summaries).word().to_owned(),
        function: name::last(&task.function).to_owned(),
        function_status: of(function.map(|function| function.status().word()), unknown.function_status),
        function_suitability: of(function.map(|function| function.suitability().word()), unknown.function_suitability),
        function_maturity: of(function.map(|function| function.maturity().word()), unknown.function_maturity),
        labels: task.labels.clone(),
        tolerated_variability: or(task.tolerated_variability().word(), unknown.tolerated_variability),
        environment_validity: or(task.environment_validity().word(), unknown.environment_validity),
        feedback_delay: or(task.feedback_delay().word(), unknown.feedback_delay),
    }
}

/// The message of an evaluation.
pub(crate) fn message(found: &Evaluation) -> Result<api::Evaluation> {
    let number = |of| pattern::message(of).into();
    let direction = |direction| match direction {
        Direction::HigherFavoursAi => api::AxisDirection::HigherFavoursAi,
        Direction::HigherFavoursHuman => api::AxisDirection::HigherFavoursHuman,
    };
    Ok(api::Evaluation {
        pattern: number(found.pattern),
        band: found.band.clone(),
        base_pattern: number(found.base_pattern),
        score: found.score.to_f64(),
        contributions: found
            .contributions
            .iter()
            .map(|part| api::Contribution {
                axis: part.axis.clone(),
                rating: part.rating,
                direction: direction(part.direction).into(),
                weight: part.weight.to_f64(),
                points: part.points.to_f64(),
            })
            .collect(),
        rules: found
            .rules
            .iter()
            .map(|rule| api::MatchedRule {
                id: rule.id.clone(),
                pattern: number(rule.pattern),
                decided: rule.decided,
                unknown: rule.unknown.clone(),
            })
            .collect(),
        caps: found
            .caps
            .iter()
            .map(|cap| api::AppliedCap {
                id: cap.id.clone(),
                at_most: number(cap.at_most),
                before: number(cap.before),
                after: number(cap.after),
                moved_toward_human: cap.after < cap.before,
                reason: cap.reason.clone(),
                unknown: cap.unknown.clone(),
            })
            .collect(),
        notes: found.notes.clone(),
        requirements: found.requirements.clone(),
        sampling_ratio: found.sampling_ratio.to_f64(),
        reading: found.reading.clone(),
        policy: found.policy.clone(),
        policy_digest: found.policy_digest.clone(),
        digest: found.digest()?,
        unknown: found.unknown.clone(),
        claimed: found.claimed,
    })
}
