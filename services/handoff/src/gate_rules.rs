//! What makes a gate version possible at all, and what makes it fit to govern anything (S5, S82).

use crate::business_time;
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::principal::Who;
use remit_api::types::Stakes;
use remit_core::acceptance::{Checklist, ChecklistItem};
use remit_core::calendar::IsoDuration;
use remit_core::name::CalendarName;
use remit_core::routing::RoutingRules;
use remit_core::{Error, Result, digest};
use std::collections::BTreeSet;

/// Refuses what no edit elsewhere could make right.
///
/// # Errors
/// `InvalidArgument` (`GATE_INVALID`, `DURATION_INVALID` or `CHECKLIST_INVALID`), naming the field.
pub(crate) fn check(gate: &pb::GateVersion) -> Result<()> {
    let wrong = |field: String, what: &str| Err(Error::invalid("GATE_INVALID", format!("gate_version.{field}"), what));
    let mut seen = BTreeSet::new();
    for (index, trigger) in gate.triggers.iter().enumerate() {
        if !seen.insert(trigger.event_type.as_str()) {
            return wrong(format!("triggers[{index}].event_type"), "must be there once");
        }
    }
    for (field, principal) in principals(gate) {
        if principal.who.is_none() {
            return wrong(field, "must name a subject or a role group");
        }
    }
    for (field, level) in levels(gate) {
        level_of(level, &format!("gate_version.{field}"))?;
    }
    if let Some(checklist) = &gate.checklist
        && !checklist.items.is_empty()
    {
        build_checklist(checklist).map_err(|error| error.within("gate_version"))?;
    }
    if let Some(Rules::Creative(rules)) = &gate.rules
        && rules.review_top_n > rules.variants_required
    {
        return wrong("creative.review_top_n".into(), "must not exceed variants_required");
    }
    Ok(())
}

/// Everything that keeps the version from being activated, each with its field.
pub(crate) fn defects(gate: &pb::GateVersion) -> Vec<pb::GateDefect> {
    let mut found = Vec::new();
    let mut require = |ok: bool, field: &str, description: &str| {
        if !ok {
            found.push(pb::GateDefect { field: field.into(), description: description.into() });
        }
    };
    require(!gate.triggers.is_empty(), "triggers", "name the events that start it");
    require(gate.owner.is_some(), "owner", "name who decides at the gate");
    require(
        !gate.accountable_person.is_empty(),
        "accountable_person",
        "name the one person who answers for the outcomes",
    );
    require(gate.service_level.is_some(), "service_level", "say how long a decision may take");
    require(gate.iteration_limit > 0, "iteration_limit", "say how many iterations, or reassignments, there may be");
    require(!gate.escalation_ladder.is_empty(), "escalation_ladder", "say who is called when it takes too long");
    require(!gate.kpis.is_empty(), "kpis", "name the KPIs by which the gate is judged");
    require(
        !is_one_person_alone(gate),
        "accountable_person",
        "must not be the only person who owns the gate and decides at it: name another owner, a delegate or a rung",
    );
    let reminder_first = match (&gate.remind_after, &gate.service_level) {
        (Some(remind), Some(level)) if remind.clock == level.clock => {
            let length = |level| business_time::duration(level, "").map(IsoDuration::elapsed).ok();
            length(remind) < length(level)
        }
        _ => true,
    };
    require(reminder_first, "remind_after", "must be shorter than service_level");
    match &gate.rules {
        None => require(false, "rules", "say whether work is reviewed (creative) or leads are routed (routing)"),
        Some(Rules::Creative(rules)) => {
            let criteria = gate.checklist.as_ref().is_some_and(|list| !list.items.is_empty() && list.pass_mark > 0.0);
            require(criteria, "checklist", "name the acceptance criteria: graded items and a pass mark above 0");
            let items = gate.checklist.iter().flat_map(|list| &list.items);
            let checkable = items.clone().count() != 1 && items.clone().all(says_what_is_graded);
            require(
                !criteria || checkable,
                "checklist.items",
                "must be at least two criteria, each with a sentence that says what a reviewer grades",
            );
            let high = gate.brand_impacting || matches!(gate.stakes(), Stakes::High | Stakes::Unspecified);
            require(
                !criteria || !high || items.clone().any(|item| item.must_pass),
                "checklist.items",
                "must have one that alone can fail a variant: the work shapes the brand or has high stakes",
            );
            require(rules.variants_required > 0, "creative.variants_required", "must be at least 1");
            require(rules.review_top_n > 0, "creative.review_top_n", "must be at least 1");
            require(rules.triage_minutes > 0, "creative.triage_minutes", "say how long the triage lasts");
            require(rules.triage.is_some(), "creative.triage", "say within which time the triage is due");
        }
        Some(Rules::Routing(rules)) => {
            require(!gate.brand_impacting, "brand_impacting", "needs a human approver: brand work must pass a review");
            // Thresholds of 0 are what an empty message has: acceptance criteria that were never given.
            require(
                rules.score_above_ratio > 0.0,
                "routing.score_above_ratio",
                "must be above 0: it is the acceptance criterion",
            );
            let confidence = rules.confidence_above_ratio > 0.0;
            require(confidence, "routing.confidence_above_ratio", "must be above 0: it is the acceptance criterion");
            require(!rules.sales_owners.is_empty(), "routing.sales_owners", "name the people who take leads");
            require(
                !rules.sales_ops_group.is_empty(),
                "routing.sales_ops_group",
                "name the group that takes late leads",
            );
            require(!rules.sdr_group.is_empty(), "routing.sdr_group", "name the group that is notified of nurture");
        }
    }
    found
}

