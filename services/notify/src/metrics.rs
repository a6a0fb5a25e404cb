//! What operators watch: tries by outcome, and what is stuck.

use crate::store::queues;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge};
use remit_core::Result;
use remit_store::Db;

/// The metrics of the service.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    tries: Counter<u64>,
    dead: Gauge<i64>,
    broken: Gauge<i64>,
    oldest: Gauge<f64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = opentelemetry::global::meter("remit");
        let gauge = |name: &'static str, text: &'static str| meter.i64_gauge(name).with_description(text).build();
        let tries = meter.u64_counter("remit.notify.tries").with_description("Tries to deliver, by outcome.").build();
        let oldest = meter.f64_gauge("remit.notify.due").with_unit("s");
        Self {
            tries,
            dead: gauge("remit.notify.dead", "The dead letters, all tenants."),
            broken: gauge("remit.notify.broken", "The subscriptions that broke, all tenants."),
            oldest: oldest.with_description("For how long what is due waits to be sent, worst subscription.").build(),
        }
    }

    /// Counts a try; `error` is empty if it was taken.
    pub(crate) fn tried(&self, error: &'static str) {
        let outcome = if error.is_empty() { "DELIVERED" } else { error };
        self.tries.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// Looks at what is stuck.
    ///
    /// # Errors
    /// As [`remit_store::classify`] says.
    pub(crate) async fn look(&self, db: &Db) -> Result<()> {
        let all = queues::stuck(&mut db.read().await?).await?;
        self.dead.record(all.dead, &[]);
        self.broken.record(all.broken, &[]);
        self.oldest.record(all.due.map_or(0.0, |due| db.now().since(due).as_secs_f64()), &[]);
        Ok(())
    }
}
