//! Experiments.

use super::body;
use prost::Message;
use remit_api::kpi::v1::Experiment;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Order, Sql, Tx, Value, query};

/// Stores an experiment; false if there is one of that id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, id: &str, experiment: &Experiment) -> Result<bool> {
    let inserted = query(
        "insert into experiments (tenant_id, experiment_id, etag, body) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(&experiment.etag)
    .bind(experiment.encode_to_vec())
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// An experiment.
pub async fn get(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Experiment>> {
    query("select body from experiments where tenant_id = $1 and experiment_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?
        .map(|row| body(&row))
        .transpose()
}

/// Cancels an experiment that is not, and returns it as it was; `None` if it is, or there is none.
pub async fn claim_cancel(tx: &mut Tx, tenant: &Tenant, id: &str, now: Timestamp) -> Result<Option<Experiment>> {
    query(
        "update experiments set cancelled_at = $3
         where tenant_id = $1 and experiment_id = $2 and cancelled_at is null returning body",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .fetch_optional(tx)
    .await?
    .map(|row| body(&row))
    .transpose()
}

/// Stores a claimed experiment as it is now.
pub async fn update(tx: &mut Tx, tenant: &Tenant, id: &str, experiment: &Experiment) -> Result<()> {
    query("update experiments set etag = $3, body = $4 where tenant_id = $1 and experiment_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(&experiment.etag)
        .bind(experiment.encode_to_vec())
        .execute(tx)
        .await?;
    Ok(())
}

/// Experiments by id.
pub async fn list(tx: &mut Tx, tenant: &Tenant, after: Option<&[Value]>, limit: i64) -> Result<Vec<Experiment>> {
    let rows = Sql::new("select body from experiments where tenant_id = ")
        .bind(tenant)
        .and_after(&["experiment_id"], Order::Ascending, after)
        .order_limit(&["experiment_id"], Order::Ascending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(body).collect()
}
