//! The states of a handoff and every way from one to another, as one table (R4).

use remit_api::handoff::v1::HandoffState as State;
use remit_api::wire::Word as _;
use remit_core::{Error, Result};

/// What moves a handoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The last trigger event happened.
    Trigger,
    /// AI begins an iteration.
    Start,
    /// The first iteration's run failed.
    FailFirst,
    /// A later iteration's run failed.
    FailLater,
    /// Variants are delivered.
    Submit,
    /// A person changes a variant.
    Edit,
    /// A reviewer found a variant that passes.
    Accept,
    /// None passes, and AI has an iteration left.
    Return,
    /// None passes, and AI has none left.
    Exhaust,
    /// None passes, and a person leads.
    Rework,
    /// What was signed goes out.
    Publish,
    /// A person escalates.
    Escalate,
    /// The triage was held.
    Triage,
    /// A person takes the work over.
    TakeOver,
    /// What was published is withdrawn.
    RollBack,
    /// The time for the whole is over.
    Expire,
    /// A person gives it up.
    Cancel,
    /// A person stops it.
    Suspend,
}

use Action as A;
use State as S;

/// Every transition there is. Resuming is the one that is not here: it leads back to where the
/// suspension found the handoff.
const TRANSITIONS: &[(State, Action, State)] = &[
    (S::Draft, A::Trigger, S::Triggered),
    (S::Draft, A::Expire, S::Expired),
    (S::Draft, A::Cancel, S::Cancelled),
    (S::Draft, A::Suspend, S::Suspended),
    (S::Triggered, A::Start, S::AiRunning),
    (S::Triggered, A::TakeOver, S::HumanLed),
    (S::Triggered, A::Expire, S::Expired),
    (S::Triggered, A::Cancel, S::Cancelled),
    (S::Triggered, A::Suspend, S::Suspended),
    (S::AiRunning, A::Submit, S::InReview),
    (S::AiRunning, A::FailFirst, S::Triggered),
    (S::AiRunning, A::FailLater, S::Returned),
    (S::AiRunning, A::Escalate, S::Escalated),
    (S::AiRunning, A::TakeOver, S::HumanLed),
    (S::AiRunning, A::Expire, S::Expired),
    (S::AiRunning, A::Cancel, S::Cancelled),
    (S::AiRunning, A::Suspend, S::Suspended),
    (S::InReview, A::Edit, S::InReview),
    (S::InReview, A::Accept, S::Accepted),
    (S::InReview, A::Return, S::Returned),
    (S::InReview, A::Exhaust, S::Escalated),
    (S::InReview, A::Rework, S::HumanLed),
    (S::InReview, A::Escalate, S::Escalated),
    (S::InReview, A::TakeOver, S::HumanLed),
    (S::InReview, A::Expire, S::Expired),
    (S::InReview, A::Cancel, S::Cancelled),
    (S::InReview, A::Suspend, S::Suspended),
    (S::Returned, A::Start, S::AiRunning),
    (S::Returned, A::Escalate, S::Escalated),
    (S::Returned, A::TakeOver, S::HumanLed),
    (S::Returned, A::Expire, S::Expired),
    (S::Returned, A::Cancel, S::Cancelled),
    (S::Returned, A::Suspend, S::Suspended),
    (S::Accepted, A::Publish, S::Published),
    (S::Accepted, A::Edit, S::InReview),
    (S::Accepted, A::Return, S::Returned),
    (S::Accepted, A::Exhaust, S::Escalated),
    (S::Accepted, A::Rework, S::HumanLed),
    (S::Accepted, A::TakeOver, S::HumanLed),
    (S::Accepted, A::Expire, S::Expired),
    (S::Accepted, A::Cancel, S::Cancelled),
    (S::Accepted, A::Suspend, S::Suspended),
    (S::Escalated, A::Triage, S::HumanLed),
    (S::Escalated, A::TakeOver, S::HumanLed),
    (S::Escalated, A::Expire, S::Expired),
    (S::Escalated, A::Cancel, S::Cancelled),
    (S::Escalated, A::Suspend, S::Suspended),
    (S::HumanLed, A::Submit, S::InReview),
    (S::HumanLed, A::Expire, S::Expired),
    (S::HumanLed, A::Cancel, S::Cancelled),
    (S::HumanLed, A::Suspend, S::Suspended),
    (S::Published, A::RollBack, S::HumanLed),
    (S::Suspended, A::Cancel, S::Cancelled),
];

