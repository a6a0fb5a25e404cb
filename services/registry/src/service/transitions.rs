//! The moves of model versions between states: those that are asked for, and those that follow from something else.

use super::aliases::{Why, point};
use super::models::save;
use super::{Service, check_content, expiry, limits};
use crate::inventory;
use crate::store::artifacts::ArtifactVersions;
use crate::store::models::{self, ModelVersions, Models};
use remit_api::registry::v1::{
    AiActClass, AliasChange, ApprovalTerms, ArtifactVersionState, ListModelVersionTransitionsRequest,
    ListModelVersionTransitionsResponse, Model, ModelVersion, ModelVersionState, ModelVersionTransition,
    TransitionModelVersionRequest,
};
use remit_api::wire::{self, Word as _, actor, time};
use remit_core::details::{Details as _, ModelVersionMoved};
use remit_core::lifecycle::{Move, State};
use remit_core::mandate::Mandate;
use remit_core::name::{self, ModelVersionName};
use remit_core::{Error, Result, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};

/// The parent by which the moves of all versions are listed.
const ALL_VERSIONS: &str = "models/-/versions/-";
/// The action of a move in the log.
const MOVED: &str = "registry.versions.transition";
/// How many dependents are read at once; few in tests, so that these need more than one page.
const PAGE: i64 = if cfg!(test) { 2 } else { 500 };
/// How many dependents an answer names.
const MOST_NAMED: usize = 1_000;

/// The artifact versions of a model version that are not approved. They stay locked, so that one that is withdrawn at
/// the same moment is either seen here, or sees what this transaction has approved and suspends it.
async fn unapproved(m: &mut Mutation, version: &str) -> Result<Vec<String>> {
    let tenant = m.tenant().clone();
    // What a version runs with never changes, so that it can be read before the version is locked.
    let mut artifacts = ModelVersions::get(m.tx(), &tenant, version).await?.artifacts;
    artifacts.sort_unstable();
    let mut unapproved = Vec::new();
    for name in artifacts {
        let found = ArtifactVersions::try_claim(m, &name).await?;
        if found.is_none_or(|artifact| artifact.state() != ArtifactVersionState::Approved) {
            unapproved.push(name);
        }
    }
    Ok(unapproved)
}

/// What a move of a version comes from.
#[derive(Debug)]
pub(super) struct Cause<'a> {
    /// Its action in the log.
    pub action: &'a str,
    /// The locked model of a version that is retired, whose aliases are cleared.
    pub model: Option<Model>,
    /// The artifact version whose withdrawal it follows.
    pub withdrawn: Option<&'a str>,
}

/// Moves a locked version: its history, what it is, its watchers and the log.
pub(super) async fn enter(
    m: &mut Mutation,
    version: &mut ModelVersion,
    mut change: ModelVersionTransition,
    cause: Cause<'_>,
) -> Result<()> {
    let (from, to) = (version.state(), change.to_state());
    change.version.clone_from(&version.name);
    change.from_state = from.into();
    change.actor = Some(actor(m.actor()));
    change.record_time = Some(time::stamp(m.now()));
    models::insert_transition(m, &mut change).await?;
    version.set_state(to);
    version.purposes.clone_from(&change.purposes);
    version.conditions.clone_from(&change.conditions);
    version.terms.clone_from(&change.terms);
    version.withdrawn_artifacts = cause.withdrawn.map(str::to_owned).into_iter().collect();
    // What goes on running after its approval has ended does so by that approval still.
    if !change.proposal.is_empty() || !inventory::may_run(to) {
        version.proposal.clone_from(&change.proposal);
        version.mandate.clone_from(&change.mandate);
    }
    version.state_reason.clone_from(&change.reason);
    version.state_time = change.record_time;
    version.daily_outputs = limits::standing(m, version).await?;
    let cleared_aliases = match cause.model {
        Some(model) => clear_aliases(m, model, version).await?,
        None => Vec::new(),
    };
    save(m, version).await?;
    limits::plan_reset(m, version).await?;
    record(m, cause.action, change, cleared_aliases);
    Ok(())
}

