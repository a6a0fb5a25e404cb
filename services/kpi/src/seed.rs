//! The definitions and alert rules that ship with the software: the KPIs of a marketing organisation in
//! three layers (S45 to S55, A16, A17), the drift signals (R16), and the alerts that watch for winning the
//! dashboard while losing the market.

use crate::definition::complete;
use crate::service::definitions::etag;
use crate::service::timestamp;
use remit_api::kpi::v1::alert_rule::Condition;
use remit_api::kpi::v1::threshold_condition::Comparison;
use remit_api::kpi::v1::{
    AlertRule, AlertSeverity, Cadence, CrossLayerCondition, Dimension, Direction, Granularity, GuardCondition, Kind,
    Kpi, KpiState, Layer, ThresholdCondition, Thresholds, Unit,
};
use remit_core::{Result, Timestamp};

use Cadence::{Continuous, Monthly, Quarterly, Weekly};
use Direction::{HigherIsBetter as Higher, LowerIsBetter as Lower, Neutral};
use Kind::{Count, Distinct, Distribution, Mean, Percentile, Ratio, Sum};
use Layer::{Execution, Operational, Strategic};
use Unit::{Currency, Index, Proportion, Score, Seconds};

/// One shipped definition: id, name for people, what is measured.
type Text = (&'static str, &'static str, &'static str);

struct Seed {
    text: Text,
    layer: Layer,
    kind: Kind,
    unit: Unit,
    direction: Direction,
    cadence: Cadence,
    dimensions: &'static [&'static str],
    required: &'static [&'static str],
    guards: &'static [&'static str],
    target: Option<f64>,
    warning: Option<f64>,
    breach: Option<f64>,
    derived: bool,
}

fn seed(text: Text, layer: Layer, kind: Kind, unit: Unit, direction: Direction) -> Seed {
    Seed {
        text,
        layer,
        kind,
        unit,
        direction,
        cadence: Continuous,
        dimensions: &[],
        required: &[],
        guards: &[],
        target: None,
        warning: None,
        breach: None,
        derived: false,
    }
}

impl Seed {
    fn by(mut self, dimensions: &'static [&'static str]) -> Self {
        self.dimensions = dimensions;
        self
    }

    fn with(mut self, required: &'static [&'static str]) -> Self {
        self.required = required;
        self
    }

    fn guarded(mut self, guards: &'static [&'static str]) -> Self {
        self.guards = guards;
        self
    }

    fn every(mut self, cadence: Cadence) -> Self {
        self.cadence = cadence;
        self
    }

    fn limits(mut self, target: f64, warning: f64, breach: f64) -> Self {
        (self.target, self.warning, self.breach) = (Some(target), Some(warning), Some(breach));
        self
    }

    fn from_the_log(mut self) -> Self {
        self.derived = true;
        self
    }

    fn kpi(self, now: Timestamp) -> Result<Kpi> {
        let (id, display_name, description) = self.text;
        let dimension = |key: &&str, required| Dimension { key: (*key).to_owned(), max_values: 0, required };
        let thresholds = Thresholds { warning: self.warning, breach: self.breach };
        let mut kpi = Kpi {
            name: format!("kpis/{id}"),
            version: 1,
            display_name: display_name.to_owned(),
            description: description.to_owned(),
            currency_code: if self.unit == Currency { "USD".to_owned() } else { String::new() },
            target: self.target,
            thresholds: (self.warning.is_some() || self.breach.is_some()).then_some(thresholds),
            guards: self.guards.iter().map(|guard| format!("kpis/{guard}")).collect(),
            dimensions: self
                .required
                .iter()
                .map(|key| dimension(key, true))
                .chain(self.dimensions.iter().map(|key| dimension(key, false)))
                .collect(),
            derived: self.derived,
            create_time: timestamp(now),
            update_time: timestamp(now),
            ..Kpi::default()
        };
        kpi.set_layer(self.layer);
        kpi.set_kind(self.kind);
        kpi.set_unit(self.unit);
        kpi.set_direction(self.direction);
        kpi.set_cadence(self.cadence);
        kpi.set_state(KpiState::Active);
        kpi.etag = etag(&kpi);
        complete(kpi)
    }
}

/// The shipped definitions.
///
/// # Errors
/// As [`complete`]; a test holds that there is none.
pub fn kpis(now: Timestamp) -> Result<Vec<Kpi>> {
    let seeds = operational().into_iter().chain(derived()).chain(execution()).chain(signals()).chain(strategic());
    seeds.map(|seed| seed.kpi(now)).collect()
}

