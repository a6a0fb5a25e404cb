//! The head row of each log.

use super::damaged;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Row, Sql, Tx, query};
use remit_tlog::{Frontier, Hash, empty_root};

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of entries.
    pub size: u64,
    /// The root hash.
    pub root: Hash,
    /// The right edge, from which the log grows.
    pub frontier: Frontier,
    /// The signed checkpoint; empty before the first entry.
    pub checkpoint: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { size: 0, root: empty_root(), frontier: Frontier::default(), checkpoint: String::new() }
    }
}

/// The columns of a head row as they are, for `fsck`.
pub struct RawHead {
    /// The number of entries.
    pub size: i64,
    /// The root hash.
    pub root: Vec<u8>,
    /// The frontier's hashes.
    pub frontier: Vec<u8>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

fn raw(row: &Row) -> Result<RawHead> {
    Ok(RawHead {
        size: row.get("size")?,
        root: row.get("root_hash")?,
        frontier: row.get("frontier")?,
        checkpoint: row.get("checkpoint")?,
    })
}

fn head(row: &Row) -> Result<Head> {
    let raw = raw(row)?;
    let size = u64::try_from(raw.size).map_err(|_| damaged("the head has a negative size"))?;
    let hashes = Hash::split(&raw.frontier).map_err(|error| damaged(format!("head: {error}")))?;
    Ok(Head {
        size,
        root: Hash::from_slice(&raw.root).map_err(|error| damaged(format!("head: {error}")))?,
        frontier: Frontier::new(size, hashes).map_err(|error| damaged(format!("head: {error}")))?,
        checkpoint: raw.checkpoint,
    })
}

/// The entries of all logs.
pub(crate) async fn entries(tx: &mut Tx) -> Result<i64> {
    let sql = "select cast(coalesce(sum(size), 0) as bigint) as entries, count(tenant_id) as logs from log_heads";
    query(sql).fetch_one(tx).await?.get("entries")
}

/// The logs that have changed since a time, by the clock of whoever changed them, with their sizes and when that was. A
/// row that cannot be read is passed over: it hides no other, and whoever reads that log finds out.
pub(crate) async fn grown(tx: &mut Tx, since: Timestamp) -> Result<Vec<(Tenant, u64, Timestamp)>> {
    // Without an index: each append would have to keep it, and there is one row a tenant.
    let sql = "select tenant_id, size, update_time from log_heads where update_time >= $1";
    let read = |row: &Row| {
        let (tenant, size) = (row.get::<String>("tenant_id").ok()?, row.get::<i64>("size").ok()?);
        let at = Timestamp(row.get("update_time").ok()?);
        Some((Tenant::new(tenant).ok()?, u64::try_from(size).ok()?, at))
    };
    Ok(query(sql).bind(since).fetch_all(tx).await?.iter().filter_map(read).collect())
}

/// Locks the head row until the end of the transaction and returns it; begins the log if it is new.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<Head> {
    let row = query(
        "insert into log_heads (tenant_id, size, root_hash, frontier, checkpoint, update_time)
         values ($1, 0, $2, $3, '', $4)
         on conflict (tenant_id) do update set update_time = excluded.update_time
         returning size, root_hash, frontier, checkpoint",
    )
    .bind(tenant)
    .bind(empty_root().0)
    .bind(Vec::<u8>::new())
    .bind(now)
    .fetch_one(tx)
    .await?;
    head(&row)
}

/// Moves the claimed head row to its next state.
pub async fn update(tx: &mut Tx, tenant: &Tenant, head: &Head) -> Result<()> {
    query("update log_heads set size = $2, root_hash = $3, frontier = $4, checkpoint = $5 where tenant_id = $1")
        .bind(tenant)
        .bind(signed(head.size))
        .bind(head.root.0)
        .bind(Hash::join(head.frontier.hashes()))
        .bind(&head.checkpoint)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The statement that moves the head from `old` to its next state, if it is still `old` in every column.
pub fn advance(tenant: &Tenant, old: &Head, head: &Head, now: Timestamp) -> Sql {
    let sql = Sql::new("update log_heads").push(" set size = ").bind(signed(head.size));
    let sql = sql.push(", root_hash = ").bind(head.root.0);
    let sql = sql.push(", frontier = ").bind(Hash::join(head.frontier.hashes()));
    let sql = sql.push(", checkpoint = ").bind(&head.checkpoint).push(", update_time = ").bind(now);
    let sql = sql.push(" where tenant_id = ").bind(tenant).push(" and size = ").bind(signed(old.size));
    let sql = sql.push(" and root_hash = ").bind(old.root.0).push(" and frontier = ");
    sql.bind(Hash::join(old.frontier.hashes())).push(" and checkpoint = ").bind(&old.checkpoint)
}

/// The head; that of an empty log if there is none yet.
pub async fn read(tx: &mut Tx, tenant: &Tenant) -> Result<Head> {
    let row = query("select size, root_hash, frontier, checkpoint from log_heads where tenant_id = $1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    row.map_or_else(|| Ok(Head::default()), |row| head(&row))
}

/// The head row as it is.
pub async fn read_raw(tx: &mut Tx, tenant: &Tenant) -> Result<Option<RawHead>> {
    let row = query("select size, root_hash, frontier, checkpoint from log_heads where tenant_id = $1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    row.map(|row| raw(&row)).transpose()
}

/// The size of the log alone.
pub async fn size(tx: &mut Tx, tenant: &Tenant) -> Result<u64> {
    let row = query("select size from log_heads where tenant_id = $1").bind(tenant).fetch_optional(tx).await?;
    let size = row.map_or(Ok(0), |row| row.get::<i64>("size"))?;
    u64::try_from(size).map_err(|_| damaged("the head has a negative size"))
}

/// A size or index as a column has it. The log refuses to grow beyond what fits.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An index as a column has it, as a number without sign.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
