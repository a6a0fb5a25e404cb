//! The rules about what a model version is, what is known about it, and how it stands.

use crate::fields;
use prost::Message as _;
use prost_types::Timestamp as ProtoTime;
use remit_api::registry::v1::{AiActClass, AiActRole, ApprovalTerms, ModelState, ModelVersion, ModelVersionState};
use remit_api::types::Actor;
use remit_api::wire::{self, Word as _, required_text, time};
use remit_core::calendar::local_day;
use remit_core::lifecycle::State;
use remit_core::name::ArtifactVersionName;
use remit_core::{ActorKind, Error, Result, Timestamp};

/// How many bytes the parameters of a version may take.
const MOST_PARAMETERS: usize = 65_536;

/// The state that the table of moves knows; `None` for the one that means nothing.
pub(crate) fn lifecycle(state: ModelVersionState) -> Option<State> {
    State::parse(state.word())
}

/// Whether a version in this state may do work.
pub(crate) fn may_run(state: ModelVersionState) -> bool {
    lifecycle(state).is_some_and(State::may_run)
}

/// Checks what a caller wants to register.
///
/// # Errors
/// `InvalidArgument`, naming the field: `FIELD_REQUIRED`, `DIGEST_INVALID`, `PARAMETERS_TOO_LARGE`, `NAME_INVALID`,
/// `TIME_OUT_OF_RANGE`.
pub(crate) fn check(version: &ModelVersion) -> Result<()> {
    required_text(&version.provider, "model_version.provider")?;
    required_text(&version.intended_use, "model_version.intended_use")?;
    required_text(&version.owner, "model_version.owner")?;
    fields::digest(&version.artifact_digest, "model_version.artifact_digest")?;
    let size = version.parameters.as_ref().map_or(0, prost::Message::encoded_len);
    if size > MOST_PARAMETERS {
        return Err(Error::invalid(
            "PARAMETERS_TOO_LARGE",
            "model_version.parameters",
            format!("has {size} bytes, at most {MOST_PARAMETERS} are allowed"),
        ));
    }
    fields::names(&version.artifacts, "model_version.artifacts", ArtifactVersionName::parse)?;
    check_mutable(version)
}

/// Checks what a caller wants to change.
///
/// # Errors
/// `InvalidArgument` (`TIME_OUT_OF_RANGE`), naming the field.
pub(crate) fn check_mutable(version: &ModelVersion) -> Result<()> {
    match &version.review_by {
        Some(at) => time::parse(at, "model_version.review_by").map(|_| ()),
        None => Ok(()),
    }
}

/// Checks the terms of an approval as they stand by themselves.
///
/// # Errors
/// `InvalidArgument`, naming the field: `TIME_OUT_OF_RANGE`, `TIME_ZONE_UNKNOWN`, `NAME_INVALID`.
pub(crate) fn check_terms(terms: &ApprovalTerms, now: Timestamp) -> Result<()> {
    if let Some(end) = &terms.expire_time
        && time::parse(end, "terms.expire_time")? <= now
    {
        let rule = format!("must be in the future: it is {now}");
        return Err(Error::invalid("TIME_OUT_OF_RANGE", "terms.expire_time", rule));
    }
    if let Some(at) = &terms.review_by {
        time::parse(at, "terms.review_by")?;
    }
    local_day(&terms.time_zone, now, "terms.time_zone")?;
    fields::names(&terms.required_artifacts, "terms.required_artifacts", ArtifactVersionName::parse)
}

/// The artifact versions that the terms require and that are not among those it runs with.
pub(crate) fn unmet(version: &ModelVersion, terms: Option<&ApprovalTerms>) -> Vec<String> {
    let required = terms.map_or(&[][..], |terms| &terms.required_artifacts);
    required.iter().filter(|name| !version.artifacts.contains(name)).cloned().collect()
}

