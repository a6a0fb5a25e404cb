//! The alert rules.

use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::threshold_condition::Comparison;
use remit_api::kpi::v1::{
    AlertRule, AlertSeverity, CrossLayerCondition, Granularity, GuardCondition, ThresholdCondition,
};
use remit_api::wire::time::stamp;
use remit_core::Timestamp;
use remit_core::name::AlertRuleName;

/// The shipped alert rules.
pub(crate) fn alert_rules(now: Timestamp) -> Vec<AlertRule> {
    let rule = |id: &str, display_name: &str, severity: AlertSeverity, condition: Condition| AlertRule {
        name: AlertRuleName::new(id).to_string(),
        display_name: display_name.to_owned(),
        severity: severity.into(),
        condition: Some(condition),
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        ..AlertRule::default()
    };
    let intervention = |comparison: Comparison, limit: f64, min_n: i64| {
        Condition::Threshold(ThresholdCondition {
            kpi: "kpis/human_intervention_rate".to_owned(),
            comparison: comparison.into(),
            limit,
            granularity: Granularity::Month.into(),
            min_n,
            ..ThresholdCondition::default()
        })
    };
    vec![
        rule(
            "cross-layer",
            // S141
            "Operational KPIs improve while strategic ones fall",
            AlertSeverity::Critical,
            Condition::CrossLayer(CrossLayerCondition {
                granularity: Granularity::Month.into(),
                min_change_ratio: 0.0,
            }),
        ),
        rule(
            "conversion-guards",
            // S128
            "Conversion improves while retention or brand falls",
            AlertSeverity::Warning,
            Condition::Guard(GuardCondition {
                kpi: "kpis/conversion_rate".to_owned(),
                granularity: Granularity::Quarter.into(),
                min_change_ratio: 0.0,
            }),
        ),
        rule(
            "overtrust",
            // S122
            "People hardly ever override AI any more",
            AlertSeverity::Warning,
            intervention(Comparison::Below, 0.005, 200),
        ),
        rule(
            "undertrust",
            // S122
            "People override AI very often",
            AlertSeverity::Warning,
            intervention(Comparison::Above, 0.30, 20),
        ),
    ]
}
