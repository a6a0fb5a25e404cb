//! Notices, to whom they are addressed, and who has read them.

use super::at;
use prost::Message as _;
use remit_api::notify::v1::Notice;
use remit_api::wire::time::stamp;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Db, Mutation, Order, Records, Row, Sql, Tx, Value, page, query};
use std::collections::BTreeSet;

/// Notices, the newest first.
pub(crate) struct Notices;

impl Records for Notices {
    type Message = Notice;
    const TABLE: &'static str = "notices";
    const NOT_FOUND: &'static str = "NOTICE_NOT_FOUND";

    fn name(notice: &Notice) -> &str {
        &notice.name
    }
    fn create_time(notice: &Notice) -> Timestamp {
        at(&notice.create_time)
    }
    fn columns(notice: &Notice) -> Vec<(&'static str, Value)> {
        vec![("duty", (&notice.duty).into()), ("resource", (&notice.resource).into())]
    }
}

/// Writes a notice and to whom it is addressed, unless it is there; whether it did.
pub(crate) async fn write(m: &mut Mutation, notice: &mut Notice) -> Result<bool> {
    if !Notices::try_insert(m, notice).await? {
        return Ok(false);
    }
    let tenant = m.tenant().clone();
    for audience in &notice.audiences {
        query(
            "insert into notice_audiences (tenant_id, notice, audience) values ($1, $2, $3)
             on conflict (tenant_id, notice, audience) do nothing",
        )
        .bind(&tenant)
        .bind(&notice.name)
        .bind(audience)
        .execute(m.tx())
        .await?;
    }
    Ok(true)
}

/// Whose inbox is looked at: who she is, and as what she is addressed.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) subject: &'a str,
    pub(crate) audiences: Vec<String>,
}

impl Reader<'_> {
    fn notices(&self) -> Sql {
        Sql::new("select revision, create_time, end_time, name, body from notices where tenant_id = ")
            .bind(self.tenant)
            .push(" and name in (select notice from notice_audiences where tenant_id = ")
            .bind(self.tenant)
            .push(" and audience in ")
            .bind_list(self.audiences.clone())
            .push(")")
    }

    /// The notice with this name, if it is addressed to her.
    pub(crate) async fn find(&self, tx: &mut Tx, name: &str) -> Result<Option<Notice>> {
        let row = self.notices().push(" and name = ").bind(name).query().fetch_optional(tx).await?;
        row.as_ref().map(shown).transpose()
    }

    /// A page of what is addressed to her.
    pub(crate) async fn list(
        &self,
        db: &Db,
        method: &'static str,
        all: bool,
        (size, token): (i32, &str),
    ) -> Result<(Vec<Notice>, String)> {
        let mut terms = vec![self.subject, if all { "all" } else { "" }];
        terms.extend(self.audiences.iter().map(String::as_str));
        let keyset = db.keyset(self.tenant, method, &terms);
        let (after, size) = (keyset.after(token)?, page::size(size));
        let mut sql = self.notices();
        if !all {
            sql = sql
                .push(" and end_time is null and name not in (select notice from notice_reads where tenant_id = ")
                .bind(self.tenant)
                .push(" and subject = ")
                .bind(self.subject)
                .push(")");
        }
        let columns = ["create_time", "name"];
        let sql = sql.and_after(&columns, Order::Descending, after.as_deref());
        let rows =
            sql.order_limit(&columns, Order::Descending, size + 1).query().fetch_all(&mut db.read().await?).await?;
        let key = |row: &Row| -> Vec<Value> {
            let time = row.get::<i64>("create_time").unwrap_or_default();
            vec![time.into(), row.get::<String>("name").unwrap_or_default().into()]
        };
        let (rows, token) = keyset.cut(rows, size, key);
        Ok((rows.iter().map(shown).collect::<Result<_>>()?, token))
    }
}

/// A notice, and since when it asks nothing any more.
fn shown(row: &Row) -> Result<Notice> {
    let mut notice = Notices::read(row)?;
    notice.end_time = row.get::<Option<Timestamp>>("end_time")?.map(stamp);
    Ok(notice)
}

/// Notes that somebody has read a notice; false if she had before.
pub(crate) async fn read(m: &mut Mutation, notice: &str, subject: &str) -> Result<bool> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let noted = query(
        "insert into notice_reads (tenant_id, notice, subject, read_time) values ($1, $2, $3, $4)
         on conflict (tenant_id, notice, subject) do nothing",
    )
    .bind(&tenant)
    .bind(notice)
    .bind(subject)
    .bind(now)
    .execute(m.tx())
    .await?;
    Ok(noted == 1)
}

/// Notes that what notices of these kinds about something ask is done or over, whoever was asked.
pub(crate) async fn end(m: &mut Mutation, resource: &str, duties: &[&str]) -> Result<()> {
    if duties.is_empty() {
        return Ok(());
    }
    let sql = Sql::new("update notices").push(" set end_time = ").bind(m.now()).push(" where tenant_id = ");
    let sql = sql.bind(m.tenant()).push(" and resource = ").bind(resource).push(" and end_time is null and duty in ");
    sql.bind_list(duties.iter().copied()).query().execute(m.tx()).await?;
    Ok(())
}

