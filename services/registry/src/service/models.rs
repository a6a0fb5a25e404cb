//! Models, their aliases, their versions, and what is known of these.

use super::aliases::{Why, check_expected, check_owner, list, point};
use super::{Service, first_number};
use crate::store::artifacts::ArtifactVersions;
use crate::store::models::{self, ModelVersions, Models};
use crate::store::{aliases, named, next_number};
use crate::{fields, inventory};
use futures::{Stream, StreamExt as _};
use remit_api::registry::v1::{
    AddEvaluationRequest, CreateModelRequest, CreateModelVersionRequest, GetModelRequest, GetModelVersionRequest,
    ListAliasHistoryRequest, ListAliasHistoryResponse, ListModelVersionsRequest, ListModelVersionsResponse,
    ListModelsRequest, ListModelsResponse, Model, ModelState, ModelVersion, ModelVersionState, SetModelAliasRequest,
    UpdateModelRequest, UpdateModelVersionRequest, WatchModelStatesRequest, WatchModelStatesResponse,
};
use remit_api::wire::{self, Word as _, actor, decode, required, required_text, time};
use remit_core::details::{
    AliasMoved, Details as _, ModelAliasesMoved, ModelCreated, ModelVersionCreated, ModelVersionEvaluated,
    RegistryUpdated,
};
use remit_core::name::{self, ModelAliasName, ModelName, ModelVersionName};
use remit_core::{Error, Kind, Result, etag};
use remit_runtime::Cx;
use remit_runtime::watch::{self, Watched};
use remit_store::{Mutation, Records as _};
use std::collections::{BTreeMap, BTreeSet};

/// The feed of model states.
const STATES_FEED: &str = "model-states";
/// How many evaluations a version can have.
const MOST_EVALUATIONS: usize = 100;

fn check(model: &Model) -> Result<()> {
    required_text(&model.display_name, "model.display_name")?;
    required_text(&model.owner, "model.owner")
}

/// Saves a version that has been changed and tells the watchers.
pub(super) async fn save(m: &mut Mutation, version: &mut ModelVersion) -> Result<()> {
    inventory::changed(version, time::stamp(m.now()));
    ModelVersions::save(m, version).await?;
    publish(m, version).await
}

async fn publish(m: &mut Mutation, version: &ModelVersion) -> Result<()> {
    m.change(STATES_FEED, &version.name, Some(inventory::state(version))).await
}

/// The moves that a request asks for: the alias, and where from and to. The swap is one more.
fn moves(model: &Model, req: &SetModelAliasRequest) -> Result<Vec<(String, String, String)>> {
    let pointed = |alias: &str| model.aliases.get(alias).cloned().unwrap_or_default();
    let left = pointed(&req.alias);
    check_expected("ALIAS_MOVED", &req.alias, &req.expected_version, &left)?;
    let mut moves = vec![(req.alias.clone(), left.clone(), req.version.clone())];
    if !req.swap_alias.is_empty() {
        if left.is_empty() || left == req.version {
            return Err(Error::precondition(
                "NOTHING_TO_SWAP",
                format!("{} leaves no other version for {}", req.alias, req.swap_alias),
            ));
        }
        moves.push((req.swap_alias.clone(), pointed(&req.swap_alias), left));
    }
    Ok(moves)
}