/// How many words a criterion has at least: fewer name a topic and say nothing that can be graded.
const LEAST_WORDS: usize = 3;

/// Whether a criterion says what a reviewer grades.
fn says_what_is_graded(item: &pb::ChecklistItem) -> bool {
    item.description.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count() >= LEAST_WORDS
}

/// Whether one person owns the gate, answers for it, and is the only one who decides at it.
fn is_one_person_alone(gate: &pb::GateVersion) -> bool {
    let mut people = principals(gate).into_iter().filter_map(|(_, principal)| principal.who.as_ref()).peekable();
    people.peek().is_some()
        && people.all(|who| matches!(who, Who::Subject(subject) if *subject == gate.accountable_person))
}

/// The checklist of the rules.
///
/// # Errors
/// `InvalidArgument` (`CHECKLIST_INVALID`), naming the field.
pub(crate) fn build_checklist(message: &pb::Checklist) -> Result<Checklist> {
    let items = message.items.iter().map(|item| ChecklistItem {
        id: item.item.clone(),
        weight: if item.weight == 0.0 { 1.0 } else { item.weight },
        must_reach: item.must_pass.then_some(if item.pass_grade == 0.0 { message.pass_mark } else { item.pass_grade }),
    });
    Checklist::new(items.collect(), message.pass_mark)
}

/// The rules of a gate for reviewed work.
///
/// # Errors
/// `Internal` if the gate routes leads: it governs no handoff.
pub(crate) fn creative(gate: &pb::GateVersion) -> Result<&pb::CreativeRules> {
    match &gate.rules {
        Some(Rules::Creative(rules)) => Ok(rules),
        Some(Rules::Routing(_)) | None => {
            Err(Error::internal(format!("{} governs a handoff without review", gate.name)))
        }
    }
}

/// The rules of a gate for leads.
///
/// # Errors
/// `Internal` if the gate is for reviewed work: it governs no lead.
pub(crate) fn routing(gate: &pb::GateVersion) -> Result<&pb::RoutingRules> {
    match &gate.rules {
        Some(Rules::Routing(rules)) => Ok(rules),
        Some(Rules::Creative(_)) | None => {
            Err(Error::internal(format!("{} governs a lead and routes none", gate.name)))
        }
    }
}

/// The thresholds of a gate for leads.
pub(crate) fn routing_rules(rules: &pb::RoutingRules) -> RoutingRules {
    RoutingRules {
        score_above: rules.score_above_ratio,
        confidence_above: rules.confidence_above_ratio,
        high_intent_above: rules.high_intent_above_ratio,
    }
}

/// The sampling rates of a gate; those of the template where it says nothing (A24).
pub(crate) fn sampling(gate: &pb::GateVersion) -> pb::SamplingRates {
    gate.sampling.unwrap_or(pb::SamplingRates { risk1_ratio: 0.05, risk2_ratio: 0.10, risk3_ratio: 0.50 })
}

/// The share of automatic decisions that people check, by the gate's risk; what is unrated or unsaid
/// is checked as the template says, and from risk 4 on in full (A24).
pub(crate) fn sampling_rate(gate: &pb::GateVersion) -> f64 {
    let rates = sampling(gate);
    match gate.risk {
        1 => rates.risk1_ratio,
        2 => rates.risk2_ratio,
        3 => rates.risk3_ratio,
        _ => 1.0,
    }
}

