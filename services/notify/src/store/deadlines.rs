//! Deadlines, as calendars have them.

use super::notices::{Notices, Reader};
use remit_api::notify::v1::Notice;
use remit_core::{Result, Timestamp};
use remit_store::{Mutation, Records as _, Row, Sql, Tx, query};

/// A deadline.
#[derive(Debug, Clone)]
pub(crate) struct Deadline {
    /// The notice that told of it.
    pub(crate) notice: Notice,
    pub(crate) due: Timestamp,
    /// How often it changed.
    pub(crate) sequence: i64,
    pub(crate) cancelled: bool,
}

impl Deadline {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            notice: Notices::read(row)?,
            due: Timestamp(row.get("due_time")?),
            sequence: row.get("sequence")?,
            cancelled: row.get::<i64>("cancelled")? != 0,
        })
    }
}

/// Notes the deadline that a notice tells of; where it is that already, nothing changes.
pub(crate) async fn set(m: &mut Mutation, notice: &Notice, due: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    query(
        "insert into deadlines (tenant_id, duty, resource, sequence, due_time, cancelled, notice)
         values ($1, $2, $3, 0, $4, 0, $5)
         on conflict (tenant_id, duty, resource) do update set sequence = deadlines.sequence + 1,
             due_time = excluded.due_time, cancelled = 0, notice = excluded.notice
         where deadlines.due_time <> excluded.due_time or deadlines.cancelled = 1",
    )
    .bind(&tenant)
    .bind(&notice.duty)
    .bind(&notice.resource)
    .bind(due)
    .bind(&notice.name)
    .execute(m.tx())
    .await?;
    Ok(())
}

/// Ends a deadline; what it was, unless there is none or it is over.
pub(crate) async fn cancel(m: &mut Mutation, duty: &str, resource: &str, now: Timestamp) -> Result<Option<Notice>> {
    let tenant = m.tenant().clone();
    let ended = query(
        "update deadlines set cancelled = 1, sequence = sequence + 1
         where tenant_id = $1 and duty = $2 and resource = $3 and cancelled = 0 and due_time > $4 returning notice",
    )
    .bind(&tenant)
    .bind(duty)
    .bind(resource)
    .bind(now)
    .fetch_optional(m.tx())
    .await?;
    let Some(row) = ended else { return Ok(None) };
    let notice: String = row.get("notice")?;
    Notices::find(m.tx(), &tenant, &notice).await
}

fn select(tenant: &remit_core::Tenant) -> Sql {
    Sql::new(
        "select n.revision, n.body, d.due_time, d.sequence, d.cancelled from deadlines d
         join notices n on n.tenant_id = d.tenant_id and n.name = d.notice where d.tenant_id = ",
    )
    .bind(tenant)
}

/// The deadlines of what is addressed to a reader that are not over before `since`, the nearest first.
pub(crate) async fn of(tx: &mut Tx, reader: &Reader<'_>, since: Timestamp, most: i64) -> Result<Vec<Deadline>> {
    let rows = select(reader.tenant)
        .push(" and d.due_time >= ")
        .bind(since)
        .push(" and d.notice in (select notice from notice_audiences where tenant_id = ")
        .bind(reader.tenant)
        .push(" and audience in ")
        .bind_list(reader.audiences.iter().map(String::as_str))
        .push(") order by d.due_time, d.notice limit ")
        .bind(most)
        .query()
        .fetch_all(tx)
        .await?;
    rows.iter().map(Deadline::read).collect()
}

/// The deadlines that these notices told of, as they are now.
pub(crate) async fn told(m: &mut Mutation, notices: &[&str]) -> Result<Vec<Deadline>> {
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = m.tenant().clone();
    let sql = select(&tenant).push(" and d.notice in ").bind_list(notices.iter().copied());
    let rows = sql.query().fetch_all(m.tx()).await?;
    rows.iter().map(Deadline::read).collect()
}
