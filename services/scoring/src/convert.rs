//! Between the messages of the contract and the types of the policy engine.

use remit_api::scoring::v1 as api;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_core::{Result, Timestamp, canonical};
use remit_policy::ratings::{RECONCILE_SPREAD, Summary, summarize};
use remit_policy::{Direction, Evaluation, Input, Pattern, Policy, stakes_of_risk, suitability};
use std::collections::BTreeMap;

/// Working weeks a year, for hours a year on tasks and decisions.
pub(crate) const WEEKS_PER_YEAR: f64 = 52.0;

pub(crate) fn time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: i32::try_from(at.0.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    }
}

pub(crate) fn timestamp(at: &prost_types::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000))
}

pub(crate) fn duration(span: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

pub(crate) fn pattern(pattern: Pattern) -> AutonomyPattern {
    match pattern {
        Pattern::HumanOnly => AutonomyPattern::HumanOnly,
        Pattern::AiFirstDraft => AutonomyPattern::AiFirstDraft,
        Pattern::HumanInTheLoop => AutonomyPattern::HumanInTheLoop,
        Pattern::HumanOnTheLoop => AutonomyPattern::HumanOnTheLoop,
    }
}

/// The pattern of a column; empty for none.
pub(crate) fn pattern_number(text: &str) -> i32 {
    Pattern::parse(text).map_or(AutonomyPattern::Unspecified, pattern) as i32
}

fn direction(direction: Direction) -> api::AxisDirection {
    match direction {
        Direction::HigherFavoursAi => api::AxisDirection::HigherFavoursAi,
        Direction::HigherFavoursHuman => api::AxisDirection::HigherFavoursHuman,
    }
}

pub(crate) fn evaluation(found: &Evaluation) -> Result<api::Evaluation> {
    Ok(api::Evaluation {
        pattern: pattern(found.pattern) as i32,
        band: found.band.clone(),
        base_pattern: pattern(found.base_pattern) as i32,
        score: found.score.to_f64(),
        contributions: found
            .contributions
            .iter()
            .map(|part| api::Contribution {
                axis: part.axis.clone(),
                rating: part.rating,
                direction: direction(part.direction) as i32,
                weight: part.weight.to_f64(),
                points: part.points.to_f64(),
            })
            .collect(),
        rules: found
            .rules
            .iter()
            .map(|rule| api::MatchedRule {
                id: rule.id.clone(),
                pattern: pattern(rule.pattern) as i32,
                decided: rule.decided,
            })
            .collect(),
        caps: found
            .caps
            .iter()
            .map(|cap| api::AppliedCap {
                id: cap.id.clone(),
                at_most: pattern(cap.at_most) as i32,
                before: pattern(cap.before) as i32,
                after: pattern(cap.after) as i32,
                moved_toward_human: cap.after < cap.before,
                reason: cap.reason.clone(),
            })
            .collect(),
        notes: found.notes.clone(),
        requirements: found.requirements.clone(),
        sampling_ratio: found.sampling_ratio.to_f64(),
        reading: found.reading.clone(),
        policy: found.policy.clone(),
        policy_digest: found.policy_digest.clone(),
        digest: found.digest()?,
    })
}

/// The name of an enum value without its prefix, empty for the unspecified one.
pub(crate) fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    let short = name.strip_prefix(prefix).unwrap_or(name);
    if short == "UNSPECIFIED" { "" } else { short }
}

fn median_direction(policy: &Policy, axis: &str) -> Direction {
    let known = policy.file.axes.iter().find(|known| known.name == axis).map(|known| known.direction);
    known.unwrap_or(if axis == "predictability" { Direction::HigherFavoursAi } else { Direction::HigherFavoursHuman })
}

/// What the raters say together, axis by axis.
pub(crate) fn summaries(task: &api::Task, policy: &Policy) -> BTreeMap<String, Summary> {
    let mut by_axis: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for rating in &task.ratings {
        for (axis, score) in &rating.scores {
            by_axis.entry(axis).or_default().push(*score);
        }
    }
    by_axis
        .into_iter()
        .filter_map(|(axis, scores)| Some((axis.to_owned(), summarize(&scores, median_direction(policy, axis))?)))
        .collect()
}

/// How far a task has come by its ratings alone.
pub(crate) fn rated_state(summaries: &BTreeMap<String, Summary>, policy: &Policy) -> &'static str {
    let axes = &policy.file.axes;
    if axes.iter().any(|axis| !summaries.contains_key(&axis.name)) {
        "UNRATED"
    } else if axes.iter().any(|axis| summaries.get(&axis.name).is_some_and(|s| s.spread >= RECONCILE_SPREAD)) {
        "NEEDS_RECONCILIATION"
    } else {
        "RATED"
    }
}

/// The task's own stakes, or those of its median risk.
pub(crate) fn stakes(task: &api::Task, risk: Option<i32>) -> Stakes {
    match task.stakes() {
        Stakes::Unspecified => match stakes_of_risk(risk) {
            "LOW" => Stakes::Low,
            "MEDIUM" => Stakes::Medium,
            _ => Stakes::High,
        },
        given => given,
    }
}

