//! The four answers that make a brief usable (S149).

use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_core::{Error, Result, digest};

/// The trigger event that makes a brief final.
pub(crate) const FINAL: &str = "brief.finalized";

/// The brief with the digest of its answers.
pub(crate) fn with_digest(brief: Option<pb::Brief>) -> Option<pb::Brief> {
    brief.map(|mut brief| {
        brief.digest.clear();
        brief.digest = digest::sha256(&brief.encode_to_vec());
        brief
    })
}

/// The answers that a brief lacks.
fn open_questions(brief: Option<&pb::Brief>) -> Vec<(&'static str, &'static str)> {
    let empty = pb::Brief::default();
    let brief = brief.unwrap_or(&empty);
    let answers = [
        (&brief.audience, "brief.audience", "who are we reaching?"),
        (&brief.message, "brief.message", "what must they hear, and where in the buying process?"),
        (&brief.outcome, "brief.outcome", "what are we trying to produce?"),
        (&brief.success_measure, "brief.success_measure", "how will we know?"),
    ];
    let open = answers.into_iter().filter(|(answer, ..)| answer.trim().is_empty());
    open.map(|(_, field, question)| (field, question)).collect()
}

/// Refuses a brief with open questions.
///
/// # Errors
/// `FailedPrecondition` (`BRIEF_INCOMPLETE`), naming each.
pub(crate) fn check(handoff: &pb::Handoff) -> Result<()> {
    let open = open_questions(handoff.brief.as_ref());
    if open.is_empty() {
        return Ok(());
    }
    let questions: Vec<&str> = open.iter().map(|(_, question)| *question).collect();
    let message = format!("the brief of {} does not answer: {}", handoff.name, questions.join(" "));
    let error = Error::precondition("BRIEF_INCOMPLETE", message);
    Err(open.into_iter().fold(error, |error, (field, question)| error.with_violation(field, question)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_has_four_answers() {
        assert_eq!(open_questions(None).len(), 4);
        let mut brief = pb::Brief {
            audience: "CFOs".into(),
            message: "One ledger, when they compare".into(),
            outcome: "Demo requests".into(),
            success_measure: " ".into(),
            ..Default::default()
        };
        assert_eq!(open_questions(Some(&brief)), [("brief.success_measure", "how will we know?")]);
        brief.success_measure = "40 demos a month".into();
        assert!(open_questions(Some(&brief)).is_empty());
    }

    #[test]
    fn an_edit_changes_the_digest_of_a_brief() {
        let brief = pb::Brief { audience: "CFOs".into(), ..Default::default() };
        let first = with_digest(Some(brief.clone())).unwrap_or_default();
        assert_eq!(Some(first.clone()), with_digest(Some(first.clone())));
        let second = with_digest(Some(pb::Brief { audience: "CFO".into(), ..brief })).unwrap_or_default();
        assert_ne!(first.digest, second.digest);
    }
}
