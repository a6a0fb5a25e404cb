//! Rules of bodies: the two that every tenant begins with, and what a body asks of a vote and of a month.

use crate::time::{Month, days};
use remit_api::council::v1::{Body, ChangeClass, ClassRule, QuorumRule};
use remit_api::wire::required;
use remit_api::wire::time::{duration, stamp};
use remit_core::authority::{self, AUTOMATION_COUNCIL, Act, STEERING_GROUP};
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
        create_time: now,
        update_time: now,
        ..Body::default()
    };
    [steering, council]
}

/// Refuses rules that ask for nothing or of nobody, and an unknown zone.
///
/// # Errors
/// `InvalidArgument`: `FIELD_REQUIRED`, `QUORUM_INVALID`, `ZONE_UNKNOWN`.
pub(crate) fn check(body: &Body) -> Result<()> {
    rule(&required(body.quorum.clone(), "body.quorum")?).check(&body.role_groups, "body.quorum")?;
    for (at, class) in body.class_rules.iter().enumerate() {
        let earlier = &body.class_rules[..at];
        if earlier.iter().any(|other: &ClassRule| other.change_class == class.change_class) {
            return Err(Error::invalid("QUORUM_INVALID", "body.class_rules", "has two rules for one change class"));
        }
        if let Some(quorum) = &class.quorum {
            rule(quorum).check(&body.role_groups, &format!("body.class_rules[{at}].quorum"))?;
        }
    }
    Month::of(Timestamp(0), &body.zone).map(drop).map_err(|error| error.within("body"))
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

/// The rule of a body, raised to the floor under what it decides.
///
/// # Errors
/// `FailedPrecondition` (`NO_JURISDICTION`) if the body does not decide such an act.
pub(crate) fn rule_for(body: &Body, kind: &str, quorum: QuorumRule) -> Result<QuorumRule> {
    let act = authority::act(kind).filter(|act| jurisdiction(body).contains(act.kind));
    let Some(act) = act else {
        return Err(Error::precondition("NO_JURISDICTION", format!("{} does not decide {kind}", body.name)));
    };
    let raised = act.floor.raise(&rule(&quorum));
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let group_minimums = raised.group_minimums.into_iter().map(|(group, n)| (group, count(n))).collect();
    Ok(QuorumRule { min_approvals: count(raised.min_approvals), group_minimums, ..quorum })
}

/// The rule and the voting period of a change class in a body.
pub(crate) fn class_rule(body: &Body, class: ChangeClass) -> (QuorumRule, Duration) {
    let own = body.class_rules.iter().find(|rule| rule.change_class() == class);
    let quorum = own.and_then(|rule| rule.quorum.clone()).or_else(|| body.quorum.clone()).unwrap_or_default();
    let period = own.and_then(|rule| rule.voting_period.as_ref()).map(duration);
    let usual = if class == ChangeClass::Emergency { days(1) } else { days(14) };
    (quorum, period.unwrap_or(usual))
}

/// The kinds of act that a body decides.
pub(crate) fn jurisdiction(body: &Body) -> BTreeSet<String> {
    let own = |act: &&Act| act.body.is_empty() || act.body == body.name;
    authority::ACTS.iter().filter(own).map(|act| act.kind.to_owned()).collect()
}

/// When the evidence of a month is cut off.
pub(crate) fn cut_off(body: &Body, month: &Month) -> Timestamp {
    month.cut_off(if body.cut_off_day == 0 { CUT_OFF_DAY } else { body.cut_off_day })
}
