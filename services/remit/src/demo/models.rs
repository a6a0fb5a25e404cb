//! Step 2: a version of the lead scorer is registered, evaluated, proposed and approved by quorum.

use super::actors::{Actors, refused};
use super::data::Data;
use super::leads;
use super::names::lead_scorer;
use super::tasks::{CREATIVE_TASK, LEAD_TASK};
use remit_api::council::v1::action::Kind as ActionKind;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::{
    Action, ApproveArtifact, ChangeClass, CreateProposalRequest, GetProposalRequest, PromoteModel, Proposal,
    ProposalState, SuspendModel, VoteChoice, VoteRequest,
};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    AddEvaluationRequest, AiActClass, AiActRole, Artifact, ArtifactKind, ArtifactVersion, CreateArtifactRequest,
    CreateArtifactVersionRequest, CreateModelRequest, CreateModelVersionRequest, Evaluation, Model, ModelVersion,
    ModelVersionState, TransitionModelVersionRequest,
};
use remit_api::wire::time::stamp;
use remit_core::{Error, Result, Timestamp, digest};
use remit_runtime::status::reason;
use std::collections::BTreeMap;

/// The body that decides about models (S62).
pub(super) const STEERING_GROUP: &str = "bodies/steering-group";
/// The model that writes the creative variants.
pub(super) const COPY_MODEL: &str = "models/copywriter/versions/1";
/// The prompt, guardrail and style guide of the creative runs.
pub(super) const COPY_ARTIFACTS: [&str; 3] =
    ["artifacts/copy-prompt/versions/1", "artifacts/brand-guardrail/versions/1", "artifacts/style-guide/versions/1"];

/// A call that had to be refused, and the reason that it was refused with.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Who tried what.
    pub attempt: &'static str,
    /// The stable reason in the answer.
    pub reason: String,
}

/// Registers both models with their artifacts and approves them.
///
/// # Errors
/// Whatever the services refuse against expectation.
pub(super) async fn run(actors: &Actors, data: &Data, now: Timestamp) -> Result<Vec<Refusal>> {
    register_artifacts(actors).await?;
    create_model(actors, "lead-scorer", "Lead scorer", "Scores how likely a lead is to convert").await?;
    leads::define_input(actors).await?;
    create_model(actors, "copywriter", "Copywriter", "Writes variants of ad copy within the style guide").await?;
    let refusals = register_lead_scorer(actors, data, 0, now, true).await?;
    register_copywriter(actors, now).await?;
    Ok(refusals)
}

async fn register_artifacts(actors: &Actors) -> Result<()> {
    let artifacts = [
        ("lead-prompt", ArtifactKind::Prompt, "Explain the three strongest signals of the lead in one sentence."),
        ("copy-prompt", ArtifactKind::Prompt, "Write twelve headlines within the style guide."),
        ("brand-guardrail", ArtifactKind::Guardrail, "No superlatives, no competitor names, no health claims."),
        ("style-guide", ArtifactKind::StyleGuide, "Plain words. One idea a sentence. Address the reader."),
    ];
    for (id, kind, content) in artifacts {
        let mut client = ArtifactServiceClient::new(actors.to("registry", "dara")?);
        let artifact =
            Artifact { kind: kind.into(), display_name: id.into(), owner: "dara".into(), ..Default::default() };
        client
            .create_artifact(CreateArtifactRequest {
                artifact_id: id.into(),
                artifact: Some(artifact),
                request_id: format!("demo-artifact-{id}"),
            })
            .await
            .map_err(refused)?;
        let version = client
            .create_artifact_version(CreateArtifactVersionRequest {
                parent: format!("artifacts/{id}"),
                artifact_version_id: "1".into(),
                artifact_version: Some(ArtifactVersion {
                    content: content.into(),
                    media_type: "text/plain".into(),
                    change_note: "first version".into(),
                    ..Default::default()
                }),
                request_id: format!("demo-artifact-version-{id}"),
            })
            .await
            .map_err(refused)?
            .into_inner();
        let approval = ApproveArtifact { artifact_version: version.name, content_digest: version.content_digest };
        let proposal = propose(
            actors,
            &format!("approve-{id}"),
            &format!("Approve the first version of {id}"),
            "Read by the people who answer for what it makes the models say.",
            ActionKind::ApproveArtifact(approval),
        )
        .await?;
        approve(actors, &proposal).await?;
    }
    Ok(())
}

async fn create_model(actors: &Actors, id: &str, display_name: &str, description: &str) -> Result<()> {
    ModelServiceClient::new(actors.to("registry", "dara")?)
        .create_model(CreateModelRequest {
            model_id: id.into(),
            model: Some(Model {
                display_name: display_name.into(),
                description: description.into(),
                owner: "dara".into(),
                ..Default::default()
            }),
            request_id: format!("demo-model-{id}"),
        })
        .await
        .map_err(refused)?;
    Ok(())
}

