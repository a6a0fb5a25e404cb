//! Recording outputs, one at a time and in batches; searching, summarising and disclosing them.

use super::{Service, is_suite, limits};
use crate::fields;
use crate::provenance::{disclosure, iptc_term};
use crate::recording::{Recorder, References, prepare};
use crate::store::artifacts::ArtifactVersions;
use crate::store::models::ModelVersions;
use crate::store::named;
use crate::store::outputs::{self, By, Counts, NewOutput, Outputs, Scope};
use crate::store::word_or_unspecified;
use futures::Stream;
use remit_api::registry::v1::{
    DisclosureRecord, ExportDisclosuresRequest, ExportDisclosuresResponse, GetOutputRequest, Output, OutputEntry,
    OutputSummary, RecordOutputRequest, RecordOutputsRequest, RecordOutputsResponse, RecordResult, RecordStatus,
    SearchOutputsRequest, SearchOutputsResponse, SummarizeOutputsRequest,
};
use remit_api::types::Stakes;
use remit_api::wire::{actor, range, time};
use remit_core::details::{Details as _, OutputRecorded};
use remit_core::name::{ArtifactVersionName, OutputName};
use remit_core::{Error, Kind, Result, Tenant};
use remit_runtime::Cx;
use remit_store::filter::{self, Fragment};
use remit_store::{Db, Mutation, Order, Records as _, Value, page};
use std::collections::{BTreeMap, BTreeSet};

/// How many outputs one batch may have.
const MOST_ENTRIES: usize = 2_000;
/// How many records one message of the export holds.
const EXPORT_PAGE: usize = 500;

fn reused(name: &str) -> Error {
    Error::new(
        Kind::AlreadyExists,
        "OUTPUT_ID_REUSED",
        format!("{name} was recorded before with other content; outputs never change"),
    )
}

/// What became of one output of a batch.
enum Outcome {
    /// The output is row `n` of what is to be inserted.
    New(usize),
    /// It was recorded before, with the same content.
    Duplicate,
    /// It is not recorded.
    Refused(Error),
}

fn answer(entry: &OutputEntry, outcome: &Outcome, rows: &[NewOutput]) -> RecordResult {
    let result = RecordResult { output_id: entry.output_id.clone(), ..Default::default() };
    match outcome {
        Outcome::New(at) => RecordResult {
            status: RecordStatus::Recorded.into(),
            warnings: rows.get(*at).map(|row| row.output.warnings.clone()).unwrap_or_default(),
            ..result
        },
        Outcome::Duplicate => RecordResult { status: RecordStatus::Duplicate.into(), ..result },
        Outcome::Refused(error) => RecordResult {
            status: RecordStatus::Refused.into(),
            reason: error.reason().to_owned(),
            message: error.message().to_owned(),
            ..result
        },
    }
}

/// Looks up what outputs refer to, once for the whole batch. Names of a wrong form are not found; they are refused
/// elsewhere.
async fn references(m: &mut Mutation, entries: &[OutputEntry]) -> Result<References> {
    let tenant = m.tenant().clone();
    let made = || entries.iter().filter_map(|entry| entry.output.as_ref());
    let wanted: BTreeSet<&str> = made().map(|output| output.model_version.as_str()).collect();
    let wanted: Vec<&str> = wanted.into_iter().filter(|name| !name.is_empty()).collect();
    let versions = named::<ModelVersions>(m.tx(), &tenant, &wanted).await?;
    let inherited = versions.values().flat_map(|version| &version.artifacts);
    let wanted: BTreeSet<&str> =
        made().flat_map(|output| &output.artifacts).chain(inherited).map(String::as_str).collect();
    let artifacts = named::<ArtifactVersions>(m.tx(), &tenant, &wanted.into_iter().collect::<Vec<_>>()).await?;
    let here: BTreeSet<String> = entries.iter().map(|entry| OutputName::new(&entry.output_id).to_string()).collect();
    let parents: BTreeSet<&str> = made().flat_map(|output| &output.parents).map(String::as_str).collect();
    let elsewhere: Vec<&str> = parents.into_iter().filter(|parent| !here.contains(*parent)).collect();
    let mut outputs: BTreeSet<String> = outputs::digests(m.tx(), &tenant, &elsewhere).await?.into_keys().collect();
    outputs.extend(here);
    Ok(References { versions, artifacts, outputs })
}

