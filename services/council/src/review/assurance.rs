//! What the records say about each control of the library. Evidence is available or not; whether that
//! complies with anything is for people to say (R22).

use super::checks::{self, TESTS};
use super::pack::{Assurance, Check, Checked};
use super::sources::{Frame, Sources};
use super::tone::Assessed;
use crate::library::{ATTESTATION, Control};
use crate::time::{at, days};
use crate::waiver::end_of;
use remit_api::council::v1 as api;
use remit_api::council::v1::{Attestation, DriftResult, EvidenceClass, Waiver};
use remit_api::wire::waivers::{Standing, standing};
use remit_core::{Timestamp, name};
use std::collections::BTreeMap;

/// Until when an attestation counts.
fn end_of_attestation(one: &Attestation, freshness_days: u32) -> Timestamp {
    match one.expire_time {
        Some(_) => at(&one.expire_time),
        None => at(&one.create_time).plus(days(freshness_days.into())),
    }
}

/// The attestation of a control that counts longest, and until when; by the greatest name of those that end together.
pub(crate) fn newest_attestation<'a>(control: &Control, sources: &'a Sources) -> Option<(Timestamp, &'a Attestation)> {
    let of_it = sources.own.attestations.iter().filter(|one| name::parent(&one.name) == control.name());
    let ending = of_it.map(|one| (end_of_attestation(one, control.freshness_days), one));
    ending.max_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)))
}

/// Who sees to a control, if somebody was named.
pub(crate) fn assigned<'a>(control: &Control, sources: &'a Sources) -> Option<&'a api::Control> {
    sources.own.assignments.iter().find(|one| one.name == control.name())
}

/// Whether a current attestation is on record, and which.
fn attested(control: &Control, sources: &Sources, frame: &Frame<'_>) -> (bool, String) {
    match newest_attestation(control, sources) {
        Some((end, one)) if end > frame.now => (true, format!("{} until {end}", one.name)),
        Some((end, one)) => (false, format!("{} is stale since {end}", one.name)),
        None => (false, "no attestation".to_owned()),
    }
}

/// The waiver of a control that was in force at the end of the month, or is now.
fn waived<'a>(control: &Control, sources: &'a Sources, frame: &Frame<'_>) -> Option<&'a Waiver> {
    let last = frame.month.end().min(frame.now);
    sources.own.waivers.iter().find(|one| {
        let holds = |time: Timestamp| at(&one.create_time) <= time && standing(one, time) == Standing::Holds;
        one.control == control.id && (holds(last) || holds(frame.now))
    })
}

/// Answers every control. Each test runs once, however many controls rest on it.
pub(crate) fn assess(
    controls: &[Control],
    sources: &Sources,
    frame: &Frame<'_>,
    drift: &[DriftResult],
) -> Vec<Assurance> {
    let run = |test: &checks::Test| {
        let found = checks::run(test.key, sources, frame, drift);
        let check = Check {
            key: test.key.to_owned(),
            population: test.population.to_owned(),
            test: test.test.to_owned(),
            sample: test.sample.to_owned(),
            threshold: test.threshold.to_owned(),
            n: found.n,
            outcome: found.outcome,
            said: found.said,
        };
        (test.key, check)
    };
    let checks: BTreeMap<&str, Check> = TESTS.iter().map(run).collect();
    controls.iter().map(|control| answer(control, &checks, sources, frame)).collect()
}

fn answer(control: &Control, checks: &BTreeMap<&str, Check>, sources: &Sources, frame: &Frame<'_>) -> Assurance {
    let mut of_it: Vec<Check> = Vec::new();
    let (mut evidence, mut attestation) = (Vec::new(), None);
    for key in &control.evidence {
        if key == ATTESTATION {
            let (current, text) = attested(control, sources, frame);
            attestation = Some(current);
            evidence.push(format!("{key}: {text}"));
        } else if let Some(check) = checks.get(key.as_str()) {
            evidence.push(format!("{key}: {}", check.said));
            of_it.push(check.clone());
        }
    }
    if let Some(one) = assigned(control, sources) {
        let due = one.due_time.map_or_else(String::new, |_| format!(", by {}", at(&one.due_time)));
        evidence.push(format!("owner: {}{due}", one.owner));
    }
    let any = |outcome: Checked| of_it.iter().any(|check| check.outcome == outcome);
    let waiver = waived(control, sources, frame);
    if let Some(waiver) = waiver {
        evidence.push(format!("{}: waived until {}", waiver.name, end_of(waiver)));
    }
    let result = match control.class {
        EvidenceClass::NotApplicable => Assessed::NotApplicable,
        _ if waiver.is_some() => Assessed::Waived,
        _ if any(Checked::Failed) => Assessed::CheckFailed,
        _ if any(Checked::SourceNotAvailable) => Assessed::SourceNotAvailable,
        _ if attestation == Some(false) => Assessed::AttestationNeeded,
        // What people state is not evidence of what the suite did.
        _ if !of_it.is_empty() && !any(Checked::Passed) => Assessed::NoActivity,
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
        checks: of_it,
        waiver: waiver.map(|waiver| waiver.name.clone()).unwrap_or_default(),
    }
}
