//! The work queue: one item for whatever waits for a person.

use crate::convert::unstamp;
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::{HandoffState as State, WorkKind};
use remit_core::{Result, Timestamp};
use remit_store::Mutation;

/// The watch feed of the work queue.
pub const FEED: &str = "work";

/// The key of an item in the feed: its kind and what it is about.
fn key(kind: WorkKind, resource: &str) -> String {
    format!("{}/{resource}", kind as i32)
}

/// Takes a key apart.
pub fn parse_key(key: &str) -> Option<(WorkKind, &str)> {
    let (kind, resource) = key.split_once('/')?;
    Some((WorkKind::try_from(kind.parse::<i32>().ok()?).ok()?, resource))
}

/// Puts an item into the queue, or replaces it.
pub(super) async fn put(mutation: &mut Mutation, item: &pb::WorkItem) -> Result<()> {
    let key = key(item.kind(), &item.resource);
    mutation.change(FEED, &key, Some(item.encode_to_vec())).await
}

/// Takes an item out.
pub(super) async fn remove(mutation: &mut Mutation, kind: WorkKind, resource: &str) -> Result<()> {
    mutation.change(FEED, &key(kind, resource), None).await
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
pub(super) async fn requeue(mutation: &mut Mutation, handoff: &pb::Handoff, from: State) -> Result<()> {
    let (before, after) = (kind_of(from), kind_of(handoff.state()));
    if let Some(kind) = before.filter(|kind| Some(*kind) != after) {
        remove(mutation, kind, &handoff.name).await?;
    }
    let Some(kind) = after else { return Ok(()) };
    let round = handoff.review_round;
    let breached = handoff.breaches.iter().any(|breach| match kind {
        WorkKind::Triage => breach.clock == "triage",
        _ => breach.clock == "review" && breach.round == round,
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
    put(mutation, &item).await
}

/// Microseconds from one time to another, never negative.
pub(super) fn micros_between(start: Option<&prost_types::Timestamp>, end: Timestamp) -> i64 {
    start.map_or(0, |start| (end.0 - unstamp(start).0).max(0))
}
