//! How approvals end and what suspends what depends on it; what counts as evidence for one.

use super::outputs::{output, record};
use super::*;
use crate::support::{eventually, stamp};
use remit_api::types::Stakes;
use remit_core::Timestamp;

cases! {
    a_withdrawn_guardrail_suspends_what_runs_with_it: WithdrawArtifactVersion;
    an_approval_ends_by_its_terms: TransitionModelVersion;
    terms_name_what_a_version_must_run_with;
    a_review_date_is_put_off_only_by_the_council: UpdateModelVersion;
    nobody_evaluates_a_version_of_their_own: AddEvaluation;
    a_review_counts_by_the_reviewers_own_word: RecordOutput;
    an_owner_is_claimed_until_she_acts_herself: UpdateModel, UpdateArtifact, UpdateAutomation;
}

const DAY: Duration = Duration::from_secs(86_400);

async fn found(suite: &Suite, name: &str) -> ModelVersion {
    let request = GetModelVersionRequest { name: name.into() };
    models(&suite.admin()).get_model_version(request).await.unwrap().into_inner()
}

/// A version that was evaluated and waits for its approval.
async fn evaluated(suite: &Suite, model: &str, artifacts: &[String]) -> String {
    let name = create_version(suite, model, artifacts).await;
    evaluate(suite, &name, true).await;
    transition(&suite.admin(), &name, ModelVersionState::Evaluating).await.unwrap();
    name
}

/// An approval with terms, by a mandate.
pub(in crate::api) async fn approve_by(
    suite: &Suite,
    name: &str,
    terms: ApprovalTerms,
) -> Result<ModelVersion, Status> {
    let request = decided(suite, name, ModelVersionState::Approved).await.bare();
    let request = TransitionModelVersionRequest { terms: Some(terms), ..request };
    let request = suite.mandated("promote_model", "registry.versions.transition", request);
    models(&suite.admin()).transition_model_version(request).await.map(tonic::Response::into_inner)
}

pub(in crate::api) fn until(end: Timestamp) -> ApprovalTerms {
    ApprovalTerms { expire_time: Some(stamp(end)), ..Default::default() }
}

async fn a_withdrawn_guardrail_suspends_what_runs_with_it(suite: Suite) {
    let guardrail = create_artifact(&suite, "guardrail", ArtifactKind::Guardrail).await;
    approve_artifact(&suite, &guardrail).await;
    create_model(&suite, "m").await.unwrap();
    let with = std::slice::from_ref(&guardrail.name);
    let (one, two) = (approved(&suite, "m", with).await, approved(&suite, "m", with).await);
    by_mandate(&suite, &two, ModelVersionState::Restricted).await.unwrap();
    let (waiting, without) = (evaluated(&suite, "m", with).await, approved(&suite, "m", &[]).await);
    let alias = SetModelAliasRequest {
        model: "models/m".into(),
        alias: "champion".into(),
        version: one.clone(),
        ..Default::default()
    };
    let alias = suite.mandated("promote_model", "registry.aliases.set", alias);
    models(&suite.admin()).set_model_alias(alias).await.unwrap();
    let watched = WatchModelStatesRequest::default();
    let mut watch = models(&suite.admin()).watch_model_states(watched).await.unwrap().into_inner();
    while watch.next().await.unwrap().unwrap().phase() != WatchPhase::SnapshotDone {}

    let request =
        WithdrawArtifactVersionRequest { name: guardrail.name.clone(), reason: "leaks".into(), ..Default::default() };
    let person = suite.human("ben", &["admin"], &[]);
    let answer = artifacts(&person).withdraw_artifact_version(request).await.unwrap().into_inner();
    let both = [one.clone(), two.clone()];
    assert_eq!((answer.affected_count, answer.affected_model_versions.as_slice()), (2, both.as_slice()));
    for name in &both {
        let version = found(&suite, name).await;
        assert_eq!((version.state(), version.withdrawn_artifacts.as_slice()), (ModelVersionState::Suspended, with));
        assert!(version.state_reason.contains(&guardrail.name), "{}", version.state_reason);
        let change = next_change(&mut watch).await.item.unwrap();
        assert_eq!(
            (&change.name, change.state(), change.withdrawn_artifacts.as_slice()),
            (name, version.state(), with)
        );
        let filter = format!("resource = \"{name}\" AND action = \"registry.versions.transition\"");
        let last = suite.entries(&filter).await.pop().unwrap().event.unwrap();
        assert_eq!(last.actor.unwrap().subject, "ben");
        assert!(last.reason.contains(&guardrail.name) && last.details_json.contains("SUSPENDED"), "{}", last.reason);
    }
    assert_eq!(found(&suite, &one).await.aliases, ["champion"]);
    assert_eq!(found(&suite, &without).await.state(), ModelVersionState::Approved);
    assert_eq!(found(&suite, &waiting).await.state(), ModelVersionState::Evaluating);
    for name in [&one, &waiting] {
        let again = by_mandate(&suite, name, ModelVersionState::Approved).await;
        assert_eq!(refusal(again), "ARTIFACT_NOT_APPROVED");
    }
}

