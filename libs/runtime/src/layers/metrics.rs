//! The metrics of every call, after the OpenTelemetry semantic conventions for RPC.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use std::time::Duration;
use tonic::Code;

/// The instruments of the server side.
#[derive(Debug, Clone)]
pub(crate) struct CallMetrics {
    duration: Histogram<f64>,
    calls: Counter<u64>,
    active: UpDownCounter<i64>,
}

impl CallMetrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            duration: meter
                .f64_histogram("rpc.server.call.duration")
                .with_unit("s")
                .with_description("The time from the arrival of a call to the end of its answer, by method.")
                .with_boundaries(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0])
                .build(),
            calls: meter
                .u64_counter("rpc.server.calls")
                .with_description("The calls that have ended, by method and status code.")
                .build(),
            active: meter
                .i64_up_down_counter("rpc.server.active_calls")
                .with_description("The calls in progress.")
                .build(),
        }
    }

    pub(crate) fn begin(&self) {
        self.active.add(1, &[]);
    }

    /// `method` is bounded: paths that no service has share one name.
    pub(crate) fn end(&self, method: &'static str, code: Code, took: Duration) {
        self.active.add(-1, &[]);
        let name = code_name(code);
        let labels = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method),
            KeyValue::new("rpc.response.status_code", name),
            KeyValue::new("error.type", name),
        ];
        // The conventions would have the code on the histogram too, which is a line a bucket, method and code.
        self.duration.record(took.as_secs_f64(), &labels[..2]);
        self.calls.add(1, if is_failure(code) { &labels } else { &labels[..3] });
    }
}

/// The codes that count as the server's failure, as the conventions say.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
