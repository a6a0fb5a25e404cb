//! The gRPC face of the log. One service of the contract is one `impl`, so all nouns are in this file.

use crate::service::Service;
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_server::{AuditService, AuditServiceServer};
use remit_runtime::{Answers, Routes, unary};
use tonic::{Request, Response, Status};

struct Api(Service);

pub(crate) fn routes(service: Service) -> Routes {
    Routes::new(AuditServiceServer::new(Api(service)))
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AuditService for Api {
    async fn append(&self, request: Request<api::AppendRequest>) -> Answer<api::AppendResponse> {
        unary(request, async |cx, m| self.0.append(cx, m).await).await
    }

    async fn append_batch(&self, request: Request<api::AppendBatchRequest>) -> Answer<api::AppendBatchResponse> {
        unary(request, async |cx, m| self.0.append_batch(cx, m).await).await
    }

    async fn get_entry(&self, request: Request<api::GetEntryRequest>) -> Answer<api::Entry> {
        unary(request, async |cx, m| self.0.get_entry(cx, m).await).await
    }

    async fn search(&self, request: Request<api::SearchRequest>) -> Answer<api::SearchResponse> {
        unary(request, async |cx, m| self.0.search(cx, m).await).await
    }

    type TailStream = Answers<api::TailResponse>;

    async fn tail(&self, request: Request<api::TailRequest>) -> Answer<Self::TailStream> {
        unary(request, async |cx, m| self.0.tail(cx, m).await).await
    }

    async fn summarize_entries(
        &self,
        request: Request<api::SummarizeEntriesRequest>,
    ) -> Answer<api::SummarizeEntriesResponse> {
        unary(request, async |cx, m| self.0.summarize_entries(cx, m).await).await
    }

    async fn get_checkpoint(&self, request: Request<api::GetCheckpointRequest>) -> Answer<api::Checkpoint> {
        unary(request, async |cx, m| self.0.get_checkpoint(cx, m).await).await
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<api::GetInclusionProofRequest>,
    ) -> Answer<api::InclusionProof> {
        unary(request, async |cx, m| self.0.get_inclusion_proof(cx, m).await).await
    }

    async fn get_consistency_proof(
        &self,
        request: Request<api::GetConsistencyProofRequest>,
    ) -> Answer<api::ConsistencyProof> {
        unary(request, async |cx, m| self.0.get_consistency_proof(cx, m).await).await
    }

    async fn add_cosignature(&self, request: Request<api::AddCosignatureRequest>) -> Answer<api::Checkpoint> {
        unary(request, async |cx, m| self.0.add_cosignature(cx, m).await).await
    }

    type ExportStream = Answers<api::ExportResponse>;

    async fn export(&self, request: Request<api::ExportRequest>) -> Answer<Self::ExportStream> {
        unary(request, async |cx, m| self.0.export(cx, m).await).await
    }

    type VerifyLogStream = Answers<api::VerifyLogResponse>;

    async fn verify_log(&self, request: Request<api::VerifyLogRequest>) -> Answer<Self::VerifyLogStream> {
        unary(request, async |cx, m| self.0.verify_log(cx, m).await).await
    }

    async fn get_personal_data(&self, request: Request<api::GetPersonalDataRequest>) -> Answer<api::PersonalData> {
        unary(request, async |cx, m| self.0.get_personal_data(cx, m).await).await
    }

    async fn erase_subject(&self, request: Request<api::EraseSubjectRequest>) -> Answer<api::EraseSubjectResponse> {
        unary(request, async |cx, m| self.0.erase_subject(cx, m).await).await
    }

    async fn rewrap_subject_keys(
        &self,
        request: Request<api::RewrapSubjectKeysRequest>,
    ) -> Answer<api::RewrapSubjectKeysResponse> {
        unary(request, async |cx, m| self.0.rewrap_subject_keys(cx, m).await).await
    }

    async fn get_retention_policy(
        &self,
        request: Request<api::GetRetentionPolicyRequest>,
    ) -> Answer<api::RetentionPolicy> {
        unary(request, async |cx, m| self.0.get_retention_policy(cx, m).await).await
    }

    async fn update_retention_policy(
        &self,
        request: Request<api::UpdateRetentionPolicyRequest>,
    ) -> Answer<api::RetentionPolicy> {
        unary(request, async |cx, m| self.0.update_retention_policy(cx, m).await).await
    }

    async fn prune_entries(&self, request: Request<api::PruneEntriesRequest>) -> Answer<api::PruneEntriesResponse> {
        unary(request, async |cx, m| self.0.prune_entries(cx, m).await).await
    }

    async fn create_legal_hold(&self, request: Request<api::CreateLegalHoldRequest>) -> Answer<api::LegalHold> {
        unary(request, async |cx, m| self.0.create_legal_hold(cx, m).await).await
    }

    async fn get_legal_hold(&self, request: Request<api::GetLegalHoldRequest>) -> Answer<api::LegalHold> {
        unary(request, async |cx, m| self.0.get_legal_hold(cx, m).await).await
    }

    async fn list_legal_holds(
        &self,
        request: Request<api::ListLegalHoldsRequest>,
    ) -> Answer<api::ListLegalHoldsResponse> {
        unary(request, async |cx, m| self.0.list_legal_holds(cx, m).await).await
    }

    async fn release_legal_hold(&self, request: Request<api::ReleaseLegalHoldRequest>) -> Answer<api::LegalHold> {
        unary(request, async |cx, m| self.0.release_legal_hold(cx, m).await).await
    }
}
