//! Whatever needs approval takes effect only with a mandate for exactly that: each such method is shown every mandate
//! that is none.

use super::registry::{self, approved, create_artifact, create_model, create_version, evaluate, transition};
use super::{cases, council, handoff};
use crate::support::{Caller, Suite, reason};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::{
    CancelProposalRequest, LoosenRules, PromoteModel, ProposalState, RetryProposalRequest, loosen_rules,
};
use remit_api::handoff::v1::calendar_service_client::CalendarServiceClient;
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::{ActivateGateVersionRequest, GetCalendarRequest, Holiday, UpdateCalendarRequest};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{
    AlertRule, AlertSeverity, DeleteAlertRuleRequest, GetAlertRuleRequest, GetKpiRequest, Kpi, RetireKpiRequest,
    UpdateAlertRuleRequest, UpdateKpiRequest,
};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::*;
use remit_api::scoring::v1::function_service_client::FunctionServiceClient;
use remit_api::scoring::v1::{FunctionStatus, GetFunctionRequest, UpdateFunctionRequest};
use remit_api::wire::Mandated;
use remit_core::mandate::{Mandate, TYP};
use remit_core::{Tenant, authority, canonical};
use remit_runtime::Mandates;
use std::time::Duration;
use tonic::{Code, Response, Status};

cases! {
    a_transition_needs_its_mandate: TransitionModelVersion;
    an_alias_needs_its_mandate: SetModelAlias;
    an_artifact_needs_its_mandate: ApproveArtifactVersion;
    an_automation_needs_its_mandate: ApproveAutomation;
    a_gate_needs_its_mandate: ActivateGateVersion;
    a_looser_function_needs_its_mandate: UpdateFunction;
    a_looser_kpi_and_its_end_need_their_mandates: UpdateKpi, RetireKpi;
    a_looser_alert_rule_and_its_end_need_their_mandates: UpdateAlertRule, DeleteAlertRule;
    a_looser_calendar_needs_its_mandate: UpdateCalendar;
    a_rule_is_loosened_as_it_was_seen_and_by_a_decision: Vote, UpdateAlertRule;
    a_mandate_is_taken_once_however_many_show_it_at_once: SetModelAlias;
    what_was_decided_is_proved_offline: Vote;
    an_older_decision_does_not_undo_a_stop: RetryProposal, CancelProposal;
}

/// One way to show something that is no mandate for this request, and how it is refused.
type Forgery = (&'static str, fn(&mut Mandate), &'static str);

const FORGERIES: &[Forgery] = &[
    ("another tenant's", |m| m.tenant = Tenant::new("another").expect("valid"), "MANDATE_TENANT"),
    ("for another method", |m| m.permission = "registry.models.update".into(), "MANDATE_ACTION"),
    ("for another request", |m| m.request_digest = "sha256:00".into(), "MANDATE_ACTION"),
    ("for another service", |m| m.aud = "audit".into(), "MANDATE_ACTION"),
    ("of another kind", |m| m.kind = "resolution".into(), "MANDATE_ACTION"),
    ("over", |m| m.exp = m.iat, "MANDATE_EXPIRED"),
    ("not begun", |m| m.nbf = m.exp, "MANDATE_EXPIRED"),
    ("of a body without jurisdiction", |m| m.jurisdiction = ["resolution".to_owned()].into(), "MANDATE_JURISDICTION"),
    ("without the votes", |m| m.ballot.votes.clear(), "MANDATE_INVALID"),
    (
        "voted by one person for all",
        |m| m.ballot.votes.iter_mut().for_each(|v| v.voter = "eve".into()),
        "MANDATE_INVALID",
    ),
    ("voted by the proposer", |m| m.ballot.proposer = m.ballot.votes[0].voter.clone(), "MANDATE_INVALID"),
    (
        "by a rule below the floor",
        |m| {
            m.ballot.rule.min_approvals = 1;
            m.ballot.votes.truncate(1);
        },
        "MANDATE_JURISDICTION",
    ),
    ("issued by somebody else", |m| m.iss = "remit".into(), "MANDATE_INVALID"),
];

