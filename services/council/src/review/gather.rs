//! Asks the other services and the council's own records for a month's evidence. What cannot be had is
//! kept as the reason why, never left out.

use super::drift;
use crate::service::SERVICE;
use crate::store;
use crate::time::{Month, micros, stamp};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{
    Checkpoint, GetCheckpointRequest, SummarizeEntriesRequest, SummarizeEntriesResponse, VerifyLogRequest,
    VerifyLogResponse,
};
use remit_api::council::v1::{
    ActionItem, Attestation, BreakGlassUse, DriftResult, Hold, Incident, Member, Proposal, Review, Waiver,
};
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::handoff_service_client::HandoffServiceClient;
use remit_api::handoff::v1::lead_routing_service_client::LeadRoutingServiceClient;
use remit_api::handoff::v1::{
    Gate, HandoffSummary, ListGatesRequest, RoutingSummary, SummarizeHandoffsRequest, SummarizeRoutingRequest,
};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{SummarizeKpisRequest, SummarizeKpisResponse};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::output_service_client::OutputServiceClient;
use remit_api::registry::v1::{
    ArtifactVersion, Automation, ListArtifactVersionsRequest, ListAutomationsRequest,
    ListModelVersionTransitionsRequest, ListModelVersionsRequest, ModelVersion, ModelVersionState,
    ModelVersionTransition, OutputSummary, SummarizeOutputsRequest,
};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::{
    ListPolicyVersionsRequest, PolicyVersion, SummarizeDecisionsRequest, SummarizeDecisionsResponse,
};
use remit_api::types::TimeRange;
use remit_core::{Result, Tenant};
use remit_runtime::{Peers, foreign};
use remit_store::Db;
use tonic::{Response, Status};

/// A source: its answer, or why there is none.
pub type Got<T> = std::result::Result<T, String>;

/// A model version with its history.
#[derive(Debug, Clone, Default)]
pub struct Version {
    /// The version.
    pub version: ModelVersion,
    /// Its state changes, the newest first.
    pub transitions: Vec<ModelVersionTransition>,
}

impl Version {
    /// Whether it was approved or restricted at some time of the month.
    pub fn ran_in(&self, month: &Month) -> bool {
        let runs =
            |state: ModelVersionState| matches!(state, ModelVersionState::Approved | ModelVersionState::Restricted);
        let at = |transition: &ModelVersionTransition| transition.record_time.as_ref().map(micros).unwrap_or_default();
        let reached_in_it = self
            .transitions
            .iter()
            .any(|change| (month.start()..month.end()).contains(&at(change)) && runs(change.to_state()));
        let when_it_began = self.transitions.iter().find(|change| at(change) < month.start());
        reached_in_it || when_it_began.is_some_and(|change| runs(change.to_state()))
    }
}

/// Everything a pack is made of.
pub struct Sources {
    /// Verification of the audit log.
    pub verify: Got<VerifyLogResponse>,
    /// The newest checkpoint.
    pub checkpoint: Got<Checkpoint>,
    /// The month's audit entries by action.
    pub entries: Got<SummarizeEntriesResponse>,
    /// All KPIs of the month.
    pub kpis: Got<SummarizeKpisResponse>,
    /// The month's decisions and checks.
    pub decisions: Got<SummarizeDecisionsResponse>,
    /// All policy versions.
    pub policies: Got<Vec<PolicyVersion>>,
    /// All model versions.
    pub versions: Got<Vec<Version>>,
    /// All artifact versions.
    pub artifacts: Got<Vec<ArtifactVersion>>,
    /// All cross-functional automations.
    pub automations: Got<Vec<Automation>>,
    /// The month's outputs.
    pub outputs: Got<OutputSummary>,
    /// The month's handoffs.
    pub handoffs: Got<HandoffSummary>,
    /// Those of the month before.
    pub handoffs_before: Got<HandoffSummary>,
    /// The month's lead routing.
    pub routing: Got<RoutingSummary>,
    /// All gates.
    pub gates: Got<Vec<Gate>>,
    /// Detectors that ask the KPI service.
    pub distributions: Vec<DriftResult>,
    /// The council's own records.
    pub own: Own,
}

