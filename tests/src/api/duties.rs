//! From a cause to what a person reads when time has passed, and what a subscription sees when its owner may see less.

use super::cases;
use super::council::{STEERING, approve, propose, resolution};
use crate::support::{Caller, Suite, eventually, reason, stamp};
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::body_service_client::BodyServiceClient;
use remit_api::council::v1::incident_service_client::IncidentServiceClient;
use remit_api::council::v1::{
    ActionItem, ClockKind, CloseActionItemRequest, CreateActionItemRequest, CreateDelegationRequest,
    CreateIncidentRequest, CreateRoleAssignmentRequest, Delegation, DeleteRoleAssignmentRequest, Incident,
    IncidentCategory, RecordSubmissionRequest, RevokeDelegationRequest, RoleAssignment, Severity, Submission,
};
use remit_api::notify::v1::notice_service_client::NoticeServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::*;
use remit_runtime::auth::DEVELOPMENT_ISSUER;
use std::time::Duration;

cases! {
    clocks_remind_those_whom_they_concern_until_it_is_done;
    a_subscription_ends_with_what_its_owner_may_read;
    whoever_may_vote_is_asked_until_she_has_voted;
}

const HOUR: Duration = Duration::from_secs(3_600);

/// What is in somebody's inbox, and if `all` what was.
async fn inbox(caller: &Caller, all: bool) -> Vec<Notice> {
    let mut client = NoticeServiceClient::new(caller.to("notify"));
    let request = ListNoticesRequest { page_size: 1_000, show_acknowledged: all, ..Default::default() };
    client.list_notices(request).await.expect("an inbox").into_inner().notices
}

async fn find(caller: &Caller, (duty, resource): (&str, &str), count: usize, all: bool) -> Vec<Notice> {
    let of = || async {
        let found = inbox(caller, all).await;
        found.into_iter().filter(|notice| notice.duty == duty && notice.resource == resource).collect::<Vec<_>>()
    };
    eventually(&format!("{count} of {duty} about {resource}"), || async { of().await.len() == count }).await;
    of().await
}

/// Waits until somebody has so many notices of a duty about a thing in her inbox, and returns them.
async fn told(caller: &Caller, duty: &str, resource: &str, count: usize) -> Vec<Notice> {
    find(caller, (duty, resource), count, false).await
}

/// The same of what was there at any time.
async fn told_in_all(caller: &Caller, duty: &str, resource: &str, count: usize) -> Vec<Notice> {
    find(caller, (duty, resource), count, true).await
}

