//! The mandate: what a body decided, as the council states it to the service that acts.
//!
//! It is a claim set of a JSON Web Token (RFC 7519), signed by the council's own key and by no other. The service that
//! acts verifies the signature, and then everything that this module checks: that the mandate names this tenant, this
//! method and exactly this request, that it is in time, that the body may decide such an act, and that the votes it
//! carries meet the pinned rule and the floor under it, counted again. Whoever has the council's public key can do the
//! same offline.

use crate::actor::Tenant;
use crate::authority;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::quorum::{Ballot, Choice, Outcome, Rule, Seat, Vote};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The `iss` of every mandate.
pub const ISSUER: &str = "remit-council";
/// The `typ` of the header of every mandate, so that no token of another use is taken for one.
pub const TYP: &str = "remit-mandate+jwt";

/// A vote's audit entry, by which the vote is found in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteEvidence {
    /// The seat that voted.
    pub seat: String,
    /// The id of the audit event.
    pub event: String,
    /// `sha256:` over the canonical JSON of the event's details, which hold choice, round and content digest.
    pub digest: String,
}

/// What a body decided, for one call of one method.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mandate {
    /// [`ISSUER`].
    pub iss: String,
    /// The service that is to act, such as `registry`.
    pub aud: String,
    /// The proposal, `proposals/{proposal}`.
    pub sub: String,
    /// The nonce: the service that acts takes it once.
    pub jti: String,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// From when it is valid, in seconds since 1970.
    pub nbf: i64,
    /// When the vote was decided, in microseconds since 1970: a decision does not undo a stop that is younger.
    pub decided: Timestamp,
    /// Until when, in seconds since 1970.
    pub exp: i64,
    /// The tenant.
    pub tenant: Tenant,
    /// The permission of the method that it is for, such as `registry.versions.transition`.
    pub permission: String,
    /// The digest of the request, its mandate and request id left out.
    pub request_digest: String,
    /// The kind of act that was decided, such as `promote_model`.
    pub kind: String,
    /// The digest over the content of the proposal, which every vote named.
    pub content_digest: String,
    /// The body that decided.
    pub body: String,
    /// The kinds of act that the body may decide by the tenant's constitution.
    pub jurisdiction: BTreeSet<String>,
    /// The round of voting.
    pub round: i32,
    /// The pinned rule, the electorate, who could not vote, and the votes.
    pub ballot: Ballot,
    /// Where the votes are in the log.
    pub evidence: Vec<VoteEvidence>,
}

fn refuse(reason: &'static str, message: impl Into<String>) -> Error {
    Error::denied(reason, message)
}

impl Mandate {
    /// A mandate that carries this request, voted by as many seats as the floor of its act asks; for tests to show or to
    /// spoil. Nothing is true of it but its form.
    pub fn sample(tenant: &Tenant, kind: &str, permission: &str, request_digest: String, now: Timestamp) -> Self {
        let act = authority::act(kind);
        let groups = act.map(|act| act.floor.groups).unwrap_or_default();
        let count = act.map_or(1, |act| act.floor.min_approvals).max(u32::try_from(groups.len()).unwrap_or(u32::MAX));
        let group = |at: usize| groups.get(at).copied().unwrap_or("data").to_owned();
        let seats = (0..count as usize).map(|at| Seat { subject: format!("seat-{at}"), role_group: group(at) });
        let seats: Vec<Seat> = seats.collect();
        let voted =
            |seat: &Seat| Vote { seat: seat.subject.clone(), voter: seat.subject.clone(), choice: Choice::Approve };
        let seconds = now.micros().div_euclid(1_000_000);
        Self {
            iss: ISSUER.to_owned(),
            aud: permission.split('.').next().unwrap_or_default().to_owned(),
            sub: "proposals/sample".to_owned(),
            // One nonce a request: the same request is shown under the same mandate.
            jti: format!("{}:{permission}:{request_digest}", tenant.as_str()),
            iat: seconds,
            nbf: seconds,
            decided: now,
            exp: seconds.saturating_add(86_400),
            tenant: tenant.clone(),
            permission: permission.to_owned(),
            request_digest,
            kind: kind.to_owned(),
            content_digest: format!("sha256:{}", "0".repeat(64)),
            body: act.map_or(authority::STEERING_GROUP, |act| act.body).to_owned(),
            jurisdiction: [kind.to_owned()].into(),
            round: 1,
            ballot: Ballot {
                rule: Rule { min_approvals: count, ..Rule::default() },
                proposer: "proposer".to_owned(),
                votes: seats.iter().map(voted).collect(),
                seats,
                ..Ballot::default()
            },
            evidence: Vec::new(),
        }
    }

