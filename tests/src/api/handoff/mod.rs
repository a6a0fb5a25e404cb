//! The cases of the service `handoff`.

pub(super) mod creative;
pub(super) mod deadlines;
pub(super) mod derived;
mod erasure;
pub(super) mod gates;
pub(super) mod leads;
pub(super) mod noops;
pub(super) mod patterns;
pub(super) mod people;
pub(super) mod runs;
pub(super) mod suspensions;

use super::registry::{approve_artifact, create_artifact};
use crate::support::{Caller, Connection, Suite, eventually, stamp};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::handoff_service_client::HandoffServiceClient;
use remit_api::handoff::v1::lead_routing_service_client::LeadRoutingServiceClient;
use remit_api::registry::v1 as registry;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::scoring::v1 as scoring;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_core::digest;
use tonic::Code;

const TASK: &str = "tasks/made-by-ai";
const MODEL: &str = "models/maker/versions/1";
/// The prompt of first runs, and the one that reviewers return work for.
const PROMPT: &str = "artifacts/prompt/versions/1";
const REVISED: &str = "artifacts/revised-prompt/versions/1";
const GUARDRAIL: &str = "artifacts/guardrail/versions/1";
const STYLE_GUIDE: &str = "artifacts/style-guide/versions/1";
/// Predictability, risk and human judgment of work that people only watch.
const AUTOMATIC: [i32; 3] = [5, 1, 1];
pub(super) const CREATIVE: &str = "gates/creative-approval";
pub(super) const ROUTING: &str = "gates/lead-routing";

fn handoffs(caller: &Caller) -> HandoffServiceClient<Connection> {
    HandoffServiceClient::new(caller.to("handoff"))
}

fn gates(caller: &Caller) -> GateServiceClient<Connection> {
    GateServiceClient::new(caller.to("handoff"))
}

fn routing(caller: &Caller) -> LeadRoutingServiceClient<Connection> {
    LeadRoutingServiceClient::new(caller.to("handoff"))
}

/// The person who asks for the work.
fn requester(suite: &Suite) -> Caller {
    suite.human("rita", &["operator"], &["marketing_lead"])
}

/// The person who decides about it.
fn director(suite: &Suite) -> Caller {
    suite.human("carl", &["operator"], &["creative_director"])
}

/// The AI that makes it.
fn maker(suite: &Suite) -> Caller {
    suite.caller("maker", remit_core::ActorKind::Ai, &["platform"], &[])
}

/// Names an accountable person and activates version 1 of a template.
pub(super) async fn activate(suite: &Suite, gate: &str) -> pb::GateVersion {
    let complete = completed(suite, gate).await;
    put_in_force(suite, &complete.name).await
}

/// Names an accountable person in version 1 of a template, which is then complete.
pub(super) async fn completed(suite: &Suite, gate: &str) -> pb::GateVersion {
    let mut client = gates(&suite.admin());
    let name = format!("{gate}/versions/1");
    let mut version = client.get_gate_version(pb::GetGateVersionRequest { name }).await.unwrap().into_inner();
    version.accountable_person = "ada".into();
    if let Some(Rules::Routing(rules)) = &mut version.rules {
        rules.sales_owners = ["sam", "sue", "sid", "sky"].map(str::to_owned).to_vec();
    }
    let update = pb::UpdateGateVersionRequest { gate_version: Some(version), ..Default::default() };
    client.update_gate_version(update).await.unwrap().into_inner()
}

/// Puts a gate version in force by a decision of the council.
async fn put_in_force(suite: &Suite, name: &str) -> pb::GateVersion {
    let mut client = gates(&suite.admin());
    let request = pb::GetGateVersionRequest { name: name.to_owned() };
    let content_digest = client.get_gate_version(request).await.unwrap().into_inner().digest;
    let activation = pb::ActivateGateVersionRequest {
        name: name.to_owned(),
        reason: "agreed".into(),
        content_digest,
        ..Default::default()
    };
    let activation = suite.mandated("activate_gate", "handoff.gates.activate", activation);
    client.activate_gate_version(activation).await.unwrap().into_inner()
}

