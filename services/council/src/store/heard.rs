//! When people were last heard of, and until when they were kept from being heard.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Mutation, Tx, query};

/// Keeps that the caller of this mutation was heard of.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn hear(m: &mut Mutation, subject: &str) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    query(
        "insert into council_heard (tenant_id, subject, heard_time, kept_time) values ($1, $2, $3, 0)
         on conflict (tenant_id, subject) do update set heard_time = excluded.heard_time
         where council_heard.heard_time < excluded.heard_time",
    )
    .bind(&tenant)
    .bind(subject)
    .bind(now)
    .execute(m.tx())
    .await
    .map(drop)
}

/// Writes until when a person is kept from calling: `until` in the place of what was there, but never before now.
async fn keep(m: &mut Mutation, subject: &str, until: Timestamp) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    query(
        "insert into council_heard (tenant_id, subject, heard_time, kept_time) values ($1, $2, 0, $3)
         on conflict (tenant_id, subject) do update set kept_time = excluded.kept_time",
    )
    .bind(&tenant)
    .bind(subject)
    .bind(until.max(now))
    .execute(m.tx())
    .await
    .map(drop)
}

/// Keeps for how long the revocations that name `subject` keep her from calling, once one of them was made or lifted.
/// `now` is the time of tokens, which may be another than that of decisions.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn keep_from(m: &mut Mutation, subject: &str, now: Timestamp) -> Result<()> {
    if subject.is_empty() {
        return Ok(());
    }
    let tenant = m.tenant().clone();
    let rows = query("select expire_time from revocations where tenant_id = $1 and subject = $2")
        .bind(&tenant)
        .bind(subject)
        .fetch_all(m.tx())
        .await?;
    let mut last = now.0;
    for row in rows {
        last = last.max(row.get::<i64>("expire_time")?);
    }
    let until = Timestamp(m.now().0.saturating_add(last - now.0));
    keep(m, subject, until).await
}

/// As [`keep_from`], where what she may do was changed and not her tokens.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn keep_until_now(m: &mut Mutation, subject: &str) -> Result<()> {
    if subject.is_empty() {
        return Ok(());
    }
    let tenant = m.tenant().clone();
    let until = kept(m.tx(), &tenant, subject).await?;
    keep(m, subject, until).await
}

async fn kept(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<Timestamp> {
    let row = query("select kept_time from council_heard where tenant_id = $1 and subject = $2")
        .bind(tenant)
        .bind(subject)
        .fetch_optional(tx)
        .await?;
    row.map_or(Ok(Timestamp(0)), |row| row.get("kept_time").map(Timestamp))
}

/// Until when nobody can say of a person that she is silent: she was heard of, or kept from calling.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn heard_until(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<Timestamp> {
    let row = query("select heard_time, kept_time from council_heard where tenant_id = $1 and subject = $2")
        .bind(tenant)
        .bind(subject)
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(Timestamp(0)) };
    Ok(Timestamp(row.get::<i64>("heard_time")?.max(row.get::<i64>("kept_time")?)))
}
