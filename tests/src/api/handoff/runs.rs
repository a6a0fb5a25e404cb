//! Runs: only with what is there and approved, and never into a gate under a hold.

use super::super::cases;
use super::super::registry::{
    approve_artifact, create_artifact, create_model, create_version, decided, evaluate, models, transition,
};
use super::leads::{batch, lead, route, route_batches};
use super::{
    CREATIVE, GUARDRAIL, MODEL, PROMPT, ROUTING, STYLE_GUIDE, TASK, activate, claim, content, decide, deliver,
    director, get, handoffs, listed, maker, name, permit, publish, ready, requester, start, start_with, triggered,
    variants,
};
use crate::support::{Suite, eventually, reason};
use remit_api::council::v1 as council;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::registry::v1 as registry;
use remit_api::registry::v1::artifact_service_client::ArtifactServiceClient;
use remit_api::scoring::v1 as scoring;
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::types::Stakes;
use remit_api::wire::Mandated as _;
use tonic::Code;

cases! {
    a_run_starts_only_with_what_exists_and_is_approved: StartRun;
    a_run_keeps_to_what_the_approval_requires: StartRun;
    a_guardrail_that_was_withdrawn_since_is_neither_taken_in_nor_published;
    high_stakes_ask_for_their_version_tags_before_the_run: StartRun;
    a_held_gate_takes_no_variants: OverrideHandoff;
    a_held_gate_routes_no_leads_on_any_path: RouteLead, RouteLeads;
    work_names_a_task_that_is_there: CreateHandoff;
}

fn inputs() -> pb::RunInputs {
    pb::RunInputs {
        model_version: MODEL.into(),
        prompt_version: PROMPT.into(),
        guardrail_version: GUARDRAIL.into(),
        style_guide_version: STYLE_GUIDE.into(),
    }
}

async fn a_run_starts_only_with_what_exists_and_is_approved(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    let draft = create_artifact(&suite, "draft", registry::ArtifactKind::Prompt).await;
    let missing = "artifacts/prompt/versions/9";
    let refusals = [
        (pb::RunInputs { prompt_version: "whatever".into(), ..inputs() }, "ARTIFACT_VERSION_NOT_FOUND"),
        (pb::RunInputs { prompt_version: missing.into(), ..inputs() }, "ARTIFACT_VERSION_NOT_FOUND"),
        (
            pb::RunInputs { prompt_version: "artifacts/prompt/labels/latest".into(), ..inputs() },
            "ARTIFACT_VERSION_NOT_FOUND",
        ),
        (pb::RunInputs { guardrail_version: missing.into(), ..inputs() }, "ARTIFACT_VERSION_NOT_FOUND"),
        (pb::RunInputs { style_guide_version: missing.into(), ..inputs() }, "ARTIFACT_VERSION_NOT_FOUND"),
        (pb::RunInputs { prompt_version: draft.name.clone(), ..inputs() }, "ARTIFACT_NOT_APPROVED"),
        (pb::RunInputs { prompt_version: GUARDRAIL.into(), ..inputs() }, "ARTIFACT_KIND"),
        (pb::RunInputs { guardrail_version: STYLE_GUIDE.into(), ..inputs() }, "ARTIFACT_KIND"),
    ];
    for (inputs, expected) in refusals {
        let refused = start_with(&suite, "h", inputs).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{}", refused.message());
        assert_eq!(get(&suite, "h").await.state(), State::Triggered);
    }
    approve_artifact(&suite, &draft).await;
    let running = start_with(&suite, "h", pb::RunInputs { prompt_version: draft.name, ..inputs() }).await.unwrap();
    assert_eq!(running.state(), State::AiRunning);
}

