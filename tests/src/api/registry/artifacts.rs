//! The cases of the registry's artifacts and automations.

use super::*;
use crate::api::cases;

cases! {
    only_the_council_approves_an_artifact: UpdateArtifact, ApproveArtifactVersion, SetArtifactLabel;
    an_edit_voids_the_approval_of_an_automation:
        CreateAutomation, UpdateAutomation, ApproveAutomation, SuspendAutomation, RetireAutomation;
}

async fn only_the_council_approves_an_artifact(suite: Suite) {
    let (author, council) = (suite.admin(), suite.service("council"));
    let one = create_artifact(&suite, "style", ArtifactKind::StyleGuide).await;
    let approve = ApproveArtifactVersionRequest {
        name: one.name.clone(),
        content_digest: one.content_digest.clone(),
        ..Default::default()
    };
    for caller in [&author, &council] {
        assert_eq!(refusal(artifacts(caller).approve_artifact_version(approve.clone()).await), "MANDATE_REQUIRED");
    }
    let other = ApproveArtifactVersionRequest { content_digest: digest::sha256(b"other"), ..approve };
    let other = suite.mandated("approve_artifact", "registry.artifact_versions.approve", other);
    assert_eq!(refusal(artifacts(&council).approve_artifact_version(other).await), "CONTENT_CHANGED");
    let label = |version: &ArtifactVersion| SetArtifactLabelRequest {
        artifact: "artifacts/style".into(),
        label: "production".into(),
        version: version.name.clone(),
        ..Default::default()
    };
    assert_eq!(refusal(artifacts(&author).set_artifact_label(label(&one)).await), "ARTIFACT_NOT_APPROVED");
    approve_artifact(&suite, &one).await;
    artifacts(&author).set_artifact_label(label(&one)).await.unwrap();

    let left = add_artifact_version(&suite, "artifacts/style", "shorter", &one.name).await;
    let right = add_artifact_version(&suite, "artifacts/style", "warmer", &one.name).await;
    assert_eq!((left.base_version.as_str(), right.base_version.as_str()), (one.name.as_str(), one.name.as_str()));
    approve_artifact(&suite, &right).await;
    artifacts(&author).set_artifact_label(label(&right)).await.unwrap();
    let by_label = GetArtifactVersionRequest { name: "artifacts/style/labels/production".into() };
    let found = artifacts(&author).get_artifact_version(by_label.clone()).await.unwrap().into_inner();
    assert_eq!((found.name.as_str(), found.content.as_slice()), (right.name.as_str(), b"warmer".as_slice()));
    let request =
        WithdrawArtifactVersionRequest { name: right.name.clone(), reason: "too warm".into(), ..Default::default() };
    artifacts(&author).withdraw_artifact_version(request).await.unwrap();
    assert_eq!(refusal(artifacts(&author).get_artifact_version(by_label).await), "LABEL_NOT_FOUND");
    let request = ListArtifactLabelHistoryRequest { parent: "artifacts/style".into(), ..Default::default() };
    let history = artifacts(&author).list_artifact_label_history(request).await.unwrap().into_inner().changes;
    assert_eq!(history.len(), 3);

    let update = UpdateArtifactRequest {
        artifact: Some(Artifact {
            name: "artifacts/style".into(),
            description: "how we speak".into(),
            ..Default::default()
        }),
        update_mask: mask(&["description"]),
        request_id: String::new(),
    };
    assert_eq!(artifacts(&author).update_artifact(update).await.unwrap().into_inner().description, "how we speak");
    let request = ListArtifactsRequest { filter: "kind = \"STYLE_GUIDE\"".into(), ..Default::default() };
    assert_eq!(artifacts(&author).list_artifacts(request).await.unwrap().into_inner().artifacts.len(), 1);
    let request = ListArtifactVersionsRequest {
        parent: "artifacts/-".into(),
        filter: "state = \"DRAFT\"".into(),
        ..Default::default()
    };
    let drafts = artifacts(&author).list_artifact_versions(request).await.unwrap().into_inner().artifact_versions;
    assert_eq!(drafts.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), [left.name.as_str()]);
}

