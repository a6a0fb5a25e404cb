//! Policies: lint, diff, backtest, activation.

use super::{CSV, batch, import, policies};
use crate::api::cases;
use crate::api::council::{approve, get, propose, seat, with_members};
use crate::support::{Suite, reason};
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::{ActivatePolicy, ProposalState};
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::*;
use remit_policy::seed;
use std::time::Duration;
use tokio_stream::StreamExt as _;

cases! {
    a_policy_is_linted_tried_on_the_record_and_activated_by_the_council_alone:
        CreatePolicyVersion, BacktestPolicy, ActivatePolicyVersion;
    conditions_are_bounded_and_refused_by_field;
    a_backtest_names_the_largest_moves_and_what_it_cannot_replay;
    the_council_activates_only_with_a_fresh_backtest_against_the_active_version;
}

/// The default policy without its golden cases under another version, with some of its text replaced.
fn candidate(version: &str, replaced: &[(&str, &str)]) -> String {
    let text = seed::INVERTED_SUM.replace("version: \"1\"", &format!("version: \"{version}\""));
    let text = text[..text.find("cases:").unwrap()].to_owned();
    replaced.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "the default policy has no {from}");
        text.replace(from, to)
    })
}

async fn store(suite: &Suite, source: String) -> Result<PolicyVersion, tonic::Status> {
    let request = CreatePolicyVersionRequest {
        source: source.into_bytes(),
        format: PolicyFormat::Yaml.into(),
        ..Default::default()
    };
    policies(suite).create_policy_version(request).await.map(tonic::Response::into_inner)
}

/// Runs a backtest; the messages of progress and the result.
async fn backtest(suite: &Suite, request: BacktestPolicyRequest) -> (Vec<(i64, i64)>, Backtest) {
    let mut messages = policies(suite).backtest_policy(request).await.unwrap().into_inner();
    let (mut progress, mut result) = (Vec::new(), None);
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        progress.push((message.done, message.total));
        result = message.backtest;
    }
    (progress, result.expect("the last message has the result"))
}

