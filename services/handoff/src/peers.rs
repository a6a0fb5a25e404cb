//! What this service asks others: may this model version do this task, is there such a task or KPI, and are these the
//! prompts and guardrails that people approved? Always outside a mutation, which must not wait for another service.

use crate::pattern_rules;
use futures::future::try_join_all;
use remit_api::handoff::v1::RunInputs;
use remit_api::kpi::v1::GetKpiRequest;
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    ArtifactKind, ArtifactVersion, ArtifactVersionState, GetArtifactVersionRequest, GetModelVersionRequest,
};
use remit_api::scoring::v1 as scoring;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_api::wire::Word as _;
use remit_core::name::ArtifactVersionName;
use remit_core::{Error, Kind, Result, Tenant};
use remit_runtime::{Channel, Peers, foreign};
use tonic::Status;

/// The reason of scoring under a hold of the council.
const HOLD: &str = "HOLD_ENGAGED";

/// The reason of scoring for what it does not know, or not recently enough.
const UNKNOWN: &str = "STATE_UNAVAILABLE";

/// Asks scoring.
#[derive(Clone)]
pub(crate) struct Scoring {
    peers: Peers,
    client: DecisionServiceClient<Channel>,
    tasks: TaskServiceClient<Channel>,
}

/// What is asked.
pub(crate) struct Question<'a> {
    /// The task of the inventory.
    pub(crate) task: &'a str,
    /// The model version.
    pub(crate) model_version: &'a str,
    /// The gate that the result will pass.
    pub(crate) gate: &'a str,
    /// The run, by which scoring draws samples.
    pub(crate) run_id: &'a str,
    /// How much is at stake.
    pub(crate) stakes: Stakes,
}

/// The answer.
#[derive(Debug, Clone)]
pub(crate) struct Permission {
    /// Why not; empty if AI may act.
    pub(crate) denials: Vec<String>,
    /// Those of them that are holds of the council.
    pub(crate) holds: Vec<String>,
    /// How much people are to be involved, with all that the obligations say of it.
    pub(crate) pattern: AutonomyPattern,
    /// The share of results that people are to check, 0 to 1.
    pub(crate) sampling_rate: f64,
    /// What else is to be observed, in words.
    pub(crate) obligations: Vec<String>,
    /// The policy version behind the answer.
    pub(crate) policy: String,
}

impl Permission {
    /// Refuses what is denied.
    ///
    /// # Errors
    /// `FailedPrecondition`: `HOLD_ENGAGED` under a hold of the council, else `TASK_NOT_PERMITTED` with scoring's reasons.
    pub(crate) fn require(&self, question: &str) -> Result<()> {
        if self.denials.is_empty() {
            return Ok(());
        }
        let message = format!("{question}: {}", self.denials.join("; "));
        let mut error = if self.holds.is_empty() {
            Error::precondition("TASK_NOT_PERMITTED", message)
        } else {
            Error::precondition("HOLD_ENGAGED", message)
        };
        for denial in &self.denials {
            error = error.with_violation("model_version", denial);
        }
        Err(error)
    }
}

impl Scoring {
    /// Asks through `peers`.
    pub(crate) fn new(peers: &Peers) -> Self {
        let (client, tasks) = (peers.channel("scoring"), peers.channel("scoring"));
        Self { peers: peers.clone(), client: DecisionServiceClient::new(client), tasks: TaskServiceClient::new(tasks) }
    }

    /// Refuses a task that the inventory does not have, so that a misspelt one is found at once.
    ///
    /// # Errors
    /// `NotFound` (`TASK_NOT_FOUND`); `Unavailable` (`SCORING_UNAVAILABLE`) if there was no answer.
    pub(crate) async fn require_task(&self, tenant: &Tenant, task: &str) -> Result<()> {
        let request = self.peers.request("handoff", tenant, scoring::GetTaskRequest { name: task.to_owned() });
        self.tasks.clone().get_task(request).await.map_err(no_answer).map(drop)
    }