/// Everything that a policy may look at in a task of a function.
pub(crate) fn input(
    task: &api::Task,
    function: Option<&api::Function>,
    summaries: &BTreeMap<String, Summary>,
) -> Input {
    let unknown = Input::default();
    let risk = summaries.get("risk").map(|summary| summary.median);
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let kind = short(task.execution_kind().as_str_name(), "EXECUTION_KIND_");
    let function_kind = function.map_or("", |f| short(f.execution_kind().as_str_name(), "EXECUTION_KIND_"));
    Input {
        ratings: summaries.iter().map(|(axis, summary)| (axis.clone(), summary.median)).collect(),
        frequency_per_week: task.frequency_per_week,
        minutes_per_instance: task.minutes_per_instance,
        complexity: task.complexity,
        brand_impacting: task.brand_impacting,
        regulated_domain: task.regulated_domain,
        pilot_evidence: task.pilot_evidence,
        reserved_category: or(short(task.reserved_category().as_str_name(), "RESERVED_CATEGORY_"), "NONE"),
        execution_kind: or(kind, &or(function_kind, &unknown.execution_kind)),
        stakes: short(stakes(task, risk).as_str_name(), "STAKES_").to_owned(),
        function: task.function.strip_prefix("functions/").unwrap_or_default().to_owned(),
        function_status: function
            .map_or(unknown.function_status, |f| or(short(f.status().as_str_name(), "FUNCTION_STATUS_"), "UNTESTED")),
        function_suitability: function.map_or(unknown.function_suitability, |f| verdict(f).to_owned()),
        function_maturity: function
            .map_or(unknown.function_maturity, |f| or(short(f.maturity().as_str_name(), "MATURITY_"), "UNKNOWN")),
        labels: task.labels.clone(),
        tolerated_variability: or(
            short(task.tolerated_variability().as_str_name(), "TOLERATED_VARIABILITY_"),
            &unknown.tolerated_variability,
        ),
        environment_validity: or(
            short(task.environment_validity().as_str_name(), "ENVIRONMENT_VALIDITY_"),
            &unknown.environment_validity,
        ),
        feedback_delay: or(short(task.feedback_delay().as_str_name(), "FEEDBACK_DELAY_"), &unknown.feedback_delay),
    }
}

fn signal(signal: api::Signal) -> suitability::Signal {
    match signal {
        api::Signal::Unspecified => None,
        api::Signal::Holds => Some(true),
        api::Signal::Fails => Some(false),
    }
}

/// `LOW`, `MEDIUM` or `HIGH`, by the four signals.
pub(crate) fn verdict(function: &api::Function) -> &'static str {
    suitability::verdict(
        signal(function.compressible()),
        [
            signal(function.tooling_adopted()),
            signal(function.senior_strategy_role()),
            signal(function.market_premium()),
        ],
    )
}

/// The digest of what a decision depends on in a function; empty for no function.
pub(crate) fn function_digest(function: Option<&api::Function>) -> Result<String> {
    let Some(function) = function else { return Ok(String::new()) };
    canonical::digest(&serde_json::json!({
        "name": function.name,
        "suitability": verdict(function),
        "status": function.status().as_str_name(),
        "maturity": function.maturity().as_str_name(),
        "execution_kind": function.execution_kind().as_str_name(),
    }))
}

/// The digest of what a decision depends on in a task.
pub(crate) fn content_digest(task: &api::Task) -> Result<String> {
    let ratings: BTreeMap<&str, BTreeMap<&str, i32>> = task
        .ratings
        .iter()
        .map(|rating| {
            (rating.rater.as_str(), rating.scores.iter().map(|(axis, score)| (axis.as_str(), *score)).collect())
        })
        .collect();
    let mut content = serde_json::json!({
        "function": task.function,
        "frequency_per_week": task.frequency_per_week,
        "minutes_per_instance": task.minutes_per_instance,
        "complexity": task.complexity,
        "brand_impacting": task.brand_impacting,
        "regulated_domain": task.regulated_domain,
        "pilot_evidence": task.pilot_evidence,
        "reserved_category": task.reserved_category().as_str_name(),
        "execution_kind": task.execution_kind().as_str_name(),
        "stakes": task.stakes().as_str_name(),
        "disclosure": task.disclosure().as_str_name(),
        "gate": task.gate,
        "purpose": task.purpose,
        "labels": task.labels,
        "ratings": ratings,
    });
    // Named only where they are given, so that tasks from before these tags keep their digest.
    for (name, value) in [
        ("tolerated_variability", short(task.tolerated_variability().as_str_name(), "TOLERATED_VARIABILITY_")),
        ("environment_validity", short(task.environment_validity().as_str_name(), "ENVIRONMENT_VALIDITY_")),
        ("feedback_delay", short(task.feedback_delay().as_str_name(), "FEEDBACK_DELAY_")),
    ] {
        if !value.is_empty() {
            content[name] = value.into();
        }
    }
    canonical::digest(&content)
}

/// Hours a year that a task takes a person, at 52 weeks.
pub(crate) fn hours_per_year(task: &api::Task) -> f64 {
    task.frequency_per_week * task.minutes_per_instance / 60.0 * WEEKS_PER_YEAR
}

/// Checks that a reference is empty or has the form of `pattern`.
pub(crate) fn reference(value: &str, pattern: &str, field: &str) -> Result<()> {
    if value.is_empty() { Ok(()) } else { remit_core::name::ids::<1>(value, pattern, field).map(|_| ()) }
}

pub(crate) fn etag(revision: i64) -> String {
    format!("r{revision}")
}

/// The canonical JSON of an input, which a decision keeps.
pub(crate) fn input_json(input: &Input) -> Result<String> {
    canonical::json(input)
}
