//! Asks the other services for a month's evidence. What cannot be had is kept as the reason why, never left out.

use super::pack::SourceState;
use super::progress::Progress;
use super::restated::{Answers, figures};
use super::rollout::Asked;
use super::sources::{Got, LARGEST, Own, Sources, Version, got, why};
use super::{drift, positions};
use crate::ask::Ask;
use crate::time::Month;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{
    GetCheckpointRequest, GetRetentionPolicyRequest, SummarizeEntriesRequest, VerifyLogRequest, VerifyLogResponse,
};
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::handoff::v1::handoff_service_client::HandoffServiceClient;
use remit_api::handoff::v1::lead_routing_service_client::LeadRoutingServiceClient;
use remit_api::handoff::v1::{
    ListGateVersionsRequest, ListGatesRequest, ListOverridesRequest, SummarizeHandoffsRequest, SummarizeRoutingRequest,
};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{ListExperimentsRequest, ListKpisRequest, SummarizeKpisRequest};
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::registry::v1::automation_service_client::AutomationServiceClient;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::output_service_client::OutputServiceClient;
use remit_api::registry::v1::{
    ListArtifactVersionsRequest, ListAutomationsRequest, ListModelVersionTransitionsRequest, ListModelVersionsRequest,
    ModelVersion, ModelVersionTransition, SummarizeOutputsRequest,
};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    ListAuditWindowsRequest, ListDecisionsRequest, ListPolicyVersionsRequest, SummarizeDecisionsRequest,
};
use remit_core::Timestamp;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// More items of one list than this are not read for a pack.
const MOST: usize = 5_000;
/// More state changes of model versions than this are not read.
const MOST_CHANGES: usize = 50_000;

/// Reads all pages of a list.
macro_rules! pages {
    ($ask:expr, $client:expr, $method:ident, $request:expr, $items:ident) => {
        pages!($ask, $client, $method, $request, $items, MOST)
    };
    ($ask:expr, $client:expr, $method:ident, $request:expr, $items:ident, $most:expr) => {{
        let mut all = Vec::new();
        let mut request = $request;
        loop {
            match got($client.$method($ask.of(request.clone())).await) {
                Ok(page) => {
                    all.extend(page.$items);
                    if page.next_page_token.is_empty() || all.len() >= $most {
                        break Ok(all);
                    }
                    request.page_token = page.next_page_token;
                }
                Err(why) => break Err(why),
            }
        }
    }};
}

/// What a review asks for.
pub(crate) struct Question<'a> {
    /// The month.
    pub(crate) month: &'a Month,
    /// The instant up to which services must have handed over what they know.
    pub(crate) until: Timestamp,
    /// How long to wait for that.
    pub(crate) patience: Duration,
    /// The checkpoint up to which earlier reviews verified the log; empty for none.
    pub(crate) since_checkpoint: String,
    /// A log with at most so many entries is verified from its beginning.
    pub(crate) whole_log_up_to: i64,
}

/// The figures of a month as they are now.
pub(crate) async fn figures_of(ask: Ask<'_>, month: &Month) -> Vec<super::pack::Figure> {
    let time_range = Some(month.range());
    let mut kpi = KpiServiceClient::new(ask.channel("kpi")).max_decoding_message_size(LARGEST);
    let mut scoring = DecisionServiceClient::new(ask.channel("scoring")).max_decoding_message_size(LARGEST);
    let mut registry = OutputServiceClient::new(ask.channel("registry")).max_decoding_message_size(LARGEST);
    let mut handoff = HandoffServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
    let mut leads = LeadRoutingServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
    let (kpis, decisions, outputs, handoffs, routing) = futures::join!(
        kpi.summarize_kpis(ask.of(SummarizeKpisRequest { range: time_range })),
        scoring.summarize_decisions(ask.of(SummarizeDecisionsRequest { time_range })),
        registry.summarize_outputs(ask.of(SummarizeOutputsRequest { time_range })),
        handoff.summarize_handoffs(ask.of(SummarizeHandoffsRequest { time_range, gate: String::new() })),
        leads.summarize_routing(ask.of(SummarizeRoutingRequest { time_range })),
    );
    figures(&Answers {
        kpis: &got(kpis),
        decisions: &got(decisions),
        outputs: &got(outputs),
        handoffs: &got(handoffs),
        routing: &got(routing),
    })
}

