//! Whether a gate version is stricter or looser than the one in force, field by field.
//!
//! Anyone responsible may tighten a gate; what loosens it needs the council's mandate. A first version counts as looser:
//! before it nothing passed. Responsibility that moves needs agreement, and a text whose meaning no program can compare
//! may be looser, and counts as such; only titles and descriptions are texts and nothing more.

use crate::principal::words;
use crate::{business_time, gate_rules};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::types::{Stakes, StrictnessChange};
use remit_api::wire::{Word as _, time};
use remit_core::Timestamp;
use remit_core::calendar::IsoDuration;
use remit_core::strictness::Direction;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// What one field does to strictness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The field, or `gate` for a first version.
    pub(crate) field: String,
    /// Which way it goes; never the same.
    pub(crate) direction: Direction,
    /// What was and what is.
    pub(crate) description: String,
}

impl Change {
    /// On the wire.
    pub(crate) fn message(&self) -> pb::GateChange {
        pb::GateChange {
            field: self.field.clone(),
            change: wire(self.direction).into(),
            description: self.description.clone(),
        }
    }
}

/// The direction on the wire.
pub(crate) fn wire(direction: Direction) -> StrictnessChange {
    match direction {
        Direction::Same => StrictnessChange::Same,
        Direction::Tightens => StrictnessChange::Tightens,
        Direction::Loosens => StrictnessChange::Loosens,
        Direction::Mixed => StrictnessChange::Mixed,
    }
}

/// The direction of all changes together.
pub(crate) fn direction(changes: &[Change]) -> Direction {
    changes.iter().map(|change| change.direction).collect()
}

/// What `after` changes of `before`, which is in force; everything if nothing is.
pub(crate) fn compare(before: Option<&pb::GateVersion>, after: &pb::GateVersion) -> Vec<Change> {
    let mut found = Changes::default();
    let Some(before) = before else {
        found.push("gate", Direction::Loosens, "a first version: before it nothing passes the gate");
        return found.0;
    };
    triggers(&mut found, before, after);
    people(&mut found, before, after);
    let levels = [
        ("service_level", &before.service_level, &after.service_level),
        ("remind_after", &before.remind_after, &after.remind_after),
        ("expire_after", &before.expire_after, &after.expire_after),
    ];
    for (field, before, after) in levels {
        found.level(field, before.as_ref(), after.as_ref());
    }
    checklist(&mut found, before, after);
    found.looser("iteration_limit", &before.iteration_limit, &after.iteration_limit);
    ladder(&mut found, before, after);
    found.set("kpis", &before.kpis, &after.kpis);
    found.stricter("brand_impacting", &before.brand_impacting, &after.brand_impacting);
    found.stricter("risk", &risk(before), &risk(after));
    let (was, is) = (stakes(before), stakes(after));
    let direction = Direction::more_is_stricter(&i32::from(was), &i32::from(is));
    found.push("stakes", direction, format!("from {} to {}", was.word(), is.word()));
    found.text("expansion_guardrails", &before.expansion_guardrails, &after.expansion_guardrails);
    found.text("compression_criteria", &before.compression_criteria, &after.compression_criteria);
    let (was, is) = (gate_rules::sampling(before), gate_rules::sampling(after));
    found.stricter("sampling.risk1_ratio", &was.risk1_ratio, &is.risk1_ratio);
    found.stricter("sampling.risk2_ratio", &was.risk2_ratio, &is.risk2_ratio);
    found.stricter("sampling.risk3_ratio", &was.risk3_ratio, &is.risk3_ratio);
    match (&before.rules, &after.rules) {
        (Some(Rules::Creative(before)), Some(Rules::Creative(after))) => creative(&mut found, before, after),
        (Some(Rules::Routing(before)), Some(Rules::Routing(after))) => routing(&mut found, before, after),
        (None, None) => {}
        _ => found.push("rules", Direction::Mixed, "work of another kind passes the gate"),
    }
    found.0
}