/// Registers version `version` (counted from 0) with its evaluation and baseline scores, and has the
/// steering group promote it to champion. With `show_refusals`, tries what must be refused on the way.
///
/// # Errors
/// Whatever the services refuse against expectation.
pub(super) async fn register_lead_scorer(
    actors: &Actors,
    data: &Data,
    version: usize,
    now: Timestamp,
    show_refusals: bool,
) -> Result<Vec<Refusal>> {
    let name = lead_scorer(version);
    let baseline = data.baseline_scores(version);
    let mean = |converted: bool| {
        let scores: Vec<f64> =
            baseline.iter().filter(|lead| lead.converted == converted).map(|lead| lead.scores[version]).collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    };
    let metrics = BTreeMap::from([
        ("baseline_leads".to_owned(), baseline.len() as f64),
        ("mean_score_converted".to_owned(), mean(true)),
        ("mean_score_not_converted".to_owned(), mean(false)),
    ]);
    let model_version = ModelVersion {
        provider: "in-house".into(),
        base_model: "logistic regression".into(),
        artifact_digest: digest::sha256(name.as_bytes()),
        artifacts: vec!["artifacts/lead-prompt/versions/1".into(), COPY_ARTIFACTS[1].into()],
        intended_use: "Rank incoming leads for routing to sales or nurture".into(),
        limitations: "Fitted on the baseline months only; not for credit or employment decisions".into(),
        oversight_measures: "Daily briefing, accept or reassign within two business hours, monthly drift review".into(),
        data_provenance: data.source.clone(),
        owner: "dara".into(),
        ai_act_class: AiActClass::Minimal.into(),
        ai_act_role: AiActRole::Provider.into(),
        ..Default::default()
    };
    let content_digest = register_version(actors, "lead-scorer", version + 1, model_version, metrics, now).await?;
    leads::record_baseline(actors, data, version, now).await?;
    let promotion = PromoteModel {
        model_version: name.clone(),
        alias: "champion".into(),
        purposes: vec![LEAD_TASK.into()],
        conditions: vec![],
        content_digest,
        terms: None,
    };
    let proposal = propose(
        actors,
        &format!("promote-lead-scorer-{}", version + 1),
        &format!("Promote {name} to champion"),
        "The evaluation on the baseline months separates leads that converted from those that did not.",
        ActionKind::PromoteModel(promotion),
    )
    .await?;
    let refusals = if show_refusals { try_what_must_be_refused(actors, &proposal).await? } else { Vec::new() };
    approve(actors, &proposal).await?;
    Ok(refusals)
}

async fn register_copywriter(actors: &Actors, now: Timestamp) -> Result<()> {
    let version = ModelVersion {
        provider: "an external provider".into(),
        base_model: "a general language model".into(),
        artifact_digest: digest::sha256(COPY_MODEL.as_bytes()),
        artifacts: COPY_ARTIFACTS.map(str::to_owned).to_vec(),
        intended_use: "Write variants of ad copy for human review".into(),
        limitations: "May state things that are not so; every asset is graded by a person".into(),
        oversight_measures: "Acceptance checklist, signature bound to the content digest".into(),
        data_provenance: "see the provider's model card".into(),
        owner: "dara".into(),
        ai_act_class: AiActClass::Limited.into(),
        ai_act_role: AiActRole::Deployer.into(),
        ..Default::default()
    };
    let metrics = BTreeMap::from([("checklist_pass_ratio".to_owned(), 0.83)]);
    let content_digest = register_version(actors, "copywriter", 1, version, metrics, now).await?;
    let proposal = propose(
        actors,
        "promote-copywriter-1",
        "Let the copywriter write ad copy variants",
        "Five of six sample batches passed the checklist.",
        ActionKind::PromoteModel(PromoteModel {
            model_version: COPY_MODEL.into(),
            alias: "champion".into(),
            purposes: vec![CREATIVE_TASK.into()],
            conditions: vec![],
            content_digest,
            terms: None,
        }),
    )
    .await?;
    approve(actors, &proposal).await
}

/// Creates a version with its evaluation and returns the digest of its content, to which the council's
/// approval is bound.
async fn register_version(
    actors: &Actors,
    model: &str,
    version: usize,
    model_version: ModelVersion,
    metrics: BTreeMap<String, f64>,
    now: Timestamp,
) -> Result<String> {
    let mut client = ModelServiceClient::new(actors.to("registry", "dara")?);
    let name = format!("models/{model}/versions/{version}");
    client
        .create_model_version(CreateModelVersionRequest {
            parent: format!("models/{model}"),
            model_version_id: version.to_string(),
            model_version: Some(model_version),
            request_id: format!("demo-version-{model}-{version}"),
        })
        .await
        .map_err(refused)?;
    // Somebody else than who registered it evaluates it: what its maker says of it does not count.
    ModelServiceClient::new(actors.to("registry", "ada")?)
        .add_evaluation(AddEvaluationRequest {
            name: name.clone(),
            evaluation: Some(Evaluation {
                id: "baseline".into(),
                suite: "baseline months".into(),
                dataset_digest: digest::sha256(model.as_bytes()),
                metrics,
                passed: true,
                occurred_time: Some(stamp(now)),
                ..Default::default()
            }),
            request_id: format!("demo-evaluation-{model}-{version}"),
        })
        .await
        .map_err(refused)?;
    let version = client
        .transition_model_version(TransitionModelVersionRequest {
            name,
            state: ModelVersionState::Evaluating.into(),
            reason: "evaluation recorded, waiting for the steering group".into(),
            request_id: format!("demo-evaluating-{model}-{version}"),
            ..Default::default()
        })
        .await
        .map_err(refused)?
        .into_inner();
    Ok(version.content_digest)
}

