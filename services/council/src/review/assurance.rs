//! What the records say about each control of the library. Evidence is available or not; whether that
//! complies with anything is for people to say (R22).

use super::pack::Assurance;
use super::sources::{Frame, Got, Sources, done};
use super::tone::Assessed;
use crate::library::{ATTESTATION, Control};
use crate::time::{at, days};
use remit_api::council::v1::{Attestation, ClockState, DriftResult, DriftVerdict, EvidenceClass, ReviewState};
use remit_api::registry::v1::ModelVersionState;
use remit_core::name;

/// The evidence keys that the library may name: those that [`find`] answers.
#[cfg(test)]
pub(crate) const EVIDENCE_KEYS: [&str; 28] = [
    "audit.verify",
    "audit.summary",
    "audit.erasures",
    "scoring.decisions",
    "scoring.checks",
    "scoring.policies",
    "scoring.tasks",
    "registry.versions",
    "registry.artifacts",
    "registry.suspensions",
    "registry.disclosure",
    "handoff.summary",
    "handoff.gates",
    "handoff.overrides",
    "handoff.reviewers",
    "handoff.grades",
    "handoff.sla",
    "handoff.routing",
    "kpi.summary",
    "kpi.drift",
    "council.proposals",
    "council.holds",
    "council.drills",
    "council.waivers",
    "council.incidents",
    "council.reviews",
    "council.action_items",
    "council.members",
];

/// What one source says.
enum Found {
    /// Records, in words; an empty register that is kept is evidence as well.
    Records(String),
    /// A check found something wrong.
    Failed(String),
    /// Nothing is recorded where something should be.
    Nothing(String),
    /// The source did not answer.
    Unavailable(String),
}

fn counted<T>(source: &Got<T>, count: impl Fn(&T) -> i64, what: &str) -> Found {
    match source {
        Ok(answer) => match count(answer) {
            0 => Found::Nothing(format!("no {what}")),
            n => Found::Records(format!("{n} {what}")),
        },
        Err(why) => Found::Unavailable(why.clone()),
    }
}

/// A register of a source that is kept even when nothing happened.
fn kept<T>(source: &Got<T>, count: impl Fn(&T) -> i64, what: &str) -> Found {
    match source {
        Ok(answer) => Found::Records(format!("{} {what}", count(answer))),
        Err(why) => Found::Unavailable(why.clone()),
    }
}

/// A register of our own that is kept even when nothing happened.
fn register(n: usize, what: &str) -> Found {
    Found::Records(format!("{n} {what}"))
}

fn length<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}