impl Service {
    /// Registers a model.
    pub(crate) async fn create_model(&self, cx: &Cx, req: CreateModelRequest) -> Result<Model> {
        let name = ModelName::new(name::id(&req.model_id, "model_id")?).to_string();
        let given = required(req.model.clone(), "model")?;
        check(&given)?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let now = Some(time::stamp(m.now()));
                let owner_confirmed_time = fields::confirmed(m, &given.owner, ("", None));
                let aliases = BTreeMap::new();
                let times = Model { create_time: now, update_time: now, owner_confirmed_time, ..given };
                let mut model = Model { name, aliases, ..times };
                Models::insert(m, &mut model).await?;
                m.record(&model.name, |event| {
                    event.after_digest = wire::digest(&model);
                    event.details = ModelCreated { owner: model.owner.clone(), external: model.external }.json();
                });
                Ok(model)
            })
            .await
    }

    /// Returns a model.
    pub(crate) async fn get_model(&self, cx: &Cx, req: GetModelRequest) -> Result<Model> {
        ModelName::parse(&req.name, "name")?;
        Models::get(&mut self.db.read().await?, &cx.tenant, &req.name).await
    }

    /// Lists models.
    pub(crate) async fn list_models(&self, cx: &Cx, req: ListModelsRequest) -> Result<ListModelsResponse> {
        let (models, next_page_token) = Models::list(&self.db, &cx.tenant, cx.page(&req)).await?;
        Ok(ListModelsResponse { models, next_page_token })
    }

    /// Changes a model.
    pub(crate) async fn update_model(&self, cx: &Cx, req: UpdateModelRequest) -> Result<Model> {
        let given = required(req.model.as_ref(), "model")?;
        ModelName::parse(&given.name, "model.name")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let before = Models::claim(m, &given.name).await?;
                etag::check(&given.etag, &before.etag, &before.name)?;
                let updated = fields::updated(m, &before, given, req.update_mask.as_ref())?;
                let Some(mut model) = updated else { return Ok(before) };
                check(&model)?;
                model.update_time = Some(time::stamp(m.now()));
                Models::save(m, &mut model).await?;
                m.record(&model.name, |event| {
                    event.before_digest = wire::digest(&before);
                    event.after_digest = wire::digest(&model);
                    event.details = RegistryUpdated { fields: fields::paths(req.update_mask.as_ref()) }.json();
                });
                Ok(model)
            })
            .await
    }

    /// Points an alias at a version.
    pub(crate) async fn set_model_alias(&self, cx: &Cx, req: SetModelAliasRequest) -> Result<Model> {
        ModelName::parse(&req.model, "model")?;
        name::id(&req.alias, "alias")?;
        if !req.swap_alias.is_empty() {
            name::id(&req.swap_alias, "swap_alias")?;
        }
        if req.swap_alias == req.alias {
            return Err(Error::invalid("FIELD_NOT_ALLOWED", "swap_alias", "must differ from alias"));
        }
        ModelVersionName::parse(&req.version, "version")?;
        check_owner(&req.version, &req.model, "version")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let mut model = Models::claim(m, &req.model).await?;
                let mandate = self.mandates.redeem(m, "promote_model", &req).await?;
                mandate.check_newer(&model.name, model.update_time.as_ref().map(time::of).unwrap_or_default())?;
                let moves = moves(&model, &req)?;
                let mut versions = BTreeMap::new();
                let names: BTreeSet<&String> = moves.iter().flat_map(|(_, from, to)| [to, from]).collect();
                for name in names.into_iter().filter(|name| !name.is_empty()) {
                    versions.insert(name.clone(), ModelVersions::claim(m, name).await?);
                }
                let why = Why { proposal: &mandate.sub, mandate: &req.mandate, reason: &req.reason };
                let mut moved = Vec::new();
                for (alias, from, to) in &moves {
                    if let Some(version) = versions.get_mut(from) {
                        list(&mut version.aliases, alias, false);
                    }
                    if let Some(version) = versions.get_mut(to) {
                        if version.state() != ModelVersionState::Approved {
                            let state = version.state().word();
                            let message = format!("{to} is {state}; an alias moves only to an APPROVED version");
                            return Err(Error::precondition("MODEL_VERSION_NOT_APPROVED", message));
                        }
                        list(&mut version.aliases, alias, true);
                    }
                    let change = point(m, &req.model, &mut model.aliases, (alias, to), why).await?;
                    moved.push(AliasMoved { alias: change.alias, from: change.from_version, to: change.to_version });
                }
                for version in versions.values_mut() {
                    save(m, version).await?;
                }
                model.update_time = Some(time::stamp(m.now()));
                Models::save(m, &mut model).await?;
                m.record(&req.model, |event| {
                    event.model_version.clone_from(&req.version);
                    event.reason.clone_from(&req.reason);
                    event.details = ModelAliasesMoved { proposal: mandate.sub, aliases: moved }.json();
                });
                Ok(model)
            })
            .await
    }

    /// Lists what a model's aliases have pointed at.
    pub(crate) async fn list_alias_history(
        &self,
        cx: &Cx,
        req: ListAliasHistoryRequest,
    ) -> Result<ListAliasHistoryResponse> {
        ModelName::parse(&req.parent, "parent")?;
        Models::get(&mut self.db.read().await?, &cx.tenant, &req.parent).await?;
        let (changes, next_page_token) = aliases::history(&self.db, &cx.tenant, cx.page(&req), &req.alias).await?;
        Ok(ListAliasHistoryResponse { changes, next_page_token })
    }

    /// Registers a version.
    pub(crate) async fn create_model_version(&self, cx: &Cx, req: CreateModelVersionRequest) -> Result<ModelVersion> {
        let model = ModelName::parse(&req.parent, "parent")?.model;
        let at_least = first_number(&req.model_version_id, "model_version_id")?;
        let given = required(req.model_version.clone(), "model_version")?;
        inventory::check(&given)?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let (number, _) = next_number::<Models>(m, &req.parent, at_least).await?;
                let id = Some(&req.model_version_id).filter(|id| !id.is_empty());
                let id = id.cloned().unwrap_or_else(|| number.to_string());
                let names: Vec<&str> = given.artifacts.iter().map(String::as_str).collect();
                let known = named::<ArtifactVersions>(m.tx(), &cx.tenant, &names).await?;
                if let Some(unknown) = given.artifacts.iter().find(|name| !known.contains_key(*name)) {
                    return Err(Error::not_found("ARTIFACT_VERSION_NOT_FOUND", unknown));
                }
                let name = ModelVersionName::new(model, id).to_string();
                let mut version = inventory::proposed(name, given, actor(&cx.actor), time::stamp(m.now()));
                version.owner_confirmed_time = fields::confirmed(m, &version.owner, ("", None));
                ModelVersions::insert(m, &mut version).await?;
                models::link(m, &version).await?;
                m.record(&version.name, |event| {
                    event.model_version.clone_from(&version.name);
                    event.after_digest.clone_from(&version.content_digest);
                    event.details = ModelVersionCreated {
                        provider: version.provider.clone(),
                        base_model: version.base_model.clone(),
                        owner: version.owner.clone(),
                        artifact_digest: version.artifact_digest.clone(),
                        artifacts: version.artifacts.clone(),
                    }
                    .json();
                });
                publish(m, &version).await?;
                Ok(version)
            })
            .await
    }

    /// Returns a version by its name or by an alias.
    pub(crate) async fn get_model_version(&self, cx: &Cx, req: GetModelVersionRequest) -> Result<ModelVersion> {
        if let Ok(of) = ModelAliasName::parse(&req.name, "name") {
            let model = ModelName::new(of.model).to_string();
            let found = models::by_alias(&mut self.db.read().await?, &cx.tenant, &model, &of.alias).await?;
            return found.ok_or_else(|| Error::not_found("ALIAS_NOT_FOUND", &req.name));
        }
        ModelVersionName::parse(&req.name, "name")?;
        ModelVersions::get(&mut self.db.read().await?, &cx.tenant, &req.name).await
    }

    /// Lists versions.
    pub(crate) async fn list_model_versions(
        &self,
        cx: &Cx,
        req: ListModelVersionsRequest,
    ) -> Result<ListModelVersionsResponse> {
        let page = cx.page(&req);
        let (model_versions, next_page_token) =
            ModelVersions::list_in::<Models>(&self.db, &cx.tenant, page, ModelName::PATTERN).await?;
        Ok(ListModelVersionsResponse { model_versions, next_page_token })
    }

    /// Changes what is known about a version.
    pub(crate) async fn update_model_version(&self, cx: &Cx, req: UpdateModelVersionRequest) -> Result<ModelVersion> {
        let given = required(req.model_version.as_ref(), "model_version")?;
        ModelVersionName::parse(&given.name, "model_version.name")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let before = ModelVersions::claim(m, &given.name).await?;
                etag::check(&given.etag, &before.etag, &before.name)?;
                let update_mask = req.update_mask.as_ref();
                let Some(mut version) = fields::updated(m, &before, given, update_mask)? else { return Ok(before) };
                inventory::check_mutable(&version)?;
                inventory::check_not_looser(&before, &version)?;
                save(m, &mut version).await?;
                m.record(&version.name, |event| {
                    event.model_version.clone_from(&version.name);
                    event.before_digest = wire::digest(&before);
                    event.after_digest = wire::digest(&version);
                    event.details = RegistryUpdated { fields: fields::paths(update_mask) }.json();
                });
                Ok(version)
            })
            .await
    }

    /// Adds an evaluation.
    pub(crate) async fn add_evaluation(&self, cx: &Cx, req: AddEvaluationRequest) -> Result<ModelVersion> {
        ModelVersionName::parse(&req.name, "name")?;
        let mut evaluation = required(req.evaluation.clone(), "evaluation")?;
        name::id(&evaluation.id, "evaluation.id")?;
        fields::optional_digest(&evaluation.dataset_digest, "evaluation.dataset_digest")?;
        self.db
            .mutate(&cx.call(&req), async |m| {
                let mut version = ModelVersions::claim(m, &req.name).await?;
                let at = time::past(evaluation.occurred_time.as_ref(), m.now(), "evaluation.occurred_time")?;
                evaluation.occurred_time = Some(time::stamp(at));
                evaluation.self_reported = inventory::self_reported(&version, &cx.actor);
                evaluation.evaluator = Some(actor(&cx.actor));
                evaluation.record_time = Some(time::stamp(m.now()));
                if version.state() == ModelVersionState::Retired {
                    return Err(Error::precondition("MODEL_VERSION_RETIRED", format!("{} is RETIRED", req.name)));
                }
                if version.evaluations.iter().any(|earlier| earlier.id == evaluation.id) {
                    let message = format!(
                        "{} has an evaluation {} already; evaluations are added, never changed",
                        req.name, evaluation.id
                    );
                    return Err(Error::new(Kind::AlreadyExists, "EVALUATION_EXISTS", message));
                }
                if version.evaluations.len() >= MOST_EVALUATIONS {
                    return Err(Error::precondition(
                        "TOO_MANY_EVALUATIONS",
                        format!("{} has {MOST_EVALUATIONS} evaluations, which is the most", req.name),
                    ));
                }
                version.evaluations.push(evaluation.clone());
                save(m, &mut version).await?;
                m.record(&req.name, |event| {
                    event.model_version.clone_from(&req.name);
                    event.occurred_at = at;
                    event.after_digest = wire::digest(&evaluation);
                    event.details = ModelVersionEvaluated {
                        evaluation: evaluation.id,
                        suite: evaluation.suite,
                        passed: evaluation.passed,
                        metrics: evaluation.metrics,
                        dataset_digest: evaluation.dataset_digest,
                        self_reported: evaluation.self_reported,
                    }
                    .json();
                });
                Ok(version)
            })
            .await
    }

    /// Streams the states of all model versions.
    pub(crate) fn watch_model_states(
        &self,
        cx: &Cx,
        req: WatchModelStatesRequest,
    ) -> Result<impl Stream<Item = Result<WatchModelStatesResponse>> + Send + 'static + use<>> {
        let shutdown = self.shutdown.clone();
        let items = watch::stream(self.db.clone(), cx.tenant.clone(), STATES_FEED, &req.cursor, shutdown)?;
        Ok(items.map(|item| item.and_then(watched)))
    }
}

fn watched(watched: Watched) -> Result<WatchModelStatesResponse> {
    let deleted = watched.is_deletion();
    let item = match &watched.body {
        Some(body) => Some(decode::<ModelState>(body)?),
        None if deleted => Some(ModelState { name: watched.key, ..Default::default() }),
        None => None,
    };
    Ok(WatchModelStatesResponse { phase: watched.phase.into(), cursor: watched.cursor, item, deleted })
}