async fn an_approval_ends_by_its_terms(suite: Suite) {
    create_model(&suite, "m").await.unwrap();
    let name = evaluated(&suite, "m", &[]).await;
    let now = suite.now().await;
    let past = approve_by(&suite, &name, until(now)).await.unwrap_err();
    assert_eq!((past.code(), reason(&past).as_str()), (Code::InvalidArgument, "TIME_OUT_OF_RANGE"));
    assert!(past.message().contains("terms.expire_time"), "{}", past.message());
    let approved = approve_by(&suite, &name, until(now.plus(DAY * 10))).await.unwrap();
    assert_eq!(approved.terms, Some(until(now.plus(DAY * 10))));
    let misplaced =
        TransitionModelVersionRequest { terms: Some(until(now.plus(DAY))), ..to(&name, ModelVersionState::Suspended) };
    assert_eq!(refusal(models(&suite.admin()).transition_model_version(misplaced).await), "FIELD_NOT_ALLOWED");

    for (days, state) in [(10, ModelVersionState::Restricted), (30, ModelVersionState::Suspended)] {
        suite.advance(DAY * days).await;
        eventually("the approval ends", || async { found(&suite, &name).await.state() == state }).await;
        let version = found(&suite, &name).await;
        assert!(version.state_reason.starts_with("APPROVAL_EXPIRED"), "{}", version.state_reason);
        let runs = state == ModelVersionState::Restricted;
        assert_eq!((version.purposes.is_empty(), version.mandate.is_empty()), (!runs, !runs));
    }
    let filter = format!("resource = \"{name}\" AND action = \"registry.versions.expire\"");
    let entries = suite.entries(&filter).await;
    let subjects: Vec<String> = entries.into_iter().map(|entry| entry.event.unwrap().actor.unwrap().subject).collect();
    assert_eq!(subjects, ["remit-registry", "remit-registry"]);
    by_mandate(&suite, &name, ModelVersionState::Approved).await.unwrap();
    let version = found(&suite, &name).await;
    assert_eq!((version.state(), version.terms), (ModelVersionState::Approved, None));
}

