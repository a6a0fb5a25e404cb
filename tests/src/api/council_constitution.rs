//! The constitution: nothing about bodies, seats, rules and jurisdiction happens on one person's word, and what needs a
//! seat is done on a seat. Who tries otherwise is refused, each attempt with a reason of its own.

use super::cases;
use super::council::{STEERING, approve, ask, decide, get, propose, resolution, seat, waiver};
use super::council_meetings::{collected, december, sign};
use crate::support::{Caller, Suite, eventually, founding, new_seat, reason, stamp};
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::body_service_client::BodyServiceClient;
use remit_api::council::v1::constitution_service_client::ConstitutionServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::*;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::{Automation, CreateAutomationRequest};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Response, Status};

cases! {
    a_constitution_is_made_once: Bootstrap;
    nobody_makes_a_body_of_her_own_and_lifts_a_hold_there;
    nobody_takes_legal_out_of_the_way;
    a_review_is_worked_on_by_its_body;
    the_steering_group_does_not_approve_what_the_automation_council_does;
    the_glass_is_broken_on_a_seat_and_reviewed_on_another;
    a_constitution_that_nobody_can_change_is_recovered_by_two: RecoverConstitution;
    a_hold_on_nothing_is_refused;
    a_proposal_about_nothing_is_refused;
}

const COUNCIL: &str = "bodies/automation-council";
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> String {
    reason(&answer.expect_err("this must be refused"))
}

pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    reason(&answer.expect_err("this must be refused"))
}

/// Somebody with the role of members, every role group, and no seat.
pub(super) fn nell(suite: &Suite) -> Caller {
    suite.human("nell", &["member"], &["marketing_lead", "legal", "data"])
}

pub(super) async fn body(suite: &Suite, name: &str) -> Body {
    let mut client = BodyServiceClient::new(suite.admin().to("council"));
    client.get_body(GetBodyRequest { name: name.into() }).await.expect("it exists").into_inner()
}

pub(super) fn amend(body: Body) -> Kind {
    Kind::AmendBody(AmendBody { body: Some(body), seats: Vec::new() })
}

fn seat_member(body: &str, subject: &str, group: &str) -> Kind {
    Kind::SeatMember(SeatMember { body: body.into(), seat: Some(new_seat(subject, group)) })
}

pub(super) async fn hold(suite: &Suite, id: &str, target: Target) -> Result<Response<Hold>, Status> {
    let hold = Hold { scope: Some(Scope { target: Some(target) }), reason: "stop".into(), ..Default::default() };
    let request = EngageHoldRequest { hold_id: id.into(), hold: Some(hold), ..Default::default() };
    HoldServiceClient::new(suite.human("ops", &["operator"], &[]).to("council")).engage_hold(request).await
}

pub(super) fn lift(hold: &str) -> Kind {
    Kind::LiftHold(LiftHold { hold: hold.into(), reason: "because I want to".into() })
}

