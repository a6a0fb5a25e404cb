//! All SQL of the registry. What has a name is stored as [`Records`]; their histories have tables of their own.

pub(crate) mod aliases;
pub(crate) mod artifacts;
pub(crate) mod automations;
pub(crate) mod daily_outputs;
pub(crate) mod models;
pub(crate) mod outputs;

use prost_types::Timestamp as ProtoTime;
use remit_api::wire::{Word, time};
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::{Mutation, Records, Sql, Tx};
use std::collections::BTreeMap;

/// How many names one statement looks up.
const LOOKUP: usize = 500;

/// A time that the registry always sets.
fn at(time: Option<&ProtoTime>) -> Timestamp {
    time.map_or(Timestamp(0), time::of)
}

/// The words of an enum whose value 0 is something to search for too, such as a class that nobody has assessed.
const fn or_unspecified<const N: usize>(words: &[&'static str]) -> [&'static str; N] {
    let mut all = ["UNSPECIFIED"; N];
    let mut at = 1;
    while at < N {
        all[at] = words[at - 1];
        at += 1;
    }
    all
}

/// The word of such an enum.
pub(crate) fn word_or_unspecified<W: Word>(number: i32) -> &'static str {
    match W::word_of(number) {
        "" => "UNSPECIFIED",
        word => word,
    }
}

/// Locks what versions belong to and draws the number of the next one: one more than the last, or `at_least`.
pub(crate) async fn next_number<R: Records>(m: &mut Mutation, name: &str, at_least: i64) -> Result<(i64, R::Message)> {
    let row = Sql::new("update ")
        .push(R::TABLE)
        .push(" set last_number = case when last_number + 1 > ")
        .bind(at_least)
        .push(" then last_number + 1 else ")
        .bind(at_least)
        .push(" end where tenant_id = ")
        .bind(m.tenant())
        .push(" and name = ")
        .bind(name)
        .push(" returning last_number, revision, body")
        .query()
        .fetch_optional(m.tx())
        .await?
        .ok_or_else(|| Error::not_found(R::NOT_FOUND, name))?;
    Ok((row.get("last_number")?, R::read(&row)?))
}

/// Those of the records with these names that exist, by name.
pub(crate) async fn named<R: Records>(
    tx: &mut Tx,
    tenant: &Tenant,
    names: &[&str],
) -> Result<BTreeMap<String, R::Message>> {
    let mut found = BTreeMap::new();
    for names in names.chunks(LOOKUP) {
        let messages = R::named(tx, tenant, names).await?;
        found.extend(messages.into_iter().map(|message| (R::name(&message).to_owned(), message)));
    }
    Ok(found)
}
