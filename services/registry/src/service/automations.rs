//! Cross-functional automations.

use super::{Registry, digest, exists, record, versions as version_service};
use crate::convert::{check_etag, digest_of, id_field, mask, present, required, stamp};
use crate::store::automations::{self, AutomationRow, state_word};
use crate::store::versions;
use remit_api::registry::v1::{
    ApproveAutomationRequest, Automation, AutomationState, CreateAutomationRequest, GetAutomationRequest,
    ListAutomationsRequest, ListAutomationsResponse, RetireAutomationRequest, SuspendAutomationRequest,
    UpdateAutomationRequest,
};
use remit_core::{Error, Result, name};
use remit_runtime::{Cx, Started};
use remit_store::{Mutation, filter};

const UPDATABLE: &[&str] =
    &["display_name", "description", "functions", "tasks", "model_versions", "gates", "data_flow", "owner"];

fn render(row: AutomationRow) -> Automation {
    Automation {
        name: format!("automations/{}", row.id),
        state: row.state.into(),
        etag: row.stored.revision.to_string(),
        create_time: Some(stamp(row.stored.created_at)),
        update_time: Some(stamp(row.stored.updated_at)),
        ..row.stored.body
    }
}

/// What is approved: everything that a caller writes but the owner.
fn approved_part(automation: &Automation) -> Automation {
    Automation {
        display_name: automation.display_name.clone(),
        description: automation.description.clone(),
        functions: automation.functions.clone(),
        tasks: automation.tasks.clone(),
        model_versions: automation.model_versions.clone(),
        gates: automation.gates.clone(),
        data_flow: automation.data_flow.clone(),
        ..Default::default()
    }
}

fn check(automation: &Automation) -> Result<()> {
    required(&automation.display_name, "automation.display_name")?;
    required(&automation.owner, "automation.owner")?;
    if automation.functions.len() < 2 {
        return Err(Error::invalid(
            "FIELD_REQUIRED",
            "automation.functions",
            "must name at least two functions: an automation of one function needs no council",
        ));
    }
    for (at, task) in automation.tasks.iter().enumerate() {
        name::ids::<1>(task, "tasks/*", &format!("automation.tasks[{at}]"))?;
    }
    for (at, gate) in automation.gates.iter().enumerate() {
        name::ids::<1>(gate, "gates/*", &format!("automation.gates[{at}]"))?;
    }
    for (at, version) in automation.model_versions.iter().enumerate() {
        name::ids::<2>(version, "models/*/versions/*", &format!("automation.model_versions[{at}]"))?;
    }
    Ok(())
}

fn id<'a>(name: &'a str, field: &str) -> Result<&'a str> {
    let [id] = name::ids::<1>(name, "automations/*", field)?;
    Ok(id)
}

fn not_found(name: &str) -> Error {
    Error::not_found("AUTOMATION_NOT_FOUND", name)
}

async fn check_versions(m: &mut Mutation, automation: &Automation) -> Result<()> {
    let tenant = m.tenant().clone();
    for name in &automation.model_versions {
        let (model, id) = version_service::ids(name, "automation.model_versions")?;
        if versions::find(m.tx(), &tenant, model, id).await?.is_none() {
            return Err(version_service::not_found(name));
        }
    }
    Ok(())
}

/// One move of an automation from state to state.
struct Step<'a> {
    name: &'a str,
    to: AutomationState,
    from: &'static [AutomationState],
    proposal: &'a str,
    reason: &'a str,
    conditions: &'a [String],
    content_digest: &'a str,
}

impl Step<'_> {
    fn check(&self, row: &AutomationRow) -> Result<()> {
        if !self.from.contains(&row.state) {
            let allowed = match row.state {
                AutomationState::Proposed => "APPROVED, RETIRED",
                AutomationState::Approved => "SUSPENDED, RETIRED",
                AutomationState::Suspended => "APPROVED, RETIRED",
                AutomationState::Retired | AutomationState::Unspecified => "nothing",
            };
            return Err(Error::precondition(
                "TRANSITION_NOT_ALLOWED",
                format!(
                    "{} is {}; {} cannot follow, allowed: {allowed}",
                    self.name,
                    state_word(row.state),
                    state_word(self.to)
                ),
            ));
        }
        let found = &row.stored.body.content_digest;
        if !self.content_digest.is_empty() && self.content_digest != found {
            return Err(Error::precondition(
                "CONTENT_CHANGED",
                format!(
                    "{} has content {found}, the vote was about {}; propose it again",
                    self.name, self.content_digest
                ),
            ));
        }
        Ok(())
    }

    async fn make(&self, cx: &Cx, m: &mut Mutation) -> Result<Automation> {
        let now = m.now();
        let id = id(self.name, "name")?;
        let row = automations::claim(m.tx(), &cx.tenant, id, now).await?;
        let mut row = row.ok_or_else(|| not_found(self.name))?;
        self.check(&row)?;
        let from = state_word(row.state);
        row.state = self.to;
        row.stored.body.conditions = self.conditions.to_vec();
        row.stored.body.proposal = self.proposal.to_owned();
        row.stored.body.state_reason = self.reason.to_owned();
        automations::save(m.tx(), &cx.tenant, &row).await?;
        record(m, self.name, |event| {
            event.reason = self.reason.to_owned();
            event.after_digest.clone_from(&row.stored.body.content_digest);
            event.details = serde_json::json!({
                "from": from, "to": state_word(self.to), "proposal": self.proposal, "conditions": self.conditions,
            });
        });
        Ok(render(row))
    }
}

