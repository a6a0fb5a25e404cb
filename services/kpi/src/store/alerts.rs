//! Alerts.

use remit_api::kpi::v1::{Alert, AlertSeverity, AlertState};
use remit_api::wire::{Word as _, time};
use remit_core::{Timestamp, name};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Order, Records, Value};

/// Alerts, newest first.
pub(crate) struct Alerts;

impl Records for Alerts {
    type Message = Alert;

    const TABLE: &'static str = "alerts";
    const NOT_FOUND: &'static str = "ALERT_NOT_FOUND";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", AlertState::WORDS),
        Field::words("severity", "severity", AlertSeverity::WORDS),
        Field::text("rule", "rule_id"),
        Field::text("kpi", "kpi_id"),
    ];

    fn name(alert: &Alert) -> &str {
        &alert.name
    }

    fn create_time(alert: &Alert) -> Timestamp {
        time::of(&alert.fire_time.unwrap_or_default())
    }

    fn columns(alert: &Alert) -> Vec<(&'static str, Value)> {
        vec![
            ("rule_id", name::last(&alert.rule).into()),
            ("kpi_id", name::last(&alert.kpi).into()),
            ("severity", AlertSeverity::word_of(alert.severity).into()),
            ("state", AlertState::word_of(alert.state).into()),
        ]
    }
}
