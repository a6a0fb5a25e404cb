//! Artifacts and their labels.

use super::aliases::{Change, check_expected};
use super::{Registry, digest, exists, record};
use crate::convert::{check_etag, id_field, mask, present, required, stamp};
use crate::store::aliases::{self, Owner};
use crate::store::artifacts::{self, ArtifactRow, state_word};
use remit_api::registry::v1::{
    Artifact, ArtifactKind, ArtifactVersionState, CreateArtifactRequest, GetArtifactRequest,
    ListArtifactLabelHistoryRequest, ListArtifactLabelHistoryResponse, ListArtifactsRequest, ListArtifactsResponse,
    SetArtifactLabelRequest, UpdateArtifactRequest,
};
use remit_core::{ActorKind, Error, Result, name};
use remit_runtime::{Cx, Started};
use remit_store::filter;

fn render(row: ArtifactRow) -> Artifact {
    let name = format!("artifacts/{}", row.id);
    Artifact {
        labels: row.labels.into_iter().map(|(label, version)| (label, format!("{name}/versions/{version}"))).collect(),
        etag: row.stored.revision.to_string(),
        create_time: Some(stamp(row.stored.created_at)),
        update_time: Some(stamp(row.stored.updated_at)),
        name,
        ..row.stored.body
    }
}

fn kept(artifact: &Artifact) -> Artifact {
    Artifact {
        kind: artifact.kind,
        display_name: artifact.display_name.clone(),
        description: artifact.description.clone(),
        owner: artifact.owner.clone(),
        ..Default::default()
    }
}

fn check(artifact: &Artifact) -> Result<()> {
    required(&artifact.display_name, "artifact.display_name")?;
    required(&artifact.owner, "artifact.owner")
}

pub(crate) fn id<'a>(name: &'a str, field: &str) -> Result<&'a str> {
    let [id] = name::ids::<1>(name, "artifacts/*", field)?;
    Ok(id)
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::not_found("ARTIFACT_NOT_FOUND", name)
}

/// A service acts for a proposal and names it; a person acts in person.
///
/// # Errors
/// `FailedPrecondition` (`PROPOSAL_REQUIRED`).
pub(crate) fn check_proposal(cx: &Cx, proposal: &str, what: &str) -> Result<()> {
    if cx.actor.kind == ActorKind::Service && proposal.is_empty() {
        return Err(Error::precondition(
            "PROPOSAL_REQUIRED",
            format!("{what} by a service needs the name of the approved proposal"),
        ));
    }
    Ok(())
}

impl Registry {
    /// Registers an artifact.
    pub async fn create_artifact(&self, cx: &Cx, req: CreateArtifactRequest) -> Result<Artifact> {
        id_field(&req.artifact_id, "artifact_id")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let artifact = kept(&present(req.artifact, "artifact")?);
        check(&artifact)?;
        if artifact.kind() == ArtifactKind::Unspecified {
            return Err(Error::invalid("FIELD_REQUIRED", "artifact.kind", "is required"));
        }
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let name = format!("artifacts/{}", req.artifact_id);
        if !artifacts::insert(m.tx(), &cx.tenant, &req.artifact_id, &artifact, call.now).await? {
            return Err(exists("ARTIFACT_EXISTS", &name));
        }
        record(&mut m, &name, |event| {
            event.after_digest = digest(&artifact);
            event.details = serde_json::json!({"kind": artifact.kind().as_str_name(), "owner": artifact.owner});
        });
        let row = artifacts::find(m.tx(), &cx.tenant, &req.artifact_id).await?.ok_or_else(|| not_found(&name))?;
        remit_runtime::finish(m, render(row)).await
    }

    /// Returns an artifact.
    pub async fn get_artifact(&self, cx: &Cx, req: GetArtifactRequest) -> Result<Artifact> {
        let id = id(&req.name, "name")?;
        let row = artifacts::find(&mut self.db.read().await?, &cx.tenant, id).await?;
        row.map(render).ok_or_else(|| not_found(&req.name))
    }

    /// Lists artifacts.
    pub async fn list_artifacts(&self, cx: &Cx, req: ListArtifactsRequest) -> Result<ListArtifactsResponse> {
        let fragment = filter::parse(&req.filter, artifacts::FIELDS)?;
        let pager = self.pager(cx, &[&req.filter], req.page_size, &req.page_token)?;
        let rows = artifacts::list(&mut self.db.read().await?, &cx.tenant, &fragment, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, artifacts::key);
        Ok(ListArtifactsResponse { artifacts: rows.into_iter().map(render).collect(), next_page_token })
    }