/// Has the steering group suspend version `version` (counted from 0).
///
/// # Errors
/// Whatever the services refuse.
pub(super) async fn suspend_lead_scorer(actors: &Actors, version: usize, rationale: &str) -> Result<String> {
    let name = lead_scorer(version);
    let proposal = propose(
        actors,
        &format!("suspend-lead-scorer-{}", version + 1),
        &format!("Suspend {name}"),
        rationale,
        ActionKind::SuspendModel(SuspendModel { model_version: name.clone() }),
    )
    .await?;
    approve(actors, &proposal).await?;
    Ok(proposal.name)
}

/// Makes a proposal to the steering group and opens it.
///
/// # Errors
/// Whatever the council refuses.
pub(super) async fn propose(
    actors: &Actors,
    id: &str,
    title: &str,
    rationale: &str,
    kind: ActionKind,
) -> Result<Proposal> {
    let proposal = Proposal {
        title: title.into(),
        rationale: rationale.into(),
        action: Some(Action { kind: Some(kind) }),
        body: STEERING_GROUP.into(),
        change_class: ChangeClass::Normal.into(),
        ..Default::default()
    };
    let request = CreateProposalRequest {
        proposal_id: id.into(),
        proposal: Some(proposal),
        open: true,
        request_id: format!("demo-propose-{id}"),
    };
    let created = ProposalServiceClient::new(actors.to("council", "dara")?).create_proposal(request).await;
    Ok(created.map_err(refused)?.into_inner())
}

fn vote(proposal: &Proposal, actor: &str, attempt: &str) -> VoteRequest {
    VoteRequest {
        name: proposal.name.clone(),
        choice: VoteChoice::Approve.into(),
        content_digest: proposal.content_digest.clone(),
        comment: "read the evidence".into(),
        request_id: format!("demo-vote-{actor}-{attempt}-{}", proposal.content_digest.get(7..23).unwrap_or_default()),
        ..Default::default()
    }
}

/// Votes of the people who may, until the proposal is decided, and waits until it is carried out.
///
/// # Errors
/// Whatever the council refuses; `Internal` if the proposal fails or is not carried out.
pub(super) async fn approve(actors: &Actors, proposal: &Proposal) -> Result<()> {
    for actor in ["ada", "ben", "cleo"] {
        let mut client = ProposalServiceClient::new(actors.to("council", actor)?);
        match client.vote(vote(proposal, actor, "1")).await {
            Ok(_) => {}
            // The quorum may be complete before everybody has voted.
            Err(status) if matches!(reason(&status).as_str(), "PROPOSAL_NOT_OPEN" | "PROPOSAL_DECIDED") => {}
            Err(status) => return Err(refused(status)),
        }
    }
    let mut client = ProposalServiceClient::new(actors.to("council", "cleo")?);
    for _ in 0..200 {
        let now = client.get_proposal(GetProposalRequest { name: proposal.name.clone() }).await.map_err(refused)?;
        match now.into_inner() {
            proposal if proposal.state() == ProposalState::Executed => return Ok(()),
            proposal if proposal.state() == ProposalState::Failed => {
                let error = proposal.execution.unwrap_or_default().error;
                return Err(Error::internal(format!("{} failed: {error}", proposal.name)));
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    Err(Error::internal(format!("{} was approved and not carried out", proposal.name)))
}

/// The proposer, a service and one person twice: none of these votes may count (R6, S138).
async fn try_what_must_be_refused(actors: &Actors, proposal: &Proposal) -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    for (actor, attempt) in [("dara", "the proposer votes"), ("platform", "a service votes")] {
        let mut client = ProposalServiceClient::new(actors.to("council", actor)?);
        match client.vote(vote(proposal, actor, "refused")).await {
            Ok(_) => return Err(Error::internal(format!("{attempt}, and was not refused"))),
            Err(status) => refusals.push(Refusal { attempt, reason: reason(&status) }),
        }
    }
    let mut ada = ProposalServiceClient::new(actors.to("council", "ada")?);
    ada.vote(vote(proposal, "ada", "1")).await.map_err(refused)?;
    match ada.vote(vote(proposal, "ada", "2")).await {
        Ok(_) => return Err(Error::internal("one person voted twice, and was not refused")),
        Err(status) => refusals.push(Refusal { attempt: "one person votes twice", reason: reason(&status) }),
    }
    Ok(refusals)
}
