//! Entries: inserted by the sequencer, read by everybody.

use super::columns::Columns;
use super::damaged;
use super::heads::{signed, unsigned};
use super::times::{self, Spans};
use crate::leaf::Leaf;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::TimeSpan;
use remit_store::{BulkInsert, Order, Row, Sql, Tx, query};
use remit_tlog::Hash;

/// An entry as it is inserted.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The position.
    pub index: u64,
    /// The leaf hash.
    pub hash: Hash,
    /// The bytes that are hashed.
    pub line: Vec<u8>,
    /// What it can be searched by.
    pub columns: Columns,
}

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The position.
    pub index: u64,
    /// The leaf hash.
    pub hash: Vec<u8>,
    /// The bytes that are hashed.
    pub line: Vec<u8>,
    /// Whether its sealed personal data is there; false also if it never had any.
    pub sealed: bool,
}

/// Inserts entries; those whose event id is taken are left out, which the count tells.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, entries: &[NewEntry]) -> Result<u64> {
    rows(tenant, entries).execute(tx).await
}

/// The same if `claim` finds its row; otherwise none is inserted.
pub async fn insert_claiming(tx: &mut Tx, tenant: &Tenant, entries: &[NewEntry], claim: Sql) -> Result<u64> {
    rows(tenant, entries).claiming(claim).execute(tx).await
}

fn rows(tenant: &Tenant, entries: &[NewEntry]) -> BulkInsert {
    let insert = BulkInsert::into("entries")
        .text("tenant_id", vec![tenant.as_str().to_owned(); entries.len()])
        .bigint("idx", entries.iter().map(|entry| signed(entry.index)).collect::<Vec<_>>())
        .bytes("leaf_hash", entries.iter().map(|entry| entry.hash.0.to_vec()).collect::<Vec<_>>())
        .bytes("leaf", entries.iter().map(|entry| entry.line.clone()).collect::<Vec<_>>());
    let columns: Vec<&Columns> = entries.iter().map(|entry| &entry.columns).collect();
    Columns::insert(insert, &columns).on_conflict_do_nothing()
}

/// The entries that have one of these event ids, by id.
pub async fn by_event_ids(tx: &mut Tx, tenant: &Tenant, ids: &[&str]) -> Result<Vec<(String, Stored)>> {
    let mut found = Vec::new();
    for chunk in ids.chunks(250) {
        let mut sql = Sql::new("select event_id, idx, leaf_hash, leaf from entries where tenant_id = ").bind(tenant);
        sql = sql.push(" and event_id in (");
        for (at, id) in chunk.iter().enumerate() {
            sql = if at == 0 { sql.bind(*id) } else { sql.push(", ").bind(*id) };
        }
        for row in sql.push(")").query().fetch_all(tx).await? {
            found.push((row.get("event_id")?, plain(&row, false)?));
        }
    }
    Ok(found)
}

fn plain(row: &Row, sealed: bool) -> Result<Stored> {
    Ok(Stored { index: unsigned(row.get("idx")?), hash: row.get("leaf_hash")?, line: row.get("leaf")?, sealed })
}

pub(super) fn stored(row: &Row) -> Result<Stored> {
    plain(row, row.get::<Option<i64>>("sealed_idx")?.is_some())
}

pub(super) const SELECT: &str = "select e.idx, e.leaf_hash, e.leaf, p.idx as sealed_idx from entries e
     left join personal_data p on p.tenant_id = e.tenant_id and p.idx = e.idx where e.tenant_id = ";

/// One entry; none if it is not there or was pruned.
pub async fn get(tx: &mut Tx, tenant: &Tenant, index: u64) -> Result<Option<Stored>> {
    let sql = Sql::new(SELECT).bind(tenant).push(" and e.idx = ").bind(signed(index));
    sql.query().fetch_optional(tx).await?.map(|row| stored(&row)).transpose()
}

/// The entries from `start` to `end` that are there, by index, at most `limit`.
pub async fn range(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64, limit: i64) -> Result<Vec<Stored>> {
    let sql = Sql::new(SELECT).bind(tenant).push(" and e.idx >= ").bind(signed(start));
    let sql = sql.push(" and e.idx < ").bind(signed(end)).order_limit(&["e.idx"], Order::Ascending, limit);
    sql.query().fetch_all(tx).await?.iter().map(stored).collect()
}

/// One row of a summary.
#[derive(Debug, Clone)]
pub struct Count {
    /// The action.
    pub action: String,
    /// The outcome as in the column.
    pub outcome: String,
    /// The service.
    pub service: String,
    /// The kind of actor as in the column.
    pub actor_kind: String,
    /// How many.
    pub count: i64,
}

/// The condition that entries were recorded in a span, and where they are.
async fn recorded(tx: &mut Tx, sql: Sql, tenant: &Tenant, span: (Option<Timestamp>, Option<Timestamp>)) -> Result<Sql> {
    let spans = Spans { recorded: TimeSpan { from: span.0, until: span.1 }, ..Spans::default() };
    let sql = match times::within(tx, tenant, spans).await? {
        Some((start, end)) => sql.push(" and idx >= ").bind(signed(start)).push(" and idx < ").bind(signed(end)),
        None => sql,
    };
    let sql = match span.0 {
        Some(start) => sql.push(" and recorded_at >= ").bind(start),
        None => sql,
    };
    Ok(match span.1 {
        Some(end) => sql.push(" and recorded_at < ").bind(end),
        None => sql,
    })
}

