//! Reviewed work: from the brief to what is published, and every way back.

use super::super::cases;
use super::{
    CREATIVE, MODEL, PROMPT, REVISED, activate, claim, content, create, decide, deliver, director, get, grades,
    handoffs, maker, move_model, name, permit, publish, ready, requester, start, summary, trigger, triggered,
    until_denied, variants,
};
use crate::support::{Suite, reason};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::registry::v1::ModelVersionState;
use remit_core::digest;
use tonic::Code;

cases! {
    work_starts_when_brief_and_budget_are_there: UpdateHandoff, RecordTrigger, CreateHandoff;
    ai_runs_only_with_scorings_permission: StartRun, FailRun;
    eighty_is_accepted_and_a_hundredth_less_is_returned: SubmitVariants, ClaimReview, PublishHandoff;
    only_eligible_people_decide: ReleaseReview, SubmitReview;
    an_edit_voids_the_signature: EditVariant, LinkFollowUp;
    two_failures_escalate_once_and_a_person_leads: CompleteTriage;
    people_can_override_at_every_step: EscalateHandoff, OverrideHandoff, CancelHandoff, SuspendHandoff, ResumeHandoff;
    a_suspended_model_is_not_published;
    ai_calls_for_people: EscalateHandoff;
}

async fn work_starts_when_brief_and_budget_are_there(suite: Suite) {
    activate(&suite, CREATIVE).await;
    let created = create(&suite, "h").await;
    assert_eq!(created.state(), State::Draft);
    let mut client = handoffs(&requester(&suite));
    let open = pb::Handoff {
        name: name("h"),
        brief: Some(pb::Brief { audience: "CFOs".into(), ..Default::default() }),
        ..Default::default()
    };
    let mask = || Some(prost_types::FieldMask { paths: vec!["brief".into()] });
    let edit = |handoff| pb::UpdateHandoffRequest { handoff: Some(handoff), update_mask: mask(), ..Default::default() };
    let edited = client.update_handoff(edit(open)).await.unwrap().into_inner();
    assert_ne!(edited.brief.unwrap().digest, created.brief.as_ref().unwrap().digest);
    let refused = trigger(&suite, "h", "brief.finalized").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "BRIEF_INCOMPLETE"));
    assert!(refused.message().contains("how will we know?"), "{}", refused.message());
    client.update_handoff(edit(pb::Handoff { name: name("h"), ..created.clone() })).await.unwrap_err();
    client.update_handoff(edit(pb::Handoff { etag: String::new(), ..created })).await.unwrap();

    assert_eq!(trigger(&suite, "h", "budget.approved").await.unwrap().state(), State::Draft);
    assert_eq!(reason(&trigger(&suite, "h", "moon.full").await.unwrap_err()), "TRIGGER_UNKNOWN");
    let triggered = trigger(&suite, "h", "brief.finalized").await.unwrap();
    assert_eq!((triggered.state(), triggered.trigger_events.len()), (State::Triggered, 2));
    let late = pb::Handoff { name: name("h"), ..Default::default() };
    assert_eq!(reason(&client.update_handoff(edit(late)).await.unwrap_err()), "HANDOFF_STATE");
    let listed = client
        .list_handoffs(pb::ListHandoffsRequest {
            filter: "state = TRIGGERED AND channel = \"email\"".into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.handoffs.len(), 1);
}

async fn ai_runs_only_with_scorings_permission(suite: Suite) {
    activate(&suite, CREATIVE).await;
    triggered(&suite, "h").await;
    let refused = start(&suite, "h", PROMPT).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "TASK_NOT_PERMITTED"));
    assert!(refused.message().contains(MODEL), "{}", refused.message());
    permit(&suite).await;
    let running = start(&suite, "h", PROMPT).await.unwrap();
    assert_eq!((running.state(), running.iteration), (State::AiRunning, 1));
    let mut client = handoffs(&maker(&suite));
    let failed = pb::FailRunRequest { name: name("h"), reason: "out of memory".into(), ..Default::default() };
    let failed = client.fail_run(failed).await.unwrap().into_inner();
    assert_eq!((failed.state(), failed.iteration), (State::Triggered, 0));
    start(&suite, "h", PROMPT).await.unwrap();
    for wrong in [variants(1, 11), variants(1, 13)] {
        let request = pb::SubmitVariantsRequest { name: name("h"), variants: wrong, ..Default::default() };
        assert_eq!(reason(&client.submit_variants(request).await.unwrap_err()), "VARIANTS_INVALID");
    }
    assert_eq!(reason(&start(&suite, "h", PROMPT).await.unwrap_err()), "HANDOFF_STATE");
}

