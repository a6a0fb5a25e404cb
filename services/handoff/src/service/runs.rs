//! AI runs: permitted by scoring.

use super::Service;
use super::held::Held;
use crate::machine::Action;
use crate::peers::{Permission, Question};
use crate::store::{GateVersions, Handoffs};
use remit_api::handoff::v1 as pb;
use remit_api::types::AutonomyPattern;
use remit_api::wire::required;
use remit_core::details::{HandoffMoved, RunStarted};
use remit_core::name::{HandoffName, ModelVersionName};
use remit_core::{Error, Result, Tenant};
use remit_runtime::Cx;
use remit_store::Records as _;

impl Service {
    /// Asks scoring whether a model version may do the task of a handoff. Never inside a mutation, which must not
    /// wait for another service.
    pub(super) async fn permission(
        &self,
        tenant: &Tenant,
        handoff: &pb::Handoff,
        model_version: &str,
    ) -> Result<Permission> {
        let gate = GateVersions::get(&mut self.db.read().await?, tenant, &handoff.gate_version).await?;
        let question = Question {
            task: &handoff.task,
            model_version,
            gate: &handoff.gate,
            run_id: &format!("{}/iterations/{}", handoff.name, handoff.iteration + 1),
            stakes: gate.stakes(),
        };
        let mut permission = self.scoring.check(tenant, &question).await?;
        if permission.denials.is_empty() && permission.pattern == AutonomyPattern::HumanOnly {
            permission.denials.push("HUMAN_ONLY: a person does this task alone".to_owned());
        }
        Ok(permission)
    }

    /// Starts an AI run.
    pub(crate) async fn start_run(&self, cx: &Cx, request: pb::StartRunRequest) -> Result<pb::Handoff> {
        let call = cx.call(&request);
        let inputs = required(request.inputs, "inputs")?;
        ModelVersionName::parse(&inputs.model_version, "inputs.model_version")?;
        HandoffName::parse(&request.name, "name")?;
        let handoff = Handoffs::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        // Judged inside the mutation, so that a repeated request gets its first answer whatever scoring says by now.
        let permission = self.permission(&cx.tenant, &handoff, &inputs.model_version).await;
        self.mutate(call, async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            held.go(Action::Start)?;
            let permission = permission?;
            permission.require(&format!("{} may not do {}", inputs.model_version, held.handoff.task))?;
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
            let details = RunStarted {
                prompt_version: inputs.prompt_version.clone(),
                guardrail_version: inputs.guardrail_version.clone(),
                style_guide_version: inputs.style_guide_version.clone(),
                policy: permission.policy,
                ..Default::default()
            };
            held.handoff.run_inputs = Some(inputs);
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
