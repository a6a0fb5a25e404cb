//! The records that the service `council` keeps: bodies, delegations, attestations, action items, incidents.

use super::{cases, council};
use crate::support::{Caller, Suite, eventually, new_seat, reason, stamp};
use prost_types::FieldMask;
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::body_service_client::BodyServiceClient;
use remit_api::council::v1::control_service_client::ControlServiceClient;
use remit_api::council::v1::incident_service_client::IncidentServiceClient;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::rollout_service_client::RolloutServiceClient;
use remit_api::council::v1::training_service_client::TrainingServiceClient;
use remit_api::council::v1::*;
use remit_core::Timestamp;
use std::time::Duration;
use tonic::{Code, Response, Status};

cases! {
    an_open_proposal_keeps_the_rule_it_was_opened_under;
    who_left_a_body_does_not_vote: ResignMember;
    a_delegate_votes_until_the_delegation_ends: CreateDelegation;
    a_revoked_delegation_ends_at_once: RevokeDelegation;
    an_attestation_names_who_stated_it: CreateAttestation, AssignControl;
    a_training_is_recorded_by_another: CreateTraining;
    the_records_show_how_far_the_rollout_is;
    an_action_item_changes_only_while_it_is_open: CreateActionItem, UpdateActionItem, CloseActionItem;
    the_law_sets_the_clocks_of_an_incident: CreateIncident, UpdateIncident;
    a_late_report_stays_late_and_closing_waits_for_it: RecordSubmission, CloseIncident;
    a_first_incomplete_report_stops_the_clock;
    a_breached_clock_does_not_vanish;
}

const STEERING: &str = "bodies/steering-group";
const DAY: u64 = 86_400;

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * DAY)
}

fn refusal<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> String {
    reason(&answer.expect_err("a refusal"))
}

fn mask(path: &str) -> Option<FieldMask> {
    Some(FieldMask { paths: vec![path.into()] })
}

fn person(suite: &Suite, subject: &str, group: &str) -> Caller {
    suite.human(subject, &["admin"], &[group])
}

async fn propose(suite: &Suite, body: &str, id: &str) -> Proposal {
    let proposal = Proposal {
        title: "Shall we?".into(),
        body: body.into(),
        action: Some(Action { kind: Some(Kind::Resolution(Resolution { text: "We do.".into() })) }),
        ..Default::default()
    };
    let request =
        CreateProposalRequest { proposal_id: id.into(), proposal: Some(proposal), open: true, ..Default::default() };
    let mut client = ProposalServiceClient::new(person(suite, "pat", "sales").to("council"));
    client.create_proposal(request).await.expect("a proposal is opened").into_inner()
}

async fn approve(caller: &Caller, proposal: &Proposal) -> Result<Response<Proposal>, Status> {
    let request = VoteRequest {
        name: proposal.name.clone(),
        choice: VoteChoice::Approve.into(),
        content_digest: proposal.content_digest.clone(),
        ..Default::default()
    };
    ProposalServiceClient::new(caller.to("council")).vote(request).await
}

/// What the steering group says about a change of a body.
async fn amend(suite: &Suite, id: &str, body: Body, seats: &[(&str, &str)]) -> Result<Proposal, Status> {
    let seats = seats.iter().map(|(who, group)| new_seat(who, group)).collect();
    let action = Kind::AmendBody(AmendBody { body: Some(body), seats });
    let asked = council::ask(suite, STEERING, id, action).await?;
    for who in ["mia", "lea"] {
        council::approve(&suite.member(who), &asked).await?;
    }
    eventually("it is executed", || async { council::get(suite, &asked).await.state() == ProposalState::Executed })
        .await;
    Ok(council::get(suite, &asked).await)
}

