//! The monthly review pack: what is collected, how it becomes twenty sections, and what stands out.
//!
//! `positions` waits until every service has handed over what it knows; `gather` asks them for the `sources`; `sections`
//! turn their answers into facts and tables; `drift` runs the seven detectors; `findings` picks what needs people;
//! `checks` test the records and `assurance` answers the control library by them; `restated` says which frozen figures
//! are others by now; `pack` puts it together and gives it one digest; `signing` says what signatures on it count. Only
//! `positions`, `gather` and `sources` do I/O.

pub(crate) mod assurance;
pub(crate) mod checks;
pub(crate) mod cited;
mod conduct;
pub(crate) mod drift;
pub(crate) mod due;
mod evidence;
pub(crate) mod findings;
pub(crate) mod gather;
pub(crate) mod measures;
pub(crate) mod pack;
mod positions;
pub(crate) mod progress;
pub(crate) mod restated;
pub(crate) mod rollout;
mod sections;
pub(crate) mod signing;
pub(crate) mod sources;
#[cfg(test)]
mod tests;
pub(crate) mod tone;

pub(crate) use pack::{Evidence, Pack};

use self::pack::{Block, Header, Trend};
use self::sources::{Frame, Sources};
use crate::library;
use remit_api::council::v1::{DriftResult, DriftVerdict, Review};
use remit_core::Result;

/// The version of what generates packs: a change of the contents changes it.
const GENERATOR: &str = concat!("remit-council ", env!("CARGO_PKG_VERSION"), " pack/1");

/// Builds the evidence of a month from what was gathered.
///
/// # Errors
/// `Internal` if the control library cannot be read.
pub(crate) fn build(frame: &Frame<'_>, sources: &Sources, drift: &[DriftResult]) -> Result<Evidence> {
    let mut findings = findings::all(frame, sources, drift);
    let assurance = assurance::assess(library::controls()?, sources, frame, drift);
    findings::of_controls(&mut findings, &assurance);
    findings.extend(findings::of_owners(frame, sources, &assurance));
    findings.sort_by(|a, b| (b.severity, &a.id).cmp(&(a.severity, &b.id)));
    findings.dedup_by(|a, b| a.id == b.id);
    let mut sections = sections::all(frame, sources, drift, &assurance);
    if let Some(section) = sections.iter_mut().find(|section| section.key == "drift") {
        section.blocks.extend(trends(frame, drift).into_iter().map(Block::Trend));
    }
    let checkpoint = sources.checkpoint.as_ref().map(|checkpoint| checkpoint.note.clone()).unwrap_or_default();
    Ok(Evidence {
        schema: "remit.review.evidence/1".to_owned(),
        header: Header {
            period: frame.review.period.clone(),
            body: frame.review.body.clone(),
            body_title: frame.body_title.to_owned(),
            rule: frame.review.quorum.as_ref().map(sections::rule_text).unwrap_or_default(),
            zone: if frame.review.zone.is_empty() { "UTC".to_owned() } else { frame.review.zone.clone() },
            start_time: frame.month.start().to_string(),
            end_time: frame.month.end().to_string(),
            cut_off_time: frame.cut_off.to_string(),
            collect_time: frame.now.to_string(),
            complete: frame.now >= frame.cut_off,
            generator: GENERATOR.to_owned(),
            library: library::VERSION.to_owned(),
            policy: sections::active_policy(sources),
        },
        sections,
        drift: drift.iter().map(pack::Drift::from).collect(),
        findings: findings.iter().map(pack::Finding::from).collect(),
        assurance,
        audit_verified: sources.verify.as_ref().is_ok_and(|report| report.ok),
        audit_checkpoint: checkpoint,
        sources: sources.positions.clone(),
        figures: restated::figures(&sources.answers()),
        restated: sources.restated.clone(),
        measures: sections::measures(sources),
        past: Vec::new(),
        cited: Vec::new(),
        due: due::all(&sources.own, frame),
        rollout: Vec::new(),
    })
}

/// The statistic of each subject of this month's drift over the reviews so far, the oldest first.
fn trends(frame: &Frame<'_>, drift: &[DriftResult]) -> Vec<Trend> {
    drift
        .iter()
        .filter(|result| result.n > 0 && result.statistic == "psi")
        .map(|now| {
            let same = |review: &Review| {
                review.drift.iter().find(|old| old.detector == now.detector && old.subject == now.subject).cloned()
            };
            let mut points: Vec<pack::Point> = frame
                .earlier
                .iter()
                .filter(|review| review.period < frame.review.period)
                .take(23)
                .filter_map(|review| Some((review.period.clone(), same(review)?)))
                .chain([(frame.review.period.clone(), now.clone())])
                .filter(|(_, result)| result.verdict() != DriftVerdict::InsufficientData)
                .filter_map(|(period, result)| {
                    Some(pack::Point { period, value: pack::round(result.corrected_value?) })
                })
                .collect();
            points.sort_by(|a, b| a.period.cmp(&b.period));
            Trend {
                title: format!("Bias-corrected PSI of {}", now.subject),
                points,
                moderate: now.moderate_threshold,
                significant: now.significant_threshold,
            }
        })
        .filter(|trend| !trend.points.is_empty())
        .collect()
}