/// Records outputs: one outcome for each entry, in order, and the rows that they speak of.
async fn record(m: &mut Mutation, cx: &Cx, entries: &[OutputEntry]) -> Result<(Vec<Outcome>, Vec<NewOutput>)> {
    let refs = references(m, entries).await?;
    let limited = limits::claim(m, &refs).await?;
    let recorder = Recorder { actor: actor(&cx.actor), is_handoff: is_suite(cx, "handoff") };
    let (tenant, now) = (m.tenant().clone(), m.now());
    let mut rows: Vec<NewOutput> = Vec::with_capacity(entries.len());
    let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(entries.len());
    for entry in entries {
        outcomes.push(match prepare(entry, &refs, &recorder, now) {
            Err(error) => Outcome::Refused(error),
            Ok(row) => match firsts.get(&row.output.name).and_then(|first| rows.get(*first)) {
                Some(first) if first.content_digest == row.content_digest => Outcome::Duplicate,
                Some(_) => Outcome::Refused(reused(&row.output.name)),
                None => {
                    firsts.insert(row.output.name.clone(), rows.len());
                    rows.push(row);
                    Outcome::New(rows.len() - 1)
                }
            },
        });
    }
    let new = outputs::insert(m, &rows).await?;
    for row in rows.iter().filter(|row| new.contains(&row.output.name)) {
        record_event(m, row);
    }
    limits::count(m, limited, &rows, &new).await?;
    if new.len() < rows.len() {
        let names = rows.iter().map(|row| row.output.name.as_str());
        let old: Vec<&str> = names.filter(|name| !new.contains(*name)).collect();
        let digests = outputs::digests(m.tx(), &tenant, &old).await?;
        for outcome in &mut outcomes {
            let Outcome::New(at) = outcome else { continue };
            let Some(row) = rows.get(*at) else { continue };
            let Some(before) = digests.get(&row.output.name) else { continue };
            *outcome = if *before == row.content_digest {
                Outcome::Duplicate
            } else {
                Outcome::Refused(reused(&row.output.name))
            };
        }
    }
    Ok((outcomes, rows))
}

fn record_event(m: &mut Mutation, row: &NewOutput) {
    let output = &row.output;
    m.record(&output.name, |event| {
        event.occurred_at = output.occurred_time.as_ref().map_or(event.occurred_at, time::of);
        event.model_version.clone_from(&output.model_version);
        event.after_digest.clone_from(&row.content_digest);
        event.details = OutputRecorded {
            asset_digest: output.asset_digest.clone(),
            task: output.task.clone(),
            decision: output.decision.clone(),
            stakes: word_or_unspecified::<Stakes>(output.stakes).to_owned(),
            complete: output.complete,
            warnings: output.warnings.iter().map(|warning| warning.reason.clone()).collect(),
        }
        .json();
    });
}

fn evidence(output: Output) -> DisclosureRecord {
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
    scope: Scope,
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
        let window = (self.after.as_deref(), i64::try_from(EXPORT_PAGE).unwrap_or(i64::MAX));
        let mut tx = self.db.read().await?;
        let found = outputs::list(&mut tx, &self.tenant, &self.scope, &self.filter, Order::Ascending, window).await?;
        drop(tx);
        self.done = found.len() < EXPORT_PAGE;
        self.after = found.last().map(outputs::key);
        if found.is_empty() {
            return Ok(None);
        }
        let records = found.into_iter().map(evidence).collect();
        Ok(Some((ExportDisclosuresResponse { records }, self)))
    }
}

fn by_key(counts: Vec<Counts>) -> BTreeMap<String, i64> {
    counts.into_iter().map(|counts| (counts.count.key, counts.count.outputs)).collect()
}

impl Service {
    /// Records one output.
    pub(crate) async fn record_output(&self, cx: &Cx, req: RecordOutputRequest) -> Result<Output> {
        let call = cx.call(&req);
        let entry = OutputEntry { output_id: req.output_id, output: req.output };
        self.db
            .mutate(&call, async |m| {
                let (outcomes, mut rows) = record(m, cx, std::slice::from_ref(&entry)).await?;
                match outcomes.into_iter().next() {
                    Some(Outcome::Refused(error)) => Err(error),
                    Some(Outcome::New(at)) => Ok(rows.swap_remove(at).output),
                    _ => {
                        let name = OutputName::new(&entry.output_id).to_string();
                        Outputs::get(m.tx(), &cx.tenant, &name).await
                    }
                }
            })
            .await
    }

