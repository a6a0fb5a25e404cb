//! Definitions and series.

use super::body;
use prost::Message;
use remit_api::kpi::v1::{Kpi, KpiState};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::Fragment;
use remit_store::{Order, Sql, Tx, Value, query};

/// Marks the tenant as having the shipped definitions; false if it had them already.
pub async fn mark_seeded(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<bool> {
    let marked = query("insert into seeded_tenants (tenant_id, seeded_at) values ($1, $2) on conflict do nothing")
        .bind(tenant)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(marked == 1)
}

/// Whether the tenant has the shipped definitions.
pub async fn is_seeded(tx: &mut Tx, tenant: &Tenant) -> Result<bool> {
    let found =
        query("select seeded_at from seeded_tenants where tenant_id = $1").bind(tenant).fetch_optional(tx).await?;
    Ok(found.is_some())
}

/// Inserts a KPI with its first version; false if there is one of that id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, id: &str, kpi: &Kpi) -> Result<bool> {
    let inserted = query(
        "insert into kpis (tenant_id, kpi_id, version, revision, layer, kind, state, owner, derived, body)
         values ($1, $2, $3, 0, $4, $5, $6, $7, $8, $9) on conflict do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(kpi.version)
    .bind(word(kpi.layer().as_str_name(), "LAYER_"))
    .bind(word(kpi.kind().as_str_name(), "KIND_"))
    .bind(word(kpi.state().as_str_name(), "KPI_STATE_"))
    .bind(&kpi.owner)
    .bind(kpi.derived)
    .bind(kpi.encode_to_vec())
    .execute(tx)
    .await?;
    if inserted == 1 {
        insert_version(tx, tenant, id, kpi).await?;
    }
    Ok(inserted == 1)
}

async fn insert_version(tx: &mut Tx, tenant: &Tenant, id: &str, kpi: &Kpi) -> Result<()> {
    query("insert into kpi_versions (tenant_id, kpi_id, version, body) values ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(id)
        .bind(kpi.version)
        .bind(kpi.encode_to_vec())
        .execute(tx)
        .await?;
    Ok(())
}

/// Locks a KPI until the end of the transaction and returns its definition.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Kpi>> {
    query("update kpis set revision = revision + 1 where tenant_id = $1 and kpi_id = $2 returning body")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?
        .map(|row| body(&row))
        .transpose()
}

/// Stores a new version of a claimed KPI.
pub async fn update(tx: &mut Tx, tenant: &Tenant, id: &str, kpi: &Kpi) -> Result<()> {
    query(
        "update kpis set version = $3, layer = $4, state = $5, owner = $6, body = $7
         where tenant_id = $1 and kpi_id = $2",
    )
    .bind(tenant)
    .bind(id)
    .bind(kpi.version)
    .bind(word(kpi.layer().as_str_name(), "LAYER_"))
    .bind(word(kpi.state().as_str_name(), "KPI_STATE_"))
    .bind(&kpi.owner)
    .bind(kpi.encode_to_vec())
    .execute(tx)
    .await?;
    insert_version(tx, tenant, id, kpi).await
}

/// The definition in force.
pub async fn get(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Kpi>> {
    query("select body from kpis where tenant_id = $1 and kpi_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?
        .map(|row| body(&row))
        .transpose()
}

/// The definition at a version.
pub async fn get_version(tx: &mut Tx, tenant: &Tenant, id: &str, version: i64) -> Result<Option<Kpi>> {
    query("select body from kpi_versions where tenant_id = $1 and kpi_id = $2 and version = $3")
        .bind(tenant)
        .bind(id)
        .bind(version)
        .fetch_optional(tx)
        .await?
        .map(|row| body(&row))
        .transpose()
}

/// Definitions by id.
pub async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<Kpi>> {
    let rows = Sql::new("select body from kpis where tenant_id = ")
        .bind(tenant)
        .and_filter(filter)
        .and_after(&["kpi_id"], Order::Ascending, after)
        .order_limit(&["kpi_id"], Order::Ascending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(body).collect()
}

/// Every definition that takes events.
pub async fn active(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<Kpi>> {
    let rows = query("select body from kpis where tenant_id = $1 and state = $2 order by kpi_id")
        .bind(tenant)
        .bind(word(KpiState::Active.as_str_name(), "KPI_STATE_"))
        .fetch_all(tx)
        .await?;
    rows.iter().map(body).collect()
}

/// The versions of a definition, newest first.
pub async fn versions(tx: &mut Tx, tenant: &Tenant, id: &str, after: Option<&[Value]>, limit: i64) -> Result<Vec<Kpi>> {
    let rows = Sql::new("select body from kpi_versions where tenant_id = ")
        .bind(tenant)
        .push(" and kpi_id = ")
        .bind(id)
        .and_after(&["version"], Order::Descending, after)
        .order_limit(&["version"], Order::Descending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(body).collect()
}

/// The series of a KPI: id and canonical dimensions.
pub async fn series(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Vec<(i64, String)>> {
    let rows =
        query("select series_id, dimensions from series where tenant_id = $1 and kpi_id = $2 order by series_id")
            .bind(tenant)
            .bind(id)
            .fetch_all(tx)
            .await?;
    rows.iter().map(|row| Ok((row.get("series_id")?, row.get("dimensions")?))).collect()
}

/// Adds a series to a claimed KPI.
pub async fn insert_series(tx: &mut Tx, tenant: &Tenant, id: &str, series_id: i64, dimensions: &str) -> Result<()> {
    query("insert into series (tenant_id, kpi_id, series_id, dimensions) values ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(id)
        .bind(series_id)
        .bind(dimensions)
        .execute(tx)
        .await?;
    Ok(())
}

/// An enum value as the word that filters use.
pub fn word(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}
