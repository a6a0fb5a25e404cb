//! A mandate shown to two replicas at once.

use crate::support::{Site, reason};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    AddEvaluationRequest, CreateModelRequest, CreateModelVersionRequest, Evaluation, Model, ModelVersion,
    ModelVersionState, TransitionModelVersionRequest,
};
use remit_core::digest;
use remit_store::testing::TestDb;

/// Two replicas, one database: each mandate lets one of them act, and the other learns that it was used.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_take_a_mandate_once() {
    let Some(database) = TestDb::postgres().await.expect("the test server can be used") else {
        return eprintln!("no PostgreSQL: not tested here");
    };
    let toml = format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
    let site = Site::new(&[("audit", "audit"), ("one", "registry"), ("two", "registry")], &toml);
    let _running = [site.start("audit").await, site.start("one").await, site.start("two").await];
    let people = |process: &str| ModelServiceClient::new(site.human("dara", &["admin"], process));
    let model = Model { display_name: "Writer".into(), owner: "dara".into(), ..Default::default() };
    let create = CreateModelRequest { model_id: "writer".into(), model: Some(model), ..Default::default() };
    people("one").create_model(create).await.expect("a model");
    for round in 0..10 {
        let version = ModelVersion {
            provider: "in-house".into(),
            artifact_digest: digest::sha256(b"writer"),
            intended_use: "ad copy".into(),
            owner: "dara".into(),
            ..Default::default()
        };
        let create = CreateModelVersionRequest {
            parent: "models/writer".into(),
            model_version: Some(version),
            ..Default::default()
        };
        let made = people("one").create_model_version(create).await.expect("a version").into_inner();
        let evaluation = Evaluation {
            id: "e1".into(),
            suite: "holdout".into(),
            metrics: [("auc".to_owned(), 0.8)].into(),
            passed: true,
            ..Default::default()
        };
        let add = AddEvaluationRequest { name: made.name.clone(), evaluation: Some(evaluation), ..Default::default() };
        ModelServiceClient::new(site.human("ben", &["admin"], "one")).add_evaluation(add).await.expect("an evaluation");
        let to = |state: ModelVersionState| TransitionModelVersionRequest {
            name: made.name.clone(),
            state: state.into(),
            reason: "test".into(),
            ..Default::default()
        };
        people("one").transition_model_version(to(ModelVersionState::Evaluating)).await.expect("a move");
        // One that could follow itself, so that only the mandate stands in the way.
        let approval = TransitionModelVersionRequest {
            purposes: vec!["ad-copy".into()],
            content_digest: made.content_digest.clone(),
            ..to(ModelVersionState::Approved)
        };
        let approval = site.mandated("promote_model", "registry.versions.transition", approval);
        let shown = ["one", "two"].map(|replica| {
            let (mut client, mut request) = (people(replica), approval.clone());
            request.request_id = format!("{replica}-{round}");
            async move { client.transition_model_version(request).await }
        });
        let answers = futures::future::join_all(shown).await;
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        let refused: Vec<String> = answers.iter().filter_map(|answer| answer.as_ref().err()).map(reason).collect();
        assert_eq!((taken, refused.as_slice()), (1, ["MANDATE_USED".to_owned()].as_slice()));
    }
}
