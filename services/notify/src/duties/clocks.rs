//! Duties that arise when time passes: what their cause says is not yet to be done, but by then.

use super::{COUNCIL, Duty, MONTH_WEEK_DAY, QUIET, Remind, SHARES, SIGNED, To, When};

const INCIDENTS: &[&str] =
    &["council.incidents.create", "council.incidents.update", "council.submissions.record", "council.incidents.close"];

pub(super) const DUTIES: &[Duty] = &[
    Duty {
        kind: "review_unsigned",
        actions: &["council.reviews.collect"],
        to: &[To::Named("wanted")],
        text: "{resource} is still unsigned. Please read the pack and sign it.",
        otherwise: "The month stays without a review, which the next one shows as a finding.",
        statutory: true,
        remind: &[Remind::After(72), Remind::After(168)],
        later: true,
        ended_by: &["council.reviews.seal"],
        done_by: SIGNED,
        undone_by: "voided",
        ..QUIET
    },
    Duty {
        kind: "review_missed",
        actions: &["council.reviews.schedule"],
        to: &[To::Role("member"), To::Role("auditor")],
        text: "{resource} was missed: a month has passed since it was to be held. Please hold it now and say why.",
        otherwise: "It stays open, and each further review shows that.",
        statutory: true,
        remind: &[Remind::After(super::MONTH)],
        later: true,
        ended_by: &["council.reviews.seal"],
        ..QUIET
    },
    Duty {
        kind: "drift_significant",
        actions: &["council.reviews.collect"],
        when: When::Has("drifted"),
        to: &[To::Role("member"), To::Role("operator")],
        text: "{resource} finds significant drift in {drifted}. Please decide whether it may go on.",
        otherwise: "It goes on as it was approved, and the pack shows that nobody decided.",
        ended_by: &["council.reviews.seal"],
        ..QUIET
    },
    Duty {
        kind: "incident_ai_act_clock",
        actions: INCIDENTS,
        when: When::Has("ai_act_73_due"),
        to: COUNCIL,
        text: "The report on {resource} to the market surveillance authority is due at {ai_act_73_due}. Please hand it in and record that.",
        otherwise: "The clock runs out, and that stands in the log and in the monthly pack.",
        statutory: true,
        due: "ai_act_73_due",
        since: "aware_time",
        remind: SHARES,
        later: true,
        ended_by: &["council.clocks.breach"],
        ..QUIET
    },
    Duty {
        kind: "incident_gdpr_clock",
        actions: INCIDENTS,
        when: When::Has("gdpr_33_due"),
        to: &[To::Role("member"), To::Role("privacy")],
        text: "The notification of {resource} to the data protection authority is due at {gdpr_33_due}. Please hand it in and record that.",
        otherwise: "The clock runs out, and that stands in the log and in the monthly pack.",
        statutory: true,
        due: "gdpr_33_due",
        since: "aware_time",
        remind: SHARES,
        later: true,
        ended_by: &["council.clocks.breach"],
        ..QUIET
    },
    Duty {
        kind: "action_item_due",
        actions: &["council.actionItems.create", "council.actionItems.update"],
        when: When::Has("due_time"),
        to: &[To::Named("owner"), To::Role("member")],
        text: "{resource} is due at {due_time}. Please have it done and close it.",
        otherwise: "The next review carries it over, and says how often.",
        due: "due_time",
        remind: &[Remind::Before(168), Remind::Before(24), Remind::Before(0)],
        later: true,
        ended_by: &["council.actionItems.close", "council.breakGlassUses.review"],
        ..QUIET
    },
    Duty {
        kind: "approval_ends",
        actions: &["registry.versions.transition"],
        when: When::Has("expire_time"),
        to: &[To::Role("operator"), To::Role("member")],
        text: "The approval of {resource} ends at {expire_time}. Please have it evaluated and approved again.",
        otherwise: "It may not work from then on.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        later: true,
        ended_by: &["registry.versions.expire"],
        ..QUIET
    },
    Duty {
        kind: "attestation_ends",
        actions: &["council.attestations.create"],
        when: When::Has("expire_time"),
        to: &[To::Named("owner"), To::Role("auditor")],
        text: "{resource} counts until {expire_time}. Please look at the control again and state what you find.",
        otherwise: "The control counts as not attested from then on.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        later: true,
        ..QUIET
    },
    Duty {
        kind: "control_assigned",
        actions: &["council.controls.assign"],
        when: When::Has("due_time"),
        to: &[To::Named("owner")],
        text: "You see to {resource}: there is to be evidence of it by {due_time}. Please see that there is.",
        otherwise: "The next review says that it is overdue, and that it is yours.",
        due: "due_time",
        remind: MONTH_WEEK_DAY,
        ..QUIET
    },
    Duty {
        kind: "training_ends",
        actions: &["council.trainings.create"],
        when: When::Has("expire_time"),
        to: &[To::Named("subject")],
        text: "Your training, on record as {resource}, counts until {expire_time}. Please have yourself trained again.",
        otherwise: "From then on reviews say that you decide without a training that counts.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        later: true,
        ..QUIET
    },
    Duty {
        kind: "delegation_begins",
        actions: &["council.delegations.create"],
        to: &[To::Named("delegate")],
        text: "By {resource} you stand in for a member of {body} from now on, until {expire_time}. Please look which \
               votes are open there.",
        otherwise: "What is decided meanwhile is decided without a vote of that seat.",
        statutory: true,
        due: "start_time",
        remind: &[Remind::Before(0)],
        later: true,
        ended_by: &["council.delegations.revoke"],
        ..QUIET
    },
    Duty {
        kind: "handoff_review_soon",
        actions: &["handoff.reviews.remind"],
        to: &[To::Named("responsible"), To::Named("claimed_by"), To::Role("reviewer")],
        text: "The review of {resource} is due at {due}. Please decide.",
        otherwise: "The next person in the order of the gate is called.",
        statutory: true,
        due: "due",
        ended_by: super::CLOSED_HANDOFF,
        ..QUIET
    },
    Duty {
        kind: "certificate_ends",
        actions: &["system.certificates.watch"],
        when: When::Has("expire_time"),
        to: &[To::Role("admin")],
        text: "{resource} ends at {expire_time}. Please have the certificate renewed in its file.",
        otherwise: "Connections that need it fail from then on.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        later: true,
        ..QUIET
    },
    Duty {
        kind: "secret_ends",
        actions: &["notify.subscriptions.rotate"],
        when: When::Has("overlap_end_time"),
        to: &[To::Named("owner")],
        text: "{resource} has a new secret; the ones before sign until {overlap_end_time}. Please change the receiver over.",
        otherwise: "From then on the receiver refuses what it is sent.",
        due: "overlap_end_time",
        remind: &[Remind::Share(80)],
        ..QUIET
    },
];
