//! The gRPC service: decode, call, encode.

use crate::fsck;
use crate::service::AuditLog;
use crate::step::{Place, Receipt};
use crate::store::head::signed;
use futures::stream::{self, BoxStream, StreamExt as _};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_server::AuditService;
use remit_core::{Error, Kind, Result as CoreResult, Tenant};
use remit_runtime::{accept, to_status};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// The gRPC face of the log.
#[derive(Clone, Debug)]
pub struct Audit {
    log: AuditLog,
    shutdown: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

impl Audit {
    /// Serves `log` until `shutdown`, which ends its streams.
    pub fn new(log: AuditLog, shutdown: CancellationToken) -> Self {
        Self { log, shutdown }
    }

    async fn places(&self, tenant: &Tenant, receipt: Receipt, prove: bool) -> CoreResult<Vec<api::AppendResponse>> {
        let mut answers = Vec::with_capacity(receipt.places.len());
        let mut tx = if prove { Some(self.log.db.snapshot().await?) } else { None };
        for Place { index, hash, duplicate } in receipt.places {
            let proof = match &mut tx {
                Some(tx) => Some(self.log.inclusion_at(tx, tenant, index, receipt.size).await?),
                None => None,
            };
            answers.push(api::AppendResponse { index: signed(index), leaf_hash: hash.0.to_vec(), duplicate, proof });
        }
        Ok(answers)
    }

    /// Turns a step function into a stream that ends with `None`, an error or the shutdown.
    fn stream<S, T, F, Fut>(&self, state: S, step: F) -> BoxStream<'static, Result<T, Status>>
    where
        S: Send + 'static,
        T: Send + 'static,
        F: Fn(S) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (CoreResult<Option<T>>, S)> + Send,
    {
        let shutdown = self.shutdown.clone();
        stream::unfold(Some(state), move |state| {
            let (shutdown, step) = (shutdown.clone(), step.clone());
            async move {
                let state = state?;
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {
                        let message = "the server is shutting down: resume elsewhere with the last next_index";
                        Some((Err(to_status(Error::new(Kind::Unavailable, "SHUTTING_DOWN", message))), None))
                    }
                    (item, state) = step(state) => match item {
                        Ok(Some(item)) => Some((Ok(item), Some(state))),
                        Ok(None) => None,
                        Err(error) => Some((Err(to_status(error)), None)),
                    },
                }
            }
        })
        .boxed()
    }
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn append(&self, request: Request<api::AppendRequest>) -> Answer<api::AppendResponse> {
        let (cx, request) = accept(request)?;
        let events = vec![request.event.unwrap_or_default()];
        let receipt = self.log.append(&cx.tenant, events, |_| "event".to_owned()).await.map_err(to_status)?;
        let answers = self.places(&cx.tenant, receipt, request.prove).await.map_err(to_status)?;
        let answer = answers.into_iter().next();
        answer.map(Response::new).ok_or_else(|| to_status(Error::internal("an event had no place")))
    }

    async fn append_batch(&self, request: Request<api::AppendBatchRequest>) -> Answer<api::AppendBatchResponse> {
        let (cx, request) = accept(request)?;
        let named = |at| format!("events[{at}]");
        let receipt = self.log.append(&cx.tenant, request.events, named).await.map_err(to_status)?;
        let results = self.places(&cx.tenant, receipt, request.prove).await.map_err(to_status)?;
        Ok(Response::new(api::AppendBatchResponse { results }))
    }

    async fn get_entry(&self, request: Request<api::GetEntryRequest>) -> Answer<api::Entry> {
        let (cx, request) = accept(request)?;
        self.log.get(&cx.tenant, &request.name, request.view()).await.map(Response::new).map_err(to_status)
    }

    async fn search(&self, request: Request<api::SearchRequest>) -> Answer<api::SearchResponse> {
        let (cx, request) = accept(request)?;
        self.log.search(&cx.tenant, &request).await.map(Response::new).map_err(to_status)
    }

    type TailStream = BoxStream<'static, Result<api::TailResponse, Status>>;

    async fn tail(&self, request: Request<api::TailRequest>) -> Answer<Self::TailStream> {
        let (cx, request) = accept(request)?;
        let tail = self.log.tail(&cx.tenant, request).await.map_err(to_status)?;
        Ok(Response::new(self.stream(tail, |mut tail| async move { (tail.next().await, tail) })))
    }

    async fn summarize_entries(
        &self,
        request: Request<api::SummarizeEntriesRequest>,
    ) -> Answer<api::SummarizeEntriesResponse> {
        let (cx, request) = accept(request)?;
        self.log.summarize(&cx.tenant, &request).await.map(Response::new).map_err(to_status)
    }

