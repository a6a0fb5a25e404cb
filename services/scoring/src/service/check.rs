//! May AI do this task now? Answered from memory, and counted before the answer is sent.

use super::{Scoring, task};
use crate::Settings;
use crate::cache::{Entry, Freshness, TenantCache};
use crate::convert;
use crate::service::counter::Counted;
use crate::store::checks::CheckKey;
use remit_api::council::v1 as council;
use remit_api::registry::v1 as registry;
use remit_api::scoring::v1 as api;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_core::{Actor, Result, Tenant, Timestamp, name};
use remit_policy::{Pattern, sampling};
use std::sync::Arc;
use std::time::Duration;

const HOUR_US: i64 = 3_600_000_000;
/// The codes whose effect a waiver can take away. Holds, missing approvals and unknown states cannot be waived.
const WAIVABLE: [&str; 6] = [
    "PURPOSE_NOT_APPROVED",
    "GATE_MISMATCH",
    "DECISION_OUTDATED",
    "MODEL_RESTRICTED",
    "POLICY_SUPERSEDED",
    "STAKES_HIGHER",
];

/// Everything that an answer depends on.
struct Facts<'a> {
    now: Timestamp,
    request: &'a api::CheckTaskRequest,
    entry: Option<&'a Entry>,
    active_policy_digest: &'a str,
    function_digest: &'a str,
    model: Option<&'a registry::ModelState>,
    holds: &'a [council::Hold],
    waivers: &'a [council::Waiver],
    inventory_age: Option<Duration>,
    models_age: Option<Duration>,
    holds_age: Option<Duration>,
    stale_after: Duration,
    deny_after: Duration,
}

/// The answer before it is dressed up.
struct Assessment {
    reasons: Vec<api::CheckReason>,
    pattern: Pattern,
    denied: bool,
    purpose: String,
    gate: String,
    stakes: Stakes,
}

/// The reasons found so far.
struct Reasons<'a> {
    facts: &'a Facts<'a>,
    scope: Scope<'a>,
    found: Vec<(&'static str, api::CheckReason)>,
}

/// What a hold or a waiver may be about.
struct Scope<'a> {
    task: &'a str,
    function_id: &'a str,
    model_version: &'a str,
    gate: String,
}

impl Scope<'_> {
    fn covers(&self, scope: Option<&council::Scope>) -> bool {
        use council::scope::Target;
        match scope.and_then(|scope| scope.target.as_ref()) {
            Some(Target::Organisation(whole)) => *whole,
            Some(Target::Function(function)) => {
                !self.function_id.is_empty() && function.strip_prefix("functions/") == Some(self.function_id)
            }
            Some(Target::Task(task)) => task == self.task,
            Some(Target::ModelVersion(version)) => version == self.model_version,
            Some(Target::Gate(gate)) => !self.gate.is_empty() && *gate == self.gate,
            None => false,
        }
    }
}

/// Whether a hold stops work at `now`, also for a reader that has not heard of the end of a bypass.
fn engaged(hold: &council::Hold, now: Timestamp) -> bool {
    if hold.drill {
        return false;
    }
    match hold.state() {
        council::HoldState::Engaged => true,
        council::HoldState::Bypassed => {
            hold.bypass_expire_time.as_ref().is_none_or(|until| convert::timestamp(until) <= now)
        }
        council::HoldState::Lifted => false,
        // Unknown means more human.
        council::HoldState::Unspecified => true,
    }
}

impl Reasons<'_> {
    fn deny(&mut self, code: &'static str, resource: &str, message: impl Into<String>) {
        self.add(code, api::ReasonEffect::Deny, None, resource, message);
    }

    fn restrict(&mut self, code: &'static str, at_most: Pattern, resource: &str, message: impl Into<String>) {
        self.add(code, api::ReasonEffect::Restrict, Some(at_most), resource, message);
    }

    fn info(&mut self, code: &'static str, resource: &str, message: impl Into<String>) {
        self.add(code, api::ReasonEffect::Info, None, resource, message);
    }

    fn add(
        &mut self,
        code: &'static str,
        effect: api::ReasonEffect,
        at_most: Option<Pattern>,
        resource: &str,
        message: impl Into<String>,
    ) {
        let mut waiver = String::new();
        if WAIVABLE.contains(&code) {
            let matching =
                self.facts.waivers.iter().filter(|w| w.control == code && self.scope.covers(w.scope.as_ref()));
            for candidate in matching {
                let expired =
                    candidate.expire_time.as_ref().is_none_or(|end| convert::timestamp(end) <= self.facts.now);
                if candidate.state() == council::WaiverState::Active && !expired {
                    waiver.clone_from(&candidate.name);
                } else if candidate.state() != council::WaiverState::Revoked {
                    let reason = api::CheckReason {
                        code: "WAIVER_EXPIRED".into(),
                        effect: api::ReasonEffect::Info.into(),
                        message: format!("a waiver of {code} matches and has expired"),
                        resource: candidate.name.clone(),
                        ..Default::default()
                    };
                    self.found.push(("WAIVER_EXPIRED", reason));
                }
            }
        }
        let reason = api::CheckReason {
            code: code.into(),
            effect: effect.into(),
            at_most: at_most.map_or(AutonomyPattern::Unspecified, convert::pattern).into(),
            message: message.into(),
            resource: resource.into(),
            waiver,
        };
        self.found.push((code, reason));
    }
}

