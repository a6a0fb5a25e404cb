//! Getting, searching and summarising entries.

use super::{AuditLog, entry_index, entry_not_found, pruned, to_api};
use crate::leaf;
use crate::store::entries::{self, Stored};
use crate::store::head::{self, signed};
use crate::store::{damaged, keeping, tiles};
use remit_api::audit::v1 as api;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::page::{self, Order};
use remit_store::{Tx, Value, filter};
use remit_tlog::tile::Tile;

/// How many rows of a summary are returned.
const MAX_COUNTS: usize = 1_000;

fn show(stored: Stored, full: bool) -> Result<api::Entry> {
    let leaf = stored.leaf()?;
    Ok(to_api(stored.index, stored.hash, &leaf, stored.line, stored.sealed, full))
}

/// The entries of `start..end`, pruned ones without content.
pub(crate) async fn all_within(
    tx: &mut Tx,
    tenant: &Tenant,
    start: u64,
    end: u64,
    full: bool,
) -> Result<Vec<api::Entry>> {
    let limit = i64::try_from(end - start).unwrap_or(i64::MAX);
    let found = entries::range(tx, tenant, start, end, limit).await?;
    if found.len() as u64 == end - start {
        return found.into_iter().map(|stored| show(stored, full)).collect();
    }
    let mut found = found.into_iter().peekable();
    let mut shown = Vec::new();
    let mut tile: Option<(u64, Vec<remit_tlog::Hash>)> = None;
    for index in start..end {
        if let Some(stored) = found.next_if(|stored| stored.index == index) {
            shown.push(show(stored, full)?);
            continue;
        }
        if tile.as_ref().is_none_or(|(at, _)| *at != index / 256) {
            let hashes = tiles::read(tx, tenant, 0, index / 256).await?;
            tile = Some((index / 256, hashes.ok_or_else(|| damaged(format!("entry {index} is missing")))?));
        }
        let hash = tile.as_ref().and_then(|(_, hashes)| hashes.get((index % 256) as usize));
        shown.push(pruned(index, hash.ok_or_else(|| damaged(format!("entry {index} is missing")))?.0.to_vec()));
    }
    Ok(shown)
}

impl AuditLog {
    /// One entry.
    ///
    /// # Errors
    /// `NotFound` (`ENTRY_NOT_FOUND`).
    pub async fn get(&self, tenant: &Tenant, name: &str, view: api::EntryView) -> Result<api::Entry> {
        let index = entry_index(name)?;
        let mut tx = self.db.snapshot().await?;
        if let Some(stored) = entries::get(&mut tx, tenant, index).await? {
            return show(stored, view != api::EntryView::Basic);
        }
        let size = head::size(&mut tx, tenant).await?;
        if index >= size {
            return Err(entry_not_found(index));
        }
        if keeping::spans_within(&mut tx, tenant, index, index + 1, 1).await?.is_empty() {
            return Err(damaged(format!("entry {index} is missing")));
        }
        let tile = Tile::of(0, index / 256, size).ok_or_else(|| damaged(format!("entry {index} is missing")))?;
        let hashes = tiles::content(&mut tx, tenant, tile).await?;
        let hash = hashes.get((index % 256) as usize).ok_or_else(|| damaged(tile))?;
        Ok(pruned(index, hash.0.to_vec()))
    }

    /// Finds entries.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`, `PAGE_TOKEN_INVALID`, `PAGE_SIZE_INVALID`).
    pub async fn search(&self, tenant: &Tenant, request: &api::SearchRequest) -> Result<api::SearchResponse> {
        let filter = filter::parse(&request.filter, entries::FIELDS)?;
        let (order, word) = match request.order() {
            api::SearchOrder::OldestFirst => (Order::Ascending, "oldest"),
            api::SearchOrder::NewestFirst | api::SearchOrder::Unspecified => (Order::Descending, "newest"),
        };
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "audit.entries.search", &[&request.filter, word]);
        let after = match keyset.after(&request.page_token)?.as_deref() {
            Some([Value::Int(Some(index))]) => Some(*index),
            Some(_) => {
                return Err(Error::invalid("PAGE_TOKEN_INVALID", "page_token", "must be a token of this method"));
            }
            None => None,
        };
        let mut tx = self.db.read().await?;
        let found = entries::search(&mut tx, tenant, &filter, order, after, size + 1).await?;
        let (found, next_page_token) = keyset.cut(found, size, |stored| vec![Value::from(signed(stored.index))]);
        let full = request.view() == api::EntryView::Full;
        let entries = found.into_iter().map(|stored| show(stored, full)).collect::<Result<_>>()?;
        Ok(api::SearchResponse { entries, next_page_token })
    }

    /// Counts entries by action, outcome, service and kind of actor.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_INVALID`).
    pub async fn summarize(
        &self,
        tenant: &Tenant,
        request: &api::SummarizeEntriesRequest,
    ) -> Result<api::SummarizeEntriesResponse> {
        let span = time_range(request.recorded.as_ref(), "recorded")?;
        let mut tx = self.db.snapshot().await?;
        let counts = entries::count(&mut tx, tenant, span).await?;
        let (actors, first, last) = entries::extent(&mut tx, tenant, span).await?;
        let total = counts.iter().map(|row| row.count).sum();
        let other = counts.iter().skip(MAX_COUNTS).map(|row| row.count).sum();
        let counts = counts.into_iter().take(MAX_COUNTS).map(|row| api::EntryCount {
            action: row.action,
            outcome: leaf::outcome(&row.outcome).into(),
            service: row.service,
            actor_kind: leaf::actor_kind(&row.actor_kind).into(),
            count: row.count,
        });
        Ok(api::SummarizeEntriesResponse {
            counts: counts.collect(),
            other_count: other,
            total_count: total,
            actor_count: actors,
            first_index: first.unwrap_or(-1),
            last_index: last.unwrap_or(-1),
            size: signed(head::size(&mut tx, tenant).await?),
        })
    }
}

/// The ends of a span of time.
pub(crate) fn time_range(
    range: Option<&remit_api::types::TimeRange>,
    field: &str,
) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
    let Some(range) = range else { return Ok((None, None)) };
    let end = |time: Option<&prost_types::Timestamp>, name: &str| {
        time.map(|time| leaf::from_proto(time, || format!("{field}.{name}"))).transpose()
    };
    let span = (end(range.start_time.as_ref(), "start_time")?, end(range.end_time.as_ref(), "end_time")?);
    match span {
        (Some(start), Some(end)) if start > end => {
            Err(Error::invalid("TIME_RANGE_INVALID", format!("{field}.end_time"), "must not be before start_time"))
        }
        span => Ok(span),
    }
}