async fn clocks_remind_those_whom_they_concern_until_it_is_done(suite: Suite) {
    let (olga, petra) = (suite.human("olga", &["operator"], &[]), suite.human("petra", &["privacy"], &[]));
    let dan = suite.human("dan", &["viewer"], &[]);
    let now = suite.now().await;
    let mut incidents = IncidentServiceClient::new(olga.to("council"));
    for id in ["open", "reported"] {
        let incident = Incident {
            title: "Others' data shown".into(),
            system: "models/scorer/versions/v1".into(),
            source: "customer complaint".into(),
            description: "It showed the data of others.".into(),
            impact: "Some saw them.".into(),
            severity: Severity::High.into(),
            category: IncidentCategory::Bias.into(),
            personal_data_breach: true,
            aware_time: Some(stamp(now)),
            ..Default::default()
        };
        let request = CreateIncidentRequest { incident_id: id.into(), incident: Some(incident), ..Default::default() };
        incidents.create_incident(request).await.expect("it is recorded");
    }
    let mut items = ActionItemServiceClient::new(olga.to("council"));
    let item = |id: &str| {
        let (title, owner, due_time) = ("Retrain".into(), "dan".into(), Some(stamp(now.plus(HOUR * 40))));
        let item = ActionItem { title, owner, due_time, ..Default::default() };
        CreateActionItemRequest { action_item_id: id.into(), action_item: Some(item), ..Default::default() }
    };
    items.create_action_item(item("retrain")).await.expect("it is made");
    told(&dan, "action_item_yours", "actionItems/retrain", 1).await;
    told(&olga, "incident_reported", "incidents/open", 1).await;
    assert!(!inbox(&petra, true).await.iter().any(|notice| notice.duty == "incident_gdpr_clock"), "it has just begun");

    suite.advance(HOUR * 37).await;
    let half = told(&petra, "incident_gdpr_clock", "incidents/open", 1).await.remove(0);
    assert!(
        half.statutory && half.text.starts_with("The notification of incidents/open to the data protection"),
        "{half:?}"
    );
    assert_eq!(half.due_time, Some(stamp(now.plus(HOUR * 72))));
    told(&petra, "incident_gdpr_clock", "incidents/reported", 1).await;
    let asked = inbox(&olga, true).await.into_iter().any(|notice| notice.duty == "incident_gdpr_clock");
    assert!(!asked, "who may not record that it was handed in is not asked to");
    assert_eq!(told(&dan, "action_item_due", "actionItems/retrain", 1).await[0].entry_index, {
        let open = told(&dan, "action_item_yours", "actionItems/retrain", 1).await.remove(0);
        open.entry_index
    });
    let submission = Submission {
        clock: ClockKind::Gdpr33.into(),
        recipient: "data protection authority".into(),
        submit_time: Some(stamp(suite.now().await)),
        ..Default::default()
    };
    let name = "incidents/reported".to_owned();
    let request = RecordSubmissionRequest { name, submission: Some(submission), ..Default::default() };
    let mut hers = IncidentServiceClient::new(petra.to("council"));
    hers.record_submission(request).await.expect("it is handed in by whoever is asked to");
    // Whoever hears of the later has heard of the earlier.
    items.create_action_item(item("later")).await.expect("it is made");
    told(&dan, "action_item_yours", "actionItems/later", 1).await;
    suite.advance(HOUR * 21).await;
    told_in_all(&petra, "incident_gdpr_clock", "incidents/open", 2).await;
    told(&petra, "incident_gdpr_clock", "incidents/open", 1).await;
    suite.advance(HOUR * 15).await;
    for who in [&suite.admin(), &petra] {
        told(who, "incident_clock_over", "incidents/open", 1).await;
    }
    told_in_all(&dan, "action_item_due", "actionItems/retrain", 2).await;
    told(&dan, "action_item_due", "actionItems/retrain", 1).await;
    for (incident, said) in [("incidents/open", 2), ("incidents/reported", 1)] {
        let over = told_in_all(&petra, "incident_gdpr_clock", incident, said).await;
        assert!(over.iter().all(|notice| notice.end_time.is_some()), "{incident}: {over:?}");
        told(&petra, "incident_gdpr_clock", incident, 0).await;
    }
    // What is done leaves the inbox of whoever was asked.
    let close =
        CloseActionItemRequest { name: "actionItems/retrain".into(), note: "done".into(), ..Default::default() };
    items.close_action_item(close).await.expect("it is closed");
    for duty in ["action_item_yours", "action_item_due"] {
        told(&dan, duty, "actionItems/retrain", 0).await;
    }
}

async fn a_subscription_ends_with_what_its_owner_may_read(suite: Suite) {
    let (dora, admin) = (suite.human("dora", &[], &[]), suite.admin());
    let mut access = AccessServiceClient::new(admin.to("council"));
    let assignment = RoleAssignment {
        subject: "dora".into(),
        issuer: DEVELOPMENT_ISSUER.into(),
        roles: vec!["operator".into()],
        reason: "she runs the integration".into(),
        ..Default::default()
    };
    let role_assignment_id = "dora".to_owned();
    let request = CreateRoleAssignmentRequest {
        role_assignment_id,
        role_assignment: Some(assignment.clone()),
        ..Default::default()
    };
    let assigned = access.create_role_assignment(request).await.expect("roles").into_inner();
    let mut hers = SubscriptionServiceClient::new(dora.to("notify"));
    let subscription = Subscription { endpoint: "https://receiver.example/".into(), ..Default::default() };
    let request = CreateSubscriptionRequest {
        subscription_id: "hers".into(),
        subscription: Some(subscription),
        ..Default::default()
    };
    eventually("she may subscribe", || {
        let (mut hers, request) = (hers.clone(), request.clone());
        async move { hers.create_subscription(request).await.is_ok() }
    })
    .await;
    let name = "subscriptions/hers".to_owned();
    hers.rotate_secret(RotateSecretRequest { name: name.clone(), ..Default::default() }).await.expect("a secret");
    let delete = DeleteRoleAssignmentRequest { name: assigned.name, reason: "she left".into(), ..Default::default() };
    access.delete_role_assignment(delete).await.expect("they are taken back");
    let mut theirs = SubscriptionServiceClient::new(admin.to("notify"));
    let get = GetSubscriptionRequest { name: name.clone() };
    eventually("it is stopped", || {
        let (mut theirs, get) = (theirs.clone(), get.clone());
        async move {
            let found = theirs.get_subscription(get).await.expect("it is there").into_inner();
            found.state() == SubscriptionState::Broken && found.state_reason.contains("owner")
        }
    })
    .await;
    told(&admin, "delivery_stuck", &name, 1).await;
    let resume = ResumeSubscriptionRequest { name: name.clone(), ..Default::default() };
    eventually("she may not go on", || {
        let (mut hers, resume) = (hers.clone(), resume.clone());
        async move { hers.resume_subscription(resume).await.is_err_and(|status| reason(&status) == "PERMISSION_MISSING") }
    })
    .await;
    let resumed = theirs.resume_subscription(resume).await.expect("somebody who may read takes it over").into_inner();
    assert_eq!((resumed.state(), resumed.owner.as_str()), (SubscriptionState::Active, "admin"));
    assert!(resumed.resume_time.is_some() && !resumed.uid.is_empty());

    // What she did is asked again after the case, as a repeat of what she was allowed.
    let role_assignment_id = "dora-again".to_owned();
    let again =
        CreateRoleAssignmentRequest { role_assignment_id, role_assignment: Some(assignment), ..Default::default() };
    access.create_role_assignment(again).await.expect("roles");
    eventually("she may read again", || {
        let (mut hers, get) = (hers.clone(), get.clone());
        async move { hers.get_subscription(get).await.is_ok() }
    })
    .await;
}

