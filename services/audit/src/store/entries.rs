//! Entries: inserted by the sequencer, read by everybody.

use super::damaged;
use super::heads::{signed, unsigned};
use super::times::{self, Within};
use crate::leaf::Leaf;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::{Field, Fragment, TimeSpan};
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
    /// The same, decoded, for the columns.
    pub leaf: Leaf,
    /// `occurred_at` and `recorded_at`.
    pub times: (Timestamp, Timestamp),
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

/// The search columns of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    event_id: String,
    actor: String,
    actor_kind: String,
    on_behalf_of: Option<String>,
    action: String,
    resource: String,
    outcome: String,
    service: String,
    occurred_at: i64,
    recorded_at: i64,
    request_id: Option<String>,
    trace_id: Option<String>,
    subject: Option<String>,
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Columns {
    /// What the columns of a leaf are.
    pub fn of(leaf: &Leaf, times: (Timestamp, Timestamp)) -> Self {
        Self {
            event_id: leaf.id.clone(),
            actor: leaf.actor.subject.clone(),
            actor_kind: leaf.actor.kind.clone(),
            on_behalf_of: given(&leaf.actor.on_behalf_of),
            action: leaf.action.clone(),
            resource: leaf.resource.clone(),
            outcome: leaf.outcome.clone(),
            service: leaf.service.clone(),
            occurred_at: times.0.0,
            recorded_at: times.1.0,
            request_id: given(&leaf.request_id),
            trace_id: given(&leaf.trace_id),
            subject: leaf.personal.as_ref().map(|personal| personal.subject.clone()),
        }
    }

    /// The subject of personal data.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `occurred_at` and `recorded_at`.
    pub fn times(&self) -> (i64, i64) {
        (self.occurred_at, self.recorded_at)
    }

    /// What the columns of a row are.
    pub fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            event_id: row.get("event_id")?,
            actor: row.get("actor")?,
            actor_kind: row.get("actor_kind")?,
            on_behalf_of: row.get("on_behalf_of")?,
            action: row.get("action")?,
            resource: row.get("resource")?,
            outcome: row.get("outcome")?,
            service: row.get("service")?,
            occurred_at: row.get("occurred_at")?,
            recorded_at: row.get("recorded_at")?,
            request_id: row.get("request_id")?,
            trace_id: row.get("trace_id")?,
            subject: row.get("subject")?,
        })
    }
}

/// Inserts entries; those whose event id is taken are left out, which the count tells.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, entries: &[NewEntry]) -> Result<u64> {
    let columns: Vec<Columns> = entries.iter().map(|entry| Columns::of(&entry.leaf, entry.times)).collect();
    macro_rules! column {
        ($name:ident) => {
            columns.iter().map(|row| row.$name.clone()).collect::<Vec<_>>()
        };
    }
    BulkInsert::into("entries")
        .text("tenant_id", vec![tenant.as_str().to_owned(); entries.len()])
        .bigint("idx", entries.iter().map(|entry| signed(entry.index)).collect::<Vec<_>>())
        .bytes("leaf_hash", entries.iter().map(|entry| entry.hash.0.to_vec()).collect::<Vec<_>>())
        .bytes("leaf", entries.iter().map(|entry| entry.line.clone()).collect::<Vec<_>>())
        .text("event_id", column!(event_id))
        .text("actor", column!(actor))
        .text("actor_kind", column!(actor_kind))
        .text("on_behalf_of", column!(on_behalf_of))
        .text("action", column!(action))
        .text("resource", column!(resource))
        .text("outcome", column!(outcome))
        .text("service", column!(service))
        .bigint("occurred_at", column!(occurred_at))
        .bigint("recorded_at", column!(recorded_at))
        .text("request_id", column!(request_id))
        .text("trace_id", column!(trace_id))
        .text("subject", column!(subject))
        .on_conflict_do_nothing()
        .execute(tx)
        .await
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

fn stored(row: &Row) -> Result<Stored> {
    plain(row, row.get::<Option<i64>>("sealed_idx")?.is_some())
}

const SELECT: &str = "select e.idx, e.leaf_hash, e.leaf, p.idx as sealed_idx from entries e
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

/// What entries can be searched by.
pub const FIELDS: &[Field] = &[
    Field::key("id", "e.event_id"),
    Field::key("actor", "e.actor").subjects(),
    Field::words("actor_kind", "e.actor_kind", &["human", "ai", "service"]),
    Field::key("on_behalf_of", "e.on_behalf_of").subjects(),
    Field::key("action", "e.action"),
    Field::key("resource", "e.resource"),
    Field::words("outcome", "e.outcome", &["SUCCESS", "DENIED", "FAILURE"]),
    Field::key("service", "e.service").subjects(),
    Field::key("request_id", "e.request_id"),
    Field::key("trace_id", "e.trace_id"),
    Field::key("subject", "e.subject"),
    Field::timestamp("occurred_at", "e.occurred_at"),
    Field::timestamp("recorded_at", "e.recorded_at"),
    Field::bigint("index", "e.idx"),
];

/// The statement that finds the entries `within` that pass `filter`, after the one at `after`, at most `limit`;
/// `begun` is empty, or what explains the statement instead of running it.
pub fn search_sql(
    begun: &'static str,
    tenant: &Tenant,
    filter: &Fragment,
    within: Option<Within>,
    order: Order,
    after: Option<i64>,
    limit: i64,
) -> Sql {
    let mut sql = Sql::new(begun).push(SELECT).bind(tenant).and_filter(filter);
    if let Some((start, end)) = within {
        sql = sql.push(" and e.idx >= ").bind(signed(start)).push(" and e.idx < ").bind(signed(end));
    }
    if let Some(after) = after {
        let compare = if order == Order::Ascending { " and e.idx > " } else { " and e.idx < " };
        sql = sql.push(compare).bind(after);
    }
    sql.order_limit(&["e.idx"], order, limit)
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The entries, in order.
    pub entries: Vec<Stored>,
    /// After which index to go on, where the search ended before it had enough and before the end of the log.
    pub resume: Option<i64>,
}