async fn a_policy_is_linted_tried_on_the_record_and_activated_by_the_council_alone(suite: Suite) {
    import(&suite, CSV, ImportTasksConfig::default()).await.unwrap();
    batch(&suite, BatchDecideRequest::default()).await;
    let name = |name: &str| PolicyRef { policy: Some(policy_ref::Policy::Name(name.into())) };
    let literal = LintPolicyRequest { policy: Some(name("policies/seed-004-literal-sum/versions/1")) };
    let report = policies(&suite).lint_policy(literal).await.unwrap().into_inner();
    assert_eq!((report.passed, report.monotonicity_violations), (false, 12));

    let source = seed::INVERTED_SUM.replace("version: \"1\"", "version: \"2\"").replace("above: 12", "above: 11");
    let source = source[..source.find("cases:").unwrap()].replace("at_most: 12", "at_most: 11");
    let request = CreatePolicyVersionRequest {
        source: source.into_bytes(),
        format: PolicyFormat::Yaml.into(),
        ..Default::default()
    };
    let made = policies(&suite).create_policy_version(request.clone()).await.unwrap().into_inner();
    assert!(made.lint.as_ref().unwrap().passed, "{:?}", made.lint);
    let refused = policies(&suite).create_policy_version(request).await.unwrap_err();
    assert_eq!(reason(&refused), "POLICY_VERSION_EXISTS");
    let diff = DiffPoliciesRequest {
        base: Some(name("policies/seed-004-inverted-sum/versions/1")),
        candidate: Some(name(&made.name)),
    };
    let diff = policies(&suite).diff_policies(diff).await.unwrap().into_inner();
    assert_eq!((diff.toward_ai, diff.toward_human), (10, 0));

    let backtest =
        |name: &str| BacktestPolicyRequest { name: name.into(), request_id: "b1".into(), ..Default::default() };
    let run = async |request: BacktestPolicyRequest| {
        let mut progress = policies(&suite).backtest_policy(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(message) = progress.next().await {
            last = message.unwrap().backtest;
        }
        last.unwrap()
    };
    let same = run(BacktestPolicyRequest {
        request_id: String::new(),
        ..backtest("policies/seed-004-inverted-sum/versions/1")
    })
    .await;
    assert_eq!((same.decisions, same.unchanged), (3, 3), "the same policy over the record changes nothing");
    let result = run(backtest(&made.name)).await;
    assert_eq!((result.decisions, result.unchanged, result.toward_ai), (3, 2, 1));
    assert_eq!(result.largest_toward_ai[0].task, "tasks/setup");
    assert_eq!(run(backtest(&made.name)).await, result, "a repeat gives the first answer");
    let stored = policies(&suite).get_backtest(GetBacktestRequest { name: result.name.clone() }).await.unwrap();
    assert_eq!(stored.into_inner(), result);

    let bare = |backtest: &str, id: &str| ActivatePolicyVersionRequest {
        name: made.name.clone(),
        backtest_digest: backtest.into(),
        request_id: id.into(),
        ..Default::default()
    };
    let activate =
        |backtest: &str, id: &str| suite.mandated("activate_policy", "scoring.policies.activate", bare(backtest, id));
    let mut council = PolicyServiceClient::new(suite.service("council").to("scoring"));
    for caller in [&mut policies(&suite), &mut council] {
        let refused = caller.activate_policy_version(bare(&result.digest, "a1")).await.unwrap_err();
        assert_eq!(reason(&refused), "MANDATE_REQUIRED");
    }
    let unknown = format!("sha256:{}", "0".repeat(64));
    let refused = council.activate_policy_version(activate(&unknown, "a2")).await.unwrap_err();
    assert_eq!(reason(&refused), "BACKTEST_UNKNOWN");
    let refused = council.activate_policy_version(activate(&same.digest, "a3")).await.unwrap_err();
    assert_eq!(reason(&refused), "BACKTEST_OTHER_VERSION");
    let active = council.activate_policy_version(activate(&result.digest, "a4")).await.unwrap().into_inner();
    assert_eq!((active.state(), made.etag.as_str(), active.etag.as_str()), (PolicyState::Active, "r1", "r2"));
    let filter = "state = \"ACTIVE\"".to_owned();
    let listed =
        policies(&suite).list_policy_versions(ListPolicyVersionsRequest { filter, ..Default::default() }).await;
    let names: Vec<String> = listed.unwrap().into_inner().policy_versions.into_iter().map(|p| p.name).collect();
    assert_eq!(names, std::slice::from_ref(&made.name));
    let decided = batch(&suite, BatchDecideRequest::default()).await;
    assert_eq!(decided.decided, 3, "decisions of the policy before are made again");
}

/// Conditions that are wrong, too deep, too long or would cost without bound are refused when the policy is created,
/// by the field of the file, and the server goes on.
async fn conditions_are_bounded_and_refused_by_field(suite: Suite) {
    let deep = format!("{}risk > 1{}", "(".repeat(300), ")".repeat(300));
    let long = format!("risk in [{}]", (0..400).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    let wide = format!("risk > 1{}", " || risk > 1".repeat(70));
    for (condition, told) in [
        (deep.as_str(), "nest at most 40"),
        (long.as_str(), "at most 1000 characters"),
        (wide.as_str(), "at most 200 parts"),
        ("labels.all(a, labels.all(b, labels.all(c, a == b)))", "may use only"),
        ("[1, 2, 3].map(x, x * 2).size() > 1", "may use only"),
        ("'a' + 'a' + 'a' == 'aaa'", "need numbers"),
        ("risk * risk > 4", "not known"),
        ("function_id.matches('(a+)+$')", "may use only"),
        ("riks > 3", "riks is not known"),
        ("frequency_per_week > 3", "same type"),
        ("stakes == 'SOME'", "never 'SOME'"),
        ("feedback_delay == 'SOON'", "never 'SOON'"),
        ("function == 'x'", "reserved identifier"),
        ("score", "true or false"),
        ("risk >", "not CEL"),
    ] {
        let source = candidate("bad", &[("when: risk >= 4", &format!("when: {condition:?}"))]);
        let refused = store(&suite, source).await.expect_err(condition);
        assert_eq!(reason(&refused), "POLICY_INVALID", "{condition}");
        let text = refused.message();
        assert!(text.contains("caps[2].when") && text.contains(told), "{condition}: {text}");
    }
    let named = "complexity > 1 && frequency_per_week > 1.0 && minutes_per_instance > 1.0 && brand_impacting
      && regulated_domain && pilot_evidence && reserved_category == 'POSITIONING' && execution_kind == 'STRUCTURED'
      && stakes == 'LOW' && function_id == 'x' && function_status == 'LIKELY' && function_maturity == 'REAL'";
    let source = candidate("wide", &[("when: risk >= 4", &format!("when: {named:?}"))]);
    let made = store(&suite, source).await.unwrap();
    let lint = made.lint.expect("lint is stored with the version");
    assert!(!lint.passed && lint.findings.iter().any(|finding| finding.code == "SPACE_TOO_LARGE"), "{lint:#?}");
}

async fn a_backtest_names_the_largest_moves_and_what_it_cannot_replay(suite: Suite) {
    // Hours a year grow with the number; brand tasks move toward AI, those with 13 points toward people.
    let mut csv = "id,title,function,frequency_per_week,minutes_per_instance,complexity,brand_impacting,predictability,risk,human_judgment\n".to_owned();
    for n in 1..=30 {
        csv += &format!("brand-{n:02},Brand {n},paid_media,{n},60,2,yes,5,1,1\n");
        csv += &format!("edge-{n:02},Edge {n},paid_media,{n},60,2,no,4,2,1\n");
        csv += &format!("still-{n:02},Still {n},paid_media,{n},60,2,no,3,3,3\n");
    }
    import(&suite, &csv, ImportTasksConfig::default()).await.unwrap();
    batch(&suite, BatchDecideRequest::default()).await;
    let brand = "  - id: brand-impacting
    when: brand_impacting
    at_most: HUMAN_IN_THE_LOOP
    requires: [SIGN_OFF]
    reason: brand-impacting results need a person's sign-off  # S69, S79
";
    let source = candidate("2", &[(brand, ""), ("above: 12", "above: 13"), ("at_most: 12", "at_most: 13")]);
    let made = store(&suite, source).await.unwrap();
    let request = BacktestPolicyRequest { name: made.name, largest: 3, ..Default::default() };
    let (progress, result) = backtest(&suite, request.clone()).await;
    assert_eq!(progress.last(), Some(&(90, 90)));
    assert_eq!((result.decisions, result.unchanged, result.toward_ai, result.toward_human), (90, 30, 30, 30));
    let names = |changes: &[BacktestChange]| changes.iter().map(|change| change.title.clone()).collect::<Vec<_>>();
    assert_eq!(names(&result.largest_toward_ai), ["Brand 30", "Brand 29", "Brand 28"]);
    assert_eq!(names(&result.largest_toward_human), ["Edge 30", "Edge 29", "Edge 28"]);
    assert_eq!(result.largest_toward_ai[0].hours_per_year, 30.0 * 52.0);
    assert!(result.not_replayable.is_empty());
    let (_, again) =
        backtest(&suite, BacktestPolicyRequest { filter: "task = \"tasks/edge-01\"".into(), ..request }).await;
    assert_eq!((again.decisions, again.toward_human), (1, 1));
    assert_ne!(again.digest, result.digest);

    let axis = "  - { name: empathy, direction: HIGHER_FAVOURS_HUMAN }\nbands:";
    let source = candidate(
        "3",
        &[
            ("bands:", axis),
            ("above: 12", "above: 17"),
            ("at_least: 10, at_most: 12", "at_least: 13, at_most: 17"),
            ("at_most: 9", "at_most: 12"),
        ],
    );
    let made = store(&suite, source).await.unwrap();
    let (_, result) = backtest(&suite, BacktestPolicyRequest { name: made.name, ..Default::default() }).await;
    assert_eq!((result.decisions, result.unchanged, result.toward_ai, result.toward_human), (90, 0, 0, 0));
    let missing = &result.not_replayable[0];
    assert_eq!((missing.reason.as_str(), missing.count, missing.examples.len()), ("AXIS_MISSING", 90, 20));
}

async fn the_council_activates_only_with_a_fresh_backtest_against_the_active_version(suite: Suite) {
    import(&suite, CSV, ImportTasksConfig::default()).await.unwrap();
    batch(&suite, BatchDecideRequest::default()).await;
    with_members(&suite).await;
    let mut made = Vec::new();
    for (version, above) in [("2", "11.5"), ("3", "11.25")] {
        let source = candidate(
            version,
            &[("above: 12", &format!("above: {above}")), ("at_most: 12", &format!("at_most: {above}"))],
        );
        let policy = store(&suite, source).await.unwrap();
        let (_, result) =
            backtest(&suite, BacktestPolicyRequest { name: policy.name.clone(), ..Default::default() }).await;
        made.push((policy.name, result.digest));
    }
    let decided = async |id: &str, policy: &str, digest: &str| {
        let action = ActivatePolicy { policy_version: policy.into(), backtest_digest: digest.into() };
        let proposal = propose(&suite, id, Kind::ActivatePolicy(action)).await;
        for who in ["mia", "lea"] {
            approve(&seat(&suite, who), &proposal).await.unwrap();
        }
        let proposal = get(&suite, &proposal).await;
        (proposal.state(), proposal.execution.unwrap_or_default().error)
    };
    let (first, second) = (&made[0], &made[1]);
    // Both backtests compare with version 1: after the first activation the second one compares with nothing that is.
    assert_eq!(decided("p1", &first.0, &first.1).await, (ProposalState::Executed, String::new()));
    let (state, error) = decided("p2", &second.0, &second.1).await;
    assert_eq!(state, ProposalState::Failed);
    assert!(error.starts_with("BACKTEST_OTHER_VERSION"), "{error}");

    // The default policy lets a backtest count for 14 days.
    let (_, fresh) = backtest(&suite, BacktestPolicyRequest { name: second.0.clone(), ..Default::default() }).await;
    suite.advance(Duration::from_secs(14 * 86_400 + 1)).await;
    let (state, error) = decided("p3", &second.0, &fresh.digest).await;
    assert_eq!(state, ProposalState::Failed);
    assert!(error.starts_with("BACKTEST_STALE"), "{error}");
    let (_, fresh) = backtest(&suite, BacktestPolicyRequest { name: second.0.clone(), ..Default::default() }).await;
    assert_eq!(decided("p4", &second.0, &fresh.digest).await, (ProposalState::Executed, String::new()));
    let active = policies(&suite).get_policy_version(GetPolicyVersionRequest { name: second.0.clone() }).await.unwrap();
    let active = active.into_inner();
    assert_eq!((active.state(), active.backtest_digest), (PolicyState::Active, fresh.digest));
    assert_eq!(active.proposal, "proposals/p4", "who approved it is on record");
}
