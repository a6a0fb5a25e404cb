//! Overrides.

use remit_api::handoff::v1::{Override, OverrideKind, ReasonCode};
use remit_api::wire::Word as _;
use remit_core::{Timestamp, name};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Order, Records, Value};

/// `overrides/*`, the newest first.
pub(crate) struct Overrides;

impl Records for Overrides {
    type Message = Override;
    const TABLE: &'static str = "overrides";
    const NOT_FOUND: &'static str = "OVERRIDE_NOT_FOUND";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::text("resource", "resource"),
        Field::words("kind", "kind", OverrideKind::WORDS),
        Field::words("reason", "reason", ReasonCode::WORDS),
        Field::text("model_version", "model_version"),
        Field::text("gate_version", "gate_version"),
        Field::timestamp("create_time", "create_time"),
        Field::boolean("followed_up", "followed_up"),
        Field::boolean("outsider", "outsider"),
    ];

    fn name(message: &Override) -> &str {
        &message.name
    }

    fn create_time(message: &Override) -> Timestamp {
        super::given(&message.create_time)
    }

    fn columns(message: &Override) -> Vec<(&'static str, Value)> {
        let reason = message.reason.as_ref().map_or("", |reason| reason.code().word());
        vec![
            ("resource", (&message.resource).into()),
            ("gate", name::parent(&message.gate_version).into()),
            ("gate_version", (&message.gate_version).into()),
            ("kind", message.kind().word().into()),
            ("reason", reason.into()),
            ("model_version", (&message.model_version).into()),
            ("followed_up", (!message.follow_ups.is_empty()).into()),
            ("outsider", message.outsider.into()),
        ]
    }
}