fn find(key: &str, sources: &Sources, frame: &Frame<'_>, drift: &[DriftResult]) -> Found {
    let own = &sources.own;
    match key {
        "audit.verify" => match &sources.verify {
            Ok(verified) if verified.ok => {
                Found::Records(format!("audit log verified up to {} entries", verified.size))
            }
            Ok(verified) => Found::Failed(format!("audit log: {} finding(s)", verified.findings.len())),
            Err(why) => Found::Unavailable(why.clone()),
        },
        "audit.summary" => counted(&sources.entries, |entries| entries.total_count, "audit entries in the month"),
        "audit.erasures" => {
            kept(&sources.entries, |entries| done(entries, "audit.subjects.erase"), "erasures in the month")
        }
        "scoring.decisions" => {
            counted(&sources.decisions, |found| found.tasks_decided, "tasks with a decision in force")
        }
        "scoring.checks" => counted(&sources.decisions, |found| found.checks, "checks before AI acted"),
        "scoring.policies" => counted(&sources.policies, |found| length(found), "policy versions"),
        "scoring.tasks" => counted(&sources.decisions, |found| found.tasks, "tasks in the inventory"),
        "registry.versions" => counted(&sources.versions, |found| length(found), "model versions"),
        "registry.artifacts" => counted(&sources.artifacts, |found| length(found), "artifact versions"),
        "registry.suspensions" => kept(
            &sources.versions,
            |versions| {
                let stopped = |state| matches!(state, ModelVersionState::Suspended | ModelVersionState::Retired);
                let changes = versions.iter().flat_map(|version| &version.transitions);
                changes.filter(|change| stopped(change.to_state())).count() as i64
            },
            "suspensions and retirements",
        ),
        "registry.disclosure" => {
            let total = |summary: &remit_api::registry::v1::OutputSummary| {
                summary.total.as_ref().map_or(0, |total| total.outputs)
            };
            counted(&sources.outputs, total, "outputs with a disclosure status")
        }
        "handoff.summary" => {
            counted(&sources.handoffs, |found| found.states.iter().map(|state| state.count).sum(), "handoffs")
        }
        "handoff.gates" => counted(
            &sources.gates,
            |found| found.iter().filter(|gate| !gate.active_version.is_empty()).count() as i64,
            "gates in force",
        ),
        "handoff.overrides" => kept(&sources.handoffs, |found| found.override_count, "overrides in the month"),
        "handoff.reviewers" => {
            counted(&sources.handoffs, |found| length(&found.reviewers), "reviewers with considered-approval metrics")
        }
        "handoff.grades" => counted(
            &sources.handoffs,
            |found| found.model_grades.iter().map(|g| g.graded_count).sum(),
            "graded variants",
        ),
        "handoff.sla" => counted(
            &sources.handoffs,
            |found| found.service_levels.iter().map(|s| s.met_count + s.breached_count).sum(),
            "service-level clocks",
        ),
        "handoff.routing" => counted(&sources.routing, |found| found.total_count, "leads routed"),
        "kpi.summary" => counted(&sources.kpis, |found| length(&found.kpis), "KPIs"),
        "kpi.drift" => {
            let judged = drift.iter().filter(|result| result.verdict() != DriftVerdict::InsufficientData).count();
            match judged {
                0 => Found::Nothing("no drift detector had enough data".to_owned()),
                n => Found::Records(format!("{n} of {} drift results with a verdict", drift.len())),
            }
        }
        "council.proposals" => register(own.proposals.len(), "proposals on record"),
        "council.holds" => register(own.holds.iter().filter(|hold| !hold.drill).count(), "holds on record"),
        "council.drills" => match own.holds.iter().filter(|hold| hold.drill).count() {
            0 => Found::Nothing("no drill of the kill switch".to_owned()),
            n => register(n, "drills of the kill switch"),
        },
        "council.waivers" => register(own.waivers.len(), "waivers on record"),
        "council.incidents" => {
            let late = own.incidents.iter().flat_map(|incident| &incident.clocks);
            let late = late.filter(|clock| clock.state() == ClockState::Breached).count();
            if late > 0 {
                Found::Failed(format!("{late} statutory clock(s) breached"))
            } else {
                register(own.incidents.len(), "incidents on record")
            }
        }
        "council.reviews" => {
            let sealed = frame.earlier.iter().filter(|review| review.state() == ReviewState::Sealed).count();
            register(sealed, "sealed reviews before this one")
        }
        "council.action_items" => register(own.items.len(), "action items on record"),
        "council.members" => match own.members.iter().filter(|member| member.active).count() {
            0 => Found::Nothing("the body has no members".to_owned()),
            n => register(n, "members with a role group"),
        },
        other => Found::Unavailable(format!("{other} is not a source of this version")),
    }
}

/// Whether a current attestation is on record.
fn attested(control: &Control, sources: &Sources, frame: &Frame<'_>) -> Found {
    let of_it = sources.own.attestations.iter().filter(|one| name::parent(&one.name) == control.name());
    let end = |one: &Attestation| match one.expire_time {
        Some(_) => at(&one.expire_time),
        None => at(&one.create_time).plus(days(control.freshness_days.into())),
    };
    match of_it.map(|one| (end(one), &one.name)).max() {
        Some((end, name)) if end > frame.now => Found::Records(format!("{name} until {end}")),
        Some((end, name)) => Found::Nothing(format!("{name} is stale since {end}")),
        None => Found::Nothing("no attestation".to_owned()),
    }
}

/// Answers every control.
pub(crate) fn assess(
    controls: &[Control],
    sources: &Sources,
    frame: &Frame<'_>,
    drift: &[DriftResult],
) -> Vec<Assurance> {
    controls
        .iter()
        .map(|control| {
            let (mut failed, mut unavailable, mut records, mut nothing, mut unattested) = (false, false, 0, 0, false);
            let mut evidence = Vec::new();
            for key in &control.evidence {
                let attestation = key == ATTESTATION;
                let found =
                    if attestation { attested(control, sources, frame) } else { find(key, sources, frame, drift) };
                let text = match found {
                    Found::Records(text) => {
                        records += 1;
                        text
                    }
                    Found::Failed(text) => {
                        failed = true;
                        text
                    }
                    Found::Nothing(text) => {
                        if attestation {
                            unattested = true;
                        } else {
                            nothing += 1;
                        }
                        text
                    }
                    Found::Unavailable(why) => {
                        unavailable = true;
                        format!("not available: {why}")
                    }
                };
                evidence.push(format!("{key}: {text}"));
            }
            let result = match control.class {
                EvidenceClass::NotApplicable => Assessed::NotApplicable,
                _ if failed => Assessed::CheckFailed,
                _ if unavailable => Assessed::SourceNotAvailable,
                _ if unattested => Assessed::AttestationNeeded,
                _ if records == 0 || nothing > records => Assessed::NoEvidence,
                _ => Assessed::EvidenceAvailable,
            };
            Assurance {
                id: control.id.clone(),
                framework: control.framework.clone(),
                clause: control.clause.clone(),
                requirement: control.requirement.clone(),
                class: control.class,
                result,
                evidence,
            }
        })
        .collect()
}