async fn an_open_proposal_keeps_the_rule_it_was_opened_under(suite: Suite) {
    suite.bootstrap().await;
    let mut bodies = BodyServiceClient::new(suite.admin().to("council"));
    let rule = |min_approvals| Some(QuorumRule { min_approvals, ..Default::default() });
    let board = Body {
        name: "bodies/board".into(),
        display_name: "Launch board".into(),
        role_groups: vec!["legal".into(), "data".into()],
        quorum: rule(1),
        ..Default::default()
    };
    let refuse = async |body: Body| reason(&amend(&suite, "refused", body, &[]).await.expect_err("a refusal"));
    assert_eq!(refuse(Body { quorum: rule(0), ..board.clone() }).await, "QUORUM_INVALID");
    let stranger = QuorumRule { group_minimums: [("sales".to_owned(), 1)].into(), ..Default::default() };
    assert_eq!(refuse(Body { quorum: Some(stranger), ..board.clone() }).await, "QUORUM_INVALID");
    let twice = ClassRule { change_class: ChangeClass::Standard.into(), ..Default::default() };
    assert_eq!(refuse(Body { class_rules: vec![twice.clone(), twice], ..board.clone() }).await, "QUORUM_INVALID");
    assert_eq!(refuse(Body { zone: "Mars/Base".into(), ..board.clone() }).await, "ZONE_UNKNOWN");
    assert_eq!(refuse(Body { name: "board".into(), ..board.clone() }).await, "NAME_INVALID");

    let people = [("lea", "legal"), ("dan", "data")];
    let made = amend(&suite, "make", board.clone(), &people).await.expect("a body");
    assert_eq!(made.execution.unwrap_or_default().result, "bodies/board");
    let get = GetBodyRequest { name: board.name.clone() };
    let board = bodies.get_body(get.clone()).await.expect("it is there").into_inner();
    assert_eq!((board.etag.as_str(), board.jurisdiction.len()), ("r1", 0));

    let before = propose(&suite, &board.name, "before").await;
    let stricter = Body { quorum: rule(2), ..board.clone() };
    amend(&suite, "stricter", stricter.clone(), &[]).await.expect("a change");
    let changed = bodies.get_body(get).await.expect("it is there").into_inner();
    assert_eq!((changed.quorum.clone(), changed.etag.as_str()), (rule(2), "r2"));
    assert_eq!(refuse(stricter).await, "CONTENT_CHANGED", "it names what the body was before");
    let smaller = Body { role_groups: vec!["legal".into()], quorum: rule(1), ..changed.clone() };
    assert_eq!(refuse(smaller).await, "QUORUM_INVALID", "dan sits for data");
    assert_eq!(refuse(Body { quorum: rule(3), ..changed }).await, "QUORUM_UNREACHABLE");

    let after = propose(&suite, &board.name, "after").await;
    for (proposal, state) in [(before, ProposalState::Executed), (after, ProposalState::Open)] {
        approve(&person(&suite, "lea", "legal"), &proposal).await.expect("a vote");
        let get = GetProposalRequest { name: proposal.name };
        let mut client = ProposalServiceClient::new(suite.admin().to("council"));
        assert_eq!(client.get_proposal(get).await.expect("it exists").into_inner().state(), state);
    }
}

async fn who_left_a_body_does_not_vote(suite: Suite) {
    suite.bootstrap().await;
    let proposal = propose(&suite, STEERING, "p").await;
    approve(&person(&suite, "dan", "data"), &proposal).await.expect("a vote");
    let name = format!("{STEERING}/members/dan");
    let leave = ResignMemberRequest { name: name.clone(), ..Default::default() };
    let client = |who: &str, group: &str| BodyServiceClient::new(person(&suite, who, group).to("council"));
    assert_eq!(refusal(client("lea", "legal").resign_member(leave.clone()).await), "NOT_YOUR_SEAT");
    let mut dan = client("dan", "data");
    let left = dan.resign_member(leave.clone()).await.expect("dan leaves").into_inner();
    assert_eq!((left.active, left.end_time), (false, Some(stamp(suite.now().await))));
    assert_eq!(refusal(dan.resign_member(leave).await), "MEMBER_NOT_FOUND");
    let nobody = ResignMemberRequest { name: "bodies/none/members/dan".into(), ..Default::default() };
    assert_eq!(refusal(dan.resign_member(nobody).await), "MEMBER_NOT_FOUND");

    let counted = council::get(&suite, &proposal).await;
    assert_eq!((counted.state(), counted.votes[0].void_reason.as_str()), (ProposalState::Open, "DEPARTED"));
    let tally = counted.tally.unwrap_or_default();
    assert_eq!((tally.eligible, tally.approvals), (2, 0));
    assert_eq!(refusal(approve(&person(&suite, "dan", "data"), &proposal).await), "NOT_ELIGIBLE");
    // Both who are left are needed now, and without Legal nothing can be decided any more.
    let leave = ResignMemberRequest { name: format!("{STEERING}/members/lea"), ..Default::default() };
    client("lea", "legal").resign_member(leave).await.expect("a person may always leave");
    let escalated = council::get(&suite, &proposal).await;
    assert_eq!(escalated.state(), ProposalState::Escalated, "{}", escalated.decide_reason);
    let mut items = ActionItemServiceClient::new(suite.admin().to("council"));
    let list = ListActionItemsRequest { filter: format!("origin = \"{}\"", proposal.name), ..Default::default() };
    let items = items.list_action_items(list).await.expect("a list").into_inner().action_items;
    assert_eq!(items.iter().map(|item| item.owner.as_str()).collect::<Vec<_>>(), ["mia"], "it goes to somebody");
    let list = ListMembersRequest { parent: STEERING.into(), ..Default::default() };
    let members = dan.list_members(list).await.expect("a list").into_inner().members;
    let active: Vec<_> = members.iter().map(|member| (member.subject.as_str(), member.active)).collect();
    assert_eq!(active, [("dan", false), ("lea", false), ("mia", true)], "the record of who left stays");
}

