//! Decodes calls, hands them to the use cases, encodes the answers. No rules, no SQL.

use crate::service::{Council, HOLDS, WAIVERS};
use futures::{Stream, StreamExt as _};
use prost::Message;
use remit_api::council::v1::action_item_service_server::{ActionItemService, ActionItemServiceServer};
use remit_api::council::v1::body_service_server::{BodyService, BodyServiceServer};
use remit_api::council::v1::control_service_server::{ControlService, ControlServiceServer};
use remit_api::council::v1::hold_service_server::{HoldService, HoldServiceServer};
use remit_api::council::v1::incident_service_server::{IncidentService, IncidentServiceServer};
use remit_api::council::v1::proposal_service_server::{ProposalService, ProposalServiceServer};
use remit_api::council::v1::review_service_server::{ReviewService, ReviewServiceServer};
use remit_api::council::v1::waiver_service_server::{WaiverService, WaiverServiceServer};
use remit_api::council::v1::*;
use remit_core::{Error, Result};
use remit_runtime::watch::{self, Watched};
use remit_runtime::{accept, to_status};
use std::pin::Pin;
use std::sync::Arc;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// The council behind all its gRPC services.
#[derive(Debug, Clone)]
struct Grpc(Arc<Council>);

/// All gRPC services of the council.
pub fn routes(council: Arc<Council>) -> Routes {
    let grpc = Grpc(council);
    let mut routes = Routes::builder();
    routes
        .add_service(BodyServiceServer::new(grpc.clone()))
        .add_service(ProposalServiceServer::new(grpc.clone()))
        .add_service(HoldServiceServer::new(grpc.clone()))
        .add_service(WaiverServiceServer::new(grpc.clone()))
        .add_service(IncidentServiceServer::new(grpc.clone()))
        .add_service(ActionItemServiceServer::new(grpc.clone()))
        .add_service(ControlServiceServer::new(grpc.clone()))
        .add_service(ReviewServiceServer::new(grpc));
    routes.routes()
}

/// Implements the unary methods of a service: accept the call, run the use case, map its error.
macro_rules! serve {
    ($service:path {
        $($method:ident($request:ty) -> $response:ty = |$council:ident, $cx:ident, $message:ident| $answer:expr;)*
    } $($streams:tt)*) => {
        #[tonic::async_trait]
        impl $service for Grpc {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let ($cx, $message) = accept(request)?;
                let ($council, $cx) = (&*self.0, &$cx);
                let answer: Result<$response> = $answer.await;
                answer.map(Response::new).map_err(to_status)
            })*
            $($streams)*
        }
    };
}

type Watching<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A watch stream of the contract from a feed of the store.
fn watching<R, T>(
    council: &Council,
    tenant: &remit_core::Tenant,
    feed: &'static str,
    cursor: &str,
    message: impl Fn(&Watched, Option<R>) -> T + Send + 'static,
) -> Result<Response<Watching<T>>, Status>
where
    R: Message + Default + 'static,
    T: 'static,
{
    let stream = watch::stream(council.db().clone(), tenant.clone(), feed, cursor, council.shutdown().clone())
        .map_err(to_status)?;
    let stream = stream.map(move |watched| {
        let watched = watched.map_err(to_status)?;
        let item = match &watched.body {
            Some(bytes) => Some(R::decode(bytes.as_slice()).map_err(|error| {
                to_status(Error::internal("an item of a watch feed cannot be read").with_source(error))
            })?),
            None => None,
        };
        Ok(message(&watched, item))
    });
    Ok(Response::new(Box::pin(stream)))
}

serve! { BodyService {
    create_body(CreateBodyRequest) -> Body = |council, cx, m| council.create_body(cx, m);
    get_body(GetBodyRequest) -> Body = |council, cx, m| council.get(cx, &m.name, "bodies/*");
    list_bodies(ListBodiesRequest) -> ListBodiesResponse = |council, cx, m| async {
        let (bodies, next_page_token) = council.list(cx, "", "", m.page_size, &m.page_token).await?;
        Ok(ListBodiesResponse { bodies, next_page_token })
    };
    update_body(UpdateBodyRequest) -> Body = |council, cx, m| council.update_body(cx, m);
    create_member(CreateMemberRequest) -> Member = |council, cx, m| council.create_member(cx, m);
    list_members(ListMembersRequest) -> ListMembersResponse = |council, cx, m| async {
        let (members, next_page_token) = council.list_in::<Body, _>(cx, &m.parent, m.page_size, &m.page_token).await?;
        Ok(ListMembersResponse { members, next_page_token })
    };
    delete_member(DeleteMemberRequest) -> Member = |council, cx, m| council.delete_member(cx, m);
    create_delegation(CreateDelegationRequest) -> Delegation = |council, cx, m| council.create_delegation(cx, m);
    list_delegations(ListDelegationsRequest) -> ListDelegationsResponse = |council, cx, m| async {
        let (delegations, next_page_token) = council.list_in::<Body, _>(cx, &m.parent, m.page_size, &m.page_token).await?;
        Ok(ListDelegationsResponse { delegations, next_page_token })
    };
    revoke_delegation(RevokeDelegationRequest) -> Delegation = |council, cx, m| council.revoke_delegation(cx, m);
} }

