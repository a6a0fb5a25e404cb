//! Artifacts, their labels, and their versions.

use super::aliases::{Why, check_expected, check_owner, list, point};
use super::{Service, check_content, check_move, first_number, transitions};
use crate::fields;
use crate::store::artifacts::{self, ArtifactVersions, Artifacts};
use crate::store::{aliases, next_number};
use remit_api::registry::v1::{
    ApproveArtifactVersionRequest, Artifact, ArtifactKind, ArtifactVersion, ArtifactVersionState,
    CreateArtifactRequest, CreateArtifactVersionRequest, GetArtifactRequest, GetArtifactVersionRequest,
    ListArtifactLabelHistoryRequest, ListArtifactLabelHistoryResponse, ListArtifactVersionsRequest,
    ListArtifactVersionsResponse, ListArtifactsRequest, ListArtifactsResponse, SetArtifactLabelRequest,
    UpdateArtifactRequest, WithdrawArtifactVersionRequest, WithdrawArtifactVersionResponse,
};
use remit_api::wire::{self, Word as _, actor, required, required_text, time};
use remit_core::details::{
    ArtifactCreated, ArtifactLabelMoved, ArtifactVersionApproved, ArtifactVersionCreated, ArtifactVersionWithdrawn,
    Details as _, RegistryUpdated,
};
use remit_core::name::{self, ArtifactLabelName, ArtifactName, ArtifactVersionName};
use remit_core::{Error, Result, digest, etag};
use remit_runtime::Cx;
use remit_store::Records as _;
use std::collections::BTreeMap;

fn check(artifact: &Artifact) -> Result<()> {
    required_text(&artifact.display_name, "artifact.display_name")?;
    required_text(&artifact.owner, "artifact.owner")
}

/// The states that may follow.
fn next(state: ArtifactVersionState) -> &'static [ArtifactVersionState] {
    match state {
        ArtifactVersionState::Draft => &[ArtifactVersionState::Approved, ArtifactVersionState::Withdrawn],
        ArtifactVersionState::Approved => &[ArtifactVersionState::Withdrawn],
        ArtifactVersionState::Withdrawn | ArtifactVersionState::Unspecified => &[],
    }
}

/// The digest of the content, computed or checked; the content has to be here or somewhere.
fn content_digest(version: &ArtifactVersion) -> Result<String> {
    const FIELD: &str = "artifact_version.content_digest";
    fields::optional_digest(&version.content_digest, FIELD)?;
    if version.content.is_empty() {
        if version.content_uri.is_empty() {
            return Err(Error::invalid(
                "CONTENT_REQUIRED",
                "artifact_version.content",
                "is required, or content_uri with content_digest",
            ));
        }
        fields::digest(&version.content_digest, FIELD)?;
        return Ok(version.content_digest.clone());
    }
    let found = digest::sha256(&version.content);
    if !version.content_digest.is_empty() && version.content_digest != found {
        return Err(Error::invalid("DIGEST_MISMATCH", FIELD, format!("does not fit the content, which has {found}")));
    }
    Ok(found)
}

impl Service {
    /// Registers an artifact.
    pub(crate) async fn create_artifact(&self, cx: &Cx, req: CreateArtifactRequest) -> Result<Artifact> {
        let name = ArtifactName::new(name::id(&req.artifact_id, "artifact_id")?).to_string();
        let given = required(req.artifact.clone(), "artifact")?;
        check(&given)?;
        if given.kind() == ArtifactKind::Unspecified {
            return Err(Error::invalid("FIELD_REQUIRED", "artifact.kind", "is required"));
        }
        self.db
            .mutate(&cx.call(&req), async |m| {
                let now = Some(time::stamp(m.now()));
                let owner_confirmed_time = fields::confirmed(m, &given.owner, ("", None));
                let labels = BTreeMap::new();
                let times = Artifact { create_time: now, update_time: now, owner_confirmed_time, ..given };
                let mut artifact = Artifact { name, labels, ..times };
                Artifacts::insert(m, &mut artifact).await?;
                m.record(&artifact.name, |event| {
                    let (kind, owner) = (artifact.kind().word().to_owned(), artifact.owner.clone());
                    event.after_digest = wire::digest(&artifact);
                    event.details = ArtifactCreated { kind, owner }.json();
                });
                Ok(artifact)
            })
            .await
    }

