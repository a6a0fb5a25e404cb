//! Resources stored as records: a name, a revision that serves as lock and etag, a time of creation, the
//! message itself, and the columns by which it is found.
//!
//! The table of a collection has `tenant_id`, `name`, `revision`, `create_time` and `body` beside its own
//! columns, and `(tenant_id, name)` as its key. What the columns of its own say is what the message says:
//! every write sets both.

use crate::bulk::BulkInsert;
use crate::db::Db;
use crate::filter::{self, Field};
use crate::mutation::Mutation;
use crate::page;
use crate::query::{Order, Sql};
use crate::tx::Tx;
use crate::value::{Row, Value};
use prost::Message;
use remit_core::{Error, Kind, Result, Tenant, Timestamp, etag, name};
use std::collections::HashSet;
use std::future::Future;

/// A column that a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A `bigint`, such as a time.
    Int(&'static str),
    /// A `$KEY`.
    Text(&'static str),
}

impl Key {
    const fn column(self) -> &'static str {
        match self {
            Self::Int(column) | Self::Text(column) => column,
        }
    }

    fn read(self, row: &Row) -> Result<Value> {
        Ok(match self {
            Self::Int(column) => row.get::<i64>(column)?.into(),
            Self::Text(column) => row.get::<String>(column)?.into(),
        })
    }
}

/// At most this many records are read at once without a page.
pub const MOST: i64 = 5_000;

/// What a list request asks for.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// The permission of the method, which tells the lists apart.
    pub method: &'static str,
    /// The parent, for collections inside another; empty for all.
    pub parent: &'a str,
    /// The filter (AIP-160); empty for all.
    pub filter: &'a str,
    /// The page size asked for: 0 is the default, more than the bound is the bound.
    pub size: i32,
    /// The page token; empty for the first page.
    pub token: &'a str,
    /// Columns that must have these values, beside the filter.
    pub only: Vec<(&'static str, Value)>,
}

impl Page<'_> {
    /// The same page of those records whose `column` has this value.
    #[must_use]
    pub fn only(mut self, column: &'static str, value: impl Into<Value>) -> Self {
        self.only.push((column, value.into()));
        self
    }
}

