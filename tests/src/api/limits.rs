//! What one tenant takes is not taken from others, and never what stops AI.

use super::cases;
use crate::support::{Bearer, Caller, Suite, eventually, reason};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{SearchRequest, TailRequest};
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{EngageHoldRequest, Hold, ListHoldsRequest, Scope};
use remit_core::ActorKind;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic_types::StatusExt as _;

cases! {
    who_hoards_streams_stops_nobody_from_stopping: EngageHold;
}

/// `limits.streams_per_subject`.
const STREAMS: usize = 100;

fn engage() -> EngageHoldRequest {
    let hold = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "complaints".into(),
        ..Default::default()
    };
    EngageHoldRequest { hold_id: "stop".into(), hold: Some(hold), ..Default::default() }
}

async fn tail(who: &Caller) -> Result<tonic::Streaming<remit_api::audit::v1::TailResponse>, tonic::Status> {
    AuditServiceClient::new(who.to("audit")).tail(TailRequest::default()).await.map(tonic::Response::into_inner)
}

async fn who_hoards_streams_stops_nobody_from_stopping(suite: Suite) {
    let hoarder = suite.human("hoarder", &["viewer"], &[]);
    let mut open = Vec::new();
    let refused = loop {
        match tail(&hoarder).await {
            Ok(stream) => open.push(stream),
            Err(status) => break status,
        }
    };
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "SUBJECT_STREAMS"));
    assert!(refused.get_details_retry_info().is_some(), "{refused:?}");
    assert_eq!(open.len(), STREAMS);

    // The others are served, also the hoarder's own tenant, also with streams.
    let mut log = AuditServiceClient::new(suite.human("vera", &["viewer"], &[]).to("audit"));
    log.search(SearchRequest::default()).await.expect("a search");
    drop(tail(&suite.human("vera", &["viewer"], &[])).await.expect("a stream of somebody else"));
    let mia = suite.human("mia", &["member"], &[]);
    HoldServiceClient::new(mia.to("council")).engage_hold(engage()).await.expect("a hold of the hoarder's tenant");
    let other = suite.tenant(&format!("{}-other", suite.tenant_id()));
    let token = format!("Bearer {}", other.token("olga", ActorKind::Human, &["member"], &[]));
    let olga = Bearer(token.parse().expect("a header"));
    let mut holds = HoldServiceClient::new(InterceptedService::new(suite.bare("council"), olga));
    holds.engage_hold(engage()).await.expect("a hold of another tenant");
    let held = holds.list_holds(ListHoldsRequest::default()).await.expect("holds").into_inner().holds;
    assert_eq!(held.len(), 1);

    drop(open);
    eventually("a stream is free again", || async { tail(&hoarder).await.is_ok() }).await;
}
