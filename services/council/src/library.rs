//! The control library: frameworks, controls and where evidence comes from, as data.
//!
//! The library never says that anything complies. It says whether evidence is available, from which
//! records, and what a person still has to attest (R22).

use crate::review::checks::{TESTS, Test};
use remit_api::council::v1 as api;
use remit_api::council::v1::EvidenceClass;
use remit_api::wire::Word as _;
use remit_core::name::ControlName;
use remit_core::{Error, Result, authority};
use std::sync::OnceLock;

/// The version of the library.
pub(crate) const VERSION: &str = "2026-11";
/// The evidence key that stands for a person's attestation.
pub(crate) const ATTESTATION: &str = "attestation";

const TABLE: &str = include_str!("../data/controls.csv");

/// One control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// Such as `C4`.
    pub(crate) id: String,
    /// The framework.
    pub(crate) framework: String,
    /// The place in it.
    pub(crate) clause: String,
    /// What it asks, in short.
    pub(crate) requirement: String,
    /// How far the records go.
    pub(crate) class: EvidenceClass,
    /// Evidence keys, [`ATTESTATION`] among them where a person must attest.
    pub(crate) evidence: Vec<String>,
    /// For how many days an attestation without an end counts.
    pub(crate) freshness_days: u32,
    /// Whether a body may waive it. Not what a law asks, nor what decisions themselves rest on: holds, drills, seats,
    /// votes, waivers and the log.
    pub(crate) waivable: bool,
}

impl Control {
    /// `controls/C4`.
    pub(crate) fn name(&self) -> String {
        ControlName::new(&self.id).to_string()
    }

    /// The control as in the contract.
    pub(crate) fn to_api(&self) -> api::Control {
        api::Control {
            name: self.name(),
            framework: self.framework.clone(),
            clause: self.clause.clone(),
            requirement: self.requirement.clone(),
            evidence_class: self.class.into(),
            evidence: self.evidence.clone(),
            freshness_days: i32::try_from(self.freshness_days).unwrap_or(i32::MAX),
            waivable: self.waivable,
            tests: self
                .tests()
                .map(|test| api::ControlTest {
                    key: test.key.to_owned(),
                    population: test.population.to_owned(),
                    test: test.test.to_owned(),
                    sample: test.sample.to_owned(),
                    threshold: test.threshold.to_owned(),
                })
                .collect(),
            ..api::Control::default()
        }
    }

    /// What a review tests for it.
    fn tests(&self) -> impl Iterator<Item = &'static Test> {
        self.evidence.iter().filter_map(|key| TESTS.iter().find(|test| test.key == key))
    }
}

/// The controls in the order of the library.
///
/// # Errors
/// `Internal` if the table that ships with the binary is broken, which a test rules out.
pub(crate) fn controls() -> Result<&'static [Control]> {
    static PARSED: OnceLock<Vec<Control>> = OnceLock::new();
    if let Some(parsed) = PARSED.get() {
        return Ok(parsed);
    }
    let parsed = TABLE.lines().skip(1).map(parse).collect::<Result<Vec<_>>>()?;
    Ok(PARSED.get_or_init(|| parsed))
}

/// Checks that the library has a control, named by `field`; returns for how many days an attestation of it counts.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), `NotFound` (`CONTROL_NOT_FOUND`).
pub(crate) fn check(name: &str, field: &str) -> Result<u64> {
    ControlName::parse(name, field)?;
    let known = controls()?.iter().find(|control| control.name() == name);
    known.map(|control| control.freshness_days.into()).ok_or_else(|| Error::not_found("CONTROL_NOT_FOUND", name))
}

/// Refuses to attest what the records alone answer: a test that fails is not talked over.
///
/// # Errors
/// `FailedPrecondition` (`CONTROL_AUTOMATED`).
pub(crate) fn check_attestable(name: &str) -> Result<()> {
    let known = controls()?.iter().find(|control| control.name() == name);
    if known.is_some_and(|control| !control.evidence.iter().any(|key| key == ATTESTATION)) {
        let message = format!("{name} is answered by the records alone: a statement would count for nothing");
        return Err(Error::precondition("CONTROL_AUTOMATED", message));
    }
    Ok(())
}

