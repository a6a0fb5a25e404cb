//! One handoff under change: locked, and written back with its audit event and its place in the work queue.

use super::work;
use crate::machine::{self, Action};
use crate::store::{GateVersions, Handoffs};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Word as _};
use remit_core::details::{Moved, OfHandoff};
use remit_core::name::HandoffName;
use remit_core::{AuditEvent, Error, Result};
use remit_store::{Mutation, Records as _};

/// A locked handoff and what it was before.
pub(super) struct Held {
    pub(super) handoff: pb::Handoff,
    before: State,
    before_digest: String,
}

impl Held {
    /// Locks a handoff: the first statement of every mutation of one. Ask for the time after this.
    pub(super) async fn claim(m: &mut Mutation, name: &str) -> Result<Self> {
        HandoffName::parse(name, "name")?;
        Handoffs::claim(m, name).await.map(Self::of)
    }

    /// Locks a handoff if there is one of this name.
    pub(super) async fn try_claim(m: &mut Mutation, name: &str) -> Result<Option<Self>> {
        Ok(Handoffs::try_claim(m, name).await?.map(Self::of))
    }

    fn of(handoff: pb::Handoff) -> Self {
        Self { before: handoff.state(), before_digest: wire::digest(&handoff), handoff }
    }

    /// The gate version that governs it.
    pub(super) async fn gate(&self, m: &mut Mutation) -> Result<pb::GateVersion> {
        let tenant = m.tenant().clone();
        GateVersions::get(m.tx(), &tenant, &self.handoff.gate_version).await
    }

    /// The present state.
    pub(super) fn state(&self) -> State {
        self.handoff.state()
    }

    /// Moves by the table of transitions.
    pub(super) fn go(&mut self, action: Action) -> Result<()> {
        self.handoff.state = machine::next(&self.handoff.name, self.state(), action)?.into();
        Ok(())
    }

    /// The error for what the present state does not allow.
    pub(super) fn wrong_state(&self, wanted: &str, possible: &str) -> Error {
        machine::wrong_state(&self.handoff.name, self.state(), wanted, possible)
    }

    /// Writes the handoff, its audit event and its place in the work queue.
    pub(super) async fn save(
        mut self,
        m: &mut Mutation,
        action: &str,
        reason: &str,
        mut details: impl OfHandoff,
    ) -> Result<pb::Handoff> {
        self.handoff.update_time = Some(stamp(m.now()));
        Handoffs::save(m, &mut self.handoff).await?;
        work::requeue(m, &self.handoff, self.before).await?;
        let handoff = &self.handoff;
        details.set_moved(Moved {
            from: self.before.word().to_owned(),
            to: handoff.state().word().to_owned(),
            iteration: handoff.iteration,
            gate_version: handoff.gate_version.clone(),
        });
        let mut event = m.event(action, &handoff.name);
        event.reason = reason.to_owned();
        event.before_digest = self.before_digest;
        event.after_digest = wire::digest(handoff);
        event.model_version = handoff.run_inputs.as_ref().map(|run| run.model_version.clone()).unwrap_or_default();
        fill(&mut event, details.json());
        m.record_event(event);
        Ok(self.handoff)
    }
}

/// Puts details into an event, in which those of a timer stay.
pub(super) fn fill(event: &mut AuditEvent, mut details: serde_json::Value) {
    if let (Some(all), serde_json::Value::Object(timer)) = (details.as_object_mut(), event.details.take()) {
        all.extend(timer);
    }
    event.details = details;
}
