//! Signatures on a pack: what counts, and what they still lack.

use super::{Evidence, Pack};
use crate::body;
use remit_api::council::v1::{Review, ReviewState};
use remit_core::details::ReviewEdited;
use remit_core::quorum::{Ballot, Choice, Outcome, Seat, Vote};
use remit_core::{Error, Result};

/// The signatures that count, as a vote on the pack. Nobody is excluded: a review has no proposer.
pub(crate) fn ballot(review: &Review, seats: &[Seat]) -> Ballot {
    let valid = review.signatures.iter().filter(|signature| signature.valid);
    Ballot {
        rule: review.quorum.as_ref().map(body::rule).unwrap_or_default(),
        seats: seats.to_vec(),
        votes: valid
            .filter_map(|signature| {
                let voter = signature.signer.as_ref()?.subject.clone();
                Some(Vote { seat: signature.seat.clone(), voter, choice: Choice::Approve })
            })
            .collect(),
        ..Ballot::default()
    }
}

/// What the signatures still lack; empty if the review can be sealed.
pub(crate) fn missing(review: &Review, seats: &[Seat]) -> Vec<String> {
    let standing = ballot(review, seats).standing();
    if standing.outcome == Outcome::Approved { Vec::new() } else { standing.missing }
}

/// Brings the digest up to date with the content. A signature names a digest, so that a change of the
/// content voids all of them.
///
/// # Errors
/// `Internal` if the pack cannot be written, which does not happen.
pub(crate) fn rehash(review: &mut Review, evidence: &Evidence, seats: &[Seat]) -> Result<()> {
    let digest = Pack::assemble(evidence.clone(), review).digest()?;
    if digest != review.pack_digest {
        review.pack_digest = digest;
        for signature in &mut review.signatures {
            signature.valid = false;
        }
    }
    review.missing = missing(review, seats);
    Ok(())
}

/// What an edit did to the signatures.
pub(crate) fn edited(before: &Review, after: &Review) -> ReviewEdited {
    let signed = after.signatures.get(before.signatures.len()..).unwrap_or_default();
    let voided = before.signatures.iter().zip(&after.signatures).filter(|(before, after)| before.valid && !after.valid);
    ReviewEdited {
        pack_digest: after.pack_digest.clone(),
        seat: signed.first().map(|signature| signature.seat.clone()).unwrap_or_default(),
        voided: voided.map(|(before, _)| before.seat.clone()).collect(),
    }
}

/// Refuses a review whose evidence is not collected yet.
///
/// # Errors
/// `FailedPrecondition` (`REVIEW_COLLECTING`).
pub(crate) fn check_collected(review: &Review) -> Result<()> {
    if matches!(review.state(), ReviewState::Open | ReviewState::Sealed) {
        return Ok(());
    }
    let message = format!("the evidence of {} is being collected: read how far it is, and come back", review.name);
    Err(Error::precondition("REVIEW_COLLECTING", message))
}

/// Refuses a review that never changes again.
///
/// # Errors
/// `FailedPrecondition` (`REVIEW_SEALED`).
pub(crate) fn check_unsealed(review: &Review) -> Result<()> {
    if review.state() == ReviewState::Sealed {
        return Err(Error::precondition("REVIEW_SEALED", format!("{} is sealed", review.name)));
    }
    Ok(())
}

/// Refuses a review that the body does not work on.
///
/// # Errors
/// `FailedPrecondition`: `REVIEW_COLLECTING`, `REVIEW_SEALED`.
pub(crate) fn check_open(review: &Review) -> Result<()> {
    check_collected(review)?;
    check_unsealed(review)
}