/// Which of these notices ask nothing any more.
pub(crate) async fn over(m: &mut Mutation, names: &[&str]) -> Result<BTreeSet<String>> {
    let sql = Sql::new("select name from notices where tenant_id = ").bind(m.tenant());
    let sql = sql.push(" and end_time is not null and name in ").bind_list(names.iter().copied());
    sql.query().fetch_all(m.tx()).await?.iter().map(|row| row.get("name")).collect()
}

/// Notes that a notice says what those before it of its kind about the same thing said to the same people.
pub(crate) async fn supersede(m: &mut Mutation, notice: &Notice) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    query(
        "update notices set end_time = $5
         where tenant_id = $1 and resource = $2 and duty = $3 and name <> $4 and end_time is null",
    )
    .bind(&tenant)
    .bind(&notice.resource)
    .bind(&notice.duty)
    .bind(&notice.name)
    .bind(now)
    .execute(m.tx())
    .await?;
    Ok(())
}

/// Notes that somebody has done what notices of a kind about something asked of her, and what later ones will.
pub(crate) async fn done(m: &mut Mutation, duty: &str, resource: &str, subject: &str) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    query(
        "insert into duties_done (tenant_id, resource, duty, subject) values ($1, $2, $3, $4)
         on conflict (tenant_id, resource, duty, subject) do nothing",
    )
    .bind(&tenant)
    .bind(resource)
    .bind(duty)
    .bind(subject)
    .execute(m.tx())
    .await?;
    query(
        "insert into notice_reads (tenant_id, notice, subject, read_time)
         select tenant_id, name, cast($4 as text), cast($5 as bigint) from notices
         where tenant_id = $1 and resource = $2 and duty = $3
         on conflict (tenant_id, notice, subject) do nothing",
    )
    .bind(&tenant)
    .bind(resource)
    .bind(duty)
    .bind(subject)
    .bind(now)
    .execute(m.tx())
    .await?;
    Ok(())
}

/// What a kind of duty asks about something is wanted of a subject once more, of everybody if it is empty.
pub(crate) async fn undone(m: &mut Mutation, duty: &str, resource: &str, subject: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    query("delete from duties_done where tenant_id = $1 and resource = $2 and duty = $3 and ($4 = '' or subject = $4)")
        .bind(&tenant)
        .bind(resource)
        .bind(duty)
        .bind(subject)
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Who has done what a new notice asks; it leaves their inboxes.
pub(crate) async fn done_before(m: &mut Mutation, notice: &Notice) -> Result<Vec<String>> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let rows = query(
        "insert into notice_reads (tenant_id, notice, subject, read_time)
         select tenant_id, cast($4 as text), subject, cast($5 as bigint) from duties_done
         where tenant_id = $1 and resource = $2 and duty = $3
         on conflict (tenant_id, notice, subject) do nothing returning subject",
    )
    .bind(&tenant)
    .bind(&notice.resource)
    .bind(&notice.duty)
    .bind(&notice.name)
    .bind(now)
    .fetch_all(m.tx())
    .await?;
    rows.iter().map(|row| row.get("subject")).collect()
}

/// Forgets a subject: whom notices were addressed to, who has read them, and where they name her.
pub(crate) async fn forget(m: &mut Mutation, subject: &str) -> Result<()> {
    let (tenant, audience) = (m.tenant().clone(), format!("subject:{subject}"));
    let rows = query(
        "select revision, body from notices where tenant_id = $1 and name in (
             select notice from notice_audiences where tenant_id = $1 and audience = $2)",
    )
    .bind(&tenant)
    .bind(&audience)
    .fetch_all(m.tx())
    .await?;
    for row in &rows {
        let mut notice = Notices::read(row)?;
        notice.audiences.retain(|told| *told != audience);
        if notice.parameters.values().any(|value| value == subject) {
            notice.parameters.retain(|_, value| value != subject);
            notice.text = notice.text.replace(subject, "(erased)");
        }
        query("update notices set revision = revision + 1, body = $3 where tenant_id = $1 and name = $2")
            .bind(&tenant)
            .bind(&notice.name)
            .bind(notice.encode_to_vec())
            .execute(m.tx())
            .await?;
    }
    query("delete from notice_audiences where tenant_id = $1 and audience = $2")
        .bind(&tenant)
        .bind(&audience)
        .execute(m.tx())
        .await?;
    for sql in [
        "delete from notice_reads where tenant_id = $1 and subject = $2",
        "delete from duties_done where tenant_id = $1 and subject = $2",
    ] {
        query(sql).bind(&tenant).bind(subject).execute(m.tx()).await?;
    }
    Ok(())
}
