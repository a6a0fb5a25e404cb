//! Durable timers: deadlines are rows. They outlive the process, any replica fires them, and each
//! fires once, because its row is deleted in the same transaction as its effect.

use crate::db::Db;
use crate::mutation::{Fired, Mutation};
use crate::query;
use crate::shared::Signal;
use crate::tx::Tx;
use crate::value::Row;
use futures::future::BoxFuture;
use remit_core::{Error, Result, Tenant, Timestamp};

/// A timer that has become due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Unique within the tenant, chosen by who scheduled it.
    pub id: String,
    /// What it is for, such as `handoff.review_sla`.
    pub kind: String,
    /// When it was due.
    pub due_at: Timestamp,
    /// When that was noticed: later than `due_at` by the outage, if there was one.
    pub detected_at: Timestamp,
    /// What who scheduled it wants to know.
    pub payload: Vec<u8>,
}

/// What happens when a timer is due.
pub trait TimerHandler: Send + Sync {
    /// Does the timer's work in `mutation`, which is committed afterwards together with the timer's end.
    /// An error undoes both; the timer is then tried again.
    fn fire<'a>(&'a self, mutation: &'a mut Mutation, timer: &'a Timer) -> BoxFuture<'a, Result<()>>;
}

/// What one pass over the due timers did.
#[derive(Debug, Default)]
pub struct Report {
    /// How many fired.
    pub fired: u64,
    /// Those that failed and stay due, with the reason.
    pub failed: Vec<(String, Error)>,
}

/// Schedules a timer, or moves the one with this id.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn schedule(
    tx: &mut Tx,
    tenant: &Tenant,
    id: &str,
    kind: &str,
    due_at: Timestamp,
    payload: &[u8],
) -> Result<()> {
    query(
        "insert into remit_timers (tenant_id, timer_id, kind, due_at, payload) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, timer_id)
         do update set kind = excluded.kind, due_at = excluded.due_at, payload = excluded.payload",
    )
    .bind(tenant)
    .bind(id)
    .bind(kind)
    .bind(due_at)
    .bind(payload)
    .execute(tx)
    .await?;
    tx.signal_at_commit(Signal::Timers);
    Ok(())
}

/// Cancels a timer; false if there was none.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn cancel(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<bool> {
    let gone = query("delete from remit_timers where tenant_id = $1 and timer_id = $2")
        .bind(tenant)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(gone == 1)
}

/// When the tenant's next timer is due, possibly in the past; `None` if there is no timer.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn next_due(tx: &mut Tx, tenant: &Tenant) -> Result<Option<Timestamp>> {
    let row = query("select due_at from remit_timers where tenant_id = $1 order by due_at, timer_id limit 1")
        .bind(tenant)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.get("due_at")).transpose()
}

/// When the next timer of each tenant is due that has one, the earliest first, at most `most` of them.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn next(db: &Db, most: i64) -> Result<Vec<(Tenant, Timestamp)>> {
    let rows = query(
        "select w.tenant_id, w.due_at from (
             select t.tenant_id,
                 (select min(r.due_at) from remit_timers r where r.tenant_id = t.tenant_id) as due_at
             from remit_tenants t) w
         where w.due_at is not null order by w.due_at, w.tenant_id limit $1",
    )
    .bind(most)
    .fetch_all(&mut db.read().await?)
    .await?;
    rows.iter().map(|row| Ok((Tenant::new(row.get::<String>("tenant_id")?)?, row.get("due_at")?))).collect()
}

/// The timers due at `now`, the oldest first, at most `limit`, after the timer with the given due
/// time and id if any.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn due(
    tx: &mut Tx,
    tenant: &Tenant,
    now: Timestamp,
    after: Option<&Timer>,
    limit: i64,
) -> Result<Vec<Timer>> {
    let (due_at, id) = after.map_or((i64::MIN, ""), |timer| (timer.due_at.0, timer.id.as_str()));
    let rows = query(
        "select timer_id, kind, due_at, payload from remit_timers
         where tenant_id = $1 and due_at <= $2 and (due_at, timer_id) > ($3, $4)
         order by due_at, timer_id limit $5",
    )
    .bind(tenant)
    .bind(now)
    .bind(due_at)
    .bind(id)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| timer(row, now)).collect()
}

fn timer(row: &Row, now: Timestamp) -> Result<Timer> {
    Ok(Timer {
        id: row.get("timer_id")?,
        kind: row.get("kind")?,
        due_at: row.get("due_at")?,
        detected_at: now,
        payload: row.get("payload")?,
    })
}

/// Fires every timer of `tenant` that is due at `now`, oldest first, each in a mutation of its own.
/// One that fails does not hold up the others. Timers scheduled meanwhile wait for the next pass.
///
/// # Errors
/// As [`crate::classify`] says, if the due timers cannot be read.
pub async fn fire_due(db: &Db, handler: &dyn TimerHandler, tenant: &Tenant, now: Timestamp) -> Result<Report> {
    const PAGE: i64 = 100;
    let mut report = Report::default();
    let mut last: Option<Timer> = None;
    loop {
        let page = due(&mut db.read().await?, tenant, now, last.as_ref(), PAGE).await?;
        for timer in &page {
            match fire(db, handler, tenant, timer).await {
                Ok(true) => report.fired += 1,
                Ok(false) => {}
                Err(error) => report.failed.push((timer.id.clone(), error)),
            }
        }
        if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            return Ok(report);
        }
        last = page.into_iter().last();
    }
}

/// Fires one timer; false if another process was faster or it was moved or cancelled meanwhile.
async fn fire(db: &Db, handler: &dyn TimerHandler, tenant: &Tenant, timer: &Timer) -> Result<bool> {
    let mut tx = db.write().await?;
    let claimed = query("delete from remit_timers where tenant_id = $1 and timer_id = $2 and due_at = $3")
        .bind(tenant)
        .bind(&timer.id)
        .bind(timer.due_at)
        .execute(&mut tx)
        .await?;
    if claimed == 0 {
        return Ok(false);
    }
    let fired = Fired { timer_id: timer.id.clone(), due_at: timer.due_at, detected_at: timer.detected_at };
    let mut mutation = Mutation::new(tx, db.clone(), db.own_call(tenant, "timer"), Some(fired));
    handler.fire(&mut mutation, timer).await?;
    mutation.commit(&()).await?;
    Ok(true)
}
