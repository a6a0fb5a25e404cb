//! Policy versions: without the lint report and the canonical form, which follow from the source.

use remit_api::scoring::v1::{PolicyState, PolicyVersion};
use remit_api::wire::{Word as _, time};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::filter::Field;
use remit_store::record::{Key, Records};
use remit_store::{Tx, Value};

pub(crate) struct Policies;

impl Records for Policies {
    type Message = PolicyVersion;

    const TABLE: &'static str = "policies";
    const NOT_FOUND: &'static str = "POLICY_VERSION_NOT_FOUND";
    const EXISTS: &'static str = "POLICY_VERSION_EXISTS";
    const SORT: &'static [Key] = &[Key::Text("policy"), Key::Text("version")];
    const FIELDS: &'static [Field] = &[
        Field::key("policy", "policy"),
        Field::key("version", "version"),
        Field::words("state", "state", PolicyState::WORDS),
        Field::timestamp("create_time", "create_time"),
    ];

    fn name(policy: &PolicyVersion) -> &str {
        &policy.name
    }

    fn create_time(policy: &PolicyVersion) -> Timestamp {
        policy.create_time.as_ref().map(time::of).unwrap_or_default()
    }

    fn columns(policy: &PolicyVersion) -> Vec<(&'static str, Value)> {
        vec![
            ("policy", name::last(name::parent(&policy.name)).into()),
            ("version", name::last(&policy.name).into()),
            ("state", policy.state().word().into()),
        ]
    }

    fn set_etag(policy: &mut PolicyVersion, etag: String) {
        policy.etag = etag;
    }
}

/// The version that decides tasks now.
pub(crate) async fn find_active(tx: &mut Tx, tenant: &Tenant) -> Result<Option<PolicyVersion>> {
    Ok(Policies::all(tx, tenant, &[("state", PolicyState::Active.word().into())]).await?.pop())
}
