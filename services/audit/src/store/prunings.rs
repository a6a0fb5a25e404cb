//! Pruning, and the record of what it removed.

use super::heads::{signed, unsigned};
use super::legal_holds::covered;
use super::postings;
use remit_api::audit::v1::LegalHold;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{BulkInsert, Row, Sql, Tx, query};
use remit_tlog::tile::WIDTH;

/// The action of prunings.
pub const PRUNE: &str = "audit.entries.prune";

/// The action that engages a legal hold.
pub const HOLD: &str = "audit.legalHolds.create";

/// The action that releases a legal hold.
pub const RELEASE: &str = "audit.legalHolds.release";

/// The action that changes the retention.
pub const RETAIN: &str = "audit.retention.update";

/// The action that changes the signing key.
pub const ROTATE: &str = "audit.keys.rotate";

/// The action that takes the first cosignature of a witness.
pub const COSIGN: &str = "audit.checkpoints.cosign";

/// The action that keeps the time stamp of a checkpoint.
pub const TIMESTAMP: &str = "audit.checkpoints.timestamp";

/// Whose entries are never pruned: together they account for what is missing, and for what stands beside the entries, to
/// whoever has nothing but the log.
const KEPT: [&str; 7] = [PRUNE, HOLD, RELEASE, RETAIN, COSIGN, ROTATE, TIMESTAMP];

fn prunable(sql: Sql, tenant: &Tenant, end: u64) -> Sql {
    let free = sql.bind(tenant).push(" and idx < ").bind(signed(end));
    let mut free = free.push(" and not (service = ").bind(crate::SCHEMA.service).push(" and action in (");
    for (at, action) in KEPT.into_iter().enumerate() {
        free = if at == 0 { free.bind(action) } else { free.push(", ").bind(action) };
    }
    free.push("))")
}

/// How many entries below `end` could be pruned, and how many of them holds keep.
pub async fn count_prunable(tx: &mut Tx, tenant: &Tenant, end: u64, holds: &[LegalHold]) -> Result<(i64, i64)> {
    let all = prunable(Sql::new("select count(*) as n from entries where tenant_id = "), tenant, end);
    let all: i64 = all.query().fetch_one(tx).await?.get("n")?;
    let mut free = prunable(Sql::new("select count(*) as n from entries where tenant_id = "), tenant, end);
    for hold in holds {
        free = covered(free.push(" and not "), hold);
    }
    let free: i64 = free.query().fetch_one(tx).await?.get("n")?;
    Ok((free, all - free))
}

/// Deletes entries below `end` that no hold keeps, the oldest first, at most `limit`, with what leads to them; returns
/// their indexes in order.
pub async fn prune(tx: &mut Tx, tenant: &Tenant, end: u64, holds: &[LegalHold], limit: i64) -> Result<Vec<u64>> {
    let mut sql = Sql::new("delete from entries where tenant_id = ").bind(tenant).push(" and idx in (");
    sql = prunable(sql.push("select idx from entries where tenant_id = "), tenant, end);
    for hold in holds {
        sql = covered(sql.push(" and not "), hold);
    }
    let rows = sql.push(" order by idx limit ").bind(limit).push(") returning idx").query().fetch_all(tx).await?;
    let mut pruned = rows.iter().map(|row| row.get::<i64>("idx").map(unsigned)).collect::<Result<Vec<_>>>()?;
    pruned.sort_unstable();
    postings::rewrite(tx, tenant, &pruned.iter().map(|index| index / WIDTH).collect()).await?;
    if let Some(last) = pruned.last() {
        query(
            "delete from personal_data where tenant_id = $1 and idx <= $2
             and not exists (select 1 from entries e where e.tenant_id = personal_data.tenant_id and e.idx = personal_data.idx)",
        )
        .bind(tenant)
        .bind(signed(*last))
        .execute(tx)
        .await?;
    }
    Ok(pruned)
}

/// A span of pruned entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub start: u64,
    /// The one after the last.
    pub end: u64,
    /// The event id of the pruning's entry.
    pub event_id: String,
}

/// Joins indexes in ascending order to spans.
pub fn spans(indexes: &[u64], event_id: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for index in indexes {
        match spans.last_mut() {
            Some(span) if span.end == *index => span.end += 1,
            _ => spans.push(Span { start: *index, end: index + 1, event_id: event_id.to_owned() }),
        }
    }
    spans
}

/// Stores spans.
pub async fn insert_spans(tx: &mut Tx, tenant: &Tenant, spans: &[Span], now: Timestamp) -> Result<()> {
    BulkInsert::into("prunings")
        .text("tenant_id", vec![tenant.as_str().to_owned(); spans.len()])
        .bigint("start_idx", spans.iter().map(|span| signed(span.start)).collect::<Vec<_>>())
        .bigint("end_idx", spans.iter().map(|span| signed(span.end)).collect::<Vec<_>>())
        .text("event_id", spans.iter().map(|span| span.event_id.clone()).collect::<Vec<_>>())
        .bigint("prune_time", vec![now.0; spans.len()])
        .execute(tx)
        .await
        .map(|_| ())
}

fn span(row: &Row) -> Result<Span> {
    Ok(Span {
        start: unsigned(row.get("start_idx")?),
        end: unsigned(row.get("end_idx")?),
        event_id: row.get("event_id")?,
    })
}

/// The spans that touch `start..end`, in order, at most `limit`.
pub async fn spans_within(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64, limit: i64) -> Result<Vec<Span>> {
    let rows = query(
        "select start_idx, end_idx, event_id from prunings
         where tenant_id = $1 and start_idx < $3 and end_idx > $2 order by start_idx limit $4",
    )
    .bind(tenant)
    .bind(signed(start))
    .bind(signed(end))
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(span).collect()
}

/// All spans, ordered by the pruning that made them.
pub async fn all_spans(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<Span>> {
    let rows =
        query("select start_idx, end_idx, event_id from prunings where tenant_id = $1 order by event_id, start_idx")
            .bind(tenant)
            .fetch_all(tx)
            .await?;
    rows.iter().map(span).collect()
}
