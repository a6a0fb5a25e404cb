//! Experiments.

use remit_api::kpi::v1::{Experiment, StoppingRule};
use remit_api::wire::time;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Records, Tx, Value, query};

/// Experiments, by name.
pub(crate) struct Experiments;

impl Records for Experiments {
    type Message = Experiment;

    const TABLE: &'static str = "experiments";
    const NOT_FOUND: &'static str = "EXPERIMENT_NOT_FOUND";
    const EXISTS: &'static str = "EXPERIMENT_EXISTS";

    fn name(experiment: &Experiment) -> &str {
        &experiment.name
    }

    fn create_time(experiment: &Experiment) -> Timestamp {
        time::of(&experiment.create_time.unwrap_or_default())
    }

    fn columns(experiment: &Experiment) -> Vec<(&'static str, Value)> {
        vec![("hidden_until", hidden_until(experiment).into())]
    }

    fn set_etag(experiment: &mut Experiment, etag: String) {
        experiment.etag = etag;
    }
}

/// Until when the arms of an experiment are shown to nobody; 0 where nothing is left that could be turned.
fn hidden_until(experiment: &Experiment) -> i64 {
    let anytime = experiment.stopping_rule() == StoppingRule::Anytime;
    let open = !anytime && !experiment.retrospective && experiment.cancel_reason.is_empty();
    experiment.conclude_time.filter(|_| open).map_or(0, |at| time::of(&at).0)
}

/// The experiments whose arms are shown to nobody at `now`.
///
/// # Errors
/// As the database says.
pub(crate) async fn hidden(tx: &mut Tx, tenant: &Tenant, now: i64) -> Result<Vec<Experiment>> {
    let rows = query("select revision, body from experiments where tenant_id = $1 and hidden_until > $2")
        .bind(tenant)
        .bind(now)
        .fetch_all(tx)
        .await?;
    rows.iter().map(Experiments::read).collect()
}