fn record(m: &mut Mutation, action: &str, change: ModelVersionTransition, cleared_aliases: Vec<String>) {
    let mut event = m.event(action, &change.version);
    event.model_version.clone_from(&change.version);
    event.reason.clone_from(&change.reason);
    event.after_digest = wire::digest(&change);
    let (from, to) = (change.from_state().word(), change.to_state().word());
    let terms = change.terms.unwrap_or_default();
    event.details = ModelVersionMoved {
        from: from.to_owned(),
        to: to.to_owned(),
        purposes: change.purposes,
        conditions: change.conditions,
        proposal: change.proposal,
        cleared_aliases,
        expire_time: terms.expire_time.as_ref().map(|end| time::of(end).to_string()).unwrap_or_default(),
        required_artifacts: terms.required_artifacts,
        max_outputs_per_day: terms.max_outputs_per_day,
        time_zone: terms.time_zone,
    }
    .json();
    m.record_event(event);
}

/// Clears the aliases of a version that is retired; returns them.
async fn clear_aliases(m: &mut Mutation, mut model: Model, version: &mut ModelVersion) -> Result<Vec<String>> {
    let cleared = std::mem::take(&mut version.aliases);
    if cleared.is_empty() {
        return Ok(cleared);
    }
    let why = Why { proposal: &version.proposal, mandate: &version.mandate, reason: "the version is retired" };
    for alias in &cleared {
        let name = model.name.clone();
        let _: AliasChange = point(m, &name, &mut model.aliases, (alias, ""), why).await?;
    }
    model.update_time = Some(time::stamp(m.now()));
    Models::save(m, &mut model).await?;
    Ok(cleared)
}

/// The model versions that ran with a withdrawn artifact version.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// How many.
    pub count: i64,
    /// The first of them by name.
    pub first: Vec<String>,
}

/// Suspends every version that may run and runs with an artifact version that is withdrawn, which must be locked.
///
/// Neither APPROVED nor RESTRICTED is possible without approved artifacts, so that nothing is left but SUSPENDED,
/// whatever the artifact is (S11, S59, R8): the version ran under a style guide, a guardrail or a prompt that people
/// answered for, and nobody does any longer.
pub(super) async fn suspend_dependents(m: &mut Mutation, artifact_version: &str, reason: &str) -> Result<Dependents> {
    let tenant = m.tenant().clone();
    let mut found = Dependents::default();
    let mut after = String::new();
    loop {
        let names = models::running_with(m.tx(), &tenant, artifact_version, &after, PAGE).await?;
        let Some(last) = names.last().cloned() else { return Ok(found) };
        for name in names {
            let mut version = ModelVersions::claim(m, &name).await?;
            // Somebody may have stopped it while this waited for the lock.
            if !inventory::may_run(version.state()) {
                continue;
            }
            suspend(m, &mut version, artifact_version, reason).await?;
            found.count += 1;
            if found.first.len() < MOST_NAMED {
                found.first.push(name);
            }
        }
        after = last;
    }
}

async fn suspend(m: &mut Mutation, version: &mut ModelVersion, artifact_version: &str, reason: &str) -> Result<()> {
    let change = ModelVersionTransition {
        to_state: ModelVersionState::Suspended.into(),
        reason: format!("ARTIFACT_WITHDRAWN: {artifact_version}, with which it runs, is withdrawn: {reason}"),
        ..Default::default()
    };
    let cause = Cause { action: MOVED, model: None, withdrawn: Some(artifact_version) };
    enter(m, version, change, cause).await
}

