//! Experiments.

use remit_api::kpi::v1::Experiment;
use remit_api::wire::time;
use remit_core::Timestamp;
use remit_store::Records;

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

    fn set_etag(experiment: &mut Experiment, etag: String) {
        experiment.etag = etag;
    }
}
