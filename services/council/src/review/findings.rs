//! What in the evidence needs people. A finding keeps its id when evidence is collected anew, so that
//! what was decided about it stays with it.

use super::assurance::{assigned, newest_attestation};
use super::checks::TESTS;
use super::drift::OF_OUTCOMES;
use super::pack::{Assurance, Check, Checked, Restated};
use super::sources::{Frame, Got, Sources};
use super::tone::Assessed;
use crate::library::{self, Control};
use crate::time::{at, days};
use remit_api::council::v1::FindingSeverity::{Critical, Info, Warning};
use remit_api::council::v1::{
    ActionItemState, ClockState, DriftDetector, DriftResult, DriftVerdict, Finding, FindingSeverity, Incident,
    IncidentState, RecoveryState, ReviewState, StatutoryClock, WaiverState,
};
use remit_api::kpi::v1::{KpiSummary, TargetState};
use remit_api::scoring::v1::PolicyState;
use remit_api::wire::Word as _;
use remit_core::digest;
use std::collections::{BTreeMap, BTreeSet};

/// The code of a finding that something was not looked at.
pub(crate) const SOURCE_AWAY: &str = "SOURCE_AWAY";

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

/// A finding about one clock of an incident. The incident is its resource: a clock has no name of its own.
fn of_clock(
    code: &str,
    incident: &Incident,
    clock: &StatutoryClock,
    severity: FindingSeverity,
    title: String,
    detail: String,
) -> Finding {
    let subject = format!("{}/{}", incident.name, clock.kind().word());
    let mut found = finding(code, &subject, severity, "incidents", title, detail);
    found.resource.clone_from(&incident.name);
    found
}

/// Findings of all kinds but controls.
pub(crate) fn all(frame: &Frame<'_>, sources: &Sources, drift: &[DriftResult]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = drift.iter().filter_map(of_drift).collect();
    findings.extend(of_reviews(frame));
    findings.extend(of_constitution(frame, sources));
    findings.extend(of_sources(sources));
    findings.extend(of_restated(frame, sources));
    findings.extend(of_audit(sources));
    findings.extend(of_registers(frame, sources));
    findings.extend(of_attestations(frame, sources));
    findings.extend(of_models(frame, sources));
    findings.extend(of_work(sources));
    findings.extend(of_kpis(sources));
    findings
}

/// What was not looked at, one finding a service: without it nobody may say that nothing was found.
fn of_sources(sources: &Sources) -> Vec<Finding> {
    fn why<T>(source: &Got<T>) -> Option<&str> {
        source.as_ref().err().map(String::as_str)
    }
    let mut away: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for one in sources.positions.iter().filter(|one| !one.away.is_empty()) {
        away.entry(&one.source).or_default().insert(one.away.clone());
    }
    let answers = [
        ("audit", "verification", why(&sources.verify)),
        ("audit", "checkpoint", why(&sources.checkpoint)),
        ("audit", "entries", why(&sources.entries)),
        ("kpi", "KPIs", why(&sources.kpis)),
        ("scoring", "decisions", why(&sources.decisions)),
        ("scoring", "policies", why(&sources.policies)),
        ("registry", "model versions", why(&sources.versions)),
        ("registry", "artifacts", why(&sources.artifacts)),
        ("registry", "automations", why(&sources.automations)),
        ("registry", "outputs", why(&sources.outputs)),
        ("handoff", "handoffs", why(&sources.handoffs)),
        ("handoff", "handoffs of the month before", why(&sources.handoffs_before)),
        ("handoff", "lead routing", why(&sources.routing)),
        ("handoff", "gates", why(&sources.gates)),
    ];
    for (service, what, why) in answers {
        if let Some(why) = why {
            away.entry(service).or_default().insert(format!("{what}: {why}"));
        }
    }
    let found = |(service, why): (&str, BTreeSet<String>)| {
        let title = format!("{service} was away, or did not say everything");
        let why: Vec<String> = why.into_iter().collect();
        let detail = format!(
            "{}. What it knows was not looked at: collect the evidence anew when it is back, or seal with a reason.",
            why.join("; ")
        );
        let mut found = finding(SOURCE_AWAY, service, Critical, "header", title, detail);
        found.resource.clear();
        found
    };
    away.into_iter().map(found).collect()
}

/// One finding for each month whose figures are others by now.
fn of_restated(frame: &Frame<'_>, sources: &Sources) -> Vec<Finding> {
    let mut by_month: BTreeMap<&str, Vec<&Restated>> = BTreeMap::new();
    for one in &sources.restated {
        by_month.entry(&one.period).or_default().push(one);
    }
    let shown = |value: Option<f64>| value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
    let found = |(period, all): (&str, Vec<&Restated>)| {
        let told = all.iter().take(5).map(|one| {
            let (old, new) = (shown(one.old_value), shown(one.new_value));
            format!("{} was {old} (n {}) and is {new} (n {})", one.label, one.old_n, one.new_n)
        });
        let detail = told.collect::<Vec<_>>().join("; ");
        let title = format!("{} figures of {period} are others by now", all.len());
        let review = frame.earlier.iter().find(|review| review.period == period);
        let name = review.map_or("", |review| review.name.as_str());
        finding("FIGURES_RESTATED", name, Info, "previous", title, detail)
    };
    by_month.into_iter().map(found).collect()
}

