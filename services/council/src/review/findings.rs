//! What in the evidence needs people. A finding keeps its id when evidence is collected anew, so that
//! what was decided about it stays with it.

use super::pack::Assurance;
use super::sources::{Frame, Sources};
use super::tone::Assessed;
use crate::time::{at, days};
use remit_api::council::v1::FindingSeverity::{Critical, Info, Warning};
use remit_api::council::v1::{
    ActionItemState, ClockState, DriftDetector, DriftResult, DriftVerdict, Finding, FindingSeverity, IncidentState,
    RecoveryState, ReviewState, WaiverState,
};
use remit_api::scoring::v1::PolicyState;
use remit_api::wire::Word as _;
use remit_core::digest;

/// The longest id of a finding, so that it fits into request ids.
const MOST_ID: usize = 64;

fn finding(
    code: &str,
    subject: &str,
    severity: FindingSeverity,
    section: &str,
    title: impl Into<String>,
    detail: impl Into<String>,
) -> Finding {
    let mut id = if subject.is_empty() { code.to_owned() } else { format!("{code}.{}", subject.replace('/', ".")) };
    if id.len() > MOST_ID {
        id = format!("{code}.{}", digest::sha256(subject.as_bytes()).get(7..23).unwrap_or_default());
    }
    Finding {
        id,
        code: code.to_owned(),
        severity: severity.into(),
        section: section.to_owned(),
        title: title.into(),
        detail: detail.into(),
        resource: subject.to_owned(),
        ..Finding::default()
    }
}

/// Findings of all kinds but controls.
pub(crate) fn all(frame: &Frame<'_>, sources: &Sources, drift: &[DriftResult]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = drift.iter().filter_map(of_drift).collect();
    findings.extend(of_reviews(frame));
    findings.extend(of_constitution(frame, sources));
    findings.extend(of_audit(sources));
    findings.extend(of_registers(frame, sources));
    findings.extend(of_models(frame, sources));
    findings.extend(of_work(sources));
    findings
}

fn of_drift(result: &DriftResult) -> Option<Finding> {
    let (code, severity) = match result.verdict() {
        DriftVerdict::Significant => ("DRIFT_SIGNIFICANT", Critical),
        DriftVerdict::Moderate => ("DRIFT_MODERATE", Warning),
        DriftVerdict::None | DriftVerdict::InsufficientData | DriftVerdict::Unspecified => return None,
    };
    let title = format!("{} of {} is {:.4}", result.statistic, result.subject, result.corrected_value);
    let detail = format!(
        "n {} against {} of {}; thresholds {} and {}{}{}",
        result.n,
        result.baseline_n,
        result.baseline,
        result.moderate_threshold,
        result.significant_threshold,
        if result.note.is_empty() { "" } else { "; " },
        result.note,
    );
    let mut found = finding(code, &result.subject, severity, "drift", title, detail);
    let version = result.subject.starts_with("models/");
    if version && code == "DRIFT_SIGNIFICANT" && result.detector() == DriftDetector::LeadScore {
        "suspend_model".clone_into(&mut found.suggested_action);
    }
    Some(found)
}

/// The month before must have been reviewed, if there were reviews at all by then.
fn of_reviews(frame: &Frame<'_>) -> Option<Finding> {
    let before = frame.month.previous().period();
    let began = frame.earlier.iter().any(|review| review.period <= before);
    let state = frame.earlier.iter().find(|review| review.period == before).map(|review| review.state());
    let title = match state {
        _ if !began => return None,
        Some(ReviewState::Sealed) => return None,
        Some(_) => format!("the review of {before} was opened and not sealed"),
        None => format!("the review of {before} was missed"),
    };
    let detail = "A review that is missed or not signed is itself a finding (R11).";
    Some(finding("REVIEW_MISSED", &format!("reviews/{before}"), Warning, "previous", title, detail))
}

