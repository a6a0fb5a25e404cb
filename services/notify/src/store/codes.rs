//! The codes that confirm addresses.

use remit_core::{Result, Timestamp};
use remit_store::{Mutation, query};

/// The code of some settings.
#[derive(Debug)]
pub(crate) struct Code {
    /// Its digest.
    pub(crate) digest: String,
    pub(crate) expire_time: Timestamp,
    /// How often it was guessed.
    pub(crate) tries: i64,
    /// How many were sent since `since`.
    pub(crate) sent: i64,
    pub(crate) since: Timestamp,
}

/// The code of claimed settings, if there is one.
pub(crate) async fn find(m: &mut Mutation, settings: &str) -> Result<Option<Code>> {
    let tenant = m.tenant().clone();
    let row = query(
        "select code, expire_time, tries, sent, since_time from settings_codes where tenant_id = $1 and settings = $2",
    )
    .bind(&tenant)
    .bind(settings)
    .fetch_optional(m.tx())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Code {
        digest: row.get("code")?,
        expire_time: Timestamp(row.get("expire_time")?),
        tries: row.get("tries")?,
        sent: row.get("sent")?,
        since: Timestamp(row.get("since_time")?),
    }))
}

/// Writes the code of claimed settings.
pub(crate) async fn set(m: &mut Mutation, settings: &str, code: &Code) -> Result<()> {
    let tenant = m.tenant().clone();
    query(
        "insert into settings_codes (tenant_id, settings, code, expire_time, tries, sent, since_time)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant_id, settings) do update set code = excluded.code, expire_time = excluded.expire_time,
             tries = excluded.tries, sent = excluded.sent, since_time = excluded.since_time",
    )
    .bind(&tenant)
    .bind(settings)
    .bind(&code.digest)
    .bind(code.expire_time)
    .bind(code.tries)
    .bind(code.sent)
    .bind(code.since)
    .execute(m.tx())
    .await?;
    Ok(())
}
