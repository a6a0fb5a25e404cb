//! Pilots, and what was measured of them.

use prost::Message as _;
use remit_api::kpi::v1::{Pilot, PilotResult};
use remit_api::wire::time;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::{Records, Tx, Value, query};

/// Pilots, by name.
pub(crate) struct Pilots;

impl Records for Pilots {
    type Message = Pilot;

    const TABLE: &'static str = "pilots";
    const NOT_FOUND: &'static str = "PILOT_NOT_FOUND";
    const EXISTS: &'static str = "PILOT_EXISTS";

    fn name(pilot: &Pilot) -> &str {
        &pilot.name
    }

    fn create_time(pilot: &Pilot) -> Timestamp {
        time::of(&pilot.create_time.unwrap_or_default())
    }

    fn columns(pilot: &Pilot) -> Vec<(&'static str, Value)> {
        vec![("active", i64::from(pilot.conclude_time.is_none()).into())]
    }

    fn set_etag(pilot: &mut Pilot, etag: String) {
        pilot.etag = etag;
    }
}

/// What was measured and judged of a pilot so far.
///
/// # Errors
/// As the database says.
pub(crate) async fn result(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<PilotResult> {
    let row = query("select result from pilots where tenant_id = $1 and name = $2")
        .bind(tenant)
        .bind(name)
        .fetch_optional(tx)
        .await?;
    let body: Option<Vec<u8>> = row.map(|row| row.get("result")).transpose()?.flatten();
    PilotResult::decode(body.unwrap_or_default().as_slice())
        .map_err(|error| Error::internal("a pilot's result cannot be read").with_source(error))
}

/// Keeps what was measured and judged of a claimed pilot.
///
/// # Errors
/// As the database says.
pub(crate) async fn keep(tx: &mut Tx, tenant: &Tenant, name: &str, result: &PilotResult) -> Result<()> {
    query("update pilots set result = $3 where tenant_id = $1 and name = $2")
        .bind(tenant)
        .bind(name)
        .bind(result.encode_to_vec())
        .execute(tx)
        .await?;
    Ok(())
}