/// Puts the task into the inventory, rated so, if it is not there.
async fn listed(suite: &Suite, ratings: [i32; 3], edit: fn(&mut scoring::Task)) {
    let admin = suite.admin();
    let mut tasks = TaskServiceClient::new(admin.to("scoring"));
    match tasks.get_task(scoring::GetTaskRequest { name: TASK.into() }).await {
        Ok(_) => return,
        Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
    }
    let [predictability, risk, human_judgment] = ratings;
    let scores = [("predictability", predictability), ("risk", risk), ("human_judgment", human_judgment)];
    let mut task = scoring::Task {
        title: "Made by AI".into(),
        frequency_per_week: 100.0,
        minutes_per_instance: 5.0,
        complexity: 1,
        pilot_evidence: true,
        purpose: "tests".into(),
        strategy_owner: "ada".into(),
        execution_owner: "ben".into(),
        ratings: vec![scoring::Rating {
            // The creator's own: what is entered for others bounds how far AI may go alone.
            rater: "admin".into(),
            scores: scores.map(|(axis, score)| (axis.to_owned(), score)).into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    edit(&mut task);
    tasks
        .create_task(scoring::CreateTaskRequest {
            task_id: "made-by-ai".into(),
            task: Some(task),
            ..Default::default()
        })
        .await
        .unwrap();
}

/// Registers and approves what the runs work with.
async fn approve_artifacts(suite: &Suite) {
    use registry::ArtifactKind as Kind;
    for (id, kind) in [
        ("prompt", Kind::Prompt),
        ("revised-prompt", Kind::Prompt),
        ("guardrail", Kind::Guardrail),
        ("style-guide", Kind::StyleGuide),
    ] {
        let version = create_artifact(suite, id, kind).await;
        approve_artifact(suite, &version).await;
    }
}

/// Puts the creative gate in force, with a model that may work for it.
async fn ready(suite: &Suite) {
    activate(suite, CREATIVE).await;
    permit(suite).await;
}

/// Makes scoring permit `MODEL` to do `TASK`: a decided task and an approved model version, and what it runs with.
async fn permit(suite: &Suite) {
    permit_as(suite, AUTOMATIC, |_| {}).await;
}

/// The same for a task with these ratings, edited.
async fn permit_as(suite: &Suite, ratings: [i32; 3], edit: fn(&mut scoring::Task)) {
    approve_artifacts(suite).await;
    let admin = suite.admin();
    let mut models = ModelServiceClient::new(admin.to("registry"));
    let model = registry::Model { display_name: "Maker".into(), owner: "ada".into(), ..Default::default() };
    models
        .create_model(registry::CreateModelRequest {
            model_id: "maker".into(),
            model: Some(model),
            ..Default::default()
        })
        .await
        .unwrap();
    let version = registry::ModelVersion {
        provider: "tests".into(),
        artifact_digest: digest::sha256(b"maker"),
        intended_use: "tests".into(),
        owner: "ada".into(),
        ..Default::default()
    };
    models
        .create_model_version(registry::CreateModelVersionRequest {
            parent: "models/maker".into(),
            model_version_id: "1".into(),
            model_version: Some(version),
            ..Default::default()
        })
        .await
        .unwrap();
    let evaluation = registry::Evaluation {
        id: "first".into(),
        suite: "tests".into(),
        metrics: [("accuracy".to_owned(), 0.9)].into(),
        passed: true,
        occurred_time: Some(stamp(suite.now().await)),
        ..Default::default()
    };
    ModelServiceClient::new(suite.human("eve", &["admin"], &[]).to("registry"))
        .add_evaluation(registry::AddEvaluationRequest {
            name: MODEL.into(),
            evaluation: Some(evaluation),
            ..Default::default()
        })
        .await
        .unwrap();
    move_model(suite, &admin, registry::ModelVersionState::Evaluating).await;
    move_model(suite, &suite.service("council"), registry::ModelVersionState::Approved).await;

    listed(suite, ratings, edit).await;
    let mut decisions = DecisionServiceClient::new(admin.to("scoring"));
    decisions.decide_task(scoring::DecideTaskRequest { name: TASK.into(), ..Default::default() }).await.unwrap();
    eventually("scoring permits the model", || async {
        let check = scoring::CheckTaskRequest { task: TASK.into(), model_version: MODEL.into(), ..Default::default() };
        let answer = decisions.clone().check_task(check).await.unwrap().into_inner();
        answer.verdict() == scoring::Verdict::Permit
    })
    .await;
}

/// Moves the model version to a state; people may suspend, the council approves.
async fn move_model(suite: &Suite, caller: &Caller, state: registry::ModelVersionState) {
    let approved = state == registry::ModelVersionState::Approved;
    let mut client = ModelServiceClient::new(caller.to("registry"));
    let get = registry::GetModelVersionRequest { name: MODEL.into() };
    let content_digest = client.get_model_version(get).await.unwrap().into_inner().content_digest;
    let request = registry::TransitionModelVersionRequest {
        name: MODEL.into(),
        state: state.into(),
        purposes: if approved { vec!["tests".into()] } else { Vec::new() },
        content_digest,
        reason: "tests".into(),
        ..Default::default()
    };
    let request =
        if approved { suite.mandated("promote_model", "registry.versions.transition", request) } else { request };
    client.transition_model_version(request).await.unwrap();
}

/// Waits until scoring refuses the model version.
async fn until_denied(suite: &Suite) {
    let decisions = DecisionServiceClient::new(suite.admin().to("scoring"));
    eventually("scoring refuses the model", || async {
        let check = scoring::CheckTaskRequest { task: TASK.into(), model_version: MODEL.into(), ..Default::default() };
        let answer = decisions.clone().check_task(check).await.unwrap().into_inner();
        answer.verdict() != scoring::Verdict::Permit
    })
    .await;
}

/// Creates a handoff with a complete brief.
async fn create(suite: &Suite, id: &str) -> pb::Handoff {
    listed(suite, AUTOMATIC, |_| {}).await;
    let brief = pb::Brief {
        audience: "CFOs of mid-sized firms".into(),
        message: "One ledger, while they compare".into(),
        outcome: "Demo requests".into(),
        success_measure: "40 demos a month".into(),
        ..Default::default()
    };
    let handoff = pb::Handoff {
        display_name: format!("Launch {id}"),
        gate: CREATIVE.into(),
        task: TASK.into(),
        brief: Some(brief),
        channel: "email".into(),
        ..Default::default()
    };
    let request = pb::CreateHandoffRequest { handoff_id: id.into(), handoff: Some(handoff), ..Default::default() };
    handoffs(&requester(suite)).create_handoff(request).await.unwrap().into_inner()
}

/// Reports one trigger event.
async fn trigger(suite: &Suite, id: &str, event_type: &str) -> Result<pb::Handoff, tonic::Status> {
    let event = pb::TriggerEvent {
        event_id: format!("{event_type}-{id}"),
        event_type: event_type.into(),
        source: "board".into(),
        occurred_at: Some(stamp(suite.now().await)),
        ..Default::default()
    };
    let request = pb::RecordTriggerRequest { name: name(id), event: Some(event), ..Default::default() };
    handoffs(&requester(suite)).record_trigger(request).await.map(tonic::Response::into_inner)
}

/// A handoff that waits for its first run.
async fn triggered(suite: &Suite, id: &str) -> pb::Handoff {
    create(suite, id).await;
    trigger(suite, id, "brief.finalized").await.unwrap();
    trigger(suite, id, "budget.approved").await.unwrap()
}

fn name(id: &str) -> String {
    format!("handoffs/{id}")
}

fn content(iteration: i32, rank: i32) -> String {
    digest::sha256(format!("iteration {iteration} rank {rank}").as_bytes())
}

fn variants(iteration: i32, count: i32) -> Vec<pb::Variant> {
    let one = |rank| pb::Variant {
        variant: format!("v{rank:02}"),
        content_digest: content(iteration, rank),
        excerpt: format!("Headline {rank}"),
        ai_rank: rank,
        ..Default::default()
    };
    (1..=count).map(one).collect()
}

/// Asks to start a run with `prompt`.
async fn start(suite: &Suite, id: &str, prompt: &str) -> Result<pb::Handoff, tonic::Status> {
    let inputs = pb::RunInputs {
        model_version: MODEL.into(),
        prompt_version: prompt.into(),
        guardrail_version: GUARDRAIL.into(),
        style_guide_version: STYLE_GUIDE.into(),
    };
    start_with(suite, id, inputs).await
}

/// Asks to start a run with these inputs.
async fn start_with(suite: &Suite, id: &str, inputs: pb::RunInputs) -> Result<pb::Handoff, tonic::Status> {
    let request = pb::StartRunRequest { name: name(id), inputs: Some(inputs), ..Default::default() };
    handoffs(&maker(suite)).start_run(request).await.map(tonic::Response::into_inner)
}

/// Runs AI and delivers its twelve variants.
async fn deliver(suite: &Suite, id: &str, iteration: i32, prompt: &str) -> pb::Handoff {
    start(suite, id, prompt).await.unwrap();
    let request = pb::SubmitVariantsRequest { name: name(id), variants: variants(iteration, 12), ..Default::default() };
    handoffs(&maker(suite)).submit_variants(request).await.unwrap().into_inner()
}

async fn claim(caller: &Caller, id: &str) -> Result<pb::Handoff, tonic::Status> {
    let request = pb::ClaimReviewRequest { name: name(id), ..Default::default() };
    handoffs(caller).claim_review(request).await.map(tonic::Response::into_inner)
}

/// Grades of brand fit, legal and positioning for one variant, with a reason.
fn grades(iteration: i32, rank: i32, [brand, legal, positioning]: [f64; 3]) -> pb::VariantReview {
    let grade = |item: &str, grade| pb::Grade { item: item.into(), grade };
    pb::VariantReview {
        variant: format!("v{rank:02}"),
        content_digest: content(iteration, rank),
        grades: vec![grade("brand_fit", brand), grade("legal", legal), grade("positioning", positioning)],
        reasons: vec![pb::Reason { code: pb::ReasonCode::Tone.into(), text: "as discussed".into() }],
        ..Default::default()
    }
}

/// Decides about the top three, the first of which gets `best`.
async fn decide(
    caller: &Caller,
    id: &str,
    iteration: i32,
    best: [f64; 3],
    prompt: &str,
) -> Result<pb::Handoff, tonic::Status> {
    let poor = [50.0, 95.0, 50.0];
    let request = pb::SubmitReviewRequest {
        name: name(id),
        variants: vec![grades(iteration, 1, best), grades(iteration, 2, poor), grades(iteration, 3, poor)],
        next_prompt_version: prompt.into(),
        ..Default::default()
    };
    handoffs(caller).submit_review(request).await.map(tonic::Response::into_inner)
}

async fn publish(suite: &Suite, id: &str, variant: &str, content_digest: &str) -> Result<pb::Handoff, tonic::Status> {
    let variant = pb::PublishedVariant { variant: variant.into(), content_digest: content_digest.into() };
    let request = pb::PublishHandoffRequest { name: name(id), variants: vec![variant], ..Default::default() };
    handoffs(&requester(suite)).publish_handoff(request).await.map(tonic::Response::into_inner)
}

async fn get(suite: &Suite, id: &str) -> pb::Handoff {
    handoffs(&suite.admin()).get_handoff(pb::GetHandoffRequest { name: name(id) }).await.unwrap().into_inner()
}

/// The span from the start of all records to an hour from now.
async fn all_time(suite: &Suite) -> remit_api::types::TimeRange {
    let end = suite.now().await.plus(std::time::Duration::from_secs(3_600));
    remit_api::types::TimeRange { start_time: Some(prost_types::Timestamp::default()), end_time: Some(stamp(end)) }
}

async fn summary(suite: &Suite) -> pb::HandoffSummary {
    let request = pb::SummarizeHandoffsRequest { time_range: Some(all_time(suite).await), gate: String::new() };
    handoffs(&suite.admin()).summarize_handoffs(request).await.unwrap().into_inner()
}
