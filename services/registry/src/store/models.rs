//! Models, their versions, and what happened to the states of these.

use super::{aliases, at, or_unspecified, word_or_unspecified};
use prost::Message as _;
use remit_api::registry::v1::{AiActClass, Model, ModelVersion, ModelVersionState, ModelVersionTransition};
use remit_api::wire::{Word as _, decode, time};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::filter::Field;
use remit_store::record::{self, Key};
use remit_store::{BulkInsert, Db, Mutation, Order, Page, Records, Sql, Tx, Value, query};

/// Models.
pub(crate) struct Models;

impl Records for Models {
    type Message = Model;

    const TABLE: &'static str = "models";
    const NOT_FOUND: &'static str = "MODEL_NOT_FOUND";
    const EXISTS: &'static str = "MODEL_EXISTS";
    const FIELDS: &'static [Field] = &[
        Field::text("display_name", "display_name"),
        Field::text("owner", "owner").subjects(),
        Field::boolean("external", "external"),
        Field::timestamp("create_time", "create_time"),
        Field::timestamp("update_time", "update_time"),
    ];

    fn name(model: &Model) -> &str {
        &model.name
    }

    fn create_time(model: &Model) -> Timestamp {
        at(model.create_time.as_ref())
    }

    fn columns(model: &Model) -> Vec<(&'static str, Value)> {
        vec![
            ("display_name", (&model.display_name).into()),
            ("owner", (&model.owner).into()),
            ("external", model.external.into()),
            ("update_time", at(model.update_time.as_ref()).into()),
        ]
    }

    fn set_etag(model: &mut Model, etag: String) {
        model.etag = etag;
    }
}

/// The classes of the AI Act with the one of what nobody has assessed.
const CLASSES: [&str; AiActClass::WORDS.len() + 1] = or_unspecified(AiActClass::WORDS);

/// Versions of models.
pub(crate) struct ModelVersions;

impl Records for ModelVersions {
    type Message = ModelVersion;

    const TABLE: &'static str = "model_versions";
    const NOT_FOUND: &'static str = "MODEL_VERSION_NOT_FOUND";
    const EXISTS: &'static str = "MODEL_VERSION_EXISTS";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", ModelVersionState::WORDS),
        Field::text("provider", "provider"),
        Field::text("base_model", "base_model"),
        Field::text("artifact_digest", "artifact_digest"),
        Field::text("owner", "owner").subjects(),
        Field::words("ai_act_class", "ai_act_class", &CLASSES),
        Field::timestamp("review_by", "review_by"),
        Field::timestamp("create_time", "create_time"),
        Field::timestamp("update_time", "update_time"),
    ];

    fn name(version: &ModelVersion) -> &str {
        &version.name
    }

    fn create_time(version: &ModelVersion) -> Timestamp {
        at(version.create_time.as_ref())
    }

    fn columns(version: &ModelVersion) -> Vec<(&'static str, Value)> {
        vec![
            ("parent", name::parent(&version.name).into()),
            ("update_time", at(version.update_time.as_ref()).into()),
            ("state", ModelVersionState::word_of(version.state).into()),
            ("provider", (&version.provider).into()),
            ("base_model", (&version.base_model).into()),
            ("artifact_digest", (&version.artifact_digest).into()),
            ("owner", (&version.owner).into()),
            ("ai_act_class", word_or_unspecified::<AiActClass>(version.ai_act_class).into()),
            ("review_by", version.review_by.as_ref().map(time::of).into()),
        ]
    }

    fn set_etag(version: &mut ModelVersion, etag: String) {
        version.etag = etag;
    }
}

/// Returns the version that an alias of a model points at.
pub(crate) async fn by_alias(tx: &mut Tx, tenant: &Tenant, model: &str, alias: &str) -> Result<Option<ModelVersion>> {
    let sql = Sql::new("select revision, body from model_versions where tenant_id = ").bind(tenant);
    let row = aliases::target(sql.push(" and name = "), tenant, model, alias).query().fetch_optional(tx).await?;
    row.as_ref().map(ModelVersions::read).transpose()
}

