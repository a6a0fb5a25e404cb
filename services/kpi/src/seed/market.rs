//! The layers that look outward, and the signals for drift: does the work achieve its aim, and the aim serve
//! the strategy?

use super::*;

pub(super) fn execution() -> Vec<Seed> {
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
            // S50
            ("cost_per_lead", "Cost per lead", "Spend over leads."),
            Execution, Ratio, Currency, Lower,
        ).by(&["channel", "campaign"]).guarded(&["conversion_rate"]),
        seed(
            // S50
            ("cost_per_acquisition", "Cost per acquisition", "Spend over customers won."),
            Execution, Ratio, Currency, Lower,
        ).by(&["channel", "campaign"]).guarded(&["average_selling_price", "customer_retention_rate"]),
        seed(
            // S51
            ("creative_win_rate", "Creative win rate", "A/B tests won over A/B tests decided, by who chose the creative: ai or human."),
            Execution, Ratio, Proportion, Higher,
        ).with(&["chosen_by"]).by(&["channel"]).guarded(&["brand_differentiation"]),
        seed(
            // S52
            ("sequence_conversion_rate", "Sequence conversion", "Conversions over recipients of a sequence, by arm; the lift over the holdout is an experiment's result."),
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
            // S140
            ("experiment_discard_rate", "Experiments discarded", "Experiments whose variant was discarded over experiments concluded."),
            Execution, Ratio, Proportion, Neutral,
        ),
    ]
}

/// Model signals and the other inputs of the drift detectors (R16).
pub(super) fn signals() -> Vec<Seed> {
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
                "lead_score_outcome",
                "Lead scores with outcomes",
                "The score of each lead once its outcome is known, 1 if it converted, else 0: whether scores are the chances that they claim to be.",
            ),
            Execution,
            Distribution,
            Score,
            Neutral,
        )
        .with(&["model_version", "outcome"]),
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
        .by(&["gate", "model_version"])
        .derived_from_log(),
        seed(
            ("acceptance_rate", "Acceptance rate", "AI results accepted as they were over AI results reviewed."),
            Execution,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["gate", "model_version", "reviewer"])
        .derived_from_log(),
        seed(
            (
                "creative_similarity",
                "Creative similarity",
                // S129
                "Similarity of a creative to the recent ones, in [0, 1]: sameness drift.",
            ),
            Execution,
            Distribution,
            Score,
            Lower,
        )
        .by(&["channel", "model_version"])
        .drifting(Worse::Up),
        seed(
            (
                "strategy_divergence_rate",
                "Strategy divergence",
                // S147
                "Reviewed outputs that departed from the strategy over outputs reviewed.",
            ),
            Execution,
            Ratio,
            Proportion,
            Lower,
        )
        .by(&["channel", "model_version"]),
    ]
}

pub(super) fn strategic() -> Vec<Seed> {
    vec![
        seed(
            (
                "marketing_sourced_revenue",
                "Marketing-sourced revenue",
                // S53
                "Revenue of deals that marketing sourced.",
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
                // S53
                "Seconds from a qualified lead to a closed deal: pipeline acceleration is its fall.",
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
                // S54
                "Different new customers attributable to strategic campaigns; a lost one is retracted.",
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
                // S128
                "Customers kept over customers due for renewal: a guard of conversion.",
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
                // S128
                "Revenue over units sold: pricing power, a guard of acquisition cost.",
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
                // S55
                "People who would consider the brand over people asked, sampled each quarter.",
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
                // S55
                "People who find the brand different over people asked, sampled each quarter.",
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
                // S55
                "Mentions of the brand over mentions in its category, sampled each quarter.",
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
