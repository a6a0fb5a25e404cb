//! Handoffs over gRPC.

use super::Api;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::handoff_service_server::HandoffService;
use remit_runtime::{Answers, answers, unary};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl HandoffService for Api {
    async fn create_handoff(
        &self,
        request: Request<pb::CreateHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.create_handoff(cx, m).await).await
    }

    async fn get_handoff(&self, request: Request<pb::GetHandoffRequest>) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.get_handoff(cx, m).await).await
    }

    async fn list_handoffs(
        &self,
        request: Request<pb::ListHandoffsRequest>,
    ) -> Result<Response<pb::ListHandoffsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_handoffs(cx, m).await).await
    }

    async fn update_handoff(
        &self,
        request: Request<pb::UpdateHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.update_handoff(cx, m).await).await
    }

    async fn record_trigger(
        &self,
        request: Request<pb::RecordTriggerRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.record_trigger(cx, m).await).await
    }

    async fn start_run(&self, request: Request<pb::StartRunRequest>) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.start_run(cx, m).await).await
    }

    async fn fail_run(&self, request: Request<pb::FailRunRequest>) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.fail_run(cx, m).await).await
    }

    async fn submit_variants(
        &self,
        request: Request<pb::SubmitVariantsRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.submit_variants(cx, m).await).await
    }

    async fn edit_variant(&self, request: Request<pb::EditVariantRequest>) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.edit_variant(cx, m).await).await
    }

    async fn list_variants(
        &self,
        request: Request<pb::ListVariantsRequest>,
    ) -> Result<Response<pb::ListVariantsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_variants(cx, m).await).await
    }

    async fn claim_review(&self, request: Request<pb::ClaimReviewRequest>) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.claim_review(cx, m).await).await
    }

    async fn release_review(
        &self,
        request: Request<pb::ReleaseReviewRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.release_review(cx, m).await).await
    }

    async fn submit_review(&self, request: Request<pb::SubmitReviewRequest>) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.submit_review(cx, m).await).await
    }

    async fn publish_handoff(
        &self,
        request: Request<pb::PublishHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.publish_handoff(cx, m).await).await
    }

    async fn escalate_handoff(
        &self,
        request: Request<pb::EscalateHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.escalate_handoff(cx, m).await).await
    }

    async fn complete_triage(
        &self,
        request: Request<pb::CompleteTriageRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.complete_triage(cx, m).await).await
    }

    async fn override_handoff(
        &self,
        request: Request<pb::OverrideHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.override_handoff(cx, m).await).await
    }

    async fn cancel_handoff(
        &self,
        request: Request<pb::CancelHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.cancel_handoff(cx, m).await).await
    }

    async fn suspend_handoff(
        &self,
        request: Request<pb::SuspendHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.suspend_handoff(cx, m).await).await
    }

    async fn resume_handoff(
        &self,
        request: Request<pb::ResumeHandoffRequest>,
    ) -> Result<Response<pb::Handoff>, Status> {
        unary(request, async |cx, m| self.0.resume_handoff(cx, m).await).await
    }

    async fn list_overrides(
        &self,
        request: Request<pb::ListOverridesRequest>,
    ) -> Result<Response<pb::ListOverridesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_overrides(cx, m).await).await
    }

    async fn link_follow_up(
        &self,
        request: Request<pb::LinkFollowUpRequest>,
    ) -> Result<Response<pb::Override>, Status> {
        unary(request, async |cx, m| self.0.link_follow_up(cx, m).await).await
    }

    async fn summarize_handoffs(
        &self,
        request: Request<pb::SummarizeHandoffsRequest>,
    ) -> Result<Response<pb::HandoffSummary>, Status> {
        unary(request, async |cx, m| self.0.summarize_handoffs(cx, m).await).await
    }

    type WatchWorkStream = Answers<pb::WatchWorkResponse>;

    async fn watch_work(
        &self,
        request: Request<pb::WatchWorkRequest>,
    ) -> Result<Response<Self::WatchWorkStream>, Status> {
        unary(request, async |cx, m| Ok(answers(self.0.watch_work(cx, m)?))).await
    }
}
