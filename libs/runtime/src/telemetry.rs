//! Logs, metrics and traces of the process.

use crate::config::Telemetry;
use crate::context::Trace;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus::{Encoder as _, TextEncoder};
use remit_core::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// The target of the spans of statements, which the store makes.
const STATEMENTS: &str = "remit::sql";

/// How the modules begin that write lines when log lines are sent: they would never end.
const OF_SENDING: [&str; 5] = ["h2", "hyper", "opentelemetry", "tonic", "tower"];

/// Whether spans go to a collector; else they need no OpenTelemetry context.
static EXPORTING: AtomicBool = AtomicBool::new(false);

/// What collects metrics, once something has asked for it.
static METERS: OnceLock<SdkMeterProvider> = OnceLock::new();

static REGISTRY: LazyLock<prometheus::Registry> = LazyLock::new(prometheus::Registry::new);

/// How long the end waits for a collector, for each signal: it may be the first that is away.
const FLUSH: Duration = Duration::from_secs(2);

/// How often the log says that a limit bites.
pub(crate) const TELL: Duration = Duration::from_secs(10);

/// When the log was last told of something, and how often it has not been told since.
#[derive(Debug, Default)]
pub(crate) struct Told {
    at: Option<Instant>,
    since: u64,
}

impl Told {
    /// Of how many to tell, if it is time to.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.at.is_some_and(|at| now.saturating_duration_since(at) < TELL) {
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// Keeps the exporters alive; [`Guard::shutdown`] flushes them.
#[derive(Debug)]
pub struct Guard {
    tracer: Option<SdkTracerProvider>,
    logger: Option<SdkLoggerProvider>,
}

impl Guard {
    /// Sends what has not been sent yet.
    pub fn shutdown(self) {
        if let Some(tracer) = self.tracer
            && let Err(error) = tracer.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last spans could not be exported");
        }
        let Some(logger) = self.logger else { return };
        if let Some(Err(error)) = METERS.get().map(|meters| meters.shutdown_with_timeout(FLUSH)) {
            tracing::warn!(%error, "the last metrics could not be exported");
        }
        if let Err(error) = logger.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last log lines could not be exported");
        }
    }
}

/// Starts logging to standard error, and exporting traces, metrics and log lines where configured. Call it once, in `main`, before
/// anything is counted.
///
/// # Errors
/// `InvalidArgument` (`CONFIG_INVALID`) for directives or an endpoint that cannot be read.
pub fn init(config: &Telemetry) -> Result<Guard> {
    let exporting = !config.otlp_endpoint.is_empty();
    collect(exporting.then_some(config.otlp_endpoint.as_str()))?;
    let invalid =
        |field: &str, error: &dyn std::fmt::Display| Error::invalid("CONFIG_INVALID", field, error.to_string());
    let filter = EnvFilter::try_new(&config.log).map_err(|error| invalid("telemetry.log", &error))?;
    // Spans of statements cost nothing where nobody takes them.
    let statements = format!("{STATEMENTS}={}", if exporting { "info" } else { "off" });
    let filter = filter.add_directive(statements.parse().map_err(|error| invalid("telemetry.log", &error))?);
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(true);
    let lines = if config.format == "json" {
        text.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        use std::io::IsTerminal as _;
        text.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    let (tracer, logger) = if exporting { (Some(exporter(config)?), Some(logger(config)?)) } else { (None, None) };
    let records = logger.as_ref().map(|provider| {
        let own = |target: &str| OF_SENDING.iter().any(|own| target.starts_with(own));
        OpenTelemetryTracingBridge::new(provider).with_filter(filter_fn(move |line| !own(line.target())))
    });
    let spans = tracer.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("remit")));
    tracing_subscriber::registry()
        .with(spans)
        .with(records)
        .with(lines)
        .with(filter)
        .try_init()
        .map_err(|error| Error::internal("logging was started twice").with_source(error))?;
    EXPORTING.store(exporting, Ordering::Relaxed);
    Ok(Guard { tracer, logger })
}

fn exporter(config: &Telemetry) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp_endpoint)
        .build()
        .map_err(|error| Error::invalid("CONFIG_INVALID", "telemetry.otlp_endpoint", error.to_string()))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource())
        .build())
}