async fn a_constitution_is_made_once(suite: Suite) {
    assert_eq!(refused(ask(&suite, STEERING, "early", resolution()).await), "CONSTITUTION_MISSING");
    let mut member = ConstitutionServiceClient::new(nell(&suite).to("council"));
    assert_eq!(refusal(member.bootstrap(founding()).await), "PERMISSION_MISSING");
    let mut machine = ConstitutionServiceClient::new(suite.service("registry").to("council"));
    assert_eq!(refusal(machine.bootstrap(founding()).await), "ACTOR_KIND_NOT_ALLOWED");
    let before = member.get_constitution(GetConstitutionRequest {}).await.expect("an answer").into_inner();
    assert_eq!((before.create_time, before.bodies.len(), before.members.len()), (None, 2, 0));

    let one = BootstrapRequest { bodies: founding().bodies.into_iter().take(1).collect(), ..Default::default() };
    assert_eq!(refusal(suite.ask_bootstrap(one).await), "BODIES_INCOMPLETE");
    let mut weak = founding();
    weak.bodies[0].quorum = Some(QuorumRule { min_approvals: 2, ..Default::default() });
    assert_eq!(refusal(suite.ask_bootstrap(weak).await), "QUORUM_BELOW_FLOOR");
    let mut lawless = founding();
    lawless.bodies[0].seats.retain(|seat| seat.role_group != "legal");
    assert_eq!(refusal(suite.ask_bootstrap(lawless).await), "QUORUM_UNREACHABLE");
    let mut twice = founding();
    twice.bodies[0].seats.push(NewSeat { member_id: "lea2".into(), ..new_seat("lea", "data") });
    assert_eq!(refusal(suite.ask_bootstrap(twice).await), "MEMBER_EXISTS");
    let mut odd = founding();
    odd.bodies[1].seats.push(new_seat("sam", "sales"));
    assert_eq!(refusal(suite.ask_bootstrap(odd).await), "ROLE_GROUP_UNKNOWN");

    let mut wanted = founding();
    (wanted.bodies[0].zone, wanted.bodies[0].cut_off_day) = ("Asia/Kathmandu".into(), 5);
    let made = suite.ask_bootstrap(wanted).await.expect("it is made").into_inner();
    assert_eq!(made.founder.as_ref().map(|founder| founder.subject.as_str()), Some("admin"));
    assert_eq!((made.create_time, made.members.len()), (Some(stamp(suite.now().await)), 7));
    let steering = body(&suite, STEERING).await;
    assert_eq!((steering.zone.as_str(), steering.cut_off_day), ("Asia/Kathmandu", 5));
    let deciders: BTreeMap<_, _> = made.acts.iter().map(|act| (act.kind.as_str(), act.bodies.as_slice())).collect();
    assert_eq!(deciders["approve_automation"], [COUNCIL]);
    assert_eq!(deciders["lift_hold"], [STEERING]);
    assert_eq!(deciders["resolution"].len(), 2);
    assert_eq!(refusal(suite.ask_bootstrap(founding()).await), "CONSTITUTION_EXISTS");
    let shown = member.get_constitution(GetConstitutionRequest {}).await.expect("an answer").into_inner();
    assert_eq!(shown, made);
    assert_eq!(suite.entries("action = \"council.members.seat\"").await.len(), 7, "every seat is on record");
}

