//! All SQL of the service.

pub(crate) mod bounces;
pub(crate) mod codes;
pub(crate) mod deadlines;
pub(crate) mod deliveries;
pub(crate) mod link_keys;
pub(crate) mod messages;
pub(crate) mod notices;
pub(crate) mod queues;
pub(crate) mod secrets;
pub(crate) mod settings;
pub(crate) mod subscriptions;

use prost_types::Timestamp as ProtoTime;
use remit_api::wire::time;
use remit_core::Timestamp;

/// The time in a message.
pub(crate) fn at(time: &Option<ProtoTime>) -> Timestamp {
    time.as_ref().map(time::of).unwrap_or_default()
}
