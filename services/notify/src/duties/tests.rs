#![allow(clippy::unwrap_used)]
use super::*;
use remit_core::details::{
    self, ActionItemCarried, ActionItemCreated, AlertMoved, AttestationGiven, BounceReported, CertificateWatched,
    ClockRanOut, ConstitutionRecovered, ControlAssigned, CouncilTimerFired, Details as _, EventParked, EvidenceFrozen,
    GlassBroken, HandoffExpired, HandoffHeld, HandoffMoved, HoldEngaged, HoldLifted, IncidentReported, LeadLate,
    LeadReassigned, LeadRouted, ModelVersionMoved, ProposalMoved, ReviewEdited, ReviewReminded, ReviewSealed,
    RolesAssigned, SeatDelegated, SubscriptionChanged, TrainingRecorded, VariantsSubmitted, VoteCast, WaiverGranted,
};
use serde_json::json;

fn event(action: &str, resource: &str, details: Value) -> Seen {
    Seen {
        action: action.into(),
        resource: resource.into(),
        outcome: "SUCCESS",
        service: "council".into(),
        actor: "ann".into(),
        actor_kind: "HUMAN",
        details,
    }
}

/// The kinds of duty that an event ends.
fn kinds(event: &Seen) -> Vec<&'static str> {
    ended(event).into_iter().flat_map(|ended| ended.kinds).map(|(kind, _)| kind).collect()
}

#[test]
fn every_duty_has_a_cause_readers_and_sentences_that_can_be_filled() {
    let mut kinds = BTreeSet::new();
    for duty in all() {
        assert!(kinds.insert(duty.kind), "{} twice", duty.kind);
        assert!(!duty.actions.is_empty() && !duty.to.is_empty(), "{}", duty.kind);
        assert!(duty.text.ends_with('.') && duty.otherwise.ends_with('.'), "{}", duty.kind);
        assert!(duty.text.contains("{resource}") || duty.kind == "constitution_recovered", "{}", duty.kind);
        // Any field that a sentence or a rule speaks of is one of the event catalogue.
        let named = duty.to.iter().filter_map(|to| if let To::Named(field) = to { Some(*field) } else { None });
        let asked = match duty.when {
            When::Is(field, _) | When::Has(field) | When::HasWithout(field, _) | When::OfAnother(field) => Some(field),
            When::Always => None,
        };
        let placed = duty.text.split('{').skip(1).filter_map(|part| part.split('}').next());
        for field in named.chain(asked).chain(placed).chain(Some(duty.due)) {
            let known = |doc: &&details::Doc| {
                let acts = duty.actions.iter().any(|action| doc.actions.contains(action));
                acts && doc.fields.iter().any(|(name, ..)| *name == field)
            };
            let own = field.is_empty() || field == "resource" || field == "action";
            assert!(own || details::all().iter().any(known), "{}: {field}", duty.kind);
        }
        let counts_from_the_end = duty.remind.iter().any(|remind| !matches!(remind, Remind::After(_)));
        assert!(!counts_from_the_end || !duty.due.is_empty(), "{}", duty.kind);
        assert!(!duty.later || !duty.remind.is_empty(), "{}", duty.kind);
    }
}

#[test]
fn those_who_may_vote_are_asked_for_their_vote() {
    let seats = json!([{"subject": "ann", "role_group": "legal"}, {"subject": "cy", "role_group": "data"}]);
    let details = json!({"state": "OPEN", "kind": "suspend_model", "body": "bodies/b", "expire_time": day(7),
        "electorate": seats, "excluded": ["cy"], "wanted": ["ann", "ben"], "standing_in": ["dan"]});
    let told = told(&event("council.proposals.open", "proposals/p", details.clone()), Timestamp(0));
    let [vote, other] = &told[..] else { unreachable!("{told:?}") };
    assert_eq!((vote.kind, vote.statutory, vote.again), ("vote_wanted", true, false));
    assert_eq!(vote.audiences, BTreeSet::from(["subject:ann".to_owned(), "subject:ben".to_owned()]));
    assert_eq!(vote.text, "proposals/p is open for a vote (suspend_model). Please read it and vote.");
    assert_eq!(
        (other.kind, &other.audiences),
        ("vote_wanted_for_another", &BTreeSet::from(["subject:dan".to_owned()]))
    );
    assert!(other.text.contains("you stand in for a member of bodies/b"), "{}", other.text);
    let reminded = super::told(&event("council.proposals.remind", "proposals/p", details), Timestamp(0));
    assert!(reminded.len() == 2 && reminded.iter().all(|told| told.again && told.reminders.is_empty()), "{reminded:?}");
    // A recusal that takes back nobody's vote asks nobody, and leaves the time as it is.
    let recused = event("council.proposals.recuse", "proposals/p", json!({"state": "OPEN"}));
    assert!(super::told(&recused, Timestamp(0)).is_empty() && kinds(&recused).is_empty());
    let escalated = event("council.proposals.recuse", "proposals/p", json!({"state": "ESCALATED"}));
    assert!(kinds(&escalated).contains(&"vote_wanted"));
    let draft = event("council.proposals.create", "proposals/p", json!({"state": "DRAFT"}));
    assert!(super::told(&draft, Timestamp(0)).is_empty());
}