/// Shows every forgery, then the mandate itself, then the mandate again. Nothing takes effect but by the mandate.
pub(super) async fn hold<Q: Mandated + Send + Sync, A: std::fmt::Debug + Send + 'static>(
    suite: &Suite,
    kind: &str,
    permission: &str,
    request: Q,
    call: impl Fn(Q) -> BoxFuture<'static, Result<Response<A>, Status>> + Sync,
) {
    let refused = |what: String, request: Q, expected: &'static str| {
        let (answer, permission) = (call(request), permission.to_owned());
        async move {
            let status = answer.await.expect_err(&what);
            let got = (status.code(), reason(&status));
            assert_eq!(
                got,
                (Code::PermissionDenied, expected.to_owned()),
                "{permission}, {what}: {}",
                status.message()
            );
        }
    };
    refused("no mandate".into(), request.bare(), "MANDATE_REQUIRED").await;
    for (what, spoil, expected) in FORGERIES {
        // A floor of one vote has nothing below it.
        let one = authority::act(kind).is_some_and(|act| act.floor.min_approvals == 1);
        if !(one && *what == "by a rule below the floor") {
            refused((*what).into(), suite.mandated_but(kind, permission, request.bare(), spoil), expected).await;
        }
    }
    let good = suite.mandated(kind, permission, request.bare());
    let mut tampered = good.clone();
    let mut parts: Vec<String> = good.mandate().split('.').map(str::to_owned).collect();
    let flipped = if parts[1].as_bytes()[40] == b'A' { "B" } else { "A" };
    parts[1].replace_range(40..41, flipped);
    tampered.set_mandate(parts.join("."));
    refused("tampered with".into(), tampered, "MANDATE_INVALID").await;
    let mut foreign = request.bare();
    let tenant = Tenant::new(suite.tenant_id()).expect("valid");
    let now = suite.now().await;
    let mandate = Mandate::sample(&tenant, kind, permission, foreign.bare_digest(), now);
    foreign.set_mandate(suite.signer().sign_as(TYP, &mandate).expect("signed"));
    refused("signed by the issuer of tokens".into(), foreign, "MANDATE_INVALID").await;
    let mut token = request.bare();
    token.set_mandate(suite.token("remit-council", remit_core::ActorKind::Service, &["service"], &[]));
    refused("a token instead".into(), token, "MANDATE_INVALID").await;

    call(good.clone()).await.unwrap_or_else(|status| panic!("{permission} with its mandate: {status:?}"));
    refused("used before".into(), good, "MANDATE_USED").await;
}

fn models(caller: &Caller) -> ModelServiceClient<crate::support::Connection> {
    ModelServiceClient::new(caller.to("registry"))
}

async fn a_transition_needs_its_mandate(suite: Suite) {
    create_model(&suite, "m").await.unwrap();
    let name = create_version(&suite, "m", &[]).await;
    evaluate(&suite, &name, true).await;
    transition(&suite.admin(), &name, ModelVersionState::Evaluating).await.unwrap();
    let request = registry::decided(&suite, &name, ModelVersionState::Approved).await;
    let client = models(&suite.service("council"));
    let call = move |request| {
        let mut client = client.clone();
        async move { client.transition_model_version(request).await }.boxed()
    };
    hold(&suite, "promote_model", "registry.versions.transition", request, call).await;
    // Each refusal is on record too, with its reason; the version has moved as often as it was decided.
    let moved = suite.entries("action = \"registry.versions.transition\" AND outcome = \"SUCCESS\"").await;
    assert_eq!(moved.len(), 2);
}

async fn an_alias_needs_its_mandate(suite: Suite) {
    create_model(&suite, "m").await.unwrap();
    let version = approved(&suite, "m", &[]).await;
    let request =
        SetModelAliasRequest { model: "models/m".into(), alias: "champion".into(), version, ..Default::default() };
    let client = models(&suite.service("council"));
    let call = move |request| {
        let mut client = client.clone();
        async move { client.set_model_alias(request).await }.boxed()
    };
    hold(&suite, "promote_model", "registry.aliases.set", request, call).await;
}

async fn an_artifact_needs_its_mandate(suite: Suite) {
    let version = create_artifact(&suite, "style", ArtifactKind::StyleGuide).await;
    let request = ApproveArtifactVersionRequest {
        name: version.name,
        content_digest: version.content_digest,
        ..Default::default()
    };
    let client = ArtifactServiceClient::new(suite.admin().to("registry"));
    let call = move |request| {
        let mut client = client.clone();
        async move { client.approve_artifact_version(request).await }.boxed()
    };
    hold(&suite, "approve_artifact", "registry.artifact_versions.approve", request, call).await;
}

