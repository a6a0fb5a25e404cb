//! When a body has decided: seats, votes, recusals and delegations against a quorum rule.
//!
//! Everything is counted by *seat*. A seat belongs to one member and counts for one role group; a
//! delegate may cast its vote, but the proposer, the beneficiary and a recused member take their
//! seat out of the eligible set, and no delegation brings it back.
//!
//! Three properties hold for every rule and every order of votes:
//! an approval always meets the rule in full; silence and abstention never help an approval; and a
//! ballot that no votes could carry is [`Outcome::Unreachable`], which asks for other seats, not
//! [`Outcome::Rejected`], which is an answer.

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What it takes to approve. All conditions that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// At least this many approvals; 0 sets no such condition.
    pub min_approvals: u32,
    /// More than half of the eligible seats approve. Abstaining seats stay in the denominator.
    pub majority: bool,
    /// At least this many approvals from seats of each role group.
    pub group_minimums: BTreeMap<String, u32>,
    /// Role groups whose seats may veto.
    pub veto_groups: BTreeSet<String>,
}

impl Rule {
    /// Checks that the rule asks for something and names only groups that have seats.
    ///
    /// # Errors
    /// `InvalidArgument` (`QUORUM_INVALID`), naming `field`.
    pub fn check(&self, role_groups: &[String], field: &str) -> Result<()> {
        if self.min_approvals == 0 && !self.majority && self.group_minimums.values().all(|&n| n == 0) {
            return Err(Error::invalid("QUORUM_INVALID", field, "must ask for at least one approval"));
        }
        let unknown = self.group_minimums.keys().chain(&self.veto_groups).find(|group| !role_groups.contains(group));
        match unknown {
            Some(group) => Err(Error::invalid(
                "QUORUM_INVALID",
                field,
                format!("names the role group {group}, which has no seats"),
            )),
            None => Ok(()),
        }
    }

    /// The conditions that `approvals` by group, out of `eligible` seats, do not meet yet, in words.
    fn missing(&self, approvals: &BTreeMap<&str, u32>, eligible: u32) -> Vec<String> {
        let total: u32 = approvals.values().sum();
        let mut missing = Vec::new();
        // A ballot without seats carries nothing, whatever the rule.
        let floor = self.min_approvals.max(1).max(if self.majority { eligible / 2 + 1 } else { 0 });
        if total < floor {
            let of = if self.majority { format!(" of {eligible} eligible seats") } else { String::new() };
            missing.push(format!("{} more approval(s), {floor} needed{of}", floor - total));
        }
        for (group, &needed) in &self.group_minimums {
            let given = approvals.get(group.as_str()).copied().unwrap_or(0);
            if given < needed {
                missing.push(format!("{} approval(s) from {group}", needed - given));
            }
        }
        missing
    }
}

/// A member's seat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seat {
    /// The member.
    pub subject: String,
    /// The role group that the seat counts for.
    pub role_group: String,
}

/// What a voter chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Choice {
    /// In favour.
    Approve,
    /// Against.
    Reject,
    /// Neither.
    Abstain,
    /// Against, and decisive.
    Veto,
}

/// A vote that was cast and counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The member whose seat voted.
    pub seat: String,
    /// The person who cast it: the member or a delegate.
    pub voter: String,
    /// The choice.
    pub choice: Choice,
}

/// Somebody may vote on somebody else's seat for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The member whose seat it is.
    pub delegator: String,
    /// The person who may vote instead.
    pub delegate: String,
    /// From when.
    pub from: Timestamp,
    /// Until when, exclusive; a revocation moves it forward.
    pub until: Timestamp,
}

impl Delegation {
    /// Whether it is in force at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// One vote of a body, as it stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ballot {
    /// The rule, pinned when voting was opened.
    pub rule: Rule,
    /// The seats, pinned when voting was opened.
    pub seats: Vec<Seat>,
    /// Who proposed; empty if nobody is excluded for it.
    pub proposer: String,
    /// Who benefits; empty if nobody in particular.
    pub beneficiary: String,
    /// Members who declared a conflict of interest.
    pub recused: BTreeSet<String>,
    /// Members who left the body since.
    pub departed: BTreeSet<String>,
    /// The votes that count, at most one a seat.
    pub votes: Vec<Vote>,
}

/// Who is asked for a vote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Members who may vote on their own seats and have not.
    pub members: BTreeSet<String>,
    /// Who may vote on the seat of such a member, and has not voted.
    pub stand_ins: BTreeSet<String>,
}