/// How many entries of a span of `recorded_at` share action, outcome, service and kind of actor.
pub async fn count(tx: &mut Tx, tenant: &Tenant, span: (Option<Timestamp>, Option<Timestamp>)) -> Result<Vec<Count>> {
    let sql = Sql::new("select action, outcome, service, actor_kind, count(*) as n from entries where tenant_id = ");
    let sql = recorded(tx, sql.bind(tenant), tenant, span).await?;
    let sql = sql.push(" group by action, outcome, service, actor_kind");
    let rows = sql.push(" order by n desc, action, outcome, service, actor_kind").query().fetch_all(tx).await?;
    let count = |row: &Row| {
        Ok(Count {
            action: row.get("action")?,
            outcome: row.get("outcome")?,
            service: row.get("service")?,
            actor_kind: row.get("actor_kind")?,
            count: row.get("n")?,
        })
    };
    rows.iter().map(count).collect()
}

/// The number of actors, the smallest and the greatest index of a span of `recorded_at`.
pub async fn extent(
    tx: &mut Tx,
    tenant: &Tenant,
    span: (Option<Timestamp>, Option<Timestamp>),
) -> Result<(i64, Option<i64>, Option<i64>)> {
    let sql = Sql::new(
        "select count(distinct actor) as actors, min(idx) as first, max(idx) as last from entries where tenant_id = ",
    );
    let row = recorded(tx, sql.bind(tenant), tenant, span).await?.query().fetch_one(tx).await?;
    Ok((row.get("actors")?, row.get("first")?, row.get("last")?))
}

/// An entry with its columns and sealed data, for `fsck` and exports.
pub struct Full {
    /// The entry.
    pub stored: Stored,
    /// Its columns.
    pub columns: Columns,
    /// Its sealed personal data, with subject and generation of the key.
    pub sealed: Option<(String, i64, Vec<u8>)>,
}

/// As [`range`], with columns and sealed data.
pub async fn full_range(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64, limit: i64) -> Result<Vec<Full>> {
    let rows = query(
        "select e.*, p.idx as sealed_idx, p.subject as sealed_subject, p.generation, p.sealed from entries e
         left join personal_data p on p.tenant_id = e.tenant_id and p.idx = e.idx
         where e.tenant_id = $1 and e.idx >= $2 and e.idx < $3 order by e.idx limit $4",
    )
    .bind(tenant)
    .bind(signed(start))
    .bind(signed(end))
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let full = |row: &Row| {
        let stored = stored(row)?;
        let sealed = match row.get::<Option<Vec<u8>>>("sealed")? {
            Some(sealed) => Some((row.get("sealed_subject")?, row.get("generation")?, sealed)),
            None => None,
        };
        Ok(Full { stored, columns: Columns::read(row)?, sealed })
    };
    rows.iter().map(full).collect()
}

/// The leaf hashes and columns of the entries from `start` to `end`, which must not have been pruned.
pub async fn columns(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64) -> Result<Vec<(Hash, Columns)>> {
    let found = columns_left(tx, tenant, start, end).await?;
    if found.len() as u64 != end - start {
        return Err(damaged(format!("{} of the entries {start} to {end} are there", found.len())));
    }
    Ok(found.into_iter().map(|(_, hash, columns)| (hash, columns)).collect())
}

/// Index, leaf hash and columns of those of the entries from `start` to `end` that are there.
pub async fn columns_left(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64) -> Result<Vec<(u64, Hash, Columns)>> {
    let sql = Sql::new("select idx, leaf_hash, ").push(Columns::NAMES).push(" from entries where tenant_id = ");
    let sql = sql.bind(tenant).push(" and idx >= ").bind(signed(start)).push(" and idx < ").bind(signed(end));
    let rows = sql.push(" order by idx").query().fetch_all(tx).await?;
    let hash = |bytes: Vec<u8>| Hash::from_slice(&bytes).map_err(|error| damaged(error.to_string()));
    rows.iter().map(|row| Ok((unsigned(row.get("idx")?), hash(row.get("leaf_hash")?)?, Columns::read(row)?))).collect()
}

/// The first entry at or beyond `index`, if any.
pub async fn first_from(tx: &mut Tx, tenant: &Tenant, index: u64) -> Result<Option<u64>> {
    let row = query("select min(idx) as first from entries where tenant_id = $1 and idx >= $2")
        .bind(tenant)
        .bind(signed(index))
        .fetch_one(tx)
        .await?;
    Ok(row.get::<Option<i64>>("first")?.map(unsigned))
}

impl Stored {
    /// The decoded leaf.
    ///
    /// # Errors
    /// `Internal` if the entry is damaged.
    pub fn leaf(&self) -> Result<Leaf> {
        Leaf::decode(&self.line).map_err(|why| damaged(format!("entry {}: {why}", self.index)))
    }
}