/// What the checklist of the rollout is read from: the newest of what grows, all of what does not.
pub(crate) async fn rollout(ask: Ask<'_>) -> Asked {
    let page_size = 1_000;
    let scoring = async {
        let mut tasks = TaskServiceClient::new(ask.channel("scoring")).max_decoding_message_size(LARGEST);
        let mut client = DecisionServiceClient::new(ask.channel("scoring")).max_decoding_message_size(LARGEST);
        let list = ListAuditWindowsRequest { page_size, ..Default::default() };
        let windows = pages!(ask, tasks, list_audit_windows, list, audit_windows);
        let list = ListDecisionsRequest { page_size: 10, filter: "in_force = true".to_owned(), ..Default::default() };
        let newest = got(client.list_decisions(ask.of(list)).await).map(|page| page.decisions);
        (windows, newest, got(client.summarize_decisions(ask.of(SummarizeDecisionsRequest::default())).await))
    };
    let handoff = async {
        let mut gates = GateServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
        let mut client = HandoffServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
        let list = ListGateVersionsRequest { parent: "gates/-".to_owned(), page_size, ..Default::default() };
        let list_overrides = ListOverridesRequest { page_size, ..Default::default() };
        let overrides = got(client.list_overrides(ask.of(list_overrides)).await).map(|page| page.overrides);
        (pages!(ask, gates, list_gate_versions, list, gate_versions), overrides)
    };
    let registry = async {
        let mut artifacts = ArtifactServiceClient::new(ask.channel("registry")).max_decoding_message_size(LARGEST);
        let parent = "artifacts/-".to_owned();
        let list = ListArtifactVersionsRequest { parent, page_size, ..Default::default() };
        (versions(ask).await, pages!(ask, artifacts, list_artifact_versions, list, artifact_versions))
    };
    let kpi = async {
        let mut client = KpiServiceClient::new(ask.channel("kpi")).max_decoding_message_size(LARGEST);
        let list = ListKpisRequest { page_size, ..Default::default() };
        let kpis = pages!(ask, client, list_kpis, list, kpis);
        let list = ListExperimentsRequest { page_size, ..Default::default() };
        (kpis, pages!(ask, client, list_experiments, list, experiments))
    };
    let mut log = AuditServiceClient::new(ask.channel("audit"));
    let checkpoint = log.get_checkpoint(ask.of(GetCheckpointRequest::default()));
    let ((windows, newest, decisions), (gates, overrides), (versions, artifacts), (kpis, experiments), checkpoint) =
        futures::join!(scoring, handoff, registry, kpi, checkpoint);
    Asked {
        windows,
        decisions,
        newest,
        gates,
        overrides,
        versions,
        artifacts,
        checkpoint: got(checkpoint),
        kpis,
        experiments,
    }
}