#[test]
fn a_vote_is_done_by_who_casts_it_and_whose_seat_it_is() {
    let vote = |seat: &str| event("council.proposals.vote", "proposals/p", json!({"state": "OPEN", "seat": seat}));
    let both = BTreeSet::from(["ann".to_owned(), "lea".to_owned()]);
    assert_eq!(done(&vote("lea")), [("vote_wanted", both.clone()), ("vote_wanted_for_another", both)]);
    assert_eq!(done(&vote("ann"))[0].1, BTreeSet::from(["ann".to_owned()]));
    let kinds = |event: &Seen| told(event, Timestamp(0)).iter().map(|told| told.kind).collect::<Vec<_>>();
    assert_eq!((kinds(&vote("lea")), kinds(&vote("ann"))), (vec!["vote_cast_for_you"], Vec::new()));
    assert!(done(&Seen { outcome: "DENIED", ..vote("lea") }).is_empty());
}

#[test]
fn a_review_is_signed_by_each_for_herself_until_it_changes() {
    let kinds = ["review_open", "review_changed", "review_unsigned"];
    let signed = event("council.reviews.sign", "reviews/r", json!({"seat": "lea", "voided": []}));
    let both = BTreeSet::from(["ann".to_owned(), "lea".to_owned()]);
    assert_eq!(done(&signed), kinds.map(|kind| (kind, both.clone())));
    assert!(undone(&signed).is_empty());
    let changed = event("council.minutes.record", "reviews/r", json!({"seat": "", "voided": ["ann"]}));
    let ann = BTreeSet::from(["ann".to_owned()]);
    assert_eq!(undone(&changed), [("review_open", ann.clone()), ("review_unsigned", ann)]);
    assert!(done(&changed).is_empty());
}

#[test]
fn clocks_remind_until_they_are_over() {
    let submitted = event("handoff.variants.submit", "handoffs/h", json!({"due": "1970-01-01T01:40:00Z"}));
    let told = told(&submitted, Timestamp(0));
    let minutes: Vec<i64> = told[0].reminders.iter().map(|(_, at)| at.0 / 60_000_000).collect();
    assert_eq!(minutes, [50, 80]);
    let decided = event("handoff.reviews.submit", "handoffs/h", json!({}));
    let over = ended(&decided).unwrap();
    assert_eq!(over.about, "handoffs/h");
    let wanted = [
        ("handoff_review_wanted", Some(2)),
        ("handoff_review_late", None),
        ("handoff_escalated", None),
        ("handoff_review_soon", Some(0)),
    ];
    assert_eq!(over.kinds, wanted);
    let waived = event("council.waivers.grant", "waivers/w", json!({"expire_time": "1970-01-11T00:00:00Z"}));
    let told = super::told(&waived, Timestamp(0));
    let days: Vec<i64> = told[0].reminders.iter().map(|(_, at)| at.0 / 86_400_000_000).collect();
    assert_eq!(days, [3, 9], "what lies 30 days before it is over already");
}

#[test]
fn a_hostile_name_stays_a_name_and_a_refusal_is_no_cause() {
    let hostile = "holds/h\r\nBcc: all@example.com {scope}";
    let mut engaged = event("council.holds.engage", hostile, json!({"drill": false, "scope": "x".repeat(999)}));
    let told = told(&engaged, Timestamp(0));
    assert!(!told[0].text.contains('\n') && told[0].text.contains("{scope}") && told[0].text.len() < 600);
    engaged.outcome = "DENIED";
    assert!(super::told(&engaged, Timestamp(0)).is_empty());
}

