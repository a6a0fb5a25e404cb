//! The pack: frozen evidence, what the body added, and the digest over both.

use super::cited::Cited;
use super::due::Due;
pub(crate) use super::evidence::{Check, Checked, Figure, Restated, SourceState};
use super::measures::{Measure, Past};
use super::rollout::Step;
use super::tone::{Assessed, Tone, Toned};
use crate::time;
use remit_api::council::v1 as api;
use remit_api::council::v1::{Disposition, DriftDetector, DriftVerdict, EvidenceClass, FindingSeverity};
use remit_api::wire::Word;
use remit_core::{Error, Result, canonical};
use serde::{Deserialize, Serialize};

/// A number with at most nine decimals, so that a pack shows no more than anybody means.
pub(crate) fn round(value: f64) -> f64 {
    if value.is_finite() { (value * 1e9).round() / 1e9 } else { 0.0 }
}

/// One value of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    /// A count.
    Int(i64),
    /// A measure.
    Num(f64),
    /// Text.
    Text(String),
    /// A word of the contract that says how good something is.
    Judged {
        /// The word, such as `SIGNIFICANT`.
        word: String,
        /// How good.
        tone: Tone,
    },
    /// No value: no data is not zero.
    None,
}

macro_rules! cells {
    ($($from:ty => |$value:ident| $cell:expr;)+) => {$(
        impl From<$from> for Cell {
            fn from($value: $from) -> Self {
                $cell
            }
        }
    )+};
}

cells! {
    i64 => |value| Self::Int(value);
    i32 => |value| Self::Int(value.into());
    usize => |value| Self::Int(i64::try_from(value).unwrap_or(i64::MAX));
    f64 => |value| Self::Num(round(value));
    Option<f64> => |value| value.map_or(Self::None, Self::from);
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    &String => |value| Self::Text(value.clone());
}

impl Cell {
    /// A word of the contract with how good it is, if it says so.
    pub(crate) fn judged<W: Word + Toned>(value: W) -> Self {
        match value.tone() {
            Some(tone) => Self::Judged { word: value.word().to_owned(), tone },
            None => value.word().into(),
        }
    }

    /// The number, if it is one.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Num(value) => Some(*value),
            // Counts are far below 2^53.
            Self::Int(value) => Some(*value as f64),
            Self::Text(_) | Self::Judged { .. } | Self::None => None,
        }
    }
}

/// How the values of a column or fact are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
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
pub(crate) struct Fact {
    /// What.
    pub(crate) label: String,
    /// How to read it.
    pub(crate) unit: Unit,
    /// The value.
    pub(crate) value: Cell,
    /// How many it rests on; none where the value is itself a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<i64>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    /// The heading.
    pub(crate) label: String,
    /// How to read its values.
    pub(crate) unit: Unit,
}

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bar {
    /// What.
    pub(crate) label: String,
    /// The period's value.
    pub(crate) value: f64,
    /// The value of the period before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<f64>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    /// How to read the values.
    pub(crate) unit: Unit,
    /// How many the value rests on.
    pub(crate) n: i64,
}

/// A point of a trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The month.
    pub(crate) period: String,
    /// The value.
    pub(crate) value: f64,
}

/// A statistic over months, with its thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trend {
    /// What.
    pub(crate) title: String,
    /// The months, the oldest first.
    pub(crate) points: Vec<Point>,
    /// The moderate threshold.
    pub(crate) moderate: f64,
    /// The significant threshold.
    pub(crate) significant: f64,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block {
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
pub(crate) struct Section {
    /// From 1 to 20.
    pub(crate) number: i64,
    /// The stable key, such as `drift`.
    pub(crate) key: String,
    /// The heading.
    pub(crate) title: String,
    /// The content; never empty.
    pub(crate) blocks: Vec<Block>,
}

/// What frames a pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The month.
    pub(crate) period: String,
    /// The body.
    pub(crate) body: String,
    /// The body's name for people.
    pub(crate) body_title: String,
    /// How it decides, in words; empty in packs from before it was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) rule: String,
    /// The zone that the month is cut in.
    pub(crate) zone: String,
    /// The first instant of the month.
    pub(crate) start_time: String,
    /// The first instant after.
    pub(crate) end_time: String,
    /// When evidence is cut off.
    pub(crate) cut_off_time: String,
    /// When it was collected.
    pub(crate) collect_time: String,
    /// Whether it was collected after the cut-off; if not, the next pack restates what came later.
    pub(crate) complete: bool,
    /// What generated the pack.
    pub(crate) generator: String,
    /// The version of the control library.
    pub(crate) library: String,
    /// The decision policy in force and its digest; empty if unknown.
    pub(crate) policy: String,
}