/// How many comparisons of parts of texts one search makes at most, and how many entries it looks at at least.
const MOST_COMPARISONS: u64 = 200_000;
const LEAST_ENTRIES: u64 = 2_000;

/// How many entries a search may look at, if that is bounded: where no index serves the filter.
fn most_entries(filter: &Fragment) -> Option<u64> {
    let terms = u64::try_from(filter.terms()).unwrap_or(u64::MAX).max(1);
    filter.is_scan().then(|| (MOST_COMPARISONS / terms).max(LEAST_ENTRIES))
}

/// The entries that pass `filter`, after the one at `after`, at most `limit`; fewer where that is a long way.
pub async fn search(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    order: Order,
    after: Option<i64>,
    limit: i64,
) -> Result<Found> {
    if let Some(most) = most_entries(filter) {
        return scan(tx, tenant, filter, (order, after, limit), most).await;
    }
    for (places, last) in places(tx, tenant, filter, order, after).await? {
        let sql = search_sql("", tenant, filter, places, order, after, limit);
        let found = sql.query().fetch_all(tx).await?;
        if last || i64::try_from(found.len()).unwrap_or(i64::MAX) >= limit {
            return Ok(Found { entries: found.iter().map(stored).collect::<Result<_>>()?, resume: None });
        }
    }
    Ok(Found::default())
}

/// The same, looking at `most` entries.
async fn scan(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    (order, after, limit): (Order, Option<i64>, i64),
    most: u64,
) -> Result<Found> {
    let within = times::within(tx, tenant, filter.span("recorded_at"), filter.span("occurred_at")).await?;
    let size = super::heads::size(tx, tenant).await?;
    let (within, resume) = look(within.unwrap_or((0, size)), size, order, after, most);
    let sql = search_sql("", tenant, filter, Some(within), order, after, limit);
    let found = sql.query().fetch_all(tx).await?;
    let full = i64::try_from(found.len()).unwrap_or(i64::MAX) >= limit;
    let entries = found.iter().map(stored).collect::<Result<_>>()?;
    Ok(Found { entries, resume: resume.filter(|_| !full) })
}

/// The next `most` entries of a span, after the one at `after`; and after which to go on, if they are not all.
fn look((start, end): Within, size: u64, order: Order, after: Option<i64>, most: u64) -> (Within, Option<i64>) {
    let end = end.min(size);
    match order {
        Order::Ascending => {
            let first = start.max(after.map_or(0, |after| unsigned(after) + 1));
            let last = end.min(first.saturating_add(most));
            ((first, last), (last < end).then(|| signed(last) - 1))
        }
        Order::Descending => {
            let last = end.min(after.map_or(size, unsigned));
            let first = start.max(last.saturating_sub(most));
            ((first, last), (first > start && first < last).then(|| signed(first)))
        }
    }
}

/// How many entries are looked at one by one before an index that is not in the order of the log is used.
const PROBE: u64 = 4_096;

/// Where to look, one place after the other until enough is found; the last covers the others.
///
/// The entries with one prefix come from an index in the order of their text, and to find the newest of many
/// means to sort them all. Where they are many, some are near the end; so that is where to look first.
pub async fn places(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    order: Order,
    after: Option<i64>,
) -> Result<Vec<(Option<Within>, bool)>> {
    let within = times::within(tx, tenant, filter.span("recorded_at"), filter.span("occurred_at")).await?;
    if !filter.is_ranged() {
        return Ok(vec![(within, true)]);
    }
    let (start, end) = within.unwrap_or((0, unsigned(i64::MAX)));
    let probe = match order {
        Order::Ascending => {
            let first = start.max(after.map_or(0, |after| unsigned(after) + 1));
            (first, end.min(first + PROBE))
        }
        Order::Descending => {
            let size = super::heads::size(tx, tenant).await?;
            let last = end.min(after.map_or(size, unsigned));
            (start.max(last.saturating_sub(PROBE)), last)
        }
    };
    Ok(vec![(Some(probe), false), (within, true)])
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
    let times = TimeSpan { from: span.0, until: span.1 };
    let sql = match times::within(tx, tenant, times, TimeSpan::default()).await? {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The stretches that are looked at, one after the other, until the end.
    fn stretches(span: Within, size: u64, order: Order, most: u64) -> Vec<Within> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (within, resume) = look(span, size, order, after, most);
            all.push(within);
            match resume {
                Some(_) => after = resume,
                None => return all,
            }
        }
    }

    #[test]
    fn a_search_in_steps_looks_at_every_entry_once() {
        use Order::{Ascending, Descending};
        assert_eq!(stretches((0, 10), 10, Ascending, 4), [(0, 4), (4, 8), (8, 10)]);
        assert_eq!(stretches((0, 10), 10, Descending, 4), [(6, 10), (2, 6), (0, 2)]);
        assert_eq!(stretches((3, 9), 10, Ascending, 4), [(3, 7), (7, 9)]);
        assert_eq!(stretches((3, 9), 10, Descending, 4), [(5, 9), (3, 5)]);
        assert_eq!(stretches((0, u64::MAX), 8, Ascending, 4), [(0, 4), (4, 8)]);
        assert_eq!(stretches((0, u64::MAX), 8, Descending, 4), [(4, 8), (0, 4)]);
        assert_eq!(stretches((0, 0), 0, Ascending, 4), [(0, 0)]);
        assert_eq!(stretches((0, 0), 0, Descending, 4), [(0, 0)]);
    }
}