async fn whoever_may_vote_is_asked_until_she_has_voted(suite: Suite) {
    suite.bootstrap().await;
    let [mia, lea, dan] = ["mia", "lea", "dan"].map(|who| suite.member(who));
    let (ed, now) = (suite.human("ed", &["admin"], &["legal"]), suite.now().await);
    let first = propose(&suite, "p", resolution()).await;
    for who in [&mia, &lea, &dan] {
        told(who, "vote_wanted", "proposals/p", 1).await;
    }
    // Who stands in for a member hears of it, and of what was opened before.
    let mut bodies = BodyServiceClient::new(lea.to("council"));
    let delegation =
        Delegation { delegate: "ed".into(), expire_time: Some(stamp(now.plus(HOUR * 24 * 60))), ..Default::default() };
    let request = CreateDelegationRequest {
        parent: STEERING.into(),
        delegation_id: "d".into(),
        delegation: Some(delegation),
        ..Default::default()
    };
    let made = bodies.create_delegation(request).await.expect("a delegation").into_inner();
    let hers = told(&ed, "delegation_made", &made.name, 1).await.remove(0);
    assert!(hers.text.ends_with("Open votes that wait for it now: 1."), "{}", hers.text);
    propose(&suite, "q", resolution()).await;
    let asked = told(&ed, "vote_wanted_for_another", "proposals/q", 1).await.remove(0);
    assert!(asked.statutory && asked.text.contains("you stand in for a member of bodies/steering-group"), "{asked:?}");

    // Whoever has voted is asked no more, and reminded of nothing.
    approve(&mia, &first).await.expect("a vote");
    told(&mia, "vote_wanted", "proposals/p", 0).await;
    told(&mia, "vote_wanted", "proposals/q", 1).await;
    suite.advance(HOUR * 24 * 13).await;
    for (who, duty) in [(&lea, "vote_wanted"), (&dan, "vote_wanted"), (&ed, "vote_wanted_for_another")] {
        told_in_all(who, duty, "proposals/q", 2).await;
        let again = told(who, duty, "proposals/q", 1).await;
        assert!(again[0].reminder && again[0].text.starts_with("Not done yet: proposals/q is open"), "{again:?}");
    }
    told(&ed, "vote_wanted_for_another", "proposals/p", 1).await;
    told_in_all(&mia, "vote_wanted", "proposals/q", 2).await;
    told(&mia, "vote_wanted", "proposals/p", 0).await;

    // A vote of who stands in for her is hers, and she hears of it.
    approve(&ed, &first).await.expect("on the seat of lea");
    told(&lea, "vote_cast_for_you", "proposals/p", 1).await;
    told(&lea, "vote_wanted", "proposals/p", 0).await;
    told(&ed, "vote_wanted_for_another", "proposals/p", 0).await;
    // Enough have voted: nobody is asked any more.
    told_in_all(&dan, "vote_wanted", "proposals/p", 2).await;
    told(&dan, "vote_wanted", "proposals/p", 0).await;
    let revoke = RevokeDelegationRequest { name: made.name.clone(), ..Default::default() };
    bodies.revoke_delegation(revoke).await.expect("it is revoked");
    for who in [&lea, &ed] {
        told(who, "delegation_ended", &made.name, 1).await;
    }
    propose(&suite, "r", resolution()).await;
    told(&lea, "vote_wanted", "proposals/r", 1).await;
    told(&ed, "vote_wanted_for_another", "proposals/r", 0).await;
}
