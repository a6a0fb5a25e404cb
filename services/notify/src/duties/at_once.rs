//! Duties that ask for something at once; `clocks` has those that ask for it when time passes.

use super::{
    ACCEPTED_LEAD, ASKS_FOR_VOTES, CLOSED_HANDOFF, CLOSED_PROPOSAL, COUNCIL, DECIDED_LEAD, Duty, MONTH, MONTH_WEEK_DAY,
    QUIET, SHARES, SIGNED, STOPPED, To, WATCHERS, When,
};

/// What a vote asks, of whomever.
const VOTE: Duty = Duty {
    actions: ASKS_FOR_VOTES,
    when: When::Is("state", "OPEN"),
    otherwise: "Without a quorum it expires; time never approves.",
    statutory: true,
    due: "expire_time",
    ended_by: CLOSED_PROPOSAL,
    unless: Some(("state", "OPEN")),
    again: &["council.proposals.remind"],
    done_by: Some(("council.proposals.vote", "seat")),
    ..QUIET
};

pub(super) const DUTIES: &[Duty] = &[
    Duty {
        kind: "vote_wanted",
        to: &[To::Named("wanted")],
        text: "{resource} is open for a vote ({kind}). Please read it and vote.",
        ..VOTE
    },
    Duty {
        kind: "vote_wanted_for_another",
        to: &[To::Named("standing_in")],
        text: "{resource} is open for a vote ({kind}), and you stand in for a member of {body}. Please read it and vote on \
               that seat.",
        ..VOTE
    },
    Duty {
        kind: "vote_cast_for_you",
        actions: &["council.proposals.vote"],
        when: When::OfAnother("seat"),
        to: &[To::Named("seat")],
        text: "Whoever stands in for you has voted on {resource}, on your seat. Nothing is to be done.",
        otherwise: "The vote counts as that of your seat.",
        ..QUIET
    },
    Duty {
        kind: "delegation_made",
        actions: &["council.delegations.create"],
        to: &[To::Named("delegate")],
        text: "By {resource} you stand in for a member of {body} from {start_time} until {expire_time}. Please vote on that \
               seat meanwhile. Open votes that wait for it now: {open_votes}.",
        otherwise: "What is decided meanwhile is decided without a vote of that seat.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "delegation_ended",
        actions: &["council.delegations.revoke"],
        to: &[To::Named("delegator"), To::Named("delegate")],
        text: "{resource} is over: votes on that seat are its member's alone again. Nothing is to be done.",
        otherwise: "Nothing happens.",
        ..QUIET
    },
    Duty {
        kind: "proposal_escalated",
        actions: &["council.proposals.settle", "council.proposals.vote", "council.proposals.expire"],
        when: When::Is("state", "ESCALATED"),
        to: COUNCIL,
        text: "{resource} was escalated. Please take it up in the steering group.",
        otherwise: "What it proposes does not happen.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "proposal_expired",
        actions: &["council.proposals.expire"],
        to: COUNCIL,
        text: "The time for {resource} is over. Please check whether it is to be proposed again.",
        otherwise: "Nothing changes: time never approves.",
        ..QUIET
    },
    Duty {
        kind: "review_open",
        actions: &["council.reviews.collect"],
        to: &[To::Named("wanted")],
        text: "{resource} is open. Please read the pack and sign it.",
        otherwise: "The month stays without a signed review, which the next one shows as a finding.",
        statutory: true,
        within: MONTH,
        ended_by: &["council.reviews.seal"],
        done_by: SIGNED,
        undone_by: "voided",
        ..QUIET
    },
    Duty {
        kind: "review_changed",
        actions: &[
            "council.attendance.record",
            "council.recusals.declare",
            "council.minutes.record",
            "council.findings.dispose",
        ],
        when: When::Has("voided"),
        to: &[To::Named("voided")],
        text: "{resource} has changed since you signed it. Please read it again and sign it.",
        otherwise: "Your signature is on what it was before, and does not count.",
        statutory: true,
        done_by: SIGNED,
        ..QUIET
    },
    Duty {
        kind: "review_sealed",
        actions: &["council.reviews.seal"],
        to: COUNCIL,
        text: "{resource} is sealed.",
        otherwise: "Nothing is asked of you.",
        ..QUIET
    },
    Duty {
        kind: "hold_engaged",
        actions: &["council.holds.engage"],
        when: When::Is("drill", "false"),
        to: STOPPED,
        text: "{resource} stops AI (scope: {scope}). Please do this work without AI, and find the cause.",
        otherwise: "It stays stopped until a quorum lifts it.",
        statutory: true,
        ended_by: &["council.holds.lift"],
        ..QUIET
    },
    Duty {
        kind: "hold_lifted",
        actions: &["council.holds.lift"],
        to: STOPPED,
        text: "{resource} was lifted by {proposal}. AI may work there again as the policy says.",
        otherwise: "Nothing is asked of you.",
        ..QUIET
    },
    Duty {
        kind: "break_glass_used",
        actions: &["council.holds.override"],
        to: &[To::Named("notify"), To::Role("auditor")],
        text: "The glass was broken: {resource} is bypassed until {until}. Please review it in {action_item}.",
        otherwise: "The hold is in force again at that time, and the open review shows in the monthly pack.",
        statutory: true,
        due: "until",
        ended_by: &["council.holds.rearm", "council.holds.lift"],
        ..QUIET
    },
    Duty {
        kind: "hold_rearmed",
        actions: &["council.holds.rearm"],
        to: COUNCIL,
        text: "{resource} is in force again after the glass was broken.",
        otherwise: "It stays stopped until a quorum lifts it.",
        ..QUIET
    },
    Duty {
        kind: "constitution_recovered",
        actions: &["council.constitution.recover"],
        when: When::Is("state", "DONE"),
        to: &[To::Named("notify"), To::Role("auditor")],
        text: "The steering group was recovered from outside. Please review that in {action_item}.",
        otherwise: "The seats stay as they are now.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "handoff_review_wanted",
        actions: &["handoff.variants.submit"],
        to: &[To::Role("reviewer")],
        text: "{resource} waits for a review until {due}. Please claim it and decide.",
        otherwise: "It is escalated when its time is over; nothing is published without a review.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: CLOSED_HANDOFF,
        ..QUIET
    },
    Duty {
        kind: "handoff_review_late",
        actions: &["handoff.reviews.breach", "handoff.triages.breach"],
        to: &[To::Role("reviewer"), To::Named("called")],
        text: "The {clock} of {resource} is late. Please decide now.",
        otherwise: "The next person in the order of the gate is called.",
        statutory: true,
        ended_by: CLOSED_HANDOFF,
        ..QUIET
    },
    Duty {
        kind: "handoff_escalated",
        actions: &["handoff.handoffs.escalate"],
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "{resource} was escalated. Please decide who takes it over.",
        otherwise: "It waits.",
        statutory: true,
        ended_by: CLOSED_HANDOFF,
        ..QUIET
    },
    Duty {
        kind: "handoff_expired",
        actions: &["handoff.handoffs.expire"],
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "{resource} was not finished in time. Please check whether the work is still wanted.",
        otherwise: "It stays unpublished.",
        ..QUIET
    },
    Duty {
        kind: "handoff_held",
        actions: &["handoff.handoffs.hold"],
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "A hold stopped {resource}. Please go on without AI, or wait until it is lifted.",
        otherwise: "It waits, and its clock runs on.",
        ended_by: &[
            "handoff.handoffs.resume",
            "handoff.handoffs.cancel",
            "handoff.handoffs.expire",
            "handoff.handoffs.override",
        ],
        ..QUIET
    },
    Duty {
        kind: "lead_assigned",
        actions: &["handoff.routings.route"],
        when: When::Has("owner"),
        to: &[To::Named("owner")],
        text: "{resource} is yours. Please accept it before its time is over.",
        otherwise: "Somebody else is called.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: ACCEPTED_LEAD,
        ..QUIET
    },
    Duty {
        kind: "lead_passed_on",
        actions: &["handoff.routings.reassign"],
        when: When::Has("to"),
        to: &[To::Named("to")],
        text: "{resource} was passed on to you. Please accept it before its time is over.",
        otherwise: "Somebody else is called.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: ACCEPTED_LEAD,
        ..QUIET
    },
    Duty {
        kind: "lead_decision_wanted",
        actions: &["handoff.routings.route"],
        when: When::HasWithout("due", "owner"),
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "{resource} is held until a person decides where it goes, by {due}. Please decide.",
        otherwise: "The next person in the order of the gate is called, and it waits.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: DECIDED_LEAD,
        ..QUIET
    },
    Duty {
        kind: "lead_late",
        actions: &["handoff.routings.breach", "handoff.decisions.breach"],
        to: &[To::Named("owner"), To::Named("called"), To::Role("operator")],
        text: "Nobody took {resource} in time. Please take it or pass it on.",
        otherwise: "It is called out again.",
        statutory: true,
        ended_by: ACCEPTED_LEAD,
        ..QUIET
    },
    Duty {
        kind: "incident_reported",
        actions: &["council.incidents.create"],
        to: WATCHERS,
        text: "{resource} was reported ({severity}, {category}). Please check whether AI must be stopped and who must be told.",
        otherwise: "AI goes on as it does, and the statutory clocks run on if it has any.",
        statutory: true,
        ended_by: &["council.incidents.close"],
        ..QUIET
    },
    Duty {
        kind: "incident_clock_over",
        actions: &["council.clocks.breach"],
        to: &[To::Role("member"), To::Role("privacy"), To::Role("auditor"), To::Role("admin")],
        text: "A statutory clock of {resource} ran out without a report. Please report to the authority now.",
        otherwise: "The breach stands in the log and in the monthly pack.",
        statutory: true,
        ended_by: &["council.submissions.record", "council.incidents.close"],
        ..QUIET
    },
    Duty {
        kind: "waiver_granted",
        actions: &["council.waivers.grant"],
        to: COUNCIL,
        text: "{resource} waives {control} until {expire_time}. Please see that the cause is gone by then.",
        otherwise: "The rule is in force again at that time.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        ended_by: &["council.waivers.expire", "council.waivers.revoke"],
        ..QUIET
    },
    Duty {
        kind: "waiver_expired",
        actions: &["council.waivers.expire"],
        to: COUNCIL,
        text: "{resource} is over: the rule is in force again.",
        otherwise: "Nothing is asked of you.",
        ..QUIET
    },
    Duty {
        kind: "roles_expire",
        actions: &["council.roleAssignments.create", "council.roleAssignments.update"],
        when: When::Has("expire_time"),
        to: &[To::Named("subject"), To::Role("admin")],
        text: "The roles of {resource} end at {expire_time}. Please have them assigned again if they are still needed.",
        otherwise: "They end then.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        ended_by: &["council.roleAssignments.delete"],
        ..QUIET
    },
    Duty {
        kind: "action_item_open",
        actions: &["council.actionItems.create", "council.actionItems.update"],
        to: COUNCIL,
        text: "{resource} is to be done. Please see that its owner knows.",
        otherwise: "The next review carries it over, and says how often.",
        due: "due_time",
        ended_by: &["council.actionItems.close", "council.breakGlassUses.review"],
        ..QUIET
    },
    Duty {
        kind: "action_item_yours",
        actions: &["council.actionItems.create", "council.actionItems.update"],
        to: &[To::Named("owner")],
        text: "{resource} is yours to do. Please have it done and close it.",
        otherwise: "The next review carries it over, and says how often.",
        due: "due_time",
        ended_by: &["council.actionItems.close", "council.breakGlassUses.review"],
        ..QUIET
    },
    Duty {
        kind: "action_item_carried",
        actions: &["council.actionItems.carry"],
        to: COUNCIL,
        text: "{resource} was carried over by {review}, so often by now: {times_carried}. Please have it done.",
        otherwise: "It is carried over again.",
        ended_by: &["council.actionItems.close"],
        ..QUIET
    },
    Duty {
        kind: "alert_fired",
        actions: &["kpi.alerts.fire"],
        to: WATCHERS,
        text: "{resource} fires ({severity}; n = {n}; rule {rule}). Please find the cause, or engage a hold.",
        otherwise: "It fires until the numbers are within the rule again.",
        ended_by: &["kpi.alerts.resolve"],
        ..QUIET
    },
    Duty {
        kind: "alert_changed",
        actions: &["kpi.alerts.acknowledge"],
        to: WATCHERS,
        text: "Somebody took note of {resource}, which goes on firing. Please see that its cause is found.",
        otherwise: "It fires until the numbers are within the rule again; what gets worse fires anew.",
        ended_by: &["kpi.alerts.resolve"],
        ..QUIET
    },
    Duty {
        kind: "alert_resolved",
        actions: &["kpi.alerts.resolve"],
        to: WATCHERS,
        text: "{resource} fires no longer (n = {n}). Please note what the cause was.",
        otherwise: "The next review shows it without a cause.",
        ..QUIET
    },
    Duty {
        kind: "approval_expired",
        actions: &["registry.versions.expire"],
        to: &[To::Role("operator"), To::Role("member")],
        text: "The approval of {resource} is over. Please have it evaluated and approved again.",
        otherwise: "It may not work until then.",
        ended_by: &["registry.versions.transition"],
        ..QUIET
    },
    Duty {
        kind: "delivery_stuck",
        actions: &["notify.subscriptions.break", "notify.settings.break"],
        to: &[To::Named("owner"), To::Role("admin")],
        text: "{resource} sends nothing any more: {state_reason}. Please put that right and resume it.",
        otherwise: "Events are no longer kept for it.",
        ended_by: &[
            "notify.subscriptions.resume",
            "notify.subscriptions.delete",
            "notify.settings.update",
            "notify.settings.confirm",
        ],
        ..QUIET
    },
    Duty {
        kind: "email_in_doubt",
        actions: &["notify.bounces.report"],
        when: When::Has("owner"),
        to: &[To::Named("owner")],
        text: "Mail to the address of {resource} came back ({status}). Please see that the address is right, or give it anew.",
        otherwise: "If this message arrives by e-mail, nothing happens; if the next comes back too, nothing more is sent there.",
        ended_by: &["notify.settings.update", "notify.settings.confirm"],
        ..QUIET
    },
    Duty {
        kind: "event_parked",
        actions: &["relay.events.park"],
        to: &[To::Role("admin"), To::Role("auditor")],
        text: "An event of {resource} could not be recorded and was set aside. Please find out why.",
        otherwise: "It stays outside the log.",
        statutory: true,
        ..QUIET
    },
];
