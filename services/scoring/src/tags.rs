//! What the tags of a task let AI do in it, and who may say so.
//!
//! Tags decide with the ratings: which function a task belongs to, whether it is reserved, regulated or shapes the brand,
//! how much is at stake. A program may make them stricter and never looser, as a person may do, which is recorded with
//! what was. What a program says of a task that it creates is a claim: until a person has said the tags herself, a person
//! decides on each result ([`remit_policy::CLAIMED_TAGS_CAP`]).

use prost_types::FieldMask;
use remit_api::scoring::v1 as api;
use remit_api::types::Stakes;
use remit_api::wire::Word as _;
use remit_core::strictness::{Comparison, Direction};
use remit_core::{Actor, Error, Result};
use std::collections::BTreeSet;

/// The fields of a task that are tags.
const TAGS: [&str; 17] = [
    "function",
    "frequency_per_week",
    "minutes_per_instance",
    "complexity",
    "brand_impacting",
    "regulated_domain",
    "reserved_category",
    "execution_kind",
    "stakes",
    "pilot_evidence",
    "disclosure",
    "gate",
    "purpose",
    "labels",
    "tolerated_variability",
    "environment_validity",
    "feedback_delay",
];

/// Whether an update or the columns of a file name tags; an empty mask and `*` name all of them.
pub(crate) fn named(mask: Option<&FieldMask>) -> bool {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    let tag = |path: &String| path == "*" || TAGS.contains(&path.split('.').next().unwrap_or_default());
    paths.is_empty() || paths.iter().any(tag)
}

/// How a task comes to its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is created, perhaps where one of its name was before.
    Created,
    /// It is changed, and the call names tags.
    Named,
    /// It is changed, and the call names none.
    Left,
}

/// Refuses tags that a program may not give, and says whose they are after the change. `before` are those of the task as
/// it is, or as it was when it was deleted.
///
/// # Errors
/// `PermissionDenied` (`TAGS_NEED_A_PERSON`).
pub(crate) fn hold(by: &Actor, before: Option<&api::Task>, after: &mut api::Task, how: How) -> Result<()> {
    let change = before.map(|before| compare(before, after)).unwrap_or_default();
    let claimed = before.map_or("", |before| before.tags_claimed_by.as_str());
    let whose = match (by.is_human(), how) {
        (true, How::Created | How::Named) => "",
        (false, How::Created) => by.subject.as_str(),
        (true, How::Left) | (false, How::Named | How::Left) => claimed,
    };
    if !by.is_human() && change.loosens() {
        let what = change.summary();
        let text = format!("{} is a program and makes tags stricter only: {what} lets AI do more, or may", by.subject);
        return Err(Error::denied("TAGS_NEED_A_PERSON", text));
    }
    whose.clone_into(&mut after.tags_claimed_by);
    Ok(())
}

/// What `after` changes of the tags of `before`. What is not tagged counts as what is asked most of; of what a policy may
/// read either way, any change may be looser.
pub(crate) fn compare(before: &api::Task, after: &api::Task) -> Comparison {
    let mut found = Comparison::default();
    let (was, is) = (before, after);
    unlike(&mut found, "function", or_none(&was.function), or_none(&is.function));
    let often = |n: &f64| *n;
    known(&mut found, "frequency_per_week", (was.frequency_per_week, is.frequency_per_week), often);
    // Of what is tagged more is stricter.
    known(&mut found, "minutes_per_instance", (was.minutes_per_instance, is.minutes_per_instance), |n| -n);
    known(&mut found, "complexity", (f64::from(was.complexity), f64::from(is.complexity)), |n| -n);
    required(&mut found, "brand_impacting", was.brand_impacting, is.brand_impacting);
    required(&mut found, "regulated_domain", was.regulated_domain, is.regulated_domain);
    let (reserved, now) = (was.reserved_category(), is.reserved_category());
    let free = |category: &api::ReservedCategory| i32::from(*category == api::ReservedCategory::Unspecified);
    let direction = Direction::by_looseness(&reserved, &now, free);
    found.part("reserved_category", direction, or_none(reserved.word()), or_none(now.word()));
    let (kind, now) = (was.execution_kind(), is.execution_kind());
    let direction = Direction::by_looseness(&kind, &now, |kind| structured(*kind));
    found.part("execution_kind", direction, or_none(kind.word()), or_none(now.word()));
    let (at_stake, now) = (was.stakes(), is.stakes());
    found.part("stakes", stakes(at_stake, now), or_none(at_stake.word()), or_none(now.word()));
    // Evidence loosens where it appears.
    let direction = Direction::required(!was.pilot_evidence, !is.pilot_evidence);
    found.part("pilot_evidence", direction, was.pilot_evidence, is.pilot_evidence);
    let (told, now) = (disclosure(was), disclosure(is));
    let silent = |told: &api::Disclosure| i32::from(*told == api::Disclosure::NotRequired);
    found.part("disclosure", Direction::by_looseness(&told, &now, silent), told.word(), now.word());
    let free = |gate: &&str| i32::from(gate.is_empty());
    let direction = Direction::by_looseness(&was.gate.as_str(), &is.gate.as_str(), free);
    found.part("gate", direction, or_none(&was.gate), or_none(&is.gate));
    unlike(&mut found, "purpose", or_none(&was.purpose), or_none(&is.purpose));
    unlike(&mut found, "labels", labels(was), labels(is));
    let (may_vary, now) = (was.tolerated_variability(), is.tolerated_variability());
    let uniform = |v: &api::ToleratedVariability| i32::from(*v == api::ToleratedVariability::Low);
    let rank = |v: &api::ToleratedVariability| uniform(v) * 2 + i32::from(*v == api::ToleratedVariability::High);
    found.part("tolerated_variability", Direction::by_looseness(&may_vary, &now, rank), may_vary.word(), now.word());
    let (valid, now) = (was.environment_validity(), is.environment_validity());
    let direction = Direction::more_is_looser(&i32::from(valid), &i32::from(now));
    found.part("environment_validity", direction, or_none(valid.word()), or_none(now.word()));
    let (late, now) = (was.feedback_delay(), is.feedback_delay());
    let prompt = |delay: &api::FeedbackDelay| match i32::from(*delay) {
        0 => i32::MIN,
        later => -later,
    };
    let direction = Direction::by_looseness(&late, &now, prompt);
    found.part("feedback_delay", direction, or_none(late.word()), or_none(now.word()));
    found
}

