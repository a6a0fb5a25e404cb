//! Entries: appended, got, searched and summarised here; tailed, exported, verified and pruned in the files beside.

mod accounts;
mod export;
pub(super) mod handovers;
mod prune;
mod tail;
mod verify;

use super::Service;
use crate::leaf::{self, Leaf};
use crate::prepare::Prepared;
use crate::sender::Sender;
use crate::step::{Place, Receipt};
use crate::store::entries::{self, Stored};
use crate::store::heads::{self, signed};
use crate::store::{damaged, prunings, search, tiles};
use remit_api::audit::v1 as api;
use remit_api::wire::{range, time};
use remit_core::name::EntryName;
use remit_core::{Error, Kind, Result, Tenant};
use remit_runtime::Cx;
use remit_store::page;
use remit_store::{Call, Order, Skipped, Tx, Value};
use remit_tlog::tile::Tile;

/// The longest batch.
const MAX_BATCH: usize = 1_000;

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

impl Service {
    /// Records events in this order, all or none; returns after commit. `field` names an event in errors.
    ///
    /// # Errors
    /// As [`Prepared::new`] and `Sequencer::append`.
    pub async fn record_events(
        &self,
        tenant: &Tenant,
        events: Vec<api::Event>,
        field: impl Fn(usize) -> String,
    ) -> Result<Receipt> {
        if events.is_empty() || events.len() > MAX_BATCH {
            return Err(Error::invalid("BATCH_SIZE_INVALID", "events", format!("must be 1 to {MAX_BATCH}")));
        }
        let now = self.db.now();
        let prepared = events.into_iter().enumerate().map(|(at, event)| Prepared::new(event, &field(at), now));
        let prepared = prepared.collect::<Result<Vec<_>>>()?;
        remit_store::tenants::see(&self.db, tenant).await?;
        self.sequencer.append(tenant, prepared).await
    }