    /// Returns an artifact.
    pub(crate) async fn get_artifact(&self, cx: &Cx, req: GetArtifactRequest) -> Result<Artifact> {
        ArtifactName::parse(&req.name, "name")?;
        Artifacts::get(&mut self.db.read().await?, &cx.tenant, &req.name).await
    }

    /// Lists artifacts.
    pub(crate) async fn list_artifacts(&self, cx: &Cx, req: ListArtifactsRequest) -> Result<ListArtifactsResponse> {
        let (artifacts, next_page_token) = Artifacts::list(&self.db, &cx.tenant, cx.page(&req)).await?;
        Ok(ListArtifactsResponse { artifacts, next_page_token })
    }

    /// Changes an artifact.
    pub(crate) async fn update_artifact(&self, cx: &Cx, req: UpdateArtifactRequest) -> Result<Artifact> {
        let given = required(req.artifact.as_ref(), "artifact")?;
        ArtifactName::parse(&given.name, "artifact.name")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let before = Artifacts::claim(m, &given.name).await?;
                etag::check(&given.etag, &before.etag, &before.name)?;
                let updated = fields::updated(m, &before, given, req.update_mask.as_ref())?;
                let Some(mut artifact) = updated else { return Ok(before) };
                check(&artifact)?;
                artifact.update_time = Some(time::stamp(m.now()));
                Artifacts::save(m, &mut artifact).await?;
                m.record(&artifact.name, |event| {
                    event.before_digest = wire::digest(&before);
                    event.after_digest = wire::digest(&artifact);
                    event.details = RegistryUpdated { fields: fields::paths(req.update_mask.as_ref()) }.json();
                });
                Ok(artifact)
            })
            .await
    }

    /// Points a label at a version.
    pub(crate) async fn set_artifact_label(&self, cx: &Cx, req: SetArtifactLabelRequest) -> Result<Artifact> {
        ArtifactName::parse(&req.artifact, "artifact")?;
        name::id(&req.label, "label")?;
        ArtifactVersionName::parse(&req.version, "version")?;
        check_owner(&req.version, &req.artifact, "version")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let mut artifact = Artifacts::claim(m, &req.artifact).await?;
                let left = artifact.labels.get(&req.label).cloned().unwrap_or_default();
                check_expected("LABEL_MOVED", &req.label, &req.expected_version, &left)?;
                let left = Some(left).filter(|left| !left.is_empty() && *left != req.version);
                // Versions in the order of their names, as a model version that runs with both locks them.
                let earlier = left.as_ref().filter(|left| **left < req.version);
                let mut leaving = match earlier {
                    Some(name) => Some(ArtifactVersions::claim(m, name).await?),
                    None => None,
                };
                let mut version = ArtifactVersions::claim(m, &req.version).await?;
                if let (Some(name), None) = (&left, &leaving) {
                    leaving = Some(ArtifactVersions::claim(m, name).await?);
                }
                if version.state() != ArtifactVersionState::Approved {
                    let state = version.state().word();
                    let message = format!("{} is {state}; a label moves only to an APPROVED version", req.version);
                    return Err(Error::precondition("ARTIFACT_NOT_APPROVED", message));
                }
                let now = Some(time::stamp(m.now()));
                if let Some(mut version) = leaving {
                    list(&mut version.labels, &req.label, false);
                    version.update_time = now;
                    ArtifactVersions::save(m, &mut version).await?;
                }
                list(&mut version.labels, &req.label, true);
                version.update_time = now;
                ArtifactVersions::save(m, &mut version).await?;
                let why = Why { proposal: "", mandate: "", reason: &req.reason };
                let change = point(m, &req.artifact, &mut artifact.labels, (&req.label, &req.version), why).await?;
                artifact.update_time = now;
                Artifacts::save(m, &mut artifact).await?;
                m.record(&req.artifact, |event| {
                    event.reason.clone_from(&req.reason);
                    event.details =
                        ArtifactLabelMoved { label: change.alias, from: change.from_version, to: change.to_version }
                            .json();
                });
                Ok(artifact)
            })
            .await
    }

    /// Lists what an artifact's labels have pointed at.
    pub(crate) async fn list_artifact_label_history(
        &self,
        cx: &Cx,
        req: ListArtifactLabelHistoryRequest,
    ) -> Result<ListArtifactLabelHistoryResponse> {
        ArtifactName::parse(&req.parent, "parent")?;
        Artifacts::get(&mut self.db.read().await?, &cx.tenant, &req.parent).await?;
        let (changes, next_page_token) = aliases::history(&self.db, &cx.tenant, cx.page(&req), &req.label).await?;
        Ok(ListArtifactLabelHistoryResponse { changes, next_page_token })
    }

    /// Adds a version.
    pub(crate) async fn create_artifact_version(
        &self,
        cx: &Cx,
        req: CreateArtifactVersionRequest,
    ) -> Result<ArtifactVersion> {
        let artifact = ArtifactName::parse(&req.parent, "parent")?.artifact;
        let at_least = first_number(&req.artifact_version_id, "artifact_version_id")?;
        let given = required(req.artifact_version.clone(), "artifact_version")?;
        let content_digest = content_digest(&given)?;
        if !given.base_version.is_empty() {
            ArtifactVersionName::parse(&given.base_version, "artifact_version.base_version")?;
            check_owner(&given.base_version, &req.parent, "artifact_version.base_version")?;
        }
        self.db
            .mutate(&cx.call(&req), async |m| {
                let (number, owner) = next_number::<Artifacts>(m, &req.parent, at_least).await?;
                if !given.base_version.is_empty() {
                    ArtifactVersions::get(m.tx(), &cx.tenant, &given.base_version).await?;
                }
                let id = Some(&req.artifact_version_id).filter(|id| !id.is_empty());
                let id = id.cloned().unwrap_or_else(|| number.to_string());
                let now = Some(time::stamp(m.now()));
                let mut version = ArtifactVersion {
                    name: ArtifactVersionName::new(artifact, id).to_string(),
                    kind: owner.kind,
                    content: given.content,
                    content_uri: given.content_uri,
                    content_digest,
                    media_type: given.media_type,
                    change_note: given.change_note,
                    base_version: given.base_version,
                    state: ArtifactVersionState::Draft.into(),
                    creator: Some(actor(&cx.actor)),
                    create_time: now,
                    update_time: now,
                    ..Default::default()
                };
                ArtifactVersions::insert(m, &mut version).await?;
                m.record(&version.name, |event| {
                    event.after_digest.clone_from(&version.content_digest);
                    event.details = ArtifactVersionCreated {
                        kind: version.kind().word().to_owned(),
                        base_version: version.base_version.clone(),
                        change_note: version.change_note.clone(),
                    }
                    .json();
                });
                Ok(version)
            })
            .await
    }

    /// Returns a version with its content.
    pub(crate) async fn get_artifact_version(
        &self,
        cx: &Cx,
        req: GetArtifactVersionRequest,
    ) -> Result<ArtifactVersion> {
        if let Ok(of) = ArtifactLabelName::parse(&req.name, "name") {
            let artifact = ArtifactName::new(of.artifact).to_string();
            let found = artifacts::labelled(&mut self.db.read().await?, &cx.tenant, &artifact, &of.label).await?;
            return found.ok_or_else(|| Error::not_found("LABEL_NOT_FOUND", &req.name));
        }
        ArtifactVersionName::parse(&req.name, "name")?;
        let found = artifacts::version(&mut self.db.read().await?, &cx.tenant, &req.name).await?;
        found.ok_or_else(|| Error::not_found(ArtifactVersions::NOT_FOUND, &req.name))
    }

    /// Lists versions without their content.
    pub(crate) async fn list_artifact_versions(
        &self,
        cx: &Cx,
        req: ListArtifactVersionsRequest,
    ) -> Result<ListArtifactVersionsResponse> {
        let page = cx.page(&req);
        let (artifact_versions, next_page_token) =
            ArtifactVersions::list_in::<Artifacts>(&self.db, &cx.tenant, page, ArtifactName::PATTERN).await?;
        Ok(ListArtifactVersionsResponse { artifact_versions, next_page_token })
    }

    /// Approves a version.
    pub(crate) async fn approve_artifact_version(
        &self,
        cx: &Cx,
        req: ApproveArtifactVersionRequest,
    ) -> Result<ArtifactVersion> {
        ArtifactVersionName::parse(&req.name, "name")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let mut version = ArtifactVersions::claim(m, &req.name).await?;
                let mandate = self.mandates.redeem(m, "approve_artifact", &req).await?;
                let (from, to) = (version.state(), ArtifactVersionState::Approved);
                check_move(&req.name, from, to, next(from))?;
                check_content(&req.name, &req.content_digest, &version.content_digest)?;
                let now = Some(time::stamp(m.now()));
                version.state = to.into();
                version.state_reason.clone_from(&req.reason);
                version.proposal.clone_from(&mandate.sub);
                version.mandate.clone_from(&req.mandate);
                version.approver = Some(actor(&cx.actor));
                version.approve_time = now;
                version.update_time = now;
                ArtifactVersions::save(m, &mut version).await?;
                m.record(&req.name, |event| {
                    let (from, to) = (from.word().to_owned(), to.word().to_owned());
                    event.reason.clone_from(&req.reason);
                    event.after_digest.clone_from(&version.content_digest);
                    event.details = ArtifactVersionApproved { from, to, proposal: mandate.sub }.json();
                });
                Ok(version)
            })
            .await
    }

    /// Withdraws a version.
    pub(crate) async fn withdraw_artifact_version(
        &self,
        cx: &Cx,
        req: WithdrawArtifactVersionRequest,
    ) -> Result<WithdrawArtifactVersionResponse> {
        ArtifactVersionName::parse(&req.name, "name")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                // The artifact first, as whoever moves its labels does; then its version, then the model versions that
                // run with it, as whoever approves one of these does.
                let owner = name::parent(&req.name);
                let artifact = Artifacts::try_claim(m, owner).await?;
                let mut version = ArtifactVersions::claim(m, &req.name).await?;
                let (from, to) = (version.state(), ArtifactVersionState::Withdrawn);
                check_move(&req.name, from, to, next(from))?;
                let now = Some(time::stamp(m.now()));
                let cleared_labels = std::mem::take(&mut version.labels);
                if let Some(mut artifact) = artifact.filter(|_| !cleared_labels.is_empty()) {
                    let why = Why { proposal: "", mandate: "", reason: "the version is withdrawn" };
                    for label in &cleared_labels {
                        point(m, owner, &mut artifact.labels, (label, ""), why).await?;
                    }
                    artifact.update_time = now;
                    Artifacts::save(m, &mut artifact).await?;
                }
                version.state = to.into();
                version.state_reason.clone_from(&req.reason);
                version.update_time = now;
                ArtifactVersions::save(m, &mut version).await?;
                let affected = transitions::suspend_dependents(m, &req.name, &req.reason).await?;
                m.record(&req.name, |event| {
                    event.reason.clone_from(&req.reason);
                    event.details = ArtifactVersionWithdrawn {
                        from: from.word().to_owned(),
                        to: to.word().to_owned(),
                        cleared_labels,
                        affected_model_versions: u64::try_from(affected.count).unwrap_or_default(),
                    }
                    .json();
                });
                Ok(WithdrawArtifactVersionResponse {
                    artifact_version: Some(version),
                    affected_model_versions: affected.first,
                    affected_count: affected.count,
                })
            })
            .await
    }
}
