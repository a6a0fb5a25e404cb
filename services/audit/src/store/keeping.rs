//! Retention policies, legal holds and prunings.

use super::head::{signed, unsigned};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::page::Order;
use remit_store::{BulkInsert, Row, Sql, Tx, Value, query};

/// A tenant's retention policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long to keep, in microseconds; none means for ever.
    pub keep_us: Option<i64>,
    /// 0 if it was never set.
    pub revision: i64,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// The policy of a tenant.
pub async fn policy(tx: &mut Tx, tenant: &Tenant) -> Result<Policy> {
    let row = query("select keep_us, revision, updated_at from retention_policies where tenant_id = $1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    let policy = |row: Row| {
        Ok(Policy { keep_us: row.get("keep_us")?, revision: row.get("revision")?, updated_at: row.get("updated_at")? })
    };
    row.map_or_else(|| Ok(Policy::default()), policy)
}

/// Locks the policy row, making it if it is not there.
pub async fn claim_policy(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<Policy> {
    query(
        "insert into retention_policies (tenant_id, revision, updated_at) values ($1, 0, $2)
         on conflict (tenant_id) do update set revision = retention_policies.revision",
    )
    .bind(tenant)
    .bind(now)
    .execute(tx)
    .await?;
    policy(tx, tenant).await
}

/// Sets the claimed policy.
pub async fn set_policy(tx: &mut Tx, tenant: &Tenant, policy: &Policy) -> Result<()> {
    query("update retention_policies set keep_us = $2, revision = $3, updated_at = $4 where tenant_id = $1")
        .bind(tenant)
        .bind(policy.keep_us)
        .bind(policy.revision)
        .bind(policy.updated_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A legal hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// The matter.
    pub reason: String,
    /// What it covers: this subject's data,
    pub subject: Option<String>,
    /// resources that begin with this,
    pub resource_prefix: Option<String>,
    /// this actor's entries,
    pub actor: Option<String>,
    /// recorded from then on,
    pub recorded_from: Option<Timestamp>,
    /// and before then.
    pub recorded_until: Option<Timestamp>,
    /// Who engaged it.
    pub creator: String,
    /// When.
    pub created_at: Timestamp,
    /// Who released it.
    pub releaser: Option<String>,
    /// When.
    pub released_at: Option<Timestamp>,
    /// Why.
    pub release_reason: Option<String>,
}

fn hold(row: &Row) -> Result<Hold> {
    Ok(Hold {
        id: row.get("hold_id")?,
        reason: row.get("reason")?,
        subject: row.get("subject")?,
        resource_prefix: row.get("resource_prefix")?,
        actor: row.get("actor")?,
        recorded_from: row.get("recorded_from")?,
        recorded_until: row.get("recorded_until")?,
        creator: row.get("creator")?,
        created_at: row.get("created_at")?,
        releaser: row.get("releaser")?,
        released_at: row.get("released_at")?,
        release_reason: row.get("release_reason")?,
    })
}

/// Stores a new hold; false if the id is taken.
pub async fn insert_hold(tx: &mut Tx, tenant: &Tenant, hold: &Hold) -> Result<bool> {
    let inserted = query(
        "insert into legal_holds (tenant_id, hold_id, reason, subject, resource_prefix, actor, recorded_from,
             recorded_until, creator, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (tenant_id, hold_id) do nothing",
    )
    .bind(tenant)
    .bind(&hold.id)
    .bind(&hold.reason)
    .bind(hold.subject.clone())
    .bind(hold.resource_prefix.clone())
    .bind(hold.actor.clone())
    .bind(hold.recorded_from)
    .bind(hold.recorded_until)
    .bind(&hold.creator)
    .bind(hold.created_at)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// One hold.
pub async fn get_hold(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Hold>> {
    let row = query("select * from legal_holds where tenant_id = $1 and hold_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?;
    row.map(|row| hold(&row)).transpose()
}

/// Releases a hold that is in force; false if it is not.
pub async fn release_hold(
    tx: &mut Tx,
    tenant: &Tenant,
    id: &str,
    releaser: &str,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    let released = query(
        "update legal_holds set releaser = $3, released_at = $4, release_reason = $5
         where tenant_id = $1 and hold_id = $2 and released_at is null",
    )
    .bind(tenant)
    .bind(id)
    .bind(releaser)
    .bind(now)
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(released == 1)
}

/// A page of holds by id.
pub async fn list_holds(
    tx: &mut Tx,
    tenant: &Tenant,
    released: bool,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<Hold>> {
    let sql = Sql::new("select * from legal_holds where tenant_id = ").bind(tenant);
    let sql = if released { sql } else { sql.push(" and released_at is null") };
    let sql = sql.and_after(&["hold_id"], Order::Ascending, after).order_limit(&["hold_id"], Order::Ascending, limit);
    sql.query().fetch_all(tx).await?.iter().map(hold).collect()
}

/// All holds in force.
pub async fn active_holds(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<Hold>> {
    let rows = query("select * from legal_holds where tenant_id = $1 and released_at is null order by hold_id")
        .bind(tenant)
        .fetch_all(tx)
        .await?;
    rows.iter().map(hold).collect()
}

/// The condition that an entry is under `hold`; true or false, never null.
fn covered(mut sql: Sql, hold: &Hold) -> Sql {
    sql = sql.push("coalesce(tenant_id is not null");
    if let Some(subject) = &hold.subject {
        sql = sql.push(" and subject = ").bind(subject);
    }
    if let Some(prefix) = &hold.resource_prefix {
        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        sql = sql.push(" and substr(resource, 1, cast(").bind(length).push(" as integer)) = ").bind(prefix);
    }
    if let Some(actor) = &hold.actor {
        sql = sql.push(" and actor = ").bind(actor);
    }
    if let Some(from) = hold.recorded_from {
        sql = sql.push(" and recorded_at >= ").bind(from);
    }
    if let Some(until) = hold.recorded_until {
        sql = sql.push(" and recorded_at < ").bind(until);
    }
    sql.push(", false)")
}

/// Whether any entry of `subject` is under `hold`.
pub async fn covers_subject(tx: &mut Tx, tenant: &Tenant, hold: &Hold, subject: &str) -> Result<bool> {
    if hold.subject.as_deref().is_some_and(|held| held != subject) {
        return Ok(false);
    }
    if hold.subject.is_some() && hold.resource_prefix.is_none() && hold.actor.is_none() {
        return Ok(true);
    }
    let sql = Sql::new("select idx from entries where tenant_id = ").bind(tenant).push(" and subject = ").bind(subject);
    Ok(covered(sql.push(" and "), hold).push(" limit 1").query().fetch_optional(tx).await?.is_some())
}

/// The action of prunings, whose entries are never pruned: they account for what is missing.
pub const PRUNE: &str = "audit.entries.prune";

fn prunable(sql: Sql, tenant: &Tenant, end: u64) -> Sql {
    sql.bind(tenant).push(" and idx < ").bind(signed(end)).push(" and action <> ").bind(PRUNE)
}

/// How many entries below `end` could be pruned, and how many of them holds keep.
pub async fn count_prunable(tx: &mut Tx, tenant: &Tenant, end: u64, holds: &[Hold]) -> Result<(i64, i64)> {
    let all = prunable(Sql::new("select count(*) as n from entries where tenant_id = "), tenant, end);
    let all: i64 = all.query().fetch_one(tx).await?.get("n")?;
    let mut free = prunable(Sql::new("select count(*) as n from entries where tenant_id = "), tenant, end);
    for hold in holds {
        free = covered(free.push(" and not "), hold);
    }
    let free: i64 = free.query().fetch_one(tx).await?.get("n")?;
    Ok((free, all - free))
}

/// Deletes entries below `end` that no hold keeps, the oldest first, at most `limit`; returns their indexes
/// in order.
pub async fn prune(tx: &mut Tx, tenant: &Tenant, end: u64, holds: &[Hold], limit: i64) -> Result<Vec<u64>> {
    let mut sql = Sql::new("delete from entries where tenant_id = ").bind(tenant).push(" and idx in (");
    sql = prunable(sql.push("select idx from entries where tenant_id = "), tenant, end);
    for hold in holds {
        sql = covered(sql.push(" and not "), hold);
    }
    let rows = sql.push(" order by idx limit ").bind(limit).push(") returning idx").query().fetch_all(tx).await?;
    let mut pruned = rows.iter().map(|row| row.get::<i64>("idx").map(unsigned)).collect::<Result<Vec<_>>>()?;
    pruned.sort_unstable();
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

/// The digest of spans that a pruning's entry states: over `start-end` and a line feed for each.
pub fn spans_digest<'a>(spans: impl Iterator<Item = &'a Span>) -> String {
    let text: String = spans.map(|span| format!("{}-{}\n", span.start, span.end)).collect();
    remit_core::digest::sha256(text.as_bytes())
}

/// Stores spans.
pub async fn insert_spans(tx: &mut Tx, tenant: &Tenant, spans: &[Span], now: Timestamp) -> Result<()> {
    BulkInsert::into("prunings")
        .text("tenant_id", vec![tenant.as_str().to_owned(); spans.len()])
        .bigint("start_idx", spans.iter().map(|span| signed(span.start)).collect::<Vec<_>>())
        .bigint("end_idx", spans.iter().map(|span| signed(span.end)).collect::<Vec<_>>())
        .text("event_id", spans.iter().map(|span| span.event_id.clone()).collect::<Vec<_>>())
        .bigint("pruned_at", vec![now.0; spans.len()])
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
