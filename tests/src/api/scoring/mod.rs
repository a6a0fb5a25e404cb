//! The cases of the service `scoring`, and what they share.

pub(super) mod approvals;
pub(super) mod checks;
pub(super) mod plans;
pub(super) mod policies;
pub(super) mod ratings;
pub(super) mod tags;
pub(super) mod tasks;

use crate::support::{Connection, Suite};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::*;
use std::collections::BTreeMap;
use tokio_stream::StreamExt as _;

fn tasks(suite: &Suite) -> TaskServiceClient<Connection> {
    TaskServiceClient::new(suite.admin().to("scoring"))
}

fn decisions(suite: &Suite) -> DecisionServiceClient<Connection> {
    DecisionServiceClient::new(suite.admin().to("scoring"))
}

fn policies(suite: &Suite) -> PolicyServiceClient<Connection> {
    PolicyServiceClient::new(suite.admin().to("scoring"))
}

fn rating(rater: &str, scores: (i32, i32, i32)) -> Rating {
    let scores = [("predictability", scores.0), ("risk", scores.1), ("human_judgment", scores.2)];
    let scores: BTreeMap<String, i32> = scores.map(|(axis, score)| (axis.to_owned(), score)).into();
    Rating { rater: rater.into(), scores, ..Default::default() }
}

fn task(title: &str, scores: (i32, i32, i32)) -> Task {
    Task {
        title: title.into(),
        function: "functions/paid_media".into(),
        role: "Campaign Manager".into(),
        frequency_per_week: 20.0,
        minutes_per_instance: 30.0,
        complexity: 2,
        // Its creator's own: what is entered for others bounds how far AI may go alone.
        ratings: vec![rating("admin", scores)],
        ..Default::default()
    }
}

async fn create(suite: &Suite, id: &str, task: Task) -> Task {
    let request = CreateTaskRequest { task_id: id.into(), task: Some(task), ..Default::default() };
    tasks(suite).create_task(request).await.unwrap().into_inner()
}

async fn decide(suite: &Suite, id: &str) -> Decision {
    let request = DecideTaskRequest { name: format!("tasks/{id}"), ..Default::default() };
    decisions(suite).decide_task(request).await.unwrap().into_inner()
}

async fn import(suite: &Suite, csv: &str, config: ImportTasksConfig) -> Result<ImportTasksResponse, tonic::Status> {
    let mut parts = vec![ImportTasksRequest { part: Some(Part::Config(config)) }];
    parts.extend(csv.as_bytes().chunks(1000).map(|chunk| ImportTasksRequest { part: Some(Part::Chunk(chunk.into())) }));
    tasks(suite).import_tasks(tokio_stream::iter(parts)).await.map(tonic::Response::into_inner)
}

async fn export(suite: &Suite) -> String {
    let mut pieces = tasks(suite).export_tasks(ExportTasksRequest::default()).await.unwrap().into_inner();
    let mut csv = Vec::new();
    while let Some(piece) = pieces.next().await {
        csv.extend(piece.unwrap().chunk);
    }
    String::from_utf8(csv).unwrap()
}

const CSV: &str = "id,title,function,role,frequency_per_week,minutes_per_instance,complexity,brand_impacting,reserved_category,predictability,risk,human_judgment,rater,labels
variants,\"Headlines, snippets\",paid_media,Ops,50,20,2,,,5,1,1,admin,a;b
variants,\"Headlines, snippets\",,,,,,,,4,1,2,bob,
setup,Campaign setup,paid_media,Ops,5,60,3,no,,4,2,2,admin,
strategy,Positioning,brand_building,CMO,0.1,600,5,yes,POSITIONING,1,5,5,admin,
";

async fn batch(suite: &Suite, request: BatchDecideRequest) -> BatchDecideResponse {
    let mut progress = decisions(suite).batch_decide(request).await.unwrap().into_inner();
    let mut last = BatchDecideResponse::default();
    while let Some(message) = progress.next().await {
        last = message.unwrap();
    }
    last
}