    async fn get_checkpoint(&self, request: Request<api::GetCheckpointRequest>) -> Answer<api::Checkpoint> {
        let (cx, request) = accept(request)?;
        self.log.checkpoint(&cx.tenant, request.min_cosignatures).await.map(Response::new).map_err(to_status)
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<api::GetInclusionProofRequest>,
    ) -> Answer<api::InclusionProof> {
        let (cx, request) = accept(request)?;
        self.log.inclusion(&cx.tenant, &request.name, request.size).await.map(Response::new).map_err(to_status)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<api::GetConsistencyProofRequest>,
    ) -> Answer<api::ConsistencyProof> {
        let (cx, request) = accept(request)?;
        let proof = self.log.consistency(&cx.tenant, request.old_size, request.new_size).await;
        proof.map(Response::new).map_err(to_status)
    }

    async fn add_cosignature(&self, request: Request<api::AddCosignatureRequest>) -> Answer<api::Checkpoint> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.cosign(&call, &request.note).await.map(Response::new).map_err(to_status)
    }

    type ExportStream = BoxStream<'static, Result<api::ExportResponse, Status>>;

    async fn export(&self, request: Request<api::ExportRequest>) -> Answer<Self::ExportStream> {
        let (cx, request) = accept(request)?;
        let export = self.log.export(&cx.tenant, &request).await.map_err(to_status)?;
        let state = (self.log.clone(), export);
        Ok(Response::new(self.stream(state, |(log, mut export)| async move {
            let piece = log.export_next(&mut export).await;
            (piece, (log, export))
        })))
    }

    async fn verify_log(&self, request: Request<api::VerifyLogRequest>) -> Answer<api::VerifyLogResponse> {
        let (cx, request) = accept(request)?;
        let most = match usize::try_from(request.max_findings) {
            Ok(0) | Err(_) => 100,
            Ok(most) => most,
        };
        let report = self.log.fsck(&cx.tenant, &request.since_checkpoint, most).await.map_err(to_status)?;
        Ok(Response::new(verified(report)))
    }

    async fn get_personal_data(&self, request: Request<api::GetPersonalDataRequest>) -> Answer<api::PersonalData> {
        let (cx, request) = accept(request)?;
        self.log.reveal(&cx.tenant, &request.name).await.map(Response::new).map_err(to_status)
    }

    async fn erase_subject(&self, request: Request<api::EraseSubjectRequest>) -> Answer<api::EraseSubjectResponse> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.erase(&call, &request).await.map(Response::new).map_err(to_status)
    }

    async fn rewrap_subject_keys(
        &self,
        request: Request<api::RewrapSubjectKeysRequest>,
    ) -> Answer<api::RewrapSubjectKeysResponse> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.rewrap(&call).await.map(Response::new).map_err(to_status)
    }

    async fn get_retention_policy(
        &self,
        request: Request<api::GetRetentionPolicyRequest>,
    ) -> Answer<api::RetentionPolicy> {
        let (cx, _) = accept(request)?;
        self.log.get_retention(&cx.tenant).await.map(Response::new).map_err(to_status)
    }

    async fn update_retention_policy(
        &self,
        request: Request<api::UpdateRetentionPolicyRequest>,
    ) -> Answer<api::RetentionPolicy> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.update_retention(&call, &request).await.map(Response::new).map_err(to_status)
    }

    async fn prune_entries(&self, request: Request<api::PruneEntriesRequest>) -> Answer<api::PruneEntriesResponse> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.prune(&call, request.validate_only).await.map(Response::new).map_err(to_status)
    }

    async fn create_legal_hold(&self, request: Request<api::CreateLegalHoldRequest>) -> Answer<api::LegalHold> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.create_hold(&call, request).await.map(Response::new).map_err(to_status)
    }

    async fn get_legal_hold(&self, request: Request<api::GetLegalHoldRequest>) -> Answer<api::LegalHold> {
        let (cx, request) = accept(request)?;
        self.log.get_hold(&cx.tenant, &request.name).await.map(Response::new).map_err(to_status)
    }

    async fn list_legal_holds(
        &self,
        request: Request<api::ListLegalHoldsRequest>,
    ) -> Answer<api::ListLegalHoldsResponse> {
        let (cx, request) = accept(request)?;
        self.log.list_holds(&cx.tenant, &request).await.map(Response::new).map_err(to_status)
    }

    async fn release_legal_hold(&self, request: Request<api::ReleaseLegalHoldRequest>) -> Answer<api::LegalHold> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, &*self.log.clock);
        self.log.release_hold(&call, &request).await.map(Response::new).map_err(to_status)
    }
}

fn verified(report: fsck::Report) -> api::VerifyLogResponse {
    let finding = |finding: fsck::Finding| api::Finding {
        kind: finding.kind.into(),
        location: finding.location,
        message: finding.message,
    };
    api::VerifyLogResponse {
        ok: report.findings.is_empty(),
        size: signed(report.size),
        root_hash: report.root.0.to_vec(),
        checkpoint: report.checkpoint,
        start_index: signed(report.start),
        checked_entry_count: signed(report.entries),
        pruned_entry_count: signed(report.pruned),
        erased_entry_count: signed(report.erased),
        checked_tile_count: signed(report.tiles),
        findings: report.findings.into_iter().map(finding).collect(),
    }
}
