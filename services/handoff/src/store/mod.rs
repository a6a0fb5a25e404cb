//! All SQL of the service.

pub(crate) mod briefings;
pub(crate) mod calendars;
pub(crate) mod clocks;
pub(crate) mod gates;
pub(crate) mod handoffs;
pub(crate) mod open;
pub(crate) mod overrides;
pub(crate) mod reviews;
pub(crate) mod routings;
mod rows;
pub(crate) mod summaries;
pub(crate) mod variants;

pub(crate) use briefings::Briefings;
pub(crate) use calendars::Calendars;
pub(crate) use gates::GateVersions;
pub(crate) use handoffs::Handoffs;
pub(crate) use overrides::Overrides;
pub(crate) use routings::Routings;

use prost_types::Timestamp as ProtoTime;
use remit_api::wire::time;
use remit_core::Timestamp;

/// A time that the server has given.
fn given(at: &Option<ProtoTime>) -> Timestamp {
    at.as_ref().map(time::of).unwrap_or_default()
}
