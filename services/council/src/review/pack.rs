//! The pack: frozen evidence, what the body added, and the digest over both.

use remit_api::council::v1 as api;
use remit_core::{Error, Result, canonical};
use serde::{Deserialize, Serialize};

/// A number with at most nine decimals, so that a pack shows no more than anybody means.
pub fn round(value: f64) -> f64 {
    if value.is_finite() { (value * 1e9).round() / 1e9 } else { 0.0 }
}

/// One value of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A count.
    Int(i64),
    /// A measure.
    Num(f64),
    /// Text.
    Text(String),
    /// No value: no data is not zero.
    None,
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}
impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Num(round(value))
    }
}
impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::None, Self::from)
    }
}
impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<&String> for Cell {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

/// How the values of a column or fact are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Text.
    Text,
    /// A whole number.
    Count,
    /// A ratio, 0 to 1, shown in percent.
    Ratio,
    /// A number.
    Number,
    /// Seconds.
    Seconds,
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What.
    pub label: String,
    /// How to read it.
    pub unit: Unit,
    /// The value.
    pub value: Cell,
    /// How many it rests on; none where the value is itself a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<i64>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The heading.
    pub label: String,
    /// How to read its values.
    pub unit: Unit,
}

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// What.
    pub label: String,
    /// The period's value.
    pub value: f64,
    /// The value of the period before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<f64>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// How to read the values.
    pub unit: Unit,
    /// How many the value rests on.
    pub n: i64,
}

/// A point of a trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The month.
    pub period: String,
    /// The value.
    pub value: f64,
}

/// A statistic over months, with its thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// What.
    pub title: String,
    /// The months, the oldest first.
    pub points: Vec<Point>,
    /// The moderate threshold.
    pub moderate: f64,
    /// The significant threshold.
    pub significant: f64,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Named values.
    Facts {
        /// The heading; may be empty.
        title: String,
        /// The values.
        facts: Vec<Fact>,
    },
    /// A table.
    Table {
        /// The heading.
        title: String,
        /// The columns.
        columns: Vec<Column>,
        /// The rows, each as long as the columns.
        rows: Vec<Vec<Cell>>,
    },
    /// Values beside their targets.
    Bars {
        /// The heading.
        title: String,
        /// The bars.
        bars: Vec<Bar>,
    },
    /// Two distributions over the same bins.
    Histogram {
        /// The heading.
        title: String,
        /// The month's shares by bin, 0 to 1.
        month: Vec<f64>,
        /// The baseline's shares by bin, 0 to 1.
        baseline: Vec<f64>,
    },
    /// A statistic over months.
    Trend(Trend),
    /// A remark.
    Note {
        /// The remark.
        text: String,
    },
    /// Something that should be here and is not.
    Unavailable {
        /// The source, such as `kpi.summary`.
        source: String,
        /// Why.
        why: String,
    },
}

/// One of the twenty sections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// From 1 to 20.
    pub number: i64,
    /// The stable key, such as `drift`.
    pub key: String,
    /// The heading.
    pub title: String,
    /// The content; never empty.
    pub blocks: Vec<Block>,
}

/// What frames a pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The month.
    pub period: String,
    /// The body.
    pub body: String,
    /// The body's name for people.
    pub body_title: String,
    /// The zone that the month is cut in.
    pub zone: String,
    /// The first instant of the month.
    pub start_time: String,
    /// The first instant after.
    pub end_time: String,
    /// When evidence is cut off.
    pub cut_off_time: String,
    /// When it was collected.
    pub collect_time: String,
    /// Whether it was collected after the cut-off; if not, the next pack restates what came later.
    pub complete: bool,
    /// What generated the pack.
    pub generator: String,
    /// The version of the control library.
    pub library: String,
    /// The decision policy in force and its digest; empty if unknown.
    pub policy: String,
}

/// The result of a drift detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the contract's DriftResult, which documents them")]
pub struct Drift {
    pub detector: String,
    pub subject: String,
    pub statistic: String,
    pub value: f64,
    pub corrected_value: f64,
    pub n: i64,
    pub baseline_n: i64,
    pub baseline: String,
    pub moderate_threshold: f64,
    pub significant_threshold: f64,
    pub verdict: String,
    pub note: String,
    pub ks: f64,
    pub js: f64,
    pub wasserstein: f64,
}

/// The name of an enum value without the name of its enum.
pub fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

