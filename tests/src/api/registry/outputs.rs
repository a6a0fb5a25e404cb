//! The cases of the registry's outputs.

use super::{approve_artifact, approved, create_artifact, create_model, refusal, transition};
use crate::api::cases;
use crate::support::{Caller, Connection, Suite, reason, stamp};
use futures::StreamExt as _;
use remit_api::registry::v1::output_service_client::OutputServiceClient;
use remit_api::registry::v1::*;
use remit_api::types::{Stakes, TimeRange};
use remit_core::{Timestamp, digest};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    high_stakes_need_complete_tags_and_others_a_warning: RecordOutput;
    a_batch_is_idempotent_and_leaves_one_entry_an_output: RecordOutputs;
    a_recall_finds_every_output_of_a_version;
    a_chain_is_followed_from_brief_to_channel;
    disclosure_evidence_is_exported_with_what_is_missing;
    an_output_that_is_wrong_in_itself_is_refused;
}

fn outputs(caller: &Caller) -> OutputServiceClient<Connection> {
    OutputServiceClient::new(caller.to("registry"))
}

/// A model version with an approved prompt and guardrail, and the names of these.
async fn tagged(suite: &Suite) -> (String, Vec<String>) {
    let mut names = Vec::new();
    for (id, kind) in [("prompt", ArtifactKind::Prompt), ("guardrail", ArtifactKind::Guardrail)] {
        let version = create_artifact(suite, id, kind).await;
        approve_artifact(suite, &version).await;
        names.push(version.name);
    }
    create_model(suite, "m").await.unwrap();
    (approved(suite, "m", &names).await, names)
}

pub(in crate::api) fn output(version: &str, stakes: Stakes, content: &str) -> Output {
    Output {
        asset_digest: digest::sha256(content.as_bytes()),
        model_version: version.into(),
        task: "tasks/copy".into(),
        decision: "decisions/d1".into(),
        stakes: stakes.into(),
        digital_source_type: DigitalSourceType::TrainedAlgorithmicMedia.into(),
        ..Default::default()
    }
}

pub(in crate::api) async fn record(caller: &Caller, id: &str, output: Output) -> Result<Output, Status> {
    let request = RecordOutputRequest { output_id: id.into(), output: Some(output), ..Default::default() };
    outputs(caller).record_output(request).await.map(tonic::Response::into_inner)
}

async fn high_stakes_need_complete_tags_and_others_a_warning(suite: Suite) {
    let platform = suite.platform();
    let (version, artifacts) = tagged(&suite).await;
    let whole = record(&platform, "whole", output(&version, Stakes::High, "a")).await.unwrap();
    assert!(whole.complete && whole.warnings.is_empty());
    assert_eq!((whole.model_version_state.as_str(), &whole.artifacts), ("APPROVED", &artifacts));
    let bare = Output { decision: String::new(), ..output(&version, Stakes::High, "b") };
    let refused = record(&platform, "bare", bare.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "TAGS_INCOMPLETE"));
    assert!(refused.message().contains("decision"), "{}", refused.message());
    let unknown = Output { stakes: 0, ..bare.clone() };
    assert_eq!(refusal(record(&platform, "bare", unknown).await), "TAGS_INCOMPLETE");
    let low = Output { stakes: Stakes::Low.into(), ..bare };
    let warned = record(&platform, "bare", low.clone()).await.unwrap();
    assert!(!warned.complete);
    assert_eq!(
        warned.warnings.iter().map(|w| (w.reason.as_str(), w.field.as_str())).collect::<Vec<_>>(),
        [("TAG_MISSING", "decision")]
    );
    let other = Output { task: "tasks/other".into(), ..low };
    assert_eq!(refusal(record(&platform, "bare", other).await), "OUTPUT_ID_REUSED");
    transition(&suite.admin(), &version, ModelVersionState::Suspended).await.unwrap();
    let late = record(&platform, "late", output(&version, Stakes::Low, "c")).await.unwrap();
    assert_eq!(late.warnings[0].reason, "MODEL_VERSION_NOT_APPROVED");
    let found =
        outputs(&suite.admin()).get_output(GetOutputRequest { name: late.name.clone() }).await.unwrap().into_inner();
    assert_eq!(found, late);
}

async fn send(caller: &Caller, batches: Vec<RecordOutputsRequest>) -> Vec<RecordOutputsResponse> {
    let stream = outputs(caller).record_outputs(futures::stream::iter(batches)).await.unwrap().into_inner();
    stream.map(Result::unwrap).collect().await
}