    /// Holds the mandate against the call that it is shown for.
    ///
    /// # Errors
    /// `PermissionDenied`: `MANDATE_TENANT` for another tenant's; `MANDATE_ACTION` for another method's or another
    /// request's; `MANDATE_EXPIRED` out of its time; `MANDATE_JURISDICTION` if the body may not decide such an act;
    /// `MANDATE_INVALID` if the votes do not carry it.
    pub fn check(&self, tenant: &Tenant, permission: &str, request_digest: &str, now: Timestamp) -> Result<()> {
        if &self.tenant != tenant {
            return Err(refuse("MANDATE_TENANT", format!("the mandate of {} is another tenant's", self.sub)));
        }
        if self.permission != permission || self.request_digest != request_digest {
            return Err(refuse(
                "MANDATE_ACTION",
                format!(
                    "the mandate of {} is for {} with the request {}, not for {permission} with {request_digest}",
                    self.sub, self.permission, self.request_digest
                ),
            ));
        }
        let seconds = now.micros().div_euclid(1_000_000);
        if seconds < self.nbf || seconds >= self.exp {
            return Err(refuse("MANDATE_EXPIRED", format!("the mandate of {} is not valid at {now}", self.sub)));
        }
        self.check_decision()
    }

    /// Refuses a decision that is older than the last change of what it would let run: whoever stopped it meanwhile, or
    /// decided otherwise, had the last word.
    ///
    /// # Errors
    /// `PermissionDenied` (`MANDATE_OUTDATED`).
    pub fn check_newer(&self, name: &str, changed: Timestamp) -> Result<()> {
        if self.decided >= changed {
            return Ok(());
        }
        let (proposal, decided) = (&self.sub, self.decided);
        let what = format!("{name} changed at {changed}, after {proposal} was decided at {decided}: propose it again");
        Err(refuse("MANDATE_OUTDATED", what))
    }

    /// Counts the votes again, and holds them against the rule, the jurisdiction and the floor. Needs nothing but the
    /// mandate, so that it can be done offline.
    ///
    /// # Errors
    /// `PermissionDenied`: `MANDATE_JURISDICTION`, `MANDATE_INVALID`.
    pub fn check_decision(&self) -> Result<()> {
        let act = authority::act(&self.kind).filter(|act| act.permissions.contains(&self.permission.as_str()));
        let Some(act) = act else {
            return Err(refuse("MANDATE_ACTION", format!("{} is not carried out by {}", self.kind, self.permission)));
        };
        if !self.jurisdiction.contains(&self.kind) {
            return Err(refuse("MANDATE_JURISDICTION", format!("{} does not decide {}", self.body, self.kind)));
        }
        let mut seats = BTreeSet::new();
        let mut voters = BTreeSet::new();
        for vote in &self.ballot.votes {
            let pinned = self.ballot.eligible().any(|seat| seat.subject == vote.seat);
            let party = vote.voter == self.ballot.proposer || vote.voter == self.ballot.beneficiary;
            if !pinned || party || !seats.insert(&vote.seat) || !voters.insert(&vote.voter) {
                return Err(refuse(
                    "MANDATE_INVALID",
                    format!("the vote of {} in {} does not count", vote.voter, self.sub),
                ));
            }
        }
        let standing = self.ballot.standing();
        if standing.outcome != Outcome::Approved {
            let lacking = standing.missing.join(", ");
            return Err(refuse(
                "MANDATE_INVALID",
                format!("the votes on {} do not meet its rule: {lacking}", self.sub),
            ));
        }
        let lacking = act.floor.missing(&standing);
        if lacking.is_empty() {
            return Ok(());
        }
        let lacking = lacking.join(", ");
        Err(refuse("MANDATE_JURISDICTION", format!("{} of {} needs at least {lacking}", self.kind, self.body)))
    }
}

#[cfg(test)]
#[path = "mandate_tests.rs"]
mod tests;