fn operational() -> Vec<Seed> {
    vec![
        seed(
            (
                "automation_uptime",
                "Automation uptime",
                "Seconds an automation was available over seconds observed (S46).",
            ),
            Operational,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["automation"])
        .limits(0.995, 0.99, 0.98),
        seed(
            (
                "automation_error_rate",
                "Automation error rate",
                "Failed automation runs over all runs, as the platforms report them (S46).",
            ),
            Operational,
            Ratio,
            Proportion,
            Lower,
        )
        .by(&["automation", "channel"])
        .limits(0.01, 0.02, 0.05),
        seed(
            (
                "launch_throughput",
                "Campaigns launched",
                "Campaigns that went live; by ISO week it is the rate of A16 (S47).",
            ),
            Operational,
            Count,
            Unit::Count,
            Higher,
        )
        .by(&["channel"])
        .every(Weekly)
        .guarded(&["checklist_score"]),
        seed(
            (
                "time_to_launch",
                "Time to launch",
                "Seconds from the accepted brief to going live; median in value, mean in mean (S47, A16).",
            ),
            Operational,
            Percentile,
            Seconds,
            Lower,
        )
        .by(&["channel"])
        .guarded(&["checklist_score"]),
        seed(
            (
                "enrichment_latency",
                "Lead enrichment latency",
                "Seconds from a lead's arrival to its enrichment; p50, p95, p99 (S49).",
            ),
            Operational,
            Percentile,
            Seconds,
            Lower,
        )
        .by(&["source"]),
        seed(
            ("routing_latency", "Lead routing latency", "Seconds from enrichment to routing; p50, p95, p99 (S49)."),
            Operational,
            Percentile,
            Seconds,
            Lower,
        )
        .by(&["source"]),
        seed(
            ("time_saved", "Human time saved", "Seconds of human work that automation took over, net of review (S66)."),
            Operational,
            Sum,
            Seconds,
            Higher,
        )
        .by(&["function", "automation"])
        .guarded(&["human_intervention_rate"]),
        seed(
            ("reviews_per_reviewer_day", "Review capacity", "Reviews done over reviewer days available (S102)."),
            Operational,
            Ratio,
            Unit::Count,
            Neutral,
        )
        .by(&["role_group"]),
        seed(
            (
                "naming_violations",
                "Naming violations",
                "Campaign names and UTM parameters that broke the naming policy.",
            ),
            Operational,
            Count,
            Unit::Count,
            Lower,
        )
        .by(&["rule", "channel"]),
    ]
}

/// KPIs whose events come from the audit log.
fn derived() -> Vec<Seed> {
    vec![
        seed(
            ("human_intervention_rate", "Human intervention rate", "AI-run work that was finished and had at least one override (edit, reject, takeover, rollback) over all that was finished; planned sign-offs are no overrides (S48, A17)."),
            Operational, Ratio, Proportion, Lower,
        ).limits(0.10, 0.20, 0.30).by(&["gate"]).from_the_log(),
        seed(
            ("ai_run_failure_rate", "AI run failure rate", "AI runs that failed over AI runs that ended (S46)."),
            Operational, Ratio, Proportion, Lower,
        ).limits(0.02, 0.05, 0.10).by(&["gate"]).from_the_log(),
        seed(
            ("handoff_cycle_time", "Handoff cycle time", "Seconds from the creation of a handoff to its publication; median in value, mean in mean (A16)."),
            Operational, Percentile, Seconds, Lower,
        ).by(&["gate"]).from_the_log(),
        seed(
            ("handoff_throughput", "Handoffs published", "Handoffs that were published (A16)."),
            Operational, Count, Unit::Count, Higher,
        ).by(&["gate"]).from_the_log(),
        seed(
            ("handoff_escalation_rate", "Handoff escalation rate", "Handoffs that were escalated over handoffs that ended (S104)."),
            Operational, Ratio, Proportion, Lower,
        ).limits(0.05, 0.10, 0.20).by(&["gate"]).from_the_log(),
        seed(
            ("review_decision_latency", "Review decision latency", "Seconds from the claim of a review to its decision (R17)."),
            Operational, Percentile, Seconds, Neutral,
        ).by(&["gate"]).from_the_log(),
        seed(
            ("denied_action_rate", "Denied actions", "Recorded actions that a rule refused over all recorded actions."),
            Operational, Ratio, Proportion, Neutral,
        ).by(&["service"]).from_the_log(),
    ]
}

