//! What is read out of a task: what its raters say together, how far it has come, what a decision depends on.

use crate::rating;
use remit_api::scoring::v1 as api;
use remit_api::types::Stakes;
use remit_api::wire::{Word as _, time};
use remit_core::name::{AuditWindowName, FunctionName, GateName};
use remit_core::{Error, Result, Timestamp, canonical};
use remit_policy::ratings::{RECONCILE_SPREAD, Summary, summarize};
use remit_policy::{Direction, Policy, stakes_of_risk};
use std::collections::BTreeMap;

/// Working weeks a year, for hours a year on tasks and decisions.
pub(crate) const WEEKS_PER_YEAR: f64 = 52.0;

/// At most this many people rate one task.
pub(crate) const MAX_RATERS: usize = 50;

/// Checks what the field rules of the contract cannot say.
pub(crate) fn check(task: &api::Task) -> Result<()> {
    if !task.function.is_empty() {
        FunctionName::parse(&task.function, "task.function")?;
    }
    if !task.gate.is_empty() {
        GateName::parse(&task.gate, "task.gate")?;
    }
    if !task.audit_window.is_empty() {
        AuditWindowName::parse(&task.audit_window, "task.audit_window")?;
    }
    if task.ratings.len() > MAX_RATERS {
        return Err(Error::invalid("TOO_MANY_RATERS", "task.ratings", format!("must be at most {MAX_RATERS}")));
    }
    Ok(())
}

/// Gives ratings that a caller sends again without their time the time that they have.
pub(crate) fn keep_times(task: &mut api::Task, before: &api::Task) {
    for rating in task.ratings.iter_mut().filter(|rating| rating.rate_time.is_none()) {
        let again = |old: &&api::Rating| api::Rating { rate_time: None, ..(*old).clone() } == *rating;
        rating.rate_time = before.ratings.iter().find(again).and_then(|old| old.rate_time);
    }
}

/// Keeps what a caller may set, with the ratings in the order of their raters, one for each.
pub(crate) fn normalize(task: &mut api::Task, now: Timestamp) {
    let mut ratings = BTreeMap::new();
    for mut rating in std::mem::take(&mut task.ratings) {
        rating.rate_time.get_or_insert(time::stamp(now));
        ratings.insert(rating.rater.clone(), rating);
    }
    task.ratings = ratings.into_values().collect();
    task.labels.sort();
    task.summaries.clear();
    task.remarks.clear();
    task.claimed_ratings = 0;
    task.name.clear();
    task.state = 0;
    task.decision.clear();
    task.pattern = 0;
    task.hours_per_year = 0.0;
    task.content_digest.clear();
    task.create_time = None;
    task.update_time = None;
    task.etag.clear();
}

fn direction(policy: &Policy, axis: &str) -> Direction {
    let known = policy.file.axes.iter().find(|known| known.name == axis).map(|known| known.direction);
    known.unwrap_or(if axis == "predictability" { Direction::HigherFavoursAi } else { Direction::HigherFavoursHuman })
}

/// All ratings of a task, axis by axis.
pub(crate) fn scores(task: &api::Task) -> BTreeMap<&str, Vec<i32>> {
    by_axis(task.ratings.iter())
}

fn by_axis<'a>(ratings: impl Iterator<Item = &'a api::Rating>) -> BTreeMap<&'a str, Vec<i32>> {
    let mut scores: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (axis, score) in ratings.flat_map(|rating| &rating.scores) {
        scores.entry(axis).or_default().push(*score);
    }
    scores
}

/// The ratings that the raters gave themselves.
fn signed(task: &api::Task) -> impl Iterator<Item = &api::Rating> {
    task.ratings.iter().filter(|rating| rating.entered_by.is_empty())
}

/// The medians of the ratings that the raters gave themselves, axis by axis; none if all ratings are of that kind.
pub(crate) fn signed_medians(task: &api::Task, policy: &Policy) -> Option<BTreeMap<String, i32>> {
    rating::claimed(task).next()?;
    let median =
        |(axis, scores): (&str, Vec<i32>)| Some((axis.to_owned(), summarize(&scores, direction(policy, axis))?.median));
    Some(by_axis(signed(task)).into_iter().filter_map(median).collect())
}

/// What the raters say together, axis by axis.
pub(crate) fn summaries(task: &api::Task, policy: &Policy) -> BTreeMap<String, Summary> {
    let summary =
        |(axis, scores): (&str, Vec<i32>)| Some((axis.to_owned(), summarize(&scores, direction(policy, axis))?));
    scores(task).into_iter().filter_map(summary).collect()
}

/// How far a task has come by its ratings alone.
pub(crate) fn rated_state(summaries: &BTreeMap<String, Summary>, policy: &Policy) -> api::TaskState {
    let axes = &policy.file.axes;
    if axes.iter().any(|axis| !summaries.contains_key(&axis.name)) {
        api::TaskState::Unrated
    } else if axes.iter().any(|axis| summaries.get(&axis.name).is_some_and(|s| s.spread >= RECONCILE_SPREAD)) {
        api::TaskState::NeedsReconciliation
    } else {
        api::TaskState::Rated
    }
}

/// The task's own stakes, or those of its median risk; of two medians, that of all ratings and that of the raters' own,
/// the higher one.
pub(crate) fn stakes(task: &api::Task, summaries: &BTreeMap<String, Summary>) -> Stakes {
    match task.stakes() {
        Stakes::Unspecified => {
            let own: Vec<i32> = signed(task).filter_map(|rating| rating.scores.get("risk")).copied().collect();
            let own = summarize(&own, Direction::HigherFavoursHuman).map(|own| own.median);
            let risk = summaries.get("risk").map(|summary| own.map_or(summary.median, |own| own.max(summary.median)));
            Stakes::parse(stakes_of_risk(risk)).unwrap_or(Stakes::High)
        }
        given => given,
    }
}

/// Hours a year that a task takes a person, at 52 weeks.
pub(crate) fn hours_per_year(task: &api::Task) -> f64 {
    task.frequency_per_week * task.minutes_per_instance / 60.0 * WEEKS_PER_YEAR
}

/// The digest of what a decision depends on in a task.
pub(crate) fn content_digest(task: &api::Task) -> Result<String> {
    let ratings: BTreeMap<&str, &BTreeMap<String, i32>> =
        task.ratings.iter().map(|rating| (rating.rater.as_str(), &rating.scores)).collect();
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
        ("tolerated_variability", task.tolerated_variability().word()),
        ("environment_validity", task.environment_validity().word()),
        ("feedback_delay", task.feedback_delay().word()),
    ] {
        if !value.is_empty() {
            content[name] = value.into();
        }
    }
    // So that a rater who confirms what was entered for her changes what a decision depends on.
    let claimed: Vec<&str> = rating::claimed(task).map(|rating| rating.rater.as_str()).collect();
    if !claimed.is_empty() {
        content["claimed"] = claimed.into();
    }
    // So that a person who confirms the tags that a program gave does so too.
    if !task.tags_claimed_by.is_empty() {
        content["claimed_tags"] = true.into();
    }
    canonical::digest(&content)
}