/// A collection of the contract, stored as records. Implemented by a type without values that bears the
/// collection's name, so that a service reads `Holds::get(…)`.
pub trait Records: 'static {
    /// The resource.
    type Message: Message + Default + Clone + 'static;

    /// Its table.
    const TABLE: &'static str;
    /// The reason when it does not exist, such as `HOLD_NOT_FOUND`.
    const NOT_FOUND: &'static str;
    /// The reason when it exists already, such as `HOLD_EXISTS`. Where no caller chooses the name, its being
    /// taken is a defect of ours.
    const EXISTS: &'static str = "INTERNAL";
    /// What lists are ordered by, before the name.
    const SORT: &'static [Key] = &[];
    /// The direction of lists.
    const ORDER: Order = Order::Ascending;
    /// What lists can be filtered by.
    const FIELDS: &'static [Field] = &[];
    /// The feed that tells watchers about every write; empty if none does.
    const FEED: &'static str = "";

    /// Its name.
    fn name(message: &Self::Message) -> &str;
    /// When it was created.
    fn create_time(message: &Self::Message) -> Timestamp;
    /// The columns of its own.
    fn columns(_message: &Self::Message) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
    /// Puts the etag of a revision into the message, if it has one.
    fn set_etag(_message: &mut Self::Message, _etag: String) {}
    /// What is stored as its body: all of it, unless a part that lists leave out has a column of its own.
    fn body(message: &Self::Message) -> Vec<u8> {
        message.encode_to_vec()
    }

    /// Reads a record from the columns `revision` and `body`, in statements of the service's own.
    ///
    /// # Errors
    /// `Internal` if they are not there, or the body is no such message.
    fn read(row: &Row) -> Result<Self::Message> {
        let body: Vec<u8> = row.get("body")?;
        let mut message = Self::Message::decode(body.as_slice()).map_err(|error| {
            Error::internal(format!("a record of {} cannot be read", Self::TABLE)).with_source(error)
        })?;
        Self::set_etag(&mut message, etag::of(row.get("revision")?));
        Ok(message)
    }

    /// Inserts a record with revision 1 and puts its etag into it.
    ///
    /// # Errors
    /// `AlreadyExists` with the collection's own reason; else as [`crate::classify`] says.
    fn insert(m: &mut Mutation, message: &mut Self::Message) -> impl Future<Output = Result<()>> + Send {
        async move {
            if Self::try_insert(m, message).await? {
                return Ok(());
            }
            Err(Error::new(Kind::AlreadyExists, Self::EXISTS, format!("{} exists already", Self::name(message))))
        }
    }

    /// Inserts a record unless its name is taken; whether it did.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn try_insert(m: &mut Mutation, message: &mut Self::Message) -> impl Future<Output = Result<bool>> + Send {
        async move {
            Self::set_etag(message, etag::of(1));
            let columns = Self::columns(message);
            let mut sql =
                Sql::new("insert into ").push(Self::TABLE).push(" (tenant_id, name, revision, create_time, body");
            for (column, _) in &columns {
                sql = sql.push(", ").push(column);
            }
            sql = sql.push(") values (").bind(m.tenant()).push(", ").bind(Self::name(message)).push(", 1, ");
            sql = sql.bind(Self::create_time(message)).push(", ").bind(Self::body(message));
            for (_, value) in columns {
                sql = sql.push(", ").bind(value);
            }
            let inserted = sql.push(") on conflict (tenant_id, name) do nothing").query().execute(m.tx()).await? == 1;
            if inserted {
                Self::publish(m, message).await?;
            }
            Ok(inserted)
        }
    }

    /// Inserts records in one statement, but those whose names are taken; returns the names inserted.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn insert_all(
        m: &mut Mutation,
        messages: &mut [Self::Message],
    ) -> impl Future<Output = Result<HashSet<String>>> + Send {
        async move {
            let Some(first) = messages.first() else { return Ok(HashSet::new()) };
            let count = messages.len();
            let mut own: Vec<(&str, Vec<Value>)> =
                Self::columns(first).into_iter().map(|(column, _)| (column, Vec::with_capacity(count))).collect();
            for message in messages.iter_mut() {
                Self::set_etag(message, etag::of(1));
                for ((_, cells), (_, value)) in own.iter_mut().zip(Self::columns(message)) {
                    cells.push(value);
                }
            }
            let mut insert = BulkInsert::into(Self::TABLE)
                .text("tenant_id", vec![m.tenant().as_str().to_owned(); count])
                .text("name", messages.iter().map(|message| Self::name(message).to_owned()))
                .bigint("revision", vec![1; count])
                .bigint("create_time", messages.iter().map(|message| Self::create_time(message).0))
                .bytes("body", messages.iter().map(Message::encode_to_vec));
            for (column, cells) in own {
                insert = insert.values(column, cells);
            }
            let rows = insert.on_conflict_do_nothing().returning("name", m.tx()).await?;
            let inserted: HashSet<String> = rows.iter().map(|row| row.get("name")).collect::<Result<_>>()?;
            for message in messages.iter().filter(|message| inserted.contains(Self::name(message))) {
                Self::publish(m, message).await?;
            }
            Ok(inserted)
        }
    }

    /// Locks a record for the rest of the transaction and returns it as it is, if it exists.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn try_claim(m: &mut Mutation, name: &str) -> impl Future<Output = Result<Option<Self::Message>>> + Send {
        async move {
            let row = Sql::new("update ")
                .push(Self::TABLE)
                .push(" set revision = revision where tenant_id = ")
                .bind(m.tenant())
                .push(" and name = ")
                .bind(name)
                .push(" returning revision, body")
                .query()
                .fetch_optional(m.tx())
                .await?;
            row.as_ref().map(Self::read).transpose()
        }
    }

    /// Locks a record for the rest of the transaction and returns it as it is. Ask for the time after this.
    ///
    /// # Errors
    /// `NotFound` with the collection's own reason; else as [`crate::classify`] says.
    fn claim(m: &mut Mutation, name: &str) -> impl Future<Output = Result<Self::Message>> + Send {
        async move { Self::try_claim(m, name).await?.ok_or_else(|| Error::not_found(Self::NOT_FOUND, name)) }
    }

    /// Writes a record that was claimed in this transaction and puts its new etag into it.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn save(m: &mut Mutation, message: &mut Self::Message) -> impl Future<Output = Result<()>> + Send {
        async move {
            let mut sql = Sql::new("update ")
                .push(Self::TABLE)
                .push(" set revision = revision + 1, body = ")
                .bind(Self::body(message));
            for (column, value) in Self::columns(message) {
                sql = sql.push(", ").push(column).push(" = ").bind(value);
            }
            let row = sql
                .push(" where tenant_id = ")
                .bind(m.tenant())
                .push(" and name = ")
                .bind(Self::name(message))
                .push(" returning revision")
                .query()
                .fetch_one(m.tx())
                .await?;
            Self::set_etag(message, etag::of(row.get("revision")?));
            Self::publish(m, message).await
        }
    }

    /// Removes a record; whether it was there.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn delete(m: &mut Mutation, name: &str) -> impl Future<Output = Result<bool>> + Send {
        async move {
            let gone = Sql::new("delete from ")
                .push(Self::TABLE)
                .push(" where tenant_id = ")
                .bind(m.tenant())
                .push(" and name = ")
                .bind(name)
                .query()
                .execute(m.tx())
                .await?;
            if gone == 1 && !Self::FEED.is_empty() {
                m.change(Self::FEED, name, None).await?;
            }
            Ok(gone == 1)
        }
    }

    /// Tells the watchers of the collection, if it has a feed.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn publish(m: &mut Mutation, message: &Self::Message) -> impl Future<Output = Result<()>> + Send {
        async move {
            if Self::FEED.is_empty() {
                return Ok(());
            }
            m.change(Self::FEED, Self::name(message), Some(message.encode_to_vec())).await
        }
    }

    /// Returns a record, if it exists.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn find(tx: &mut Tx, tenant: &Tenant, name: &str) -> impl Future<Output = Result<Option<Self::Message>>> + Send {
        async move {
            let row = select::<Self>(tenant).push(" and name = ").bind(name).query().fetch_optional(tx).await?;
            row.as_ref().map(Self::read).transpose()
        }
    }

    /// Returns a record.
    ///
    /// # Errors
    /// `NotFound` with the collection's own reason; else as [`crate::classify`] says.
    fn get(tx: &mut Tx, tenant: &Tenant, name: &str) -> impl Future<Output = Result<Self::Message>> + Send {
        async move { Self::find(tx, tenant, name).await?.ok_or_else(|| Error::not_found(Self::NOT_FOUND, name)) }
    }

    /// Returns the records with these names, in no order, at most [`MOST`]; those that do not exist are left out.
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn named(tx: &mut Tx, tenant: &Tenant, names: &[&str]) -> impl Future<Output = Result<Vec<Self::Message>>> + Send {
        async move {
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let names = names.iter().copied();
            let sql = select::<Self>(tenant).push(" and name in ").bind_list(names).push(" limit ").bind(MOST);
            let rows = sql.query().fetch_all(tx).await?;
            rows.iter().map(Self::read).collect()
        }
    }

    /// Returns one page of records and the token of the next one.
    ///
    /// # Errors
    /// `InvalidArgument` for a wrong filter or page token; else as [`crate::classify`] says.
    fn list(
        db: &Db,
        tenant: &Tenant,
        page: Page<'_>,
    ) -> impl Future<Output = Result<(Vec<Self::Message>, String)>> + Send {
        async move {
            let keys = keys::<Self>();
            let (rows, token) =
                rows(db, tenant, page, Self::TABLE, "revision, body", (&keys, Self::ORDER), Self::FIELDS).await?;
            Ok((rows.iter().map(Self::read).collect::<Result<_>>()?, token))
        }
    }

    /// Returns one page of the records inside a parent of `P`, whose names have the form `pattern`, `models/*`; or
    /// inside all of them, for `models/-` (AIP-159).
    ///
    /// # Errors
    /// `InvalidArgument` (`NAME_INVALID`) for a parent of another form; `NotFound` with the reason of `P`, if there is
    /// no such parent; else as [`Records::list`].
    fn list_in<P: Records>(
        db: &Db,
        tenant: &Tenant,
        page: Page<'_>,
        pattern: &str,
    ) -> impl Future<Output = Result<(Vec<Self::Message>, String)>> + Send {
        async move {
            let parent = page.parent;
            if parent == pattern.replace('*', "-") {
                return Self::list(db, tenant, Page { parent: "", ..page }).await;
            }
            name::ids::<1>(parent, pattern, "parent")?;
            let found = Self::list(db, tenant, page).await?;
            if found.0.is_empty() {
                P::get(&mut db.read().await?, tenant, parent).await?;
            }
            Ok(found)
        }
    }

    /// Returns the records whose columns have these values in list order, at most [`MOST`].
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn all(
        tx: &mut Tx,
        tenant: &Tenant,
        only: &[(&'static str, Value)],
    ) -> impl Future<Output = Result<Vec<Self::Message>>> + Send {
        async move {
            let mut sql = select::<Self>(tenant);
            for (column, value) in only {
                sql = sql.push(" and ").push(column).push(" = ").bind(value.clone());
            }
            let rows = sql.order_limit(&columns(&keys::<Self>()), Self::ORDER, MOST).query().fetch_all(tx).await?;
            rows.iter().map(Self::read).collect()
        }
    }

    /// Returns the records whose column `state` has one of these words, the oldest first, at most [`MOST`].
    ///
    /// # Errors
    /// As [`crate::classify`] says.
    fn in_states(
        tx: &mut Tx,
        tenant: &Tenant,
        states: &[&str],
    ) -> impl Future<Output = Result<Vec<Self::Message>>> + Send {
        async move {
            let rows = select::<Self>(tenant)
                .push(" and state in ")
                .bind_list(states.iter().copied())
                .order_limit(&["create_time", "name"], Order::Ascending, MOST)
                .query()
                .fetch_all(tx)
                .await?;
            rows.iter().map(Self::read).collect()
        }
    }
}

fn select<R: Records + ?Sized>(tenant: &Tenant) -> Sql {
    Sql::new("select revision, body from ").push(R::TABLE).push(" where tenant_id = ").bind(tenant)
}

/// The columns of the order of lists; the name makes it total.
fn keys<R: Records + ?Sized>() -> Vec<Key> {
    R::SORT.iter().copied().chain([Key::Text("name")]).collect()
}

fn columns(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.column()).collect()
}

