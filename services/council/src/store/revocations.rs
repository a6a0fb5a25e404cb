//! Revocations of tokens.

use super::{BY_TIME, CREATE_TIME};
use crate::time::at;
use prost::Message as _;
use remit_api::council::v1::Revocation;
use remit_core::{Result, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Mutation, Order, Records, Sql, Value, query};

/// The one feed that tells the processes of the suite what was said of tokens.
pub(crate) const ACCESS: &str = "access";

/// How many that are over are forgotten at once.
const FORGOTTEN: i64 = 100;

pub(crate) struct Revocations;

impl Records for Revocations {
    type Message = Revocation;
    const TABLE: &'static str = "revocations";
    const NOT_FOUND: &'static str = "REVOCATION_NOT_FOUND";
    const EXISTS: &'static str = "REVOCATION_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::text("token_id", "token_id"),
        Field::text("subject", "subject").subjects(),
        Field::text("revoker", "revoker").subjects(),
        Field::boolean("block", "block"),
        Field::timestamp("expire_time", "expire_time"),
        CREATE_TIME,
    ];
    const FEED: &'static str = ACCESS;

    fn name(revocation: &Revocation) -> &str {
        &revocation.name
    }
    fn create_time(revocation: &Revocation) -> Timestamp {
        at(&revocation.create_time)
    }
    fn columns(revocation: &Revocation) -> Vec<(&'static str, Value)> {
        vec![
            ("token_id", (&revocation.token_id).into()),
            ("subject", (&revocation.subject).into()),
            ("revoker", revocation.revoker.as_ref().map(|revoker| revoker.subject.as_str()).unwrap_or_default().into()),
            ("block", revocation.block.into()),
            ("expire_time", end(&revocation.expire_time).into()),
        ]
    }
    async fn publish(m: &mut Mutation, revocation: &Revocation) -> Result<()> {
        // Why is for people to read, and need not be in the memory of every process.
        let told = Revocation { reason: String::new(), ..revocation.clone() };
        m.change(ACCESS, &revocation.name, Some(told.encode_to_vec())).await
    }
}

/// When something is over, the end of time where it lasts.
pub(super) fn end(expire_time: &Option<prost_types::Timestamp>) -> Timestamp {
    if expire_time.is_some() { at(expire_time) } else { Timestamp(i64::MAX) }
}

/// Forgets what of a collection with an end was over at `now`, and tells its watchers.
pub(super) async fn forget<R: Records>(m: &mut Mutation, now: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    let gone = Sql::new("delete from ")
        .push(R::TABLE)
        .push(" where tenant_id = ")
        .bind(&tenant)
        .push(" and name in (select name from ")
        .push(R::TABLE)
        .push(" where tenant_id = ")
        .bind(&tenant)
        .push(" and expire_time <= ")
        .bind(now)
        .push(" order by expire_time, name limit ")
        .bind(FORGOTTEN)
        .push(") returning name")
        .query()
        .fetch_all(m.tx())
        .await?;
    for row in gone {
        m.change(R::FEED, &row.get::<String>("name")?, None).await?;
    }
    Ok(())
}

/// Forgets what was over at `now`, and counts what is left: all, and what `revoker` made.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn revocations(m: &mut Mutation, revoker: &str, now: Timestamp) -> Result<(i64, i64)> {
    forget::<Revocations>(m, now).await?;
    let tenant = m.tenant().clone();
    let left = query(
        "select count(*) as n, count(*) filter (where revoker = $2) as own from revocations where tenant_id = $1",
    )
    .bind(&tenant)
    .bind(revoker)
    .fetch_one(m.tx())
    .await?;
    Ok((left.get("n")?, left.get("own")?))
}
