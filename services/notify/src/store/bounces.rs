//! Where mail may come back from.

use super::settings::Settings;
use super::subscriptions::Subscriptions;
use crate::service::mailed_to;
use remit_core::Result;
use remit_store::{Mutation, Records as _};

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