async fn a_batch_is_idempotent_and_leaves_one_entry_an_output(suite: Suite) {
    let platform = suite.platform();
    let (version, _) = tagged(&suite).await;
    let entry = |n: usize| OutputEntry {
        output_id: format!("o{n:03}"),
        output: Some(output(&version, Stakes::Low, &format!("asset {n}"))),
    };
    let batch = |from: usize| RecordOutputsRequest { entries: (from..from + 50).map(entry).collect() };
    let answers = send(&platform, vec![batch(0), batch(50)]).await;
    let statuses = |answers: &[RecordOutputsResponse], wanted: RecordStatus| {
        answers.iter().flat_map(|answer| &answer.results).filter(|result| result.status() == wanted).count()
    };
    assert_eq!((answers.len(), statuses(&answers, RecordStatus::Recorded)), (2, 100));
    let again = send(&platform, vec![batch(25)]).await;
    assert_eq!(statuses(&again, RecordStatus::Duplicate), 50);
    let mut mixed = batch(100);
    mixed.entries[0].output.as_mut().unwrap().asset_digest = "md5:1".into();
    mixed.entries[1].output_id = "o000".into();
    let answers = send(&platform, vec![mixed]).await;
    let results = &answers[0].results;
    assert_eq!((results[0].status(), results[0].reason.as_str()), (RecordStatus::Refused, "DIGEST_INVALID"));
    assert_eq!((results[1].status(), results[1].reason.as_str()), (RecordStatus::Refused, "OUTPUT_ID_REUSED"));
    assert_eq!(statuses(&answers, RecordStatus::Recorded), 48);
    let entries = suite.entries("action = \"registry.outputs.record\"").await;
    assert_eq!(entries.len(), 148);
    let summary =
        outputs(&suite.admin()).summarize_outputs(SummarizeOutputsRequest::default()).await.unwrap().into_inner();
    let total = summary.total.unwrap();
    assert_eq!((total.outputs, total.high_stakes, total.incomplete, total.unapproved), (148, 0, 0, 0));
    assert_eq!(
        (summary.by_model_version[0].key.as_str(), summary.by_model_version[0].outputs),
        (version.as_str(), 148)
    );
    assert_eq!(summary.by_digital_source_type.get("TRAINED_ALGORITHMIC_MEDIA"), Some(&148));
}

async fn a_recall_finds_every_output_of_a_version(suite: Suite) {
    let (platform, person) = (suite.platform(), suite.admin());
    let (version, artifacts) = tagged(&suite).await;
    for n in 0..5 {
        record(&platform, &format!("mine-{n}"), output(&version, Stakes::High, &n.to_string())).await.unwrap();
    }
    let unregistered = output("models/other/versions/1", Stakes::Low, "0");
    record(&platform, "other", unregistered).await.unwrap();
    let find = |filter: String, artifact: &str, token: String| SearchOutputsRequest {
        filter,
        artifact_version: artifact.into(),
        page_size: 3,
        page_token: token,
    };
    let by_version = format!("model_version = \"{version}\"");
    let first =
        outputs(&person).search_outputs(find(by_version.clone(), "", String::new())).await.unwrap().into_inner();
    let second =
        outputs(&person).search_outputs(find(by_version, "", first.next_page_token)).await.unwrap().into_inner();
    assert_eq!((first.outputs.len(), second.outputs.len()), (3, 2));
    let by_digest = format!("asset_digest = \"{}\"", digest::sha256(b"0"));
    let same = outputs(&person).search_outputs(find(by_digest, "", String::new())).await.unwrap().into_inner().outputs;
    assert_eq!(same.len(), 2);
    let by_prompt =
        outputs(&person).search_outputs(find(String::new(), &artifacts[0], String::new())).await.unwrap().into_inner();
    assert_eq!(by_prompt.outputs.len(), 3);
    let unknown =
        outputs(&person).search_outputs(find("complete = false".into(), "", String::new())).await.unwrap().into_inner();
    assert_eq!(unknown.outputs[0].warnings[0].reason, "MODEL_VERSION_UNKNOWN");
}

async fn a_chain_is_followed_from_brief_to_channel(suite: Suite) {
    let (platform, person) = (suite.platform(), suite.admin());
    let (version, _) = tagged(&suite).await;
    let link = |stage: OutputStage, parents: &[&str], made: Output| Output {
        stage: stage.into(),
        parents: parents.iter().map(|id| format!("outputs/{id}")).collect(),
        ..made
    };
    let by_hand = |content: &str| Output {
        model_version: String::new(),
        decision: String::new(),
        digital_source_type: DigitalSourceType::DigitalCreation.into(),
        ..output("", Stakes::High, content)
    };
    record(&person, "brief", link(OutputStage::Brief, &[], by_hand("brief"))).await.unwrap();
    record(&person, "direction", link(OutputStage::Direction, &["brief"], by_hand("direction"))).await.unwrap();
    let copy = output(&version, Stakes::High, "copy");
    record(&platform, "copy", link(OutputStage::Copy, &["direction"], copy)).await.unwrap();
    let lost = link(OutputStage::Channel, &["copy", "lost"], output(&version, Stakes::High, "ad"));
    let ad = record(&platform, "ad", lost).await.unwrap();
    assert_eq!(ad.warnings[0].reason, "PARENT_UNKNOWN");
    let request = GetLineageRequest { name: "outputs/direction".into(), ..Default::default() };
    let chain = outputs(&person).get_lineage(request).await.unwrap().into_inner();
    let path: Vec<_> = chain.nodes.iter().map(|n| (n.depth, n.output.as_ref().unwrap().name.as_str())).collect();
    assert_eq!(path, [(-1, "outputs/brief"), (0, "outputs/direction"), (1, "outputs/copy"), (2, "outputs/ad")]);
    assert_eq!((chain.edges.len(), chain.truncated), (3, false));
    let up =
        GetLineageRequest { name: "outputs/ad".into(), direction: LineageDirection::Ancestors.into(), max_depth: 1 };
    let near = outputs(&person).get_lineage(up).await.unwrap().into_inner();
    assert!(near.truncated);
    assert_eq!(near.unknown_parents, ["outputs/lost"]);
}

