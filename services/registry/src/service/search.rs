//! Searching, summarising and disclosing outputs.

use super::Registry;
use crate::convert::time;
use crate::provenance::{disclosure, iptc_term};
use crate::store::Window;
use crate::store::outputs::{self, Found};
use crate::store::summary::{self, By, Counts};
use futures::Stream;
use remit_api::registry::v1::{
    DisclosureRecord, ExportDisclosuresRequest, ExportDisclosuresResponse, OutputSummary, SearchOutputsRequest,
    SearchOutputsResponse, SummarizeOutputsRequest,
};
use remit_api::types::TimeRange;
use remit_core::{Error, Result, Tenant, Timestamp, name};
use remit_runtime::Cx;
use remit_store::filter::{self, Fragment};
use remit_store::{Db, Value};

/// How many records one message of the export holds.
const EXPORT_PAGE: usize = 500;

/// The start and end of a span; a bound that is not set is as far away as can be.
fn bounds(range: Option<&TimeRange>) -> Result<(Timestamp, Timestamp)> {
    let start = range.and_then(|range| range.start_time.as_ref());
    let end = range.and_then(|range| range.end_time.as_ref());
    let start = start.map_or(Ok(Timestamp(i64::MIN)), |at| time(at, "time_range.start_time"))?;
    let end = end.map_or(Ok(Timestamp(i64::MAX)), |at| time(at, "time_range.end_time"))?;
    if start > end {
        return Err(Error::invalid("TIME_RANGE_INVALID", "time_range", "must not end before it starts"));
    }
    Ok((start, end))
}

fn evidence(found: Found) -> DisclosureRecord {
    let output = found.output;
    let (status, missing) = disclosure(&output);
    DisclosureRecord {
        digital_source_type: iptc_term(output.digital_source_type()).to_owned(),
        status: status.into(),
        missing: missing.into_iter().map(str::to_owned).collect(),
        output: output.name,
        asset_digest: output.asset_digest,
        asset_uri: output.asset_uri,
        model_version: output.model_version,
        task: output.task,
        disclosure: output.disclosure,
        reviews: output.reviews,
        occurred_time: output.occurred_time,
        record_time: output.record_time,
    }
}

/// An export under way: what is asked for, and how far it has come.
struct Export {
    db: Db,
    tenant: Tenant,
    span: (Timestamp, Timestamp),
    filter: Fragment,
    after: Option<Vec<Value>>,
    done: bool,
}

impl Export {
    /// The next message, reading one page: memory stays the same however much there is.
    async fn next(mut self) -> Result<Option<(ExportDisclosuresResponse, Self)>> {
        if self.done {
            return Ok(None);
        }
        let window = Window { after: self.after.take(), limit: i64::try_from(EXPORT_PAGE).unwrap_or(i64::MAX) };
        let mut tx = self.db.read().await?;
        let rows = outputs::made_between(&mut tx, &self.tenant, self.span, &self.filter, &window).await?;
        drop(tx);
        self.done = rows.len() < EXPORT_PAGE;
        self.after = rows.last().map(outputs::key);
        if rows.is_empty() {
            return Ok(None);
        }
        let records = rows.into_iter().map(evidence).collect();
        Ok(Some((ExportDisclosuresResponse { records }, self)))
    }
}

fn named(counts: Vec<Counts>) -> std::collections::BTreeMap<String, i64> {
    counts.into_iter().map(|counts| (counts.count.key, counts.count.outputs)).collect()
}

impl Registry {
    /// Searches outputs.
    pub async fn search_outputs(&self, cx: &Cx, req: SearchOutputsRequest) -> Result<SearchOutputsResponse> {
        if !req.artifact_version.is_empty() {
            name::ids::<2>(&req.artifact_version, "artifacts/*/versions/*", "artifact_version")?;
        }
        let fragment = filter::parse(&req.filter, outputs::FIELDS)?;
        let pager = self.pager(cx, &[&req.filter, &req.artifact_version], req.page_size, &req.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = outputs::search(&mut tx, &cx.tenant, &req.artifact_version, &fragment, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, outputs::key);
        Ok(SearchOutputsResponse { outputs: rows.into_iter().map(|row| row.output).collect(), next_page_token })
    }

    /// Streams the evidence of disclosure.
    pub fn export_disclosures(
        &self,
        cx: &Cx,
        req: &ExportDisclosuresRequest,
    ) -> Result<impl Stream<Item = Result<ExportDisclosuresResponse>> + Send + 'static + use<>> {
        let export = Export {
            db: self.db.clone(),
            tenant: cx.tenant.clone(),
            span: bounds(req.time_range.as_ref())?,
            filter: filter::parse(&req.filter, outputs::FIELDS)?,
            after: None,
            done: false,
        };
        Ok(futures::stream::try_unfold(export, Export::next))
    }

    /// Counts outputs.
    pub async fn summarize_outputs(&self, cx: &Cx, req: SummarizeOutputsRequest) -> Result<OutputSummary> {
        let (start, end) = bounds(req.time_range.as_ref())?;
        let mut tx = self.db.snapshot().await?;
        let all = summary::count(&mut tx, &cx.tenant, By::All, start, end).await?;
        let models = summary::count(&mut tx, &cx.tenant, By::ModelVersion, start, end).await?;
        let tasks = summary::count(&mut tx, &cx.tenant, By::Task, start, end).await?;
        let statuses = summary::count(&mut tx, &cx.tenant, By::DisclosureStatus, start, end).await?;
        let sources = summary::count(&mut tx, &cx.tenant, By::DigitalSourceType, start, end).await?;
        let all = all.into_iter().next().unwrap_or_default();
        Ok(OutputSummary {
            time_range: req.time_range,
            total: Some(all.count),
            by_model_version: models.into_iter().map(|counts| counts.count).collect(),
            by_task: tasks.into_iter().map(|counts| counts.count).collect(),
            human_reviewed: all.reviewed,
            by_disclosure_status: named(statuses),
            by_digital_source_type: named(sources),
            distinct_assets: all.assets,
        })
    }
}