fn logger(config: &Telemetry) -> Result<SdkLoggerProvider> {
    let exporter = opentelemetry_otlp::LogExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp_endpoint)
        .build()
        .map_err(|error| Error::invalid("CONFIG_INVALID", "telemetry.otlp_endpoint", error.to_string()))?;
    Ok(SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

/// What all signals of the process say of themselves; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say otherwise or more.
fn resource() -> opentelemetry_sdk::Resource {
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    opentelemetry_sdk::Resource::builder()
        .with_service_name(name.unwrap_or_else(|| "remit".to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Starts collecting metrics for [`prometheus_text`]; harmless to repeat.
pub fn metrics() {
    if let Err(error) = collect(None) {
        tracing::error!(%error, "metrics are not collected");
    }
}

/// Collects metrics for [`prometheus_text`] and for a collector; only the first time counts.
fn collect(otlp: Option<&str>) -> Result<()> {
    if METERS.get().is_some() {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| Error::internal(format!("metrics cannot be collected: {error}"));
    let pages = opentelemetry_prometheus::exporter().with_registry(REGISTRY.clone()).build();
    let mut provider =
        SdkMeterProvider::builder().with_reader(pages.map_err(|error| failed(&error))?).with_resource(resource());
    if let Some(endpoint) = otlp {
        let exporter = opentelemetry_otlp::MetricExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let invalid = |error: &dyn std::fmt::Display| {
            Error::invalid("CONFIG_INVALID", "telemetry.otlp_endpoint", error.to_string())
        };
        // How often is said by OTEL_METRIC_EXPORT_INTERVAL.
        provider = provider.with_periodic_exporter(exporter.map_err(|error| invalid(&error))?);
    }
    opentelemetry::global::set_meter_provider(METERS.get_or_init(|| provider.build()).clone());
    Ok(())
}

/// All metrics in the Prometheus text format.
///
/// # Errors
/// `Internal` if they cannot be encoded.
pub fn prometheus_text() -> Result<String> {
    let mut text = Vec::new();
    TextEncoder::new()
        .encode(&REGISTRY.gather(), &mut text)
        .map_err(|error| Error::internal("the metrics could not be encoded").with_source(error))?;
    String::from_utf8(text).map_err(|error| Error::internal("the metrics are not text").with_source(error))
}

/// Counts a refusal of identity or permission. Reasons are those of the sources, so they are few.
pub(crate) fn refused(reason: &'static str) {
    static REFUSALS: LazyLock<Counter<u64>> = LazyLock::new(|| {
        metrics();
        opentelemetry::global::meter("remit")
            .u64_counter("remit.refusals")
            .with_description("The calls that were refused because of who called, by reason.")
            .build()
    });
    REFUSALS.add(1, &[KeyValue::new("reason", reason)]);
}

/// Counts a check by its verdict and the reason that decided it, which are words of the sources, so that they are few.
pub fn checked(verdict: &'static str, reason: &'static str) {
    static CHECKS: LazyLock<Counter<u64>> = LazyLock::new(|| {
        metrics();
        opentelemetry::global::meter("remit")
            .u64_counter("remit.checks")
            .with_description("The checks that were answered, by verdict and the reason that decided it.")
            .build()
    });
    CHECKS.add(1, &[KeyValue::new("verdict", verdict), KeyValue::new("reason", reason)]);
}

/// The span of one call that begins or continues a trace, and its place in the trace: where spans are exported, the one
/// that is exported, so that the id which the caller, the log and the records have finds it.
pub(crate) fn call_span(method: &str, parent: Option<Trace>) -> (Span, Trace) {
    let exporting = EXPORTING.load(Ordering::Relaxed);
    let own = parent.map_or_else(Trace::begin, Trace::child);
    // A field that is known at once is written once.
    let id = (!exporting).then(|| tracing::field::display(own.id()));
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = tracing::field::Empty,
        trace_id = id,
    );
    if !exporting {
        return (span, own);
    }
    if let Some(parent) = parent {
        let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let (trace_id, span_id) = (TraceId::from(parent.trace_id), SpanId::from(parent.span_id));
        let remote = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
    }
    let trace = place(&span.context()).unwrap_or(own);
    span.record("trace_id", tracing::field::display(trace.id()));
    (span, trace)
}

/// Says how the call of a span ended, where spans are exported.
pub(crate) fn ended(span: &Span, code: tonic::Code) {
    if EXPORTING.load(Ordering::Relaxed) {
        span.record("rpc.response.status_code", crate::layers::metrics::code_name(code));
    }
}

/// Where in its trace the span of a context is, if it has one.
fn place(context: &opentelemetry::Context) -> Option<Trace> {
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| Trace {
        trace_id: u128::from_be_bytes(found.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(found.span_id().to_bytes()),
        sampled: found.is_sampled(),
    })
}

/// The span of a call to a peer, which the peer's own continues; none where spans are not exported, and for the questions
/// after health, which nobody has asked for.
pub(crate) fn outgoing_span(request: &mut http::Request<tonic::body::Body>) -> Span {
    let method = request.uri().path().trim_start_matches('/').to_owned();
    if !EXPORTING.load(Ordering::Relaxed) || method.starts_with("grpc.health.") {
        return Span::none();
    }
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "client",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = tracing::field::Empty,
    );
    if let Some(header) = place(&span.context()).and_then(|trace| trace.to_string().parse().ok()) {
        request.headers_mut().insert("traceparent", header);
    }
    span
}

/// The place in the trace that an outgoing call continues: the exported span where there is one.
pub(crate) fn outgoing(trace: Trace) -> Trace {
    if !EXPORTING.load(Ordering::Relaxed) {
        return trace.child();
    }
    place(&Span::current().context()).unwrap_or_else(|| trace.child())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_trace_that_a_caller_is_told_is_the_one_that_is_exported() {
        let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        EXPORTING.store(true, Ordering::Relaxed);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let (span, trace) = call_span("remit.test.v1.Test/Begin", None);
            assert_eq!(place(&span.context()), Some(trace));
            let (span, continued) = call_span("remit.test.v1.Test/Continue", Some(trace));
            assert_eq!(place(&span.context()), Some(continued));
            assert_eq!(continued.trace_id, trace.trace_id);
            assert_ne!(continued.span_id, trace.span_id);
            let mut request = http::Request::new(tonic::body::Body::empty());
            *request.uri_mut() = "http://audit/remit.audit.v1.AuditService/Append".parse().unwrap();
            request.headers_mut().insert("traceparent", continued.to_string().parse().unwrap());
            let called = span.in_scope(|| outgoing_span(&mut request));
            let told = request.headers().get("traceparent").unwrap().to_str().unwrap().to_owned();
            assert_eq!(Some(told), place(&called.context()).map(|place| place.to_string()), "the peer continues it");
            let place = place(&called.context()).unwrap();
            assert_eq!(place.trace_id, trace.trace_id);
            assert!(place.span_id != continued.span_id, "a call to a peer has a span of its own");
            *request.uri_mut() = "http://audit/grpc.health.v1.Health/Watch".parse().unwrap();
            assert!(outgoing_span(&mut request).is_none());
        });
        EXPORTING.store(false, Ordering::Relaxed);
        let (_, alone) = call_span("remit.test.v1.Test/Alone", None);
        assert_ne!(alone.trace_id, 0);
    }

    /// Takes down the fields of each span of a statement.
    struct Taken(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Taken {
        fn on_new_span(
            &self,
            attributes: &tracing::span::Attributes<'_>,
            _: &tracing::span::Id,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            if attributes.metadata().target() == STATEMENTS {
                self.0.lock().unwrap().push(format!("{:?}", attributes.values()));
            }
        }
    }

    #[tokio::test]
    async fn a_statement_has_a_span_with_its_text_and_without_its_values() {
        const TABLE: &str = "create table a (tenant_id $KEY not null, constraint a_pk primary key (tenant_id))";
        const SCHEMA: remit_store::Schema =
            remit_store::Schema { service: "test", migrations: &[remit_store::Migration::new(1, "init", TABLE)] };
        let taken = std::sync::Arc::default();
        let layer = Taken(std::sync::Arc::clone(&taken)).with_filter(EnvFilter::new(format!("{STATEMENTS}=info")));
        let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let dir = tempfile::tempdir().unwrap();
        let ids = std::sync::Arc::new(remit_core::Ids::new(Box::new(|bytes: &mut [u8]| bytes.fill(0))));
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        let db = remit_store::Db::open(&url, &SCHEMA, ids, remit_store::Options::default()).await.unwrap();
        let asked = remit_store::query("select tenant_id from a where tenant_id = $1").bind("hidden");
        asked.fetch_all(&mut db.read().await.unwrap()).await.unwrap();
        let taken = taken.lock().unwrap();
        let last = taken.last().unwrap();
        assert!(last.contains("where tenant_id = $1") && last.contains("sqlite") && last.contains("test"), "{last}");
        assert!(!last.contains("hidden"), "{last}");
    }
}
