//! The lifecycle of a model version: which state may follow which, who may ask, and what must be there.

use crate::actor::ActorKind;
use crate::error::{Error, Result};
use std::fmt;
use std::time::Duration;

/// How long a version whose approval has ended may go on under people's eyes before it stops.
pub const GRACE: Duration = Duration::from_secs(30 * 86_400);

/// Where a model version stands (R8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Registered, not yet looked at.
    Proposed,
    /// Under evaluation.
    Evaluating,
    /// May run for the approved purposes.
    Approved,
    /// May run, for fewer purposes or under stricter conditions.
    Restricted,
    /// Stopped until a proposal lifts the suspension.
    Suspended,
    /// Out of service for good.
    Retired,
}

impl State {
    /// All states, in the order of a life.
    pub const ALL: [Self; 6] =
        [Self::Proposed, Self::Evaluating, Self::Approved, Self::Restricted, Self::Suspended, Self::Retired];

    /// The name used in columns, filters and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "PROPOSED",
            Self::Evaluating => "EVALUATING",
            Self::Approved => "APPROVED",
            Self::Restricted => "RESTRICTED",
            Self::Suspended => "SUSPENDED",
            Self::Retired => "RETIRED",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The states that may follow. APPROVED and RESTRICTED may follow themselves, with other purposes or
    /// conditions; nothing follows RETIRED.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Proposed => &[Self::Evaluating, Self::Retired],
            Self::Evaluating => &[Self::Approved, Self::Suspended, Self::Retired],
            Self::Approved | Self::Restricted => &[Self::Approved, Self::Restricted, Self::Suspended, Self::Retired],
            Self::Suspended => &[Self::Evaluating, Self::Approved, Self::Restricted, Self::Retired],
            Self::Retired => &[],
        }
    }

    /// Whether a version in this state may do work.
    pub fn may_run(self) -> bool {
        matches!(self, Self::Approved | Self::Restricted)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A move that somebody asks for, with everything that decides about it.
#[derive(Debug, Clone)]
pub struct Move<'a> {
    /// The name of the version, for messages.
    pub version: &'a str,
    /// The state that it is in.
    pub from: State,
    /// The state that is asked for.
    pub to: State,
    /// Who asks.
    pub caller: ActorKind,
    /// Why; empty if not said.
    pub reason: &'a str,
    /// How many purposes are named.
    pub purposes: usize,
    /// How many conditions are named.
    pub conditions: usize,
    /// Whether terms are named: until when, and what for.
    pub terms: bool,
    /// Whether the content that was decided about is named.
    pub content_pinned: bool,
    /// Whether the version runs, and would do so for no other purposes, on no fewer conditions and the same terms.
    pub narrows: bool,
    /// Whether a purpose is named that the version does not have, nor had when it last ran.
    pub widens: bool,
    /// Whether nobody knows who made the version, and no owner has taken it on.
    pub unattributed: bool,
    /// Whether the version was ever approved.
    pub ever_approved: bool,
    /// How many of its evaluations passed that a person who did not make it stands behind.
    pub passed_evaluations: usize,
    /// Whether its risk class is a practice of Art. 5 of Regulation (EU) 2024/1689.
    pub prohibited: bool,
    /// The artifact versions it runs with that are not approved.
    pub unapproved_artifacts: &'a [String],
    /// The artifact versions that the terms require and that it does not run with.
    pub unmet_artifacts: &'a [String],
}

