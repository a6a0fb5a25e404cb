//! What the council writes into the details of its events.

use crate::quorum::{Rule, Seat};

super::details! {
    /// A proposal has moved.
    ProposalMoved for [
        "council.proposals.create",
        "council.proposals.open",
        "council.proposals.recuse",
        "council.proposals.update",
        "council.proposals.settle",
        "council.proposals.start",
        "council.proposals.execute",
    ] {
        /// What it does, such as `suspend_model`.
        kind: String,
        /// The body that decides, `bodies/{body}`.
        body: String,
        /// Where it stands now, as a word of `ProposalState`.
        state: String,
        /// The round of voting, from 1; 0 for a draft.
        round: i32,
        /// `sha256:` over what a voter decides on.
        content_digest: String,
        /// What happens on approval: the action as canonical JSON (RFC 8785), or `sha256:` over it if it is longer than
        /// 8,192 bytes.
        action: String,
        /// The rule, pinned when voting was opened; empty for a draft.
        rule: Rule,
        /// The seats that were pinned with it.
        electorate: Vec<Seat>,
        /// Seats that do not count: of the proposer, of the person it is about or who benefits, recused, and departed.
        excluded: Vec<String>,
        /// When the voting ends (RFC 3339); empty for a draft.
        expire_time: String,
        /// Who is asked for a vote by this: members whose seats count and have no vote, or whose vote it took back.
        wanted: Vec<String>,
        /// Who is asked in place of such members, by delegations in force.
        standing_in: Vec<String>,
    }

    /// A vote ends within a day, or half of a shorter time is over, and votes are missing.
    VoteReminded for ["council.proposals.remind"] {
        /// What it does, such as `suspend_model`.
        kind: String,
        /// The body that decides, `bodies/{body}`.
        body: String,
        /// Where it stands, as a word of `ProposalState`.
        state: String,
        /// When the voting ends (RFC 3339).
        expire_time: String,
        /// The members whose seats count and have no vote.
        wanted: Vec<String>,
        /// Who may vote in place of such members, by delegations in force.
        standing_in: Vec<String>,
    }

    /// Somebody may vote on the seat of somebody else for a time, or no more.
    SeatDelegated for ["council.delegations.create", "council.delegations.revoke"] {
        /// The body that the seat is in, `bodies/{body}`.
        body: String,
        /// The member whose seat it is.
        delegator: String,
        /// Who may vote on it instead.
        delegate: String,
        /// From when (RFC 3339).
        start_time: String,
        /// Until when (RFC 3339): as it was made, or when it was revoked.
        expire_time: String,
        /// How many open votes of the body wait for that seat; 0 after a revocation.
        open_votes: i64,
    }

    /// Somebody has voted.
    VoteCast for ["council.proposals.vote"] {
        /// What the proposal does, such as `suspend_model`.
        kind: String,
        /// The body that decides, `bodies/{body}`.
        body: String,
        /// Where the proposal stands after the vote, as a word of `ProposalState`.
        state: String,
        /// The round of voting, from 1.
        round: i32,
        /// `sha256:` over what the voter decided on.
        content_digest: String,
        /// The vote, as a word of `VoteChoice`.
        choice: String,
        /// The member whose seat voted; the actor of the event, or who delegated to the actor.
        seat: String,
        /// The role group of the seat.
        role_group: String,
        /// What happens on approval: the action as canonical JSON (RFC 8785), or `sha256:` over it if it is longer than
        /// 8,192 bytes.
        action: String,
        /// The rule, pinned when voting was opened.
        rule: Rule,
        /// The seats that were pinned with it.
        electorate: Vec<Seat>,
        /// Seats that do not count: of the proposer, of the person it is about or who benefits, recused, and departed.
        excluded: Vec<String>,
    }

    /// The constitution was made.
    ConstitutionMade for ["council.constitution.bootstrap"] {
        /// The seats as `bodies/{body}/members/{member}: subject (role group)`.
        seats: Vec<String>,
    }

    /// Two administrators asked for, and confirmed, that the constitution be brought back to life.
    ConstitutionRecovered for ["council.constitution.recover"] {
        /// `ASKED` by the first, `DONE` by the second.
        state: String,
        /// Who asked.
        asker: String,
        /// The seats in the steering group as `member id: subject (role group)`.
        seats: Vec<String>,
        /// The members of the steering group whose seats end because they are gone, `bodies/{body}/members/{member}`.
        departed: Vec<String>,
        /// The subjects who must be told; empty until it is done.
        notify: Vec<String>,
        /// The action item for the review afterwards; empty until it is done.
        action_item: String,
    }

    /// A body was made or changed by a proposal, by the bootstrap, or with the tenant.
    BodyAmended for ["council.bodies.amend", "council.bodies.found"] {
        /// The proposal that says so, `proposals/{proposal}`; empty for the bootstrap.
        proposal: String,
        /// Its rule.
        rule: Rule,
        /// What it decides.
        jurisdiction: Vec<String>,
    }

    /// A person has got a seat, or lost it.
    SeatChanged for ["council.members.seat", "council.members.unseat", "council.members.resign"] {
        /// The proposal that says so, `proposals/{proposal}`; empty for the bootstrap, a recovery and a resignation.
        proposal: String,
        /// The person.
        subject: String,
        /// The role group that the seat counts for.
        role_group: String,
    }

    /// Tokens no longer count, or count again.
    TokensRevoked for ["council.revocations.create", "council.revocations.delete"] {
        /// The `jti` of the token; empty if all of a subject are meant.
        token_id: String,
        /// Whose tokens; empty if one is meant by its id alone.
        subject: String,
        /// The `iss` that they must have; empty for any.
        issuer: String,
        /// Whether those that are issued later are refused too.
        block: bool,
        /// Tokens of the subject issued until then are meant (RFC 3339).
        revoke_time: String,
        /// When this is over by itself (RFC 3339); empty if it lasts until it is lifted.
        expire_time: String,
    }

    /// Somebody has roles inside Remit, has others, or has them no longer.
    RolesAssigned for [
        "council.roleAssignments.create",
        "council.roleAssignments.update",
        "council.roleAssignments.delete",
    ] {
        /// Who; empty if it is said by e-mail address.
        subject: String,
        /// `sha256:` over the e-mail address in lower case; empty if it is said by subject. The log keeps no address.
        email_digest: String,
        /// The `iss` of the tokens for which it holds.
        issuer: String,
        /// The roles; in a deletion those that are taken back.
        roles: Vec<String>,
        /// The role groups, likewise.
        role_groups: Vec<String>,
        /// When this is over by itself (RFC 3339); empty if it lasts until it is taken back.
        expire_time: String,
    }

    /// A hold or a drill has begun.
    HoldEngaged for ["council.holds.engage"] {
        /// What it stops: `organisation`, or the name of one function, task, model version or gate.
        scope: String,
        /// Whether it is a drill, which stops nothing.
        drill: bool,
        /// Whether what it stops was found; false if the service that keeps it could not be asked.
        scope_verified: bool,
    }

    /// A quorum has lifted a hold.
    HoldLifted for ["council.holds.lift"] {
        /// The proposal that says so, `proposals/{proposal}`.
        proposal: String,
    }

    /// One person has suspended a hold.
    GlassBroken for ["council.holds.override"] {
        /// The record of it, `breakGlassUses/{break_glass_use}`.
        break_glass_use: String,
        /// When the hold is in force again, RFC 3339.
        until: String,
        /// The subjects who must be told: the members of the body whose member it was.
        notify: Vec<String>,
        /// The action item for the review afterwards.
        action_item: String,
    }

    /// The use of the break-glass procedure was reviewed.
    BreakGlassReviewed for ["council.breakGlassUses.review"] {
        /// The action item that this closes.
        action_item: String,
    }

    /// A proposal has granted a waiver.
    WaiverGranted for ["council.waivers.grant"] {
        /// The rule that is waived.
        control: String,
        /// Where: `organisation`, or the name of one function, task, model version or gate.
        scope: String,
        /// The proposal that says so, `proposals/{proposal}`.
        proposal: String,
        /// When the waiver ends, RFC 3339.
        expire_time: String,
    }

    /// Somebody has reported an incident.
    IncidentReported for ["council.incidents.create"] {
        /// What it is about, as the reporter calls it.
        system: String,
        /// How bad it is, as a word of `Severity`.
        severity: String,
        /// What kind it is of, as a word of `IncidentCategory`.
        category: String,
        /// When the organisation became aware of it, from which its clocks run (RFC 3339).
        aware_time: String,
        /// When the report under Article 73 of the AI Act is due (RFC 3339); empty if that clock does not run.
        ai_act_73_due: String,
        /// When the notification under Article 33 of the GDPR is due (RFC 3339); empty if that clock does not run.
        gdpr_33_due: String,
    }

    /// An incident was changed, reported to an authority or closed.
    IncidentChanged for ["council.incidents.update", "council.submissions.record", "council.incidents.close"] {
        /// When the organisation became aware of it, from which its clocks run (RFC 3339).
        aware_time: String,
        /// When the report under Article 73 of the AI Act is due (RFC 3339); empty if that clock does not run.
        ai_act_73_due: String,
        /// When the notification under Article 33 of the GDPR is due (RFC 3339); empty if that clock does not run.
        gdpr_33_due: String,
    }

    /// Somebody has stated on her seat that a control works.
    AttestationGiven for ["council.attestations.create"] {
        /// Who answers for renewing it.
        owner: String,
        /// Until when it counts (RFC 3339).
        expire_time: String,
    }

    /// There is something to do.
    ActionItemCreated for ["council.actionItems.create"] {
        /// What it follows from, such as `reviews/{review}`; empty if nothing on record.
        origin: String,
        /// What the emergency change did that it reviews, such as `suspend_model`; empty for any other item.
        kind: String,
        /// Who is to do it; empty if nobody is named.
        owner: String,
        /// When it is due (RFC 3339); empty if no time is said.
        due_time: String,
    }

    /// Something to do was described anew.
    ActionItemChanged for ["council.actionItems.update"] {
        /// Who is to do it; empty if nobody is named.
        owner: String,
        /// When it is due (RFC 3339); empty if no time is said.
        due_time: String,
    }

    /// A review was sealed and an action item is still open.
    ActionItemCarried for ["council.actionItems.carry"] {
        /// The review, `reviews/{review}`.
        review: String,
        /// How many reviews have carried it over, from 1.
        times_carried: i32,
    }

    /// Somebody was named who sees to a control.
    ControlAssigned for ["council.controls.assign"] {
        /// The person.
        owner: String,
        /// By when there is to be evidence of it, RFC 3339; empty if that was not said.
        due_time: String,
        /// How often that was moved to a later time, or taken away.
        times_put_off: i32,
    }

    /// A training of a person was recorded.
    TrainingRecorded for ["council.trainings.create"] {
        /// The person.
        subject: String,
        /// Until when it counts, RFC 3339.
        expire_time: String,
    }

    /// The evidence of a review was collected.
    EvidenceFrozen for ["council.reviews.collect"] {
        /// The month, `YYYY-MM`.
        period: String,
        /// `sha256:` over the evidence.
        evidence_digest: String,
        /// `sha256:` over the pack, which signatures name.
        pack_digest: String,
        /// How many findings it has.
        findings: usize,
        /// The members whose seats may sign it.
        wanted: Vec<String>,
        /// The sources that did not answer, such as `kpi.summary`.
        unavailable: Vec<String>,
        /// What has drifted significantly, such as `models/{model}/versions/{version}`.
        drifted: Vec<String>,
    }

    /// A later pack has restated figures of a review, which keeps what was signed.
    ReviewRestated for ["council.reviews.restate"] {
        /// The later review, `reviews/{review}`.
        by: String,
        /// The keys of the figures, such as `outputs.total`.
        figures: Vec<String>,
    }

    /// A body has worked on its review.
    ReviewEdited for [
        "council.attendance.record",
        "council.recusals.declare",
        "council.minutes.record",
        "council.findings.dispose",
        "council.reviews.sign",
    ] {
        /// `sha256:` over the pack as it is now; signatures on any other are void.
        pack_digest: String,
        /// The seat that signed by this: of the actor, or of who delegated to the actor; empty if it is no signature.
        seat: String,
        /// The seats whose signatures this voided.
        voided: Vec<String>,
    }

    /// A review was sealed.
    ReviewSealed for ["council.reviews.seal"] {
        /// The month, `YYYY-MM`.
        period: String,
        /// `sha256:` over the pack.
        pack_digest: String,
        /// The council's Ed25519 signature over the text of `pack_digest`, base64.
        signature: String,
        /// The key that verifies it, 32 bytes in base64.
        public_key: String,
        /// The checkpoint of the audit log with the cosignatures that were asked for; empty if none were.
        cosigned_checkpoint: String,
        /// Who signed the pack.
        signers: Vec<String>,
        /// Why it was sealed although a source was away or findings were undecided; empty if neither.
        acknowledgement: String,
        /// The findings that this is about, by id.
        acknowledged: Vec<String>,
    }

    /// A deadline has passed: of a vote, a waiver, a suspended hold, a report, or a month's evidence.
    CouncilTimerFired for [
        "council.proposals.expire",
        "council.waivers.expire",
        "council.holds.rearm",
        "council.clocks.breach",
        "council.reviews.schedule",
    ] {
        /// The id of the timer.
        timer: String,
        /// When it was due, RFC 3339.
        due_time: String,
        /// When that was noticed, RFC 3339: later by the outage, if there was one.
        detect_time: String,
    }
}