fn delegation(id: &str, delegate: &str, until: Timestamp) -> CreateDelegationRequest {
    let delegation = Delegation { delegate: delegate.into(), expire_time: Some(stamp(until)), ..Default::default() };
    CreateDelegationRequest {
        parent: STEERING.into(),
        delegation_id: id.into(),
        delegation: Some(delegation),
        ..Default::default()
    }
}

async fn a_delegate_votes_until_the_delegation_ends(suite: Suite) {
    suite.bootstrap().await;
    let now = suite.now().await;
    let hour = now.plus(Duration::from_secs(3_600));
    let mut lea = BodyServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let mut ed = BodyServiceClient::new(person(&suite, "ed", "legal").to("council"));
    assert_eq!(refusal(ed.create_delegation(delegation("d", "eve", hour)).await), "NOT_A_MEMBER");
    for wrong in [
        delegation("d", "lea", hour),
        delegation("d", "ed", now),
        delegation("d", "ed", now.plus(days(366)).plus(Duration::from_secs(1))),
    ] {
        assert_eq!(refusal(lea.create_delegation(wrong).await), "DELEGATION_INVALID");
    }
    let mut empty = delegation("d", "ed", hour);
    empty.delegation.as_mut().expect("a delegation").start_time = Some(stamp(hour));
    assert_eq!(refusal(lea.create_delegation(empty).await), "TIME_RANGE_INVALID");
    let first = propose(&suite, STEERING, "first").await;
    assert_eq!(refusal(approve(&person(&suite, "ed", "legal"), &first).await), "NOT_ELIGIBLE");
    let made = lea.create_delegation(delegation("d", "ed", hour)).await.expect("a delegation").into_inner();
    assert_eq!((made.delegator.as_str(), made.start_time), ("lea", Some(stamp(now))));
    assert_eq!(refusal(lea.create_delegation(delegation("d2", "eve", hour)).await), "DELEGATION_OVERLAPS");

    assert_eq!(refusal(approve(&person(&suite, "ed", "data"), &first).await), "NOT_ELIGIBLE");
    let voted = approve(&person(&suite, "ed", "legal"), &first).await.expect("on the seat of lea").into_inner();
    let vote = voted.votes.first().expect("one vote");
    assert_eq!((vote.seat.as_str(), vote.voter.as_ref().map(|voter| voter.subject.as_str())), ("lea", Some("ed")));
    assert_eq!(refusal(approve(&person(&suite, "lea", "legal"), &first).await), "ALREADY_VOTED");

    let second = propose(&suite, STEERING, "second").await;
    suite.advance(Duration::from_secs(3_600)).await;
    assert_eq!(refusal(approve(&person(&suite, "ed", "legal"), &second).await), "NOT_ELIGIBLE");
    approve(&person(&suite, "lea", "legal"), &second).await.expect("the seat is hers again");
}

async fn a_revoked_delegation_ends_at_once(suite: Suite) {
    suite.bootstrap().await;
    let tomorrow = suite.now().await.plus(days(1));
    let client = |who: &str| BodyServiceClient::new(person(&suite, who, "legal").to("council"));
    let (mut lea, mut ed) = (client("lea"), client("ed"));
    let made = lea.create_delegation(delegation("d", "ed", tomorrow)).await.expect("a delegation").into_inner();
    let revoke = RevokeDelegationRequest { name: made.name.clone(), ..Default::default() };
    assert_eq!(refusal(client("eve").revoke_delegation(revoke.clone()).await), "NOT_YOUR_DELEGATION");
    let unknown = RevokeDelegationRequest { name: format!("{STEERING}/delegations/none"), ..Default::default() };
    assert_eq!(refusal(lea.revoke_delegation(unknown).await), "DELEGATION_NOT_FOUND");

    let proposal = propose(&suite, STEERING, "p").await;
    let revoked = ed.revoke_delegation(revoke.clone()).await.expect("the delegate gives it back").into_inner();
    assert_eq!(revoked.revoke_time, Some(stamp(suite.now().await)));
    assert_eq!(refusal(approve(&person(&suite, "ed", "legal"), &proposal).await), "NOT_ELIGIBLE");
    suite.advance(Duration::from_secs(60)).await;
    let again = lea.revoke_delegation(revoke).await.expect("it is over already").into_inner();
    assert_eq!(again.revoke_time, revoked.revoke_time);

    lea.create_delegation(delegation("d2", "eve", tomorrow)).await.expect("the seat is free to delegate");
    approve(&person(&suite, "eve", "legal"), &proposal).await.expect("on the seat of lea");
    let list = ListDelegationsRequest { parent: STEERING.into(), ..Default::default() };
    let listed = lea.list_delegations(list).await.expect("a list").into_inner().delegations;
    assert_eq!(listed.iter().map(|one| one.revoke_time.is_some()).collect::<Vec<_>>(), [true, false]);
}