/// The digest of what the version says, without what the server adds.
pub(crate) fn content_digest(gate: &pb::GateVersion) -> String {
    let mut content = gate.clone();
    content.name.clear();
    content.state = 0;
    content.digest.clear();
    content.author = None;
    content.activated_by = None;
    content.activate_time = None;
    content.etag.clear();
    content.mandate.clear();
    content.proposal.clear();
    content.create_time = None;
    content.update_time = None;
    digest::sha256(&content.encode_to_vec())
}

/// Every service level of the version with its field.
pub(crate) fn levels(gate: &pb::GateVersion) -> Vec<(String, &pb::ServiceLevel)> {
    let mut found = Vec::new();
    let fixed = [
        ("service_level", &gate.service_level),
        ("remind_after", &gate.remind_after),
        ("expire_after", &gate.expire_after),
    ];
    for (field, level) in fixed {
        found.extend(level.iter().map(|level| (field.to_owned(), level)));
    }
    for (index, rung) in gate.escalation_ladder.iter().enumerate() {
        found.extend(
            rung.service_level.iter().map(|level| (format!("escalation_ladder[{index}].service_level"), level)),
        );
    }
    if let Some(Rules::Creative(rules)) = &gate.rules {
        found.extend(rules.triage.iter().map(|level| ("creative.triage".to_owned(), level)));
    }
    found
}

fn level_of(level: &pb::ServiceLevel, field: &str) -> Result<()> {
    let duration = business_time::duration(level, field)?;
    match level.clock() {
        pb::ClockKind::Unspecified => {
            Err(Error::invalid("GATE_INVALID", format!("{field}.clock"), "must be elapsed or business time"))
        }
        pb::ClockKind::Elapsed => Ok(()),
        pb::ClockKind::Business => {
            CalendarName::parse(&level.calendar, &format!("{field}.calendar"))?;
            if duration.has_weeks() {
                return Err(Error::invalid(
                    "DURATION_INVALID",
                    format!("{field}.duration"),
                    "must not have weeks in business time; write P5D",
                ));
            }
            Ok(())
        }
    }
}