/// The result of a drift detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the contract's DriftResult, which documents them")]
pub(crate) struct Drift {
    #[serde(with = "word")]
    pub(crate) detector: DriftDetector,
    pub(crate) subject: String,
    pub(crate) statistic: String,
    // What there is no data for is left out, and `note` says why: 0 would be a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) corrected_value: Option<f64>,
    pub(crate) n: i64,
    pub(crate) baseline_n: i64,
    pub(crate) baseline: String,
    pub(crate) moderate_threshold: f64,
    pub(crate) significant_threshold: f64,
    #[serde(with = "word")]
    pub(crate) verdict: DriftVerdict,
    pub(crate) note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ks: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) js: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wasserstein: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p_value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) adjusted_p_value: Option<f64>,
}

/// Enums of the contract as their words; the value that means nothing as the empty text.
pub(super) mod word {
    use super::Word;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<W: Word, S: Serializer>(value: &W, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.word())
    }

    pub(crate) fn deserialize<'de, W: Word, D: Deserializer<'de>>(deserializer: D) -> Result<W, D::Error> {
        let word = String::deserialize(deserializer)?;
        let value = if word.is_empty() { Some(W::default()) } else { W::parse(&word) };
        value.ok_or_else(|| D::Error::custom(format!("{word} is no word of the contract")))
    }
}

impl From<&api::DriftResult> for Drift {
    fn from(result: &api::DriftResult) -> Self {
        Self {
            detector: result.detector(),
            subject: result.subject.clone(),
            statistic: result.statistic.clone(),
            value: result.value.map(round),
            corrected_value: result.corrected_value.map(round),
            n: result.n,
            baseline_n: result.baseline_n,
            baseline: result.baseline.clone(),
            moderate_threshold: result.moderate_threshold,
            significant_threshold: result.significant_threshold,
            verdict: result.verdict(),
            note: result.note.clone(),
            ks: result.ks.map(round),
            js: result.js.map(round),
            wasserstein: result.wasserstein.map(round),
            p_value: result.p_value.map(round),
            adjusted_p_value: result.adjusted_p_value.map(round),
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the contract's Finding, which documents them")]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) code: String,
    #[serde(with = "word")]
    pub(crate) severity: FindingSeverity,
    pub(crate) section: String,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) resource: String,
    pub(crate) suggested_action: String,
    #[serde(with = "word")]
    pub(crate) disposition: Disposition,
    pub(crate) disposition_reference: String,
    pub(crate) disposition_note: String,
    /// The controls that it touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) controls: Vec<String>,
}

impl From<&api::Finding> for Finding {
    fn from(finding: &api::Finding) -> Self {
        Self {
            id: finding.id.clone(),
            code: finding.code.clone(),
            severity: finding.severity(),
            section: finding.section.clone(),
            title: finding.title.clone(),
            detail: finding.detail.clone(),
            resource: finding.resource.clone(),
            suggested_action: finding.suggested_action.clone(),
            disposition: finding.disposition(),
            disposition_reference: finding.disposition_reference.clone(),
            disposition_note: finding.disposition_note.clone(),
            controls: finding.controls.clone(),
        }
    }
}

impl Finding {
    /// The finding as in the contract.
    pub(crate) fn to_api(&self) -> api::Finding {
        api::Finding {
            id: self.id.clone(),
            code: self.code.clone(),
            severity: self.severity.into(),
            section: self.section.clone(),
            title: self.title.clone(),
            detail: self.detail.clone(),
            resource: self.resource.clone(),
            suggested_action: self.suggested_action.clone(),
            disposition: self.disposition.into(),
            disposition_reference: self.disposition_reference.clone(),
            disposition_note: self.disposition_note.clone(),
            controls: self.controls.clone(),
            ..api::Finding::default()
        }
    }
}

/// What the records say about one control, with their words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Assurance {
    /// Such as `C4`.
    pub(crate) id: String,
    /// The framework.
    pub(crate) framework: String,
    /// The place in it.
    pub(crate) clause: String,
    /// What it asks.
    pub(crate) requirement: String,
    /// How far records go.
    #[serde(with = "word")]
    pub(crate) class: EvidenceClass,
    /// What they say.
    pub(crate) result: Assessed,
    /// The evidence, in words.
    pub(crate) evidence: Vec<String>,
    /// What was tested, and what came of it.
    #[serde(default)]
    pub(crate) checks: Vec<Check>,
    /// The waiver that covers it; empty if none.
    #[serde(default)]
    pub(crate) waiver: String,
}

