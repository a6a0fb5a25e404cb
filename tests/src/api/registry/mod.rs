//! The cases of the service `registry`: models and their versions; [`approvals`], [`artifacts`] and [`outputs`] have
//! the rest.

pub mod approvals;
pub mod artifacts;
pub mod outputs;

use super::cases;
use crate::support::{Caller, Connection, Suite, reason};
use futures::StreamExt as _;
use remit_api::audit::v1::Outcome;
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::*;
use remit_api::types::WatchPhase;
use remit_api::wire::Mandated as _;
use remit_core::{ActorKind, digest};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    a_version_runs_only_by_a_proposal_and_stops_at_a_persons_word: CreateModel, TransitionModelVersion;
    what_a_version_is_never_changes: UpdateModel, UpdateModelVersion;
    approval_needs_evidence_and_approved_artifacts:
        CreateArtifact, CreateArtifactVersion, WithdrawArtifactVersion, CreateModelVersion, AddEvaluation;
    an_alias_moves_in_one_step_and_keeps_its_history: SetModelAlias;
    the_watch_gives_a_snapshot_then_changes_and_resumes;
    bad_input_names_the_field;
    tenants_do_not_see_each_other;
}

pub(super) fn models(caller: &Caller) -> ModelServiceClient<Connection> {
    ModelServiceClient::new(caller.to("registry"))
}

fn artifacts(caller: &Caller) -> ArtifactServiceClient<Connection> {
    ArtifactServiceClient::new(caller.to("registry"))
}

fn automations(caller: &Caller) -> AutomationServiceClient<Connection> {
    AutomationServiceClient::new(caller.to("registry"))
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
}

pub(super) async fn create_model(suite: &Suite, id: &str) -> Result<Model, Status> {
    let model = Model { display_name: id.into(), owner: "dara".into(), ..Default::default() };
    let request = CreateModelRequest { model_id: id.into(), model: Some(model), ..Default::default() };
    models(&suite.admin()).create_model(request).await.map(tonic::Response::into_inner)
}

pub(super) fn version_message(artifacts: &[String]) -> ModelVersion {
    ModelVersion {
        provider: "in-house".into(),
        base_model: "logistic regression".into(),
        artifact_digest: digest::sha256(b"weights"),
        artifacts: artifacts.to_vec(),
        intended_use: "rank leads".into(),
        owner: "dara".into(),
        ..Default::default()
    }
}

pub(super) async fn create_version(suite: &Suite, model: &str, artifacts: &[String]) -> String {
    let request = CreateModelVersionRequest {
        parent: format!("models/{model}"),
        model_version: Some(version_message(artifacts)),
        ..Default::default()
    };
    models(&suite.admin()).create_model_version(request).await.unwrap().into_inner().name
}

pub(super) async fn evaluate(suite: &Suite, name: &str, passed: bool) {
    let evaluation = Evaluation {
        id: format!("e-{passed}"),
        suite: "holdout".into(),
        metrics: BTreeMap::from([("auc".to_owned(), 0.79), ("brier".to_owned(), 0.11)]),
        passed,
        ..Default::default()
    };
    let request = AddEvaluationRequest { name: name.into(), evaluation: Some(evaluation), ..Default::default() };
    // By somebody else than who registers versions here.
    models(&suite.human("eve", &["admin"], &[])).add_evaluation(request).await.unwrap();
}

fn to(name: &str, state: ModelVersionState) -> TransitionModelVersionRequest {
    let runs = matches!(state, ModelVersionState::Approved | ModelVersionState::Restricted);
    TransitionModelVersionRequest {
        name: name.into(),
        state: state.into(),
        purposes: if runs { vec!["lead-scoring".into()] } else { vec![] },
        reason: "as decided".into(),
        ..Default::default()
    }
}

pub(super) async fn transition(caller: &Caller, name: &str, state: ModelVersionState) -> Result<ModelVersion, Status> {
    models(caller).transition_model_version(to(name, state)).await.map(tonic::Response::into_inner)
}

