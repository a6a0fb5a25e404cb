//! Details of the events of `kpi`.

use std::collections::BTreeMap;

super::details! {
    /// A definition has a new version.
    KpiDefined for ["kpi.definitions.create", "kpi.definitions.update", "kpi.definitions.retire"] {
        /// The version in force after the event, counted from 1.
        version: i32,
        /// Whether it is stricter or looser than the one before: `SAME`, `TIGHTENS`, `LOOSENS` or `MIXED`; empty for a
        /// first version.
        change: String,
        /// What became looser, or may have, each with what was and what is.
        loosened: Vec<String>,
        /// The proposal that decided it, `proposals/{proposal}`; empty if none was needed.
        proposal: String,
    }

    /// The money or the calendar of the organisation has changed.
    OrganizationSettled for ["kpi.settings.update"] {
        /// The currency of the shipped KPIs in money, as in ISO 4217.
        currency_code: String,
        /// The time zone of their days; empty is UTC.
        time_zone: String,
        /// The first day of their weeks, such as `MONDAY`.
        week_start: String,
        /// The month in which their years begin, 1 to 12.
        fiscal_year_start_month: i32,
        /// How many pilots may be active at once, at least 1.
        max_active_pilots: i32,
        /// For how many days events are kept; 0 is for ever.
        event_retention_days: i32,
        /// The shipped KPIs that have a new version with these, `kpis/{kpi}`.
        followed: Vec<String>,
        /// The shipped KPIs that had events and keep theirs, `kpis/{kpi}`.
        kept: Vec<String>,
    }

    /// An alert rule was changed or deleted.
    AlertRuleChanged for ["kpi.alert_rules.update", "kpi.alert_rules.delete"] {
        /// Whether it is stricter or looser than before: `SAME`, `TIGHTENS`, `LOOSENS` or `MIXED`.
        change: String,
        /// What became looser, or may have, each with what was and what is.
        loosened: Vec<String>,
        /// The proposal that decided it, `proposals/{proposal}`; empty if none was needed.
        proposal: String,
    }

    /// A batch of events has been recorded.
    EventsRecorded for ["kpi.events.record"] {
        /// Events that counted for the first time, at least 1, by the id of their KPI.
        accepted: BTreeMap<String, i32>,
        /// Events that had been recorded before.
        duplicates: i32,
        /// Accepted events that came after their day had closed, allowed lateness included.
        late: i32,
        /// Accepted events that replaced or took out an earlier one.
        corrected: i32,
        /// Events that were refused and left out.
        refused: u64,
    }

    /// Events were deleted whose time is over; what they add up to stays.
    EventsPruned for ["kpi.events.prune"] {
        /// How many, at least 1.
        deleted: u64,
        /// The border, as RFC 3339: all that were deleted happened before.
        before: String,
        /// The timer that began it.
        timer: Option<String>,
        /// When that was due, as RFC 3339.
        due_time: Option<String>,
        /// When that was noticed, as RFC 3339.
        detect_time: Option<String>,
    }

    /// An experiment has been registered.
    ExperimentRegistered for ["kpi.experiments.create"] {
        /// The metric, `kpis/{kpi}`.
        metric: String,
        /// The accepted chance of a false finding over all treatments together, in (0, 0.5].
        alpha: f64,
        /// The least number of events in each arm, at least 2.
        min_n_per_arm: i64,
        /// Whether it was registered after its start.
        retrospective: bool,
    }

    /// A pilot was written down.
    PilotRegistered for ["kpi.pilots.create"] {
        /// Its domain.
        domain: String,
        /// What it measures, `kpis/{kpi}`, at least one.
        kpis: Vec<String>,
        /// Earlier pilots of one of these, `pilots/{pilot}`.
        preceded_by: Vec<String>,
    }

    /// The baseline of a pilot was measured, or the pilot was judged.
    PilotMeasured for ["kpi.pilots.measure", "kpi.pilots.judge"] {
        /// The digest of what was frozen.
        result_digest: String,
        /// The timer that began it.
        timer: Option<String>,
        /// When that was due, as RFC 3339.
        due_time: Option<String>,
        /// When that was noticed, as RFC 3339.
        detect_time: Option<String>,
    }

    /// A person concluded a pilot, or gave it up.
    PilotConcluded for ["kpi.pilots.conclude"] {
        /// The digest of its result; empty if it was given up before it was judged.
        result_digest: String,
    }

    /// Somebody had the alert rules evaluated.
    AlertsEvaluated for ["kpi.alerts.evaluate"] {
        /// Rules looked at.
        evaluated: i32,
        /// Alerts that began to fire.
        fired: u64,
        /// Alerts that were resolved.
        resolved: u64,
    }

    /// An alert fires, or no longer does.
    AlertMoved for ["kpi.alerts.fire", "kpi.alerts.resolve"] {
        /// The rule, `alertRules/{alert_rule}`.
        rule: String,
        /// The KPI, `kpis/{kpi}`; empty for a cross-layer alert.
        kpi: String,
        /// The rule's severity when it fired, as a word of `AlertSeverity`.
        severity: String,
        /// The value that made it fire, in the unit of the KPI; null where there is no single one.
        value: Option<f64>,
        /// The number of events behind it.
        n: i64,
        /// The timer of the hourly round; null if somebody asked for the evaluation.
        timer: Option<String>,
        /// When the round was due, as RFC 3339; null without a timer.
        due_time: Option<String>,
        /// When that was noticed, as RFC 3339; null without a timer.
        detect_time: Option<String>,
    }
}