async fn an_automation_needs_its_mandate(suite: Suite) {
    let automation = Automation {
        display_name: "Lead routing".into(),
        owner: "dara".into(),
        functions: vec!["sales_ops".into(), "legal".into()],
        ..Default::default()
    };
    let create =
        CreateAutomationRequest { automation_id: "a".into(), automation: Some(automation), ..Default::default() };
    let client = AutomationServiceClient::new(suite.admin().to("registry"));
    let made = client.clone().create_automation(create).await.unwrap().into_inner();
    let request =
        ApproveAutomationRequest { name: made.name, content_digest: made.content_digest, ..Default::default() };
    let call = move |request| {
        let mut client = client.clone();
        async move { client.approve_automation(request).await }.boxed()
    };
    hold(&suite, "approve_automation", "registry.automations.approve", request, call).await;
}

async fn a_gate_needs_its_mandate(suite: Suite) {
    let complete = handoff::completed(&suite, handoff::CREATIVE).await;
    let request = ActivateGateVersionRequest {
        name: complete.name,
        content_digest: complete.digest,
        reason: "agreed".into(),
        ..Default::default()
    };
    let client = GateServiceClient::new(suite.service("council").to("handoff"));
    let call = move |request| {
        let mut client = client.clone();
        async move { client.activate_gate_version(request).await }.boxed()
    };
    hold(&suite, "activate_gate", "handoff.gates.activate", request, call).await;
}

async fn a_looser_function_needs_its_mandate(suite: Suite) {
    let client = FunctionServiceClient::new(suite.service("council").to("scoring"));
    let get = GetFunctionRequest { name: "functions/paid_media".into() };
    let mut function = client.clone().get_function(get).await.unwrap().into_inner();
    function.set_status(FunctionStatus::Likely);
    let tighter = UpdateFunctionRequest { function: Some(function.clone()), ..Default::default() };
    let mut admin = FunctionServiceClient::new(suite.admin().to("scoring"));
    let refused = client.clone().update_function(tighter.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "ACTOR_KIND_NOT_ALLOWED", "a program restricts nothing either without a decision");
    function = admin.update_function(tighter).await.unwrap().into_inner();
    function.set_status(FunctionStatus::Confirmed);
    let request = UpdateFunctionRequest { function: Some(function), ..Default::default() };
    let call = move |request| {
        let mut client = client.clone();
        async move { client.update_function(request).await }.boxed()
    };
    hold(&suite, "loosen_rules", "scoring.functions.update", request, call).await;
}

async fn a_looser_kpi_and_its_end_need_their_mandates(suite: Suite) {
    let client = KpiServiceClient::new(suite.service("council").to("kpi"));
    let name = "kpis/visit_rate".to_owned();
    let mut kpi = client.clone().get_kpi(GetKpiRequest { name: name.clone() }).await.unwrap().into_inner();
    let target = Kpi { target: Some(0.5), ..kpi.clone() };
    let mut admin = KpiServiceClient::new(suite.admin().to("kpi"));
    let stricter = UpdateKpiRequest { kpi: Some(target), ..Default::default() };
    kpi = admin.update_kpi(stricter).await.unwrap().into_inner();
    let request = UpdateKpiRequest { kpi: Some(Kpi { target: None, ..kpi }), ..Default::default() };
    let update = client.clone();
    let call = move |request| {
        let mut client = update.clone();
        async move { client.update_kpi(request).await }.boxed()
    };
    hold(&suite, "loosen_rules", "kpi.definitions.update", request, call).await;
    let request = RetireKpiRequest { name, reason: "replaced".into(), ..Default::default() };
    let call = move |request| {
        let mut client = client.clone();
        async move { client.retire_kpi(request).await }.boxed()
    };
    hold(&suite, "loosen_rules", "kpi.definitions.retire", request, call).await;
}

async fn a_looser_alert_rule_and_its_end_need_their_mandates(suite: Suite) {
    let client = KpiServiceClient::new(suite.service("council").to("kpi"));
    let name = "alertRules/cross-layer".to_owned();
    let rule = client.clone().get_alert_rule(GetAlertRuleRequest { name: name.clone() }).await.unwrap().into_inner();
    let quiet = AlertRule { disabled: true, ..rule };
    let request = UpdateAlertRuleRequest { alert_rule: Some(quiet), ..Default::default() };
    let update = client.clone();
    let call = move |request| {
        let mut client = update.clone();
        async move { client.update_alert_rule(request).await }.boxed()
    };
    hold(&suite, "loosen_rules", "kpi.alert_rules.update", request, call).await;
    let request = DeleteAlertRuleRequest { name, ..Default::default() };
    let call = move |request| {
        let mut client = client.clone();
        async move { client.delete_alert_rule(request).await }.boxed()
    };
    hold(&suite, "loosen_rules", "kpi.alert_rules.delete", request, call).await;
}

