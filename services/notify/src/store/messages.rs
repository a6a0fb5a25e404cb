//! What is to be sent to people.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Db, Mutation, Row, Sql, Tx, query, tenants};

/// The channel of e-mail.
pub(crate) const EMAIL: &str = "EMAIL";
/// The channel of chats.
pub(crate) const CHAT: &str = "CHAT";
/// A notice.
pub(crate) const NOTICE: &str = "NOTICE";
/// That a notice asks for nothing more.
pub(crate) const CANCEL: &str = "CANCEL";
/// A code that confirms an address.
pub(crate) const CODE: &str = "CODE";

/// Something to send to somebody.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The name of the settings of whoever it is sent to.
    pub(crate) settings: String,
    /// Unique among those of the settings.
    pub(crate) name: String,
    pub(crate) channel: String,
    pub(crate) kind: String,
    /// The name of the notice that it is about; empty for a code.
    pub(crate) notice: String,
    /// What is of the same slot is sent together; 0: alone.
    pub(crate) slot: i64,
    pub(crate) next_at: Timestamp,
    /// When it was first to be sent.
    pub(crate) start: Timestamp,
    pub(crate) attempts: i64,
    /// What it says beside the notice.
    pub(crate) text: String,
}

impl Message {
    fn read(row: &Row) -> Result<Self> {
        let body: Vec<u8> = row.get("body")?;
        Ok(Self {
            settings: row.get("settings")?,
            name: row.get("name")?,
            channel: row.get("channel")?,
            kind: row.get("kind")?,
            notice: row.get("notice")?,
            slot: row.get("slot")?,
            next_at: Timestamp(row.get("next_at")?),
            start: Timestamp(row.get("start_time")?),
            attempts: row.get("attempts")?,
            text: String::from_utf8(body).unwrap_or_default(),
        })
    }
}

/// Writes a message, unless it is there.
pub(crate) async fn keep(m: &mut Mutation, message: &Message) -> Result<()> {
    let tenant = m.tenant().clone();
    query(
        "insert into messages
             (tenant_id, settings, name, channel, kind, notice, slot, next_at, start_time, attempts, body)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (tenant_id, settings, name) do nothing",
    )
    .bind(&tenant)
    .bind(&message.settings)
    .bind(&message.name)
    .bind(&message.channel)
    .bind(&message.kind)
    .bind(&message.notice)
    .bind(message.slot)
    .bind(message.next_at)
    .bind(message.start)
    .bind(message.attempts)
    .bind(message.text.as_bytes())
    .execute(m.tx())
    .await?;
    Ok(())
}

/// The tenants that have something to send to people at `now`.
pub(crate) async fn waiting(db: &Db, now: Timestamp) -> Result<Vec<Tenant>> {
    tenants::found(db, query("select distinct tenant_id from messages where next_at <= $1").bind(now)).await
}

/// The settings for which something is to be sent at `now`, in no order.
pub(crate) async fn due(tx: &mut Tx, tenant: &Tenant, now: Timestamp, most: i64) -> Result<Vec<String>> {
    let rows = query("select distinct settings from messages where tenant_id = $1 and next_at <= $2 limit $3")
        .bind(tenant)
        .bind(now)
        .bind(most)
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| row.get("settings")).collect()
}

/// What is to be sent for claimed settings at `now`, the oldest first, and nobody else's until `lease`.
pub(crate) async fn take(
    m: &mut Mutation,
    settings: &str,
    now: Timestamp,
    lease: Timestamp,
    most: i64,
) -> Result<Vec<Message>> {
    let tenant = m.tenant().clone();
    let rows = query(
        "select settings, name, channel, kind, notice, slot, next_at, start_time, attempts, body from messages
         where tenant_id = $1 and settings = $2 and next_at <= $3 order by next_at, start_time, name limit $4",
    )
    .bind(&tenant)
    .bind(settings)
    .bind(now)
    .bind(most)
    .fetch_all(m.tx())
    .await?;
    let taken: Vec<Message> = rows.iter().map(Message::read).collect::<Result<_>>()?;
    let names: Vec<&str> = taken.iter().map(|message| message.name.as_str()).collect();
    later(m, settings, &names, lease, 0).await?;
    Ok(taken)
}

/// Puts messages of claimed settings off until `at`, after so many attempts more.
pub(crate) async fn later(
    m: &mut Mutation,
    settings: &str,
    names: &[&str],
    at: Timestamp,
    attempts: i64,
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let tenant = m.tenant().clone();
    Sql::new("update messages")
        .push(" set next_at = ")
        .bind(at)
        .push(", attempts = attempts + ")
        .bind(attempts)
        .push(" where tenant_id = ")
        .bind(&tenant)
        .push(" and settings = ")
        .bind(settings)
        .push(" and name in ")
        .bind_list(names.iter().copied())
        .query()
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Forgets messages of claimed settings.
pub(crate) async fn forget(m: &mut Mutation, settings: &str, names: &[&str]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let tenant = m.tenant().clone();
    Sql::new("delete from messages where tenant_id = ")
        .bind(&tenant)
        .push(" and settings = ")
        .bind(settings)
        .push(" and name in ")
        .bind_list(names.iter().copied())
        .query()
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Forgets what waits to be sent to somebody of the notices of a kind about something.
pub(crate) async fn forget_done(m: &mut Mutation, settings: &str, duty: &str, resource: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    query(
        "delete from messages where tenant_id = $1 and settings = $2 and kind = $3 and notice in (
             select name from notices where tenant_id = $1 and resource = $4 and duty = $5)",
    )
    .bind(&tenant)
    .bind(settings)
    .bind(NOTICE)
    .bind(resource)
    .bind(duty)
    .execute(m.tx())
    .await?;
    Ok(())
}

/// Forgets all messages of claimed settings on one channel.
pub(crate) async fn forget_channel(m: &mut Mutation, settings: &str, channel: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    query("delete from messages where tenant_id = $1 and settings = $2 and channel = $3")
        .bind(&tenant)
        .bind(settings)
        .bind(channel)
        .execute(m.tx())
        .await?;
    Ok(())
}