/// The move as the council would ask for it: about the content that is there, with a mandate.
pub(super) async fn decided(suite: &Suite, name: &str, state: ModelVersionState) -> TransitionModelVersionRequest {
    let get = GetModelVersionRequest { name: name.into() };
    let content_digest = match state {
        ModelVersionState::Approved | ModelVersionState::Restricted => {
            models(&suite.admin()).get_model_version(get).await.unwrap().into_inner().content_digest
        }
        _ => String::new(),
    };
    let kind = match state {
        ModelVersionState::Restricted => "restrict_model",
        ModelVersionState::Retired => "retire_model",
        ModelVersionState::Suspended => "suspend_model",
        _ => "promote_model",
    };
    let request = TransitionModelVersionRequest { content_digest, ..to(name, state) };
    suite.mandated(kind, "registry.versions.transition", request)
}

pub(super) async fn by_mandate(suite: &Suite, name: &str, state: ModelVersionState) -> Result<ModelVersion, Status> {
    let request = decided(suite, name, state).await;
    models(&suite.admin()).transition_model_version(request).await.map(tonic::Response::into_inner)
}

/// A version that is APPROVED.
pub(super) async fn approved(suite: &Suite, model: &str, artifacts: &[String]) -> String {
    let name = create_version(suite, model, artifacts).await;
    evaluate(suite, &name, true).await;
    transition(&suite.admin(), &name, ModelVersionState::Evaluating).await.unwrap();
    by_mandate(suite, &name, ModelVersionState::Approved).await.unwrap();
    name
}

pub(super) async fn create_artifact(suite: &Suite, id: &str, kind: ArtifactKind) -> ArtifactVersion {
    let artifact = Artifact { kind: kind.into(), display_name: id.into(), owner: "dara".into(), ..Default::default() };
    let request = CreateArtifactRequest { artifact_id: id.into(), artifact: Some(artifact), ..Default::default() };
    let mut client = artifacts(&suite.admin());
    let artifact = client.create_artifact(request).await.unwrap().into_inner();
    add_artifact_version(suite, &artifact.name, id, "").await
}

