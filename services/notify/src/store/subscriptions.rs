//! Subscriptions.

use super::at;
use remit_api::notify::v1::{Subscription, SubscriptionState};
use remit_api::wire::Word as _;
use remit_core::{Result, Tenant, Timestamp, etag};
use remit_store::filter::Field;
use remit_store::{Mutation, Records, Row, Tx, Value, query};
use std::collections::BTreeMap;

/// Subscriptions, by name.
pub(crate) struct Subscriptions;

impl Records for Subscriptions {
    type Message = Subscription;
    const TABLE: &'static str = "subscriptions";
    const NOT_FOUND: &'static str = "SUBSCRIPTION_NOT_FOUND";
    const EXISTS: &'static str = "SUBSCRIPTION_EXISTS";
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", SubscriptionState::WORDS),
        Field::text("owner", "owner").subjects(),
        Field::timestamp("create_time", "create_time"),
    ];

    fn name(subscription: &Subscription) -> &str {
        &subscription.name
    }
    fn create_time(subscription: &Subscription) -> Timestamp {
        at(&subscription.create_time)
    }
    fn columns(subscription: &Subscription) -> Vec<(&'static str, Value)> {
        vec![
            ("state", subscription.state().word().into()),
            ("owner", (&subscription.owner).into()),
            ("uid", (&subscription.uid).into()),
        ]
    }
    fn set_etag(subscription: &mut Subscription, etag: String) {
        subscription.etag = etag;
    }
}

/// One state of a subscription, apart from every other, those of another with the same name too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    uid: String,
    etag: String,
}

/// Which version a subscription is.
pub(crate) fn version(subscription: &Subscription) -> Version {
    Version { uid: subscription.uid.clone(), etag: subscription.etag.clone() }
}

/// The names of those that keep what happens, each with its version.
pub(crate) async fn keeping(tx: &mut Tx, tenant: &Tenant) -> Result<BTreeMap<String, Version>> {
    let sql = "select name, uid, revision from subscriptions where tenant_id = $1 and state in ('ACTIVE', 'PAUSED')";
    let rows = query(sql).bind(tenant).fetch_all(tx).await?;
    let version = |row: &Row| Ok(Version { uid: row.get("uid")?, etag: etag::of(row.get("revision")?) });
    rows.iter().map(|row| Ok((row.get("name")?, version(row)?))).collect()
}

/// The names of those of an owner that keep what happens.
pub(crate) async fn owned(m: &mut Mutation, owner: &str) -> Result<Vec<String>> {
    let tenant = m.tenant().clone();
    let rows = query(
        "select name from subscriptions
         where tenant_id = $1 and owner = $2 and state in ('ACTIVE', 'PAUSED') order by name",
    )
    .bind(&tenant)
    .bind(owner)
    .fetch_all(m.tx())
    .await?;
    rows.iter().map(|row| row.get("name")).collect()
}

/// The names of all of an owner.
pub(crate) async fn of(m: &mut Mutation, owner: &str) -> Result<Vec<String>> {
    let tenant = m.tenant().clone();
    let rows = query("select name from subscriptions where tenant_id = $1 and owner = $2 order by name");
    let rows = rows.bind(&tenant).bind(owner).fetch_all(m.tx()).await?;
    rows.iter().map(|row| row.get("name")).collect()
}

/// How many there are.
pub(crate) async fn count(m: &mut Mutation) -> Result<i64> {
    let tenant = m.tenant().clone();
    let row = query("select count(*) as n from subscriptions where tenant_id = $1").bind(&tenant);
    row.fetch_one(m.tx()).await?.get("n")
}

/// Removes what belongs to a claimed subscription.
pub(crate) async fn clear(m: &mut Mutation, name: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    for statement in [
        "delete from subscription_secrets where tenant_id = $1 and subscription = $2",
        "delete from deliveries where tenant_id = $1 and parent = $2",
        "delete from queues where tenant_id = $1 and subscription = $2",
        "delete from bounces where tenant_id = $1 and resource = $2",
    ] {
        query(statement).bind(&tenant).bind(name).execute(m.tx()).await?;
    }
    Ok(())
}
