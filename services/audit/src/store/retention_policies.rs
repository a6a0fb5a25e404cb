//! Retention policies: how long a tenant keeps its entries.

use remit_api::audit::v1::RetentionPolicy;
use remit_api::wire::time;
use remit_core::{Result, Tenant, Timestamp, etag};
use remit_store::{Mutation, Records, Tx};

/// The one retention policy of a tenant.
pub(crate) const NAME: &str = "retentionPolicy";

/// Retention policies as records.
pub(crate) struct RetentionPolicies;

impl Records for RetentionPolicies {
    type Message = RetentionPolicy;
    const TABLE: &'static str = "retention_policies";
    // The policy is made before it is claimed.
    const NOT_FOUND: &'static str = "INTERNAL";

    fn name(_: &RetentionPolicy) -> &str {
        NAME
    }
    fn create_time(policy: &RetentionPolicy) -> Timestamp {
        policy.update_time.as_ref().map(time::of).unwrap_or_default()
    }
    fn set_etag(policy: &mut RetentionPolicy, etag: String) {
        policy.etag = etag;
    }
}

/// What holds for a tenant that has set nothing: everything is kept.
fn unset() -> RetentionPolicy {
    RetentionPolicy { name: NAME.to_owned(), etag: etag::of(1), ..RetentionPolicy::default() }
}

/// The policy of a tenant.
pub(crate) async fn get(tx: &mut Tx, tenant: &Tenant) -> Result<RetentionPolicy> {
    Ok(RetentionPolicies::find(tx, tenant, NAME).await?.unwrap_or_else(unset))
}

/// Locks the policy, making it if it is not there.
pub(crate) async fn claim(m: &mut Mutation) -> Result<RetentionPolicy> {
    RetentionPolicies::try_insert(m, &mut unset()).await?;
    RetentionPolicies::claim(m, NAME).await
}