/// The pure rule: facts to answer.
fn assess(facts: &Facts<'_>) -> (Assessment, &'static str) {
    let request = facts.request;
    let entry = facts.entry;
    let own_gate = entry.map(|entry| entry.gate.clone()).unwrap_or_default();
    let gate = if request.gate.is_empty() { own_gate.clone() } else { request.gate.clone() };
    let own_purpose = entry.map(|entry| entry.purpose.clone()).filter(|purpose| !purpose.is_empty());
    let purpose = match (request.purpose.is_empty(), &own_purpose) {
        (false, _) => request.purpose.clone(),
        (true, Some(purpose)) => purpose.clone(),
        (true, None) => request.task.clone(),
    };
    let scope = Scope {
        task: &request.task,
        function_id: entry.map(|entry| entry.function_id.as_str()).unwrap_or_default(),
        model_version: &request.model_version,
        gate: gate.clone(),
    };
    let mut reasons = Reasons { facts, scope, found: Vec::new() };
    freshness(facts, &mut reasons);
    for hold in facts.holds {
        let text = format!("a hold is engaged: {}", hold.reason);
        reasons.deny("HOLD_ENGAGED", &hold.name, text);
    }
    let mut pattern = decision(facts, &mut reasons);
    model(facts, &purpose, &mut reasons);
    if let Some(own) = own_purpose.as_ref().filter(|own| **own != purpose) {
        reasons.deny("PURPOSE_MISMATCH", &request.task, format!("the task's purpose is {own}, not {purpose}"));
    }
    if !own_gate.is_empty() && own_gate != gate {
        reasons.deny("GATE_MISMATCH", &own_gate, format!("results of the task pass {own_gate}, not {gate}"));
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
    // Denials first, then restrictions, then information; each group in the order in which it was found.
    reasons.found.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.effect));
    let acting = || reasons.found.iter().filter(|(_, reason)| reason.waiver.is_empty());
    let denial = acting().find(|(_, reason)| reason.effect() == api::ReasonEffect::Deny).map(|(code, _)| *code);
    let mut lead = "DECISION_PATTERN";
    for (code, reason) in acting().filter(|(_, reason)| reason.effect() == api::ReasonEffect::Restrict) {
        let at_most = Pattern::parse(convert::short(reason.at_most().as_str_name(), "AUTONOMY_PATTERN_"));
        if let Some(at_most) = at_most.filter(|at_most| *at_most < pattern) {
            (pattern, lead) = (at_most, code);
        }
    }
    let denied = denial.is_some();
    let assessment = Assessment {
        reasons: reasons.found.into_iter().map(|(_, reason)| reason).collect(),
        pattern: if denied { Pattern::HumanOnly } else { pattern },
        denied,
        purpose,
        gate,
        stakes,
    };
    (assessment, denial.unwrap_or(lead))
}

fn freshness(facts: &Facts<'_>, reasons: &mut Reasons<'_>) {
    let ages = [("inventory", facts.inventory_age), ("models", facts.models_age), ("holds", facts.holds_age)];
    for (source, age) in ages {
        match age {
            None => {
                reasons.deny("STATE_UNAVAILABLE", source, format!("no {source} state is known yet: ask again"));
            }
            Some(age) if age > facts.deny_after => {
                let text = format!("the {source} state is {} s old", age.as_secs());
                reasons.deny("STATE_UNAVAILABLE", source, text);
            }
            Some(age) if age > facts.stale_after => {
                let text = format!("the {source} state is {} s old: a person decides on the result", age.as_secs());
                reasons.restrict("STATE_STALE", Pattern::HumanInTheLoop, source, text);
            }
            Some(_) => {}
        }
    }
}

