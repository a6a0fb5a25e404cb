//! What people wrote about numbers. Nothing here is ever changed.

use super::body;
use crate::calendar::Span;
use prost::Message;
use remit_api::kpi::v1::Interpretation;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Order, Row, Sql, Tx, Value, query};

/// An interpretation with the key that orders the list.
#[derive(Debug)]
pub struct Listed {
    /// The interpretation.
    pub interpretation: Interpretation,
    /// When it was written.
    pub created_at: i64,
    /// The last part of its name.
    pub id: String,
}

impl Listed {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { interpretation: body(row)?, created_at: row.get("created_at")?, id: row.get("interpretation_id")? })
    }
}

/// Stores an interpretation.
pub async fn insert(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    id: &str,
    span: Span,
    now: Timestamp,
    interpretation: &Interpretation,
) -> Result<()> {
    query(
        "insert into interpretations (tenant_id, kpi_id, interpretation_id, start_at, end_at, created_at, body)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(id)
    .bind(span.start)
    .bind(span.end)
    .bind(now)
    .bind(interpretation.encode_to_vec())
    .execute(tx)
    .await?;
    Ok(())
}

/// Interpretations of one KPI, or of all, newest first.
pub async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: Option<&str>,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<Listed>> {
    let mut sql =
        Sql::new("select interpretation_id, created_at, body from interpretations where tenant_id = ").bind(tenant);
    if let Some(kpi_id) = kpi_id {
        sql = sql.push(" and kpi_id = ").bind(kpi_id);
    }
    let columns = ["created_at", "interpretation_id"];
    let rows = sql
        .and_after(&columns, Order::Descending, after)
        .order_limit(&columns, Order::Descending, limit)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(Listed::from_row).collect()
}

/// The newest interpretation of a KPI that speaks of some of `span`.
pub async fn newest(tx: &mut Tx, tenant: &Tenant, kpi_id: &str, span: Span) -> Result<Option<Interpretation>> {
    query(
        "select body from interpretations
         where tenant_id = $1 and kpi_id = $2 and start_at < $4 and end_at > $3
         order by created_at desc, interpretation_id desc limit 1",
    )
    .bind(tenant)
    .bind(kpi_id)
    .bind(span.start)
    .bind(span.end)
    .fetch_optional(tx)
    .await?
    .map(|row| body(&row))
    .transpose()
}
