//! What services count beside their calls. The labels are words of the sources, so that they are few.

use crate::telemetry;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use std::sync::LazyLock;
use std::time::Duration;

struct Meters {
    relay_failures: Counter<u64>,
    timers_fired: Counter<u64>,
    appended: Histogram<u64>,
    append: Histogram<f64>,
    ingested: Counter<u64>,
}

static METERS: LazyLock<Meters> = LazyLock::new(|| {
    telemetry::metrics();
    let meter = opentelemetry::global::meter("remit");
    let counter = |name: &'static str, text: &'static str| meter.u64_counter(name).with_description(text).build();
    Meters {
        relay_failures: counter(
            "remit.relay.failures",
            "Tries to hand events to the audit log that failed, by reason.",
        ),
        timers_fired: counter("remit.timers.fired", "The timers that fired."),
        appended: meter
            .u64_histogram("remit.log.group")
            .with_description("The entries that were appended to a log at once.")
            .with_boundaries(vec![1.0, 2.0, 5.0, 10.0, 50.0, 200.0, 1_000.0])
            .build(),
        append: meter
            .f64_histogram("remit.log.append")
            .with_unit("s")
            .with_description("How long it took to append them, the commit included.")
            .with_boundaries(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0])
            .build(),
        ingested: counter("remit.kpi.ingested", "The events that KPIs took, duplicates among them."),
    }
});

/// A service could not hand its events to the audit log.
pub(crate) fn relay_failed(service: &'static str, reason: &'static str) {
    METERS.relay_failures.add(1, &[KeyValue::new("service", service), KeyValue::new("reason", reason)]);
}

/// Timers of a service fired.
pub(crate) fn fired(service: &'static str, timers: u64) {
    if timers > 0 {
        METERS.timers_fired.add(timers, &[KeyValue::new("service", service)]);
    }
}

/// A group of entries was appended to a log.
pub fn appended(entries: usize, took: Duration) {
    METERS.appended.record(u64::try_from(entries).unwrap_or(u64::MAX), &[]);
    METERS.append.record(took.as_secs_f64(), &[]);
}

/// Events were recorded for KPIs.
pub fn ingested(events: usize) {
    METERS.ingested.add(u64::try_from(events).unwrap_or(u64::MAX), &[]);
}
