//! The operational layer: does the automation run?

use super::*;

pub(super) fn operational() -> Vec<Seed> {
    vec![
        seed(
            (
                "automation_uptime",
                "Automation uptime",
                // S46
                "Seconds an automation was available over seconds observed.",
            ),
            Operational,
            Ratio,
            Proportion,
            Higher,
        )
        .by(&["automation"])
        .without_trials()
        .limits(0.995, 0.99, 0.98),
        seed(
            (
                "automation_error_rate",
                "Automation error rate",
                // S46
                "Failed automation runs over all runs, as the platforms report them.",
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
                // A16, S47
                "Campaigns that went live; counted by ISO week it is how often campaigns are launched.",
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
                "enrichment_latency",
                "Lead enrichment latency",
                // S49
                "Seconds from a lead's arrival to its enrichment; p50, p95, p99.",
            ),
            Operational,
            Percentile,
            Seconds,
            Lower,
        )
        .by(&["source"]),
        seed(
            // S66
            ("time_saved", "Human time saved", "Seconds of human work that automation took over, net of review."),
            Operational,
            Sum,
            Seconds,
            Higher,
        )
        .by(&["function", "automation"])
        .guarded(&["human_intervention_rate"]),
        seed(
            // S102
            ("reviews_per_reviewer_day", "Review capacity", "Reviews done over reviewer days available."),
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
pub(super) fn derived() -> Vec<Seed> {
    vec![
        seed(
            // S48, A17
            ("human_intervention_rate", "Human intervention rate", "AI-run work that was finished and had at least one override (edit, reject, takeover, rollback) over all of it that was finished; taking over before an AI run began, correcting a person's work and planned sign-offs are no overrides."),
            Operational, Ratio, Proportion, Lower,
        ).limits(0.10, 0.20, 0.30).by(&["gate"]).derived_from_log(),
        seed(
            // S46
            ("ai_run_failure_rate", "AI run failure rate", "AI runs that failed over AI runs that ended."),
            Operational, Ratio, Proportion, Lower,
        ).limits(0.02, 0.05, 0.10).by(&["gate"]).derived_from_log(),
        seed(
            // A16
            ("handoff_cycle_time", "Handoff cycle time", "Seconds from the creation of a handoff to its publication; median in value, mean in mean."),
            Operational, Percentile, Seconds, Lower,
        ).by(&["gate"]).derived_from_log(),
        seed(
            // S47, A16
            ("time_to_launch", "Time to launch", "Seconds from the accepted brief, which triggers the handoff, to its publication; median in value, mean in mean."),
            Operational, Percentile, Seconds, Lower,
        ).by(&["gate"]).guarded(&["checklist_score"]).derived_from_log(),
        seed(
            // S49
            ("routing_latency", "Lead routing latency", "Seconds from the score of a lead, as its sender says, to its routing; a score of more than a day before counts as none; p50, p95, p99."),
            Operational, Percentile, Seconds, Lower,
        ).by(&["gate"]).derived_from_log(),
        seed(
            // A16
            ("handoff_throughput", "Handoffs published", "Handoffs that were published."),
            Operational, Count, Unit::Count, Higher,
        ).by(&["gate"]).derived_from_log(),
        seed(
            // S104
            ("handoff_escalation_rate", "Handoff escalation rate", "Handoffs that were escalated over handoffs that ended."),
            Operational, Ratio, Proportion, Lower,
        ).limits(0.05, 0.10, 0.20).by(&["gate"]).derived_from_log(),
        seed(
            // R17
            ("review_decision_latency", "Review decision latency", "Seconds from the claim of a review to its decision."),
            Operational, Percentile, Seconds, Neutral,
        ).by(&["gate"]).derived_from_log(),
        seed(
            ("denied_action_rate", "Denied actions", "Recorded actions that a rule refused over all recorded actions."),
            Operational, Ratio, Proportion, Neutral,
        ).by(&["service"]).derived_from_log(),
    ]
}
