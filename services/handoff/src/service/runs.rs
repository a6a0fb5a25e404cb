//! AI runs: permitted by scoring, with what the registry has approved, and as the pattern says.

use super::Service;
use super::held::Held;
use crate::machine::Action;
use crate::pattern_rules::{Done, Step, Work, judge, more_human};
use crate::peers::{Permission, Question};
use crate::review_rules;
use crate::store::{GateVersions, Handoffs};
use remit_api::handoff::v1 as pb;
use remit_api::types::AutonomyPattern;
use remit_api::wire::required;
use remit_core::details::{HandoffHeld, HandoffMoved, RunStarted};
use remit_core::name::{HandoffName, ModelVersionName};
use remit_core::{Error, Result, Tenant};
use remit_runtime::Cx;
use remit_store::Records as _;

/// What a service does by itself when a hold stops a handoff.
const HOLD: &str = "handoff.handoffs.hold";

impl Service {
    /// Asks scoring whether a model version may do the task of a handoff, in the iteration `iteration`. Never inside a
    /// mutation, which must not wait for another service.
    pub(super) async fn permission(
        &self,
        tenant: &Tenant,
        handoff: &pb::Handoff,
        model_version: &str,
        iteration: i32,
    ) -> Result<Permission> {
        let gate = GateVersions::get(&mut self.db.read().await?, tenant, &handoff.gate_version).await?;
        let question = Question {
            task: &handoff.task,
            model_version,
            gate: &handoff.gate,
            run_id: &format!("{}/iterations/{iteration}", handoff.name),
            stakes: gate.stakes(),
        };
        self.scoring.check(tenant, &question).await
    }

    /// Asks again about AI's present result, for a step that follows its run; `None` if a person leads the work.
    pub(super) async fn permission_still(&self, tenant: &Tenant, handoff: &pb::Handoff) -> Option<Result<Permission>> {
        match &handoff.run_inputs {
            Some(inputs) if !handoff.human_led => {
                Some(self.permission(tenant, handoff, &inputs.model_version, handoff.iteration).await)
            }
            _ => None,
        }
    }

    /// Lets a handoff show which holds stop it. What a step was refused for is not written with the step, because a
    /// refusal changes nothing; a hold is a state of the work, and is written beside it.
    pub(super) async fn show_holds(
        &self,
        tenant: &Tenant,
        name: &str,
        answer: Option<&Result<Permission>>,
    ) -> Result<()> {
        let Some(Ok(permission)) = answer else { return Ok(()) };
        let shown = Handoffs::find(&mut self.db.read().await?, tenant, name).await?.map(|handoff| handoff.holds);
        if shown.is_none_or(|shown| shown == permission.holds) || permission.holds.is_empty() {
            return Ok(());
        }
        self.db
            .own(tenant, HOLD, async |m| {
                let Some(mut held) = Held::try_claim(m, name).await? else { return Ok(()) };
                held.handoff.holds.clone_from(&permission.holds);
                let details = HandoffHeld { holds: permission.holds.clone(), ..Default::default() };
                held.save(m, HOLD, "HOLD_ENGAGED", details).await.map(drop)
            })
            .await
    }

    /// Starts an AI run.
    pub(crate) async fn start_run(&self, cx: &Cx, request: pb::StartRunRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let inputs = required(request.inputs, "inputs")?;
        ModelVersionName::parse(&inputs.model_version, "inputs.model_version")?;
        HandoffName::parse(&request.name, "name")?;
        let handoff = Handoffs::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        // Judged inside the mutation, so that a repeated request gets its first answer whatever the others say by now.
        let asked = self.permission(&cx.tenant, &handoff, &inputs.model_version, handoff.iteration + 1);
        let (permission, approved) = futures::join!(asked, self.registry.require_approved(&cx.tenant, &inputs));
        let permission = Some(permission);
        self.show_holds(&cx.tenant, &request.name, permission.as_ref()).await?;
        self.mutate(call, async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            held.go(Action::Start)?;
            let permission =
                permitted(&mut held.handoff, permission, &format!("{} may not do it", inputs.model_version))?;
            judge(&request.name, permission.pattern, Work::Creative, Step::Start, Done::default())?;
            approved?;
            let wanted = &held.handoff.next_prompt_version;
            if !wanted.is_empty() && *wanted != inputs.prompt_version {
                let message =
                    format!("{} was returned for prompt version {wanted}, not {}", request.name, inputs.prompt_version);
                return Err(Error::precondition("PROMPT_NOT_NAMED", message)
                    .with_violation("inputs.prompt_version", format!("must be {wanted}")));
            }
            held.handoff.iteration += 1;
            held.handoff.human_led = false;
            held.handoff.obligations = permission.obligations;
            held.handoff.set_pattern(permission.pattern);
            let details = RunStarted {
                prompt_version: inputs.prompt_version.clone(),
                guardrail_version: inputs.guardrail_version.clone(),
                style_guide_version: inputs.style_guide_version.clone(),
                policy: permission.policy,
                ..Default::default()
            };
            held.handoff.run_inputs = Some(inputs);
            let gate = held.gate(m).await?;
            review_rules::check_tags(&held.handoff, &gate)?;
            held.save(m, cx.method, "", details).await
        })
        .await
    }

    /// Records that a run failed.
    pub(crate) async fn fail_run(&self, cx: &Cx, request: pb::FailRunRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            held.go(if held.handoff.iteration <= 1 { Action::FailFirst } else { Action::FailLater })?;
            held.handoff.iteration -= 1;
            held.save(m, cx.method, &request.reason, HandoffMoved::default()).await
        })
        .await
    }
}

/// Takes scoring's answer for a step of AI's result: a clear yes, or the error.
///
/// # Errors
/// What the question was answered with, `HOLD_ENGAGED` or `TASK_NOT_PERMITTED`; `Internal` if nothing was asked although
/// AI made the result.
pub(super) fn permitted(
    handoff: &mut pb::Handoff,
    answer: Option<Result<Permission>>,
    question: &str,
) -> Result<Permission> {
    let permission = answer.ok_or_else(|| Error::internal("an AI result names no model version"))??;
    permission.require(&format!("{}, the task of {}: {question}", handoff.task, handoff.name))?;
    handoff.holds.clear();
    Ok(permission)
}

/// The pattern that a step of AI's result is judged by: the more human of that of the run and that of today.
pub(super) fn pattern_of(handoff: &pb::Handoff, permission: &Permission) -> AutonomyPattern {
    more_human(handoff.pattern(), permission.pattern)
}
