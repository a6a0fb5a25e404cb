//! One handoff under change: locked, with its gate, and written back with its audit event and its place in the
//! work queue.

use super::{decode, gates, work};
use crate::convert::{self, stamp};
use crate::machine::{self, Action};
use crate::store::{self, handoffs::HandoffColumns, handoffs::HandoffRow};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::handoff::v1::gate_version::Rules;
use remit_core::{Error, Result, Tenant, Timestamp, digest, name};
use remit_store::{Mutation, Tx};
use serde_json::{Value as Json, json};

/// A handoff, its gate and what they were before.
pub(super) struct Record {
    pub id: String,
    pub gate_id: String,
    pub gate_version: i64,
    pub handoff: pb::Handoff,
    pub gate: pb::GateVersion,
    revision: i64,
    before: (State, String),
}

/// A handoff as callers see it.
pub(super) fn show(row: &HandoffRow) -> Result<pb::Handoff> {
    let mut handoff: pb::Handoff = decode(&row.body)?;
    handoff.name = format!("handoffs/{}", row.id);
    handoff.etag = convert::etag(row.revision);
    handoff.create_time = Some(stamp(row.create_time));
    handoff.update_time = Some(stamp(row.update_time));
    Ok(handoff)
}

/// The error for a handoff that the tenant does not have.
pub(super) fn missing(name: &str) -> Error {
    Error::not_found("HANDOFF_NOT_FOUND", name)
}

