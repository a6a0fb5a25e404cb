//! Export of the inventory as CSV that an import reads back.

use super::Scoring;
use super::csv_rows::{COLUMNS, SEEDED_AXES, field};
use crate::store::{self, tasks::TaskRow};
use futures::TryStreamExt as _;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Result, Tenant};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// How many bytes of CSV are sent at once, about.
const CHUNK: usize = 256 << 10;

/// Writes rows and hands out the bytes so far.
pub(super) struct Writer {
    csv: csv::Writer<Vec<u8>>,
    axes: Vec<String>,
}

impl Writer {
    pub(super) fn new(axes: Vec<String>) -> Result<Self> {
        let mut writer = Self { csv: csv::Writer::from_writer(Vec::new()), axes };
        let axes: Vec<String> = writer.axes.iter().map(|axis| format!("axis:{axis}")).collect();
        let header: Vec<&str> = COLUMNS.into_iter().chain(axes.iter().map(String::as_str)).collect();
        writer.record(&header)?;
        Ok(writer)
    }

    fn record(&mut self, fields: &[&str]) -> Result<()> {
        self.csv.write_record(fields).map_err(|error| Error::internal("writing CSV").with_source(error))
    }

    pub(super) fn take(&mut self) -> Result<Vec<u8>> {
        let full = std::mem::replace(&mut self.csv, csv::Writer::from_writer(Vec::new()));
        full.into_inner().map_err(|error| Error::internal("writing CSV").with_source(error.into_error()))
    }

    pub(super) fn task(&mut self, row: &TaskRow) -> Result<()> {
        let none = api::Rating::default();
        if row.task.ratings.is_empty() {
            return self.rating(row, &none);
        }
        row.task.ratings.iter().try_for_each(|rating| self.rating(row, rating))
    }

    fn rating(&mut self, row: &TaskRow, rating: &api::Rating) -> Result<()> {
        let score = |axis: &str| rating.scores.get(axis).map(i32::to_string).unwrap_or_default();
        let text = |column: &&str| match *column {
            "id" => row.id.clone(),
            "rater" => rating.rater.clone(),
            "comment" => rating.comment.clone(),
            "state" => row.state.clone(),
            other => field(&row.task, other).unwrap_or_else(|| score(other)),
        };
        let mut fields: Vec<String> = COLUMNS.iter().map(text).collect();
        fields.extend(self.axes.iter().map(|axis| score(axis)));
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        self.record(&fields)
    }
}

impl Scoring {
    /// Sends the inventory in pieces; ends early if nobody listens any more.
    pub(crate) async fn export_tasks(
        &self,
        tenant: &Tenant,
        filter: &str,
        pieces: &mpsc::Sender<Result<api::ExportTasksResponse>>,
    ) -> Result<()> {
        self.seed(tenant).await?;
        let mut tx = self.db.snapshot().await?;
        // The header must name every axis, so the axes are collected before the first row is written.
        let mut axes = BTreeSet::new();
        {
            let mut rows = store::tasks::stream(&mut tx, tenant, filter)?;
            while let Some(row) = rows.try_next().await? {
                axes.extend(row.task.ratings.into_iter().flat_map(|rating| rating.scores.into_keys()));
            }
        }
        axes.retain(|axis| !SEEDED_AXES.contains(&axis.as_str()));
        let mut writer = Writer::new(axes.into_iter().collect())?;
        let mut rows = store::tasks::stream(&mut tx, tenant, filter)?;
        let mut size = 0;
        while let Some(row) = rows.try_next().await? {
            writer.task(&row)?;
            // An estimate is enough to bound a piece: texts are bounded, and a task has at most 50 ratings.
            size += 300 + (row.task.title.len() + row.task.description.len() + 600) * row.task.ratings.len().max(1);
            if size >= CHUNK {
                size = 0;
                let piece = api::ExportTasksResponse { chunk: writer.take()? };
                if pieces.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
        }
        let _ = pieces.send(Ok(api::ExportTasksResponse { chunk: writer.take()? })).await;
        Ok(())
    }
}
