//! What becomes of an iteration once people have decided about it.

use super::{held::Held, triages};
use crate::machine::Action;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::TriageCause;
use remit_core::Result;
use remit_store::Mutation;

/// Moves on after a decision about an iteration: accepted, returned with a prompt version, escalated with a
/// triage, or back to the person who leads.
pub(super) async fn fail_or_pass(
    m: &mut Mutation,
    held: &mut Held,
    gate: &pb::GateVersion,
    action: Action,
    next_prompt: &str,
) -> Result<()> {
    held.go(action)?;
    match action {
        Action::Return => next_prompt.clone_into(&mut held.handoff.next_prompt_version),
        Action::Exhaust => {
            let text = format!("no variant passed in {} iterations", held.handoff.iteration);
            triages::schedule(m, held, gate, TriageCause::Iterations, text).await?;
        }
        _ => {}
    }
    Ok(())
}