serve! { ProposalService {
    create_proposal(CreateProposalRequest) -> Proposal = |council, cx, m| council.create_proposal(cx, m);
    get_proposal(GetProposalRequest) -> Proposal = |council, cx, m| council.get(cx, &m.name, "proposals/*");
    list_proposals(ListProposalsRequest) -> ListProposalsResponse = |council, cx, m| async {
        let (proposals, next_page_token) = council.list(cx, "", &m.filter, m.page_size, &m.page_token).await?;
        Ok(ListProposalsResponse { proposals, next_page_token })
    };
    update_proposal(UpdateProposalRequest) -> Proposal = |council, cx, m| council.update_proposal(cx, m);
    open_proposal(OpenProposalRequest) -> Proposal = |council, cx, m| council.open_proposal(cx, m);
    vote(VoteRequest) -> Proposal = |council, cx, m| council.vote(cx, m);
    recuse(RecuseRequest) -> Proposal = |council, cx, m| council.recuse(cx, m);
    cancel_proposal(CancelProposalRequest) -> Proposal = |council, cx, m| council.cancel_proposal(cx, m);
    retry_proposal(RetryProposalRequest) -> Proposal = |council, cx, m| council.retry_proposal(cx, m);
} }

serve! { HoldService {
    engage_hold(EngageHoldRequest) -> Hold = |council, cx, m| council.engage_hold(cx, m);
    get_hold(GetHoldRequest) -> Hold = |council, cx, m| council.get(cx, &m.name, "holds/*");
    list_holds(ListHoldsRequest) -> ListHoldsResponse = |council, cx, m| async {
        let (holds, next_page_token) = council.list(cx, "", &m.filter, m.page_size, &m.page_token).await?;
        Ok(ListHoldsResponse { holds, next_page_token })
    };
    end_drill(EndDrillRequest) -> Hold = |council, cx, m| council.end_drill(cx, m);
    break_glass(BreakGlassRequest) -> BreakGlassUse = |council, cx, m| council.break_glass(cx, m);
    list_break_glass_uses(ListBreakGlassUsesRequest) -> ListBreakGlassUsesResponse = |council, cx, m| async {
        let (break_glass_uses, next_page_token) = council.list(cx, "", "", m.page_size, &m.page_token).await?;
        Ok(ListBreakGlassUsesResponse { break_glass_uses, next_page_token })
    };
    review_break_glass(ReviewBreakGlassRequest) -> BreakGlassUse = |council, cx, m| council.review_break_glass(cx, m);
}
    type WatchHoldsStream = Watching<WatchHoldsResponse>;

    async fn watch_holds(
        &self,
        request: Request<WatchHoldsRequest>,
    ) -> Result<Response<Self::WatchHoldsStream>, Status> {
        let (cx, message) = accept(request)?;
        watching(&self.0, &cx.tenant, HOLDS, &message.cursor, |watched, item: Option<Hold>| {
            let deleted = watched.is_deletion();
            let gone = deleted.then(|| Hold { name: watched.key.clone(), state: HoldState::Lifted.into(), ..Hold::default() });
            let (phase, cursor) = (watched.phase.into(), watched.cursor.clone());
            WatchHoldsResponse { phase, cursor, item: item.or(gone), deleted }
        })
    }
}