    /// Records a batch and answers once it is durable.
    pub(crate) async fn record_outputs(&self, cx: &Cx, req: RecordOutputsRequest) -> Result<RecordOutputsResponse> {
        if req.entries.len() > MOST_ENTRIES {
            return Err(Error::invalid(
                "BATCH_TOO_LARGE",
                "entries",
                format!("has {} entries, at most {MOST_ENTRIES} are allowed", req.entries.len()),
            ));
        }
        self.db
            .mutate(&cx.call_as("", &req), async |m| {
                let (outcomes, rows) = record(m, cx, &req.entries).await?;
                let results = req.entries.iter().zip(&outcomes);
                Ok(RecordOutputsResponse {
                    results: results.map(|(entry, outcome)| answer(entry, outcome, &rows)).collect(),
                })
            })
            .await
    }

    /// Returns an output.
    pub(crate) async fn get_output(&self, cx: &Cx, req: GetOutputRequest) -> Result<Output> {
        OutputName::parse(&req.name, "name")?;
        Outputs::get(&mut self.db.read().await?, &cx.tenant, &req.name).await
    }

    /// Searches outputs, the last recorded first.
    pub(crate) async fn search_outputs(&self, cx: &Cx, req: SearchOutputsRequest) -> Result<SearchOutputsResponse> {
        fields::optional(&req.artifact_version, "artifact_version", ArtifactVersionName::parse)?;
        let filter = filter::parse(&req.filter, Outputs::FIELDS)?;
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[&req.filter, &req.artifact_version]);
        let (size, after) = (page::size(req.page_size), keyset.after(&req.page_token)?);
        let scope = Scope { artifact_version: req.artifact_version, ..Scope::default() };
        let (mut tx, window) = (self.db.read().await?, (after.as_deref(), size + 1));
        let found = outputs::list(&mut tx, &cx.tenant, &scope, &filter, Outputs::ORDER, window).await?;
        let (outputs, next_page_token) = keyset.cut(found, size, outputs::key);
        Ok(SearchOutputsResponse { outputs, next_page_token })
    }

    /// Streams the evidence of disclosure, the first recorded first.
    pub(crate) fn export_disclosures(
        &self,
        cx: &Cx,
        req: ExportDisclosuresRequest,
    ) -> Result<impl Stream<Item = Result<ExportDisclosuresResponse>> + Send + 'static + use<>> {
        let made = range::open(req.time_range.as_ref(), "time_range")?;
        let export = Export {
            db: self.db.clone(),
            tenant: cx.tenant.clone(),
            scope: Scope { made, ..Scope::default() },
            filter: filter::parse(&req.filter, Outputs::FIELDS)?,
            after: None,
            done: false,
        };
        Ok(futures::stream::try_unfold(export, Export::next))
    }

    /// Counts outputs.
    pub(crate) async fn summarize_outputs(&self, cx: &Cx, req: SummarizeOutputsRequest) -> Result<OutputSummary> {
        let made = range::open(req.time_range.as_ref(), "time_range")?;
        let mut tx = self.db.snapshot().await?;
        let all = outputs::count(&mut tx, &cx.tenant, By::All, made).await?;
        let models = outputs::count(&mut tx, &cx.tenant, By::ModelVersion, made).await?;
        let tasks = outputs::count(&mut tx, &cx.tenant, By::Task, made).await?;
        let statuses = outputs::count(&mut tx, &cx.tenant, By::DisclosureStatus, made).await?;
        let sources = outputs::count(&mut tx, &cx.tenant, By::DigitalSourceType, made).await?;
        let all = all.into_iter().next().unwrap_or_default();
        Ok(OutputSummary {
            time_range: req.time_range,
            total: Some(all.count),
            by_model_version: models.into_iter().map(|counts| counts.count).collect(),
            by_task: tasks.into_iter().map(|counts| counts.count).collect(),
            human_reviewed: all.reviewed,
            by_disclosure_status: by_key(statuses),
            by_digital_source_type: by_key(sources),
            distinct_assets: all.assets,
        })
    }
}
