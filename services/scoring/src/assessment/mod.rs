//! The rule of a check: facts to reasons, and reasons to an answer.

mod approval;
mod registered;
#[cfg(test)]
mod tests;

use crate::Settings;
use crate::cache::{Ages, Entry};
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{self as council, WaiverState};
use remit_api::registry::v1 as registry;
use remit_api::scoring::v1 as api;
use remit_api::types::Stakes;
use remit_api::wire::time;
use remit_api::wire::waivers::{self, Standing};
use remit_core::Timestamp;
use remit_core::authority::WAIVABLE_CHECKS;
use remit_policy::Pattern;
use std::cmp::Reverse;

/// Everything that an answer depends on.
pub(crate) struct Facts<'a> {
    pub now: Timestamp,
    pub request: &'a api::CheckTaskRequest,
    pub entry: Option<&'a Entry>,
    pub scope: &'a Scope<'a>,
    pub active_policy_digest: &'a str,
    /// When people should look at the active policy again; none if no policy is known.
    pub policy_review_by: Option<Timestamp>,
    pub function_digest: &'a str,
    pub model: Option<&'a registry::ModelState>,
    /// The cross-functional automations that do the task.
    pub automations: &'a [registry::Automation],
    /// Those in scope that are engaged.
    pub holds: &'a [council::Hold],
    /// Those in scope.
    pub waivers: &'a [council::Waiver],
    pub ages: &'a Ages,
    pub settings: &'a Settings,
}

/// What a reason does to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Only tells.
    Info,
    /// Allows this pattern at most.
    Restrict(Pattern),
    /// Refuses.
    Deny,
}

impl Effect {
    /// The same in the contract.
    pub(crate) fn message(self) -> api::ReasonEffect {
        match self {
            Self::Info => api::ReasonEffect::Info,
            Self::Restrict(_) => api::ReasonEffect::Restrict,
            Self::Deny => api::ReasonEffect::Deny,
        }
    }
}

/// One reason for an answer.
#[derive(Debug)]
pub(crate) struct Reason<'a> {
    pub code: &'static str,
    pub effect: Effect,
    pub message: String,
    pub resource: &'a str,
    /// The waiver that takes the effect away; empty if none.
    pub waiver: &'a str,
}

/// The answer before it is dressed up.
pub(crate) struct Assessment<'a> {
    /// Denials first, then restrictions, then information; each group in the order in which it was found.
    pub reasons: Vec<Reason<'a>>,
    pub pattern: Pattern,
    pub denied: bool,
    /// The code of the gravest reason.
    pub lead: &'static str,
    pub purpose: &'a str,
    pub stakes: Stakes,
}

/// What a hold or a waiver may be about.
pub(crate) struct Scope<'a> {
    pub task: &'a str,
    /// Of the task; empty if it has none.
    pub function: &'a str,
    pub model_version: &'a str,
    /// That the result will pass; empty if none.
    pub gate: &'a str,
}

impl<'a> Scope<'a> {
    /// The scope of a request about a task of the inventory, if it is one.
    pub(crate) fn of(request: &'a api::CheckTaskRequest, entry: Option<&'a Entry>) -> Self {
        let own_gate = entry.map_or("", |entry| &entry.gate);
        Self {
            task: &request.task,
            function: entry.map_or("", |entry| &entry.function),
            model_version: &request.model_version,
            gate: if request.gate.is_empty() { own_gate } else { &request.gate },
        }
    }

    /// Whether the request is about work of a cross-functional automation: of one that names tasks these are meant, of
    /// one that names none whatever its model versions do.
    pub(crate) fn is_done_by(&self, automation: &registry::Automation) -> bool {
        if automation.tasks.is_empty() {
            automation.model_versions.iter().any(|version| version == self.model_version)
        } else {
            automation.tasks.iter().any(|task| task == self.task)
        }
    }

    /// Whether what has this scope is about the request.
    pub(crate) fn covers(&self, scope: Option<&council::Scope>) -> bool {
        waivers::covers(scope, |part| match part {
            Target::Organisation(whole) => *whole,
            Target::Function(function) => !self.function.is_empty() && function == self.function,
            Target::Task(task) => task == self.task,
            Target::ModelVersion(version) => version == self.model_version,
            Target::Gate(gate) => !self.gate.is_empty() && gate == self.gate,
        })
    }
}