fn execution() -> Vec<Seed> {
    vec![
        seed(("contacts", "Contacts", "Leads that were contacted."), Execution, Count, Unit::Count, Higher)
            .by(&["channel", "model_version"]),
        seed(("conversions", "Conversions", "Leads that converted."), Execution, Count, Unit::Count, Higher)
            .by(&["channel", "model_version"]),
        seed(
            ("conversion_rate", "Conversion rate", "Conversions over leads: one event a lead, value 1 if it converted, else 0."),
            Execution, Ratio, Proportion, Higher,
        ).by(&["channel", "model_version", "route"]).guarded(&["customer_retention_rate", "brand_consideration"]),
        seed(("call_seconds", "Call length", "Seconds of a sales call."), Execution, Mean, Seconds, Neutral)
            .by(&["channel", "model_version"]),
        seed(
            ("cost_per_lead", "Cost per lead", "Spend over leads (S50)."),
            Execution, Ratio, Currency, Lower,
        ).by(&["channel", "campaign"]).guarded(&["conversion_rate"]),
        seed(
            ("cost_per_acquisition", "Cost per acquisition", "Spend over customers won (S50)."),
            Execution, Ratio, Currency, Lower,
        ).by(&["channel", "campaign"]).guarded(&["average_selling_price", "customer_retention_rate"]),
        seed(
            ("creative_win_rate", "Creative win rate", "A/B tests won over A/B tests decided, by who chose the creative: ai or human (S51)."),
            Execution, Ratio, Proportion, Higher,
        ).with(&["chosen_by"]).by(&["channel"]).guarded(&["brand_differentiation"]),
        seed(
            ("sequence_conversion_rate", "Sequence conversion", "Conversions over recipients of a sequence, by arm; the lift over the holdout is an experiment's result (S52)."),
            Execution, Ratio, Proportion, Higher,
        ).with(&["arm"]).by(&["sequence"]),
        seed(
            ("visit_rate", "Visit rate", "Recipients who visited the site over recipients, by arm."),
            Execution, Ratio, Proportion, Higher,
        ).by(&["arm", "channel"]),
        seed(
            ("spend_per_recipient", "Spend per recipient", "Money a recipient spent, zeros included, by arm."),
            Execution, Mean, Currency, Higher,
        ).by(&["arm", "channel"]),
        seed(
            ("experiment_discard_rate", "Experiments discarded", "Experiments whose variant was discarded over experiments concluded (S140)."),
            Execution, Ratio, Proportion, Neutral,
        ),
    ]
}

/// Model signals and the other inputs of the drift detectors (R16).
fn signals() -> Vec<Seed> {
    vec![
        seed(
            ("lead_score", "Lead score", "Scores that a lead-scoring model gave, for drift against its baseline."),
            Execution,
            Distribution,
            Score,
            Neutral,
        )
        .with(&["model_version"]),
        seed(
            (
                "lead_score_baseline",
                "Lead score baseline",
                "Scores of the months that a model version was approved on: what its drift is measured against.",
            ),
            Execution,
            Distribution,
            Score,
            Neutral,
        )
        .with(&["model_version"]),
        seed(
            (
                "lead_score_calibration",
                "Lead score calibration",
                "Outcome (0 or 1) minus score of each lead: its mean is 0 for a calibrated model.",
            ),
            Execution,
            Mean,
            Index,
            Neutral,
        )
        .by(&["model_version"]),
        seed(
            (
                "checklist_score",
                "Checklist score",
                "Graded checklist of a review, in [0, 1]: the quality of what a model put out.",
            ),
            Execution,
            Distribution,
            Score,
            Higher,
        )
        .by(&["gate", "model_version"]),
        seed(
            ("acceptance_rate", "Acceptance rate", "AI results accepted as they were over AI results reviewed."),
            Execution,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["gate", "model_version", "reviewer"]),
        seed(
            (
                "creative_similarity",
                "Creative similarity",
                "Similarity of a creative to the recent ones, in [0, 1]: sameness drift (S129).",
            ),
            Execution,
            Distribution,
            Score,
            Lower,
        )
        .by(&["channel", "model_version"]),
        seed(
            (
                "strategy_divergence_rate",
                "Strategy divergence",
                "Reviewed outputs that departed from the strategy over outputs reviewed (S147).",
            ),
            Execution,
            Ratio,
            Proportion,
            Lower,
        )
        .by(&["channel", "model_version"]),
    ]
}

