//! Triages: scheduled once by an escalation (S39), held by people of the gate.

use super::held::Held;
use super::{Service, clocks};
use crate::machine::Action;
use crate::{gate_rules, principal};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::TriageCause;
use remit_api::wire::time::{span, stamp};
use remit_core::Result;
use remit_core::details::TriageCompleted;
use remit_runtime::Cx;
use remit_store::Mutation;

/// Schedules the triage of an escalated handoff; once, however often it escalates.
pub(super) async fn schedule(
    m: &mut Mutation,
    held: &mut Held,
    gate: &pb::GateVersion,
    cause: TriageCause,
    cause_text: String,
) -> Result<()> {
    if held.handoff.triage.is_none() {
        let minutes = gate_rules::creative(gate)?.triage_minutes;
        held.handoff.triage = Some(pb::Triage {
            name: format!("{}/triage", held.handoff.name),
            duration: Some(span(i64::from(minutes) * 60_000_000)),
            owner: gate.owner.clone(),
            create_time: Some(stamp(m.now())),
            cause: cause.into(),
            cause_text,
            ..Default::default()
        });
    }
    clocks::start_triage(m, held, gate).await
}

impl Service {
    /// Records the outcome of a triage.
    pub(crate) async fn complete_triage(&self, cx: &Cx, request: pb::CompleteTriageRequest) -> Result<pb::Handoff> {
        self.mutate(cx.call(&request), async |m| {
            let mut held = Held::claim(m, &request.name).await?;
            let gate = held.gate(m).await?;
            principal::check_of_gate(&gate, &cx.actor, m.now())?;
            held.go(Action::Triage)?;
            clocks::stop_triage(m, &mut held, true).await?;
            principal::lead(&mut held.handoff, &cx.actor);
            if let Some(triage) = &mut held.handoff.triage {
                triage.complete_time = Some(stamp(m.now()));
                triage.outcome.clone_from(&request.outcome);
            }
            let details = TriageCompleted { outcome: request.outcome, ..Default::default() };
            held.save(m, cx.method, "", details).await
        })
        .await
    }
}
