//! Deliveries: one row an event and subscription.

use super::at;
use prost::Message;
use remit_api::notify::v1::{Delivery, DeliveryState, Subscription};
use remit_api::wire::Word as _;
use remit_core::{Result, Timestamp, name};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{BulkInsert, Mutation, Records, Sql, Value, query};
use std::collections::BTreeSet;
use std::ops::Range;

/// Deliveries, in the order of the log.
pub(crate) struct Deliveries;

impl Records for Deliveries {
    type Message = Delivery;
    const TABLE: &'static str = "deliveries";
    const NOT_FOUND: &'static str = "DELIVERY_NOT_FOUND";
    const SORT: &'static [Key] = &[Key::Int("entry_index")];
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", DeliveryState::WORDS),
        Field::text("resource", "resource"),
        Field::bigint("entry_index", "entry_index"),
        Field::timestamp("create_time", "create_time"),
    ];

    fn name(delivery: &Delivery) -> &str {
        &delivery.name
    }
    fn create_time(delivery: &Delivery) -> Timestamp {
        at(&delivery.create_time)
    }
    fn columns(delivery: &Delivery) -> Vec<(&'static str, Value)> {
        vec![
            ("parent", name::parent(&delivery.name).into()),
            ("state", delivery.state().word().into()),
            ("entry_index", delivery.entry_index.into()),
            ("resource", (&delivery.resource).into()),
            ("next_at", at(&delivery.next_attempt_time).into()),
        ]
    }
}

/// The deliveries of a claimed subscription that are to be sent at `now`, of each resource the first alone unless it asks
/// for no order, but for those with the indexes that are under way. That nobody else sends them meanwhile is said by the lease of the subscription.
pub(crate) async fn due(
    m: &mut Mutation,
    subscription: &Subscription,
    now: Timestamp,
    under_way: &[i64],
    most: i64,
) -> Result<Vec<Delivery>> {
    // Those that are under way are due too, and come first.
    let limit = most + i64::try_from(under_way.len()).unwrap_or(most);
    let tenant = m.tenant().clone();
    let rows = query(
        "select d.revision, d.body, d.entry_index from deliveries d
         where d.tenant_id = $1 and d.parent = $2 and d.state = 'PENDING' and d.next_at <= $3 and ($4 = 1 or not exists (
             select 1 from deliveries e
             where e.tenant_id = $1 and e.parent = $2 and e.resource = d.resource
                 and e.entry_index < d.entry_index and e.state = 'PENDING'))
         order by d.next_at, d.entry_index limit $5",
    )
    .bind(&tenant)
    .bind(&subscription.name)
    .bind(now)
    .bind(i64::from(subscription.unordered))
    .bind(limit)
    .fetch_all(m.tx())
    .await?;
    let mut due = Vec::new();
    for row in &rows {
        if !under_way.contains(&row.get("entry_index")?) {
            due.push(Deliveries::read(row)?);
        }
    }
    due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(due)
}

/// Deliveries of a claimed subscription that were not tried are due `at` that time.
pub(crate) async fn put_off(m: &mut Mutation, names: Vec<&str>, at: Timestamp) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let tenant = m.tenant().clone();
    let sql = Sql::new("update deliveries").push(" set next_at = ").bind(at).push(" where tenant_id = ");
    sql.bind(&tenant).push(" and name in ").bind_list(names).query().execute(m.tx()).await?;
    Ok(())
}

/// How many of a subscription are to be sent, counted up to `most`.
pub(crate) async fn pending(m: &mut Mutation, subscription: &str, most: i64) -> Result<i64> {
    let tenant = m.tenant().clone();
    let row = query(
        "select count(*) as n from (
             select 1 as one from deliveries where tenant_id = $1 and parent = $2 and state = 'PENDING' limit $3) counted",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(most)
    .fetch_one(m.tx())
    .await?;
    row.get("n")
}

/// Whether a claimed subscription has delivered anything since `since`.
pub(crate) async fn arrived(m: &mut Mutation, subscription: &str, since: Timestamp) -> Result<bool> {
    let tenant = m.tenant().clone();
    let found = query(
        "select 1 as one from deliveries
         where tenant_id = $1 and parent = $2 and state = 'DELIVERED' and next_at >= $3 limit 1",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(since)
    .fetch_optional(m.tx())
    .await?;
    Ok(found.is_some())
}

/// Forgets what a claimed subscription delivered before `before`.
pub(crate) async fn forget(m: &mut Mutation, subscription: &str, before: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    query("delete from deliveries where tenant_id = $1 and parent = $2 and state = 'DELIVERED' and next_at < $3")
        .bind(&tenant)
        .bind(subscription)
        .bind(before)
        .execute(m.tx())
        .await?;
    Ok(())
}

/// The deliveries of a claimed subscription with these indexes that are not waiting already, at most `most`.
pub(crate) async fn sent(
    m: &mut Mutation,
    subscription: &str,
    indexes: Range<i64>,
    dead_only: bool,
    most: i64,
) -> Result<Vec<Delivery>> {
    let tenant = m.tenant().clone();
    let rows = query(
        "select revision, body from deliveries
         where tenant_id = $1 and parent = $2 and entry_index >= $3 and entry_index < $4
             and (state = 'DEAD' or (state = 'DELIVERED' and $5 = 0))
         order by entry_index limit $6",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(indexes.start)
    .bind(indexes.end)
    .bind(i64::from(dead_only))
    .bind(most)
    .fetch_all(m.tx())
    .await?;
    rows.iter().map(Deliveries::read).collect()
}

/// The indexes of these for which a claimed subscription has a record.
pub(crate) async fn recorded(m: &mut Mutation, subscription: &str, indexes: &Range<i64>) -> Result<BTreeSet<i64>> {
    let tenant = m.tenant().clone();
    let rows = query(
        "select entry_index from deliveries
         where tenant_id = $1 and parent = $2 and entry_index >= $3 and entry_index < $4",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(indexes.start)
    .bind(indexes.end)
    .fetch_all(m.tx())
    .await?;
    rows.iter().map(|row| row.get("entry_index")).collect()
}

/// Writes how far deliveries of a claimed subscription are that were read of it: all at once, for there are many.
pub(crate) async fn settle(m: &mut Mutation, deliveries: &[Delivery]) -> Result<()> {
    let tenant = m.tenant().clone();
    let column = |of: fn(&Delivery) -> Value| deliveries.iter().map(of).collect::<Vec<Value>>();
    BulkInsert::into("deliveries")
        .text("tenant_id", vec![tenant.as_str().to_owned(); deliveries.len()])
        .text("name", deliveries.iter().map(|delivery| delivery.name.clone()))
        .bigint("revision", vec![1; deliveries.len()])
        .values("create_time", column(|delivery| at(&delivery.create_time).into()))
        .values("parent", column(|delivery| name::parent(&delivery.name).into()))
        .values("state", column(|delivery| delivery.state().word().into()))
        .values("entry_index", column(|delivery| delivery.entry_index.into()))
        .values("resource", column(|delivery| (&delivery.resource).into()))
        .values("next_at", column(|delivery| at(&delivery.next_attempt_time).into()))
        .bytes("body", deliveries.iter().map(Message::encode_to_vec))
        .on_conflict(
            "(tenant_id, name) do update set revision = deliveries.revision + 1, state = excluded.state,
             next_at = excluded.next_at, body = excluded.body",
        )
        .execute(m.tx())
        .await?;
    Ok(())
}