async fn terms_name_what_a_version_must_run_with(suite: Suite) {
    let guardrail = create_artifact(&suite, "guardrail", ArtifactKind::Guardrail).await;
    approve_artifact(&suite, &guardrail).await;
    create_model(&suite, "m").await.unwrap();
    let with = std::slice::from_ref(&guardrail.name);
    let (bare, whole) = (evaluated(&suite, "m", &[]).await, evaluated(&suite, "m", with).await);
    let terms = |name: &str| ApprovalTerms { required_artifacts: vec![name.into()], ..Default::default() };
    let unmet = approve_by(&suite, &bare, terms(&guardrail.name)).await.unwrap_err();
    assert_eq!((unmet.code(), reason(&unmet).as_str()), (Code::FailedPrecondition, "APPROVAL_CONDITION_UNMET"));
    assert!(unmet.message().contains(&guardrail.name), "{}", unmet.message());
    assert_eq!(refusal(approve_by(&suite, &whole, terms("guardrails/g")).await), "NAME_INVALID");
    let approved = approve_by(&suite, &whole, terms(&guardrail.name)).await.unwrap();
    assert_eq!(approved.terms.unwrap().required_artifacts, with);
    let request = ListModelVersionTransitionsRequest { parent: whole, ..Default::default() };
    let moves = models(&suite.admin()).list_model_version_transitions(request).await.unwrap().into_inner().transitions;
    assert_eq!(moves[0].terms.as_ref().unwrap().required_artifacts, with);
}

async fn a_review_date_is_put_off_only_by_the_council(suite: Suite) {
    create_model(&suite, "m").await.unwrap();
    let name = evaluated(&suite, "m", &[]).await;
    let now = suite.now().await;
    let review = async |days: Option<u32>| {
        let review_by = days.map(|days| stamp(now.plus(DAY * days)));
        let request = UpdateModelVersionRequest {
            model_version: Some(ModelVersion { name: name.clone(), review_by, ..Default::default() }),
            update_mask: mask(&["review_by"]),
            request_id: String::new(),
        };
        models(&suite.admin()).update_model_version(request).await.map(tonic::Response::into_inner)
    };
    review(Some(400)).await.unwrap();
    review(Some(90)).await.unwrap();
    by_mandate(&suite, &name, ModelVersionState::Approved).await.unwrap();
    review(Some(30)).await.unwrap();
    for later in [Some(31), None] {
        let refused = review(later).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "MANDATE_REQUIRED"));
    }
    let terms = ApprovalTerms { review_by: Some(stamp(now.plus(DAY * 60))), ..Default::default() };
    let renewed = approve_by(&suite, &name, terms).await.unwrap();
    assert_eq!(renewed.review_by, Some(stamp(now.plus(DAY * 60))));
}

async fn nobody_evaluates_a_version_of_their_own(suite: Suite) {
    create_model(&suite, "m").await.unwrap();
    let name = create_version(&suite, "m", &[]).await;
    transition(&suite.admin(), &name, ModelVersionState::Evaluating).await.unwrap();
    let add = async |caller: &Caller, id: &str| {
        let evaluation = Evaluation {
            id: id.into(),
            suite: "holdout".into(),
            metrics: BTreeMap::from([("auc".to_owned(), 0.79)]),
            passed: true,
            ..Default::default()
        };
        let request = AddEvaluationRequest { name: name.clone(), evaluation: Some(evaluation), ..Default::default() };
        models(caller).add_evaluation(request).await.unwrap().into_inner().evaluations.pop().unwrap()
    };
    assert!(add(&suite.admin(), "own").await.self_reported);
    assert_eq!(refusal(by_mandate(&suite, &name, ModelVersionState::Approved).await), "EVALUATION_REQUIRED");
    // Another program of the same people has another name; whose it is must be known.
    let pipeline = suite.caller("pipeline", ActorKind::Service, &["operator"], &[]);
    let their_own = ["admin", "dara"].map(|maker| (maker, suite.acting_for("pipeline", &["operator"], maker)));
    assert!(add(&pipeline, "anybodys").await.self_reported);
    for (maker, pipeline) in &their_own {
        assert!(add(pipeline, maker).await.self_reported, "{maker}");
    }
    assert_eq!(refusal(by_mandate(&suite, &name, ModelVersionState::Approved).await), "EVALUATION_REQUIRED");
    assert!(!add(&suite.acting_for("pipeline", &["operator"], "eve"), "eves").await.self_reported);
    by_mandate(&suite, &name, ModelVersionState::Approved).await.unwrap();
}

