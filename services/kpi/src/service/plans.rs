//! How large an experiment must be.

use super::Service;
use super::comparisons::DEFAULT_ALPHA;
use super::query::count;
use crate::conditions::or;
use remit_api::kpi::v1::plan_experiment_request::Metric as Asked;
use remit_api::kpi::v1::{PlanExperimentRequest, PlanExperimentResponse};
use remit_core::{Error, Result};
use remit_drift::{Metric, Plan};

/// The wanted chance to find the least effect, if none is given.
const POWER: f64 = 0.8;

impl Service {
    /// Works out how many units an experiment needs, and what it finds with those that it has.
    ///
    /// # Errors
    /// `InvalidArgument` (`PLAN_INVALID`), naming the field.
    pub(crate) fn plan_experiment(request: &PlanExperimentRequest) -> Result<PlanExperimentResponse> {
        let invalid = |field: &'static str, why: &str| Error::invalid("PLAN_INVALID", field, why);
        let effect = request.least_effect;
        let metric = match request.metric {
            Some(Asked::BaselineShare(baseline)) => {
                if !(baseline + effect > 0.0 && baseline + effect < 1.0) {
                    let why = "must lead from the baseline to a share between 0 and 1: give ten points as 0.1";
                    return Err(invalid("least_effect", why));
                }
                Metric::Share { baseline }
            }
            Some(Asked::StandardDeviation(deviation)) => Metric::Mean { deviation },
            None => return Err(invalid("metric", "must be a baseline share or a standard deviation")),
        };
        if effect == 0.0 {
            return Err(invalid("least_effect", "must not be 0: nothing finds no difference"));
        }
        let plan = Plan {
            metric,
            alpha: or(request.alpha, DEFAULT_ALPHA),
            treatments: u32::try_from(request.treatments).unwrap_or(1).max(1),
            ratio: or(request.control_ratio, 1.0),
        };
        let power = or(request.power, POWER);
        let n = plan.n(effect, power).ok_or_else(|| invalid("least_effect", "is too small for any number of units"))?;
        let known = u64::try_from(request.n_per_arm).ok().filter(|n| *n > 0);
        Ok(PlanExperimentResponse {
            n_per_arm: count(n),
            // At most 1e15 times a thousand, and whole.
            control_n: count((n as f64 * plan.ratio).ceil() as u64),
            power: known.and_then(|n| plan.power(effect, n)),
            detectable_effect: known.and_then(|n| plan.detectable(n, power)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plan_answers_either_way_round() {
        let asked = |n_per_arm| PlanExperimentRequest {
            metric: Some(Asked::BaselineShare(0.6)),
            least_effect: 0.1,
            n_per_arm,
            ..Default::default()
        };
        let plan = Service::plan_experiment(&asked(0)).unwrap();
        assert_eq!((plan.n_per_arm, plan.control_n, plan.power), (376, 376, None));
        let plan = Service::plan_experiment(&asked(376)).unwrap();
        assert!((plan.power.unwrap() - 0.8).abs() < 0.01 && (plan.detectable_effect.unwrap() - 0.1).abs() < 0.001);
        for wrong in [0.5, -0.6, 0.0] {
            let wrong = PlanExperimentRequest { least_effect: wrong, ..asked(0) };
            assert_eq!(Service::plan_experiment(&wrong).unwrap_err().reason(), "PLAN_INVALID");
        }
    }
}