async fn an_attestation_names_who_stated_it(suite: Suite) {
    suite.bootstrap().await;
    let mut lea = ControlServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let attest = |control: &str, attestation: Attestation| CreateAttestationRequest {
        parent: format!("controls/{control}"),
        attestation_id: "a".into(),
        attestation: Some(attestation),
        ..Default::default()
    };
    let now = suite.now().await;
    let good = Attestation {
        statement: "Staff are trained.".into(),
        document_digest: format!("sha256:{}", "0a".repeat(32)),
        expire_time: Some(stamp(now.plus(days(30)))),
        ..Default::default()
    };
    let undigested = Attestation { document_digest: "0a".repeat(32), ..good.clone() };
    let over = Attestation { expire_time: Some(stamp(now)), ..good.clone() };
    assert_eq!(refusal(lea.create_attestation(attest("C999", good.clone())).await), "CONTROL_NOT_FOUND");
    assert_eq!(refusal(lea.create_attestation(attest("C5", undigested)).await), "DIGEST_INVALID");
    assert_eq!(refusal(lea.create_attestation(attest("C5", over)).await), "ATTESTATION_INVALID");
    let mut machine = ControlServiceClient::new(suite.service("registry").to("council"));
    assert_eq!(refusal(machine.create_attestation(attest("C5", good.clone())).await), "ACTOR_KIND_NOT_ALLOWED");
    let mut nell = ControlServiceClient::new(person(&suite, "nell", "legal").to("council"));
    assert_eq!(refusal(nell.create_attestation(attest("C5", good.clone())).await), "NOT_ELIGIBLE", "it is evidence");
    let made = lea.create_attestation(attest("C5", good.clone())).await.expect("an attestation").into_inner();
    assert_eq!(made.attester.as_ref().map(|attester| attester.subject.as_str()), Some("lea"));
    assert_eq!((made.name.as_str(), made.create_time), ("controls/C5/attestations/a", Some(stamp(now))));
    let reminders = [7, 1].map(|before| Some(stamp(now.plus(days(30 - before)))));
    assert_eq!(made.remind_times.iter().copied().map(Some).collect::<Vec<_>>(), reminders, "30 days before is over");
    assert_eq!(made.owner, "lea");
    assert_eq!(refusal(lea.create_attestation(attest("C4", good.clone())).await), "CONTROL_AUTOMATED");
    assert_eq!(refusal(lea.create_attestation(attest("C5", good)).await), "ATTESTATION_EXISTS");
    let assign = |control: &str, owner: &str| AssignControlRequest {
        name: format!("controls/{control}"),
        owner: owner.into(),
        due_time: Some(stamp(now.plus(days(60)))),
        ..Default::default()
    };
    assert_eq!(refusal(lea.assign_control(assign("C999", "dan")).await), "CONTROL_NOT_FOUND");
    assert_eq!(refusal(nell.assign_control(assign("C5", "nell")).await), "NOT_ELIGIBLE");
    lea.assign_control(assign("C5", "dan")).await.expect("dan sees to it");
    let control = lea.assign_control(assign("C5", "mia")).await.expect("mia does").into_inner();
    assert_eq!((control.owner.as_str(), control.framework.is_empty(), control.times_put_off), ("mia", false, 0));
    let over = AssignControlRequest { due_time: Some(stamp(now)), ..assign("C5", "mia") };
    assert_eq!(refusal(lea.assign_control(over).await), "TIME_OUT_OF_RANGE");
    let endless = AssignControlRequest { due_time: None, ..assign("C5", "mia") };
    let control = lea.assign_control(endless).await.expect("no end").into_inner();
    assert_eq!((control.due_time, control.times_put_off), (None, 1), "an end that was taken away is counted");
    let list = ListControlsRequest { page_size: 1_000, ..Default::default() };
    let listed = lea.list_controls(list).await.expect("a list").into_inner().controls;
    let owned: Vec<_> = listed.iter().filter(|one| !one.owner.is_empty()).collect();
    assert_eq!(owned, [&control], "and nobody to the others");
    for (parent, expected) in [("controls/C5", 1), ("controls/C8", 0), ("controls/-", 1)] {
        let list = ListAttestationsRequest { parent: parent.into(), ..Default::default() };
        let listed = lea.list_attestations(list).await.expect("a list").into_inner().attestations;
        assert_eq!(listed.len(), expected, "{parent}");
    }
}