impl Move<'_> {
    /// Whether the move takes effect only by a mandate of the council. Suspension never does, nor a restriction to less
    /// than what runs: stopping must be fast, starting must be agreed.
    pub fn needs_mandate(&self) -> bool {
        match self.to {
            State::Suspended => false,
            State::Restricted => !self.narrows,
            State::Approved => true,
            State::Retired => self.ever_approved,
            State::Proposed | State::Evaluating => self.from == State::Suspended,
        }
    }

    /// The kind of act that the move is, as in [`crate::authority::ACTS`].
    pub fn act(&self) -> &'static str {
        match self.to {
            State::Suspended => "suspend_model",
            State::Restricted => "restrict_model",
            State::Retired => "retire_model",
            State::Proposed | State::Evaluating | State::Approved => "promote_model",
        }
    }

    /// Decides whether the move can be asked for at all. Whether a mandate is behind it is the caller's to verify.
    ///
    /// # Errors
    /// `FailedPrecondition`: `TRANSITION_NOT_ALLOWED` (naming the allowed states), `PURPOSES_WIDEN`. `PermissionDenied`:
    /// `HUMAN_OR_SERVICE_REQUIRED` if an AI system asks for anything. `InvalidArgument` (`FIELD_REQUIRED`,
    /// `FIELD_NOT_ALLOWED`) for a reason, purposes or a content digest that are missing or out of place.
    pub fn check_asked(&self) -> Result<()> {
        self.check_table()?;
        if self.caller == ActorKind::Ai {
            return Err(Error::denied(
                "HUMAN_OR_SERVICE_REQUIRED",
                "an AI system cannot change the state of a model version",
            ));
        }
        self.check_fields()
    }

    fn check_table(&self) -> Result<()> {
        let allowed = self.from.next();
        if allowed.contains(&self.to) {
            return Ok(());
        }
        let names: Vec<&str> = allowed.iter().map(|state| state.as_str()).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        Err(Error::precondition(
            "TRANSITION_NOT_ALLOWED",
            format!("{} is {}; {} cannot follow, allowed: {names}", self.version, self.from, self.to),
        ))
    }

    fn check_fields(&self) -> Result<()> {
        let stops = matches!(self.to, State::Restricted | State::Suspended | State::Retired);
        if stops && self.reason.trim().is_empty() && !self.needs_mandate() {
            return Err(Error::invalid(
                "FIELD_REQUIRED",
                "reason",
                format!("is required for {} without a mandate", self.to),
            ));
        }
        if self.to.may_run() && self.purposes == 0 {
            return Err(Error::invalid(
                "FIELD_REQUIRED",
                "purposes",
                format!("must name at least one purpose for {}", self.to),
            ));
        }
        if self.to.may_run() && self.needs_mandate() && !self.content_pinned {
            return Err(Error::invalid(
                "FIELD_REQUIRED",
                "content_digest",
                format!("must say which content is to be {}", self.to),
            ));
        }
        if self.to == State::Restricted && self.widens {
            return Err(Error::precondition(
                "PURPOSES_WIDEN",
                format!(
                    "{} did not have all of these purposes when it last ran, and RESTRICTED adds none: leave the new ones \
                     out, or propose promote_model",
                    self.version
                ),
            ));
        }
        let misplaced = [("purposes", self.purposes > 0), ("conditions", self.conditions > 0), ("terms", self.terms)];
        if !self.to.may_run()
            && let Some((field, _)) = misplaced.into_iter().find(|(_, named)| *named)
        {
            return Err(Error::invalid("FIELD_NOT_ALLOWED", field, format!("must be empty for {}", self.to)));
        }
        Ok(())
    }

    /// Decides whether the version may run as far as its record goes.
    ///
    /// # Errors
    /// `FailedPrecondition`: `AI_ACT_PROHIBITED`, `OWNER_NOT_CONFIRMED`, `EVALUATION_REQUIRED`, `ARTIFACT_NOT_APPROVED`,
    /// `APPROVAL_CONDITION_UNMET`.
    pub fn check_evidence(&self) -> Result<()> {
        if !self.to.may_run() {
            return Ok(());
        }
        if self.prohibited {
            return Err(Error::precondition(
                "AI_ACT_PROHIBITED",
                format!("{} is assessed as a prohibited practice and cannot be approved", self.version),
            ));
        }
        if self.unattributed {
            return Err(Error::precondition(
                "OWNER_NOT_CONFIRMED",
                format!(
                    "{} was registered by a program that acts for nobody who is known, so that none of its evaluations \
                     counts: let its owner confirm it by any update of it",
                    self.version
                ),
            ));
        }
        if self.passed_evaluations == 0 {
            return Err(Error::precondition(
                "EVALUATION_REQUIRED",
                format!(
                    "{} has no evaluation that passed and that a person stands behind who did not make it: let one be \
                     added first",
                    self.version
                ),
            ));
        }
        if !self.unapproved_artifacts.is_empty() {
            return Err(Error::precondition(
                "ARTIFACT_NOT_APPROVED",
                format!(
                    "{} runs with artifact versions that are not approved: {}",
                    self.version,
                    self.unapproved_artifacts.join(", ")
                ),
            ));
        }
        if !self.unmet_artifacts.is_empty() {
            return Err(Error::precondition(
                "APPROVAL_CONDITION_UNMET",
                format!(
                    "{} does not run with what the approval requires: {}",
                    self.version,
                    self.unmet_artifacts.join(", ")
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn ready(from: State, to: State) -> Move<'static> {
        Move {
            version: "models/m/versions/1",
            from,
            to,
            caller: ActorKind::Service,
            reason: "because",
            purposes: usize::from(to.may_run()),
            conditions: 0,
            terms: false,
            content_pinned: true,
            narrows: false,
            widens: false,
            unattributed: false,
            ever_approved: true,
            passed_evaluations: 1,
            prohibited: false,
            unapproved_artifacts: &[],
            unmet_artifacts: &[],
        }
    }

    #[test]
    fn the_table_decides_and_the_refusal_names_what_is_allowed() {
        for from in State::ALL {
            for to in State::ALL {
                let answer = ready(from, to).check_asked();
                assert_eq!(answer.is_ok(), from.next().contains(&to), "{from} to {to}: {answer:?}");
                if let Err(error) = answer {
                    assert_eq!(error.reason(), "TRANSITION_NOT_ALLOWED");
                    for state in from.next() {
                        assert!(error.message().contains(state.as_str()), "{}", error.message());
                    }
                }
            }
        }
    }

    #[test]
    fn nobody_lets_a_version_run_again_without_a_mandate() {
        for from in State::ALL {
            for to in [State::Approved, State::Restricted] {
                assert!(ready(from, to).needs_mandate(), "{from} to {to}");
                let blind = Move { content_pinned: false, ..ready(from, to) };
                assert!(blind.check_asked().is_err(), "{from} to {to}");
            }
        }
        assert!(ready(State::Suspended, State::Evaluating).needs_mandate());
        assert!(!ready(State::Proposed, State::Evaluating).needs_mandate());
    }

    #[test]
    fn a_person_suspends_at_once_and_says_why() {
        let stop = Move { caller: ActorKind::Human, ..ready(State::Approved, State::Suspended) };
        assert!(stop.check_asked().is_ok() && !stop.needs_mandate());
        assert_eq!(Move { reason: " ", ..stop.clone() }.check_asked().unwrap_err().reason(), "FIELD_REQUIRED");
        let less = Move { narrows: true, content_pinned: false, ..ready(State::Approved, State::Restricted) };
        assert!(less.check_asked().is_ok() && !less.needs_mandate(), "to do less needs nobody's consent");
        let ai = Move { caller: ActorKind::Ai, ..stop };
        assert_eq!(ai.check_asked().unwrap_err().reason(), "HUMAN_OR_SERVICE_REQUIRED");
    }

    #[test]
    fn approval_needs_evidence() {
        let approve = ready(State::Evaluating, State::Approved);
        let cases = [
            (Move { passed_evaluations: 0, ..approve.clone() }, "EVALUATION_REQUIRED"),
            (Move { prohibited: true, ..approve.clone() }, "AI_ACT_PROHIBITED"),
            (Move { unattributed: true, ..approve.clone() }, "OWNER_NOT_CONFIRMED"),
        ];
        for (asked, reason) in cases {
            assert_eq!(asked.check_evidence().unwrap_err().reason(), reason);
        }
        let lacking = ["artifacts/p/versions/1".to_owned()];
        let asked = Move { unapproved_artifacts: &lacking, ..approve.clone() };
        assert!(asked.check_evidence().unwrap_err().message().contains("artifacts/p/versions/1"));
        let unmet = Move { unmet_artifacts: &lacking, ..approve }.check_evidence().unwrap_err();
        assert_eq!(unmet.reason(), "APPROVAL_CONDITION_UNMET");
        assert!(unmet.message().contains("artifacts/p/versions/1"));
    }

    #[test]
    fn a_restriction_adds_no_purpose() {
        for from in [State::Approved, State::Restricted, State::Suspended] {
            let asked = Move { widens: true, ..ready(from, State::Restricted) };
            assert_eq!(asked.check_asked().unwrap_err().reason(), "PURPOSES_WIDEN", "{from}");
            assert!(Move { widens: true, ..ready(from, State::Approved) }.check_asked().is_ok(), "{from}");
        }
    }

    #[test]
    fn only_what_may_run_has_terms() {
        for from in State::ALL {
            for &to in from.next() {
                let asked = Move { terms: true, ..ready(from, to) };
                assert_eq!(asked.check_asked().is_ok(), to.may_run(), "{from} to {to}");
            }
        }
    }

    #[test]
    fn a_version_that_never_ran_is_withdrawn_by_a_person() {
        let withdraw =
            Move { caller: ActorKind::Human, ever_approved: false, ..ready(State::Proposed, State::Retired) };
        assert!(withdraw.check_asked().is_ok() && !withdraw.needs_mandate());
        assert!(Move { ever_approved: true, from: State::Approved, ..withdraw }.needs_mandate());
    }
}