/// Controls of which there is no evidence although the time by which there was to be some is over. Of a check that failed
/// or a source that was away there is a finding already.
pub(crate) fn of_owners(frame: &Frame<'_>, sources: &Sources, assurance: &[Assurance]) -> Vec<Finding> {
    let controls = library::controls().unwrap_or_default();
    let lacking =
        assurance.iter().filter(|one| matches!(one.result, Assessed::AttestationNeeded | Assessed::NoActivity));
    let found = |one: &Assurance| {
        let control = controls.iter().find(|control| control.id == one.id)?;
        let named = assigned(control, sources)?;
        let due = named.due_time.is_some() && at(&named.due_time) < frame.now;
        let title = format!("there was to be evidence of {} by {}", one.id, at(&named.due_time));
        let mut detail = format!("{} sees to it: {}", named.owner, one.result.text());
        if named.times_put_off > 0 {
            detail.push_str(&format!("; put off {} time(s)", named.times_put_off));
        }
        let mut found = finding("CONTROL_OVERDUE", &named.name, Warning, "controls", title, detail);
        found.controls = vec![one.id.clone()];
        due.then_some(found)
    };
    lacking.filter_map(found).collect()
}

/// Attestations that end within 30 days, with who is to renew them.
fn of_attestations(frame: &Frame<'_>, sources: &Sources) -> Vec<Finding> {
    let controls = library::controls().unwrap_or_default();
    let soon = frame.now.plus(days(30));
    let found = |control: &Control| {
        let (end, one) = newest_attestation(control, sources).filter(|(end, _)| *end < soon)?;
        let title = format!("the attestation of {} ends {end}", control.id);
        let stated = one.attester.as_ref().map(|attester| attester.subject.as_str());
        let owner = if one.owner.is_empty() { stated.unwrap_or_default() } else { one.owner.as_str() };
        let mut found =
            finding("ATTESTATION_EXPIRING", &one.name, Info, "controls", title, format!("{owner} is to renew it"));
        found.controls = vec![control.id.clone()];
        Some(found)
    };
    controls.iter().filter_map(found).collect()
}

/// Whether a KPI is beyond its limit of breach.
pub(crate) fn is_breached(summary: &KpiSummary) -> bool {
    summary.current.as_ref().is_some_and(|now| now.target_state() == TargetState::Breach)
}

/// Targets that were missed, each with what it rests on.
fn of_kpis(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for summary in sources.kpis.iter().flat_map(|found| &found.kpis) {
        let (Some(kpi), Some(now)) = (&summary.kpi, &summary.current) else { continue };
        let missed = matches!(now.target_state(), TargetState::OffTarget | TargetState::Warning);
        if !missed && !is_breached(summary) {
            continue;
        }
        let shown = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        let interval = now
            .interval
            .as_ref()
            .map_or_else(String::new, |interval| format!(", 95% interval {} to {}", interval.lower, interval.upper));
        let (value, target) = (shown(now.value), shown(kpi.target));
        let detail = format!("value {value}, target {target}, n {}{interval}", now.n);
        if missed {
            let title = format!("{} misses its target", kpi.display_name);
            findings.push(finding("TARGET_MISSED", &kpi.name, Info, "kpis", title, detail));
        } else {
            let title = format!("{} is beyond its limit", kpi.display_name);
            findings.push(finding("TARGET_BREACHED", &kpi.name, Warning, "kpis", title, detail));
        }
    }
    findings
}

fn of_drift(result: &DriftResult) -> Option<Finding> {
    let (code, severity) = match result.verdict() {
        DriftVerdict::Significant => ("DRIFT_SIGNIFICANT", Critical),
        DriftVerdict::Moderate => ("DRIFT_MODERATE", Warning),
        DriftVerdict::None | DriftVerdict::InsufficientData | DriftVerdict::Unspecified => return None,
    };
    let value = result.corrected_value.unwrap_or_default();
    let title = format!("{} of {} is {value:.4}", result.statistic, result.subject);
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
    // A version may have drifted and be wrong: two findings.
    let key = if OF_OUTCOMES.contains(&result.statistic.as_str()) {
        format!("{}/calibration", result.subject)
    } else {
        result.subject.clone()
    };
    let mut found = finding(code, &key, severity, "drift", title, detail);
    found.resource.clone_from(&result.subject);
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
    // R11
    let detail = "A review that is missed or not signed is itself a finding.";
    Some(finding("REVIEW_MISSED", &format!("reviews/{before}"), Warning, "previous", title, detail))
}

