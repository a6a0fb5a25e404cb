//! What needs a mandate, who gives it, and under which rule it is never given.
//!
//! This is the one list. The council opens votes by it, the services that act verify mandates by it, the contract's
//! methods are held to it by a test, and `docs/authority.md` is generated from it.
//!
//! A tenant's constitution may let other bodies decide an act. The floor stays under whatever rule they have: it is
//! counted again by the service that acts, from the votes that the mandate carries.

use crate::quorum::{Rule, Standing};
use std::collections::BTreeMap;

/// The steering group (A18), which decides unless the constitution says otherwise.
pub const STEERING_GROUP: &str = "bodies/steering-group";
/// The automation council (S73), which approves cross-functional automations.
pub const AUTOMATION_COUNCIL: &str = "bodies/automation-council";

/// What stands in the jurisdiction of a body whose members may break the glass. It is no act that anybody votes on: one
/// person does it, and others review it.
pub const BREAK_GLASS: &str = "break_glass";

/// The codes of checks whose effect a waiver can take away. Holds, missing approvals, a decision on what has changed
/// since, a review date that is long past and unknown states cannot be waived by anybody.
pub const WAIVABLE_CHECKS: &[&str] = &[
    "PURPOSE_NOT_APPROVED",
    "GATE_MISMATCH",
    "MODEL_PAST_REVIEW_DATE",
    "MODEL_RESTRICTED",
    "POLICY_PAST_REVIEW_DATE",
    "POLICY_SUPERSEDED",
    "STAKES_HIGHER",
];

/// The acts that change the constitution itself.
pub const CONSTITUTIONAL: &[&str] = &["amend_body", "seat_member", "unseat_member"];

/// The least that any rule asks for an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// At least this many approvals.
    pub min_approvals: u32,
    /// At least one approval from a seat of each of these role groups.
    pub groups: &'static [&'static str],
}

impl Floor {
    /// A rule raised to the floor: what a vote under this rule is counted by.
    #[must_use]
    pub fn raise(&self, rule: &Rule) -> Rule {
        let mut raised = rule.clone();
        raised.min_approvals = raised.min_approvals.max(self.min_approvals);
        for &group in self.groups {
            let least = raised.group_minimums.entry(group.to_owned()).or_insert(1);
            *least = (*least).max(1);
        }
        raised
    }

    /// What a rule lacks of the floor, in words; empty if every approval under it meets the floor.
    pub fn lacking(&self, rule: &Rule) -> Vec<String> {
        let by_groups = rule.group_minimums.values().fold(0u32, |sum, &n| sum.saturating_add(n));
        self.below(rule.min_approvals.max(by_groups), &rule.group_minimums, "asked")
    }

    /// What a decided vote lacks of the floor, in words; empty if it meets it.
    pub fn missing(&self, standing: &Standing) -> Vec<String> {
        self.below(standing.approvals, &standing.approvals_by_group, "given")
    }

    fn below(&self, approvals: u32, by_group: &BTreeMap<String, u32>, how: &str) -> Vec<String> {
        let mut below = Vec::new();
        if approvals < self.min_approvals {
            below.push(format!("{} approvals, {approvals} {how}", self.min_approvals));
        }
        let absent = |group: &&&str| by_group.get(**group).copied().unwrap_or(0) == 0;
        below.extend(self.groups.iter().filter(absent).map(|group| format!("1 approval from {group}")));
        below
    }
}

/// Something that takes effect only by a decision of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// Its name: the field of `remit.council.v1.Action`.
    pub kind: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// The body that decides it in a new constitution; empty if every body may for itself.
    pub body: &'static str,
    /// The least that any rule asks.
    pub floor: Floor,
    /// The permissions of the methods that carry it out with a mandate; empty if the council does so itself.
    pub permissions: &'static [&'static str],
}

const fn floor(min_approvals: u32, groups: &'static [&'static str]) -> Floor {
    Floor { min_approvals, groups }
}