/// A number of which 0 means that nobody has said it, which is asked most of; else how loose it is.
fn known(found: &mut Comparison, name: &str, (was, is): (f64, f64), looseness: impl Fn(&f64) -> f64) {
    let rank = |n: &f64| if *n == 0.0 { f64::NEG_INFINITY } else { looseness(n) };
    found.part(name, Direction::more_is_looser(&rank(&was), &rank(&is)), was, is);
}

fn required(found: &mut Comparison, name: &str, was: bool, is: bool) {
    found.part(name, Direction::required(was, is), was, is);
}

fn unlike<T: PartialEq + std::fmt::Display>(found: &mut Comparison, name: &str, was: T, is: T) {
    found.part(name, Direction::unknown(&was, &is), was, is);
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn labels(task: &api::Task) -> String {
    let labels: BTreeSet<&str> = task.labels.iter().map(String::as_str).collect();
    or_none(&labels.into_iter().collect::<Vec<_>>().join(", ")).to_owned()
}

/// Only structured execution compresses; what is not tagged is as its function is.
fn structured(kind: api::ExecutionKind) -> i32 {
    match kind {
        api::ExecutionKind::Structured => 2,
        api::ExecutionKind::Unspecified => 1,
        api::ExecutionKind::Cumulative | api::ExecutionKind::Relational => 0,
    }
}

/// Stakes that are not given follow from the ratings: they may be anything from LOW to HIGH.
fn stakes(was: Stakes, is: Stakes) -> Direction {
    match (was, is) {
        (Stakes::Unspecified, Stakes::Medium) | (Stakes::Medium, Stakes::Unspecified) => Direction::Mixed,
        (Stakes::Unspecified, Stakes::Low) | (Stakes::High, Stakes::Unspecified) => Direction::Loosens,
        (Stakes::Unspecified, Stakes::High) | (Stakes::Low, Stakes::Unspecified) => Direction::Tightens,
        (was, is) => Direction::more_is_stricter(&i32::from(was), &i32::from(is)),
    }
}

/// What is not decided counts as LABEL.
fn disclosure(task: &api::Task) -> api::Disclosure {
    match task.disclosure() {
        api::Disclosure::Unspecified => api::Disclosure::Label,
        told => told,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::scoring::v1::{
        Disclosure, EnvironmentValidity, ExecutionKind, FeedbackDelay, ReservedCategory, Task, ToleratedVariability,
    };
    use remit_api::wire::Updatable as _;
    use remit_core::ActorKind;

    fn task() -> Task {
        Task {
            function: "functions/software".into(),
            frequency_per_week: 10.0,
            minutes_per_instance: 30.0,
            complexity: 3,
            brand_impacting: true,
            reserved_category: ReservedCategory::Positioning.into(),
            stakes: Stakes::Medium.into(),
            gate: "gates/g".into(),
            feedback_delay: FeedbackDelay::Days.into(),
            ..Task::default()
        }
    }

    /// A change, and what it is.
    type Case = (fn(&mut Task), Direction);

    #[test]
    fn a_tag_is_looser_where_it_lets_ai_do_more() {
        let cases: &[Case] = &[
            (|t| t.function = "functions/paid_media".into(), Direction::Mixed),
            (|t| t.function.clear(), Direction::Mixed),
            (|t| t.frequency_per_week = 20.0, Direction::Loosens),
            (|t| t.frequency_per_week = 0.0, Direction::Tightens),
            (|t| t.minutes_per_instance = 20.0, Direction::Loosens),
            (|t| t.minutes_per_instance = 0.0, Direction::Tightens),
            (|t| t.complexity = 4, Direction::Tightens),
            (|t| t.complexity = 2, Direction::Loosens),
            (|t| t.brand_impacting = false, Direction::Loosens),
            (|t| t.regulated_domain = true, Direction::Tightens),
            (|t| t.reserved_category = 0, Direction::Loosens),
            (|t| t.set_reserved_category(ReservedCategory::CreativeDirection), Direction::Mixed),
            (|t| t.set_execution_kind(ExecutionKind::Structured), Direction::Loosens),
            (|t| t.set_execution_kind(ExecutionKind::Relational), Direction::Tightens),
            (|t| t.set_stakes(Stakes::Low), Direction::Loosens),
            (|t| t.set_stakes(Stakes::High), Direction::Tightens),
            (|t| t.stakes = 0, Direction::Mixed),
            (|t| t.pilot_evidence = true, Direction::Loosens),
            (|t| t.set_disclosure(Disclosure::NotRequired), Direction::Loosens),
            (|t| t.set_disclosure(Disclosure::Label), Direction::Same),
            (|t| t.gate.clear(), Direction::Loosens),
            (|t| t.gate = "gates/h".into(), Direction::Mixed),
            (|t| t.purpose = "p".into(), Direction::Mixed),
            (|t| t.labels.push("sandbox".into()), Direction::Mixed),
            (|t| t.set_tolerated_variability(ToleratedVariability::High), Direction::Loosens),
            (|t| t.set_environment_validity(EnvironmentValidity::High), Direction::Loosens),
            (|t| t.set_feedback_delay(FeedbackDelay::Hours), Direction::Loosens),
            (|t| t.feedback_delay = 0, Direction::Tightens),
            (|t| t.title = "x".into(), Direction::Same),
        ];
        for (at, (change, direction)) in cases.iter().enumerate() {
            let mut after = task();
            change(&mut after);
            assert_eq!(compare(&task(), &after).direction(), *direction, "case {at}");
        }
    }

    #[test]
    fn the_tags_are_what_a_decision_depends_on() {
        for tag in TAGS {
            assert!(Task::UPDATABLE.contains(&tag), "{tag}");
        }
        let others = ["title", "description", "role", "strategy_owner", "execution_owner", "audit_window", "ratings"];
        for field in Task::UPDATABLE {
            assert!(TAGS.contains(field) != others.contains(field), "{field} is a tag or is none");
        }
    }

    fn actor(kind: ActorKind) -> Actor {
        Actor { subject: "crm".into(), kind, roles: vec![], role_groups: vec![], on_behalf_of: None }
    }

    #[test]
    fn a_program_claims_and_tightens_and_a_person_confirms() {
        let (program, person) = (actor(ActorKind::Service), actor(ActorKind::Human));
        let mut made = task();
        hold(&program, None, &mut made, How::Created).unwrap();
        assert_eq!(made.tags_claimed_by, "crm");
        let mut stricter = Task { regulated_domain: true, ..made.clone() };
        hold(&program, Some(&made), &mut stricter, How::Named).unwrap();
        assert_eq!(stricter.tags_claimed_by, "crm", "who tightens confirms nothing");
        let mut looser = Task { brand_impacting: false, ..made.clone() };
        let refused = hold(&program, Some(&made), &mut looser, How::Named).unwrap_err();
        assert_eq!(refused.reason(), "TAGS_NEED_A_PERSON");
        assert!(refused.message().contains("brand_impacting from true to false"), "{refused}");
        let mut titled = Task { title: "x".into(), ..made.clone() };
        hold(&person, Some(&made), &mut titled, How::Left).unwrap();
        assert_eq!(titled.tags_claimed_by, "crm", "a title says nothing of the tags");
        hold(&person, Some(&made), &mut looser, How::Named).unwrap();
        assert_eq!(looser.tags_claimed_by, "");
        // Deleted and made again is no way around it.
        let mut again = Task { tags_claimed_by: String::new(), ..looser };
        assert!(hold(&program, Some(&made), &mut again, How::Created).is_err());
        let mask = |path: &str| FieldMask { paths: vec![path.into()] };
        assert!(named(None) && named(Some(&mask("*"))) && named(Some(&mask("gate"))) && !named(Some(&mask("title"))));
    }
}
