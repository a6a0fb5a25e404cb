//! Audit events on their way to the audit service.
//!
//! A [`crate::Mutation`] saves its events in its own transaction. They are numbered per tenant in the
//! order of commit, without gaps, because the number comes from a row that stays locked until then.
//! A relay holds the tenant's [lease](crate::lease), reads a batch, delivers it, and acknowledges. What was
//! delivered and not acknowledged is delivered again: the event id makes that harmless. What the audit
//! service refuses for good is [parked](park), visibly, so that the events behind it go on.

use crate::bulk::BulkInsert;
use crate::db::Db;
use crate::shared::Signal;
use crate::tx::Tx;
use crate::value::Row;
use crate::{query, tenants};
use remit_core::{AuditEvent, Error, Kind, Result, Tenant, Timestamp};
use std::time::Duration;

/// The name of the relay's lease.
pub const LEASE: &str = "outbox";

/// One event that waits.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its number within the tenant, ascending without gaps.
    pub seq: i64,
    /// The event.
    pub event: AuditEvent,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Events not yet acknowledged.
    pub events: i64,
    /// When the oldest of them was recorded.
    pub oldest: Option<Timestamp>,
}

pub(crate) async fn append(tx: &mut Tx, tenant: &Tenant, events: &[AuditEvent], limit: i64) -> Result<()> {
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    if count == 0 {
        return Ok(());
    }
    let head = query(
        "insert into remit_outbox_heads (tenant_id, last_seq, acked_seq) values ($1, $2, 0)
         on conflict (tenant_id) do update set last_seq = remit_outbox_heads.last_seq + excluded.last_seq
         returning last_seq, acked_seq",
    )
    .bind(tenant)
    .bind(count)
    .fetch_one(tx)
    .await?;
    let (last, acked): (i64, i64) = (head.get("last_seq")?, head.get("acked_seq")?);
    let waiting = last - count - acked;
    if waiting >= limit {
        return Err(Error::new(
            Kind::ResourceExhausted,
            "OUTBOX_FULL",
            format!(
                "{waiting} audit events wait for delivery, the limit is {limit}: the audit service must catch up first"
            ),
        )
        .with_retry_after(Duration::from_secs(5)));
    }
    let mut bodies = Vec::with_capacity(events.len());
    for event in events {
        bodies.push(event.encode()?);
    }
    BulkInsert::into("remit_outbox")
        .text("tenant_id", vec![tenant.as_str().to_owned(); events.len()])
        .bigint("seq", (last - count + 1..=last).collect::<Vec<i64>>())
        .text("event", bodies)
        .bigint("recorded_at", events.iter().map(|event| event.recorded_at.0).collect::<Vec<i64>>())
        .execute(tx)
        .await?;
    tx.signal_at_commit(Signal::Outbox);
    Ok(())
}

/// The oldest events that wait, at most `limit`, in order.
///
/// # Errors
/// `Internal` if a stored event cannot be read, else as [`crate::classify`] says.
pub async fn read_batch(tx: &mut Tx, tenant: &Tenant, limit: i64) -> Result<Vec<Pending>> {
    let rows = query("select seq, event from remit_outbox where tenant_id = $1 order by seq limit $2")
        .bind(tenant)
        .bind(limit)
        .fetch_all(tx)
        .await?;
    rows.iter().map(pending).collect()
}

fn pending(row: &Row) -> Result<Pending> {
    let event = serde_json::from_str(&row.get::<String>("event")?)
        .map_err(|error| Error::internal("an audit event could not be decoded").with_source(error))?;
    Ok(Pending { seq: row.get("seq")?, event })
}

/// Forgets the events up to and including `seq`, which the audit service has confirmed. Repeating it
/// is harmless.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn ack(tx: &mut Tx, tenant: &Tenant, seq: i64) -> Result<()> {
    query("update remit_outbox_heads set acked_seq = $2 where tenant_id = $1 and acked_seq < $2 and last_seq >= $2")
        .bind(tenant)
        .bind(seq)
        .execute(tx)
        .await?;
    query("delete from remit_outbox where tenant_id = $1 and seq <= $2").bind(tenant).bind(seq).execute(tx).await?;
    Ok(())
}

/// The tenants with events that wait.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn waiting(db: &Db) -> Result<Vec<Tenant>> {
    tenants::found(db, query("select tenant_id from remit_outbox_heads where acked_seq < last_seq order by tenant_id"))
        .await
}

/// The tenants with parked events.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn with_parked(db: &Db) -> Result<Vec<Tenant>> {
    tenants::found(db, query("select distinct tenant_id from remit_outbox_parked order by tenant_id")).await
}

/// How many events wait, and since when.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn depth(tx: &mut Tx, tenant: &Tenant) -> Result<Depth> {
    let head = query("select last_seq - acked_seq as waiting from remit_outbox_heads where tenant_id = $1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    let events = head.map_or(Ok(0), |row| row.get("waiting"))?;
    let oldest = query("select recorded_at from remit_outbox where tenant_id = $1 order by seq limit 1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    Ok(Depth { events, oldest: oldest.map(|row| row.get("recorded_at")).transpose()? })
}

/// An event as it is parked: as JSON, without personal data, because erasing a person reaches the audit log and
/// not this table.
///
/// # Errors
/// `Internal` if it cannot be written, which no event causes.
pub fn parked_text(event: &AuditEvent) -> Result<String> {
    let event = AuditEvent { personal: None, ..event.clone() };
    serde_json::to_string(&event)
        .map_err(|error| Error::internal("an audit event could not be encoded").with_source(error))
}

/// Sets an event aside that the audit service refused for good, and acknowledges it; `notice` goes into the
/// outbox in its place.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn park(
    tx: &mut Tx,
    tenant: &Tenant,
    refused: &Pending,
    why: &Error,
    now: Timestamp,
    notice: Option<&AuditEvent>,
) -> Result<()> {
    let text = parked_text(&refused.event)?;
    query(
        "insert into remit_outbox_parked (tenant_id, seq, event, recorded_at, reason, message, parked_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, seq) do nothing",
    )
    .bind(tenant)
    .bind(refused.seq)
    .bind(text)
    .bind(refused.event.recorded_at)
    .bind(why.reason())
    .bind(why.message())
    .bind(now)
    .execute(tx)
    .await?;
    ack(tx, tenant, refused.seq).await?;
    match notice {
        Some(notice) => append(tx, tenant, std::slice::from_ref(notice), i64::MAX).await,
        None => Ok(()),
    }
}

/// The parked events, oldest first, at most `limit`.
///
/// # Errors
/// As [`read_batch`].
pub async fn parked(tx: &mut Tx, tenant: &Tenant, limit: i64) -> Result<Vec<Pending>> {
    let rows = query("select seq, event from remit_outbox_parked where tenant_id = $1 order by seq limit $2")
        .bind(tenant)
        .bind(limit)
        .fetch_all(tx)
        .await?;
    rows.iter().map(pending).collect()
}

/// How many events are parked.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn count_parked(tx: &mut Tx, tenant: &Tenant) -> Result<i64> {
    let sql = "select count(*) as n from remit_outbox_parked where tenant_id = $1";
    query(sql).bind(tenant).fetch_one(tx).await?.get("n")
}

/// Forgets a parked event that the audit service has taken after all.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn unpark(tx: &mut Tx, tenant: &Tenant, seq: i64) -> Result<()> {
    query("delete from remit_outbox_parked where tenant_id = $1 and seq = $2")
        .bind(tenant)
        .bind(seq)
        .execute(tx)
        .await
        .map(|_| ())
}
