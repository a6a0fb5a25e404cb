//! Feeds for watch streams: first the current items, then the changes, in the order of commit.
//!
//! A feed keeps the latest body of each key, numbered by a revision per tenant and feed that comes
//! from a row locked until commit: whoever has read up to a revision has seen all before it. Changes
//! of one key in quick succession may be seen as the last of them.

use crate::bulk::BulkInsert;
use crate::query;
use crate::shared::Signal;
use crate::tx::Tx;
use crate::value::Row;
use remit_core::{Error, Result, Tenant};
use std::collections::BTreeMap;

/// One item of a feed, or the mark of its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// When it changed, in the feed's own count.
    pub revision: i64,
    /// Which item, such as a resource name.
    pub key: String,
    /// What it is now; `None` once deleted.
    pub body: Option<Vec<u8>>,
}

impl Item {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { revision: row.get("revision")?, key: row.get("item_key")?, body: row.get("body")? })
    }
}

pub(crate) struct Change {
    pub feed: String,
    pub key: String,
    pub body: Option<Vec<u8>>,
}

/// Appends changes. Heads are locked in the order of their names, so that no two writers wait for
/// each other.
pub(crate) async fn append(tx: &mut Tx, tenant: &Tenant, mut changes: Vec<Change>) -> Result<()> {
    changes.sort_by(|a, b| a.feed.cmp(&b.feed));
    for group in changes.chunk_by(|a, b| a.feed == b.feed) {
        let Some(first) = group.first() else { continue };
        let count = i64::try_from(group.len()).unwrap_or(i64::MAX);
        let head = query(
            "insert into remit_feed_heads (tenant_id, feed, revision, floor) values ($1, $2, $3, 0)
             on conflict (tenant_id, feed) do update set revision = remit_feed_heads.revision + excluded.revision
             returning revision",
        )
        .bind(tenant)
        .bind(&first.feed)
        .bind(count)
        .fetch_one(tx)
        .await?;
        let last: i64 = head.get("revision")?;
        // Of several changes of one key the last counts, and takes the last revision of them.
        let mut latest: BTreeMap<&str, (i64, &Option<Vec<u8>>)> = BTreeMap::new();
        for (change, revision) in group.iter().zip(last - count + 1..) {
            latest.insert(&change.key, (revision, &change.body));
        }
        BulkInsert::into("remit_feed_items")
            .text("tenant_id", latest.iter().map(|_| tenant.as_str().to_owned()))
            .text("feed", latest.iter().map(|_| first.feed.clone()))
            .text("item_key", latest.keys().map(|key| (*key).to_owned()))
            .bigint("revision", latest.values().map(|(revision, _)| *revision))
            .bytes("body", latest.values().map(|(_, body)| (*body).clone()))
            .on_conflict("(tenant_id, feed, item_key) do update set revision = excluded.revision, body = excluded.body")
            .execute(tx)
            .await?;
        tx.signal_at_commit(Signal::Feeds);
    }
    Ok(())
}

/// The latest revision, 0 before the first change.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn head(tx: &mut Tx, tenant: &Tenant, feed: &str) -> Result<i64> {
    let row = query("select revision from remit_feed_heads where tenant_id = $1 and feed = $2")
        .bind(tenant)
        .bind(feed)
        .fetch_optional(tx)
        .await?;
    row.map_or(Ok(0), |row| row.get("revision"))
}

/// The current items by key, at most `limit`, after the key `after` (empty from the start). Read
/// [`head`] first, in the same snapshot or before: changes after it then complete the picture.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn snapshot(tx: &mut Tx, tenant: &Tenant, feed: &str, after: &str, limit: i64) -> Result<Vec<Item>> {
    let rows = query(
        "select revision, item_key, body from remit_feed_items
         where tenant_id = $1 and feed = $2 and item_key > $3 and body is not null order by item_key limit $4",
    )
    .bind(tenant)
    .bind(feed)
    .bind(after)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(Item::from_row).collect()
}

/// What changed after `revision`, at most `limit`, in order.
///
/// # Errors
/// `FailedPrecondition` (`FEED_CURSOR_EXPIRED`) if deletions after `revision` have been purged, or if the
/// feed has not come that far because the database was restored: take a new snapshot.
pub async fn read_since(tx: &mut Tx, tenant: &Tenant, feed: &str, revision: i64, limit: i64) -> Result<Vec<Item>> {
    let rows = query(
        "select revision, item_key, body from remit_feed_items
         where tenant_id = $1 and feed = $2 and revision > $3 order by revision limit $4",
    )
    .bind(tenant)
    .bind(feed)
    .bind(revision)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    // After the items, so that a purge in between is noticed even without a snapshot.
    let head = query("select revision, floor from remit_feed_heads where tenant_id = $1 and feed = $2")
        .bind(tenant)
        .bind(feed)
        .fetch_optional(tx)
        .await?;
    let (last, floor): (i64, i64) = match head {
        Some(row) => (row.get("revision")?, row.get("floor")?),
        None => (0, 0),
    };
    if revision < floor || revision > last {
        return Err(Error::precondition(
            "FEED_CURSOR_EXPIRED",
            "the changes since this cursor are no longer known: start again without a cursor",
        ));
    }
    rows.iter().map(Item::from_row).collect()
}

/// Forgets the deletions up to `revision`; cursors before it expire. Returns how many.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn purge_deletions(tx: &mut Tx, tenant: &Tenant, feed: &str, revision: i64) -> Result<u64> {
    let claimed = query(
        "update remit_feed_heads set floor = $3
         where tenant_id = $1 and feed = $2 and floor < $3 and revision >= $3",
    )
    .bind(tenant)
    .bind(feed)
    .bind(revision)
    .execute(tx)
    .await?;
    if claimed == 0 {
        return Ok(0);
    }
    query("delete from remit_feed_items where tenant_id = $1 and feed = $2 and revision <= $3 and body is null")
        .bind(tenant)
        .bind(feed)
        .bind(revision)
        .execute(tx)
        .await
}