async fn disclosure_evidence_is_exported_with_what_is_missing(suite: Suite) {
    let (platform, person) = (suite.platform(), suite.admin());
    let (version, _) = tagged(&suite).await;
    let with = |content: &str, disclosure: Disclosure| Output {
        disclosure: Some(disclosure),
        ..output(&version, Stakes::High, content)
    };
    let article = |responsible: &str| Disclosure {
        duty: DisclosureDuty::PublicInterestText.into(),
        editorial_responsible: responsible.into(),
        ..Default::default()
    };
    // What ben says of herself counts; see the case of claims.
    let ben = suite.human("ben", &["admin"], &[]);
    let review = HumanReview {
        reviewer: "ben".into(),
        review_time: Some(stamp(suite.now().await)),
        could_reject: true,
        ..Default::default()
    };
    record(&platform, "bare", with("1", article(""))).await.unwrap();
    let exempt = Output { reviews: vec![review], ..with("2", article("ben")) };
    record(&ben, "exempt", exempt).await.unwrap();
    let chat = Disclosure {
        duty: DisclosureDuty::AiInteraction.into(),
        label_version: "notice 3".into(),
        ..Default::default()
    };
    record(&platform, "chat", with("3", chat)).await.unwrap();
    record(&platform, "open", output(&version, Stakes::High, "4")).await.unwrap();
    let request = ExportDisclosuresRequest::default();
    let stream = outputs(&person).export_disclosures(request).await.unwrap().into_inner();
    let parts: Vec<ExportDisclosuresResponse> = stream.map(Result::unwrap).collect().await;
    let found: BTreeMap<String, DisclosureRecord> =
        parts.into_iter().flat_map(|part| part.records).map(|record| (record.output.clone(), record)).collect();
    let status = |id: &str| found[&format!("outputs/{id}")].status();
    assert_eq!(status("bare"), DisclosureStatus::Missing);
    assert_eq!(status("exempt"), DisclosureStatus::Exempt);
    assert_eq!(status("chat"), DisclosureStatus::Evidenced);
    assert_eq!(status("open"), DisclosureStatus::Undecided);
    assert!(found["outputs/bare"].missing.contains(&"disclosure.label_evidence".to_owned()));
    assert!(found["outputs/bare"].digital_source_type.ends_with("/trainedAlgorithmicMedia"));
    let request = SearchOutputsRequest { filter: "disclosure_status = \"MISSING\"".into(), ..Default::default() };
    assert_eq!(outputs(&person).search_outputs(request).await.unwrap().into_inner().outputs.len(), 1);
}

async fn an_output_that_is_wrong_in_itself_is_refused(suite: Suite) {
    let person = suite.admin();
    let own = Output { parents: vec!["outputs/o".into()], ..output("", Stakes::Low, "x") };
    assert_eq!(refusal(record(&person, "o", own).await), "PARENT_IS_SELF");
    let now = suite.now().await;
    for at in [Timestamp(-1), now.plus(Duration::from_secs(15 * 60))] {
        let elsewhen = Output { occurred_time: Some(stamp(at)), ..output("", Stakes::Low, "x") };
        assert_eq!(refusal(record(&person, "o", elsewhen).await), "TIME_OUT_OF_RANGE");
    }
    let named = Output { task: "copy".into(), ..output("", Stakes::Low, "x") };
    assert_eq!(refusal(record(&person, "o", named).await), "NAME_INVALID");
    assert_eq!(refusal(record(&person, "o/p", output("", Stakes::Low, "x")).await), "ID_INVALID");
    let (start, end) = (Some(stamp(now)), Some(stamp(now)));
    let nothing = SummarizeOutputsRequest { time_range: Some(TimeRange { start_time: start, end_time: end }) };
    assert_eq!(refusal(outputs(&person).summarize_outputs(nothing).await), "TIME_RANGE_INVALID");
}
