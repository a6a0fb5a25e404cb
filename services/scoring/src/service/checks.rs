//! May AI do this task now? Answered from memory, and counted before the answer is sent.

use super::Service;
use crate::assessment::{Assessment, Effect, Facts, Reason, Scope, assess, engaged};
use crate::cache::{Entry, Freshness, Rules, TenantCache};
use crate::counter::Counted;
use crate::pattern;
use crate::store::checks::CheckKey;
use remit_api::council::v1 as council;
use remit_api::registry::v1 as registry;
use remit_api::scoring::v1 as api;
use remit_api::wire::{Word as _, time};
use remit_core::name::{GateName, ModelVersionName, TaskName};
use remit_core::{Actor, Result, Tenant, Timestamp};
use remit_policy::{Pattern, sampling};
use remit_runtime::Cx;
use std::sync::Arc;

const HOUR_US: i64 = 3_600_000_000;

impl Service {
    pub(crate) async fn check_task(&self, cx: &Cx, request: api::CheckTaskRequest) -> Result<api::CheckTaskResponse> {
        let id = TaskName::parse(&request.task, "task")?.task;
        ModelVersionName::parse(&request.model_version, "model_version")?;
        if !request.gate.is_empty() {
            GateName::parse(&request.gate, "gate")?;
        }
        self.seed(&cx.tenant).await?;
        let cache = self.caches.tenant(&cx.tenant);
        if !cache.is_ready() {
            cache.ready(self.settings.first_state_wait).await;
        }
        let now = self.db.now();
        let (answer, key) = self.answer(&cx.tenant, &cache, &request, &id, now);
        let counted = Counted {
            key,
            at: now,
            actor: Actor::clone(&cx.actor),
            trace_id: cx.trace_id.clone(),
            run_id: request.run_id,
            policy: answer.policy.clone(),
            decision: answer.decision.clone(),
        };
        self.counter.add(&cx.tenant, counted)?;
        Ok(answer)
    }

    fn answer(
        &self,
        tenant: &Tenant,
        cache: &TenantCache,
        request: &api::CheckTaskRequest,
        id: &str,
        now: Timestamp,
    ) -> (api::CheckTaskResponse, CheckKey) {
        let (entry, rules): (Option<Arc<Entry>>, Option<Arc<Rules>>) =
            cache.inventory.with(|state| (state.tasks.get(id).cloned(), state.rules.clone()));
        let (entry, rules) = (entry.as_deref(), rules.as_deref());
        let model = cache.models.with(|models| models.get(&request.model_version).cloned());
        let scope = Scope::of(request, entry);
        let mut holds: Vec<council::Hold> = cache.holds.with(|holds| {
            let apply = |hold: &&council::Hold| engaged(hold, now) && scope.covers(hold.scope.as_ref());
            holds.values().filter(apply).cloned().collect()
        });
        holds.sort_by(|a, b| a.name.cmp(&b.name));
        let mut automations: Vec<registry::Automation> = cache.automations.with(|automations| {
            automations.values().filter(|automation| scope.is_done_by(automation)).cloned().collect()
        });
        automations.sort_by(|a, b| a.name.cmp(&b.name));
        let ages = cache.ages();
        let stale = |freshness: &Freshness| freshness.age.is_none_or(|age| age > self.settings.stale_after);
        let mut waivers: Vec<council::Waiver> = if stale(&ages.waivers) {
            // Old waivers are no waivers: they make answers less human.
            Vec::new()
        } else {
            let apply = |waiver: &&council::Waiver| scope.covers(waiver.scope.as_ref());
            cache.waivers.with(|waivers| waivers.values().filter(apply).cloned().collect())
        };
        waivers.sort_by(|a, b| a.name.cmp(&b.name));
        let function = entry.map_or("", |entry| &entry.function);
        let facts = Facts {
            now,
            request,
            entry,
            scope: &scope,
            active_policy_digest: rules.map_or("", |rules| rules.policy.digest()),
            function_digest: rules.map_or("", |rules| rules.function(function).1),
            policy_review_by: rules.map(|rules| rules.policy.review_by()),
            model: model.as_ref(),
            automations: &automations,
            holds: &holds,
            waivers: &waivers,
            ages: &ages,
            settings: &self.settings,
        };
        let found = assess(&facts);
        remit_runtime::telemetry::checked(if found.denied { "DENY" } else { "PERMIT" }, found.lead);
        let key = key(&facts, &found);
        let full = request.view() == api::CheckView::Full;
        let obligations = obligations(tenant, &facts, &found, full);
        let mut waived: Vec<String> = found
            .reasons
            .iter()
            .map(|reason| reason.waiver)
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect();
        waived.sort();
        waived.dedup();
        let state = |source: &str, freshness: &Freshness| api::CacheState {
            source: source.into(),
            revision: freshness.revision.clone(),
            age: freshness.age.map(|age| time::span(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))),
            stale: stale(freshness),
        };
        let decision = entry.and_then(|entry| entry.decision.as_ref());
        let answer = api::CheckTaskResponse {
            verdict: key.verdict().into(),
            obligations: Some(obligations),
            purpose: found.purpose.to_owned(),
            stakes: found.stakes.into(),
            reasons: found.reasons.into_iter().map(reason).collect(),
            decision: decision.map(|decision| decision.name.clone()).unwrap_or_default(),
            policy: decision.map(|decision| decision.policy.clone()).unwrap_or_default(),
            policy_digest: decision.map(|decision| decision.policy_digest.clone()).unwrap_or_default(),
            model_state: model.as_ref().map_or("", |model| model.state().word()).to_owned(),
            holds: holds.iter().map(|hold| hold.name.clone()).collect(),
            waivers: waived,
            caches: ages
                .all()
                .into_iter()
                .filter(|(_, freshness)| full || stale(freshness))
                .map(|(source, freshness)| state(source, freshness))
                .collect(),
            check_time: Some(time::stamp(now)),
            task_digest: entry.map(|entry| entry.digest.clone()).unwrap_or_default(),
        };
        (answer, key)
    }
}

