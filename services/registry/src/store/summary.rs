//! Counts over outputs.

use remit_api::registry::v1::OutputCount;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Query, Row, Tx, query};

macro_rules! counts {
    ($key:literal, $group:literal) => {
        concat!(
            "select ",
            $key,
            " as label, count(*) as n, cast(coalesce(sum(high_stakes), 0) as bigint) as high,
                cast(coalesce(sum(1 - complete), 0) as bigint) as incomplete,
                cast(coalesce(sum(unapproved), 0) as bigint) as unapproved,
                cast(coalesce(sum(human_reviewed), 0) as bigint) as reviewed,
                count(distinct asset_digest) as assets
             from outputs where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 ",
            $group
        )
    };
}

/// By what outputs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// All in one row.
    All,
    /// By model version.
    ModelVersion,
    /// By task.
    Task,
    /// By status of disclosure.
    DisclosureStatus,
    /// By digital source type.
    DigitalSourceType,
}

impl By {
    fn query(self) -> Query {
        query(match self {
            Self::All => counts!("''", ""),
            Self::ModelVersion => counts!("model_version", "group by model_version order by n desc, label limit 1000"),
            Self::Task => counts!("task", "group by task order by n desc, label limit 1000"),
            Self::DisclosureStatus => counts!("disclosure_status", "group by disclosure_status order by label"),
            Self::DigitalSourceType => counts!("digital_source_type", "group by digital_source_type order by label"),
        })
    }
}

/// One row of counts.
#[derive(Debug, Default)]
pub struct Counts {
    /// The counts as sent.
    pub count: OutputCount,
    /// How many had a person's review.
    pub reviewed: i64,
    /// How many different assets.
    pub assets: i64,
}

fn read(row: &Row) -> Result<Counts> {
    Ok(Counts {
        count: OutputCount {
            key: row.get("label")?,
            outputs: row.get("n")?,
            high_stakes: row.get("high")?,
            incomplete: row.get("incomplete")?,
            unapproved: row.get("unapproved")?,
        },
        reviewed: row.get("reviewed")?,
        assets: row.get("assets")?,
    })
}

/// Counts the outputs made in `[start, end)`.
pub async fn count(tx: &mut Tx, tenant: &Tenant, by: By, start: Timestamp, end: Timestamp) -> Result<Vec<Counts>> {
    let rows = by.query().bind(tenant).bind(start).bind(end).fetch_all(tx).await?;
    rows.iter().map(read).collect()
}
