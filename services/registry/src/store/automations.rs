//! Cross-functional automations.

use super::at;
use remit_api::registry::v1::{Automation, AutomationState};
use remit_api::wire::Word as _;
use remit_core::Timestamp;
use remit_store::filter::Field;
use remit_store::{Records, Value};

/// Cross-functional automations.
pub(crate) struct Automations;

impl Records for Automations {
    type Message = Automation;

    const TABLE: &'static str = "automations";
    const NOT_FOUND: &'static str = "AUTOMATION_NOT_FOUND";
    const EXISTS: &'static str = "AUTOMATION_EXISTS";
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", AutomationState::WORDS),
        Field::text("display_name", "display_name"),
        Field::text("owner", "owner").subjects(),
        Field::timestamp("create_time", "create_time"),
        Field::timestamp("update_time", "update_time"),
    ];
    const FEED: &'static str = "automations";

    fn name(automation: &Automation) -> &str {
        &automation.name
    }

    fn create_time(automation: &Automation) -> Timestamp {
        at(automation.create_time.as_ref())
    }

    fn columns(automation: &Automation) -> Vec<(&'static str, Value)> {
        vec![
            ("update_time", at(automation.update_time.as_ref()).into()),
            ("state", AutomationState::word_of(automation.state).into()),
            ("display_name", (&automation.display_name).into()),
            ("owner", (&automation.owner).into()),
        ]
    }

    fn set_etag(automation: &mut Automation, etag: String) {
        automation.etag = etag;
    }
}