/// Two people, one of them from Legal: the least under every decision to loosen (A18).
const TWO_WITH_LEGAL: Floor = floor(2, &["legal"]);
const TWO: Floor = floor(2, &[]);
const ONE: Floor = floor(1, &[]);

/// Every act.
pub const ACTS: &[Act] = &[
    Act {
        kind: "activate_policy",
        what: "puts a decision policy in force",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &["scoring.policies.activate"],
    },
    Act {
        kind: "promote_model",
        what: "approves a model version and moves an alias to it, or lifts its suspension",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &["registry.versions.transition", "registry.aliases.set"],
    },
    Act {
        kind: "suspend_model",
        what: "stops a model version",
        body: STEERING_GROUP,
        floor: ONE,
        permissions: &["registry.versions.transition"],
    },
    Act {
        kind: "retire_model",
        what: "retires a model version for good",
        body: STEERING_GROUP,
        floor: TWO,
        permissions: &["registry.versions.transition"],
    },
    Act {
        kind: "restrict_model",
        what: "limits a model version to some purposes, or lets a suspended one run within them",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &["registry.versions.transition"],
    },
    Act {
        kind: "approve_automation",
        // S73
        what: "approves an automation that crosses functions",
        body: AUTOMATION_COUNCIL,
        floor: floor(3, &["sales_ops", "legal", "product"]),
        permissions: &["registry.automations.approve"],
    },
    Act {
        kind: "approve_artifact",
        what: "approves a version of a prompt, guardrail, corpus, style guide or playbook",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &["registry.artifact_versions.approve"],
    },
    Act {
        kind: "activate_gate",
        what: "puts a gate version in force that is not only stricter than the one before",
        body: STEERING_GROUP,
        floor: TWO,
        permissions: &["handoff.gates.activate"],
    },
    Act {
        kind: "loosen_rules",
        what: "loosens a function's verdict, a KPI's limits, an alert rule or a calendar, or takes one away",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &[
            "scoring.functions.update",
            "kpi.definitions.update",
            "kpi.definitions.retire",
            "kpi.alert_rules.update",
            "kpi.alert_rules.delete",
            "handoff.calendars.update",
        ],
    },
    Act {
        kind: "grant_waiver",
        what: "exempts from a control for a bounded time",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &[],
    },
    Act { kind: "lift_hold", what: "lifts a hold", body: STEERING_GROUP, floor: TWO_WITH_LEGAL, permissions: &[] },
    Act {
        kind: "amend_body",
        what: "makes a body, or changes its role groups, rules, schedule or jurisdiction",
        body: STEERING_GROUP,
        floor: TWO_WITH_LEGAL,
        permissions: &[],
    },
    Act {
        kind: "seat_member",
        what: "gives a person a seat in a body",
        body: STEERING_GROUP,
        floor: TWO,
        permissions: &[],
    },
    Act {
        kind: "unseat_member",
        what: "takes a person's seat in a body",
        body: STEERING_GROUP,
        floor: TWO,
        permissions: &[],
    },
    Act { kind: "resolution", what: "records a decision in words", body: "", floor: ONE, permissions: &[] },
];

/// The act of this kind.
pub fn act(kind: &str) -> Option<&'static Act> {
    ACTS.iter().find(|act| act.kind == kind)
}

/// Whether the method with this permission is an act of authority: it takes effect by a decision, or it is part of one,
/// as whatever changes something in the council is. What such a method is refused, for whatever state of things, somebody
/// has tried, and that is on record.
pub fn is_of_authority(permission: &str) -> bool {
    permission.starts_with("council.") || ACTS.iter().any(|act| act.permissions.contains(&permission))
}

/// Whether a body may have this in its jurisdiction: an act that not every body decides for itself anyway, or
/// [`BREAK_GLASS`].
pub fn is_jurisdiction(kind: &str) -> bool {
    kind == BREAK_GLASS || act(kind).is_some_and(|act| !act.body.is_empty())
}