/// A cause as its writer records it, and what a person then reads.
struct Case {
    kind: &'static str,
    action: &'static str,
    details: Value,
    text: &'static str,
    to: &'static str,
    /// Hours after the event at which she is reminded.
    hours: &'static [i64],
}

/// What a case is made of, in the order of its fields.
type Row = (&'static str, &'static str, Value, &'static str, &'static str, &'static [i64]);

/// The cause of each duty about `x/y`, at the beginning of time, with the details as the type of the event writes them.
fn cases() -> Vec<Case> {
    let moved = |state: &str| ProposalMoved { kind: "suspend_model".into(), state: state.into(), ..Default::default() };
    let (wanted, standing_in) = (vec!["ann".into()], vec!["ben".into()]);
    let body = "bodies/b".to_owned();
    let open = ProposalMoved { body: body.clone(), wanted, standing_in, expire_time: day(7), ..moved("OPEN") };
    let voted = VoteCast { seat: "lea".into(), ..Default::default() };
    let delegated = SeatDelegated {
        body,
        delegator: "lea".into(),
        delegate: "ann".into(),
        start_time: day(2),
        expire_time: day(9),
        open_votes: 3,
    };
    let fired = CouncilTimerFired { timer: "t".into(), due_time: day(0), detect_time: day(0) };
    let late = ClockRanOut { clock: "review".into(), called: Some("ann".into()), ..Default::default() };
    let incident = IncidentReported {
        severity: "HIGH".into(),
        category: "PRIVACY".into(),
        aware_time: day(0),
        ai_act_73_due: day(15),
        gdpr_33_due: day(3),
        ..Default::default()
    };
    let of_incident = json!({"aware_time": day(0), "gdpr_33_due": day(3)});
    let alert = AlertMoved { rule: "alertRules/r".into(), severity: "CRITICAL".into(), n: 40, ..Default::default() };
    let item = ActionItemCreated { owner: "ann".into(), due_time: day(10), ..Default::default() };
    let roles = RolesAssigned { subject: "ann".into(), expire_time: day(10), ..Default::default() };
    let approved = ModelVersionMoved { to: "APPROVED".into(), expire_time: day(40), ..Default::default() };
    let frozen = EvidenceFrozen { drifted: vec!["models/m/versions/v".into()], ..Default::default() };
    let broken = SubscriptionChanged { owner: "ann".into(), state_reason: "it is gone".into(), ..Default::default() };
    let rotated = SubscriptionChanged { owner: "ann".into(), overlap_end_time: day(1), ..Default::default() };
    let glass = GlassBroken {
        until: day(1),
        notify: vec!["ann".into()],
        action_item: "actionItems/a".into(),
        ..Default::default()
    };
    let recovered = ConstitutionRecovered {
        state: "DONE".into(),
        asker: "root".into(),
        notify: vec!["ann".into()],
        action_item: "actionItems/a".into(),
        ..Default::default()
    };
    let waived = WaiverGranted { control: "controls/c".into(), expire_time: day(10), ..Default::default() };
    let routed = LeadRouted { owner: "ann".into(), due: day(1), ..Default::default() };
    let held = LeadRouted { due: day(1), ..Default::default() };
    let passed = LeadReassigned { to: "ann".into(), due: day(1), ..Default::default() };
    let lead_late = LeadLate { owner: "ann".into(), called: "ben".into(), ..Default::default() };
    let soon = ReviewReminded { claimed_by: "ann".into(), due: Some(day(1)), ..Default::default() };
    let variants = VariantsSubmitted { due: Some(day(1)), ..Default::default() };
    let engaged = HoldEngaged { scope: "organisation".into(), ..Default::default() };
    let carried = ActionItemCarried { review: "reviews/r".into(), times_carried: 2 };
    let sealed = ReviewSealed::default().json();
    let parked = EventParked::default().json();
    let rows: Vec<Row> = vec![
        (
            "vote_wanted",
            "council.proposals.open",
            open.json(),
            "x/y is open for a vote (suspend_model). Please read it and vote.",
            "subject:ann",
            &[],
        ),
        (
            "vote_wanted_for_another",
            "council.proposals.update",
            open.json(),
            "x/y is open for a vote (suspend_model), and you stand in for a member of bodies/b. Please read it and vote on that",
            "subject:ben",
            &[],
        ),
        (
            "vote_cast_for_you",
            "council.proposals.vote",
            voted.json(),
            "Whoever stands in for you has voted on x/y, on your seat.",
            "subject:lea",
            &[],
        ),
        (
            "delegation_made",
            "council.delegations.create",
            delegated.json(),
            "By x/y you stand in for a member of bodies/b from 1970-01-03 00:00 UTC until 1970-01-10 00:00 UTC. Please vote on that \
             seat meanwhile. Open votes that wait for it now: 3.",
            "subject:ann",
            &[],
        ),
        (
            "delegation_begins",
            "council.delegations.create",
            delegated.json(),
            "By x/y you stand in for a member of bodies/b from now on, until 1970-01-10 00:00 UTC. Please look",
            "subject:ann",
            &[48],
        ),
        (
            "delegation_ended",
            "council.delegations.revoke",
            delegated.json(),
            "x/y is over: votes on that seat are its member's alone again.",
            "subject:lea",
            &[],
        ),
        (
            "proposal_escalated",
            "council.proposals.settle",
            moved("ESCALATED").json(),
            "x/y was escalated. Please take it up",
            "role:member",
            &[],
        ),
        (
            "proposal_expired",
            "council.proposals.expire",
            fired.json(),
            "The time for x/y is over. Please check",
            "role:member",
            &[],
        ),
        (
            "review_open",
            "council.reviews.collect",
            EvidenceFrozen { wanted: vec!["ann".into()], ..Default::default() }.json(),
            "x/y is open. Please read the pack and sign it.",
            "subject:ann",
            &[],
        ),
        (
            "review_changed",
            "council.minutes.record",
            ReviewEdited { voided: vec!["ann".into()], ..Default::default() }.json(),
            "x/y has changed since you signed it. Please read it again and sign it.",
            "subject:ann",
            &[],
        ),
        (
            "review_unsigned",
            "council.reviews.collect",
            EvidenceFrozen { wanted: vec!["ann".into()], ..Default::default() }.json(),
            "x/y is still unsigned. Please read",
            "subject:ann",
            &[72, 168],
        ),
        (
            "review_missed",
            "council.reviews.schedule",
            fired.json(),
            "x/y was missed: a month has passed",
            "role:auditor",
            &[720],
        ),
        ("review_sealed", "council.reviews.seal", sealed, "x/y is sealed.", "role:member", &[]),
        (
            "drift_significant",
            "council.reviews.collect",
            frozen.json(),
            "x/y finds significant drift in models/m/versions/v. Please decide",
            "role:operator",
            &[],
        ),
        (
            "hold_engaged",
            "council.holds.engage",
            engaged.json(),
            "x/y stops AI (scope: organisation). Please do this work without AI",
            "role:reviewer",
            &[],
        ),
        (
            "hold_lifted",
            "council.holds.lift",
            HoldLifted { proposal: "proposals/p".into() }.json(),
            "x/y was lifted by proposals/p.",
            "role:operator",
            &[],
        ),
        (
            "break_glass_used",
            "council.holds.override",
            glass.json(),
            "The glass was broken: x/y is bypassed until 1970-01-02 00:00 UTC. Please review it in actionItems/a.",
            "subject:ann",
            &[],
        ),
        ("hold_rearmed", "council.holds.rearm", fired.json(), "x/y is in force again", "role:member", &[]),
        (
            "constitution_recovered",
            "council.constitution.recover",
            recovered.json(),
            "The steering group was recovered from outside. Please review that in actionItems/a.",
            "subject:ann",
            &[],
        ),
        (
            "handoff_review_wanted",
            "handoff.variants.submit",
            variants.json(),
            "x/y waits for a review until 1970-01-02 00:00 UTC. Please claim it",
            "role:reviewer",
            &[12, 19],
        ),
        (
            "handoff_review_soon",
            "handoff.reviews.remind",
            soon.json(),
            "The review of x/y is due at 1970-01-02 00:00 UTC. Please decide.",
            "subject:ann",
            &[],
        ),
        (
            "handoff_review_late",
            "handoff.reviews.breach",
            late.json(),
            "The review of x/y is late. Please decide now.",
            "subject:ann",
            &[],
        ),
        (
            "handoff_escalated",
            "handoff.handoffs.escalate",
            HandoffMoved::default().json(),
            "x/y was escalated. Please decide who",
            "role:reviewer",
            &[],
        ),
        (
            "handoff_expired",
            "handoff.handoffs.expire",
            HandoffExpired::default().json(),
            "x/y was not finished in time. Please check",
            "role:operator",
            &[],
        ),
        (
            "handoff_held",
            "handoff.handoffs.hold",
            HandoffHeld::default().json(),
            "A hold stopped x/y. Please go on without AI",
            "role:reviewer",
            &[],
        ),
        (
            "lead_assigned",
            "handoff.routings.route",
            routed.json(),
            "x/y is yours. Please accept it before its time is over.",
            "subject:ann",
            &[12, 19],
        ),
        (
            "lead_decision_wanted",
            "handoff.routings.route",
            held.json(),
            "x/y is held until a person decides where it goes, by 1970-01-02 00:00 UTC. Please decide.",
            "role:reviewer",
            &[12, 19],
        ),
        (
            "lead_passed_on",
            "handoff.routings.reassign",
            passed.json(),
            "x/y was passed on to you. Please accept it",
            "subject:ann",
            &[12, 19],
        ),
        (
            "lead_late",
            "handoff.routings.breach",
            lead_late.json(),
            "Nobody took x/y in time. Please take it or pass it on.",
            "subject:ben",
            &[],
        ),
        (
            "incident_reported",
            "council.incidents.create",
            incident.json(),
            "x/y was reported (HIGH, PRIVACY). Please check whether AI must be stopped",
            "role:operator",
            &[],
        ),
        (
            "incident_ai_act_clock",
            "council.incidents.create",
            incident.json(),
            "The report on x/y to the market surveillance authority is due at 1970-01-16 00:00 UTC.",
            "role:member",
            &[180, 288],
        ),
        (
            "incident_gdpr_clock",
            "council.incidents.update",
            of_incident,
            "The notification of x/y to the data protection authority is due at 1970-01-04 00:00 UTC.",
            "role:privacy",
            &[36, 57],
        ),
        (
            "incident_clock_over",
            "council.clocks.breach",
            fired.json(),
            "A statutory clock of x/y ran out without a report. Please report",
            "role:auditor",
            &[],
        ),
        (
            "waiver_granted",
            "council.waivers.grant",
            waived.json(),
            "x/y waives controls/c until 1970-01-11 00:00 UTC. Please see",
            "role:member",
            &[72, 216],
        ),
        (
            "waiver_expired",
            "council.waivers.expire",
            fired.json(),
            "x/y is over: the rule is in force again.",
            "role:member",
            &[],
        ),
        (
            "roles_expire",
            "council.roleAssignments.create",
            roles.json(),
            "The roles of x/y end at 1970-01-11 00:00 UTC. Please have",
            "subject:ann",
            &[72, 216],
        ),
        (
            "action_item_open",
            "council.actionItems.create",
            item.json(),
            "x/y is to be done. Please see that its owner knows.",
            "role:member",
            &[],
        ),
        (
            "action_item_yours",
            "council.actionItems.create",
            item.json(),
            "x/y is yours to do. Please have it done and close it.",
            "subject:ann",
            &[],
        ),
        (
            "action_item_due",
            "council.actionItems.create",
            item.json(),
            "x/y is due at 1970-01-11 00:00 UTC. Please have it done",
            "subject:ann",
            &[72, 216, 240],
        ),
        (
            "action_item_carried",
            "council.actionItems.carry",
            carried.json(),
            "x/y was carried over by reviews/r, so often by now: 2.",
            "role:member",
            &[],
        ),
        (
            "alert_fired",
            "kpi.alerts.fire",
            alert.json(),
            "x/y fires (CRITICAL; n = 40; rule alertRules/r). Please find",
            "role:operator",
            &[],
        ),
        (
            "alert_changed",
            "kpi.alerts.acknowledge",
            Value::Null,
            "Somebody took note of x/y, which goes on firing. Please see",
            "role:operator",
            &[],
        ),
        ("alert_resolved", "kpi.alerts.resolve", alert.json(), "x/y fires no longer (n = 40).", "role:member", &[]),
        (
            "approval_ends",
            "registry.versions.transition",
            approved.json(),
            "The approval of x/y ends at 1970-02-10 00:00 UTC. Please",
            "role:operator",
            &[240, 792, 936],
        ),
        (
            "approval_expired",
            "registry.versions.expire",
            ModelVersionMoved::default().json(),
            "The approval of x/y is over. Please",
            "role:member",
            &[],
        ),
        (
            "attestation_ends",
            "council.attestations.create",
            AttestationGiven { owner: "ann".into(), expire_time: day(10) }.json(),
            "x/y counts until 1970-01-11 00:00 UTC. Please look",
            "subject:ann",
            &[72, 216],
        ),
        (
            "control_assigned",
            "council.controls.assign",
            ControlAssigned { owner: "ann".into(), due_time: day(10), times_put_off: 1 }.json(),
            "You see to x/y: there is to be evidence of it by 1970-01-11 00:00 UTC.",
            "subject:ann",
            &[72, 216],
        ),
        (
            "training_ends",
            "council.trainings.create",
            TrainingRecorded { subject: "ann".into(), expire_time: day(10) }.json(),
            "Your training, on record as x/y, counts until 1970-01-11 00:00 UTC.",
            "subject:ann",
            &[72, 216],
        ),
        (
            "delivery_stuck",
            "notify.subscriptions.break",
            broken.json(),
            "x/y sends nothing any more: it is gone. Please put that right",
            "subject:ann",
            &[],
        ),
        (
            "certificate_ends",
            "system.certificates.watch",
            CertificateWatched { setting: "server.tls_certificate".into(), expire_time: day(40), ..Default::default() }
                .json(),
            "x/y ends at 1970-02-10 00:00 UTC. Please have the certificate renewed",
            "role:admin",
            &[240, 792, 936],
        ),
        (
            "secret_ends",
            "notify.subscriptions.rotate",
            rotated.json(),
            "x/y has a new secret; the ones before sign until 1970-01-02 00:00 UTC.",
            "subject:ann",
            &[19],
        ),
        (
            "email_in_doubt",
            "notify.bounces.report",
            BounceReported { status: "5.1.1".into(), is_final: true, owner: "ann".into() }.json(),
            "Mail to the address of x/y came back (5.1.1). Please see that the address is right",
            "subject:ann",
            &[],
        ),
        ("event_parked", "relay.events.park", parked, "An event of x/y could not be recorded", "role:auditor", &[]),
    ];
    rows.into_iter()
        .map(|(kind, action, details, text, to, hours)| Case { kind, action, details, text, to, hours })
        .collect()
}

/// The beginning of a day, counted from 0.
fn day(number: i64) -> String {
    Timestamp(number * 86_400_000_000).to_string()
}

#[test]
fn each_duty_follows_from_its_cause_and_is_read_by_whom_it_concerns() {
    let cases = cases();
    let known: BTreeSet<_> = all().map(|duty| duty.kind).collect();
    assert_eq!(cases.iter().map(|case| case.kind).collect::<BTreeSet<_>>(), known, "each is in the table");
    for Case { kind, action, details, text, to, hours } in cases {
        let doc = details::all().into_iter().find(|doc| doc.actions.contains(&action));
        let fits = doc.map_or(details.is_null(), |doc| (doc.fits)(&details));
        assert!(fits, "{kind}: {action} has such details: {details}");
        let cause = event(action, "x/y", details);
        let found = told(&cause, Timestamp(0)).into_iter().find(|one| one.kind == kind);
        let found = found.unwrap_or_else(|| unreachable!("{kind} does not follow"));
        assert!(found.text.starts_with(text), "{kind}: {}", found.text);
        assert!(found.audiences.contains(to), "{kind}: {:?}", found.audiences);
        let at: Vec<i64> = found.reminders.iter().map(|(_, at)| at.0 / 3_600_000_000).collect();
        assert_eq!(at, hours, "{kind}");
        assert!(!found.otherwise.is_empty() && (!found.later || !at.is_empty()), "{kind} says something at some time");
        // What refuses or goes wrong is no cause, and the same cause once more sets the clock anew.
        assert!(told(&Seen { outcome: "DENIED", ..cause.clone() }, Timestamp(0)).is_empty(), "{kind}");
        let anew =
            ended(&cause).is_some_and(|ended| ended.kinds.iter().any(|(it, times)| *it == kind && times.is_some()));
        assert_eq!(anew, !at.is_empty() || found.due.is_some(), "{kind}");
    }
}

#[test]
fn what_is_done_ends_the_reminders_and_what_goes_on_does_not() {
    let kinds = |action: &str, details: Value| kinds(&event(action, "x/y", details));
    for (action, details, over) in [
        ("council.proposals.vote", json!({"state": "APPROVED"}), "vote_wanted"),
        ("council.proposals.expire", json!({}), "vote_wanted"),
        ("council.reviews.seal", json!({}), "review_unsigned"),
        ("council.reviews.seal", json!({}), "review_missed"),
        ("council.submissions.record", json!({}), "incident_gdpr_clock"),
        ("council.clocks.breach", json!({}), "incident_ai_act_clock"),
        ("council.actionItems.close", json!({}), "action_item_due"),
        ("council.roleAssignments.update", json!({}), "roles_expire"),
        ("registry.versions.transition", json!({}), "approval_ends"),
        ("handoff.routings.accept", json!({}), "lead_assigned"),
        ("handoff.reviews.submit", json!({}), "handoff_review_wanted"),
    ] {
        assert!(kinds(action, details).contains(&over), "{action} ends {over}");
    }
    assert!(kinds("council.proposals.vote", json!({"state": "OPEN"})).is_empty(), "others are still to vote");
    for (action, over) in [
        ("council.reviews.seal", "review_open"),
        ("council.actionItems.close", "action_item_open"),
        ("council.holds.rearm", "break_glass_used"),
        ("handoff.routings.review", "lead_decision_wanted"),
        ("council.holds.lift", "hold_engaged"),
        ("council.incidents.close", "incident_reported"),
        ("council.submissions.record", "incident_clock_over"),
        ("handoff.reviews.submit", "handoff_escalated"),
        ("handoff.handoffs.resume", "handoff_held"),
        ("handoff.routings.accept", "lead_late"),
        ("kpi.alerts.resolve", "alert_fired"),
        ("notify.subscriptions.resume", "delivery_stuck"),
    ] {
        assert!(kinds(action, json!({})).contains(&over), "{action} takes {over} out of inboxes and calendars");
    }
    let reviewed =
        ended(&event("council.breakGlassUses.review", "breakGlassUses/b", json!({"action_item": "actionItems/a"})));
    let kinds = vec![("action_item_open", Some(0)), ("action_item_yours", Some(0)), ("action_item_due", Some(3))];
    assert_eq!(reviewed, Some(Ended { about: "actionItems/a".to_owned(), kinds }));
}

#[test]
fn a_clock_that_has_run_counts_from_its_beginning() {
    let details = json!({"aware_time": day(0), "gdpr_33_due": day(3)});
    let update = event("council.incidents.update", "incidents/i", details);
    let later = told(&update, Timestamp(40 * 3_600_000_000)).remove(0);
    let hours: Vec<i64> = later.reminders.iter().map(|(_, at)| at.0 / 3_600_000_000).collect();
    assert_eq!((later.kind, hours), ("incident_gdpr_clock", vec![57]), "half of it is over");
}

#[test]
fn what_begins_too_late_for_a_reminder_is_said_at_once() {
    let gdpr = json!({"aware_time": day(0), "gdpr_33_due": day(3)});
    let approval = json!({"to": "APPROVED", "expire_time": day(3)});
    for (action, details, hour) in [
        ("council.incidents.create", gdpr.clone(), 60),
        ("council.incidents.create", gdpr, 71),
        ("registry.versions.transition", approval, 60),
    ] {
        let cause = event(action, "x/y", details);
        let told: Vec<Told> = told(&cause, Timestamp(hour * 3_600_000_000));
        let late = told.iter().find(|told| ["incident_gdpr_clock", "approval_ends"].contains(&told.kind)).unwrap();
        assert!(!late.later && late.reminders.is_empty(), "{action} at {hour}: {late:?}");
    }
}

#[test]
fn no_sentence_says_who_somebody_is() {
    for duty in all() {
        // Those of the event itself, and what notify itself says of its subscriptions.
        let open = ["resource", "action", "state_reason"];
        let fields = duty.text.split('{').skip(1).filter_map(|part| part.split('}').next());
        for field in fields.filter(|field| !open.contains(field)) {
            assert!(!crate::filter::CLOSED.contains(&field), "{}: {field} goes into messages", duty.kind);
        }
    }
}