/// The changes found so far.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn push(&mut self, field: impl Into<String>, direction: Direction, description: impl Into<String>) {
        if direction != Direction::Same {
            self.0.push(Change { field: field.into(), direction, description: description.into() });
        }
    }

    /// A value of which more is stricter.
    fn stricter<T: PartialOrd + Display>(&mut self, field: impl Into<String>, before: &T, after: &T) {
        self.push(field, Direction::more_is_stricter(before, after), format!("from {before} to {after}"));
    }

    /// A value of which more is looser.
    fn looser<T: PartialOrd + Display>(&mut self, field: impl Into<String>, before: &T, after: &T) {
        self.push(field, Direction::more_is_looser(before, after), format!("from {before} to {after}"));
    }

    /// A text that people act by: no program can say which way its meaning went.
    fn text(&mut self, field: impl Into<String>, before: &str, after: &str) {
        let (was, is) = (before.trim(), after.trim());
        match (was.is_empty(), is.is_empty()) {
            (true, false) => self.push(field, Direction::Tightens, "says something now"),
            (false, true) => self.push(field, Direction::Loosens, "says nothing any more"),
            _ if was != is => self.push(field, Direction::Mixed, "says something else, which people have to compare"),
            _ => {}
        }
    }

    /// Who bears something: it moves only by agreement.
    fn moved(&mut self, field: impl Into<String>, before: &str, after: &str) {
        if before != after {
            self.push(field, Direction::Loosens, format!("moves from {} to {}", named(before), named(after)));
        }
    }

    /// A set of which every member asks for something.
    fn set(&mut self, field: &str, before: &[String], after: &[String]) {
        for gone in before.iter().filter(|one| !after.contains(one)) {
            self.push(field, Direction::Loosens, format!("without {gone}"));
        }
        for new in after.iter().filter(|one| !before.contains(one)) {
            self.push(field, Direction::Tightens, format!("with {new}"));
        }
    }

    /// A service level: longer is looser, and none is the longest.
    fn level(&mut self, field: impl Into<String>, before: Option<&pb::ServiceLevel>, after: Option<&pb::ServiceLevel>) {
        let direction = match (before, after) {
            (None, None) => Direction::Same,
            (None, Some(_)) => Direction::Tightens,
            (Some(_), None) => Direction::Loosens,
            (Some(before), Some(after)) => between(before, after),
        };
        self.push(field, direction, format!("from {} to {}", level(before), level(after)));
    }
}

/// Two levels are compared only where they count the same time.
fn between(before: &pb::ServiceLevel, after: &pb::ServiceLevel) -> Direction {
    let business = before.clock() == pb::ClockKind::Business;
    let comparable = before.clock() == after.clock() && (!business || before.calendar == after.calendar);
    let length = |level| business_time::duration(level, "").map(IsoDuration::elapsed).ok();
    match (length(before), length(after)) {
        _ if before == after => Direction::Same,
        // A business day has no fixed number of hours.
        _ if business && days(before) != days(after) && before.duration != after.duration => Direction::Mixed,
        (Some(before), Some(after)) if comparable => Direction::more_is_looser(&before, &after),
        _ => Direction::Mixed,
    }
}

/// Whether a duration is written in days.
fn days(level: &pb::ServiceLevel) -> bool {
    level.duration.split('T').next().is_some_and(|date| date.contains('D'))
}

fn level(level: Option<&pb::ServiceLevel>) -> String {
    match level {
        None => "none".to_owned(),
        Some(level) if level.clock() == pb::ClockKind::Business => {
            format!("{} of business time in {}", level.duration, level.calendar)
        }
        Some(level) => format!("{} of elapsed time", level.duration),
    }
}

fn named(who: &str) -> &str {
    if who.is_empty() { "nobody" } else { who }
}

fn who(principal: Option<&pb::Principal>) -> String {
    principal.map_or_else(|| "nobody".to_owned(), words)
}

/// What is not rated has the highest risk.
fn risk(gate: &pb::GateVersion) -> i32 {
    if gate.risk == 0 { 5 } else { gate.risk }
}

/// What is not said has the highest stakes.
fn stakes(gate: &pb::GateVersion) -> Stakes {
    if gate.stakes() == Stakes::Unspecified { Stakes::High } else { gate.stakes() }
}

