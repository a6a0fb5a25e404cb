//! Cross-functional automations.

use super::{Service, check_content, check_move};
use crate::fields;
use crate::store::automations::Automations;
use crate::store::models::ModelVersions;
use crate::store::named;
use futures::{Stream, StreamExt as _};
use remit_api::registry::v1::{
    ApproveAutomationRequest, Automation, AutomationState, CreateAutomationRequest, GetAutomationRequest,
    ListAutomationsRequest, ListAutomationsResponse, RetireAutomationRequest, SuspendAutomationRequest,
    UpdateAutomationRequest, WatchAutomationsRequest, WatchAutomationsResponse,
};
use remit_api::wire::{self, Word as _, required, required_text, time};
use remit_core::details::{AutomationCreated, AutomationMoved, AutomationUpdated, Details as _};
use remit_core::name::{self, AutomationName, GateName, ModelVersionName, TaskName};
use remit_core::{Error, Result, etag};
use remit_runtime::Cx;
use remit_runtime::watch::{self, Watched};
use remit_store::{Call, Mutation, Records as _};

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

/// The states that may follow.
fn next(state: AutomationState) -> &'static [AutomationState] {
    match state {
        AutomationState::Proposed | AutomationState::Suspended => {
            &[AutomationState::Approved, AutomationState::Retired]
        }
        AutomationState::Approved => &[AutomationState::Suspended, AutomationState::Retired],
        AutomationState::Retired | AutomationState::Unspecified => &[],
    }
}

fn check(automation: &Automation) -> Result<()> {
    required_text(&automation.display_name, "automation.display_name")?;
    required_text(&automation.owner, "automation.owner")?;
    if automation.functions.len() < 2 {
        return Err(Error::invalid(
            "FIELD_REQUIRED",
            "automation.functions",
            "must name at least two functions: an automation of one function needs no council",
        ));
    }
    fields::names(&automation.tasks, "automation.tasks", TaskName::parse)?;
    fields::names(&automation.gates, "automation.gates", GateName::parse)?;
    fields::names(&automation.model_versions, "automation.model_versions", ModelVersionName::parse)
}

/// Refuses to take work out of an automation: until all functions have approved, it stops what it does, and an edit must
/// not let that go on.
///
/// # Errors
/// `PermissionDenied` (`AUTOMATION_KEEPS`).
fn check_kept(before: &Automation, after: &Automation) -> Result<()> {
    let lost = |was: &[String], now: &[String]| was.iter().find(|one| !now.contains(one)).cloned();
    // One that names no task is about whatever its versions do; naming some is about less.
    let narrowed = before.tasks.is_empty() && !after.tasks.is_empty() && !before.model_versions.is_empty();
    let lost = lost(&before.tasks, &after.tasks).or_else(|| lost(&before.model_versions, &after.model_versions));
    let Some(lost) = lost.or_else(|| narrowed.then(|| "what it does not name".to_owned())) else { return Ok(()) };
    let name = &before.name;
    let what = format!("{lost} stays with {name}: register another automation without it, and have that approved");
    Err(Error::denied("AUTOMATION_KEEPS", what))
}

async fn check_versions(m: &mut Mutation, automation: &Automation) -> Result<()> {
    let tenant = m.tenant().clone();
    let names: Vec<&str> = automation.model_versions.iter().map(String::as_str).collect();
    let known = named::<ModelVersions>(m.tx(), &tenant, &names).await?;
    match names.iter().find(|name| !known.contains_key(**name)) {
        Some(unknown) => Err(Error::not_found(ModelVersions::NOT_FOUND, unknown)),
        None => Ok(()),
    }
}

/// One move of an automation from state to state.
struct Step {
    name: String,
    to: AutomationState,
    reason: String,
    conditions: Vec<String>,
    content_digest: String,
}