async fn a_run_keeps_to_what_the_approval_requires(suite: Suite) {
    ready(&suite).await;
    let looser = create_artifact(&suite, "looser", registry::ArtifactKind::Guardrail).await;
    approve_artifact(&suite, &looser).await;
    create_model(&suite, "strict").await.unwrap();
    let version = create_version(&suite, "strict", &[GUARDRAIL.to_owned()]).await;
    evaluate(&suite, &version, true).await;
    transition(&suite.admin(), &version, registry::ModelVersionState::Evaluating).await.unwrap();
    let terms = registry::ApprovalTerms { required_artifacts: vec![GUARDRAIL.into()], ..Default::default() };
    let approval = registry::TransitionModelVersionRequest {
        purposes: vec!["tests".into()],
        terms: Some(terms),
        ..decided(&suite, &version, registry::ModelVersionState::Approved).await.bare()
    };
    let approval = suite.mandated("promote_model", "registry.versions.transition", approval);
    models(&suite.admin()).transition_model_version(approval).await.unwrap();
    let decisions = DecisionServiceClient::new(suite.admin().to("scoring"));
    eventually("scoring permits the version", || async {
        let check =
            scoring::CheckTaskRequest { task: TASK.into(), model_version: version.clone(), ..Default::default() };
        decisions.clone().check_task(check).await.unwrap().into_inner().verdict() == scoring::Verdict::Permit
    })
    .await;
    triggered(&suite, "h").await;
    let with = |guardrail: &str| pb::RunInputs {
        model_version: version.clone(),
        guardrail_version: guardrail.into(),
        ..inputs()
    };
    for other in [looser.name.as_str(), ""] {
        let refused = start_with(&suite, "h", with(other)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "APPROVAL_CONDITION_UNMET"));
        assert!(refused.message().contains(GUARDRAIL), "{}", refused.message());
    }
    assert_eq!(start_with(&suite, "h", with(GUARDRAIL)).await.unwrap().state(), State::AiRunning);
}

async fn a_guardrail_that_was_withdrawn_since_is_neither_taken_in_nor_published(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    let carl = director(&suite);
    claim(&carl, "h").await.unwrap();
    decide(&carl, "h", 1, [99.0; 3], "").await.unwrap();
    triggered(&suite, "running").await;
    start(&suite, "running", PROMPT).await.unwrap();
    let withdraw = registry::WithdrawArtifactVersionRequest {
        name: GUARDRAIL.into(),
        reason: "it lets health claims pass".into(),
        ..Default::default()
    };
    ArtifactServiceClient::new(suite.admin().to("registry")).withdraw_artifact_version(withdraw).await.unwrap();
    // What was under way is not taken in, so that nobody reviews it for nothing.
    let submit = pb::SubmitVariantsRequest { name: name("running"), variants: variants(1, 12), ..Default::default() };
    let late = handoffs(&maker(&suite)).submit_variants(submit).await.unwrap_err();
    for refused in [late, publish(&suite, "h", "v01", &content(1, 1)).await.unwrap_err()] {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        // Whichever of the two hears of it first: the registry of the artifact, or scoring of what depends on it.
        assert!(["ARTIFACT_NOT_APPROVED", "TASK_NOT_PERMITTED"].contains(&reason(&refused).as_str()), "{refused:?}");
    }
    assert_eq!(get(&suite, "h").await.state(), State::Accepted);
    assert_eq!(get(&suite, "running").await.state(), State::AiRunning);
}

async fn high_stakes_ask_for_their_version_tags_before_the_run(suite: Suite) {
    ready(&suite).await;
    // Stricter than before: nobody has to agree.
    let mut client = super::gates(&suite.admin());
    let next = pb::CreateGateVersionRequest {
        gate_id: "creative-approval".into(),
        gate_version: Some(pb::GateVersion { stakes: Stakes::High.into(), ..Default::default() }),
        base: format!("{CREATIVE}/versions/active"),
        ..Default::default()
    };
    let next = client.create_gate_version(next).await.unwrap().into_inner();
    let activation = pb::ActivateGateVersionRequest { name: next.name, ..Default::default() };
    client.activate_gate_version(activation).await.unwrap();
    triggered(&suite, "h").await;
    let bare = pb::RunInputs { guardrail_version: String::new(), ..inputs() };
    assert_eq!(reason(&start_with(&suite, "h", bare).await.unwrap_err()), "VERSION_TAGS_MISSING");
    assert_eq!(start(&suite, "h", PROMPT).await.unwrap().state(), State::AiRunning);
}

/// Holds a gate, and waits until scoring has heard of it.
async fn hold(suite: &Suite, gate: &str) {
    let hold = council::Hold {
        scope: Some(council::Scope { target: Some(council::scope::Target::Gate(gate.into())) }),
        reason: "complaints from two customers".into(),
        ..Default::default()
    };
    let engage = council::EngageHoldRequest { hold_id: "stop".into(), hold: Some(hold), ..Default::default() };
    let mia = suite.human("mia", &["member"], &["marketing_lead"]);
    HoldServiceClient::new(mia.to("council")).engage_hold(engage).await.unwrap();
    let decisions = DecisionServiceClient::new(suite.admin().to("scoring"));
    eventually("scoring has heard of the hold", || async {
        let check = scoring::CheckTaskRequest {
            task: TASK.into(),
            model_version: MODEL.into(),
            gate: gate.into(),
            ..Default::default()
        };
        let answer = decisions.clone().check_task(check).await.unwrap().into_inner();
        answer.reasons.iter().any(|reason| reason.code == "HOLD_ENGAGED")
    })
    .await;
}

