//! How the constitution of a tenant began.

use crate::time::at;
use remit_api::council::v1::Constitution;
use remit_core::Timestamp;
use remit_store::Records;

/// The name of the one constitution that a tenant has.
pub(crate) const CONSTITUTION: &str = "constitution";

/// How a tenant's constitution began, and what happened to it; bodies and members are records of their own.
pub(crate) struct Constitutions;

impl Records for Constitutions {
    type Message = Constitution;
    const TABLE: &'static str = "constitutions";
    const NOT_FOUND: &'static str = "CONSTITUTION_MISSING";

    fn name(_: &Constitution) -> &str {
        CONSTITUTION
    }
    fn create_time(constitution: &Constitution) -> Timestamp {
        at(&constitution.create_time)
    }
}