/// Waits until everybody has handed over what they know, then asks everybody at once.
pub(crate) async fn gather(ask: Ask<'_>, question: Question<'_>, own: Own, progress: &Progress) -> Sources {
    let Question { month, until, patience, since_checkpoint, whole_log_up_to } = question;
    let begun = Instant::now();
    let mut positions: Vec<SourceState> = positions::outboxes(ask, until, patience, progress).await;
    // After that, and before anything else: all that was handed over is below this size. The next review begins at
    // this checkpoint, so this one must have verified up to it.
    let mut audit_log = AuditServiceClient::new(ask.channel("audit"));
    let checkpoint = got(audit_log.get_checkpoint(ask.of(GetCheckpointRequest::default())).await);
    let size = checkpoint.as_ref().ok().map(|checkpoint| checkpoint.size);
    let whole = size.is_some_and(|size| size <= whole_log_up_to);
    let since_checkpoint = if whole { String::new() } else { since_checkpoint };
    let window = Some(month.range());
    let page_size = 1_000;

    let audit = async {
        let mut client = AuditServiceClient::new(ask.channel("audit")).max_decoding_message_size(LARGEST);
        let request = VerifyLogRequest { since_checkpoint, max_findings: 100 };
        let verify = progress.during("audit.verify", verified(ask, request, progress)).await;
        let entries = client.summarize_entries(ask.of(SummarizeEntriesRequest { recorded: window }));
        let entries = got(progress.during("audit.summary", entries).await);
        let mut client = AuditServiceClient::new(ask.channel("audit"));
        (verify, entries, got(client.get_retention_policy(ask.of(GetRetentionPolicyRequest {})).await))
    };
    let scoring = async {
        let mut client = DecisionServiceClient::new(ask.channel("scoring")).max_decoding_message_size(LARGEST);
        let mut policies = PolicyServiceClient::new(ask.channel("scoring")).max_decoding_message_size(LARGEST);
        let decisions = client.summarize_decisions(ask.of(SummarizeDecisionsRequest { time_range: window })).await;
        let list = ListPolicyVersionsRequest { page_size: 50, ..Default::default() };
        (got(decisions), pages!(ask, policies, list_policy_versions, list, policy_versions))
    };
    let registry = async {
        let mut artifacts = ArtifactServiceClient::new(ask.channel("registry")).max_decoding_message_size(LARGEST);
        let mut automations = AutomationServiceClient::new(ask.channel("registry")).max_decoding_message_size(LARGEST);
        let mut client = OutputServiceClient::new(ask.channel("registry")).max_decoding_message_size(LARGEST);
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
        let mut client = HandoffServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
        let mut leads = LeadRoutingServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
        let mut gates = GateServiceClient::new(ask.channel("handoff")).max_decoding_message_size(LARGEST);
        let of = |month: &Month| SummarizeHandoffsRequest { time_range: Some(month.range()), gate: String::new() };
        let now = client.summarize_handoffs(ask.of(of(month))).await;
        let before = client.summarize_handoffs(ask.of(of(&month.previous()))).await;
        let routing = leads.summarize_routing(ask.of(SummarizeRoutingRequest { time_range: window })).await;
        let list = ListGatesRequest { page_size, ..Default::default() };
        (got(now), got(before), got(routing), pages!(ask, gates, list_gates, list, gates))
    };
    let kpi = async {
        // The bound is on the whole wait.
        positions::kpis(ask, month, size, patience.saturating_sub(begun.elapsed())).await
    };
    let (
        (verify, entries, retention),
        (decisions, policies),
        (versions, artifacts, automations, outputs),
        (handoffs, handoffs_before, routing, gates),
        (kpis, counted),
    ) = futures::join!(
        audit,
        progress.during("scoring", scoring),
        progress.during("registry", registry),
        progress.during("handoff", handoff),
        progress.during("kpi.summary", kpi),
    );

    positions::note(&mut positions, "kpi", counted, size);
    let ran = versions.as_ref().map(|versions| {
        let ran = versions.iter().filter(|version| version.ran_in(month));
        ran.map(|version| version.version.name.clone()).collect::<Vec<_>>()
    });
    let distributions = progress.during("kpi.drift", drift::ask(ask, month, ran)).await;
    Sources {
        verify,
        checkpoint,
        retention,
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
        positions,
        restated: Vec::new(),
    }
}

/// The verification of the audit log, which says meanwhile how far it is.
async fn verified(ask: Ask<'_>, request: VerifyLogRequest, progress: &Progress) -> Got<VerifyLogResponse> {
    let mut client = AuditServiceClient::new(ask.channel("audit")).max_decoding_message_size(LARGEST);
    let mut answers = got(client.verify_log(ask.of(request)).await)?;
    while let Some(answer) = answers.message().await.map_err(why)? {
        progress.verified(answer.checked_entry_count, answer.size.saturating_sub(answer.start_index));
        if answer.complete {
            return Ok(answer);
        }
    }
    Err("the check of the audit log ended without a report".to_owned())
}

/// All model versions with their histories, in the order of the registry.
async fn versions(ask: Ask<'_>) -> Got<Vec<Version>> {
    let mut client = ModelServiceClient::new(ask.channel("registry")).max_decoding_message_size(LARGEST);
    let (parent, page_size) = ("models/-".to_owned(), 1_000);
    let list = ListModelVersionsRequest { parent, page_size, ..Default::default() };
    let all: Vec<ModelVersion> = pages!(ask, client, list_model_versions, list, model_versions)?;
    let parent = "models/-/versions/-".to_owned();
    let list = ListModelVersionTransitionsRequest { parent, page_size, ..Default::default() };
    let changes: Vec<ModelVersionTransition> =
        pages!(ask, client, list_model_version_transitions, list, transitions, MOST_CHANGES)?;
    // Of each version the newest first, as the list has them.
    let mut histories: HashMap<String, Vec<ModelVersionTransition>> = HashMap::new();
    for change in changes {
        histories.entry(change.version.clone()).or_default().push(change);
    }
    let history = |version: ModelVersion| {
        let transitions = histories.remove(&version.name).unwrap_or_default();
        Version { version, transitions }
    };
    Ok(all.into_iter().map(history).collect())
}