    /// Asks whether AI may act. Only a clear yes is one, and only what scoring knows is an answer: a denial for nothing
    /// but that it does not know is over when it does, and what is decided by it would stay.
    ///
    /// # Errors
    /// `Unavailable` (`SCORING_UNAVAILABLE`) if there was no answer, or scoring does not know enough for one.
    pub(crate) async fn check(&self, tenant: &Tenant, question: &Question<'_>) -> Result<Permission> {
        let message = scoring::CheckTaskRequest {
            task: question.task.to_owned(),
            model_version: question.model_version.to_owned(),
            purpose: String::new(),
            gate: question.gate.to_owned(),
            run_id: question.run_id.to_owned(),
            stakes: question.stakes.into(),
            view: scoring::CheckView::Basic.into(),
        };
        let request = self.peers.request("handoff", tenant, message);
        let answer = self.client.clone().check_task(request).await.map_err(no_answer)?.into_inner();
        if knows_too_little(&answer) {
            let what = "scoring does not know the inventory, the models or the holds at present: resend later";
            return Err(Error::new(Kind::Unavailable, "SCORING_UNAVAILABLE", what));
        }
        Ok(read(answer))
    }
}

/// Whether an error is an answer: one that names what is wrong with the question is.
fn is_answer(error: &Error) -> bool {
    matches!(error.kind(), Kind::InvalidArgument | Kind::NotFound | Kind::FailedPrecondition)
}

fn no_answer(status: Status) -> Error {
    let cause = foreign(status);
    if is_answer(&cause) {
        return cause;
    }
    Error::new(Kind::Unavailable, "SCORING_UNAVAILABLE", "scoring could not be asked, and unknown never means yes")
        .with_source(cause)
}

/// Asks the registry.
#[derive(Clone)]
pub(crate) struct Registry {
    peers: Peers,
    artifacts: ArtifactServiceClient<Channel>,
    models: ModelServiceClient<Channel>,
}

/// What a run names beside its model version: field, name and kind.
type Named<'a> = [(&'static str, &'a str, ArtifactKind); 3];

fn named(inputs: &RunInputs) -> Named<'_> {
    [
        ("inputs.prompt_version", &inputs.prompt_version, ArtifactKind::Prompt),
        ("inputs.guardrail_version", &inputs.guardrail_version, ArtifactKind::Guardrail),
        ("inputs.style_guide_version", &inputs.style_guide_version, ArtifactKind::StyleGuide),
    ]
}

impl Registry {
    /// Asks through `peers`.
    pub(crate) fn new(peers: &Peers) -> Self {
        let (artifacts, models) = (peers.channel("registry"), peers.channel("registry"));
        Self {
            peers: peers.clone(),
            artifacts: ArtifactServiceClient::new(artifacts),
            models: ModelServiceClient::new(models),
        }
    }

    /// Refuses a run with a prompt, guardrail or style guide that is not there, is something else, is not approved, or is
    /// another one than the approval of the model version requires.
    ///
    /// # Errors
    /// `NotFound` (`ARTIFACT_VERSION_NOT_FOUND`, `MODEL_VERSION_NOT_FOUND`); `FailedPrecondition` (`ARTIFACT_KIND`,
    /// `ARTIFACT_NOT_APPROVED`, `APPROVAL_CONDITION_UNMET`); `Unavailable` (`REGISTRY_UNAVAILABLE`) if there was no answer.
    /// Of an artifact each names the field.
    pub(crate) async fn require_approved(&self, tenant: &Tenant, inputs: &RunInputs) -> Result<()> {
        let named = named(inputs);
        let questions = named.into_iter().filter(|(_, name, _)| !name.is_empty());
        let answers = questions.map(|(field, name, kind)| async move {
            let found = self.artifact_version(tenant, name).await;
            found.and_then(|found| approved(name, &found, kind)).map_err(|error| {
                let what = error.message().to_owned();
                error.with_violation(field, what)
            })
        });
        let (found, required) = futures::join!(try_join_all(answers), self.required(tenant, &inputs.model_version));
        found?;
        keeps(named, &inputs.model_version, &required?)
    }

