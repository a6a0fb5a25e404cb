//! Calendars.

use remit_api::handoff::v1::Calendar;
use remit_core::Timestamp;
use remit_store::Records;

/// `calendars/*`.
pub(crate) struct Calendars;

impl Records for Calendars {
    type Message = Calendar;
    const TABLE: &'static str = "calendars";
    const NOT_FOUND: &'static str = "CALENDAR_NOT_FOUND";
    const EXISTS: &'static str = "CALENDAR_EXISTS";

    fn name(message: &Calendar) -> &str {
        &message.name
    }

    fn create_time(message: &Calendar) -> Timestamp {
        super::given(&message.create_time)
    }

    fn set_etag(message: &mut Calendar, etag: String) {
        message.etag = etag;
    }
}