/// Refuses what loosens the approval that a version runs by: its review may be brought forward, and is put off only by
/// a new approval.
///
/// # Errors
/// `PermissionDenied` (`MANDATE_REQUIRED`).
pub(crate) fn check_not_looser(before: &ModelVersion, after: &ModelVersion) -> Result<()> {
    let end = |at: &Option<ProtoTime>| at.as_ref().map_or(Timestamp(i64::MAX), time::of);
    if !may_run(before.state()) || end(&after.review_by) <= end(&before.review_by) {
        return Ok(());
    }
    let message = format!(
        "{} is {}: its review is put off only by a new approval that says so in its terms; make a proposal in the council",
        before.name,
        before.state().word()
    );
    Err(Error::denied("MANDATE_REQUIRED", message))
}

/// Whether it is not shown that somebody else than who made a version evaluates it. Shown it is by a person: the evaluator
/// herself, or whom the token of a program says that it acts for. She is another one if she neither registered the version
/// nor owns it, and neither acts for the other. The name of a program shows nothing: the same people have others.
pub(crate) fn self_reported(version: &ModelVersion, evaluator: &remit_core::Actor) -> bool {
    let principal = evaluator.on_behalf_of.as_deref().filter(|name| !name.is_empty());
    let person = match evaluator.kind {
        ActorKind::Human => Some(evaluator.subject.as_str()),
        ActorKind::Service => principal,
        ActorKind::Ai => None,
    };
    // Who registered it is always known; if not, nothing shows that somebody else evaluates it.
    let (Some(_), Some(creator)) = (person, &version.creator) else { return true };
    let makers = [creator.subject.as_str(), creator.on_behalf_of.as_str(), version.owner.as_str()];
    [Some(evaluator.subject.as_str()), principal].into_iter().flatten().any(|name| makers.contains(&name))
}

/// Whether nobody knows who made a version: a program registered it that acts for no person, and no owner has taken it on.
/// Then the evaluator may be whoever made it, and nothing shows that she is not.
pub(crate) fn unattributed(version: &ModelVersion) -> bool {
    let person = |creator: &Actor| {
        creator.kind() == remit_api::types::ActorKind::Human
            || (creator.kind() == remit_api::types::ActorKind::Service && !creator.on_behalf_of.is_empty())
    };
    version.owner_confirmed_time.is_none() && !version.creator.as_ref().is_some_and(person)
}

/// A version as it is registered, in state PROPOSED. Its content digest is over its name and what never changes.
pub(crate) fn proposed(name: String, given: ModelVersion, creator: Actor, now: ProtoTime) -> ModelVersion {
    let fixed = ModelVersion {
        name,
        provider: given.provider,
        base_model: given.base_model,
        artifact_digest: given.artifact_digest,
        artifact_uri: given.artifact_uri,
        parameters: given.parameters,
        artifacts: given.artifacts,
        intended_use: given.intended_use,
        limitations: given.limitations,
        oversight_measures: given.oversight_measures,
        data_provenance: given.data_provenance,
        owner: given.owner,
        ai_act_class: given.ai_act_class,
        ai_act_role: given.ai_act_role,
        ..Default::default()
    };
    let mut version = ModelVersion {
        known_issues: given.known_issues,
        review_by: given.review_by,
        labels: given.labels,
        state: ModelVersionState::Proposed.into(),
        state_time: Some(now),
        content_digest: wire::digest(&fixed),
        creator: Some(creator),
        create_time: Some(now),
        ..fixed
    };
    changed(&mut version, now);
    version
}

/// Completes a version that has been changed.
pub(crate) fn changed(version: &mut ModelVersion, now: ProtoTime) {
    version.update_time = Some(now);
    version.documentation_gaps = gaps(version);
}

/// The fields that a complete inventory needs and that are empty (R8, C5, C30).
fn gaps(version: &ModelVersion) -> Vec<String> {
    let fields = [
        ("base_model", version.base_model.is_empty()),
        ("limitations", version.limitations.is_empty()),
        ("oversight_measures", version.oversight_measures.is_empty()),
        ("data_provenance", version.data_provenance.is_empty()),
        ("artifacts", version.artifacts.is_empty()),
        ("ai_act_class", version.ai_act_class() == AiActClass::Unspecified),
        ("ai_act_role", version.ai_act_role() == AiActRole::Unspecified),
        ("review_by", version.review_by.is_none()),
        ("evaluations", version.evaluations.is_empty()),
    ];
    fields.into_iter().filter(|(_, empty)| *empty).map(|(field, _)| field.to_owned()).collect()
}

