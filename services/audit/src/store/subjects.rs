//! Subjects' keys and what they seal.

use super::heads::{signed, unsigned};
use crate::seal::{MasterKeys, SubjectKey};
use remit_core::{Error, Ids, Result, Tenant, Timestamp};
use remit_store::{BulkInsert, Db, Row, Sql, Tx, query, tenants};
use std::collections::HashMap;

/// A subject's key that was not destroyed.
pub struct LiveKey {
    /// Which of the subject's keys it is.
    pub generation: i64,
    /// The key.
    pub key: SubjectKey,
}

fn unwrap(row: &Row, tenant: &Tenant, master: &MasterKeys) -> Result<(String, LiveKey)> {
    let (subject, generation): (String, i64) = (row.get("subject")?, row.get("generation")?);
    let (master_key, wrapped): (String, Vec<u8>) = (row.get("master_key")?, row.get("wrapped")?);
    let key = master.unwrap(&master_key, tenant, &subject, generation, &wrapped)?;
    Ok((subject, LiveKey { generation, key }))
}

/// The newest live keys of `subjects`, making one for each that has none. One that cannot be opened, because its row is
/// damaged or its master key is not here, stops nobody: what comes is sealed under a new key of the subject, and what the
/// old one sealed waits for its row or master key. The caller holds the head row, so that no two make a key for one subject.
pub async fn keys_for(
    tx: &mut Tx,
    tenant: &Tenant,
    subjects: &[&str],
    master: &MasterKeys,
    ids: &Ids,
    now: Timestamp,
) -> Result<HashMap<String, LiveKey>> {
    let mut live = HashMap::new();
    let mut last: HashMap<String, i64> = HashMap::new();
    let mut closed: HashMap<String, Error> = HashMap::new();
    for chunk in subjects.chunks(250) {
        let mut sql = Sql::new("select subject, generation, master_key, wrapped from subject_keys where tenant_id = ");
        sql = sql.bind(tenant).push(" and subject in (");
        for (at, subject) in chunk.iter().enumerate() {
            sql = if at == 0 { sql.bind(*subject) } else { sql.push(", ").bind(*subject) };
        }
        for row in sql.push(")").query().fetch_all(tx).await? {
            let (subject, generation): (String, i64) = (row.get("subject")?, row.get("generation")?);
            let newest = last.entry(subject.clone()).or_default();
            *newest = generation.max(*newest);
            if row.get::<Option<Vec<u8>>>("wrapped")?.is_none() {
                continue;
            }
            match unwrap(&row, tenant, master) {
                Ok((_, key)) => {
                    let known: Option<&LiveKey> = live.get(&subject);
                    if known.is_none_or(|known| known.generation < key.generation) {
                        live.insert(subject, key);
                    }
                }
                Err(error) if is_closed(&error) => {
                    closed.insert(subject, error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    let mut fresh = Vec::new();
    for subject in subjects {
        if live.contains_key(*subject) {
            continue;
        }
        let generation = last.get(*subject).copied().unwrap_or(0) + 1;
        if let Some(error) = closed.get(*subject) {
            tracing::error!(%tenant, reason = error.reason(), generation, "personal data is sealed under a new key: {error}");
        }
        let key = SubjectKey::generate(ids);
        fresh.push((*subject, generation, master.wrap(ids, tenant, subject, generation, &key)?));
        live.insert((*subject).to_owned(), LiveKey { generation, key });
    }
    if !fresh.is_empty() {
        BulkInsert::into("subject_keys")
            .text("tenant_id", vec![tenant.as_str().to_owned(); fresh.len()])
            .text("subject", fresh.iter().map(|(subject, _, _)| (*subject).to_owned()).collect::<Vec<_>>())
            .bigint("generation", fresh.iter().map(|(_, generation, _)| *generation).collect::<Vec<_>>())
            .text("master_key", vec![master.current_tag().to_owned(); fresh.len()])
            .bigint("create_time", vec![now.0; fresh.len()])
            .bytes("wrapped", fresh.into_iter().map(|(_, _, wrapped)| wrapped).collect::<Vec<_>>())
            .execute(tx)
            .await?;
    }
    Ok(live)
}

/// Whether an error says that a subject's key is there and cannot be opened.
pub fn is_closed(error: &Error) -> bool {
    matches!(error.reason(), "MASTER_KEY_MISSING" | "SUBJECT_KEY_DAMAGED")
}

/// The tenants that have keys of subjects.
pub(crate) async fn tenants(db: &Db) -> Result<Vec<Tenant>> {
    let sql = "select tenant_id from log_heads h
               where exists (select 1 from subject_keys k where k.tenant_id = h.tenant_id) order by tenant_id";
    tenants::found(db, query(sql)).await
}

/// The master keys that seal subjects' keys of a tenant, as rows name them: one point read for each.
pub async fn masters(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<String>> {
    let (mut found, mut last) = (Vec::new(), String::new());
    loop {
        let row = query(
            "select min(master_key) as next from subject_keys
             where tenant_id = $1 and master_key > $2 and wrapped is not null",
        )
        .bind(tenant)
        .bind(&last)
        .fetch_one(tx)
        .await?;
        let Some(next) = row.get::<Option<String>>("next")? else { return Ok(found) };
        found.push(next.clone());
        last = next;
    }
}

/// How many live keys are sealed under a master key.
pub async fn count_under(tx: &mut Tx, tenant: &Tenant, master_key: &str) -> Result<i64> {
    let sql = "select count(*) as n from subject_keys where tenant_id = $1 and master_key = $2 and wrapped is not null";
    query(sql).bind(tenant).bind(master_key).fetch_one(tx).await?.get("n")
}

/// Live keys after `from`, by subject and generation, at most `limit`, each with why it cannot be opened, if so.
pub async fn opened(
    tx: &mut Tx,
    tenant: &Tenant,
    from: &(String, i64),
    limit: i64,
    master: &MasterKeys,
) -> Result<Vec<((String, i64), Option<Error>)>> {
    let rows = query(
        "select subject, generation, master_key, wrapped from subject_keys
         where tenant_id = $1 and (subject, generation) > ($2, $3) and wrapped is not null
         order by subject, generation limit $4",
    )
    .bind(tenant)
    .bind(&from.0)
    .bind(from.1)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let open = |row: &Row| match unwrap(row, tenant, master) {
        Err(error) if !is_closed(&error) => Err(error),
        opened => Ok(((row.get("subject")?, row.get("generation")?), opened.err())),
    };
    rows.iter().map(open).collect()
}

/// One key of a subject; none if it was destroyed or never made.
pub async fn key(
    tx: &mut Tx,
    tenant: &Tenant,
    subject: &str,
    generation: i64,
    master: &MasterKeys,
) -> Result<Option<SubjectKey>> {
    let row = query(
        "select subject, generation, master_key, wrapped from subject_keys
         where tenant_id = $1 and subject = $2 and generation = $3 and wrapped is not null",
    )
    .bind(tenant)
    .bind(subject)
    .bind(generation)
    .fetch_optional(tx)
    .await?;
    row.map(|row| unwrap(&row, tenant, master).map(|(_, live)| live.key)).transpose()
}

/// How many live keys a subject has.
pub async fn count_live(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<i64> {
    let row =
        query("select count(*) as n from subject_keys where tenant_id = $1 and subject = $2 and wrapped is not null")
            .bind(tenant)
            .bind(subject)
            .fetch_one(tx)
            .await?;
    row.get("n")
}

/// When a key of the subject was last destroyed.
pub async fn destroy_time(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<Option<Timestamp>> {
    let row = query("select max(destroy_time) as at from subject_keys where tenant_id = $1 and subject = $2")
        .bind(tenant)
        .bind(subject)
        .fetch_one(tx)
        .await?;
    row.get("at")
}

/// Destroys the live keys of a subject; returns how many.
pub async fn destroy_keys(tx: &mut Tx, tenant: &Tenant, subject: &str, now: Timestamp) -> Result<u64> {
    query(
        "update subject_keys set wrapped = null, destroy_time = $3
         where tenant_id = $1 and subject = $2 and wrapped is not null",
    )
    .bind(tenant)
    .bind(subject)
    .bind(now)
    .execute(tx)
    .await
}

/// Sealed personal data of one entry.
pub struct Sealed {
    /// The entry.
    pub index: u64,
    /// Whose data it is.
    pub subject: String,
    /// Under which of the subject's keys.
    pub generation: i64,
    /// Nonce, ciphertext and tag.
    pub sealed: Vec<u8>,
}

/// Stores sealed data.
pub async fn insert(tx: &mut Tx, tenant: &Tenant, sealed: Vec<Sealed>) -> Result<()> {
    if sealed.is_empty() {
        return Ok(());
    }
    BulkInsert::into("personal_data")
        .text("tenant_id", vec![tenant.as_str().to_owned(); sealed.len()])
        .bigint("idx", sealed.iter().map(|one| signed(one.index)).collect::<Vec<_>>())
        .text("subject", sealed.iter().map(|one| one.subject.clone()).collect::<Vec<_>>())
        .bigint("generation", sealed.iter().map(|one| one.generation).collect::<Vec<_>>())
        .bytes("sealed", sealed.into_iter().map(|one| one.sealed).collect::<Vec<_>>())
        .execute(tx)
        .await
        .map(|_| ())
}

/// The sealed data of one entry.
pub async fn get(tx: &mut Tx, tenant: &Tenant, index: u64) -> Result<Option<Sealed>> {
    let row = query("select subject, generation, sealed from personal_data where tenant_id = $1 and idx = $2")
        .bind(tenant)
        .bind(signed(index))
        .fetch_optional(tx)
        .await?;
    let sealed = |row: Row| {
        Ok(Sealed {
            index,
            subject: row.get("subject")?,
            generation: row.get("generation")?,
            sealed: row.get("sealed")?,
        })
    };
    row.map(sealed).transpose()
}

/// How many entries have sealed data of a subject, and the first and last of them.
pub async fn extent(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<(i64, Option<u64>, Option<u64>)> {
    let row = query(
        "select count(*) as n, min(idx) as first, max(idx) as last from personal_data where tenant_id = $1 and subject = $2",
    )
    .bind(tenant)
    .bind(subject)
    .fetch_one(tx)
    .await?;
    let (first, last): (Option<i64>, Option<i64>) = (row.get("first")?, row.get("last")?);
    Ok((row.get("n")?, first.map(unsigned), last.map(unsigned)))
}

/// Deletes the sealed data of a subject.
pub async fn delete(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<u64> {
    query("delete from personal_data where tenant_id = $1 and subject = $2")
        .bind(tenant)
        .bind(subject)
        .execute(tx)
        .await
}

/// Seals keys under the current master key that are under another, at most `limit`; returns how many
/// were, and how many are left.
pub async fn rewrap(tx: &mut Tx, tenant: &Tenant, master: &MasterKeys, ids: &Ids, limit: i64) -> Result<(i64, i64)> {
    let rows = query(
        "select subject, generation, master_key, wrapped from subject_keys
         where tenant_id = $1 and master_key <> $2 and wrapped is not null order by subject, generation limit $3",
    )
    .bind(tenant)
    .bind(master.current_tag())
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let mut rewrapped = 0;
    for row in &rows {
        let (subject, live) = match unwrap(row, tenant, master) {
            Ok(opened) => opened,
            // It would keep all others from being done; `fsck` names it.
            Err(error) if error.reason() == "SUBJECT_KEY_DAMAGED" => {
                tracing::error!(%tenant, reason = error.reason(), "a subject's key stays as it is: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        rewrapped += 1;
        let wrapped = master.wrap(ids, tenant, &subject, live.generation, &live.key)?;
        query(
            "update subject_keys set master_key = $4, wrapped = $5
             where tenant_id = $1 and subject = $2 and generation = $3 and wrapped is not null",
        )
        .bind(tenant)
        .bind(&subject)
        .bind(live.generation)
        .bind(master.current_tag())
        .bind(wrapped)
        .execute(tx)
        .await?;
    }
    let left = query(
        "select count(*) as n from subject_keys where tenant_id = $1 and master_key <> $2 and wrapped is not null",
    )
    .bind(tenant)
    .bind(master.current_tag())
    .fetch_one(tx)
    .await?;
    Ok((rewrapped, left.get("n")?))
}
