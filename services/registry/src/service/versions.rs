//! Model versions and their evaluations.

use super::{Registry, STATES_FEED, digest, exists, first_number, models as model_service, record};
use crate::convert::{
    self, actor, check_etag, digest_field, digest_of, id_field, mask, occurred, optional_digest, present, required,
    stamp,
};
use crate::store::versions::{self, VersionRow};
use crate::store::{artifacts, models};
use prost::Message;
use remit_api::registry::v1::{
    AddEvaluationRequest, AiActClass, AiActRole, CreateModelVersionRequest, GetModelVersionRequest,
    ListModelVersionsRequest, ListModelVersionsResponse, ModelState, ModelVersion, ModelVersionState,
    UpdateModelVersionRequest,
};
use remit_core::lifecycle::State;
use remit_core::{Error, Kind, Result, name};
use remit_runtime::{Cx, Started};
use remit_store::{Mutation, filter};

const MOST_EVALUATIONS: usize = 100;
const MOST_PARAMETERS: usize = 65_536;
const UPDATABLE: &[&str] = &["known_issues", "review_by", "labels"];
const IMMUTABLE: &[&str] = &[
    "provider",
    "base_model",
    "artifact_digest",
    "artifact_uri",
    "parameters",
    "artifacts",
    "intended_use",
    "limitations",
    "oversight_measures",
    "data_provenance",
    "owner",
    "ai_act_class",
    "ai_act_role",
];

/// The message for a state.
pub(crate) fn state_message(state: State) -> ModelVersionState {
    match state {
        State::Proposed => ModelVersionState::Proposed,
        State::Evaluating => ModelVersionState::Evaluating,
        State::Approved => ModelVersionState::Approved,
        State::Restricted => ModelVersionState::Restricted,
        State::Suspended => ModelVersionState::Suspended,
        State::Retired => ModelVersionState::Retired,
    }
}

/// A version as it is sent: the columns win over the message.
pub(crate) fn render(row: VersionRow) -> ModelVersion {
    let name = row.name();
    ModelVersion {
        state: state_message(row.state).into(),
        aliases: row.aliases,
        documentation_gaps: gaps(&row.stored.body),
        etag: row.stored.revision.to_string(),
        create_time: Some(stamp(row.stored.created_at)),
        update_time: Some(stamp(row.stored.updated_at)),
        name,
        ..row.stored.body
    }
}

/// What the watch stream says about a version.
fn state_of(version: ModelVersion) -> ModelState {
    ModelState {
        name: version.name,
        state: version.state,
        approved_purposes: version.purposes,
        conditions: version.conditions,
        aliases: version.aliases,
        artifacts: version.artifacts,
        ai_act_class: version.ai_act_class,
        review_by: version.review_by,
        proposal: version.proposal,
        state_reason: version.state_reason,
        etag: version.etag,
        update_time: version.update_time,
    }
}

/// Puts the present state of a version on the feed and returns the version.
pub(crate) async fn publish(m: &mut Mutation, model: &str, id: &str) -> Result<ModelVersion> {
    let tenant = m.tenant().clone();
    let row = versions::find(m.tx(), &tenant, model, id).await?;
    let version = row.map(render).ok_or_else(|| not_found(&format!("models/{model}/versions/{id}")))?;
    m.change(STATES_FEED, &version.name, Some(state_of(version.clone()).encode_to_vec())).await?;
    Ok(version)
}

/// The fields that a complete inventory needs and that are empty (R8, C5, C30).
fn gaps(version: &ModelVersion) -> Vec<String> {
    let fields = [
        ("base_model", version.base_model.is_empty()),
        ("limitations", version.limitations.is_empty()),
        ("oversight_measures", version.oversight_measures.is_empty()),
        ("data_provenance", version.data_provenance.is_empty()),
        ("artifacts", version.artifacts.is_empty()),
        ("ai_act_class", version.ai_act_class() == AiActClass::Unspecified),
        ("ai_act_role", version.ai_act_role() == AiActRole::Unspecified),
        ("review_by", version.review_by.is_none()),
        ("evaluations", version.evaluations.is_empty()),
    ];
    fields.into_iter().filter(|(_, empty)| *empty).map(|(field, _)| field.to_owned()).collect()
}