/// Seats that two administrators gave without a vote, and duties that somebody withdrew, in the month.
fn of_constitution(frame: &Frame<'_>, sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    let in_month = |stamp: &Option<prost_types::Timestamp>| {
        stamp.is_some() && (frame.month.start()..frame.month.end()).contains(&at(stamp))
    };
    let recoveries = sources.own.constitution.iter().flat_map(|constitution| &constitution.recoveries);
    for one in recoveries.filter(|one| one.state() == RecoveryState::Done && in_month(&one.confirm_time)) {
        let who = |actor: Option<&remit_api::types::Actor>| actor.map_or("", |actor| actor.subject.as_str()).to_owned();
        let (asker, confirmer) = (who(one.asker.as_ref()), who(one.confirmer.as_ref()));
        let title = format!("{asker} and {confirmer} seated {} people without a vote", one.seats.len());
        findings.push(finding("CONSTITUTION_RECOVERED", &one.action_item, Critical, "attendance", title, &one.reason));
    }
    for incident in &sources.own.incidents {
        for clock in incident.clocks.iter().filter(|clock| in_month(&clock.withdraw_time)) {
            let title = format!("{} of {} was withdrawn or put off", clock.kind().word(), incident.title);
            let (was, when) = (at(&clock.withdrawn_due_time), at(&clock.withdraw_time));
            let detail = format!("due {was}, withdrawn {when}, because: {}", clock.withdraw_reason);
            let subject = format!("{}/{}", incident.name, clock.kind().word());
            let mut found = finding("CLOCK_WITHDRAWN", &subject, Warning, "incidents", title, detail);
            found.resource.clone_from(&incident.name);
            findings.push(found);
        }
    }
    findings
}

fn of_audit(sources: &Sources) -> Option<Finding> {
    let verified = sources.verify.as_ref().ok().filter(|verified| !verified.ok)?;
    let detail =
        verified.findings.iter().take(5).map(|one| format!("{}: {}", one.location, one.message)).collect::<Vec<_>>();
    let title = format!("the audit log fails verification in {} place(s)", verified.findings.len());
    Some(finding("AUDIT_LOG_INVALID", "", Critical, "audit", title, detail.join("; ")))
}

fn of_registers(frame: &Frame<'_>, sources: &Sources) -> Vec<Finding> {
    let own = &sources.own;
    let mut findings = Vec::new();
    for item in own.items.iter().filter(|item| item.state() == ActionItemState::Open && at(&item.due_time) < frame.now)
    {
        let title = format!("overdue: {}", item.title);
        let detail =
            format!("owner {}, due {}, carried {} time(s)", item.owner, at(&item.due_time), item.times_carried);
        findings.push(finding("ACTION_OVERDUE", &item.name, Warning, "previous", title, detail));
    }
    for incident in own.incidents.iter().filter(|incident| incident.state() == IncidentState::Open) {
        for clock in incident.clocks.iter().filter(|clock| clock.state() == ClockState::Breached) {
            let title = format!("{} is overdue for {}", clock.kind().word(), incident.title);
            let detail = format!("due {}", at(&clock.due_time));
            findings.push(finding("CLOCK_BREACHED", &incident.name, Critical, "incidents", title, detail));
        }
    }
    for used in own.uses.iter().filter(|used| used.review_time.is_none()) {
        let title = format!("the break-glass use on {} was not reviewed", used.hold);
        findings.push(finding("BREAK_GLASS_UNREVIEWED", &used.name, Warning, "oversight", title, &used.reason));
    }
    let soon = frame.now.plus(days(30));
    for waiver in
        own.waivers.iter().filter(|waiver| waiver.state() == WaiverState::Active && at(&waiver.expire_time) < soon)
    {
        let title = format!("the waiver of {} ends {}", waiver.control, at(&waiver.expire_time));
        findings.push(finding("WAIVER_EXPIRING", &waiver.name, Info, "waivers", title, &waiver.reason));
    }
    findings
}