async fn eighty_is_accepted_and_a_hundredth_less_is_returned(suite: Suite) {
    ready(&suite).await;
    let carl = director(&suite);
    for (id, best, accepted) in [
        ("at-80", [70.0, 95.0, 75.0], true),
        ("below-80", [70.0, 95.0, 74.97], false),
        ("legal-at-95", [100.0, 85.0, 100.0], false),
    ] {
        triggered(&suite, id).await;
        deliver(&suite, id, 1, PROMPT).await;
        claim(&carl, id).await.unwrap();
        if !accepted {
            let refused = decide(&carl, id, 1, best, "").await.unwrap_err();
            assert_eq!(reason(&refused), "PROMPT_VERSION_REQUIRED");
        }
        let decided = decide(&carl, id, 1, best, REVISED).await.unwrap();
        let expected = if accepted { State::Accepted } else { State::Returned };
        assert_eq!(decided.state(), expected, "{id}");
        let review = &decided.reviews[0];
        assert_eq!(review.signature.is_some(), accepted);
        assert!(review.offered_at.is_some() && review.decision_latency.is_some());
    }
    let legal = get(&suite, "legal-at-95").await;
    assert_eq!(
        (legal.reviews[0].variants[0].total, legal.reviews[0].variants[0].failed_items.clone()),
        (95.0, vec!["legal".to_owned()])
    );
    assert_eq!(reason(&start(&suite, "legal-at-95", PROMPT).await.unwrap_err()), "PROMPT_NOT_NAMED");
    deliver(&suite, "legal-at-95", 2, REVISED).await;
    let parent = name("legal-at-95");
    let kept = handoffs(&carl)
        .list_variants(pb::ListVariantsRequest { parent, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(kept.variants.len(), 24);
    assert_eq!(kept.variants[0].fate(), pb::VariantFate::Failed);
    assert_eq!(kept.variants[11].fate(), pb::VariantFate::NotReviewed);

    assert_eq!(reason(&publish(&suite, "below-80", "v01", &content(1, 1)).await.unwrap_err()), "HANDOFF_STATE");
    assert_eq!(reason(&publish(&suite, "at-80", "v02", &content(1, 2)).await.unwrap_err()), "SIGNATURE_REQUIRED");
    assert_eq!(reason(&publish(&suite, "at-80", "v01", &content(9, 9)).await.unwrap_err()), "CONTENT_CHANGED");
    let published = publish(&suite, "at-80", "v01", &content(1, 1)).await.unwrap();
    assert_eq!(published.state(), State::Published);
    let counts = summary(&suite).await;
    assert_eq!((counts.created_count, counts.published_count), (3, 1));
    let rate = counts.human_intervention.unwrap();
    assert_eq!((rate.count, rate.total), (0, 1));
    assert_eq!(counts.decision_latency.unwrap().count, 3);
    assert_eq!(counts.model_grades[0].graded_count, 9);
}

async fn only_eligible_people_decide(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    let rita = suite.human("rita", &["operator"], &["creative_director"]);
    let refused = claim(&rita, "h").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "REVIEWER_NOT_ELIGIBLE"));
    let eve = suite.human("eve", &["operator"], &["legal"]);
    assert_eq!(reason(&claim(&eve, "h").await.unwrap_err()), "NOT_OF_THIS_GATE");
    assert_eq!(claim(&maker(&suite), "h").await.unwrap_err().code(), Code::PermissionDenied);
    let carl = director(&suite);
    assert_eq!(reason(&decide(&carl, "h", 1, [99.0; 3], "").await.unwrap_err()), "REVIEW_NOT_CLAIMED");
    claim(&carl, "h").await.unwrap();
    let dora = suite.human("dora", &["operator"], &["creative_delegate"]);
    assert_eq!(reason(&claim(&dora, "h").await.unwrap_err()), "REVIEW_CLAIMED");
    let release = pb::ReleaseReviewRequest { name: name("h"), ..Default::default() };
    handoffs(&carl).release_review(release).await.unwrap();
    claim(&dora, "h").await.unwrap();
    let one =
        pb::SubmitReviewRequest { name: name("h"), variants: vec![grades(1, 1, [99.0; 3])], ..Default::default() };
    assert_eq!(reason(&handoffs(&dora).submit_review(one).await.unwrap_err()), "VARIANTS_INVALID");
    let decided = decide(&dora, "h", 1, [99.0; 3], "").await.unwrap();
    assert_eq!(decided.reviews[0].reviewer.as_ref().unwrap().subject, "dora");
}

