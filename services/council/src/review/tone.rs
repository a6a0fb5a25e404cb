//! How good what the records say is, for those who look at many values at once: a page colours words by it.

use remit_api::council::v1::{DriftVerdict, FindingSeverity, ProposalState, ReviewState, Severity};
use remit_api::kpi::v1::{DataState, TargetState};
use remit_api::registry::v1::{ArtifactVersionState, AutomationState, ModelVersionState};
use serde::{Deserialize, Serialize};

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// To look at.
    Warn,
    /// To act on.
    Bad,
    /// Nothing is said.
    Mute,
}

/// Something that says how good something is.
pub(crate) trait Toned: Copy {
    /// How good; `None` if this value does not say.
    fn tone(self) -> Option<Tone>;
}

/// What the records say about one control. Never a statement of compliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Assessed {
    /// Everything that was tested passed, and something was.
    EvidenceAvailable,
    /// A person must still attest.
    AttestationNeeded,
    /// There was nothing to test in the month: that says nothing either way.
    NoActivity,
    /// A waiver covers it: it counts neither as passed nor as failed.
    Waived,
    /// A source did not answer.
    SourceNotAvailable,
    /// A check found something wrong.
    CheckFailed,
    /// The control asks nothing of records.
    NotApplicable,
}

impl Assessed {
    /// What people read.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::EvidenceAvailable => "evidence available",
            Self::AttestationNeeded => "attestation needed",
            Self::NoActivity => "no activity",
            Self::Waived => "waived",
            Self::SourceNotAvailable => "source not available",
            Self::CheckFailed => "check failed",
            Self::NotApplicable => "not applicable",
        }
    }
}

macro_rules! tones {
    ($($kind:ident { $($value:ident: $tone:ident),* $(,)? })*) => {$(
        impl Toned for $kind {
            fn tone(self) -> Option<Tone> {
                match self {
                    $(Self::$value => Some(Tone::$tone),)*
                    #[allow(unreachable_patterns, reason = "some types have a tone for every value")]
                    _ => None,
                }
            }
        }
    )*};
}

tones! {
    DriftVerdict { Significant: Bad, Moderate: Warn, None: Good, InsufficientData: Mute }
    FindingSeverity { Critical: Bad, Warning: Warn, Info: Mute }
    Severity { Critical: Bad }
    ReviewState { Sealed: Good }
    ProposalState { Approved: Good, Executed: Good, Failed: Bad }
    ModelVersionState { Approved: Good, Suspended: Bad }
    ArtifactVersionState { Approved: Good }
    AutomationState { Approved: Good, Suspended: Bad }
    DataState { Missing: Warn, NoData: Mute, NotDue: Mute }
    TargetState { OnTarget: Good, OffTarget: Warn, Warning: Warn, Breach: Bad, TooFew: Mute }
    Assessed {
        EvidenceAvailable: Good,
        AttestationNeeded: Warn,
        NoActivity: Mute,
        Waived: Warn,
        SourceNotAvailable: Warn,
        CheckFailed: Bad,
        NotApplicable: Mute,
    }
}