fn strategic() -> Vec<Seed> {
    vec![
        seed(
            (
                "marketing_sourced_revenue",
                "Marketing-sourced revenue",
                "Revenue of deals that marketing sourced (S53).",
            ),
            Strategic,
            Sum,
            Currency,
            Higher,
        )
        .by(&["segment", "campaign"])
        .every(Monthly),
        seed(
            (
                "pipeline_cycle_time",
                "Pipeline cycle time",
                "Seconds from a qualified lead to a closed deal: pipeline acceleration is its fall (S53).",
            ),
            Strategic,
            Percentile,
            Seconds,
            Lower,
        )
        .by(&["segment"])
        .every(Monthly),
        seed(
            (
                "net_new_logos",
                "Net new logos",
                "Different new customers attributable to strategic campaigns; a lost one is retracted (S54).",
            ),
            Strategic,
            Distinct,
            Unit::Count,
            Higher,
        )
        .by(&["segment", "campaign"])
        .every(Monthly),
        seed(
            (
                "customer_retention_rate",
                "Customer retention",
                "Customers kept over customers due for renewal: a guard of conversion (S128).",
            ),
            Strategic,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["segment"])
        .every(Monthly),
        seed(
            (
                "average_selling_price",
                "Average selling price",
                "Revenue over units sold: pricing power, a guard of acquisition cost (S128).",
            ),
            Strategic,
            Ratio,
            Currency,
            Higher,
        )
        .by(&["segment"])
        .every(Monthly),
        seed(
            (
                "brand_consideration",
                "Brand consideration",
                "People who would consider the brand over people asked, sampled each quarter (S55).",
            ),
            Strategic,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["segment"])
        .every(Quarterly),
        seed(
            (
                "brand_differentiation",
                "Brand differentiation",
                "People who find the brand different over people asked, sampled each quarter (S55).",
            ),
            Strategic,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["segment"])
        .every(Quarterly),
        seed(
            (
                "share_of_voice",
                "Share of voice",
                "Mentions of the brand over mentions in its category, sampled each quarter (S55).",
            ),
            Strategic,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["channel"])
        .every(Quarterly),
    ]
}

/// The shipped alert rules.
pub fn alert_rules(now: Timestamp) -> Vec<AlertRule> {
    let rule = |id: &str, display_name: &str, severity: AlertSeverity, condition: Condition| AlertRule {
        name: format!("alertRules/{id}"),
        display_name: display_name.to_owned(),
        severity: severity.into(),
        condition: Some(condition),
        etag: "r1".to_owned(),
        create_time: timestamp(now),
        update_time: timestamp(now),
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
            "Operational KPIs improve while strategic ones fall (S141)",
            AlertSeverity::Critical,
            Condition::CrossLayer(CrossLayerCondition {
                granularity: Granularity::Month.into(),
                min_change_ratio: 0.0,
            }),
        ),
        rule(
            "conversion-guards",
            "Conversion improves while retention or brand falls (S128)",
            AlertSeverity::Warning,
            Condition::Guard(GuardCondition {
                kpi: "kpis/conversion_rate".to_owned(),
                granularity: Granularity::Quarter.into(),
                min_change_ratio: 0.0,
            }),
        ),
        rule(
            "overtrust",
            "People hardly ever override AI any more (S122)",
            AlertSeverity::Warning,
            intervention(Comparison::Below, 0.005, 200),
        ),
        rule(
            "undertrust",
            "People override AI very often (S122)",
            AlertSeverity::Warning,
            intervention(Comparison::Above, 0.30, 20),
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_shipped_definition_is_sound_and_every_guard_exists() {
        let all = kpis(Timestamp(1)).unwrap();
        let names: BTreeSet<&str> = all.iter().map(|kpi| kpi.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for kpi in &all {
            assert!(!kpi.description.is_empty() && !kpi.display_name.is_empty(), "{}", kpi.name);
            assert!(kpi.guards.iter().all(|guard| names.contains(guard.as_str())), "{}", kpi.name);
        }
        for layer in [Operational, Execution, Strategic] {
            assert!(all.iter().any(|kpi| kpi.layer() == layer));
        }
        assert_eq!(all.iter().filter(|kpi| kpi.cadence() == Quarterly).count(), 3);
    }
}
