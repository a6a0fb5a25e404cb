#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::system::v1::{AdvanceClockRequest, GetInfoRequest};
use remit_core::{Actor, ActorKind, Tenant};
use std::time::Duration;
use tonic::{Code, Request};

fn config(dir: &std::path::Path, more: &str) -> Config {
    Config::from_toml(&format!("data.dir = {:?}\n{more}", dir.display().to_string())).unwrap()
}

const LOCAL: &str = "server.listen = \"127.0.0.1:0\"\n";

fn as_actor<T>(running: &Running, role: &str, message: T) -> Request<T> {
    let actor = Actor {
        subject: "alice".to_owned(),
        kind: ActorKind::Human,
        roles: vec![role.to_owned()],
        role_groups: Vec::new(),
        on_behalf_of: None,
    };
    let token = running.signer().token(&Tenant::new("acme").unwrap(), &actor, Duration::from_secs(60)).unwrap();
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_process_answers_over_the_network_and_within() {
    let dir = tempfile::tempdir().unwrap();
    let running = Suite::start(config(dir.path(), LOCAL), Vec::new()).await.unwrap();
    let url = format!("http://{}", running.addr().unwrap());
    let mut remote = SystemServiceClient::connect(url.clone()).await.unwrap();
    let mut local = SystemServiceClient::new(running.channel());
    let info = remote.get_info(as_actor(&running, "viewer", GetInfoRequest {})).await.unwrap();
    assert!(!info.get_ref().manual_clock);
    assert_eq!(info.metadata().get("x-trace-id").unwrap().as_bytes().len(), 32);
    local.get_info(as_actor(&running, "viewer", GetInfoRequest {})).await.unwrap();

    for refused in [remote.get_info(GetInfoRequest {}).await, local.get_info(GetInfoRequest {}).await] {
        let status = refused.unwrap_err();
        assert_eq!((status.code(), crate::status::reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_MISSING"));
    }
    let refused = local.get_info(as_actor(&running, "nobody", GetInfoRequest {})).await.unwrap_err();
    assert_eq!(
        (refused.code(), crate::status::reason(&refused).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let refused = local.advance_clock(as_actor(&running, "admin", AdvanceClockRequest { time })).await.unwrap_err();
    assert_eq!(crate::status::reason(&refused), "CLOCK_NOT_MANUAL");

    for path in ["healthz", "readyz", "metrics"] {
        let answer = reqwest::get(format!("{url}/{path}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        if path == "metrics" {
            let text = answer.text().await.unwrap();
            assert!(text.contains("rpc_server_call_duration_seconds_bucket"), "{text}");
        }
    }
    running.stop().await.unwrap();
}