/// Reads a handoff without locking it.
pub(super) async fn peek(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<pb::Handoff> {
    let [id] = name::ids::<1>(name, "handoffs/*", "name")?;
    let row = store::handoffs::get(tx, tenant, id).await?;
    show(&row.ok_or_else(|| missing(name))?)
}

impl Record {
    /// Locks a handoff: the first statement of every mutation of one.
    pub async fn lock(mutation: &mut Mutation, name: &str) -> Result<Self> {
        let [id] = name::ids::<1>(name, "handoffs/*", "name")?;
        Self::lock_id(mutation, id).await?.ok_or_else(|| missing(name))
    }

    /// Locks a handoff by its id; `None` if there is none.
    pub async fn lock_id(mutation: &mut Mutation, id: &str) -> Result<Option<Self>> {
        let tenant = mutation.tenant().clone();
        let Some(row) = store::handoffs::lock(mutation.tx(), &tenant, id).await? else { return Ok(None) };
        let gate = gates::load(mutation.tx(), &tenant, &row.gate_id, row.gate_version).await?;
        let handoff = show(&row)?;
        let before = (handoff.state(), digest::sha256(&row.body));
        Ok(Some(Self {
            id: row.id,
            gate_id: row.gate_id,
            gate_version: row.gate_version,
            handoff,
            gate,
            revision: row.revision,
            before,
        }))
    }

    /// The present state.
    pub fn state(&self) -> State {
        self.handoff.state()
    }

    /// The present iteration.
    pub fn iteration(&self) -> i64 {
        i64::from(self.handoff.iteration)
    }

    /// Moves by the table of transitions.
    pub fn go(&mut self, action: Action) -> Result<()> {
        let to = machine::next(&self.handoff.name, self.state(), action)?;
        self.handoff.state = to.into();
        Ok(())
    }

    /// The rules of the gate for reviewed work.
    pub fn rules(&self) -> Result<pb::CreativeRules> {
        match &self.gate.rules {
            Some(Rules::Creative(rules)) => Ok(rules.clone()),
            Some(Rules::Routing(_)) | None => {
                Err(Error::internal(format!("{} is governed by a gate without review", self.handoff.name)))
            }
        }
    }

    /// Writes the variants of the present iteration.
    pub async fn put_variants(&self, mutation: &mut Mutation) -> Result<()> {
        let rows = self.handoff.variants.iter().enumerate().map(|(index, variant)| {
            let rank =
                if variant.ai_rank > 0 { i64::from(variant.ai_rank) } else { i64::try_from(index).unwrap_or(0) + 1 };
            (rank, variant.variant.clone(), variant.encode_to_vec())
        });
        let (tenant, rows) = (mutation.tenant().clone(), rows.collect());
        store::handoffs::put_variants(mutation.tx(), &tenant, &self.id, self.iteration(), rows).await
    }

    /// Writes the handoff, its audit event and its place in the work queue.
    pub async fn save(
        mut self,
        mutation: &mut Mutation,
        action: &str,
        reason: &str,
        details: Json,
    ) -> Result<pb::Handoff> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        self.handoff.etag = convert::etag(self.revision);
        self.handoff.update_time = Some(stamp(now));
        let body = self.handoff.encode_to_vec();
        let after_digest = digest::sha256(&body);
        store::handoffs::update(mutation.tx(), &tenant, self.columns(body), now).await?;
        let (from, before_digest) = self.before.clone();
        work::requeue(mutation, &self.handoff, from).await?;

        let mut event = mutation.event(action, &self.handoff.name);
        event.reason = reason.to_owned();
        event.before_digest = before_digest;
        event.after_digest = after_digest;
        event.model_version = self.handoff.run_inputs.as_ref().map(|run| run.model_version.clone()).unwrap_or_default();
        let base = json!({
            "from": machine::state_name(from),
            "to": machine::state_name(self.state()),
            "iteration": self.handoff.iteration,
            "gate_version": self.handoff.gate_version,
        });
        event.details = merged([event.details, base, details]);
        mutation.record(event);
        Ok(self.handoff)
    }

    fn columns(&self, body: Vec<u8>) -> HandoffColumns<'_> {
        let handoff = &self.handoff;
        let time = |at: &Option<prost_types::Timestamp>| at.as_ref().map(convert::unstamp);
        let signature = handoff.reviews.iter().rev().find_map(|review| review.signature.as_ref());
        HandoffColumns {
            id: &self.id,
            gate_id: &self.gate_id,
            gate_version: self.gate_version,
            task: &handoff.task,
            channel: &handoff.channel,
            state: handoff.state.into(),
            human_led: handoff.human_led,
            ai_run: handoff.run_inputs.is_some(),
            iteration: handoff.iteration.into(),
            override_count: handoff.override_count.into(),
            due_time: time(&handoff.due_time),
            escalate_time: handoff.triage.as_ref().and_then(|triage| time(&triage.create_time)),
            escalate_cause: handoff.triage.as_ref().map(|triage| triage.cause.split(':').next().unwrap_or_default()),
            accept_time: signature.filter(|signature| signature.void_time.is_none()).and_then(|s| time(&s.sign_time)),
            publish_time: time(&handoff.publish_time),
            body,
        }
    }
}

/// Several objects as one; what is not an object is left out.
pub(super) fn merged(parts: impl IntoIterator<Item = Json>) -> Json {
    let objects = parts.into_iter().filter_map(|part| if let Json::Object(map) = part { Some(map) } else { None });
    Json::Object(objects.flatten().collect())
}

/// The digest of the present content: id and content digest of every variant, in order.
pub(super) fn content_digest(handoff: &pb::Handoff) -> String {
    let lines = handoff.variants.iter().map(|variant| format!("{} {}\n", variant.variant, variant.content_digest));
    digest::sha256(lines.collect::<String>().as_bytes())
}

/// The last review, if its signature holds.
pub(super) fn signed(handoff: &pb::Handoff) -> Option<(&pb::Review, &pb::Signature)> {
    let review = handoff.reviews.last()?;
    let signature = review.signature.as_ref().filter(|signature| signature.void_time.is_none())?;
    Some((review, signature))
}

/// Voids the signature that holds, if any.
pub(super) fn void_signature(handoff: &mut pb::Handoff, now: Timestamp, why: &str) {
    let last = handoff.reviews.last_mut().and_then(|review| review.signature.as_mut());
    if let Some(signature) = last.filter(|signature| signature.void_time.is_none()) {
        signature.void_time = Some(stamp(now));
        why.clone_into(&mut signature.void_reason);
    }
}