async fn an_edit_voids_the_approval_of_an_automation(suite: Suite) {
    let (person, council) = (suite.admin(), suite.service("council"));
    create_model(&suite, "m").await.unwrap();
    let version = create_version(&suite, "m", &[]).await;
    let automation = Automation {
        display_name: "Lead routing".into(),
        owner: "dara".into(),
        functions: vec!["sales_ops".into(), "legal".into(), "product".into()],
        model_versions: vec![version],
        ..Default::default()
    };
    let create = |id: &str, automation: Automation| CreateAutomationRequest {
        automation_id: id.into(),
        automation: Some(automation),
        ..Default::default()
    };
    let narrow = Automation { functions: vec!["legal".into()], ..automation.clone() };
    assert_eq!(refusal(automations(&person).create_automation(create("a", narrow)).await), "FIELD_REQUIRED");
    let unknown = Automation { model_versions: vec!["models/m/versions/9".into()], ..automation.clone() };
    assert_eq!(refusal(automations(&person).create_automation(create("a", unknown)).await), "MODEL_VERSION_NOT_FOUND");
    let made = automations(&person).create_automation(create("a", automation)).await.unwrap().into_inner();
    let approve = ApproveAutomationRequest {
        name: made.name.clone(),
        content_digest: made.content_digest.clone(),
        conditions: vec!["weekly report".into()],
        ..Default::default()
    };
    let mandated = |request| suite.mandated("approve_automation", "registry.automations.approve", request);
    for caller in [&person, &council] {
        assert_eq!(refusal(automations(caller).approve_automation(approve.clone()).await), "MANDATE_REQUIRED");
    }
    let running = automations(&council).approve_automation(mandated(approve.clone())).await.unwrap().into_inner();
    assert_eq!((running.state(), running.conditions.len()), (AutomationState::Approved, 1));
    let update = |path: &str| UpdateAutomationRequest {
        automation: Some(Automation {
            name: made.name.clone(),
            owner: "ben".into(),
            data_flow: "to sales".into(),
            ..Default::default()
        }),
        update_mask: mask(&[path]),
        request_id: String::new(),
    };
    let same = automations(&person).update_automation(update("owner")).await.unwrap().into_inner();
    assert_eq!(same.state(), AutomationState::Approved);
    let edited = automations(&person).update_automation(update("data_flow")).await.unwrap().into_inner();
    assert_eq!((edited.state(), edited.proposal.as_str()), (AutomationState::Proposed, ""));
    let emptied = UpdateAutomationRequest {
        automation: Some(Automation { name: made.name.clone(), ..Default::default() }),
        update_mask: mask(&["model_versions"]),
        request_id: String::new(),
    };
    let emptied = automations(&person).update_automation(emptied).await;
    assert_eq!(refusal(emptied), "AUTOMATION_KEEPS", "no edit lets work go on that it stops");
    let again = ApproveAutomationRequest { request_id: "again".into(), ..approve.clone() };
    assert_eq!(refusal(automations(&council).approve_automation(mandated(again)).await), "CONTENT_CHANGED");
    let fresh = ApproveAutomationRequest { content_digest: edited.content_digest, ..approve };
    automations(&council).approve_automation(mandated(fresh)).await.unwrap();
    let stop = SuspendAutomationRequest { name: made.name.clone(), reason: "complaints".into(), ..Default::default() };
    let stopped = automations(&person).suspend_automation(stop).await.unwrap().into_inner();
    assert_eq!(stopped.state(), AutomationState::Suspended);
    let retire = RetireAutomationRequest { name: made.name.clone(), reason: "replaced".into(), ..Default::default() };
    automations(&person).retire_automation(retire.clone()).await.unwrap();
    let twice = RetireAutomationRequest { request_id: "twice".into(), ..retire };
    assert_eq!(refusal(automations(&person).retire_automation(twice).await), "TRANSITION_NOT_ALLOWED");
    let request = ListAutomationsRequest { filter: "state = \"RETIRED\"".into(), ..Default::default() };
    assert_eq!(automations(&person).list_automations(request).await.unwrap().into_inner().automations.len(), 1);
}