async fn a_looser_calendar_needs_its_mandate(suite: Suite) {
    let client = CalendarServiceClient::new(suite.service("council").to("handoff"));
    let get = GetCalendarRequest { name: "calendars/default".into() };
    let mut calendar = client.clone().get_calendar(get).await.unwrap().into_inner();
    calendar.holidays.push(Holiday { date: "2026-05-25".into(), display_name: "Whit Monday".into() });
    let request = UpdateCalendarRequest { calendar: Some(calendar), ..Default::default() };
    let call = move |request| {
        let mut client = client.clone();
        async move { client.update_calendar(request).await }.boxed()
    };
    hold(&suite, "loosen_rules", "handoff.calendars.update", request, call).await;
}

/// By the council, from the proposal to the rule: what is tightened meanwhile is not undone unseen.
async fn a_rule_is_loosened_as_it_was_seen_and_by_a_decision(suite: Suite) {
    council::with_members(&suite).await;
    let mut admin = KpiServiceClient::new(suite.admin().to("kpi"));
    let name = "alertRules/overtrust".to_owned();
    let get = GetAlertRuleRequest { name: name.clone() };
    let rule = admin.get_alert_rule(get.clone()).await.unwrap().into_inner();
    let quiet = AlertRule { disabled: true, etag: String::new(), ..rule.clone() };
    let change = |rule: AlertRule| {
        Kind::LoosenRules(LoosenRules { change: Some(loosen_rules::Change::AlertRule(rule)), etag: String::new() })
    };
    let unknown = change(AlertRule { name: "alertRules/none".into(), ..quiet.clone() });
    let refused = council::ask(&suite, council::STEERING, "none", unknown).await.unwrap_err();
    assert_eq!(reason(&refused), "ALERT_RULE_NOT_FOUND");

    let proposal = council::propose(&suite, "one", change(quiet.clone())).await;
    let told: Vec<_> =
        proposal.changes.iter().map(|one| (one.field.as_str(), one.from.as_str(), one.to.as_str())).collect();
    assert_eq!(told, [("disabled", "false", "true")], "it says what it does");
    let grave = AlertRule { severity: AlertSeverity::Critical.into(), ..rule };
    let grave = UpdateAlertRuleRequest { alert_rule: Some(grave), ..Default::default() };
    let grave = admin.update_alert_rule(grave).await.unwrap().into_inner();
    for who in ["mia", "lea"] {
        council::approve(&council::seat(&suite, who), &proposal).await.unwrap();
    }
    crate::support::eventually("it ends", || async {
        council::get(&suite, &proposal).await.state() == ProposalState::Failed
    })
    .await;
    let error = council::get(&suite, &proposal).await.execution.unwrap_or_default().error;
    assert!(error.starts_with("ETAG_MISMATCH"), "{error}");

    let again = AlertRule { severity: grave.severity, ..quiet };
    let decided = council::decide(&suite, council::STEERING, "two", change(again), &["mia", "lea"]).await;
    assert_eq!(decided.state(), ProposalState::Executed, "{:?}", decided.execution);
    let quiet = admin.get_alert_rule(get).await.unwrap().into_inner();
    assert!(quiet.disabled && quiet.severity() == AlertSeverity::Critical);
    assert_eq!(quiet.mandate, decided.execution.unwrap_or_default().mandates[0].token, "it shows its mandate");
    let entries = suite.entries("action = \"kpi.alert_rules.update\" AND outcome = \"SUCCESS\"").await;
    let details: Vec<String> = entries.iter().filter_map(|e| Some(e.event.as_ref()?.details_json.clone())).collect();
    assert!(details.iter().any(|text| text.contains("disabled from false to true") && text.contains("proposals/two")));
}

async fn a_mandate_is_taken_once_however_many_show_it_at_once(suite: Suite) {
    create_model(&suite, "m").await.unwrap();
    let version = approved(&suite, "m", &[]).await;
    let request =
        SetModelAliasRequest { model: "models/m".into(), alias: "champion".into(), version, ..Default::default() };
    let request = suite.mandated("promote_model", "registry.aliases.set", request);
    let shown = (0..8).map(|n| {
        let mut client = models(&suite.admin());
        let request = SetModelAliasRequest { request_id: format!("at-once-{n}"), ..request.clone() };
        tokio::spawn(async move { client.set_model_alias(request).await })
    });
    let mut taken = 0;
    for answer in futures::future::join_all(shown).await {
        match answer.expect("it ran") {
            Ok(_) => taken += 1,
            Err(status) => assert_eq!(reason(&status), "MANDATE_USED"),
        }
    }
    assert_eq!(taken, 1);
}