async fn nobody_makes_a_body_of_her_own_and_lifts_a_hold_there(suite: Suite) {
    suite.bootstrap().await;
    let held = hold(&suite, "h", Target::Organisation(true)).await.expect("one person stops").into_inner();
    assert!(held.scope_verified);
    let mine = Body {
        name: "bodies/mine".into(),
        display_name: "Mine".into(),
        role_groups: vec!["data".into()],
        quorum: Some(QuorumRule { min_approvals: 1, ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(refused(ask(&suite, "bodies/mine", "p", lift(&held.name)).await), "BODY_NOT_FOUND");
    let asked = ask(&suite, STEERING, "mine", amend(mine.clone())).await.expect("she may ask for it");
    assert_eq!(refused(approve(&nell(&suite), &asked).await), "NOT_ELIGIBLE", "and not decide it");
    // A body that was made by those who may decides nothing until somebody who has it gives it something.
    let seats = vec![new_seat("nell", "data")];
    let made = Kind::AmendBody(AmendBody { body: Some(mine), seats });
    decide(&suite, STEERING, "made", made, &["mia", "lea"]).await;
    assert_eq!(refused(ask(&suite, "bodies/mine", "p", lift(&held.name)).await), "NO_JURISDICTION");
    let mine = body(&suite, "bodies/mine").await;
    let strict =
        QuorumRule { min_approvals: 2, group_minimums: [("legal".to_owned(), 1)].into(), ..Default::default() };
    let more = Body {
        jurisdiction: vec!["lift_hold".into()],
        role_groups: vec!["data".into(), "legal".into()],
        quorum: Some(strict),
        ..mine
    };
    assert_eq!(refused(ask(&suite, "bodies/mine", "q", amend(more)).await), "JURISDICTION_NOT_HELD");
    let state = HoldServiceClient::new(suite.admin().to("council")).get_hold(GetHoldRequest { name: held.name }).await;
    assert_eq!(state.expect("it exists").into_inner().state(), HoldState::Engaged);
}

async fn nobody_takes_legal_out_of_the_way(suite: Suite) {
    suite.bootstrap().await;
    let steering = body(&suite, STEERING).await;
    let lonely = Body { quorum: Some(QuorumRule { min_approvals: 1, ..Default::default() }), ..steering.clone() };
    assert_eq!(refused(ask(&suite, STEERING, "p", amend(lonely)).await), "QUORUM_BELOW_FLOOR");
    let lea = UnseatMember { member: format!("{STEERING}/members/lea"), ..Default::default() };
    assert_eq!(refused(ask(&suite, STEERING, "p", Kind::UnseatMember(lea.clone())).await), "QUORUM_UNREACHABLE");
    assert_eq!(refused(ask(&suite, COUNCIL, "p", Kind::UnseatMember(lea)).await), "NO_JURISDICTION");
    let mut mia = BodyServiceClient::new(seat(&suite, "mia").to("council"));
    let leave = ResignMemberRequest { name: format!("{STEERING}/members/lea"), ..Default::default() };
    assert_eq!(refusal(mia.resign_member(leave).await), "NOT_YOUR_SEAT");

    // A friend gets a seat by those who have one, and has no say in it.
    let friend = ask(&suite, STEERING, "friend", seat_member(STEERING, "fay", "data")).await.expect("asked");
    let fay = suite.human("fay", &["member"], &["data"]);
    assert_eq!(refused(approve(&fay, &friend).await), "BENEFICIARY_CANNOT_VOTE");
    approve(&seat(&suite, "mia"), &friend).await.expect("a vote");
    approve(&seat(&suite, "dan"), &friend).await.expect("a vote");
    assert_eq!(get(&suite, &friend).await.state(), ProposalState::Open, "Legal is asked");
    approve(&seat(&suite, "lea"), &friend).await.expect("a vote");
    assert_eq!(get(&suite, &friend).await.state(), ProposalState::Executed);
    assert_eq!(refused(ask(&suite, STEERING, "again", seat_member(STEERING, "fay", "legal")).await), "MEMBER_EXISTS");
    // Whoever is to lose a seat does not vote on that, and votes on nothing else afterwards.
    let open = propose(&suite, "open", resolution()).await;
    approve(&fay, &open).await.expect("a vote");
    let member = UnseatMember { member: format!("{STEERING}/members/fay"), ..Default::default() };
    let unseat = ask(&suite, STEERING, "unseat", Kind::UnseatMember(member)).await.expect("asked");
    assert_eq!(refused(approve(&fay, &unseat).await), "BENEFICIARY_CANNOT_VOTE");
    for who in ["mia", "lea"] {
        approve(&seat(&suite, who), &unseat).await.expect("a vote");
    }
    assert_eq!(get(&suite, &unseat).await.state(), ProposalState::Executed);
    let counted = get(&suite, &open).await;
    assert_eq!((counted.votes[0].void_reason.as_str(), counted.tally.unwrap_or_default().approvals), ("DEPARTED", 0));
}

async fn a_review_is_worked_on_by_its_body(suite: Suite) {
    let review = december(&suite).await;
    let name = review.name.clone();
    let mut nell = ReviewServiceClient::new(nell(&suite).to("council"));
    let attend = RecordAttendanceRequest {
        name: name.clone(),
        attendance: vec![Attendance { subject: "lea".into(), present: true, ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(refusal(nell.record_attendance(attend).await), "NOT_ELIGIBLE");
    let refresh = RefreshEvidenceRequest { name: name.clone(), ..Default::default() };
    assert_eq!(refusal(nell.refresh_evidence(refresh).await), "NOT_ELIGIBLE", "it would void signatures");
    let minutes = RecordMinutesRequest { name: name.clone(), minutes: "We met.".into(), ..Default::default() };
    assert_eq!(refusal(nell.record_minutes(minutes).await), "NOT_ELIGIBLE");
    let finding = review.findings.first().expect("November was missed");
    let dispose = DisposeFindingRequest {
        name: name.clone(),
        finding: finding.id.clone(),
        disposition: Disposition::Noted.into(),
        note: "seen".into(),
        ..Default::default()
    };
    assert_eq!(refusal(nell.dispose_finding(dispose.clone()).await), "NOT_ELIGIBLE");
    let recuse = |item: &str| DeclareRecusalRequest {
        name: name.clone(),
        item: item.into(),
        reason: "it is my sister's".into(),
        ..Default::default()
    };
    assert_eq!(refusal(nell.declare_recusal(recuse("drift")).await), "NOT_ELIGIBLE");
    let seal = SealReviewRequest { name: name.clone(), ..Default::default() };
    assert_eq!(refusal(nell.seal_review(seal.clone()).await), "NOT_ELIGIBLE");
    // A seat is acted on with a token of its role group.
    let mut mia = ReviewServiceClient::new(suite.human("mia", &["admin"], &["data"]).to("council"));
    assert_eq!(refusal(mia.seal_review(seal.clone()).await), "NOT_ELIGIBLE");

    let mut dan = ReviewServiceClient::new(seat(&suite, "dan").to("council"));
    assert_eq!(refusal(dan.declare_recusal(recuse("no-such-item")).await), "AGENDA_ITEM_NOT_FOUND");
    let noted = dan.dispose_finding(dispose.clone()).await.expect("he has a seat").into_inner();
    assert_eq!(noted.findings[0].disposer.as_ref().map(|actor| actor.subject.as_str()), Some("dan"));
    let recused = dan.declare_recusal(recuse(&finding.id)).await.expect("a recusal").into_inner();
    assert_eq!(recused.findings[0].disposition(), Disposition::Unspecified, "what he said of it is taken back");
    assert_eq!(refusal(dan.dispose_finding(dispose.clone()).await), "RECUSED");
    let mut lea = ReviewServiceClient::new(seat(&suite, "lea").to("council"));
    let disposed = lea.dispose_finding(dispose).await.expect("others may").into_inner();
    sign(&suite, "lea", &disposed).await.expect("a signature");
    assert_eq!(refusal(lea.seal_review(seal.clone()).await), "QUORUM_MISSING", "nobody seals alone");
    sign(&suite, "mia", &disposed).await.expect("a signature");
    assert_eq!(lea.seal_review(seal).await.expect("a seal").into_inner().state(), ReviewState::Sealed);
}

async fn the_steering_group_does_not_approve_what_the_automation_council_does(suite: Suite) {
    suite.bootstrap().await;
    let automation = Automation {
        display_name: "Leads to sales".into(),
        owner: "dara".into(),
        functions: ["sales_ops", "legal", "product"].map(str::to_owned).into(),
        ..Default::default()
    };
    let request =
        CreateAutomationRequest { automation_id: "x".into(), automation: Some(automation), ..Default::default() };
    let mut automations = AutomationServiceClient::new(suite.human("dara", &["admin"], &[]).to("registry"));
    automations.create_automation(request).await.expect("an automation");
    let approve_it =
        || Kind::ApproveAutomation(ApproveAutomation { automation: "automations/x".into(), ..Default::default() });
    assert_eq!(refused(ask(&suite, STEERING, "p", approve_it()).await), "NO_JURISDICTION");
    let steering = body(&suite, STEERING).await;
    let mut more = steering.clone();
    more.jurisdiction.push("approve_automation".into());
    let three = QuorumRule {
        group_minimums: ["sales_ops", "legal", "product"].map(|group| (group.to_owned(), 1)).into(),
        ..Default::default()
    };
    more.role_groups.extend(["sales_ops".to_owned(), "product".to_owned()]);
    more.quorum = Some(three);
    assert_eq!(refused(ask(&suite, STEERING, "p", amend(more)).await), "JURISDICTION_NOT_HELD");
    let idle = Body { jurisdiction: Vec::new(), ..body(&suite, COUNCIL).await };
    assert_eq!(refused(ask(&suite, STEERING, "p", amend(idle)).await), "JURISDICTION_ORPHANED");
    let asked = ask(&suite, COUNCIL, "p", approve_it()).await.expect("the council is asked");
    for who in ["sol", "lex"] {
        approve(&seat(&suite, who), &asked).await.expect("a vote");
    }
    assert_eq!(get(&suite, &asked).await.state(), ProposalState::Open, "two of three functions");
    assert_eq!(refused(approve(&seat(&suite, "lea"), &asked).await), "NOT_ELIGIBLE");
    approve(&seat(&suite, "pru"), &asked).await.expect("a vote");
    eventually("it is approved", || async { get(&suite, &asked).await.state() == ProposalState::Executed }).await;
}

async fn the_glass_is_broken_on_a_seat_and_reviewed_on_another(suite: Suite) {
    suite.bootstrap().await;
    let held = hold(&suite, "h", Target::Organisation(true)).await.expect("a hold").into_inner();
    let glass = BreakGlassRequest {
        hold: held.name.clone(),
        reason: "because I want to".into(),
        duration: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        ..Default::default()
    };
    let holds = |who: &Caller| HoldServiceClient::new(who.to("council"));
    assert_eq!(refusal(holds(&nell(&suite)).break_glass(glass.clone()).await), "NOT_ELIGIBLE");
    assert_eq!(refusal(holds(&seat(&suite, "lex")).break_glass(glass.clone()).await), "NOT_ELIGIBLE", "another body");
    let bare = suite.human("dan", &["admin"], &[]);
    assert_eq!(refusal(holds(&bare).break_glass(glass.clone()).await), "NOT_ELIGIBLE", "no role group");
    let dan = seat(&suite, "dan");
    let used = holds(&dan).break_glass(glass).await.expect("a member may").into_inner();
    assert_eq!((used.body.as_str(), used.notified.len()), (STEERING, 3));

    let mut items = ActionItemServiceClient::new(dan.to("council"));
    let drop = CloseActionItemRequest {
        name: used.action_item.clone(),
        dropped: true,
        note: "nothing to see here".into(),
        ..Default::default()
    };
    assert_eq!(refusal(items.close_action_item(drop.clone()).await), "BREAK_GLASS_ITEM");
    let mut others = ActionItemServiceClient::new(seat(&suite, "mia").to("council"));
    assert_eq!(refusal(others.close_action_item(drop).await), "BREAK_GLASS_ITEM");
    let review = ReviewBreakGlassRequest { name: used.name.clone(), note: "justified".into(), ..Default::default() };
    assert_eq!(refusal(holds(&dan).review_break_glass(review.clone()).await), "OWN_BREAK_GLASS");
    assert_eq!(refusal(holds(&nell(&suite)).review_break_glass(review.clone()).await), "NOT_ELIGIBLE");
    holds(&seat(&suite, "mia")).review_break_glass(review).await.expect("another member may");
    let item = items.get_action_item(GetActionItemRequest { name: used.action_item }).await.expect("it exists");
    assert_eq!(item.into_inner().state(), ActionItemState::Done);
}

async fn a_constitution_that_nobody_can_change_is_recovered_by_two(suite: Suite) {
    let constitution = |who: &str| ConstitutionServiceClient::new(suite.human(who, &["admin"], &[]).to("council"));
    let recover = |people: &[(&str, &str)]| RecoverConstitutionRequest {
        seats: people.iter().map(|(who, group)| new_seat(who, group)).collect(),
        reason: "both of them left the company".into(),
        ..Default::default()
    };
    let two = [("leo", "legal"), ("max", "marketing_lead")];
    assert_eq!(refusal(constitution("admin").recover_constitution(recover(&two)).await), "CONSTITUTION_MISSING");
    suite.bootstrap().await;
    assert_eq!(refusal(constitution("admin").recover_constitution(recover(&two)).await), "CONSTITUTION_ALIVE");
    let mut member = ConstitutionServiceClient::new(seat(&suite, "dan").to("council"));
    for (who, group) in [("mia", "marketing_lead"), ("lea", "legal")] {
        let mut own = BodyServiceClient::new(suite.human(who, &["member"], &[group]).to("council"));
        let leave = ResignMemberRequest { name: format!("{STEERING}/members/{who}"), ..Default::default() };
        own.resign_member(leave).await.expect("a person may always leave");
    }
    let mut nell = ConstitutionServiceClient::new(nell(&suite).to("council"));
    assert_eq!(refusal(nell.recover_constitution(recover(&two)).await), "PERMISSION_MISSING");
    let lawless = recover(&[("max", "marketing_lead")]);
    assert_eq!(refusal(constitution("admin").recover_constitution(lawless).await), "QUORUM_UNREACHABLE");

    let state = |constitution: &Constitution| constitution.recoveries.first().map(Recovery::state);
    let asked = constitution("admin").recover_constitution(recover(&two)).await.expect("one asks").into_inner();
    assert_eq!((state(&asked), asked.members.len()), (Some(RecoveryState::Asked), 5), "and that does nothing");
    assert_eq!(refusal(constitution("admin").recover_constitution(recover(&two)).await), "SECOND_PERSON_REQUIRED");
    suite.advance(DAY + Duration::from_secs(1)).await;
    let late = constitution("root").recover_constitution(recover(&two)).await.expect("too late: it asks anew");
    assert_eq!(state(&late.into_inner()), Some(RecoveryState::Asked));
    let other = recover(&[("leo", "legal"), ("eve", "data")]);
    let other = constitution("admin").recover_constitution(other).await;
    assert_eq!(refusal(other), "RECOVERY_WAITS", "what was asked for is confirmed as it is, or not at all");
    let month = suite.now().await.to_string().chars().take(7).collect::<String>();
    let done = constitution("admin").recover_constitution(recover(&two)).await.expect("two did").into_inner();
    assert_eq!((state(&done), done.members.len(), done.recoveries.len()), (Some(RecoveryState::Done), 7, 1));
    let done = &done.recoveries[0];
    assert_eq!(done.notified.len(), 7, "{:?}", done.notified);
    let mut items = ActionItemServiceClient::new(suite.admin().to("council"));
    let item = items.get_action_item(GetActionItemRequest { name: done.action_item.clone() }).await;
    assert_eq!(item.expect("an item is left").into_inner().state(), ActionItemState::Open);
    let close = CloseActionItemRequest { name: done.action_item.clone(), note: "it was".into(), ..Default::default() };
    assert_eq!(refusal(items.close_action_item(close.clone()).await), "OWN_RECOVERY");
    let mut pat = ActionItemServiceClient::new(suite.human("pat", &["admin"], &["legal"]).to("council"));
    assert_eq!(refusal(pat.close_action_item(close.clone()).await), "NOT_ELIGIBLE");
    let mut leo = ActionItemServiceClient::new(suite.human("leo", &["member"], &["legal"]).to("council"));
    leo.close_action_item(close).await.expect("a member says so");
    assert_eq!(refusal(constitution("root").recover_constitution(recover(&two)).await), "CONSTITUTION_ALIVE");
    let shown = member.get_constitution(GetConstitutionRequest {}).await.expect("an answer").into_inner();
    assert_eq!(shown.recoveries.first(), Some(done));

    let asked = propose(&suite, "p", resolution()).await;
    for (who, group) in two {
        approve(&suite.human(who, &["member"], &[group]), &asked).await.expect("a vote");
    }
    assert_eq!(get(&suite, &asked).await.state(), ProposalState::Executed, "it is alive");
    suite.advance(DAY * 40).await;
    let mut dan = ReviewServiceClient::new(seat(&suite, "dan").to("council"));
    let open = OpenReviewRequest { period: month, ..Default::default() };
    let review = collected(&suite, &dan.open_review(open).await.expect("a review").into_inner()).await;
    assert!(review.findings.iter().any(|one| one.code == "CONSTITUTION_RECOVERED"), "{:#?}", review.findings);
}

async fn a_hold_on_nothing_is_refused(suite: Suite) {
    suite.bootstrap().await;
    for (target, expected) in [
        (Target::Task("tasks/misspelt".into()), "TASK_NOT_FOUND"),
        (Target::Function("functions/paid-media".into()), "FUNCTION_NOT_FOUND"),
        (Target::ModelVersion("models/none/versions/1".into()), "MODEL_VERSION_NOT_FOUND"),
        (Target::Gate("gates/none".into()), "GATE_NOT_FOUND"),
    ] {
        assert_eq!(refusal(hold(&suite, "h", target).await), expected);
    }
    let held = hold(&suite, "h", Target::Function("functions/paid_media".into())).await.expect("a hold").into_inner();
    assert!(held.scope_verified);

    let drill = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "to know the switch".into(),
        drill: true,
        ..Default::default()
    };
    let request = EngageHoldRequest { hold_id: "drill".into(), hold: Some(drill), ..Default::default() };
    let mut ops = HoldServiceClient::new(suite.human("ops", &["operator"], &[]).to("council"));
    ops.engage_hold(request).await.expect("a drill");
    let end = EndDrillRequest { name: "holds/drill".into(), finding: "it reached all".into(), ..Default::default() };
    let mut nell = HoldServiceClient::new(nell(&suite).to("council"));
    assert_eq!(refusal(nell.end_drill(end.clone()).await), "NOT_ELIGIBLE");
    ops.end_drill(end).await.expect("who engaged it ends it");
}

async fn a_proposal_about_nothing_is_refused(suite: Suite) {
    suite.bootstrap().await;
    let nothing = || "models/none/versions/1".to_owned();
    let digest = format!("sha256:{}", "0".repeat(64));
    let policy = ActivatePolicy { policy_version: "policies/none/versions/1".into(), backtest_digest: digest };
    let gate = ActivateGate { gate_version: "gates/none/versions/1".into(), ..Default::default() };
    let artifact = ApproveArtifact { artifact_version: "artifacts/none/versions/1".into(), ..Default::default() };
    let mut grant = match waiver(&suite).await.action.and_then(|action| action.kind) {
        Some(Kind::GrantWaiver(grant)) => grant,
        other => panic!("a waiver: {other:?}"),
    };
    grant.scope = Some(Scope { target: Some(Target::Task("tasks/none".into())) });
    let member = format!("{STEERING}/members/nobody");
    for (kind, expected) in [
        (Kind::SuspendModel(SuspendModel { model_version: nothing() }), "MODEL_VERSION_NOT_FOUND"),
        (Kind::RetireModel(RetireModel { model_version: nothing() }), "MODEL_VERSION_NOT_FOUND"),
        (Kind::ActivatePolicy(policy), "POLICY_VERSION_NOT_FOUND"),
        (Kind::ActivateGate(gate), "GATE_VERSION_NOT_FOUND"),
        (Kind::ApproveArtifact(artifact), "ARTIFACT_VERSION_NOT_FOUND"),
        (Kind::GrantWaiver(grant), "TASK_NOT_FOUND"),
        (lift("holds/none"), "HOLD_NOT_FOUND"),
        (Kind::UnseatMember(UnseatMember { member, ..Default::default() }), "MEMBER_NOT_FOUND"),
        (seat_member("bodies/none", "leo", "legal"), "BODY_NOT_FOUND"),
        (seat_member(STEERING, "leo", "sales"), "ROLE_GROUP_UNKNOWN"),
    ] {
        assert_eq!(refused(ask(&suite, STEERING, "p", kind).await), expected);
    }
}