    /// Changes an artifact.
    pub async fn update_artifact(&self, cx: &Cx, req: UpdateArtifactRequest) -> Result<Artifact> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let paths = mask(req.update_mask.as_ref(), &["display_name", "description", "owner"], &["kind"])?;
        let wanted = present(req.artifact.clone(), "artifact")?;
        let id = id(&wanted.name, "artifact.name")?;
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let found = artifacts::claim(m.tx(), &cx.tenant, id, call.now).await?.ok_or_else(|| not_found(&wanted.name))?;
        check_etag(&wanted.etag, found.revision - 1, &wanted.name)?;
        let before = digest(&found.body);
        let mut artifact = found.body;
        for path in &paths {
            match *path {
                "display_name" => artifact.display_name.clone_from(&wanted.display_name),
                "description" => artifact.description.clone_from(&wanted.description),
                _ => artifact.owner.clone_from(&wanted.owner),
            }
        }
        check(&artifact)?;
        artifacts::save(m.tx(), &cx.tenant, id, &artifact).await?;
        record(&mut m, &wanted.name, |event| {
            event.before_digest = before;
            event.after_digest = digest(&artifact);
            event.details = serde_json::json!({"fields": paths});
        });
        let row = artifacts::find(m.tx(), &cx.tenant, id).await?.ok_or_else(|| not_found(&wanted.name))?;
        remit_runtime::finish(m, render(row)).await
    }

    /// Points a label at a version.
    pub async fn set_artifact_label(&self, cx: &Cx, req: SetArtifactLabelRequest) -> Result<Artifact> {
        let artifact = id(&req.artifact, "artifact")?;
        id_field(&req.label, "label")?;
        let [of, version] = name::ids::<2>(&req.version, "artifacts/*/versions/*", "version")?;
        if of != artifact {
            return Err(Error::invalid("NAME_INVALID", "version", format!("must be a version of {}", req.artifact)));
        }
        check_proposal(cx, &req.proposal, "a label that is moved")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        artifacts::claim(m.tx(), &cx.tenant, artifact, call.now).await?.ok_or_else(|| not_found(&req.artifact))?;
        let owner = Owner { collection: "artifacts", id: artifact };
        let left = aliases::find(m.tx(), &cx.tenant, owner, &req.label).await?.version;
        let left = left.as_deref().map(|id| owner.version(id)).unwrap_or_default();
        check_expected("LABEL_MOVED", &req.label, &req.expected_version, &left)?;
        let row = artifacts::find_version(m.tx(), &cx.tenant, artifact, version).await?;
        let row = row.ok_or_else(|| super::artifact_versions::not_found(&req.version))?;
        if row.state != ArtifactVersionState::Approved {
            return Err(Error::precondition(
                "ARTIFACT_NOT_APPROVED",
                format!("{} is {}; a label moves only to an APPROVED version", req.version, state_word(row.state)),
            ));
        }
        let change =
            Change { owner, alias: &req.label, version: Some(version), proposal: &req.proposal, reason: &req.reason };
        let change = change.make(&mut m).await?;
        record(&mut m, &req.artifact, |event| {
            event.reason.clone_from(&req.reason);
            event.details = serde_json::json!({
                "label": change.alias, "from": change.from_version, "to": change.to_version, "proposal": req.proposal,
            });
        });
        let row = artifacts::find(m.tx(), &cx.tenant, artifact).await?.ok_or_else(|| not_found(&req.artifact))?;
        remit_runtime::finish(m, render(row)).await
    }

    /// Lists what an artifact's labels have pointed at.
    pub async fn list_artifact_label_history(
        &self,
        cx: &Cx,
        req: ListArtifactLabelHistoryRequest,
    ) -> Result<ListArtifactLabelHistoryResponse> {
        let artifact = id(&req.parent, "parent")?;
        let pager = self.pager(cx, &[&req.parent, &req.label], req.page_size, &req.page_token)?;
        let mut tx = self.db.snapshot().await?;
        artifacts::find(&mut tx, &cx.tenant, artifact).await?.ok_or_else(|| not_found(&req.parent))?;
        let owner = Owner { collection: "artifacts", id: artifact };
        let rows = aliases::history(&mut tx, &cx.tenant, owner, &req.label, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, aliases::key);
        let changes = rows.into_iter().map(|(_, change)| change).collect();
        Ok(ListArtifactLabelHistoryResponse { changes, next_page_token })
    }
}