/// One page of the rows of `table` with these columns, and the token of the next one. The columns of `order`
/// together differ from row to row.
///
/// # Errors
/// `InvalidArgument` for a wrong filter or page token; else as [`crate::classify`] says.
pub async fn rows(
    db: &Db,
    tenant: &Tenant,
    page: Page<'_>,
    table: &'static str,
    select: &'static str,
    order: (&[Key], Order),
    fields: &[Field],
) -> Result<(Vec<Row>, String)> {
    let size = page::size(page.size);
    let only = format!("{:?}", page.only);
    let keyset = db.keyset(tenant, page.method, &[page.parent, page.filter, &only]);
    let after = keyset.after(page.token)?;
    let filter = filter::parse(page.filter, fields)?;
    let (keys, order) = order;
    let columns = columns(keys);
    let mut sql = Sql::new("select ").push(select);
    for column in &columns {
        sql = sql.push(", ").push(column);
    }
    sql = sql.push(" from ").push(table).push(" where tenant_id = ").bind(tenant);
    if !page.parent.is_empty() {
        sql = sql.push(" and parent = ").bind(page.parent);
    }
    for (column, value) in page.only {
        sql = sql.push(" and ").push(column).push(" = ").bind(value);
    }
    let mut tx = db.read().await?;
    let rows = sql
        .and_filter(&filter)
        .and_after(&columns, order, after.as_deref())
        .order_limit(&columns, order, size + 1)
        .query()
        .fetch_all(&mut tx)
        .await?;
    let key = |row: &Row| keys.iter().map(|key| key.read(row)).collect::<Result<_>>().unwrap_or_default();
    Ok(keyset.cut(rows, size, key))
}