async fn what_was_decided_is_proved_offline(suite: Suite) {
    council::with_members(&suite).await;
    create_model(&suite, "m").await.unwrap();
    let version = create_version(&suite, "m", &[]).await;
    evaluate(&suite, &version, true).await;
    transition(&suite.admin(), &version, ModelVersionState::Evaluating).await.unwrap();
    let promotion =
        PromoteModel { model_version: version.clone(), purposes: vec!["lead-scoring".into()], ..Default::default() };
    let proposal = council::propose(&suite, "p", Kind::PromoteModel(promotion)).await;
    for who in ["mia", "lea"] {
        council::approve(&council::seat(&suite, who), &proposal).await.unwrap();
    }
    let executed = council::get(&suite, &proposal).await;
    let shown = executed.execution.expect("it was carried out").mandates;
    let get = GetModelVersionRequest { name: version };
    let made = models(&suite.admin()).get_model_version(get).await.unwrap().into_inner();
    assert_eq!((shown.len(), made.mandate.as_str()), (2, shown[0].token.as_str()), "the effect keeps its mandate");

    // With nothing but the council's public key and the log.
    let keys = suite.issuer_dir().join("council-jwks.json");
    let keys = Mandates::trusting(keys.to_str().expect("a path is text")).await.expect("the keys are there");
    let mandate = keys.verify(&made.mandate).await.expect("the council signed it");
    mandate.check_decision().expect("the votes carry it");
    assert_eq!((mandate.kind.as_str(), mandate.evidence.len()), ("promote_model", 2));
    for vote in mandate.evidence {
        let entries = suite.entries(&format!("id = \"{}\"", vote.event)).await;
        let details: serde_json::Value = serde_json::from_str(&entries[0].event.clone().unwrap().details_json).unwrap();
        assert_eq!(entries[0].event.clone().unwrap().action, "council.proposals.vote");
        assert_eq!(canonical::digest(&details).unwrap(), vote.digest, "the vote of {} is in the log", vote.seat);
    }
}

/// Approved, failed, stopped by a person, and tried again: the stop stands, and nobody was shown the mandate.
async fn an_older_decision_does_not_undo_a_stop(suite: Suite) {
    council::with_members(&suite).await;
    create_model(&suite, "m").await.unwrap();
    let version = create_version(&suite, "m", &[]).await;
    transition(&suite.admin(), &version, ModelVersionState::Evaluating).await.unwrap();
    let promotion = PromoteModel {
        model_version: version.clone(),
        alias: "-".into(),
        purposes: vec!["lead-scoring".into()],
        ..Default::default()
    };
    let decided = council::decide(&suite, council::STEERING, "p", Kind::PromoteModel(promotion), &["mia", "lea"]).await;
    assert_eq!(decided.state(), ProposalState::Failed, "it has no evaluation");
    assert!(decided.execution.clone().unwrap_or_default().mandates.is_empty(), "what is not used is shown to nobody");
    suite.advance(Duration::from_secs(60)).await;
    transition(&suite.admin(), &version, ModelVersionState::Suspended).await.unwrap();
    evaluate(&suite, &version, true).await;

    let retry = |id: &str| RetryProposalRequest { name: decided.name.clone(), request_id: id.into() };
    let proposals = |caller: &Caller| ProposalServiceClient::new(caller.to("council"));
    let stranger = suite.human("eve", &["admin"], &["legal"]);
    let refused = proposals(&stranger).retry_proposal(retry("eve")).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_ELIGIBLE");
    proposals(&council::seat(&suite, "mia")).retry_proposal(retry("mia")).await.unwrap();
    let again = async || council::get(&suite, &decided).await;
    crate::support::eventually("it failed again", || async { again().await.state() == ProposalState::Failed }).await;
    let error = again().await.execution.unwrap_or_default().error;
    assert!(error.starts_with("MANDATE_OUTDATED"), "{error}");
    let get = GetModelVersionRequest { name: version };
    let stands = models(&suite.admin()).get_model_version(get).await.unwrap().into_inner();
    assert_eq!(stands.state(), ModelVersionState::Suspended);
    let cancel = CancelProposalRequest {
        name: decided.name.clone(),
        reason: "the version was stopped".into(),
        ..Default::default()
    };
    let given_up = proposals(&council::seat(&suite, "lea")).cancel_proposal(cancel).await.unwrap().into_inner();
    assert_eq!(given_up.state(), ProposalState::Cancelled);
}