/// What a body of a new constitution decides.
pub fn initial_jurisdiction(body: &str) -> Vec<String> {
    let glass = (body == STEERING_GROUP).then_some(BREAK_GLASS);
    let own = ACTS.iter().filter(|act| act.body == body).map(|act| act.kind);
    own.chain(glass).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_act_is_named_once_and_asks_for_somebody() {
        let kinds: BTreeSet<_> = ACTS.iter().map(|act| act.kind).collect();
        assert_eq!(kinds.len(), ACTS.len());
        for act in ACTS {
            assert!(act.floor.min_approvals >= 1, "{}", act.kind);
            assert!(u32::try_from(act.floor.groups.len()).unwrap() <= act.floor.min_approvals, "{}", act.kind);
        }
    }

    #[test]
    fn a_rule_is_raised_to_the_floor_and_never_lowered() {
        let weak = Rule { min_approvals: 1, ..Rule::default() };
        let raised = act("promote_model").unwrap().floor.raise(&weak);
        assert_eq!((raised.min_approvals, raised.group_minimums.get("legal")), (2, Some(&1)));
        let strong = Rule { min_approvals: 5, group_minimums: [("legal".to_owned(), 3)].into(), ..Rule::default() };
        assert_eq!(act("promote_model").unwrap().floor.raise(&strong), strong);
    }

    #[test]
    fn a_rule_below_the_floor_is_seen_before_anybody_votes() {
        let floor = act("approve_automation").unwrap().floor;
        let each = ["sales_ops", "legal", "product"].map(|group| (group.to_owned(), 1));
        let rule = Rule { group_minimums: each.into(), ..Rule::default() };
        assert!(floor.lacking(&rule).is_empty(), "three groups with one each are three approvals");
        let weak = Rule { min_approvals: 3, group_minimums: [("legal".to_owned(), 1)].into(), ..Rule::default() };
        assert_eq!(floor.lacking(&weak), ["1 approval from sales_ops", "1 approval from product"]);
        let majority = Rule { majority: true, ..Rule::default() };
        assert_eq!(TWO.lacking(&majority), ["2 approvals, 0 asked"], "a majority of one seat is one person");
    }

    #[test]
    fn a_new_constitution_gives_every_act_to_one_body() {
        let given = [STEERING_GROUP, AUTOMATION_COUNCIL].map(initial_jurisdiction).concat();
        for act in ACTS.iter().filter(|act| !act.body.is_empty()) {
            assert_eq!(given.iter().filter(|kind| *kind == act.kind).count(), 1, "{}", act.kind);
        }
        assert!(given.iter().all(|kind| is_jurisdiction(kind)) && !is_jurisdiction("resolution"));
        assert!(initial_jurisdiction("bodies/mine").is_empty(), "a body made later decides nothing");
    }

    #[test]
    fn what_is_decided_and_what_decides_are_acts_of_authority() {
        for permission in ["registry.versions.transition", "kpi.alert_rules.delete", "council.proposals.vote"] {
            assert!(is_of_authority(permission), "{permission}");
        }
        for permission in ["scoring.decisions.create", "handoff.reviews.submit", "kpi.events.record"] {
            assert!(!is_of_authority(permission), "{permission}");
        }
    }

    #[test]
    fn what_the_floor_lacks_is_said() {
        let standing = |approvals: u32, groups: &[&str]| Standing {
            eligible: 5,
            approvals,
            rejections: 0,
            abstentions: 0,
            approvals_by_group: groups.iter().map(|&group| (group.to_owned(), 1)).collect(),
            missing: Vec::new(),
            outcome: crate::quorum::Outcome::Approved,
        };
        let floor = act("approve_automation").unwrap().floor;
        assert!(floor.missing(&standing(3, &["sales_ops", "legal", "product"])).is_empty());
        assert_eq!(floor.missing(&standing(3, &["sales_ops", "product"])), ["1 approval from legal"]);
        assert_eq!(floor.missing(&standing(2, &["sales_ops", "legal", "product"])), ["3 approvals, 2 given"]);
    }
}
