//! Incidents with their clocks.

use super::{BY_TIME, CREATE_TIME};
use crate::time::at;
use remit_api::council::v1::{Incident, IncidentCategory, IncidentState, Severity};
use remit_api::wire::Word as _;
use remit_core::Timestamp;
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Order, Records, Value};

pub(crate) struct Incidents;

impl Records for Incidents {
    type Message = Incident;
    const TABLE: &'static str = "incidents";
    const NOT_FOUND: &'static str = "INCIDENT_NOT_FOUND";
    const EXISTS: &'static str = "INCIDENT_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", IncidentState::WORDS),
        Field::words("severity", "severity", Severity::WORDS),
        Field::words("category", "category", IncidentCategory::WORDS),
        Field::text("system", "system"),
        CREATE_TIME,
    ];

    fn name(incident: &Incident) -> &str {
        &incident.name
    }
    fn create_time(incident: &Incident) -> Timestamp {
        at(&incident.create_time)
    }
    fn columns(incident: &Incident) -> Vec<(&'static str, Value)> {
        vec![
            ("state", incident.state().word().into()),
            ("severity", incident.severity().word().into()),
            ("category", incident.category().word().into()),
            ("system", (&incident.system).into()),
        ]
    }
    fn set_etag(incident: &mut Incident, etag: String) {
        incident.etag = etag;
    }
}