/// The council's own records.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "each field is all records of its type")]
pub struct Own {
    pub members: Vec<Member>,
    pub proposals: Vec<Proposal>,
    pub holds: Vec<Hold>,
    pub uses: Vec<BreakGlassUse>,
    pub waivers: Vec<Waiver>,
    pub incidents: Vec<Incident>,
    pub items: Vec<ActionItem>,
    pub attestations: Vec<Attestation>,
    pub reviews: Vec<Review>,
}

impl Own {
    /// Reads the council's records of a tenant, those of `body` where they belong to one.
    ///
    /// # Errors
    /// As the store says.
    pub async fn read(db: &Db, tenant: &Tenant, body: &str) -> Result<Self> {
        let mut tx = db.snapshot().await?;
        Ok(Self {
            members: store::all(&mut tx, tenant, body).await?,
            proposals: store::all(&mut tx, tenant, "").await?,
            holds: store::all(&mut tx, tenant, "").await?,
            uses: store::all(&mut tx, tenant, "").await?,
            waivers: store::all(&mut tx, tenant, "").await?,
            incidents: store::all(&mut tx, tenant, "").await?,
            items: store::all(&mut tx, tenant, "").await?,
            attestations: store::all(&mut tx, tenant, "").await?,
            reviews: store::all(&mut tx, tenant, body).await?,
        })
    }
}

fn got<T>(answer: std::result::Result<Response<T>, Status>) -> Got<T> {
    answer.map(Response::into_inner).map_err(|status| {
        let error = foreign(status);
        format!("{}: {}", error.reason(), error.message())
    })
}

/// More items of one list than this are not read for a pack.
const MOST: usize = 5_000;
/// Histories of more model versions than this are not read.
const MOST_HISTORIES: usize = 500;
/// The largest answer of a peer, in bytes.
const LARGEST: usize = 64 << 20;

/// Reads all pages of a list.
macro_rules! pages {
    ($ask:expr, $client:expr, $method:ident, $request:expr, $items:ident) => {{
        let mut all = Vec::new();
        let mut request = $request;
        loop {
            match got($client.$method($ask.of(request.clone())).await) {
                Ok(page) => {
                    all.extend(page.$items);
                    if page.next_page_token.is_empty() || all.len() >= MOST {
                        break Ok(all);
                    }
                    request.page_token = page.next_page_token;
                }
                Err(why) => break Err(why),
            }
        }
    }};
}

/// Makes requests in the council's name.
#[derive(Clone, Copy)]
struct Ask<'a>(&'a Peers, &'a Tenant);

impl Ask<'_> {
    fn of<T>(self, message: T) -> tonic::Request<T> {
        self.0.request(SERVICE, self.1, message)
    }
}