async fn a_held_gate_routes_no_leads_on_any_path(suite: Suite) {
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    hold(&suite, ROUTING).await;
    let hot = |id: &str| lead(id, Some(0.95), Some(0.95));
    let one = route(&suite, hot("one")).await.unwrap();
    let batches = vec![batch(1, vec![hot("two"), hot("three")]), batch(2, vec![hot("four")])];
    let answers = route_batches(&suite, batches).await;
    let routings: Vec<_> = std::iter::once(one).chain(answers.into_iter().flat_map(|answer| answer.routings)).collect();
    assert_eq!(routings.len(), 4);
    for routing in routings {
        let sent = (routing.destination(), routing.state(), routing.owner.as_str());
        assert_eq!(sent, (pb::Destination::Nurture, pb::RoutingState::Nurture, ""), "{}", routing.name);
        let held = routing.denial_reasons.iter().any(|reason| reason.contains("HOLD_ENGAGED"));
        assert!(held, "{:?}", routing.denial_reasons);
        // Nor does somebody who is none of the gate's people send it past the hold alone.
        let eve = suite.human("eve", &["operator"], &["legal"]);
        let review = pb::ReviewRoutingRequest {
            name: routing.name,
            destination: pb::Destination::Sales.into(),
            reason: Some(pb::Reason { code: pb::ReasonCode::Privacy.into(), text: String::new() }),
            ..Default::default()
        };
        let proposed = super::routing(&eve).review_routing(review).await.unwrap().into_inner();
        assert_eq!((proposed.state(), proposed.owner.as_str()), (pb::RoutingState::Held, ""), "{}", proposed.name);
    }
}

async fn a_held_gate_takes_no_variants(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    triggered(&suite, "later").await;
    start(&suite, "h", PROMPT).await.unwrap();
    hold(&suite, CREATIVE).await;
    let submit = pb::SubmitVariantsRequest { name: name("h"), variants: variants(1, 12), ..Default::default() };
    let refused = handoffs(&maker(&suite)).submit_variants(submit).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "HOLD_ENGAGED"));
    let held = get(&suite, "h").await;
    assert_eq!((held.state(), held.variants.len(), held.holds.len()), (State::AiRunning, 0, 1));
    assert!(held.holds[0].contains("complaints from two customers"), "{:?}", held.holds);
    let refused = start(&suite, "later", PROMPT).await.unwrap_err();
    assert_eq!(reason(&refused), "HOLD_ENGAGED");
    assert_eq!(suite.entries("action = \"handoff.handoffs.hold\"").await.len(), 2);
    // People go on: a hold stops AI.
    let takeover = pb::OverrideHandoffRequest {
        name: name("h"),
        kind: pb::OverrideKind::Takeover.into(),
        reason: Some(pb::Reason { code: pb::ReasonCode::Privacy.into(), text: String::new() }),
        ..Default::default()
    };
    let led = handoffs(&director(&suite)).override_handoff(takeover).await.unwrap().into_inner();
    assert_eq!(led.state(), State::HumanLed);
}

async fn work_names_a_task_that_is_there(suite: Suite) {
    activate(&suite, CREATIVE).await;
    listed(&suite, super::AUTOMATIC, |_| {}).await;
    let mut client = handoffs(&requester(&suite));
    let handoff = |task: &str| pb::Handoff { gate: CREATIVE.into(), task: task.into(), ..Default::default() };
    let create = |id: &str, task: &str| pb::CreateHandoffRequest {
        handoff_id: id.into(),
        handoff: Some(handoff(task)),
        ..Default::default()
    };
    let refused = client.create_handoff(create("h", "tasks/mispelt")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "TASK_NOT_FOUND"));
    let made = client.create_handoff(create("h", TASK)).await.unwrap().into_inner();
    let edit = |task: &str| pb::UpdateHandoffRequest {
        handoff: Some(pb::Handoff { name: made.name.clone(), task: task.into(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["task".into()] }),
        ..Default::default()
    };
    assert_eq!(reason(&client.update_handoff(edit("tasks/mispelt")).await.unwrap_err()), "TASK_NOT_FOUND");
    let nowhere = pb::CreateHandoffRequest {
        handoff: Some(pb::Handoff { gate: "gates/none".into(), ..handoff(TASK) }),
        ..create("nowhere", TASK)
    };
    assert_eq!(reason(&client.create_handoff(nowhere).await.unwrap_err()), "GATE_NOT_FOUND");
}