/// Where `action` leads from `state`.
///
/// # Errors
/// `FailedPrecondition` (`HANDOFF_STATE`) if the table has no such transition, naming the state and
/// what is possible from it.
pub(crate) fn next(name: &str, state: State, action: Action) -> Result<State> {
    TRANSITIONS.iter().find(|(from, by, _)| *from == state && *by == action).map(|(_, _, to)| *to).ok_or_else(|| {
        let possible: Vec<&str> =
            TRANSITIONS.iter().filter(|(from, ..)| *from == state).map(|(_, by, _)| by.as_str()).collect();
        let possible = match (state, possible.is_empty()) {
            (S::Suspended, _) => "resume, cancel".to_owned(),
            (_, true) => "nothing".to_owned(),
            (_, false) => possible.join(", "),
        };
        wrong_state(name, state, action.as_str(), &possible)
    })
}

/// The error for what `state` does not allow.
pub(crate) fn wrong_state(name: &str, state: State, wanted: &str, possible: &str) -> Error {
    let state = state.word();
    Error::precondition("HANDOFF_STATE", format!("{name} is {state} and cannot {wanted}; possible is: {possible}"))
}

/// The states in which nothing more happens by itself.
pub(crate) const FINAL: [State; 3] = [S::Published, S::Expired, S::Cancelled];

/// Whether nothing more happens in this state by itself.
pub(crate) fn is_final(state: State) -> bool {
    FINAL.contains(&state)
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            A::Trigger => "trigger",
            A::Start => "start",
            A::FailFirst | A::FailLater => "fail",
            A::Submit => "submit",
            A::Edit => "edit",
            A::Accept => "accept",
            A::Return => "return",
            A::Exhaust => "exhaust its iterations",
            A::Rework => "rework",
            A::Publish => "publish",
            A::Escalate => "escalate",
            A::Triage => "complete a triage",
            A::TakeOver => "take over",
            A::RollBack => "roll back",
            A::Expire => "expire",
            A::Cancel => "cancel",
            A::Suspend => "suspend",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pair_has_one_outcome() {
        let mut seen = BTreeSet::new();
        for (from, by, _) in TRANSITIONS {
            assert!(seen.insert((*from as i32, format!("{by:?}"))), "{from:?} {by:?}");
        }
    }

    #[test]
    fn nothing_is_published_without_having_been_accepted_and_reviewed() {
        let into =
            |state: State| TRANSITIONS.iter().filter(move |(.., to)| *to == state).map(|(from, by, _)| (*from, *by));
        assert_eq!(into(S::Published).collect::<Vec<_>>(), [(S::Accepted, A::Publish)]);
        assert_eq!(into(S::Accepted).collect::<Vec<_>>(), [(S::InReview, A::Accept)]);
    }

    #[test]
    fn a_person_who_leads_is_never_replaced_by_ai() {
        assert!(TRANSITIONS.iter().all(|(from, _, to)| *from != S::HumanLed || *to != S::AiRunning));
        assert!(TRANSITIONS.iter().all(|(from, _, to)| *from != S::Escalated || *to != S::AiRunning));
    }

    #[test]
    fn every_unfinished_state_can_be_cancelled() {
        for value in 1..=12 {
            let state = State::try_from(value).unwrap();
            assert_eq!(next("handoffs/h", state, A::Cancel).is_ok(), !is_final(state), "{state:?}");
        }
    }

    #[test]
    fn a_refusal_names_state_and_ways_out() {
        let error = next("handoffs/h", S::Escalated, A::Publish).unwrap_err();
        assert_eq!(error.reason(), "HANDOFF_STATE");
        assert!(
            error
                .message()
                .contains("handoffs/h is ESCALATED and cannot publish; possible is: complete a triage, take over")
        );
    }
}