/// Remembers which artifact versions a new version runs with.
pub(crate) async fn link(m: &mut Mutation, version: &ModelVersion) -> Result<()> {
    let rows = version.artifacts.len();
    BulkInsert::into("model_version_artifacts")
        .text("tenant_id", vec![m.tenant().as_str().to_owned(); rows])
        .text("artifact_version", version.artifacts.clone())
        .text("model_version", vec![version.name.clone(); rows])
        .execute(m.tx())
        .await
        .map(|_| ())
}

/// The versions that may run and run with an artifact version, by name, at most `limit` of those after `after`.
pub(crate) async fn running_with(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact_version: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let rows = query(
        "select v.name from model_version_artifacts a
         join model_versions v on v.tenant_id = a.tenant_id and v.name = a.model_version
         where a.tenant_id = $1 and a.artifact_version = $2 and v.name > $3
           and v.state in ('APPROVED', 'RESTRICTED')
         order by v.name limit $4",
    )
    .bind(tenant)
    .bind(artifact_version)
    .bind(after)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| row.get("name")).collect()
}

/// Adds a move between states and puts its number within the version into it. The version must be locked.
pub(crate) async fn insert_transition(m: &mut Mutation, change: &mut ModelVersionTransition) -> Result<()> {
    let row = query(
        "insert into transitions (tenant_id, parent, sequence, to_state, body)
         values ($1, $2,
                 (select coalesce(max(sequence), 0) + 1 from transitions where tenant_id = $1 and parent = $2), $3, $4)
         returning sequence",
    )
    .bind(m.tenant())
    .bind(&change.version)
    .bind(ModelVersionState::word_of(change.to_state))
    .bind(change.encode_to_vec())
    .fetch_one(m.tx())
    .await?;
    change.sequence = row.get("sequence")?;
    Ok(())
}

/// Whether a version was ever approved.
pub(crate) async fn ever_approved(m: &mut Mutation, version: &str) -> Result<bool> {
    let found = query(
        "select sequence from transitions where tenant_id = $1 and parent = $2 and to_state = 'APPROVED' limit 1",
    )
    .bind(m.tenant())
    .bind(version)
    .fetch_optional(m.tx())
    .await?;
    Ok(found.is_some())
}

/// The purposes that a version had when it last ran; none if it never did.
pub(crate) async fn last_purposes(m: &mut Mutation, version: &str) -> Result<Vec<String>> {
    let row = query(
        "select body from transitions
         where tenant_id = $1 and parent = $2 and to_state in ('APPROVED', 'RESTRICTED')
         order by sequence desc limit 1",
    )
    .bind(m.tenant())
    .bind(version)
    .fetch_optional(m.tx())
    .await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    Ok(decode::<ModelVersionTransition>(&row.get::<Vec<u8>>("body")?)?.purposes)
}

/// Lists the moves of a version between states, the last first; without a parent those of all, one version after another.
pub(crate) async fn transitions(
    db: &Db,
    tenant: &Tenant,
    page: Page<'_>,
) -> Result<(Vec<ModelVersionTransition>, String)> {
    let keys: &[Key] =
        if page.parent.is_empty() { &[Key::Text("parent"), Key::Int("sequence")] } else { &[Key::Int("sequence")] };
    let (rows, token) = record::rows(db, tenant, page, "transitions", "body", (keys, Order::Descending), &[]).await?;
    let changes = rows.iter().map(|row| {
        let change = decode::<ModelVersionTransition>(&row.get::<Vec<u8>>("body")?)?;
        Ok(ModelVersionTransition { sequence: row.get("sequence")?, ..change })
    });
    Ok((changes.collect::<Result<_>>()?, token))
}