/// Whether a hold stops work at `now`, also for a reader that has not heard of the end of a bypass.
pub(crate) fn engaged(hold: &council::Hold, now: Timestamp) -> bool {
    if hold.drill {
        return false;
    }
    match hold.state() {
        council::HoldState::Engaged => true,
        council::HoldState::Bypassed => hold.bypass_expire_time.as_ref().is_none_or(|until| time::of(until) <= now),
        council::HoldState::Lifted => false,
        // Unknown means more human.
        council::HoldState::Unspecified => true,
    }
}

/// The reasons found so far.
struct Reasons<'a> {
    facts: &'a Facts<'a>,
    found: Vec<Reason<'a>>,
}

impl<'a> Reasons<'a> {
    fn deny(&mut self, code: &'static str, resource: &'a str, message: impl Into<String>) {
        self.add(code, Effect::Deny, resource, message);
    }

    fn restrict(&mut self, code: &'static str, at_most: Pattern, resource: &'a str, message: impl Into<String>) {
        self.add(code, Effect::Restrict(at_most), resource, message);
    }

    fn info(&mut self, code: &'static str, resource: &'a str, message: impl Into<String>) {
        self.add(code, Effect::Info, resource, message);
    }

    fn add(&mut self, code: &'static str, effect: Effect, resource: &'a str, message: impl Into<String>) {
        let mut waiver = "";
        if WAIVABLE_CHECKS.contains(&code) {
            let scope = self.facts.scope;
            for candidate in self.facts.waivers.iter().filter(|w| w.control == code && scope.covers(w.scope.as_ref())) {
                match (waivers::standing(candidate, self.facts.now), candidate.state()) {
                    (Standing::Holds, WaiverState::Active) => waiver = &candidate.name,
                    // Whoever said that it has ended knew of an end that its times, or the clock here, do not show yet.
                    (Standing::Holds, WaiverState::Expired) | (Standing::Ended, _) => self.found.push(Reason {
                        code: "WAIVER_EXPIRED",
                        effect: Effect::Info,
                        message: format!("a waiver of {code} matches and has expired"),
                        resource: &candidate.name,
                        waiver: "",
                    }),
                    (Standing::Holds, WaiverState::Revoked | WaiverState::Unspecified) | (Standing::Over, _) => {}
                }
            }
        }
        self.found.push(Reason { code, effect, message: message.into(), resource, waiver });
    }
}

/// The pure rule: facts to answer.
pub(crate) fn assess<'a>(facts: &'a Facts<'a>) -> Assessment<'a> {
    let Facts { request, entry, scope, .. } = *facts;
    let own_purpose = entry.map_or("", |entry| entry.purpose.as_str());
    let asked = [request.purpose.as_str(), own_purpose].into_iter().find(|purpose| !purpose.is_empty());
    let purpose = asked.unwrap_or(&request.task);
    let mut reasons = Reasons { facts, found: Vec::new() };
    freshness(facts, &mut reasons);
    for hold in facts.holds {
        reasons.deny("HOLD_ENGAGED", &hold.name, format!("a hold is engaged: {}", hold.reason));
    }
    let mut pattern = decision(facts, &mut reasons);
    registered::model(facts, purpose, &mut reasons);
    registered::automations(facts, &mut reasons);
    if !own_purpose.is_empty() && own_purpose != purpose {
        reasons.deny("PURPOSE_MISMATCH", &request.task, format!("the task's purpose is {own_purpose}, not {purpose}"));
    }
    let own_gate = entry.map_or("", |entry| entry.gate.as_str());
    if !own_gate.is_empty() && own_gate != scope.gate {
        reasons.deny("GATE_MISMATCH", own_gate, format!("results of the task pass {own_gate}, not {}", scope.gate));
    }
    let own_stakes = entry.map_or(Stakes::High, |entry| entry.stakes);
    let stakes = if request.stakes() == Stakes::Unspecified { own_stakes } else { request.stakes() };
    if entry.is_some() && stakes as i32 > own_stakes as i32 {
        let text = "the stakes of this run are higher than the task's: a person decides on the result";
        reasons.restrict("STAKES_HIGHER", Pattern::HumanInTheLoop, &request.task, text);
    }
    if request.run_id.is_empty() {
        reasons.info("RUN_ID_MISSING", "", "without a run id every result is sampled");
    }
    let mut reasons = reasons.found;
    reasons.sort_by_key(|reason| Reverse(reason.effect.message()));
    let acting = || reasons.iter().filter(|reason| reason.waiver.is_empty());
    let denial = acting().find(|reason| reason.effect == Effect::Deny).map(|reason| reason.code);
    let mut lead = "DECISION_PATTERN";
    for reason in acting() {
        if let Effect::Restrict(at_most) = reason.effect
            && at_most < pattern
        {
            (pattern, lead) = (at_most, reason.code);
        }
    }
    // Whatever was waived: what ends at people alone is no work for AI.
    let denial = denial.or((pattern == Pattern::HumanOnly).then_some("HUMAN_ONLY"));
    Assessment {
        pattern: if denial.is_some() { Pattern::HumanOnly } else { pattern },
        denied: denial.is_some(),
        lead: denial.unwrap_or(lead),
        reasons,
        purpose,
        stakes,
    }
}

