//! Rules of bodies: the two that every tenant begins with, and what a body asks of a vote and of a month.

use crate::time::{Month, days};
use remit_api::council::v1::{Body, ChangeClass, ClassRule, QuorumRule};
use remit_api::wire::required;
use remit_api::wire::time::{duration, stamp};
use remit_core::authority::{self, AUTOMATION_COUNCIL, STEERING_GROUP};
use remit_core::quorum::Rule;
use remit_core::{Error, Result, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// On which day of the following month evidence is cut off, unless the body says otherwise (A25).
const CUT_OFF_DAY: i32 = 3;

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The two bodies that every tenant begins with.
///
/// # Source
/// A18: quorum is not in the seed; the default is a majority that includes Legal for the steering
/// group, and one approval from each function for the automation council.
pub(crate) fn seeds(now: Timestamp) -> [Body; 2] {
    let now = Some(stamp(now));
    let steering = Body {
        name: STEERING_GROUP.to_owned(),
        display_name: "AI steering group".to_owned(),
        purpose:
            "Reviews model drift, hallucinations and data privacy every month, and decides on models and policies."
                .to_owned(),
        role_groups: groups(&["marketing_lead", "legal", "data"]),
        quorum: Some(QuorumRule {
            min_approvals: 2,
            majority: true,
            group_minimums: [("legal".to_owned(), 1)].into(),
            veto_groups: groups(&["legal"]),
        }),
        holds_reviews: true,
        cut_off_day: CUT_OFF_DAY,
        jurisdiction: authority::initial_jurisdiction(STEERING_GROUP),
        create_time: now,
        update_time: now,
        ..Body::default()
    };
    let functions = ["sales_ops", "legal", "product"];
    let council = Body {
        name: AUTOMATION_COUNCIL.to_owned(),
        display_name: "Automation council".to_owned(),
        purpose: "Approves automations that cross functions: one approval from each of Sales Ops, Legal and Product."
            .to_owned(),
        role_groups: groups(&functions),
        quorum: Some(QuorumRule {
            group_minimums: functions.map(|group| (group.to_owned(), 1)).into(),
            veto_groups: groups(&["legal"]),
            ..QuorumRule::default()
        }),
        jurisdiction: authority::initial_jurisdiction(AUTOMATION_COUNCIL),
        create_time: now,
        update_time: now,
        ..Body::default()
    };
    [steering, council]
}

/// Refuses rules that ask for nothing or of nobody, an unknown zone, and what no body can decide.
///
/// # Errors
/// `InvalidArgument`, naming fields of `field`: `FIELD_REQUIRED`, `QUORUM_INVALID`, `ZONE_UNKNOWN`,
/// `JURISDICTION_UNKNOWN`, `QUORUM_BELOW_FLOOR` for a rule that asks less than the floor of an act that it would decide.
pub(crate) fn check(body: &Body, field: &str) -> Result<()> {
    required(body.quorum.as_ref(), &format!("{field}.quorum"))?;
    for (at, class) in body.class_rules.iter().enumerate() {
        let earlier = &body.class_rules[..at];
        if earlier.iter().any(|other: &ClassRule| other.change_class == class.change_class) {
            let field = format!("{field}.class_rules");
            return Err(Error::invalid("QUORUM_INVALID", field, "has two rules for one change class"));
        }
    }
    if let Some(kind) = body.jurisdiction.iter().find(|kind| !authority::is_jurisdiction(kind)) {
        let field = format!("{field}.jurisdiction");
        return Err(Error::invalid("JURISDICTION_UNKNOWN", field, format!("{kind} is nothing that a body decides")));
    }
    for (part, rule) in rules(body) {
        let field = format!("{field}.{part}");
        rule.check(&body.role_groups, &field)?;
        for act in body.jurisdiction.iter().filter_map(|kind| authority::act(kind)) {
            let lacking = act.floor.lacking(&rule);
            if !lacking.is_empty() {
                let why = format!("must ask for what {} needs at least: {}", act.kind, lacking.join(", "));
                return Err(Error::invalid("QUORUM_BELOW_FLOOR", field, why));
            }
        }
    }
    Month::of(Timestamp(0), &body.zone).map(drop).map_err(|error| error.within(field))
}

/// Every rule that a body has, each with the field that holds it.
pub(crate) fn rules(body: &Body) -> impl Iterator<Item = (String, Rule)> {
    let classes = body.class_rules.iter().enumerate();
    let classes =
        classes.filter_map(|(at, class)| Some((format!("class_rules[{at}].quorum"), rule(class.quorum.as_ref()?))));
    let own = body.quorum.iter().map(|quorum| ("quorum".to_owned(), rule(quorum)));
    own.chain(classes)
}

/// A quorum rule as the counting of votes reads it.
pub(crate) fn rule(quorum: &QuorumRule) -> Rule {
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    Rule {
        min_approvals: count(quorum.min_approvals),
        majority: quorum.majority,
        group_minimums: quorum.group_minimums.iter().map(|(group, &n)| (group.clone(), count(n))).collect(),
        veto_groups: quorum.veto_groups.iter().cloned().collect(),
    }
}

/// A rule raised to the floor under an act. The rules of a body are at the floors of what it decides; this raises those of
/// a body that amends itself without deciding about others.
pub(crate) fn raised(kind: &str, quorum: QuorumRule) -> QuorumRule {
    let Some(act) = authority::act(kind) else { return quorum };
    let raised = act.floor.raise(&rule(&quorum));
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let group_minimums = raised.group_minimums.into_iter().map(|(group, n)| (group, count(n))).collect();
    QuorumRule { min_approvals: count(raised.min_approvals), group_minimums, ..quorum }
}

/// The rule and the voting period of a change class in a body.
pub(crate) fn class_rule(body: &Body, class: ChangeClass) -> (QuorumRule, Duration) {
    let own = body.class_rules.iter().find(|rule| rule.change_class() == class);
    let quorum = own.and_then(|rule| rule.quorum.clone()).or_else(|| body.quorum.clone()).unwrap_or_default();
    let period = own.and_then(|rule| rule.voting_period.as_ref()).map(duration);
    let usual = if class == ChangeClass::Emergency { days(1) } else { days(14) };
    (quorum, period.unwrap_or(usual))
}

/// The kinds of act that a body decides: those that its constitution gives it, and those that every body may decide for
/// itself.
pub(crate) fn jurisdiction(body: &Body) -> BTreeSet<String> {
    let everybody = authority::ACTS.iter().filter(|act| act.body.is_empty()).map(|act| act.kind.to_owned());
    body.jurisdiction.iter().filter(|kind| authority::act(kind).is_some()).cloned().chain(everybody).collect()
}

/// Whether the members of a body may do, alone, what `kind` names, such as breaking the glass.
pub(crate) fn has(body: &Body, kind: &str) -> bool {
    body.jurisdiction.iter().any(|own| own == kind)
}

/// When the evidence of a month is cut off.
pub(crate) fn cut_off(body: &Body, month: &Month) -> Timestamp {
    month.cut_off(if body.cut_off_day == 0 { CUT_OFF_DAY } else { body.cut_off_day })
}
