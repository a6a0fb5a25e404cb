#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::system::v1::{AdvanceClockRequest, GetInfoRequest};
use remit_core::{Actor, ActorKind, Tenant};
use std::time::Duration;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn config(dir: &std::path::Path, more: &str) -> Config {
    // Made by the start, as it is made for its owner alone.
    Config::from_toml(&format!("data.dir = {:?}\n{more}", dir.join("data").display().to_string())).unwrap()
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
    let token =
        running.signer().unwrap().token(&Tenant::new("acme").unwrap(), &actor, Duration::from_secs(60)).unwrap();
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
            for reason in ["TOKEN_MISSING", "PERMISSION_MISSING"] {
                let counted = |line: &str| line.starts_with("remit_refusals") && line.contains(reason);
                assert!(text.lines().any(counted), "{reason}: {text}");
            }
        }
    }
    running.stop().await.unwrap();
}

fn quiet(name: &'static str) -> ServiceDef {
    ServiceDef {
        name,
        schema: remit_store::Schema { service: name, migrations: &[] },
        build: |_| {
            Box::pin(async {
                let page = axum::routing::get(|caller: axum::Extension<http_auth::HttpCaller>| async move {
                    match caller.require("kpi.definitions.get") {
                        Ok(()) => axum::response::IntoResponse::into_response(caller.tenant.to_string()),
                        Err(error) => http_auth::problem(error),
                    }
                });
                Ok(Parts { http: Some(axum::Router::new().route("/page", page)), ..Parts::default() })
            })
        },
    }
}

#[tokio::test]
async fn what_a_service_finds_wrong_with_itself_is_shown_and_takes_it_out_if_it_cannot_work() {
    fn kpi(fatal: bool) -> ServiceDef {
        let build: crate::Build = if fatal { |_| wrong(true) } else { |_| wrong(false) };
        ServiceDef { build, ..quiet("kpi") }
    }
    fn wrong(fatal: bool) -> futures::future::BoxFuture<'static, Result<Parts>> {
        let conditions = move || vec![crate::Condition { reason: "SUBJECT_KEY_DAMAGED", count: 3, fatal }];
        Box::pin(async move { Ok(Parts { conditions: Some(Arc::new(conditions)), ..Parts::default() }) })
    }
    for (fatal, code) in [(false, 200), (true, 503)] {
        let dir = tempfile::tempdir().unwrap();
        let running = Suite::start(config(dir.path(), LOCAL), vec![kpi(fatal)]).await.unwrap();
        let answer = reqwest::get(format!("http://{}/readyz", running.addr().unwrap())).await.unwrap();
        assert_eq!(answer.status(), code);
        let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["conditions"]["kpi"][0]["count"], 3);
        assert_eq!(body["ready"], !fatal);
        // Whoever asks for no service by name hears of the process.
        let wanted = if fatal { ServingStatus::NotServing } else { ServingStatus::Serving };
        let mut health = HealthClient::new(running.channel());
        let all = || HealthCheckRequest { service: String::new() };
        while health.check(all()).await.unwrap().into_inner().status() != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_manual_clock_keeps_its_position_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Config::from_toml("[clock]\nmanual = true").unwrap_err();
    assert!(refused.message().contains("clock.allow_manual"));
    let toml = "server.listen = \"\"\n[clock]\nmanual = true\nallow_manual = true\nstart = \"2008-05-01T00:00:00Z\"";
    let running = Suite::start(config(dir.path(), toml), Vec::new()).await.unwrap();
    assert!(running.addr().is_none());
    let mut client = SystemServiceClient::new(running.channel());
    let later = prost_types::Timestamp { seconds: 1_212_278_400, nanos: 0 };
    let request = AdvanceClockRequest { time: Some(later) };
    let moved = client.advance_clock(as_actor(&running, "admin", request)).await.unwrap();
    assert_eq!(moved.get_ref().time, Some(later));
    running.stop().await.unwrap();
    let running = Suite::start(config(dir.path(), toml), Vec::new()).await.unwrap();
    let mut client = SystemServiceClient::new(running.channel());
    let info = client.get_info(as_actor(&running, "viewer", GetInfoRequest {})).await.unwrap().into_inner();
    assert_eq!((info.manual_clock, info.time), (true, Some(later)));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn two_processes_cannot_share_an_embedded_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let running = Suite::start(config(dir.path(), LOCAL), vec![quiet("kpi")]).await.unwrap();
    let error = Suite::start(config(dir.path(), LOCAL), vec![quiet("kpi")]).await.unwrap_err();
    assert_eq!(error.reason(), "DATA_DIR_IN_USE");
    running.stop().await.unwrap();
    Suite::start(config(dir.path(), LOCAL), vec![quiet("kpi")]).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_no_service_is_refused_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    for toml in ["server.only = [\"kpy\"]", "peers.kpy = \"http://x\"", "database.urls.kpy = \"sqlite:x\""] {
        let error = Suite::start(config(dir.path(), toml), vec![quiet("kpi"), quiet("audit")]).await.unwrap_err();
        assert!(error.message().contains("kpy") && error.message().contains("kpi, audit"), "{}", error.message());
    }
    let error = Suite::start(config(dir.path(), "server.only = [\"kpi\"]"), vec![quiet("kpi"), quiet("audit")]).await;
    assert!(error.unwrap_err().message().starts_with("peers.audit"));
}