    /// The artifact versions that the approval of a model version requires, and what they are.
    async fn required(&self, tenant: &Tenant, version: &str) -> Result<Vec<(String, ArtifactKind)>> {
        if version.is_empty() {
            return Ok(Vec::new());
        }
        let message = GetModelVersionRequest { name: version.to_owned() };
        let request = self.peers.request("handoff", tenant, message);
        let answer = self.models.clone().get_model_version(request).await.map_err(unanswered)?;
        let required = answer.into_inner().terms.unwrap_or_default().required_artifacts;
        let kinds = required.into_iter().map(|name| async move {
            let kind = self.artifact_version(tenant, &name).await?.kind();
            Ok((name, kind))
        });
        try_join_all(kinds).await
    }

    async fn artifact_version(&self, tenant: &Tenant, name: &str) -> Result<ArtifactVersion> {
        // A label may point elsewhere tomorrow, and what is no name at all names nothing.
        if ArtifactVersionName::parse(name, "name").is_err() {
            return Err(Error::not_found("ARTIFACT_VERSION_NOT_FOUND", name));
        }
        let message = GetArtifactVersionRequest { name: name.to_owned() };
        let request = self.peers.request("handoff", tenant, message);
        let answer = self.artifacts.clone().get_artifact_version(request).await.map_err(unanswered)?;
        Ok(answer.into_inner())
    }
}

/// The registry's answer, if it is one; else that it could not be asked.
fn unanswered(status: Status) -> Error {
    let cause = foreign(status);
    if is_answer(&cause) {
        return cause;
    }
    let what = "the registry could not be asked, and unknown never means yes";
    Error::new(Kind::Unavailable, "REGISTRY_UNAVAILABLE", what).with_source(cause)
}

/// Refuses a run that names another prompt, guardrail or style guide than the approval of its model version requires, or
/// none. What is of another kind is the version's own.
fn keeps(named: Named<'_>, version: &str, required: &[(String, ArtifactKind)]) -> Result<()> {
    for (field, name, kind) in named {
        let wanted: Vec<&str> =
            required.iter().filter(|(_, of)| *of == kind).map(|(wanted, _)| wanted.as_str()).collect();
        if !wanted.is_empty() && !wanted.contains(&name) {
            let wanted = wanted.join(" or ");
            let message = format!("{version} is approved only with {wanted}, which the run does not name");
            let error = Error::precondition("APPROVAL_CONDITION_UNMET", message);
            return Err(error.with_violation(field, format!("must be {wanted}")));
        }
    }
    Ok(())
}

/// Asks kpi.
#[derive(Clone)]
pub(crate) struct Kpis {
    peers: Peers,
    client: KpiServiceClient<Channel>,
}

impl Kpis {
    /// Asks through `peers`.
    pub(crate) fn new(peers: &Peers) -> Self {
        Self { peers: peers.clone(), client: KpiServiceClient::new(peers.channel("kpi")) }
    }

    /// The KPIs among these names that are not there: a gate that is judged by one of them is judged by nothing.
    ///
    /// # Errors
    /// `Unavailable` (`KPI_UNAVAILABLE`) if there was no answer.
    pub(crate) async fn unknown(&self, tenant: &Tenant, names: &[String]) -> Result<Vec<String>> {
        let answers = names.iter().map(|name| async move {
            let message = GetKpiRequest { name: name.clone() };
            let request = self.peers.request("handoff", tenant, message);
            match self.client.clone().get_kpi(request).await.map_err(foreign) {
                Ok(_) => Ok(None),
                Err(cause) if is_answer(&cause) => Ok(Some(name.clone())),
                Err(cause) => {
                    let what = "kpi could not be asked for the KPIs that the gate names";
                    Err(Error::new(Kind::Unavailable, "KPI_UNAVAILABLE", what).with_source(cause))
                }
            }
        });
        Ok(try_join_all(answers).await?.into_iter().flatten().collect())
    }
}

