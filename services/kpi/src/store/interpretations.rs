//! What people wrote about numbers. Nothing here is ever changed.

use super::chunks;
use crate::calendar::Span;
use remit_api::kpi::v1::Interpretation;
use remit_api::wire::{decode, time};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::record::Key;
use remit_store::{Order, Records, Sql, Tx, Value};
use std::collections::BTreeMap;

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

/// The newest interpretation of each of these KPIs that speaks of some of `span`, by the name of the KPI.
pub(crate) async fn newest(
    tx: &mut Tx,
    tenant: &Tenant,
    kpis: &[&str],
    span: Span,
) -> Result<BTreeMap<String, Interpretation>> {
    let mut found = BTreeMap::new();
    for chunk in chunks(kpis) {
        let rows = Sql::new(
            "select parent, body from (select parent, body,
             row_number() over (partition by parent order by create_time desc, name desc) as place
             from interpretations where tenant_id = ",
        )
        .bind(tenant)
        .push(" and parent in ")
        .bind_list(chunk)
        .push(" and start_time < ")
        .bind(span.end)
        .push(" and end_time > ")
        .bind(span.start)
        .push(") placed where place = 1")
        .query()
        .fetch_all(tx)
        .await?;
        for row in rows {
            found.insert(row.get("parent")?, decode(&row.get::<Vec<u8>>("body")?)?);
        }
    }
    Ok(found)
}
