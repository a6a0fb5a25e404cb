//! Handoffs over gRPC.

use crate::service::Service;
use crate::service::{WORK_FEED, parse_key};
use futures::stream::{BoxStream, StreamExt as _};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::handoff_service_server::HandoffService as Api;
use remit_core::Error;
use remit_runtime::watch::{self, Watched};
use remit_runtime::{accept, to_status};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// Handoffs over gRPC.
pub struct HandoffsGrpc(pub Service, pub CancellationToken);

#[tonic::async_trait]
impl Api for HandoffsGrpc {
    async fn create_handoff(
        &self,
        request: Request<pb::CreateHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.create_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_handoff(&self, request: Request<pb::GetHandoffRequest>) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.get_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_handoffs(
        &self,
        request: Request<pb::ListHandoffsRequest>,
    ) -> Result<Response<pb::ListHandoffsResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_handoffs(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn update_handoff(
        &self,
        request: Request<pb::UpdateHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.update_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn record_trigger(
        &self,
        request: Request<pb::RecordTriggerRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.record_trigger(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn start_run(&self, request: Request<pb::StartRunRequest>) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.start_run(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn fail_run(&self, request: Request<pb::FailRunRequest>) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.fail_run(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn submit_variants(
        &self,
        request: Request<pb::SubmitVariantsRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.submit_variants(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn edit_variant(&self, request: Request<pb::EditVariantRequest>) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.edit_variant(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_variants(
        &self,
        request: Request<pb::ListVariantsRequest>,
    ) -> Result<Response<pb::ListVariantsResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_variants(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn claim_review(&self, request: Request<pb::ClaimReviewRequest>) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.claim_review(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn release_review(
        &self,
        request: Request<pb::ReleaseReviewRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.release_review(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn submit_review(&self, request: Request<pb::SubmitReviewRequest>) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.submit_review(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn publish_handoff(
        &self,
        request: Request<pb::PublishHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.publish_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn escalate_handoff(
        &self,
        request: Request<pb::EscalateHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.escalate_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn complete_triage(
        &self,
        request: Request<pb::CompleteTriageRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.complete_triage(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn override_handoff(
        &self,
        request: Request<pb::OverrideHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.override_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn cancel_handoff(
        &self,
        request: Request<pb::CancelHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.cancel_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn suspend_handoff(
        &self,
        request: Request<pb::SuspendHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.suspend_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn resume_handoff(
        &self,
        request: Request<pb::ResumeHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        let (cx, request) = accept(request)?;
        self.0.resume_handoff(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn list_overrides(
        &self,
        request: Request<pb::ListOverridesRequest>,
    ) -> Result<Response<pb::ListOverridesResponse>, Status> {
        let (cx, request) = accept(request)?;
        self.0.list_overrides(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn link_follow_up(
        &self,
        request: Request<pb::LinkFollowUpRequest>,
    ) -> Result<Response<pb::Override>, Status> {
        let (cx, request) = accept(request)?;
        self.0.link_follow_up(&cx, request).await.map(Response::new).map_err(to_status)
    }

    async fn summarize_handoffs(
        &self,
        request: Request<pb::SummarizeHandoffsRequest>,
    ) -> Result<Response<pb::HandoffSummary>, Status> {
        let (cx, request) = accept(request)?;
        self.0.summarize_handoffs(&cx, request).await.map(Response::new).map_err(to_status)
    }

    type WatchWorkStream = BoxStream<'static, Result<pb::WatchWorkResponse, Status>>;

    async fn watch_work(
        &self,
        request: Request<pb::WatchWorkRequest>,
    ) -> Result<Response<Self::WatchWorkStream>, Status> {
        let (cx, request) = accept(request)?;
        let db = self.0.db().clone();
        let changes = watch::stream(db, cx.tenant, WORK_FEED, &request.cursor, self.1.clone()).map_err(to_status)?;
        let kinds = request.kinds;
        let answers = changes.filter_map(move |watched| {
            let answer = watched.and_then(show).map_err(to_status);
            let wanted = match &answer {
                Ok(answer) => answer.item.as_ref().is_none_or(|item| kinds.is_empty() || kinds.contains(&item.kind)),
                Err(_) => true,
            };
            futures::future::ready(wanted.then_some(answer))
        });
        Ok(Response::new(answers.boxed()))
    }
}

/// One message of the feed as callers see it.
fn show(watched: Watched) -> remit_core::Result<pb::WatchWorkResponse> {
    let deleted = watched.is_deletion();
    let item = match &watched.body {
        Some(body) => Some(
            pb::WorkItem::decode(body.as_slice())
                .map_err(|cause| Error::internal("a stored work item cannot be read").with_source(cause))?,
        ),
        None if deleted => parse_key(&watched.key).map(|(kind, resource)| pb::WorkItem {
            kind: kind.into(),
            resource: resource.to_owned(),
            ..Default::default()
        }),
        None => None,
    };
    Ok(pb::WatchWorkResponse { phase: watched.phase.into(), cursor: watched.cursor, item, deleted })
}
