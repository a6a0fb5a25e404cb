//! How the answers of checks follow an approval to its end.

use super::{create, decide, task};
use crate::api::cases;
use crate::api::registry::approvals::{approve_by, until};
use crate::api::registry::outputs::{output, record};
use crate::api::registry::{approve_artifact, create_artifact, create_model, create_version, evaluate, transition};
use crate::support::{Suite, eventually};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::{ApprovalTerms, ArtifactKind, ModelVersionState, WithdrawArtifactVersionRequest};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::*;
use remit_api::types::{AutonomyPattern, Stakes};
use std::time::Duration;

cases! {
    a_check_follows_an_approval_to_its_end;
    a_check_is_denied_with_the_artifact_that_was_withdrawn;
    a_check_follows_the_outputs_of_a_day;
}

const DAY: Duration = Duration::from_secs(86_400);

/// A decided task, and a version that is evaluated for it and runs with these artifacts.
async fn prepare(suite: &Suite, artifacts: &[String]) -> String {
    create(suite, "t", Task { purpose: "lead-scoring".into(), ..task("T", (5, 1, 1)) }).await;
    decide(suite, "t").await;
    create_model(suite, "m").await.unwrap();
    let name = create_version(suite, "m", artifacts).await;
    evaluate(suite, &name, true).await;
    transition(&suite.admin(), &name, ModelVersionState::Evaluating).await.unwrap();
    name
}

async fn check(suite: &Suite, version: &str) -> CheckTaskResponse {
    let request = CheckTaskRequest {
        task: "tasks/t".into(),
        model_version: version.into(),
        run_id: "run-1".into(),
        ..Default::default()
    };
    let mut platform = DecisionServiceClient::new(suite.platform().to("scoring"));
    platform.check_task(request).await.unwrap().into_inner()
}

fn effect(answer: &CheckTaskResponse, code: &str) -> Option<ReasonEffect> {
    answer.reasons.iter().find(|reason| reason.code == code).map(CheckReason::effect)
}

async fn a_check_follows_an_approval_to_its_end(suite: Suite) {
    let version = prepare(&suite, &[]).await;
    let end = suite.now().await.plus(DAY * 20);
    approve_by(&suite, &version, until(end)).await.unwrap();
    eventually("the approval is seen", || async { check(&suite, &version).await.verdict() == Verdict::Permit }).await;
    let answer = check(&suite, &version).await;
    assert!(answer.reasons.iter().all(|reason| !reason.code.starts_with("APPROVAL")), "{:?}", answer.reasons);
    suite.advance(DAY * 10).await;
    assert_eq!(effect(&check(&suite, &version).await, "APPROVAL_ENDS"), Some(ReasonEffect::Info));
    suite.advance(DAY * 10).await;
    let answer = check(&suite, &version).await;
    assert_eq!(
        (answer.verdict(), effect(&answer, "APPROVAL_EXPIRED")),
        (Verdict::Permit, Some(ReasonEffect::Restrict))
    );
    assert_eq!(answer.obligations.unwrap().pattern(), AutonomyPattern::HumanInTheLoop);
    suite.advance(DAY * 30).await;
    let answer = check(&suite, &version).await;
    assert_eq!((answer.verdict(), effect(&answer, "APPROVAL_EXPIRED")), (Verdict::Deny, Some(ReasonEffect::Deny)));
    eventually("the suspension is seen", || async {
        let answer = check(&suite, &version).await;
        let gone = effect(&answer, "MODEL_SUSPENDED") == Some(ReasonEffect::Deny);
        gone && effect(&answer, "APPROVAL_EXPIRED") == Some(ReasonEffect::Deny)
    })
    .await;
}

async fn a_check_is_denied_with_the_artifact_that_was_withdrawn(suite: Suite) {
    let guardrail = create_artifact(&suite, "guardrail", ArtifactKind::Guardrail).await;
    approve_artifact(&suite, &guardrail).await;
    let version = prepare(&suite, std::slice::from_ref(&guardrail.name)).await;
    let terms = ApprovalTerms { required_artifacts: vec![guardrail.name.clone()], ..Default::default() };
    approve_by(&suite, &version, terms).await.unwrap();
    eventually("the approval is seen", || async { check(&suite, &version).await.verdict() == Verdict::Permit }).await;
    let request =
        WithdrawArtifactVersionRequest { name: guardrail.name.clone(), reason: "leaks".into(), ..Default::default() };
    let mut people = ArtifactServiceClient::new(suite.admin().to("registry"));
    people.withdraw_artifact_version(request).await.unwrap();
    eventually("the withdrawal is seen", || async {
        let answer = check(&suite, &version).await;
        let named = |reason: &CheckReason| reason.code == "ARTIFACT_WITHDRAWN" && reason.resource == guardrail.name;
        answer.verdict() == Verdict::Deny && answer.reasons.iter().any(named)
    })
    .await;
}

async fn a_check_follows_the_outputs_of_a_day(suite: Suite) {
    let version = prepare(&suite, &[]).await;
    let terms = ApprovalTerms { max_outputs_per_day: 3, time_zone: "Europe/Lisbon".into(), ..Default::default() };
    approve_by(&suite, &version, terms).await.unwrap();
    eventually("the approval is seen", || async { check(&suite, &version).await.verdict() == Verdict::Permit }).await;
    let make = async |count: usize, from: &str| {
        for n in 0..count {
            record(&suite.platform(), &format!("{from}-{n}"), output(&version, Stakes::Low, "asset")).await.unwrap();
        }
    };
    let seen = async |code: &str, wanted: ReasonEffect| {
        eventually(code, || async { effect(&check(&suite, &version).await, code) == Some(wanted) }).await;
        check(&suite, &version).await
    };
    make(3, "allowed").await;
    let answer = seen("DAILY_OUTPUTS_REACHED", ReasonEffect::Restrict).await;
    assert_eq!(answer.verdict(), Verdict::Permit);
    assert_eq!(answer.obligations.unwrap().pattern(), AutonomyPattern::HumanInTheLoop);
    make(3, "beyond").await;
    let answer = seen("DAILY_OUTPUTS_EXCEEDED", ReasonEffect::Deny).await;
    assert_eq!(answer.verdict(), Verdict::Deny);
    // A new day by the clock of whoever checks, and then on record.
    suite.advance(DAY).await;
    let answer = check(&suite, &version).await;
    assert_eq!((answer.verdict(), effect(&answer, "DAILY_OUTPUTS_EXCEEDED")), (Verdict::Permit, None));
    suite.settle().await;
    let entries = suite.entries("action = \"registry.versions.limit\"").await;
    let limits = entries.iter().filter_map(|entry| entry.event.as_ref()).map(|event| {
        let details: serde_json::Value = serde_json::from_str(&event.details_json).unwrap();
        let limit = details.get("limit").and_then(|limit| limit.as_str()).unwrap_or_default().to_owned();
        (limit, event.actor.as_ref().unwrap().subject.clone())
    });
    let by = |limit: &str, subject: &str| (limit.to_owned(), subject.to_owned());
    let expected = [by("REACHED", "platform"), by("EXCEEDED", "platform"), by("", "remit-registry")];
    assert_eq!(limits.collect::<Vec<_>>(), expected);
}
