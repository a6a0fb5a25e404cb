//! What is to be done by when, as a calendar needs it: frozen with the pack, so that every export says the same.

use super::sources::{Frame, Own};
use crate::time::at;
use crate::waiver::end_of;
use prost_types::Timestamp as Stamp;
use remit_api::council::v1::{ActionItemState, ClockState, ProposalState};
use serde::{Deserialize, Serialize};

/// One thing with an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Due {
    /// By when, RFC 3339.
    pub(crate) time: String,
    /// What, in words.
    pub(crate) what: String,
    /// Who sees to it; empty if nobody was named.
    pub(crate) owner: String,
    /// What it is about, such as `actionItems/a`.
    pub(crate) resource: String,
}

fn one(time: &Option<Stamp>, what: String, owner: &str, resource: &str) -> Due {
    Due { time: at(time).to_string(), what, owner: owner.to_owned(), resource: resource.to_owned() }
}

/// All that has an end after the collection, or that is overdue and open; the earliest first.
pub(crate) fn all(own: &Own, frame: &Frame<'_>) -> Vec<Due> {
    let mut due = Vec::new();
    for item in own.items.iter().filter(|item| item.state() == ActionItemState::Open && item.due_time.is_some()) {
        due.push(one(&item.due_time, item.title.clone(), &item.owner, &item.name));
    }
    for incident in &own.incidents {
        let open = incident.clocks.iter().filter(|clock| {
            matches!(clock.state(), ClockState::Running | ClockState::Breached) && clock.due_time.is_some()
        });
        due.extend(open.map(|clock| one(&clock.due_time, format!("Report: {}", incident.title), "", &incident.name)));
    }
    for proposal in own.proposals.iter().filter(|one| one.state() == ProposalState::Open && one.expire_time.is_some()) {
        due.push(one(&proposal.expire_time, format!("Vote: {}", proposal.title), "", &proposal.name));
    }
    for waiver in own.waivers.iter().filter(|waiver| end_of(waiver) > frame.now) {
        let what = format!("The waiver of {} ends", waiver.control);
        due.push(Due { time: end_of(waiver).to_string(), what, owner: String::new(), resource: waiver.name.clone() });
    }
    for statement in own.attestations.iter().filter(|one| at(&one.expire_time) > frame.now) {
        let control = remit_core::name::last(remit_core::name::parent(&statement.name));
        due.push(one(
            &statement.expire_time,
            format!("Renew what is stated for {control}"),
            &statement.owner,
            &statement.name,
        ));
    }
    for control in own.assignments.iter().filter(|control| control.due_time.is_some()) {
        let what = format!("Evidence of {}", remit_core::name::last(&control.name));
        due.push(one(&control.due_time, what, &control.owner, &control.name));
    }
    for training in own.trainings.iter().filter(|one| at(&one.expire_time) > frame.now) {
        let what = format!("Train again: {}", training.title);
        due.push(one(&training.expire_time, what, &training.subject, &training.name));
    }
    due.sort();
    due
}
