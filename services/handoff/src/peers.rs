//! The one question that this service asks another: may this model version do this task?

use remit_api::scoring::v1 as scoring;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::types::{AutonomyPattern, Stakes};
use remit_core::{Error, Kind, Result, Tenant};
use remit_runtime::{Channel, Peers, foreign};

/// Asks scoring.
#[derive(Clone)]
pub(crate) struct Scoring {
    peers: Peers,
    client: DecisionServiceClient<Channel>,
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
    /// How much people are to be involved.
    pub(crate) pattern: AutonomyPattern,
    /// The share of results that people are to check, 0 to 1.
    pub(crate) sampling_rate: f64,
    /// What else is to be observed, in words.
    pub(crate) obligations: Vec<String>,
    /// The policy version behind the answer.
    pub(crate) policy: String,
}

impl Permission {
    /// The error for a denial.
    pub(crate) fn require(&self, question: &str) -> Result<()> {
        if self.denials.is_empty() {
            return Ok(());
        }
        let mut error = Error::precondition("TASK_NOT_PERMITTED", format!("{question}: {}", self.denials.join("; ")));
        for denial in &self.denials {
            error = error.with_violation("model_version", denial);
        }
        Err(error)
    }
}

impl Scoring {
    /// Asks through `peers`.
    pub(crate) fn new(peers: &Peers) -> Self {
        Self { peers: peers.clone(), client: DecisionServiceClient::new(peers.channel("scoring")) }
    }

    /// Asks whether AI may act. Only a clear yes is one.
    ///
    /// # Errors
    /// `Unavailable` (`SCORING_UNAVAILABLE`) if there was no answer.
    pub(crate) async fn check(&self, tenant: &Tenant, question: &Question<'_>) -> Result<Permission> {
        let message = scoring::CheckTaskRequest {
            task: question.task.to_owned(),
            model_version: question.model_version.to_owned(),
            purpose: String::new(),
            gate: question.gate.to_owned(),
            run_id: question.run_id.to_owned(),
            stakes: question.stakes.into(),
        };
        let request = self.peers.request("handoff", tenant, message);
        let answer = self.client.clone().check_task(request).await.map_err(|status| {
            let cause = foreign(status);
            // An answer that names what is wrong with the question is an answer.
            if matches!(cause.kind(), Kind::InvalidArgument | Kind::NotFound | Kind::FailedPrecondition) {
                return cause;
            }
            Error::new(
                Kind::Unavailable,
                "SCORING_UNAVAILABLE",
                "scoring could not be asked, and unknown never means yes",
            )
            .with_source(cause)
        })?;
        Ok(read(answer.into_inner()))
    }
}

fn read(answer: scoring::CheckTaskResponse) -> Permission {
    let mut denials: Vec<String> = answer
        .reasons
        .iter()
        .filter(|reason| reason.effect() == scoring::ReasonEffect::Deny && reason.waiver.is_empty())
        .map(|reason| format!("{}: {}", reason.code, reason.message))
        .collect();
    let permitted = answer.verdict() == scoring::Verdict::Permit;
    if permitted {
        denials.clear();
    } else if denials.is_empty() {
        denials.push("NOT_PERMITTED: scoring gave no permission".to_owned());
    }
    let obligations = answer.obligations.unwrap_or_default();
    let sampling = obligations.sampling.clone().unwrap_or_default();
    let mut words = obligations.requirements.clone();
    words.extend(obligations.conditions.iter().map(|condition| format!("CONDITION: {condition}")));
    Permission {
        denials,
        pattern: obligations.pattern(),
        sampling_rate: sampling.ratio,
        obligations: words,
        policy: answer.policy,
    }
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
        assert!(
            error.is_some_and(|error| error.message().contains("MODEL_SUSPENDED: models/m/versions/1 is suspended"))
        );
    }
}