/// A gate opens when all its triggers have happened.
fn triggers(found: &mut Changes, before: &pb::GateVersion, after: &pb::GateVersion) {
    let of = |gate: &pb::GateVersion| -> BTreeMap<String, String> {
        gate.triggers.iter().map(|one| (one.event_type.clone(), one.description.clone())).collect()
    };
    let (before, after) = (of(before), of(after));
    for (event, was) in &before {
        match after.get(event) {
            None => found.push("triggers", Direction::Loosens, format!("no longer waits for {event}")),
            Some(is) => found.text(format!("triggers[{event}].description"), was, is),
        }
    }
    for event in after.keys().filter(|event| !before.contains_key(*event)) {
        found.push("triggers", Direction::Tightens, format!("waits for {event} too"));
    }
}

/// Who decides, who may in their place, and who answers for it.
fn people(found: &mut Changes, before: &pb::GateVersion, after: &pb::GateVersion) {
    found.moved("owner", &who(before.owner.as_ref()), &who(after.owner.as_ref()));
    found.moved("accountable_person", &before.accountable_person, &after.accountable_person);
    let of = |gate: &pb::GateVersion| -> BTreeMap<String, Timestamp> {
        let end = |delegate: &pb::Delegate| delegate.expire_time.as_ref().map_or(Timestamp(i64::MAX), time::of);
        let mut all: BTreeMap<String, Timestamp> = BTreeMap::new();
        for delegate in &gate.delegates {
            let known = all.entry(who(delegate.principal.as_ref())).or_insert(Timestamp(i64::MIN));
            *known = (*known).max(end(delegate));
        }
        all
    };
    let (before, after) = (of(before), of(after));
    for (delegate, was) in &before {
        match after.get(delegate) {
            None => found.push("delegates", Direction::Tightens, format!("{delegate} no longer decides")),
            Some(is) => {
                found.push(
                    "delegates",
                    Direction::more_is_looser(was, is),
                    format!("{delegate} decides until another time"),
                );
            }
        }
    }
    for delegate in after.keys().filter(|delegate| !before.contains_key(*delegate)) {
        found.push("delegates", Direction::Loosens, format!("{delegate} decides too"));
    }
}

fn checklist(found: &mut Changes, before: &pb::GateVersion, after: &pb::GateVersion) {
    let (before, after) = (before.checklist.clone().unwrap_or_default(), after.checklist.clone().unwrap_or_default());
    found.stricter("checklist.pass_mark", &before.pass_mark, &after.pass_mark);
    let weight = |item: &pb::ChecklistItem| if item.weight == 0.0 { 1.0 } else { item.weight };
    let grade = |list: &pb::Checklist, item: &pb::ChecklistItem| match (item.must_pass, item.pass_grade == 0.0) {
        (false, _) => None,
        (true, true) => Some(list.pass_mark),
        (true, false) => Some(item.pass_grade),
    };
    let heaviest = before.items.iter().map(weight).fold(0.0, f64::max);
    for was in &before.items {
        let field = |part: &str| format!("checklist.items[{}].{part}", was.item);
        let Some(is) = after.items.iter().find(|is| is.item == was.item) else {
            found.push("checklist.items", Direction::Loosens, format!("{} is no longer graded", was.item));
            continue;
        };
        found.text(field("description"), &was.description, &is.description);
        let (weight_was, weight_is) = (weight(was), weight(is));
        if weight_was.total_cmp(&weight_is).is_ne() {
            // What one criterion counts more, the others count less.
            found.push(field("weight"), Direction::Mixed, format!("from {weight_was} to {weight_is}"));
        }
        match (grade(&before, was), grade(&after, is)) {
            (None, None) => {}
            (None, Some(_)) => found.push(field("must_pass"), Direction::Tightens, "alone can fail a variant"),
            (Some(_), None) => found.push(field("must_pass"), Direction::Loosens, "alone can no longer fail a variant"),
            (Some(was), Some(is)) => found.stricter(field("pass_grade"), &was, &is),
        }
    }
    for new in after.items.iter().filter(|new| before.items.iter().all(|was| was.item != new.item)) {
        // One that weighs more than any before could make up for all of them.
        let direction = if weight(new) > heaviest { Direction::Mixed } else { Direction::Tightens };
        found.push("checklist.items", direction, format!("{} is graded too", new.item));
    }
}

