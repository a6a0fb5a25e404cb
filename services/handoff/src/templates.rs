//! The two gates that every tenant starts with, with the numbers of the seed examples (S33 to S44),
//! and its first calendar.

use crate::principal::group;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::gate_version::Rules;
use remit_api::types::Stakes;

/// The gate for creative work.
pub(crate) const CREATIVE: &str = "gates/creative-approval";
/// The gate for leads.
pub(crate) const ROUTING: &str = "gates/lead-routing";
/// The first calendar.
pub(crate) const CALENDAR: &str = "calendars/default";

/// Monday to Friday, 09:00 to 17:00 UTC, no holidays.
pub(crate) fn calendar() -> pb::Calendar {
    let hours = (1..=5).map(|weekday| pb::WorkingHours { weekday, start_minute: 9 * 60, end_minute: 17 * 60 });
    pb::Calendar {
        name: CALENDAR.to_owned(),
        display_name: "Monday to Friday, 09:00 to 17:00 UTC".into(),
        time_zone: "UTC".into(),
        hours: hours.collect(),
        ..Default::default()
    }
}

/// Twelve variants, the top three graded within 24 hours, two iterations, then a 30-minute triage.
pub(crate) fn creative() -> pb::GateVersion {
    pb::GateVersion {
        display_name: "Creative approval".into(),
        description:
            "AI delivers variants within brand constraints; a person grades the best, and signs what is published."
                .into(),
        triggers: vec![
            trigger("brief.finalized", "The brief answers all four questions and is final"),
            trigger("budget.approved", "The budget is approved in the work management tool"),
        ],
        owner: Some(group("creative_director")),
        delegates: vec![pb::Delegate { principal: Some(group("creative_delegate")), expire_time: None }],
        service_level: Some(elapsed("PT24H")),
        remind_after: Some(elapsed("PT20H")),
        expire_after: Some(elapsed("P90D")),
        checklist: Some(pb::Checklist {
            items: vec![
                item("brand_fit", "Fits voice, look and promise of the brand", false),
                item("legal", "No open legal point; below 90 one is open, whatever the total", true),
                item("positioning", "Serves the positioning that the brief names", false),
            ],
            pass_mark: 80.0,
        }),
        iteration_limit: 2,
        escalation_ladder: vec![
            rung("creative_delegate", "Delegate"),
            rung("creative_director", "Creative Director"),
            rung("cmo", "CMO"),
        ],
        kpis: ["time_to_launch", "human_intervention_rate", "checklist_score"]
            .map(|kpi| format!("kpis/{kpi}"))
            .to_vec(),
        brand_impacting: true,
        risk: 3,
        stakes: Stakes::Medium.into(),
        expansion_guardrails: "Only within the approved style guide and guardrail versions that the run names.".into(),
        compression_criteria: "The AI's rank proposes the top three; the acceptance checklist decides.".into(),
        sampling: Some(sampling()),
        rules: Some(Rules::Creative(pb::CreativeRules {
            variants_required: 12,
            review_top_n: 3,
            triage_minutes: 30,
            triage: Some(elapsed("PT24H")),
        })),
        ..Default::default()
    }
}

/// Score above 0.85 and confidence above 0.90, both strictly; two business hours to accept, two
/// reassignments.
pub(crate) fn routing() -> pb::GateVersion {
    pb::GateVersion {
        display_name: "Lead routing".into(),
        description:
            "Leads above both thresholds go to a person in sales, all others to nurture with a notice to the SDR queue."
                .into(),
        triggers: vec![
            trigger("lead.created", "The lead is in the CRM"),
            trigger("lead.enriched", "Company size and intent signals are known"),
        ],
        owner: Some(group("sales_ops")),
        service_level: Some(pb::ServiceLevel {
            duration: "PT2H".into(),
            clock: pb::ClockKind::Business.into(),
            calendar: CALENDAR.to_owned(),
        }),
        iteration_limit: 2,
        escalation_ladder: vec![rung("sales_ops", "Sales Ops"), rung("cmo", "CMO")],
        kpis: ["routing_latency", "automation_error_rate"].map(|kpi| format!("kpis/{kpi}")).to_vec(),
        risk: 2,
        stakes: Stakes::Low.into(),
        expansion_guardrails: "Scores and recommended owners come from the permitted model version only.".into(),
        compression_criteria: "Both thresholds, strictly; whatever is missing or not permitted goes to nurture.".into(),
        sampling: Some(sampling()),
        rules: Some(Rules::Routing(pb::RoutingRules {
            score_above_ratio: 0.85,
            confidence_above_ratio: 0.90,
            high_intent_above_ratio: 0.85,
            required_enrichment: vec!["company_size".into(), "intent_signals".into()],
            sales_owners: Vec::new(),
            sales_ops_group: "sales_ops".into(),
            sdr_group: "sdr".into(),
            briefing_minute: 8 * 60,
        })),
        ..Default::default()
    }
}

fn sampling() -> pb::SamplingRates {
    pb::SamplingRates { risk1_ratio: 0.05, risk2_ratio: 0.10, risk3_ratio: 0.50 }
}

fn trigger(event_type: &str, description: &str) -> pb::TriggerCondition {
    pb::TriggerCondition { event_type: event_type.into(), description: description.into() }
}

fn item(item: &str, description: &str, must_pass: bool) -> pb::ChecklistItem {
    let pass_grade = if must_pass { 90.0 } else { 0.0 };
    pb::ChecklistItem { item: item.into(), description: description.into(), weight: 1.0, must_pass, pass_grade }
}

fn rung(role_group: &str, display_name: &str) -> pb::EscalationRung {
    pb::EscalationRung { principal: Some(group(role_group)), display_name: display_name.into(), service_level: None }
}

fn elapsed(duration: &str) -> pb::ServiceLevel {
    pb::ServiceLevel { duration: duration.into(), clock: pb::ClockKind::Elapsed.into(), calendar: String::new() }
}
