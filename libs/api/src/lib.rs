//! The contract of Remit in Rust: messages, clients and servers generated from `proto/remit`, the
//! descriptor set, the codec that checks every request against the bounds and rules of its proto file, and [`wire`], what
//! every message has in common.
//!
//! `remit_api::scoring::v1` is the package `remit.scoring.v1`, and so on for every package;
//! [`types`] and [`options`] are short names for `remit.type.v1` and `remit.options.v1`.

pub mod codec;
pub mod validate;
pub mod wire;

#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    rustdoc::all,
    rust_2018_idioms
)]
mod tree {
    include!(concat!(env!("OUT_DIR"), "/tree.rs"));
    include!(concat!(env!("OUT_DIR"), "/shared.rs"));
    include!(concat!(env!("OUT_DIR"), "/checks.rs"));
}

pub use tree::remit::options::v1 as options;
pub use tree::remit::r#type::v1 as types;
pub use tree::remit::*;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use std::sync::LazyLock;

/// The encoded `google.protobuf.FileDescriptorSet` of all packages and their imports, extension
/// options included.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/remit.fds"));

/// The same with the comments of the contract: for reflection and for the pages of docs/api. It is larger, and slower to
/// decode.
pub const COMMENTED_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/remit-commented.fds"));

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The bytes are produced by this crate's build script, so a failure is a broken build.
    #[allow(clippy::expect_used)]
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the embedded descriptor set is valid")
});

/// The descriptors of all packages.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The canonical proto JSON of a message; `None` only for a message that is not of this contract.
pub fn json<M: Message + Name>(message: &M) -> Option<serde_json::Value> {
    let descriptor = pool().get_message_by_name(&M::full_name())?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()?;
    serde_json::to_value(dynamic).ok()
}

/// The proto JSON of a message with the fields that have their default value, which [`json`] leaves out.
pub fn json_with_defaults<M: Message + Name>(message: &M) -> Option<serde_json::Value> {
    let descriptor = pool().get_message_by_name(&M::full_name())?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()?;
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).ok()
}

/// Reads a message from its proto JSON, where names of fields may be as in the proto files too.
///
/// # Errors
/// What is wrong with it, an unknown field included.
pub fn from_json<M: Message + Name + Default>(json: serde_json::Value) -> Result<M, String> {
    let name = M::full_name();
    let descriptor = pool().get_message_by_name(&name).ok_or_else(|| format!("{name} is not of this contract"))?;
    let dynamic = DynamicMessage::deserialize(descriptor, json).map_err(|error| error.to_string())?;
    M::decode(dynamic.encode_to_vec().as_slice()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_method_names_its_permission_and_whether_it_changes_state() {
        let policy = pool().get_extension_by_name("remit.options.v1.method_policy").unwrap();
        for service in pool().services().filter(|service| service.full_name().starts_with("remit.")) {
            for method in service.methods() {
                let options = method.options();
                assert!(options.has_extension(&policy), "{} has no method_policy", method.full_name());
                let level = options.get_field_by_name("idempotency_level").unwrap();
                assert!(
                    matches!(level.as_enum_number(), Some(1 | 2)),
                    "{} has no idempotency_level",
                    method.full_name()
                );
            }
        }
    }

    #[test]
    fn a_request_tells_the_resource_that_it_is_about() {
        use wire::Repeatable as _;
        let vote = council::v1::VoteRequest { name: "proposals/p".into(), ..Default::default() };
        assert_eq!(vote.resource(), "proposals/p");
        let hold = council::v1::Hold { name: "holds/h".into(), ..Default::default() };
        let engage = council::v1::EngageHoldRequest { hold: Some(hold), ..Default::default() };
        assert_eq!(engage.resource(), "holds/h");
        let glass = council::v1::BreakGlassRequest { hold: "holds/h".into(), ..Default::default() };
        assert_eq!(glass.resource(), "holds/h");
        let gate = handoff::v1::GateVersion { name: "gates/g/versions/2".into(), ..Default::default() };
        let update = handoff::v1::UpdateGateVersionRequest { gate_version: Some(gate), ..Default::default() };
        assert_eq!(update.resource(), "gates/g/versions/2");
        let alias = registry::v1::SetModelAliasRequest { model: "models/m".into(), ..Default::default() };
        assert_eq!(alias.resource(), "models/m");
        assert_eq!(kpi::v1::EvaluateAlertsRequest::default().resource(), "");
    }

    #[test]
    fn messages_become_canonical_json() {
        let message =
            system::v1::AdvanceClockRequest { time: Some(prost_types::Timestamp { seconds: 0, nanos: 5_000_000 }) };
        assert_eq!(json(&message).unwrap(), serde_json::json!({"time": "1970-01-01T00:00:00.005Z"}));
    }
}