fn freshness<'a>(facts: &'a Facts<'a>, reasons: &mut Reasons<'a>) {
    let Ages { inventory, models, automations, holds, .. } = facts.ages;
    for (source, age) in
        [("inventory", inventory.age), ("models", models.age), ("automations", automations.age), ("holds", holds.age)]
    {
        match age {
            None => reasons.deny("STATE_UNAVAILABLE", source, format!("no {source} state is known yet: ask again")),
            Some(age) if age > facts.settings.deny_after => {
                reasons.deny("STATE_UNAVAILABLE", source, format!("the {source} state is {} s old", age.as_secs()));
            }
            Some(age) if age > facts.settings.stale_after => {
                let text = format!("the {source} state is {} s old: a person decides on the result", age.as_secs());
                reasons.restrict("STATE_STALE", Pattern::HumanInTheLoop, source, text);
            }
            Some(_) => {}
        }
    }
}

/// The pattern of the decision in force, with reasons if there is none or it no longer stands.
fn decision<'a>(facts: &'a Facts<'a>, reasons: &mut Reasons<'a>) -> Pattern {
    let name = &facts.request.task;
    let Some(entry) = facts.entry else {
        // Of an inventory that is not known, or too long ago, nobody can say what is not in it.
        if facts.ages.inventory.age.is_some_and(|age| age <= facts.settings.deny_after) {
            reasons.deny("TASK_UNKNOWN", name, format!("{name} is not in the inventory"));
        }
        return Pattern::HumanOnly;
    };
    let Some(decision) = &entry.decision else {
        if entry.outdated {
            let text = format!("{name} has changed since it was decided: decide it again");
            reasons.deny("DECISION_OUTDATED", name, text);
        } else {
            reasons.deny("TASK_NOT_DECIDED", name, format!("{name} has not been decided"));
        }
        return Pattern::HumanOnly;
    };
    if decision.function_digest != facts.function_digest {
        let text = format!("the function of {name} has changed since it was decided: decide it again");
        reasons.deny("DECISION_OUTDATED", name, text);
    }
    if decision.policy_digest != facts.active_policy_digest {
        let text = "decided under a policy that is no longer active: a person decides on the result";
        reasons.restrict("POLICY_SUPERSEDED", Pattern::HumanInTheLoop, &decision.policy, text);
    }
    if facts.policy_review_by.is_some_and(|by| by < facts.now) {
        let text = "the active policy is past its review date: a person decides on the result until it is reviewed";
        reasons.restrict("POLICY_PAST_REVIEW_DATE", Pattern::HumanInTheLoop, &decision.policy, text);
    }
    if decision.pattern == Pattern::HumanOnly {
        reasons.deny("HUMAN_ONLY", &decision.name, "the task is for people alone");
    } else {
        let text = format!("decided as {}", decision.pattern.as_str());
        reasons.restrict("DECISION_PATTERN", decision.pattern, &decision.name, text);
    }
    decision.pattern
}