/// What was collected, frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// `remit.review.evidence/1`.
    pub(crate) schema: String,
    /// The frame.
    pub(crate) header: Header,
    /// The twenty sections.
    pub(crate) sections: Vec<Section>,
    /// The detectors.
    pub(crate) drift: Vec<Drift>,
    /// What stands out, without dispositions.
    pub(crate) findings: Vec<Finding>,
    /// The control library's answers.
    pub(crate) assurance: Vec<Assurance>,
    /// Whether the audit log was verified and nothing wrong was found.
    pub(crate) audit_verified: bool,
    /// The signed checkpoint of the audit log. If the log was verified, the next review goes on from it.
    pub(crate) audit_checkpoint: String,
    /// How far each service had handed over what it knows.
    #[serde(default)]
    pub(crate) sources: Vec<SourceState>,
    /// The numbers of the month by which a later pack knows what has changed.
    #[serde(default)]
    pub(crate) figures: Vec<Figure>,
    /// Figures of earlier months that are others by now.
    #[serde(default)]
    pub(crate) restated: Vec<Restated>,
    /// The KPIs of the month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) measures: Vec<Measure>,
    /// The twelve months before, the oldest first, as far as the body reviewed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) past: Vec<Past>,
    /// Entries of the audit log that the findings rest on, with their proofs against `audit_checkpoint`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cited: Vec<Cited>,
    /// What is to be done by when, the earliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) due: Vec<Due>,
    /// The checklist of the first 90 days, as the records had it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rollout: Vec<Step>,
}

impl Evidence {
    /// The canonical bytes.
    ///
    /// # Errors
    /// `Internal`, which does not happen for these types.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        canonical::json(self).map(String::into_bytes)
    }

    /// Reads what [`Evidence::bytes`] wrote.
    ///
    /// # Errors
    /// `Internal` if the bytes are not evidence.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| Error::internal("evidence cannot be read").with_source(error))
    }

    /// The sources that were not available, without repetition.
    pub(crate) fn unavailable(&self) -> Vec<String> {
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
pub(crate) struct Attendance {
    /// The member.
    pub(crate) subject: String,
    /// The role group.
    pub(crate) role_group: String,
    /// Whether present.
    pub(crate) present: bool,
}

/// A declared conflict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Recusal {
    /// The member.
    pub(crate) subject: String,
    /// The agenda item.
    pub(crate) item: String,
    /// The reason.
    pub(crate) reason: String,
    /// When.
    pub(crate) time: String,
}

/// Everything that is signed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Pack {
    /// `remit.review.pack/1`.
    pub(crate) schema: String,
    /// The review.
    pub(crate) review: String,
    /// The digest of the evidence as collected.
    pub(crate) evidence_digest: String,
    /// The evidence, with the dispositions of its findings.
    pub(crate) evidence: Evidence,
    /// Who took part.
    pub(crate) attendance: Vec<Attendance>,
    /// Declared conflicts.
    pub(crate) recusals: Vec<Recusal>,
    /// The minutes.
    pub(crate) minutes: String,
}

impl Pack {
    /// Puts together the frozen evidence and what the body added to the review.
    pub(crate) fn assemble(mut evidence: Evidence, review: &api::Review) -> Self {
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
            time: time::text(&one.create_time),
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
    pub(crate) fn digest(&self) -> Result<String> {
        canonical::digest(self)
    }
}