/// Asks everybody at once.
pub async fn gather(peers: &Peers, tenant: &Tenant, month: &Month, since_checkpoint: String, own: Own) -> Sources {
    let ask = Ask(peers, tenant);
    let range =
        |month: &Month| Some(TimeRange { start_time: Some(stamp(month.start())), end_time: Some(stamp(month.end())) });
    let window = range(month);
    let page_size = 1_000;

    let audit = async {
        let mut client = AuditServiceClient::new(peers.channel("audit")).max_decoding_message_size(LARGEST);
        // In this order: the next review begins at this checkpoint, so this one must have verified up to it.
        let checkpoint = client.get_checkpoint(ask.of(GetCheckpointRequest::default())).await;
        let verify = client.verify_log(ask.of(VerifyLogRequest { since_checkpoint, max_findings: 100 })).await;
        let entries = client.summarize_entries(ask.of(SummarizeEntriesRequest { recorded: window })).await;
        (got(verify), got(checkpoint), got(entries))
    };
    let scoring = async {
        let mut client = DecisionServiceClient::new(peers.channel("scoring")).max_decoding_message_size(LARGEST);
        let mut policies = PolicyServiceClient::new(peers.channel("scoring")).max_decoding_message_size(LARGEST);
        let decisions = client.summarize_decisions(ask.of(SummarizeDecisionsRequest { time_range: window })).await;
        let list = ListPolicyVersionsRequest { page_size: 50, ..Default::default() };
        (got(decisions), pages!(ask, policies, list_policy_versions, list, policy_versions))
    };
    let registry = async {
        let mut artifacts = ArtifactServiceClient::new(peers.channel("registry")).max_decoding_message_size(LARGEST);
        let mut automations =
            AutomationServiceClient::new(peers.channel("registry")).max_decoding_message_size(LARGEST);
        let mut client = OutputServiceClient::new(peers.channel("registry")).max_decoding_message_size(LARGEST);
        let outputs = client.summarize_outputs(ask.of(SummarizeOutputsRequest { time_range: window })).await;
        let versions_of =
            ListArtifactVersionsRequest { parent: "artifacts/-".to_owned(), page_size, ..Default::default() };
        let list = ListAutomationsRequest { page_size, ..Default::default() };
        (
            versions(ask).await,
            pages!(ask, artifacts, list_artifact_versions, versions_of, artifact_versions),
            pages!(ask, automations, list_automations, list, automations),
            got(outputs),
        )
    };
    let handoff = async {
        let mut client = HandoffServiceClient::new(peers.channel("handoff")).max_decoding_message_size(LARGEST);
        let mut leads = LeadRoutingServiceClient::new(peers.channel("handoff")).max_decoding_message_size(LARGEST);
        let mut gates = GateServiceClient::new(peers.channel("handoff")).max_decoding_message_size(LARGEST);
        let of = |month: &Month| SummarizeHandoffsRequest { time_range: range(month), gate: String::new() };
        let now = client.summarize_handoffs(ask.of(of(month))).await;
        let before = client.summarize_handoffs(ask.of(of(&month.previous()))).await;
        let routing = leads.summarize_routing(ask.of(SummarizeRoutingRequest { time_range: window })).await;
        let list = ListGatesRequest { page_size, ..Default::default() };
        (got(now), got(before), got(routing), pages!(ask, gates, list_gates, list, gates))
    };
    let kpi = async {
        let mut client = KpiServiceClient::new(peers.channel("kpi")).max_decoding_message_size(LARGEST);
        got(client.summarize_kpis(ask.of(SummarizeKpisRequest { range: window })).await)
    };
    let (
        (verify, checkpoint, entries),
        (decisions, policies),
        (versions, artifacts, automations, outputs),
        (handoffs, handoffs_before, routing, gates),
        kpis,
    ) = futures::join!(audit, scoring, registry, handoff, kpi);

    let ran = versions.as_ref().map(|versions| {
        let ran = versions.iter().filter(|version| version.ran_in(month));
        ran.map(|version| version.version.name.clone()).collect::<Vec<_>>()
    });
    let mut client = KpiServiceClient::new(peers.channel("kpi")).max_decoding_message_size(LARGEST);
    let distributions = drift::ask(&mut client, peers, tenant, month, ran).await;
    Sources {
        verify,
        checkpoint,
        entries,
        kpis,
        decisions,
        policies,
        versions,
        artifacts,
        automations,
        outputs,
        handoffs,
        handoffs_before,
        routing,
        gates,
        distributions,
        own,
    }
}

/// All model versions with their histories.
async fn versions(ask: Ask<'_>) -> Got<Vec<Version>> {
    let mut client = ModelServiceClient::new(ask.0.channel("registry")).max_decoding_message_size(LARGEST);
    let list = ListModelVersionsRequest { parent: "models/-".to_owned(), page_size: 1_000, ..Default::default() };
    let all: Vec<ModelVersion> = pages!(ask, client, list_model_versions, list, model_versions)?;
    let mut found = Vec::with_capacity(all.len());
    for (at, version) in all.into_iter().enumerate() {
        // What was never decided on has no history that a review needs.
        let undecided = matches!(version.state(), ModelVersionState::Proposed | ModelVersionState::Evaluating);
        let transitions = if undecided || at >= MOST_HISTORIES {
            Vec::new()
        } else {
            let parent = version.name.clone();
            let list = ListModelVersionTransitionsRequest { parent, page_size: 1_000, ..Default::default() };
            pages!(ask, client, list_model_version_transitions, list, transitions)?
        };
        found.push(Version { version, transitions });
    }
    Ok(found)
}
