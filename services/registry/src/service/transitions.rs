//! The lifecycle of a model version.

use super::aliases::Change;
use super::versions::{ids, not_found, publish, state_message};
use super::{Registry, record};
use crate::convert::{actor, check_etag, stamp};
use crate::store::aliases::Owner;
use crate::store::versions::{self, VersionRow};
use crate::store::{artifacts, models};
use remit_api::registry::v1::{
    AiActClass, ArtifactVersionState, ListModelVersionTransitionsRequest, ListModelVersionTransitionsResponse,
    ModelVersion, ModelVersionState, ModelVersionTransition, TransitionModelVersionRequest,
};
use remit_core::lifecycle::{Move, State};
use remit_core::{Error, Result, name};
use remit_runtime::{Cx, Started};
use remit_store::{Mutation, Value};

fn state(message: ModelVersionState) -> Result<State> {
    match message {
        ModelVersionState::Proposed => Ok(State::Proposed),
        ModelVersionState::Evaluating => Ok(State::Evaluating),
        ModelVersionState::Approved => Ok(State::Approved),
        ModelVersionState::Restricted => Ok(State::Restricted),
        ModelVersionState::Suspended => Ok(State::Suspended),
        ModelVersionState::Retired => Ok(State::Retired),
        ModelVersionState::Unspecified => Err(Error::invalid("FIELD_REQUIRED", "state", "is required")),
    }
}

/// The artifact versions of a model version that are not approved, read in the same transaction.
async fn unapproved(m: &mut Mutation, row: &VersionRow) -> Result<Vec<String>> {
    let tenant = m.tenant().clone();
    let mut lacking = Vec::new();
    for artifact in &row.stored.body.artifacts {
        let [artifact_id, version_id] = name::ids::<2>(artifact, "artifacts/*/versions/*", "artifacts")?;
        let found = artifacts::find_version(m.tx(), &tenant, artifact_id, version_id).await?;
        if found.is_none_or(|found| found.state != ArtifactVersionState::Approved) {
            lacking.push(artifact.clone());
        }
    }
    Ok(lacking)
}

fn check(
    cx: &Cx,
    req: &TransitionModelVersionRequest,
    row: &VersionRow,
    to: State,
    unapproved: &[String],
) -> Result<()> {
    let version = &row.stored.body;
    Move {
        version: &req.name,
        from: row.state,
        to,
        caller: cx.actor.kind,
        proposal: &req.proposal,
        reason: &req.reason,
        purposes: req.purposes.len(),
        conditions: req.conditions.len(),
        ever_approved: row.ever_approved,
        passed_evaluations: version.evaluations.iter().filter(|evaluation| evaluation.passed).count(),
        prohibited: version.ai_act_class() == AiActClass::Prohibited,
        unapproved_artifacts: unapproved,
    }
    .check()?;
    if !req.content_digest.is_empty() && req.content_digest != version.content_digest {
        return Err(Error::precondition(
            "CONTENT_CHANGED",
            format!(
                "{} has content {}, the proposal was about {}",
                req.name, version.content_digest, req.content_digest
            ),
        ));
    }
    Ok(())
}

impl Registry {
    /// Moves a version to another state.
    pub async fn transition_model_version(&self, cx: &Cx, req: TransitionModelVersionRequest) -> Result<ModelVersion> {
        let (model, id) = ids(&req.name, "name")?;
        let to = state(req.state())?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        // The model first, as whoever moves its aliases does: no alias can move to a version whose
        // suspension is under way.
        models::lock(m.tx(), &cx.tenant, model).await?;
        let mut row =
            versions::claim(m.tx(), &cx.tenant, model, id, call.now).await?.ok_or_else(|| not_found(&req.name))?;
        check_etag(&req.etag, row.stored.revision - 1, &req.name)?;
        let lacking = unapproved(&mut m, &row).await?;
        check(cx, &req, &row, to, &lacking)?;

        let from = row.state;
        row.state = to;
        row.ever_approved |= to == State::Approved;
        row.transitions += 1;
        let version = &mut row.stored.body;
        version.purposes.clone_from(&req.purposes);
        version.conditions.clone_from(&req.conditions);
        version.proposal.clone_from(&req.proposal);
        version.state_reason.clone_from(&req.reason);
        version.state_time = Some(stamp(call.now));
        versions::save(m.tx(), &cx.tenant, &row).await?;
        let change = ModelVersionTransition {
            version: req.name.clone(),
            sequence: row.transitions,
            from_state: state_message(from).into(),
            to_state: state_message(to).into(),
            purposes: req.purposes.clone(),
            conditions: req.conditions.clone(),
            proposal: req.proposal.clone(),
            reason: req.reason.clone(),
            actor: Some(actor(&cx.actor)),
            record_time: Some(stamp(call.now)),
        };
        versions::insert_transition(m.tx(), &cx.tenant, &row, &change).await?;
        let cleared = if to == State::Retired { self.clear_aliases(&mut m, &row, &req).await? } else { Vec::new() };
        record(&mut m, &req.name, |event| {
            event.model_version.clone_from(&req.name);
            event.reason.clone_from(&req.reason);
            event.after_digest = super::digest(&change);
            event.details = serde_json::json!({
                "from": from.as_str(), "to": to.as_str(), "purposes": req.purposes, "conditions": req.conditions,
                "proposal": req.proposal, "cleared_aliases": cleared,
            });
        });
        let answer = publish(&mut m, model, id).await?;
        remit_runtime::finish(m, answer).await
    }

    async fn clear_aliases(
        &self,
        m: &mut Mutation,
        row: &VersionRow,
        req: &TransitionModelVersionRequest,
    ) -> Result<Vec<String>> {
        if row.aliases.is_empty() {
            return Ok(Vec::new());
        }
        let (tenant, now) = (m.tenant().clone(), m.now());
        models::claim(m.tx(), &tenant, &row.model, now).await?;
        let owner = Owner { collection: "models", id: &row.model };
        for alias in &row.aliases {
            Change { owner, alias, version: None, proposal: &req.proposal, reason: "the version is retired" }
                .make(m)
                .await?;
        }
        Ok(row.aliases.clone())
    }

    /// Lists the state changes of a version.
    pub async fn list_model_version_transitions(
        &self,
        cx: &Cx,
        req: ListModelVersionTransitionsRequest,
    ) -> Result<ListModelVersionTransitionsResponse> {
        let (model, id) = ids(&req.parent, "parent")?;
        let pager = self.pager(cx, &[&req.parent], req.page_size, &req.page_token)?;
        let mut tx = self.db.snapshot().await?;
        if versions::find(&mut tx, &cx.tenant, model, id).await?.is_none() {
            return Err(not_found(&req.parent));
        }
        let rows = versions::list_transitions(&mut tx, &cx.tenant, model, id, &pager.window).await?;
        let (transitions, next_page_token) = pager.cut(rows, |change| vec![Value::from(change.sequence)]);
        Ok(ListModelVersionTransitionsResponse { transitions, next_page_token })
    }
}