fn principals(gate: &pb::GateVersion) -> Vec<(String, &pb::Principal)> {
    let mut found: Vec<(String, &pb::Principal)> = gate.owner.iter().map(|owner| ("owner".to_owned(), owner)).collect();
    for (index, delegate) in gate.delegates.iter().enumerate() {
        found.extend(delegate.principal.iter().map(|who| (format!("delegates[{index}].principal"), who)));
    }
    for (index, rung) in gate.escalation_ladder.iter().enumerate() {
        found.extend(rung.principal.iter().map(|who| (format!("escalation_ladder[{index}].principal"), who)));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::templates;

    fn ready(mut gate: pb::GateVersion) -> pb::GateVersion {
        gate.accountable_person = "carla".into();
        if let Some(Rules::Routing(rules)) = &mut gate.rules {
            rules.sales_owners = vec!["ana".into()];
        }
        gate
    }

    fn missing(gate: &pb::GateVersion) -> Vec<String> {
        defects(gate).into_iter().map(|defect| defect.field).collect()
    }

    #[test]
    fn the_templates_lack_only_the_people() {
        assert_eq!(missing(&templates::creative()), ["accountable_person"]);
        assert_eq!(missing(&templates::routing()), ["accountable_person", "routing.sales_owners"]);
        for gate in [templates::creative(), templates::routing()] {
            check(&gate).unwrap();
            assert!(defects(&ready(gate)).is_empty());
        }
    }

    #[test]
    fn each_missing_part_is_named() {
        type Change = fn(&mut pb::GateVersion);
        let changes: [(&str, Change); 12] = [
            ("triggers", |gate| gate.triggers.clear()),
            ("owner", |gate| gate.owner = None),
            ("accountable_person", |gate| gate.accountable_person.clear()),
            ("service_level", |gate| gate.service_level = None),
            ("checklist", |gate| gate.checklist = None),
            ("checklist", |gate| gate.checklist.as_mut().unwrap().pass_mark = 0.0),
            ("iteration_limit", |gate| gate.iteration_limit = 0),
            ("escalation_ladder", |gate| gate.escalation_ladder.clear()),
            ("kpis", |gate| gate.kpis.clear()),
            ("rules", |gate| gate.rules = None),
            ("remind_after", |gate| gate.remind_after.as_mut().unwrap().duration = "PT24H".into()),
            ("brand_impacting", |gate| {
                gate.rules = ready(templates::routing()).rules;
                gate.brand_impacting = true;
            }),
        ];
        for (field, change) in changes {
            let mut gate = ready(templates::creative());
            change(&mut gate);
            assert_eq!(missing(&gate), [field]);
        }
        let alone: Change = |gate| {
            let person = |subject: &str| pb::Principal { who: Some(Who::Subject(subject.to_owned())) };
            gate.owner = Some(person("carla"));
            gate.delegates.clear();
            gate.escalation_ladder.truncate(1);
            gate.escalation_ladder[0].principal = Some(person("carla"));
        };
        let mut gate = ready(templates::creative());
        alone(&mut gate);
        assert_eq!(missing(&gate), ["accountable_person"]);
        gate.accountable_person = "dora".into();
        assert!(missing(&gate).is_empty(), "somebody else answers for it");
        let mut gate = ready(templates::creative());
        alone(&mut gate);
        gate.escalation_ladder[0].principal = Some(crate::principal::group("cmo"));
        assert!(missing(&gate).is_empty(), "somebody else is called");
        let empty = missing(&pb::GateVersion::default());
        assert_eq!(
            empty,
            [
                "triggers",
                "owner",
                "accountable_person",
                "service_level",
                "iteration_limit",
                "escalation_ladder",
                "kpis",
                "rules"
            ]
        );
    }

    #[test]
    fn a_criterion_says_what_is_graded() {
        let with = |change: fn(&mut pb::Checklist)| {
            let mut gate = ready(templates::creative());
            change(gate.checklist.as_mut().unwrap());
            missing(&gate)
        };
        assert!(with(|_| {}).is_empty());
        assert_eq!(with(|list| list.items.truncate(1)), ["checklist.items", "checklist.items"]);
        assert_eq!(with(|list| list.items[0].description = "good".into()), ["checklist.items"]);
        assert_eq!(with(|list| list.items[0].description = "- - - -".into()), ["checklist.items"]);
        assert_eq!(with(|list| list.items.iter_mut().for_each(|item| item.must_pass = false)), ["checklist.items"]);
        let mut gate = ready(templates::creative());
        gate.checklist.as_mut().unwrap().items.iter_mut().for_each(|item| item.must_pass = false);
        (gate.brand_impacting, gate.stakes) = (false, Stakes::Low.into());
        assert!(missing(&gate).is_empty(), "no item need decide alone where little is at stake");
    }

    #[test]
    fn what_can_never_be_right_is_refused_at_once() {
        type Change = fn(&mut pb::GateVersion);
        let changes: [(&str, Change); 6] = [
            ("gate_version.triggers[1].event_type", |gate| gate.triggers[1] = gate.triggers[0].clone()),
            ("gate_version.owner", |gate| gate.owner = Some(pb::Principal { who: None })),
            ("gate_version.service_level.duration", |gate| {
                gate.service_level.as_mut().unwrap().duration = "24h".into()
            }),
            ("gate_version.service_level.clock", |gate| gate.service_level.as_mut().unwrap().clock = 0),
            ("gate_version.creative.review_top_n", |gate| {
                if let Some(Rules::Creative(rules)) = &mut gate.rules {
                    rules.review_top_n = 13;
                }
            }),
            ("gate_version.service_level.duration", |gate| {
                gate.service_level =
                    Some(pb::ServiceLevel { duration: "P1W".into(), clock: 2, calendar: "calendars/default".into() });
            }),
        ];
        for (field, change) in changes {
            let mut gate = templates::creative();
            change(&mut gate);
            assert_eq!(check(&gate).unwrap_err().violations()[0].field, field);
        }
    }

    #[test]
    fn the_digest_covers_the_content_and_nothing_else() {
        let gate = templates::creative();
        let mut same = gate.clone();
        same.name = "gates/x/versions/9".into();
        same.etag = "r9".into();
        assert_eq!(content_digest(&gate), content_digest(&same));
        same.iteration_limit = 3;
        assert_ne!(content_digest(&gate), content_digest(&same));
    }

    #[test]
    fn unrated_risk_is_checked_in_full() {
        let rate = |risk| sampling_rate(&pb::GateVersion { risk, ..Default::default() });
        assert_eq!([0, 1, 2, 3, 4, 5].map(rate), [1.0, 0.05, 0.10, 0.50, 1.0, 1.0]);
    }
}