async fn a_review_counts_by_the_reviewers_own_word(suite: Suite) {
    let made = |stakes| Output {
        model_version: String::new(),
        decision: String::new(),
        digital_source_type: DigitalSourceType::HumanEdits.into(),
        reviews: vec![HumanReview {
            reviewer: "ben".into(),
            could_amend: true,
            evidence: ClaimEvidence::Signed.into(),
            ..Default::default()
        }],
        ..output("", stakes, "asset")
    };
    let claimed = record(&suite.platform(), "claimed", made(Stakes::Low)).await.unwrap();
    assert_eq!((claimed.reviews[0].evidence(), claimed.complete), (ClaimEvidence::Claimed, false));
    assert_eq!(
        (claimed.warnings[0].reason.as_str(), claimed.warnings[0].field.as_str()),
        ("REVIEW_NOT_SIGNED", "reviews[0]")
    );
    for caller in [suite.platform(), suite.human("ada", &["admin"], &[])] {
        let refused = record(&caller, "high", made(Stakes::High)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REVIEW_NOT_SIGNED"));
    }
    let signed = record(&suite.human("ben", &["admin"], &[]), "high", made(Stakes::High)).await.unwrap();
    assert_eq!((signed.reviews[0].evidence(), signed.complete), (ClaimEvidence::Signed, true));
}

async fn an_owner_is_claimed_until_she_acts_herself(suite: Suite) {
    let (person, ada) = (suite.admin(), suite.human("ada", &["admin"], &[]));
    let model = create_model(&suite, "m").await.unwrap();
    assert_eq!((model.owner.as_str(), model.owner_confirmed_time), ("dara", None));
    let update = |owner: &str, path: &str, text: &str| UpdateModelRequest {
        model: Some(Model {
            name: "models/m".into(),
            owner: owner.into(),
            description: text.into(),
            ..Default::default()
        }),
        update_mask: mask(&[path]),
        request_id: String::new(),
    };
    let named = models(&person).update_model(update("ada", "owner", "")).await.unwrap().into_inner();
    assert_eq!(named.owner_confirmed_time, None);
    let taken_on = models(&ada).update_model(update("", "description", "mine")).await.unwrap().into_inner();
    assert!(taken_on.owner_confirmed_time.is_some());
    let later = models(&person).update_model(update("", "description", "hers")).await.unwrap().into_inner();
    assert_eq!(later.owner_confirmed_time, taken_on.owner_confirmed_time);
    let given_on = models(&ada).update_model(update("ben", "owner", "")).await.unwrap().into_inner();
    assert_eq!(given_on.owner_confirmed_time, None);

    create_artifact(&suite, "prompt", ArtifactKind::Prompt).await;
    let artifact = Artifact { name: "artifacts/prompt".into(), owner: "ada".into(), ..Default::default() };
    let request =
        UpdateArtifactRequest { artifact: Some(artifact), update_mask: mask(&["owner"]), ..Default::default() };
    let taken_on = artifacts(&ada).update_artifact(request).await.unwrap().into_inner();
    assert!(taken_on.owner_confirmed_time.is_some());

    let automation = Automation {
        display_name: "a".into(),
        owner: "ada".into(),
        functions: vec!["sales_ops".into(), "legal".into()],
        ..Default::default()
    };
    let request =
        CreateAutomationRequest { automation_id: "a".into(), automation: Some(automation), ..Default::default() };
    let made = automations(&person).create_automation(request).await.unwrap().into_inner();
    assert_eq!(made.owner_confirmed_time, None);
    let automation = Automation { data_flow: "leads".into(), ..made };
    let request = UpdateAutomationRequest {
        automation: Some(automation),
        update_mask: mask(&["data_flow"]),
        ..Default::default()
    };
    let taken_on = automations(&ada).update_automation(request).await.unwrap().into_inner();
    assert!(taken_on.owner_confirmed_time.is_some());
}
