//! Artifacts and their versions.

use super::{aliases, at};
use prost::Message as _;
use remit_api::registry::v1::{Artifact, ArtifactKind, ArtifactVersion, ArtifactVersionState};
use remit_api::wire::Word as _;
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Order, Records, Sql, Tx, Value};

/// Artifacts.
pub(crate) struct Artifacts;

impl Records for Artifacts {
    type Message = Artifact;

    const TABLE: &'static str = "artifacts";
    const NOT_FOUND: &'static str = "ARTIFACT_NOT_FOUND";
    const EXISTS: &'static str = "ARTIFACT_EXISTS";
    const FIELDS: &'static [Field] = &[
        Field::words("kind", "kind", ArtifactKind::WORDS),
        Field::text("display_name", "display_name"),
        Field::text("owner", "owner").subjects(),
        Field::timestamp("create_time", "create_time"),
        Field::timestamp("update_time", "update_time"),
    ];

    fn name(artifact: &Artifact) -> &str {
        &artifact.name
    }

    fn create_time(artifact: &Artifact) -> Timestamp {
        at(artifact.create_time.as_ref())
    }

    fn columns(artifact: &Artifact) -> Vec<(&'static str, Value)> {
        vec![
            ("update_time", at(artifact.update_time.as_ref()).into()),
            ("kind", ArtifactKind::word_of(artifact.kind).into()),
            ("display_name", (&artifact.display_name).into()),
            ("owner", (&artifact.owner).into()),
        ]
    }

    fn set_etag(artifact: &mut Artifact, etag: String) {
        artifact.etag = etag;
    }
}

/// Versions of artifacts. Only [`version`] and [`labelled`] read the content.
pub(crate) struct ArtifactVersions;

impl Records for ArtifactVersions {
    type Message = ArtifactVersion;

    const TABLE: &'static str = "artifact_versions";
    const NOT_FOUND: &'static str = "ARTIFACT_VERSION_NOT_FOUND";
    const EXISTS: &'static str = "ARTIFACT_VERSION_EXISTS";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", ArtifactVersionState::WORDS),
        Field::words("kind", "kind", ArtifactKind::WORDS),
        Field::text("content_digest", "content_digest"),
        Field::timestamp("create_time", "create_time"),
        Field::timestamp("update_time", "update_time"),
    ];

    fn name(version: &ArtifactVersion) -> &str {
        &version.name
    }

    fn create_time(version: &ArtifactVersion) -> Timestamp {
        at(version.create_time.as_ref())
    }

    fn columns(version: &ArtifactVersion) -> Vec<(&'static str, Value)> {
        let mut columns = vec![
            ("parent", name::parent(&version.name).into()),
            ("update_time", at(version.update_time.as_ref()).into()),
            ("kind", ArtifactKind::word_of(version.kind).into()),
            ("state", ArtifactVersionState::word_of(version.state).into()),
            ("content_digest", (&version.content_digest).into()),
        ];
        // Only a new version has it: what was read to be changed comes without, and leaves it as it is.
        if !version.content.is_empty() {
            columns.push(("content", (&version.content).into()));
        }
        columns
    }

    fn set_etag(version: &mut ArtifactVersion, etag: String) {
        version.etag = etag;
    }

    fn body(version: &ArtifactVersion) -> Vec<u8> {
        ArtifactVersion { content: Vec::new(), ..version.clone() }.encode_to_vec()
    }
}

async fn with_content(tx: &mut Tx, sql: Sql) -> Result<Option<ArtifactVersion>> {
    let Some(row) = sql.query().fetch_optional(tx).await? else { return Ok(None) };
    let content = row.get::<Option<Vec<u8>>>("content")?.unwrap_or_default();
    Ok(Some(ArtifactVersion { content, ..ArtifactVersions::read(&row)? }))
}

fn select(tenant: &Tenant) -> Sql {
    Sql::new("select revision, body, content from artifact_versions where tenant_id = ")
        .bind(tenant)
        .push(" and name = ")
}

/// Returns a version with its content, which is empty if it is kept elsewhere.
pub(crate) async fn version(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<Option<ArtifactVersion>> {
    with_content(tx, select(tenant).bind(name)).await
}

/// Returns the version that a label of an artifact points at, with its content.
pub(crate) async fn labelled(
    tx: &mut Tx,
    tenant: &Tenant,
    artifact: &str,
    label: &str,
) -> Result<Option<ArtifactVersion>> {
    with_content(tx, aliases::target(select(tenant), tenant, artifact, label)).await
}