async fn a_training_is_recorded_by_another(suite: Suite) {
    council::with_members(&suite).await;
    let mut lea = TrainingServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let mut nell = TrainingServiceClient::new(person(&suite, "nell", "legal").to("council"));
    let now = suite.now().await;
    let train = |id: &str, subject: &str, complete: Timestamp| CreateTrainingRequest {
        training_id: id.into(),
        training: Some(Training {
            subject: subject.into(),
            title: "Oversight of AI".into(),
            complete_time: Some(stamp(complete)),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(refusal(lea.create_training(train("a", "lea", now)).await), "OWN_TRAINING");
    assert_eq!(refusal(nell.create_training(train("a", "dan", now)).await), "NOT_ELIGIBLE");
    assert_eq!(refusal(lea.create_training(train("a", "dan", now.plus(days(2)))).await), "TIME_OUT_OF_RANGE");
    let mut ended = train("a", "dan", now);
    ended.training.as_mut().expect("a training").expire_time = Some(stamp(now));
    assert_eq!(refusal(lea.create_training(ended).await), "TIME_OUT_OF_RANGE");
    let made = lea.create_training(train("a", "dan", now)).await.expect("dan was trained").into_inner();
    assert_eq!((made.name.as_str(), made.expire_time), ("trainings/a", Some(stamp(now.plus(days(365))))));
    assert_eq!(refusal(lea.create_training(train("a", "mia", now)).await), "TRAINING_EXISTS");
    let get = GetTrainingRequest { name: made.name.clone() };
    assert_eq!(nell.get_training(get).await.expect("it is there").into_inner(), made);
    let list = ListTrainingsRequest { filter: "subject = \"dan\"".into(), ..Default::default() };
    assert_eq!(nell.list_trainings(list).await.expect("a list").into_inner().trainings, [made]);
}

async fn the_records_show_how_far_the_rollout_is(suite: Suite) {
    council::with_members(&suite).await;
    let mut lea = TrainingServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let training = Training {
        subject: "dan".into(),
        title: "Oversight of AI".into(),
        complete_time: Some(stamp(suite.now().await)),
        ..Default::default()
    };
    let request = CreateTrainingRequest { training_id: "a".into(), training: Some(training), ..Default::default() };
    lea.create_training(request).await.expect("dan was trained");
    let mut rollout = RolloutServiceClient::new(suite.human("vera", &["viewer"], &[]).to("council"));
    let read = rollout.get_rollout(GetRolloutRequest {}).await.expect("a checklist").into_inner();
    assert_eq!(read.items.len(), 10);
    let unknown: Vec<_> = read.items.iter().filter(|one| one.state() == RolloutState::Unknown).collect();
    assert!(unknown.is_empty(), "everybody answers: {unknown:#?}");
    let training = read.items.iter().find(|one| one.key == "training").expect("an item");
    assert_eq!(
        (training.state(), training.records.as_slice()),
        (RolloutState::UnderWay, &["trainings/a".to_owned()][..])
    );
    assert!(training.said.contains("; 1 of "), "{}", training.said);
    let cadence = read.items.iter().find(|one| one.key == "cadence").expect("an item");
    assert_ne!(cadence.state(), RolloutState::Done, "no review is sealed");
    assert_eq!(cadence.since_time, None);
}

async fn an_action_item_changes_only_while_it_is_open(suite: Suite) {
    let mut items = ActionItemServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let now = suite.now().await;
    let create = |id: &str, due: u64| CreateActionItemRequest {
        action_item_id: id.into(),
        action_item: Some(ActionItem {
            title: "Retrain".into(),
            owner: "dan".into(),
            due_time: Some(stamp(now.plus(days(due)))),
            state: ActionItemState::Done.into(),
            close_note: "done before it began".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let later = items.create_action_item(create("later", 9)).await.expect("an item").into_inner();
    assert_eq!((later.state(), later.close_note.as_str()), (ActionItemState::Open, ""), "an item begins open");
    assert_eq!(refusal(items.create_action_item(create("later", 1)).await), "ACTION_ITEM_EXISTS");
    let soon = items.create_action_item(create("soon", 2)).await.expect("an item").into_inner();

    let change = |item: ActionItem, path: &str| UpdateActionItemRequest {
        action_item: Some(item),
        update_mask: mask(path),
        ..Default::default()
    };
    let edited = ActionItem { title: "Retrain both".into(), owner: "mia".into(), ..later.clone() };
    assert_eq!(refusal(items.update_action_item(change(edited.clone(), "state")).await), "UPDATE_MASK_INVALID");
    let changed = items.update_action_item(change(edited.clone(), "title")).await.expect("a change").into_inner();
    assert_eq!((changed.title.as_str(), changed.owner.as_str()), ("Retrain both", "dan"));
    for (path, title) in [(Some("*"), "Retrain all"), (None, "Retrain again")] {
        let current =
            items.get_action_item(GetActionItemRequest { name: later.name.clone() }).await.expect("it exists");
        let item = ActionItem { title: title.into(), ..current.into_inner() };
        let request =
            UpdateActionItemRequest { action_item: Some(item), update_mask: path.and_then(mask), ..Default::default() };
        let all = items.update_action_item(request).await.expect("a change").into_inner();
        assert_eq!((all.title.as_str(), all.owner.as_str(), all.state()), (title, "dan", ActionItemState::Open));
    }
    let stale = items.update_action_item(change(edited, "owner")).await.expect_err("an old etag");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));

    let list = |filter: &str| ListActionItemsRequest { filter: filter.into(), ..Default::default() };
    let names = |listed: Response<ListActionItemsResponse>| {
        listed.into_inner().action_items.into_iter().map(|item| item.name).collect::<Vec<_>>()
    };
    let all = names(items.list_action_items(list("owner = \"dan\"")).await.expect("a list"));
    assert_eq!(all, [soon.name.as_str(), later.name.as_str()], "due first comes first");
    let close = |name: &str, dropped: bool, note: &str| CloseActionItemRequest {
        name: name.into(),
        dropped,
        note: note.into(),
        ..Default::default()
    };
    assert_eq!(refusal(items.close_action_item(close(&soon.name, true, "")).await), "FIELD_INVALID");
    assert_eq!(refusal(items.close_action_item(close("actionItems/none", true, "?")).await), "ACTION_ITEM_NOT_FOUND");
    let dropped = items.close_action_item(close(&soon.name, true, "moot")).await.expect("a drop").into_inner();
    assert_eq!((dropped.state(), dropped.close_note.as_str()), (ActionItemState::Dropped, "moot"));
    assert_eq!(dropped.closer.as_ref().map(|closer| closer.subject.as_str()), Some("lea"));
    assert_eq!(refusal(items.close_action_item(close(&soon.name, false, "done")).await), "ACTION_ITEM_CLOSED");
    assert_eq!(refusal(items.update_action_item(change(dropped, "title")).await), "ACTION_ITEM_CLOSED");
    let open = names(items.list_action_items(list("state = \"OPEN\"")).await.expect("a list"));
    assert_eq!(open, [later.name.as_str()]);
    let done = items.close_action_item(close(&later.name, false, "retrained")).await.expect("done").into_inner();
    assert_eq!(done.state(), ActionItemState::Done);
}

fn incident(seriousness: Seriousness, aware: Timestamp) -> Incident {
    Incident {
        system: "models/lead-scorer/versions/1".into(),
        title: "Wrong scores".into(),
        source: "customer complaint".into(),
        description: "It scored everybody alike.".into(),
        impact: "Offers went to the wrong people.".into(),
        severity: Severity::High.into(),
        category: IncidentCategory::Bias.into(),
        high_risk_system: true,
        seriousness: seriousness.into(),
        aware_time: Some(stamp(aware)),
        ..Default::default()
    }
}

fn report(id: &str, incident: Incident) -> CreateIncidentRequest {
    CreateIncidentRequest { incident_id: id.into(), incident: Some(incident), ..Default::default() }
}

fn submission(incident: &Incident, clock: ClockKind, at: Timestamp, incomplete: bool) -> RecordSubmissionRequest {
    let submission = Submission {
        clock: clock.into(),
        recipient: "market surveillance authority".into(),
        submit_time: Some(stamp(at)),
        incomplete,
        ..Default::default()
    };
    RecordSubmissionRequest { name: incident.name.clone(), submission: Some(submission), ..Default::default() }
}

fn clocks(incident: &Incident) -> Vec<(ClockKind, ClockState)> {
    incident.clocks.iter().map(|clock| (clock.kind(), clock.state())).collect()
}

fn due(incident: &Incident) -> Vec<(ClockKind, Option<prost_types::Timestamp>)> {
    incident.clocks.iter().map(|clock| (clock.kind(), clock.due_time)).collect()
}

async fn the_law_sets_the_clocks_of_an_incident(suite: Suite) {
    let mut lea = IncidentServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let now = suite.now().await;
    let aware = Timestamp(now.0 - 86_400_000_000);
    let at = |limit: u64| Some(stamp(aware.plus(days(limit))));
    let limits = [(Seriousness::Serious, 15), (Seriousness::Death, 10), (Seriousness::Widespread, 2)];
    for (seriousness, limit) in limits {
        let id = format!("after-{limit}");
        let made = lea.create_incident(report(&id, incident(seriousness, aware))).await.expect("an incident");
        assert_eq!(due(&made.into_inner()), [(ClockKind::AiAct73, at(limit))]);
    }
    let low_risk = Incident { high_risk_system: false, ..incident(Seriousness::Death, aware) };
    let none = lea.create_incident(report("none", low_risk)).await.expect("an incident").into_inner();
    assert_eq!(due(&none), []);
    assert_eq!(refusal(lea.create_incident(report("none", none.clone())).await), "INCIDENT_EXISTS");
    let future = incident(Seriousness::Serious, now.plus(Duration::from_secs(301)));
    assert_eq!(refusal(lea.create_incident(report("future", future)).await), "TIME_OUT_OF_RANGE");
    // Nobody is aware of what has not happened.
    let occurred = |second: i64| Some(stamp(Timestamp(aware.0 + second * 1_000_000)));
    let early = Incident { occur_time: occurred(1), ..incident(Seriousness::Serious, aware) };
    let early = lea.create_incident(report("early", early)).await.expect_err("a report from before it happened");
    assert_eq!(reason(&early), "TIME_RANGE_INVALID");
    assert!(early.message().starts_with("incident.aware_time: "), "{}", early.message());
    let at_once = Incident { occur_time: occurred(0), ..incident(Seriousness::Serious, aware) };
    let at_once = lea.create_incident(report("at-once", at_once)).await.expect("an incident").into_inner();
    let handed = submission(&at_once, ClockKind::AiAct73, Timestamp(aware.0 - 1_000_000), false);
    assert_eq!(refusal(lea.record_submission(handed).await), "TIME_RANGE_INVALID");
    let mut machine = IncidentServiceClient::new(suite.service("scoring").to("council"));
    let unaware = Incident { aware_time: None, ..incident(Seriousness::NotSerious, aware) };
    let made = machine.create_incident(report("machine", unaware)).await.expect("a service may report").into_inner();
    assert_eq!((made.aware_time, made.clocks.len()), (Some(stamp(now)), 0));

    let change = |incident: Incident, path: &str| UpdateIncidentRequest {
        incident: Some(incident),
        update_mask: mask(path),
        ..Default::default()
    };
    let breach = Incident { personal_data_breach: true, high_risk_system: true, ..none.clone() };
    assert_eq!(refusal(lea.update_incident(change(breach.clone(), "aware_time")).await), "UPDATE_MASK_INVALID");
    let updated = lea.update_incident(change(breach.clone(), "personal_data_breach")).await.expect("a change");
    let updated = updated.into_inner();
    assert_eq!(due(&updated), [(ClockKind::Gdpr33, at(3))], "only what the mask names changes");
    let stale = lea.update_incident(change(breach.clone(), "high_risk_system")).await.expect_err("an old etag");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let breach = Incident { etag: updated.etag, ..breach };
    let both = lea.update_incident(change(breach, "high_risk_system")).await.expect("a change").into_inner();
    assert_eq!(due(&both), [(ClockKind::AiAct73, at(10)), (ClockKind::Gdpr33, at(3))]);
}

async fn a_late_report_stays_late_and_closing_waits_for_it(suite: Suite) {
    let mut lea = IncidentServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let aware = suite.now().await;
    let made = report("late", incident(Seriousness::Widespread, aware));
    let made = lea.create_incident(made).await.expect("an incident").into_inner();
    assert_eq!(clocks(&made), [(ClockKind::AiAct73, ClockState::Running)]);
    let close = |after_action: &str| CloseIncidentRequest {
        name: made.name.clone(),
        root_cause: "a feature was constant".into(),
        after_action: after_action.into(),
        ..Default::default()
    };
    assert_eq!(refusal(lea.close_incident(close("We test that now.")).await), "CLOCK_RUNNING");

    suite.advance(days(2)).await;
    let alarms = suite.entries(&format!("action = \"council.clocks.breach\" AND resource = \"{}\"", made.name)).await;
    assert_eq!(alarms.len(), 1);
    let get = GetIncidentRequest { name: made.name.clone() };
    let late = lea.get_incident(get).await.expect("it exists").into_inner();
    assert_eq!(clocks(&late), [(ClockKind::AiAct73, ClockState::Breached)]);
    assert_eq!(refusal(lea.close_incident(close("We test that now.")).await), "CLOCK_RUNNING");

    let now = suite.now().await;
    let future = submission(&made, ClockKind::AiAct73, now.plus(Duration::from_secs(301)), false);
    assert_eq!(refusal(lea.record_submission(future).await), "TIME_OUT_OF_RANGE");
    let other = submission(&made, ClockKind::Gdpr33, now, false);
    assert_eq!(refusal(lea.record_submission(other).await), "CLOCK_NOT_RUNNING");
    suite.advance(Duration::from_secs(1)).await;
    let handed = submission(&made, ClockKind::AiAct73, suite.now().await, false);
    let handed = lea.record_submission(handed).await.expect("a submission").into_inner();
    assert_eq!(clocks(&handed), [(ClockKind::AiAct73, ClockState::MetLate)]);

    assert_eq!(refusal(lea.close_incident(close("")).await), "FIELD_INVALID");
    let closed = lea.close_incident(close("We test that now.")).await.expect("a close").into_inner();
    assert_eq!((closed.state(), closed.after_action.as_str()), (IncidentState::Closed, "We test that now."));
    assert_eq!(closed.close_time, Some(stamp(suite.now().await)));
    assert_eq!(refusal(lea.close_incident(close("Again.")).await), "INCIDENT_CLOSED");
    let update = UpdateIncidentRequest { incident: Some(closed), update_mask: mask("title"), ..Default::default() };
    assert_eq!(refusal(lea.update_incident(update).await), "INCIDENT_CLOSED");
}

async fn a_first_incomplete_report_stops_the_clock(suite: Suite) {
    let mut lea = IncidentServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let aware = suite.now().await;
    let made = report("first", incident(Seriousness::Widespread, aware));
    let made = lea.create_incident(made).await.expect("an incident").into_inner();
    suite.advance(days(1)).await;
    let first = submission(&made, ClockKind::AiAct73, suite.now().await, true);
    let first = lea.record_submission(first).await.expect("a first report").into_inner();
    assert_eq!(clocks(&first), [(ClockKind::AiAct73, ClockState::Met)]);
    suite.advance(days(5)).await;
    let full = submission(&made, ClockKind::AiAct73, suite.now().await, false);
    let full = lea.record_submission(full).await.expect("the full report").into_inner();
    assert_eq!((clocks(&full), full.submissions.len()), (vec![(ClockKind::AiAct73, ClockState::Met)], 2));
    let alarms = suite.entries(&format!("action = \"council.clocks.breach\" AND resource = \"{}\"", made.name)).await;
    assert_eq!(alarms.len(), 0);

    // A wrong grade that is corrected does not undo what was handed in.
    let mut graded = full;
    for (seriousness, why, expected) in [
        (Seriousness::NotSerious, "it harmed nobody", ClockState::Withdrawn),
        (Seriousness::Widespread, "", ClockState::Met),
    ] {
        let incident = Incident { seriousness: seriousness.into(), ..graded };
        let request = UpdateIncidentRequest {
            incident: Some(incident),
            update_mask: mask("seriousness"),
            reason: why.into(),
            ..Default::default()
        };
        graded = lea.update_incident(request).await.expect("a change").into_inner();
        assert_eq!(clocks(&graded), [(ClockKind::AiAct73, expected)]);
    }
}

async fn a_breached_clock_does_not_vanish(suite: Suite) {
    let mut lea = IncidentServiceClient::new(person(&suite, "lea", "legal").to("council"));
    let aware = suite.now().await;
    let breach = Incident { personal_data_breach: true, ..incident(Seriousness::NotSerious, aware) };
    let made = lea.create_incident(report("breach", breach)).await.expect("an incident").into_inner();
    suite.advance(days(4)).await;
    suite.settle().await;
    let get = GetIncidentRequest { name: made.name.clone() };
    let late = lea.get_incident(get).await.expect("it exists").into_inner();
    assert_eq!(clocks(&late), [(ClockKind::Gdpr33, ClockState::Breached)]);
    let clear = |reason: &str| UpdateIncidentRequest {
        incident: Some(Incident { personal_data_breach: false, ..late.clone() }),
        update_mask: mask("personal_data_breach"),
        reason: reason.into(),
        ..Default::default()
    };
    assert_eq!(refusal(lea.update_incident(clear(" ")).await), "REASON_REQUIRED");
    let cleared = lea.update_incident(clear("the file held test data")).await.expect("a change").into_inner();
    let [clock] = &cleared.clocks[..] else { panic!("the clock stays: {:#?}", cleared.clocks) };
    assert_eq!((clock.state(), clock.withdraw_reason.as_str()), (ClockState::Withdrawn, "the file held test data"));
    assert_eq!(
        (clock.withdrawn_due_time, clock.withdraw_time),
        (late.clocks[0].due_time, Some(stamp(suite.now().await)))
    );

    let month = suite.now().await.to_string().chars().take(7).collect::<String>();
    suite.advance(days(40)).await;
    suite.bootstrap().await;
    let review = super::council_meetings::open_review(&suite, &month).await;
    let finding =
        review.findings.iter().find(|finding| finding.code == "CLOCK_WITHDRAWN").expect("the review shows it");
    assert!(finding.detail.contains("the file held test data"), "{}", finding.detail);
}
