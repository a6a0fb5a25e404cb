//! How many outputs of a model version were recorded on the present day, where an approval bounds them.

use remit_core::{Result, Timestamp};
use remit_store::{Mutation, query};

/// Adds to the count of the day that began at `start`, and returns it. The first of a day replaces the day before.
pub(crate) async fn add(m: &mut Mutation, version: &str, start: Timestamp, outputs: i64) -> Result<i64> {
    let row = query(
        "insert into daily_outputs (tenant_id, model_version, start_time, outputs) values ($1, $2, $3, $4)
         on conflict (tenant_id, model_version) do update set
             outputs = case when daily_outputs.start_time < excluded.start_time then excluded.outputs
                            else daily_outputs.outputs + excluded.outputs end,
             start_time = case when daily_outputs.start_time < excluded.start_time then excluded.start_time
                               else daily_outputs.start_time end
         returning outputs",
    )
    .bind(m.tenant())
    .bind(version)
    .bind(start)
    .bind(outputs)
    .fetch_one(m.tx())
    .await?;
    row.get("outputs")
}

/// Puts the count of the day that began at `start` in the place of whatever was counted.
pub(crate) async fn set(m: &mut Mutation, version: &str, start: Timestamp, outputs: i64) -> Result<()> {
    query(
        "insert into daily_outputs (tenant_id, model_version, start_time, outputs) values ($1, $2, $3, $4)
         on conflict (tenant_id, model_version)
         do update set outputs = excluded.outputs, start_time = excluded.start_time",
    )
    .bind(m.tenant())
    .bind(version)
    .bind(start)
    .bind(outputs)
    .execute(m.tx())
    .await
    .map(drop)
}