async fn add_artifact_version(suite: &Suite, artifact: &str, content: &str, base: &str) -> ArtifactVersion {
    let request = CreateArtifactVersionRequest {
        parent: artifact.into(),
        artifact_version: Some(ArtifactVersion {
            content: content.into(),
            media_type: "text/plain".into(),
            base_version: base.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    artifacts(&suite.admin()).create_artifact_version(request).await.unwrap().into_inner()
}

pub(super) async fn approve_artifact(suite: &Suite, version: &ArtifactVersion) {
    let request = ApproveArtifactVersionRequest {
        name: version.name.clone(),
        content_digest: version.content_digest.clone(),
        ..Default::default()
    };
    let request = suite.mandated("approve_artifact", "registry.artifact_versions.approve", request);
    artifacts(&suite.admin()).approve_artifact_version(request).await.unwrap();
}

pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    reason(&answer.expect_err("this must be refused"))
}

async fn a_version_runs_only_by_a_proposal_and_stops_at_a_persons_word(suite: Suite) {
    let (person, council) = (suite.admin(), suite.service("council"));
    create_model(&suite, "m").await.unwrap();
    let name = create_version(&suite, "m", &[]).await;
    evaluate(&suite, &name, true).await;
    let skipped = transition(&council, &name, ModelVersionState::Approved).await.unwrap_err();
    assert_eq!((skipped.code(), reason(&skipped).as_str()), (Code::FailedPrecondition, "TRANSITION_NOT_ALLOWED"));
    assert!(skipped.message().contains("allowed: EVALUATING, RETIRED"), "{}", skipped.message());
    transition(&person, &name, ModelVersionState::Evaluating).await.unwrap();
    let alone = transition(&person, &name, ModelVersionState::Approved).await.unwrap_err();
    assert_eq!((alone.code(), reason(&alone).as_str()), (Code::InvalidArgument, "FIELD_REQUIRED"));
    let bare = decided(&suite, &name, ModelVersionState::Approved).await.bare();
    for caller in [&person, &council] {
        let alone = models(caller).transition_model_version(bare.clone()).await.unwrap_err();
        assert_eq!((alone.code(), reason(&alone).as_str()), (Code::PermissionDenied, "MANDATE_REQUIRED"));
    }
    let other = TransitionModelVersionRequest { content_digest: digest::sha256(b"another"), ..bare };
    let other = suite.mandated("promote_model", "registry.versions.transition", other);
    assert_eq!(refusal(models(&council).transition_model_version(other).await), "CONTENT_CHANGED");
    let ai = suite.caller("bot", ActorKind::Ai, &["admin"], &[]);
    assert_eq!(transition(&ai, &name, ModelVersionState::Suspended).await.unwrap_err().code(), Code::PermissionDenied);

    let version = by_mandate(&suite, &name, ModelVersionState::Approved).await.unwrap();
    assert_eq!(
        (version.purposes.as_slice(), version.proposal.as_str()),
        (["lead-scoring".to_owned()].as_slice(), "proposals/sample")
    );
    assert!(!version.mandate.is_empty(), "the mandate stays with what it let happen");
    let silent = TransitionModelVersionRequest { reason: String::new(), ..to(&name, ModelVersionState::Suspended) };
    assert_eq!(refusal(models(&person).transition_model_version(silent.clone()).await), "FIELD_REQUIRED");
    let stop = TransitionModelVersionRequest { reason: "complaints".into(), ..silent };
    let stopped = models(&person).transition_model_version(stop).await.unwrap().into_inner();
    assert_eq!((stopped.state(), stopped.state_reason.as_str()), (ModelVersionState::Suspended, "complaints"));
    assert!(stopped.purposes.is_empty());
    assert_eq!(refusal(transition(&person, &name, ModelVersionState::Evaluating).await), "MANDATE_REQUIRED");
    by_mandate(&suite, &name, ModelVersionState::Restricted).await.unwrap();
    by_mandate(&suite, &name, ModelVersionState::Retired).await.unwrap();
    assert_eq!(refusal(transition(&council, &name, ModelVersionState::Approved).await), "TRANSITION_NOT_ALLOWED");

    let request = ListModelVersionTransitionsRequest { parent: name.clone(), ..Default::default() };
    let moves = models(&person).list_model_version_transitions(request).await.unwrap().into_inner().transitions;
    let states: Vec<_> = moves.iter().rev().map(ModelVersionTransition::to_state).collect();
    use ModelVersionState::{Approved, Evaluating, Restricted, Retired, Suspended};
    assert_eq!(states, [Evaluating, Approved, Suspended, Restricted, Retired]);
    let entries = suite.entries(&format!("resource = \"{name}\" AND action = \"registry.versions.transition\"")).await;
    let refused: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.event.as_ref().filter(|event| event.outcome() == Outcome::Denied))
        .collect();
    assert_eq!(entries.len() - refused.len(), 5);
    let reasons: Vec<_> = refused.iter().map(|event| event.reason.as_str()).collect();
    let (early, content, late) = ("TRANSITION_NOT_ALLOWED", "CONTENT_CHANGED", "TRANSITION_NOT_ALLOWED");
    let required = "MANDATE_REQUIRED";
    assert_eq!(reasons, [early, required, required, content, required, late], "whatever was tried is on record");
}

async fn what_a_version_is_never_changes(suite: Suite) {
    let person = suite.admin();
    let model = create_model(&suite, "m").await.unwrap();
    assert_eq!(refusal(create_model(&suite, "m").await), "MODEL_EXISTS");
    assert_eq!(refusal(create_model(&suite, "m/n").await), "ID_INVALID");
    let update = UpdateModelRequest {
        model: Some(Model {
            name: model.name.clone(),
            owner: "ada".into(),
            etag: model.etag.clone(),
            ..Default::default()
        }),
        update_mask: mask(&["owner"]),
        request_id: String::new(),
    };
    let changed = models(&person).update_model(update.clone()).await.unwrap().into_inner();
    assert_eq!((changed.owner.as_str(), changed.display_name.as_str()), ("ada", "m"));
    let stale =
        models(&person).update_model(UpdateModelRequest { request_id: "other".into(), ..update }).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!((model.etag.as_str(), changed.etag.as_str()), ("r1", "r2"));
    for (paths, display_name) in [(vec!["*"], "one"), (vec![], "two")] {
        let whole = Model {
            name: model.name.clone(),
            display_name: display_name.into(),
            owner: "ben".into(),
            ..Default::default()
        };
        let update = UpdateModelRequest { model: Some(whole), update_mask: mask(&paths), ..Default::default() };
        let changed = models(&person).update_model(update).await.unwrap().into_inner();
        assert_eq!((changed.owner.as_str(), changed.display_name.as_str()), ("ben", display_name));
    }

    let name = create_version(&suite, "m", &[]).await;
    let update = |path: &str| UpdateModelVersionRequest {
        model_version: Some(ModelVersion {
            name: name.clone(),
            provider: "another".into(),
            known_issues: vec!["weak for new segments".into()],
            ..Default::default()
        }),
        update_mask: mask(&[path]),
        request_id: String::new(),
    };
    assert_eq!(refusal(models(&person).update_model_version(update("provider")).await), "UPDATE_MASK_INVALID");
    assert_eq!(refusal(models(&person).update_model_version(update("state")).await), "UPDATE_MASK_INVALID");
    let before =
        models(&person).get_model_version(GetModelVersionRequest { name: name.clone() }).await.unwrap().into_inner();
    let after = models(&person).update_model_version(update("known_issues")).await.unwrap().into_inner();
    assert_eq!((after.provider.as_str(), after.known_issues.len()), ("in-house", 1));
    assert_eq!(after.content_digest, before.content_digest);
    assert_ne!(after.etag, before.etag);
    assert!(after.documentation_gaps.contains(&"limitations".to_owned()));
    assert!(!after.documentation_gaps.contains(&"base_model".to_owned()));

    let request = ListModelVersionsRequest {
        parent: "models/-".into(),
        filter: format!("state = \"PROPOSED\" AND artifact_digest = \"{}\"", digest::sha256(b"weights")),
        page_size: 1,
        ..Default::default()
    };
    create_version(&suite, "m", &[]).await;
    let first = models(&person).list_model_versions(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.model_versions[0].name, "models/m/versions/2");
    let next = ListModelVersionsRequest { page_token: first.next_page_token.clone(), ..request.clone() };
    let second = models(&person).list_model_versions(next).await.unwrap().into_inner();
    assert_eq!((second.model_versions[0].name.as_str(), second.next_page_token.as_str()), (name.as_str(), ""));
    let misused = ListModelVersionsRequest { page_token: first.next_page_token, filter: String::new(), ..request };
    assert_eq!(refusal(models(&person).list_model_versions(misused).await), "PAGE_TOKEN_INVALID");
    let unknown =
        ListModelVersionsRequest { parent: "models/m".into(), filter: "colour = \"red\"".into(), ..Default::default() };
    assert_eq!(refusal(models(&person).list_model_versions(unknown).await), "FILTER_INVALID");
}

async fn approval_needs_evidence_and_approved_artifacts(suite: Suite) {
    let person = suite.admin();
    create_model(&suite, "m").await.unwrap();
    let prompt = create_artifact(&suite, "prompt", ArtifactKind::Prompt).await;
    let name = create_version(&suite, "m", std::slice::from_ref(&prompt.name)).await;
    transition(&person, &name, ModelVersionState::Evaluating).await.unwrap();
    assert_eq!(refusal(by_mandate(&suite, &name, ModelVersionState::Approved).await), "EVALUATION_REQUIRED");
    evaluate(&suite, &name, false).await;
    assert_eq!(refusal(by_mandate(&suite, &name, ModelVersionState::Approved).await), "EVALUATION_REQUIRED");
    evaluate(&suite, &name, true).await;
    let lacking = by_mandate(&suite, &name, ModelVersionState::Approved).await.unwrap_err();
    assert_eq!(reason(&lacking), "ARTIFACT_NOT_APPROVED");
    assert!(lacking.message().contains(&prompt.name));
    approve_artifact(&suite, &prompt).await;
    by_mandate(&suite, &name, ModelVersionState::Approved).await.unwrap();
    let request =
        WithdrawArtifactVersionRequest { name: prompt.name.clone(), reason: "leaks".into(), ..Default::default() };
    let answer = artifacts(&person).withdraw_artifact_version(request).await.unwrap().into_inner();
    assert_eq!(answer.affected_model_versions, [name]);

    let request = CreateModelVersionRequest {
        parent: "models/m".into(),
        model_version: Some(ModelVersion { ai_act_class: AiActClass::Prohibited.into(), ..version_message(&[]) }),
        ..Default::default()
    };
    let banned = models(&person).create_model_version(request).await.unwrap().into_inner().name;
    evaluate(&suite, &banned, true).await;
    transition(&person, &banned, ModelVersionState::Evaluating).await.unwrap();
    assert_eq!(refusal(by_mandate(&suite, &banned, ModelVersionState::Approved).await), "AI_ACT_PROHIBITED");
}

async fn an_alias_moves_in_one_step_and_keeps_its_history(suite: Suite) {
    let (person, council) = (suite.admin(), suite.service("council"));
    create_model(&suite, "m").await.unwrap();
    let (one, two) = (approved(&suite, "m", &[]).await, approved(&suite, "m", &[]).await);
    let raw = create_version(&suite, "m", &[]).await;
    let set = |version: &str| SetModelAliasRequest {
        model: "models/m".into(),
        alias: "champion".into(),
        version: version.into(),
        ..Default::default()
    };
    let mandated = |request| suite.mandated("promote_model", "registry.aliases.set", request);
    for caller in [&person, &council] {
        assert_eq!(refusal(models(caller).set_model_alias(set(&one)).await), "MANDATE_REQUIRED");
    }
    assert_eq!(refusal(models(&council).set_model_alias(mandated(set(&raw))).await), "MODEL_VERSION_NOT_APPROVED");
    models(&council).set_model_alias(mandated(set(&one))).await.unwrap();
    let expecting = SetModelAliasRequest { expected_version: two.clone(), ..set(&two) };
    assert_eq!(refusal(models(&council).set_model_alias(mandated(expecting)).await), "ALIAS_MOVED");
    let swap = SetModelAliasRequest { expected_version: one.clone(), swap_alias: "challenger".into(), ..set(&two) };
    let model = models(&council).set_model_alias(mandated(swap)).await.unwrap().into_inner();
    let aliases = BTreeMap::from([("champion".to_owned(), two.clone()), ("challenger".to_owned(), one.clone())]);
    assert_eq!(model.aliases, aliases);
    let champion = GetModelVersionRequest { name: "models/m/aliases/champion".into() };
    let found = models(&person).get_model_version(champion.clone()).await.unwrap().into_inner();
    assert_eq!((found.name, found.aliases), (two.clone(), vec!["champion".to_owned()]));

    by_mandate(&suite, &two, ModelVersionState::Retired).await.unwrap();
    assert_eq!(refusal(models(&person).get_model_version(champion).await), "ALIAS_NOT_FOUND");
    let request = ListAliasHistoryRequest { parent: "models/m".into(), alias: "champion".into(), ..Default::default() };
    let changes = models(&person).list_alias_history(request).await.unwrap().into_inner().changes;
    let path: Vec<_> =
        changes.iter().rev().map(|c| (c.sequence, c.from_version.as_str(), c.to_version.as_str())).collect();
    assert_eq!(path, [(1, "", one.as_str()), (2, one.as_str(), two.as_str()), (3, two.as_str(), "")]);
}

async fn the_watch_gives_a_snapshot_then_changes_and_resumes(suite: Suite) {
    let person = suite.admin();
    create_model(&suite, "m").await.unwrap();
    let name = approved(&suite, "m", &[]).await;
    let request = WatchModelStatesRequest::default();
    let mut watch = models(&person).watch_model_states(request).await.unwrap().into_inner();
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!((first.phase(), first.item.as_ref().unwrap().name.as_str()), (WatchPhase::Snapshot, name.as_str()));
    assert_eq!(first.item.unwrap().state(), ModelVersionState::Approved);
    let done = watch.next().await.unwrap().unwrap();
    assert_eq!(done.phase(), WatchPhase::SnapshotDone);
    transition(&person, &name, ModelVersionState::Suspended).await.unwrap();
    let change = next_change(&mut watch).await;
    assert_eq!(change.item.as_ref().unwrap().state(), ModelVersionState::Suspended);
    drop(watch);
    let second = create_version(&suite, "m", &[]).await;
    let request = WatchModelStatesRequest { cursor: change.cursor };
    let mut watch = models(&person).watch_model_states(request).await.unwrap().into_inner();
    assert_eq!(next_change(&mut watch).await.item.unwrap().name, second);
    let request = WatchModelStatesRequest { cursor: "yesterday".into() };
    assert_eq!(refusal(models(&person).watch_model_states(request).await), "CURSOR_INVALID");
}

async fn next_change(watch: &mut tonic::Streaming<WatchModelStatesResponse>) -> WatchModelStatesResponse {
    let change = async {
        loop {
            let message = watch.next().await.unwrap().unwrap();
            if message.phase() == WatchPhase::Change {
                return message;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), change).await.expect("a change arrives")
}

async fn bad_input_names_the_field(suite: Suite) {
    let person = suite.admin();
    create_model(&suite, "m").await.unwrap();
    let version = |change: fn(&mut ModelVersion)| {
        let mut message = version_message(&[]);
        change(&mut message);
        CreateModelVersionRequest { parent: "models/m".into(), model_version: Some(message), ..Default::default() }
    };
    let cases = [
        (version(|v| v.provider.clear()), "FIELD_REQUIRED", "model_version.provider"),
        (version(|v| v.artifact_digest = "sha1:x".into()), "DIGEST_INVALID", "model_version.artifact_digest"),
        (version(|v| v.artifacts = vec!["prompts/x".into()]), "NAME_INVALID", "model_version.artifacts[0]"),
    ];
    for (request, wanted, field) in cases {
        let refused = models(&person).create_model_version(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, wanted));
        assert!(refused.message().contains(field), "{}", refused.message());
    }
    let missing = version(|v| v.artifacts = vec!["artifacts/x/versions/1".into()]);
    assert_eq!(refusal(models(&person).create_model_version(missing).await), "ARTIFACT_VERSION_NOT_FOUND");
    let name = create_version(&suite, "m", &[]).await;
    let evaluation = |value: f64, ahead: u64| AddEvaluationRequest {
        name: name.clone(),
        evaluation: Some(Evaluation {
            id: "e".into(),
            suite: "s".into(),
            metrics: BTreeMap::from([("auc".to_owned(), value)]),
            occurred_time: (ahead > 0)
                .then(|| prost_types::Timestamp { seconds: 4_000_000_000 + ahead as i64, nanos: 0 }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let nan = models(&person).add_evaluation(evaluation(f64::NAN, 0)).await.unwrap_err();
    assert_eq!(nan.code(), Code::InvalidArgument);
    assert_eq!(refusal(models(&person).add_evaluation(evaluation(0.5, 1)).await), "TIME_OUT_OF_RANGE");
    let unknown = TransitionModelVersionRequest { state: 99, ..to(&name, ModelVersionState::Evaluating) };
    assert_eq!(models(&person).transition_model_version(unknown).await.unwrap_err().code(), Code::InvalidArgument);
    let purposes =
        TransitionModelVersionRequest { purposes: vec!["x".into()], ..to(&name, ModelVersionState::Evaluating) };
    assert_eq!(refusal(models(&person).transition_model_version(purposes).await), "FIELD_NOT_ALLOWED");
    let absent = models(&person).get_model(GetModelRequest { name: "models/none".into() }).await.unwrap_err();
    assert_eq!((absent.code(), reason(&absent).as_str()), (Code::NotFound, "MODEL_NOT_FOUND"));
    let wrong = models(&person).get_model(GetModelRequest { name: "models/../etc".into() }).await;
    assert_eq!(refusal(wrong), "NAME_INVALID");
}

async fn tenants_do_not_see_each_other(suite: Suite) {
    create_model(&suite, "secret").await.unwrap();
    let name = create_version(&suite, "secret", &[]).await;
    let other = suite.tenant("case-registry-other");
    let absent = models(&other.admin()).get_model_version(GetModelVersionRequest { name }).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
    let listed = models(&other.admin()).list_models(ListModelsRequest::default()).await.unwrap().into_inner();
    assert!(listed.models.is_empty());
}
