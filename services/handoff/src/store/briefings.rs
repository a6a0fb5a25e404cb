//! Issued briefings.

use remit_api::handoff::v1::Briefing;
use remit_core::Timestamp;
use remit_store::{Order, Records, Value};

/// `briefings/*`, the newest day first.
pub(crate) struct Briefings;

impl Records for Briefings {
    type Message = Briefing;
    const TABLE: &'static str = "briefings";
    const NOT_FOUND: &'static str = "BRIEFING_NOT_FOUND";
    const ORDER: Order = Order::Descending;

    fn name(message: &Briefing) -> &str {
        &message.name
    }

    fn create_time(message: &Briefing) -> Timestamp {
        super::given(&message.issue_time)
    }

    fn columns(message: &Briefing) -> Vec<(&'static str, Value)> {
        vec![("acknowledged", message.acknowledged_by.is_some().into())]
    }
}