impl Service {
    /// Registers an automation.
    pub(crate) async fn create_automation(&self, cx: &Cx, req: CreateAutomationRequest) -> Result<Automation> {
        let name = AutomationName::new(name::id(&req.automation_id, "automation_id")?).to_string();
        let given = required(req.automation.clone(), "automation")?;
        check(&given)?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let part = approved_part(&given);
                let now = Some(time::stamp(m.now()));
                let mut automation = Automation {
                    name,
                    owner_confirmed_time: fields::confirmed(m, &given.owner, ("", None)),
                    owner: given.owner,
                    state: AutomationState::Proposed.into(),
                    content_digest: wire::digest(&part),
                    create_time: now,
                    update_time: now,
                    ..part
                };
                Automations::insert(m, &mut automation).await?;
                check_versions(m, &automation).await?;
                m.record(&automation.name, |event| {
                    event.after_digest.clone_from(&automation.content_digest);
                    event.details = AutomationCreated {
                        owner: automation.owner.clone(),
                        functions: automation.functions.clone(),
                        model_versions: automation.model_versions.clone(),
                    }
                    .json();
                });
                Ok(automation)
            })
            .await
    }

    /// Returns an automation.
    pub(crate) async fn get_automation(&self, cx: &Cx, req: GetAutomationRequest) -> Result<Automation> {
        AutomationName::parse(&req.name, "name")?;
        Automations::get(&mut self.db.read().await?, &cx.tenant, &req.name).await
    }

    /// Lists automations.
    pub(crate) async fn list_automations(
        &self,
        cx: &Cx,
        req: ListAutomationsRequest,
    ) -> Result<ListAutomationsResponse> {
        let (automations, next_page_token) = Automations::list(&self.db, &cx.tenant, cx.page(&req)).await?;
        Ok(ListAutomationsResponse { automations, next_page_token })
    }

    /// Changes an automation; its approval is void if what was approved has changed.
    pub(crate) async fn update_automation(&self, cx: &Cx, req: UpdateAutomationRequest) -> Result<Automation> {
        let given = required(req.automation.as_ref(), "automation")?;
        AutomationName::parse(&given.name, "automation.name")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let before = Automations::claim(m, &given.name).await?;
                etag::check(&given.etag, &before.etag, &before.name)?;
                if before.state() == AutomationState::Retired {
                    return Err(Error::precondition("AUTOMATION_RETIRED", format!("{} is RETIRED", before.name)));
                }
                let updated = fields::updated(m, &before, given, req.update_mask.as_ref())?;
                let Some(mut automation) = updated else { return Ok(before) };
                check(&automation)?;
                check_kept(&before, &automation)?;
                // Versions do not go away: those that were there before need no look.
                if automation.model_versions != before.model_versions {
                    check_versions(m, &automation).await?;
                }
                automation.content_digest = wire::digest(&approved_part(&automation));
                let changed = automation.content_digest != before.content_digest;
                let approval_voided = changed && before.state() != AutomationState::Proposed;
                if approval_voided {
                    automation.conditions.clear();
                    automation.proposal.clear();
                    automation.mandate.clear();
                    automation.state_reason = "edited since the approval".to_owned();
                    automation.set_state(AutomationState::Proposed);
                }
                automation.update_time = Some(time::stamp(m.now()));
                Automations::save(m, &mut automation).await?;
                m.record(&automation.name, |event| {
                    event.before_digest = wire::digest(&before);
                    event.after_digest = wire::digest(&automation);
                    let fields = fields::paths(req.update_mask.as_ref());
                    event.details = AutomationUpdated { fields, approval_voided }.json();
                });
                Ok(automation)
            })
            .await
    }

    /// Approves an automation.
    pub(crate) async fn approve_automation(&self, cx: &Cx, req: ApproveAutomationRequest) -> Result<Automation> {
        let call = cx.call(&req);
        let step = Step {
            name: req.name.clone(),
            to: AutomationState::Approved,
            reason: req.reason.clone(),
            conditions: req.conditions.clone(),
            content_digest: req.content_digest.clone(),
        };
        self.step(&call, step, Some(&req)).await
    }

    /// Stops an automation.
    pub(crate) async fn suspend_automation(&self, cx: &Cx, req: SuspendAutomationRequest) -> Result<Automation> {
        self.step(&cx.call(&req), stop(req.name, AutomationState::Suspended, req.reason), None).await
    }

    /// Retires an automation.
    pub(crate) async fn retire_automation(&self, cx: &Cx, req: RetireAutomationRequest) -> Result<Automation> {
        self.step(&cx.call(&req), stop(req.name, AutomationState::Retired, req.reason), None).await
    }

    /// Streams all automations.
    pub(crate) fn watch_automations(
        &self,
        cx: &Cx,
        req: WatchAutomationsRequest,
    ) -> Result<impl Stream<Item = Result<WatchAutomationsResponse>> + Send + 'static + use<>> {
        let shutdown = self.shutdown.clone();
        let items = watch::stream(self.db.clone(), cx.tenant.clone(), Automations::FEED, &req.cursor, shutdown)?;
        Ok(items.map(|item| item.and_then(watched)))
    }

    /// Moves an automation; an approval shows the request that carries its mandate.
    async fn step(&self, call: &Call, step: Step, approval: Option<&ApproveAutomationRequest>) -> Result<Automation> {
        AutomationName::parse(&step.name, "name")?;
        self.db
            .mutate(call, async |m| {
                let mut automation = Automations::claim(m, &step.name).await?;
                let (proposal, mandate) = match approval {
                    Some(request) => {
                        let mandate = self.mandates.redeem(m, "approve_automation", request).await?;
                        if automation.state() == AutomationState::Suspended {
                            let changed = automation.update_time.as_ref().map(time::of).unwrap_or_default();
                            mandate.check_newer(&step.name, changed)?;
                        }
                        (mandate.sub, request.mandate.clone())
                    }
                    None => Default::default(),
                };
                let from = automation.state();
                check_move(&step.name, from, step.to, next(from))?;
                check_content(&step.name, &step.content_digest, &automation.content_digest)?;
                automation.set_state(step.to);
                automation.conditions.clone_from(&step.conditions);
                automation.proposal.clone_from(&proposal);
                automation.mandate = mandate;
                automation.state_reason.clone_from(&step.reason);
                automation.update_time = Some(time::stamp(m.now()));
                Automations::save(m, &mut automation).await?;
                m.record(&step.name, |event| {
                    event.reason = step.reason;
                    event.after_digest.clone_from(&automation.content_digest);
                    event.details = AutomationMoved {
                        from: from.word().to_owned(),
                        to: step.to.word().to_owned(),
                        proposal,
                        conditions: step.conditions,
                    }
                    .json();
                });
                Ok(automation)
            })
            .await
    }
}

fn stop(name: String, to: AutomationState, reason: String) -> Step {
    Step { name, to, reason, conditions: Vec::new(), content_digest: String::new() }
}

fn watched(watched: Watched) -> Result<WatchAutomationsResponse> {
    let deleted = watched.is_deletion();
    let item = match &watched.body {
        Some(body) => Some(wire::decode(body)?),
        None if deleted => Some(Automation { name: watched.key, ..Automation::default() }),
        None => None,
    };
    Ok(WatchAutomationsResponse { phase: watched.phase.into(), cursor: watched.cursor, item, deleted })
}
