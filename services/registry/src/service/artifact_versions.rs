//! Versions of artifacts and their approval.

use super::aliases::Change;
use super::artifacts::{check_proposal, id as artifact_id, not_found as artifact_not_found};
use super::{Registry, exists, first_number, record};
use crate::convert::{actor, digest_field, optional_digest, present, stamp};
use crate::store::aliases::Owner;
use crate::store::artifacts::{self, ArtifactVersionRow, state_word};
use crate::store::versions;
use remit_api::registry::v1::{
    ApproveArtifactVersionRequest, ArtifactVersion, ArtifactVersionState, CreateArtifactVersionRequest,
    GetArtifactVersionRequest, ListArtifactVersionsRequest, ListArtifactVersionsResponse,
    WithdrawArtifactVersionRequest, WithdrawArtifactVersionResponse,
};
use remit_core::{Error, Result, digest, name};
use remit_runtime::{Cx, Started};
use remit_store::filter;

/// How many affected model versions a withdrawal names.
const MOST_AFFECTED: i64 = 1_000;

fn render(row: ArtifactVersionRow) -> ArtifactVersion {
    ArtifactVersion {
        name: row.name(),
        state: row.state.into(),
        labels: row.labels,
        etag: row.stored.revision.to_string(),
        create_time: Some(stamp(row.stored.created_at)),
        update_time: Some(stamp(row.stored.updated_at)),
        ..row.stored.body
    }
}

pub(crate) fn ids<'a>(name: &'a str, field: &str) -> Result<(&'a str, &'a str)> {
    let [artifact, version] = name::ids::<2>(name, "artifacts/*/versions/*", field)?;
    Ok((artifact, version))
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::not_found("ARTIFACT_VERSION_NOT_FOUND", name)
}

/// The digest of the content, computed or checked; the content has to be here or somewhere.
fn content_digest(version: &ArtifactVersion) -> Result<String> {
    const FIELD: &str = "artifact_version.content_digest";
    optional_digest(&version.content_digest, FIELD)?;
    if version.content.is_empty() {
        if version.content_uri.is_empty() {
            return Err(Error::invalid(
                "CONTENT_REQUIRED",
                "artifact_version.content",
                "is required, or content_uri with content_digest",
            ));
        }
        digest_field(&version.content_digest, FIELD)?;
        return Ok(version.content_digest.clone());
    }
    let found = digest::sha256(&version.content);
    if !version.content_digest.is_empty() && version.content_digest != found {
        return Err(Error::invalid("DIGEST_MISMATCH", FIELD, format!("does not fit the content, which has {found}")));
    }
    Ok(found)
}

fn refused(row: &ArtifactVersionRow, to: ArtifactVersionState, allowed: &str) -> Error {
    Error::precondition(
        "TRANSITION_NOT_ALLOWED",
        format!("{} is {}; {} cannot follow, allowed: {allowed}", row.name(), state_word(row.state), state_word(to)),
    )
}

impl Registry {
    /// Adds a version.
    pub async fn create_artifact_version(&self, cx: &Cx, req: CreateArtifactVersionRequest) -> Result<ArtifactVersion> {
        let artifact = artifact_id(&req.parent, "parent")?;
        let at_least = first_number(&req.artifact_version_id)?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let wanted = present(req.artifact_version.clone(), "artifact_version")?;
        let content_digest = content_digest(&wanted)?;
        let base = match wanted.base_version.as_str() {
            "" => None,
            name => Some(ids(name, "artifact_version.base_version")?),
        };
        if base.is_some_and(|(of, _)| of != artifact) {
            return Err(Error::invalid(
                "NAME_INVALID",
                "artifact_version.base_version",
                format!("must be a version of {}", req.parent),
            ));
        }
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let (number, owner) = artifacts::next_number(m.tx(), &cx.tenant, artifact, at_least)
            .await?
            .ok_or_else(|| artifact_not_found(&req.parent))?;
        if let Some((_, base)) = base {
            let found = artifacts::find_version(m.tx(), &cx.tenant, artifact, base).await?;
            found.ok_or_else(|| not_found(&wanted.base_version))?;
        }
        let id = if req.artifact_version_id.is_empty() { number.to_string() } else { req.artifact_version_id.clone() };
        let name = format!("artifacts/{artifact}/versions/{id}");
        let version = ArtifactVersion {
            kind: owner.kind,
            content_uri: wanted.content_uri,
            content_digest,
            media_type: wanted.media_type,
            change_note: wanted.change_note,
            base_version: wanted.base_version,
            creator: Some(actor(&cx.actor)),
            ..Default::default()
        };
        let content = (!wanted.content.is_empty()).then_some(wanted.content);
        let key = (artifact, id.as_str(), number);
        if !artifacts::insert_version(m.tx(), &cx.tenant, key, &version, content.clone(), call.now).await? {
            return Err(exists("ARTIFACT_VERSION_EXISTS", &name));
        }
        record(&mut m, &name, |event| {
            event.after_digest.clone_from(&version.content_digest);
            event.details = serde_json::json!({
                "kind": version.kind().as_str_name(), "base_version": version.base_version, "change_note": version.change_note,
            });
        });
        let row = artifacts::find_version(m.tx(), &cx.tenant, artifact, &id).await?.ok_or_else(|| not_found(&name))?;
        let answer = ArtifactVersion { content: content.unwrap_or_default(), ..render(row) };
        remit_runtime::finish(m, answer).await
    }

