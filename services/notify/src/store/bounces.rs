//! Where mail may come back from, and what is in doubt because some did.

use super::settings::Settings;
use super::subscriptions::Subscriptions;
use crate::service::mailed_to;
use remit_core::{Result, Timestamp};
use remit_store::{Mutation, Records as _, query};

/// The addresses that mail of a tenant goes to, each with the name of the resource that says it.
pub(crate) async fn reached(m: &mut Mutation) -> Result<Vec<(String, String)>> {
    let tenant = m.tenant().clone();
    let settings = Settings::all(m.tx(), &tenant, &[]).await?;
    let people = settings.into_iter().filter(|one| !one.email.is_empty()).map(|one| (one.name, one.email));
    let mut reached: Vec<(String, String)> = people.collect();
    for subscription in Subscriptions::all(m.tx(), &tenant, &[]).await? {
        if let Some(address) = mailed_to(&subscription.endpoint) {
            let address = address.to_owned();
            reached.push((subscription.name, address));
        }
    }
    Ok(reached)
}

/// Since when the address of a claimed resource is in doubt, if it is.
pub(crate) async fn doubted(m: &mut Mutation, resource: &str) -> Result<Option<Timestamp>> {
    let tenant = m.tenant().clone();
    let row = query("select since_time from bounces where tenant_id = $1 and resource = $2");
    let row = row.bind(&tenant).bind(resource).fetch_optional(m.tx()).await?;
    row.map(|row| row.get("since_time").map(Timestamp)).transpose()
}

/// Puts the address of a claimed resource in doubt from now on.
pub(crate) async fn doubt(m: &mut Mutation, resource: &str) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    query(
        "insert into bounces (tenant_id, resource, since_time) values ($1, $2, $3)
         on conflict (tenant_id, resource) do update set since_time = excluded.since_time",
    )
    .bind(&tenant)
    .bind(resource)
    .bind(now)
    .execute(m.tx())
    .await?;
    Ok(())
}

/// Doubts the address of a claimed resource no more.
pub(crate) async fn trust(m: &mut Mutation, resource: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    let sql = query("delete from bounces where tenant_id = $1 and resource = $2");
    sql.bind(&tenant).bind(resource).execute(m.tx()).await?;
    Ok(())
}