/// What the watch stream says about a version, as bytes of a `ModelState`.
pub(crate) fn state(version: &ModelVersion) -> Vec<u8> {
    let version = version.clone();
    ModelState {
        name: version.name,
        state: version.state,
        approved_purposes: version.purposes,
        conditions: version.conditions,
        aliases: version.aliases,
        artifacts: version.artifacts,
        ai_act_class: version.ai_act_class,
        review_by: version.review_by,
        proposal: version.proposal,
        state_reason: version.state_reason,
        etag: version.etag,
        update_time: version.update_time,
        terms: version.terms,
        withdrawn_artifacts: version.withdrawn_artifacts,
        daily_outputs: version.daily_outputs,
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_counts_by_a_person_who_did_not_make_the_version() {
        let who = |kind, subject: &str, principal: Option<&str>| remit_core::Actor {
            subject: subject.into(),
            kind,
            roles: vec![],
            role_groups: vec![],
            on_behalf_of: principal.map(str::to_owned),
        };
        let version = |creator: &remit_core::Actor| ModelVersion {
            owner: "olaf".into(),
            creator: Some(wire::actor(creator)),
            ..Default::default()
        };
        let by_dara = version(&who(ActorKind::Human, "dara", None));
        let by_pipeline = version(&who(ActorKind::Service, "deploy", Some("dara")));
        for (kind, subject, principal, counts) in [
            (ActorKind::Human, "eve", None, true),
            (ActorKind::Human, "eve", Some("finn"), true),
            (ActorKind::Human, "dara", None, false),
            (ActorKind::Human, "eve", Some("dara"), false),
            (ActorKind::Human, "olaf", None, false),
            // Another program, of whomever.
            (ActorKind::Service, "evaluate", None, false),
            (ActorKind::Service, "evaluate", Some(""), false),
            (ActorKind::Service, "evaluate", Some("dara"), false),
            (ActorKind::Service, "evaluate", Some("olaf"), false),
            (ActorKind::Service, "evaluate", Some("eve"), true),
            (ActorKind::Ai, "judge", Some("eve"), false),
        ] {
            let evaluator = who(kind, subject, principal);
            for made in [&by_dara, &by_pipeline] {
                assert_eq!(self_reported(made, &evaluator), !counts, "{evaluator:?}");
            }
        }
        let eve = who(ActorKind::Human, "eve", None);
        assert!(self_reported(&by_pipeline, &who(ActorKind::Service, "deploy", Some("eve"))), "the same program");
        assert!(self_reported(&ModelVersion { creator: None, ..by_dara.clone() }, &eve), "nobody knows who made it");
    }

    #[test]
    fn who_made_a_version_is_known_by_a_person_behind_it_or_by_its_owner() {
        let by = |kind, principal: Option<&str>| ModelVersion {
            owner: "ada".into(),
            creator: Some(wire::actor(&remit_core::Actor {
                subject: "deploy".into(),
                kind,
                roles: vec![],
                role_groups: vec![],
                on_behalf_of: principal.map(str::to_owned),
            })),
            ..Default::default()
        };
        assert!(!unattributed(&by(ActorKind::Human, None)));
        assert!(!unattributed(&by(ActorKind::Service, Some("dara"))));
        for nobodys in [by(ActorKind::Service, None), by(ActorKind::Service, Some("")), ModelVersion::default()] {
            assert!(unattributed(&nobodys), "{nobodys:?}");
            let confirmed = ModelVersion { owner_confirmed_time: Some(ProtoTime::default()), ..nobodys };
            assert!(!unattributed(&confirmed), "its owner answers for it");
        }
    }
}