/// Seats that two administrators gave without a vote, and duties that somebody withdrew, in the month.
fn of_constitution(frame: &Frame<'_>, sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    let recoveries = sources.own.constitution.iter().flat_map(|constitution| &constitution.recoveries);
    for one in recoveries.filter(|one| one.state() == RecoveryState::Done && frame.in_month(&one.confirm_time)) {
        let who = |actor: Option<&remit_api::types::Actor>| actor.map_or("", |actor| actor.subject.as_str()).to_owned();
        let (asker, confirmer) = (who(one.asker.as_ref()), who(one.confirmer.as_ref()));
        let title = format!("{asker} and {confirmer} seated {} people without a vote", one.seats.len());
        findings.push(finding("CONSTITUTION_RECOVERED", &one.action_item, Critical, "attendance", title, &one.reason));
    }
    for incident in &sources.own.incidents {
        for clock in incident.clocks.iter().filter(|clock| frame.in_month(&clock.withdraw_time)) {
            let title = format!("{} of {} was withdrawn or put off", clock.kind().word(), incident.title);
            let (was, when) = (at(&clock.withdrawn_due_time), at(&clock.withdraw_time));
            let detail = format!("due {was}, withdrawn {when}, because: {}", clock.withdraw_reason);
            findings.push(of_clock("CLOCK_WITHDRAWN", incident, clock, Warning, title, detail));
        }
    }
    findings
}

fn of_audit(sources: &Sources) -> Option<Finding> {
    let verified = sources.verify.as_ref().ok()?;
    if verified.ok && verified.start_index > 0 {
        let title = format!("{} older entries of the audit log were not recomputed", verified.start_index);
        let detail = "The log is larger than council.verify_whole_log_up_to. It is proved to extend what an earlier \
                      review recomputed; `remit audit fsck` recomputes all of it.";
        return Some(finding("AUDIT_LOG_PARTLY_VERIFIED", "", Info, "audit", title, detail));
    }
    if verified.ok {
        return None;
    }
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
    for incident in &own.incidents {
        let open = incident.state() == IncidentState::Open || frame.in_month(&incident.close_time);
        for clock in &incident.clocks {
            let kind = clock.kind().word();
            let due = at(&clock.due_time);
            if open && clock.state() == ClockState::Breached {
                let title = format!("{kind} is overdue for {}", incident.title);
                findings.push(of_clock("CLOCK_BREACHED", incident, clock, Critical, title, format!("due {due}")));
            } else if clock.state() == ClockState::MetLate && frame.in_month(&clock.met_time) {
                let title = format!("{kind} was met late for {}", incident.title);
                let detail = format!("due {due}, handed in {}", at(&clock.met_time));
                findings.push(of_clock("CLOCK_MET_LATE", incident, clock, Warning, title, detail));
            }
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
            let gaps = version.version.documentation_gaps.join(", ").replace('_', " ");
            findings.push(finding("DOCUMENTATION_GAP", name, Info, "models", title, format!("not said yet: {gaps}")));
        }
    }
    for policy in sources.policies.iter().flatten().filter(|policy| policy.state() == PolicyState::Active) {
        if let Some(due) = past(&policy.review_by) {
            let title = format!("{} is past its review date", policy.name);
            findings.push(finding("POLICY_STALE", &policy.name, Warning, "policy", title, format!("due {due}")));
        }
    }
    let unlabelled = sources.outputs.as_ref().ok().and_then(|outputs| outputs.by_disclosure_status.get("MISSING"));
    if let Some(n) = unlabelled.filter(|n| **n > 0) {
        let title = format!("{n} outputs that must be labelled are not");
        let detail = "AI Act Art. 50: deep fakes, and text on matters of public interest that no person answers for.";
        findings.push(finding("DISCLOSURE_MISSING", "", Critical, "disclosure", title, detail));
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

/// What tests found, with the controls that rest on each. One cause is one finding: where there is one that says the same,
/// that names the controls.
pub(crate) fn of_controls(findings: &mut Vec<Finding>, assurance: &[Assurance]) {
    let mut failed: BTreeMap<&str, (&Check, Vec<String>)> = BTreeMap::new();
    for control in assurance.iter().filter(|control| control.result == Assessed::CheckFailed) {
        for check in control.checks.iter().filter(|check| check.outcome == Checked::Failed) {
            failed.entry(&check.key).or_insert((check, Vec::new())).1.push(control.id.clone());
        }
    }
    for (key, (check, controls)) in failed {
        let causes = TESTS.iter().find(|test| test.key == key).map_or(&[][..], |test| test.causes);
        let mut said = false;
        for same in findings.iter_mut().filter(|one| causes.contains(&one.code.as_str())) {
            said = true;
            let new = controls.iter().filter(|control| !same.controls.contains(*control)).cloned().collect::<Vec<_>>();
            same.controls.extend(new);
        }
        if !said {
            let title = check.said.clone();
            let detail = format!("Asked of {}: {}? It fails at {}.", check.population, check.test, check.threshold);
            let mut found = finding("CONTROL_CHECK_FAILED", key, Warning, "controls", title, detail);
            found.resource.clear();
            found.controls = controls;
            findings.push(found);
        }
    }
}
