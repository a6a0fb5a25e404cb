//! What a reviewer's signature covers, and when it holds (R6).

use remit_api::handoff::v1 as pb;
use remit_api::wire::time::stamp;
use remit_core::{Error, Kind, Result, Timestamp, canonical, digest};
use serde_json::json;
use std::collections::BTreeSet;

/// The digest that a signature covers: what was reviewed, under which gate, with which grades.
pub(crate) fn signed_digest(
    handoff: &pb::Handoff,
    gate: &pb::GateVersion,
    iteration: i32,
    variants: &[pb::VariantReview],
) -> Result<String> {
    let variants: Vec<_> = variants
        .iter()
        .map(|review| {
            let grades: Vec<_> = review.grades.iter().map(|grade| json!([grade.item, grade.grade])).collect();
            json!([review.variant, review.content_digest, grades, review.total, review.passed, review.adopted])
        })
        .collect();
    let signed = json!({
        "handoff": handoff.name,
        "gate_version": gate.name,
        "gate_digest": gate.digest,
        "iteration": iteration,
        "variants": variants,
    });
    canonical::digest(&signed)
}

/// The digest of the present content: id and content digest of every variant, in order.
pub(crate) fn content_digest(handoff: &pb::Handoff) -> String {
    let lines = handoff.variants.iter().map(|variant| format!("{} {}\n", variant.variant, variant.content_digest));
    digest::sha256(lines.collect::<String>().as_bytes())
}

/// Whether a person has made each of these variants of AI their own: edited it, or adopted it as written with the review
/// that signs it. `made_by_ai` are those of their digests that AI delivered for any work of the tenant: an edit that ends at
/// one of them leaves AI's text and is none.
pub(crate) fn is_refined(
    handoff: &pb::Handoff,
    variants: &[pb::PublishedVariant],
    made_by_ai: &BTreeSet<String>,
) -> bool {
    let signed = handoff.reviews.last();
    variants.iter().all(|published| {
        let own = handoff.variants.iter().find(|own| own.variant == published.variant);
        let edited = own.is_some_and(|own| own.edits > 0 && !made_by_ai.contains(&own.content_digest));
        let review = signed.and_then(|review| review.variants.iter().find(|own| own.variant == published.variant));
        edited || review.is_some_and(|review| review.adopted)
    })
}

/// Voids the signature that holds, if any.
pub(crate) fn void(handoff: &mut pb::Handoff, now: Timestamp, why: &str) {
    let last = handoff.reviews.last_mut().and_then(|review| review.signature.as_mut());
    if let Some(signature) = last.filter(|signature| signature.void_time.is_none()) {
        signature.void_time = Some(stamp(now));
        why.clone_into(&mut signature.void_reason);
    }
}

/// The error for content that is not what the caller saw.
pub(crate) fn changed(name: &str, variant: &str, is: &str) -> Error {
    let message = format!("variant {variant} of {name} has changed: its digest is now {is}");
    Error::new(Kind::Conflict, "CONTENT_CHANGED", message)
}

/// Refuses what no signature that holds releases, or what is not what was signed. Returns the signed digest.
///
/// # Errors
/// `FailedPrecondition` (`SIGNATURE_REQUIRED`, `CONTENT_CHANGED`), `InvalidArgument` (`VARIANTS_INVALID`).
pub(crate) fn check(
    handoff: &pb::Handoff,
    gate: &pb::GateVersion,
    variants: &[pb::PublishedVariant],
) -> Result<String> {
    let last = handoff.reviews.last().and_then(|review| Some((review, review.signature.as_ref()?)));
    let Some((review, signature)) = last.filter(|(_, signature)| signature.void_time.is_none()) else {
        let message = format!("{} has no reviewer's signature that holds", handoff.name);
        return Err(Error::precondition("SIGNATURE_REQUIRED", message));
    };
    let digest = signed_digest(handoff, gate, review.iteration, &review.variants)?;
    if digest != signature.digest || review.iteration != handoff.iteration {
        let message = format!("{} is not what was signed: sign it again", handoff.name);
        return Err(Error::precondition("CONTENT_CHANGED", message));
    }
    for (index, wanted) in variants.iter().enumerate() {
        if !signature.variants.contains(&wanted.variant) {
            let message = format!("the signature of {} does not release variant {}", handoff.name, wanted.variant);
            return Err(Error::precondition("SIGNATURE_REQUIRED", message));
        }
        if variants.iter().take(index).any(|other| other.variant == wanted.variant) {
            return Err(Error::invalid("VARIANTS_INVALID", format!("variants[{index}].variant"), "is there twice"));
        }
        let signed = review.variants.iter().find(|v| v.variant == wanted.variant).map(|v| &v.content_digest);
        let present = handoff.variants.iter().find(|v| v.variant == wanted.variant).map(|v| &v.content_digest);
        if signed != Some(&wanted.content_digest) || present != Some(&wanted.content_digest) {
            let message =
                format!("the content of variant {} of {} is not what was signed", wanted.variant, handoff.name);
            return Err(Error::precondition("CONTENT_CHANGED", message));
        }
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_that_goes_out_is_somebodys_own() {
        let variant = |id: &str, edits| pb::Variant { variant: id.into(), edits, ..Default::default() };
        let review = |id: &str, adopted| pb::VariantReview { variant: id.into(), adopted, ..Default::default() };
        let handoff = pb::Handoff {
            variants: vec![variant("edited", 1), variant("adopted", 0), variant("neither", 0)],
            reviews: vec![
                pb::Review { variants: vec![review("neither", true)], ..Default::default() },
                pb::Review { variants: vec![review("adopted", true), review("neither", false)], ..Default::default() },
            ],
            ..Default::default()
        };
        let out = |ids: &[&str]| {
            let published = |id: &&str| pb::PublishedVariant { variant: (*id).to_owned(), ..Default::default() };
            is_refined(&handoff, &ids.iter().map(published).collect::<Vec<_>>(), &BTreeSet::new())
        };
        assert!(out(&["edited"]) && out(&["adopted"]) && out(&["edited", "adopted"]));
        assert!(!out(&["neither"]), "what an earlier review adopted is not what the last one signed");
        assert!(!out(&["edited", "neither"]) && !out(&["unknown"]));
    }

    #[test]
    fn an_edit_back_to_what_ai_wrote_is_none() {
        let made_by_ai = BTreeSet::from(["its-own".to_owned(), "anothers".to_owned(), "of-an-earlier-run".to_owned()]);
        let refined = |content: &str, adopted| {
            let variant = pb::Variant {
                variant: "v1".into(),
                content_digest: content.into(),
                original_digest: "its-own".into(),
                edits: 2,
                ..Default::default()
            };
            let review = pb::VariantReview { variant: "v1".into(), adopted, ..Default::default() };
            let handoff = pb::Handoff {
                variants: vec![variant],
                reviews: vec![pb::Review { variants: vec![review], ..Default::default() }],
                ..Default::default()
            };
            is_refined(&handoff, &[pb::PublishedVariant { variant: "v1".into(), ..Default::default() }], &made_by_ai)
        };
        assert!(refined("a-persons", false));
        for ai in &made_by_ai {
            assert!(!refined(ai, false), "{ai}");
            assert!(refined(ai, true), "who adopts it says so: {ai}");
        }
    }
}
