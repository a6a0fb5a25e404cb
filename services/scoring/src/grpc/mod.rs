//! Decode, call, encode: one file a noun. No rules and no SQL here.

mod decision;
mod function;
mod policy;
mod task;

use crate::service::Scoring;
use remit_api::scoring::v1::decision_service_server::DecisionServiceServer;
use remit_api::scoring::v1::function_service_server::FunctionServiceServer;
use remit_api::scoring::v1::policy_service_server::PolicyServiceServer;
use remit_api::scoring::v1::task_service_server::TaskServiceServer;
use remit_core::Result;
use remit_runtime::to_status;
use std::future::Future;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Response, Status};

/// How many messages wait for a slow reader.
const BUFFER: usize = 4;

#[derive(Clone)]
struct Api(Scoring);

pub(crate) fn routes(scoring: Scoring) -> Routes {
    let api = Api(scoring);
    let mut routes = Routes::builder();
    routes
        .add_service(PolicyServiceServer::new(api.clone()))
        .add_service(TaskServiceServer::new(api.clone()))
        .add_service(FunctionServiceServer::new(api.clone()))
        .add_service(DecisionServiceServer::new(api));
    routes.routes()
}

fn answer<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(to_status)
}

type Answers<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

/// Runs `work`, which sends its answers, as part of the same call; an error is the stream's last item.
fn stream<T, F>(work: impl FnOnce(mpsc::Sender<Result<T>>) -> F) -> Response<Answers<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BUFFER);
    let work = work(sender.clone());
    tokio::spawn(remit_runtime::context::carry(async move {
        if let Err(error) = work.await {
            // A reader that has left does not need to know.
            let _ = sender.send(Err(error)).await;
        }
    }));
    Response::new(Box::pin(ReceiverStream::new(receiver).map(|item| item.map_err(to_status))))
}
