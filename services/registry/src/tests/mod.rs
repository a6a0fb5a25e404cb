//! The registry's use cases on each engine: what SQL decides, below the layer of tokens and transport.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod approvals;
mod limits;

use crate::SCHEMA;
use crate::service::Service;
use futures::TryStreamExt as _;
use remit_api::registry::v1::*;
use remit_api::types::Stakes;
use remit_api::wire::{Mandated, time};
use remit_core::mandate::Mandate;
use remit_core::{Actor, ActorKind, Clock, Error, ManualClock, Result, SystemClock, Tenant, Timestamp, digest};
use remit_runtime::{Config, Cx, Mandates};
use remit_store::testing::{TestDb, check_migrations, check_statements, each_engine};
use remit_store::{Options, counted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn cx(kind: ActorKind, subject: &str) -> Cx {
    Cx {
        tenant: Tenant::new("acme").unwrap(),
        actor: Actor { subject: subject.into(), kind, roles: vec![], role_groups: vec![], on_behalf_of: None }.into(),
        service: None,
        method: "registry.test.run",
        trace_id: String::new(),
        email: None,
        address: None,
        deadline: None,
    }
}

fn human() -> Cx {
    cx(ActorKind::Human, "dara")
}

/// The call that carries out a decision of the council: the request with a mandate that nobody has shown before.
fn decided<Q: Mandated>(registry: &Service, kind: &str, permission: &'static str, mut request: Q) -> (Cx, Q) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let caller = Cx { method: permission, ..cx(ActorKind::Service, "remit-council") };
    let mut mandate = Mandate::sample(&caller.tenant, kind, permission, request.bare_digest(), registry.db.now());
    // A decision that is newer than whatever was done.
    mandate.decided = Timestamp(i64::MAX);
    mandate.jti = format!("nonce-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    request.set_mandate(registry.mandates.sign(&mandate).unwrap());
    (caller, request)
}

async fn registry(db: &TestDb) -> Result<Service> {
    registry_at(db, Arc::new(ManualClock::new(Timestamp(1_250_000_000_000_000)))).await
}

async fn registry_at(db: &TestDb, clock: Arc<dyn Clock>) -> Result<Service> {
    let db = db.open_with(&SCHEMA, Options { clock, ..Default::default() }).await?;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::from_toml(&format!("[data]\ndir = {:?}\n", dir.path())).unwrap();
    let mandates = Mandates::open(&config, true).await?;
    Ok(Service { db, mandates, shutdown: Default::default() })
}

async fn artifact(registry: &Service, id: &str, kind: ArtifactKind) -> Result<String> {
    let message = Artifact { kind: kind.into(), display_name: id.into(), owner: "dara".into(), ..Default::default() };
    let request = CreateArtifactRequest { artifact_id: id.into(), artifact: Some(message), ..Default::default() };
    let made = registry.create_artifact(&human(), request).await?;
    let request = CreateArtifactVersionRequest {
        parent: made.name,
        artifact_version: Some(ArtifactVersion { content: b"content".to_vec(), ..Default::default() }),
        ..Default::default()
    };
    Ok(registry.create_artifact_version(&human(), request).await?.name)
}

async fn approve_artifact(registry: &Service, name: &str) -> Result<ArtifactVersion> {
    let request = ApproveArtifactVersionRequest { name: name.into(), ..Default::default() };
    let (council, request) = decided(registry, "approve_artifact", "registry.artifact_versions.approve", request);
    registry.approve_artifact_version(&council, request).await
}

async fn model(registry: &Service, id: &str) -> Result<Model> {
    let message = Model { display_name: id.into(), owner: "dara".into(), ..Default::default() };
    let request = CreateModelRequest { model_id: id.into(), model: Some(message), ..Default::default() };
    registry.create_model(&human(), request).await
}

async fn version(registry: &Service, model: &str, id: &str, artifacts: &[String]) -> Result<ModelVersion> {
    let message = ModelVersion {
        provider: "in-house".into(),
        artifact_digest: digest::sha256(id.as_bytes()),
        artifacts: artifacts.to_vec(),
        intended_use: "scoring".into(),
        owner: "dara".into(),
        ..Default::default()
    };
    let request = CreateModelVersionRequest {
        parent: format!("models/{model}"),
        model_version_id: id.into(),
        model_version: Some(message),
        ..Default::default()
    };
    registry.create_model_version(&human(), request).await
}

fn to(name: &str, state: ModelVersionState) -> TransitionModelVersionRequest {
    let runs = matches!(state, ModelVersionState::Approved | ModelVersionState::Restricted);
    TransitionModelVersionRequest {
        name: name.into(),
        state: state.into(),
        purposes: if runs { vec!["lead-scoring".into()] } else { vec![] },
        reason: "test".into(),
        ..Default::default()
    }
}

/// Moves a version by a decision of the council.
async fn decide(registry: &Service, kind: &str, request: TransitionModelVersionRequest) -> Result<ModelVersion> {
    let known = registry.get_model_version(&human(), GetModelVersionRequest { name: request.name.clone() }).await?;
    let request = TransitionModelVersionRequest { content_digest: known.content_digest, ..request };
    let (council, request) = decided(registry, kind, "registry.versions.transition", request);
    registry.transition_model_version(&council, request).await
}

async fn promote(registry: &Service, name: &str) -> Result<ModelVersion> {
    decide(registry, "promote_model", to(name, ModelVersionState::Approved)).await
}

async fn set_alias(registry: &Service, request: SetModelAliasRequest) -> Result<Model> {
    let (council, request) = decided(registry, "promote_model", "registry.aliases.set", request);
    registry.set_model_alias(&council, request).await
}

async fn evaluated(registry: &Service, name: &str) -> Result<()> {
    let evaluation = Evaluation {
        id: "e1".into(),
        suite: "holdout".into(),
        metrics: BTreeMap::from([("auc".into(), 0.8)]),
        passed: true,
        ..Default::default()
    };
    let request = AddEvaluationRequest { name: name.into(), evaluation: Some(evaluation), ..Default::default() };
    registry.add_evaluation(&cx(ActorKind::Human, "ada"), request).await?;
    registry.transition_model_version(&human(), to(name, ModelVersionState::Evaluating)).await.map(drop)
}

async fn approve(registry: &Service, name: &str) -> Result<ModelVersion> {
    evaluated(registry, name).await?;
    promote(registry, name).await
}

#[test]
fn the_migrations_and_statements_are_portable() -> Result<()> {
    check_statements(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_keeps_the_rules() -> Result<()> {
    check_migrations(&SCHEMA).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_lives_its_life() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let prompt = artifact(&registry, "prompt", ArtifactKind::Prompt).await?;
        model(&registry, "m").await?;
        let one = version(&registry, "m", "", std::slice::from_ref(&prompt)).await?;
        assert_eq!(one.name, "models/m/versions/1");
        assert_eq!(one.state(), ModelVersionState::Proposed);
        assert!(one.documentation_gaps.contains(&"limitations".to_owned()));
        let refused = approve(&registry, &one.name).await.unwrap_err();
        assert_eq!(refused.reason(), "ARTIFACT_NOT_APPROVED");
        approve_artifact(&registry, &prompt).await?;
        let approved = promote(&registry, &one.name).await?;
        assert_eq!(approved.purposes, ["lead-scoring"]);
        assert_eq!(approved.evaluations.len(), 1);

        let two = version(&registry, "m", "7", &[]).await?;
        approve(&registry, &two.name).await?;
        assert_eq!(version(&registry, "m", "", &[]).await?.name, "models/m/versions/8");
        assert_eq!(version(&registry, "m", "7", &[]).await.unwrap_err().reason(), "MODEL_VERSION_EXISTS");

        let set = |version: &str, swap: &str| SetModelAliasRequest {
            model: "models/m".into(),
            alias: "champion".into(),
            version: version.into(),
            swap_alias: swap.into(),
            ..Default::default()
        };
        set_alias(&registry, set(&one.name, "")).await?;
        let model = set_alias(&registry, set(&two.name, "challenger")).await?;
        assert_eq!(model.aliases.get("champion"), Some(&two.name));
        assert_eq!(model.aliases.get("challenger"), Some(&one.name));
        let by_alias = GetModelVersionRequest { name: "models/m/aliases/champion".into() };
        assert_eq!(registry.get_model_version(&human(), by_alias.clone()).await?.name, two.name);
        let third = set_alias(&registry, set("models/m/versions/8", "")).await;
        assert_eq!(third.unwrap_err().reason(), "MODEL_VERSION_NOT_APPROVED");

        registry.transition_model_version(&human(), to(&one.name, ModelVersionState::Suspended)).await?;
        decide(&registry, "retire_model", to(&two.name, ModelVersionState::Retired)).await?;
        assert_eq!(registry.get_model_version(&human(), by_alias).await.unwrap_err().reason(), "ALIAS_NOT_FOUND");
        let request = ListAliasHistoryRequest { parent: "models/m".into(), page_size: 2, ..Default::default() };
        let first = registry.list_alias_history(&human(), request.clone()).await?;
        let request = ListAliasHistoryRequest { page_token: first.next_page_token, ..request };
        let second = registry.list_alias_history(&human(), request).await?;
        assert_eq!((first.changes.len(), second.changes.len()), (2, 2));
        let request = ListModelVersionTransitionsRequest { parent: two.name.clone(), ..Default::default() };
        let of_two = registry.list_model_version_transitions(&human(), request).await?.transitions;
        assert_eq!(of_two.len(), 3);
        let mut all = Vec::new();
        let mut request = ListModelVersionTransitionsRequest {
            parent: "models/-/versions/-".into(),
            page_size: 2,
            ..Default::default()
        };
        loop {
            let page = registry.list_model_version_transitions(&human(), request.clone()).await?;
            all.extend(page.transitions);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let of = |name: &str| all.iter().filter(|one| one.version == name).cloned().collect::<Vec<_>>();
        assert_eq!(of(&two.name), of_two, "of each version the newest first");
        assert_eq!(of(&one.name), approvals::moves(&registry, &one.name).await?);
        let request = ListModelVersionsRequest {
            parent: "models/-".into(),
            filter: r#"state = "SUSPENDED" AND create_time > "2001-01-01T00:00:00Z""#.into(),
            ..Default::default()
        };
        let found = registry.list_model_versions(&human(), request).await?.model_versions;
        assert_eq!(found.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), [one.name.as_str()]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_first_answer_and_an_old_etag_is_refused() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let message = Model {
            display_name: "m".into(),
            owner: "dara".into(),
            labels: (0..20).map(|n| (format!("k{n}"), "v".into())).collect(),
            ..Default::default()
        };
        let request = CreateModelRequest { model_id: "m".into(), model: Some(message.clone()), request_id: "r".into() };
        let first = registry.create_model(&human(), request.clone()).await?;
        assert_eq!(registry.create_model(&human(), request.clone()).await?, first);
        let other = CreateModelRequest { model_id: "n".into(), ..request };
        assert_eq!(registry.create_model(&human(), other).await.unwrap_err().reason(), "REQUEST_ID_REUSED");
        let update = |etag: &str| UpdateModelRequest {
            model: Some(Model {
                name: "models/m".into(),
                owner: "ada".into(),
                etag: etag.into(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["owner".into()] }),
            request_id: String::new(),
        };
        let changed = registry.update_model(&human(), update(&first.etag)).await?;
        assert_eq!((changed.owner.as_str(), changed.display_name.as_str()), ("ada", "m"));
        assert_eq!(registry.update_model(&human(), update(&first.etag)).await.unwrap_err().reason(), "ETAG_MISMATCH");
        Ok(())
    })
    .await
}

fn output(n: usize, stakes: Stakes) -> Output {
    Output {
        asset_digest: digest::sha256(&n.to_le_bytes()),
        model_version: "models/m/versions/1".into(),
        task: "tasks/lead-scoring".into(),
        decision: "decisions/d".into(),
        stakes: stakes.into(),
        digital_source_type: DigitalSourceType::AlgorithmicMedia.into(),
        subject: format!("leads/lead-{n:05}"),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_idempotent_and_each_output_stands_for_itself() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let prompt = artifact(&registry, "prompt", ArtifactKind::Prompt).await?;
        approve_artifact(&registry, &prompt).await?;
        model(&registry, "m").await?;
        let one = version(&registry, "m", "1", std::slice::from_ref(&prompt)).await?;
        approve(&registry, &one.name).await?;
        let entry = |n: usize, stakes| OutputEntry { output_id: format!("o{n:05}"), output: Some(output(n, stakes)) };
        let mut entries: Vec<OutputEntry> = (0..5).map(|n| entry(n, Stakes::Low)).collect();
        entries.push(entry(5, Stakes::High));
        entries.push(entry(1, Stakes::Low));
        entries.push(OutputEntry { output_id: "o00002".into(), output: Some(output(9, Stakes::Low)) });
        let batch = RecordOutputsRequest { entries };
        let first = registry.record_outputs(&human(), batch.clone()).await?.results;
        let statuses: Vec<RecordStatus> = first.iter().map(RecordResult::status).collect();
        use RecordStatus::{Duplicate, Recorded, Refused};
        assert_eq!(statuses, [Recorded, Recorded, Recorded, Recorded, Recorded, Refused, Duplicate, Refused]);
        assert_eq!(first[5].reason, "TAGS_INCOMPLETE");
        assert!(first[5].message.contains("guardrail"), "{}", first[5].message);
        assert_eq!(first[0].warnings.len(), 1);
        assert_eq!(first[7].reason, "OUTPUT_ID_REUSED");
        let again = registry.record_outputs(&human(), batch).await?.results;
        let statuses: Vec<RecordStatus> = again.iter().map(RecordResult::status).collect();
        assert_eq!(statuses, [Duplicate, Duplicate, Duplicate, Duplicate, Duplicate, Refused, Duplicate, Refused]);

        let request = SearchOutputsRequest { artifact_version: prompt, page_size: 3, ..Default::default() };
        let page = registry.search_outputs(&human(), request.clone()).await?;
        assert_eq!(page.outputs.len(), 3);
        let rest = registry
            .search_outputs(&human(), SearchOutputsRequest { page_token: page.next_page_token, ..request })
            .await?;
        assert_eq!(rest.outputs.len(), 2);
        let request = SearchOutputsRequest {
            filter: format!("asset_digest = \"{}\" AND complete = false", digest::sha256(&3usize.to_le_bytes())),
            ..Default::default()
        };
        assert_eq!(registry.search_outputs(&human(), request).await?.outputs[0].name, "outputs/o00003");
        let summary = registry.summarize_outputs(&human(), SummarizeOutputsRequest::default()).await?;
        let total = summary.total.unwrap();
        assert_eq!((total.outputs, total.incomplete, total.unapproved, summary.distinct_assets), (5, 5, 0, 5));
        assert_eq!(summary.by_disclosure_status.get("UNDECIDED"), Some(&5));
        let export: Vec<ExportDisclosuresResponse> =
            registry.export_disclosures(&human(), ExportDisclosuresRequest::default())?.try_collect().await?;
        assert_eq!(export.iter().map(|part| part.records.len()).sum::<usize>(), 5);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_followed_both_ways() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let record = |id: &'static str, stage: OutputStage, parents: &[&str]| {
            let made = Output {
                asset_digest: digest::sha256(id.as_bytes()),
                task: "tasks/t".into(),
                digital_source_type: DigitalSourceType::DigitalCreation.into(),
                stakes: Stakes::High.into(),
                stage: stage.into(),
                parents: parents.iter().map(|p| format!("outputs/{p}")).collect(),
                ..Default::default()
            };
            let request = RecordOutputRequest { output_id: id.into(), output: Some(made), request_id: String::new() };
            let registry = registry.clone();
            async move { registry.record_output(&human(), request).await }
        };
        record("brief", OutputStage::Brief, &[]).await?;
        record("direction", OutputStage::Direction, &["brief"]).await?;
        record("copy-a", OutputStage::Copy, &["direction"]).await?;
        let copy = record("copy-b", OutputStage::Copy, &["direction", "lost"]).await?;
        assert_eq!(copy.warnings[0].reason, "PARENT_UNKNOWN");
        record("channel", OutputStage::Channel, &["copy-a", "copy-b"]).await?;
        let lineage = |name: &str, depth| GetLineageRequest { name: name.into(), max_depth: depth, direction: 0 };
        let all = registry.get_lineage(&human(), lineage("outputs/direction", 0)).await?;
        let depths: Vec<i32> = all.nodes.iter().map(|node| node.depth).collect();
        assert_eq!(depths, [-1, 0, 1, 1, 2]);
        assert_eq!(all.edges.len(), 5);
        assert!(!all.truncated);
        let near = registry.get_lineage(&human(), lineage("outputs/channel", 1)).await?;
        assert!(near.truncated);
        let up = registry.get_lineage(&human(), lineage("outputs/channel", 5)).await?;
        assert_eq!(up.unknown_parents, ["outputs/lost"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_voids_the_approval_of_an_automation() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        let message = Automation {
            display_name: "a".into(),
            owner: "dara".into(),
            functions: vec!["sales_ops".into(), "legal".into()],
            ..Default::default()
        };
        let request =
            CreateAutomationRequest { automation_id: "a".into(), automation: Some(message), ..Default::default() };
        let made = registry.create_automation(&human(), request).await?;
        let approve = |digest: &str| {
            let (name, content_digest) = (made.name.clone(), digest.to_owned());
            let request = ApproveAutomationRequest { name, content_digest, ..Default::default() };
            decided(&registry, "approve_automation", "registry.automations.approve", request)
        };
        let (council, request) = approve(&made.content_digest);
        registry.approve_automation(&council, request).await?;
        let update = |path: &str| UpdateAutomationRequest {
            automation: Some(Automation {
                name: made.name.clone(),
                owner: "ben".into(),
                data_flow: "x".into(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec![path.into()] }),
            request_id: String::new(),
        };
        assert_eq!(registry.update_automation(&human(), update("owner")).await?.state(), AutomationState::Approved);
        assert_eq!(registry.update_automation(&human(), update("data_flow")).await?.state(), AutomationState::Proposed);
        let (council, request) = approve(&made.content_digest);
        let stale = registry.approve_automation(&council, request).await;
        assert_eq!(stale.unwrap_err().reason(), "CONTENT_CHANGED");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_outputs_fits_into_a_few_batches() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        model(&registry, "m").await?;
        version(&registry, "m", "1", &[]).await?;
        for start in (0..8_000).step_by(1_000) {
            let entries = (start..start + 1_000)
                .map(|n| OutputEntry { output_id: format!("o{n:05}"), output: Some(output(n, Stakes::Low)) })
                .collect();
            let results = registry.record_outputs(&human(), RecordOutputsRequest { entries }).await?.results;
            assert!(results.iter().all(|result| result.status() == RecordStatus::Recorded));
        }
        let summary = registry.summarize_outputs(&human(), SummarizeOutputsRequest::default()).await?;
        assert_eq!(summary.by_model_version[0].unapproved, 8_000);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_alias_is_in_order_however_many_move_it_at_once() -> Result<()> {
    const CALLERS: usize = 24;
    each_engine(|db| async move {
        let registry = registry_at(&db, Arc::new(SystemClock)).await?;
        model(&registry, "m").await?;
        let mut versions = Vec::new();
        for id in ["1", "2"] {
            versions.push(version(&registry, "m", id, &[]).await?.name);
            approve(&registry, &versions[versions.len() - 1]).await?;
        }
        let moves = (0..CALLERS).map(|n| {
            let request = SetModelAliasRequest {
                model: "models/m".into(),
                alias: "champion".into(),
                version: versions[n % 2].clone(),
                request_id: format!("move-{n}"),
                ..Default::default()
            };
            let registry = registry.clone();
            tokio::spawn(async move { set_alias(&registry, request).await })
        });
        for moved in futures::future::join_all(moves.collect::<Vec<_>>()).await {
            moved.map_err(|_| Error::internal("a caller has panicked"))??;
        }
        let history = |alias: &str| {
            let request =
                ListAliasHistoryRequest { parent: "models/m".into(), alias: alias.into(), ..Default::default() };
            let registry = registry.clone();
            async move { registry.list_alias_history(&human(), request).await }
        };
        let by_sequence = history("champion").await?.changes;
        let sequences: Vec<i64> = by_sequence.iter().map(|change| change.sequence).collect();
        assert_eq!(sequences, (1..=CALLERS as i64).rev().collect::<Vec<_>>());
        let times: Vec<Timestamp> =
            by_sequence.iter().filter_map(|change| change.record_time.as_ref()).map(time::of).collect();
        assert!(times.is_sorted_by(|later, earlier| later >= earlier), "{times:?}");
        assert_eq!(history("").await?.changes, by_sequence);
        for pair in by_sequence.windows(2) {
            assert_eq!(pair[0].from_version, pair[1].to_version);
        }
        let model = registry.get_model(&human(), GetModelRequest { name: "models/m".into() }).await?;
        assert_eq!(model.aliases.get("champion"), Some(&by_sequence[0].to_version));
        for name in &versions {
            let found = registry.get_model_version(&human(), GetModelVersionRequest { name: name.clone() }).await?;
            assert_eq!(found.aliases.is_empty(), *name != by_sequence[0].to_version, "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_costs_no_more_statements_than_it_must() -> Result<()> {
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        model(&registry, "m").await?;
        let message = ModelVersion {
            provider: "in-house".into(),
            artifact_digest: digest::sha256(b"weights"),
            intended_use: "scoring".into(),
            owner: "dara".into(),
            ..Default::default()
        };
        let request = CreateModelVersionRequest {
            parent: "models/m".into(),
            model_version: Some(message),
            request_id: "create".into(),
            ..Default::default()
        };
        // The claim of the request id, the lock that draws the number, the version, two of the feed, two of the
        // outbox, the answer.
        let (made, cost) = counted(registry.create_model_version(&human(), request)).await;
        assert_eq!((made?.name.as_str(), cost), ("models/m/versions/1", 8));
        let update = UpdateModelRequest {
            model: Some(Model { name: "models/m".into(), owner: "ada".into(), ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["owner".into()] }),
            request_id: "update".into(),
        };
        let (updated, cost) = counted(registry.update_model(&human(), update)).await;
        assert_eq!((updated?.owner.as_str(), cost), ("ada", 6));
        let get = GetModelVersionRequest { name: "models/m/versions/1".into() };
        let (found, cost) = counted(registry.get_model_version(&human(), get)).await;
        assert_eq!((found?.name.as_str(), cost), ("models/m/versions/1", 1));
        let by_alias = GetModelVersionRequest { name: "models/m/aliases/champion".into() };
        let (found, cost) = counted(registry.get_model_version(&human(), by_alias)).await;
        assert_eq!((found.unwrap_err().reason(), cost), ("ALIAS_NOT_FOUND", 1));
        let history = ListAliasHistoryRequest { parent: "models/m".into(), ..Default::default() };
        let (found, cost) = counted(registry.list_alias_history(&human(), history)).await;
        assert_eq!((found?.changes.len(), cost), (0, 2));
        Ok(())
    })
    .await
}
