//! The KPIs of a month and of the months before, as the first page and the trends show them.

use super::pack::{Cell, Evidence, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A KPI of the month, as the first page and the trends need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// `kpis/{kpi}`.
    pub(crate) kpi: String,
    /// The name for people.
    pub(crate) title: String,
    /// `OPERATIONAL`, `EXECUTION` or `STRATEGIC`.
    pub(crate) layer: String,
    /// How to read the values.
    pub(crate) unit: Unit,
    /// The month's value.
    pub(crate) value: Cell,
    /// How many it rests on.
    pub(crate) n: i64,
    /// The lower end of its interval of 95 %.
    pub(crate) lower: Cell,
    /// The upper end.
    pub(crate) upper: Cell,
    /// The value of the period before.
    pub(crate) previous: Cell,
    /// How many that rests on.
    pub(crate) previous_n: i64,
    /// The target.
    pub(crate) target: Cell,
    /// Whether there is data.
    pub(crate) data: Cell,
    /// How it stands against its target.
    pub(crate) verdict: Cell,
}

/// The KPI values of an earlier month, as its own review froze them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The month.
    pub(crate) period: String,
    /// The values, by `kpis/{kpi}`; a KPI without data is left out.
    pub(crate) values: BTreeMap<String, f64>,
}

impl Evidence {
    /// The month's KPI values for the packs that come after.
    pub(crate) fn to_past(&self) -> Past {
        let values = self.measures.iter().filter_map(|one| Some((one.kpi.clone(), one.value.as_number()?)));
        Past { period: self.header.period.clone(), values: values.collect() }
    }
}