impl From<&api::DriftResult> for Drift {
    fn from(result: &api::DriftResult) -> Self {
        Self {
            detector: short(result.detector().as_str_name(), "DRIFT_DETECTOR_"),
            subject: result.subject.clone(),
            statistic: result.statistic.clone(),
            value: round(result.value),
            corrected_value: round(result.corrected_value),
            n: result.n,
            baseline_n: result.baseline_n,
            baseline: result.baseline.clone(),
            moderate_threshold: result.moderate_threshold,
            significant_threshold: result.significant_threshold,
            verdict: short(result.verdict().as_str_name(), "DRIFT_VERDICT_"),
            note: result.note.clone(),
            ks: round(result.ks),
            js: round(result.js),
            wasserstein: round(result.wasserstein),
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the contract's Finding, which documents them")]
pub struct Finding {
    pub id: String,
    pub code: String,
    pub severity: String,
    pub section: String,
    pub title: String,
    pub detail: String,
    pub resource: String,
    pub suggested_action: String,
    pub disposition: String,
    pub disposition_reference: String,
    pub disposition_note: String,
}

impl From<&api::Finding> for Finding {
    fn from(finding: &api::Finding) -> Self {
        Self {
            id: finding.id.clone(),
            code: finding.code.clone(),
            severity: short(finding.severity().as_str_name(), "FINDING_SEVERITY_"),
            section: finding.section.clone(),
            title: finding.title.clone(),
            detail: finding.detail.clone(),
            resource: finding.resource.clone(),
            suggested_action: finding.suggested_action.clone(),
            disposition: match finding.disposition() {
                api::Disposition::Unspecified => String::new(),
                decided => short(decided.as_str_name(), "DISPOSITION_"),
            },
            disposition_reference: finding.disposition_reference.clone(),
            disposition_note: finding.disposition_note.clone(),
        }
    }
}

/// What the records say about one control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assurance {
    /// Such as `C4`.
    pub id: String,
    /// The framework.
    pub framework: String,
    /// The place in it.
    pub clause: String,
    /// What it asks.
    pub requirement: String,
    /// AUTOMATED, PARTIAL, ATTESTED or NOT_APPLICABLE.
    pub class: String,
    /// `evidence available`, `attestation needed`, `check failed`, `no evidence`, `source not available`
    /// or `not applicable`. Never a statement of compliance.
    pub result: String,
    /// The evidence, in words.
    pub evidence: Vec<String>,
}

/// What was collected, frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `remit.review.evidence/1`.
    pub schema: String,
    /// The frame.
    pub header: Header,
    /// The twenty sections.
    pub sections: Vec<Section>,
    /// The detectors.
    pub drift: Vec<Drift>,
    /// What stands out, without dispositions.
    pub findings: Vec<Finding>,
    /// The control library's answers.
    pub assurance: Vec<Assurance>,
    /// Whether the audit log was verified and nothing wrong was found.
    pub audit_verified: bool,
    /// The signed checkpoint of the audit log. If the log was verified, the next review goes on from it.
    pub audit_checkpoint: String,
}

impl Evidence {
    /// The canonical bytes.
    ///
    /// # Errors
    /// `Internal`, which does not happen for these types.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        canonical::json(self).map(String::into_bytes)
    }

    /// Reads what [`Evidence::bytes`] wrote.
    ///
    /// # Errors
    /// `Internal` if the bytes are not evidence.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| Error::internal("evidence cannot be read").with_source(error))
    }

    /// The sources that were not available, without repetition.
    pub fn unavailable(&self) -> Vec<String> {
        let mut sources: Vec<String> = Vec::new();
        for block in self.sections.iter().flat_map(|section| &section.blocks) {
            if let Block::Unavailable { source, .. } = block
                && !sources.contains(source)
            {
                sources.push(source.clone());
            }
        }
        sources
    }
}

/// Who took part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attendance {
    /// The member.
    pub subject: String,
    /// The role group.
    pub role_group: String,
    /// Whether present.
    pub present: bool,
}

/// A declared conflict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recusal {
    /// The member.
    pub subject: String,
    /// The agenda item.
    pub item: String,
    /// The reason.
    pub reason: String,
    /// When.
    pub time: String,
}

/// Everything that is signed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pack {
    /// `remit.review.pack/1`.
    pub schema: String,
    /// The review.
    pub review: String,
    /// The digest of the evidence as collected.
    pub evidence_digest: String,
    /// The evidence, with the dispositions of its findings.
    pub evidence: Evidence,
    /// Who took part.
    pub attendance: Vec<Attendance>,
    /// Declared conflicts.
    pub recusals: Vec<Recusal>,
    /// The minutes.
    pub minutes: String,
}

impl Pack {
    /// Puts together the frozen evidence and what the body added to the review.
    pub fn assemble(mut evidence: Evidence, review: &api::Review) -> Self {
        for finding in &mut evidence.findings {
            if let Some(now) = review.findings.iter().find(|now| now.id == finding.id) {
                *finding = Finding::from(now);
            }
        }
        let attendance = review.attendance.iter().map(|one| Attendance {
            subject: one.subject.clone(),
            role_group: one.role_group.clone(),
            present: one.present,
        });
        let recusals = review.recusals.iter().map(|one| Recusal {
            subject: one.subject.clone(),
            item: one.item.clone(),
            reason: one.reason.clone(),
            time: one.create_time.as_ref().map(|at| crate::time::micros(at).to_string()).unwrap_or_default(),
        });
        Self {
            schema: "remit.review.pack/1".to_owned(),
            review: review.name.clone(),
            evidence_digest: review.evidence_digest.clone(),
            evidence,
            attendance: attendance.collect(),
            recusals: recusals.collect(),
            minutes: review.minutes.clone(),
        }
    }

    /// The digest of the canonical bytes.
    ///
    /// # Errors
    /// `Internal`, which does not happen for these types.
    pub fn digest(&self) -> Result<String> {
        canonical::digest(self)
    }
}
