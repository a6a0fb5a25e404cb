//! Gates and their versions.

use remit_api::handoff::v1::{Gate, GateState, GateVersion};
use remit_api::wire::Word as _;
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::record::Key;
use remit_store::{Order, Records, Tx, Value};

/// `gates/*`.
pub(crate) struct Gates;

impl Records for Gates {
    type Message = Gate;
    const TABLE: &'static str = "gates";
    const NOT_FOUND: &'static str = "GATE_NOT_FOUND";

    fn name(message: &Gate) -> &str {
        &message.name
    }

    fn create_time(message: &Gate) -> Timestamp {
        super::given(&message.create_time)
    }
}

/// `gates/*/versions/*`, the newest first.
pub(crate) struct GateVersions;

impl Records for GateVersions {
    type Message = GateVersion;
    const TABLE: &'static str = "gate_versions";
    const NOT_FOUND: &'static str = "GATE_VERSION_NOT_FOUND";
    const SORT: &'static [Key] = &[Key::Int("version")];
    const ORDER: Order = Order::Descending;

    fn name(message: &GateVersion) -> &str {
        &message.name
    }

    fn create_time(message: &GateVersion) -> Timestamp {
        super::given(&message.create_time)
    }

    fn columns(message: &GateVersion) -> Vec<(&'static str, Value)> {
        vec![
            ("parent", name::parent(&message.name).into()),
            ("version", number(&message.name).into()),
            ("state", message.state().word().into()),
        ]
    }

    fn set_etag(message: &mut GateVersion, etag: String) {
        message.etag = etag;
    }
}

/// The number in the name of a version; 0 if there is none.
pub(crate) fn number(version: &str) -> i64 {
    name::last(version).parse().unwrap_or(0)
}

/// The version of a gate that is in force.
pub(crate) async fn active(tx: &mut Tx, tenant: &Tenant, gate: &str) -> Result<Option<GateVersion>> {
    let only = [("parent", gate.into()), ("state", GateState::Active.word().into())];
    Ok(GateVersions::all(tx, tenant, &only).await?.pop())
}