fn model(facts: &Facts<'_>, purpose: &str, reasons: &mut Reasons<'_>) {
    use registry::ModelVersionState as State;
    let version = &facts.request.model_version;
    let Some(model) = facts.model else {
        if facts.models_age.is_some() {
            reasons.deny("MODEL_VERSION_UNKNOWN", version, format!("the registry has no {version}"));
        }
        return;
    };
    match model.state() {
        State::Approved | State::Restricted => {
            if !model.approved_purposes.iter().any(|approved| approved == purpose) {
                let text = format!("{version} is not approved for {purpose}");
                reasons.deny("PURPOSE_NOT_APPROVED", version, text);
            }
            if model.state() == State::Restricted {
                let text = format!("{version} is restricted: a person decides on the result");
                reasons.restrict("MODEL_RESTRICTED", Pattern::HumanInTheLoop, version, text);
            }
            if !model.conditions.is_empty() {
                reasons.info("MODEL_CONDITIONS", version, "the approval has conditions");
            }
        }
        State::Suspended => {
            reasons.deny("MODEL_SUSPENDED", version, format!("{version} is suspended: {}", model.state_reason));
        }
        State::Retired => reasons.deny("MODEL_RETIRED", version, format!("{version} is retired")),
        State::Proposed | State::Evaluating | State::Unspecified => {
            reasons.deny("MODEL_NOT_APPROVED", version, format!("{version} is not approved"));
        }
    }
}