fn approved(name: &str, found: &ArtifactVersion, kind: ArtifactKind) -> Result<()> {
    if found.kind() != kind {
        let message = format!("{name} is a {}, not a {}", found.kind().word(), kind.word());
        return Err(Error::precondition("ARTIFACT_KIND", message));
    }
    if found.state() != ArtifactVersionState::Approved {
        let message = format!("{name} is {}, and AI runs only with what is APPROVED", found.state().word());
        return Err(Error::precondition("ARTIFACT_NOT_APPROVED", message));
    }
    Ok(())
}

fn denies(reason: &scoring::CheckReason) -> bool {
    reason.effect() == scoring::ReasonEffect::Deny && reason.waiver.is_empty()
}

/// Whether scoring denies for nothing but that it cannot see what it would judge by. A denial with any other reason
/// stands: a hold, say, that is seen while the inventory is not.
fn knows_too_little(answer: &scoring::CheckTaskResponse) -> bool {
    let mut denials = answer.reasons.iter().filter(|reason| denies(reason)).peekable();
    answer.verdict() != scoring::Verdict::Permit && denials.peek().is_some() && denials.all(|of| of.code == UNKNOWN)
}

fn read(answer: scoring::CheckTaskResponse) -> Permission {
    let denying = |reason: &&scoring::CheckReason| denies(reason);
    let words = |reason: &scoring::CheckReason| format!("{}: {}", reason.code, reason.message);
    let mut denials: Vec<String> = answer.reasons.iter().filter(denying).map(words).collect();
    let mut holds: Vec<String> =
        answer.reasons.iter().filter(denying).filter(|reason| reason.code == HOLD).map(words).collect();
    let permitted = answer.verdict() == scoring::Verdict::Permit;
    if permitted {
        denials.clear();
        holds.clear();
    } else if denials.is_empty() {
        denials.push("NOT_PERMITTED: scoring gave no permission".to_owned());
    }
    let obligations = answer.obligations.unwrap_or_default();
    let pattern = if permitted {
        pattern_rules::within(obligations.pattern(), &obligations.requirements)
    } else {
        AutonomyPattern::HumanOnly
    };
    let sampling = obligations.sampling.clone().unwrap_or_default();
    let mut words = obligations.requirements.clone();
    words.extend(obligations.conditions.iter().map(|condition| format!("CONDITION: {condition}")));
    Permission { denials, holds, pattern, sampling_rate: sampling.ratio, obligations: words, policy: answer.policy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for verdict in [0, 2, 99] {
            let permission = read(scoring::CheckTaskResponse { verdict, ..Default::default() });
            assert!(permission.require("q").is_err(), "{verdict}");
        }
        let permission = read(scoring::CheckTaskResponse { verdict: 1, ..Default::default() });
        assert!(permission.require("q").is_ok());
    }

    #[test]
    fn a_denial_carries_scorings_reasons() {
        let reason = scoring::CheckReason {
            code: "MODEL_SUSPENDED".into(),
            effect: scoring::ReasonEffect::Deny.into(),
            message: "models/m/versions/1 is suspended".into(),
            ..Default::default()
        };
        let answer = scoring::CheckTaskResponse { verdict: 2, reasons: vec![reason], ..Default::default() };
        let error = read(answer).require("handoffs/h").err();
        assert!(error.is_some_and(|error| error.reason() == "TASK_NOT_PERMITTED"
            && error.message().contains("MODEL_SUSPENDED: models/m/versions/1 is suspended")));
    }

    #[test]
    fn what_scoring_does_not_know_is_no_answer_and_what_it_knows_is() {
        let of = |verdict: scoring::Verdict, codes: &[&str]| {
            let reason = |code: &&str| scoring::CheckReason {
                code: (*code).into(),
                effect: scoring::ReasonEffect::Deny.into(),
                ..Default::default()
            };
            let reasons = codes.iter().map(reason).collect();
            scoring::CheckTaskResponse { verdict: verdict.into(), reasons, ..Default::default() }
        };
        let (deny, permit) = (scoring::Verdict::Deny, scoring::Verdict::Permit);
        assert!(knows_too_little(&of(deny, &["STATE_UNAVAILABLE", "STATE_UNAVAILABLE"])));
        assert!(!knows_too_little(&of(deny, &["STATE_UNAVAILABLE", "HOLD_ENGAGED"])), "a hold that is seen stands");
        assert!(!knows_too_little(&of(deny, &["MODEL_SUSPENDED"])));
        assert!(!knows_too_little(&of(deny, &[])), "a denial without a reason is one");
        let mut waived = of(permit, &["STATE_UNAVAILABLE"]);
        waived.reasons[0].waiver = "waivers/w".into();
        assert!(!knows_too_little(&waived));
    }

    #[test]
    fn a_hold_is_named_as_what_it_is() {
        let reason = |code: &str| scoring::CheckReason {
            code: code.into(),
            effect: scoring::ReasonEffect::Deny.into(),
            message: "because".into(),
            ..Default::default()
        };
        let reasons = vec![reason("HOLD_ENGAGED"), reason("MODEL_SUSPENDED")];
        let permission = read(scoring::CheckTaskResponse { verdict: 2, reasons, ..Default::default() });
        assert_eq!(permission.holds, ["HOLD_ENGAGED: because"]);
        assert_eq!(
            permission.require("q").err().map(|error| error.reason().to_owned()).as_deref(),
            Some("HOLD_ENGAGED")
        );
    }

    #[test]
    fn only_what_is_approved_and_of_its_kind_is_run_with() {
        let version = |kind: ArtifactKind, state: ArtifactVersionState| ArtifactVersion {
            kind: kind.into(),
            state: state.into(),
            ..Default::default()
        };
        let reason = |found: &ArtifactVersion| {
            approved("artifacts/a/versions/1", found, ArtifactKind::Prompt).err().map(|error| error.reason().to_owned())
        };
        let (prompt, guide) = (ArtifactKind::Prompt, ArtifactKind::StyleGuide);
        assert_eq!(reason(&version(prompt, ArtifactVersionState::Approved)), None);
        for state in [ArtifactVersionState::Draft, ArtifactVersionState::Withdrawn, ArtifactVersionState::Unspecified] {
            assert_eq!(reason(&version(prompt, state)).as_deref(), Some("ARTIFACT_NOT_APPROVED"), "{state:?}");
        }
        assert_eq!(reason(&version(guide, ArtifactVersionState::Approved)).as_deref(), Some("ARTIFACT_KIND"));
    }

    #[test]
    fn a_run_keeps_to_what_the_approval_requires() {
        let inputs = RunInputs { prompt_version: "p/1".into(), guardrail_version: "g/3".into(), ..Default::default() };
        let field = |required: &[(&str, ArtifactKind)]| {
            let required: Vec<_> = required.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
            let refused = keeps(named(&inputs), "models/m/versions/1", &required).err()?;
            assert_eq!(refused.reason(), "APPROVAL_CONDITION_UNMET");
            refused.violations().first().map(|violation| violation.field.clone())
        };
        let (guardrail, guide) = (ArtifactKind::Guardrail, ArtifactKind::StyleGuide);
        assert_eq!(field(&[]), None);
        assert_eq!(field(&[("g/3", guardrail)]), None);
        assert_eq!(field(&[("g/2", guardrail), ("g/3", guardrail)]), None);
        assert_eq!(field(&[("g/2", guardrail)]).as_deref(), Some("inputs.guardrail_version"));
        assert_eq!(field(&[("s/1", guide)]).as_deref(), Some("inputs.style_guide_version"), "none is another one");
        assert_eq!(field(&[("c/1", ArtifactKind::RetrievalCorpus)]), None);
    }
}
