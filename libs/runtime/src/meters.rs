//! What services count beside their calls. The labels are words of the sources, so that they are few.

use crate::telemetry;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use std::sync::LazyLock;
use std::time::Duration;

struct Meters {
    relay_failures: Counter<u64>,
    timers_fired: Counter<u64>,
    appended: Histogram<u64>,
    append: Histogram<f64>,
    ingested: Counter<u64>,
    entries: Gauge<i64>,
    cache_age: Gauge<f64>,
    handoffs_open: Gauge<i64>,
    handoffs_oldest: Gauge<f64>,
    leads_open: Gauge<i64>,
    leads_late: Gauge<f64>,
    holds: Gauge<i64>,
    proposals_open: Gauge<i64>,
}

static METERS: LazyLock<Meters> = LazyLock::new(|| {
    telemetry::metrics();
    let meter = opentelemetry::global::meter("remit");
    let counter = |name: &'static str, text: &'static str| meter.u64_counter(name).with_description(text).build();
    let gauge = |name: &'static str, text: &'static str| meter.i64_gauge(name).with_description(text).build();
    let seconds =
        |name: &'static str, text: &'static str| meter.f64_gauge(name).with_unit("s").with_description(text).build();
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
        entries: gauge("remit.log.entries", "The entries of the audit log, all tenants, the pruned ones too."),
        cache_age: seconds(
            "remit.cache.age",
            "Since when what checks are answered from was not heard of, worst tenant.",
        ),
        handoffs_open: gauge("remit.handoffs.open", "The handoffs that are not at an end, by state, all tenants."),
        handoffs_oldest: seconds("remit.handoffs.oldest", "The age of the oldest handoff in a state, all tenants."),
        leads_open: gauge("remit.leads.open", "The assigned leads that nobody has accepted, all tenants."),
        leads_late: seconds("remit.leads.late", "How long the time of such a lead is over, worst lead."),
        holds: gauge("remit.holds.engaged", "The holds in force, by state, all tenants."),
        proposals_open: gauge("remit.proposals.open", "The proposals that wait for votes, all tenants."),
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

/// So many entries have the logs of all tenants.
pub fn entries(entries: i64) {
    METERS.entries.record(entries, &[]);
}

/// For so long nothing was heard of what fills a cache.
pub fn cache_age(cache: &'static str, age: Duration) {
    METERS.cache_age.record(age.as_secs_f64(), &[KeyValue::new("cache", cache)]);
}

/// So many handoffs are in a state, and how old the oldest of them is.
pub fn handoffs(state: &'static str, open: i64, oldest: Duration) {
    let state = [KeyValue::new("state", state)];
    METERS.handoffs_open.record(open, &state);
    METERS.handoffs_oldest.record(oldest.as_secs_f64(), &state);
}

/// So many leads wait to be accepted, and for how long the time of the one that is due first is over.
pub fn leads(open: i64, late: Duration) {
    METERS.leads_open.record(open, &[]);
    METERS.leads_late.record(late.as_secs_f64(), &[]);
}

/// So many holds are in a state that is in force.
pub fn holds(state: &'static str, holds: i64) {
    METERS.holds.record(holds, &[KeyValue::new("state", state)]);
}

/// So many proposals wait for votes.
pub fn proposals(open: i64) {
    METERS.proposals_open.record(open, &[]);
}