/// What the check is counted as. What does not exist is counted under one name, so that callers cannot make rows
/// without bound.
fn key(facts: &Facts<'_>, found: &Assessment<'_>) -> CheckKey {
    let request = facts.request;
    let known = facts.model.is_some_and(|model| model.state() != registry::ModelVersionState::Unspecified);
    CheckKey {
        hour: facts.now.micros().div_euclid(HOUR_US),
        task: facts.entry.map_or("tasks/-", |_| &request.task).to_owned(),
        model_version: if known { &request.model_version } else { "models/-/versions/-" }.to_owned(),
        denied: found.denied,
        pattern: found.pattern,
        reason: found.lead.into(),
    }
}

fn reason(found: Reason<'_>) -> api::CheckReason {
    let at_most = match found.effect {
        Effect::Restrict(at_most) => Some(at_most),
        _ => None,
    };
    api::CheckReason {
        code: found.code.to_owned(),
        effect: found.effect.message().into(),
        at_most: pattern::number(at_most),
        message: found.message,
        resource: found.resource.to_owned(),
        waiver: found.waiver.to_owned(),
    }
}

fn obligations(tenant: &Tenant, facts: &Facts<'_>, found: &Assessment<'_>, full: bool) -> api::Obligations {
    let Facts { request, entry, model, .. } = *facts;
    let decision = entry.and_then(|entry| entry.decision.as_ref());
    let sampling = if request.run_id.is_empty() {
        api::Sampling { ratio: 1.0, drawn: true, algorithm: sampling::ALGORITHM.into(), ..Default::default() }
    } else {
        let ratio = match (found.pattern, decision) {
            (Pattern::HumanOnTheLoop, Some(decision)) => decision.sampling_ratio,
            _ => 1.0,
        };
        let sampling::Draw { input, hash, drawn } =
            sampling::draw(tenant.as_str(), &request.task, &request.run_id, ratio);
        let input = if full { input } else { String::new() };
        api::Sampling { ratio, drawn, algorithm: sampling::ALGORITHM.into(), input, hash }
    };
    let disclosure = match entry.map(|entry| entry.disclosure) {
        None | Some(api::Disclosure::Unspecified) => api::Disclosure::Label,
        Some(known) => known,
    };
    api::Obligations {
        pattern: pattern::message(found.pattern).into(),
        gate: facts.scope.gate.to_owned(),
        sampling: Some(sampling),
        disclosure: disclosure.into(),
        requirements: decision.map(|decision| decision.requirements.clone()).unwrap_or_default(),
        conditions: model.map(|model| model.conditions.clone()).unwrap_or_default(),
    }
}