/// Who is called in turn. Whoever is on the ladder acts on the gate's work, from the first day on and not only when called:
/// a rung for somebody who was none of its people makes one of them, as a delegation does.
fn ladder(found: &mut Changes, before: &pb::GateVersion, after: &pb::GateVersion) {
    let standing = standing(before);
    let (before, after) = (&before.escalation_ladder, &after.escalation_ladder);
    for (index, (was, is)) in before.iter().zip(after).enumerate() {
        let field = format!("escalation_ladder[{index}]");
        found.moved(format!("{field}.principal"), &who(was.principal.as_ref()), &who(is.principal.as_ref()));
        match (&was.service_level, &is.service_level) {
            (Some(_), Some(_)) | (None, None) => {
                found.level(format!("{field}.service_level"), was.service_level.as_ref(), is.service_level.as_ref());
            }
            // Without one a rung has as long as the review.
            _ => found.push(format!("{field}.service_level"), Direction::Mixed, "from or to that of the review"),
        }
    }
    for gone in before.iter().skip(after.len()) {
        let gone = who(gone.principal.as_ref());
        found.push("escalation_ladder", Direction::Loosens, format!("{gone} is no longer called"));
    }
    for new in after.iter().skip(before.len()) {
        let (direction, what) = match &new.principal {
            Some(principal) if !standing.contains(&words(principal)) => {
                (Direction::Loosens, "is called too, and becomes one of the gate's people")
            }
            _ => (Direction::Tightens, "is called too"),
        };
        found.push("escalation_ladder", direction, format!("{} {what}", who(new.principal.as_ref())));
    }
}

/// Whoever acts on the work of a gate for as long as it is in force.
fn standing(gate: &pb::GateVersion) -> BTreeSet<String> {
    let delegates = gate.delegates.iter().filter(|delegate| delegate.expire_time.is_none());
    let rungs = gate.escalation_ladder.iter().filter_map(|rung| rung.principal.as_ref());
    let people = gate.owner.iter().chain(delegates.filter_map(|delegate| delegate.principal.as_ref()));
    people.chain(rungs).map(words).collect()
}

fn creative(found: &mut Changes, before: &pb::CreativeRules, after: &pb::CreativeRules) {
    found.stricter("creative.variants_required", &before.variants_required, &after.variants_required);
    found.stricter("creative.review_top_n", &before.review_top_n, &after.review_top_n);
    found.stricter("creative.triage_minutes", &before.triage_minutes, &after.triage_minutes);
    found.level("creative.triage", before.triage.as_ref(), after.triage.as_ref());
}

fn routing(found: &mut Changes, before: &pb::RoutingRules, after: &pb::RoutingRules) {
    found.stricter("routing.score_above_ratio", &before.score_above_ratio, &after.score_above_ratio);
    found.stricter("routing.confidence_above_ratio", &before.confidence_above_ratio, &after.confidence_above_ratio);
    // The higher, the fewer leads are shown to people in the briefing.
    found.looser("routing.high_intent_above_ratio", &before.high_intent_above_ratio, &after.high_intent_above_ratio);
    found.set("routing.required_enrichment", &before.required_enrichment, &after.required_enrichment);
    for gone in before.sales_owners.iter().filter(|owner| !after.sales_owners.contains(owner)) {
        found.push("routing.sales_owners", Direction::Tightens, format!("{gone} no longer takes leads"));
    }
    for new in after.sales_owners.iter().filter(|owner| !before.sales_owners.contains(owner)) {
        found.push("routing.sales_owners", Direction::Loosens, format!("{new} takes leads too"));
    }
    found.moved("routing.sales_ops_group", &before.sales_ops_group, &after.sales_ops_group);
    found.moved("routing.sdr_group", &before.sdr_group, &after.sdr_group);
}

#[cfg(test)]
#[path = "gate_changes_tests.rs"]
mod tests;