/// What the votes amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not decided.
    Pending,
    /// The rule is met.
    Approved,
    /// A veto, or votes that leave no way to meet the rule.
    Rejected,
    /// Not even the approval of every eligible seat would meet the rule.
    Unreachable,
}

/// How a ballot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Seats that may vote or have voted.
    pub eligible: u32,
    /// Approvals.
    pub approvals: u32,
    /// Rejections and vetoes.
    pub rejections: u32,
    /// Abstentions.
    pub abstentions: u32,
    /// Approvals by role group, groups without one left out.
    pub approvals_by_group: BTreeMap<String, u32>,
    /// What approval still needs, in words.
    pub missing: Vec<String>,
    /// What it amounts to.
    pub outcome: Outcome,
}

impl Ballot {
    fn is_eligible(&self, subject: &str) -> bool {
        subject != self.proposer
            && subject != self.beneficiary
            && !self.recused.contains(subject)
            && !self.departed.contains(subject)
    }

    /// The seats that count.
    pub fn eligible(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| self.is_eligible(&seat.subject))
    }

    /// Who can still vote at `now`, as far as [`Self::admit`] can say without a token: a member whose seat counts and has no
    /// vote, and who stands in for her. Nobody votes twice, on whosever seat.
    pub fn asked(&self, delegations: &[Delegation], now: Timestamp) -> Asked {
        let has_voted = |who: &str| self.votes.iter().any(|vote| vote.voter == who);
        let is_party = |who: &str| who == self.proposer || who == self.beneficiary || self.recused.contains(who);
        let is_open = |seat: &&Seat| !self.votes.iter().any(|vote| vote.seat == seat.subject);
        let mut asked = Asked::default();
        for seat in self.eligible().filter(is_open) {
            if !has_voted(&seat.subject) {
                asked.members.insert(seat.subject.clone());
            }
            let theirs = delegations.iter().filter(|one| one.delegator == seat.subject && one.in_force(now));
            let able = theirs.filter(|one| !is_party(&one.delegate) && !has_voted(&one.delegate));
            asked.stand_ins.extend(able.map(|one| one.delegate.clone()));
        }
        asked
    }

    /// How the ballot stands and what that amounts to. The order of votes does not matter.
    pub fn standing(&self) -> Standing {
        let choices: BTreeMap<&str, Choice> = self.votes.iter().map(|v| (v.seat.as_str(), v.choice)).collect();
        let mut eligible = 0;
        let (mut given, mut hoped, mut possible) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut rejections, mut abstentions, mut vetoed) = (0, 0, false);
        for seat in self.eligible() {
            let group = seat.role_group.as_str();
            eligible += 1;
            *possible.entry(group).or_insert(0u32) += 1;
            match choices.get(seat.subject.as_str()) {
                Some(Choice::Approve) => {
                    *given.entry(group).or_insert(0u32) += 1;
                    *hoped.entry(group).or_insert(0u32) += 1;
                }
                Some(Choice::Reject) => rejections += 1,
                Some(Choice::Abstain) => abstentions += 1,
                Some(Choice::Veto) => {
                    rejections += 1;
                    vetoed |= self.rule.veto_groups.contains(group);
                }
                None => *hoped.entry(group).or_insert(0u32) += 1,
            }
        }
        let missing = self.rule.missing(&given, eligible);
        let outcome = if vetoed {
            Outcome::Rejected
        } else if missing.is_empty() {
            Outcome::Approved
        } else if !self.rule.missing(&possible, eligible).is_empty() {
            Outcome::Unreachable
        } else if !self.rule.missing(&hoped, eligible).is_empty() {
            Outcome::Rejected
        } else {
            Outcome::Pending
        };
        Standing {
            eligible,
            approvals: given.values().sum(),
            rejections,
            abstentions,
            approvals_by_group: given.into_iter().map(|(group, n)| (group.to_owned(), n)).collect(),
            missing,
            outcome,
        }
    }

    /// What the rule would still lack if every eligible seat approved; empty if it can be met.
    pub fn unreachable(&self) -> Vec<String> {
        let mut possible = BTreeMap::new();
        for seat in self.eligible() {
            *possible.entry(seat.role_group.as_str()).or_insert(0u32) += 1;
        }
        let eligible = possible.values().sum();
        self.rule.missing(&possible, eligible)
    }

    /// The seat on which `voter` may cast `choice` now: the one named by `wanted`, else the voter's
    /// own, else the only one delegated to the voter.
    ///
    /// # Errors
    /// `PermissionDenied` with `ACTOR_KIND_NOT_ALLOWED` for anybody but a person, `ON_BEHALF_NOT_ALLOWED`
    /// for one who does not act for herself, `PROPOSER_CANNOT_VOTE`, `BENEFICIARY_CANNOT_VOTE`, `NOT_ELIGIBLE`,
    /// `RECUSED` or `VETO_NOT_ALLOWED`; `FailedPrecondition` with `ALREADY_VOTED` if the seat or the person voted.
    pub fn admit(
        &self,
        voter: &Actor,
        wanted: Option<&str>,
        choice: Choice,
        delegations: &[Delegation],
        now: Timestamp,
    ) -> Result<&Seat> {
        if !voter.is_human() {
            return Err(Error::denied("ACTOR_KIND_NOT_ALLOWED", "only a person may vote"));
        }
        // Tokens of people that say so are refused already; the rule must not depend on that.
        if let Some(other) = &voter.on_behalf_of {
            let what = format!("a vote is a person's own act: {} may not vote on behalf of {other}", voter.subject);
            return Err(Error::denied("ON_BEHALF_NOT_ALLOWED", what));
        }
        let me = voter.subject.as_str();
        if self.recused.contains(me) {
            return Err(Error::denied("RECUSED", format!("{me} declared a conflict of interest")));
        }
        self.refuse_party(me)?;
        let seat = self.find_seat(me, wanted, delegations, now)?;
        self.refuse_party(&seat.subject)?;
        if self.recused.contains(&seat.subject) {
            return Err(Error::denied("RECUSED", format!("{} declared a conflict of interest", seat.subject)));
        }
        if self.departed.contains(&seat.subject) {
            return Err(Error::denied("NOT_ELIGIBLE", format!("{} is no longer a member", seat.subject)));
        }
        if !voter.role_groups.contains(&seat.role_group) {
            let group = &seat.role_group;
            return Err(Error::denied(
                "NOT_ELIGIBLE",
                format!("the token of {me} does not name the role group {group}"),
            ));
        }
        if choice == Choice::Veto && !self.rule.veto_groups.contains(&seat.role_group) {
            return Err(Error::denied("VETO_NOT_ALLOWED", format!("seats of {} cannot veto here", seat.role_group)));
        }
        if self.votes.iter().any(|vote| vote.seat == seat.subject || vote.voter == me) {
            return Err(Error::precondition(
                "ALREADY_VOTED",
                format!("{me} or the seat of {} has voted", seat.subject),
            ));
        }
        Ok(seat)
    }

    fn refuse_party(&self, subject: &str) -> Result<()> {
        if subject == self.proposer {
            return Err(Error::denied("PROPOSER_CANNOT_VOTE", format!("{subject} proposed this")));
        }
        if subject == self.beneficiary {
            return Err(Error::denied("BENEFICIARY_CANNOT_VOTE", format!("{subject} benefits from this")));
        }
        Ok(())
    }

    fn find_seat(&self, me: &str, wanted: Option<&str>, delegations: &[Delegation], now: Timestamp) -> Result<&Seat> {
        let not_eligible = || Error::denied("NOT_ELIGIBLE", format!("{me} has no seat to vote on"));
        let own = |subject: &str| self.seats.iter().find(|seat| seat.subject == subject);
        let may_act_for =
            |subject: &str| delegations.iter().any(|d| d.delegate == me && d.delegator == subject && d.in_force(now));
        match wanted {
            Some(subject) if subject == me || may_act_for(subject) => own(subject).ok_or_else(not_eligible),
            Some(subject) => Err(Error::denied(
                "NOT_ELIGIBLE",
                format!("{me} holds no delegation in force for the seat of {subject}"),
            )),
            None => match own(me) {
                Some(seat) => Ok(seat),
                None => {
                    let mut delegated = self.seats.iter().filter(|seat| may_act_for(&seat.subject));
                    match (delegated.next(), delegated.next()) {
                        (Some(seat), None) => Ok(seat),
                        (Some(_), Some(_)) => Err(Error::invalid(
                            "SEAT_AMBIGUOUS",
                            "seat",
                            "several seats are delegated to you; name one",
                        )),
                        (None, _) => Err(not_eligible()),
                    }
                }
            },
        }
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