    /// Returns a version with its content.
    pub async fn get_artifact_version(&self, cx: &Cx, req: GetArtifactVersionRequest) -> Result<ArtifactVersion> {
        let mut tx = self.db.snapshot().await?;
        let row = if req.name.contains("/labels/") {
            let [artifact, label] = name::ids::<2>(&req.name, "artifacts/*/labels/*", "name")?;
            let row = artifacts::find_by_label(&mut tx, &cx.tenant, artifact, label).await?;
            row.ok_or_else(|| Error::not_found("LABEL_NOT_FOUND", &req.name))?
        } else {
            let (artifact, version) = ids(&req.name, "name")?;
            let row = artifacts::find_version(&mut tx, &cx.tenant, artifact, version).await?;
            row.ok_or_else(|| not_found(&req.name))?
        };
        let content = artifacts::content(&mut tx, &cx.tenant, &row).await?;
        Ok(ArtifactVersion { content, ..render(row) })
    }

    /// Lists versions without their content.
    pub async fn list_artifact_versions(
        &self,
        cx: &Cx,
        req: ListArtifactVersionsRequest,
    ) -> Result<ListArtifactVersionsResponse> {
        let artifact = if req.parent == "artifacts/-" { None } else { Some(artifact_id(&req.parent, "parent")?) };
        let fragment = filter::parse(&req.filter, artifacts::VERSION_FIELDS)?;
        let pager = self.pager(cx, &[&req.parent, &req.filter], req.page_size, &req.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = artifacts::list_versions(&mut tx, &cx.tenant, artifact, &fragment, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, artifacts::version_key);
        Ok(ListArtifactVersionsResponse { artifact_versions: rows.into_iter().map(render).collect(), next_page_token })
    }

    /// Approves a version.
    pub async fn approve_artifact_version(
        &self,
        cx: &Cx,
        req: ApproveArtifactVersionRequest,
    ) -> Result<ArtifactVersion> {
        let (artifact, id) = ids(&req.name, "name")?;
        check_proposal(cx, &req.proposal, "an approval")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        artifacts::lock(m.tx(), &cx.tenant, artifact).await?;
        let row = artifacts::claim_version(m.tx(), &cx.tenant, artifact, id, call.now).await?;
        let mut row = row.ok_or_else(|| not_found(&req.name))?;
        if row.state != ArtifactVersionState::Draft {
            let allowed = if row.state == ArtifactVersionState::Approved { "WITHDRAWN" } else { "nothing" };
            return Err(refused(&row, ArtifactVersionState::Approved, allowed));
        }
        let creator = row.stored.body.creator.as_ref().map(|creator| creator.subject.as_str());
        if cx.actor.is_human() && creator == Some(cx.actor.subject.as_str()) {
            return Err(Error::denied(
                "SELF_APPROVAL",
                format!("{} was written by {}, who cannot approve it", req.name, cx.actor.subject),
            ));
        }
        let found = row.stored.body.content_digest.clone();
        if !req.content_digest.is_empty() && req.content_digest != found {
            return Err(Error::precondition(
                "CONTENT_CHANGED",
                format!("{} has content {found}, not {}", req.name, req.content_digest),
            ));
        }
        row.state = ArtifactVersionState::Approved;
        row.stored.body.state_reason.clone_from(&req.reason);
        row.stored.body.proposal.clone_from(&req.proposal);
        row.stored.body.approver = Some(actor(&cx.actor));
        row.stored.body.approve_time = Some(stamp(call.now));
        artifacts::save_version(m.tx(), &cx.tenant, &row).await?;
        record(&mut m, &req.name, |event| {
            event.reason.clone_from(&req.reason);
            event.after_digest = found;
            event.details = serde_json::json!({"from": "DRAFT", "to": "APPROVED", "proposal": req.proposal});
        });
        let row =
            artifacts::find_version(m.tx(), &cx.tenant, artifact, id).await?.ok_or_else(|| not_found(&req.name))?;
        remit_runtime::finish(m, render(row)).await
    }

    /// Withdraws a version.
    pub async fn withdraw_artifact_version(
        &self,
        cx: &Cx,
        req: WithdrawArtifactVersionRequest,
    ) -> Result<WithdrawArtifactVersionResponse> {
        let (artifact, id) = ids(&req.name, "name")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        artifacts::lock(m.tx(), &cx.tenant, artifact).await?;
        let row = artifacts::claim_version(m.tx(), &cx.tenant, artifact, id, call.now).await?;
        let mut row = row.ok_or_else(|| not_found(&req.name))?;
        if row.state == ArtifactVersionState::Withdrawn {
            return Err(refused(&row, ArtifactVersionState::Withdrawn, "nothing"));
        }
        let from = state_word(row.state);
        row.state = ArtifactVersionState::Withdrawn;
        row.stored.body.state_reason.clone_from(&req.reason);
        artifacts::save_version(m.tx(), &cx.tenant, &row).await?;
        if !row.labels.is_empty() {
            artifacts::claim(m.tx(), &cx.tenant, artifact, call.now).await?;
        }
        let owner = Owner { collection: "artifacts", id: artifact };
        for label in &row.labels {
            let reason = "the version is withdrawn";
            Change { owner, alias: label, version: None, proposal: "", reason }.make(&mut m).await?;
        }
        let affected = versions::running_with(m.tx(), &cx.tenant, &req.name, MOST_AFFECTED).await?;
        record(&mut m, &req.name, |event| {
            event.reason.clone_from(&req.reason);
            event.details = serde_json::json!({
                "from": from, "to": "WITHDRAWN", "cleared_labels": row.labels, "affected_model_versions": affected.len(),
            });
        });
        let row =
            artifacts::find_version(m.tx(), &cx.tenant, artifact, id).await?.ok_or_else(|| not_found(&req.name))?;
        let answer =
            WithdrawArtifactVersionResponse { artifact_version: Some(render(row)), affected_model_versions: affected };
        remit_runtime::finish(m, answer).await
    }
}
