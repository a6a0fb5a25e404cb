//! Where in the log a span of time is.
//!
//! Entries come nearly in the order of time, but only nearly: a service may deliver late, and what happened
//! long ago may be recorded today. So for each full tile the first and last times under it are kept, and a
//! search by time looks between the first and the last tile that its span touches.

use super::heads::{self, signed, unsigned};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::TimeSpan;
use remit_store::{BulkInsert, Row, Sql, Tx, query};
use remit_tlog::tile::WIDTH;

/// Where to look for entries: from one index to before another.
pub type Within = (u64, u64);

/// Notes the times of the entries under full tiles of level 0.
pub async fn note(tx: &mut Tx, tenant: &Tenant, tiles: &[(u64, Times)]) -> Result<()> {
    let column = |time: &dyn Fn(&Times) -> i64| tiles.iter().map(|(_, times)| time(times)).collect::<Vec<_>>();
    BulkInsert::into("tile_times")
        .text("tenant_id", vec![tenant.as_str().to_owned(); tiles.len()])
        .bigint("idx", tiles.iter().map(|(tile, _)| signed(*tile)).collect::<Vec<_>>())
        .bigint("recorded_first", column(&|times| times.recorded.0))
        .bigint("recorded_last", column(&|times| times.recorded.1))
        .bigint("occurred_first", column(&|times| times.occurred.0))
        .bigint("occurred_last", column(&|times| times.occurred.1))
        .bigint("integrated_first", column(&|times| times.integrated.0))
        .bigint("integrated_last", column(&|times| times.integrated.1))
        .execute(tx)
        .await
        .map(|_| ())
}

/// The times under one tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The first and last time of recording.
    pub recorded: (i64, i64),
    /// The first and last time of occurrence.
    pub occurred: (i64, i64),
    /// The first and last time of being taken in.
    pub integrated: (i64, i64),
}

impl Times {
    /// Those of entries with these times, `occurred_at`, `recorded_at` and `integrated_at`.
    pub fn of(times: impl IntoIterator<Item = (i64, i64, i64)>) -> Option<Self> {
        let widen = |(first, last): (i64, i64), at: i64| (first.min(at), last.max(at));
        times.into_iter().fold(None, |all: Option<Self>, (occurred, recorded, integrated)| {
            let both = |at: i64| (at, at);
            let first = Self { recorded: both(recorded), occurred: both(occurred), integrated: both(integrated) };
            let all = all.unwrap_or(first);
            Some(Self {
                recorded: widen(all.recorded, recorded),
                occurred: widen(all.occurred, occurred),
                integrated: widen(all.integrated, integrated),
            })
        })
    }
}

/// What was noted of the tiles from `start` on, by index, at most `limit`.
pub async fn read(tx: &mut Tx, tenant: &Tenant, start: u64, limit: i64) -> Result<Vec<(u64, Times)>> {
    let rows = query("select * from tile_times where tenant_id = $1 and idx >= $2 order by idx limit $3")
        .bind(tenant)
        .bind(signed(start))
        .bind(limit)
        .fetch_all(tx)
        .await?;
    let times = |row: &Row| {
        let recorded = (row.get("recorded_first")?, row.get("recorded_last")?);
        let occurred = (row.get("occurred_first")?, row.get("occurred_last")?);
        let integrated = (row.get("integrated_first")?, row.get("integrated_last")?);
        Ok((unsigned(row.get("idx")?), Times { recorded, occurred, integrated }))
    };
    rows.iter().map(times).collect()
}

fn touching(mut sql: Sql, span: TimeSpan, first: &'static str, last: &'static str) -> Sql {
    if let Some(from) = span.from {
        sql = sql.push(" and ").push(last).push(" >= ").bind(from);
    }
    if let Some(until) = span.until {
        sql = sql.push(" and ").push(first).push(" <= ").bind(until);
    }
    sql
}

/// Spans of the times of an entry, of which each may be open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spans {
    /// When it was recorded.
    pub recorded: TimeSpan,
    /// When it occurred.
    pub occurred: TimeSpan,
    /// When it was taken in.
    pub integrated: TimeSpan,
}

/// The indexes between which all entries of all spans are; none if the spans say nothing.
pub async fn within(tx: &mut Tx, tenant: &Tenant, spans: Spans) -> Result<Option<Within>> {
    let Spans { recorded, occurred, integrated } = spans;
    if recorded.is_open() && occurred.is_open() && integrated.is_open() {
        return Ok(None);
    }
    // In this order: what is appended meanwhile is after what was the end.
    let rest = heads::size(tx, tenant).await? / WIDTH * WIDTH;
    let tiles = Sql::new("select min(idx) as first, max(idx) as last from tile_times where tenant_id = ");
    let tiles = touching(tiles.bind(tenant), recorded, "recorded_first", "recorded_last");
    let tiles = touching(tiles, occurred, "occurred_first", "occurred_last");
    let tiles = touching(tiles, integrated, "integrated_first", "integrated_last").query().fetch_one(tx).await?;
    let tiles: (Option<i64>, Option<i64>) = (tiles.get("first")?, tiles.get("last")?);
    let tail = Sql::new("select idx from entries where tenant_id = ").bind(tenant);
    let tail = touching(tail.push(" and idx >= ").bind(signed(rest)), recorded, "recorded_at", "recorded_at");
    let tail = touching(tail, occurred, "occurred_at", "occurred_at");
    let tail = touching(tail, integrated, "integrated_at", "integrated_at").push(" limit 1").query();
    let open_end = tail.fetch_optional(tx).await?.is_some();
    Ok(Some(match (tiles, open_end) {
        ((Some(first), _), true) => (unsigned(first) * WIDTH, signed_max()),
        ((Some(first), Some(last)), false) => (unsigned(first) * WIDTH, (unsigned(last) + 1) * WIDTH),
        (_, true) => (rest, signed_max()),
        (_, false) => (rest, rest),
    }))
}

/// Beyond every index.
fn signed_max() -> u64 {
    unsigned(i64::MAX)
}

/// The first entry that was recorded at or after `cutoff`, if any.
pub async fn first_recorded(tx: &mut Tx, tenant: &Tenant, cutoff: Timestamp) -> Result<Option<u64>> {
    let spans = Spans { recorded: TimeSpan { from: Some(cutoff), until: None }, ..Spans::default() };
    let (start, _) = within(tx, tenant, spans).await?.unwrap_or((0, 0));
    let sql = "select idx from entries where tenant_id = $1 and idx >= $2 and recorded_at >= $3 order by idx limit 1";
    let row = query(sql).bind(tenant).bind(signed(start)).bind(cutoff).fetch_optional(tx).await?;
    row.map(|row| row.get::<i64>("idx").map(unsigned)).transpose()
}