impl Registry {
    /// Registers an automation.
    pub async fn create_automation(&self, cx: &Cx, req: CreateAutomationRequest) -> Result<Automation> {
        id_field(&req.automation_id, "automation_id")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let wanted = present(req.automation, "automation")?;
        check(&wanted)?;
        let part = approved_part(&wanted);
        let automation = Automation { owner: wanted.owner, content_digest: digest_of(&part), ..part };
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let name = format!("automations/{}", req.automation_id);
        if !automations::insert(m.tx(), &cx.tenant, &req.automation_id, &automation, call.now).await? {
            return Err(exists("AUTOMATION_EXISTS", &name));
        }
        check_versions(&mut m, &automation).await?;
        record(&mut m, &name, |event| {
            event.after_digest.clone_from(&automation.content_digest);
            event.details = serde_json::json!({
                "owner": automation.owner, "functions": automation.functions, "model_versions": automation.model_versions,
            });
        });
        let row = automations::find(m.tx(), &cx.tenant, &req.automation_id).await?.ok_or_else(|| not_found(&name))?;
        remit_runtime::finish(m, render(row)).await
    }

    /// Returns an automation.
    pub async fn get_automation(&self, cx: &Cx, req: GetAutomationRequest) -> Result<Automation> {
        let id = id(&req.name, "name")?;
        let row = automations::find(&mut self.db.read().await?, &cx.tenant, id).await?;
        row.map(render).ok_or_else(|| not_found(&req.name))
    }

    /// Lists automations.
    pub async fn list_automations(&self, cx: &Cx, req: ListAutomationsRequest) -> Result<ListAutomationsResponse> {
        let fragment = filter::parse(&req.filter, automations::FIELDS)?;
        let pager = self.pager(cx, &[&req.filter], req.page_size, &req.page_token)?;
        let rows = automations::list(&mut self.db.read().await?, &cx.tenant, &fragment, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, automations::key);
        Ok(ListAutomationsResponse { automations: rows.into_iter().map(render).collect(), next_page_token })
    }

    /// Changes an automation; its approval is void if what was approved has changed.
    pub async fn update_automation(&self, cx: &Cx, req: UpdateAutomationRequest) -> Result<Automation> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let paths = mask(req.update_mask.as_ref(), UPDATABLE, &[])?;
        let wanted = present(req.automation.clone(), "automation")?;
        let id = id(&wanted.name, "automation.name")?;
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let row = automations::claim(m.tx(), &cx.tenant, id, call.now).await?;
        let mut row = row.ok_or_else(|| not_found(&wanted.name))?;
        check_etag(&wanted.etag, row.stored.revision - 1, &wanted.name)?;
        if row.state == AutomationState::Retired {
            return Err(Error::precondition("AUTOMATION_RETIRED", format!("{} is RETIRED", wanted.name)));
        }
        let before = digest(&row.stored.body);
        let automation = &mut row.stored.body;
        for path in &paths {
            match *path {
                "display_name" => automation.display_name.clone_from(&wanted.display_name),
                "description" => automation.description.clone_from(&wanted.description),
                "functions" => automation.functions.clone_from(&wanted.functions),
                "tasks" => automation.tasks.clone_from(&wanted.tasks),
                "model_versions" => automation.model_versions.clone_from(&wanted.model_versions),
                "gates" => automation.gates.clone_from(&wanted.gates),
                "data_flow" => automation.data_flow.clone_from(&wanted.data_flow),
                _ => automation.owner.clone_from(&wanted.owner),
            }
        }
        check(automation)?;
        check_versions(&mut m, automation).await?;
        let content_digest = digest_of(&approved_part(automation));
        let voided = content_digest != automation.content_digest && row.state != AutomationState::Proposed;
        automation.content_digest = content_digest;
        if voided {
            automation.conditions.clear();
            automation.proposal.clear();
            automation.state_reason = "edited since the approval".to_owned();
            row.state = AutomationState::Proposed;
        }
        automations::save(m.tx(), &cx.tenant, &row).await?;
        record(&mut m, &wanted.name, |event| {
            event.before_digest = before;
            event.after_digest = digest(&row.stored.body);
            event.details = serde_json::json!({"fields": paths, "approval_voided": voided});
        });
        remit_runtime::finish(m, render(row)).await
    }

    /// Approves an automation.
    pub async fn approve_automation(&self, cx: &Cx, req: ApproveAutomationRequest) -> Result<Automation> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let step = Step {
            name: &req.name,
            to: AutomationState::Approved,
            from: &[AutomationState::Proposed, AutomationState::Suspended],
            proposal: &req.proposal,
            reason: &req.reason,
            conditions: &req.conditions,
            content_digest: &req.content_digest,
        };
        let answer = step.make(cx, &mut m).await?;
        remit_runtime::finish(m, answer).await
    }

    /// Stops an automation.
    pub async fn suspend_automation(&self, cx: &Cx, req: SuspendAutomationRequest) -> Result<Automation> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let from = &[AutomationState::Approved];
        let step = stop(&req.name, AutomationState::Suspended, from, &req.reason);
        let answer = step.make(cx, &mut m).await?;
        remit_runtime::finish(m, answer).await
    }

    /// Retires an automation.
    pub async fn retire_automation(&self, cx: &Cx, req: RetireAutomationRequest) -> Result<Automation> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let from = &[AutomationState::Proposed, AutomationState::Approved, AutomationState::Suspended];
        let step = stop(&req.name, AutomationState::Retired, from, &req.reason);
        let answer = step.make(cx, &mut m).await?;
        remit_runtime::finish(m, answer).await
    }
}

fn stop<'a>(name: &'a str, to: AutomationState, from: &'static [AutomationState], reason: &'a str) -> Step<'a> {
    Step { name, to, from, proposal: "", reason, conditions: &[], content_digest: "" }
}
