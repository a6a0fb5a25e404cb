//! Models.

use super::{Registry, digest, exists, record};
use crate::convert::{check_etag, id_field, mask, present, required, stamp};
use crate::store::models::{self, ModelRow};
use remit_api::registry::v1::{
    CreateModelRequest, GetModelRequest, ListModelsRequest, ListModelsResponse, Model, UpdateModelRequest,
};
use remit_core::{Error, Result, name};
use remit_runtime::{Cx, Started};
use remit_store::filter;

/// A model as it is sent: the columns win over the message.
pub(crate) fn render(row: ModelRow) -> Model {
    let name = format!("models/{}", row.id);
    Model {
        aliases: row
            .aliases
            .into_iter()
            .map(|(alias, version)| (alias, format!("{name}/versions/{version}")))
            .collect(),
        etag: row.stored.revision.to_string(),
        create_time: Some(stamp(row.stored.created_at)),
        update_time: Some(stamp(row.stored.updated_at)),
        name,
        ..row.stored.body
    }
}

/// What of a model is stored: the fields that a caller writes.
fn kept(model: &Model) -> Model {
    Model {
        display_name: model.display_name.clone(),
        description: model.description.clone(),
        owner: model.owner.clone(),
        external: model.external,
        labels: model.labels.clone(),
        ..Default::default()
    }
}

fn check(model: &Model) -> Result<()> {
    required(&model.display_name, "model.display_name")?;
    required(&model.owner, "model.owner")
}

/// The id in a model's name.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `field`.
pub(crate) fn id<'a>(name: &'a str, field: &str) -> Result<&'a str> {
    let [id] = name::ids::<1>(name, "models/*", field)?;
    Ok(id)
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::not_found("MODEL_NOT_FOUND", name)
}

impl Registry {
    /// Registers a model.
    pub async fn create_model(&self, cx: &Cx, req: CreateModelRequest) -> Result<Model> {
        id_field(&req.model_id, "model_id")?;
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let model = kept(&present(req.model, "model")?);
        check(&model)?;
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let name = format!("models/{}", req.model_id);
        if !models::insert(m.tx(), &cx.tenant, &req.model_id, &model, call.now).await? {
            return Err(exists("MODEL_EXISTS", &name));
        }
        record(&mut m, &name, |event| {
            event.after_digest = digest(&model);
            event.details = serde_json::json!({"owner": model.owner, "external": model.external});
        });
        let row = models::find(m.tx(), &cx.tenant, &req.model_id).await?.ok_or_else(|| not_found(&name))?;
        remit_runtime::finish(m, render(row)).await
    }

    /// Returns a model.
    pub async fn get_model(&self, cx: &Cx, req: GetModelRequest) -> Result<Model> {
        let id = id(&req.name, "name")?;
        let row = models::find(&mut self.db.read().await?, &cx.tenant, id).await?;
        row.map(render).ok_or_else(|| not_found(&req.name))
    }

    /// Lists models.
    pub async fn list_models(&self, cx: &Cx, req: ListModelsRequest) -> Result<ListModelsResponse> {
        let fragment = filter::parse(&req.filter, models::FIELDS)?;
        let pager = self.pager(cx, &[&req.filter], req.page_size, &req.page_token)?;
        let rows = models::list(&mut self.db.read().await?, &cx.tenant, &fragment, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, models::key);
        Ok(ListModelsResponse { models: rows.into_iter().map(render).collect(), next_page_token })
    }

    /// Changes a model.
    pub async fn update_model(&self, cx: &Cx, req: UpdateModelRequest) -> Result<Model> {
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let paths =
            mask(req.update_mask.as_ref(), &["display_name", "description", "owner", "external", "labels"], &[])?;
        let wanted = present(req.model.clone(), "model")?;
        let id = id(&wanted.name, "model.name")?;
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        let found = models::claim(m.tx(), &cx.tenant, id, call.now).await?.ok_or_else(|| not_found(&wanted.name))?;
        check_etag(&wanted.etag, found.revision - 1, &wanted.name)?;
        let before = digest(&found.body);
        let mut model = found.body;
        for path in &paths {
            match *path {
                "display_name" => model.display_name.clone_from(&wanted.display_name),
                "description" => model.description.clone_from(&wanted.description),
                "owner" => model.owner.clone_from(&wanted.owner),
                "external" => model.external = wanted.external,
                _ => model.labels.clone_from(&wanted.labels),
            }
        }
        check(&model)?;
        models::save(m.tx(), &cx.tenant, id, &model).await?;
        record(&mut m, &wanted.name, |event| {
            event.before_digest = before;
            event.after_digest = digest(&model);
            event.details = serde_json::json!({"fields": paths});
        });
        let row = models::find(m.tx(), &cx.tenant, id).await?.ok_or_else(|| not_found(&wanted.name))?;
        remit_runtime::finish(m, render(row)).await
    }
}
