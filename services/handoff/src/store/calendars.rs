//! Calendars.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Order, Sql, Tx, Value, query};

/// A calendar as stored.
pub struct CalendarRow {
    pub id: String,
    pub revision: i64,
    pub body: Vec<u8>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
}

fn read(row: &remit_store::Row) -> Result<CalendarRow> {
    Ok(CalendarRow {
        id: row.get("calendar_id")?,
        revision: row.get("revision")?,
        body: row.get("body")?,
        create_time: row.get("create_time")?,
        update_time: row.get("update_time")?,
    })
}

/// Inserts a calendar; false if there is one with this id.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, id: &str, body: Vec<u8>, now: Timestamp) -> Result<bool> {
    let inserted = query(
        "insert into calendars (tenant_id, calendar_id, revision, body, create_time, update_time)
         values ($1, $2, 1, $3, $4, $4) on conflict (tenant_id, calendar_id) do nothing",
    )
    .bind(tenant)
    .bind(id)
    .bind(body)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

/// Claims a calendar for a change and returns it with its revision before.
pub async fn claim(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<CalendarRow>> {
    let row = query(
        "update calendars set revision = revision + 1 where tenant_id = $1 and calendar_id = $2
         returning calendar_id, revision - 1 as revision, body, create_time, update_time",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Replaces the content of a claimed calendar.
pub async fn update(tx: &mut Tx, tenant: &Tenant, id: &str, body: Vec<u8>, now: Timestamp) -> Result<()> {
    query("update calendars set body = $3, update_time = $4 where tenant_id = $1 and calendar_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(body)
        .bind(now)
        .execute(tx)
        .await
        .map(drop)
}

/// One calendar.
pub async fn get(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<CalendarRow>> {
    let row = query(
        "select calendar_id, revision, body, create_time, update_time from calendars
         where tenant_id = $1 and calendar_id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Calendars by id.
pub async fn list(tx: &mut Tx, tenant: &Tenant, after: Option<&[Value]>, limit: i64) -> Result<Vec<CalendarRow>> {
    let rows =
        Sql::new("select calendar_id, revision, body, create_time, update_time from calendars where tenant_id = ")
            .bind(tenant)
            .and_after(&["calendar_id"], Order::Ascending, after)
            .order_limit(&["calendar_id"], Order::Ascending, limit)
            .query()
            .fetch_all(tx)
            .await?;
    rows.iter().map(read).collect()
}
