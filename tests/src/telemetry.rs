//! What a process tells a collector.

use crate::support::{Process, eventually, free_port};
use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as traces;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{EngageHoldRequest, Hold, Scope};
use remit_api::scoring::v1::ListTasksRequest;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_core::{Actor, ActorKind, Tenant};
use remit_runtime::Config;
use remit_runtime::auth::Signer;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, async_trait};

/// A collector that keeps everything.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<traces::ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<metrics::ExportMetricsServiceRequest>>>,
    lines: Arc<Mutex<Vec<logs::ExportLogsServiceRequest>>>,
}

#[async_trait]
impl traces::trace_service_server::TraceService for Collector {
    async fn export(
        &self,
        request: Request<traces::ExportTraceServiceRequest>,
    ) -> Result<Response<traces::ExportTraceServiceResponse>, Status> {
        self.spans.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[async_trait]
impl metrics::metrics_service_server::MetricsService for Collector {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[async_trait]
impl logs::logs_service_server::LogsService for Collector {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        self.lines.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

impl Collector {
    /// The names of spans with their traces.
    fn spans(&self) -> Vec<(String, Vec<u8>)> {
        let taken = self.spans.lock().unwrap();
        let spans = taken.iter().flat_map(|sent| &sent.resource_spans).flat_map(|of| &of.scope_spans);
        spans.flat_map(|of| &of.spans).map(|span| (span.name.clone(), span.trace_id.clone())).collect()
    }

    /// The metrics that were sent last: their names, the values of their labels, and the numbers of gauges.
    fn metrics(&self) -> Vec<(String, Vec<String>, f64)> {
        let taken = self.metrics.lock().unwrap();
        let metrics = taken.last().into_iter().flat_map(|sent| &sent.resource_metrics).flat_map(|of| &of.scope_metrics);
        let metrics = metrics.flat_map(|of| &of.metrics);
        metrics
            .flat_map(|metric| {
                let points = match &metric.data {
                    Some(metric::Data::Gauge(gauge)) => gauge.data_points.as_slice(),
                    _ => &[],
                };
                let none = points.is_empty().then(|| (metric.name.clone(), Vec::new(), f64::NAN));
                let points = points.iter().map(|point| {
                    let labels = point.attributes.iter().map(|label| text(label.value.as_ref())).collect();
                    let number = match point.value {
                        Some(number_data_point::Value::AsInt(number)) => number as f64,
                        Some(number_data_point::Value::AsDouble(number)) => number,
                        None => f64::NAN,
                    };
                    (metric.name.clone(), labels, number)
                });
                none.into_iter().chain(points).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The modules and texts of log lines with their traces.
    fn lines(&self) -> Vec<(String, String, Vec<u8>)> {
        let taken = self.lines.lock().unwrap();
        let scopes = taken.iter().flat_map(|sent| &sent.resource_logs).flat_map(|of| &of.scope_logs);
        let lines = scopes.flat_map(|of| of.log_records.iter().map(|line| (of.scope.as_ref(), line)));
        lines
            .map(|(scope, line)| {
                (
                    scope.map(|scope| scope.name.clone()).unwrap_or_default(),
                    text(line.body.as_ref()),
                    line.trace_id.clone(),
                )
            })
            .collect()
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_metrics_and_log_lines_go_to_a_collector_and_share_their_trace() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let at = listener.local_addr().expect("it has an address");
    let server = Server::builder()
        .add_service(traces::trace_service_server::TraceServiceServer::new(collector.clone()))
        .add_service(metrics::metrics_service_server::MetricsServiceServer::new(collector.clone()))
        .add_service(logs::logs_service_server::LogsServiceServer::new(collector.clone()));
    tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, data, port) = (dir.path().join("remit.toml"), dir.path().join("data"), free_port());
    // Everything is told, so that what sends log lines would tell of itself.
    let toml = format!(
        "[data]\ndir = {data:?}\n[server]\nlisten = \"127.0.0.1:{port}\"\n\
         [telemetry]\nlog = \"debug\"\notlp_endpoint = \"http://{at}\"\n"
    );
    std::fs::write(&file, &toml).expect("the configuration can be written");
    let signer = Signer::development(&Config::from_toml(&toml).expect("a configuration")).expect("an issuer");
    let (subject, roles) = ("ada".to_owned(), vec!["operator".to_owned()]);
    let ada = Actor { subject, kind: ActorKind::Human, roles, role_groups: Vec::new(), on_behalf_of: None };
    let tenant = Tenant::new("acme").expect("a tenant");
    let token = signer.token(&tenant, &ada, Duration::from_secs(300)).expect("a token can be signed");
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address").connect_lazy();
    let bearer = |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        Ok::<_, Status>(request)
    };
    // Gauges are set when a process starts, and show what the one before has left.
    for run in ["first", "second"] {
        let mut process = Process::start(dir.path(), run, &["serve", "--config", file.to_str().expect("text")]);
        eventually("the process answers", || {
            let mut tasks = TaskServiceClient::with_interceptor(channel.clone(), bearer);
            async move { tasks.list_tasks(ListTasksRequest::default()).await.is_ok() }
        })
        .await;
        if run == "first" {
            let scope = Some(Scope { target: Some(Target::Organisation(true)) });
            let request = EngageHoldRequest {
                hold_id: "h".to_owned(),
                hold: Some(Hold { scope, reason: "a try".to_owned(), ..Default::default() }),
                ..Default::default()
            };
            let mut holds = HoldServiceClient::with_interceptor(channel.clone(), bearer);
            holds.engage_hold(request).await.expect("a hold is engaged");
        }
        // The last of the gauges that are set.
        eventually("gauges are set", || async {
            let page = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.expect("metrics");
            page.text().await.expect("a page").contains("remit_notify_dead")
        })
        .await;
        process.terminate();
        assert_eq!(process.wait(), 0, "{}", process.printed());
    }

    let (spans, lines) = (collector.spans(), collector.lines());
    let method = "remit.scoring.v1.TaskService/ListTasks";
    let called: Vec<_> = spans.iter().filter(|(name, _)| name == method).map(|(_, trace)| trace).collect();
    assert!(!called.is_empty(), "{spans:?}");
    assert!(spans.iter().any(|(name, trace)| name != method && called.contains(&trace)), "its statements: {spans:?}");
    let ended = |(_, text, trace): &(String, String, Vec<u8>)| text == "call ended" && called.contains(&trace);
    assert!(lines.iter().any(ended), "{lines:?}");
    let told: Vec<_> = lines.iter().filter(|(of, ..)| !of.starts_with("remit")).map(|(of, ..)| of.as_str()).collect();
    for of in ["h2", "hyper", "tonic", "tower", "opentelemetry"] {
        assert!(!told.iter().any(|told| told.starts_with(of)), "sending tells of itself: {told:?}");
    }
    let metrics = collector.metrics();
    let gauge = |name: &str, label: &str| {
        let labelled = |labels: &[String]| label.is_empty() || labels.iter().any(|found| found == label);
        let found = metrics.iter().find(|(metric, labels, _)| metric == name && labelled(labels));
        found.unwrap_or_else(|| panic!("{name} of {label:?} is not in {metrics:?}")).2
    };
    assert!(gauge("remit.log.entries", "") >= 1.0, "{metrics:?}");
    assert_eq!(gauge("remit.holds.engaged", "ENGAGED").to_bits(), 1.0_f64.to_bits());
    for (name, label) in [
        ("remit.holds.engaged", "BYPASSED"),
        ("remit.proposals.open", ""),
        ("remit.handoffs.open", "IN_REVIEW"),
        ("remit.handoffs.oldest", "IN_REVIEW"),
        ("remit.leads.open", ""),
        ("remit.leads.late", ""),
        ("remit.notify.dead", ""),
    ] {
        assert_eq!(gauge(name, label).to_bits(), 0.0_f64.to_bits(), "{name}");
    }
    for name in ["rpc.server.call.duration", "remit.build.info"] {
        assert!(metrics.iter().any(|(metric, ..)| metric == name), "{name} is not in {metrics:?}");
    }
}