/// The fields of a version that never change; what its content digest is over, with its name.
fn immutable(version: &ModelVersion) -> ModelVersion {
    ModelVersion {
        provider: version.provider.clone(),
        base_model: version.base_model.clone(),
        artifact_digest: version.artifact_digest.clone(),
        artifact_uri: version.artifact_uri.clone(),
        parameters: version.parameters.clone(),
        artifacts: version.artifacts.clone(),
        intended_use: version.intended_use.clone(),
        limitations: version.limitations.clone(),
        oversight_measures: version.oversight_measures.clone(),
        data_provenance: version.data_provenance.clone(),
        owner: version.owner.clone(),
        ai_act_class: version.ai_act_class,
        ai_act_role: version.ai_act_role,
        ..Default::default()
    }
}

fn check(version: &ModelVersion) -> Result<()> {
    required(&version.provider, "model_version.provider")?;
    required(&version.intended_use, "model_version.intended_use")?;
    required(&version.owner, "model_version.owner")?;
    digest_field(&version.artifact_digest, "model_version.artifact_digest")?;
    let size = version.parameters.as_ref().map_or(0, Message::encoded_len);
    if size > MOST_PARAMETERS {
        return Err(Error::invalid(
            "PARAMETERS_TOO_LARGE",
            "model_version.parameters",
            format!("has {size} bytes, at most {MOST_PARAMETERS} are allowed"),
        ));
    }
    for (at, artifact) in version.artifacts.iter().enumerate() {
        name::ids::<2>(artifact, "artifacts/*/versions/*", &format!("model_version.artifacts[{at}]"))?;
    }
    check_mutable(version)
}

fn check_mutable(version: &ModelVersion) -> Result<()> {
    match &version.review_by {
        Some(at) => convert::time(at, "model_version.review_by").map(|_| ()),
        None => Ok(()),
    }
}

/// The ids in a version's name.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `field`.
pub(crate) fn ids<'a>(name: &'a str, field: &str) -> Result<(&'a str, &'a str)> {
    let [model, version] = name::ids::<2>(name, "models/*/versions/*", field)?;
    Ok((model, version))
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::not_found("MODEL_VERSION_NOT_FOUND", name)
}

impl Registry {
    /// Registers a version.
    pub async fn create_model_version(&self, cx: &Cx, req: CreateModelVersionRequest) -> Result<ModelVersion> {
        let model = model_service::id(&req.parent, "parent")?;
        let at_least = first_number(&req.model_version_id)?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let wanted = present(req.model_version.clone(), "model_version")?;
        check(&wanted)?;
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let number = models::next_number(m.tx(), &cx.tenant, model, at_least)
            .await?
            .ok_or_else(|| model_service::not_found(&req.parent))?;
        let id = if req.model_version_id.is_empty() { number.to_string() } else { req.model_version_id.clone() };
        let name = format!("models/{model}/versions/{id}");
        for artifact in &wanted.artifacts {
            let [artifact_id, version_id] =
                name::ids::<2>(artifact, "artifacts/*/versions/*", "model_version.artifacts")?;
            if artifacts::find_version(m.tx(), &cx.tenant, artifact_id, version_id).await?.is_none() {
                return Err(Error::not_found("ARTIFACT_VERSION_NOT_FOUND", artifact));
            }
        }
        let fixed = immutable(&wanted);
        let content_digest = digest_of(&ModelVersion { name: name.clone(), ..fixed.clone() });
        let version = ModelVersion {
            known_issues: wanted.known_issues,
            review_by: wanted.review_by,
            labels: wanted.labels,
            state_time: Some(stamp(call.now)),
            content_digest: content_digest.clone(),
            creator: Some(actor(&cx.actor)),
            ..fixed
        };
        if !versions::insert(m.tx(), &cx.tenant, (model, &id, number), &version, call.now).await? {
            return Err(exists("MODEL_VERSION_EXISTS", &name));
        }
        record(&mut m, &name, |event| {
            event.model_version.clone_from(&name);
            event.after_digest = content_digest;
            event.details = serde_json::json!({
                "provider": version.provider, "base_model": version.base_model, "owner": version.owner,
                "artifact_digest": version.artifact_digest, "artifacts": version.artifacts,
            });
        });
        let answer = publish(&mut m, model, &id).await?;
        remit_runtime::finish(m, answer).await
    }

    /// Returns a version by its name or by an alias.
    pub async fn get_model_version(&self, cx: &Cx, req: GetModelVersionRequest) -> Result<ModelVersion> {
        let mut tx = self.db.read().await?;
        if req.name.contains("/aliases/") {
            let [model, alias] = name::ids::<2>(&req.name, "models/*/aliases/*", "name")?;
            let row = versions::find_by_alias(&mut tx, &cx.tenant, model, alias).await?;
            return row.map(render).ok_or_else(|| Error::not_found("ALIAS_NOT_FOUND", &req.name));
        }
        let (model, id) = ids(&req.name, "name")?;
        let row = versions::find(&mut tx, &cx.tenant, model, id).await?;
        row.map(render).ok_or_else(|| not_found(&req.name))
    }

