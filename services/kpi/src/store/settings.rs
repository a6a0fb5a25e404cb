//! What the shipped definitions take from the organisation.

use remit_api::kpi::v1::OrganizationSettings;
use remit_api::wire::time;
use remit_core::Timestamp;
use remit_store::{Records, Value};

/// The settings of a tenant, of which there are one.
pub(crate) struct Settings;

impl Records for Settings {
    type Message = OrganizationSettings;

    const TABLE: &'static str = "organization_settings";
    const NOT_FOUND: &'static str = "SETTINGS_NOT_FOUND";

    fn name(settings: &OrganizationSettings) -> &str {
        &settings.name
    }

    fn create_time(settings: &OrganizationSettings) -> Timestamp {
        time::of(&settings.create_time.unwrap_or_default())
    }

    fn columns(_: &OrganizationSettings) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    fn set_etag(settings: &mut OrganizationSettings, etag: String) {
        settings.etag = etag;
    }
}
