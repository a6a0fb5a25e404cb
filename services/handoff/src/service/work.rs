//! The work queue: one item for whatever waits for a person.

use super::Service;
use crate::store::clocks::{REVIEW, TRIAGE};
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState as State, WorkKind};
use remit_api::wire::{Word as _, decode};
use remit_core::Result;
use remit_runtime::Cx;
use remit_runtime::watch::{self, Watched};
use remit_store::Mutation;

/// The watch feed of the work queue.
const FEED: &str = "work";

/// The key of an item in the feed: its kind and what it is about.
fn key(kind: WorkKind, resource: &str) -> String {
    format!("{}/{resource}", kind.word())
}

/// The item of a key, for one that is gone.
fn gone(key: &str) -> Option<pb::WorkItem> {
    let (kind, resource) = key.split_once('/')?;
    let kind = WorkKind::parse(kind)?.into();
    Some(pb::WorkItem { kind, resource: resource.to_owned(), ..Default::default() })
}

/// Puts an item into the queue, or replaces it.
pub(super) async fn put(m: &mut Mutation, item: &pb::WorkItem) -> Result<()> {
    m.change(FEED, &key(item.kind(), &item.resource), Some(item.encode_to_vec())).await
}

/// Takes an item out.
pub(super) async fn remove(m: &mut Mutation, kind: WorkKind, resource: &str) -> Result<()> {
    m.change(FEED, &key(kind, resource), None).await
}

/// What a handoff in this state waits for.
fn kind_of(state: State) -> Option<WorkKind> {
    match state {
        State::InReview => Some(WorkKind::Review),
        State::Escalated => Some(WorkKind::Triage),
        State::HumanLed => Some(WorkKind::HumanLed),
        State::Unspecified
        | State::Draft
        | State::Triggered
        | State::AiRunning
        | State::Returned
        | State::Accepted
        | State::Published
        | State::Expired
        | State::Cancelled
        | State::Suspended => None,
    }
}

/// Moves a handoff in the queue from what it waited for to what it waits for now.
pub(super) async fn requeue(m: &mut Mutation, handoff: &pb::Handoff, from: State) -> Result<()> {
    let (before, after) = (kind_of(from), kind_of(handoff.state()));
    if let Some(kind) = before.filter(|kind| Some(*kind) != after) {
        remove(m, kind, &handoff.name).await?;
    }
    let Some(kind) = after else { return Ok(()) };
    let round = handoff.review_round;
    let breached = handoff.breaches.iter().any(|breach| match kind {
        WorkKind::Triage => breach.clock == TRIAGE,
        _ => breach.clock == REVIEW && breach.round == round,
    });
    let item = pb::WorkItem {
        resource: handoff.name.clone(),
        kind: kind.into(),
        responsible: handoff.responsible.clone(),
        due_time: handoff.due_time,
        breached: breached && kind != WorkKind::HumanLed,
        offered_at: if kind == WorkKind::Review { handoff.offered_at } else { handoff.update_time },
        gate_version: handoff.gate_version.clone(),
        routings: Vec::new(),
    };
    put(m, &item).await
}

impl Service {
    /// Watches the work queue.
    pub(crate) fn watch_work(
        &self,
        cx: &Cx,
        request: pb::WatchWorkRequest,
    ) -> Result<impl Stream<Item = Result<pb::WatchWorkResponse>> + Send + 'static + use<>> {
        let (db, shutdown) = (self.db.clone(), self.shutdown.clone());
        let changes = watch::stream(db, cx.tenant.clone(), FEED, &request.cursor, shutdown)?;
        let kinds = request.kinds;
        Ok(changes.filter_map(move |watched| {
            let answer = watched.and_then(show);
            let wanted = match &answer {
                Ok(answer) => answer.item.as_ref().is_none_or(|item| kinds.is_empty() || kinds.contains(&item.kind)),
                Err(_) => true,
            };
            futures::future::ready(wanted.then_some(answer))
        }))
    }
}

/// One message of the feed as callers see it.
fn show(watched: Watched) -> Result<pb::WatchWorkResponse> {
    let deleted = watched.is_deletion();
    let item = match &watched.body {
        Some(body) => Some(decode(body)?),
        None if deleted => gone(&watched.key),
        None => None,
    };
    Ok(pb::WatchWorkResponse { phase: watched.phase.into(), cursor: watched.cursor, item, deleted })
}
