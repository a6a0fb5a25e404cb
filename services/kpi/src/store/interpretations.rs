//! What people wrote about numbers. Nothing here is ever changed.

use crate::calendar::Span;
use remit_api::kpi::v1::Interpretation;
use remit_api::wire::{decode, time};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::record::Key;
use remit_store::{Order, Records, Tx, Value, query};

/// Interpretations of KPIs, newest first.
pub(crate) struct Interpretations;

impl Records for Interpretations {
    type Message = Interpretation;

    const TABLE: &'static str = "interpretations";
    // Nobody asks for one by name.
    const NOT_FOUND: &'static str = "NOT_FOUND";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;

    fn name(interpretation: &Interpretation) -> &str {
        &interpretation.name
    }

    fn create_time(interpretation: &Interpretation) -> Timestamp {
        time::of(&interpretation.create_time.unwrap_or_default())
    }

    fn columns(interpretation: &Interpretation) -> Vec<(&'static str, Value)> {
        let range = interpretation.range.unwrap_or_default();
        let end = |at: Option<prost_types::Timestamp>| Value::from(time::of(&at.unwrap_or_default()));
        vec![
            ("parent", name::parent(&interpretation.name).into()),
            ("start_time", end(range.start_time)),
            ("end_time", end(range.end_time)),
        ]
    }
}

/// The newest interpretation of `kpis/{kpi}` that speaks of some of `span`.
pub(crate) async fn newest(tx: &mut Tx, tenant: &Tenant, kpi: &str, span: Span) -> Result<Option<Interpretation>> {
    let row = query(
        "select body from interpretations
         where tenant_id = $1 and parent = $2 and start_time < $4 and end_time > $3
         order by create_time desc, name desc limit 1",
    )
    .bind(tenant)
    .bind(kpi)
    .bind(span.start)
    .bind(span.end)
    .fetch_optional(tx)
    .await?;
    row.map(|row| decode(&row.get::<Vec<u8>>("body")?)).transpose()
}
