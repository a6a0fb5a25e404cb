//! The monthly review pack: what is collected, how it becomes twenty sections, and what stands out.
//!
//! `gather` asks the other services; `sections` turn their answers into facts and tables; `drift` runs
//! the seven detectors; `findings` picks what needs people; `assurance` answers the control library;
//! `pack` puts it together and gives it one digest. Only `gather` does I/O.

pub mod assurance;
pub mod drift;
pub mod findings;
pub mod gather;
pub mod pack;
mod sections;

pub use pack::{Evidence, Pack};

use self::gather::Sources;
use self::pack::{Block, Header, Trend};
use crate::library;
use crate::time::Month;
use remit_api::council::v1::Review;
use remit_core::{Result, Timestamp};

/// The version of what generates packs: a change of the contents changes it.
const GENERATOR: &str = concat!("remit-council ", env!("CARGO_PKG_VERSION"), " pack/1");

/// What frames the evidence.
pub struct Frame<'a> {
    /// The review.
    pub review: &'a Review,
    /// The body's name for people.
    pub body_title: &'a str,
    /// The month.
    pub month: &'a Month,
    /// When evidence is cut off.
    pub cut_off: Timestamp,
    /// When it was collected.
    pub now: Timestamp,
    /// Earlier reviews of the body, the latest first.
    pub earlier: &'a [Review],
}

/// Builds the evidence of a month from what was gathered.
///
/// # Errors
/// `Internal` if the control library cannot be read.
pub fn build(frame: &Frame<'_>, sources: &Sources) -> Result<Evidence> {
    let drift = drift::results(frame, sources);
    let mut findings = findings::all(frame, sources, &drift);
    let assurance = assurance::assess(library::controls()?, sources, frame, &drift);
    findings.extend(findings::of_controls(&assurance));
    findings.sort_by(|a, b| (b.severity, &a.id).cmp(&(a.severity, &b.id)));
    findings.dedup_by(|a, b| a.id == b.id);
    let mut sections = sections::all(frame, sources, &drift, &assurance);
    if let Some(section) = sections.iter_mut().find(|section| section.key == "drift") {
        section.blocks.extend(trends(frame, &drift).into_iter().map(Block::Trend));
    }
    let checkpoint = sources.checkpoint.as_ref().map(|checkpoint| checkpoint.note.clone()).unwrap_or_default();
    Ok(Evidence {
        schema: "remit.review.evidence/1".to_owned(),
        header: Header {
            period: frame.review.period.clone(),
            body: frame.review.body.clone(),
            body_title: frame.body_title.to_owned(),
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
    })
}

/// The statistic of each subject of this month's drift over the reviews so far, the oldest first.
fn trends(frame: &Frame<'_>, drift: &[remit_api::council::v1::DriftResult]) -> Vec<Trend> {
    use remit_api::council::v1::DriftVerdict;
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
                .map(|(period, result)| pack::Point { period, value: pack::round(result.corrected_value) })
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