async fn an_edit_voids_the_signature(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    let carl = director(&suite);
    claim(&carl, "h").await.unwrap();
    decide(&carl, "h", 1, [99.0; 3], "").await.unwrap();
    let after = digest::sha256(b"one byte more");
    let edit = pb::EditVariantRequest {
        name: name("h"),
        variant: "v01".into(),
        before_digest: content(1, 1),
        content_digest: after.clone(),
        reason: Some(pb::Reason { code: pb::ReasonCode::FactualError.into(), text: "wrong year".into() }),
        ..Default::default()
    };
    let edited = handoffs(&carl).edit_variant(edit.clone()).await.unwrap().into_inner();
    assert_eq!(edited.state(), State::InReview);
    let signature = edited.reviews[0].signature.clone().unwrap();
    assert_eq!(signature.void_reason, "EDIT");
    assert!(signature.void_time.is_some());
    assert_eq!(reason(&publish(&suite, "h", "v01", &content(1, 1)).await.unwrap_err()), "HANDOFF_STATE");
    let again =
        pb::EditVariantRequest { content_digest: digest::sha256(b"another"), request_id: "again".into(), ..edit };
    let refused = handoffs(&carl).edit_variant(again).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CONTENT_CHANGED"));

    claim(&carl, "h").await.unwrap();
    let stale = decide(&carl, "h", 1, [99.0; 3], "").await.unwrap_err();
    assert_eq!(reason(&stale), "CONTENT_CHANGED");
    let seen = pb::VariantReview { content_digest: after.clone(), ..grades(1, 1, [99.0; 3]) };
    let request = pb::SubmitReviewRequest {
        name: name("h"),
        variants: vec![seen, grades(1, 2, [50.0; 3]), grades(1, 3, [50.0; 3])],
        ..Default::default()
    };
    handoffs(&carl).submit_review(request).await.unwrap();
    publish(&suite, "h", "v01", &after).await.unwrap();

    let overrides = handoffs(&carl)
        .list_overrides(pb::ListOverridesRequest {
            filter: "reason = FACTUAL_ERROR AND kind = EDIT".into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .overrides;
    assert_eq!(
        (overrides.len(), overrides[0].before_digest.clone(), overrides[0].after_digest.clone()),
        (1, content(1, 1), after)
    );
    let link = pb::LinkFollowUpRequest {
        name: overrides[0].name.clone(),
        follow_up: "actionItems/7".into(),
        ..Default::default()
    };
    let linked = handoffs(&carl).link_follow_up(link).await.unwrap().into_inner();
    assert_eq!(linked.follow_ups, ["actionItems/7"]);
    let counts = summary(&suite).await;
    assert_eq!((counts.override_count, counts.overrides_without_follow_up), (1, 0));
    let rate = counts.human_intervention.unwrap();
    assert_eq!((rate.count, rate.total, rate.ratio), (1, 1, Some(1.0)));
}

async fn two_failures_escalate_once_and_a_person_leads(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    let carl = director(&suite);
    for (iteration, prompt) in [(1, PROMPT), (2, REVISED)] {
        deliver(&suite, "h", iteration, prompt).await;
        claim(&carl, "h").await.unwrap();
        decide(&carl, "h", iteration, [50.0; 3], REVISED).await.unwrap();
    }
    let escalated = get(&suite, "h").await;
    assert_eq!((escalated.state(), escalated.iteration), (State::Escalated, 2));
    let triage = escalated.triage.unwrap();
    assert_eq!((triage.name.as_str(), triage.duration.unwrap().seconds), ("handoffs/h/triage", 1_800));
    assert_eq!(reason(&start(&suite, "h", REVISED).await.unwrap_err()), "HANDOFF_STATE");
    let complete = pb::CompleteTriageRequest { name: name("h"), outcome: "a new angle".into(), ..Default::default() };
    let led = handoffs(&carl).complete_triage(complete).await.unwrap().into_inner();
    assert_eq!((led.state(), led.human_led), (State::HumanLed, true));
    let by = |caller| {
        (
            handoffs(caller),
            pb::SubmitVariantsRequest { name: name("h"), variants: variants(3, 2), ..Default::default() },
        )
    };
    let ai = maker(&suite);
    let (mut client, request) = by(&ai);
    assert_eq!(reason(&client.submit_variants(request).await.unwrap_err()), "HUMAN_REQUIRED");
    let wanda = suite.human("wanda", &["operator"], &["creative_director"]);
    let (mut client, request) = by(&wanda);
    let third = client.submit_variants(request).await.unwrap().into_inner();
    assert_eq!((third.state(), third.iteration, third.human_led), (State::InReview, 3, true));
    assert_eq!(reason(&claim(&wanda, "h").await.unwrap_err()), "REVIEWER_NOT_ELIGIBLE");
    claim(&carl, "h").await.unwrap();
    let request = pb::SubmitReviewRequest {
        name: name("h"),
        variants: vec![grades(3, 1, [90.0, 95.0, 90.0]), grades(3, 2, [40.0; 3])],
        ..Default::default()
    };
    handoffs(&carl).submit_review(request).await.unwrap();
    publish(&suite, "h", "v01", &content(3, 1)).await.unwrap();
    let counts = summary(&suite).await;
    assert_eq!((counts.escalations[0].key.as_str(), counts.escalations[0].count), ("ITERATIONS", 1));
    assert_eq!((counts.iterations[0].key.as_str(), counts.iterations[0].count), ("3", 1));
    assert_eq!(counts.rework_by_channel[0].count, 2);
}

async fn people_can_override_at_every_step(suite: Suite) {
    ready(&suite).await;
    let carl = director(&suite);
    let mut client = handoffs(&carl);
    let because = || Some(pb::Reason { code: pb::ReasonCode::OffStrategy.into(), text: String::new() });
    let override_ = |id: &str, kind: pb::OverrideKind, prompt: &str| pb::OverrideHandoffRequest {
        name: name(id),
        kind: kind.into(),
        reason: because(),
        next_prompt_version: prompt.into(),
        ..Default::default()
    };
    triggered(&suite, "reject").await;
    deliver(&suite, "reject", 1, PROMPT).await;
    claim(&carl, "reject").await.unwrap();
    decide(&carl, "reject", 1, [99.0; 3], "").await.unwrap();
    let refused = client.override_handoff(override_("reject", pb::OverrideKind::Reject, "")).await.unwrap_err();
    assert_eq!(reason(&refused), "PROMPT_VERSION_REQUIRED");
    let other = pb::OverrideHandoffRequest {
        reason: Some(pb::Reason { code: pb::ReasonCode::Other.into(), text: String::new() }),
        ..override_("reject", pb::OverrideKind::Reject, REVISED)
    };
    assert_eq!(reason(&client.override_handoff(other).await.unwrap_err()), "REASON_TEXT_REQUIRED");
    let rejected =
        client.override_handoff(override_("reject", pb::OverrideKind::Reject, REVISED)).await.unwrap().into_inner();
    assert_eq!((rejected.state(), rejected.override_count), (State::Returned, 1));
    start(&suite, "reject", REVISED).await.unwrap();
    let taken =
        client.override_handoff(override_("reject", pb::OverrideKind::Takeover, "")).await.unwrap().into_inner();
    assert_eq!((taken.state(), taken.human_led), (State::HumanLed, true));

    triggered(&suite, "back").await;
    deliver(&suite, "back", 1, PROMPT).await;
    claim(&carl, "back").await.unwrap();
    decide(&carl, "back", 1, [99.0; 3], "").await.unwrap();
    publish(&suite, "back", "v01", &content(1, 1)).await.unwrap();
    let back = client.override_handoff(override_("back", pb::OverrideKind::Rollback, "")).await.unwrap().into_inner();
    assert_eq!((back.state(), back.variants[0].fate()), (State::HumanLed, pb::VariantFate::Withdrawn));

    triggered(&suite, "escalate").await;
    deliver(&suite, "escalate", 1, PROMPT).await;
    let escalate =
        pb::EscalateHandoffRequest { name: name("escalate"), reason: "too hot".into(), ..Default::default() };
    let escalated = client.escalate_handoff(escalate).await.unwrap().into_inner();
    assert_eq!(escalated.state(), State::Escalated);
    let suspend = pb::SuspendHandoffRequest { name: name("escalate"), reason: "strike".into(), ..Default::default() };
    assert_eq!(client.suspend_handoff(suspend).await.unwrap().into_inner().state(), State::Suspended);
    let resume = pb::ResumeHandoffRequest { name: name("escalate"), ..Default::default() };
    assert_eq!(client.resume_handoff(resume).await.unwrap().into_inner().state(), State::Escalated);
    let cancel =
        pb::CancelHandoffRequest { name: name("escalate"), reason: "no longer needed".into(), ..Default::default() };
    assert_eq!(client.cancel_handoff(cancel).await.unwrap().into_inner().state(), State::Cancelled);

    let counts = summary(&suite).await;
    let kinds: Vec<(&str, i64)> = counts.overrides_by_kind.iter().map(|kind| (kind.key.as_str(), kind.count)).collect();
    assert_eq!(kinds, [("REJECT", 1), ("ROLLBACK", 1), ("TAKEOVER", 1)]);
    assert_eq!(counts.overrides_by_reason[0].key, "OFF_STRATEGY");
    assert_eq!(counts.escalations[0].key, "PERSON");
}

async fn a_suspended_model_is_not_published(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    deliver(&suite, "h", 1, PROMPT).await;
    let carl = director(&suite);
    claim(&carl, "h").await.unwrap();
    decide(&carl, "h", 1, [99.0; 3], "").await.unwrap();
    move_model(&suite, &suite.admin(), ModelVersionState::Suspended).await;
    until_denied(&suite).await;
    let refused = publish(&suite, "h", "v01", &content(1, 1)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "TASK_NOT_PERMITTED"));
    assert!(refused.message().contains("MODEL_SUSPENDED"), "{}", refused.message());
}

/// Work may become more human at any time, and that is the only thing about it that AI decides.
async fn ai_calls_for_people(suite: Suite) {
    ready(&suite).await;
    triggered(&suite, "h").await;
    start(&suite, "h", PROMPT).await.unwrap();
    let mut ai = handoffs(&maker(&suite));
    let escalate = pb::EscalateHandoffRequest {
        name: name("h"),
        reason: "the brief contradicts the style guide".into(),
        ..Default::default()
    };
    let escalated = ai.escalate_handoff(escalate).await.unwrap().into_inner();
    assert_eq!(escalated.state(), State::Escalated);
    assert_eq!(escalated.triage.unwrap().cause(), pb::TriageCause::Machine);
    let complete = pb::CompleteTriageRequest { name: name("h"), outcome: "go on".into(), ..Default::default() };
    assert_eq!(reason(&ai.complete_triage(complete).await.unwrap_err()), "ACTOR_KIND_NOT_ALLOWED");
    let resume = pb::ResumeHandoffRequest { name: name("h"), ..Default::default() };
    assert_eq!(reason(&ai.resume_handoff(resume).await.unwrap_err()), "ACTOR_KIND_NOT_ALLOWED");
    assert_eq!(summary(&suite).await.escalations[0].key, "MACHINE");
}