    /// Completes events with what is known of their sender, who may vouch for each of them; whose attempt to say what
    /// is not theirs to say is recorded.
    ///
    /// # Errors
    /// As [`Sender::admit`].
    async fn admit(&self, cx: &Cx, events: &mut [api::Event], field: impl Fn(usize) -> String) -> Result<()> {
        let sender = Sender { actor: &cx.actor, service: cx.service, now: self.db.now() };
        for (at, event) in events.iter_mut().enumerate() {
            if let Err(error) = sender.admit(event, &field(at)) {
                if error.kind() == Kind::PermissionDenied {
                    let resource = "entries".to_owned();
                    self.db.refuse(&Call { resource, ..cx.call_as("", &()) }, &error, Skipped::default()).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Records one event.
    ///
    /// # Errors
    /// `PermissionDenied` (`SERVICE_NOT_CALLER`, `ACTOR_NOT_CALLER`, `ACTION_RESERVED`); `InvalidArgument`
    /// (`TIME_OUT_OF_RANGE`); as [`Service::record_events`].
    pub(crate) async fn append(&self, cx: &Cx, request: api::AppendRequest) -> Result<api::AppendResponse> {
        let mut events = vec![request.event.unwrap_or_default()];
        self.admit(cx, &mut events, |_| "event".to_owned()).await?;
        let receipt = self.record_events(&cx.tenant, events, |_| "event".to_owned()).await?;
        let answer = self.places(&cx.tenant, receipt, request.prove).await?.into_iter().next();
        answer.ok_or_else(|| Error::internal("an event had no place"))
    }

    /// Records events, all or none.
    ///
    /// # Errors
    /// As [`Service::append`].
    pub(crate) async fn append_batch(
        &self,
        cx: &Cx,
        request: api::AppendBatchRequest,
    ) -> Result<api::AppendBatchResponse> {
        let (mut events, field) = (request.events, |at: usize| format!("events[{at}]"));
        self.admit(cx, &mut events, field).await?;
        let receipt = self.record_events(&cx.tenant, events, field).await?;
        Ok(api::AppendBatchResponse { results: self.places(&cx.tenant, receipt, request.prove).await? })
    }

    async fn places(&self, tenant: &Tenant, receipt: Receipt, prove: bool) -> Result<Vec<api::AppendResponse>> {
        let mut answers = Vec::with_capacity(receipt.places.len());
        let mut proving = if prove {
            let mut tx = self.db.snapshot().await?;
            let head = heads::read(&mut tx, tenant).await?;
            Some((tx, head))
        } else {
            None
        };
        for Place { index, hash, duplicate } in receipt.places {
            let proof = match &mut proving {
                Some((tx, head)) => Some(self.inclusion_at(tx, tenant, head, index, receipt.size).await?),
                None => None,
            };
            answers.push(api::AppendResponse { index: signed(index), leaf_hash: hash.0.to_vec(), duplicate, proof });
        }
        Ok(answers)
    }

    /// One entry.
    ///
    /// # Errors
    /// `NotFound` (`ENTRY_NOT_FOUND`).
    pub async fn get_entry(&self, cx: &Cx, request: api::GetEntryRequest) -> Result<api::Entry> {
        let (tenant, view) = (&cx.tenant, request.view());
        let index = entry_index(&request.name)?;
        let mut tx = self.db.snapshot().await?;
        if let Some(stored) = entries::get(&mut tx, tenant, index).await? {
            return show(stored, view != api::EntryView::Basic);
        }
        let size = heads::size(&mut tx, tenant).await?;
        if index >= size {
            return Err(entry_not_found(index));
        }
        if prunings::spans_within(&mut tx, tenant, index, index + 1, 1).await?.is_empty() {
            return Err(damaged(format!("entry {index} is missing")));
        }
        let tile = Tile::of(0, index / 256, size).ok_or_else(|| damaged(format!("entry {index} is missing")))?;
        let hashes = tiles::content(&mut tx, tenant, tile).await?;
        let hash = hashes.get((index % 256) as usize).ok_or_else(|| damaged(tile))?;
        Ok(pruned(index, hash.0.to_vec()))
    }

    /// Finds entries. A page may have fewer than asked for, or none, where the next is far away: the token leads on.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`, `PAGE_TOKEN_INVALID`).
    pub async fn search(&self, cx: &Cx, request: api::SearchRequest) -> Result<api::SearchResponse> {
        let tenant = &cx.tenant;
        let filter = search::parse(&request.filter)?;
        let (order, word) = match request.order() {
            api::SearchOrder::OldestFirst => (Order::Ascending, "oldest"),
            api::SearchOrder::NewestFirst | api::SearchOrder::Unspecified => (Order::Descending, "newest"),
        };
        let size = page::size(request.page_size);
        let keyset = self.db.keyset(tenant, cx.method, &[&request.filter, word]);
        let after = match keyset.after(&request.page_token)?.as_deref() {
            Some([Value::Int(Some(index))]) => Some(*index),
            Some(_) => {
                return Err(Error::invalid("PAGE_TOKEN_INVALID", "page_token", "must be a token of this method"));
            }
            None => None,
        };
        let mut tx = self.db.read().await?;
        let found = search::search(&mut tx, tenant, &filter, order, after, size + 1).await?;
        let (resume, found) = (found.resume, found.entries);
        let (found, mut next_page_token) = keyset.cut(found, size, |stored| vec![Value::from(signed(stored.index))]);
        if let (true, Some(resume)) = (next_page_token.is_empty(), resume) {
            next_page_token = keyset.token(&[Value::from(resume)]);
        }
        let full = request.view() == api::EntryView::Full;
        let entries = found.into_iter().map(|stored| show(stored, full)).collect::<Result<_>>()?;
        Ok(api::SearchResponse { entries, next_page_token })
    }

    /// Counts entries by action, outcome, service and kind of actor.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_RANGE_INVALID`, `TIME_OUT_OF_RANGE`).
    pub async fn summarize_entries(
        &self,
        cx: &Cx,
        request: api::SummarizeEntriesRequest,
    ) -> Result<api::SummarizeEntriesResponse> {
        let tenant = &cx.tenant;
        let span = range::open(request.recorded.as_ref(), "recorded")?;
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
            size: signed(heads::size(&mut tx, tenant).await?),
        })
    }
}

/// The index in `entries/{index}`.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `name`.
pub(crate) fn entry_index(name: &str) -> Result<u64> {
    let id = EntryName::parse(name, "name")?.index;
    let index = id.parse::<u64>().ok().filter(|index| index.to_string() == id && i64::try_from(*index).is_ok());
    index.ok_or_else(|| Error::invalid("NAME_INVALID", "name", "must have the form entries/{index}"))
}

/// The name of the entry at `index`.
pub(crate) fn entry_name(index: u64) -> EntryName {
    EntryName::new(index.to_string())
}

pub(crate) fn entry_not_found(index: u64) -> Error {
    Error::not_found("ENTRY_NOT_FOUND", entry_name(index).to_string())
}

/// An entry as the API shows it.
pub(crate) fn to_api(index: u64, hash: Vec<u8>, leaf: &Leaf, line: Vec<u8>, sealed: bool, full: bool) -> api::Entry {
    let personal = leaf.personal.as_ref();
    let state = match (personal, sealed) {
        (None, _) => api::PersonalState::Unspecified,
        (Some(_), true) => api::PersonalState::Sealed,
        (Some(_), false) => api::PersonalState::Erased,
    };
    api::Entry {
        name: entry_name(index).to_string(),
        index: signed(index),
        leaf_hash: hash,
        leaf_data: if full { line } else { Vec::new() },
        event: Some(leaf.to_event()),
        subject: personal.map(|personal| personal.subject.clone()).unwrap_or_default(),
        personal_state: state.into(),
        personal_digest: personal.map(|personal| personal.digest.clone()).unwrap_or_default(),
        pruned: false,
        integrated_at: leaf.integrated_at().map(time::stamp),
    }
}

/// An entry whose content retention removed.
pub(crate) fn pruned(index: u64, hash: Vec<u8>) -> api::Entry {
    api::Entry {
        name: entry_name(index).to_string(),
        index: signed(index),
        leaf_hash: hash,
        pruned: true,
        ..api::Entry::default()
    }
}