serve! { WaiverService {
    get_waiver(GetWaiverRequest) -> Waiver = |council, cx, m| council.get(cx, &m.name, "waivers/*");
    list_waivers(ListWaiversRequest) -> ListWaiversResponse = |council, cx, m| async {
        let (waivers, next_page_token) = council.list(cx, "", &m.filter, m.page_size, &m.page_token).await?;
        Ok(ListWaiversResponse { waivers, next_page_token })
    };
    check_waivers(CheckWaiversRequest) -> CheckWaiversResponse = |council, cx, m| council.check_waivers(cx, m);
    revoke_waiver(RevokeWaiverRequest) -> Waiver = |council, cx, m| council.revoke_waiver(cx, m);
}
    type WatchWaiversStream = Watching<WatchWaiversResponse>;

    async fn watch_waivers(
        &self,
        request: Request<WatchWaiversRequest>,
    ) -> Result<Response<Self::WatchWaiversStream>, Status> {
        let (cx, message) = accept(request)?;
        watching(&self.0, &cx.tenant, WAIVERS, &message.cursor, |watched, item: Option<Waiver>| {
            let deleted = watched.is_deletion();
            let gone = deleted.then(|| Waiver { name: watched.key.clone(), ..Waiver::default() });
            let (phase, cursor) = (watched.phase.into(), watched.cursor.clone());
            WatchWaiversResponse { phase, cursor, item: item.or(gone), deleted }
        })
    }
}

serve! { IncidentService {
    create_incident(CreateIncidentRequest) -> Incident = |council, cx, m| council.create_incident(cx, m);
    get_incident(GetIncidentRequest) -> Incident = |council, cx, m| council.get(cx, &m.name, "incidents/*");
    list_incidents(ListIncidentsRequest) -> ListIncidentsResponse = |council, cx, m| async {
        let (incidents, next_page_token) = council.list(cx, "", &m.filter, m.page_size, &m.page_token).await?;
        Ok(ListIncidentsResponse { incidents, next_page_token })
    };
    update_incident(UpdateIncidentRequest) -> Incident = |council, cx, m| council.update_incident(cx, m);
    record_submission(RecordSubmissionRequest) -> Incident = |council, cx, m| council.record_submission(cx, m);
    close_incident(CloseIncidentRequest) -> Incident = |council, cx, m| council.close_incident(cx, m);
} }

serve! { ActionItemService {
    create_action_item(CreateActionItemRequest) -> ActionItem = |council, cx, m| council.create_action_item(cx, m);
    get_action_item(GetActionItemRequest) -> ActionItem = |council, cx, m| council.get(cx, &m.name, "actionItems/*");
    list_action_items(ListActionItemsRequest) -> ListActionItemsResponse = |council, cx, m| async {
        let (action_items, next_page_token) = council.list(cx, "", &m.filter, m.page_size, &m.page_token).await?;
        Ok(ListActionItemsResponse { action_items, next_page_token })
    };
    update_action_item(UpdateActionItemRequest) -> ActionItem = |council, cx, m| council.update_action_item(cx, m);
    close_action_item(CloseActionItemRequest) -> ActionItem = |council, cx, m| council.close_action_item(cx, m);
} }

serve! { ControlService {
    list_controls(ListControlsRequest) -> ListControlsResponse = |council, cx, m| council.list_controls(cx, m);
    create_attestation(CreateAttestationRequest) -> Attestation = |council, cx, m| council.create_attestation(cx, m);
    list_attestations(ListAttestationsRequest) -> ListAttestationsResponse = |council, cx, m| async {
        let parent = if m.parent == "controls/-" { "" } else { m.parent.as_str() };
        let (attestations, next_page_token) = council.list(cx, parent, "", m.page_size, &m.page_token).await?;
        Ok(ListAttestationsResponse { attestations, next_page_token })
    };
} }

serve! { ReviewService {
    open_review(OpenReviewRequest) -> Review = |council, cx, m| council.open_review(cx, m);
    get_review(GetReviewRequest) -> Review = |council, cx, m| council.get(cx, &m.name, "reviews/*");
    list_reviews(ListReviewsRequest) -> ListReviewsResponse = |council, cx, m| async {
        let (reviews, next_page_token) = council.list(cx, "", &m.filter, m.page_size, &m.page_token).await?;
        Ok(ListReviewsResponse { reviews, next_page_token })
    };
    refresh_evidence(RefreshEvidenceRequest) -> Review = |council, cx, m| council.refresh_evidence(cx, m);
    record_attendance(RecordAttendanceRequest) -> Review = |council, cx, m| council.record_attendance(cx, m);
    declare_recusal(DeclareRecusalRequest) -> Review = |council, cx, m| council.declare_recusal(cx, m);
    record_minutes(RecordMinutesRequest) -> Review = |council, cx, m| council.record_minutes(cx, m);
    dispose_finding(DisposeFindingRequest) -> Review = |council, cx, m| council.dispose_finding(cx, m);
    sign_review(SignReviewRequest) -> Review = |council, cx, m| council.sign_review(cx, m);
    seal_review(SealReviewRequest) -> Review = |council, cx, m| council.seal_review(cx, m);
    export_review(ExportReviewRequest) -> ExportReviewResponse = |council, cx, m| council.export_review(cx, m);
} }