impl Service {
    /// Moves a version to another state.
    pub(crate) async fn transition_model_version(
        &self,
        cx: &Cx,
        req: TransitionModelVersionRequest,
    ) -> Result<ModelVersion> {
        ModelVersionName::parse(&req.name, "name")?;
        let to = inventory::lifecycle(req.state())
            .ok_or_else(|| Error::invalid("FIELD_REQUIRED", "state", "is required"))?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                // First the artifact versions, as whoever withdraws one of them does.
                let unapproved = if to.may_run() { unapproved(m, &req.name).await? } else { Vec::new() };
                // The model before its version, as whoever moves its aliases does: retirement clears them.
                let model = match to {
                    State::Retired => Models::try_claim(m, name::parent(&req.name)).await?,
                    _ => None,
                };
                let mut version = ModelVersions::claim(m, &req.name).await?;
                etag::check(&req.etag, &version.etag, &req.name)?;
                let mandate = self.check_transition(m, &req, &version, (to, &unapproved)).await?;
                let shown = if mandate.is_some() { req.mandate.clone() } else { String::new() };
                let change = ModelVersionTransition {
                    to_state: req.state,
                    purposes: req.purposes.clone(),
                    conditions: req.conditions.clone(),
                    terms: req.terms.clone(),
                    proposal: mandate.map(|mandate| mandate.sub).unwrap_or_default(),
                    mandate: shown,
                    reason: req.reason.clone(),
                    ..Default::default()
                };
                version.review_by = req.terms.as_ref().and_then(|terms| terms.review_by).or(version.review_by);
                enter(m, &mut version, change, Cause { action: MOVED, model, withdrawn: None }).await?;
                expiry::plan_expiry(m, &version).await?;
                Ok(version)
            })
            .await
    }

    /// Decides about a move with what is known of the version, read in the same transaction; returns the mandate that it
    /// used up, if it needed one.
    async fn check_transition(
        &self,
        m: &mut Mutation,
        req: &TransitionModelVersionRequest,
        version: &ModelVersion,
        (to, unapproved): (State, &[String]),
    ) -> Result<Option<Mandate>> {
        let from = inventory::lifecycle(version.state())
            .ok_or_else(|| Error::internal(format!("{} is in no state", version.name)))?;
        let terms: Option<&ApprovalTerms> = req.terms.as_ref();
        let counts = version.evaluations.iter().filter(|evaluation| evaluation.passed && !evaluation.self_reported);
        let all = |those: &[String], among: &[String]| those.iter().all(|one| among.contains(one));
        let narrows = from.may_run()
            && all(&req.purposes, &version.purposes)
            && all(&version.conditions, &req.conditions)
            && req.terms == version.terms;
        let last = match (from, to) {
            (State::Suspended, State::Restricted) => models::last_purposes(m, &req.name).await?,
            _ => version.purposes.clone(),
        };
        let asked = Move {
            narrows,
            widens: !all(&req.purposes, &last),
            unattributed: inventory::unattributed(version),
            version: &req.name,
            from,
            to,
            caller: m.actor().kind,
            reason: &req.reason,
            purposes: req.purposes.len(),
            conditions: req.conditions.len(),
            terms: terms.is_some(),
            content_pinned: !req.content_digest.is_empty(),
            ever_approved: to == State::Retired && models::ever_approved(m, &req.name).await?,
            passed_evaluations: counts.count(),
            prohibited: version.ai_act_class() == AiActClass::Prohibited,
            unapproved_artifacts: unapproved,
            unmet_artifacts: &inventory::unmet(version, terms),
        };
        asked.check_asked()?;
        if let Some(terms) = terms {
            inventory::check_terms(terms, m.now())?;
        }
        let shown = asked.needs_mandate() || !req.mandate.is_empty();
        let mandate = if shown { Some(self.mandates.redeem(m, asked.act(), req).await?) } else { None };
        if let Some(mandate) = &mandate
            && !matches!(from, State::Proposed | State::Evaluating)
        {
            mandate.check_newer(&req.name, version.state_time.as_ref().map(time::of).unwrap_or_default())?;
        }
        asked.check_evidence()?;
        check_content(&req.name, &req.content_digest, &version.content_digest)?;
        Ok(mandate)
    }

    /// Lists the state changes of a version, or of all.
    pub(crate) async fn list_model_version_transitions(
        &self,
        cx: &Cx,
        req: ListModelVersionTransitionsRequest,
    ) -> Result<ListModelVersionTransitionsResponse> {
        let mut page = cx.page(&req);
        if page.parent == ALL_VERSIONS {
            page.parent = "";
        } else {
            ModelVersionName::parse(&req.parent, "parent")?;
            ModelVersions::get(&mut self.db.read().await?, &cx.tenant, &req.parent).await?;
        }
        let (transitions, next_page_token) = models::transitions(&self.db, &cx.tenant, page).await?;
        Ok(ListModelVersionTransitionsResponse { transitions, next_page_token })
    }
}