fn of_models(frame: &Frame<'_>, sources: &Sources) -> Vec<Finding> {
    let past = |due: &Option<prost_types::Timestamp>| due.map(|_| at(due)).filter(|due| *due < frame.now);
    let mut findings = Vec::new();
    for version in sources.versions.iter().flatten().filter(|version| version.ran_in(frame.month)) {
        let name = &version.version.name;
        if let Some(due) = past(&version.version.review_by) {
            let title = format!("{name} is past its review date");
            findings.push(finding("MODEL_PAST_REVIEW_DATE", name, Warning, "models", title, format!("due {due}")));
        }
        if !version.version.documentation_gaps.is_empty() {
            let title = format!("{name} is not fully documented");
            let gaps = version.version.documentation_gaps.join(", ");
            findings.push(finding("DOCUMENTATION_GAP", name, Info, "models", title, format!("empty: {gaps}")));
        }
    }
    for policy in sources.policies.iter().flatten().filter(|policy| policy.state() == PolicyState::Active) {
        if let Some(due) = past(&policy.review_by) {
            let title = format!("{} is past its review date", policy.name);
            findings.push(finding("POLICY_STALE", &policy.name, Warning, "policy", title, format!("due {due}")));
        }
    }
    if let Some(total) = sources.outputs.as_ref().ok().and_then(|outputs| outputs.total.as_ref()) {
        if total.unapproved > 0 {
            let title = format!("{} outputs were made by versions that were not approved", total.unapproved);
            findings.push(finding(
                "OUTPUTS_UNAPPROVED",
                "",
                Critical,
                "models",
                title,
                format!("of {}", total.outputs),
            ));
        }
        if total.incomplete > 0 {
            let title = format!("{} outputs lack version tags", total.incomplete);
            findings.push(finding("OUTPUTS_UNTAGGED", "", Warning, "models", title, format!("of {}", total.outputs)));
        }
    }
    findings
}

fn of_work(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(kpis) = &sources.kpis {
        if kpis.cross_layer_conflict {
            let title = "operational KPIs improve while strategic ones fall";
            let detail = format!(
                "better: {}; worse: {}",
                kpis.operational_improved.join(", "),
                kpis.strategic_worsened.join(", ")
            );
            findings.push(finding("CROSS_LAYER_CONFLICT", "", Warning, "kpis", title, detail));
        }
        for summary in kpis.kpis.iter().filter(|summary| !summary.violated_guards.is_empty()) {
            let name = summary.kpi.as_ref().map(|kpi| kpi.name.clone()).unwrap_or_default();
            let title = format!("{name} improved while its guard got worse");
            let detail = summary.violated_guards.join(", ");
            findings.push(finding("GUARD_VIOLATED", &name, Warning, "kpis", title, detail));
        }
    }
    if let Ok(handoffs) = &sources.handoffs
        && handoffs.overrides_without_follow_up > 0
    {
        let title = format!("{} override(s) without a follow-up", handoffs.overrides_without_follow_up);
        let detail = format!("of {} in the month", handoffs.override_count);
        findings.push(finding("OVERRIDE_WITHOUT_FOLLOW_UP", "", Info, "oversight", title, detail));
    }
    if let Ok(decisions) = &sources.decisions
        && decisions.needs_reconciliation > 0
    {
        let title = format!("the raters of {} task(s) disagree", decisions.needs_reconciliation);
        findings.push(finding("NEEDS_RECONCILIATION", "", Info, "decisions", title, ""));
    }
    findings
}

/// One finding for each control whose check failed.
pub(crate) fn of_controls(assurance: &[Assurance]) -> Vec<Finding> {
    let failed = assurance.iter().filter(|control| control.result == Assessed::CheckFailed);
    failed
        .map(|control| {
            let title = format!("the check of {} ({} {}) failed", control.id, control.framework, control.clause);
            let (subject, detail) = (format!("controls/{}", control.id), control.evidence.join("; "));
            finding("CONTROL_CHECK_FAILED", &subject, Warning, "controls", title, detail)
        })
        .collect()
}