/// The pattern of the decision in force, with reasons if there is none or it no longer stands.
fn decision(facts: &Facts<'_>, reasons: &mut Reasons<'_>) -> Pattern {
    let name = &facts.request.task;
    let Some(entry) = facts.entry else {
        reasons.deny("TASK_UNKNOWN", name, format!("{name} is not in the inventory"));
        return Pattern::HumanOnly;
    };
    let Some(decision) = &entry.decision else {
        if entry.outdated {
            reasons.deny(
                "DECISION_OUTDATED",
                name,
                format!("{name} has changed since it was decided: decide it again"),
            );
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
    if decision.pattern == Pattern::HumanOnly {
        reasons.deny("HUMAN_ONLY", &decision.name, "the task is for people alone");
    } else {
        let text = format!("decided as {}", decision.pattern.as_str());
        reasons.restrict("DECISION_PATTERN", decision.pattern, &decision.name, text);
    }
    decision.pattern
}

fn cache_state(source: &str, freshness: &Freshness, settings: &Settings) -> api::CacheState {
    api::CacheState {
        source: source.into(),
        revision: freshness.revision.clone(),
        age: freshness.age.map(convert::duration),
        stale: freshness.age.is_none_or(|age| age > settings.stale_after),
    }
}

impl Scoring {
    pub(crate) async fn check_task(
        &self,
        tenant: &Tenant,
        actor: &Actor,
        trace_id: &str,
        request: api::CheckTaskRequest,
    ) -> Result<api::CheckTaskResponse> {
        task::task_id(&request.task, "task")?;
        name::ids::<2>(&request.model_version, "models/*/versions/*", "model_version")?;
        convert::reference(&request.gate, "gates/*", "gate")?;
        self.seed(tenant).await?;
        let cache = self.caches.tenant(tenant);
        if !cache.is_ready() {
            cache.ready(self.settings.first_state_wait).await;
        }
        let (answer, lead) = self.answer(tenant, &cache, &request);
        let key = CheckKey {
            hour: self.clock.now().micros().div_euclid(HOUR_US),
            // What does not exist is counted under one name, so that callers cannot make rows without bound.
            task: if answer.task_digest.is_empty() { "tasks/-".into() } else { request.task.clone() },
            model_version: if answer.model_state.is_empty() {
                "models/-/versions/-".into()
            } else {
                request.model_version.clone()
            },
            verdict: i64::from(answer.verdict),
            pattern: i64::from(answer.obligations.as_ref().map_or(0, |obligations| obligations.pattern)),
            reason: lead.into(),
        };
        let counted = Counted {
            key,
            at: self.clock.now(),
            actor: actor.clone(),
            trace_id: trace_id.to_owned(),
            run_id: request.run_id,
            policy: answer.policy.clone(),
            decision: answer.decision.clone(),
            denied: answer.verdict() == api::Verdict::Deny,
        };
        self.counter.add(tenant, counted)?;
        Ok(answer)
    }

    fn answer(
        &self,
        tenant: &Tenant,
        cache: &TenantCache,
        request: &api::CheckTaskRequest,
    ) -> (api::CheckTaskResponse, &'static str) {
        let now = self.clock.now();
        let id = request.task.strip_prefix("tasks/").unwrap_or_default();
        let (entry, function_digest, active_policy_digest) = cache.inventory.with(|state| {
            let entry: Option<Arc<Entry>> = state.tasks.get(id).cloned();
            let function = entry.as_ref().and_then(|entry| state.function_digests.get(&entry.function_id)).cloned();
            (entry, function.unwrap_or_default(), state.policy_digest.clone())
        });
        let model = cache.models.with(|models| models.get(&request.model_version).cloned());
        let own_gate = entry.as_ref().map(|entry| entry.gate.clone()).unwrap_or_default();
        let scope = Scope {
            task: &request.task,
            function_id: entry.as_ref().map(|entry| entry.function_id.as_str()).unwrap_or_default(),
            model_version: &request.model_version,
            gate: if request.gate.is_empty() { own_gate } else { request.gate.clone() },
        };
        let mut holds: Vec<council::Hold> = cache.holds.with(|holds| {
            let apply = |hold: &&council::Hold| engaged(hold, now) && scope.covers(hold.scope.as_ref());
            holds.values().filter(apply).cloned().collect()
        });
        holds.sort_by(|a, b| a.name.cmp(&b.name));
        let mut waivers: Vec<council::Waiver> = cache
            .waivers
            .with(|waivers| waivers.values().filter(|waiver| scope.covers(waiver.scope.as_ref())).cloned().collect());
        waivers.sort_by(|a, b| a.name.cmp(&b.name));
        let fresh =
            [cache.inventory.freshness(), cache.models.freshness(), cache.holds.freshness(), cache.waivers.freshness()];
        // Old waivers are no waivers: they make answers less human.
        if fresh[3].age.is_none_or(|age| age > self.settings.stale_after) {
            waivers.clear();
        }
        let facts = Facts {
            now,
            request,
            entry: entry.as_deref(),
            active_policy_digest: &active_policy_digest,
            function_digest: &function_digest,
            model: model.as_ref(),
            holds: &holds,
            waivers: &waivers,
            inventory_age: fresh[0].age,
            models_age: fresh[1].age,
            holds_age: fresh[2].age,
            stale_after: self.settings.stale_after,
            deny_after: self.settings.deny_after,
        };
        let (found, lead) = assess(&facts);
        let decision = entry.as_ref().and_then(|entry| entry.decision.as_ref());
        let ratio = match (found.pattern, decision) {
            (Pattern::HumanOnTheLoop, Some(decision)) => decision.sampling_ratio,
            _ => 1.0,
        };
        let obligations = obligations(tenant, request, &found, entry.as_deref(), model.as_ref(), ratio);
        let mut waived: Vec<String> = found
            .reasons
            .iter()
            .filter(|reason| !reason.waiver.is_empty())
            .map(|reason| reason.waiver.clone())
            .collect();
        waived.sort();
        waived.dedup();
        let answer = api::CheckTaskResponse {
            verdict: if found.denied { api::Verdict::Deny } else { api::Verdict::Permit }.into(),
            obligations: Some(obligations),
            reasons: found.reasons,
            decision: decision.map(|decision| decision.name.clone()).unwrap_or_default(),
            policy: decision.map(|decision| decision.policy.clone()).unwrap_or_default(),
            policy_digest: decision.map(|decision| decision.policy_digest.clone()).unwrap_or_default(),
            model_state: model
                .map(|model| convert::short(model.state().as_str_name(), "MODEL_VERSION_STATE_").to_owned())
                .unwrap_or_default(),
            purpose: found.purpose,
            holds: holds.into_iter().map(|hold| hold.name).collect(),
            waivers: waived,
            stakes: found.stakes.into(),
            caches: ["inventory", "models", "holds", "waivers"]
                .into_iter()
                .zip(&fresh)
                .map(|(source, freshness)| cache_state(source, freshness, &self.settings))
                .collect(),
            check_time: Some(convert::time(now)),
            task_digest: entry.as_ref().map(|entry| entry.digest.clone()).unwrap_or_default(),
        };
        (answer, lead)
    }
}

fn obligations(
    tenant: &Tenant,
    request: &api::CheckTaskRequest,
    found: &Assessment,
    entry: Option<&Entry>,
    model: Option<&registry::ModelState>,
    ratio: f64,
) -> api::Obligations {
    let sampling = if request.run_id.is_empty() {
        api::Sampling { ratio: 1.0, drawn: true, algorithm: sampling::ALGORITHM.into(), ..Default::default() }
    } else {
        let draw = sampling::draw(tenant.as_str(), &request.task, &request.run_id, ratio);
        api::Sampling {
            ratio,
            drawn: draw.drawn,
            algorithm: sampling::ALGORITHM.into(),
            input: draw.input,
            hash: draw.hash,
        }
    };
    let disclosure = match entry.map(|entry| entry.disclosure) {
        None | Some(api::Disclosure::Unspecified) => api::Disclosure::Label,
        Some(known) => known,
    };
    api::Obligations {
        pattern: convert::pattern(found.pattern).into(),
        gate: found.gate.clone(),
        sampling: Some(sampling),
        disclosure: disclosure.into(),
        requirements: entry
            .and_then(|entry| entry.decision.as_ref())
            .map(|decision| decision.requirements.clone())
            .unwrap_or_default(),
        conditions: model.map(|model| model.conditions.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