#[tokio::test]
async fn health_reflection_and_pages_tell_what_runs() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let dir = tempfile::tempdir().unwrap();
    let running = Suite::start(config(dir.path(), LOCAL), vec![quiet("kpi")]).await.unwrap();
    let mut health = HealthClient::new(running.channel());
    for (service, known) in [("", true), ("remit.kpi.v1.KpiService", true), ("remit.audit.v1.AuditService", false)] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await;
        assert_eq!(answer.is_ok_and(|answer| answer.get_ref().status == 1), known, "{service:?}");
    }
    {
        use tonic_reflection::pb::v1::ServerReflectionRequest;
        use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(running.channel());
        let mut answers = client.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("no list") };
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        assert!(names.contains(&"remit.kpi.v1.KpiService".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("audit")), "{names:?}");
    }
    let url = format!("http://{}/page", running.addr().unwrap());
    let refused = reqwest::get(&url).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    for (role, code) in [("viewer", 200), ("nobody", 403)] {
        let token = as_actor(&running, role, ()).metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        let answer = reqwest::Client::new().get(&url).header("authorization", token).send().await.unwrap();
        assert_eq!(answer.status(), code, "{role}");
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_browser_calls_through_grpc_web_if_its_origin_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let toml = "[server]\nlisten = \"127.0.0.1:0\"\ncors_origins = [\"https://console.example\"]";
    let running = Suite::start(config(dir.path(), toml), Vec::new()).await.unwrap();
    let url = format!("http://{}/remit.system.v1.SystemService/GetInfo", running.addr().unwrap());
    let token = as_actor(&running, "viewer", ()).metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    for (origin, allowed) in [("https://console.example", true), ("https://evil.example", false)] {
        let preflight = reqwest::Client::new()
            .request(http::Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
        let answer = reqwest::Client::new()
            .post(&url)
            .header("origin", origin)
            .header("content-type", "application/grpc-web+proto")
            .header("authorization", &token)
            .body(vec![0u8; 5])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
        let body = answer.bytes().await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("grpc-status:0"), "{body:?}");
    }
    let bad = reqwest::Client::new()
        .post(&url)
        .header("content-type", "application/grpc-web-text+proto")
        .header("authorization", &token)
        .body("!!!!");
    let answer = bad.send().await.unwrap();
    assert_eq!(answer.headers().get("grpc-status").unwrap(), "3", "bad base64 is the caller's fault");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_others_can_read_is_refused_before_it_is_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let (data, issuer, key) = (home.path().join("data"), home.path().join("issuer"), home.path().join("tls.key"));
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = async |more: &str| {
        let error = Suite::start(config(home.path(), more), vec![quiet("kpi")]).await.unwrap_err();
        (error.reason(), error.message().contains("can be read by others than its owner: chmod"))
    };
    for dir in [&data, &issuer] {
        std::fs::create_dir(dir).unwrap();
        open(dir, 0o750);
    }
    assert_eq!(refused(LOCAL).await, ("DATA_DIR_READABLE", true));
    open(&data, 0o700);
    let apart = format!("{LOCAL}auth.issuer_dir = {issuer:?}\n");
    assert_eq!(refused(&apart).await, ("DATA_DIR_READABLE", true));
    open(&issuer, 0o700);
    Suite::start(config(home.path(), &apart), vec![quiet("kpi")]).await.unwrap().stop().await.unwrap();

    let certificate = home.path().join("tls.pem");
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(&key, "a key").unwrap();
    open(&key, 0o644);
    let tls = format!("{LOCAL}server.tls_certificate = {certificate:?}\nserver.tls_key = {key:?}\n");
    assert_eq!(refused(&tls).await, ("KEY_FILE_READABLE", true));
}

