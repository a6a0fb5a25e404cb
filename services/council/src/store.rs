//! All SQL of the council. Every resource is a record of the same shape: its name, a revision that
//! serves as etag and lock, its message, and a few columns of its own.

use prost::Message;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::filter::{self, Field};
use remit_store::{Db, Order, Row, Sql, Tx, Value, query};

/// A resource that is stored as a record.
pub trait Record: Message + Default + Clone {
    /// Its table.
    const TABLE: &'static str;
    /// The reason when it does not exist, such as `HOLD_NOT_FOUND`.
    const NOT_FOUND: &'static str;
    /// The reason when it exists already, such as `HOLD_EXISTS`.
    const EXISTS: &'static str;
    /// The column that lists are ordered by, before the name; empty to order by name alone.
    const SORT: &'static str;
    /// The direction of lists.
    const ORDER: Order;
    /// What lists can be filtered by.
    const FIELDS: &'static [Field];

    /// Its name.
    fn name(&self) -> &str;
    /// When it was created.
    fn created_at(&self) -> Timestamp;
    /// The columns of its own.
    fn columns(&self) -> Vec<(&'static str, Value)>;
    /// Puts the etag of a revision into the message, if it has one.
    fn set_etag(&mut self, _etag: String) {}
}

fn decode<R: Record>(row: &Row) -> Result<R> {
    let bytes: Vec<u8> = row.get("body")?;
    let mut record = R::decode(bytes.as_slice())
        .map_err(|error| Error::internal(format!("a record of {} cannot be read", R::TABLE)).with_source(error))?;
    record.set_etag(row.get::<i64>("revision")?.to_string());
    Ok(record)
}

/// Inserts a record with revision 1 and puts its etag into it.
///
/// # Errors
/// `AlreadyExists` with the record's own reason.
pub async fn insert<R: Record>(tx: &mut Tx, tenant: &Tenant, record: &mut R) -> Result<()> {
    if try_insert(tx, tenant, record).await? {
        Ok(())
    } else {
        Err(Error::new(remit_core::Kind::AlreadyExists, R::EXISTS, format!("{} exists already", record.name())))
    }
}

/// Inserts a record unless its name is taken; whether it did.
pub async fn try_insert<R: Record>(tx: &mut Tx, tenant: &Tenant, record: &mut R) -> Result<bool> {
    record.set_etag("1".to_owned());
    let columns = record.columns();
    let mut sql = Sql::new("insert into ").push(R::TABLE).push(" (tenant_id, name, revision, created_at, body");
    for (column, _) in &columns {
        sql = sql.push(", ").push(column);
    }
    sql = sql.push(") values (").bind(tenant).push(", ").bind(record.name()).push(", 1, ");
    sql = sql.bind(record.created_at()).push(", ").bind(record.encode_to_vec());
    for (_, value) in columns {
        sql = sql.push(", ").bind(value);
    }
    let inserted = sql.push(") on conflict (tenant_id, name) do nothing").query().execute(tx).await?;
    Ok(inserted == 1)
}

/// Locks a record for the rest of the transaction and returns it as it is.
///
/// # Errors
/// `NotFound` with the record's own reason.
pub async fn claim<R: Record>(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<R> {
    let row = Sql::new("update ")
        .push(R::TABLE)
        .push(" set revision = revision where tenant_id = ")
        .bind(tenant)
        .push(" and name = ")
        .bind(name)
        .push(" returning revision, body")
        .query()
        .fetch_optional(tx)
        .await?
        .ok_or_else(|| Error::not_found(R::NOT_FOUND, name))?;
    decode(&row)
}

/// Writes a record that was claimed in this transaction and puts its new etag into it.
pub async fn save<R: Record>(tx: &mut Tx, tenant: &Tenant, record: &mut R) -> Result<()> {
    let mut sql =
        Sql::new("update ").push(R::TABLE).push(" set revision = revision + 1, body = ").bind(record.encode_to_vec());
    for (column, value) in record.columns() {
        sql = sql.push(", ").push(column).push(" = ").bind(value);
    }
    let row = sql
        .push(" where tenant_id = ")
        .bind(tenant)
        .push(" and name = ")
        .bind(record.name())
        .push(" returning revision")
        .query()
        .fetch_one(tx)
        .await?;
    record.set_etag(row.get::<i64>("revision")?.to_string());
    Ok(())
}

/// Returns a record, if it exists.
pub async fn find<R: Record>(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<Option<R>> {
    let row = Sql::new("select revision, body from ")
        .push(R::TABLE)
        .push(" where tenant_id = ")
        .bind(tenant)
        .push(" and name = ")
        .bind(name)
        .query()
        .fetch_optional(tx)
        .await?;
    row.map(|row| decode(&row)).transpose()
}

/// Returns a record.
///
/// # Errors
/// `NotFound` with the record's own reason.
pub async fn get<R: Record>(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<R> {
    find(tx, tenant, name).await?.ok_or_else(|| Error::not_found(R::NOT_FOUND, name))
}

/// What a list request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The permission of the method, which tells the lists apart.
    pub method: &'static str,
    /// The parent, for collections inside another; empty for all.
    pub parent: &'a str,
    /// The filter.
    pub filter: &'a str,
    /// The page size asked for.
    pub size: i32,
    /// The page token.
    pub token: &'a str,
}

/// Returns one page of records and the token of the next one.
///
/// # Errors
/// `InvalidArgument` for a wrong filter, page size or page token.
pub async fn list<R: Record>(db: &Db, tenant: &Tenant, page: Page<'_>) -> Result<(Vec<R>, String)> {
    let size = remit_store::page::size(page.size)?;
    let keyset = db.keyset(tenant, page.method, &[page.parent, page.filter]);
    let after = keyset.after(page.token)?;
    let filter = filter::parse(page.filter, R::FIELDS)?;
    let mut sql = Sql::new("select revision, body, name, ");
    sql = if R::SORT.is_empty() { sql.push("name") } else { sql.push(R::SORT) };
    sql = sql.push(" as sort_key from ").push(R::TABLE).push(" where tenant_id = ").bind(tenant);
    if !page.parent.is_empty() {
        sql = sql.push(" and parent = ").bind(page.parent);
    }
    let columns: &[&'static str] = if R::SORT.is_empty() { &["name"] } else { &[R::SORT, "name"] };
    let mut tx = db.read().await?;
    let rows = sql
        .and_filter(&filter)
        .and_after(columns, R::ORDER, after.as_deref())
        .order_limit(columns, R::ORDER, size + 1)
        .query()
        .fetch_all(&mut tx)
        .await?;
    let (rows, token) = keyset.cut(rows, size, |row| sort_key::<R>(row).unwrap_or_default());
    Ok((rows.iter().map(decode).collect::<Result<_>>()?, token))
}

fn sort_key<R: Record>(row: &Row) -> Result<Vec<Value>> {
    let name: Value = row.get::<String>("name")?.into();
    Ok(match R::SORT {
        "" => vec![name],
        "period" => vec![row.get::<String>("sort_key")?.into(), name],
        _ => vec![row.get::<i64>("sort_key")?.into(), name],
    })
}

/// At most this many records of one kind go into a decision or a review.
pub const MOST: i64 = 5_000;

/// Returns the records of a parent (empty for all) in list order, at most [`MOST`].
pub async fn all<R: Record>(tx: &mut Tx, tenant: &Tenant, parent: &str) -> Result<Vec<R>> {
    let mut sql = Sql::new("select revision, body from ").push(R::TABLE).push(" where tenant_id = ").bind(tenant);
    if !parent.is_empty() {
        sql = sql.push(" and parent = ").bind(parent);
    }
    let columns: &[&'static str] = if R::SORT.is_empty() { &["name"] } else { &[R::SORT, "name"] };
    let rows = sql.order_limit(columns, R::ORDER, MOST).query().fetch_all(tx).await?;
    rows.iter().map(decode).collect()
}

/// Returns the records whose column `state` has one of these values, the oldest first, at most [`MOST`].
pub async fn in_states<R: Record>(tx: &mut Tx, tenant: &Tenant, states: &[i32]) -> Result<Vec<R>> {
    let mut sql = Sql::new("select revision, body from ").push(R::TABLE).push(" where tenant_id = ").bind(tenant);
    for (at, state) in states.iter().enumerate() {
        sql = sql.push(if at == 0 { " and state in (" } else { ", " }).bind(*state);
    }
    let rows = sql.push(")").order_limit(&["created_at", "name"], Order::Ascending, MOST).query().fetch_all(tx).await?;
    rows.iter().map(decode).collect()
}

/// Returns the waivers of a rule.
pub async fn waivers_of<R: Record>(tx: &mut Tx, tenant: &Tenant, control: &str) -> Result<Vec<R>> {
    let rows = query("select revision, body from waivers where tenant_id = $1 and control = $2 order by name limit $3")
        .bind(tenant)
        .bind(control)
        .bind(MOST)
        .fetch_all(tx)
        .await?;
    rows.iter().map(decode).collect()
}

/// Stores the evidence of a review, in place of what was there.
pub async fn put_evidence(tx: &mut Tx, tenant: &Tenant, review: &str, evidence: &[u8]) -> Result<()> {
    query(
        "insert into packs (tenant_id, review, evidence) values ($1, $2, $3)
         on conflict (tenant_id, review) do update set evidence = excluded.evidence",
    )
    .bind(tenant)
    .bind(review)
    .bind(evidence)
    .execute(tx)
    .await
    .map(|_| ())
}

/// Returns the evidence of a review, if it was collected.
pub async fn evidence(tx: &mut Tx, tenant: &Tenant, review: &str) -> Result<Option<Vec<u8>>> {
    let row = query("select evidence from packs where tenant_id = $1 and review = $2")
        .bind(tenant)
        .bind(review)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.get("evidence")).transpose()
}

/// Returns the tenant's seed for seals, `fresh` if there was none.
pub async fn seal_seed(tx: &mut Tx, tenant: &Tenant, fresh: [u8; 32]) -> Result<[u8; 32]> {
    query("insert into seal_keys (tenant_id, seed) values ($1, $2) on conflict (tenant_id) do nothing")
        .bind(tenant)
        .bind(fresh)
        .execute(tx)
        .await?;
    let row = query("select seed from seal_keys where tenant_id = $1").bind(tenant).fetch_one(tx).await?;
    row.get::<Vec<u8>>("seed")?.try_into().map_err(|_| Error::internal("the seed of the seal key is not 32 bytes long"))
}
