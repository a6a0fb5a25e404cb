//! How approvals end, what suspends what depends on it, and what counts as evidence.

use super::*;
use remit_core::lifecycle::GRACE;
use remit_store::timers::fire_due;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp(1_250_000_000_000_000);

async fn found(registry: &Service, name: &str) -> Result<ModelVersion> {
    registry.get_model_version(&human(), GetModelVersionRequest { name: name.into() }).await
}

async fn withdraw(registry: &Service, name: &str) -> Result<WithdrawArtifactVersionResponse> {
    let request = WithdrawArtifactVersionRequest { name: name.into(), reason: "it leaks".into(), ..Default::default() };
    registry.withdraw_artifact_version(&cx(ActorKind::Human, "ben"), request).await
}

pub(super) async fn moves(registry: &Service, name: &str) -> Result<Vec<ModelVersionTransition>> {
    let request = ListModelVersionTransitionsRequest { parent: name.into(), ..Default::default() };
    Ok(registry.list_model_version_transitions(&human(), request).await?.transitions)
}

fn champion(version: &str) -> SetModelAliasRequest {
    SetModelAliasRequest {
        model: "models/m".into(),
        alias: "champion".into(),
        version: version.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_artifact_suspends_all_that_run_with_it() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let prompt = artifact(&registry, "prompt", ArtifactKind::Prompt).await?;
        approve_artifact(&registry, &prompt).await?;
        model(&registry, "m").await?;
        let mut running = Vec::new();
        // More than one page of them.
        for id in ["1", "2", "3", "4", "5"] {
            running.push(version(&registry, "m", id, std::slice::from_ref(&prompt)).await?.name);
            approve(&registry, &running[running.len() - 1]).await?;
        }
        decide(&registry, "restrict_model", to(&running[1], ModelVersionState::Restricted)).await?;
        let stopped = running.remove(3);
        registry.transition_model_version(&human(), to(&stopped, ModelVersionState::Suspended)).await?;
        let other = version(&registry, "m", "8", &[]).await?.name;
        approve(&registry, &other).await?;
        let raw = version(&registry, "m", "9", std::slice::from_ref(&prompt)).await?.name;
        set_alias(&registry, champion(&running[0])).await?;

        let answer = withdraw(&registry, &prompt).await?;
        assert_eq!((answer.affected_count, &answer.affected_model_versions), (4, &running));
        for name in &running {
            let version = found(&registry, name).await?;
            assert_eq!(version.state(), ModelVersionState::Suspended, "{name}");
            assert_eq!(version.withdrawn_artifacts, std::slice::from_ref(&prompt));
            assert!(version.purposes.is_empty() && version.proposal.is_empty() && version.mandate.is_empty());
            let last = moves(&registry, name).await?.swap_remove(0);
            assert_eq!((last.to_state(), last.actor.unwrap().subject.as_str()), (ModelVersionState::Suspended, "ben"));
            assert!(last.reason.contains(&prompt) && last.reason.contains("it leaks"), "{}", last.reason);
        }
        assert_eq!(found(&registry, &running[0]).await?.aliases, ["champion"]);
        assert_eq!(found(&registry, &other).await?.state(), ModelVersionState::Approved);
        assert_eq!(found(&registry, &raw).await?.state(), ModelVersionState::Proposed);
        assert!(found(&registry, &stopped).await?.withdrawn_artifacts.is_empty());
        let again = promote(&registry, &running[0]).await.unwrap_err();
        assert_eq!(again.reason(), "ARTIFACT_NOT_APPROVED");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_approval_slips_past_a_withdrawal() -> Result<()> {
    const ROUNDS: usize = 12;
    each_engine(|db| async move {
        let registry = registry_at(&db, Arc::new(SystemClock)).await?;
        model(&registry, "m").await?;
        for round in 0..ROUNDS {
            let mut artifacts = Vec::new();
            for id in ["a", "b"] {
                let name = artifact(&registry, &format!("{id}-{round}"), ArtifactKind::Guardrail).await?;
                approve_artifact(&registry, &name).await?;
                artifacts.push(name);
            }
            let name = version(&registry, "m", &round.to_string(), &artifacts).await?.name;
            evaluated(&registry, &name).await?;
            let (approving, withdrawing) = (registry.clone(), registry.clone());
            let (version, artifact) = (name.clone(), artifacts[round % 2].clone());
            let approving = tokio::spawn(async move { promote(&approving, &version).await });
            let withdrawing = tokio::spawn(async move { withdraw(&withdrawing, &artifact).await });
            let approved = approving.await.map_err(|_| Error::internal("a caller has panicked"))?;
            withdrawing.await.map_err(|_| Error::internal("a caller has panicked"))??;
            let state = found(&registry, &name).await?.state();
            match approved {
                Ok(_) => assert_eq!(state, ModelVersionState::Suspended),
                Err(error) => {
                    assert_eq!(error.reason(), "ARTIFACT_NOT_APPROVED");
                    assert_eq!(state, ModelVersionState::Evaluating);
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_and_withdrawals_do_not_wait_for_each_other() -> Result<()> {
    const ROUNDS: usize = 8;
    each_engine(|db| async move {
        let registry = registry_at(&db, Arc::new(SystemClock)).await?;
        model(&registry, "m").await?;
        for round in 0..ROUNDS {
            let prompt = artifact(&registry, &format!("p-{round}"), ArtifactKind::Prompt).await?;
            approve_artifact(&registry, &prompt).await?;
            let mut names = Vec::new();
            for id in ["x", "y"] {
                let id = format!("{round}{id}");
                names.push(version(&registry, "m", &id, std::slice::from_ref(&prompt)).await?.name);
                approve(&registry, &names[names.len() - 1]).await?;
            }
            set_alias(&registry, champion(&names[round % 2])).await?;
            // To the other version and back again: the names are locked in one order all the same.
            let swap = SetModelAliasRequest { swap_alias: "challenger".into(), ..champion(&names[1 - round % 2]) };
            let (moving, withdrawing) = (registry.clone(), registry.clone());
            let moving = tokio::spawn(async move { set_alias(&moving, swap).await });
            let withdrawing = tokio::spawn(async move { withdraw(&withdrawing, &prompt).await });
            let moved = moving.await.map_err(|_| Error::internal("a caller has panicked"))?;
            let withdrawn = withdrawing.await.map_err(|_| Error::internal("a caller has panicked"))??;
            assert_eq!(withdrawn.affected_model_versions, names);
            let reason = moved.err().map(|error| error.reason());
            assert!(reason.is_none_or(|reason| reason == "MODEL_VERSION_NOT_APPROVED"), "{reason:?}");
        }
        Ok(())
    })
    .await
}

/// A version that is approved until `end`.
async fn approved_until(registry: &Service, id: &str, end: Timestamp) -> Result<String> {
    let name = version(registry, "m", id, &[]).await?.name;
    evaluated(registry, &name).await?;
    decide(registry, "promote_model", until(&name, end)).await?;
    Ok(name)
}

/// An approval that ends, and that is reviewed a year later.
fn until(name: &str, end: Timestamp) -> TransitionModelVersionRequest {
    let review_by = Some(time::stamp(START.plus(DAY * 365)));
    let terms = ApprovalTerms { expire_time: Some(time::stamp(end)), review_by, ..Default::default() };
    TransitionModelVersionRequest { terms: Some(terms), ..to(name, ModelVersionState::Approved) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_ends_restricts_and_then_suspends() -> Result<()> {
    use ModelVersionState::{Approved, Restricted, Suspended};
    each_engine(|db| async move {
        let clock = Arc::new(ManualClock::new(START));
        let registry = registry_at(&db, clock.clone()).await?;
        let tenant = human().tenant;
        let pass = async |at: Timestamp| {
            clock.advance_to(at);
            let report = fire_due(&registry.db, &registry, &tenant, clock.now()).await?;
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            Ok::<u64, Error>(report.fired)
        };
        model(&registry, "m").await?;
        let end = START.plus(DAY * 10);
        let left = approved_until(&registry, "1", end).await?;
        let renewed = approved_until(&registry, "2", end).await?;
        let stopped = approved_until(&registry, "3", end).await?;
        registry.transition_model_version(&human(), to(&stopped, Suspended)).await?;
        let past = decide(&registry, "promote_model", until(&left, START)).await.unwrap_err();
        assert_eq!((past.reason(), past.violations()[0].field.as_str()), ("TIME_OUT_OF_RANGE", "terms.expire_time"));

        let sooner = Some(time::stamp(end.plus(DAY)));
        let update = UpdateModelVersionRequest {
            model_version: Some(ModelVersion { name: left.clone(), review_by: sooner, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["review_by".into()] }),
            request_id: String::new(),
        };
        registry.update_model_version(&human(), update).await?;

        assert_eq!(pass(end.plus(DAY / 2)).await?, 3);
        let version = found(&registry, &left).await?;
        assert_eq!(version.review_by, sooner, "what ends an approval puts nothing off");
        assert_eq!((version.state(), version.purposes.len()), (Restricted, 1));
        assert!(version.state_reason.starts_with("APPROVAL_EXPIRED"), "{}", version.state_reason);
        assert!(!version.mandate.is_empty(), "what still runs shows by whose mandate");
        let last = moves(&registry, &left).await?.swap_remove(0);
        assert_eq!((last.actor.unwrap().subject.as_str(), last.mandate.as_str()), ("remit-registry", ""));
        assert_eq!(found(&registry, &stopped).await?.state(), Suspended);
        decide(&registry, "promote_model", until(&renewed, end.plus(DAY * 365))).await?;

        assert_eq!(pass(end.plus(GRACE)).await?, 2);
        let version = found(&registry, &left).await?;
        assert_eq!((version.state(), version.purposes.len(), version.mandate.as_str()), (Suspended, 0, ""));
        assert!(version.terms.is_some(), "it shows when its approval ended");
        assert_eq!(found(&registry, &renewed).await?.state(), Approved);
        assert_eq!(moves(&registry, &stopped).await?.len(), 3);

        assert_eq!(pass(end.plus(DAY * 365)).await?, 1);
        assert_eq!(found(&registry, &renewed).await?.state(), Restricted);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_hold_what_the_version_runs_with_and_when_it_is_reviewed() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let guardrail = artifact(&registry, "g", ArtifactKind::Guardrail).await?;
        approve_artifact(&registry, &guardrail).await?;
        model(&registry, "m").await?;
        let only_with = |name: &str| {
            let review_by = Some(time::stamp(START.plus(DAY * 90)));
            let terms = ApprovalTerms { required_artifacts: vec![guardrail.clone()], review_by, ..Default::default() };
            TransitionModelVersionRequest { terms: Some(terms), ..to(name, ModelVersionState::Approved) }
        };
        let bare = version(&registry, "m", "1", &[]).await?.name;
        evaluated(&registry, &bare).await?;
        let unmet = decide(&registry, "promote_model", only_with(&bare)).await.unwrap_err();
        assert_eq!(unmet.reason(), "APPROVAL_CONDITION_UNMET");
        let whole = version(&registry, "m", "2", std::slice::from_ref(&guardrail)).await?.name;
        evaluated(&registry, &whole).await?;
        let approved = decide(&registry, "promote_model", only_with(&whole)).await?;
        assert_eq!(approved.terms.unwrap().required_artifacts, std::slice::from_ref(&guardrail));

        let review = |name: &str, days: Option<u32>| UpdateModelVersionRequest {
            model_version: Some(ModelVersion {
                name: name.into(),
                review_by: days.map(|days| time::stamp(START.plus(DAY * days))),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["review_by".into()] }),
            request_id: String::new(),
        };
        let nearer = registry.update_model_version(&human(), review(&whole, Some(30))).await?;
        assert_eq!(nearer.review_by, Some(time::stamp(START.plus(DAY * 30))));
        for later in [Some(31), None] {
            let refused = registry.update_model_version(&human(), review(&whole, later)).await.unwrap_err();
            assert_eq!(refused.reason(), "MANDATE_REQUIRED");
        }
        let renewed = decide(&registry, "promote_model", only_with(&whole)).await?;
        assert_eq!(renewed.review_by, Some(time::stamp(START.plus(DAY * 90))));
        // What does not run has no approval that could be loosened.
        for later in [Some(30), Some(400), None] {
            registry.update_model_version(&human(), review(&bare, later)).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_maker_says_of_a_version_is_kept_and_does_not_count() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        model(&registry, "m").await?;
        let name = version(&registry, "m", "1", &[]).await?.name;
        let evaluation = |id: &str| AddEvaluationRequest {
            name: name.clone(),
            evaluation: Some(Evaluation {
                id: id.into(),
                suite: "holdout".into(),
                metrics: BTreeMap::from([("auc".into(), 0.8)]),
                passed: true,
                ..Default::default()
            }),
            ..Default::default()
        };
        let pipeline_for = |person: &str| {
            let caller = cx(ActorKind::Service, "pipeline");
            {
                let actor = Actor { on_behalf_of: Some(person.into()), ..Actor::clone(&caller.actor) };
                Cx { actor: actor.into(), ..caller }
            }
        };
        let own = [
            ("herself", human()),
            ("her-pipeline", pipeline_for("dara")),
            ("anybodys-pipeline", cx(ActorKind::Service, "pipeline")),
            ("ai", cx(ActorKind::Ai, "judge")),
        ];
        for (id, caller) in own {
            let version = registry.add_evaluation(&caller, evaluation(id)).await?;
            assert!(version.evaluations.iter().all(|evaluation| evaluation.self_reported), "{id}");
        }
        registry.transition_model_version(&human(), to(&name, ModelVersionState::Evaluating)).await?;
        assert_eq!(promote(&registry, &name).await.unwrap_err().reason(), "EVALUATION_REQUIRED");
        let version = registry.add_evaluation(&pipeline_for("ada"), evaluation("another-persons-pipeline")).await?;
        assert!(!version.evaluations[4].self_reported);
        assert_eq!(promote(&registry, &name).await?.state(), ModelVersionState::Approved);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobodys_program_registered_waits_for_its_owner() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        model(&registry, "m").await?;
        let message = ModelVersion {
            provider: "in-house".into(),
            artifact_digest: digest::sha256(b"7"),
            intended_use: "scoring".into(),
            owner: "ada".into(),
            ..Default::default()
        };
        let request = CreateModelVersionRequest {
            parent: "models/m".into(),
            model_version_id: "7".into(),
            model_version: Some(message),
            ..Default::default()
        };
        let made = registry.create_model_version(&cx(ActorKind::Service, "botop"), request).await?;
        assert_eq!(made.owner_confirmed_time, None);
        let evaluation = Evaluation {
            id: "e1".into(),
            suite: "holdout".into(),
            metrics: BTreeMap::from([("auc".into(), 0.8)]),
            passed: true,
            ..Default::default()
        };
        let add = AddEvaluationRequest { name: made.name.clone(), evaluation: Some(evaluation), ..Default::default() };
        registry.add_evaluation(&cx(ActorKind::Human, "oscar"), add).await?;
        registry.transition_model_version(&human(), to(&made.name, ModelVersionState::Evaluating)).await?;
        assert_eq!(promote(&registry, &made.name).await.unwrap_err().reason(), "OWNER_NOT_CONFIRMED");
        let update = |version: ModelVersion| UpdateModelVersionRequest {
            model_version: Some(version),
            update_mask: None,
            request_id: String::new(),
        };
        // As it is, by another and by its owner.
        let shown = found(&registry, &made.name).await?;
        let others = registry.update_model_version(&human(), update(shown.clone())).await?;
        assert_eq!(others.owner_confirmed_time, None);
        let hers = registry.update_model_version(&cx(ActorKind::Human, "ada"), update(shown)).await?;
        assert!(hers.owner_confirmed_time.is_some());
        assert_eq!(promote(&registry, &made.name).await?.state(), ModelVersionState::Approved);
        // A restriction to what it was not approved for is none, running or suspended.
        let more = TransitionModelVersionRequest {
            purposes: vec!["lead-scoring".into(), "hr".into()],
            ..to(&made.name, ModelVersionState::Restricted)
        };
        assert_eq!(decide(&registry, "restrict_model", more.clone()).await.unwrap_err().reason(), "PURPOSES_WIDEN");
        registry.transition_model_version(&human(), to(&made.name, ModelVersionState::Suspended)).await?;
        assert_eq!(decide(&registry, "restrict_model", more).await.unwrap_err().reason(), "PURPOSES_WIDEN");
        let same = to(&made.name, ModelVersionState::Restricted);
        assert_eq!(decide(&registry, "restrict_model", same).await?.state(), ModelVersionState::Restricted);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_claimed_until_she_acts_herself() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let by_dara = model(&registry, "m").await?;
        assert!(by_dara.owner_confirmed_time.is_some());
        let update = |path: &str, owner: &str, description: &str| UpdateModelRequest {
            model: Some(Model {
                name: "models/m".into(),
                owner: owner.into(),
                description: description.into(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec![path.into()] }),
            request_id: String::new(),
        };
        let named = registry.update_model(&human(), update("owner", "ada", "")).await?;
        assert_eq!((named.owner.as_str(), named.owner_confirmed_time), ("ada", None));
        let others = registry.update_model(&human(), update("description", "", "one")).await?;
        assert_eq!(others.owner_confirmed_time, None);
        let program = registry.update_model(&cx(ActorKind::Service, "ada"), update("description", "", "two")).await?;
        assert_eq!(program.owner_confirmed_time, None);
        let ada = cx(ActorKind::Human, "ada");
        let taken_on = registry.update_model(&ada, update("description", "", "three")).await?;
        assert!(taken_on.owner_confirmed_time.is_some());
        let stays = registry.update_model(&human(), update("description", "", "four")).await?;
        assert_eq!(stays.owner_confirmed_time, taken_on.owner_confirmed_time);
        Ok(())
    })
    .await
}
