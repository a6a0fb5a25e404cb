//! `CheckTask` over gRPC with a token, beside a bare tonic echo of the same sizes.

use super::Settings;
use super::echo;
use super::load::{beside, run};
use super::suite::{Bench, Connection, Engine, channel, connections};
use super::table::{Table, count, ms, ratio};
use prost::Message as _;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    AddEvaluationRequest, CreateModelRequest, CreateModelVersionRequest, Evaluation, Model, ModelVersion,
    ModelVersionState, TransitionModelVersionRequest,
};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    CheckTaskRequest, CheckTaskResponse, CreateTaskRequest, DecideTaskRequest, Rating, Task, Verdict,
};
use remit_core::ActorKind;
use std::sync::Arc;
use std::time::Duration;

const CALLERS: [usize; 4] = [1, 16, 64, 256];

pub async fn run_group(engine: Engine, settings: &Settings) {
    let bench = Bench::start(engine).await;
    let request = prepare(&bench).await;
    let answer = permitted(&bench, &request).await;
    let sizes = (request.encoded_len(), answer.encoded_len());
    let addr = echo::start(sizes.1).await;
    let table = Table::new(
        &format!("CheckTask, {}", engine.name()),
        &format!(
            "Unary with a JWT; every answer is counted before it is sent. Floor: a bare tonic echo of the same sizes, \
             {} bytes asked and {} answered. Target: ratio at least 0.60, p99 at most twice the floor's.",
            sizes.0, sizes.1
        ),
        &[
            "callers",
            "checks/s",
            "echoes/s",
            "ratio of rates   ",
            "p50 ms",
            "p99 ms",
            "echo p50",
            "echo p99",
            "p99 ratio",
        ],
        7,
    );
    for callers in CALLERS {
        let mut ours = Vec::new();
        let mut floors = Vec::new();
        for _ in 0..connections(callers) {
            ours.push(DecisionServiceClient::new(platform(&bench).await));
            floors.push(channel(addr).await);
        }
        let (ours, floors) = (Arc::new(ours), Arc::new(floors));
        let mut compared = beside(
            (1.0, 1.0),
            || {
                let floors = floors.clone();
                run(callers, settings.turn, move |caller| echo::call(floors[caller % floors.len()].clone(), sizes.0))
            },
            || {
                let (ours, request) = (ours.clone(), request.clone());
                run(callers, settings.turn, move |caller| {
                    let (mut client, request) = (ours[caller % ours.len()].clone(), request.clone());
                    async move {
                        let answer = client.check_task(request).await.unwrap().into_inner();
                        assert_eq!(answer.verdict(), Verdict::Permit);
                    }
                })
            },
        )
        .await;
        let (ours, floor) = (compared.ours.percentile(0.99), compared.floor.percentile(0.99));
        table.row(vec![
            callers.to_string(),
            count(compared.ours.rate()),
            count(compared.floor.rate()),
            ratio(compared.ratio),
            ms(compared.ours.percentile(0.5)),
            ms(ours),
            ms(compared.floor.percentile(0.5)),
            ms(floor),
            format!("{:.2}", ours / floor),
        ]);
    }
    bench.stop().await;
}

async fn platform(bench: &Bench) -> Connection {
    bench.connect("platform", ActorKind::Service, "platform").await
}

/// A task that is decided, and a model version that is approved for it.
async fn prepare(bench: &Bench) -> CheckTaskRequest {
    let scores = [("predictability", 5), ("risk", 1), ("human_judgment", 1)];
    let scores = scores.into_iter().map(|(axis, score)| (axis.to_owned(), score)).collect();
    let task = Task {
        title: "Score leads".into(),
        function: "functions/paid_media".into(),
        frequency_per_week: 200.0,
        minutes_per_instance: 5.0,
        complexity: 2,
        purpose: "lead-scoring".into(),
        ratings: vec![Rating { rater: "ada".into(), scores, ..Default::default() }],
        ..Default::default()
    };
    let create = CreateTaskRequest { task_id: "score".into(), task: Some(task), ..Default::default() };
    TaskServiceClient::new(bench.admin().await).create_task(create).await.unwrap();
    let decide = DecideTaskRequest { name: "tasks/score".into(), ..Default::default() };
    DecisionServiceClient::new(bench.admin().await).decide_task(decide).await.unwrap();

    let mut people = ModelServiceClient::new(bench.admin().await);
    let model = Model { display_name: "Scorer".into(), owner: "dara".into(), ..Default::default() };
    let create = CreateModelRequest { model_id: "scorer".into(), model: Some(model), ..Default::default() };
    people.create_model(create).await.unwrap();
    let version = ModelVersion {
        provider: "in-house".into(),
        artifact_digest: remit_core::digest::sha256(b"scorer"),
        intended_use: "scoring".into(),
        owner: "dara".into(),
        ..Default::default()
    };
    let create = CreateModelVersionRequest {
        parent: "models/scorer".into(),
        model_version_id: "1".into(),
        model_version: Some(version),
        ..Default::default()
    };
    let made = people.create_model_version(create).await.unwrap().into_inner();
    let name = made.name;
    let evaluation = Evaluation {
        id: "e1".into(),
        suite: "holdout".into(),
        metrics: [("auc".to_owned(), 0.8)].into(),
        passed: true,
        ..Default::default()
    };
    let add = AddEvaluationRequest { name: name.clone(), evaluation: Some(evaluation), ..Default::default() };
    let other = bench.connect("eve", ActorKind::Human, "admin").await;
    ModelServiceClient::new(other).add_evaluation(add).await.unwrap();
    let to = |state: ModelVersionState| TransitionModelVersionRequest {
        name: name.clone(),
        state: state.into(),
        reason: "bench".into(),
        ..Default::default()
    };
    people.transition_model_version(to(ModelVersionState::Evaluating)).await.unwrap();
    let approval = TransitionModelVersionRequest {
        purposes: vec!["lead-scoring".into()],
        content_digest: made.content_digest,
        ..to(ModelVersionState::Approved)
    };
    people
        .transition_model_version(bench.mandated("promote_model", "registry.versions.transition", approval))
        .await
        .unwrap();
    CheckTaskRequest {
        task: "tasks/score".into(),
        model_version: name,
        run_id: "run-0001".into(),
        ..Default::default()
    }
}

/// The answer once everything that was prepared has reached the caches.
async fn permitted(bench: &Bench, request: &CheckTaskRequest) -> CheckTaskResponse {
    let mut client = DecisionServiceClient::new(platform(bench).await);
    for _ in 0..200 {
        let answer = client.check_task(request.clone()).await.unwrap().into_inner();
        if answer.verdict() == Verdict::Permit {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the task is not permitted");
}