/// Whether the process behind `channel` answers health, and reflection.
async fn open_to_everybody(channel: &crate::Channel) -> (bool, bool) {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let well = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.is_ok();
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let ask = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(channel.clone());
    let reflected = match client.server_reflection_info(tokio_stream::iter([ask])).await {
        Ok(answers) => answers.into_inner().message().await.is_ok(),
        Err(status) => {
            assert_eq!(
                (status.code(), crate::status::reason(&status).as_str()),
                (Code::Unimplemented, "METHOD_UNKNOWN")
            );
            false
        }
    };
    (well, reflected)
}

async fn codes(addr: std::net::SocketAddr) -> [u16; 3] {
    let mut codes = [0; 3];
    for (code, path) in codes.iter_mut().zip(["healthz", "readyz", "metrics"]) {
        *code = reqwest::get(format!("http://{addr}/{path}")).await.unwrap().status().as_u16();
    }
    codes
}

#[tokio::test]
async fn what_operators_look_at_has_an_address_of_its_own_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let toml = "server.listen = \"127.0.0.1:0\"\noperations.listen = \"127.0.0.1:0\"";
    let running = Suite::start(config(dir.path(), toml), vec![quiet("kpi")]).await.unwrap();
    let (main, operations) = (running.addr().unwrap(), running.operations_addr().unwrap());
    assert_eq!((codes(main).await, codes(operations).await), ([200, 404, 404], [200, 200, 200]));
    let remote = |addr| crate::Channel::remote(&format!("http://{addr}")).unwrap();
    assert_eq!(open_to_everybody(&remote(main)).await, (true, false));
    assert_eq!(open_to_everybody(&remote(operations)).await, (true, true));
    // Nothing else is there, with a token neither.
    let mut client = SystemServiceClient::new(remote(operations));
    let refused = client.get_info(as_actor(&running, "admin", GetInfoRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    running.stop().await.unwrap();
    assert!(reqwest::get(format!("http://{operations}/healthz")).await.is_err());

    let toml = "server.listen = \"127.0.0.1:0\"\nserver.reflection = false\noperations.metrics = false";
    let running = Suite::start(config(dir.path(), toml), vec![quiet("kpi")]).await.unwrap();
    assert_eq!(running.operations_addr(), None);
    assert_eq!(codes(running.addr().unwrap()).await, [200, 200, 404]);
    assert_eq!(open_to_everybody(&running.channel()).await, (true, false));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_was_moved_too_far_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let toml = "server.listen = \"\"\n[clock]\nmanual = true\nallow_manual = true";
    let running = Suite::start(config(dir.path(), toml), Vec::new()).await.unwrap();
    let mut client = SystemServiceClient::new(running.channel());
    for seconds in [7_258_118_401, 9_223_372_036_854, i64::MAX] {
        let time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let refused =
            client.advance_clock(as_actor(&running, "admin", AdvanceClockRequest { time })).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{seconds}");
    }
    client.get_info(as_actor(&running, "viewer", GetInfoRequest {})).await.unwrap();
    running.stop().await.unwrap();
    std::fs::write(dir.path().join("data/clock"), "9223372036854000000").unwrap();
    let error = Suite::start(config(dir.path(), toml), Vec::new()).await.unwrap_err();
    assert_eq!(error.reason(), "CLOCK_FILE_DAMAGED");
}