    /// Lists versions.
    pub async fn list_model_versions(
        &self,
        cx: &Cx,
        req: ListModelVersionsRequest,
    ) -> Result<ListModelVersionsResponse> {
        let model = if req.parent == "models/-" { None } else { Some(model_service::id(&req.parent, "parent")?) };
        let fragment = filter::parse(&req.filter, versions::FIELDS)?;
        let pager = self.pager(cx, &[&req.parent, &req.filter], req.page_size, &req.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = versions::list(&mut tx, &cx.tenant, model, &fragment, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, versions::key);
        Ok(ListModelVersionsResponse { model_versions: rows.into_iter().map(render).collect(), next_page_token })
    }

    /// Changes what is known about a version.
    pub async fn update_model_version(&self, cx: &Cx, req: UpdateModelVersionRequest) -> Result<ModelVersion> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let paths = mask(req.update_mask.as_ref(), UPDATABLE, IMMUTABLE)?;
        let wanted = present(req.model_version.clone(), "model_version")?;
        check_mutable(&wanted)?;
        let (model, id) = ids(&wanted.name, "model_version.name")?;
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let mut row =
            versions::claim(m.tx(), &cx.tenant, model, id, call.now).await?.ok_or_else(|| not_found(&wanted.name))?;
        check_etag(&wanted.etag, row.stored.revision - 1, &wanted.name)?;
        let before = digest(&row.stored.body);
        for path in &paths {
            match *path {
                "known_issues" => row.stored.body.known_issues.clone_from(&wanted.known_issues),
                "review_by" => row.stored.body.review_by = wanted.review_by,
                _ => row.stored.body.labels.clone_from(&wanted.labels),
            }
        }
        versions::save(m.tx(), &cx.tenant, &row).await?;
        record(&mut m, &wanted.name, |event| {
            event.model_version.clone_from(&wanted.name);
            event.before_digest = before;
            event.after_digest = digest(&row.stored.body);
            event.details = serde_json::json!({"fields": paths});
        });
        let answer = publish(&mut m, model, id).await?;
        remit_runtime::finish(m, answer).await
    }

    /// Adds an evaluation.
    pub async fn add_evaluation(&self, cx: &Cx, req: AddEvaluationRequest) -> Result<ModelVersion> {
        let (model, id) = ids(&req.name, "name")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut evaluation = present(req.evaluation.clone(), "evaluation")?;
        id_field(&evaluation.id, "evaluation.id")?;
        optional_digest(&evaluation.dataset_digest, "evaluation.dataset_digest")?;
        let at = occurred(evaluation.occurred_time.as_ref(), call.now, "evaluation.occurred_time")?;
        evaluation.occurred_time = Some(stamp(at));
        evaluation.evaluator = Some(actor(&cx.actor));
        evaluation.record_time = Some(stamp(call.now));
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let mut row =
            versions::claim(m.tx(), &cx.tenant, model, id, call.now).await?.ok_or_else(|| not_found(&req.name))?;
        if row.state == State::Retired {
            return Err(Error::precondition("MODEL_VERSION_RETIRED", format!("{} is RETIRED", req.name)));
        }
        let evaluations = &mut row.stored.body.evaluations;
        if evaluations.iter().any(|earlier| earlier.id == evaluation.id) {
            return Err(Error::new(
                Kind::AlreadyExists,
                "EVALUATION_EXISTS",
                format!(
                    "{} has an evaluation {} already; evaluations are added, never changed",
                    req.name, evaluation.id
                ),
            ));
        }
        if evaluations.len() >= MOST_EVALUATIONS {
            return Err(Error::precondition(
                "TOO_MANY_EVALUATIONS",
                format!("{} has {MOST_EVALUATIONS} evaluations, which is the most", req.name),
            ));
        }
        evaluations.push(evaluation.clone());
        versions::save(m.tx(), &cx.tenant, &row).await?;
        record(&mut m, &req.name, |event| {
            event.model_version.clone_from(&req.name);
            event.occurred_at = at;
            event.after_digest = digest(&evaluation);
            event.details = serde_json::json!({
                "evaluation": evaluation.id, "suite": evaluation.suite, "passed": evaluation.passed,
                "metrics": evaluation.metrics, "dataset_digest": evaluation.dataset_digest,
            });
        });
        let answer = publish(&mut m, model, id).await?;
        remit_runtime::finish(m, answer).await
    }
}
