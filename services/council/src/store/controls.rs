//! Attestations, and who sees to which control. The controls themselves are data that ships with the binary.

use super::BY_TIME;
use crate::time::at;
use remit_api::council::v1::{Attestation, Control};
use remit_core::{Timestamp, name};
use remit_store::record::Key;
use remit_store::{Order, Records, Value};

/// Who sees to which control: of a [`Control`] what the library does not say.
pub(crate) struct ControlAssignments;

impl Records for ControlAssignments {
    type Message = Control;
    const TABLE: &'static str = "control_assignments";
    const NOT_FOUND: &'static str = "CONTROL_NOT_FOUND";

    fn name(control: &Control) -> &str {
        &control.name
    }
    fn create_time(control: &Control) -> Timestamp {
        at(&control.assign_time)
    }
}

pub(crate) struct Attestations;

impl Records for Attestations {
    type Message = Attestation;
    const TABLE: &'static str = "attestations";
    const NOT_FOUND: &'static str = "ATTESTATION_NOT_FOUND";
    const EXISTS: &'static str = "ATTESTATION_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;

    fn name(attestation: &Attestation) -> &str {
        &attestation.name
    }
    fn create_time(attestation: &Attestation) -> Timestamp {
        at(&attestation.create_time)
    }
    fn columns(attestation: &Attestation) -> Vec<(&'static str, Value)> {
        vec![("parent", name::parent(&attestation.name).into())]
    }
}