/// Refuses to waive what no body may waive: a check of scoring that stands whatever anybody decides, a control of the
/// library that is not marked as waivable, and what nobody knows.
///
/// # Errors
/// `PermissionDenied` (`CONTROL_NOT_WAIVABLE`).
pub(crate) fn check_waivable(control: &str) -> Result<()> {
    // In one form only: scoring and the reports know a waiver by it.
    let of_library = controls()?.iter().find(|known| known.id == control);
    if of_library.is_some_and(|known| known.waivable) || authority::WAIVABLE_CHECKS.contains(&control) {
        return Ok(());
    }
    let why = match of_library {
        Some(known) => format!("{} {} is not for a body to waive", known.framework, known.clause),
        None => {
            format!("waive a control of the library that can be, or one of {}", authority::WAIVABLE_CHECKS.join(", "))
        }
    };
    Err(Error::denied("CONTROL_NOT_WAIVABLE", format!("{control} cannot be waived: {why}")))
}

fn parse(line: &str) -> Result<Control> {
    let broken = || Error::internal(format!("the control library has a broken line: {line}"));
    let fields = split(line);
    let [id, framework, clause, requirement, class, evidence, freshness, waivable] = fields.as_slice() else {
        return Err(broken());
    };
    let waivable = match waivable.as_str() {
        "yes" => true,
        "no" => false,
        _ => return Err(broken()),
    };
    let class = EvidenceClass::parse(class).ok_or_else(broken)?;
    Ok(Control {
        id: id.clone(),
        framework: framework.clone(),
        clause: clause.clone(),
        requirement: requirement.clone(),
        class,
        evidence: evidence.split_whitespace().map(str::to_owned).collect(),
        freshness_days: freshness.parse().map_err(|_| broken())?,
        waivable,
    })
}

/// The fields of one line of RFC 4180 without line breaks inside fields.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                push(&mut fields, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    fields
}

fn push(fields: &mut [String], character: char) {
    if let Some(field) = fields.last_mut() {
        field.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_has_its_seventy_controls_and_known_evidence() -> Result<()> {
        let controls = controls()?;
        let ids: Vec<String> = (1..=70).map(|n| format!("C{n}")).collect();
        assert_eq!(controls.iter().map(|control| control.id.clone()).collect::<Vec<_>>(), ids);
        for control in controls {
            let nothing = control.class == EvidenceClass::NotApplicable;
            assert_eq!(control.evidence.is_empty(), nothing, "{}", control.id);
            for key in &control.evidence {
                assert!(key == ATTESTATION || TESTS.iter().any(|test| test.key == key), "{}: {key}", control.id);
            }
            let attested = control.evidence.iter().any(|key| key == ATTESTATION);
            assert_eq!(
                attested,
                matches!(control.class, EvidenceClass::Partial | EvidenceClass::Attested),
                "{}",
                control.id
            );
        }
        Ok(())
    }

    #[test]
    fn what_a_law_asks_and_what_decisions_rest_on_is_waived_by_nobody() -> Result<()> {
        let foundations = ["council.holds", "council.proposals", "council.members", "audit.verify"];
        for control in controls()? {
            let law = control.framework.starts_with("EU AI Act") || control.framework.starts_with("GDPR");
            let foundation = control.evidence.iter().any(|key| foundations.contains(&key.as_str()));
            assert!(!(control.waivable && (law || foundation)), "{}", control.id);
        }
        for control in ["C43", "GATE_MISMATCH", "MODEL_PAST_REVIEW_DATE"] {
            check_waivable(control)?;
        }
        for control in [
            "controls/C43",
            "DECISION_OUTDATED",
            "C18",
            "C45",
            "C56",
            "HOLD_ENGAGED",
            "STATE_UNAVAILABLE",
            "QUORUM_MISSING",
            "C99",
            "anything",
        ] {
            let refused = check_waivable(control).err().map(|error| error.reason());
            assert_eq!(refused, Some("CONTROL_NOT_WAIVABLE"), "{control}");
        }
        Ok(())
    }

    #[test]
    fn quoted_fields_keep_their_commas() {
        assert_eq!(split(r#"a,"b, ""c""",d"#), ["a", r#"b, "c""#, "d"]);
    }
}
